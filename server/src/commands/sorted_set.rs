//! The sorted set group: the entries, and what looks at or changes single members. `range.rs` takes ranges, `combine.rs`
//! combines several sets, `pop.rs` takes members from the ends and at random.

mod combine;
mod pop;
mod range;

use super::scan_options::{ScanOptions, write_empty, write_frame};
use super::{NONDETERMINISTIC, doc, entry, write_element};
use crate::context::Cx;
use crate::events::Event;
use crate::server::{Key, Ochre};
use common::command::{Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome};
use common::number::{format_17g, parse_f64};
use common::resp::Reply;
use store::{Element, Placed, SortedSet};

use pop::Tip;
use range::{By, Form};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const READ_MANY: Flags = Flags::READONLY.and(Flags::MOVABLE_KEYS);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const ADD: Flags = WRITE_FAST.and(Flags::DENYOOM);
const STORE: Flags = Flags::WRITE.and(Flags::DENYOOM);
const STORE_MANY: Flags = STORE.and(Flags::MOVABLE_KEYS);

const META: &[KeySpec] = &[KeySpec::one(1, Access::Meta)];
const ONE: &[KeySpec] = &[KeySpec::one(1, Access::Read)];
const DELETE: &[KeySpec] = &[KeySpec::one(1, Access::Delete)];
const POP: &[KeySpec] = &[KeySpec::one(1, Access::RwDelete)];
const POP_ANY: &[KeySpec] = &[KeySpec::until(1, -2, 1, Access::RwDelete)];
const COUNTED: &[KeySpec] = &[KeySpec::counted(1, Access::Read)];
const TARGET_AND_COUNTED: &[KeySpec] =
    &[KeySpec::one(1, Access::Overwrite), KeySpec::counted(2, Access::Read)];

