//! All databases, under one seed, and the snapshot that runs over them.

use crate::db::{Db, Garbage};
use crate::hash::{Hash, Seed};
use crate::snapshot::{SnapshotError, SnapshotSink};

/// Snapshots aborted in a row after which entries must be stamped anew: a stamp has 256 values.
const MOST_ABORTS: u8 = 250;

/// A database's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DbIndex(pub usize);

/// The numbered databases. `Send`: the server's state moves between threads as a whole.
pub struct Keyspace {
    dbs: Vec<Db>,
    seed: Seed,
    /// The stamp of the last snapshot that began; new entries carry it.
    stamp: u8,
    /// Snapshots aborted since all entries last had one stamp.
    aborts: u8,
    snapshot_runs: bool,
    /// Left over by snapshots, to be dropped elsewhere.
    garbage: Vec<Garbage>,
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Keyspace>();
    is_send::<Garbage>();
};

impl Keyspace {
    /// Empty databases; `seed` is 128 random bits.
    pub fn new(databases: usize, seed: [u64; 2]) -> Self {
        let seed = Seed::new(seed);
        let dbs = (0..databases).map(|_| Db::new(seed)).collect();
        Self { dbs, seed, stamp: 0, aborts: 0, snapshot_runs: false, garbage: Vec::new() }
    }

    /// The hash of a key, the same for all databases.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> Hash {
        self.seed.hash(key)
    }

    /// The seed, to hash keys where the keyspace is not at hand.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Number of databases.
    pub fn count(&self) -> usize {
        self.dbs.len()
    }

    /// A database. Panics when the number is not below [`Self::count`].
    #[inline]
    pub fn db(&self, index: DbIndex) -> &Db {
        &self.dbs[index.0]
    }

    /// A database, to change. Panics when the number is not below [`Self::count`].
    #[inline]
    pub fn db_mut(&mut self, index: DbIndex) -> &mut Db {
        &mut self.dbs[index.0]
    }

    /// Two different databases at once, for MOVE and COPY; `None` when they are the same.
    pub fn two_mut(&mut self, one: DbIndex, other: DbIndex) -> Option<(&mut Db, &mut Db)> {
        self.dbs.get_disjoint_mut([one.0, other.0]).ok().map(|[one, other]| (one, other))
    }

    /// Swaps the numbers of two databases. O(1).
    pub fn swap(&mut self, one: DbIndex, other: DbIndex) {
        self.dbs.swap(one.0, other.0);
    }

    /// The access bits that new entries get from now on (the lower 24).
    pub fn set_new_access(&mut self, access: u32) {
        self.dbs.iter_mut().for_each(|db| db.set_new_access(access));
    }

    // --- snapshots ---------------------------------------------------------------------------------------------------

    /// Starts a snapshot of what is here now. O(databases).
    pub fn begin_snapshot(&mut self) -> Result<(), SnapshotError> {
        if self.snapshot_runs {
            return Err(SnapshotError::AlreadyRunning);
        }
        if self.aborts >= MOST_ABORTS {
            return Err(SnapshotError::StampsUsedUp);
        }
        self.stamp = self.stamp.wrapping_add(1);
        self.snapshot_runs = true;
        for (index, db) in self.dbs.iter_mut().enumerate() {
            db.begin_snapshot(index, self.stamp);
        }
        Ok(())
    }

    /// A snapshot is running.
    pub fn snapshot_runs(&self) -> bool {
        self.snapshot_runs
    }

    /// Hands out the pre-images at hand and then entries until about `budget` were looked at. True when all was
    /// handed out: the snapshot is over then.
    pub fn snapshot_step(&mut self, mut budget: usize, sink: &mut dyn SnapshotSink) -> bool {
        if !self.snapshot_runs {
            return true;
        }
        self.take_preimages(sink);
        for db in &mut self.dbs {
            if !db.snapshot_step(&mut budget, sink, &mut self.garbage) {
                return false;
            }
        }
        // All entries have the present stamp now, so none is left from aborted snapshots either.
        self.aborts = 0;
        self.end_snapshot(false);
        true
    }

    /// Hands out the entries that writes have put aside, and forgets them.
    pub fn take_preimages(&mut self, sink: &mut dyn SnapshotSink) {
        self.dbs.iter_mut().for_each(|db| db.take_preimages(sink));
    }

    /// About how many bytes the pre-images at hand keep alive.
    pub fn preimage_bytes(&self) -> usize {
        self.dbs.iter().map(Db::preimage_bytes).sum()
    }

    /// Gives a running snapshot up.
    pub fn abort_snapshot(&mut self) {
        if self.snapshot_runs {
            self.aborts += 1;
            self.end_snapshot(true);
        }
    }

    fn end_snapshot(&mut self, aborted: bool) {
        self.snapshot_runs = false;
        for db in &mut self.dbs {
            db.end_snapshot(aborted, &mut self.garbage);
        }
    }

    /// After 250 snapshots that were all aborted no further one can begin before entries were stamped anew.
    pub fn needs_restamp(&self) -> bool {
        self.aborts >= MOST_ABORTS
    }

    /// Gives entries left by aborted snapshots the present stamp, about `budget` of them; true when none is left.
    /// Does nothing during a snapshot (one that finishes has the same effect).
    pub fn restamp_step(&mut self, mut budget: usize) -> bool {
        if self.snapshot_runs {
            return false;
        }
        let done = self.aborts == 0 || self.dbs.iter_mut().all(|db| db.restamp_step(&mut budget));
        if done {
            self.aborts = 0;
        }
        done
    }

    /// What snapshots left over: drop it where time does not matter.
    pub fn take_garbage(&mut self) -> Vec<Garbage> {
        std::mem::take(&mut self.garbage)
    }
}
