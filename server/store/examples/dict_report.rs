//! Bytes and nanoseconds per item of a dictionary: `cargo run --release -p ochre-store --example dict_report`.

use std::hint::black_box;
use std::time::Instant;

use store::{Dict, VARIABLE};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn allocated() -> usize {
    tikv_jemalloc_ctl::epoch::advance().expect("jemalloc");
    tikv_jemalloc_ctl::stats::allocated::read().expect("jemalloc")
}

fn main() {
    for count in [800_000u64, 1_000_000, 1_200_000, 1_600_000, 10_000_000] {
        report::<0>(count, "set, 16 bytes", |_| Vec::new());
        report::<VARIABLE>(count, "hash, 16 + 16 bytes", |n| format!("{n:016x}").into_bytes());
    }
}

fn key(n: u64) -> Vec<u8> {
    format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
}

fn report<const V: usize>(count: u64, name: &str, value: fn(u64) -> Vec<u8>) {
    let before = allocated();
    let items: Vec<(Vec<u8>, Vec<u8>)> = (0..count).map(|n| (key(n), value(n))).collect();
    let filled = allocated();
    let mut dict = Dict::<V>::default();
    let start = Instant::now();
    for (key, value) in &items {
        dict.insert(key, value);
    }
    let insert_ns = start.elapsed().as_nanos() as u64 / count;
    let bytes = (allocated() - filled) as f64 / count as f64;
    let start = Instant::now();
    for (key, _) in &items {
        black_box(dict.get(key));
    }
    let get_ns = start.elapsed().as_nanos() as u64 / count;
    let start = Instant::now();
    let clone = dict.clone();
    dict.insert(b"one more, which copies a path", &items[0].1);
    let clone_ns = start.elapsed().as_nanos();
    println!(
        "{name:20} {count:>9}: {bytes:5.1} bytes, insert {insert_ns} ns, get {get_ns} ns, clone and write {clone_ns} ns, estimate {:.1}",
        dict.memory_usage() as f64 / count as f64
    );
    drop((dict, clone, items));
    black_box(before);
}
