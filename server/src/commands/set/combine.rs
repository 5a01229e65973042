//! Commands that combine several sets: intersection, union, difference.
//!
//! An intersection walks the smallest set and asks the others, from the next smaller on; a difference walks the first
//! one. Neither builds anything if only the members or their number are asked for.

use crate::commands::{store_result, write_element};
use crate::context::Cx;
use crate::events::Event;
use crate::server::{Key, Server};
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::{DbIndex, Element, Member, Set, SetLimit, SetView};

/// The sets of some keys, in their order; `None` for those that are missing. Each counts as read.
fn sets_of<'s>(
    server: &'s mut Server,
    db: DbIndex,
    keys: &[Key<'_>],
) -> Result<Vec<Option<&'s Set>>, CommandError> {
    // Looking one up may delete another that has expired: only after all of them can they be borrowed together.
    for key in keys {
        server.read_typed::<Set>(db, *key)?;
    }
    let db = server.keyspace.db(db);
    Ok(keys.iter().map(|key| db.get(key.hash, key.bytes).and_then(|entry| entry.typed())).collect())
}

fn keys<'k>(cx: &Cx<'_>, words: impl Iterator<Item = &'k [u8]>) -> Vec<Key<'k>> {
    words.map(|word| cx.key(word)).collect()
}

/// Shows what all sets have until `show` says that it is enough.
fn intersect<'s>(sets: &[Option<&'s Set>], mut show: impl FnMut(Element<'s>) -> bool) {
    let present: Vec<&Set> = sets.iter().flatten().copied().collect();
    if present.len() < sets.len() {
        return;
    }
    let mut by_size = present;
    by_size.sort_by_key(|set| set.len());
    let Some((smallest, others)) = by_size.split_first() else { return };
    let mut others: Vec<_> = others.iter().map(|set| set.probe()).collect();
    for element in smallest.iter() {
        let mut member = Member::of(element);
        if others.iter_mut().all(|set| set.has(&mut member)) && !show(element) {
            return;
        }
    }
}

/// Shows what only the first set has until `show` says that it is enough.
fn subtract<'s>(sets: &[Option<&'s Set>], mut show: impl FnMut(Element<'s>) -> bool) {
    let Some((Some(first), others)) = sets.split_first() else { return };
    // The larger a set, the likelier is it to end the search.
    let mut others: Vec<&Set> = others.iter().flatten().copied().collect();
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let mut others: Vec<_> = others.iter().map(|set| set.probe()).collect();
    for element in first.iter() {
        let mut member = Member::of(element);
        if !others.iter_mut().any(|set| set.has(&mut member)) && !show(element) {
            return;
        }
    }
}

/// What any set has, added to `union` until there are `most`.
fn unite(sets: &[Option<&Set>], mut union: Set, limit: &SetLimit, most: usize) -> Set {
    for element in sets.iter().flatten().flat_map(|set| set.iter()) {
        union.add_element(&element, limit);
        if union.len() >= most {
            break;
        }
    }
    union
}

fn all_ints(sets: &[Option<&Set>]) -> bool {
    sets.iter().flatten().all(|set| matches!(set.view(), SetView::Ints(_)))
}

// --- members ---------------------------------------------------------------------------------------------------------

pub(super) fn sinter(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    list(cx, args, |sets, show| intersect(sets, show))
}

pub(super) fn sdiff(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    list(cx, args, |sets, show| subtract(sets, show))
}

type Show<'f, 's> = &'f mut dyn FnMut(Element<'s>) -> bool;

