//! What the server keeps per client beyond the registry's part.

use crate::tracking::Wish;
use common::clients::{ClientClass, Extension, Held};
use common::command::{Args, CommandId};
use common::net::Batch;
use store::DbIndex;
use store::stream::StreamId;

/// A command queued by MULTI.
#[derive(Debug)]
pub struct Queued {
    /// Which one.
    pub id: CommandId,
    /// Its words.
    pub words: Vec<Vec<u8>>,
}

/// An open transaction.
#[derive(Debug, Default)]
pub struct Multi {
    /// What EXEC will run.
    pub commands: Vec<Queued>,
    /// Bytes held by their words.
    pub bytes: usize,
    /// A command was refused while queueing: EXEC aborts.
    pub failed: bool,
    /// One of the commands may run a script: EXEC then runs on a coroutine.
    pub runs_script: bool,
    /// One of the commands writes.
    pub writes: bool,
    /// One of the commands writes, or may send something to replicas all the same.
    pub changes: bool,
    /// One of the commands may use more memory.
    pub needs_memory: bool,
}

/// A key that WATCH looks after.
#[derive(Debug)]
pub struct Watch {
    /// Its database.
    pub db: DbIndex,
    /// Its name.
    pub key: Vec<u8>,
}

/// What a blocked client is told when its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReply {
    /// `*-1`
    NullArray,
    /// `$-1`
    Null,
}

/// What a blocked client waits for.
#[derive(Debug)]
pub enum Wait {
    /// One of these keys gets elements.
    Keys {
        /// In the order in which the command named them.
        keys: Vec<(DbIndex, Vec<u8>)>,
        /// What to say when the time is up.
        on_timeout: TimeoutReply,
        /// Of streams: the IDs behind which entries are wanted, as they were when the wait began.
        ids: Vec<StreamId>,
        /// A key that is deleted is news as well.
        until_gone: bool,
    },
    /// Replicas acknowledge an offset of the replication stream.
    Replicas {
        /// The offset.
        offset: i64,
        /// How many replicas.
        count: i64,
    },
    /// A pause is over: the command begins then.
    Pause,
}

/// A batch that waits with its client.
#[derive(Debug)]
pub struct Parked {
    /// The rest of the batch; its next request is the blocking one.
    pub batch: Box<Batch>,
    /// What for.
    pub wait: Wait,
    /// Unix ms when to give up; `None` = never.
    pub deadline_ms: Option<i64>,
}

/// The server's part of a client.
#[derive(Debug, Default)]
pub struct Session {
    /// The open transaction.
    pub multi: Option<Box<Multi>>,
    /// Field names by the name that HIMPORT PREPARE gave them.
    pub fieldsets: std::collections::HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Commands of the transaction that runs, and bytes of their words.
    pub executing: Option<(u32, u32)>,
    /// Watched keys.
    pub watches: Vec<Watch>,
    /// Bytes that watches take.
    pub watch_bytes: usize,
    /// A watched key changed: EXEC will not run.
    pub watch_broken: bool,
    /// The batch that waits.
    pub parked: Option<Box<Parked>>,
    /// Offset of the replication stream behind the client's last write, for WAIT.
    pub written_offset: i64,
    /// What it wants to be told of keys that change.
    pub tracking: Option<Box<Wish>>,
    /// It is shown every command.
    pub is_monitor: bool,
    /// CLIENT CAPA said that it can follow -REDIRECT to another server.
    pub can_redirect: bool,
    /// CLIENT IMPORT-SOURCE: with `import-mode` it sees keys whose time is up.
    pub is_import_source: bool,
    /// What the client told of itself by REPLCONF.
    pub handshake: Option<Box<crate::replication::Handshake>>,
    /// Present when the client is a replica that we feed.
    pub replica: Option<Box<crate::replication::Replica>>,
}

impl Session {
    /// Whether the client has become one that is only shown what others change: a replica, or one that looks on.
    pub fn is_shown_changes(&self) -> bool {
        self.replica.is_some() || self.is_monitor
    }
}

impl Extension for Session {
    fn queued(&self) -> i64 {
        let running = self.executing.map_or(-1, |(commands, _)| i64::from(commands));
        self.multi.as_ref().map_or(running, |multi| multi.commands.len() as i64)
    }

    fn queued_bytes(&self) -> usize {
        let running = self.executing.map_or(0, |(_, bytes)| bytes as usize);
        self.multi.as_ref().map_or(running, |multi| multi.bytes)
    }

    fn kept_bytes(&self) -> usize {
        self.watch_bytes + self.tracking.as_deref().map_or(0, Wish::bytes)
    }

    fn held(&self) -> Held {
        let Some(parked) = &self.parked else { return Held::default() };
        let batch = &parked.batch;
        let args = Args::over(&batch.buf, batch.requests.get(batch.next));
        Held { query: batch.buffered(), arguments: args.bytes() }
    }

    fn watched(&self) -> usize {
        self.watches.len()
    }

    fn flags(&self, out: &mut String, is_subscribed: bool) {
        let wish = self.tracking.as_deref();
        let letters = [
            (self.is_monitor, 'O'),
            (self.replica.is_some(), 'S'),
            (is_subscribed, 'P'),
            (self.multi.is_some() || self.executing.is_some(), 'x'),
            (self.parked.is_some(), 'b'),
            (wish.is_some(), 't'),
            (wish.is_some_and(|wish| wish.broken), 'R'),
            (wish.is_some_and(|wish| wish.broadcast), 'B'),
            (self.watch_broken, 'd'),
        ];
        out.extend(letters.iter().filter(|(on, _)| *on).map(|(_, letter)| letter));
    }

    fn redirect(&self) -> i64 {
        self.tracking.as_deref().map_or(-1, |wish| wish.redirect.cast_signed())
    }

    fn is_blocked(&self) -> bool {
        self.parked.is_some()
    }

    fn capabilities(&self) -> &'static str {
        if self.can_redirect { "r" } else { "" }
    }

    fn is_import_source(&self) -> bool {
        self.is_import_source
    }

    fn replication_class(&self) -> Option<ClientClass> {
        self.replica.as_ref().map(|_| ClientClass::Replica)
    }
}
