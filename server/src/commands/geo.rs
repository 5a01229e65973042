//! The geo group: sorted sets whose scores are places. `hash.rs` turns places into scores and back, `area.rs` knows what a
//! search covers, `search.rs` runs the searches, `nearest.rs` sorts what they find.
//!
//! Such a set is an ordinary sorted set: ZREM removes a member, and members that ZADD gave a score have a place too.

mod area;
mod hash;
mod nearest;
mod search;

use super::sorted_set::{Terms, add_pairs};
use super::{doc, entry};
use crate::context::Cx;
use crate::server::Ochre;
use common::command::{Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome};
use common::resp::Reply;
use store::SortedSet;

use hash::{Point, Span};
use search::{Form, search};

const READ: Flags = Flags::READONLY;
const STORE: Flags = Flags::WRITE.and(Flags::DENYOOM);
const MAY_STORE: Flags = STORE.and(Flags::MOVABLE_KEYS);

const ONE: &[KeySpec] = &[KeySpec::one(1, Access::Read)];
const TARGET_AND_ONE: &[KeySpec] = &[KeySpec::one(1, Access::Overwrite), KeySpec::one(2, Access::Read)];

/// The key, and where a result may go, from a word on.
const fn one_and_targets(from: usize) -> [KeySpec; 3] {
    [
        KeySpec::one(1, Access::Read),
        KeySpec::behind("STORE", from, Access::Overwrite),
        KeySpec::behind("STOREDIST", from, Access::Overwrite),
    ]
}

const NEAR: &str = "O(N+log(M)), N members in the cells around the area, M members within it";

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("geoadd", Arity::AtLeast(5), STORE, &[KeySpec::one(1, Access::Update)],
        doc("geo", "3.2.0", "O(log(N)) per member", "key [NX|XX] [CH] longitude latitude member [longitude latitude member ...]", "Gives members places, making the sorted set if it is missing."), geoadd),
    entry("geodist", Arity::AtLeast(4), READ, ONE,
        doc("geo", "3.2.0", "O(1)", "key member1 member2 [<M|KM|FT|MI>]", "Tells how far two members are from each other."), geodist),
    entry("geohash", Arity::AtLeast(2), READ, ONE,
        doc("geo", "3.2.0", "O(1) per member", "key [member [member ...]]", "Tells the places of members as geohash strings."), geohash),
    entry("geopos", Arity::AtLeast(2), READ, ONE,
        doc("geo", "3.2.0", "O(1) per member", "key [member [member ...]]", "Tells the longitudes and latitudes of members."), geopos),
    entry("geosearch", Arity::AtLeast(7), READ, ONE,
        doc("geo", "6.2.0", NEAR, "key [FROMMEMBER member|FROMLONLAT longitude latitude] <BYRADIUS radius <M|KM|FT|MI>|BYBOX width height <M|KM|FT|MI>|BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]", "Lists the members in a circle, a rectangle or a polygon."), |cx, args| search(cx, args, Form::Search)),
    entry("geosearchstore", Arity::AtLeast(8), STORE, TARGET_AND_ONE,
        doc("geo", "6.2.0", NEAR, "destination source [FROMMEMBER member|FROMLONLAT longitude latitude] <BYRADIUS radius <M|KM|FT|MI>|BYBOX width height <M|KM|FT|MI>|BYPOLYGON num-vertices longitude latitude [longitude latitude ...]> [ASC|DESC] [COUNT count [ANY]] [STOREDIST]", "Stores the members in a circle, a rectangle or a polygon, with their places or distances."), |cx, args| search(cx, args, Form::Store)),
    entry("georadius", Arity::AtLeast(6), MAY_STORE, &one_and_targets(6),
        doc("geo", "3.2.0", NEAR, "key longitude latitude radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key|STOREDIST key]", "Lists or stores the members within a distance of a place."), |cx, args| search(cx, args, Form::Radius { reads: false })).deprecated("6.2.0", "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS"),
    entry("georadius_ro", Arity::AtLeast(6), READ, ONE,
        doc("geo", "3.2.10", NEAR, "key longitude latitude radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]", "Lists the members within a distance of a place."), |cx, args| search(cx, args, Form::Radius { reads: true })).deprecated("6.2.0", "GEOSEARCH with BYRADIUS"),
    entry("georadiusbymember", Arity::AtLeast(5), MAY_STORE, &one_and_targets(5),
        doc("geo", "3.2.0", NEAR, "key member radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key|STOREDIST key]", "Lists or stores the members within a distance of one of them."), |cx, args| search(cx, args, Form::ByMember { reads: false })).deprecated("6.2.0", "GEOSEARCH and GEOSEARCHSTORE with FROMMEMBER and BYRADIUS"),
    entry("georadiusbymember_ro", Arity::AtLeast(5), READ, ONE,
        doc("geo", "3.2.10", NEAR, "key member radius <M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]", "Lists the members within a distance of one of them."), |cx, args| search(cx, args, Form::ByMember { reads: true })).deprecated("6.2.0", "GEOSEARCH with FROMMEMBER and BYRADIUS"),
];

