//! Resident bytes per key, per element of a collection and per idle connection, beside Redis.
//!
//! Resident memory is what the machine pays, so that is judged; `used_memory` stands beside it to show what the
//! allocator adds. A count is measured on the way to the next larger one: loading ten million keys passes through
//! the very state that loading eight leaves. Collections grow element by element, as they do in use.

use crate::client::{encode, key, mix, value};
use crate::process::{Launch, Server};
use crate::table::{Table, thousands};
use crate::{Kind, Options, Result, idle};
use std::time::{Duration, Instant};

/// What is loaded, and what one element of it may cost.
struct Shape {
    name: &'static str,
    /// Says what an element is.
    element: &'static str,
    /// Bytes of resident memory per element.
    max_bytes: Option<f64>,
    /// Sizes in elements.
    sizes: Sizes,
    /// Appends the request that adds element number n.
    request: fn(u64, &mut Vec<u8>),
}

#[derive(Clone, Copy, PartialEq)]
enum Sizes {
    /// The counts from the command line; the limit holds at each.
    Asked,
    /// Always this one.
    Fixed(u64),
    /// One collection of so many, where the limit holds, and counts around it: tables, trees and arrays that double
    /// cost most just after they did.
    Around(u64),
}

/// Shares of the count that `Sizes::Around` names.
const AROUND: &[f64] = &[0.8, 1.0, 1.2, 1.6];

/// What an element may cost at the worst count around, as a share of what it costs at the count itself.
const WORST_AROUND: f64 = 1.15;

/// Elements of each of the small collections.
const SMALL: u64 = 10;

/// Digits of an element of a small collection: `element:` and these are 11 bytes, of which ten, with a score each or
/// without, fill a block of 160 bytes in Redis's form. The limits come from figures of Redis 8.0 and Valkey 9.1, 21.7 and
/// 21.8 bytes an element, which leave no room for longer ones there: the next block has 192. Likewise 8.9 bytes an integer
/// can only be of 16 bits each. The rows of long elements are to look at.
const DIGITS: usize = 3;

/// Elements in all small collections together: a million keys, a few hundred megabytes.
const IN_SMALL: u64 = 10_000_000;

/// Elements of a big collection.
const MILLION: u64 = 1_000_000;

/// Milliseconds until the first key with an expiry would go: after any run. Spread, so that no two are alike.
const EXPIRY_MS: u64 = 86_400_000;

/// Milliseconds of the first stream entry, one for each after it: an id as the clock makes them.
const FIRST_ENTRY_MS: u64 = 1_700_000_000_000;

