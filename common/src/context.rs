//! What machinery that both daemons share asks of a handler's context.

use crate::clients::{Clients, Slot};
use crate::command::{CommandError, CommandId, Daemon, Table};
use crate::pubsub::PubSub;
use crate::resp::Reply;

/// The part of a handler's context that HELLO, AUTH, CLIENT, COMMAND and pub/sub need.
pub trait Context {
    /// Whose context this is.
    type Daemon: Daemon;
    /// What the daemon keeps per client beyond the shared part.
    type Extension: crate::clients::Extension;

    /// The daemon's commands.
    fn table(&self) -> &'static Table<Self::Daemon>;
    /// Where the running command's reply goes.
    fn reply(&mut self) -> &mut Reply;
    /// The client whose command runs.
    fn slot(&self) -> Slot;
    /// Of the running client's requests: bytes in their buffer, and free bytes behind them.
    fn query_buffer(&self) -> (usize, usize);
    /// All clients.
    fn clients(&mut self) -> &mut Clients<Self::Extension>;
    /// All subscriptions.
    fn pubsub(&mut self) -> &mut PubSub;
    /// Unix time in milliseconds, sampled when the command began.
    fn now_ms(&self) -> i64;
    /// Whether the running command may not enter subscribe mode: inside a script. EXEC may, as in Redis.
    fn deny_blocking(&self) -> bool;
    /// Whether EXEC runs the command.
    fn in_transaction(&self) -> bool {
        false
    }
    /// Checks a user's password; `None` as user means the password alone was given.
    ///
    /// # Errors
    /// The text for a wrong pair, or for a password where none is set.
    fn authenticate(&mut self, user: Option<&[u8]>, password: &[u8]) -> Result<(), CommandError>;
    /// Whether `user` exists, for HELLO and CLIENT KILL USER.
    fn user_exists(&self, user: &[u8]) -> bool;
    /// Whether a new client is authenticated from the start.
    fn open_to_all(&self) -> bool;
    /// `mode` and `role` of HELLO's reply; `None` as role leaves it out.
    fn identity(&self) -> (&'static str, Option<&'static str>);
    /// Ends transaction, watches, tracking …: the daemon's part of RESET.
    fn reset_session(&mut self);
    /// Frees a client: its subscriptions, watches, what it waits for, its connection. For the client whose command
    /// runs it takes effect once the reply is sent.
    fn kill(&mut self, slot: Slot);
    /// Wakes a blocked client, as by timeout or with an error; false when it is not blocked.
    fn unblock(&mut self, slot: Slot, with_error: bool) -> bool;
    /// Publishes to the node's own subscribers (and beyond, where the daemon has more); number of receivers.
    fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize;
    /// Publishes to the subscribers of a shard channel; their number.
    fn publish_to_shard(&mut self, channel: &[u8], message: &[u8]) -> usize;
    /// Whether the running client may run this command at all, for `COMMAND` filters of later ACLs.
    fn may_run(&self, _command: CommandId) -> bool {
        true
    }
}
