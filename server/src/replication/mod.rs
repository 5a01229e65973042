//! The stream of changes: what commands propagate, in order, and who gets it.
//!
//! ```text
//! handlers ─ propagate ─▶ unit ─ commit ─▶ backlog ─ feed, at the end of a turn ─▶ connections of replicas
//! ```
//!
//! A *unit* is what one command, transaction or script changed; it reaches the stream whole, in MULTI and EXEC when it
//! is more than one command. The stream exists from the first replica on.
//!
//! `backlog.rs` keeps the stream's last part, `replica.rs` says what is known of a replica, `sync.rs` gets it a snapshot,
//! `transfer.rs` sends that, `info.rs` tells the outside.

mod backlog;
mod info;
mod replica;
mod sync;
mod transfer;

pub use info::{info, role};
pub use replica::{Filter, Handshake, Replica, State, name};
pub use sync::{acknowledge, snapshot_ended, sync, tick};

use crate::config::Config;
use crate::lifecycle::random_hex;
use crate::server::Server;
use crate::session::Session;
use backlog::{Backlog, Stretch};
use bytes::Bytes;
use common::clients::{Clients, Slot};
use store::DbIndex;
use transfer::{Progress, Transfer, has_room};

/// What writes are told where [`lacks_replicas`].
pub const NO_REPLICAS: &str = "NOREPLICAS Not enough good replicas to write.";

/// Whether too few replicas keep up for writes to be taken.
pub fn lacks_replicas(server: &Server) -> bool {
    let config = &server.config;
    let wanted = config.min_replicas_to_write as usize;
    wanted > 0
        && config.min_replicas_max_lag > 0
        && server.replication.good_replicas(&server.clients, config, server.time.now_ms()) < wanted
}

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

/// The stream.
#[derive(Debug)]
pub struct Replication {
    /// Commands of the running unit, encoded.
    unit: Vec<u8>,
    /// Their number, SELECT aside.
    unit_commands: usize,
    /// SELECT for the running unit's first command.
    unit_select: Vec<u8>,
    /// The database that the stream has selected; `None`: unknown to some replica, so it is selected anew.
    selected: Option<DbIndex>,
    /// The stream's name: 40 hexadecimal digits.
    id: String,
    /// Offset behind the last byte of the stream, kept while there is no backlog.
    offset: i64,
    backlog: Option<Backlog>,
    /// All replicas, in order of arrival.
    replicas: Vec<Slot>,
    transfers: Vec<Transfer>,
    /// Somebody waits for acknowledgements.
    ack_wanted: bool,
    /// Unix ms since when there is no replica.
    alone_since_ms: i64,
    /// Seconds of the last round of [`tick`], and of the last PING to replicas.
    last_round_s: i64,
    last_ping_s: i64,
}

impl Default for Replication {
    fn default() -> Self {
        Self {
            unit: Vec::new(),
            unit_commands: 0,
            unit_select: Vec::new(),
            selected: None,
            id: random_hex(),
            offset: 0,
            backlog: None,
            replicas: Vec::new(),
            transfers: Vec::new(),
            ack_wanted: false,
            alone_since_ms: 0,
            last_round_s: 0,
            last_ping_s: 0,
        }
    }
}

