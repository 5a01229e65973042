//! Walking the keyspace: SCAN, KEYS, RANDOMKEY.

use super::cursor;
use crate::context::{Caller, Cx};
use crate::lifecycle::fill_random;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::glob::glob_match;

/// Keys looked at by one SCAN when the client names no COUNT.
const SCAN_COUNT: i64 = 10;
/// Most keys one SCAN looks at, whatever COUNT says: a turn must end.
const SCAN_MOST: i64 = i32::MAX as i64;
/// RANDOMKEY gives up finding a key that lives after as many that don't.
const RANDOM_TRIES: usize = 100;

pub(super) fn keys(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let pattern = args.next();
    let due_ms = cx.server.time.due_ms();
    let mark = cx.reply.mark();
    let mut count = 0;
    let all = pattern == b"*";
    for entry in cx.server.keyspace.db(cx.db).iter() {
        let alive = entry.expire().is_none_or(|at| at > due_ms);
        if alive && (all || glob_match(pattern, entry.key(), false)) {
            cx.reply.bulk(entry.key());
            count += 1;
        }
    }
    cx.reply.array_at(mark, count);
    Ok(Outcome::Done)
}

pub(super) fn randomkey(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let random = || {
        let mut bytes = [0; 8];
        fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    };
    for attempt in 1.. {
        let Some(entry) = cx.server.keyspace.db(cx.db).random(random) else { break };
        let key = entry.key().to_vec();
        let alive = entry.expire().is_none_or(|at| at > cx.server.time.due_ms());
        if !alive && attempt < RANDOM_TRIES {
            let hash = cx.server.keyspace.hash(&key);
            expire(cx, Key::new(&key, hash));
            continue;
        }
        cx.reply.bulk(&key);
        return Ok(Outcome::Done);
    }
    cx.reply.null();
    Ok(Outcome::Done)
}

/// Deletes a key that a walk came across. Each is a change by itself, as if it had been found by the clock: replicas
/// need not take them as one, and the number of keys in a walk has no limit.
fn expire(cx: &mut Cx<'_>, key: Key<'_>) {
    cx.server.expire(cx.db, key);
    if cx.caller == Caller::Client {
        cx.server.replication.commit();
    }
}

pub(super) fn scan(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let from = cursor(args.next())?;
    let (mut pattern, mut count, mut kind) = (None, SCAN_COUNT, None);
    while args.left() >= 2 {
        if args.take("COUNT") {
            count = args.integer()?;
            if count < 1 {
                return Err(CommandError::Syntax);
            }
        } else if args.take("MATCH") {
            pattern = Some(args.next()).filter(|pattern| *pattern != b"*");
        } else if args.take("TYPE") {
            kind = Some(args.next().to_ascii_lowercase());
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if args.left() > 0 {
        return Err(CommandError::Syntax);
    }
    let due_ms = cx.server.time.due_ms();
    let mut found: Vec<&[u8]> = Vec::new();
    let mut expired: Vec<Vec<u8>> = Vec::new();
    let next = cx.server.keyspace.db(cx.db).scan(from, count.min(SCAN_MOST) as usize, |entry| {
        if pattern.is_some_and(|pattern| !glob_match(pattern, entry.key(), false)) {
            return;
        }
        if entry.expire().is_some_and(|at| at <= due_ms) {
            expired.push(entry.key().to_vec());
        } else if kind.as_ref().is_none_or(|kind| entry.kind().name().as_bytes() == kind.as_slice()) {
            found.push(entry.key());
        }
    });
    cx.reply.array(2);
    cx.reply.bulk(next.to_string().as_bytes());
    cx.reply.array(found.len());
    for key in found {
        cx.reply.bulk(key);
    }
    for key in expired {
        let hash = cx.server.keyspace.hash(&key);
        expire(cx, Key::new(&key, hash));
    }
    Ok(Outcome::Done)
}
