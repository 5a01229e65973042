//! Prints what a database costs: RSS bytes per key of 16 bytes with a 32-byte value, with and without an expiry, and
//! the longest single steps. One process per figure, so that no run sees another's memory:
//!
//! ```text
//! cargo run --release -p ochre-store --example table_report            # 8, 10, 12, 16 million keys
//! cargo run --release -p ochre-store --example table_report -- 50      # so many million
//! cargo run --release -p ochre-store --example table_report -- floor   # the longest steps of a bare loop here
//! ```

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use store::{DbIndex, Expire, Keyspace, NewValue};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DB: DbIndex = DbIndex(0);
const NOW: i64 = 1_800_000_000_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("one") => one(args[2].parse().expect("a number of keys"), args[3] == "expiry"),
        Some("floor") => floor(),
        millions => all(millions),
    }
}

/// What the machine itself does to single steps: one write to each fresh page of a gigabyte, then one to each again.
fn floor() {
    let mut memory = vec![0u8; 1 << 30];
    for name in ["fresh pages", "the same pages again"] {
        let mut touches = Longest::default();
        for page in (0..memory.len()).step_by(4096) {
            touches.time(|| memory[page] = black_box(1));
        }
        println!("| {name} | | | {} |", touches.text());
    }
}

fn all(millions: Option<&str>) {
    let counts: Vec<u64> = match millions {
        Some(text) => text.split(',').map(|n| n.parse().expect("millions of keys")).collect(),
        None => vec![8, 10, 12, 16],
    };
    println!("| keys | expiry | RSS/key, bytes | longest of its kind, µs (and the 5 next longest) |");
    let program = std::env::current_exe().expect("a path to this program");
    for count in counts {
        for kind in ["plain", "expiry"] {
            let keys = (count * 1_000_000).to_string();
            let status = Command::new(&program).args(["one", &keys, kind]).status();
            assert!(status.expect("started").success());
        }
    }
}

/// The longest steps of a kind, by the processor time that they took: other programs' turns do not count.
#[derive(Default)]
struct Longest(Vec<Duration>);

impl Longest {
    fn time<R>(&mut self, step: impl FnOnce() -> R) -> R {
        let start = processor_time();
        let result = step();
        let took = processor_time() - start;
        if self.0.len() < 6 || took > self.0[5] {
            self.0.push(took);
            self.0.sort_unstable_by(|a, b| b.cmp(a));
            self.0.truncate(6);
        }
        result
    }

    fn text(&self) -> String {
        self.0.iter().map(|d| d.as_micros().to_string()).collect::<Vec<_>>().join(" ")
    }
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn one(keys: u64, expiry: bool) {
    // As the server has it: pages are given back elsewhere than in a step that happens to free something.
    tikv_jemalloc_ctl::background_thread::write(true).expect("jemalloc has threads here");
    let mut keyspace = Keyspace::new(1, [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);
    let empty = rss();
    let mut inserts = Longest::default();
    let begun = Instant::now();
    for n in 0..keys {
        let key = name(n);
        let expire = if expiry { Expire::At(NOW + (n as i64 % 3_600_000)) } else { Expire::None };
        inserts.time(|| {
            let hash = keyspace.hash(&key);
            keyspace.db_mut(DB).set(hash, &key, NewValue::Bytes(&[b'v'; 32]), expire)
        });
    }
    let insert_ns = begun.elapsed().as_nanos() as f64 / keys as f64;
    let per_key = (rss() - empty) as f64 / keys as f64;
    let table = keyspace.db(DB).table_bytes() as f64 / keys as f64;
    println!(
        "| {} M | {expiry} | {per_key:.2} (table alone {table:.2}) | insert {} (mean {insert_ns:.0} ns) |",
        keys / 1_000_000,
        inserts.text()
    );
    println!("|  |  | {} |  |", allocator_split(keys));
    steps(&mut keyspace, keys, expiry);
}

/// Where the allocator's bytes per key are: handed out, in pages with something in use, its own records, resident.
fn allocator_split(keys: u64) -> String {
    use tikv_jemalloc_ctl::{epoch, stats};
    epoch::advance().expect("statistics are built in");
    let figures = [
        ("allocated", stats::allocated::read()),
        ("active", stats::active::read()),
        ("metadata", stats::metadata::read()),
        ("resident", stats::resident::read()),
    ];
    let text = |(name, bytes): (&str, Result<usize, _>)| {
        format!("{name} {:.2}", bytes.expect("built in") as f64 / keys as f64)
    };
    figures.map(text).join(", ")
}

fn steps(keyspace: &mut Keyspace, keys: u64, expiry: bool) {
    let (mut scans, mut cursor, mut found) = (Longest::default(), 0, 0);
    let begun = Instant::now();
    loop {
        cursor = scans
            .time(|| keyspace.db(DB).scan(cursor, 10, |entry| found += black_box(entry.key().len()) / 16));
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(found as u64, keys);
    println!("|  |  |  | scan of 10: {} (all: {:.1} s) |", scans.text(), begun.elapsed().as_secs_f64());
    let mut expires = Longest::default();
    let mut due = Vec::new();
    if expiry {
        let begun = Instant::now();
        let mut reported = 0;
        for second in 0..20 {
            while expires.time(|| {
                keyspace.db_mut(DB).expired(NOW + second * 1000, 20, 2000, |key, _| due.push(key.to_vec()))
            }) {}
            reported += due.len();
            for key in due.drain(..) {
                let hash = keyspace.hash(&key);
                keyspace.db_mut(DB).remove(hash, &key);
            }
        }
        println!(
            "|  |  |  | expire step: {} ({reported} keys in {:.2} s for 20 s of clock) |",
            expires.text(),
            begun.elapsed().as_secs_f64()
        );
    }
    let mut removals = Longest::default();
    for n in 0..keys {
        let key = name(n);
        removals.time(|| {
            let hash = keyspace.hash(&key);
            keyspace.db_mut(DB).remove(hash, &key)
        });
    }
    assert!(keyspace.db(DB).is_empty());
    let left = keyspace.db(DB).table_bytes();
    println!("|  |  |  | remove: {} (table at the end {left} bytes) |", removals.text());
}

/// A 16-byte key.
fn name(n: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut n = n;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
    key
}

/// Resident bytes of this process.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kilobytes * 1024
}
