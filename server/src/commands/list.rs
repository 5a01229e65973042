//! The list group: the entries, and what takes or adds elements at the ends. `inner.rs` looks at and changes the middle,
//! `moving.rs` carries elements from one list to another.

mod inner;
mod moving;

use super::{doc, entry, first_typed, index_range, integer, timeout_ms, wait_for, write_element};
use crate::context::Cx;
use crate::events::Event;
use crate::server::{Key, Ochre, Server};
use common::command::{Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome};
use common::resp::Reply;
use std::ops::ControlFlow;
use store::{DbIndex, End, List};

const WRITE: Flags = Flags::WRITE.and(Flags::DENYOOM);
const POPS: Flags = Flags::WRITE.and(Flags::FAST);
const PUSHES: Flags = WRITE.and(Flags::FAST);
const WAITS: Flags = Flags::WRITE.and(Flags::BLOCKING);

const READ: &[KeySpec] = &[KeySpec::one(1, Access::Read)];
const INSERT: &[KeySpec] = &[KeySpec::one(1, Access::RwInsert)];
const POP: &[KeySpec] = &[KeySpec::one(1, Access::RwDelete)];
const DELETE: &[KeySpec] = &[KeySpec::one(1, Access::Delete)];
const POP_ANY: &[KeySpec] = &[KeySpec::until(1, -2, 1, Access::RwDelete)];
const MOVE: &[KeySpec] = &[KeySpec::one(1, Access::RwDelete), KeySpec::one(2, Access::RwInsert)];

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("lpush", Arity::AtLeast(3), PUSHES, INSERT,
        doc("list", "1.0.0", "O(1) per element", "key element [element ...]", "Adds elements at the head, making the list if it is missing."), |cx, args| push(cx, args, End::Head, true)),
    entry("rpush", Arity::AtLeast(3), PUSHES, INSERT,
        doc("list", "1.0.0", "O(1) per element", "key element [element ...]", "Adds elements at the tail, making the list if it is missing."), |cx, args| push(cx, args, End::Tail, true)),
    entry("lpushx", Arity::AtLeast(3), PUSHES, INSERT,
        doc("list", "2.2.0", "O(1) per element", "key element [element ...]", "Adds elements at the head of a list that exists."), |cx, args| push(cx, args, End::Head, false)),
    entry("rpushx", Arity::AtLeast(3), PUSHES, INSERT,
        doc("list", "2.2.0", "O(1) per element", "key element [element ...]", "Adds elements at the tail of a list that exists."), |cx, args| push(cx, args, End::Tail, false)),
    entry("lpop", Arity::AtLeast(2), POPS, POP,
        doc("list", "1.0.0", "O(N), N elements taken", "key [count]", "Takes elements from the head."), |cx, args| pop(cx, args, End::Head)),
    entry("rpop", Arity::AtLeast(2), POPS, POP,
        doc("list", "1.0.0", "O(N), N elements taken", "key [count]", "Takes elements from the tail."), |cx, args| pop(cx, args, End::Tail)),
    entry("llen", Arity::Exactly(2), Flags::READONLY.and(Flags::FAST), &[KeySpec::one(1, Access::Meta)],
        doc("list", "1.0.0", "O(1)", "key", "Counts the elements."), llen),
    entry("lrange", Arity::Exactly(4), Flags::READONLY, READ,
        doc("list", "1.0.0", "O(S+N), S the distance of start from the nearer end in nodes, N elements", "key start stop", "Reads a range of elements."), lrange),
    entry("lindex", Arity::Exactly(3), Flags::READONLY, READ,
        doc("list", "1.0.0", "O(N), N nodes between the element and the nearer end", "key index", "Reads one element by its place."), inner::lindex),
    entry("linsert", Arity::Exactly(5), WRITE, INSERT,
        doc("list", "2.2.0", "O(N), N elements before the pivot", "key <BEFORE | AFTER> pivot element", "Puts an element beside another one."), inner::linsert),
    entry("lpos", Arity::AtLeast(3), Flags::READONLY, READ,
        doc("list", "6.0.6", "O(N), N elements looked at", "key element [RANK rank] [COUNT num-matches] [MAXLEN len]", "Tells the places of elements that are equal to one."), inner::lpos),
    entry("lrem", Arity::Exactly(4), Flags::WRITE, DELETE,
        doc("list", "1.0.0", "O(N), N elements", "key count element", "Removes elements that are equal to one."), inner::lrem),
    entry("lset", Arity::Exactly(4), WRITE, &[KeySpec::one(1, Access::Update)],
        doc("list", "1.0.0", "O(N), N nodes between the element and the nearer end", "key index element", "Replaces one element by its place."), inner::lset),
    entry("ltrim", Arity::Exactly(4), Flags::WRITE, DELETE,
        doc("list", "1.0.0", "O(N), N elements removed", "key start stop", "Removes all elements but those of a range."), inner::ltrim),
    entry("lmpop", Arity::AtLeast(4), Flags::WRITE.and(Flags::MOVABLE_KEYS), &[KeySpec::counted(1, Access::RwDelete)],
        doc("list", "7.0.0", "O(N+M), N keys, M elements taken", "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]", "Takes elements of the first list that has some."), |cx, args| multi_pop(cx, args, None)),
    entry("lmove", Arity::Exactly(5), WRITE, MOVE,
        doc("list", "6.2.0", "O(1)", "source destination <LEFT | RIGHT> <LEFT | RIGHT>", "Moves an element from one list to another, or within one."), moving::lmove),
    entry("lmovem", Arity::AtLeast(5), WRITE, MOVE,
        doc("list", "8.10.0", "O(N), N elements moved", "source destination <LEFT | RIGHT> <LEFT | RIGHT> [<COUNT count | EXACTLY exactly> <OBO | BULK>]", "Moves several elements from one list to another."), |cx, args| moving::lmovem(cx, args, false)),
    entry("rpoplpush", Arity::Exactly(3), WRITE, MOVE,
        doc("list", "1.2.0", "O(1)", "source destination", "Moves the last element of a list to the head of another."), moving::rpoplpush).deprecated("6.2.0", "LMOVE with RIGHT and LEFT"),
    entry("blpop", Arity::AtLeast(3), WAITS, POP_ANY,
        doc("list", "2.0.0", "O(N), N keys", "key [key ...] timeout", "Takes the first element of the first list that has one, waiting for it."), |cx, args| blocking_pop(cx, args, End::Head)),
    entry("brpop", Arity::AtLeast(3), WAITS, POP_ANY,
        doc("list", "2.0.0", "O(N), N keys", "key [key ...] timeout", "Takes the last element of the first list that has one, waiting for it."), |cx, args| blocking_pop(cx, args, End::Tail)),
    entry("blmpop", Arity::AtLeast(5), WAITS.and(Flags::MOVABLE_KEYS), &[KeySpec::counted(2, Access::RwDelete)],
        doc("list", "7.0.0", "O(N+M), N keys, M elements taken", "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]", "Takes elements of the first list that has some, waiting for them."), |cx, args| {
            let timeout = args.next();
            multi_pop(cx, args, Some(timeout))
        }),
    entry("blmove", Arity::Exactly(6), WAITS.and(Flags::DENYOOM), MOVE,
        doc("list", "6.2.0", "O(1)", "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout", "Moves an element from one list to another, waiting for it."), moving::blmove),
    entry("blmovem", Arity::AtLeast(6), WAITS.and(Flags::DENYOOM), MOVE,
        doc("list", "8.10.0", "O(N), N elements moved", "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout [<COUNT count | EXACTLY exactly> <OBO | BULK>]", "Moves several elements from one list to another, waiting for them."), |cx, args| moving::lmovem(cx, args, true)),
    entry("brpoplpush", Arity::Exactly(4), WAITS.and(Flags::DENYOOM), MOVE,
        doc("list", "2.2.0", "O(1)", "source destination timeout", "Moves the last element of a list to the head of another, waiting for it."), moving::brpoplpush).deprecated("6.2.0", "BLMOVE with RIGHT and LEFT"),
];

