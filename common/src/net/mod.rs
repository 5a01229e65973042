//! Sockets to batches and back: listeners, TLS, the connection task, and the two places where a connection and the
//! actor meet: the [`Mailbox`] (towards the actor) and the [`Link`] (towards the connection).
//!
//! With one I/O thread everything here runs on the actor's own thread as local tasks; with more, each I/O thread
//! runs connections on a runtime of its own. The code is the same: a [`Home`] knows which way a wake-up goes.

mod connection;
mod duplex;
mod link;
mod listen;
mod mailbox;
mod threads;
mod tls;
mod traffic;

pub use connection::Connection;
pub use link::{Close, Home, Link, Peer, Session};
pub use listen::{
    Accept, Accepting, BindError, BindOptions, Listener, Listening, Socket, Stream, bind_tcp, bind_unix,
};
pub use mailbox::Mailbox;
pub use threads::{Hub, Local, NetLimits};
pub use tls::{Handshakes, Tls, TlsError, TlsFiles};
pub use traffic::{Traffic, TrafficCounts};

use crate::clients::Slot;
use crate::resp::{ProtocolError, Requests};
use std::sync::Arc;

/// Requests of one connection on their way to the actor; travels back with its buffers to be used again.
#[derive(Debug, Default)]
pub struct Batch {
    /// The client's place in the registry, and its id to verify it.
    pub slot: u32,
    /// See `slot`.
    pub id: u64,
    /// The bytes that the requests point into.
    pub buf: Vec<u8>,
    /// Complete requests.
    pub requests: Requests,
    /// The next request to execute.
    pub next: usize,
    /// What comes behind the last request when the stream breaks there.
    pub error: Option<ProtocolError>,
    /// What was found out about each request ahead of its execution: command index and key hash.
    pub hints: Vec<Hint>,
    /// An empty output vector for the client's next reply.
    pub spare: Vec<u8>,
}

/// What the actor found out about a request before it executes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hint {
    /// Index of the command in the table plus one; 0 = unknown.
    pub command: u16,
    /// Hash of the first key, when `hashed`.
    pub hash: u64,
    /// Where the first key was seen, when `hashed`, in the words of the store.
    pub place: u64,
    /// Whether `hash` is one.
    pub hashed: bool,
    /// There is more of what the key leads to that may be fetched ahead.
    pub is_far: bool,
    /// The command runs scripts or may contain some: it goes another way.
    pub is_special: bool,
}

impl Batch {
    /// Bytes in the buffer, and free bytes behind them.
    pub fn buffered(&self) -> (usize, usize) {
        (self.buf.len(), self.buf.capacity() - self.buf.len())
    }

    /// Empties it for the way back; allocations stay, but for outsized ones.
    pub fn finish(&mut self) {
        self.requests.clear();
        self.hints.clear();
        self.next = 0;
        self.error = None;
        if self.buf.capacity() > KEPT_BUFFER {
            self.buf = Vec::new();
        }
        self.buf.clear();
        if self.spare.capacity() > KEPT_BUFFER {
            self.spare = Vec::new();
        }
        self.spare.clear();
    }
}

/// Largest buffer that is kept for another use, bytes.
const KEPT_BUFFER: usize = 64 * 1024;

/// What connections tell the actor.
#[derive(Debug)]
pub enum NetEvent {
    /// A connection was accepted and waits for its session.
    Opened(Arc<Link>),
    /// Complete requests.
    Batch(Box<Batch>),
    /// A connection was closed before its TLS handshake, as there are enough already.
    Refused,
    /// All output is written, as [`Link::await_drain`] asked to know.
    Drained,
    /// The connection ended; `last` holds requests that came before its end.
    Closed {
        /// The client's place in the registry.
        slot: Slot,
        /// Its id, to verify the slot.
        id: u64,
        /// Requests that arrived whole before the end.
        last: Option<Box<Batch>>,
        /// Why, when it was not the peer's wish.
        reason: Option<CloseReason>,
    },
}

/// Why a connection task gave up its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// More unprocessed bytes than `client-query-buffer-limit`.
    QueryBuffer,
}
