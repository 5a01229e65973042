//! Fields that expire: HEXPIRE and its kin, HGETEX, HSETEX, HGETDEL.
//!
//! What is propagated names points in time and the fields that did change: HPEXPIREAT, HPERSIST, HDEL.

use super::{announce_removal, remove, write_value};
use crate::commands::integer;
use crate::context::Cx;
use crate::events::Event;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::HashValue;

/// The latest time that a field may expire at, unix ms: what Redis's 46 bits hold.
const LATEST_MS: i64 = (1 << 46) - 1;

/// What a command says about the expiry of a field that is not there.
const NO_FIELD: i64 = -2;

/// When the expiry of a field may change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    None,
    Some,
    Greater,
    Less,
}

impl Condition {
    fn take(args: &mut Args<'_>) -> Self {
        let known = [("NX", Self::None), ("XX", Self::Some), ("GT", Self::Greater), ("LT", Self::Less)];
        let found = known.into_iter().find(|(word, _)| args.take(word));
        found.map_or(Self::Always, |(_, condition)| condition)
    }

    /// No expiry counts as infinitely late.
    fn allows(self, now: Option<i64>, at_ms: i64) -> bool {
        match self {
            Self::Always => true,
            Self::None => now.is_none(),
            Self::Some => now.is_some(),
            Self::Greater => now.is_some_and(|now| at_ms > now),
            Self::Less => now.is_none_or(|now| at_ms < now),
        }
    }
}

/// Reads `FIELDS numfields`; then the words left are the fields, each with `words - 1` more.
fn take_fields(args: &mut Args<'_>, words: usize) -> Result<(), CommandError> {
    if !args.take("FIELDS") {
        return Err("ERR Mandatory argument FIELDS is missing or not at the right position".into());
    }
    let number = parse_i64(args.expect_next()?).filter(|number| (1..=i64::from(i32::MAX)).contains(number));
    let number = number.ok_or(CommandError::Text("ERR Parameter `numFields` should be greater than 0"))?;
    if args.left() != number as usize * words {
        return Err("ERR The `numfields` parameter must match the number of arguments".into());
    }
    Ok(())
}

fn invalid(args: &Args<'_>) -> CommandError {
    let name = String::from_utf8_lossy(args.get(0)).to_ascii_lowercase();
    CommandError::Message(format!("ERR invalid expire time in '{name}' command"))
}

/// A time in `unit_ms`, from now unless `absolute`, as unix ms.
fn point(
    cx: &Cx<'_>,
    args: &Args<'_>,
    word: &[u8],
    (unit_ms, absolute): (i64, bool),
) -> Result<i64, CommandError> {
    let number = integer(word)?;
    if number < 0 {
        return Err("ERR invalid expire time, must be >= 0".into());
    }
    let ms = number.checked_mul(unit_ms).ok_or_else(|| invalid(args))?;
    let base = if absolute { 0 } else { cx.server.time.now_ms() };
    ms.checked_add(base).filter(|at| *at <= LATEST_MS).ok_or_else(|| invalid(args))
}

/// Has replicas let fields expire at a time.
pub(super) fn propagate_expiry(cx: &mut Cx<'_>, key: Key<'_>, at_ms: i64, fields: &[&[u8]]) {
    let (at, number) = (at_ms.to_string(), fields.len().to_string());
    let words = [&b"HPEXPIREAT"[..], key.bytes, at.as_bytes(), b"FIELDS", number.as_bytes()];
    cx.propagate_as(&[&words[..], fields].concat());
}

fn propagate_removal(cx: &mut Cx<'_>, key: Key<'_>, fields: &[&[u8]]) {
    cx.propagate_as(&[&[&b"HDEL"[..], key.bytes][..], fields].concat());
}

fn propagate_persistence(cx: &mut Cx<'_>, key: Key<'_>, fields: &[&[u8]]) {
    let number = fields.len().to_string();
    cx.propagate_as(&[&[&b"HPERSIST"[..], key.bytes, b"FIELDS", number.as_bytes()][..], fields].concat());
}

/// Lets fields expire at a time; they are deleted if that has passed. Says so to everybody.
fn set_expiry(cx: &mut Cx<'_>, key: Key<'_>, at_ms: i64, fields: &[&[u8]]) -> Result<(), CommandError> {
    if fields.is_empty() {
        return Ok(());
    }
    let passed = cx.server.is_overdue(at_ms);
    cx.server.edit_hash(cx.db, key, false, |hash| {
        for field in fields {
            if passed {
                hash.remove(field);
            } else {
                hash.set_expiry(field, Some(at_ms));
            }
        }
    })?;
    if passed {
        propagate_removal(cx, key, fields);
        announce_removal(cx, key, fields.len() as i64);
    } else {
        propagate_expiry(cx, key, at_ms, fields);
        cx.changed_by(fields.len() as u64, key, Event::HEXPIRE);
    }
    Ok(())
}