impl Replication {
    /// Whether anyone gets what is propagated, or may get it when it comes back.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.backlog.is_some()
    }

    /// Offset behind the last byte of the stream.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// The stream's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Gives the stream another name, as if it were not the same any more.
    pub fn change_id(&mut self) {
        self.id = random_hex();
    }

    /// Name, offset and selected database of the stream, for a snapshot's header.
    pub fn place_in_stream(&self) -> Option<(String, i64, u32)> {
        self.backlog.as_ref()?;
        Some((self.id.clone(), self.offset, self.selected.map_or(0, |db| db.0 as u32)))
    }

    /// Adds a command to the running unit.
    pub fn propagate(&mut self, db: DbIndex, words: &[&[u8]]) {
        if !self.is_active() {
            return;
        }
        if self.selected != Some(db) {
            self.selected = Some(db);
            // In front of the unit's MULTI when it concerns its first command, as Redis 7.0 does.
            let place = if self.unit_commands == 0 { &mut self.unit_select } else { &mut self.unit };
            encode(place, &[b"SELECT", itoa::Buffer::new().format(db.0).as_bytes()]);
        }
        encode(&mut self.unit, words);
        self.unit_commands += 1;
    }

    /// Ends the running unit; true when it added to the stream.
    #[inline]
    pub fn commit(&mut self) -> bool {
        self.unit_commands > 0 && self.append_unit()
    }

    fn append_unit(&mut self) -> bool {
        let mut unit = std::mem::take(&mut self.unit);
        let is_block = std::mem::take(&mut self.unit_commands) > 1;
        if !self.unit_select.is_empty() {
            let select = std::mem::take(&mut self.unit_select);
            self.append(&select);
        }
        if is_block {
            self.append(b"*1\r\n$5\r\nMULTI\r\n");
        }
        self.append(&unit);
        if is_block {
            self.append(b"*1\r\n$4\r\nEXEC\r\n");
        }
        unit.clear();
        if unit.capacity() <= KEPT_UNIT {
            self.unit = unit;
        }
        true
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Some(backlog) = &mut self.backlog {
            backlog.append(bytes);
            self.offset = backlog.end();
        }
    }

    /// Asks all replicas how far they are, with the next bytes that they get.
    pub fn request_acknowledgements(&mut self) {
        self.ack_wanted = true;
    }

    /// Replicas that have acknowledged `offset`.
    pub fn acknowledged(&self, clients: &Clients<Session>, offset: i64) -> usize {
        self.online(clients).filter(|replica| replica.acknowledged >= offset).count()
    }

    /// Replicas whose lag is within `min-replicas-max-lag`.
    pub fn good_replicas(&self, clients: &Clients<Session>, config: &Config, now_ms: i64) -> usize {
        let lag_ms = i64::from(config.min_replicas_max_lag) * 1000;
        self.online(clients).filter(|replica| now_ms - replica.seen_ms <= lag_ms).count()
    }

    fn online<'c>(&'c self, clients: &'c Clients<Session>) -> impl Iterator<Item = &'c Replica> {
        let replica = |slot: &Slot| clients.get(*slot)?.ext.replica.as_deref();
        self.replicas.iter().filter_map(replica).filter(|replica| replica.is_online())
    }

    /// Number of replicas, those that are being synchronized among them.
    pub fn replica_count(&self) -> usize {
        self.replicas.len()
    }

    /// Bytes of the stream that wait for a replica beyond what its connection holds.
    pub fn lag_bytes(&self, replica: &Replica) -> u64 {
        replica.lag_bytes(self.offset)
    }

    /// Bytes that the backlog holds.
    pub fn backlog_bytes(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| (backlog.end() - backlog.start()).max(0).cast_unsigned())
    }

    /// Another size for the backlog.
    pub fn resize_backlog(&mut self, bytes: u64) {
        if let Some(backlog) = &mut self.backlog {
            backlog.resize(bytes);
        }
    }

    /// A client leaves.
    pub fn forget(&mut self, clients: &mut Clients<Session>, slot: Slot) {
        let Some(at) = self.replicas.iter().position(|replica| *replica == slot) else { return };
        self.replicas.remove(at);
        self.transfers.iter_mut().for_each(|transfer| transfer.to.retain(|to| *to != slot));
        // Dropping the queue of a transfer ends its thread.
        self.transfers.retain(|transfer| !transfer.to.is_empty());
        if let Some(client) = clients.get(slot) {
            tracing::warn!("Connection with replica {} lost.", name(client));
        }
        if self.replicas.is_empty() {
            self.alone_since_ms = common::clock::now_ms();
        }
    }

    /// Hands new bytes of the stream, and of snapshots, to the replicas.
    pub fn feed_replicas(&mut self, clients: &mut Clients<Session>) {
        if self.backlog.is_none() {
            return;
        }
        if std::mem::take(&mut self.ack_wanted) && !self.replicas.is_empty() {
            let mut request = Vec::new();
            encode(&mut request, &[b"REPLCONF", b"GETACK", b"*"]);
            self.append(&request);
        }
        if !self.transfers.is_empty() {
            self.pump_transfers(clients);
        }
        let Some(backlog) = &mut self.backlog else { return };
        let mut needed = i64::MAX;
        for &slot in &self.replicas {
            feed(backlog, clients, slot);
            if let Some(replica) = clients.get(slot).and_then(|client| client.ext.replica.as_deref())
                && replica.state != State::WaitStart
            {
                needed = needed.min(replica.cursor);
            }
        }
        backlog.trim(needed);
    }

    fn pump_transfers(&mut self, clients: &mut Clients<Session>) {
        let now_ms = common::clock::now_ms();
        let mut going_on = Vec::new();
        for mut transfer in std::mem::take(&mut self.transfers) {
            match transfer.pump(clients, now_ms) {
                Progress::Waits => going_on.push(transfer),
                Progress::Done => {
                    let state = transfer.state_after();
                    transfer.to.iter().for_each(|slot| received(clients, *slot, state, now_ms));
                }
                Progress::Broken => {
                    tracing::warn!("SYNC failed: the snapshot was not completed");
                    transfer.to.iter().for_each(|slot| clients.close_now(*slot));
                }
            }
        }
        self.transfers = going_on;
    }
}

