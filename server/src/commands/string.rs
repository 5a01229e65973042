//! The string group.

mod lcs;
mod number;
mod options;
mod set;

use super::{doc, entry};
use crate::context::Cx;
use crate::events::Event;
use crate::server::{Key, Ochre};
use common::command::{
    Access, Args, Arity, Command, CommandError, CommandResult, Find, Flags, KeySpec, Outcome, Search,
};
use common::resp::Reply;
use store::{Expire, NewValue, SharedBytes, Value};

const WRITE: Flags = Flags::WRITE.and(Flags::DENYOOM);
const WRITE_FAST: Flags = WRITE.and(Flags::FAST);
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);

const READ: &[KeySpec] = &[KeySpec::one(1, Access::Read)];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, Access::RwUpdate)];
const OVERWRITE: &[KeySpec] = &[KeySpec::one(1, Access::Overwrite)];

const ALL_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:all_succeeded"];
const MANY_SHARDS: &[&str] = &["request_policy:multi_shard"];

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("append", Arity::Exactly(3), WRITE_FAST, &[KeySpec::one(1, Access::RwInsert)],
        doc("string", "2.0.0", "O(1) amortised", "key value", "Adds bytes at the end, making the string if it is missing."), append),
    entry("decr", Arity::Exactly(2), WRITE_FAST, UPDATE,
        doc("string", "1.0.0", "O(1)", "key", "Counts down by one."), |cx, args| number::incr(cx, args, number::Step::Down)),
    entry("decrby", Arity::Exactly(3), WRITE_FAST, UPDATE,
        doc("string", "1.0.0", "O(1)", "key decrement", "Counts down by a number."), |cx, args| number::incr(cx, args, number::Step::DownBy)),
    entry("delex", Arity::AtLeast(2), Flags::WRITE.and(Flags::FAST), &[KeySpec::one(1, Access::VariableDelete)],
        doc("string", "8.4.0", "O(1), O(N) for a digest of N bytes", "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]", "Deletes a key, or only one whose string is as expected."), set::delex),
    entry("delifeq", Arity::Exactly(3), Flags::WRITE.and(Flags::FAST), &[KeySpec::one(1, Access::Remove)],
        doc("string", "9.0.0", "O(1)", "key value", "Deletes a string that is as expected."), set::delifeq),
    entry("digest", Arity::Exactly(2), READ_FAST, READ,
        doc("string", "8.4.0", "O(N), N bytes", "key", "Tells the hash of a string, to compare with later."), set::digest_of),
    entry("get", Arity::Exactly(2), READ_FAST, READ,
        doc("string", "1.0.0", "O(1)", "key", "Reads a string."), get),
    entry("getdel", Arity::Exactly(2), Flags::WRITE.and(Flags::FAST), &[KeySpec::one(1, Access::RwDelete)],
        doc("string", "6.2.0", "O(1)", "key", "Reads a string and deletes it."), getdel),
    entry("getex", Arity::AtLeast(2), Flags::WRITE.and(Flags::FAST), UPDATE,
        doc("string", "6.2.0", "O(1)", "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]", "Reads a string and changes when it expires."), set::getex),
    entry("getrange", Arity::Exactly(4), Flags::READONLY, READ,
        doc("string", "2.4.0", "O(N), N bytes", "key start end", "Reads a part of a string."), getrange),
    entry("getset", Arity::Exactly(3), WRITE_FAST, UPDATE,
        doc("string", "1.0.0", "O(1)", "key value", "Writes a string and replies what it was."), set::getset).deprecated("6.2.0", "SET with GET"),
    entry("incr", Arity::Exactly(2), WRITE_FAST, UPDATE,
        doc("string", "1.0.0", "O(1)", "key", "Counts up by one."), |cx, args| number::incr(cx, args, number::Step::Up)),
    entry("incrby", Arity::Exactly(3), WRITE_FAST, UPDATE,
        doc("string", "1.0.0", "O(1)", "key increment", "Counts up by a number."), |cx, args| number::incr(cx, args, number::Step::UpBy)),
    entry("incrbyfloat", Arity::Exactly(3), WRITE_FAST, UPDATE,
        doc("string", "2.6.0", "O(1)", "key increment", "Adds a fraction."), number::incrbyfloat),
    entry("increx", Arity::AtLeast(2), WRITE_FAST, UPDATE,
        doc("string", "8.8.0", "O(1)", "key [BYFLOAT float | BYINT integer] [SATURATE] [LBOUND lowerbound] [UBOUND upperbound] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] [ENX]", "Counts within bounds and sets an expiry."), number::increx),
    entry("lcs", Arity::AtLeast(3), Flags::READONLY, &[KeySpec { search: Search::Index(1), find: Find::Range(1, 1, 0), access: Access::Read }],
        doc("string", "7.0.0", "O(N*M), the lengths of the strings", "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]", "Finds the longest common subsequence of two strings."), lcs::lcs),
    Command { tips: MANY_SHARDS, ..entry("mget", Arity::AtLeast(2), READ_FAST, &[KeySpec::until(1, -1, 1, Access::Read)],
        doc("string", "1.0.0", "O(N), N keys", "key [key ...]", "Reads several strings."), mget) },
    Command { tips: ALL_SHARDS, ..entry("mset", Arity::AtLeast(3), WRITE, &[KeySpec::until(1, -1, 2, Access::Overwrite)],
        doc("string", "1.0.1", "O(N), N keys", "key value [key value ...]", "Writes several strings at once."), set::mset) },
    Command { tips: ALL_SHARDS, ..entry("msetex", Arity::AtLeast(4), WRITE.and(Flags::MOVABLE_KEYS), &[KeySpec::counted_pairs(1, Access::Overwrite)],
        doc("string", "8.4.0", "O(N), N keys", "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]", "Writes several strings at once, with a common expiry."), set::msetex) },
    entry("msetnx", Arity::AtLeast(3), WRITE, &[KeySpec::until(1, -1, 2, Access::Create)],
        doc("string", "1.0.1", "O(N), N keys", "key value [key value ...]", "Writes several strings if none of their keys exists."), set::msetnx),
    entry("psetex", Arity::Exactly(4), WRITE, OVERWRITE,
        doc("string", "2.6.0", "O(1)", "key milliseconds value", "Writes a string that lives for some milliseconds."), |cx, args| set::setex(cx, args, 1)).deprecated("2.6.12", "SET with PX"),
    entry("set", Arity::AtLeast(3), WRITE, &[KeySpec::one(1, Access::Variable)],
        doc("string", "1.0.0", "O(1)", "key value [NX | XX | IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]", "Writes a string, whatever the key held before."), set::set),
    entry("setex", Arity::Exactly(4), WRITE, OVERWRITE,
        doc("string", "2.0.0", "O(1)", "key seconds value", "Writes a string that lives for some seconds."), |cx, args| set::setex(cx, args, 1000)).deprecated("2.6.12", "SET with EX"),
    entry("setnx", Arity::Exactly(3), WRITE_FAST, &[KeySpec::one(1, Access::Create)],
        doc("string", "1.0.0", "O(1)", "key value", "Writes a string if the key does not exist."), set::setnx).deprecated("2.6.12", "SET with NX"),
    entry("setrange", Arity::Exactly(4), WRITE, &[KeySpec::one(1, Access::Update)],
        doc("string", "2.2.0", "O(N), N bytes", "key offset value", "Overwrites a part of a string, padding it with zero bytes."), setrange),
    entry("strlen", Arity::Exactly(2), READ_FAST, &[KeySpec::one(1, Access::Meta)],
        doc("string", "2.2.0", "O(1)", "key", "Counts the bytes of a string."), strlen),
    entry("substr", Arity::Exactly(4), Flags::READONLY, READ,
        doc("string", "1.0.0", "O(N), N bytes", "key start end", "Reads a part of a string: the old name of GETRANGE."), getrange).deprecated("2.0.0", "GETRANGE"),
];