fn push(cx: &mut Cx<'_>, args: &mut Args<'_>, end: End, create: bool) -> CommandResult {
    let key = cx.key(args.next());
    let elements = args.rest();
    let (count, limit) = (elements.len(), cx.server.limits().list);
    let list: &mut List = if create {
        cx.server.edit_or_create(cx.db, key)?
    } else if let Some(list) = cx.server.edit(cx.db, key)? {
        list
    } else {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    };
    list.prepare_push(args.rest().map(<[u8]>::len).sum(), count, &limit);
    elements.for_each(|element| list.push_prepared(end, element, &limit));
    let len = list.len();
    cx.reply.integer(len as i64);
    cx.changed_by(count as u64, key, if end == End::Head { Event::LPUSH } else { Event::RPUSH });
    Ok(Outcome::Done)
}

/// Takes up to `count` elements of a list that exists, writing each as a bulk string; deletes it when empty.
fn take(server: &mut Server, reply: &mut Reply, db: DbIndex, key: Key<'_>, end: End, count: usize) {
    let limit = server.limits().list;
    let mut entry = server.keyspace.db_mut(db).get_mut(key.hash, key.bytes).expect("the caller found it");
    let list: &mut List = entry.typed_mut().expect("the caller saw a list");
    for _ in 0..count {
        list.pop(end, &limit, |element| write_element(reply, &element));
    }
    let emptied = list.is_empty();
    if emptied {
        server.remove(db, key, false);
    }
    server.changed(
        db,
        key.bytes,
        if end == End::Head { Event::LPOP } else { Event::RPOP },
        count.max(1) as u64,
    );
    if emptied {
        server.notify(db, key.bytes, Event::DEL);
    }
}

