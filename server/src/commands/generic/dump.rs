//! DUMP and RESTORE: a key's value as bytes, and a key from such bytes.

use super::super::integer;
use crate::context::Cx;
use crate::events::Event;
use crate::persistence::rdb::{self, PayloadError, RdbValue};
use common::command::{Args, CommandError, CommandResult, Outcome};
use store::{Expire, NewValue, SharedBytes};

/// Strings from this length on are taken over instead of copied, bytes.
const TAKEN_OVER: usize = 16 << 10;

pub(super) fn dump(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let compression = cx.server.config.rdb_compression;
    match cx.server.read(cx.db, key) {
        Some(entry) => cx.reply.bulk(&rdb::dump(entry.value(), compression)),
        None => cx.reply.null(),
    }
    Ok(Outcome::Done)
}

#[derive(Default)]
struct Options {
    replaces: bool,
    /// The expiry is a time, not a distance.
    is_absolute: bool,
    idle_s: Option<u64>,
    frequency: Option<u8>,
}

impl Options {
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        while args.left() > 0 {
            if args.take("REPLACE") {
                options.replaces = true;
            } else if args.take("ABSTTL") {
                options.is_absolute = true;
            } else if args.left() > 1 && options.frequency.is_none() && args.take("IDLETIME") {
                let idle_s = u64::try_from(args.integer()?);
                options.idle_s =
                    Some(idle_s.map_err(|_| CommandError::Text("ERR Invalid IDLETIME value, must be >= 0"))?);
            } else if args.left() > 1 && options.idle_s.is_none() && args.take("FREQ") {
                let frequency = u8::try_from(args.integer()?);
                options.frequency =
                    Some(frequency.map_err(|_| {
                        CommandError::Text("ERR Invalid FREQ value, must be >= 0 and <= 255")
                    })?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

pub(super) fn restore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, ttl, payload) = (cx.key(args.next()), args.next(), args.next());
    let options = Options::parse(args)?;
    if !options.replaces && cx.server.find(cx.db, key).is_some() {
        return Err("BUSYKEY Target key name already exists.".into());
    }
    let ttl = integer(ttl)?;
    if ttl < 0 {
        return Err("ERR Invalid TTL value, must be >= 0".into());
    }
    let value = rdb::restore(payload, cx.server.verifies_checksums, &cx.server.limits());
    let value = value.map_err(|error| match error {
        PayloadError::Footer => CommandError::Text("ERR DUMP payload version or checksum are wrong"),
        PayloadError::Content => CommandError::Text("ERR Bad data format"),
    })?;
    let old = cx.server.keyspace.db(cx.db).get(key.hash, key.bytes).map(|entry| entry.kind());
    let replaced = options.replaces && {
        let lazily = cx.server.config.lazyfree_lazy_server_del;
        cx.server.remove(cx.db, key, lazily)
    };
    let now_ms = cx.server.time.now_ms();
    // A distance that leads beyond the end of time has passed, as in Redis.
    let at_ms = if options.is_absolute { ttl } else { ttl.wrapping_add(now_ms) };
    if ttl != 0 && cx.server.is_overdue(at_ms) {
        if replaced {
            cx.changed(key, Event::DEL);
            cx.propagate_as(&[b"DEL", key.bytes]);
        }
        cx.reply.ok();
        return Ok(Outcome::Done);
    }
    let value = match &value {
        RdbValue::String(bytes) if bytes.len() < TAKEN_OVER => NewValue::from_bytes(bytes),
        _ => match value {
            RdbValue::String(bytes) => NewValue::Shared(SharedBytes::new(bytes)),
            RdbValue::Object(object) => NewValue::Object(object),
        },
    };
    let new = value.kind();
    let access = cx.server.access.imported(options.idle_s, options.frequency);
    let db = cx.server.keyspace.db_mut(cx.db);
    db.set(key.hash, key.bytes, value, if ttl == 0 { Expire::None } else { Expire::At(at_ms) });
    if let Some(access) = access {
        db.touch(key.hash, key.bytes, access);
    }
    cx.server.notify_new(cx.db, key.bytes);
    cx.changed(key, Event::RESTORE);
    if let Some(old) = old.filter(|_| replaced) {
        cx.server.notify_overwritten(cx.db, key.bytes, (old, new));
    }
    if ttl != 0 && !options.is_absolute && cx.is_propagating() {
        propagate_at(cx, args, at_ms);
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// Lets replicas do the same with a time instead of a distance.
fn propagate_at(cx: &mut Cx<'_>, args: &Args<'_>, at_ms: i64) {
    let at = at_ms.to_string();
    let mut words: Vec<&[u8]> = args.all().collect();
    words[2] = at.as_bytes();
    words.push(b"ABSTTL");
    cx.propagate_as(&words);
}
