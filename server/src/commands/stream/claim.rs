//! XCLAIM, XAUTOCLAIM and XNACK: pending entries change hands.

use super::read::{propagate_claim, propagate_group_id};
use super::{counted_ids, id_or_pattern, no_group, start_id, stream_mut, strict_id, write_entry, write_id};
use crate::commands::integer;
use crate::context::Cx;
use crate::events::Event;
use crate::replication::Propagate;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::stream::{Group, Nack, Stream, StreamId};

/// A claim in progress.
struct Claim<'k> {
    key: Key<'k>,
    group: &'k [u8],
    consumer: &'k [u8],
    least_idle_ms: i64,
    /// When the entries shall count as delivered.
    delivered_ms: i64,
    deliveries: Option<u64>,
    just_id: bool,
    now_ms: i64,
    /// Whether replicas learn of the consumer with an entry.
    told: bool,
}

impl Claim<'_> {
    fn group<'c>(&self, cx: &'c mut Cx<'_>) -> &'c mut Group {
        stream_mut(cx, self.key).group_mut(self.group).expect("it was found")
    }

    /// Makes sure that the consumer exists; true when it is new.
    fn greet(&self, cx: &mut Cx<'_>) -> bool {
        let (now_ms, consumer) = (self.now_ms, self.consumer);
        let group = self.group(cx);
        let is_new = group.create_consumer(consumer, now_ms);
        group.touch_consumer(consumer, now_ms, None);
        if is_new {
            super::note(cx, self.key, Some(Event::XGROUP_CREATECONSUMER));
        }
        is_new
    }

    /// Forgets a pending entry that was deleted from the stream.
    fn forget(&self, cx: &mut Cx<'_>, id: StreamId) {
        if cx.is_propagating() {
            let last_id = self.group(cx).last_id;
            propagate_claim(cx, self.key, self.group, id, last_id);
        }
        self.group(cx).acknowledge(id);
        cx.server.dirty += 1;
    }

    /// Gives an entry, pending before as `old`, to the consumer and replies it.
    fn take(&mut self, cx: &mut Cx<'_>, id: StreamId, old: Option<&Nack>) {
        let counted = old.map_or(0, |nack| nack.deliveries);
        let deliveries = self.deliveries.unwrap_or(counted.saturating_add(u64::from(!self.just_id)));
        let group = self.group(cx);
        group.assign(id, self.consumer, self.delivered_ms, deliveries);
        group.touch_consumer(self.consumer, self.now_ms, Some(self.now_ms));
        let last_id = group.last_id;
        if self.just_id {
            write_id(&mut cx.reply, id);
        } else {
            let entry = cx.server.keyspace.db(cx.db).get(self.key.hash, self.key.bytes);
            let stream: &Stream = entry.and_then(|entry| entry.typed()).expect("it was found");
            write_entry(&mut cx.reply, &stream.range(id, id).next().expect("the caller has looked"));
        }
        if cx.is_propagating() {
            propagate_claim(cx, self.key, self.group, id, last_id);
        }
        self.told = true;
        cx.server.dirty += 1;
    }

    fn is_idle(&self, nack: &Nack) -> bool {
        self.least_idle_ms == 0 || self.now_ms.saturating_sub(nack.delivered_ms) >= self.least_idle_ms
    }

    /// Replicas must know a new consumer that got nothing as well.
    fn finish(&self, cx: &mut Cx<'_>, is_new: bool) {
        if is_new && !self.told && cx.is_propagating() {
            cx.propagate_as(&[b"XGROUP", b"CREATECONSUMER", self.key.bytes, self.group, self.consumer]);
        }
    }
}

/// Fails unless key and group exist.
fn check_group(cx: &mut Cx<'_>, key: Key<'_>, name: &[u8]) -> Result<(), CommandError> {
    let stream = cx.server.read_typed::<Stream>(cx.db, key)?;
    stream.and_then(|stream| stream.group(name)).map(drop).ok_or_else(|| no_group(key.bytes, name))
}

