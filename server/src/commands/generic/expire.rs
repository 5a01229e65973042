//! EXPIRE and its kin.

use crate::commands::integer;
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::resp::Reply;

#[derive(Default)]
struct Condition {
    none: bool,
    some: bool,
    greater: bool,
    less: bool,
}

impl Condition {
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        let mut condition = Self::default();
        while args.left() > 0 {
            if args.take("NX") {
                condition.none = true;
            } else if args.take("XX") {
                condition.some = true;
            } else if args.take("GT") {
                condition.greater = true;
            } else if args.take("LT") {
                condition.less = true;
            } else {
                return Err(CommandError::quoting("ERR Unsupported option ", args.next(), ""));
            }
        }
        if condition.none && (condition.some || condition.greater || condition.less) {
            return Err("ERR NX and XX, GT or LT options at the same time are not compatible".into());
        }
        if condition.greater && condition.less {
            return Err("ERR GT and LT options at the same time are not compatible".into());
        }
        Ok(condition)
    }

    /// Whether the expiry may change from `now` to `at_ms`; no expiry counts as infinitely late.
    fn allows(&self, now: Option<i64>, at_ms: i64) -> bool {
        !(self.none && now.is_some()
            || self.some && now.is_none()
            || self.greater && now.is_none_or(|now| at_ms <= now)
            || self.less && now.is_some_and(|now| at_ms >= now))
    }
}

pub(super) fn expire(cx: &mut Cx<'_>, args: &mut Args<'_>, unit_ms: i64, absolute: bool) -> CommandResult {
    let key = cx.key(args.next());
    let when = args.next();
    let condition = Condition::parse(args)?;
    let when = integer(when)?;
    let invalid = || {
        let name = String::from_utf8_lossy(args.get(0)).to_ascii_lowercase();
        CommandError::Message(format!("ERR invalid expire time in '{name}' command"))
    };
    let now_ms = cx.server.time.now_ms();
    let mut at_ms = when.checked_mul(unit_ms).ok_or_else(invalid)?;
    if !absolute {
        at_ms = at_ms.checked_add(now_ms).ok_or_else(invalid)?;
    }
    let Some(now) = cx.server.find(cx.db, key).map(|entry| entry.expire()) else {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    };
    if !condition.allows(now, at_ms) {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    }
    if cx.server.is_overdue(at_ms) {
        // A time that has passed deletes the key right away.
        let lazily = cx.server.config.lazyfree_lazy_expire;
        cx.server.remove(cx.db, key, lazily);
        cx.changed(key, Event::DEL);
        cx.propagate_as(&[if lazily { b"UNLINK" } else { b"DEL" }, key.bytes]);
    } else {
        // Only where data is imported a time can have passed; one from before 1970 has passed just as well.
        let at_ms = at_ms.max(0);
        cx.server.keyspace.db_mut(cx.db).set_expire(key.hash, key.bytes, Some(at_ms));
        cx.changed(key, Event::EXPIRE);
        if cx.is_propagating() {
            cx.propagate_as(&[b"PEXPIREAT", key.bytes, at_ms.to_string().as_bytes()]);
        }
    }
    cx.reply.integer(1);
    Ok(Outcome::Done)
}

pub(super) fn ttl(cx: &mut Cx<'_>, args: &mut Args<'_>, unit_ms: i64, absolute: bool) -> CommandResult {
    let key = cx.key(args.next());
    let now_ms = cx.server.time.now_ms();
    let reply = |reply: &mut Reply, value| reply.integer(value);
    match cx.server.peek(cx.db, key).map(|entry| entry.expire()) {
        None => reply(&mut cx.reply, -2),
        Some(None) => reply(&mut cx.reply, -1),
        Some(Some(at_ms)) => {
            let ms = if absolute { at_ms } else { (at_ms - now_ms).max(0) };
            // Seconds are rounded to the nearest; half a second may be added to the last moment there is.
            let seconds = || ms / 1000 + i64::from(ms % 1000 >= 500);
            reply(&mut cx.reply, if unit_ms == 1 { ms } else { seconds() });
        }
    }
    Ok(Outcome::Done)
}

pub(super) fn persist(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key: Key<'_> = cx.key(args.next());
    let had = cx.server.find(cx.db, key).is_some_and(|entry| entry.expire().is_some());
    if had {
        cx.server.keyspace.db_mut(cx.db).set_expire(key.hash, key.bytes, None);
        cx.changed(key, Event::PERSIST);
    }
    cx.reply.integer(i64::from(had));
    Ok(Outcome::Done)
}
