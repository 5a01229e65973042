//! What a handler may touch while its command runs.

use crate::events::Event;
use crate::replication::Propagate;
use crate::scripting::ScriptHost;
use crate::server::{Key, Ochre, Server};
use crate::session::{Session, TimeoutReply, Wait};
use common::clients::{Clients, Slot};
use common::command::{CommandError, Table};
use common::context::Context;
use common::net::Hint;
use common::number::parse_i64;
use common::pubsub::PubSub;
use common::resp::{Mark, Reply};
use std::rc::Rc;
use store::stream::StreamId;
use store::{Ahead, DbIndex, Hash};

/// How a command came to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A client sent it.
    Client,
    /// EXEC runs it.
    Exec,
    /// A script calls it.
    Script,
}

/// The context of one command after the other of one client.
pub struct Cx<'a> {
    /// All state. Behind a box so that it can move to a script's host and back.
    pub server: &'a mut Box<Server>,
    /// The Lua side, which never leaves the actor's thread.
    pub host: &'a Rc<ScriptHost>,
    /// Whose commands run.
    pub slot: Slot,
    /// The selected database.
    pub db: DbIndex,
    /// The reply in the making.
    pub reply: Reply,
    /// How the running command came to run.
    pub caller: Caller,
    /// What a command that blocks waits for; dispatch takes it.
    pub wait: Option<(Wait, Option<i64>)>,
    /// The command runs again after a wait, which ends at this time.
    pub resumed: Option<Option<i64>>,
    /// The IDs that a stream's reader waited for, when it runs again.
    pub waited_ids: Vec<StreamId>,
    /// What replicas get instead of the command as it came.
    pub propagate: Propagate,
    /// Bytes in the buffer of the client's requests, and free bytes behind them.
    pub query_buffer: (usize, usize),
    /// Plain commands need no guards ([`crate::dispatch::take_ease`]).
    pub at_ease: bool,
    /// Bytes that the reply may grow to, while at ease, before someone must look at the output's limits.
    pub output_room: usize,
    /// Where the part of the reply begins that CLIENT REPLY may still take back; `None` = at the command's own beginning.
    pub silent_from: Option<Mark>,
    /// What was found out ahead of a key, and its address to recognise it by.
    hint: Option<(*const u8, Hash, Ahead)>,
}

impl<'a> Cx<'a> {
    /// A context for a client's commands: its output is lent to it until [`Self::finish`].
    pub fn begin(server: &'a mut Box<Server>, host: &'a Rc<ScriptHost>, slot: Slot) -> Self {
        let reply = server.clients.begin(slot);
        Self::with_reply(server, host, slot, reply, Caller::Client)
    }

    /// A context whose reply goes elsewhere.
    pub fn with_reply(
        server: &'a mut Box<Server>,
        host: &'a Rc<ScriptHost>,
        slot: Slot,
        reply: Reply,
        caller: Caller,
    ) -> Self {
        let db = DbIndex(server.clients.get(slot).map_or(0, |client| client.db as usize));
        Self {
            server,
            host,
            slot,
            db,
            reply,
            caller,
            wait: None,
            resumed: None,
            waited_ids: Vec::new(),
            propagate: Propagate::AsIs,
            query_buffer: (0, 0),
            at_ease: false,
            output_room: 0,
            silent_from: None,
            hint: None,
        }
    }

    /// Gives the output back.
    pub fn finish(self) {
        self.server.clients.end(self.slot, self.reply);
    }

    /// Tells the hash of the first key, found ahead.
    pub fn set_hint(&mut self, first_key: Option<&[u8]>, hint: Hint) {
        let hint = (Hash(hint.hash), Ahead::from_bits(hint.place));
        self.hint = first_key.map(|key| (key.as_ptr(), hint.0, hint.1));
    }

