//! A database against a `HashMap`, with a SCAN and a snapshot running meanwhile. Two bytes make an operation.
//!
//! Without cargo-fuzz:
//! ```text
//! RUSTFLAGS="-Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table --cfg fuzzing" \
//!   cargo +nightly run --release --target x86_64-unknown-linux-gnu --bin table -- -max_total_time=60
//! ```
#![no_main]

use std::collections::{HashMap, HashSet};

use libfuzzer_sys::fuzz_target;
use store::{DbIndex, Expire, Keyspace, NewValue, SnapshotSink, Value};

const DB: DbIndex = DbIndex(0);

fuzz_target!(|data: &[u8]| {
    let mut bench = Bench { keyspace: Keyspace::new(1, [1, 2]), ..Bench::default() };
    for pair in data.chunks_exact(2) {
        bench.step(pair[0], pair[1]);
    }
    bench.finish();
});

#[derive(Default)]
struct Collector(HashMap<Vec<u8>, u8>);

impl SnapshotSink for Collector {
    fn entry(&mut self, _: usize, key: &[u8], _: Option<i64>, _: u32, value: Value<'_>) {
        assert!(self.0.insert(key.to_vec(), mark(value)).is_none(), "handed out twice");
    }
}

/// The one byte that the model keeps of a value.
fn mark(value: Value<'_>) -> u8 {
    match value {
        Value::Int(n) => n as u8,
        Value::Bytes(bytes) => bytes[0],
        Value::Shared(bytes) => bytes[0],
        Value::Object(_) => unreachable!("no objects here"),
    }
}

struct Bench {
    keyspace: Keyspace,
    model: HashMap<Vec<u8>, u8>,
    cursor: u64,
    throughout: HashSet<Vec<u8>>,
    emitted: Vec<Vec<u8>>,
    before: HashMap<Vec<u8>, u8>,
    collected: Collector,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            keyspace: Keyspace::new(1, [0, 0]),
            model: HashMap::new(),
            cursor: 0,
            throughout: HashSet::new(),
            emitted: Vec::new(),
            before: HashMap::new(),
            collected: Collector::default(),
        }
    }
}

impl Bench {
    fn step(&mut self, what: u8, which: u8) {
        let key = |n: u8| format!("{}:{n}", what >> 3).into_bytes();
        match what & 7 {
            0 => self.set(key(which), which),
            1 => (0..which).for_each(|n| self.set(key(n), which)),
            2 => self.remove(key(which)),
            3 => (0..which).for_each(|n| self.remove(key(n))),
            4 => self.scan(usize::from(which)),
            5 => self.expire(key(which), which),
            6 => self.snapshot(which),
            _ => {
                drop(self.keyspace.db_mut(DB).clear());
                self.model.clear();
                self.throughout.clear();
            }
        }
    }

    fn set(&mut self, key: Vec<u8>, mark: u8) {
        let hash = self.keyspace.hash(&key);
        let bytes = vec![mark; [3, 40, 700, 1500][usize::from(mark & 3)]];
        let value = if mark & 4 == 0 { NewValue::Int(i64::from(mark)) } else { NewValue::Bytes(&bytes) };
        let expire = if mark & 8 == 0 { Expire::Keep } else { Expire::At(i64::from(mark)) };
        let outcome = self.keyspace.db_mut(DB).set(hash, &key, value, expire);
        assert_eq!(outcome.replaced.is_some(), self.model.insert(key, mark).is_some());
    }

    fn remove(&mut self, key: Vec<u8>) {
        let hash = self.keyspace.hash(&key);
        assert_eq!(self.keyspace.db_mut(DB).remove(hash, &key).is_some(), self.model.remove(&key).is_some());
        self.throughout.remove(&key);
    }

    fn expire(&mut self, key: Vec<u8>, which: u8) {
        let hash = self.keyspace.hash(&key);
        let expire = (which & 1 == 0).then_some(i64::from(which));
        assert_eq!(self.keyspace.db_mut(DB).set_expire(hash, &key, expire), self.model.contains_key(&key));
    }

    fn scan(&mut self, count: usize) {
        if self.cursor == 0 {
            self.throughout = self.model.keys().cloned().collect();
            self.emitted.clear();
        }
        let emitted = &mut self.emitted;
        self.cursor =
            self.keyspace.db(DB).scan(self.cursor, count, |entry| emitted.push(entry.key().to_vec()));
        if self.cursor == 0 {
            for key in &self.throughout {
                assert_eq!(self.emitted.iter().filter(|e| *e == key).count(), 1, "exactly once");
            }
        }
    }

    fn snapshot(&mut self, which: u8) {
        match which {
            0 => self.keyspace.abort_snapshot(),
            1 => drop(self.keyspace.restamp_step(50)),
            _ if self.keyspace.snapshot_runs() => {
                if self.keyspace.snapshot_step(usize::from(which), &mut self.collected) {
                    assert_eq!(self.collected.0, self.before);
                }
            }
            _ => {
                if self.keyspace.begin_snapshot().is_ok() {
                    self.before = self.model.clone();
                    self.collected = Collector::default();
                }
            }
        }
    }

    fn finish(mut self) {
        let db = self.keyspace.db(DB);
        assert_eq!(db.len(), self.model.len());
        assert_eq!(db.expires(), db.iter().filter(|e| e.expire().is_some()).count());
        for entry in db.iter() {
            assert_eq!(self.model.get(entry.key()), Some(&mark(entry.value())));
        }
        while self.keyspace.snapshot_runs() {
            self.snapshot(200);
        }
    }
}
