//! INFO.

mod memory;
mod stats;

use crate::context::Cx;
use crate::pause::{Held, Reason};
use crate::server::Server;
use crate::stats::Peaks;
use common::command::{Args, CommandResult, Outcome};
use common::net::TrafficCounts;
use std::fmt::Write;
use store::{Db, DbIndex};

/// Writes the fields of a section.
type Section = fn(&mut Server, &mut String);

/// Sections in Redis's order; those marked are left out of the default.
const SECTIONS: &[(&str, bool, Section)] = &[
    ("server", true, server_section),
    ("clients", true, clients_section),
    ("memory", true, memory::section),
    ("persistence", true, crate::persistence::info),
    ("threads", true, threads_section),
    ("stats", true, stats::section),
    ("replication", true, crate::replication::info),
    ("cpu", true, cpu_section),
    ("modules", true, |_, _| {}),
    ("commandstats", false, commandstats_section),
    ("errorstats", true, errorstats_section),
    ("latencystats", false, latencystats_section),
    ("cluster", true, |_, out| line(out, "cluster_enabled", 0)),
    ("keyspace", true, keyspace_section),
    ("hotkeys", true, hotkeys_section),
];

pub(super) fn info(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let wanted: Vec<String> =
        args.rest().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect();
    let text = render(cx.server, &wanted);
    cx.reply.verbatim(text.as_bytes());
    Ok(Outcome::Done)
}

/// The text of INFO for some sections, or for the default ones when none is named.
pub fn render(server: &mut Server, wanted: &[String]) -> String {
    let has = |name: &str| wanted.iter().any(|word| word == name);
    let (all, default) = (has("all") || has("everything"), wanted.is_empty() || has("default"));
    let mut out = String::new();
    for (name, in_default, write) in SECTIONS {
        if all || default && *in_default || has(name) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            let mut title = (*name).to_owned();
            title[..1].make_ascii_uppercase();
            let title = if *name == "cpu" { "CPU".to_owned() } else { title };
            let _ = write!(out, "# {title}\r\n");
            write(server, &mut out);
        }
    }
    out
}

/// Adds a field.
pub fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(out, "{name}:{value}\r\n");
}

fn server_section(server: &mut Server, out: &mut String) {
    let now_ms = server.time.now_ms();
    let uptime_s = (now_ms - server.lifecycle.started_ms) / 1000;
    let uname = rustix::system::uname();
    line(out, "redis_version", common::REDIS_VERSION);
    line(out, "redis_git_sha1", "00000000");
    line(out, "redis_git_dirty", 0);
    line(out, "redis_build_id", env!("CARGO_PKG_VERSION"));
    line(out, "redis_mode", "standalone");
    line(out, "server_mode", "standalone"); // the same in Valkey
    line(out, "server_name", "ochre");
    line(out, "ochre_version", env!("CARGO_PKG_VERSION"));
    line(
        out,
        "os",
        format_args!(
            "{} {} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy(),
            uname.machine().to_string_lossy()
        ),
    );
    line(out, "arch_bits", usize::BITS);
    line(out, "monotonic_clock", "POSIX clock_gettime");
    line(out, "multiplexing_api", "epoll");
    line(out, "process_id", std::process::id());
    line(out, "process_supervised", server.lifecycle.supervisor.name());
    line(out, "run_id", &server.lifecycle.run_id);
    line(out, "tcp_port", server.lifecycle.ports.0);
    line(out, "server_time_usec", server.time.now_us());
    line(out, "uptime_in_seconds", uptime_s);
    line(out, "uptime_in_days", uptime_s / 86_400);
    line(out, "hz", server.config.hz);
    line(out, "configured_hz", server.config.hz);
    line(out, "clients_hz", server.config.hz);
    line(out, "lru_clock", server.time.access_clock());
    line(out, "executable", server.lifecycle.executable.display());
    line(out, "config_file", server.lifecycle.config_file.as_deref().unwrap_or("".as_ref()).display());
    line(out, "io_threads_active", u8::from(server.config.io_threads > 1));
    listeners(server, out);
}

/// What listens; the numbers are those of the kinds of connections: plain, Unix, TLS.
fn listeners(server: &Server, out: &mut String) {
    let (config, (port, tls_port)) = (&server.config, server.lifecycle.ports);
    let addresses: String = config.bind.iter().map(|address| format!(",bind={address}")).collect();
    if port != 0 {
        line(out, "listener0", format_args!("name=tcp{addresses},port={port}"));
    }
    if !config.unix_socket.is_empty() {
        line(out, "listener1", format_args!("name=unix,bind={}", config.unix_socket));
    }
    if tls_port != 0 {
        line(out, "listener2", format_args!("name=tls{addresses},port={tls_port}"));
    }
}

fn clients_section(server: &mut Server, out: &mut String) {
    let pubsub = server.clients.iter().filter(|client| client.subscriptions() > 0).count();
    let watching = server.clients.iter().filter(|client| !client.ext.watches.is_empty()).count();
    let replicas = server.clients.iter().filter(|client| client.ext.replica.is_some()).count();
    let now = server.clients.iter().map(Peaks::of).fold(Peaks::default(), Peaks::or);
    server.stats.peaks.note(server.time.now_ms(), now);
    let most = server.stats.peaks.recent();
    line(out, "connected_clients", server.clients.len() - replicas);
    line(out, "cluster_connections", 0);
    line(out, "maxclients", server.config.max_clients);
    line(out, "client_recent_max_input_buffer", most.input);
    line(out, "client_recent_max_output_buffer", most.output);
    line(out, "blocked_clients", server.blocked.len());
    line(out, "tracking_clients", server.tracking.clients());
    line(out, "pubsub_clients", pubsub);
    line(out, "watching_clients", watching);
    line(out, "clients_in_timeout_table", server.blocked.timeouts());
    line(out, "total_watched_keys", server.watches.keys());
    line(out, "total_blocking_keys", server.blocked.keys());
    line(out, "total_blocking_keys_on_nokey", server.blocked.keys_until_gone(&server.clients));
    pause_fields(server, out);
}

