//! Getting a replica going: partial resynchronization from the backlog, or a snapshot and the stream behind it.

use super::backlog::Backlog;
use super::replica::{Filter, Replica, State, name};
use super::transfer::{Transfer, WINDOW};
use super::{Replication, encode, received};
use crate::lifecycle::random_hex;
use crate::persistence::{self, BeginError, Purpose};
use crate::server::Server;
use bytes::Bytes;
use common::clients::Slot;
use std::fs::File;
use std::path::Path;

/// SYNC and PSYNC: `wish` is the stream's name and the offset of the next byte that the replica wants, none for SYNC.
/// The answer may come later.
pub fn sync(server: &mut Server, slot: Slot, wish: Option<(&[u8], i64)>) {
    let Some(client) = server.clients.get(slot) else { return };
    let replica_name = name(client);
    tracing::info!("Replica {replica_name} asks for synchronization");
    if let Some((id, offset)) = wish {
        if resume(server, slot, &replica_name, id, offset) {
            server.stats.sync_partial_ok += 1;
            return;
        }
        // With `?` it asked for a full one on purpose.
        server.stats.sync_partial_err += u64::from(!id.starts_with(b"?"));
    }
    server.stats.sync_full += 1;
    let now_ms = server.time.now_ms();
    if let Some(client) = server.clients.get_mut(slot) {
        client.ext.replica = Some(Box::new(Replica::waiting(wish.is_some(), now_ms)));
        client.link().inspect(|link| link.set_to_replica());
    }
    server.replication.replicas.push(slot);
    server.replication.open_backlog(server.config.repl_backlog_size);
    let handshake = server.clients.get(slot).and_then(|client| client.ext.handshake.as_deref());
    if let Some(filter) = handshake.and_then(|handshake| handshake.filter) {
        return send_empty(server, slot, filter);
    }
    match server.persistence.running() {
        Some(Purpose::File) => attach(server, slot),
        Some(Purpose::Replicas) => {
            tracing::info!("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC");
        }
        None => begin_if_due(server),
    }
}

impl Replication {
    /// The first replica opens the backlog. A stream that begins gets a new name: the old one's history is not kept.
    fn open_backlog(&mut self, size: u64) {
        if self.backlog.is_none() {
            self.id = random_hex();
            self.selected = None;
            self.last_ping_s = common::clock::now_ms() / 1000;
            self.backlog = Some(Backlog::new(size, self.offset));
            tracing::info!("Replication backlog created, my new replication ID is '{}'", self.id);
        }
    }

    fn close_backlog(&mut self) {
        // The offset stands still from now on, so the name must not be used again.
        self.backlog = None;
        self.id = random_hex();
        self.unit.clear();
        self.unit_commands = 0;
    }

    /// Continues the stream for a replica at `wanted`, the number of the next byte it needs, counted from one.
    fn can_resume(&self, id: &[u8], wanted: i64, replica_name: &str) -> bool {
        if !id.eq_ignore_ascii_case(self.id.as_bytes()) {
            if id.starts_with(b"?") {
                tracing::info!("Full resync requested by replica {replica_name}");
            } else {
                tracing::info!(
                    "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{}', my replication ID is '{}')",
                    String::from_utf8_lossy(id),
                    self.id
                );
            }
            return false;
        }
        if self.backlog.as_ref().is_some_and(|backlog| backlog.holds(wanted.saturating_sub(1))) {
            return true;
        }
        tracing::info!(
            "Unable to partial resync with replica {replica_name} for lack of backlog (Replica request was: {wanted})."
        );
        if wanted > self.offset {
            tracing::warn!(
                "Warning: replica {replica_name} tried to PSYNC with an offset that is greater than the master replication offset."
            );
        }
        false
    }
}

fn resume(server: &mut Server, slot: Slot, replica_name: &str, id: &[u8], wanted: i64) -> bool {
    if !server.replication.can_resume(id, wanted, replica_name) {
        return false;
    }
    let cursor = wanted - 1;
    let now_ms = server.time.now_ms();
    let Some(client) = server.clients.get_mut(slot) else { return false };
    let knows_names = client.ext.handshake.as_deref().is_some_and(|handshake| handshake.psync2);
    client.ext.replica = Some(Box::new(Replica::continuing(cursor, now_ms)));
    client.link().inspect(|link| link.set_to_replica());
    server.replication.replicas.push(slot);
    let reply = match knows_names {
        true => format!("+CONTINUE {}\r\n", server.replication.id),
        false => "+CONTINUE\r\n".to_owned(),
    };
    server.clients.push(slot, &reply.into());
    tracing::info!(
        "Partial resynchronization request from {replica_name} accepted. Sending {} bytes of backlog starting from offset {wanted}.",
        server.replication.offset - cursor
    );
    true
}

