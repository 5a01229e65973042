//! Resident bytes per key, per list element and per idle connection, beside Redis.
//!
//! Resident memory is what the machine pays, so that is judged; `used_memory` stands beside it to show what the
//! allocator adds. A count is measured on the way to the next larger one: loading ten million keys passes through
//! the very state that loading eight leaves.

use crate::client::{encode, key, value};
use crate::process::{Launch, Server};
use crate::table::{Table, thousands};
use crate::{Kind, Options, Result, idle};

/// What is loaded, and what one element of it may cost.
struct Shape {
    name: &'static str,
    /// Says what an element is.
    element: &'static str,
    /// Bytes of resident memory per element, at every count.
    max_bytes: Option<f64>,
    /// Sizes in elements.
    sizes: Sizes,
    /// Appends the request that adds element number n.
    request: fn(u64, &mut Vec<u8>),
}

enum Sizes {
    /// The counts from the command line.
    Asked,
    /// Always these.
    Fixed(&'static [u64]),
}

/// Elements of each of the short lists.
const SHORT_LIST: u64 = 10;

/// Milliseconds until the first key with an expiry would go: after any run. Spread, so that no two are alike.
const EXPIRY_MS: u64 = 86_400_000;

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
            let ttl = EXPIRY_MS + crate::client::mix(n) % EXPIRY_MS;
            encode(out, &[b"SET", &key(n), &value(n), b"PX", ttl.to_string().as_bytes()]);
        },
    },
    Shape {
        name: "lists-of-10",
        element: "element of 32 bytes",
        max_bytes: None,
        sizes: Sizes::Fixed(&[5_000_000]),
        request: |n, out| encode(out, &[b"RPUSH", &key(n / SHORT_LIST), &value(n)]),
    },
    Shape {
        name: "list-of-million",
        element: "element of 32 bytes",
        max_bytes: None,
        sizes: Sizes::Fixed(&[1_000_000]),
        request: |n, out| encode(out, &[b"RPUSH", b"mylist", &value(n)]),
    },
];

/// Millions of keys unless told otherwise: at a table of extendible segments the cost per key swings with the fill
/// between two doublings, so one count would flatter or slander.
const KEYS: &[f64] = &[8.0, 10.0, 12.0, 16.0];

/// Runs the chosen rows. Returns whether every target was met.
pub fn run(options: &Options) -> Result<bool> {
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
    for shape in SHAPES.iter().filter(|s| options.wants(s.name)) {
        for kind in [Kind::Ochre, Kind::Redis] {
            good &= measure(shape, kind, options, &mut table)?;
        }
    }
    if SHAPES.iter().any(|s| options.wants(s.name)) {
        println!("resident bytes per element, the empty server's taken off");
        for shape in SHAPES.iter().filter(|s| options.wants(s.name)) {
            println!("  {:16} per {}", shape.name, shape.element);
        }
        println!();
        table.print();
    }
    Ok(good & idle::run(options)?)
}

fn counts(shape: &Shape, kind: Kind, options: &Options) -> Vec<u64> {
    let million = |n: &f64| (n * 1e6) as u64;
    let mut counts: Vec<u64> = match (&shape.sizes, kind) {
        (Sizes::Fixed(counts), _) if options.quick => counts.iter().map(|n| n / 5).collect(),
        (Sizes::Fixed(counts), _) => counts.to_vec(),
        (Sizes::Asked, Kind::Redis) => options.redis_keys.iter().map(million).collect(),
        (Sizes::Asked, _) if !options.keys.is_empty() => options.keys.iter().map(million).collect(),
        (Sizes::Asked, _) if options.quick => vec![1_000_000, 2_000_000],
        (Sizes::Asked, _) => KEYS.iter().map(million).collect(),
    };
    counts.sort_unstable();
    counts
}

/// Loads one server up to each count and adds a row there.
fn measure(shape: &Shape, kind: Kind, options: &Options, table: &mut Table) -> Result<bool> {
    let server = launch(kind, options, &[])?;
    let mut client = server.client()?;
    let (empty_rss, empty_used) = (server.rss()?, used_memory(&server)?);
    let mut loaded = 0;
    let mut good = true;
    for (at, count) in counts(shape, kind, options).into_iter().enumerate() {
        client.load(count - loaded, |n, out| (shape.request)(loaded + n, out))?;
        loaded = count;
        let each = (server.rss()? - empty_rss) as f64 / count as f64;
        let used = (used_memory(&server)? - empty_used) / count as f64;
        let max = shape.max_bytes.filter(|_| kind == Kind::Ochre);
        let missed = max.is_some_and(|max| each > max);
        good &= !missed;
        table.row([
            if kind == Kind::Ochre && at == 0 { shape.name.to_owned() } else { String::new() },
            kind.name().to_owned(),
            thousands(count as f64),
            format!("{each:.1}"),
            format!("{used:.1}"),
            max.map_or("-".to_owned(), |max| format!("<= {max:.0}")),
            max.map_or("-", |_| if missed { "FAIL" } else { "PASS" }).to_owned(),
        ]);
    }
    Ok(good)
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
}
