//! All databases, under one seed, and the snapshot that runs over them.

use crate::db::{Db, Expire, Garbage};
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

    /// Copies a value and its expiry to another key, over what that holds; false when there is nothing to copy. A big
    /// value is shared, not copied; the new entry counts as used now.
    pub fn copy(&mut self, from: (DbIndex, Hash, &[u8]), to: (DbIndex, Hash, &[u8])) -> bool {
        let Some(entry) = self.db(from.0).get(from.1, from.2) else { return false };
        let expire = entry.expire().map_or(Expire::None, Expire::At);
        let mut bytes = Vec::new();
        let value = entry.to_new().moved_to(&mut bytes);
        self.db_mut(to.0).set(to.1, to.2, value, expire);
        true
    }

    /// Swaps the numbers of two databases. O(1).
    pub fn swap(&mut self, one: DbIndex, other: DbIndex) {
        self.dbs.swap(one.0, other.0);
    }

    /// The access bits that new entries get from now on (the lower 24).
    pub fn set_new_access(&mut self, access: u32, renews: bool) {
        self.dbs.iter_mut().for_each(|db| db.set_new_access(access, renews));
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

    /// Hands out the pre-images at hand, then entries, until about `budget` were looked at. True when all was
    /// handed out: the snapshot is over then.
    pub fn snapshot_step(&mut self, mut budget: usize, sink: &mut dyn SnapshotSink) -> bool {
        if !self.snapshot_runs {
            return true;
        }
        self.dbs.iter_mut().for_each(|db| db.take_preimages(&mut budget, sink));
        if budget == 0 {
            return false;
        }
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
        let mut all = usize::MAX;
        self.dbs.iter_mut().for_each(|db| db.take_preimages(&mut all, sink));
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::db::{Due, Expire};
    use crate::list::{End, List, ListLimit};
    use crate::object::Typed;
    use crate::snapshot::SnapshotValue;
    use crate::value::{NewValue, SharedBytes, Value};

    type Image = HashMap<(usize, Vec<u8>), (Option<i64>, String)>;

    /// Collects what a snapshot hands out and refuses a key that comes twice.
    #[derive(Default)]
    struct Collector(Image);

    impl SnapshotSink for Collector {
        fn entry(&mut self, db: usize, key: &[u8], expire: Option<i64>, _: u32, value: SnapshotValue<'_>) {
            let twice = self.0.insert((db, key.to_vec()), (expire, spelled(value)));
            assert!(twice.is_none(), "{:?} was handed out twice", String::from_utf8_lossy(key));
        }
    }

    fn spelled(value: Value<'_>) -> String {
        match value {
            Value::Object(object) => {
                let list = List::of(object).expect("a list");
                format!("{:?}", list.expanded().iter().map(|e| e.to_vec()).collect::<Vec<_>>())
            }
            Value::Shared(bytes) => format!("{:?}", &bytes[..]),
            other => format!("{other:?}"),
        }
    }

    fn image(keyspace: &Keyspace) -> Image {
        let entries = |db: usize| {
            let entries = keyspace.db(DbIndex(db)).iter();
            entries.map(move |e| ((db, e.key().to_vec()), (e.expire(), spelled(e.value()))))
        };
        (0..keyspace.count()).flat_map(entries).collect()
    }

    #[derive(Clone, Debug)]
    enum Op {
        Set(usize, u8, u16),
        SetExpiring(usize, u8, i64),
        Push(usize, u8),
        Expire(usize, u8, Option<i64>),
        Remove(usize, u8),
        Swap,
        Clear(usize),
        Begin,
        Step(usize),
        Preimages,
        Abort,
        Restamp(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let (db, key) = (0usize..2, any::<u8>());
        prop_oneof![
            8 => (db.clone(), key, 0u16..1500).prop_map(|(d, k, n)| Op::Set(d, k, n)),
            4 => (db.clone(), key, any::<i64>()).prop_map(|(d, k, n)| Op::SetExpiring(d, k, n)),
            6 => (db.clone(), key).prop_map(|(d, k)| Op::Push(d, k)),
            4 => (db.clone(), key, any::<Option<i64>>()).prop_map(|(d, k, at)| Op::Expire(d, k, at)),
            6 => (db.clone(), key).prop_map(|(d, k)| Op::Remove(d, k)),
            1 => Just(Op::Swap),
            1 => db.prop_map(Op::Clear),
            3 => Just(Op::Begin),
            8 => (1usize..40).prop_map(Op::Step),
            3 => Just(Op::Preimages),
            1 => Just(Op::Abort),
            1 => (1usize..40).prop_map(Op::Restamp),
        ]
    }

    struct Run {
        keyspace: Keyspace,
        before: Image,
        collected: Collector,
    }

    impl Run {
        fn on<R>(&mut self, db: usize, key: u8, step: impl FnOnce(&mut Db, Hash, &[u8]) -> R) -> R {
            let key = format!("key:{key}").into_bytes();
            let hash = self.keyspace.hash(&key);
            step(self.keyspace.db_mut(DbIndex(db)), hash, &key)
        }

        fn push(&mut self, db: usize, key: u8) {
            let limit = ListLimit::new(3);
            self.on(db, key, |db, hash, key| {
                if let Some(mut entry) = db.get_mut(hash, key)
                    && let Some(list) = entry.typed_mut::<List>()
                {
                    return list.push(End::Tail, b"more", &limit);
                }
                let mut list = List::new();
                list.push(End::Head, b"first", &limit);
                db.set(hash, key, list.into(), Expire::Keep);
            });
        }

        fn apply(&mut self, op: Op) {
            match op {
                Op::Set(db, key, len) => {
                    let value = vec![b'v'; usize::from(len)];
                    self.on(db, key, |db, hash, key| {
                        db.set(hash, key, NewValue::from_bytes(&value), Expire::None)
                    });
                }
                Op::SetExpiring(db, key, at) => {
                    self.on(db, key, |db, hash, key| db.set(hash, key, NewValue::Int(at), Expire::At(at)));
                }
                Op::Push(db, key) => self.push(db, key),
                Op::Expire(db, key, at) => {
                    self.on(db, key, |db, hash, key| db.set_expire(hash, key, at));
                }
                Op::Remove(db, key) => {
                    self.on(db, key, |db, hash, key| {
                        db.remove(hash, key).map(|removed| removed.into_garbage())
                    });
                }
                Op::Swap => self.keyspace.swap(DbIndex(0), DbIndex(1)),
                Op::Clear(db) => drop(self.keyspace.db_mut(DbIndex(db)).clear()),
                Op::Begin => self.begin(),
                Op::Step(budget) => self.step(budget),
                Op::Preimages => self.keyspace.take_preimages(&mut self.collected),
                Op::Abort => self.keyspace.abort_snapshot(),
                Op::Restamp(budget) => drop(self.keyspace.restamp_step(budget)),
            }
        }

        fn begin(&mut self) {
            let now = image(&self.keyspace);
            if self.keyspace.begin_snapshot().is_ok() {
                self.before = now;
                self.collected = Collector::default();
            }
        }

        fn step(&mut self, budget: usize) {
            let ran = self.keyspace.snapshot_runs();
            if self.keyspace.snapshot_step(budget, &mut self.collected) && ran {
                assert_eq!(self.collected.0, self.before);
                assert_eq!(self.keyspace.preimage_bytes(), 0);
            }
        }

        fn check_counts(&self) {
            for db in 0..2 {
                let db = self.keyspace.db(DbIndex(db));
                assert_eq!(db.expires(), db.iter().filter(|e| e.expire().is_some()).count());
                assert_eq!(db.len(), db.iter().count());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 400 }))]

        #[test]
        fn a_snapshot_is_exactly_what_was_there(
            seed in any::<[u64; 2]>(),
            ops in proptest::collection::vec(op(), 0..400),
        ) {
            let mut run = Run {
                keyspace: Keyspace::new(2, [seed[0] >> 1, seed[1]]),
                before: Image::new(),
                collected: Collector::default(),
            };
            (0..=255).for_each(|key| run.apply(Op::Set(usize::from(key % 2), key, 3)));
            ops.into_iter().for_each(|op| run.apply(op));
            run.check_counts();
            while run.keyspace.snapshot_runs() {
                run.step(10);
            }
        }
    }

    #[test]
    fn stamps_never_come_round_unnoticed() {
        let mut run =
            Run { keyspace: Keyspace::new(2, [1, 2]), before: Image::new(), collected: Collector::default() };
        (0..200).for_each(|key| run.apply(Op::Set(0, key, 3)));
        for aborts in 0..1010 {
            run.begin();
            if !run.keyspace.snapshot_runs() {
                assert!(run.keyspace.needs_restamp());
                assert_eq!(run.keyspace.begin_snapshot(), Err(SnapshotError::StampsUsedUp));
                while !run.keyspace.restamp_step(20) {}
                run.begin();
            }
            assert_eq!(run.keyspace.begin_snapshot(), Err(SnapshotError::AlreadyRunning));
            run.step(aborts % 150);
            run.keyspace.abort_snapshot();
        }
        run.begin();
        while run.keyspace.snapshot_runs() {
            run.step(30);
        }
        assert_eq!(run.collected.0.len(), 200);
    }

    #[test]
    fn a_flush_of_one_database_leaves_the_snapshot_whole() {
        let mut run =
            Run { keyspace: Keyspace::new(2, [1, 2]), before: Image::new(), collected: Collector::default() };
        (0..200).for_each(|key| run.apply(Op::Set(0, key, 3)));
        run.begin();
        run.step(30);
        run.apply(Op::Clear(0));
        assert!(run.keyspace.db(DbIndex(0)).is_empty());
        (0..200).for_each(|key| run.apply(Op::Set(0, key, 4)));
        run.apply(Op::Clear(0));
        while run.keyspace.snapshot_runs() {
            run.step(30);
        }
        assert_eq!(run.collected.0.len(), 200);
        assert_eq!(run.keyspace.take_garbage().iter().map(Garbage::free_effort).max(), Some(200));
    }

    #[test]
    fn expired_keys_are_reported_once_they_are_due() {
        let mut keyspace = Keyspace::new(1, [3, 4]);
        let start = 1_700_000_000_000;
        for n in 0..1000i64 {
            let key = n.to_string().into_bytes();
            let hash = keyspace.hash(&key);
            let expire = if n % 2 == 0 { Expire::At(start + n * 10) } else { Expire::None };
            keyspace.db_mut(DbIndex(0)).set(hash, &key, NewValue::Int(n), expire);
        }
        for now in (start - 1000..start + 12_000).step_by(500) {
            let mut due = Vec::new();
            while keyspace.db_mut(DbIndex(0)).expired(now, 7, 5, |key, what| {
                assert_eq!(what, Due::Key);
                due.push(key.to_vec());
            }) {}
            for key in due {
                let hash = keyspace.hash(&key);
                assert!(keyspace.db_mut(DbIndex(0)).remove(hash, &key).is_some(), "reported once");
            }
            let late = keyspace.db(DbIndex(0)).iter().filter(|e| e.expire().is_some_and(|at| at < now - 256));
            assert_eq!(late.count(), 0, "at {now}");
        }
        assert_eq!((keyspace.db(DbIndex(0)).len(), keyspace.db(DbIndex(0)).expires()), (500, 0));
    }

    #[test]
    fn looking_for_what_is_not_due_yet_is_cut_into_small_steps() {
        let mut keyspace = Keyspace::new(1, [3, 4]);
        // Each key was due once and then was not: segments remember the earlier time until they are looked into.
        let now = 1_700_000_000_000;
        for n in 0..10_000i64 {
            let key = n.to_string().into_bytes();
            let hash = keyspace.hash(&key);
            keyspace.db_mut(DbIndex(0)).set(hash, &key, NewValue::Int(n), Expire::At(now - 256));
            keyspace.db_mut(DbIndex(0)).set_expire(hash, &key, Some(now + 3_600_000));
        }
        let db = keyspace.db_mut(DbIndex(0));
        let mut steps = 1;
        while db.expired(now, 64, 1024, |key, _| panic!("{key:?} is not due")) {
            steps += 1;
        }
        // 1024 pays for 64 entries, and a segment is always finished.
        assert!(steps >= 10_000 / 64 / 2, "{steps} steps");
    }

    #[test]
    fn entries_are_read_and_changed() {
        let mut keyspace = Keyspace::new(2, [5, 6]);
        let hash = keyspace.hash(b"k");
        keyspace.set_new_access(42, true);
        let db = keyspace.db_mut(DbIndex(0));
        assert_eq!(db.set(hash, b"k", NewValue::from_bytes(b"10"), Expire::At(9)).replaced, None);
        db.get_mut(hash, b"k").expect("set").set_int(11);
        let entry = db.get(hash, b"k").expect("set");
        assert!(matches!(entry.value(), Value::Int(11)));
        assert_eq!((entry.access(), entry.encoding(), entry.expire()), (42, "int", Some(9)));
        entry.touch(43);
        assert_eq!(db.get(hash, b"k").expect("set").access(), 43);
        db.set(hash, b"k", NewValue::Bytes(&[b'x'; 2000]), Expire::Keep);
        let clone = match db.get(hash, b"k").expect("set").value() {
            Value::Shared(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        };
        db.get_mut(hash, b"k").expect("set").shared_mut().expect("long").make_mut().push(b'y');
        assert_eq!(clone.len(), 2000);
        assert_eq!(db.expires(), 1);
        let removed = db.remove(hash, b"k").expect("set");
        assert!(matches!(removed.value(), Value::Shared(bytes) if bytes.len() == 2001));
        assert_eq!((db.len(), db.expires()), (0, 0));
        let (one, other) = keyspace.two_mut(DbIndex(0), DbIndex(1)).expect("two");
        other.set(hash, b"k", removed.value().to_new(), Expire::None);
        assert!(one.is_empty());
        keyspace.swap(DbIndex(0), DbIndex(1));
        assert_eq!(keyspace.db(DbIndex(0)).len(), 1);
        assert_eq!(keyspace.db_mut(DbIndex(0)).clear().free_effort(), 1);
    }

    #[test]
    fn a_copy_shares_what_is_big_until_it_changes() {
        let mut keyspace = Keyspace::new(2, [7, 8]);
        let limit = ListLimit::new(-2);
        let mut list = List::new();
        (0..20_000).for_each(|n: u32| list.push(End::Tail, &n.to_le_bytes(), &limit));
        let (one, other) = (DbIndex(0), DbIndex(1));
        let values = [
            NewValue::Int(5),
            NewValue::Bytes(b"small"),
            NewValue::Shared(SharedBytes::new(vec![b'x'; 5000])),
            list.into(),
        ];
        let (from, to) = (keyspace.hash(b"from"), keyspace.hash(b"to"));
        for value in values {
            keyspace.db_mut(one).set(from, b"from", value, Expire::At(77));
            for db in [one, other] {
                assert!(keyspace.copy((one, from, b"from"), (db, to, b"to")));
                let copy = keyspace.db(db).get(to, b"to").expect("copied");
                let entry = keyspace.db(one).get(from, b"from").expect("still there");
                assert_eq!(spelled(copy.value()), spelled(entry.value()));
                assert_eq!((copy.expire(), copy.encoding()), (Some(77), entry.encoding()));
            }
        }
        keyspace
            .db_mut(one)
            .get_mut(to, b"to")
            .and_then(|mut e| e.typed_mut::<List>()?.pop(End::Tail, &limit, |_| ()))
            .expect("a list");
        let len = |db, hash, key: &[u8]| match keyspace.db(db).get(hash, key).expect("there").value() {
            Value::Object(object) => object.len(),
            other => panic!("{other:?}"),
        };
        let lens = (len(one, from, b"from"), len(one, to, b"to"), len(other, to, b"to"));
        assert_eq!(lens, (20_000, 19_999, 20_000));
        let nothing = keyspace.hash(b"nothing");
        assert!(!keyspace.copy((one, nothing, b"nothing"), (other, to, b"to")));
    }

    #[test]
    fn samples_reach_every_entry_with_an_expiry() {
        for one_in in [1, 3, 50] {
            let mut keyspace = Keyspace::new(1, [1, 2]);
            let keys = 3000;
            for n in 0..keys {
                let key = format!("key:{n}").into_bytes();
                let expire = if n % one_in == 0 { Expire::At(i64::MAX) } else { Expire::None };
                let hash = keyspace.hash(&key);
                keyspace.db_mut(DbIndex(0)).set(hash, &key, NewValue::Int(n), expire);
            }
            let mut seen = std::collections::HashSet::new();
            let mut random = 1u64;
            for _ in 0..30_000 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                keyspace.db_mut(DbIndex(0)).sample_volatile(random.rotate_left(17), 5, |key, _, at| {
                    assert_eq!(at, i64::MAX);
                    seen.insert(key.to_vec());
                });
            }
            assert_eq!(seen.len() as i64, (keys + one_in - 1) / one_in, "one in {one_in}");
        }
    }
}
