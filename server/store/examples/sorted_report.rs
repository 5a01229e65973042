//! Bytes and nanoseconds per member of a sorted set, and per entry of a stream:
//! `cargo run --release -p ochre-store --example sorted_report`.

use std::hint::black_box;

use store::stream::{Stream, StreamId, StreamLimits, Trim};
use store::{Side, SortedSet, SortedSetBuilder, SortedSetLimits};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn allocated() -> usize {
    tikv_jemalloc_ctl::epoch::advance().expect("jemalloc");
    tikv_jemalloc_ctl::stats::allocated::read().expect("jemalloc")
}

fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    n ^ n >> 29
}

/// An argument chooses among the lines by a part of their name.
fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let sorted_set = |count: u64, name: &str, score: fn(u64) -> f64| {
        if format!("{name} {count}").contains(&wanted) {
            sorted_set(count, name, score);
        }
    };
    if "stream".contains(&wanted) {
        stream(1_000_000);
    }
    for count in [800_000u64, 1_000_000, 1_200_000, 1_600_000] {
        sorted_set(count, "score below a million", |n| (mix(n) % 1_000_000) as f64);
    }
    sorted_set(1_000_000, "score of the clock", |n| n as f64);
    sorted_set(1_000_000, "score below a hundred", |n| (mix(n) % 100) as f64);
    sorted_set(1_000_000, "one of 20,000 scores", |n| (mix(n) % 20_000) as f64);
    sorted_set(1_000_000, "score 0", |_| 0.0);
}

/// Nanoseconds that this thread has run: others on the machine disturb less than they would by a clock.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds per step.
fn timed(count: u64, mut work: impl FnMut(u64)) -> u64 {
    let start = cpu_ns();
    (0..count).for_each(&mut work);
    (cpu_ns() - start) / count
}

fn sorted_set(count: u64, name: &str, score: fn(u64) -> f64) {
    let limits = SortedSetLimits::default();
    let members: Vec<Vec<u8>> = (0..count).map(|n| format!("element:{n:016}").into_bytes()).collect();
    let member = |n: u64| &members[(mix(n) % count) as usize];
    let before = allocated();
    let mut set = SortedSet::default();
    let add = timed(count, |n| {
        set.insert(&members[n as usize], score(n), &limits);
    });
    let bytes = (allocated() - before) as f64 / count as f64;
    let steps = 300_000;
    let update = timed(steps, |n| {
        set.insert(member(n), score(n + count), &limits);
    });
    let updated = (allocated() - before) as f64 / count as f64;
    let get = timed(steps, |n| {
        black_box(set.score(member(n + 1)));
    });
    let rank = timed(steps, |n| {
        black_box(set.rank(member(n + 2)));
    });
    let range = timed(steps / 100, |n| {
        let rank = (mix(n) % (count - 100)) as usize;
        set.iter(rank, false).take(100).for_each(|pair| {
            black_box(pair);
        });
    });
    let by_score = timed(steps, |n| {
        black_box(set.iter(set.rank_of_score(score(n), Side::Before), false).next());
    });
    let mut cursor = 0;
    let mut scanned = 0;
    let scan =
        timed(10_000, |_| cursor = set.scan(cursor, 10, |_, _| scanned += 1)) * 10_000 / scanned.max(1);
    let start = cpu_ns();
    let mut builder = SortedSetBuilder::new();
    set.iter(0, false).for_each(|(member, score)| {
        builder.add(member.as_bytes(&mut itoa::Buffer::new()), score);
    });
    let filled = allocated();
    let built = builder.finish(&limits);
    let build = (cpu_ns() - start) / count;
    black_box(filled);
    let estimate = set.memory_usage() as f64 / count as f64;
    drop(built);
    let pop = timed(steps, |_| {
        let first = set.nth(0).map(|(member, _)| member.to_vec());
        set.remove(&first.expect("not empty"));
    });
    println!(
        "{name:22} {count:>9}: {bytes:5.1} bytes, {updated:5.1} after updates, estimate {estimate:5.1}; ns: add {add}, \
         update {update}, score {get}, rank {rank}, range of 100 {range}, by score {by_score}, scan {scan}, \
         build {build}, pop {pop}"
    );
}

fn stream(count: u64) {
    let values: Vec<Vec<u8>> = (0..count).map(|n| format!("element:{n:06}").into_bytes()).collect();
    let before = allocated();
    let (mut stream, limits) = (Stream::default(), StreamLimits::default());
    let id = |n: u64| StreamId::new(1_700_000_000_000 + n, 0);
    let add = timed(count, |n| stream.append(id(n), &[(b"field", &values[n as usize])], &limits));
    let bytes = (allocated() - before) as f64 / count as f64;
    let read = timed(10_000, |n| {
        stream.range(id(mix(n) % (count - 100)), StreamId::MAX).take(100).for_each(|entry| {
            entry.fields().for_each(|pair| {
                black_box(pair);
            });
        });
    });
    let back = timed(10_000, |n| {
        stream.range_back(StreamId::MIN, id(mix(n) % (count - 100) + 100)).take(100).for_each(|entry| {
            entry.fields().for_each(|pair| {
                black_box(pair);
            });
        });
    });
    let estimate = stream.memory_usage() as f64 / count as f64;
    let file = timed(1, |_| {
        let mut out = Vec::new();
        for (_, node) in stream.nodes() {
            out.clear();
            node.write_to(&mut out);
            black_box(&out);
        }
    }) / count;
    let delete = timed(100_000, |n| {
        stream.delete(id(n * 7));
    });
    let trim = timed(1, |_| {
        stream.trim(Trim::MinId(id(count / 2)), true, 0);
    }) / (count / 2);
    println!(
        "stream {count}: {bytes:5.1} bytes, estimate {estimate:5.1}; ns: add {add}, read 100 {read}, back 100 {back}, \
         to a file {file}, delete {delete}, trim {trim}"
    );
}
