//! The hash group. Fields that expire are in `expire`, HIMPORT in `import`.

mod expire;
mod import;

use super::scan_options::{ScanOptions, write_empty, write_frame};
use super::set::random_count;
use super::{NONDETERMINISTIC, NONDETERMINISTIC_ORDER, doc, entry, random, write_element};
use crate::context::Cx;
use crate::events::Event;
use crate::long_double::LongDouble;
use crate::server::{Key, Ochre};
use common::command::{Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome};
use common::number::parse_i64;
use common::resp::{Reply, Resp};
use store::{Field, HashValue};

const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);
const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const GROW_FAST: Flags = WRITE_FAST.and(Flags::DENYOOM);
const META: &[KeySpec] = &[KeySpec::one(1, Access::Meta)];
const READ: &[KeySpec] = &[KeySpec::one(1, Access::Read)];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, Access::Update)];
const RW_UPDATE: &[KeySpec] = &[KeySpec::one(1, Access::RwUpdate)];

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("hset", Arity::AtLeast(4), GROW_FAST, UPDATE,
        doc("hash", "2.0.0", "O(1) per field", "key field value [field value ...]", "Sets fields, making the hash if it is missing."), |cx, args| hset(cx, args, false)),
    entry("hmset", Arity::AtLeast(4), GROW_FAST, UPDATE,
        doc("hash", "2.0.0", "O(1) per field", "key field value [field value ...]", "Sets fields: the old name of HSET."), |cx, args| hset(cx, args, true)).deprecated("4.0.0", "HSET"),
    entry("hsetnx", Arity::Exactly(4), GROW_FAST, &[KeySpec::one(1, Access::RwInsert)],
        doc("hash", "2.0.0", "O(1)", "key field value", "Sets a field that is not there."), hsetnx),
    entry("hincrby", Arity::Exactly(4), GROW_FAST, RW_UPDATE,
        doc("hash", "2.0.0", "O(1)", "key field increment", "Adds an integer to a field."), hincrby),
    entry("hincrbyfloat", Arity::Exactly(4), GROW_FAST, RW_UPDATE,
        doc("hash", "2.6.0", "O(1)", "key field increment", "Adds a fraction to a field."), hincrbyfloat),
    entry("hget", Arity::Exactly(3), READ_FAST, READ,
        doc("hash", "2.0.0", "O(1)", "key field", "Reads a field."), hget),
    entry("hmget", Arity::AtLeast(3), READ_FAST, READ,
        doc("hash", "2.0.0", "O(1) per field", "key field [field ...]", "Reads several fields."), hmget),
    Command { tips: NONDETERMINISTIC_ORDER, ..entry("hgetall", Arity::Exactly(2), Flags::READONLY, READ,
        doc("hash", "2.0.0", "O(N), N fields", "key", "Lists fields and values."), |cx, args| list(cx, args, true, true)) },
    Command { tips: NONDETERMINISTIC_ORDER, ..entry("hkeys", Arity::Exactly(2), Flags::READONLY, READ,
        doc("hash", "2.0.0", "O(N), N fields", "key", "Lists the fields."), |cx, args| list(cx, args, true, false)) },
    Command { tips: NONDETERMINISTIC_ORDER, ..entry("hvals", Arity::Exactly(2), Flags::READONLY, READ,
        doc("hash", "2.0.0", "O(N), N fields", "key", "Lists the values."), |cx, args| list(cx, args, false, true)) },
    entry("hlen", Arity::Exactly(2), READ_FAST, META,
        doc("hash", "2.0.0", "O(1)", "key", "Counts the fields."), hlen),
    entry("hstrlen", Arity::Exactly(3), READ_FAST, META,
        doc("hash", "3.2.0", "O(1)", "key field", "Tells the length of a field's value."), hstrlen),
    entry("hexists", Arity::Exactly(3), READ_FAST, META,
        doc("hash", "2.0.0", "O(1)", "key field", "Tells whether there is a field."), hexists),
    entry("hdel", Arity::AtLeast(3), WRITE_FAST, &[KeySpec::one(1, Access::Delete)],
        doc("hash", "2.0.0", "O(1) per field", "key field [field ...]", "Deletes fields."), hdel),
    Command { tips: NONDETERMINISTIC, ..entry("hrandfield", Arity::AtLeast(2), Flags::READONLY, READ,
        doc("hash", "6.2.0", "O(1) per field", "key [count [WITHVALUES]]", "Shows fields at random."), hrandfield) },
    Command { tips: NONDETERMINISTIC, ..entry("hscan", Arity::AtLeast(3), Flags::READONLY, READ,
        doc("hash", "2.8.0", "O(1) per call, O(N) for a whole iteration", "key cursor [MATCH pattern] [COUNT count] [NOVALUES]", "Iterates over the fields."), hscan) },
    entry("hexpire", Arity::AtLeast(6), WRITE_FAST, UPDATE,
        doc("hash", "7.4.0", "O(1) per field", "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]", "Lets fields expire after seconds."), |cx, args| expire::expire(cx, args, 1000, false)),
    entry("hpexpire", Arity::AtLeast(6), WRITE_FAST, UPDATE,
        doc("hash", "7.4.0", "O(1) per field", "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]", "Lets fields expire after milliseconds."), |cx, args| expire::expire(cx, args, 1, false)),
    entry("hexpireat", Arity::AtLeast(6), WRITE_FAST, UPDATE,
        doc("hash", "7.4.0", "O(1) per field", "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]", "Lets fields expire at a time in seconds."), |cx, args| expire::expire(cx, args, 1000, true)),
    entry("hpexpireat", Arity::AtLeast(6), WRITE_FAST, UPDATE,
        doc("hash", "7.4.0", "O(1) per field", "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]", "Lets fields expire at a time in milliseconds."), |cx, args| expire::expire(cx, args, 1, true)),
    entry("httl", Arity::AtLeast(5), READ_FAST, READ,
        doc("hash", "7.4.0", "O(1) per field", "key FIELDS numfields field [field ...]", "Tells how long fields will live, in seconds."), |cx, args| expire::ttl(cx, args, 1000, false)),
    entry("hpttl", Arity::AtLeast(5), READ_FAST, READ,
        doc("hash", "7.4.0", "O(1) per field", "key FIELDS numfields field [field ...]", "Tells how long fields will live, in milliseconds."), |cx, args| expire::ttl(cx, args, 1, false)),
    entry("hexpiretime", Arity::AtLeast(5), READ_FAST, READ,
        doc("hash", "7.4.0", "O(1) per field", "key FIELDS numfields field [field ...]", "Tells when fields expire, in seconds."), |cx, args| expire::ttl(cx, args, 1000, true)),
    entry("hpexpiretime", Arity::AtLeast(5), READ_FAST, READ,
        doc("hash", "7.4.0", "O(1) per field", "key FIELDS numfields field [field ...]", "Tells when fields expire, in milliseconds."), |cx, args| expire::ttl(cx, args, 1, true)),
    entry("hpersist", Arity::AtLeast(5), WRITE_FAST, UPDATE,
        doc("hash", "7.4.0", "O(1) per field", "key FIELDS numfields field [field ...]", "Removes the expiry of fields."), expire::persist),
    entry("hgetex", Arity::AtLeast(5), WRITE_FAST, RW_UPDATE,
        doc("hash", "8.0.0", "O(1) per field", "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]", "Reads fields and changes when they expire."), expire::hgetex),
    entry("hsetex", Arity::AtLeast(6), GROW_FAST, UPDATE,
        doc("hash", "8.0.0", "O(1) per field", "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]", "Sets fields and when they expire."), expire::hsetex),
    entry("hgetdel", Arity::AtLeast(5), WRITE_FAST, &[KeySpec::one(1, Access::RwDelete)],
        doc("hash", "8.0.0", "O(1) per field", "key FIELDS numfields field [field ...]", "Reads fields and deletes them."), expire::hgetdel),
    Command { subcommands: import::SUBCOMMANDS, ..entry("himport", Arity::AtLeast(2), Flags::NONE, &[],
        doc("hash", "8.10.0", "Depends on the subcommand.", "", "Makes hashes that have their field names in common."), import::himport) },
];

