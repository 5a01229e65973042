//! What a stream remembers of its producers, so that an entry that is sent twice is added once.
//!
//! A producer names itself and each entry that it sends; what it sent last is kept by that name, for a time and up to a
//! number. Time is told from outside. Names that are too old go when the stream is written to, all at once but no more
//! often than every second.

use std::collections::{BTreeMap, HashMap, VecDeque};

use triomphe::Arc;

use super::StreamId;

/// Milliseconds between two looks at all producers.
const SWEEP_MS: i64 = 1000;

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerLimits {
    /// Seconds.
    pub duration_s: u32,
    /// Entries of each producer.
    pub max_size: u32,
}

impl ProducerLimits {
    /// Limits within what may be asked for, as files tell them.
    pub fn checked(duration_s: u64, max_size: u64) -> Option<Self> {
        let duration_s = u32::try_from(duration_s).ok().filter(|s| (1..=86_400).contains(s))?;
        let max_size = u32::try_from(max_size).ok().filter(|size| (1..=10_000).contains(size))?;
        Some(Self { duration_s, max_size })
    }
}

/// An entry that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    id: StreamId,
    at_ms: i64,
}

/// A producer's entries by the names that it gave them, and the names in the order of sending.
#[derive(Clone, Default)]
struct Producer {
    sent: HashMap<Arc<[u8]>, Sent>,
    order: VecDeque<Arc<[u8]>>,
}

impl Producer {
    fn is_due(&self, until_ms: i64) -> bool {
        self.order.front().is_some_and(|name| self.sent[name].at_ms <= until_ms)
    }

    fn forget_first(&mut self) {
        if let Some(name) = self.order.pop_front() {
            self.sent.remove(&name);
        }
    }

    fn record(&mut self, name: &[u8], sent: Sent, max_size: u32) {
        while self.order.len() >= max_size as usize {
            self.forget_first();
        }
        let name: Arc<[u8]> = Arc::from(name);
        if self.sent.insert(name.clone(), sent).is_none() {
            self.order.push_back(name);
        }
    }
}

/// A stream's producers.
#[derive(Clone)]
pub struct Producers {
    limits: ProducerLimits,
    by_name: BTreeMap<Box<[u8]>, Arc<Producer>>,
    swept_ms: i64,
    /// Entries ever added under a name.
    pub added: u64,
    /// Entries ever found to have been sent before.
    pub duplicates: u64,
}

impl Producers {
    /// None yet.
    pub fn new(limits: ProducerLimits) -> Self {
        Self { limits, by_name: BTreeMap::new(), swept_ms: 0, added: 0, duplicates: 0 }
    }

    /// How much is remembered.
    pub fn limits(&self) -> ProducerLimits {
        self.limits
    }

    /// Remembers more or less from now on; a change forgets everything.
    pub fn set_limits(&mut self, limits: ProducerLimits) {
        if self.limits != limits {
            self.limits = limits;
            self.by_name.clear();
        }
    }

