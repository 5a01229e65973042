//! What a handler of the sentinel may touch.

use crate::sentinel::{Sentinel, Session, Watchman};
use common::clients::{Clients, Slot};
use common::command::{CommandError, Table};
use common::context::Context;
use common::pubsub::PubSub;
use common::resp::Reply;

/// The context of one client's commands.
pub struct Cx<'a> {
    /// All state.
    pub sentinel: &'a mut Sentinel,
    /// Whose commands run.
    pub slot: Slot,
    /// The reply in the making.
    pub reply: Reply,
    /// Bytes in the buffer of the client's requests, and free bytes behind them.
    pub query_buffer: (usize, usize),
}

impl<'a> Cx<'a> {
    /// Borrows a client's output until [`Self::finish`].
    pub fn begin(sentinel: &'a mut Sentinel, slot: Slot) -> Self {
        let reply = sentinel.clients.begin(slot);
        Self { sentinel, slot, reply, query_buffer: (0, 0) }
    }

    /// Gives the output back.
    pub fn finish(self) {
        self.sentinel.clients.end(self.slot, self.reply);
    }
}

impl Context for Cx<'_> {
    type Daemon = Watchman;
    type Extension = Session;

    fn table(&self) -> &'static Table<Watchman> {
        self.sentinel.table
    }

    fn reply(&mut self) -> &mut Reply {
        &mut self.reply
    }

    fn slot(&self) -> Slot {
        self.slot
    }

    fn query_buffer(&self) -> (usize, usize) {
        self.query_buffer
    }

    fn clients(&mut self) -> &mut Clients<Session> {
        &mut self.sentinel.clients
    }

    fn pubsub(&mut self) -> &mut PubSub {
        &mut self.sentinel.pubsub
    }

    fn now_ms(&self) -> i64 {
        self.sentinel.now_ms
    }

    fn deny_blocking(&self) -> bool {
        false
    }

    fn authenticate(&mut self, user: Option<&[u8]>, password: &[u8]) -> Result<(), CommandError> {
        common::clients::check_default_user(&self.sentinel.config.requirepass, user, password)
    }

    fn user_exists(&self, user: &[u8]) -> bool {
        user == b"default"
    }

    fn open_to_all(&self) -> bool {
        self.sentinel.config.requirepass.is_empty()
    }

    fn identity(&self) -> (&'static str, Option<&'static str>) {
        ("sentinel", None)
    }

    fn reset_session(&mut self) {}

    fn kill(&mut self, slot: Slot) {
        if slot == self.slot {
            self.sentinel.clients.close_after_reply(slot);
        } else {
            self.sentinel.free_client(slot);
        }
    }

    fn unblock(&mut self, _slot: Slot, _with_error: bool) -> bool {
        false // nothing blocks here
    }

    fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        self.sentinel.pubsub.publish(&mut self.sentinel.clients, channel, message)
    }

    fn publish_to_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        self.sentinel.pubsub.publish_to_shard(&mut self.sentinel.clients, channel, message)
    }
}
