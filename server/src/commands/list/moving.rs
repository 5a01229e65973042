//! Elements on their way from one list to another: LMOVE and its relatives.

use super::{end_of, pop_name};
use crate::commands::{integer, timeout_ms, wait_for};
use crate::context::{Caller, Cx};
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use store::{End, List};

/// From where to where.
#[derive(Clone, Copy)]
struct Way<'k> {
    source: Key<'k>,
    target: Key<'k>,
    from: End,
    to: End,
}

impl<'k> Way<'k> {
    /// Source, destination and both ends.
    fn parse(cx: &Cx<'_>, args: &mut Args<'k>) -> Result<Self, CommandError> {
        let (source, target) = (cx.key(args.next()), cx.key(args.next()));
        Ok(Self { source, target, from: end_of(args.next())?, to: end_of(args.next())? })
    }

    /// From the tail of one to the head of the other.
    fn rpoplpush(cx: &Cx<'_>, args: &mut Args<'k>) -> Self {
        let (source, target) = (cx.key(args.next()), cx.key(args.next()));
        Self { source, target, from: End::Tail, to: End::Head }
    }

    fn end_names(&self) -> [&'static [u8]; 2] {
        [self.from, self.to].map(|end| if end == End::Head { b"LEFT".as_slice() } else { b"RIGHT" })
    }
}

/// The length of the source; `None` when there is nothing to move. A client that was woken waits on when the key turned
/// into something else.
fn source_len(cx: &mut Cx<'_>, key: Key<'_>) -> Result<Option<usize>, CommandError> {
    match cx.server.find_typed::<List>(cx.db, key) {
        Err(_) if cx.resumed.is_some() => Ok(None),
        list => Ok(list?.map(List::len)),
    }
}

/// Refuses a destination that holds something else than a list.
fn check_target(cx: &mut Cx<'_>, key: Key<'_>) -> Result<(), CommandError> {
    cx.server.find_typed::<List>(cx.db, key).map(|_| ())
}

/// Takes elements of a list that has as many. Gives them as they come out.
fn pop_elements(cx: &mut Cx<'_>, key: Key<'_>, end: End, count: usize) -> Vec<Vec<u8>> {
    let limit = cx.server.limits().list;
    let mut entry =
        cx.server.keyspace.db_mut(cx.db).get_mut(key.hash, key.bytes).expect("the caller found it");
    let list: &mut List = entry.typed_mut().expect("the caller saw a list");
    (0..count).filter_map(|_| list.pop(end, &limit, |element| element.to_vec())).collect()
}

/// Adds elements one by one, making the list if it is missing; the caller has seen to it that nothing else is there.
fn push_elements(cx: &mut Cx<'_>, key: Key<'_>, end: End, elements: &[Vec<u8>]) {
    let limit = cx.server.limits().list;
    let list: &mut List = cx.server.edit_or_create(cx.db, key).expect("the caller has looked");
    elements.iter().for_each(|element| list.push(end, element, &limit));
}

/// Moves `count` elements that are there, the destination being a list or missing; `arrange` puts them into the order
/// in which they are pushed. Gives them in that order.
fn carry(
    cx: &mut Cx<'_>,
    way: &Way<'_>,
    count: usize,
    arrange: impl FnOnce(&mut Vec<Vec<u8>>),
) -> Vec<Vec<u8>> {
    let mut elements = pop_elements(cx, way.source, way.from, count);
    arrange(&mut elements);
    // The source may be the destination: it is looked at for being empty only now.
    push_elements(cx, way.target, way.to, &elements);
    let (pushed, popped) = (
        if way.to == End::Head { Event::LPUSH } else { Event::RPUSH },
        if way.from == End::Head { Event::LPOP } else { Event::RPOP },
    );
    cx.changed_by(0, way.target, pushed);
    let source = cx.server.find_typed::<List>(cx.db, way.source);
    let emptied = source.is_ok_and(|list| list.is_some_and(List::is_empty));
    if emptied {
        cx.server.remove(cx.db, way.source, false);
    }
    cx.changed_by(count as u64, way.source, popped);
    if emptied {
        cx.server.notify(cx.db, way.source.bytes, Event::DEL);
    }
    elements
}

/// Moves one element of a source that has some, and replies it.
fn move_one(cx: &mut Cx<'_>, way: &Way<'_>) -> CommandResult {
    check_target(cx, way.target)?;
    let elements = carry(cx, way, 1, |_| ());
    cx.reply.bulk(&elements[0]);
    Ok(Outcome::Done)
}

fn move_or_null(cx: &mut Cx<'_>, way: &Way<'_>) -> CommandResult {
    if source_len(cx, way.source)?.is_none() {
        cx.reply.null();
        return Ok(Outcome::Done);
    }
    move_one(cx, way)
}

pub(super) fn lmove(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let way = Way::parse(cx, args)?;
    move_or_null(cx, &way)
}

pub(super) fn rpoplpush(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let way = Way::rpoplpush(cx, args);
    move_or_null(cx, &way)
}