pub(super) fn expire(cx: &mut Cx<'_>, args: &mut Args<'_>, unit_ms: i64, absolute: bool) -> CommandResult {
    let (key, word) = (cx.key(args.next()), args.next());
    let at_ms = point(cx, args, word, (unit_ms, absolute))?;
    let condition = Condition::take(args);
    take_fields(args, 1)?;
    let (due_ms, passed) = (cx.server.time.due_ms(), cx.server.is_overdue(at_ms));
    let hash = cx.server.find_hash(cx.db, key)?;
    cx.reply.array(args.left());
    let mut allowed: Vec<&[u8]> = Vec::new();
    for field in args.rest() {
        let found = hash.and_then(|hash| hash.find(field)).filter(|found| found.is_alive(due_ms));
        // A field that is named twice is gone the second time, if the first deleted it.
        let gone = passed && allowed.contains(&field);
        let now = match found {
            None => Err(NO_FIELD),
            Some(_) if gone => Err(NO_FIELD),
            Some(_) if allowed.contains(&field) => Ok(Some(at_ms)),
            Some(found) => Ok(found.expire),
        };
        cx.reply.integer(match now {
            Err(reply) => reply,
            Ok(now) if !condition.allows(now, at_ms) => 0,
            Ok(_) => {
                if !allowed.contains(&field) {
                    allowed.push(field);
                }
                if passed { 2 } else { 1 }
            }
        });
    }
    set_expiry(cx, key, at_ms, &allowed)?;
    Ok(Outcome::Done)
}

pub(super) fn ttl(cx: &mut Cx<'_>, args: &mut Args<'_>, unit_ms: i64, absolute: bool) -> CommandResult {
    let key = cx.key(args.next());
    take_fields(args, 1)?;
    let (now_ms, due_ms) = (cx.server.time.now_ms(), cx.server.time.due_ms());
    let hash = cx.server.read_hash(cx.db, key)?;
    cx.reply.array(args.left());
    for field in args.rest() {
        let found = hash.and_then(|hash| hash.find(field)).filter(|found| found.is_alive(due_ms));
        let base = if absolute { 0 } else { now_ms };
        // Seconds are rounded up: a field that lives has some time left, but for who sees what has expired.
        let left = |at: i64| ((at - base).max(0) + unit_ms - 1) / unit_ms;
        cx.reply.integer(found.map_or(NO_FIELD, |found| found.expire.map_or(-1, left)));
    }
    Ok(Outcome::Done)
}

/// Removes the expiry of those fields that have one; gives their names.
fn persist_fields<'f>(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    fields: impl Iterator<Item = &'f [u8]>,
) -> Result<Vec<&'f [u8]>, CommandError> {
    let due_ms = cx.server.time.due_ms();
    let Some(hash) = cx.server.find_hash(cx.db, key)? else { return Ok(Vec::new()) };
    let has_expiry = |field: &&[u8]| {
        hash.find(field).is_some_and(|found| found.is_alive(due_ms) && found.expire.is_some())
    };
    let fields: Vec<&[u8]> = fields.filter(has_expiry).collect();
    if !fields.is_empty() {
        cx.server.edit_hash(cx.db, key, false, |hash| {
            fields.iter().for_each(|field| hash.set_expiry(field, None));
        })?;
        propagate_persistence(cx, key, &fields);
        cx.changed_by(fields.len() as u64, key, Event::HPERSIST);
    }
    Ok(fields)
}

pub(super) fn persist(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    take_fields(args, 1)?;
    let due_ms = cx.server.time.due_ms();
    let hash = cx.server.find_hash(cx.db, key)?;
    cx.reply.array(args.left());
    for field in args.rest() {
        let found = hash.and_then(|hash| hash.find(field)).filter(|found| found.is_alive(due_ms));
        cx.reply.integer(found.map_or(NO_FIELD, |found| if found.expire.is_some() { 1 } else { -1 }));
    }
    persist_fields(cx, key, args.rest())?;
    Ok(Outcome::Done)
}

/// What HGETEX and HSETEX say about the expiry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ttl<'a> {
    Unsaid,
    /// The word, its unit in ms, and whether it counts from 1970.
    Set(&'a [u8], i64, bool),
    Keep,
    Persist,
}

impl<'a> Ttl<'a> {
    /// Takes a word that says something about it, if the next one does; `lone` is the one that takes no number.
    fn take(
        self,
        args: &mut Args<'a>,
        lone: (&str, Self),
        error: &'static str,
    ) -> Result<Option<Self>, CommandError> {
        let units = [("EX", 1000, false), ("PX", 1, false), ("EXAT", 1000, true), ("PXAT", 1, true)];
        let taken = if args.take(lone.0) {
            lone.1
        } else if let Some((_, unit_ms, absolute)) = units.into_iter().find(|(word, ..)| args.take(word)) {
            Self::Set(args.expect_next()?, unit_ms, absolute)
        } else {
            return Ok(None);
        };
        if self == Self::Unsaid { Ok(Some(taken)) } else { Err(error.into()) }
    }
}