fn pop(cx: &mut Cx<'_>, args: &mut Args<'_>, end: End) -> CommandResult {
    let key = cx.key(args.next());
    if args.left() > 1 {
        let name = if end == End::Head { "lpop" } else { "rpop" };
        return Err(CommandError::Arity(name.into()));
    }
    let count = match args.try_next() {
        None => None,
        Some(word) => {
            let count = integer(word).ok().filter(|count| *count >= 0);
            Some(count.ok_or(CommandError::Text("ERR value is out of range, must be positive"))? as usize)
        }
    };
    let len = match cx.server.find_typed::<List>(cx.db, key)? {
        Some(list) => list.len(),
        None => {
            match count {
                None => cx.reply.null(),
                Some(_) => cx.reply.null_array(),
            }
            return Ok(Outcome::Done);
        }
    };
    match count {
        None => take(cx.server, &mut cx.reply, cx.db, key, end, 1),
        Some(0) => cx.reply.array(0),
        Some(count) => {
            let count = count.min(len);
            cx.reply.array(count);
            take(cx.server, &mut cx.reply, cx.db, key, end, count);
        }
    }
    Ok(Outcome::Done)
}

fn llen(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let len = cx.server.read_typed::<List>(cx.db, key)?.map_or(0, List::len);
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}

fn lrange(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let (start, stop) = (args.integer()?, args.integer()?);
    let Some(list) = cx.server.read_typed::<List>(cx.db, key)? else {
        cx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let range = index_range(start, stop, list.len());
    cx.reply.array(range.len());
    let mut left = range.len();
    if left == 0 {
        return Ok(Outcome::Done);
    }
    list.visit(range.start, End::Tail, |element| {
        write_element(&mut cx.reply, &element);
        left -= 1;
        if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    Ok(Outcome::Done)
}

fn blocking_pop(cx: &mut Cx<'_>, args: &Args<'_>, end: End) -> CommandResult {
    let words = args.count();
    let timeout = timeout_ms(args.get(words - 1), cx.server.time.now_ms())?;
    let keys = || (1..words - 1).map(|index| args.get(index));
    let Some((key, _)) = first_typed(cx, keys(), List::len)? else { return wait_for(cx, keys(), timeout) };
    cx.reply.array(2);
    cx.reply.bulk(key.bytes);
    take(cx.server, &mut cx.reply, cx.db, key, end, 1);
    cx.propagate_as(&[pop_name(end), key.bytes]);
    Ok(Outcome::Done)
}

/// The command that takes elements from an end.
fn pop_name(end: End) -> &'static [u8] {
    if end == End::Head { b"LPOP" } else { b"RPOP" }
}

/// LEFT or RIGHT.
fn end_of(word: &[u8]) -> Result<End, CommandError> {
    match word.to_ascii_uppercase().as_slice() {
        b"LEFT" => Ok(End::Head),
        b"RIGHT" => Ok(End::Tail),
        _ => Err(CommandError::Syntax),
    }
}

/// LMPOP, and BLMPOP when there is a timeout.
fn multi_pop(cx: &mut Cx<'_>, args: &mut Args<'_>, timeout: Option<&[u8]>) -> CommandResult {
    let positive = |word: &[u8], text: &'static str| {
        let number = integer(word).ok().filter(|number| *number > 0);
        number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)).ok_or(CommandError::Text(text))
    };
    let count = positive(args.next(), "ERR numkeys should be greater than 0")?;
    let keys: Vec<&[u8]> = args.rest().take(count).collect();
    args.skip(keys.len());
    if keys.len() < count {
        return Err(CommandError::Syntax);
    }
    let end = end_of(args.expect_next()?)?;
    let mut most = None;
    while args.left() > 0 {
        if most.is_some() || !args.take("COUNT") || args.left() == 0 {
            return Err(CommandError::Syntax);
        }
        most = Some(positive(args.next(), "ERR count should be greater than 0")?);
    }
    let timeout = timeout.map(|word| timeout_ms(word, cx.server.time.now_ms())).transpose()?;
    let Some((key, len)) = first_typed(cx, keys.iter().copied(), List::len)? else {
        return match timeout {
            Some(timeout) => wait_for(cx, keys.into_iter(), timeout),
            None => {
                cx.reply.null_array();
                Ok(Outcome::Done)
            }
        };
    };
    let count = most.unwrap_or(1).min(len);
    cx.reply.array(2);
    cx.reply.bulk(key.bytes);
    cx.reply.array(count);
    take(cx.server, &mut cx.reply, cx.db, key, end, count);
    cx.propagate_as(&[pop_name(end), key.bytes, itoa::Buffer::new().format(count).as_bytes()]);
    Ok(Outcome::Done)
}