/// Moves one element as soon as there is one; false when the client waits or may not.
fn move_or_wait(cx: &mut Cx<'_>, way: &Way<'_>, timeout: i64) -> Result<(Outcome, bool), CommandError> {
    if source_len(cx, way.source)?.is_some() {
        return Ok((move_one(cx, way)?, true));
    }
    if cx.caller != Caller::Client {
        cx.reply.null();
        return Ok((Outcome::Done, false));
    }
    Ok((wait_for(cx, std::iter::once(way.source.bytes), timeout)?, false))
}

pub(super) fn blmove(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let way = Way::parse(cx, args)?;
    let timeout = timeout_ms(args.next(), cx.server.time.now_ms())?;
    let (outcome, moved) = move_or_wait(cx, &way, timeout)?;
    if moved {
        let [from, to] = way.end_names();
        cx.propagate_as(&[b"LMOVE", way.source.bytes, way.target.bytes, from, to]);
    }
    Ok(outcome)
}

pub(super) fn brpoplpush(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let way = Way::rpoplpush(cx, args);
    let timeout = timeout_ms(args.next(), cx.server.time.now_ms())?;
    let (outcome, moved) = move_or_wait(cx, &way, timeout)?;
    if moved {
        cx.propagate_as(&[b"RPOPLPUSH", way.source.bytes, way.target.bytes]);
    }
    Ok(outcome)
}

/// How many elements LMOVEM moves, and in which order.
struct Amount {
    count: usize,
    /// All of them or none.
    exactly: bool,
    /// Their order stays as it was; else they are pushed as they come out.
    in_bulk: bool,
}

impl Amount {
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        if args.left() == 0 {
            return Ok(Self { count: 1, exactly: false, in_bulk: false });
        }
        let exactly = match args.next().to_ascii_uppercase().as_slice() {
            b"COUNT" => false,
            b"EXACTLY" => true,
            _ => return Err(CommandError::Syntax),
        };
        let count = integer(args.expect_next()?).ok().filter(|count| *count > 0);
        let count = count.ok_or(CommandError::Text("ERR count should be greater than 0"))?;
        let in_bulk = match args.expect_next()?.to_ascii_uppercase().as_slice() {
            b"OBO" => false,
            b"BULK" => true,
            _ => return Err(CommandError::Syntax),
        };
        if args.left() > 0 {
            return Err(CommandError::Syntax);
        }
        Ok(Self { count: usize::try_from(count).unwrap_or(usize::MAX), exactly, in_bulk })
    }
}

pub(super) fn lmovem(cx: &mut Cx<'_>, args: &mut Args<'_>, waits: bool) -> CommandResult {
    let way = Way::parse(cx, args)?;
    let timeout = waits.then(|| timeout_ms(args.next(), cx.server.time.now_ms())).transpose()?;
    let amount = Amount::parse(args)?;
    let len = source_len(cx, way.source)?.filter(|len| !amount.exactly || *len >= amount.count);
    let Some(len) = len else {
        if let Some(timeout) = timeout {
            return wait_for(cx, std::iter::once(way.source.bytes), timeout);
        }
        cx.reply.null_array();
        return Ok(Outcome::Done);
    };
    check_target(cx, way.target)?;
    let count = amount.count.min(len);
    // In bulk the elements lie in the destination as they lay in the source: that takes them backwards where they
    // leave and come at the same side.
    let backwards = amount.in_bulk && way.from == way.to;
    let pushed = carry(cx, &way, count, |elements| {
        if backwards {
            elements.reverse();
        }
    });
    propagate_moves(cx, &way, &pushed);
    cx.reply.array(count);
    match way.to {
        End::Head => pushed.iter().rev().for_each(|element| cx.reply.bulk(element)),
        End::Tail => pushed.iter().for_each(|element| cx.reply.bulk(element)),
    }
    Ok(Outcome::Done)
}

/// Says what LMOVEM did in words that older replicas know.
fn propagate_moves(cx: &mut Cx<'_>, way: &Way<'_>, pushed: &[Vec<u8>]) {
    if !cx.is_propagating() {
        return;
    }
    // Pushed before popped, so that a list which is its own destination is never empty (it would lose its expiry);
    // there the elements to be popped have moved inwards when they leave where they came.
    if way.source.bytes == way.target.bytes && way.from == way.to {
        let mut buffer = itoa::Buffer::new();
        for (step, element) in pushed.iter().rev().enumerate() {
            let index = if way.to == End::Head { step as i64 } else { -1 - step as i64 };
            cx.propagate_as(&[b"LSET", way.target.bytes, buffer.format(index).as_bytes(), element]);
        }
        return;
    }
    let push: &[u8] = if way.to == End::Head { b"LPUSH" } else { b"RPUSH" };
    let words: Vec<&[u8]> =
        [push, way.target.bytes].into_iter().chain(pushed.iter().map(Vec::as_slice)).collect();
    cx.propagate_as(&words);
    cx.propagate_as(&[
        pop_name(way.from),
        way.source.bytes,
        itoa::Buffer::new().format(pushed.len()).as_bytes(),
    ]);
}