const SHAPES: &[Shape] = &[
    Shape {
        name: "strings",
        element: "key, 16+32 bytes",
        max_bytes: Some(80.0),
        sizes: Sizes::Asked,
        request: |n, out| encode(out, &[b"SET", &key(n), &value(n)]),
    },
    Shape {
        name: "strings-expiry",
        element: "key, 16+32 bytes and a TTL",
        max_bytes: Some(94.0),
        sizes: Sizes::Asked,
        request: |n, out| {
            let ttl = EXPIRY_MS + mix(n) % EXPIRY_MS;
            encode(out, &[b"SET", &key(n), &value(n), b"PX", ttl.to_string().as_bytes()]);
        },
    },
    Shape {
        name: "hashes-of-10",
        element: "field of 8 bytes with a value of 8",
        max_bytes: Some(28.0),
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| {
            let (field, value) = (named("f:", n, 6), named("v:", n, 6));
            encode(out, &[b"HSET", &key(n / SMALL), &field, &value]);
        },
    },
    Shape {
        name: "long-lists-of-10",
        element: "element of 14 bytes",
        max_bytes: None,
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| encode(out, &[b"RPUSH", &key(n / SMALL), &named("element:", n, 6)]),
    },
    Shape {
        name: "lists-of-10",
        element: "element of 11 bytes",
        max_bytes: Some(21.0),
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| encode(out, &[b"RPUSH", &key(n / SMALL), &named("element:", n, DIGITS)]),
    },
    Shape {
        name: "long-sets-of-10",
        element: "member of 14 bytes",
        max_bytes: None,
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| encode(out, &[b"SADD", &key(n / SMALL), &named("element:", n, 6)]),
    },
    Shape {
        name: "sets-of-10",
        element: "member of 11 bytes",
        max_bytes: Some(21.0),
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| encode(out, &[b"SADD", &key(n / SMALL), &named("element:", n, DIGITS)]),
    },
    Shape {
        name: "long-integer-sets-of-10",
        element: "integer below ten million",
        max_bytes: None,
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| encode(out, &[b"SADD", &key(n / SMALL), n.to_string().as_bytes()]),
    },
    Shape {
        name: "integer-sets-of-10",
        element: "integer of 16 bits",
        max_bytes: Some(9.0),
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| encode(out, &[b"SADD", &key(n / SMALL), (n % 32_768).to_string().as_bytes()]),
    },
    Shape {
        name: "long-sorted-sets-of-10",
        element: "member of 14 bytes with a score below 100",
        max_bytes: None,
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| {
            let score = (mix(n) % 100).to_string();
            encode(out, &[b"ZADD", &key(n / SMALL), score.as_bytes(), &named("element:", n, 6)]);
        },
    },
    Shape {
        name: "sorted-sets-of-10",
        element: "member of 11 bytes with a score below 100",
        max_bytes: Some(21.0),
        sizes: Sizes::Fixed(IN_SMALL),
        request: |n, out| {
            let score = (mix(n) % 100).to_string();
            encode(out, &[b"ZADD", &key(n / SMALL), score.as_bytes(), &named("element:", n, DIGITS)]);
        },
    },
    Shape {
        name: "hash-of-million",
        element: "field of 15 bytes with a value of 15",
        max_bytes: Some(60.0),
        sizes: Sizes::Around(MILLION),
        request: |n, out| encode(out, &[b"HSET", b"myhash", &named("field:", n, 9), &named("value:", n, 9)]),
    },
    Shape {
        name: "set-of-million",
        element: "member of 16 bytes",
        max_bytes: Some(40.0),
        sizes: Sizes::Around(MILLION),
        request: |n, out| encode(out, &[b"SADD", b"myset", &named("element:", n, 8)]),
    },
    Shape {
        name: "sorted-set-of-million",
        element: "member of 24 bytes with a score below a million",
        max_bytes: Some(70.0),
        sizes: Sizes::Around(MILLION),
        request: |n, out| {
            let score = (mix(n) % MILLION).to_string();
            encode(out, &[b"ZADD", b"myzset", score.as_bytes(), &named("element:", n, 16)]);
        },
    },
    Shape {
        name: "list-of-million",
        element: "element of 14 bytes",
        max_bytes: Some(20.0),
        sizes: Sizes::Around(MILLION),
        request: |n, out| encode(out, &[b"RPUSH", b"mylist", &named("element:", n, 6)]),
    },
    Shape {
        name: "stream-of-million",
        element: "entry of one field, always the same, with a value of 14 bytes",
        max_bytes: Some(26.0),
        sizes: Sizes::Around(MILLION),
        request: |n, out| {
            let id = (FIRST_ENTRY_MS + n).to_string();
            encode(out, &[b"XADD", b"mystream", id.as_bytes(), b"field", &named("element:", n, 6)]);
        },
    },
];

/// A word and the last digits of a number.
fn named(word: &str, number: u64, digits: usize) -> Vec<u8> {
    format!("{word}{:0digits$}", number % 10_u64.pow(digits as u32)).into_bytes()
}

/// Millions of keys unless told otherwise: at a table of extendible segments the cost per key swings with the fill
/// between two doublings, so one count would flatter or slander.
const KEYS: &[f64] = &[8.0, 10.0, 12.0, 16.0];

