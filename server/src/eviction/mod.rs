//! Making room when `maxmemory` is reached.
//!
//! As in Redis: a few keys are sampled, the worst of them join a small pool of candidates that is kept from one eviction
//! to the next, and the worst of the pool goes. What doesn't fit into the time that `maxmemory-eviction-tenacity` allows
//! for one command goes on between turns.

mod access;
mod clients;

pub use access::Access;

use crate::config::EvictionPolicy as Policy;
use crate::events::Event;
use crate::server::{Key, Server};
use common::clock::monotonic_ns;
use store::DbIndex;

/// Candidates kept.
const POOL: usize = 16;
/// One more sample for so many that are asked for. The samples of one round lie side by side, so that a few more cost
/// little; they bring back what a table that keys come to and leave at random loses in density, and with it in keys kept.
const MORE_SAMPLES: usize = 2;
/// Evictions between two looks at the clock.
const CLOCK_EVERY: usize = 16;
/// Time for one command at a tenacity of 10, nanoseconds; below it is in proportion, above it grows by 15 % a step.
const SLICE_NS: f64 = 500_000.0;

/// A key that deserves to go.
#[derive(Debug)]
struct Candidate {
    badness: u64,
    db: DbIndex,
    key: Vec<u8>,
}

/// What eviction keeps between two calls.
#[derive(Debug, Default)]
pub struct Eviction {
    /// The worst last.
    pool: Vec<Candidate>,
    /// Room is still to be made between turns.
    pub goes_on: bool,
    /// Which database loses a key next, for the random policies.
    next_db: usize,
    /// Keys evicted.
    pub evicted: u64,
    /// Clients cut off.
    pub evicted_clients: u64,
    /// The connections of those whose memory is not free yet.
    leaving: clients::Leaving,
    /// Since when memory is over the limit, nanoseconds on the monotonic clock.
    exceeded_since: Option<u64>,
    /// How long it was before, nanoseconds.
    exceeded_ns: u64,
}

/// The sooner a key expires, the worse.
fn by_ttl(expire_ms: i64) -> u64 {
    u64::MAX - expire_ms.max(0).cast_unsigned()
}

/// Whether there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Yes, or it is being made.
    Enough,
    /// No, and nothing can be evicted.
    Lacking,
}

impl Eviction {
    /// How long memory has been over the limit so far: in all, and this time; milliseconds.
    pub fn exceeded_ms(&self) -> (u64, u64) {
        let now = self.exceeded_since.map_or(0, |since| monotonic_ns() - since);
        ((self.exceeded_ns + now) / 1_000_000, now / 1_000_000)
    }

    /// Forgets the counters (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        (self.evicted, self.evicted_clients, self.exceeded_ns) = (0, 0, 0);
        self.exceeded_since = self.exceeded_since.map(|_| monotonic_ns());
    }

    fn note_exceeded(&mut self, is_over: bool) {
        match (is_over, self.exceeded_since) {
            (true, None) => self.exceeded_since = Some(monotonic_ns()),
            (false, Some(since)) => {
                self.exceeded_ns += monotonic_ns() - since;
                self.exceeded_since = None;
            }
            _ => {}
        }
    }

    /// Offers a sampled key.
    fn consider(&mut self, badness: u64, db: DbIndex, key: &[u8]) {
        let at = self.pool.partition_point(|candidate| candidate.badness < badness);
        if self.pool.len() == POOL {
            if at == 0 {
                return;
            }
            self.pool.remove(0);
            self.pool.insert(at - 1, Candidate { badness, db, key: key.to_vec() });
        } else {
            self.pool.insert(at, Candidate { badness, db, key: key.to_vec() });
        }
    }
}

impl Server {
    /// Whether more memory is used than `maxmemory` allows. Cheap enough for every command.
    #[inline]
    pub fn is_over_memory(&self) -> bool {
        let limit = self.config.max_memory;
        limit > 0 && crate::memory::used_about() > limit
    }

    /// Evicts until there is room, for as long as one command may wait.
    pub fn make_room(&mut self) -> Room {
        if !self.is_over_memory() || self.lifecycle.loading || self.scripts.is_busy() || self.stands_still() {
            return Room::Enough;
        }
        if self.eviction.leaving.any() {
            // No key has to go for what clients took.
            self.eviction.goes_on = true;
            return Room::Enough;
        }
        crate::memory::refresh();
        let is_over = self.is_over_memory();
        self.eviction.note_exceeded(is_over);
        if !is_over {
            return Room::Enough;
        }
        if self.evict_clients(None) {
            self.eviction.goes_on = true;
            return Room::Enough;
        }
        if self.config.max_memory_policy == Policy::Noeviction {
            return Room::Lacking;
        }
        let started = monotonic_ns();
        let room = self.evict_for(started, self.eviction_slice_ns());
        self.slow.sample("eviction-cycle", self.time.now_ms() / 1000, monotonic_ns() - started);
        room
    }

    fn eviction_slice_ns(&self) -> u64 {
        match self.config.max_memory_eviction_tenacity {
            tenacity @ 0..=10 => (SLICE_NS * f64::from(tenacity) / 10.0) as u64,
            tenacity @ 11..=99 => (SLICE_NS * 1.15f64.powi(i32::from(tenacity) - 10)) as u64,
            _ => u64::MAX,
        }
    }

