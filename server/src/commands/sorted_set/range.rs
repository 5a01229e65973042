//! Ranges: by rank, by score, between two strings. Whatever a request says, it comes down to ranks: where the range
//! begins, how many members follow, and in which direction.

use super::{announce_removal, write_member, write_members_head};
use crate::commands::{index_range, integer, store_result};
use crate::context::Cx;
use crate::events::Event;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_f64;
use store::{Side, SortedSet};

/// What the ends of a range are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// What a command leaves to its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// BYSCORE, BYLEX and REV decide.
    Any,
    /// The command's name decides; true for the highest first.
    Fixed(By, bool),
}

/// A bound as C's `strtod` reads it, which Redis uses here and only here: nothing at all is zero, white space may come
/// first, and what is too large is infinite.
fn bound_score(word: &[u8]) -> Option<f64> {
    if word.is_empty() {
        return Some(0.0);
    }
    let text = word.trim_ascii_start();
    let overflowed = || std::str::from_utf8(text).ok()?.parse().ok().filter(|score: &f64| !score.is_nan());
    parse_f64(text).or_else(overflowed)
}

/// The ends of a range.
enum Bounds<'a> {
    /// Ranks, negative ones from the end.
    Rank(i64, i64),
    /// Where the members begin and end.
    Score((f64, Side), (f64, Side)),
    Lex(LexEnd<'a>, LexEnd<'a>),
}

/// An end of a range of strings.
#[derive(Clone, Copy)]
enum LexEnd<'a> {
    /// `-`: before all.
    First,
    /// `+`: behind all.
    Last,
    At(&'a [u8], Side),
}

impl<'a> Bounds<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, CommandError> {
        match by {
            By::Rank => Ok(Bounds::Rank(integer(min)?, integer(max)?)),
            By::Score => {
                let bound = |word: &[u8], excludes: Side, includes: Side| match word {
                    [b'(', rest @ ..] => bound_score(rest).map(|score| (score, excludes)),
                    word => bound_score(word).map(|score| (score, includes)),
                };
                let min = bound(min, Side::Behind, Side::Before);
                let max = bound(max, Side::Before, Side::Behind);
                let not_a_float = CommandError::Text("ERR min or max is not a float");
                min.zip(max).map(|(min, max)| Bounds::Score(min, max)).ok_or(not_a_float)
            }
            By::Lex => {
                let bound = |word: &'a [u8], excludes: Side, includes: Side| match word {
                    b"-" => Some(LexEnd::First),
                    b"+" => Some(LexEnd::Last),
                    [b'(', rest @ ..] => Some(LexEnd::At(rest, excludes)),
                    [b'[', rest @ ..] => Some(LexEnd::At(rest, includes)),
                    _ => None,
                };
                let min = bound(min, Side::Behind, Side::Before);
                let max = bound(max, Side::Before, Side::Behind);
                let not_valid = CommandError::Text("ERR min or max not valid string range item");
                min.zip(max).map(|(min, max)| Bounds::Lex(min, max)).ok_or(not_valid)
            }
        }
    }

    /// The ranks from the first in the range to the first behind it; with `reversed`, ranks are counted from the end.
    fn ranks(&self, set: &SortedSet, reversed: bool) -> (usize, usize) {
        let len = set.len();
        let (from, to) = match *self {
            Bounds::Rank(start, stop) => {
                let found = index_range(start, stop, len);
                let (from, to) = (found.start, found.end);
                if reversed { (len - to, len - from) } else { (from, to) }
            }
            Bounds::Score(min, max) => (set.rank_of_score(min.0, min.1), set.rank_of_score(max.0, max.1)),
            Bounds::Lex(min, max) => {
                let rank = |end| match end {
                    LexEnd::First => 0,
                    LexEnd::Last => len,
                    LexEnd::At(member, side) => set.rank_of_member(member, side),
                };
                (rank(min), rank(max))
            }
        };
        (from, to.max(from))
    }
}

/// A request for a range.
struct Range<'a> {
    bounds: Bounds<'a>,
    reversed: bool,
    /// Members passed over, and the most that are wanted.
    limit: Option<(i64, i64)>,
    with_scores: bool,
}