    /// A key of this command; each key is hashed once.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        match self.hint {
            Some((at, hash, ahead)) if std::ptr::eq(at, bytes.as_ptr()) => Key { bytes, hash, ahead },
            _ => Key::new(bytes, self.server.keyspace.hash(bytes)),
        }
    }

    /// Visits keys in order, with what they lead to fetched ahead for several at a time: a command with many keys would
    /// wait for memory once per key.
    pub fn each_key<'k>(
        &mut self,
        mut words: impl ExactSizeIterator<Item = &'k [u8]>,
        mut visit: impl FnMut(&mut Self, Key<'k>),
    ) {
        const AHEAD: usize = 32;
        if words.len() == 1 {
            // Nothing to fetch beside it.
            return words.for_each(|bytes| {
                let key = self.key(bytes);
                visit(self, key);
            });
        }
        let mut found = [(Hash(0), Ahead::NONE); AHEAD];
        let mut keys: [&[u8]; AHEAD] = [b""; AHEAD];
        loop {
            let mut count = 0;
            while count < AHEAD
                && let Some(bytes) = words.next()
            {
                (keys[count], found[count].0) = (bytes, self.key(bytes).hash);
                count += 1;
            }
            if count > 1 {
                self.server.keyspace.db(self.db).prefetch(&mut found[..count]);
            }
            for (bytes, (hash, ahead)) in keys.iter().zip(found).take(count) {
                visit(self, Key { bytes, hash, ahead });
            }
            if count < AHEAD {
                return;
            }
        }
    }

    /// Announces one change to a key.
    #[inline]
    pub fn changed(&mut self, key: Key<'_>, event: Event) {
        self.server.changed(self.db, key.bytes, event, 1);
    }

    /// Announces several changes to a key that clients see as one event.
    pub fn changed_by(&mut self, changes: u64, key: Key<'_>, event: Event) {
        self.server.changed(self.db, key.bytes, event, changes);
    }

    /// Deletes a key and announces it; true when it was there.
    pub fn delete(&mut self, key: Key<'_>, lazily: bool) -> bool {
        let existed = self.server.find(self.db, key).is_some() && self.server.remove(self.db, key, lazily);
        if existed {
            self.changed(key, Event::DEL);
        }
        existed
    }

    /// Deletes the target of a command whose result is empty; true when there was one. Such commands don't ask whether
    /// its time is up, so that it counts as deleted, not as expired.
    pub fn delete_target(&mut self, key: Key<'_>, lazily: bool) -> bool {
        let existed = self.server.remove(self.db, key, lazily);
        if existed {
            self.changed(key, Event::DEL);
        }
        existed
    }

    /// Replaces what replicas get of this command.
    pub fn propagate_as(&mut self, words: &[&[u8]]) {
        let words = words.iter().map(|word| word.to_vec()).collect();
        match &mut self.propagate {
            Propagate::Instead(commands) => commands.push(words),
            other => *other = Propagate::Instead(vec![words]),
        }
    }

    /// Whether anyone gets what is propagated.
    pub fn is_propagating(&self) -> bool {
        self.server.replication.is_active()
    }

    /// Makes the client wait for `keys`; the handler then returns [`common::command::Outcome::Block`].
    pub fn wait_for_keys<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        deadline_ms: Option<i64>,
        on_timeout: TimeoutReply,
    ) {
        let keys = keys.map(|key| (self.db, key.to_vec())).collect();
        self.wait = Some((Wait::Keys { keys, on_timeout, ids: Vec::new(), until_gone: false }, deadline_ms));
    }

    /// As [`Self::wait_for_keys`], for streams: `ids` are there again when the command runs again, in
    /// [`Self::waited_ids`]. `until_gone` has it run also when a key is deleted.
    pub fn wait_for_streams<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        ids: Vec<StreamId>,
        deadline_ms: Option<i64>,
        until_gone: bool,
    ) {
        let keys = keys.map(|key| (self.db, key.to_vec())).collect();
        let on_timeout = TimeoutReply::NullArray;
        self.wait = Some((Wait::Keys { keys, on_timeout, ids, until_gone }, deadline_ms));
    }

    /// When a wait of `timeout_ms` (0 = for ever) ends; one that was begun before keeps its end.
    pub fn deadline(&self, timeout_ms: i64) -> Option<i64> {
        match self.resumed {
            Some(deadline) => deadline,
            None => (timeout_ms > 0).then(|| self.server.time.now_ms().saturating_add(timeout_ms)),
        }
    }

    /// Bytes that the reply may grow to before the client is cut off for it, so that what goes on without end can stop
    /// there.
    pub fn reply_room(&self) -> usize {
        match self.caller {
            // Its reply goes elsewhere.
            Caller::Script => usize::MAX,
            Caller::Client | Caller::Exec => self.server.output_room(self.slot),
        }
    }

    /// The running client's session.
    pub fn session(&mut self) -> &mut Session {
        let slot = self.slot;
        &mut self.server.clients.get_mut(slot).expect("the running client is registered").ext
    }

    /// Selects a database.
    ///
    /// # Errors
    /// When there is none at `index`.
    pub fn select(&mut self, index: &[u8]) -> Result<(), CommandError> {
        let index = self.database_named(index)?;
        self.db = index;
        let slot = self.slot;
        if self.caller != Caller::Script
            && let Some(client) = self.server.clients.get_mut(slot)
        {
            client.db = index.0 as u32;
        }
        Ok(())
    }

    /// The database that a word names.
    ///
    /// # Errors
    /// When it is no number, or there is no such database.
    pub fn database_named(&self, word: &[u8]) -> Result<DbIndex, CommandError> {
        let index = parse_i64(word).ok_or(CommandError::NotAnInteger)?;
        if i32::try_from(index).is_err() {
            return Err("ERR value is out of range, value must between -2147483648 and 2147483647".into());
        }
        self.database(index)
    }

    /// The database called `index`.
    ///
    /// # Errors
    /// When there is none.
    pub fn database(&self, index: i64) -> Result<DbIndex, CommandError> {
        usize::try_from(index)
            .ok()
            .filter(|index| *index < self.server.keyspace.count())
            .map(DbIndex)
            .ok_or(CommandError::BadDbIndex)
    }
}