/// The allocator gives pages back for ten seconds after they became free.
const SETTLE_LIMIT: Duration = Duration::from_secs(15);
/// It has settled when nothing more went in so long.
const SETTLED: Duration = Duration::from_secs(3);
/// How much less still counts as nothing, as a share of resident memory.
const SETTLE_TOLERANCE: f64 = 0.001;

/// Bytes per element at one count.
#[derive(Clone, Copy)]
struct Point {
    count: u64,
    rss: f64,
    used: f64,
}

/// Runs the chosen rows. Returns whether every target was met.
pub fn run(options: &Options) -> Result<bool> {
    let shapes: Vec<&Shape> = SHAPES.iter().filter(|s| options.wants(s.name)).collect();
    if !shapes.is_empty() {
        println!("resident bytes per element, the empty server's taken off, the allocator settled");
        for shape in &shapes {
            println!("  {:21} per {}", shape.name, shape.element);
        }
        println!("small collections: keys of 16 bytes, whose cost is shared among the ten");
        println!();
    }
    let mut table = Table::new(&[
        "shape",
        "server",
        "elements",
        "RSS bytes each",
        "used_memory each",
        "target",
        "verdict",
    ]);
    let mut good = true;
    for shape in &shapes {
        for kind in [Kind::Ochre, Kind::Redis] {
            match measure(shape, kind, options) {
                Ok(points) => good &= rows(shape, kind, &points, &mut table),
                Err(error) => {
                    eprintln!("{} could not be measured at {}: {error}", shape.name, kind.name());
                    table.row([shape.name.to_owned(), kind.name().to_owned(), "not measured".to_owned()]);
                    good = false;
                }
            }
        }
    }
    if !shapes.is_empty() {
        table.print();
    }
    Ok(good & idle::run(options)?)
}

/// Counts in rising order.
fn counts(shape: &Shape, kind: Kind, options: &Options) -> Vec<u64> {
    let million = |n: &f64| (n * 1e6) as u64;
    let shorter = |count: u64| if options.quick { count / 5 } else { count };
    let mut counts: Vec<u64> = match (shape.sizes, kind) {
        (Sizes::Fixed(count), _) => vec![shorter(count)],
        (Sizes::Around(count), _) => {
            AROUND.iter().map(|share| (shorter(count) as f64 * share) as u64).collect()
        }
        (Sizes::Asked, Kind::Redis) => options.redis_keys.iter().map(million).collect(),
        (Sizes::Asked, _) if !options.keys.is_empty() => options.keys.iter().map(million).collect(),
        (Sizes::Asked, _) if options.quick => vec![1_000_000, 2_000_000],
        (Sizes::Asked, _) => KEYS.iter().map(million).collect(),
    };
    counts.sort_unstable();
    counts
}

/// Loads one server up to each count and measures there.
fn measure(shape: &Shape, kind: Kind, options: &Options) -> Result<Vec<Point>> {
    let server = launch(kind, options, &[])?;
    let mut client = server.client()?;
    let (empty_rss, empty_used) = (server.rss()?, used_memory(&server)?);
    let mut loaded = 0;
    let mut points = Vec::new();
    for count in counts(shape, kind, options) {
        client.load(count - loaded, |n, out| (shape.request)(loaded + n, out))?;
        loaded = count;
        settle(&server)?;
        let rss = server.rss()?.saturating_sub(empty_rss) as f64 / count as f64;
        let used = (used_memory(&server)? - empty_used) / count as f64;
        points.push(Point { count, rss, used });
    }
    Ok(points)
}

/// Waits until the server has given back the pages that growing left free.
fn settle(server: &Server) -> Result<()> {
    let start = Instant::now();
    let mut least = server.rss_quick()? as f64;
    let mut since = Instant::now();
    while since.elapsed() < SETTLED && start.elapsed() < SETTLE_LIMIT {
        std::thread::sleep(Duration::from_millis(100));
        let now = server.rss_quick()? as f64;
        if now < least * (1.0 - SETTLE_TOLERANCE) {
            least = now;
            since = Instant::now();
        }
    }
    Ok(())
}