const LOG: &str = "O(log(N))";
const LOG_M: &str = "O(log(N)+M), M members in the range";
const MERGE: &str = "O(N)+O(M*log(M)), N members of all sets, M in the result";

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("zadd", Arity::AtLeast(4), ADD, &[KeySpec::one(1, Access::Update)],
        doc("sorted-set", "1.2.0", "O(log(N)) per member", "key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]", "Gives members scores, making the sorted set if it is missing."), zadd),
    entry("zincrby", Arity::Exactly(4), ADD, &[KeySpec::one(1, Access::RwUpdate)],
        doc("sorted-set", "1.2.0", LOG, "key increment member", "Adds to a member's score."), zincrby),
    entry("zrem", Arity::AtLeast(3), WRITE_FAST, DELETE,
        doc("sorted-set", "1.2.0", "O(log(N)) per member", "key member [member ...]", "Takes members out."), zrem),
    entry("zcard", Arity::Exactly(2), READ_FAST, META,
        doc("sorted-set", "1.2.0", "O(1)", "key", "Counts the members."), zcard),
    entry("zscore", Arity::Exactly(3), READ_FAST, ONE,
        doc("sorted-set", "1.2.0", "O(1)", "key member", "Tells a member's score."), zscore),
    entry("zmscore", Arity::AtLeast(3), READ_FAST, ONE,
        doc("sorted-set", "6.2.0", "O(1) per member", "key member [member ...]", "Tells the scores of members."), zmscore),
    entry("zrank", Arity::AtLeast(3), READ_FAST, ONE,
        doc("sorted-set", "2.0.0", LOG, "key member [WITHSCORE]", "Tells how many members come before one."), |cx, args| zrank(cx, args, false)),
    entry("zrevrank", Arity::AtLeast(3), READ_FAST, ONE,
        doc("sorted-set", "2.0.0", LOG, "key member [WITHSCORE]", "Tells how many members come behind one."), |cx, args| zrank(cx, args, true)),
    Command { tips: NONDETERMINISTIC, ..entry("zscan", Arity::AtLeast(3), READ, ONE,
        doc("sorted-set", "2.8.0", "O(1) per call, O(N) for a whole iteration", "key cursor [MATCH pattern] [COUNT count] [NOSCORES]", "Iterates over members and scores."), zscan) },
    entry("zcount", Arity::Exactly(4), READ_FAST, ONE,
        doc("sorted-set", "2.0.0", LOG, "key min max", "Counts the members with scores in a range."), |cx, args| range::count(cx, args, By::Score)),
    entry("zlexcount", Arity::Exactly(4), READ_FAST, ONE,
        doc("sorted-set", "2.8.9", LOG, "key min max", "Counts the members between two strings."), |cx, args| range::count(cx, args, By::Lex)),
    entry("zrange", Arity::AtLeast(4), READ, ONE,
        doc("sorted-set", "1.2.0", LOG_M, "key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]", "Lists the members in a range."), |cx, args| range::list(cx, args, Form::Any)),
    entry("zrangestore", Arity::AtLeast(5), STORE, &[KeySpec::one(1, Access::Overwrite), KeySpec::one(2, Access::Read)],
        doc("sorted-set", "6.2.0", LOG_M, "dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]", "Stores the members in a range."), range::store),
    entry("zrevrange", Arity::AtLeast(4), READ, ONE,
        doc("sorted-set", "1.2.0", LOG_M, "key start stop [WITHSCORES]", "Lists members by rank, the highest first."), |cx, args| range::list(cx, args, Form::Fixed(By::Rank, true))).deprecated("6.2.0", "ZRANGE with REV"),
    entry("zrangebyscore", Arity::AtLeast(4), READ, ONE,
        doc("sorted-set", "1.0.5", LOG_M, "key min max [WITHSCORES] [LIMIT offset count]", "Lists the members with scores in a range."), |cx, args| range::list(cx, args, Form::Fixed(By::Score, false))).deprecated("6.2.0", "ZRANGE with BYSCORE"),
    entry("zrevrangebyscore", Arity::AtLeast(4), READ, ONE,
        doc("sorted-set", "2.2.0", LOG_M, "key max min [WITHSCORES] [LIMIT offset count]", "Lists the members with scores in a range, the highest first."), |cx, args| range::list(cx, args, Form::Fixed(By::Score, true))).deprecated("6.2.0", "ZRANGE with REV and BYSCORE"),
    entry("zrangebylex", Arity::AtLeast(4), READ, ONE,
        doc("sorted-set", "2.8.9", LOG_M, "key min max [LIMIT offset count]", "Lists the members between two strings."), |cx, args| range::list(cx, args, Form::Fixed(By::Lex, false))).deprecated("6.2.0", "ZRANGE with BYLEX"),
    entry("zrevrangebylex", Arity::AtLeast(4), READ, ONE,
        doc("sorted-set", "2.8.9", LOG_M, "key max min [LIMIT offset count]", "Lists the members between two strings, the last first."), |cx, args| range::list(cx, args, Form::Fixed(By::Lex, true))).deprecated("6.2.0", "ZRANGE with REV and BYLEX"),
    entry("zremrangebyrank", Arity::Exactly(4), Flags::WRITE, DELETE,
        doc("sorted-set", "2.0.0", LOG_M, "key start stop", "Takes out the members in a range of ranks."), |cx, args| range::remove(cx, args, By::Rank)),
    entry("zremrangebyscore", Arity::Exactly(4), Flags::WRITE, DELETE,
        doc("sorted-set", "1.2.0", LOG_M, "key min max", "Takes out the members with scores in a range."), |cx, args| range::remove(cx, args, By::Score)),
    entry("zremrangebylex", Arity::Exactly(4), Flags::WRITE, DELETE,
        doc("sorted-set", "2.8.9", LOG_M, "key min max", "Takes out the members between two strings."), |cx, args| range::remove(cx, args, By::Lex)),
    entry("zpopmin", Arity::AtLeast(2), WRITE_FAST, POP,
        doc("sorted-set", "5.0.0", "O(log(N)) per member", "key [count]", "Takes the members with the lowest scores."), |cx, args| pop::zpop(cx, args, Tip::Min)),
    entry("zpopmax", Arity::AtLeast(2), WRITE_FAST, POP,
        doc("sorted-set", "5.0.0", "O(log(N)) per member", "key [count]", "Takes the members with the highest scores."), |cx, args| pop::zpop(cx, args, Tip::Max)),
    entry("bzpopmin", Arity::AtLeast(3), WRITE_FAST.and(Flags::BLOCKING), POP_ANY,
        doc("sorted-set", "5.0.0", LOG, "key [key ...] timeout", "Takes the member with the lowest score of the first set that has one, waiting for it."), |cx, args| pop::bzpop(cx, args, Tip::Min)),
    entry("bzpopmax", Arity::AtLeast(3), WRITE_FAST.and(Flags::BLOCKING), POP_ANY,
        doc("sorted-set", "5.0.0", LOG, "key [key ...] timeout", "Takes the member with the highest score of the first set that has one, waiting for it."), |cx, args| pop::bzpop(cx, args, Tip::Max)),
    entry("zmpop", Arity::AtLeast(4), Flags::WRITE.and(Flags::MOVABLE_KEYS), &[KeySpec::counted(1, Access::RwDelete)],
        doc("sorted-set", "7.0.0", "O(K)+O(M*log(N)), K keys, M members taken", "numkeys key [key ...] <MIN|MAX> [COUNT count]", "Takes members from the first set that has some."), pop::zmpop),
    entry("bzmpop", Arity::AtLeast(5), Flags::WRITE.and(Flags::BLOCKING).and(Flags::MOVABLE_KEYS), &[KeySpec::counted(2, Access::RwDelete)],
        doc("sorted-set", "7.0.0", "O(K)+O(M*log(N)), K keys, M members taken", "timeout numkeys key [key ...] <MIN|MAX> [COUNT count]", "Takes members from the first set that has some, waiting for it."), pop::bzmpop),
    Command { tips: NONDETERMINISTIC, ..entry("zrandmember", Arity::AtLeast(2), READ, ONE,
        doc("sorted-set", "6.2.0", "O(log(N)) per member", "key [count [WITHSCORES]]", "Shows members at random."), pop::zrandmember) },
    entry("zunion", Arity::AtLeast(3), READ_MANY, COUNTED,
        doc("sorted-set", "6.2.0", MERGE, "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX|COUNT] [WITHSCORES]", "Lists the members that any set has."), combine::zunion),
    entry("zinter", Arity::AtLeast(3), READ_MANY, COUNTED,
        doc("sorted-set", "6.2.0", MERGE, "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX|COUNT] [WITHSCORES]", "Lists the members that all sets have."), combine::zinter),
    entry("zdiff", Arity::AtLeast(3), READ_MANY, COUNTED,
        doc("sorted-set", "6.2.0", MERGE, "numkeys key [key ...] [WITHSCORES]", "Lists the members that only the first set has."), combine::zdiff),
    entry("zunionstore", Arity::AtLeast(4), STORE_MANY, TARGET_AND_COUNTED,
        doc("sorted-set", "2.0.0", MERGE, "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX|COUNT]", "Stores the members that any set has."), combine::zunionstore),
    entry("zinterstore", Arity::AtLeast(4), STORE_MANY, TARGET_AND_COUNTED,
        doc("sorted-set", "2.0.0", MERGE, "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX|COUNT]", "Stores the members that all sets have."), combine::zinterstore),
    entry("zdiffstore", Arity::AtLeast(4), STORE_MANY, TARGET_AND_COUNTED,
        doc("sorted-set", "6.2.0", MERGE, "destination numkeys key [key ...]", "Stores the members that only the first set has."), combine::zdiffstore),
    entry("zintercard", Arity::AtLeast(3), READ_MANY, COUNTED,
        doc("sorted-set", "7.0.0", "O(N*K), N members of the smallest of K sets", "numkeys key [key ...] [LIMIT limit]", "Counts the members that all sets have."), combine::zintercard),
];