pub(super) fn hgetex(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let error = "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified";
    let mut ttl = Ttl::Unsaid;
    while let Some(taken) = ttl.take(args, ("PERSIST", Ttl::Persist), error)? {
        ttl = taken;
    }
    take_fields(args, 1)?;
    let at_ms = match ttl {
        Ttl::Set(word, unit_ms, absolute) => Some(point(cx, args, word, (unit_ms, absolute))?),
        _ => None,
    };
    let due_ms = cx.server.time.due_ms();
    let hash = cx.server.read_hash(cx.db, key)?;
    cx.reply.array(args.left());
    let mut found: Vec<&[u8]> = Vec::new();
    for field in args.rest() {
        write_value(&mut cx.reply, hash, field, due_ms);
        let alive = hash.is_some_and(|hash| hash.get(field, due_ms).is_some());
        if alive && !found.contains(&field) {
            found.push(field);
        }
    }
    match (ttl, at_ms) {
        (_, Some(at_ms)) => set_expiry(cx, key, at_ms, &found)?,
        (Ttl::Persist, _) => drop(persist_fields(cx, key, found.into_iter())?),
        _ => {}
    }
    Ok(Outcome::Done)
}

pub(super) fn hgetdel(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    take_fields(args, 1)?;
    let due_ms = cx.server.time.due_ms();
    let hash = cx.server.find_hash(cx.db, key)?;
    cx.reply.array(args.left());
    let mut found: Vec<&[u8]> = Vec::new();
    for field in args.rest() {
        // Named twice, a field is gone the second time.
        let hash = hash.filter(|_| !found.contains(&field));
        write_value(&mut cx.reply, hash, field, due_ms);
        if hash.is_some_and(|hash| hash.get(field, due_ms).is_some()) {
            found.push(field);
        }
    }
    if !found.is_empty() {
        cx.server.edit_hash(cx.db, key, false, |hash| remove(hash, found.iter().copied(), due_ms))?;
        propagate_removal(cx, key, &found);
        announce_removal(cx, key, found.len() as i64);
    }
    Ok(Outcome::Done)
}

pub(super) fn hsetex(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let error = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
    let (mut ttl, mut wants_found) = (Ttl::Unsaid, None);
    loop {
        let only = match () {
            () if args.take("FNX") => false,
            () if args.take("FXX") => true,
            () => match ttl.take(args, ("KEEPTTL", Ttl::Keep), error)? {
                Some(taken) => {
                    ttl = taken;
                    continue;
                }
                None => break,
            },
        };
        if wants_found.replace(only).is_some() {
            return Err("ERR Only one of FXX or FNX arguments can be specified".into());
        }
    }
    take_fields(args, 2)?;
    let at_ms = match ttl {
        Ttl::Set(word, unit_ms, absolute) => Some(point(cx, args, word, (unit_ms, absolute))?),
        _ => None,
    };
    let words: Vec<&[u8]> = args.rest().collect();
    let due_ms = cx.server.time.due_ms();
    let hash = cx.server.find_hash(cx.db, key)?;
    let is_there = |pair: &[&[u8]]| hash.is_some_and(|hash| hash.get(pair[0], due_ms).is_some());
    let holds = wants_found.is_none_or(|wanted| words.chunks_exact(2).all(|pair| is_there(pair) == wanted));
    cx.reply.integer(i64::from(holds));
    if holds {
        set_fields(cx, key, &words, (ttl == Ttl::Keep, at_ms))?;
    }
    Ok(Outcome::Done)
}

/// Sets fields, then when they expire.
fn set_fields(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    words: &[&[u8]],
    (keeps, at_ms): (bool, Option<i64>),
) -> Result<(), CommandError> {
    let (limit, due_ms) = (cx.server.limits().hash, cx.server.time.due_ms());
    let fields: Vec<&[u8]> = words.chunks_exact(2).map(|pair| pair[0]).collect();
    let kept = cx.server.edit_hash(cx.db, key, true, |hash: &mut HashValue| {
        hash.prepare(words.iter().copied(), &limit);
        let mut kept = Vec::new();
        for pair in words.chunks_exact(2) {
            let expire = hash.find(pair[0]).and_then(|found| found.expire).filter(|at| *at > due_ms);
            match expire {
                Some(at) if keeps => {
                    hash.set_keeping(pair[0], pair[1], &limit);
                    kept.push((pair[0], at));
                }
                _ => drop(Some(hash.set(pair[0], pair[1], &limit))),
            }
        }
        kept
    })?;
    cx.propagate_as(&[&[&b"HSET"[..], key.bytes][..], words].concat());
    cx.changed_by(fields.len() as u64, key, Event::HSET);
    for (field, at) in kept.unwrap_or_default() {
        propagate_expiry(cx, key, at, &[field]);
    }
    match at_ms {
        Some(at_ms) => {
            let mut distinct: Vec<&[u8]> = Vec::new();
            for field in fields {
                if !distinct.contains(&field) {
                    distinct.push(field);
                }
            }
            set_expiry(cx, key, at_ms, &distinct)
        }
        None => Ok(()),
    }
}
