//! Taking members from the ends, at once or waiting for them, and showing some at random.

use super::{announce_removal, write_member, write_members_head};
use crate::commands::{first_typed, integer, random, timeout_ms, wait_for, write_element};
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::SortedSet;

/// Which end of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tip {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

impl Tip {
    fn event(self) -> Event {
        if self == Tip::Min { Event::ZPOPMIN } else { Event::ZPOPMAX }
    }

    fn command(self) -> &'static [u8] {
        if self == Tip::Min { b"ZPOPMIN" } else { b"ZPOPMAX" }
    }
}

/// Takes up to `count` members of a set that is there.
fn take(cx: &mut Cx<'_>, key: Key<'_>, tip: Tip, count: usize) -> Result<Vec<(Vec<u8>, f64)>, CommandError> {
    let Some(set) = cx.server.edit::<SortedSet>(cx.db, key)? else { return Ok(Vec::new()) };
    let len = set.len();
    let count = count.min(len);
    let rank = if tip == Tip::Min { 0 } else { len.saturating_sub(1) };
    let taken: Vec<_> =
        set.iter(rank, tip == Tip::Max).take(count).map(|(member, score)| (member.to_vec(), score)).collect();
    set.remove_range(if tip == Tip::Min { 0 } else { len - count }, count);
    announce_removal(cx, key, tip.event(), count);
    Ok(taken)
}

pub(super) fn zpop(cx: &mut Cx<'_>, args: &mut Args<'_>, tip: Tip) -> CommandResult {
    let key = cx.key(args.next());
    let count = match args.try_next() {
        _ if args.left() > 0 => return Err(CommandError::Syntax),
        None => None,
        Some(word) => {
            let count = parse_i64(word).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(CommandError::Text("ERR value is out of range, must be positive"))?)
        }
    };
    if count == Some(0) {
        cx.server.find_typed::<SortedSet>(cx.db, key)?;
        cx.reply.array(0);
        return Ok(Outcome::Done);
    }
    let taken = take(cx, key, tip, count.unwrap_or(1))?;
    // Without a count the reply is flat in both versions of the protocol.
    if count.is_none() {
        cx.reply.array(taken.len() * 2);
    } else {
        cx.reply.pairs(taken.len());
    }
    for (member, score) in taken {
        if count.is_some() {
            cx.reply.pair();
        }
        cx.reply.bulk(&member);
        cx.reply.double(score);
    }
    Ok(Outcome::Done)
}

pub(super) fn bzpop(cx: &mut Cx<'_>, args: &Args<'_>, tip: Tip) -> CommandResult {
    let words = args.count();
    let timeout = timeout_ms(args.get(words - 1), cx.server.time.now_ms())?;
    let keys = || (1..words - 1).map(|index| args.get(index));
    if let Some((key, _)) = first_typed(cx, keys(), SortedSet::len)? {
        let taken = take(cx, key, tip, 1)?;
        cx.reply.array(3);
        cx.reply.bulk(key.bytes);
        for (member, score) in taken {
            cx.reply.bulk(&member);
            cx.reply.double(score);
        }
        cx.propagate_as(&[tip.command(), key.bytes]);
        return Ok(Outcome::Done);
    }
    wait_for(cx, keys(), timeout)
}

/// What ZMPOP and BZMPOP are asked for.
struct Request<'k> {
    keys: Vec<&'k [u8]>,
    tip: Tip,
    count: usize,
}

impl<'k> Request<'k> {
    fn parse(args: &mut Args<'k>) -> Result<Self, CommandError> {
        let positive = |word: &[u8], text: &'static str| {
            let number = parse_i64(word).filter(|number| *number > 0);
            number.map(|number| number as usize).ok_or(CommandError::Text(text))
        };
        let number = positive(args.next(), "ERR numkeys should be greater than 0")?;
        if number >= args.left() {
            return Err(CommandError::Syntax);
        }
        let keys = (0..number).map(|_| args.next()).collect();
        let tips = [("MIN", Tip::Min), ("MAX", Tip::Max)];
        let tip = args.take_one(&tips).ok_or(CommandError::Syntax)?;
        let mut count = None;
        while args.left() > 0 {
            if count.is_some() || args.left() < 2 || !args.take("COUNT") {
                return Err(CommandError::Syntax);
            }
            count = Some(positive(args.next(), "ERR count should be greater than 0")?);
        }
        Ok(Self { keys, tip, count: count.unwrap_or(1) })
    }

    /// Takes members of the first set that has some; false when none has.
    fn serve(&self, cx: &mut Cx<'_>) -> Result<bool, CommandError> {
        let Some((key, _)) = first_typed(cx, self.keys.iter().copied(), SortedSet::len)? else {
            return Ok(false);
        };
        let taken = take(cx, key, self.tip, self.count)?;
        cx.reply.array(2);
        cx.reply.bulk(key.bytes);
        cx.reply.array(taken.len());
        for (member, score) in &taken {
            cx.reply.array(2);
            cx.reply.bulk(member);
            cx.reply.double(*score);
        }
        cx.propagate_as(&[self.tip.command(), key.bytes, taken.len().to_string().as_bytes()]);
        Ok(true)
    }
}

pub(super) fn zmpop(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let request = Request::parse(args)?;
    if !request.serve(cx)? {
        cx.reply.null_array();
    }
    Ok(Outcome::Done)
}

pub(super) fn bzmpop(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let timeout = args.next();
    let request = Request::parse(args)?;
    let timeout = timeout_ms(timeout, cx.server.time.now_ms())?; // judged last, as in Redis
    if request.serve(cx)? {
        return Ok(Outcome::Done);
    }
    wait_for(cx, request.keys.iter().copied(), timeout)
}

// --- at random -------------------------------------------------------------------------------------------------------

pub(super) fn zrandmember(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let Some(word) = args.try_next() else { return one_at_random(cx, key) };
    let count = match integer(word)? {
        i64::MIN => {
            return Err(
                "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
                    .into(),
            );
        }
        count => count,
    };
    let with_scores = args.take("WITHSCORES");
    if args.left() > 0 {
        return Err(CommandError::Syntax);
    }
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err("ERR value is out of range".into());
    }
    let (mut rng, room) = (cx.server.rng.fork(), cx.reply_room());
    let Some(set) = cx.server.read_typed::<SortedSet>(cx.db, key)? else {
        cx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let len = set.len();
    if count < 0 {
        write_members_head(&mut cx.reply, count.unsigned_abs() as usize, with_scores);
        for _ in 0..count.unsigned_abs() {
            let (member, score) = set.nth(rng.usize(..len)).expect("a rank below the length");
            write_member(&mut cx.reply, &member, with_scores.then_some(score));
            if cx.reply.len() > room {
                break;
            }
        }
        return Ok(Outcome::Done);
    }
    let count = (count as usize).min(len);
    write_members_head(&mut cx.reply, count, with_scores);
    let show = |(member, score)| write_member(&mut cx.reply, &member, with_scores.then_some(score));
    random::distinct(&mut rng, (len, count), set.iter(0, false), |rank| set.nth(rank), show);
    Ok(Outcome::Done)
}

fn one_at_random(cx: &mut Cx<'_>, key: Key<'_>) -> CommandResult {
    let mut rng = cx.server.rng.fork();
    match cx.server.read_typed::<SortedSet>(cx.db, key)? {
        Some(set) => {
            let (member, _) = set.nth(rng.usize(..set.len())).expect("a rank below the length");
            write_element(&mut cx.reply, &member);
        }
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}
