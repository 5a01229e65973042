//! What a command is: one entry of data that dispatch, arity checks, ACL, key extraction and `COMMAND` all read.

mod args;
mod describe;
mod error;
mod keys;
mod syntax;
mod table;

pub use args::Args;
pub use describe::{COMMAND_HELP, commands as command_commands, write_help};
pub use error::CommandError;
pub use keys::{Access, Find, KeyRef, KeySpec, Search, Unknown};
pub use table::{CommandId, Table, check_table};

use crate::context::Context;

/// A daemon: what its command handlers may reach.
pub trait Daemon: Sized + 'static {
    /// What a handler of this daemon is lent for the time of one command.
    type Cx<'a>: Context<Daemon = Self>;

    /// Lines of CLIENT HELP on subcommands that only this daemon has.
    const CLIENT_HELP: &'static [&'static str] = &[];
}

/// How many arguments a command takes, its own name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Just as many.
    Exactly(u16),
    /// As many or more; on the wire a negative number.
    AtLeast(u16),
}

impl Arity {
    /// Whether a request of `count` words fits.
    pub fn accepts(self, count: usize) -> bool {
        match self {
            Self::Exactly(n) => count == usize::from(n),
            Self::AtLeast(n) => count >= usize::from(n),
        }
    }

    /// The number that `COMMAND INFO` shows.
    pub fn on_the_wire(self) -> i64 {
        match self {
            Self::Exactly(n) => i64::from(n),
            Self::AtLeast(n) => -i64::from(n),
        }
    }
}

/// Properties of a command that dispatch and clients act on; the names are those of `COMMAND INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(u32);

/// Every flag with its wire name, in the order in which `COMMAND INFO` lists them.
const FLAG_NAMES: &[(Flags, &str)] = &[
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::MODULE, "module"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::SKIP_MONITOR, "skip_monitor"),
    (Flags::SKIP_SLOWLOG, "skip_slowlog"),
    (Flags::ASKING, "asking"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::MOVABLE_KEYS, "movablekeys"),
    (Flags::ALLOW_BUSY, "allow_busy"),
    (Flags::SCRIPT_RUNNER, "script_runner"),
];

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Changes the keyspace.
    pub const WRITE: Self = Self(1);
    /// Reads the keyspace and changes nothing.
    pub const READONLY: Self = Self(1 << 1);
    /// Refused when memory is short.
    pub const DENYOOM: Self = Self(1 << 2);
    /// Comes from a module.
    pub const MODULE: Self = Self(1 << 3);
    /// For operators.
    pub const ADMIN: Self = Self(1 << 4);
    /// Belongs to pub/sub.
    pub const PUBSUB: Self = Self(1 << 5);
    /// Refused in scripts.
    pub const NOSCRIPT: Self = Self(1 << 6);
    /// May block the client.
    pub const BLOCKING: Self = Self(1 << 7);
    /// Served while the data set is being loaded.
    pub const LOADING: Self = Self(1 << 8);
    /// Served by a replica whose data is stale.
    pub const STALE: Self = Self(1 << 9);
    /// Not shown by MONITOR.
    pub const SKIP_MONITOR: Self = Self(1 << 10);
    /// Not logged in the slow log.
    pub const SKIP_SLOWLOG: Self = Self(1 << 11);
    /// Counts as ASKING in a cluster.
    pub const ASKING: Self = Self(1 << 12);
    /// Constant or logarithmic time.
    pub const FAST: Self = Self(1 << 13);
    /// Served before authentication.
    pub const NO_AUTH: Self = Self(1 << 14);
    /// May propagate although it is no write (EVAL, PUBLISH). Not shown.
    pub const MAY_REPLICATE: Self = Self(1 << 15);
    /// May be called without any key although it has key specs.
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 16);
    /// Refused while a replica loads beside its old data.
    pub const NO_ASYNC_LOADING: Self = Self(1 << 17);
    /// Refused in transactions.
    pub const NO_MULTI: Self = Self(1 << 18);
    /// Key positions depend on the arguments.
    pub const MOVABLE_KEYS: Self = Self(1 << 19);
    /// Served while a script or module keeps the server busy.
    pub const ALLOW_BUSY: Self = Self(1 << 20);
    /// Executed at once inside MULTI instead of queued (EXEC, DISCARD, WATCH, QUIT, RESET). Not shown.
    pub const UNQUEUED: Self = Self(1 << 24);
    /// Runs a script, hence on a coroutine.
    pub const SCRIPT_RUNNER: Self = Self(1 << 25);
    /// DEBUG: may be limited to this machine by configuration. Not shown.
    pub const PROTECTED: Self = Self(1 << 27);
    /// EXEC: runs what was queued, and is judged by that. Not shown.
    pub const RUNS_QUEUED: Self = Self(1 << 28);
    /// PING: refused as writes are when the disk fails, so that probes notice. Not shown.
    pub const TELLS_DISK: Self = Self(1 << 29);
    /// MODULE LOAD and its like: may be limited to this machine by configuration. Not shown.
    pub const PROTECTED_MODULE: Self = Self(1 << 30);
    /// Served to a RESP2 client in subscribe mode. Not shown.
    pub const SUBSCRIBED: Self = Self(1 << 26);

    /// PING and ECHO: replies from its arguments alone. Not shown.
    pub const PURE: Self = Self(1 << 31);

    /// A command that reads or changes keys, whenever its session may use commands at all, and touches nothing else: not
    /// the session, not how the server runs. One that does not even touch keys is plain too.
    #[inline]
    pub const fn is_plain(self) -> bool {
        const KEYS: u32 = Flags::WRITE.0 | Flags::READONLY.0 | Flags::PURE.0;
        const MORE: u32 = Flags::NO_MULTI.0
            | Flags::BLOCKING.0
            | Flags::ADMIN.0
            | Flags::PUBSUB.0
            | Flags::UNQUEUED.0
            | Flags::SCRIPT_RUNNER.0
            | Flags::RUNS_QUEUED.0
            | Flags::PROTECTED.0
            | Flags::PROTECTED_MODULE.0;
        self.0 & KEYS != 0 && self.0 & MORE == 0
    }

    /// These and `other`.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These but those of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether one of `other` is set.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Wire names of the visible flags.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        FLAG_NAMES.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| *name)
    }
}

