//! The list group.

use super::{doc, integer, timeout_ms, write_element};
use crate::context::{Caller, Cx};
use crate::events::Event;
use crate::server::{Key, Ochre, Server};
use crate::session::TimeoutReply;
use common::command::{
    Access, Acl, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome,
};
use common::resp::Reply;
use store::{DbIndex, End, List};

const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const ACL: &[Acl] = &[Acl::List];

/// The family.
pub const COMMANDS: &[Command<Ochre>] = &[
    Command {
        name: "lpush",
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST.and(Flags::DENYOOM),
        acl: ACL,
        keys: &[KeySpec::one(1, Access::RwInsert)],
        tips: &[],
        doc: doc(
            "list",
            "1.0.0",
            "O(1) per element",
            "key element [element ...]",
            "Adds elements at the head, making the list if it is missing.",
        ),
        subcommands: &[],
        run: |cx, args| push(cx, args, End::Head, true),
    },
    Command {
        name: "rpush",
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST.and(Flags::DENYOOM),
        acl: ACL,
        keys: &[KeySpec::one(1, Access::RwInsert)],
        tips: &[],
        doc: doc(
            "list",
            "1.0.0",
            "O(1) per element",
            "key element [element ...]",
            "Adds elements at the tail, making the list if it is missing.",
        ),
        subcommands: &[],
        run: |cx, args| push(cx, args, End::Tail, true),
    },
    Command {
        name: "lpushx",
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST.and(Flags::DENYOOM),
        acl: ACL,
        keys: &[KeySpec::one(1, Access::RwInsert)],
        tips: &[],
        doc: doc(
            "list",
            "2.2.0",
            "O(1) per element",
            "key element [element ...]",
            "Adds elements at the head of a list that exists.",
        ),
        subcommands: &[],
        run: |cx, args| push(cx, args, End::Head, false),
    },
    Command {
        name: "rpushx",
        arity: Arity::AtLeast(3),
        flags: WRITE_FAST.and(Flags::DENYOOM),
        acl: ACL,
        keys: &[KeySpec::one(1, Access::RwInsert)],
        tips: &[],
        doc: doc(
            "list",
            "2.2.0",
            "O(1) per element",
            "key element [element ...]",
            "Adds elements at the tail of a list that exists.",
        ),
        subcommands: &[],
        run: |cx, args| push(cx, args, End::Tail, false),
    },
    Command {
        name: "lpop",
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        acl: ACL,
        keys: &[KeySpec::one(1, Access::RwDelete)],
        tips: &[],
        doc: doc("list", "1.0.0", "O(N), N elements taken", "key [count]", "Takes elements from the head."),
        subcommands: &[],
        run: |cx, args| pop(cx, args, End::Head),
    },
    Command {
        name: "rpop",
        arity: Arity::AtLeast(2),
        flags: WRITE_FAST,
        acl: ACL,
        keys: &[KeySpec::one(1, Access::RwDelete)],
        tips: &[],
        doc: doc("list", "1.0.0", "O(N), N elements taken", "key [count]", "Takes elements from the tail."),
        subcommands: &[],
        run: |cx, args| pop(cx, args, End::Tail),
    },
    Command {
        name: "llen",
        arity: Arity::Exactly(2),
        flags: Flags::READONLY.and(Flags::FAST),
        acl: ACL,
        keys: &[KeySpec::one(1, Access::Meta)],
        tips: &[],
        doc: doc("list", "1.0.0", "O(1)", "key", "Counts the elements."),
        subcommands: &[],
        run: llen,
    },
    Command {
        name: "lrange",
        arity: Arity::Exactly(4),
        flags: Flags::READONLY,
        acl: ACL,
        keys: &[KeySpec::one(1, Access::Read)],
        tips: &[],
        doc: doc(
            "list",
            "1.0.0",
            "O(S+N), S the distance of start from the nearer end in nodes, N elements",
            "key start stop",
            "Reads a range of elements.",
        ),
        subcommands: &[],
        run: lrange,
    },
    Command {
        name: "blpop",
        arity: Arity::AtLeast(3),
        flags: Flags::WRITE.and(Flags::BLOCKING),
        acl: ACL,
        keys: &[KeySpec::until(1, -2, 1, Access::RwDelete)],
        tips: &[],
        doc: doc(
            "list",
            "2.0.0",
            "O(N), N keys",
            "key [key ...] timeout",
            "Takes the first element of the first list that has one, waiting for it.",
        ),
        subcommands: &[],
        run: |cx, args| blocking_pop(cx, args, End::Head),
    },
    Command {
        name: "brpop",
        arity: Arity::AtLeast(3),
        flags: Flags::WRITE.and(Flags::BLOCKING),
        acl: ACL,
        keys: &[KeySpec::until(1, -2, 1, Access::RwDelete)],
        tips: &[],
        doc: doc(
            "list",
            "2.0.0",
            "O(N), N keys",
            "key [key ...] timeout",
            "Takes the last element of the first list that has one, waiting for it.",
        ),
        subcommands: &[],
        run: |cx, args| blocking_pop(cx, args, End::Tail),
    },
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
    let len = list.len() as i64;
    let from_end = |index: i64| if index < 0 { index + len } else { index };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
    if start > stop {
        cx.reply.array(0);
        return Ok(Outcome::Done);
    }
    let count = (stop - start + 1) as usize;
    cx.reply.array(count);
    for element in list.iter_from(start as usize).take(count) {
        write_element(&mut cx.reply, &element);
    }
    Ok(Outcome::Done)
}

fn blocking_pop(cx: &mut Cx<'_>, args: &Args<'_>, end: End) -> CommandResult {
    let words = args.count();
    let timeout = timeout_ms(args.get(words - 1), cx.server.time.now_ms())?;
    for index in 1..words - 1 {
        let key = cx.key(args.get(index));
        match cx.server.find_typed::<List>(cx.db, key) {
            Ok(Some(_)) => {}
            Ok(None) => continue,
            // A client that was woken passes over keys that turned into something else.
            Err(_) if cx.resumed.is_some() => continue,
            Err(error) => return Err(error),
        }
        cx.reply.array(2);
        cx.reply.bulk(key.bytes);
        take(cx.server, &mut cx.reply, cx.db, key, end, 1);
        cx.propagate_as(&[if end == End::Head { b"LPOP" } else { b"RPOP" }, key.bytes]);
        return Ok(Outcome::Done);
    }
    if cx.caller != Caller::Client {
        cx.reply.null_array();
        return Ok(Outcome::Done);
    }
    let deadline = cx.deadline(timeout);
    cx.wait_for_keys((1..words - 1).map(|index| args.get(index)), deadline, TimeoutReply::NullArray);
    Ok(Outcome::Block)
}