/// Lets a replica share the snapshot file that is being written, if the stream was kept from its begin on.
fn attach(server: &mut Server, slot: Slot) {
    let handshake = |server: &Server, slot: Slot| {
        let client = server.clients.get(slot);
        client.and_then(|client| client.ext.handshake.as_deref().cloned()).unwrap_or_default()
    };
    let mine = handshake(server, slot);
    let earlier = server.replication.replicas.iter().find_map(|other| {
        let replica = server.clients.get(*other)?.ext.replica.as_deref()?;
        let fits = replica.state == State::WaitEnd && mine.covers(&handshake(server, *other));
        fits.then_some(replica.synced_at)
    });
    match earlier {
        Some(offset) => {
            set_up(server, slot, State::WaitEnd, offset);
            tracing::info!("Waiting for end of BGSAVE for SYNC");
        }
        None => {
            tracing::info!("Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC")
        }
    }
}

/// Tells a replica where its snapshot stands in the stream.
fn set_up(server: &mut Server, slot: Slot, state: State, offset: i64) {
    let now_ms = server.time.now_ms();
    let Some(replica) = server.clients.get_mut(slot).and_then(|client| client.ext.replica.as_deref_mut())
    else {
        return;
    };
    (replica.state, replica.cursor, replica.synced_at) = (state, offset, offset);
    replica.progress_ms = now_ms;
    if replica.acknowledges {
        let reply = format!("+FULLRESYNC {} {offset}\r\n", server.replication.id);
        server.clients.push(slot, &reply.into());
    }
}

fn in_state(server: &Server, state: State) -> Vec<Slot> {
    let is = |slot: &&Slot| {
        let client = server.clients.get(**slot).filter(|client| !client.is_closing());
        client.and_then(|client| client.ext.replica.as_deref()).is_some_and(|replica| replica.state == state)
    };
    server.replication.replicas.iter().filter(is).copied().collect()
}

/// Begins a snapshot for the replicas that wait for one, unless more may come soon.
fn begin_if_due(server: &mut Server) {
    let waiting = in_state(server, State::WaitStart);
    if waiting.is_empty() || server.persistence.running().is_some() {
        return;
    }
    let clients = || waiting.iter().filter_map(|slot| server.clients.get(*slot));
    let all_know_marks =
        clients().all(|client| client.ext.handshake.as_deref().is_some_and(|handshake| handshake.eof));
    let purpose = match server.config.repl_diskless_sync && all_know_marks {
        true => Purpose::Replicas,
        false => Purpose::File,
    };
    let since = clients().filter_map(|client| Some(client.ext.replica.as_deref()?.waits_since_ms)).min();
    let delay_ms = i64::from(server.config.repl_diskless_sync_delay) * 1000;
    if purpose == Purpose::Replicas && since.is_some_and(|since| server.time.now_ms() - since < delay_ms) {
        return;
    }
    begin_snapshot(server, purpose, &waiting);
}

fn begin_snapshot(server: &mut Server, purpose: Purpose, waiting: &[Slot]) {
    // What was changed is in the snapshot, so it must be in the stream before the snapshot's offset.
    server.replication.commit();
    let begun = match purpose {
        Purpose::File => persistence::save_in_background(server).map(|()| None),
        Purpose::Replicas => persistence::begin(server, purpose),
    };
    let stream = match begun {
        Ok(stream) => stream,
        Err(BeginError::Busy | BeginError::NotYet) => return, // the next round tries again
        Err(error) => {
            tracing::error!("BGSAVE for replication failed: {error}");
            waiting.iter().for_each(|slot| refuse(server, *slot));
            return;
        }
    };
    let target = if stream.is_some() { "replicas sockets" } else { "disk" };
    tracing::info!("Starting BGSAVE for SYNC with target: {target}");
    let offset = server.replication.offset;
    let state = if stream.is_some() { State::Transfer } else { State::WaitEnd };
    for &slot in waiting {
        set_up(server, slot, state, offset);
    }
    // They begin with an empty state, so the stream must name its database to them.
    server.replication.selected = None;
    if let Some(stream) = stream {
        let mark = String::from_utf8_lossy(&stream.mark).into_owned();
        let header = Bytes::from(format!("$EOF:{mark}\r\n"));
        waiting.iter().for_each(|slot| server.clients.push(*slot, &header));
        let transfer = Transfer::of_stream(stream.blocks, stream.mark, waiting.to_vec());
        server.replication.transfers.push(transfer);
        tracing::info!("Background RDB transfer started by pid {}", std::process::id());
    }
}

/// Sends a snapshot without keys, which needs no walk.
fn send_empty(server: &mut Server, slot: Slot, filter: Filter) {
    let offset = server.replication.offset;
    set_up(server, slot, State::Transfer, offset);
    server.replication.selected = None;
    let mark = random_hex();
    let snapshot = persistence::empty_snapshot(server, filter == Filter::Functions);
    let bytes = [format!("$EOF:{mark}\r\n").as_bytes(), &snapshot, mark.as_bytes()].concat();
    server.clients.push(slot, &bytes.into());
    let now_ms = server.time.now_ms();
    received(&mut server.clients, slot, State::AwaitAck, now_ms);
}

