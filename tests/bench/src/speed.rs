//! Requests per second, latency and processor time per request, beside Redis and the floor.
//!
//! All servers run at the same time, pinned to one core, redis-benchmark to the other; they take turns within each
//! round so that a noisy minute hits all alike, and the median of the rounds counts. What is judged is the ratio to
//! Redis in the same run, never an absolute figure: those differ from machine to machine.
//!
//! With `--io-threads N` nothing is pinned, the floor stays out, and only requests per second are judged.

use crate::client::{Client, encode, key, value};
use crate::load::{Figures, KEYS, Load, Traffic, medians};
use crate::process::{Kind, Launch, Server};
use crate::table::{Table, thousands};
use crate::{Error, Options, Result};

/// Core of the servers.
const SERVER_CORE: usize = 0;
/// Core of redis-benchmark.
const CLIENT_CORE: usize = 1;
/// Connections of every workload.
const CLIENTS: u32 = 50;
/// Each server's turns per workload.
const ROUNDS: usize = 3;

/// How much below Redis's requests per second still counts as no worse: the spread of medians of three between two
/// identical Redis servers on a quiet machine.
const RPS_TOLERANCE: f64 = 0.03;
/// How much above Redis's latency still counts as no worse: a tenth, and two steps of redis-benchmark's histogram.
const LATENCY_TOLERANCE: f64 = 0.10;
const LATENCY_STEP_MS: f64 = 0.016;

/// One row of the table.
struct Workload {
    name: &'static str,
    traffic: Traffic,
    pipeline: u32,
    /// Processor time per request may be at most this share of Redis's; None: for information.
    max_cpu_ratio: Option<f64>,
    /// What the database holds before each run.
    prepared: Prepared,
}

#[derive(Clone, Copy, PartialEq)]
enum Prepared {
    /// The million string keys, which stay from run to run.
    Strings,
    /// In addition as many counters.
    Counters,
    /// In addition an empty list.
    EmptyList,
    /// In addition a list long enough for every pop.
    FullList,
    /// In addition a list of exactly a hundred elements.
    Hundred,
}

const LRANGE: &[&str] = &["LRANGE", "mylist", "0", "99"];

const fn workload(
    name: &'static str,
    test: &'static str,
    pipeline: u32,
    max_cpu_ratio: Option<f64>,
    prepared: Prepared,
) -> Workload {
    Workload { name, traffic: Traffic::Test(test), pipeline, max_cpu_ratio, prepared }
}

/// Names are what the filter matches.
const WORKLOADS: &[Workload] = &[
    workload("ping", "ping_mbulk", 1, Some(0.95), Prepared::Strings),
    workload("get", "get", 1, Some(0.93), Prepared::Strings),
    workload("set", "set", 1, Some(0.93), Prepared::Strings),
    workload("get-p16", "get", 16, Some(0.52), Prepared::Strings),
    workload("set-p16", "set", 16, Some(0.56), Prepared::Strings),
    workload("incr-p16", "incr", 16, Some(0.60), Prepared::Counters),
    workload("lpush-p16", "lpush", 16, Some(0.88), Prepared::EmptyList),
    workload("rpush-p16", "rpush", 16, None, Prepared::EmptyList),
    workload("lpop-p16", "lpop", 16, None, Prepared::FullList),
    workload("rpop-p16", "rpop", 16, None, Prepared::FullList),
    workload("mset-p16", "mset", 16, None, Prepared::Strings),
    Workload {
        name: "lrange-100-p16",
        traffic: Traffic::Command(LRANGE),
        pipeline: 16,
        max_cpu_ratio: None,
        prepared: Prepared::Hundred,
    },
    workload("get-p100", "get", 100, Some(0.38), Prepared::Strings),
];

impl Workload {
    /// Requests per run unless told: a few seconds each at a pipeline's usual speed.
    fn requests(&self, options: &Options) -> u64 {
        let usual = match (self.name, self.pipeline) {
            ("mset-p16" | "lrange-100-p16", _) => 200_000,
            (_, 1) => 300_000,
            (_, 16) => 1_500_000,
            _ => 4_000_000,
        };
        options.requests.unwrap_or(if options.quick { usual / 6 } else { usual })
    }

    /// Prepares the database of one server before its run.
    fn prepare(&self, server: &Server, requests: u64) -> Result<()> {
        if server.kind == Kind::Floor {
            return Ok(());
        }
        let mut client = server.client()?;
        client.call(&[b"DEL", b"mylist"])?;
        match self.prepared {
            Prepared::Strings | Prepared::EmptyList => Ok(()),
            Prepared::Counters => client
                .load(KEYS, |n, out| encode(out, &[b"SET", format!("counter:{n:012}").as_bytes(), b"0"])),
            Prepared::FullList => fill_list(&mut client, requests),
            Prepared::Hundred => fill_list(&mut client, 100),
        }
    }
}