// --- scores ----------------------------------------------------------------------------------------------------------

/// Conditions and manner of ZADD.
#[derive(Clone, Copy, Default)]
pub(super) struct Terms {
    /// Only members that are new.
    pub(super) nx: bool,
    /// Only members that are there.
    pub(super) xx: bool,
    /// Only to a higher score.
    gt: bool,
    /// Only to a lower score.
    lt: bool,
    /// Changed members count as well as new ones.
    pub(super) ch: bool,
    /// The score is one to be added.
    incr: bool,
}

/// One of the words that make terms.
type Term = fn(&mut Terms) -> &mut bool;

impl Terms {
    fn parse(args: &mut Args<'_>) -> Self {
        let mut terms = Self::default();
        let words: [(&str, Term); 6] = [
            ("NX", |terms| &mut terms.nx),
            ("XX", |terms| &mut terms.xx),
            ("GT", |terms| &mut terms.gt),
            ("LT", |terms| &mut terms.lt),
            ("CH", |terms| &mut terms.ch),
            ("INCR", |terms| &mut terms.incr),
        ];
        while let Some(term) = args.take_one(&words) {
            *term(&mut terms) = true;
        }
        terms
    }

    /// The score that a member gets; `None` when the terms forbid it.
    fn apply(&self, old: Option<f64>, given: f64) -> Result<Option<f64>, CommandError> {
        let Some(old) = old else { return Ok((!self.xx).then_some(given)) };
        if self.nx {
            return Ok(None);
        }
        let score = if self.incr { old + given } else { given };
        if score.is_nan() {
            return Err("ERR resulting score is not a number (NaN)".into());
        }
        let refused = self.lt && score >= old || self.gt && score <= old;
        Ok((!refused).then_some(score))
    }
}