fn geoadd(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let mut terms = Terms::default();
    let mut words: Vec<&[u8]> = vec![b"zadd", key.bytes];
    while let Some(word) = args.peek() {
        match word.to_ascii_lowercase().as_slice() {
            b"nx" => terms.nx = true,
            b"xx" => terms.xx = true,
            b"ch" => terms.ch = true,
            _ => break,
        }
        words.push(args.next());
    }
    if args.left() == 0 || !args.left().is_multiple_of(3) || terms.xx && terms.nx {
        return Err(CommandError::Syntax);
    }
    let mut places = Vec::with_capacity(args.left() / 3);
    while args.left() > 0 {
        places.push((place(args)?.score_bits(), args.next()));
    }
    let pairs: Vec<_> = places.iter().map(|(score, member)| (*score as f64, *member)).collect();
    let dirty = cx.server.dirty;
    let outcome = add_pairs(cx, key, &pairs, terms)?;
    // As Redis does: whatever rounding another machine knows, the scores are these.
    if cx.server.dirty != dirty && cx.is_propagating() {
        let scores: Vec<String> = places.iter().map(|(score, _)| score.to_string()).collect();
        let pairs = scores.iter().zip(&places).flat_map(|(score, (_, member))| [score.as_bytes(), member]);
        words.extend(pairs);
        cx.propagate_as(&words);
    }
    Ok(outcome)
}

fn geodist(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, from, to) = (cx.key(args.next()), args.next(), args.next());
    let unit = match args.try_next() {
        _ if args.left() > 0 => return Err(CommandError::Syntax),
        Some(word) => unit(word)?,
        None => 1.0,
    };
    let set = cx.server.read_typed::<SortedSet>(cx.db, key)?;
    let place = |member| Some(Point::of_score(set?.score(member)?));
    match place(from).zip(place(to)) {
        Some((from, to)) => write_distance(&mut cx.reply, area::distance(from, to) / unit),
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn geohash(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let set = cx.server.read_typed::<SortedSet>(cx.db, key)?;
    cx.reply.array(args.left());
    for member in args.rest() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => cx.reply.bulk(&Point::of_score(score).letters()),
            None => cx.reply.null(),
        }
    }
    Ok(Outcome::Done)
}

fn geopos(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let set = cx.server.read_typed::<SortedSet>(cx.db, key)?;
    cx.reply.array(args.left());
    for member in args.rest() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => write_coordinates(&mut cx.reply, Point::of_score(score)),
            None => cx.reply.null_array(),
        }
    }
    Ok(Outcome::Done)
}

// --- shared by the family --------------------------------------------------------------------------------------------

/// The longitude and latitude that follow.
fn place(args: &mut Args<'_>) -> Result<Point, CommandError> {
    let (longitude, latitude) = (args.float()?, args.float()?);
    if Span::LONGITUDES.has(longitude) && Span::LATITUDES.has(latitude) {
        return Ok(Point { longitude, latitude });
    }
    Err(CommandError::Message(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// A unit of length, in metres.
fn unit(word: &[u8]) -> Result<f64, CommandError> {
    match word.to_ascii_lowercase().as_slice() {
        b"m" => Ok(1.0),
        b"km" => Ok(1000.0),
        b"ft" => Ok(0.3048),
        b"mi" => Ok(1609.34),
        _ => Err("ERR unsupported unit provided. please use M, KM, FT, MI".into()),
    }
}

#[cold]
fn no_such_place() -> CommandError {
    "ERR could not decode requested zset member".into()
}

/// A distance with four decimals, rounded as Redis rounds it: after it was made an integer, halves to the even one.
fn write_distance(reply: &mut Reply, distance: f64) {
    let scaled = (distance * 10_000.0).round_ties_even() as u64;
    reply.bulk(format!("{}.{:04}", scaled / 10_000, scaled % 10_000).as_bytes());
}

/// A longitude and a latitude with up to 17 decimals, as Redis spells them.
fn write_coordinates(reply: &mut Reply, place: Point) {
    reply.array(2);
    for coordinate in [place.longitude, place.latitude] {
        let digits = format!("{coordinate:.17}");
        let text = digits.trim_end_matches('0').trim_end_matches('.');
        reply.double_spelled(if text == "-0" { "0" } else { text });
    }
}