fn hset(cx: &mut Cx<'_>, args: &mut Args<'_>, of_old: bool) -> CommandResult {
    let key = cx.key(args.next());
    if !args.left().is_multiple_of(2) {
        return Err(CommandError::Arity(if of_old { "hmset" } else { "hset" }.into()));
    }
    let (limit, words) = (cx.server.limits().hash, args.rest());
    let pairs = words.len() / 2;
    let added = cx.server.edit_hash(cx.db, key, true, |hash| {
        hash.prepare(args.rest(), &limit);
        let mut added = 0;
        while args.left() > 0 {
            added += i64::from(hash.set(args.next(), args.next(), &limit));
        }
        added
    })?;
    if of_old {
        cx.reply.ok();
    } else {
        cx.reply.integer(added.unwrap_or(0));
    }
    cx.changed_by(pairs as u64, key, Event::HSET);
    Ok(Outcome::Done)
}

fn hsetnx(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, field, value) = (cx.key(args.next()), args.next(), args.next());
    let (limit, due_ms) = (cx.server.limits().hash, cx.server.time.due_ms());
    if cx.server.find_hash(cx.db, key)?.is_some_and(|hash| hash.get(field, due_ms).is_some()) {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    }
    cx.server.edit_hash(cx.db, key, true, |hash| {
        hash.prepare([field, value].into_iter(), &limit);
        hash.set(field, value, &limit)
    })?;
    cx.reply.integer(1);
    cx.changed(key, Event::HSET);
    Ok(Outcome::Done)
}