/// The options of XCLAIM.
#[derive(Default)]
struct Options {
    /// Unix ms.
    delivered_ms: Option<i64>,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Options {
    fn parse(args: &mut Args<'_>, now_ms: i64) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let number = |word: &[u8], text: &'static str| parse_i64(word).ok_or(CommandError::Text(text));
        while args.left() > 0 {
            let more = args.left() > 1;
            if args.take("FORCE") {
                options.force = true;
            } else if args.take("JUSTID") {
                options.just_id = true;
            } else if more && args.take("IDLE") {
                let idle = number(args.next(), "ERR Invalid IDLE option argument for XCLAIM")?;
                options.delivered_ms = Some(now_ms.saturating_sub(idle));
            } else if more && args.take("TIME") {
                options.delivered_ms =
                    Some(number(args.next(), "ERR Invalid TIME option argument for XCLAIM")?);
            } else if more && args.take("RETRYCOUNT") {
                let count = number(args.next(), "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                options.deliveries = u64::try_from(count).ok();
            } else if more && args.take("LASTID") {
                options.last_id = strict_id(args.next(), 0)?;
            } else {
                let text = [b"ERR Unrecognized XCLAIM option '", args.next(), b"'"].concat();
                return Err(CommandError::Raw(text));
            }
        }
        Ok(options)
    }
}

pub(super) fn xclaim(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, group, consumer) = (cx.key(args.next()), args.next(), args.next());
    check_group(cx, key, group)?;
    let least_idle_ms = parse_i64(args.next())
        .ok_or(CommandError::Text("ERR Invalid min-idle-time argument for XCLAIM"))?
        .max(0);
    let mut ids = Vec::new();
    while let Some(word) = args.peek() {
        // What is no ID may be an option.
        let Ok((id, true)) = id_or_pattern(word, 0) else { break };
        ids.push(id);
        args.next();
    }
    let now_ms = cx.server.time.now_ms();
    let options = Options::parse(args, now_ms)?;
    cx.propagate = Propagate::Nothing;
    // A time that makes no sense is the present one: clients may compute it by a clock of their own.
    let delivered_ms = options.delivered_ms.filter(|at| (0..=now_ms).contains(at)).unwrap_or(now_ms);
    let (deliveries, just_id) = (options.deliveries, options.just_id);
    let mut claim =
        Claim { key, group, consumer, least_idle_ms, delivered_ms, deliveries, just_id, now_ms, told: false };
    let group = claim.group(cx);
    let mut advanced = options.last_id > group.last_id;
    group.last_id = group.last_id.max(options.last_id);
    let is_new = claim.greet(cx);
    let mark = cx.reply.mark();
    let mut written = 0;
    for id in ids {
        let stream = stream_mut(cx, key);
        let old = stream.group(claim.group).and_then(|group| group.pending().get(id)).cloned();
        if !stream.contains(id) {
            if old.is_some() {
                claim.forget(cx, id);
                advanced = false;
            }
            continue;
        }
        let takes = match &old {
            Some(nack) => nack.consumer.is_none() || claim.is_idle(nack),
            None => options.force,
        };
        if takes {
            // One made by FORCE counts this as its first delivery already.
            let new = Nack { consumer: None, delivered_ms, deliveries: 1 };
            claim.take(cx, id, Some(old.as_ref().unwrap_or(&new)));
            written += 1;
            advanced = false;
        }
    }
    cx.reply.array_at(mark, written);
    claim.finish(cx, is_new);
    if advanced {
        if cx.is_propagating() {
            propagate_group_id(cx, key, claim.group);
        }
        cx.server.dirty += 1;
    }
    Ok(Outcome::Done)
}

/// Pending entries that XAUTOCLAIM looks at per entry that it may claim.
const ATTEMPTS: usize = 10;
/// Entries that it may be asked to claim.
const MOST_CLAIMED: i64 = i64::MAX / 16;

pub(super) fn xautoclaim(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, group, consumer) = (cx.key(args.next()), args.next(), args.next());
    let least_idle_ms = parse_i64(args.next())
        .ok_or(CommandError::Text("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?
        .max(0);
    let start = start_id(args.next())?;
    let (mut count, mut just_id) = (100, false);
    while args.left() > 0 {
        if args.left() > 1 && args.take("COUNT") {
            let wanted = integer(args.next()).ok().filter(|count| (1..=MOST_CLAIMED).contains(count));
            count = wanted.ok_or(CommandError::Text("ERR COUNT must be > 0"))? as usize;
        } else if args.take("JUSTID") {
            just_id = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    check_group(cx, key, group)?;
    cx.propagate = Propagate::Nothing;
    let now_ms = cx.server.time.now_ms();
    let mut claim = Claim {
        key,
        group,
        consumer,
        least_idle_ms,
        delivered_ms: now_ms,
        deliveries: None,
        just_id,
        now_ms,
        told: false,
    };
    let is_new = claim.greet(cx);
    cx.reply.array(3);
    let id_mark = cx.reply.mark();
    let (mut written, mut deleted, mut left) = (0, Vec::new(), count);
    let mut next = Some(start);
    for _ in 0..count.saturating_mul(ATTEMPTS) {
        if left == 0 {
            break;
        }
        let Some((id, nack)) = next.and_then(|id| first_pending(claim.group(cx), id)) else { break };
        next = id.next();
        if !stream_mut(cx, key).contains(id) {
            claim.forget(cx, id);
            deleted.push(id);
            left -= 1;
        } else if nack.consumer.is_none() || claim.is_idle(&nack) {
            claim.take(cx, id, Some(&nack));
            written += 1;
            left -= 1;
        }
    }
    let end = next.and_then(|id| first_pending(claim.group(cx), id)).map_or(StreamId::MIN, |(id, _)| id);
    cx.reply.array_at(id_mark, written);
    let entries = cx.reply.since(id_mark);
    cx.reply.truncate(id_mark);
    write_id(&mut cx.reply, end);
    cx.reply.raw(&entries);
    cx.reply.array(deleted.len());
    deleted.iter().for_each(|id| write_id(&mut cx.reply, *id));
    claim.finish(cx, is_new);
    Ok(Outcome::Done)
}

/// The first pending entry from an ID on.
fn first_pending(group: &Group, from: StreamId) -> Option<(StreamId, Nack)> {
    group.pending().iter_from(from).next().map(|(id, nack)| (id, nack.clone()))
}

/// What XNACK makes of the number of deliveries.
#[derive(Clone, Copy)]
enum Blame {
    /// The delivery does not count.
    Silent,
    /// It counts.
    Fail,
    /// No more will be made.
    Fatal,
}

pub(super) fn xnack(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args.next()), args.next());
    let blame = match args.next().to_ascii_uppercase().as_slice() {
        b"SILENT" => Blame::Silent,
        b"FAIL" => Blame::Fail,
        b"FATAL" => Blame::Fatal,
        _ => return Err(CommandError::Syntax),
    };
    let ids = counted_ids(args)?;
    let (mut retry_count, mut force) = (None, false);
    while args.left() > 0 {
        if args.left() > 1 && args.take("RETRYCOUNT") {
            let count = args.integer()?;
            retry_count =
                Some(u64::try_from(count).map_err(|_| "ERR Invalid RETRYCOUNT option argument for XNACK")?);
        } else if args.take("FORCE") {
            force = true;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    check_group(cx, key, name)?;
    cx.propagate = Propagate::Nothing;
    let group = stream_mut(cx, key).group_mut(name).expect("it was found");
    let mut released = Vec::new();
    for id in ids {
        let counted = group.pending().get(id).map(|nack| nack.deliveries);
        let deliveries = retry_count.unwrap_or(match (blame, counted.unwrap_or(0)) {
            (Blame::Silent, count) => count.saturating_sub(1),
            (Blame::Fail, count) => count,
            (Blame::Fatal, _) => i64::MAX as u64,
        });
        match counted {
            Some(_) => group.release(id, deliveries),
            None if force => group.assign_nobody(id, deliveries),
            None => continue,
        }
        released.push(id);
    }
    cx.server.dirty += released.len() as u64;
    cx.server.blocked.signal_pending(cx.db, key.bytes);
    cx.reply.integer(released.len() as i64);
    Ok(Outcome::Done)
}
