//! `activedefrag`: moves what lies in half-empty pages together, so that those pages can be given back.
//!
//! The allocator keeps allocations of one size together, in slabs of some pages each. After many deletions every slab
//! keeps a few survivors. It says how full a slab is, so one pass after the other walks over all keys and moves what
//! lies in slabs that are emptier than those of that size are on average; new places come from the slabs that are
//! filled first. What a pass may take of the processor follows from how bad it is, between `active-defrag-cycle-min`
//! and `-max`, in slices short enough for nobody to notice. While a snapshot is written nothing moves: it shares the
//! values, and a copy would be in addition.

use crate::server::Server;
use crate::sys::{self, SlabQuery, SlabUse};
use common::clock::monotonic_ns;
use std::collections::VecDeque;
use store::{DbIndex, Mover};

/// How long one slice may take, nanoseconds.
const SLICE_NS: u64 = 300_000;

/// How often it is looked whether a snapshot is over, nanoseconds.
const SNAPSHOT_PAUSE_NS: u64 = 100_000_000;

/// A value that is moved piece by piece.
#[derive(Debug)]
struct Big {
    db: DbIndex,
    key: Box<[u8]>,
    /// The piece that is next.
    from: u64,
}

/// A walk over all databases.
#[derive(Debug)]
struct Pass {
    began_ns: u64,
    /// Allocations moved before it.
    moved_before: u64,
    /// Where it is: a database and a hash prefix there.
    at: (usize, u64),
    /// What it has put off; first come, first served, before it goes on.
    big: VecDeque<Big>,
}

/// What is known of it, and where it is.
#[derive(Debug, Default)]
pub struct Defrag {
    query: Option<SlabQuery>,
    pass: Option<Pass>,
    /// Percent of a processor that it may take; 0 = it does not run.
    pub cpu_percent: u32,
    /// When the next slice begins, nanoseconds on the monotonic clock.
    next_at: u64,
    /// Since when it runs, nanoseconds on the monotonic clock.
    since_ns: Option<u64>,
    /// How long it ran before, nanoseconds.
    total_ns: u64,
    /// Allocations moved, and left where they were.
    pub allocations: (u64, u64),
    /// Keys of which something was moved, and others.
    pub keys: (u64, u64),
}

impl Defrag {
    /// When a slice is due, nanoseconds on the monotonic clock.
    pub fn due_at(&self) -> Option<u64> {
        self.pass.is_some().then_some(self.next_at)
    }

    /// How long it has run: in all, and this time; milliseconds.
    pub fn time_ms(&self) -> (u64, u64) {
        let now = self.since_ns.map_or(0, |since| monotonic_ns() - since);
        ((self.total_ns + now) / 1_000_000, now / 1_000_000)
    }

    /// Forgets the counters (CONFIG RESETSTAT).
    pub fn reset(&mut self) {
        (self.allocations, self.keys, self.total_ns) = ((0, 0), (0, 0), 0);
        if let Some(pass) = &mut self.pass {
            pass.moved_before = 0;
        }
        self.since_ns = self.since_ns.map(|_| monotonic_ns());
    }

    fn begin(&mut self) {
        let now = monotonic_ns();
        self.since_ns.get_or_insert(now);
        self.pass =
            Some(Pass { began_ns: now, moved_before: self.allocations.0, at: (0, 0), big: VecDeque::new() });
    }

    fn stop(&mut self) {
        self.pass = None;
        self.cpu_percent = 0;
        if let Some(since) = self.since_ns.take() {
            self.total_ns += monotonic_ns() - since;
        }
    }
}

/// How much of what the allocator holds is in use by nobody.
#[derive(Clone, Copy, Debug)]
struct Fragmentation {
    percent: f64,
    bytes: u64,
}

impl Fragmentation {
    fn now() -> Self {
        let figures = crate::memory::allocator();
        let percent = figures.active as f64 * 100.0 / figures.allocated.max(1) as f64 - 100.0;
        Self { percent, bytes: figures.active.saturating_sub(figures.allocated) }
    }
}

/// Whether something in this slab is worth moving: the slab is not much fuller than those of its size are on average, full
/// ones among them; the eighth keeps passes from ending while many slabs are near the average. The current slab is where
/// what is moved goes to.
fn is_worth_moving(slab: SlabUse) -> bool {
    let (free, all) = (slab.free as u128, slab.regions as u128);
    let (bin_free, bin_all) = (slab.bin_free as u128, slab.bin_regions as u128);
    !slab.is_current && free > 0 && free * bin_all * 8 > bin_free * all * 7
}

impl Server {
    /// Judges how bad it is; called with each tick.
    pub fn defrag_tick(&mut self) {
        if !self.config.active_defrag {
            return self.defrag.stop();
        }
        if self.lifecycle.loading || self.persistence.is_working() {
            return;
        }
        let found = Fragmentation::now();
        let wanted = self.defrag_percent(found);
        if self.defrag.pass.is_none() && wanted > 0 {
            self.defrag.begin();
        }
        // A pass that has begun does not slow down, as in Redis: its own success would make it last.
        if self.defrag.pass.is_some() && wanted > self.defrag.cpu_percent {
            self.defrag.cpu_percent = wanted;
            tracing::debug!(
                "Starting active defrag, frag={:.0}%, frag_bytes={}, cpu={wanted}%",
                found.percent,
                found.bytes
            );
        }
    }

