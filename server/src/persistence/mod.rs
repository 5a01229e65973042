//! What is kept on disk.

pub mod rdb;

use crate::commands::server::line;
use crate::config::Config;
use crate::server::Server;

/// Snapshots.
#[derive(Debug)]
pub struct Persistence {
    /// Changes when the last save began.
    pub dirty_at_save: u64,
    /// Unix seconds of the last good save.
    pub last_save_s: i64,
    /// Whether the last background save went well.
    pub last_bgsave_ok: bool,
}

impl Persistence {
    /// Nothing saved yet.
    pub fn new(_config: &Config) -> Self {
        Self { dirty_at_save: 0, last_save_s: common::clock::now_ms() / 1000, last_bgsave_ok: true }
    }

    /// Whether writes are refused because saving fails.
    #[inline]
    pub fn refuses_writes(&self, config: &Config) -> bool {
        !self.last_bgsave_ok && config.stop_writes_on_bgsave_error && !config.save.is_empty()
    }
}

/// What the writer reports.
#[derive(Debug)]
pub enum Report {}

/// Takes the writer's report.
pub fn receive(_server: &mut Server, report: Report) {
    match report {}
}

/// Save points.
pub fn tick(_server: &mut Server) {}

/// SAVE.
pub fn save_now(_server: &mut Server) -> Result<(), String> {
    Ok(())
}

/// Loads the file at the start.
pub fn load_at_start(_server: &mut Server) -> Result<(), String> {
    Ok(())
}

/// The persistence section of INFO.
pub fn info(server: &mut Server, out: &mut String) {
    line(out, "loading", u8::from(server.lifecycle.loading));
}

impl Server {
    /// FLUSHALL gives up a running save.
    pub fn abort_snapshot_for_flush(&mut self) {}
}