/// Adds the rows of one server. Returns whether each is within its limit.
fn rows(shape: &Shape, kind: Kind, points: &[Point], table: &mut Table) -> bool {
    let limits = if kind == Kind::Ochre { limits(shape, points) } else { vec![None; points.len()] };
    let mut good = true;
    for (at, (point, limit)) in points.iter().zip(limits).enumerate() {
        let missed = limit.is_some_and(|limit| point.rss > limit);
        good &= !missed;
        table.row([
            if kind == Kind::Ochre && at == 0 { shape.name.to_owned() } else { String::new() },
            kind.name().to_owned(),
            thousands(point.count as f64),
            format!("{:.1}", point.rss),
            format!("{:.1}", point.used),
            limit.map_or("-".to_owned(), |limit| format!("<= {limit:.1}")),
            limit.map_or("-", |_| if missed { "FAIL" } else { "PASS" }).to_owned(),
        ]);
    }
    good
}

/// What an element may cost at each of the points: the target, or around it a share more than the element costs there.
fn limits(shape: &Shape, points: &[Point]) -> Vec<Option<f64>> {
    let Sizes::Around(_) = shape.sizes else { return vec![shape.max_bytes; points.len()] };
    let middle = AROUND.iter().position(|share| *share == 1.0).and_then(|at| points.get(at));
    let limit = |point: &Point| match middle {
        Some(middle) if point.count != middle.count => Some(middle.rss * WORST_AROUND),
        _ => shape.max_bytes,
    };
    points.iter().map(limit).collect()
}

/// A server of either kind with these arguments more.
pub fn launch(kind: Kind, options: &Options, args: &[&str]) -> Result<Server> {
    let args = args.iter().map(ToString::to_string);
    match kind {
        Kind::Ochre => Server::start(Launch::new(kind, &options.ochre).args(args).args(options.extra_args())),
        _ => Server::start(Launch::new(kind, &options.redis).args(args)),
    }
}

fn used_memory(server: &Server) -> Result<f64> {
    Ok(server.info("used_memory")?.ok_or("INFO without used_memory")?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_names_are_unique_and_requests_complete() {
        for (at, shape) in SHAPES.iter().enumerate() {
            assert!(SHAPES[..at].iter().all(|s| s.name != shape.name), "{}", shape.name);
            let mut out = Vec::new();
            (shape.request)(7, &mut out);
            assert!(out.starts_with(b"*") && out.ends_with(b"\r\n"), "{}", shape.name);
        }
    }

    #[test]
    fn no_request_repeats_an_element() {
        let request = |shape: &Shape, n| {
            let mut out = Vec::new();
            (shape.request)(n, &mut out);
            out
        };
        for shape in SHAPES {
            assert_ne!(request(shape, 7), request(shape, 8), "{}", shape.name);
            // Lists may: nothing depends on it.
            if shape.name != "list-of-million" {
                assert_ne!(request(shape, 7), request(shape, 7 + MILLION), "{}", shape.name);
            }
        }
    }

    #[test]
    fn the_target_holds_at_its_count_and_a_share_more_around() {
        let shape = |sizes| Shape { name: "", element: "", max_bytes: Some(40.0), sizes, request: |_, _| () };
        let points: Vec<Point> = [(80, 30.0), (100, 20.0), (120, 50.0), (160, 10.0)]
            .map(|(count, rss)| Point { count, rss, used: 0.0 })
            .to_vec();
        assert_eq!(limits(&shape(Sizes::Around(100)), &points), [23.0, 40.0, 23.0, 23.0].map(Some));
        assert_eq!(limits(&shape(Sizes::Asked), &points), [Some(40.0); 4]);
    }
}
