//! SET and the commands that it absorbed.

use super::options::{Condition, Ttl, WriteOptions, digest, expiry};
use super::write_string;
use crate::commands::integer;
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use store::{Expire, Kind, NewValue};

pub(super) fn set(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let value = args.next();
    if args.left() == 0 {
        store(cx, key, value, Expire::None);
        cx.reply.ok();
        return Ok(Outcome::Done);
    }
    let WriteOptions { condition, get, ttl } = WriteOptions::parse(args, true)?;
    let expire = ttl.expire(cx, "set")?;
    if get {
        read_old(cx, key)?;
    }
    if condition != Condition::Always
        && !condition.holds(cx.server.find(cx.db, key).map(|entry| entry.value()))?
    {
        if !get {
            cx.reply.null();
        }
        return Ok(Outcome::Done);
    }
    store(cx, key, value, expire);
    if let Expire::At(at_ms) = expire {
        cx.server.notify(cx.db, key.bytes, Event::EXPIRE);
        propagate_expiring(cx, key, value, at_ms);
    } else if get || condition.compares() {
        // A replica that knows no GET with NX, or no comparison, must still apply it.
        let keep = expire == Expire::Keep;
        let words: [&[u8]; 4] = [b"SET", key.bytes, value, b"KEEPTTL"];
        cx.propagate_as(&words[..if keep { 4 } else { 3 }]);
    }
    if !get {
        cx.reply.ok();
    }
    Ok(Outcome::Done)
}

/// Replies what the key holds.
fn read_old(cx: &mut Cx<'_>, key: Key<'_>) -> Result<(), CommandError> {
    match cx.server.read(cx.db, key) {
        Some(entry) => write_string(&mut cx.reply, entry.value()),
        None => {
            cx.reply.null();
            Ok(())
        }
    }
}

/// Writes the value and announces it.
#[inline]
fn store(cx: &mut Cx<'_>, key: Key<'_>, value: &[u8], expire: Expire) {
    if cx.server.access.counts() || expire == Expire::Keep {
        // Counts the use of a key that is overwritten; one whose time is up has no expiry that could be kept.
        cx.server.locate(cx.db, key);
    }
    let db = cx.server.keyspace.db_mut(cx.db);
    let at = db.locate_ahead(key.hash, key.bytes, key.ahead);
    let mut outcome = db.set_at(at, key.hash, key.bytes, NewValue::from_bytes(value), expire);
    if cx.server.time.is_past(outcome.expire) {
        cx.server.note_expired(cx.db, key, outcome.garbage.take());
        outcome.replaced = None;
    }
    match outcome.replaced {
        None => cx.server.notify_new(cx.db, key.bytes),
        Some(old) => {
            cx.server.discard(outcome.garbage);
            cx.server.notify_overwritten(cx.db, key.bytes, (old, Kind::String));
        }
    }
    cx.changed(key, Event::SET);
}

fn propagate_expiring(cx: &mut Cx<'_>, key: Key<'_>, value: &[u8], at_ms: i64) {
    if cx.is_propagating() {
        cx.propagate_as(&[b"SET", key.bytes, value, b"PXAT", at_ms.to_string().as_bytes()]);
    }
}

pub(super) fn setnx(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let missing = cx.server.find(cx.db, key).is_none();
    if missing {
        store(cx, key, args.next(), Expire::None);
    }
    cx.reply.integer(i64::from(missing));
    Ok(Outcome::Done)
}

pub(super) fn setex(cx: &mut Cx<'_>, args: &mut Args<'_>, unit_ms: i64) -> CommandResult {
    let key = cx.key(args.next());
    let at_ms = expiry(cx, args.next(), unit_ms, false, if unit_ms == 1 { "psetex" } else { "setex" })?;
    let value = args.next();
    store(cx, key, value, Expire::At(at_ms));
    cx.server.notify(cx.db, key.bytes, Event::EXPIRE);
    propagate_expiring(cx, key, value, at_ms);
    cx.reply.ok();
    Ok(Outcome::Done)
}

pub(super) fn getset(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    read_old(cx, key)?;
    let value = args.next();
    store(cx, key, value, Expire::None);
    cx.propagate_as(&[b"SET", key.bytes, value]);
    Ok(Outcome::Done)
}