/// Reads a field that is to be counted up, as `parse` understands it.
fn number<N>(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    field: &[u8],
    parse: impl FnOnce(&[u8]) -> Result<N, CommandError>,
) -> Result<Option<N>, CommandError> {
    let due_ms = cx.server.time.due_ms();
    let value = cx.server.find_hash(cx.db, key)?.and_then(|hash| hash.get(field, due_ms));
    value.map(|value| parse(value.as_bytes(&mut itoa::Buffer::new()))).transpose()
}

/// Sets a field that was counted up: its expiry stays, unless it had passed.
fn set_counted(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    field: &[u8],
    value: &[u8],
) -> Result<Option<i64>, CommandError> {
    let (limit, due_ms) = (cx.server.limits().hash, cx.server.time.due_ms());
    let expire = cx.server.edit_hash(cx.db, key, true, |hash| {
        let expire = hash.find(field).and_then(|found| found.expire).filter(|at| *at > due_ms);
        match expire {
            Some(_) => hash.set_keeping(field, value, &limit),
            None => hash.set(field, value, &limit),
        };
        expire
    })?;
    Ok(expire.flatten())
}

fn hincrby(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, field, by) = (cx.key(args.next()), args.next(), args.integer()?);
    let now = number(cx, key, field, |text| {
        parse_i64(text).ok_or(CommandError::Text("ERR hash value is not an integer"))
    })?;
    let sum = now.unwrap_or(0).checked_add(by).ok_or(CommandError::Overflow)?;
    set_counted(cx, key, field, itoa::Buffer::new().format(sum).as_bytes())?;
    cx.reply.integer(sum);
    cx.changed(key, Event::HINCRBY);
    Ok(Outcome::Done)
}

