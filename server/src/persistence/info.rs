//! The persistence section of INFO.

use crate::commands::server::line;
use crate::server::Server;

/// Writes it. What Redis says of memory copied after a fork (`cow`) is here what old values of keys that were written to
/// during a snapshot take; `snapshot_buffer_*` sets it against its budget.
pub fn info(server: &mut Server, out: &mut String) {
    let held = server.keyspace.preimage_bytes();
    let persistence = &server.persistence;
    let running = persistence.running.as_ref();
    let peak = running.map_or(0, |running| running.buffer_peak.max(held));
    let (done, total) = running.map_or((0, 0), |running| (running.keys_done, running.keys));
    let percent = if total == 0 { 0.0 } else { done as f64 * 100.0 / total as f64 };
    let seconds = |value: Option<u64>| value.map_or(-1, |value| value as i64);
    let status = if persistence.last_bgsave_ok { "ok" } else { "err" };
    line(out, "loading", u8::from(server.lifecycle.loading));
    line(out, "async_loading", 0);
    line(out, "current_cow_peak", peak);
    line(out, "current_cow_size", held);
    line(out, "current_cow_size_age", 0);
    line(out, "current_fork_perc", format_args!("{percent:.2}"));
    line(out, "current_save_keys_processed", done);
    line(out, "current_save_keys_total", total);
    line(out, "rdb_changes_since_last_save", server.dirty - persistence.dirty_at_save);
    line(out, "rdb_bgsave_in_progress", u8::from(running.is_some()));
    line(out, "rdb_last_save_time", persistence.last_save_s);
    line(out, "rdb_last_bgsave_status", status);
    line(out, "rdb_last_bgsave_time_sec", seconds(persistence.last_took_s));
    line(
        out,
        "rdb_current_bgsave_time_sec",
        seconds(running.map(|running| running.started.elapsed().as_secs())),
    );
    line(out, "rdb_saves", persistence.saves);
    line(out, "rdb_last_cow_size", persistence.last_buffer_peak);
    line(out, "rdb_last_load_keys_expired", persistence.last_load.expired);
    line(out, "rdb_last_load_keys_loaded", persistence.last_load.loaded);
    for (name, value) in [
        ("aof_enabled", "0"),
        ("aof_rewrite_in_progress", "0"),
        ("aof_rewrite_scheduled", "0"),
        ("aof_last_rewrite_time_sec", "-1"),
        ("aof_current_rewrite_time_sec", "-1"),
        ("aof_last_bgrewrite_status", "ok"),
        ("aof_rewrites", "0"),
        ("aof_rewrites_consecutive_failures", "0"),
        ("aof_last_write_status", "ok"),
        ("aof_last_cow_size", "0"),
        ("module_fork_in_progress", "0"),
        ("module_fork_last_cow_size", "0"),
    ] {
        line(out, name, value);
    }
    line(out, "snapshot_buffer_bytes", held);
    line(out, "snapshot_buffer_peak", if running.is_some() { peak } else { persistence.last_buffer_peak });
    line(out, "snapshot_buffer_limit", server.config.snapshot_buffer_limit);
    line(out, "snapshots_given_up_for_memory", persistence.given_up_for_memory);
    loading(server, out);
}

fn loading(server: &Server, out: &mut String) {
    let Some(loading) = &server.persistence.loading else { return };
    let percent = loading.loaded_bytes as f64 * 100.0 / loading.total_bytes.max(1) as f64;
    line(out, "loading_start_time", loading.started_s);
    line(out, "loading_total_bytes", loading.total_bytes);
    line(out, "loading_rdb_used_mem", loading.used_memory);
    line(out, "loading_loaded_bytes", loading.loaded_bytes);
    line(out, "loading_loaded_perc", format_args!("{percent:.2}"));
    line(out, "loading_eta_seconds", loading.eta_s());
}
