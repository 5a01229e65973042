//! SET and the commands that it absorbed.

use super::write_string;
use crate::commands::integer;
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use store::{Expire, Kind, NewValue};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    IfMissing,
    IfExists,
}

/// Options of SET.
struct Options {
    condition: Condition,
    get: bool,
    /// `Keep` for KEEPTTL, `At` for the four forms of an expiry.
    expire: Expire,
}

pub(super) fn set(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let value = args.next();
    if args.left() == 0 {
        store(cx, key, value, Expire::None);
        cx.reply.ok();
        return Ok(Outcome::Done);
    }
    let Options { condition, get, expire } = options(cx, args)?;
    let exists = if get || condition != Condition::Always { exists(cx, key, get)? } else { false };
    let applies = match condition {
        Condition::Always => true,
        Condition::IfMissing => !exists,
        Condition::IfExists => exists,
    };
    if !applies {
        if !get {
            cx.reply.null();
        }
        return Ok(Outcome::Done);
    }
    store(cx, key, value, expire);
    if let Expire::At(at_ms) = expire {
        cx.server.notify(cx.db, key.bytes, Event::EXPIRE);
        propagate_expiring(cx, key, value, at_ms);
    } else if get {
        // A replica that knows no GET with NX must still apply it.
        let keep = expire == Expire::Keep;
        let words: [&[u8]; 4] = [b"SET", key.bytes, value, b"KEEPTTL"];
        cx.propagate_as(&words[..if keep { 4 } else { 3 }]);
    }
    if !get {
        cx.reply.ok();
    }
    Ok(Outcome::Done)
}

/// Whether the key exists; with GET its value is the reply.
fn exists(cx: &mut Cx<'_>, key: Key<'_>, get: bool) -> Result<bool, CommandError> {
    if !get {
        return Ok(cx.server.find(cx.db, key).is_some());
    }
    match cx.server.read(cx.db, key) {
        Some(entry) => write_string(&mut cx.reply, entry.value()).map(|()| true),
        None => {
            cx.reply.null();
            Ok(false)
        }
    }
}

fn options(cx: &Cx<'_>, args: &mut Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options { condition: Condition::Always, get: false, expire: Expire::None };
    while args.left() > 0 {
        let free = options.expire == Expire::None;
        if options.condition != Condition::IfExists && args.take("NX") {
            options.condition = Condition::IfMissing;
        } else if options.condition != Condition::IfMissing && args.take("XX") {
            options.condition = Condition::IfExists;
        } else if args.take("GET") {
            options.get = true;
        } else if (free || options.expire == Expire::Keep) && args.take("KEEPTTL") {
            options.expire = Expire::Keep;
        } else if free && args.left() > 1 {
            let (unit_ms, absolute) = match args.next().to_ascii_uppercase().as_slice() {
                b"EX" => (1000, false),
                b"PX" => (1, false),
                b"EXAT" => (1000, true),
                b"PXAT" => (1, true),
                _ => return Err(CommandError::Syntax),
            };
            // An expiry is judged last, so that a syntax error behind it is found first.
            options.expire = Expire::At(0);
            let number = args.next();
            options_after_expiry(args, &mut options)?;
            options.expire = Expire::At(expiry(cx, number, unit_ms, absolute, "set")?);
            return Ok(options);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

/// Options behind an expiry: no second one, no KEEPTTL.
fn options_after_expiry(args: &mut Args<'_>, options: &mut Options) -> Result<(), CommandError> {
    while args.left() > 0 {
        if options.condition != Condition::IfExists && args.take("NX") {
            options.condition = Condition::IfMissing;
        } else if options.condition != Condition::IfMissing && args.take("XX") {
            options.condition = Condition::IfExists;
        } else if args.take("GET") {
            options.get = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(())
}

/// When something expires, Unix ms.
fn expiry(
    cx: &Cx<'_>,
    word: &[u8],
    unit_ms: i64,
    absolute: bool,
    command: &str,
) -> Result<i64, CommandError> {
    let invalid = || CommandError::Message(format!("ERR invalid expire time in '{command}' command"));
    let number = integer(word)?;
    if number <= 0 {
        return Err(invalid());
    }
    let ms = number.checked_mul(unit_ms).ok_or_else(invalid)?;
    if absolute { Ok(ms) } else { ms.checked_add(cx.server.time.now_ms()).ok_or_else(invalid) }
}

/// Writes the value and announces it.
#[inline]
fn store(cx: &mut Cx<'_>, key: Key<'_>, value: &[u8], expire: Expire) {
    let outcome =
        cx.server.keyspace.db_mut(cx.db).set(key.hash, key.bytes, NewValue::from_bytes(value), expire);
    match outcome.replaced {
        None => cx.server.notify_new(cx.db, key.bytes),
        Some(Kind::String) if outcome.garbage.is_none() => {}
        Some(_) => cx.server.discard(outcome.garbage),
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
    exists(cx, key, true)?;
    let value = args.next();
    store(cx, key, value, Expire::None);
    cx.propagate_as(&[b"SET", key.bytes, value]);
    Ok(Outcome::Done)
}

pub(super) fn mset(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    pairs(args, "mset")?;
    while args.left() > 0 {
        let key = cx.key(args.next());
        store(cx, key, args.next(), Expire::None);
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

pub(super) fn msetnx(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    pairs(args, "msetnx")?;
    for key in args.rest().step_by(2) {
        let key = cx.key(key);
        if cx.server.find(cx.db, key).is_some() {
            cx.reply.integer(0);
            return Ok(Outcome::Done);
        }
    }
    while args.left() > 0 {
        let key = cx.key(args.next());
        store(cx, key, args.next(), Expire::None);
    }
    cx.reply.integer(1);
    Ok(Outcome::Done)
}

fn pairs(args: &Args<'_>, command: &'static str) -> Result<(), CommandError> {
    if args.left().is_multiple_of(2) { Ok(()) } else { Err(CommandError::Arity(command.into())) }
}