    fn evict_for(&mut self, started: u64, slice_ns: u64) -> Room {
        for count in 1.. {
            let Some((db, key)) = self.worst_key() else {
                // What is being freed elsewhere may be enough.
                self.eviction.goes_on = self.garbage.pending() > 0;
                return if self.eviction.goes_on { Room::Enough } else { Room::Lacking };
            };
            let began = self.slow.monitors().then(monotonic_ns);
            self.evict(db, &key);
            if let Some(began) = began {
                self.slow.sample("eviction-del", self.time.now_ms() / 1000, monotonic_ns() - began);
            }
            if self.garbage.pending() > 0 && count % CLOCK_EVERY == 0 {
                crate::memory::refresh();
            }
            if !self.is_over_memory() {
                self.eviction.goes_on = false;
                self.eviction.note_exceeded(false);
                return Room::Enough;
            }
            if count % CLOCK_EVERY == 0 && monotonic_ns() - started > slice_ns {
                self.eviction.goes_on = true;
                return Room::Enough;
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// The key to evict next.
    fn worst_key(&mut self) -> Option<(DbIndex, Vec<u8>)> {
        match self.config.max_memory_policy {
            Policy::AllkeysRandom | Policy::VolatileRandom => self.random_victim(),
            _ => self.worst_of_pool(),
        }
    }

    fn is_volatile_policy(&self) -> bool {
        use Policy::{VolatileLfu, VolatileLrm, VolatileLru, VolatileRandom, VolatileTtl};
        matches!(
            self.config.max_memory_policy,
            VolatileLfu | VolatileLru | VolatileLrm | VolatileRandom | VolatileTtl
        )
    }

    fn random_victim(&mut self) -> Option<(DbIndex, Vec<u8>)> {
        let count = self.keyspace.count();
        for _ in 0..count {
            self.eviction.next_db = (self.eviction.next_db + 1) % count;
            let db = DbIndex(self.eviction.next_db);
            let (mut found, mut seen) = (None, 0);
            let random = self.access.random();
            if self.is_volatile_policy() {
                let Self { keyspace, rng, .. } = self;
                keyspace.db_mut(db).sample_volatile(random, 1, |key, _, _| {
                    seen += 1;
                    // Each of those seen as likely as another.
                    if rng.usize(0..seen) == 0 {
                        found = Some(key.to_vec());
                    }
                });
            } else {
                self.keyspace.db(db).sample(random, 1, |entry| found = Some(entry.key().to_vec()));
            }
            if let Some(key) = found {
                return Some((db, key));
            }
        }
        None
    }

    fn worst_of_pool(&mut self) -> Option<(DbIndex, Vec<u8>)> {
        loop {
            let mut candidates = 0;
            for index in 0..self.keyspace.count() {
                candidates += self.sample(DbIndex(index));
            }
            while let Some(Candidate { db, key, .. }) = self.eviction.pool.pop() {
                // It may have gone since it was sampled, or lost its expiry. That it may have been used is left aside: to
                // spare it then changes no rate of hits (`ochre-bench hitrate`).
                let hash = self.keyspace.hash(&key);
                let entry = self.keyspace.db(db).get(hash, &key);
                if entry.is_some_and(|entry| !self.is_volatile_policy() || entry.expire().is_some()) {
                    return Some((db, key));
                }
            }
            if candidates == 0 {
                return None;
            }
        }
    }

    /// Offers some keys of a database to the pool; how many.
    fn sample(&mut self, index: DbIndex) -> usize {
        let is_volatile = self.is_volatile_policy();
        let Self { keyspace, access, eviction, config, .. } = self;
        let asked_for = config.max_memory_samples as usize;
        let wanted = asked_for + asked_for / MORE_SAMPLES;
        let random = access.random();
        let mut sampled = 0;
        if is_volatile {
            let goes_by_ttl = config.max_memory_policy == Policy::VolatileTtl;
            keyspace.db_mut(index).sample_volatile(random, wanted, |key, bits, expire| {
                sampled += 1;
                let badness = if goes_by_ttl { by_ttl(expire) } else { access.badness(bits) };
                eviction.consider(badness, index, key);
            });
        } else {
            keyspace.db(index).sample(random, wanted, |entry| {
                sampled += 1;
                eviction.consider(access.badness(entry.access()), index, entry.key());
            });
        }
        sampled
    }

    fn evict(&mut self, db: DbIndex, name: &[u8]) {
        let key = Key::new(name, self.keyspace.hash(name));
        let lazily = self.config.lazyfree_lazy_eviction;
        if self.remove(db, key, lazily) {
            self.eviction.evicted += 1;
            self.dirty += 1;
            let verb: &[u8] = if lazily { b"UNLINK" } else { b"DEL" };
            self.replication.propagate(db, &[verb, name]);
            self.watches.touch(&mut self.clients, db, name);
            self.invalidate(name, false);
            self.notify(db, name, Event::EVICTED);
            self.replication.commit(); // each of them alone: it belongs to no transaction
        }
    }
}
