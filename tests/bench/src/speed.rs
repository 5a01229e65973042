//! Requests per second, latency and processor time per request, beside Redis and the floor.
//!
//! All servers run at the same time, pinned to one core, redis-benchmark to the other; they take turns within each
//! round so that a noisy minute hits all alike, and the median of the rounds counts. What is judged is the ratio to
//! Redis in the same run, never an absolute figure: those differ from machine to machine.
//!
//! With `--io-threads N` nothing is pinned, the floor stays out, and only requests per second are judged.

use crate::datasets::Stand;
use crate::load::{Figures, KEYS, Load, medians};
use crate::process::{Kind, Launch, Server, raise_file_limit};
use crate::table::{LiveTable, thousands};
use crate::workloads::{CLIENTS, PIPELINE, VALUE_BYTES, WORKLOADS, Workload};
use crate::{Error, Options, Result};

/// Core of the servers.
const SERVER_CORE: usize = 0;
/// Core of redis-benchmark.
const CLIENT_CORE: usize = 1;
/// Each server's turns per workload.
const ROUNDS: usize = 3;

/// How much below Redis's requests per second still counts as no worse: the spread of medians of three between two
/// identical Redis servers on a quiet machine.
const RPS_TOLERANCE: f64 = 0.03;
/// How much above Redis's latency still counts as no worse: a tenth, and two steps of redis-benchmark's histogram.
const LATENCY_TOLERANCE: f64 = 0.10;
const LATENCY_STEP_MS: f64 = 0.016;

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
    let chosen: Vec<_> = WORKLOADS.iter().filter(|w| options.wants(w.name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = WORKLOADS.iter().map(|w| w.name).collect();
        return Err(format!("no workload of that name; there are {}", names.join(" ")).into());
    }
    let connections = chosen.iter().map(|w| u64::from(w.clients)).max().unwrap_or(0);
    raise_file_limit(connections)?;
    Ok(chosen)
}

fn pinned(options: &Options) -> Result<bool> {
    let workloads = chosen(options)?;
    let this_program = std::env::current_exe()?;
    let core = Some(SERVER_CORE);
    let mut stands = [
        Launch::new(Kind::Ochre, &options.ochre).core(core).args(options.extra_args()),
        Launch::new(Kind::Redis, &options.redis).core(core),
        Launch::new(Kind::Floor, &this_program).core(core),
    ]
    .map(|launch| Server::start(launch).map(Stand::new))
    .into_iter()
    .collect::<Result<Vec<_>>>()?;
    println!("one core for the server, one for redis-benchmark");
    println!("unless the name says otherwise: {CLIENTS} connections, {KEYS} keys, {VALUE_BYTES}-byte values");
    println!("-p{PIPELINE}: so many requests in flight per connection; no such ending: one");
    println!(
        "medians of {} turns each; CPU is user and system time of the server's process",
        rounds(options)
    );
    println!();
    let table = LiveTable::new(&[
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
        let (figures, turn) = match measure(workload, &mut stands, options, Some(CLIENT_CORE)) {
            Ok(measured) => measured,
            Err(error) => {
                unmeasured(workload, &error, &table);
                good = false;
                continue;
            }
        };
        let [ochre, redis, floor] = figures[..] else {
            return Err("three servers make three figures".into());
        };
        let misses = misses(workload, &ochre, &redis);
        good &= misses.is_empty();
        for (stand, f) in stands.iter().zip(&figures) {
            let kind = stand.server.kind;
            let mut cells = cells(if kind == Kind::Ochre { workload.name } else { "" }, kind, f);
            cells.push(format!("{:.2}", f.cpu_us / redis.cpu_us));
            cells.push(format!("{:.2}", f.cpu_us / floor.cpu_us));
            if kind == Kind::Ochre {
                cells.push(workload.max_cpu_ratio.map_or("-".to_owned(), |max| format!("<= {max:.2}")));
                cells.push(verdict(workload.max_cpu_ratio.is_some(), &misses));
                cells.push(turn.clone().unwrap_or("-".to_owned()));
            }
            table.row(cells);
        }
    }
    println!();
    Ok(good)
}

fn threaded(options: &Options, threads: u32) -> Result<bool> {
    let io = ["--io-threads".to_owned(), threads.to_string()];
    let workloads = chosen(options)?;
    let mut stands = [
        Launch::new(Kind::Ochre, &options.ochre).args(io.clone()).args(options.extra_args()),
        Launch::new(Kind::Redis, &options.redis).args(io),
    ]
    .map(|launch| Server::start(launch).map(Stand::new))
    .into_iter()
    .collect::<Result<Vec<_>>>()?;
    println!("io-threads {threads}, nothing pinned; judged by requests per second");
    println!();
    let table = LiveTable::new(&[
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
    for workload in workloads {
        let (figures, turn) = match measure(workload, &mut stands, options, None) {
            Ok(measured) => measured,
            Err(error) => {
                unmeasured(workload, &error, &table);
                good = false;
                continue;
            }
        };
        let [ochre, redis] = figures[..] else { return Err("two servers make two figures".into()) };
        let judged = workload.max_cpu_ratio.is_some();
        let missed = judged && ochre.rps < redis.rps * (1.0 - RPS_TOLERANCE);
        good &= !missed;
        for (stand, f) in stands.iter().zip(&figures) {
            let kind = stand.server.kind;
            let mut cells = cells(if kind == Kind::Ochre { workload.name } else { "" }, kind, f);
            cells.push(format!("{:.2}", f.rps / redis.rps));
            if kind == Kind::Ochre {
                cells.push(verdict(judged, if missed { &["req/s"] } else { &[] }));
                cells.push(turn.clone().unwrap_or("-".to_owned()));
            }
            table.row(cells);
        }
    }
    println!();
    Ok(good)
}

fn rounds(options: &Options) -> usize {
    if options.quick { 1 } else { ROUNDS }
}

/// Medians per server, and our longest turn over all rounds where the server reports one.
fn measure(
    workload: &Workload,
    stands: &mut [Stand],
    options: &Options,
    core: Option<usize>,
) -> Result<(Vec<Figures>, Option<String>)> {
    let load = workload.load(options, core);
    let mut runs = vec![Vec::new(); stands.len()];
    let mut turn: Option<u64> = None;
    for round in 0..rounds(options) {
        // Each round starts with another server: whoever goes first warms the client's side.
        for place in 0..stands.len() {
            let at = (place + round) % stands.len();
            let stand = &mut stands[at];
            stand.prepare(workload.data, load.requests)?;
            if round == 0 {
                Load { requests: load.requests.div_ceil(10), ..load }.run(&stand.server)?;
                stand.prepare(workload.data, load.requests)?;
            }
            let server = &stand.server;
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
fn unmeasured(workload: &Workload, error: &Error, table: &LiveTable) {
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
}