impl Context for Cx<'_> {
    type Daemon = Ochre;
    type Extension = Session;

    fn table(&self) -> &'static Table<Ochre> {
        self.server.table
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
        &mut self.server.clients
    }

    fn pubsub(&mut self) -> &mut PubSub {
        &mut self.server.pubsub
    }

    fn now_ms(&self) -> i64 {
        self.server.time.now_ms()
    }

    fn deny_blocking(&self) -> bool {
        self.caller == Caller::Script
    }

    fn in_transaction(&self) -> bool {
        self.caller == Caller::Exec
    }

    fn authenticate(&mut self, user: Option<&[u8]>, password: &[u8]) -> Result<(), CommandError> {
        let expected = self.server.config.requirepass.as_bytes();
        let result = common::clients::check_default_user(expected, user, password);
        if result == Err(CommandError::WrongPass) {
            self.server.stats.acl_access_denied_auth += 1;
        }
        result
    }

    fn user_exists(&self, user: &[u8]) -> bool {
        user == b"default"
    }

    fn open_to_all(&self) -> bool {
        self.server.config.requirepass.is_empty()
    }

    fn identity(&self) -> (&'static str, Option<&'static str>) {
        ("standalone", Some("master"))
    }

    fn reset_session(&mut self) {
        let slot = self.slot;
        let session = self.session();
        session.multi = None;
        session.fieldsets.clear();
        session.is_import_source = false;
        crate::watch::unwatch_all(self.server, slot);
        self.server.end_monitoring(slot);
        self.server.untrack(slot);
        self.db = DbIndex(0);
    }

    fn kill(&mut self, slot: Slot) {
        if slot == self.slot || self.server.clients.is_running(slot) {
            self.server.clients.close_after_reply(slot);
        } else {
            self.server.free_client(slot);
        }
    }

    fn unblock(&mut self, slot: Slot, with_error: bool) -> bool {
        crate::dispatch::unblock(self.server, slot, with_error)
    }

    fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        self.propagate = Propagate::Forced;
        self.server.pubsub.publish(&mut self.server.clients, channel, message)
    }

    fn publish_to_shard(&mut self, channel: &[u8], message: &[u8]) -> usize {
        self.propagate = Propagate::Forced;
        self.server.pubsub.publish_to_shard(&mut self.server.clients, channel, message)
    }
}