/// ACL categories. `@read`, `@write`, `@admin`, `@dangerous`, `@pubsub`, `@fast`, `@slow` and `@blocking` follow
/// from the flags; an entry names the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Acl {
    Keyspace,
    Read,
    Write,
    Set,
    SortedSet,
    List,
    Hash,
    String,
    Bitmap,
    HyperLogLog,
    Geo,
    Stream,
    PubSub,
    Admin,
    Fast,
    Slow,
    Blocking,
    Dangerous,
    Connection,
    Transaction,
    Scripting,
}

impl Acl {
    /// All categories in Redis's order.
    pub const ALL: [Self; 21] = [
        Self::Keyspace,
        Self::Read,
        Self::Write,
        Self::Set,
        Self::SortedSet,
        Self::List,
        Self::Hash,
        Self::String,
        Self::Bitmap,
        Self::HyperLogLog,
        Self::Geo,
        Self::Stream,
        Self::PubSub,
        Self::Admin,
        Self::Fast,
        Self::Slow,
        Self::Blocking,
        Self::Dangerous,
        Self::Connection,
        Self::Transaction,
        Self::Scripting,
    ];

    /// The name without `@`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyspace => "keyspace",
            Self::Read => "read",
            Self::Write => "write",
            Self::Set => "set",
            Self::SortedSet => "sortedset",
            Self::List => "list",
            Self::Hash => "hash",
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::Geo => "geo",
            Self::Stream => "stream",
            Self::PubSub => "pubsub",
            Self::Admin => "admin",
            Self::Fast => "fast",
            Self::Slow => "slow",
            Self::Blocking => "blocking",
            Self::Dangerous => "dangerous",
            Self::Connection => "connection",
            Self::Transaction => "transaction",
            Self::Scripting => "scripting",
        }
    }
}

/// What `COMMAND DOCS` says.
#[derive(Clone, Copy, Debug)]
pub struct Doc {
    /// Documentation group, as `string` or `server`.
    pub group: &'static str,
    /// What it does, in one sentence of our own.
    pub summary: &'static str,
    /// Version of Redis that brought it.
    pub since: &'static str,
    /// Cost.
    pub complexity: &'static str,
    /// Arguments behind the name, in the notation of the Redis documentation; `COMMAND DOCS` derives its argument
    /// tree from it.
    pub syntax: &'static str,
    /// Set by [`Command::deprecated`].
    pub deprecated: Option<Deprecated>,
}

/// That a command is kept for old clients only.
#[derive(Clone, Copy, Debug)]
pub struct Deprecated {
    /// Version of Redis that said so.
    pub since: &'static str,
    /// What to use instead.
    pub instead: &'static str,
}

/// What a handler says when it did not fail.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply is written.
    Done,
    /// The reply is written and holds an error, which statistics know: this counts as a failed call.
    Failed,
    /// The client waits; the handler runs again when what it waits for may have come. What it waits for was
    /// registered through the context.
    Block,
}

/// Result of a handler.
pub type CommandResult = Result<Outcome, CommandError>;

/// A command's code.
pub type Handler<D> = for<'c, 'a, 'b> fn(&'c mut <D as Daemon>::Cx<'a>, &'c mut Args<'b>) -> CommandResult;

/// One command or subcommand.
pub struct Command<D: Daemon> {
    /// Lower-case name; a subcommand's own word.
    pub name: &'static str,
    /// Words, the name (and the container's) included.
    pub arity: Arity,
    /// See [`Flags`].
    pub flags: Flags,
    /// Categories that the flags don't imply.
    pub acl: &'static [Acl],
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// Hints for proxies and clients, as Redis documents them (`nondeterministic_output` …).
    pub tips: &'static [&'static str],
    /// What `COMMAND DOCS` says.
    pub doc: Doc,
    /// Subcommands; the container's own handler runs only when there are none.
    pub subcommands: &'static [Command<D>],
    /// The code.
    pub run: Handler<D>,
}

impl<D: Daemon> Command<D> {
    /// The entry of a command that is kept for old clients only.
    #[must_use]
    pub const fn deprecated(mut self, since: &'static str, instead: &'static str) -> Self {
        self.doc.deprecated = Some(Deprecated { since, instead });
        self
    }

    /// All ACL categories, implied ones included, in Redis's order.
    pub fn categories(&self) -> impl Iterator<Item = Acl> {
        let f = self.flags;
        Acl::ALL.into_iter().filter(move |category| {
            self.acl.contains(category)
                || match category {
                    Acl::Write => f.has(Flags::WRITE),
                    Acl::Read => f.has(Flags::READONLY) && !self.acl.contains(&Acl::Scripting),
                    Acl::Admin => f.has(Flags::ADMIN),
                    Acl::Dangerous => f.has(Flags::ADMIN),
                    Acl::PubSub => f.has(Flags::PUBSUB),
                    Acl::Fast => f.has(Flags::FAST),
                    Acl::Slow => !f.has(Flags::FAST),
                    Acl::Blocking => f.has(Flags::BLOCKING),
                    _ => false,
                }
        })
    }
}