/// Largest buffer kept from unit to unit, bytes.
const KEPT_UNIT: usize = 64 << 10;

/// A replica was given all of its snapshot.
fn received(clients: &mut Clients<Session>, slot: Slot, state: State, now_ms: i64) {
    let Some(client) = clients.get_mut(slot) else { return };
    let name = name(client);
    if client.ext.handshake.as_deref().is_some_and(|handshake| handshake.rdb_only) {
        tracing::info!("RDB transfer completed, rdb only replica ({name}) should be disconnected asap");
        clients.close_after_reply(slot);
        return;
    }
    if let Some(replica) = &mut client.ext.replica {
        replica.state = state;
        replica.seen_ms = now_ms; // or it would be found silent at once
        tracing::info!("Synchronization with replica {name} succeeded");
    }
}

/// Gives a replica what it lacks, as far as its connection can take it.
fn feed(backlog: &Backlog, clients: &mut Clients<Session>, slot: Slot) {
    loop {
        let Some(client) = clients.get_mut(slot).filter(|client| !client.is_closing()) else { return };
        let Some(replica) = client.ext.replica.as_deref_mut() else { return };
        if replica.state != State::Online || replica.cursor == backlog.end() {
            return;
        }
        let stretch = backlog.read(replica.cursor);
        if !has_room(clients, slot) {
            return;
        }
        let len = stretch.len() as i64;
        match stretch {
            Stretch::Sealed(bytes) => clients.push(slot, &bytes),
            Stretch::Open(bytes) => clients.push(slot, &Bytes::copy_from_slice(bytes)),
        }
        if let Some(replica) = clients.get_mut(slot).and_then(|client| client.ext.replica.as_deref_mut()) {
            replica.cursor += len;
        }
    }
}

/// Appends a request.
fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    let mut number = itoa::Buffer::new();
    let mut header = |out: &mut Vec<u8>, kind: u8, value: usize| {
        out.push(kind);
        out.extend_from_slice(number.format(value).as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    out.reserve(words.iter().map(|word| word.len() + 16).sum());
    header(out, b'*', words.len());
    for word in words {
        header(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream after units of commands, each given as database and words.
    fn check(units: &[&[(usize, &str)]], expected: &str) {
        let mut replication = Replication { backlog: Some(Backlog::new(1 << 20, 0)), ..Default::default() };
        for unit in units {
            for (db, command) in *unit {
                let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
                replication.propagate(DbIndex(*db), &words);
            }
            assert_eq!(replication.commit(), !unit.is_empty());
        }
        let backlog = replication.backlog.as_ref().expect("it was made above");
        let Stretch::Open(bytes) = backlog.read(0) else { panic!("it is short") };
        let mut expected_bytes = Vec::new();
        for command in expected.split(';').filter(|command| !command.is_empty()) {
            let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
            encode(&mut expected_bytes, &words);
        }
        assert_eq!(String::from_utf8_lossy(bytes), String::from_utf8_lossy(&expected_bytes));
        assert_eq!(replication.offset(), expected_bytes.len() as i64);
    }

    #[test]
    fn units_reach_the_stream_whole() {
        check(&[], "");
        check(&[&[]], "");
        check(&[&[(0, "SET a 1")], &[(0, "SET b 2")]], "SELECT 0;SET a 1;SET b 2");
        check(&[&[(3, "SET a 1")], &[(0, "DEL a")]], "SELECT 3;SET a 1;SELECT 0;DEL a");
        check(
            &[&[(0, "DEL a"), (1, "SET a 1")], &[(1, "DEL a")]],
            "SELECT 0;MULTI;DEL a;SELECT 1;SET a 1;EXEC;DEL a",
        );
    }

    #[test]
    fn without_a_replica_nothing_is_kept() {
        let mut replication = Replication::default();
        replication.propagate(DbIndex(0), &[b"SET", b"a", b"1"]);
        assert!(!replication.commit());
        assert_eq!((replication.offset(), replication.unit.len()), (0, 0));
        assert_eq!(replication.id().len(), 40);
    }
}
