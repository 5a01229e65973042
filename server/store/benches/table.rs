//! Time per step on a database of a million keys of 16 bytes with 32-byte values, in random order.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use store::{Ahead, Db, DbIndex, Expire, Keyspace, NewValue};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DB: DbIndex = DbIndex(0);
const KEYS: u64 = 1_000_000;
/// Requests of a batch whose cache misses overlap.
const BATCH: usize = 16;

fn key(n: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    key[4..].copy_from_slice(format!("{n:012}").as_bytes());
    key
}

fn filled() -> Keyspace {
    let mut keyspace = Keyspace::new(1, [1, 2]);
    for n in 0..KEYS {
        let key = key(n);
        let hash = keyspace.hash(&key);
        keyspace.db_mut(DB).set(hash, &key, NewValue::Bytes(&[b'v'; 32]), Expire::None);
    }
    keyspace
}

/// Keys in an order that caches cannot guess, made beforehand.
fn shuffled(from: u64) -> impl FnMut() -> [u8; 16] {
    let keys: Vec<_> = (0..KEYS).map(|n| key(from + n * 760_013 % KEYS)).collect();
    let mut at = 0;
    move || {
        at = (at + 1) % keys.len();
        keys[at]
    }
}

fn reads(c: &mut Criterion) {
    let keyspace = filled();
    let mut group = c.benchmark_group("table");
    let (mut hits, mut misses) = (shuffled(0), shuffled(KEYS));
    let get = |key: &[u8]| keyspace.db(DB).get(keyspace.hash(key), key).map(|entry| entry.access());
    group.bench_function("get hit", |b| b.iter(|| black_box(get(&hits()))));
    group.bench_function("get miss", |b| b.iter(|| black_box(get(&misses()))));
    group.bench_function("hash", |b| b.iter(|| black_box(keyspace.hash(&hits()))));
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("get hit, batch of 16 with prefetch", |b| {
        b.iter(|| {
            let db = keyspace.db(DB);
            let mut batch: [_; BATCH] = std::array::from_fn(|_| {
                let key = hits();
                let hash = keyspace.hash(&key);
                let ahead = db.prefetch_slot(hash);
                (hash, key, ahead.unwrap_or(Ahead::NONE), ahead.is_some())
            });
            for stage in Db::PREFETCH_STAGES {
                for (hash, _, ahead, is_far) in batch.iter_mut().filter(|(.., is_far)| *is_far) {
                    *is_far = stage(db, *hash, ahead);
                }
            }
            batch.iter().filter(|(hash, key, ahead, _)| db.locate_ahead(*hash, key, *ahead).is_some()).count()
        });
    });
    group.throughput(Throughput::Elements(10));
    let mut cursor = 0;
    group.bench_function("scan of 10", |b| {
        b.iter(|| {
            cursor = keyspace.db(DB).scan(cursor, 10, |entry| {
                black_box(entry.key());
            });
        });
    });
    group.finish();
}

fn writes(c: &mut Criterion) {
    let mut keyspace = filled();
    let mut group = c.benchmark_group("table");
    let mut hits = shuffled(0);
    group.bench_function("overwrite", |b| {
        b.iter(|| {
            let key = hits();
            let hash = keyspace.hash(&key);
            keyspace.db_mut(DB).set(hash, &key, NewValue::Bytes(&[b'w'; 32]), Expire::None)
        });
    });
    let mut fresh = KEYS;
    group.bench_function("insert and remove", |b| {
        b.iter(|| {
            let (new, old) = (key(fresh), key(fresh - KEYS));
            fresh += 1;
            let (h, g) = (keyspace.hash(&new), keyspace.hash(&old));
            keyspace.db_mut(DB).set(h, &new, NewValue::Bytes(&[b'v'; 32]), Expire::None);
            keyspace.db_mut(DB).remove(g, &old)
        });
    });
    group.finish();
}

criterion_group!(benches, reads, writes);
criterion_main!(benches);