fn zadd(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let terms = Terms::parse(args);
    if args.left() == 0 || !args.left().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    if terms.nx && terms.xx {
        return Err("ERR XX and NX options at the same time are not compatible".into());
    }
    if [terms.nx, terms.gt, terms.lt].iter().filter(|is_set| **is_set).count() > 1 {
        return Err("ERR GT, LT, and/or NX options at the same time are not compatible".into());
    }
    if terms.incr && args.left() > 2 {
        return Err("ERR INCR option supports a single increment-element pair".into());
    }
    add(cx, key, args, terms)
}

fn zincrby(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    add(cx, key, args, Terms { incr: true, ..Terms::default() })
}

/// Adds the pairs of a score and a member that follow.
fn add(cx: &mut Cx<'_>, key: Key<'_>, args: &mut Args<'_>, terms: Terms) -> CommandResult {
    let mut pairs = Vec::with_capacity(args.left() / 2);
    while args.left() > 0 {
        pairs.push((args.float()?, args.next()));
    }
    add_pairs(cx, key, &pairs, terms)
}

/// Adds pairs of a score and a member, and replies.
pub(super) fn add_pairs(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    pairs: &[(f64, &[u8])],
    terms: Terms,
) -> CommandResult {
    let limits = cx.server.limits().sorted_set;
    let set = match terms.xx {
        true => cx.server.edit::<SortedSet>(cx.db, key)?,
        false => Some(cx.server.edit_or_create(cx.db, key)?),
    };
    let (mut added, mut updated, mut processed, mut score) = (0, 0, 0, 0.0);
    if let Some(set) = set {
        for &(given, member) in pairs {
            let old = set.score(member);
            // Only INCR can fail, with its one pair: nothing has changed then.
            let wanted = terms.apply(old, given)?;
            let Some(wanted) = wanted else { continue };
            processed += 1;
            score = wanted;
            match set.insert(member, wanted, &limits) {
                Placed::New => added += 1,
                Placed::Moved => updated += 1,
                Placed::Same => {}
            }
        }
    }
    match (terms.incr, processed > 0) {
        (true, true) => cx.reply.double(score),
        (true, false) => cx.reply.null(),
        (false, _) => cx.reply.integer(added + if terms.ch { updated } else { 0 }),
    }
    if added + updated > 0 {
        let event = if terms.incr { Event::ZINCR } else { Event::ZADD };
        cx.changed_by((added + updated) as u64, key, event);
    }
    Ok(Outcome::Done)
}

fn zrem(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let Some(set) = cx.server.edit::<SortedSet>(cx.db, key)? else {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    };
    let removed = args.rest().filter(|member| set.remove(member).is_some()).count();
    cx.reply.integer(removed as i64);
    announce_removal(cx, key, Event::ZREM, removed);
    Ok(Outcome::Done)
}

/// Tells of members taken out; a set that has none left goes.
fn announce_removal(cx: &mut Cx<'_>, key: Key<'_>, event: Event, removed: usize) {
    if removed > 0 {
        let emptied = cx.server.remove_emptied::<SortedSet>(cx.db, key);
        cx.changed_by(removed as u64, key, event);
        if emptied {
            cx.server.notify(cx.db, key.bytes, Event::DEL);
        }
    }
}

