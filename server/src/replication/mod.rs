//! The stream of changes: what commands propagate, in order, and who gets it.

use crate::commands::server::line;
use crate::config::Config;
use crate::server::Server;
use crate::session::Session;
use common::clients::{Clients, Slot};
use store::DbIndex;

/// What replicas get of a command.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Propagate {
    /// The command as it came, if it changed something.
    #[default]
    AsIs,
    /// The command as it came, though the keyspace is as before (PUBLISH).
    Forced,
    /// Nothing.
    Nothing,
    /// These commands.
    Instead(Vec<Vec<Vec<u8>>>),
}

/// A replica that we feed.
#[derive(Debug, Default)]
pub struct Replica {
    /// The offset it has acknowledged.
    pub acknowledged: i64,
    /// Unix ms of its last acknowledgement.
    pub seen_ms: i64,
}

/// The stream.
#[derive(Debug, Default)]
pub struct Replication {
    /// Commands of the running unit (a command, a transaction, a script).
    pending: Vec<(DbIndex, Vec<Vec<u8>>)>,
    offset: i64,
}

impl Replication {
    /// Whether anyone gets what is propagated.
    #[inline]
    pub fn is_active(&self) -> bool {
        false
    }

    /// Offset behind the last byte of the stream.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Adds a command to the running unit.
    pub fn propagate(&mut self, db: DbIndex, words: &[&[u8]]) {
        if self.is_active() {
            self.pending.push((db, words.iter().map(|word| word.to_vec()).collect()));
        }
    }

    /// Ends the running unit; true when it added to the stream.
    #[inline]
    pub fn commit(&mut self) -> bool {
        false
    }

    /// Replicas that have acknowledged `offset`.
    pub fn acknowledged(&self, clients: &Clients<Session>, offset: i64) -> usize {
        clients.iter().filter(|c| c.ext.replica.as_ref().is_some_and(|r| r.acknowledged >= offset)).count()
    }

    /// Replicas whose lag is within `min-replicas-max-lag`.
    pub fn good_replicas(&self, clients: &Clients<Session>, config: &Config, now_ms: i64) -> usize {
        let lag_ms = i64::from(config.min_replicas_max_lag) * 1000;
        clients
            .iter()
            .filter(|c| c.ext.replica.as_ref().is_some_and(|r| now_ms - r.seen_ms <= lag_ms))
            .count()
    }

    /// Another size for the backlog.
    pub fn resize_backlog(&mut self, _bytes: u64) {}

    /// A client leaves.
    pub fn forget(&mut self, _clients: &mut Clients<Session>, _slot: Slot) {}

    /// Hands new bytes of the stream to the replicas.
    pub fn feed_replicas(&mut self, _clients: &mut Clients<Session>) {}
}

/// Once per tick.
pub fn tick(_server: &mut Server) {}

/// The replication section of INFO.
pub fn info(server: &mut Server, out: &mut String) {
    line(out, "role", "master");
    line(out, "connected_slaves", 0);
    line(out, "master_repl_offset", server.replication.offset());
}

impl Replication {
    /// Where the stream stands.
    pub fn place_in_stream(&self) -> Option<(String, i64, u32)> {
        None
    }
}

/// A snapshot has ended.
pub fn snapshot_ended(_server: &mut Server, _purpose: crate::persistence::Purpose, _is_ok: bool) {}
