//! Elements by place or by content: LINDEX, LSET, LINSERT, LREM, LTRIM, LPOS.

use super::{index_range, write_element};
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use std::ops::ControlFlow;
use store::{End, List, Wanted};

/// The place that an index names, counted from the tail when it is negative.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index + len as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

/// The list of a key that was found to hold one, for a change.
fn list_mut<R>(cx: &mut Cx<'_>, key: Key<'_>, change: impl FnOnce(&mut List) -> R) -> R {
    let mut entry =
        cx.server.keyspace.db_mut(cx.db).get_mut(key.hash, key.bytes).expect("the caller found it");
    change(entry.typed_mut().expect("the caller saw a list"))
}

/// The length of the list at a key.
fn list_len(cx: &mut Cx<'_>, key: Key<'_>) -> Result<Option<usize>, CommandError> {
    Ok(cx.server.find_typed(cx.db, key)?.map(List::len))
}

pub(super) fn lindex(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let Some(list) = cx.server.read_typed::<List>(cx.db, key)? else {
        cx.reply.null();
        return Ok(Outcome::Done);
    };
    let index = args.integer()?;
    let reply = &mut cx.reply;
    if place(index, list.len()).and_then(|index| list.get(index, |e| write_element(reply, &e))).is_none() {
        cx.reply.null();
    }
    Ok(Outcome::Done)
}

pub(super) fn lset(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let len = list_len(cx, key)?.ok_or(CommandError::Text("ERR no such key"))?;
    let index = args.integer()?;
    let element = args.next();
    let index = place(index, len).ok_or(CommandError::Text("ERR index out of range"))?;
    let limit = cx.server.limits().list;
    list_mut(cx, key, |list| list.replace(index, element, &limit));
    cx.reply.ok();
    cx.changed(key, Event::LSET);
    Ok(Outcome::Done)
}

pub(super) fn linsert(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let behind = match args.next().to_ascii_uppercase().as_slice() {
        b"AFTER" => 1,
        b"BEFORE" => 0,
        _ => return Err(CommandError::Syntax),
    };
    let (pivot, element) = (args.next(), args.next());
    let Some(list) = cx.server.find_typed::<List>(cx.db, key)? else {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    };
    let Some(at) = list.position(pivot) else {
        cx.reply.integer(-1);
        return Ok(Outcome::Done);
    };
    let limit = cx.server.limits().list;
    let len = list_mut(cx, key, |list| {
        list.insert(at + behind, element, &limit);
        list.len()
    });
    cx.reply.integer(len as i64);
    cx.changed(key, Event::LINSERT);
    Ok(Outcome::Done)
}

/// A number whose negative is one too.
fn symmetric(word: &[u8]) -> Result<i64, CommandError> {
    match parse_i64(word).ok_or(CommandError::NotAnInteger)? {
        i64::MIN => {
            Err("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
                .into())
        }
        number => Ok(number),
    }
}

pub(super) fn lrem(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let count = args.integer()?;
    let element = args.next();
    if list_len(cx, key)?.is_none() {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    }
    let end = if count < 0 { End::Tail } else { End::Head };
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let limit = cx.server.limits().list;
    let (removed, left) =
        list_mut(cx, key, |list| (list.remove_equal(end, element, most, &limit), list.len()));
    if removed > 0 {
        cx.changed_by(removed as u64, key, Event::LREM);
    }
    drop_if_empty(cx, key, left);
    cx.reply.integer(removed as i64);
    Ok(Outcome::Done)
}

/// Deletes a list that has lost its last element.
fn drop_if_empty(cx: &mut Cx<'_>, key: Key<'_>, len: usize) {
    if len == 0 {
        cx.server.remove(cx.db, key, false);
        cx.server.notify(cx.db, key.bytes, Event::DEL);
    }
}

pub(super) fn ltrim(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let (start, stop) = (args.integer()?, args.integer()?);
    let Some(len) = list_len(cx, key)? else {
        cx.reply.ok();
        return Ok(Outcome::Done);
    };
    let kept = index_range(start, stop, len);
    let (before, behind) = if kept.is_empty() { (len, 0) } else { (kept.start, len - kept.end) };
    let limit = cx.server.limits().list;
    let left = list_mut(cx, key, |list| {
        list.remove_range(len - behind, behind, &limit);
        list.remove_range(0, before, &limit);
        list.len()
    });
    cx.changed_by((before + behind) as u64, key, Event::LTRIM);
    drop_if_empty(cx, key, left);
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// What LPOS is asked for.
struct Search {
    /// The first match that counts, from 1.
    rank: u64,
    from: End,
    /// Matches at most, 0 for all; `None`: one, and not as an array.
    count: Option<usize>,
    /// Elements to look at, 0 for all.
    most: usize,
}

impl Search {
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        let mut search = Self { rank: 1, from: End::Head, count: None, most: 0 };
        let positive = |word: &[u8], text: &'static str| {
            let number = parse_i64(word).and_then(|number| usize::try_from(number).ok());
            number.ok_or(CommandError::Text(text))
        };
        while args.left() > 0 {
            if args.take("RANK") && args.left() > 0 {
                let rank = symmetric(args.next())?;
                if rank == 0 {
                    return Err("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list".into());
                }
                search.from = if rank < 0 { End::Tail } else { End::Head };
                search.rank = rank.unsigned_abs();
            } else if args.take("COUNT") && args.left() > 0 {
                search.count = Some(positive(args.next(), "ERR COUNT can't be negative")?);
            } else if args.take("MAXLEN") && args.left() > 0 {
                search.most = positive(args.next(), "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(search)
    }

    /// Gives the places that match, in the order of the search, until `take` wants no more.
    fn each(&self, list: &List, wanted: &Wanted<'_>, mut take: impl FnMut(usize) -> bool) {
        let len = list.len();
        let (first, towards) = match self.from {
            End::Head => (0, End::Tail),
            End::Tail => (len.saturating_sub(1), End::Head),
        };
        let mut left = if self.most == 0 { len } else { self.most };
        let mut skip = usize::try_from(self.rank - 1).unwrap_or(usize::MAX);
        let mut step = 0;
        list.visit(first, towards, |element| {
            let at = if towards == End::Tail { step } else { len - 1 - step };
            step += 1;
            left -= 1;
            let goes_on = !wanted.is(&element)
                || if skip > 0 {
                    skip -= 1;
                    true
                } else {
                    take(at)
                };
            if goes_on && left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
}

pub(super) fn lpos(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let wanted = Wanted::new(args.next());
    let search = Search::parse(args)?;
    let Some(list) = cx.server.read_typed::<List>(cx.db, key)? else {
        match search.count {
            Some(_) => cx.reply.array(0),
            None => cx.reply.null(),
        }
        return Ok(Outcome::Done);
    };
    let most = match search.count {
        None => 1,
        Some(0) => usize::MAX,
        Some(count) => count,
    };
    let mark = cx.reply.mark();
    let mut written = 0;
    search.each(list, &wanted, |at| {
        cx.reply.integer(at as i64);
        written += 1;
        written < most
    });
    match search.count {
        Some(_) => cx.reply.array_at(mark, written),
        None if written == 0 => cx.reply.null(),
        None => {}
    }
    Ok(Outcome::Done)
}