fn fill_list(client: &mut Client, elements: u64) -> Result<()> {
    client.load(elements, |n, out| encode(out, &[b"RPUSH", b"mylist", &value(n)]))
}

/// Runs the pinned table and then the one with I/O threads, or only the one that `--io-threads` names. Returns
/// whether every target was met.
pub fn run(options: &Options) -> Result<bool> {
    match options.io_threads {
        Some(1) => pinned(options),
        Some(threads) => threaded(options, threads),
        None => Ok(pinned(options)? & threaded(options, 2)?),
    }
}

fn chosen(options: &Options) -> Result<Vec<&'static Workload>> {
    let wanted =
        |w: &&Workload| options.filters.is_empty() || options.filters.iter().any(|f| w.name.contains(f));
    let chosen: Vec<_> = WORKLOADS.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let names: Vec<_> = WORKLOADS.iter().map(|w| w.name).collect();
        return Err(format!("no workload of that name; there are {}", names.join(" ")).into());
    }
    Ok(chosen)
}

fn pinned(options: &Options) -> Result<bool> {
    let workloads = chosen(options)?;
    let this_program = std::env::current_exe()?;
    let core = Some(SERVER_CORE);
    let servers = [
        Server::start(Launch::new(Kind::Ochre, &options.ochre).core(core).args(options.extra_args()))?,
        Server::start(Launch::new(Kind::Redis, &options.redis).core(core))?,
        Server::start(Launch::new(Kind::Floor, &this_program).core(core))?,
    ];
    load_strings(&servers)?;
    println!(
        "one core for the server, one for redis-benchmark; {CLIENTS} connections, {KEYS} keys, 32-byte values"
    );
    println!(
        "medians of {} turns each; CPU is user and system time of the server's process",
        rounds(options)
    );
    println!();
    let mut table = Table::new(&[
        "workload",
        "server",
        "req/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "CPU us/req",
        "to redis",
        "to floor",
        "target",
        "verdict",
        "longest turn us",
    ]);
    let mut good = true;
    for workload in workloads {
        let (figures, turn) = match measure(workload, &servers, options, Some(CLIENT_CORE)) {
            Ok(measured) => measured,
            Err(error) => {
                unmeasured(workload, &error, &mut table);
                good = false;
                continue;
            }
        };
        let [ochre, redis, floor] = figures[..] else {
            return Err("three servers make three figures".into());
        };
        let misses = misses(workload, &ochre, &redis);
        good &= misses.is_empty();
        for (server, f) in servers.iter().zip(&figures) {
            let mut cells =
                cells(if server.kind == Kind::Ochre { workload.name } else { "" }, server.kind, f);
            cells.push(format!("{:.2}", f.cpu_us / redis.cpu_us));
            cells.push(format!("{:.2}", f.cpu_us / floor.cpu_us));
            if server.kind == Kind::Ochre {
                cells.push(workload.max_cpu_ratio.map_or("-".to_owned(), |max| format!("<= {max:.2}")));
                cells.push(verdict(workload.max_cpu_ratio.is_some(), &misses));
                cells.push(turn.clone().unwrap_or("-".to_owned()));
            }
            table.row(cells);
        }
    }
    table.print();
    Ok(good)
}

fn threaded(options: &Options, threads: u32) -> Result<bool> {
    let io = ["--io-threads".to_owned(), threads.to_string()];
    let servers = [
        Server::start(Launch::new(Kind::Ochre, &options.ochre).args(io.clone()).args(options.extra_args()))?,
        Server::start(Launch::new(Kind::Redis, &options.redis).args(io))?,
    ];
    load_strings(&servers)?;
    println!("io-threads {threads}, nothing pinned; judged by requests per second");
    println!();
    let mut table = Table::new(&[
        "workload",
        "server",
        "req/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "CPU us/req",
        "req/s to redis",
        "verdict",
        "longest turn us",
    ]);
    let mut good = true;
    for workload in chosen(options)? {
        let (figures, turn) = match measure(workload, &servers, options, None) {
            Ok(measured) => measured,
            Err(error) => {
                unmeasured(workload, &error, &mut table);
                good = false;
                continue;
            }
        };
        let [ochre, redis] = figures[..] else { return Err("two servers make two figures".into()) };
        let judged = workload.max_cpu_ratio.is_some();
        let missed = judged && ochre.rps < redis.rps * (1.0 - RPS_TOLERANCE);
        good &= !missed;
        for (server, f) in servers.iter().zip(&figures) {
            let mut cells =
                cells(if server.kind == Kind::Ochre { workload.name } else { "" }, server.kind, f);
            cells.push(format!("{:.2}", f.rps / redis.rps));
            if server.kind == Kind::Ochre {
                cells.push(verdict(judged, if missed { &["req/s"] } else { &[] }));
                cells.push(turn.clone().unwrap_or("-".to_owned()));
            }
            table.row(cells);
        }
    }
    table.print();
    Ok(good)
}