fn refuse(server: &mut Server, slot: Slot) {
    server.clients.push(slot, &Bytes::from_static(b"-ERR BGSAVE failed, replication can't continue\r\n"));
    server.clients.close_after_reply(slot);
}

/// A snapshot has ended; `saved` is the file, if it is one and went well. Replicas that wait for the file get it, those
/// that waited for this snapshot to end get the next one.
pub fn snapshot_ended(server: &mut Server, purpose: Purpose, saved: Option<&Path>) {
    if purpose == Purpose::File {
        for slot in in_state(server, State::WaitEnd) {
            if let Err(error) = send_file(server, slot, saved) {
                tracing::warn!("SYNC failed: {error}");
                server.clients.close_now(slot);
            }
        }
    }
}

fn send_file(server: &mut Server, slot: Slot, saved: Option<&Path>) -> Result<(), String> {
    let path = saved.ok_or("the snapshot was not completed")?;
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let transfer = Transfer::of_file(file, bytes, slot, &server.internal).map_err(failed)?;
    let now_ms = server.time.now_ms();
    if let Some(replica) = server.clients.get_mut(slot).and_then(|client| client.ext.replica.as_deref_mut()) {
        (replica.state, replica.progress_ms) = (State::Transfer, now_ms);
    }
    server.clients.push(slot, &format!("${bytes}\r\n").into());
    server.replication.transfers.push(transfer);
    Ok(())
}

/// REPLCONF ACK; true when it may end somebody's WAIT.
pub fn acknowledge(server: &mut Server, slot: Slot, offset: i64) -> bool {
    let now_ms = server.time.now_ms();
    let Some(replica) = server.clients.get_mut(slot).and_then(|client| client.ext.replica.as_deref_mut())
    else {
        return false;
    };
    replica.acknowledged = replica.acknowledged.max(offset);
    replica.seen_ms = now_ms;
    if replica.state == State::AwaitAck {
        replica.state = State::Online;
    }
    true
}

// --- by the clock ----------------------------------------------------------------------------------------------------

/// Once per tick; most of it once a second.
pub fn tick(server: &mut Server) {
    if !server.replication.is_active() || server.lifecycle.loading {
        return;
    }
    begin_if_due(server);
    let has_stream = server.replication.transfers.iter().any(Transfer::is_stream);
    if server.persistence.running() == Some(Purpose::Replicas) && !has_stream {
        tracing::info!("Diskless rdb transfer, last replica dropped");
        persistence::give_up(server);
    }
    let now_s = server.time.now_ms() / 1000;
    if now_s == server.replication.last_round_s {
        return;
    }
    server.replication.last_round_s = now_s;
    keep_alive(server, now_s);
    drop_silent(server);
    free_unused_backlog(server);
}

fn keep_alive(server: &mut Server, now_s: i64) {
    let replication = &mut server.replication;
    let period_s = i64::from(server.config.repl_ping_replica_period);
    if !replication.replicas.is_empty() && now_s - replication.last_ping_s >= period_s {
        replication.last_ping_s = now_s;
        let mut ping = Vec::new();
        encode(&mut ping, &[b"PING"]);
        replication.append(&ping);
    }
    for state in [State::WaitStart, State::WaitEnd] {
        for slot in in_state(server, state) {
            server.clients.push(slot, &Bytes::from_static(b"\n"));
        }
    }
}

fn drop_silent(server: &mut Server) {
    let now_ms = server.time.now_ms();
    let timeout_ms = i64::from(server.config.repl_timeout) * 1000;
    for slot in server.replication.replicas.clone() {
        let Some(client) = server.clients.get(slot) else { continue };
        let Some(replica) = client.ext.replica.as_deref() else { continue };
        let stage = match replica.state {
            State::AwaitAck | State::Online
                if replica.acknowledges && now_ms - replica.seen_ms > timeout_ms =>
            {
                "streaming sync"
            }
            State::Transfer if client.unsent() >= WINDOW && now_ms - replica.progress_ms > timeout_ms => {
                "full sync"
            }
            _ => continue,
        };
        tracing::warn!("Disconnecting timedout replica ({stage}): {}", name(client));
        server.clients.close_now(slot);
    }
}

fn free_unused_backlog(server: &mut Server) {
    let ttl_s = server.config.repl_backlog_ttl;
    let alone_ms = server.time.now_ms() - server.replication.alone_since_ms;
    if server.replication.replicas.is_empty() && ttl_s > 0 && alone_ms / 1000 > ttl_s as i64 {
        server.replication.close_backlog();
        tracing::info!("Replication backlog freed after {ttl_s} seconds without connected replicas.");
    }
}