impl<'a> Range<'a> {
    /// Reads the ends and the options behind them.
    fn parse(args: &mut Args<'a>, form: Form, stores: bool) -> Result<Self, CommandError> {
        let (first, second) = (args.next(), args.next());
        let mut by = None;
        let (mut reversed, mut limit, mut with_scores) = (false, None, false);
        if let Form::Fixed(fixed, backwards) = form {
            (by, reversed) = (Some(fixed), backwards);
        }
        while args.left() > 0 {
            if !stores && args.take("WITHSCORES") {
                with_scores = true;
            } else if args.left() > 2 && args.take("LIMIT") {
                limit = Some((integer(args.next())?, integer(args.next())?));
            } else if form == Form::Any && args.take("REV") {
                reversed = true;
            } else if form == Form::Any && by.is_none() && args.take("BYLEX") {
                by = Some(By::Lex);
            } else if form == Form::Any && by.is_none() && args.take("BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let by = by.unwrap_or(By::Rank);
        // As in Redis, a LIMIT that takes everything is none.
        if by == By::Rank && limit.is_some_and(|(_, count)| count != -1) {
            return Err(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
                    .into(),
            );
        }
        if by == By::Lex && with_scores {
            return Err("ERR syntax error, WITHSCORES not supported in combination with BYLEX".into());
        }
        let swapped = reversed && by != By::Rank;
        let (min, max) = if swapped { (second, first) } else { (first, second) };
        let bounds = Bounds::parse(by, min, max)?;
        Ok(Self { bounds, reversed, limit: limit.filter(|_| by != By::Rank), with_scores })
    }

    /// The rank to begin with and the number of members.
    fn within(&self, set: &SortedSet) -> (usize, usize) {
        let (from, to) = self.bounds.ranks(set, self.reversed);
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let found = to - from;
        let Ok(offset) = usize::try_from(offset) else { return (0, 0) };
        let left = found.saturating_sub(offset);
        let count = usize::try_from(count).map_or(left, |count| count.min(left));
        match (count, self.reversed) {
            (0, _) => (0, 0),
            (_, true) => (to - 1 - offset, count),
            (_, false) => (from + offset, count),
        }
    }
}

pub(super) fn list(cx: &mut Cx<'_>, args: &mut Args<'_>, form: Form) -> CommandResult {
    let key = cx.key(args.next());
    let range = Range::parse(args, form, false)?;
    let Some(set) = cx.server.read_typed::<SortedSet>(cx.db, key)? else {
        cx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let (rank, count) = range.within(set);
    write_members_head(&mut cx.reply, count, range.with_scores);
    for (member, score) in set.iter(rank, range.reversed).take(count) {
        write_member(&mut cx.reply, &member, range.with_scores.then_some(score));
    }
    Ok(Outcome::Done)
}

pub(super) fn store(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (target, source) = (cx.key(args.next()), cx.key(args.next()));
    let range = Range::parse(args, Form::Any, true)?;
    let limits = cx.server.limits().sorted_set;
    let mut result = SortedSet::default();
    if let Some(set) = cx.server.read_typed::<SortedSet>(cx.db, source)? {
        let (rank, count) = range.within(set);
        let mut buffer = itoa::Buffer::new();
        for (member, score) in set.iter(rank, range.reversed).take(count) {
            result.insert(member.as_bytes(&mut buffer), score, &limits);
        }
    }
    store_result(cx, target, result, Event::ZRANGESTORE);
    Ok(Outcome::Done)
}

pub(super) fn count(cx: &mut Cx<'_>, args: &mut Args<'_>, by: By) -> CommandResult {
    let key = cx.key(args.next());
    let bounds = Bounds::parse(by, args.next(), args.next())?;
    let found = cx.server.read_typed::<SortedSet>(cx.db, key)?.map_or(0, |set| {
        let (from, to) = bounds.ranks(set, false);
        to - from
    });
    cx.reply.integer(found as i64);
    Ok(Outcome::Done)
}

pub(super) fn remove(cx: &mut Cx<'_>, args: &mut Args<'_>, by: By) -> CommandResult {
    let key = cx.key(args.next());
    let bounds = Bounds::parse(by, args.next(), args.next())?;
    let mut removed = 0;
    if let Some(set) = cx.server.edit::<SortedSet>(cx.db, key)? {
        let (from, to) = bounds.ranks(set, false);
        removed = to - from;
        set.remove_range(from, removed);
    }
    cx.reply.integer(removed as i64);
    let event = match by {
        By::Rank => Event::ZREMBYRANK,
        By::Score => Event::ZREMBYSCORE,
        By::Lex => Event::ZREMBYLEX,
    };
    announce_removal(cx, key, event, removed);
    Ok(Outcome::Done)
}