fn rounds(options: &Options) -> usize {
    if options.quick { 1 } else { ROUNDS }
}

fn load_strings(servers: &[Server]) -> Result<()> {
    for server in servers.iter().filter(|s| s.kind != Kind::Floor) {
        server.client()?.load(KEYS, |n, out| encode(out, &[b"SET", &key(n), &value(n)]))?;
    }
    Ok(())
}

/// Medians per server, and our longest turn over all rounds where the server reports one.
fn measure(
    workload: &Workload,
    servers: &[Server],
    options: &Options,
    core: Option<usize>,
) -> Result<(Vec<Figures>, Option<String>)> {
    let requests = workload.requests(options);
    let load =
        Load { traffic: workload.traffic, pipeline: workload.pipeline, requests, clients: CLIENTS, core };
    let mut runs = vec![Vec::new(); servers.len()];
    let mut turn: Option<u64> = None;
    for round in 0..rounds(options) {
        // Each round starts with another server: whoever goes first warms the client's side.
        for at in (0..servers.len()).map(|n| (n + round) % servers.len()) {
            let server = &servers[at];
            workload.prepare(server, requests)?;
            if round == 0 {
                Load { requests: requests / 10, ..load }.run(server)?;
                workload.prepare(server, requests)?;
            }
            if server.kind != Kind::Floor {
                server.client()?.call(&[b"CONFIG", b"RESETSTAT"])?;
            }
            runs[at].push(load.run(server)?);
            if server.kind == Kind::Ochre {
                let micros = server.info("actor_longest_turn_usec")?;
                turn = turn.max(micros.and_then(|t| t.parse().ok()));
            }
        }
    }
    Ok((runs.iter().map(|r| medians(r)).collect(), turn.map(|t| t.to_string())))
}

/// A row for a workload that could not be measured; the reason goes to standard error, being too long for a cell.
fn unmeasured(workload: &Workload, error: &Error, table: &mut Table) {
    eprintln!("{} could not be measured: {error}", workload.name);
    table.row([workload.name.to_owned(), "not measured".to_owned()]);
}

fn misses(workload: &Workload, ochre: &Figures, redis: &Figures) -> Vec<&'static str> {
    let Some(max) = workload.max_cpu_ratio else { return Vec::new() };
    let slower = |ours: f64, theirs: f64| ours > theirs * (1.0 + LATENCY_TOLERANCE) + LATENCY_STEP_MS;
    let checks = [
        ("CPU", ochre.cpu_us > max * redis.cpu_us),
        ("req/s", ochre.rps < redis.rps * (1.0 - RPS_TOLERANCE)),
        ("p50", slower(ochre.p50_ms, redis.p50_ms)),
        ("p99", slower(ochre.p99_ms, redis.p99_ms)),
    ];
    checks.into_iter().filter(|(_, missed)| *missed).map(|(name, _)| name).collect()
}

fn verdict(judged: bool, misses: &[&str]) -> String {
    match (judged, misses.is_empty()) {
        (false, _) => "-".to_owned(),
        (true, true) => "PASS".to_owned(),
        (true, false) => format!("FAIL {}", misses.join(" ")),
    }
}

fn cells(name: &str, kind: Kind, f: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        kind.name().to_owned(),
        thousands(f.rps),
        format!("{:.3}", f.p50_ms),
        format!("{:.3}", f.p99_ms),
        format!("{:.3}", f.p999_ms),
        format!("{:.3}", f.cpu_us),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rps: f64, latency_ms: f64, cpu_us: f64) -> Figures {
        Figures { rps, p50_ms: latency_ms, p99_ms: latency_ms, p999_ms: latency_ms, cpu_us }
    }

    fn check(ochre: Figures, expected: &[&str]) {
        assert_eq!(misses(&WORKLOADS[0], &ochre, &figures(100_000.0, 1.0, 10.0)), expected, "{ochre:?}");
    }

    #[test]
    fn a_target_is_missed_by_each_figure_alone() {
        check(figures(100_000.0, 1.0, 9.5), &[]);
        check(figures(100_000.0, 1.0, 9.6), &["CPU"]);
        check(figures(96_000.0, 1.0, 9.0), &["req/s"]);
        check(figures(100_000.0, 1.2, 9.0), &["p50", "p99"]);
    }

    #[test]
    fn workload_names_are_unique() {
        for (at, workload) in WORKLOADS.iter().enumerate() {
            assert!(WORKLOADS[..at].iter().all(|w| w.name != workload.name), "{}", workload.name);
        }
    }
}
