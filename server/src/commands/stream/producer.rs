//! Producers that may send an entry twice: what IDMP and IDMPAUTO mean for XADD, XCFGSET and XIDMPRECORD.
//!
//! Replicas get the entries, not what is remembered of producers: Redis 7.0 has no words for that, and drops a whole
//! transaction that has a word it does not know. Snapshots keep it.

use super::strict_id;
use crate::context::Cx;
use crate::replication::Propagate;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use store::stream::{ProducerLimits, Producers, Stream, StreamId};
use xxhash_rust::xxh3::Xxh3;

/// Where XADD's words say who sends an entry, and under which name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    producer: usize,
    /// `None`: its content names it.
    name: Option<usize>,
}

/// An entry's sender and name.
pub(super) struct Sent<'w> {
    producer: &'w [u8],
    name: Vec<u8>,
}

impl Origin {
    /// Takes IDMP or IDMPAUTO and what belongs to it, if that comes next.
    pub(super) fn take(args: &mut Args<'_>) -> Option<Self> {
        let at = args.count() - args.left();
        if args.left() > 2 && args.take("IDMP") {
            args.next();
            args.next();
            return Some(Self { producer: at + 1, name: Some(at + 2) });
        }
        if args.left() > 1 && args.take("IDMPAUTO") {
            args.next();
            return Some(Self { producer: at + 1, name: None });
        }
        None
    }

    /// Who sends an entry of these fields and values, and its name.
    ///
    /// # Errors
    /// When one of them is empty.
    pub(super) fn resolve<'w>(self, args: &Args<'w>, words: &[&[u8]]) -> Result<Sent<'w>, CommandError> {
        let producer = args.get(self.producer);
        let name = self.name.map_or_else(|| name_of(words), |at| args.get(at).to_vec());
        check_names(producer, &name)?;
        Ok(Sent { producer, name })
    }
}

fn check_names(producer: &[u8], name: &[u8]) -> Result<(), CommandError> {
    match (producer.is_empty(), name.is_empty()) {
        (true, _) => Err("ERR the producer ID must not be empty".into()),
        (_, true) => Err("ERR the idempotent ID must not be empty".into()),
        _ => Ok(()),
    }
}

/// A name for an entry that has none: the same for the same fields and values in the same order.
fn name_of(words: &[&[u8]]) -> Vec<u8> {
    let mut hash = Xxh3::new();
    for word in words {
        hash.update(&(word.len() as u64).to_le_bytes());
        hash.update(word);
    }
    hash.digest128().to_be_bytes().to_vec()
}

/// What streams remember of their producers unless XCFGSET said otherwise.
fn default_limits(cx: &Cx<'_>) -> ProducerLimits {
    let config = &cx.server.config;
    ProducerLimits { duration_s: config.stream_idmp_duration, max_size: config.stream_idmp_maxsize }
}

/// Changes what a stream that is there knows of its producers.
fn change<R>(cx: &mut Cx<'_>, key: Key<'_>, change: impl FnOnce(&mut Producers) -> R) -> R {
    let defaults = default_limits(cx);
    let entry = cx.server.keyspace.db_mut(cx.db).get_mut(key.hash, key.bytes);
    let changed = entry
        .and_then(|mut entry| entry.change::<Stream, _>(|stream| change(stream.producers_mut(defaults))));
    changed.expect("the caller found a stream")
}

/// The ID of the entry, if it was sent before; that counts.
pub(super) fn find(cx: &mut Cx<'_>, key: Key<'_>, sent: &Sent<'_>) -> Result<Option<StreamId>, CommandError> {
    let now_ms = cx.server.time.now_ms();
    let stream = cx.server.find_typed::<Stream>(cx.db, key)?;
    let id = stream.and_then(Stream::producers).and_then(|all| all.find(sent.producer, &sent.name, now_ms));
    if id.is_some() {
        change(cx, key, |producers| producers.duplicates += 1);
    }
    Ok(id)
}

/// Remembers an entry that was added.
pub(super) fn record(cx: &mut Cx<'_>, key: Key<'_>, sent: &Sent<'_>, id: StreamId) {
    let now_ms = cx.server.time.now_ms();
    change(cx, key, |producers| producers.record(sent.producer, &sent.name, id, now_ms));
}

const NO_KEY: CommandError = CommandError::Text("ERR no such key");

pub(super) fn xcfgset(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let (mut duration_s, mut max_size) = (None, None);
    while args.left() > 0 {
        let more = args.left() > 1;
        if more && args.take("IDMP-DURATION") {
            duration_s = Some(within(args, 86_400, "ERR invalid duration")?);
        } else if more && args.take("IDMP-MAXSIZE") {
            max_size = Some(within(args, 10_000, "ERR invalid maxsize")?);
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if duration_s.is_none() && max_size.is_none() {
        return Err(CommandError::Syntax);
    }
    cx.server.find_typed::<Stream>(cx.db, key)?.ok_or(NO_KEY)?;
    change(cx, key, |producers| {
        let ProducerLimits { duration_s: old_duration_s, max_size: old_max_size } = producers.limits();
        producers.set_limits(ProducerLimits {
            duration_s: duration_s.unwrap_or(old_duration_s),
            max_size: max_size.unwrap_or(old_max_size),
        });
    });
    cx.reply.ok();
    super::note(cx, key, None);
    cx.propagate = Propagate::Nothing;
    Ok(Outcome::Done)
}

/// A number from 1 to `most`.
fn within(args: &mut Args<'_>, most: u32, otherwise: &'static str) -> Result<u32, CommandError> {
    let number = u32::try_from(args.integer()?).ok().filter(|number| (1..=most).contains(number));
    number.ok_or(CommandError::Text(otherwise))
}

pub(super) fn xidmprecord(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, producer, name) = (cx.key(args.next()), args.next(), args.next());
    let id = strict_id(args.next(), 0)?;
    check_names(producer, name)?;
    let now_ms = cx.server.time.now_ms();
    let stream = cx.server.find_typed::<Stream>(cx.db, key)?.ok_or(NO_KEY)?;
    if !stream.contains(id) {
        return Err("ERR no such entry in the stream".into());
    }
    match stream.producers().and_then(|producers| producers.find(producer, name, now_ms)) {
        Some(known) if known != id => {
            return Err("ERR the producer has sent another entry under this idempotent ID".into());
        }
        Some(_) => {}
        None => {
            change(cx, key, |producers| producers.record(producer, name, id, now_ms));
            super::note(cx, key, None);
        }
    }
    cx.propagate = Propagate::Nothing;
    cx.reply.ok();
    Ok(Outcome::Done)
}