/// Writes a string value.
#[inline]
fn write_string(reply: &mut Reply, value: Value<'_>) -> Result<(), CommandError> {
    match value {
        Value::Bytes(bytes) => reply.bulk(bytes),
        Value::Int(value) => reply.bulk_integer(value),
        Value::Shared(bytes) => reply.bulk_owner(bytes),
        Value::Object(_) => return Err(CommandError::WrongType),
    }
    Ok(())
}

/// The bytes of a string value, integers in decimal.
pub(super) fn string_bytes<'v>(
    value: Value<'v>,
    buffer: &'v mut itoa::Buffer,
) -> Result<&'v [u8], CommandError> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        Value::Int(value) => Ok(buffer.format(value).as_bytes()),
        Value::Shared(bytes) => Ok(bytes),
        Value::Object(_) => Err(CommandError::WrongType),
    }
}

fn get(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    match cx.server.read_with(cx.db, key, |value| write_string(&mut cx.reply, value)) {
        Some(written) => written?,
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn getdel(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    match cx.server.read(cx.db, key) {
        Some(entry) => write_string(&mut cx.reply, entry.value())?,
        None => {
            cx.reply.null();
            return Ok(Outcome::Done);
        }
    }
    cx.delete(key, false);
    cx.propagate_as(&[b"DEL", key.bytes]);
    Ok(Outcome::Done)
}

fn mget(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    cx.reply.array(args.left());
    cx.each_key(args.rest(), |cx, key| {
        match cx.server.read_with(cx.db, key, |value| write_string(&mut cx.reply, value)) {
            Some(Ok(())) => {}
            _ => cx.reply.null(), // missing, or no string
        }
    });
    Ok(Outcome::Done)
}

fn strlen(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let mut buffer = itoa::Buffer::new();
    let len = match cx.server.read(cx.db, key) {
        Some(entry) => string_bytes(entry.value(), &mut buffer)?.len(),
        None => 0,
    };
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}

fn getrange(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let (start, end) = (args.integer()?, args.integer()?);
    let mut buffer = itoa::Buffer::new();
    let bytes = match cx.server.read(cx.db, key) {
        Some(entry) => string_bytes(entry.value(), &mut buffer)?,
        None => b"",
    };
    let len = bytes.len() as i64;
    if len == 0 || start < 0 && end < 0 && start > end {
        cx.reply.bulk(b"");
        return Ok(Outcome::Done);
    }
    let from_end = |index: i64| if index < 0 { (index + len).max(0) } else { index };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end {
        cx.reply.bulk(b"");
    } else {
        cx.reply.bulk(&bytes[start as usize..=end as usize]);
    }
    Ok(Outcome::Done)
}

/// Refuses a string longer than `proto-max-bulk-len`.
pub(super) fn check_length(cx: &Cx<'_>, len: u64) -> Result<(), CommandError> {
    if len > cx.server.config.proto_max_bulk_len {
        return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)".into());
    }
    Ok(())
}

/// The value as bytes to be changed, and whether the key exists.
fn value_to_change(cx: &mut Cx<'_>, key: Key<'_>) -> Result<(Vec<u8>, bool), CommandError> {
    match cx.server.find(cx.db, key) {
        Some(entry) => Ok((string_bytes(entry.value(), &mut itoa::Buffer::new())?.to_vec(), true)),
        None => Ok((Vec::new(), false)),
    }
}

/// Bytes from which on a string is handed over instead of copied into its entry.
const HANDED_OVER: usize = 4096;

/// Stores a string that a command built out of bits or registers: never `int` or `embstr`, as in Redis.
pub(super) fn put_string(cx: &mut Cx<'_>, key: Key<'_>, bytes: Vec<u8>, expire: Expire) {
    let db = cx.server.keyspace.db_mut(cx.db);
    let outcome = if bytes.len() >= HANDED_OVER {
        db.set(key.hash, key.bytes, NewValue::Shared(SharedBytes::new(bytes)), expire)
    } else {
        db.set(key.hash, key.bytes, NewValue::Raw(&bytes), expire)
    };
    cx.server.discard(outcome.garbage);
}

fn append(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let tail = args.next();
    let (mut value, existed) = match cx.server.find(cx.db, key).map(|entry| entry.value()) {
        // A big string grows in place.
        Some(Value::Shared(bytes)) => {
            let len = bytes.len() + tail.len();
            check_length(cx, len as u64)?;
            let db = cx.server.keyspace.db_mut(cx.db);
            let mut entry = db.get_mut(key.hash, key.bytes).expect("it was just found");
            entry.shared_mut().expect("it is shared").make_mut().extend_from_slice(tail);
            cx.reply.integer(len as i64);
            cx.changed(key, Event::APPEND);
            return Ok(Outcome::Done);
        }
        Some(value) => (string_bytes(value, &mut itoa::Buffer::new())?.to_vec(), true),
        None => (Vec::new(), false),
    };
    check_length(cx, (value.len() + tail.len()) as u64)?;
    value.extend_from_slice(tail);
    let new = if existed { NewValue::Raw(&value) } else { NewValue::from_bytes(&value) };
    cx.server.keyspace.db_mut(cx.db).set(key.hash, key.bytes, new, Expire::Keep);
    if !existed {
        cx.server.notify_new(cx.db, key.bytes);
    }
    cx.reply.integer(value.len() as i64);
    cx.changed(key, Event::APPEND);
    Ok(Outcome::Done)
}

fn setrange(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let offset = args.integer()?;
    let part = args.next();
    let offset = usize::try_from(offset).map_err(|_| CommandError::Text("ERR offset is out of range"))?;
    let (mut value, existed) = value_to_change(cx, key)?;
    if part.is_empty() {
        cx.reply.integer(value.len() as i64);
        return Ok(Outcome::Done);
    }
    check_length(cx, (offset as u64).saturating_add(part.len() as u64))?;
    let end = offset + part.len();
    if value.len() < end {
        value.resize(end, 0);
    }
    value[offset..end].copy_from_slice(part);
    cx.server.keyspace.db_mut(cx.db).set(key.hash, key.bytes, NewValue::Raw(&value), Expire::Keep);
    if !existed {
        cx.server.notify_new(cx.db, key.bytes);
    }
    cx.reply.integer(value.len() as i64);
    cx.changed(key, Event::SETRANGE);
    Ok(Outcome::Done)
}
