//! Instructions per request in user space, counted by callgrind: a figure that a busy machine does not disturb.
//!
//! A server runs twice under valgrind, once with few and once with many requests; the difference divided by the
//! difference in requests leaves out start, loading and shutdown. With two I/O threads the counts come per thread,
//! which separates the actor from the connections.

use crate::client::{encode, key, value};
use crate::process::{Launch, Server};
use crate::table::{Table, thousands};
use crate::{Kind, Options, Result};
use std::collections::BTreeMap;
use std::fs;

/// Keys loaded before; enough for a table of many segments, few enough for valgrind's pace.
const KEYS: u64 = 20_000;

/// Requests of the short and of the long run.
const FEW: u64 = 20_000;
const MANY: u64 = 120_000;

/// Appends request number n.
type Request = fn(u64, &mut Vec<u8>);

const WORKLOADS: &[(&str, Request)] = &[
    ("get", |n, out| encode(out, &[b"GET", &key(crate::client::mix(n) % KEYS)])),
    ("set", |n, out| encode(out, &[b"SET", &key(crate::client::mix(n) % KEYS), &value(n)])),
];

/// Requests in flight.
const DEPTHS: &[u64] = &[1, 16];

/// Prints the table; nothing is judged.
pub fn run(options: &Options) -> Result<()> {
    println!("user-space instructions per request, by thread (callgrind)");
    println!();
    let mut table = Table::new(&["request", "pipeline", "server", "io-threads", "instructions", "by thread"]);
    for (name, request) in WORKLOADS.iter().filter(|(name, _)| options.wants(name)) {
        for &depth in DEPTHS {
            for (kind, threads) in [(Kind::Ochre, "1"), (Kind::Ochre, "2"), (Kind::Redis, "1")] {
                let few = count(kind, threads, FEW, depth, *request, options)?;
                let many = count(kind, threads, MANY, depth, *request, options)?;
                let each = |thread: &u32| {
                    let less = few.get(thread).copied().unwrap_or(0);
                    many[thread].saturating_sub(less) as f64 / (MANY - FEW) as f64
                };
                let by_thread: Vec<f64> = many.keys().map(each).filter(|n| *n >= 1.0).collect();
                table.row([
                    (*name).to_owned(),
                    depth.to_string(),
                    kind.name().to_owned(),
                    threads.to_owned(),
                    thousands(by_thread.iter().sum()),
                    by_thread.iter().map(|n| thousands(*n)).collect::<Vec<_>>().join(" + "),
                ]);
            }
        }
    }
    table.print();
    Ok(())
}

/// Instructions of one whole run, by valgrind's thread number.
fn count(
    kind: Kind,
    threads: &str,
    requests: u64,
    depth: u64,
    request: Request,
    options: &Options,
) -> Result<BTreeMap<u32, u64>> {
    let program = if kind == Kind::Ochre { &options.ochre } else { &options.redis };
    let folder = crate::process::scratch_folder("callgrind", crate::process::free_port()?)?;
    let out = folder.join("out");
    let valgrind = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        "--separate-threads=yes".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
    ];
    let mut launch = Launch::new(kind, program).wrapper(valgrind).args(["--io-threads", threads]);
    if kind == Kind::Ochre {
        launch = launch.args(options.extra_args());
    }
    let server = Server::start(launch)?;
    let mut client = server.client()?;
    client.load(KEYS, |n, out| encode(out, &[b"SET", &key(n), &value(n)]))?;
    let mut buffer = Vec::new();
    for start in (0..requests).step_by(depth as usize) {
        buffer.clear();
        (start..start + depth).for_each(|n| request(n, &mut buffer));
        client.send(&buffer)?;
        for _ in 0..depth {
            client.read()?;
        }
    }
    drop(client);
    server.terminate()?;
    let totals = read_totals(&folder)?;
    fs::remove_dir_all(&folder)?;
    Ok(totals)
}

/// callgrind writes one file per thread, `out-01`, `out-02` …, each with a line of totals.
fn read_totals(folder: &std::path::Path) -> Result<BTreeMap<u32, u64>> {
    let mut totals = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let Some(thread) = name.strip_prefix("out-").and_then(|n| n.parse().ok()) else { continue };
        let text = fs::read_to_string(&path)?;
        let total = text.lines().find_map(|l| l.strip_prefix("totals: ").or(l.strip_prefix("summary: ")));
        totals.insert(thread, total.ok_or("a callgrind file without totals")?.trim().parse()?);
    }
    if totals.is_empty() {
        return Err("callgrind wrote nothing (is valgrind installed? did the server end by SIGTERM?)".into());
    }
    Ok(totals)
}
