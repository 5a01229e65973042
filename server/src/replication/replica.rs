//! What is kept of a replica.

use crate::session::Session;
use common::clients::Client;

/// What a replica told of itself before it asked for a synchronization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The port that it listens on; 0 = it did not say.
    pub listening_port: i64,
    /// The address that it wants to be known by.
    pub address: Option<Vec<u8>>,
    /// It understands snapshots of unknown length.
    pub eof: bool,
    /// It understands a changed stream name in `+CONTINUE`.
    pub psync2: bool,
    /// It wants the snapshot and nothing after.
    pub rdb_only: bool,
    /// It wants a snapshot without keys.
    pub filter: Option<Filter>,
}

/// What a snapshot without keys holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Nothing.
    Nothing,
    /// The libraries of functions.
    Functions,
}

impl Handshake {
    /// Whether a snapshot begun for `other` suits as well.
    pub fn covers(&self, other: &Self) -> bool {
        (self.eof || !other.eof) && (self.psync2 || !other.psync2) && (self.rdb_only || !other.rdb_only)
    }
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a snapshot to begin.
    WaitStart,
    /// It waits for the snapshot file that is being written.
    WaitEnd,
    /// The snapshot is being sent.
    Transfer,
    /// It has got a snapshot of unknown length; its first acknowledgement shows that it found the end.
    AwaitAck,
    /// It gets the stream.
    Online,
}

impl State {
    /// The name in INFO.
    pub fn name(self) -> &'static str {
        match self {
            Self::WaitStart | Self::WaitEnd => "wait_bgsave",
            Self::Transfer => "send_bulk",
            Self::AwaitAck | Self::Online => "online",
        }
    }
}

/// A replica that we feed.
#[derive(Debug)]
pub struct Replica {
    /// How far it is.
    pub state: State,
    /// The offset it has acknowledged.
    pub acknowledged: i64,
    /// Unix ms of its last acknowledgement, or since when one is expected.
    pub seen_ms: i64,
    /// Unix ms when it asked for a full synchronization.
    pub waits_since_ms: i64,
    /// Unix ms when a part of the snapshot was handed to its connection last.
    pub progress_ms: i64,
    /// It speaks PSYNC, so it acknowledges.
    pub acknowledges: bool,
    /// Where its snapshot stands in the stream.
    pub synced_at: i64,
    /// The next byte of the stream to hand to its connection.
    pub cursor: i64,
}

impl Replica {
    /// One that waits for a snapshot.
    pub fn waiting(acknowledges: bool, now_ms: i64) -> Self {
        Self {
            state: State::WaitStart,
            acknowledged: 0,
            seen_ms: now_ms,
            waits_since_ms: now_ms,
            progress_ms: now_ms,
            acknowledges,
            synced_at: 0,
            cursor: 0,
        }
    }

    /// One that goes on with the stream at `cursor`.
    pub fn continuing(cursor: i64, now_ms: i64) -> Self {
        Self { state: State::Online, cursor, synced_at: cursor, ..Self::waiting(true, now_ms) }
    }

    /// Whether it counts for WAIT and `min-replicas-to-write`.
    pub fn is_online(&self) -> bool {
        matches!(self.state, State::AwaitAck | State::Online)
    }

    /// Bytes of a stream up to `end` that it was not given yet.
    pub fn lag_bytes(&self, end: i64) -> u64 {
        match self.state {
            State::WaitStart => 0,
            _ => (end - self.cursor).max(0) as u64,
        }
    }
}

/// The host and port that a replica is known by.
pub fn address(client: &Client<Session>) -> (String, i64) {
    let handshake = client.ext.handshake.as_deref();
    let port = handshake.map_or(0, |handshake| handshake.listening_port);
    let host = match handshake.and_then(|handshake| handshake.address.as_ref()) {
        Some(address) => String::from_utf8_lossy(address).into_owned(),
        None => {
            let peer = client.address();
            let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
            host.trim_matches(['[', ']']).to_owned()
        }
    };
    (host, port)
}

/// As logs name it.
pub fn name(client: &Client<Session>) -> String {
    let (host, port) = address(client);
    match port {
        0 => format!("{host}:<unknown-replica-port>"),
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_suits_those_who_can_do_as_much() {
        let plain = Handshake::default();
        let eof = Handshake { eof: true, ..Handshake::default() };
        let rdb_only = Handshake { rdb_only: true, ..eof.clone() };
        assert!(eof.covers(&plain) && eof.covers(&eof) && !plain.covers(&eof));
        assert!(rdb_only.covers(&eof) && !eof.covers(&rdb_only));
    }
}
