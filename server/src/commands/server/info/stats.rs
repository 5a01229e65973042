//! INFO stats. Fields of what a server without fork does not do stay at zero.

use super::line;
use crate::server::Server;
use common::pubsub::Target;
use store::DbIndex;

/// Keys of each database that are asked for [`stale_percent`].
const STALE_SAMPLES: usize = 64;

/// Of the keys with an expiry, how many of a hundred are over their time and still there, as a sample of them tells.
fn stale_percent(server: &mut Server) -> f64 {
    let now_ms = server.time.now_ms();
    let (mut stale, mut all) = (0.0, 0.0);
    for index in 0..server.keyspace.count() {
        let random = server.rng.u64(..);
        let db = server.keyspace.db_mut(DbIndex(index));
        let (mut sampled, mut past) = (0_usize, 0_usize);
        db.sample_volatile(random, STALE_SAMPLES, |_, _, at_ms| {
            sampled += 1;
            past += usize::from(at_ms <= now_ms);
        });
        let expires = db.expires() as f64;
        stale += expires * past as f64 / sampled.max(1) as f64;
        all += expires;
    }
    100.0 * stale / f64::max(all, 1.0)
}

pub(super) fn section(server: &mut Server, out: &mut String) {
    let stale_percent = stale_percent(server);
    let stats = &server.stats;
    let traffic = server.outside.traffic() - stats.traffic_before;
    let [input, output, replica_output] = &stats.byte_rates;
    let kb = |rate: &crate::stats::Rate| format!("{:.2}", rate.per_second() as f64 / 1024.0);
    line(out, "total_connections_received", stats.connections);
    line(out, "total_commands_processed", stats.total_commands);
    line(out, "instantaneous_ops_per_sec", stats.rate.per_second());
    line(out, "total_net_input_bytes", traffic.input);
    line(out, "total_net_output_bytes", traffic.output);
    line(out, "total_net_repl_input_bytes", 0);
    line(out, "total_net_repl_output_bytes", traffic.replica_output);
    line(out, "instantaneous_input_kbps", kb(input));
    line(out, "instantaneous_output_kbps", kb(output));
    line(out, "instantaneous_input_repl_kbps", "0.00");
    line(out, "instantaneous_output_repl_kbps", kb(replica_output));
    line(out, "rejected_connections", stats.rejected_connections);
    line(out, "sync_full", stats.sync_full);
    line(out, "sync_partial_ok", stats.sync_partial_ok);
    line(out, "sync_partial_err", stats.sync_partial_err);
    line(out, "expired_keys", stats.expired_keys);
    // Redis's name and Valkey's.
    line(out, "expired_subkeys", stats.expired_fields);
    line(out, "expired_fields", stats.expired_fields);
    line(out, "expired_stale_perc", format_args!("{stale_percent:.2}"));
    line(out, "expired_time_cap_reached_count", stats.expired_time_cap_reached);
    line(out, "expire_cycle_cpu_milliseconds", stats.expire_cycle_ns / 1_000_000);
    line(out, "evicted_keys", server.eviction.evicted);
    line(out, "evicted_scripts", server.scripts.cache.evicted);
    line(out, "evicted_clients", server.eviction.evicted_clients);
    let (in_all, now) = server.eviction.exceeded_ms();
    line(out, "total_eviction_exceeded_time", in_all);
    line(out, "current_eviction_exceeded_time", now);
    line(out, "keyspace_hits", stats.keyspace_hits);
    line(out, "keyspace_misses", stats.keyspace_misses);
    line(out, "pubsub_channels", server.pubsub.channels(Target::Channel).count());
    line(out, "pubsub_patterns", server.pubsub.patterns());
    line(out, "pubsubshard_channels", server.pubsub.channels(Target::Shard).count());
    line(out, "latest_fork_usec", 0);
    line(out, "total_forks", 0);
    line(out, "migrate_cached_sockets", 0);
    line(out, "slave_expires_tracked_keys", 0);
    line(out, "active_defrag_hits", server.defrag.allocations.0);
    line(out, "active_defrag_misses", server.defrag.allocations.1);
    line(out, "active_defrag_key_hits", server.defrag.keys.0);
    line(out, "active_defrag_key_misses", server.defrag.keys.1);
    let (in_all, now) = server.defrag.time_ms();
    line(out, "total_active_defrag_time", in_all);
    line(out, "current_active_defrag_time", now);
    let (keys, items, prefixes) = server.tracking.totals();
    line(out, "tracking_total_keys", keys);
    line(out, "tracking_total_items", items);
    line(out, "tracking_total_prefixes", prefixes);
    line(out, "unexpected_error_replies", 0);
    line(out, "total_error_replies", stats.total_error_replies);
    line(out, "dump_payload_sanitizations", 0);
    line(out, "total_reads_processed", traffic.reads);
    line(out, "total_writes_processed", traffic.writes);
    let threaded = if server.config.io_threads > 1 { (traffic.reads, traffic.writes) } else { (0, 0) };
    line(out, "io_threaded_reads_processed", threaded.0);
    line(out, "io_threaded_writes_processed", threaded.1);
    line(out, "reply_buffer_shrinks", 0);
    line(out, "reply_buffer_expands", 0);
    line(out, "client_query_buffer_limit_disconnections", stats.query_buffer_disconnections);
    line(out, "client_output_buffer_limit_disconnections", stats.output_buffer_disconnections);
    // A turn is what a cycle of the event loop is in Redis.
    line(out, "eventloop_cycles", stats.turns);
    line(out, "eventloop_duration_sum", stats.turns_ns / 1000);
    let commands_ns: u64 = stats.commands.iter().map(|command| command.nanoseconds).sum();
    line(out, "eventloop_duration_cmd_sum", commands_ns / 1000);
    line(out, "instantaneous_eventloop_cycles_per_sec", stats.turn_rate.per_second());
    line(out, "instantaneous_eventloop_duration_usec", stats.turn_ns.average() / 1000);
    line(out, "acl_access_denied_auth", stats.acl_access_denied_auth);
    line(out, "total_protocol_errors", stats.protocol_errors);
    line(out, "actor_turns", stats.turns);
    line(out, "actor_longest_turn_usec", stats.longest_turn_us);
}