fn hincrbyfloat(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, field, by) = (cx.key(args.next()), args.next(), args.next());
    let by = LongDouble::parse(by).ok_or(CommandError::NotAFloat)?;
    if !by.is_finite() {
        return Err("ERR value is NaN or Infinity".into());
    }
    let now = number(cx, key, field, |text| {
        LongDouble::parse(text).ok_or(CommandError::Text("ERR hash value is not a float"))
    })?;
    let sum = now.unwrap_or(LongDouble::ZERO) + by;
    if !sum.is_finite() {
        return Err("ERR increment would produce NaN or Infinity".into());
    }
    let text = sum.to_string();
    let expire = set_counted(cx, key, field, text.as_bytes())?;
    cx.reply.bulk(text.as_bytes());
    cx.changed(key, Event::HINCRBYFLOAT);
    // Floats don't travel: another machine might round otherwise.
    cx.propagate_as(&[b"HSET", key.bytes, field, text.as_bytes()]);
    if let Some(at) = expire {
        expire::propagate_expiry(cx, key, at, &[field]);
    }
    Ok(Outcome::Done)
}

fn hget(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, field) = (cx.key(args.next()), args.next());
    let due_ms = cx.server.time.due_ms();
    let hash = cx.server.read_hash(cx.db, key)?;
    write_value(&mut cx.reply, hash, field, due_ms);
    Ok(Outcome::Done)
}

/// Writes a field's value, or that there is none.
#[inline]
fn write_value(reply: &mut Reply, hash: Option<&HashValue>, field: &[u8], due_ms: i64) {
    match hash.and_then(|hash| hash.get(field, due_ms)) {
        Some(value) => write_element(reply, &value),
        None => reply.null(),
    }
}

fn hmget(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let due_ms = cx.server.time.due_ms();
    let hash = cx.server.read_hash(cx.db, key)?;
    cx.reply.array(args.left());
    for field in args.rest() {
        write_value(&mut cx.reply, hash, field, due_ms);
    }
    Ok(Outcome::Done)
}

fn list(cx: &mut Cx<'_>, args: &mut Args<'_>, names: bool, values: bool) -> CommandResult {
    let key = cx.key(args.next());
    let due_ms = cx.server.time.due_ms();
    let hash = cx.server.read_hash(cx.db, key)?;
    let (mark, mut count) = (cx.reply.mark(), 0);
    for field in hash.into_iter().flat_map(HashValue::iter).filter(|field| field.is_alive(due_ms)) {
        count += 1;
        if names {
            write_element(&mut cx.reply, &field.name);
        }
        if values {
            write_element(&mut cx.reply, &field.value);
        }
    }
    if names && values {
        cx.reply.map_at(mark, count);
    } else {
        cx.reply.array_at(mark, count);
    }
    Ok(Outcome::Done)
}

fn hlen(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let len = cx.server.read_hash(cx.db, key)?.map_or(0, HashValue::len);
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}

fn hstrlen(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, field) = (cx.key(args.next()), args.next());
    let due_ms = cx.server.time.due_ms();
    let value = cx.server.read_hash(cx.db, key)?.and_then(|hash| hash.get(field, due_ms));
    let len = value.map_or(0, |value| value.as_bytes(&mut itoa::Buffer::new()).len());
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}

fn hexists(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, field) = (cx.key(args.next()), args.next());
    let due_ms = cx.server.time.due_ms();
    let found = cx.server.read_hash(cx.db, key)?.is_some_and(|hash| hash.get(field, due_ms).is_some());
    cx.reply.integer(i64::from(found));
    Ok(Outcome::Done)
}

fn hdel(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let due_ms = cx.server.time.due_ms();
    let removed = cx.server.edit_hash(cx.db, key, false, |hash| remove(hash, args.rest(), due_ms))?;
    let removed = removed.unwrap_or(0);
    cx.reply.integer(removed);
    if removed > 0 {
        announce_removal(cx, key, removed);
    }
    Ok(Outcome::Done)
}

/// Takes fields out; the number of those whose time was not up.
fn remove<'f>(hash: &mut HashValue, fields: impl Iterator<Item = &'f [u8]>, due_ms: i64) -> i64 {
    fields
        .filter(|field| {
            let alive = hash.get(field, due_ms).is_some();
            alive && hash.remove(field)
        })
        .count() as i64
}

