//! What happens by the clock: expiry, deadlines, limits, rates.

use crate::server::{Key, Server};
use crate::stats::Peaks;
use std::time::{Duration, Instant};
use store::{DbIndex, Due};

/// Time that one round of the expire cycle may take.
const EXPIRE_SLICE: Duration = Duration::from_micros(500);
/// Keys looked for at once between two looks at the clock.
const EXPIRE_BATCH: usize = 16;
/// Directory slots looked at once between two looks at the clock, or as much work on entries: one or two segments, whose
/// entries take some 10 µs each time where none of them is in cache.
const EXPIRE_BUDGET: usize = 1024;

/// Time between two reports of what there is, ms.
const REPORT_EVERY_MS: i64 = 5000;

/// The longest pause between two rounds of the expire cycle while keys are due, nanoseconds.
const LONGEST_EXPIRE_PAUSE_NS: u64 = 1_000_000;
/// The shortest: the mailbox is looked at meanwhile.
const SHORTEST_EXPIRE_PAUSE_NS: u64 = 20_000;

/// Pause before the next round of the expire cycle, when requests took `busy_ns` since the last one. An actor that is idle
/// expires as fast as it can; one that is busy gives from a third of its time, at an `active-expire-effort` of 1, to a half,
/// at 10.
pub fn expire_pause_ns(busy_ns: u64, effort: u8) -> u64 {
    let ninths = 18 - u64::from(effort.clamp(1, 10) - 1);
    (busy_ns.saturating_mul(ninths) / 9).clamp(SHORTEST_EXPIRE_PAUSE_NS, LONGEST_EXPIRE_PAUSE_NS)
}

/// Runs every `1000 / hz` ms; true when the expire cycle has more to do.
pub fn tick(server: &mut Server) -> bool {
    if server.lifecycle.is_paused {
        return false;
    }
    server.time.set_sight(false);
    server.time.follow_wall();
    let now_ms = server.time.now_ms();
    let commands = server.stats.total_commands;
    server.stats.rate.sample(now_ms, commands);
    let (turns, turns_ns) = (server.stats.turns, server.stats.turns_ns);
    server.stats.turn_rate.sample(now_ms, turns);
    server.stats.turn_ns.sample_per(turns, turns_ns, 1);
    let traffic = server.outside.traffic();
    let bytes = [traffic.input, traffic.output, traffic.replica_output];
    for (rate, bytes) in server.stats.byte_rates.iter_mut().zip(bytes) {
        rate.sample(now_ms, bytes);
    }
    server.renew_access();
    if server.config.max_memory > 0 {
        crate::memory::refresh(); // what other threads freed
    }
    let more = expire_cycle(server);
    server.limit_tracking();
    server.end_overdue_hotkeys();
    server.defrag_tick();
    check_clients(server, now_ms);
    if server.lifecycle.trimming.is_due(now_ms) {
        server.outside.homes.iter().for_each(|home| home.trim());
    }
    report(server, now_ms);
    crate::persistence::tick(server);
    crate::replication::tick(server);
    server.follow_shutdown();
    crate::crash::wind_watchdog(server.config.watchdog_period, server.config.hz);
    more
}

/// Logs now and then what there is, for those who log everything.
fn report(server: &mut Server, now_ms: i64) {
    if now_ms - server.lifecycle.reported_ms < REPORT_EVERY_MS {
        return;
    }
    server.lifecycle.reported_ms = now_ms;
    for index in 0..server.keyspace.count() {
        let db = server.keyspace.db(DbIndex(index));
        if !db.is_empty() {
            tracing::debug!("DB {index}: {} keys ({} volatile).", db.len(), db.expires());
        }
    }
    tracing::trace!(
        "{} clients connected ({} replicas), {} bytes in use",
        server.clients.len() - server.replication.replica_count(),
        server.replication.replica_count(),
        crate::memory::used_about()
    );
}

/// Deletes keys whose time is up; true when more are left.
pub fn expire_cycle(server: &mut Server) -> bool {
    if !server.active_expire || server.lifecycle.loading || server.stands_still() {
        return false;
    }
    let started = Instant::now();
    let more = expire_for(server, started);
    let elapsed_ns = started.elapsed().as_nanos() as u64;
    server.stats.expire_cycle_ns += elapsed_ns;
    server.slow.sample("expire-cycle", server.time.now_ms() / 1000, elapsed_ns);
    more
}

fn expire_for(server: &mut Server, started: Instant) -> bool {
    let now_ms = server.time.now_ms();
    for index in 0..server.keyspace.count() {
        let db = DbIndex(index);
        loop {
            let mut due: Vec<(Vec<u8>, Due)> = Vec::new();
            let more =
                server
                    .keyspace
                    .db_mut(db)
                    .expired(now_ms, EXPIRE_BATCH, EXPIRE_BUDGET, |key, what| due.push((key.to_vec(), what)));
            for (name, what) in due {
                let key = Key::new(&name, server.keyspace.hash(&name));
                match what {
                    Due::Key => server.expire(db, key),
                    Due::Inside => server.expire_fields(db, key),
                }
                server.replication.commit();
            }
            if !more {
                break;
            }
            if started.elapsed() > EXPIRE_SLICE {
                server.stats.expired_time_cap_reached += 1;
                return true;
            }
        }
    }
    false
}

/// Idle clients and those over their soft limit; how large buffers are.
fn check_clients(server: &mut Server, now_ms: i64) {
    let timeout_ms = i64::from(server.config.timeout) * 1000;
    let mut peaks = Peaks::default();
    for slot in server.clients.slots() {
        let Some(client) = server.clients.get(slot) else { continue };
        peaks = peaks.or(Peaks::of(client));
        let idle = timeout_ms > 0
            && now_ms - client.active_ms > timeout_ms
            && client.ext.parked.is_none()
            && !client.ext.is_shown_changes()
            && client.subscriptions() == 0;
        if idle && !server.clients.is_running(slot) {
            tracing::debug!("Closing idle client");
            server.free_client(slot);
        } else if (client.unsent() > 0 || client.ext.replica.is_some()) && server.over_output_limit(slot) {
            server.cut_for_output(slot, "closed");
        }
    }
    server.stats.peaks.note(now_ms, peaks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_takes_what_others_leave() {
        assert_eq!(expire_pause_ns(0, 1), SHORTEST_EXPIRE_PAUSE_NS);
        assert_eq!(expire_pause_ns(200_000, 1), 400_000);
        assert_eq!(expire_pause_ns(200_000, 10), 200_000);
        assert_eq!(expire_pause_ns(u64::MAX, 10), LONGEST_EXPIRE_PAUSE_NS);
    }
}
