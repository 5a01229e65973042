//! What is kept on disk.

pub mod rdb;

use crate::config::Config;

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