pub(super) fn mset(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    pairs(args, "mset")?;
    store_pairs(cx, args);
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn store_pairs(cx: &mut Cx<'_>, args: &mut Args<'_>) {
    cx.each_key(args.rest().step_by(2), |cx, key| {
        args.skip(1); // its name
        store(cx, key, args.next(), Expire::None);
    });
}

pub(super) fn msetnx(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    pairs(args, "msetnx")?;
    let mut exists = false;
    cx.each_key(args.rest().step_by(2), |cx, key| {
        exists = exists || cx.server.find(cx.db, key).is_some();
    });
    if !exists {
        store_pairs(cx, args);
    }
    cx.reply.integer(i64::from(!exists));
    Ok(Outcome::Done)
}

pub(super) fn msetex(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let count =
        integer(args.next()).ok().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let count = count.ok_or(CommandError::Text("ERR invalid numkeys value"))?;
    if args.left() / 2 < count {
        return Err("ERR wrong number of key-value pairs".into());
    }
    let mut options = args.clone();
    options.skip(2 * count);
    let WriteOptions { condition, ttl, .. } = WriteOptions::parse(&mut options, false)?;
    let expire = ttl.expire(cx, "msetex")?;
    let pairs: Vec<(Key<'_>, &[u8])> = (0..count).map(|_| (cx.key(args.next()), args.next())).collect();
    for (key, _) in &pairs {
        if !condition.holds(cx.server.find(cx.db, *key).map(|entry| entry.value()))? {
            cx.reply.integer(0);
            return Ok(Outcome::Done);
        }
    }
    for (key, value) in &pairs {
        store(cx, *key, value, expire);
        if matches!(expire, Expire::At(_)) {
            cx.server.notify(cx.db, key.bytes, Event::EXPIRE);
        }
    }
    if cx.is_propagating() {
        propagate_pairs(cx, &pairs, expire);
    }
    cx.reply.integer(1);
    Ok(Outcome::Done)
}

/// Tells replicas in words that they know: MSET and PEXPIREAT, or SET for keys that keep their expiry.
fn propagate_pairs(cx: &mut Cx<'_>, pairs: &[(Key<'_>, &[u8])], expire: Expire) {
    if expire == Expire::Keep {
        pairs.iter().for_each(|(key, value)| cx.propagate_as(&[b"SET", key.bytes, value, b"KEEPTTL"]));
        return;
    }
    let mut words: Vec<&[u8]> = vec![b"MSET"];
    words.extend(pairs.iter().flat_map(|(key, value)| [key.bytes, value]));
    cx.propagate_as(&words);
    if let Expire::At(at_ms) = expire {
        let at_ms = at_ms.to_string();
        pairs.iter().for_each(|(key, _)| cx.propagate_as(&[b"PEXPIREAT", key.bytes, at_ms.as_bytes()]));
    }
}

/// Reads a string and changes when it expires.
pub(super) fn getex(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let mut ttl = Ttl::Unsaid;
    while args.left() > 0 {
        if !ttl.take_word(args, "PERSIST", Ttl::Persist) && !ttl.take(args) {
            return Err(CommandError::Syntax);
        }
    }
    let had_expiry = match cx.server.read(cx.db, key) {
        Some(entry) => {
            write_string(&mut cx.reply, entry.value())?;
            entry.expire().is_some()
        }
        None => {
            cx.reply.null();
            return Ok(Outcome::Done);
        }
    };
    match ttl.expire(cx, "getex")? {
        // Only a point in time can lie in the past; a duration is positive.
        Expire::At(at_ms) if cx.server.is_overdue(at_ms) => {
            let lazily = cx.server.config.lazyfree_lazy_expire;
            cx.server.remove(cx.db, key, lazily);
            cx.changed(key, Event::DEL);
            cx.propagate_as(&[if lazily { b"UNLINK" } else { b"DEL" }, key.bytes]);
        }
        Expire::At(at_ms) => {
            cx.server.keyspace.db_mut(cx.db).set_expire(key.hash, key.bytes, Some(at_ms));
            cx.changed(key, Event::EXPIRE);
            cx.propagate_as(&[b"PEXPIREAT", key.bytes, at_ms.to_string().as_bytes()]);
        }
        _ if ttl == Ttl::Persist && had_expiry => {
            cx.server.keyspace.db_mut(cx.db).set_expire(key.hash, key.bytes, None);
            cx.changed(key, Event::PERSIST);
            cx.propagate_as(&[b"PERSIST", key.bytes]);
        }
        _ => {}
    }
    Ok(Outcome::Done)
}

/// Deletes a key, if a condition on its value holds.
pub(super) fn delex(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let condition = match args.left() {
        0 => Condition::Always,
        2 => Condition::take(args)
            .ok_or(CommandError::Text("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"))?,
        _ => return Err(CommandError::Arity("delex".into())),
    };
    delete_if(cx, key, condition)
}

pub(super) fn delifeq(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    delete_if(cx, key, Condition::Value(args.next(), true))
}

fn delete_if(cx: &mut Cx<'_>, key: Key<'_>, condition: Condition<'_>) -> CommandResult {
    let deletes = match cx.server.find(cx.db, key) {
        None => false,
        Some(entry) => condition.holds(Some(entry.value()))?,
    };
    if deletes {
        let lazily = cx.server.config.lazyfree_lazy_user_del;
        cx.delete(key, lazily);
        cx.propagate_as(&[if lazily { b"UNLINK" } else { b"DEL" }, key.bytes]);
    }
    cx.reply.integer(i64::from(deletes));
    Ok(Outcome::Done)
}

/// Replies the digest that IFDEQ and IFDNE compare with.
pub(super) fn digest_of(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    match cx.server.read(cx.db, key) {
        Some(entry) => {
            let mut buffer = itoa::Buffer::new();
            cx.reply.bulk(digest(super::string_bytes(entry.value(), &mut buffer)?).as_bytes());
        }
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

fn pairs(args: &Args<'_>, command: &'static str) -> Result<(), CommandError> {
    if args.left().is_multiple_of(2) { Ok(()) } else { Err(CommandError::Arity(command.into())) }
}
