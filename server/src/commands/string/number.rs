//! Counting: INCR and its kin.

use super::{check_length, string_bytes};
use crate::commands::integer;
use crate::context::Cx;
use crate::events::Event;
use crate::long_double::LongDouble;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::{Expire, NewValue, Value};

/// Direction of a count, and whether the request names the distance.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Up,
    Down,
    UpBy,
    DownBy,
}

pub(super) fn incr(cx: &mut Cx<'_>, args: &mut Args<'_>, step: Step) -> CommandResult {
    let key = cx.key(args.next());
    let by = match step {
        Step::Up => 1,
        Step::Down => -1,
        Step::UpBy => integer(args.next())?,
        Step::DownBy => {
            let by = integer(args.next())?;
            by.checked_neg().ok_or(CommandError::Text("ERR decrement would overflow"))?
        }
    };
    let at = cx.server.locate(cx.db, key);
    let now = match at.map(|at| cx.server.keyspace.db(cx.db).entry_at(at).value()) {
        None => None,
        Some(Value::Int(value)) => Some(value),
        Some(Value::List(_)) => return Err(CommandError::WrongType),
        Some(value) => {
            let bytes = string_bytes(value, &mut itoa::Buffer::new())?.to_vec();
            Some(parse_i64(&bytes).ok_or(CommandError::NotAnInteger)?)
        }
    };
    let sum = now.unwrap_or(0).checked_add(by).ok_or(CommandError::Overflow)?;
    let db = cx.server.keyspace.db_mut(cx.db);
    if let Some(at) = at {
        let garbage = db.entry_at_mut(at).set_int(sum);
        cx.server.discard(garbage);
    } else {
        db.set(key.hash, key.bytes, NewValue::Int(sum), Expire::None);
        cx.server.notify_new(cx.db, key.bytes);
    }
    cx.reply.integer(sum);
    // Redis names the event by the command's arithmetic, which always adds.
    cx.changed(key, Event::INCRBY);
    Ok(Outcome::Done)
}

pub(super) fn incrbyfloat(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let mut buffer = itoa::Buffer::new();
    let (now, existed) = match cx.server.find(cx.db, key) {
        None => (LongDouble::ZERO, false),
        Some(entry) => {
            let bytes = string_bytes(entry.value(), &mut buffer)?;
            (LongDouble::parse(bytes).ok_or(CommandError::NotAFloat)?, true)
        }
    };
    let by = LongDouble::parse(args.next()).ok_or(CommandError::NotAFloat)?;
    let sum = now + by;
    if !sum.is_finite() {
        return Err("ERR increment would produce NaN or Infinity".into());
    }
    let text = sum.to_string();
    check_length(cx, text.len() as u64)?;
    cx.server.keyspace.db_mut(cx.db).set(key.hash, key.bytes, NewValue::Bytes(text.as_bytes()), Expire::Keep);
    if !existed {
        cx.server.notify_new(cx.db, key.bytes);
    }
    cx.reply.bulk(text.as_bytes());
    cx.changed(key, Event::INCRBYFLOAT);
    // Floats don't travel: another machine might round otherwise.
    cx.propagate_as(&[b"SET", key.bytes, text.as_bytes(), b"KEEPTTL"]);
    Ok(Outcome::Done)
}