/// Says that fields were deleted, and deletes the hash if these were the last.
fn announce_removal(cx: &mut Cx<'_>, key: Key<'_>, removed: i64) {
    let emptied = cx.server.remove_emptied::<HashValue>(cx.db, key);
    cx.changed_by(removed as u64, key, Event::HDEL);
    if emptied {
        cx.server.notify(cx.db, key.bytes, Event::DEL);
    }
}

fn hscan(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let (cursor, due_ms) = (super::generic::cursor(args.next())?, cx.server.time.due_ms());
    let Some(hash) = cx.server.read_hash(cx.db, key)? else {
        write_empty(&mut cx.reply);
        return Ok(Outcome::Done);
    };
    let options = ScanOptions::parse(args, Some("NOVALUES"))?;
    let (mark, mut found) = (cx.reply.mark(), 0);
    let next = hash.scan(cursor, options.count, |field| {
        if field.is_alive(due_ms) && options.wants(field.name.as_bytes(&mut itoa::Buffer::new())) {
            write_element(&mut cx.reply, &field.name);
            found += 1;
            if !options.without_values {
                write_element(&mut cx.reply, &field.value);
                found += 1;
            }
        }
    });
    write_frame(&mut cx.reply, Some(mark), next, found);
    Ok(Outcome::Done)
}

// --- at random -------------------------------------------------------------------------------------------------------

fn hrandfield(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let word = args.try_next();
    let count = word.map(random_count).transpose()?;
    let with_values = args.take("WITHVALUES");
    if args.left() > 0 {
        return Err(CommandError::Syntax);
    }
    if with_values && count.is_some_and(|count| count.unsigned_abs() > i64::MAX as u64 / 2) {
        return Err("ERR value is out of range".into());
    }
    let (due_ms, mut rng, room) = (cx.server.time.due_ms(), cx.server.rng.fork(), cx.reply_room());
    let hash = cx.server.read_hash(cx.db, key)?.filter(|hash| !hash.is_empty());
    let Some(count) = count else {
        match hash.and_then(|hash| one_alive(hash, &mut rng, due_ms)) {
            Some(field) => write_element(&mut cx.reply, &field.name),
            None => cx.reply.null(),
        }
        return Ok(Outcome::Done);
    };
    let reply = &mut cx.reply;
    let (mark, mut shown) = (reply.mark(), 0);
    let mut show = |field: Field<'_>| {
        if reply.len() > room {
            return false;
        }
        if with_values && reply.resp == Resp::V3 {
            reply.array(2);
        } else {
            shown += usize::from(with_values);
        }
        shown += 1;
        write_element(reply, &field.name);
        if with_values {
            write_element(reply, &field.value);
        }
        true
    };
    match hash {
        None => {}
        Some(hash) if count < 0 => {
            let mut picks = (0..count.unsigned_abs()).map(|_| one_alive(hash, &mut rng, due_ms));
            while picks.next().flatten().is_some_and(&mut show) {}
        }
        Some(hash) => {
            let len = hash.len();
            let show = |field: Field<'_>| {
                if field.is_alive(due_ms) {
                    show(field);
                }
            };
            let count = (count as usize).min(len);
            random::distinct(&mut rng, (len, count), hash.iter(), |rank| hash.nth(rank), show);
        }
    }
    cx.reply.array_at(mark, shown);
    Ok(Outcome::Done)
}

/// Tries to find a field at random whose time is not up: most have that, since the others are being taken out.
const TRIES: usize = 100;

fn one_alive<'h>(hash: &'h HashValue, rng: &mut fastrand::Rng, due_ms: i64) -> Option<Field<'h>> {
    let len = hash.len();
    let mut picks = (0..TRIES).filter_map(|_| hash.nth(rng.usize(..len)));
    picks.find(|field| field.is_alive(due_ms)).or_else(|| hash.iter().find(|field| field.is_alive(due_ms)))
}
