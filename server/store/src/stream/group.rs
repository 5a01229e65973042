//! Consumer groups: who was given which entry and has not acknowledged it yet.

use std::collections::BTreeMap;

use triomphe::Arc;

use super::{IdMap, StreamId};
use crate::relocate::Mover;

/// A consumer's name, shared by all that refer to it.
pub type ConsumerName = Arc<[u8]>;

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug)]
pub struct Nack {
    /// Whose it is; `None` when its consumer gave it back.
    pub consumer: Option<ConsumerName>,
    /// Unix ms of the last delivery.
    pub delivered_ms: i64,
    /// Deliveries so far.
    pub deliveries: u64,
}

/// One of a group's consumers.
#[derive(Clone, Default)]
pub struct Consumer {
    /// Unix ms of its last attempt to read or claim.
    pub seen_ms: i64,
    /// Unix ms when it last got something.
    pub active_ms: Option<i64>,
    pending: IdMap<()>,
}

impl Consumer {
    /// The IDs that it has not acknowledged.
    pub fn pending(&self) -> &IdMap<()> {
        &self.pending
    }
}

/// A consumer group.
#[derive(Clone, Default)]
pub struct Group {
    /// The last ID that was delivered.
    pub last_id: StreamId,
    /// How many entries came up to that one, as far as that is known.
    pub entries_read: Option<u64>,
    pending: IdMap<Nack>,
    consumers: BTreeMap<ConsumerName, Arc<Consumer>>,
}

impl Group {
    /// Moves a row of the pending entries as the mover says, with the first also the consumers'; where to go on.
    pub(super) fn relocate(&mut self, row: usize, mover: &mut Mover<'_>) -> Option<usize> {
        if row == 0 {
            for consumer in self.consumers.values_mut() {
                let Some(consumer) = mover.arc(consumer) else { continue };
                let mut from = Some(0);
                while let Some(row) = from {
                    from = consumer.pending.relocate(row, mover);
                }
            }
        }
        self.pending.relocate(row, mover)
    }

    /// A group that has read up to `last_id`, without consumers.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Self {
        Self { last_id, entries_read, ..Self::default() }
    }

    /// Everything that is not acknowledged.
    pub fn pending(&self) -> &IdMap<Nack> {
        &self.pending
    }

    /// The consumers by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = (&ConsumerName, &Consumer)> {
        self.consumers.iter().map(|(name, consumer)| (name, &**consumer))
    }

    /// A consumer and its name.
    pub fn consumer(&self, name: &[u8]) -> Option<(&ConsumerName, &Consumer)> {
        self.consumers.get_key_value(name).map(|(name, consumer)| (name, &**consumer))
    }

    fn consumer_mut(&mut self, name: &[u8]) -> Option<&mut Consumer> {
        self.consumers.get_mut(name).map(Arc::make_mut)
    }

    /// Makes a consumer; false when there is one of this name.
    pub fn create_consumer(&mut self, name: &[u8], now_ms: i64) -> bool {
        if self.consumers.contains_key(name) {
            return false;
        }
        let consumer = Consumer { seen_ms: now_ms, ..Consumer::default() };
        self.consumers.insert(Arc::from(name), Arc::new(consumer));
        true
    }

    /// Notes that a consumer asked for entries, and that it got some.
    pub fn touch_consumer(&mut self, name: &[u8], seen_ms: i64, active_ms: Option<i64>) {
        if let Some(consumer) = self.consumer_mut(name) {
            consumer.seen_ms = seen_ms;
            consumer.active_ms = active_ms.or(consumer.active_ms);
        }
    }

    /// Deletes a consumer with what it has not acknowledged; tells how much that was.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let consumer = self.consumers.remove(name)?;
        consumer.pending.iter().for_each(|(id, ())| drop(self.pending.remove(id)));
        Some(consumer.pending.len())
    }

    /// Makes an entry pending for a consumer that exists, whoever had it before.
    pub fn assign(&mut self, id: StreamId, name: &[u8], delivered_ms: i64, deliveries: u64) {
        let Some((name, _)) = self.consumers.get_key_value(name) else { return };
        let name = name.clone();
        let nack = Nack { consumer: Some(name.clone()), delivered_ms, deliveries };
        let old = self.pending.insert(id, nack).and_then(|old| old.consumer);
        if let Some(old) = old {
            if old == name {
                return;
            }
            if let Some(consumer) = self.consumer_mut(&old) {
                consumer.pending.remove(id);
            }
        }
        if let Some(consumer) = self.consumer_mut(&name) {
            consumer.pending.insert(id, ());
        }
    }

    /// Notes another delivery of a pending entry to whom it belongs.
    pub fn redeliver(&mut self, id: StreamId, now_ms: i64) {
        if let Some(nack) = self.pending.get_mut(id) {
            nack.delivered_ms = now_ms;
            nack.deliveries = nack.deliveries.saturating_add(1);
        }
    }

    /// Takes a pending entry away from its consumer, without an acknowledgement.
    pub fn release(&mut self, id: StreamId, deliveries: u64) {
        let Some(nack) = self.pending.get_mut(id) else { return };
        // So old that whoever asks for idle entries gets it.
        (nack.deliveries, nack.delivered_ms) = (deliveries, 0);
        if let Some(name) = nack.consumer.take()
            && let Some(consumer) = self.consumer_mut(&name)
        {
            consumer.pending.remove(id);
        }
    }

    /// Makes an entry pending without a consumer.
    pub fn assign_nobody(&mut self, id: StreamId, deliveries: u64) {
        let nack = Nack { consumer: None, delivered_ms: 0, deliveries };
        self.pending.insert(id, nack);
    }

    /// Number of pending entries that have no consumer. O(pending).
    pub fn released(&self) -> usize {
        self.pending.iter().filter(|(_, nack)| nack.consumer.is_none()).count()
    }

    /// Forgets a pending entry; false when there was none.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(nack) = self.pending.remove(id) else { return false };
        if let Some(name) = nack.consumer
            && let Some(consumer) = self.consumer_mut(&name)
        {
            consumer.pending.remove(id);
        }
        true
    }

    pub(super) fn free_effort(&self) -> usize {
        let consumers: usize =
            self.consumers.values().map(|consumer| 1 + consumer.pending.free_effort()).sum();
        self.pending.free_effort() + consumers
    }

    pub(super) fn memory_usage(&self) -> usize {
        let consumer = |(name, consumer): (&ConsumerName, &Arc<Consumer>)| {
            name.len() + 32 + size_of::<Consumer>() + consumer.pending.memory_usage()
        };
        size_of::<Self>() + self.pending.memory_usage() + self.consumers.iter().map(consumer).sum::<usize>()
    }
}