    /// What is not younger than this is forgotten.
    fn until_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(i64::from(self.limits.duration_s) * 1000)
    }

    /// The ID of an entry that a producer has sent under a name, if that is remembered.
    pub fn find(&self, producer: &[u8], name: &[u8], now_ms: i64) -> Option<StreamId> {
        let sent = self.by_name.get(producer)?.sent.get(name)?;
        (sent.at_ms > self.until_ms(now_ms)).then_some(sent.id)
    }

    /// Remembers an entry under a name that [`Self::find`] did not find. O(producers) at most every second.
    pub fn record(&mut self, producer: &[u8], name: &[u8], id: StreamId, now_ms: i64) {
        self.added += 1;
        // A clock that went back starts anew.
        if !(self.swept_ms..self.swept_ms.saturating_add(SWEEP_MS)).contains(&now_ms) {
            self.swept_ms = now_ms;
            self.sweep(now_ms);
        }
        let (limits, until_ms) = (self.limits, self.until_ms(now_ms));
        let own = Arc::make_mut(self.by_name.entry(producer.into()).or_default());
        while own.is_due(until_ms) {
            own.forget_first();
        }
        own.record(name, Sent { id, at_ms: now_ms }, limits.max_size);
    }

    /// Remembers what a file tells: sent when its entry was added.
    pub fn restore(&mut self, producer: &[u8], name: &[u8], id: StreamId) {
        let at_ms = i64::try_from(id.ms).unwrap_or(i64::MAX);
        let own = Arc::make_mut(self.by_name.entry(producer.into()).or_default());
        own.record(name, Sent { id, at_ms }, self.limits.max_size);
    }

    fn sweep(&mut self, now_ms: i64) {
        let until_ms = self.until_ms(now_ms);
        self.by_name.retain(|_, producer| {
            if producer.is_due(until_ms) {
                let producer = Arc::make_mut(producer);
                while producer.is_due(until_ms) {
                    producer.forget_first();
                }
            }
            !producer.order.is_empty()
        });
    }

    /// How many producers, and entries of all of them, are remembered. O(entries).
    pub fn counts(&self, now_ms: i64) -> (usize, usize) {
        let until_ms = self.until_ms(now_ms);
        let live =
            |producer: &Arc<Producer>| producer.sent.values().filter(|sent| sent.at_ms > until_ms).count();
        let counts = self.by_name.values().map(live).filter(|count| *count > 0);
        counts.fold((0, 0), |(producers, entries), count| (producers + 1, entries + count))
    }

    /// The producers: each one's name, the number of its entries, and these by name, first the one that was sent first.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = (&[u8], usize, impl Iterator<Item = (&[u8], StreamId)>)> {
        self.by_name.iter().map(|(name, producer)| {
            let sent = producer.order.iter().map(|name| (&**name, producer.sent[name].id));
            (&**name, producer.order.len(), sent)
        })
    }

    /// Bytes on the heap. O(entries).
    pub(super) fn memory_usage(&self) -> usize {
        let each = 2 * size_of::<Arc<[u8]>>() + size_of::<Sent>();
        let one =
            |producer: &Producer| -> usize { producer.order.iter().map(|name| name.len() + 16 + each).sum() };
        let all = self.by_name.iter().map(|(name, producer)| name.len() + 64 + one(producer));
        size_of::<Self>() + all.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The documentation's words as code: newest last, no more than so many, none too old.
    #[derive(Default)]
    struct Model(Vec<(u8, u8, StreamId, i64)>);

    impl Model {
        fn find(&self, producer: u8, name: u8, now_ms: i64, limits: ProducerLimits) -> Option<StreamId> {
            let age = i64::from(limits.duration_s) * 1000;
            let own: Vec<_> = self.0.iter().filter(|(p, ..)| *p == producer).collect();
            let last = own.iter().rev().take(limits.max_size as usize);
            last.filter(|(_, n, _, at)| *n == name && now_ms - at < age).map(|(_, _, id, _)| *id).next()
        }
    }

    proptest! {
        #[test]
        fn behaves_as_documented(
            steps in proptest::collection::vec((0u8..3, 0u8..8, 0i64..1500), 1..200),
            duration_s in 1u32..5,
            max_size in 1u32..5,
        ) {
            let limits = ProducerLimits { duration_s, max_size };
            let (mut producers, mut model, mut now_ms) = (Producers::new(limits), Model::default(), 1_000_000);
            let mut clones = Vec::new();
            for (seq, (producer, name, later)) in steps.into_iter().enumerate() {
                now_ms += later;
                let found = producers.find(&[producer], &[name], now_ms);
                prop_assert_eq!(found, model.find(producer, name, now_ms, limits));
                if found.is_none() {
                    let id = StreamId::new(now_ms as u64, seq as u64);
                    producers.record(&[producer], &[name], id, now_ms);
                    model.0.push((producer, name, id, now_ms));
                }
                let (_, entries) = producers.counts(now_ms);
                prop_assert!(entries <= 3 * max_size as usize);
                clones.push((producers.clone(), producers.counts(now_ms), now_ms));
            }
            for (clone, counts, now_ms) in clones {
                prop_assert_eq!(clone.counts(now_ms), counts);
            }
        }
    }

    #[test]
    fn other_limits_forget_everything() {
        let limits = ProducerLimits { duration_s: 100, max_size: 100 };
        let mut producers = Producers::new(limits);
        producers.record(b"p", b"1", StreamId::new(5, 0), 5);
        producers.set_limits(limits);
        assert_eq!(producers.find(b"p", b"1", 6), Some(StreamId::new(5, 0)));
        producers.set_limits(ProducerLimits { max_size: 99, ..limits });
        assert_eq!((producers.find(b"p", b"1", 6), producers.added), (None, 1));
    }
}
