//! Sending snapshots to replicas, no faster than these read.

use super::replica::State;
use crate::persistence::MARK;
use crate::persistence::handoff::{FromThread, Gone, Taken, to_actor};
use crate::server::Internal;
use crate::session::Session;
use bytes::Bytes;
use common::clients::{Clients, Slot};
use common::net::Mailbox;
use std::fs::File;
use std::io::Read;

/// Bytes handed to a connection ahead of its writing them. Small against the output limits, large enough to keep the
/// kernel's buffers full.
pub const WINDOW: usize = 1 << 20;

/// Bytes read from a file at a time.
const BLOCK: usize = 64 << 10;

/// Blocks read ahead of the connection.
const BLOCKS: usize = 8;

/// How the end of a transfer is known to be good.
#[derive(Debug)]
enum Until {
    /// The mark has come.
    Mark([u8; MARK], bool),
    /// So many bytes are left.
    Bytes(u64),
}

/// A snapshot on its way to one or more replicas.
#[derive(Debug)]
pub struct Transfer {
    blocks: FromThread<Bytes>,
    /// Who gets it.
    pub to: Vec<Slot>,
    until: Until,
}

/// How far a transfer is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on later.
    Waits,
    /// All was handed to the connections.
    Done,
    /// What was sent is not a whole snapshot.
    Broken,
}

impl Transfer {
    /// A snapshot that is being made, which ends with `mark`.
    pub fn of_stream(blocks: FromThread<Bytes>, mark: [u8; MARK], to: Vec<Slot>) -> Self {
        Self { blocks, to, until: Until::Mark(mark, false) }
    }

    /// A file of `bytes` bytes, read by a thread of its own: a cold disk must not keep the actor waiting.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn of_file(
        file: File,
        bytes: u64,
        to: Slot,
        mailbox: &Mailbox<Internal>,
    ) -> Result<Self, std::io::Error> {
        let (sender, blocks) = to_actor(BLOCKS, mailbox);
        let read = move || {
            let mut file = file.take(bytes);
            loop {
                let mut block = Vec::with_capacity(BLOCK);
                match (&mut file).take(BLOCK as u64).read_to_end(&mut block) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) => {
                        return tracing::error!("Failed to read the snapshot for a replica: {error}");
                    }
                }
                if let Err(Gone) = sender.give(block.into()) {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("ochre-send".into()).spawn(read)?;
        Ok(Self { blocks, to: vec![to], until: Until::Bytes(bytes) })
    }

    /// Whether it is a stream, made for these replicas.
    pub fn is_stream(&self) -> bool {
        matches!(self.until, Until::Mark(..))
    }

    /// Hands over what is there and what the connections can take. The slowest of them sets the pace.
    pub fn pump(&mut self, clients: &mut Clients<Session>, now_ms: i64) -> Progress {
        loop {
            if !self.to.iter().all(|slot| has_room(clients, *slot)) {
                return Progress::Waits;
            }
            let block = match self.blocks.take() {
                Taken::Piece(block) => block,
                Taken::Nothing => return Progress::Waits,
                Taken::End => return self.at_end(),
            };
            match &mut self.until {
                Until::Mark(mark, seen) => *seen = block[..] == mark[..],
                Until::Bytes(left) => *left -= block.len() as u64,
            }
            for &slot in &self.to {
                clients.push(slot, &block);
                if let Some(replica) = clients.get_mut(slot).and_then(|c| c.ext.replica.as_deref_mut()) {
                    replica.progress_ms = now_ms;
                }
            }
        }
    }

    fn at_end(&self) -> Progress {
        match self.until {
            Until::Mark(_, true) | Until::Bytes(0) => Progress::Done,
            _ => Progress::Broken,
        }
    }

    /// The state of its replicas once it is done. Where the end is a mark, nothing may follow at once: finding the mark
    /// is easier for the replica when the stream begins only after its acknowledgement.
    pub fn state_after(&self) -> State {
        if self.is_stream() { State::AwaitAck } else { State::Online }
    }
}

/// Whether a connection can take more. If not, its next drain ends the wait.
pub fn has_room(clients: &Clients<Session>, slot: Slot) -> bool {
    let Some(client) = clients.get(slot) else { return true };
    client.unsent() < WINDOW
        // What lies on our own side of the link reaches it at the end of the turn, so that a drain will come.
        || client.link().is_none_or(|link| link.await_drain() && client.output.is_empty())
}