fn zcard(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let len = cx.server.read_typed::<SortedSet>(cx.db, key)?.map_or(0, SortedSet::len);
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}

fn zscore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, member) = (cx.key(args.next()), args.next());
    match cx.server.read_typed::<SortedSet>(cx.db, key)?.and_then(|set| set.score(member)) {
        Some(score) => cx.reply.double(score),
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn zmscore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let set = cx.server.read_typed::<SortedSet>(cx.db, key)?;
    cx.reply.array(args.left());
    for member in args.rest() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => cx.reply.double(score),
            None => cx.reply.null(),
        }
    }
    Ok(Outcome::Done)
}

fn zrank(cx: &mut Cx<'_>, args: &mut Args<'_>, from_end: bool) -> CommandResult {
    let (key, member) = (cx.key(args.next()), args.next());
    let with_score = args.take("WITHSCORE");
    if args.left() > 0 {
        return Err(CommandError::Syntax);
    }
    let set = cx.server.read_typed::<SortedSet>(cx.db, key)?;
    let found = set.and_then(|set| set.rank(member).map(|(rank, score)| (rank, score, set.len())));
    let Some((rank, score, len)) = found else {
        if with_score {
            cx.reply.null_array();
        } else {
            cx.reply.null();
        }
        return Ok(Outcome::Done);
    };
    if with_score {
        cx.reply.array(2);
    }
    cx.reply.integer(if from_end { len - 1 - rank } else { rank } as i64);
    if with_score {
        cx.reply.double(score);
    }
    Ok(Outcome::Done)
}

fn zscan(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let cursor = super::generic::cursor(args.next())?;
    let Some(set) = cx.server.read_typed::<SortedSet>(cx.db, key)? else {
        write_empty(&mut cx.reply);
        return Ok(Outcome::Done);
    };
    let options = ScanOptions::parse(args, Some("NOSCORES"))?;
    let (mark, mut found) = (cx.reply.mark(), 0);
    let next = set.scan(cursor, options.count, |member, score| {
        if options.wants(member.as_bytes(&mut itoa::Buffer::new())) {
            write_element(&mut cx.reply, &member);
            found += 1;
            if !options.without_values {
                cx.reply.bulk_double(score);
                found += 1;
            }
        }
    });
    write_frame(&mut cx.reply, Some(mark), next, found);
    Ok(Outcome::Done)
}

// --- shared by the family --------------------------------------------------------------------------------------------

/// A member, and its score if it is asked for: RESP3 clients get the two as a pair of their own.
fn write_member(reply: &mut Reply, member: &Element<'_>, score: Option<f64>) {
    if score.is_some() {
        reply.pair();
    }
    write_element(reply, member);
    if let Some(score) = score {
        reply.double(score);
    }
}

/// The head of an array of so many members, each by [`write_member`].
fn write_members_head(reply: &mut Reply, members: usize, with_scores: bool) {
    if with_scores {
        reply.pairs(members);
    } else {
        reply.array(members);
    }
}

/// Members in one ZADD that replicas get.
const MEMBERS_PER_COMMAND: usize = 1000;

/// Lets replicas have what a command is about to store under `target`, as commands that Redis 7.0 knows.
pub(super) fn propagate_result(cx: &mut Cx<'_>, target: Key<'_>, result: &SortedSet) {
    if !cx.is_propagating() || result.is_empty() && cx.server.find(cx.db, target).is_none() {
        return;
    }
    cx.propagate_as(&[b"DEL", target.bytes]);
    let members: Vec<_> =
        result.iter(0, false).map(|(member, score)| (format_17g(score), member.to_vec())).collect();
    for members in members.chunks(MEMBERS_PER_COMMAND) {
        let pairs = members.iter().flat_map(|(score, member)| [score.as_bytes(), member]);
        cx.propagate_as(&[&b"ZADD"[..], target.bytes].into_iter().chain(pairs).collect::<Vec<_>>());
    }
}

/// A score or a bound of one.
fn score(word: &[u8]) -> Option<f64> {
    parse_f64(word).filter(|score| !score.is_nan())
}
