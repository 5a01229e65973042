//! XREADGROUP's CLAIM: entries that were given to some consumer too long ago go to the one that reads.

use super::budget::Budget;
use super::read::propagate_claim;
use super::{stream_mut, write_fields, write_id};
use crate::context::Cx;
use crate::server::Key;
use common::resp::Reply;
use store::stream::{Group, Stream, StreamEntry, StreamId};

/// A pending entry that nobody has cared about for long.
pub(super) struct IdleEntry {
    id: StreamId,
    idle_ms: i64,
    deliveries: u64,
}

/// The entries that have been idle for so long, those first that have been for longest. O(pending entries).
pub(super) fn longest_first(group: &Group, least_ms: i64, now_ms: i64) -> Vec<IdleEntry> {
    let idle = group.pending().iter().filter_map(|(id, nack)| {
        let idle_ms = now_ms.saturating_sub(nack.delivered_ms).max(0);
        (idle_ms >= least_ms).then_some(IdleEntry { id, idle_ms, deliveries: nack.deliveries })
    });
    let mut idle: Vec<_> = idle.collect();
    idle.sort_by_key(|entry| (std::cmp::Reverse(entry.idle_ms), entry.id));
    idle
}

/// When the first pending entry of a group will have been idle for so long; Unix ms.
pub(super) fn first_due(cx: &mut Cx<'_>, key: Key<'_>, name: &[u8], least_ms: i64) -> Option<i64> {
    let stream = cx.server.inspect(cx.db, key).and_then(|entry| entry.typed::<Stream>())?;
    let pending = stream.group(name)?.pending();
    pending.iter().map(|(_, nack)| nack.delivered_ms.saturating_add(least_ms)).min()
}

/// Writes an entry with how long it was idle and how often it was delivered before.
pub(super) fn write_claimed(reply: &mut Reply, entry: &StreamEntry<'_>, idle_ms: i64, deliveries: u64) {
    reply.array(4);
    write_id(reply, entry.id);
    write_fields(reply, entry);
    reply.bulk_integer(idle_ms);
    reply.bulk_integer(deliveries.min(i64::MAX as u64).cast_signed());
}

/// Gives idle entries, at most `most`, to a group's consumer and writes them; how many. Those that were deleted from the stream are not
/// pending any longer, as with XCLAIM.
pub(super) fn take_over(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    (name, consumer): (&[u8], &[u8]),
    idle: &[IdleEntry],
    most: usize,
    budget: &mut Budget,
) -> usize {
    let now_ms = cx.server.time.now_ms();
    let mut taken = 0;
    for IdleEntry { id, idle_ms, deliveries } in idle {
        if taken == most {
            break;
        }
        let entry = cx.server.keyspace.db(cx.db).get(key.hash, key.bytes);
        let stream: &Stream = entry.and_then(|entry| entry.typed()).expect("the caller found a stream");
        let last_id = stream.group(name).expect("the caller found the group").last_id;
        let found = stream.range(*id, *id).next();
        let Some(entry) = found else {
            forget(cx, key, name, *id);
            continue;
        };
        if !budget.write(&mut cx.reply, |reply| write_claimed(reply, &entry, *idle_ms, *deliveries)) {
            break;
        }
        taken += 1;
        let group = stream_mut(cx, key).group_mut(name).expect("it was just seen");
        group.assign(*id, consumer, now_ms, deliveries.saturating_add(1));
        group.touch_consumer(consumer, now_ms, Some(now_ms));
        cx.server.dirty += 1;
        if cx.is_propagating() {
            propagate_claim(cx, key, name, *id, last_id);
        }
    }
    if taken > 0 {
        cx.server.blocked.signal_pending(cx.db, key.bytes);
    }
    taken
}

/// Forgets a pending entry that was deleted from the stream.
fn forget(cx: &mut Cx<'_>, key: Key<'_>, name: &[u8], id: StreamId) {
    if cx.is_propagating() {
        cx.propagate_as(&[b"XACK", key.bytes, name, id.to_string().as_bytes()]);
    }
    stream_mut(cx, key).group_mut(name).expect("it was just seen").acknowledge(id);
    cx.server.dirty += 1;
}