    /// What it may take of the processor; 0 = it is not worth it.
    fn defrag_percent(&self, found: Fragmentation) -> u32 {
        let config = &self.config;
        let (lower, upper) = (
            f64::from(config.active_defrag_threshold_lower),
            f64::from(config.active_defrag_threshold_upper),
        );
        if found.percent < lower || found.bytes < config.active_defrag_ignore_bytes {
            return 0;
        }
        let (min, max) = (config.active_defrag_cycle_min, config.active_defrag_cycle_max);
        let share = (found.percent - lower) / (upper - lower);
        let between = f64::from(min) + share * (f64::from(max) - f64::from(min));
        // Limits that contradict each other, as well as thresholds: the upper ones win.
        if between.is_nan() { max } else { (between as u32).max(min).min(max) }
    }

    /// Moves for a moment; called when that is due.
    pub fn defrag_slice(&mut self) {
        let started = monotonic_ns();
        if self.persistence.is_working() {
            self.defrag.next_at = started + SNAPSHOT_PAUSE_NS;
            return;
        }
        let Some(query) = self.defrag.query.or_else(SlabQuery::new) else {
            // An allocator without the question: nothing is ever worth moving.
            return self.defrag.stop();
        };
        self.defrag.query = Some(query);
        // From this thread's cache would come what was just freed, in the slabs that are to become empty.
        sys::set_thread_cache(false);
        let is_over = query.moving(is_worth_moving, |mover| {
            let mut is_over = false;
            while !is_over && monotonic_ns() - started < SLICE_NS {
                is_over = !self.defrag_step(mover);
            }
            self.defrag.allocations.0 += mover.moved;
            self.defrag.allocations.1 += mover.kept;
            self.defrag.keys.0 += mover.items_moved;
            self.defrag.keys.1 += mover.items_kept;
            is_over
        });
        sys::set_thread_cache(true);
        let now = monotonic_ns();
        let share = u64::from(self.defrag.cpu_percent.clamp(1, 99));
        self.defrag.next_at = now + (now - started) * (100 - share) / share;
        self.slow.sample("active-defrag-cycle", self.time.now_ms() / 1000, now - started);
        if is_over {
            self.end_defrag_pass(now);
        }
    }

    /// One segment of the table, or one piece of a big value; false when the pass is through.
    fn defrag_step(&mut self, mover: &mut Mover<'_>) -> bool {
        let Some(pass) = &mut self.defrag.pass else { return false };
        if let Some(big) = pass.big.front_mut() {
            let hash = self.keyspace.hash(&big.key);
            match self.keyspace.db_mut(big.db).relocate_object(hash, &big.key, big.from, mover) {
                Some(next) => big.from = next,
                None => drop(pass.big.pop_front()),
            }
            return true;
        }
        let (db, from) = pass.at;
        if db == self.keyspace.count() {
            return false;
        }
        let most = usize::try_from(self.config.active_defrag_max_scan_fields).unwrap_or(usize::MAX);
        let mut big = Vec::new();
        let next = self.keyspace.db_mut(DbIndex(db)).relocate(from, mover, most, &mut big);
        pass.at = next.map_or((db + 1, 0), |from| (db, from));
        pass.big.extend(big.into_iter().map(|key| Big { db: DbIndex(db), key, from: 0 }));
        true
    }

    fn end_defrag_pass(&mut self, now: u64) {
        let Some(pass) = self.defrag.pass.take() else { return };
        let found = Fragmentation::now();
        tracing::debug!(
            "Active defrag done in {}ms, reallocated={}, frag={:.0}%, frag_bytes={}",
            (now - pass.began_ns) / 1_000_000,
            self.defrag.allocations.0 - pass.moved_before,
            found.percent,
            found.bytes
        );
        self.defrag.cpu_percent = self.defrag_percent(found);
        if self.defrag.cpu_percent > 0 {
            self.defrag.begin();
        } else {
            self.defrag.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slab(free: usize, bin_free: usize) -> SlabUse {
        SlabUse { free, regions: 100, bin_free, bin_regions: 1000, is_current: false }
    }

    #[test]
    fn counters_are_reset_within_a_pass() {
        let mut defrag = Defrag { allocations: (5, 7), keys: (1, 2), ..Defrag::default() };
        defrag.begin();
        defrag.reset();
        let before = defrag.pass.as_ref().map(|pass| pass.moved_before);
        assert_eq!((defrag.allocations, defrag.keys, before), ((0, 0), (0, 0), Some(0)));
        defrag.stop();
        assert_eq!((defrag.due_at(), defrag.cpu_percent), (None, 0));
    }

    #[test]
    fn emptier_slabs_are_emptied() {
        assert!(is_worth_moving(slab(75, 500)));
        assert!(is_worth_moving(slab(50, 500)));
        assert!(!is_worth_moving(slab(40, 500)));
        assert!(!is_worth_moving(slab(0, 0)));
        assert!(!is_worth_moving(SlabUse { is_current: true, ..slab(75, 500) }));
    }
}