/// Fields of Valkey.
fn pause_fields(server: &Server, out: &mut String) {
    let (mut reason, mut actions, mut left_ms) = ("none", "none", 0);
    if let Some((why, held, until_ms)) = server.pause.current() {
        reason = if why == Reason::Shutdown { "shutdown_in_progress" } else { "client_pause" };
        actions = if held == Held::All { "all" } else { "write" };
        left_ms = until_ms.saturating_sub(server.time.now_ms()).max(0);
    }
    line(out, "paused_reason", reason);
    line(out, "paused_actions", actions);
    line(out, "paused_timeout_milliseconds", left_ms);
}

/// What each thread does for connections, as Redis 8 shows it. Where there are several, the first is the actor's, which
/// has none.
fn threads_section(server: &mut Server, out: &mut String) {
    let homes = &server.outside.homes;
    let actor = (server.config.io_threads > 1).then(|| (0, TrafficCounts::default()));
    let others = homes.iter().map(|home| (home.open(), home.traffic().counts()));
    for (thread, (clients, counts)) in actor.into_iter().chain(others).enumerate() {
        let (reads, writes) = (counts.reads, counts.writes);
        line(
            out,
            &format!("io_thread_{thread}"),
            format_args!("clients={clients},reads={reads},writes={writes}"),
        );
    }
}

fn cpu_section(server: &mut Server, out: &mut String) {
    let (user, system) = crate::process::cpu_seconds();
    line(out, "used_cpu_sys", format_args!("{system:.6}"));
    line(out, "used_cpu_user", format_args!("{user:.6}"));
    let (main_user, main_system) = crate::process::thread_cpu_seconds();
    line(out, "used_cpu_sys_children", "0.000000");
    line(out, "used_cpu_user_children", "0.000000");
    line(out, "used_cpu_sys_main_thread", format_args!("{main_system:.6}"));
    line(out, "used_cpu_user_main_thread", format_args!("{main_user:.6}"));
    // Of Valkey 9: time that the actor had something to do.
    let active_us = server.stats.active_ns / 1000;
    line(
        out,
        "used_active_time_main_thread",
        format_args!("{}.{:06}", active_us / 1_000_000, active_us % 1_000_000),
    );
}

fn commandstats_section(server: &mut Server, out: &mut String) {
    for id in server.table.all() {
        let stats = &server.stats.commands[id.index()];
        if stats.calls + stats.rejected + stats.failed == 0 {
            continue;
        }
        let usec = stats.nanoseconds / 1000;
        let per_call = usec as f64 / stats.calls.max(1) as f64;
        let name = server.table.full_name(id);
        let _ = write!(
            out,
            "cmdstat_{name}:calls={},usec={usec},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}\r\n",
            stats.calls, stats.rejected, stats.failed
        );
    }
}

fn errorstats_section(server: &mut Server, out: &mut String) {
    for (code, count) in &server.stats.errors {
        let _ = write!(out, "errorstat_{code}:count={count}\r\n");
    }
}

fn latencystats_section(server: &mut Server, out: &mut String) {
    if !server.config.latency_tracking {
        return;
    }
    for id in server.table.all() {
        let latency = &server.stats.commands[id.index()].latency;
        let percentiles: Vec<String> = server
            .config
            .latency_percentiles
            .iter()
            .filter_map(|percent| {
                Some(format!("p{percent}={:.3}", latency.percentile(*percent)? as f64 / 1000.0))
            })
            .collect();
        if !percentiles.is_empty() {
            let _ = write!(
                out,
                "latency_percentiles_usec_{}:{}\r\n",
                server.table.full_name(id),
                percentiles.join(",")
            );
        }
    }
}

fn keyspace_section(server: &mut Server, out: &mut String) {
    let now_ms = server.time.now_ms();
    for index in 0..server.keyspace.count() {
        let random = server.rng.u64(..);
        let db = server.keyspace.db_mut(DbIndex(index));
        if !db.is_empty() {
            let avg_ttl = average_ttl(db, random, now_ms);
            let _ = write!(
                out,
                "db{index}:keys={},expires={},avg_ttl={avg_ttl},subexpiry={}\r\n",
                db.len(),
                db.expires(),
                db.volatile()
            );
        }
    }
}

/// Empty unless there is something to ask HOTKEYS GET for.
fn hotkeys_section(server: &mut Server, out: &mut String) {
    server.end_overdue_hotkeys();
    if let Some(session) = server.hotkeys.session() {
        line(out, "hotkeys-tracking-active", u8::from(session.is_active()));
    }
}

/// Keys whose time to live is asked for an estimate of the average.
const TTL_SAMPLES: usize = 64;

/// The time that keys have left on average, ms, as a sample of them tells; 0 when none expires.
fn average_ttl(db: &mut Db, random: u64, now_ms: i64) -> i64 {
    let (mut sum, mut count) = (0_i128, 0);
    db.sample_volatile(random, TTL_SAMPLES, |_, _, at_ms| {
        if at_ms > now_ms {
            sum += i128::from(at_ms - now_ms);
            count += 1;
        }
    });
    i64::try_from(sum / count.max(1)).unwrap_or(i64::MAX)
}