fn list(
    cx: &mut Cx<'_>,
    args: &Args<'_>,
    combine: impl for<'f, 's> FnOnce(&[Option<&'s Set>], Show<'f, 's>),
) -> CommandResult {
    let keys = keys(cx, args.rest());
    let sets = sets_of(cx.server, cx.db, &keys)?;
    let (reply, mut count) = (&mut cx.reply, 0);
    let mark = reply.mark();
    combine(&sets, &mut |element| {
        write_element(reply, &element);
        count += 1;
        true
    });
    cx.reply.set_at(mark, count);
    Ok(Outcome::Done)
}

pub(super) fn sunion(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let keys = keys(cx, args.rest());
    let limit = cx.server.limits().set;
    let sets = sets_of(cx.server, cx.db, &keys)?;
    let start = if all_ints(&sets) { Set::new() } else { Set::hashed() };
    let union = match sets.as_slice() {
        [Some(only)] => (*only).clone(),
        sets => unite(sets, start, &limit, usize::MAX),
    };
    cx.reply.set(union.len());
    for element in union.iter() {
        write_element(&mut cx.reply, &element);
    }
    Ok(Outcome::Done)
}

// --- cardinality -----------------------------------------------------------------------------------------------------

/// The keys behind their count, and the most that is to be counted.
fn counted<'k>(
    cx: &Cx<'_>,
    args: &mut Args<'k>,
    knows_approx: bool,
) -> Result<(Vec<Key<'k>>, usize), CommandError> {
    let number = parse_i64(args.next()).filter(|number| *number > 0);
    let number = number.ok_or(CommandError::Text("ERR numkeys should be greater than 0"))? as usize;
    if number > args.left() {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    let keys = (0..number).map(|_| cx.key(args.next())).collect();
    let mut limit = 0;
    while args.left() > 0 {
        if args.left() > 1 && args.take("LIMIT") {
            limit = parse_i64(args.next())
                .filter(|limit| *limit >= 0)
                .ok_or(CommandError::Text("ERR LIMIT can't be negative"))?;
        } else if !(knows_approx && args.take("APPROX")) {
            return Err(CommandError::Syntax);
        }
    }
    Ok((keys, if limit == 0 { usize::MAX } else { limit as usize }))
}

pub(super) fn sintercard(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    count(cx, args, |sets, show| intersect(sets, show))
}

pub(super) fn sdiffcard(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    count(cx, args, |sets, show| subtract(sets, show))
}

fn count(
    cx: &mut Cx<'_>,
    args: &mut Args<'_>,
    combine: impl for<'f, 's> FnOnce(&[Option<&'s Set>], Show<'f, 's>),
) -> CommandResult {
    let (keys, most) = counted(cx, args, false)?;
    let sets = sets_of(cx.server, cx.db, &keys)?;
    let mut count = 0;
    combine(&sets, &mut |_| {
        count += 1;
        count < most
    });
    cx.reply.integer(count as i64);
    Ok(Outcome::Done)
}

/// APPROX allows an estimate; the exact number is one.
pub(super) fn sunioncard(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (keys, most) = counted(cx, args, true)?;
    let limit = cx.server.limits().set;
    let sets = sets_of(cx.server, cx.db, &keys)?;
    let count = match sets.as_slice() {
        [only] => only.map_or(0, Set::len).min(most),
        sets => {
            let start = if all_ints(sets) { Set::new() } else { Set::hashed() };
            unite(sets, start, &limit, most).len()
        }
    };
    cx.reply.integer(count as i64);
    Ok(Outcome::Done)
}

// --- stored ----------------------------------------------------------------------------------------------------------

pub(super) fn sinterstore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    store(cx, args, Event::SINTERSTORE, |sets, limit| {
        let smallest = sets.iter().flatten().min_by_key(|set| set.len());
        let ints = smallest.is_some_and(|set| matches!(set.view(), SetView::Ints(_)));
        let mut result = if ints { Set::new() } else { Set::packed() };
        intersect(sets, |element| {
            result.add_element(&element, limit);
            true
        });
        result
    })
}

pub(super) fn sdiffstore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    store(cx, args, Event::SDIFFSTORE, |sets, limit| {
        let mut result = Set::new();
        subtract(sets, |element| {
            result.add_element(&element, limit);
            true
        });
        result
    })
}

pub(super) fn sunionstore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    store(cx, args, Event::SUNIONSTORE, |sets, limit| unite(sets, Set::new(), limit, usize::MAX))
}

fn store(
    cx: &mut Cx<'_>,
    args: &mut Args<'_>,
    event: Event,
    combine: impl FnOnce(&[Option<&Set>], &SetLimit) -> Set,
) -> CommandResult {
    let target = cx.key(args.next());
    let keys = keys(cx, args.rest());
    let limit = cx.server.limits().set;
    let mut result = combine(&sets_of(cx.server, cx.db, &keys)?, &limit);
    result.settle(&limit);
    store_result(cx, target, result, event);
    Ok(Outcome::Done)
}
