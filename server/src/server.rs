//! The server's state: everything that lives longer than a command, owned by the actor.
//!
//! Handlers reach it through [`crate::context::Cx`] only. It is `Send` as a whole, so that it can be handed to
//! whoever runs next: a script's coroutine today, another thread one day.

use crate::apply::Outside;
use crate::blocked::Blocked;
use crate::config::{Config, NotifyFlags};
use crate::events::Event;
use crate::eviction::{Access, Eviction};
use crate::lifecycle::Lifecycle;
use crate::persistence::Persistence;
use crate::replication::Replication;
use crate::scripting::Scripts;
use crate::session::Session;
use crate::stats::{Slow, Stats};
use crate::time::Time;
use crate::watch::Watches;
use common::clients::{Clients, Slot};
use common::command::{CommandError, Daemon, Table};
use common::net::{Batch, Mailbox};
use common::pubsub::{PubSub, Target};
use std::collections::VecDeque;
use store::stream::StreamLimits;
use store::{
    Ahead, At, DbIndex, Entry, Garbage, Hash, HashLimit, HashValue, Keyspace, Kind, Limits, ListLimit,
    NewValue, Object, SetLimit, SortedSetLimits, Typed, Value,
};

/// The daemon as the command type sees it.
pub struct Ochre;

impl Daemon for Ochre {
    type Cx<'a> = crate::context::Cx<'a>;

    const CLIENT_HELP: &'static [&'static str] = crate::commands::client::HELP;
}

/// A key and its hash, which is computed once per command.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// Its name.
    pub bytes: &'k [u8],
    /// Where it lives.
    pub hash: Hash,
    /// Where it was seen, when it was looked for ahead.
    pub ahead: Ahead,
}

impl<'k> Key<'k> {
    /// A key that nobody looked for ahead.
    #[inline]
    pub fn new(bytes: &'k [u8], hash: Hash) -> Self {
        Self { bytes, hash, ahead: Ahead::NONE }
    }
}

/// What helpers of the actor report.
#[derive(Debug)]
pub enum Internal {
    /// The snapshot's writer.
    Snapshot(crate::persistence::Report),
    /// A queue that the actor waits for has room or a piece again.
    Wake,
    /// The main loop's alarm rang.
    Due,
    /// The process got a signal that asks it to end: its name.
    Signal(&'static str),
}

/// All state.
pub struct Server {
    /// Directives in force.
    pub config: Config,
    /// Every database.
    pub keyspace: Keyspace,
    /// Every client.
    pub clients: Clients<Session>,
    /// Every subscription.
    pub pubsub: PubSub,
    /// Every command.
    pub table: &'static Table<Ochre>,
    /// Counters for INFO.
    pub stats: Stats,
    /// What took long.
    pub slow: Slow,
    /// Who watches which key.
    pub watches: Watches,
    /// Who waits for which key.
    pub blocked: Blocked,
    /// Somebody wants to know of each command that runs; all others pay for this flag alone.
    pub is_observed: bool,
    /// Clients that MONITOR shows each command.
    pub monitors: crate::monitor::Monitors,
    /// Who is told when keys change.
    pub tracking: crate::tracking::Tracking,
    /// Which keys cost most, when somebody asked.
    pub hotkeys: crate::hotkeys::Hotkeys,
    /// How connections keep the thread busy.
    pub gather: crate::gather::Gather,
    /// What CLIENT PAUSE holds up.
    pub pause: crate::pause::Pause,
    /// Batches whose client is no longer blocked; the turn goes on with them.
    pub resumed: VecDeque<(Slot, Box<Batch>)>,
    /// The stream of changes and who gets it.
    pub replication: Replication,
    /// Snapshots and what they are for.
    pub persistence: Persistence,
    /// Cached scripts, and the one that runs.
    pub scripts: Scripts,
    /// The clock, sampled once per command.
    pub time: Time,
    /// Start, shutdown and facts about the process.
    pub lifecycle: Lifecycle,
    /// Changes to the keyspace since the start; a command that leaves it as it was changed nothing.
    pub dirty: u64,
    /// Whether keys past their expiry are searched for (DEBUG SET-ACTIVE-EXPIRE).
    pub active_expire: bool,
    /// Whether checksums of values to be restored are verified (DEBUG SET-SKIP-CHECKSUM-VALIDATION).
    pub verifies_checksums: bool,
    /// List elements of at least so many bytes get a node of their own; 0 = the rule (DEBUG
    /// QUICKLIST-PACKED-THRESHOLD).
    pub packed_threshold: usize,
    /// What the configuration reaches outside of the actor.
    pub outside: Outside,
    /// Where helpers of the actor (writers, loaders) leave their results.
    pub internal: Mailbox<Internal>,
    /// What counts as a use of a key.
    pub access: Access,
    /// Chance, for commands that pick elements.
    pub rng: fastrand::Rng,
    /// Making room at `maxmemory`.
    pub eviction: Eviction,
    /// Moving values together.
    pub defrag: crate::defrag::Defrag,
    /// Values to free elsewhere.
    pub garbage: crate::lazyfree::LazyFree,
}

impl Server {
    /// An empty server.
    pub fn new(config: Config, table: &'static Table<Ochre>, seed: [u64; 2]) -> Self {
        let time = Time::new();
        let mut keyspace = Keyspace::new(config.databases as usize, seed);
        let mut access = Access::new(&config);
        access.set_clock(time.now_ms());
        let (bits, renews) = access.for_new();
        keyspace.set_new_access(bits, renews);
        Self {
            keyspace,
            clients: Clients::default(),
            pubsub: PubSub::default(),
            stats: Stats::new(table.len()),
            slow: Slow::new(&config),
            table,
            watches: Watches::default(),
            blocked: Blocked::default(),
            is_observed: false,
            monitors: crate::monitor::Monitors::default(),
            tracking: crate::tracking::Tracking::default(),
            hotkeys: crate::hotkeys::Hotkeys::default(),
            gather: crate::gather::Gather::default(),
            pause: crate::pause::Pause::default(),
            resumed: VecDeque::new(),
            replication: Replication::default(),
            persistence: Persistence::new(&config),
            scripts: Scripts::default(),
            time,
            lifecycle: Lifecycle::new(),
            dirty: 0,
            active_expire: true,
            verifies_checksums: true,
            packed_threshold: 0,
            outside: Outside::default(),
            internal: Mailbox::default(),
            defrag: crate::defrag::Defrag::default(),
            garbage: crate::lazyfree::LazyFree::default(),
            access,
            rng: fastrand::Rng::new(),
            eviction: Eviction::default(),
            config,
        }
    }

    /// Sets the counters of INFO to zero (CONFIG RESETSTAT).
    pub fn reset_stats(&mut self) {
        self.stats.reset(self.outside.traffic());
        self.eviction.reset();
        self.defrag.reset();
        self.garbage.reset_freed();
    }

    /// Has the clock of uses follow the time; called several times a second.
    pub fn renew_access(&mut self) {
        self.access.set_clock(self.time.now_ms());
        let (access, renews) = self.access.for_new();
        self.keyspace.set_new_access(access, renews);
    }

    /// Stands in for the real server while that is lent to a script.
    pub fn vacant(table: &'static Table<Ochre>) -> Self {
        let mut config = Config::default();
        config.databases = 1;
        Self::new(config, table, [0; 2])
    }

    /// The entry of a key that is alive, for a command that writes: renews the access time. A key past its expiry is
    /// deleted on the way.
    #[inline]
    pub fn find(&mut self, db: DbIndex, key: Key<'_>) -> Option<Entry<'_>> {
        self.locate(db, key).map(|at| self.keyspace.db(db).entry_at(at))
    }

    /// As [`Self::find`], for a command that reads an entry and then changes it: its place, to search but once.
    #[inline]
    pub fn locate(&mut self, db: DbIndex, key: Key<'_>) -> Option<At> {
        let place = self.keyspace.db(db);
        let at = place.locate_ahead(key.hash, key.bytes, key.ahead)?;
        let entry = place.entry_at(at);
        if self.time.is_past(entry.expire()) {
            self.delete_expired(db, key); // whatever pauses: what is written takes its place
            return None;
        }
        if let Some(access) = self.access.after_write(entry.access()) {
            entry.touch(access);
        }
        Some(at)
    }

    /// As [`Self::find`], for a command that reads: counts a hit or miss as well.
    #[inline]
    pub fn read(&mut self, db: DbIndex, key: Key<'_>) -> Option<Entry<'_>> {
        let at = self.look_up(db, key, true)?;
        let entry = self.keyspace.db(db).entry_at(at);
        if let Some(access) = self.access.after_read(entry.access()) {
            entry.touch(access);
        }
        Some(entry)
    }

    /// As [`Self::read`], for a command that looks at the value but once: the entry is at hand when it was found.
    #[inline]
    pub fn read_with<R>(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        read: impl FnOnce(Value<'_>) -> R,
    ) -> Option<R> {
        let found = self.keyspace.db(db).get_ahead(key.hash, key.bytes, key.ahead);
        let is_expired = match found {
            Some(entry) if !self.time.is_past(entry.expire()) => {
                if let Some(access) = self.access.after_read(entry.access()) {
                    entry.touch(access);
                }
                self.stats.keyspace_hits += 1;
                return Some(read(entry.value()));
            }
            found => found.is_some(),
        };
        self.note_miss(db, key, is_expired, true);
        None
    }

    /// As [`Self::read`], for a command that asks about a key without using it: the access time stays.
    #[inline]
    pub fn peek(&mut self, db: DbIndex, key: Key<'_>) -> Option<Entry<'_>> {
        self.look_up(db, key, true).map(|at| self.keyspace.db(db).entry_at(at))
    }

    /// As [`Self::peek`], for a command that looks behind the scenes: no keyspace event tells of a missing key.
    pub fn inspect(&mut self, db: DbIndex, key: Key<'_>) -> Option<Entry<'_>> {
        self.look_up(db, key, false).map(|at| self.keyspace.db(db).entry_at(at))
    }

    /// The thresholds between encodings.
    pub fn limits(&self) -> Limits {
        let list = ListLimit::new(self.config.list_max_listpack_size)
            .with_packed_threshold(self.packed_threshold)
            .with_compress_depth(self.config.list_compress_depth as usize);
        let set = SetLimit {
            ints: self.config.set_max_intset_entries as usize,
            entries: self.config.set_max_listpack_entries as usize,
            value: self.config.set_max_listpack_value as usize,
        };
        let sorted_set = SortedSetLimits {
            entries: self.config.zset_max_listpack_entries as usize,
            value: self.config.zset_max_listpack_value as usize,
        };
        let hash = HashLimit {
            entries: self.config.hash_max_listpack_entries as usize,
            value: self.config.hash_max_listpack_value as usize,
        };
        let stream = StreamLimits {
            node_bytes: self.config.stream_node_max_bytes,
            node_entries: self.config.stream_node_max_entries,
        };
        Limits { list, set, sorted_set, hash, stream }
    }

    /// As [`Self::read`], for a command that wants an object of one type.
    ///
    /// # Errors
    /// When the key holds something else.
    #[inline]
    pub fn read_typed<T: Typed>(&mut self, db: DbIndex, key: Key<'_>) -> Result<Option<&T>, CommandError> {
        self.read(db, key).map(typed).transpose()
    }

    /// As [`Self::find`], for a command that looks at an object of one type before it decides to change it.
    ///
    /// # Errors
    /// When the key holds something else.
    #[inline]
    pub fn find_typed<T: Typed>(&mut self, db: DbIndex, key: Key<'_>) -> Result<Option<&T>, CommandError> {
        self.find(db, key).map(typed).transpose()
    }

    /// The object of a key, for a change that will follow.
    ///
    /// # Errors
    /// When the key holds something else.
    #[inline]
    pub fn edit<T: Typed>(&mut self, db: DbIndex, key: Key<'_>) -> Result<Option<&mut T>, CommandError> {
        let Some(at) = self.locate(db, key) else { return Ok(None) };
        typed::<T>(self.keyspace.db(db).entry_at(at))?;
        Ok(self.keyspace.db_mut(db).entry_at_mut(at).into_typed())
    }

    /// As [`Self::edit`]; a key that is missing gets an empty object, which the caller fills.
    ///
    /// # Errors
    /// When the key holds something else.
    #[inline]
    pub fn edit_or_create<T: Typed>(&mut self, db: DbIndex, key: Key<'_>) -> Result<&mut T, CommandError> {
        let Some(at) = self.locate(db, key) else {
            self.notify_new(db, key.bytes);
            let entry = self.keyspace.db_mut(db).create(key.hash, key.bytes, T::default().into());
            return Ok(entry.into_typed().expect("it was made of this type"));
        };
        typed::<T>(self.keyspace.db(db).entry_at(at))?;
        Ok(self.keyspace.db_mut(db).entry_at_mut(at).into_typed().expect("it was just seen"))
    }

    /// As [`Self::read_typed`], for a hash: fields whose time is up are taken out on the way if that is cheap.
    ///
    /// # Errors
    /// When the key holds something else.
    #[inline]
    pub fn read_hash(&mut self, db: DbIndex, key: Key<'_>) -> Result<Option<&HashValue>, CommandError> {
        let Some(at) = self.look_up(db, key, true) else { return Ok(None) };
        let entry = self.keyspace.db(db).entry_at(at);
        if let Some(access) = self.access.after_read(entry.access()) {
            entry.touch(access);
        }
        self.hash_at(db, key, at)
    }

    fn hash_at(&mut self, db: DbIndex, key: Key<'_>, at: At) -> Result<Option<&HashValue>, CommandError> {
        let hash = typed::<HashValue>(self.keyspace.db(db).entry_at(at))?;
        if hash.is_small() && hash.next_due().is_some_and(|due| due <= self.time.now_ms()) {
            self.expire_fields(db, key);
            return Ok(self.keyspace.db(db).get(key.hash, key.bytes).and_then(|entry| entry.typed()));
        }
        Ok(self.keyspace.db(db).entry_at(at).typed())
    }

    /// A hash that is about to be changed, as [`Self::find_typed`]; fields whose time is up are taken out on the way if
    /// that is cheap. [`Self::edit_hash`] makes the change.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn find_hash(&mut self, db: DbIndex, key: Key<'_>) -> Result<Option<&HashValue>, CommandError> {
        match self.locate(db, key) {
            Some(at) => self.hash_at(db, key, at),
            None => Ok(None),
        }
    }

    /// Changes a hash. A missing one is made if `creates`; `None` if it is not.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn edit_hash<R>(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        creates: bool,
        change: impl FnOnce(&mut HashValue) -> R,
    ) -> Result<Option<R>, CommandError> {
        if self.find_hash(db, key)?.is_some() {
            let mut entry = self.keyspace.db_mut(db).get_mut(key.hash, key.bytes).expect("it was just found");
            return Ok(entry.change(change));
        }
        if !creates {
            return Ok(None);
        }
        self.notify_new(db, key.bytes);
        let mut entry = self.keyspace.db_mut(db).create(key.hash, key.bytes, Object::from(HashValue::new()));
        Ok(entry.change(change))
    }

    /// Takes out some of a hash's fields whose time is up, and lets replicas do so; the hash itself when it is empty
    /// then. As with keys, that is no change in the sense of `dirty`.
    #[cold]
    pub fn expire_fields(&mut self, db: DbIndex, key: Key<'_>) {
        if self.stands_still() {
            return;
        }
        let now_ms = self.time.now_ms();
        let Some(mut entry) = self.keyspace.db_mut(db).get_mut(key.hash, key.bytes) else { return };
        let expired = entry.change(|hash: &mut HashValue| {
            let due = hash.due(now_ms);
            for field in &due {
                hash.remove(field);
            }
            due
        });
        let expired = expired.unwrap_or_default();
        if !expired.is_empty() {
            self.stats.expired_fields += expired.len() as u64;
            let words = [&b"HDEL"[..], key.bytes].into_iter().chain(expired.iter().map(Vec::as_slice));
            self.replication.propagate(db, &words.collect::<Vec<_>>());
            let emptied = self.remove_emptied::<HashValue>(db, key);
            self.touch(db, key.bytes);
            self.notify(db, key.bytes, Event::HEXPIRED);
            if emptied {
                self.notify(db, key.bytes, Event::DEL);
            }
        }
        self.keyspace.db_mut(db).note_due(key.hash, key.bytes);
    }

    #[inline]
    fn look_up(&mut self, db: DbIndex, key: Key<'_>, announces: bool) -> Option<At> {
        let place = self.keyspace.db(db);
        let found = place.locate_ahead(key.hash, key.bytes, key.ahead);
        let alive = found.filter(|at| !self.time.is_past(place.entry_at(*at).expire()));
        let Some(at) = alive else {
            self.note_miss(db, key, found.is_some(), announces);
            return None;
        };
        self.stats.keyspace_hits += 1;
        Some(at)
    }

    /// What follows from looking up a key that is not there, or whose time is up.
    fn note_miss(&mut self, db: DbIndex, key: Key<'_>, is_expired: bool, announces: bool) {
        self.stats.keyspace_misses += 1;
        if is_expired {
            self.expire(db, key);
        }
        if announces {
            self.notify(db, key.bytes, Event::KEY_MISS);
        }
    }

    /// Deletes a key whose time is up, unless data stands still, and lets replicas do so. No change in the sense of
    /// `dirty`: the command that came across it has changed nothing.
    #[cold]
    pub fn expire(&mut self, db: DbIndex, key: Key<'_>) {
        if !self.stands_still() {
            self.delete_expired(db, key);
        }
    }

    /// Whether keys neither expire nor are evicted: all is paused, or whoever they are imported from says what goes. Those
    /// whose time is up are not seen all the same.
    pub fn stands_still(&self) -> bool {
        self.pause.is_still() || self.config.import_mode
    }

    /// Whether a key that is to expire at this time, unix ms, is to be deleted at once.
    pub fn is_overdue(&self, at_ms: i64) -> bool {
        at_ms <= self.time.now_ms() && !self.config.import_mode
    }

    #[cold]
    fn delete_expired(&mut self, db: DbIndex, key: Key<'_>) {
        let began = self.slow.monitors().then(common::clock::monotonic_ns);
        let Some(removed) = self.keyspace.db_mut(db).remove(key.hash, key.bytes) else { return };
        self.note_expired(db, key, Some(removed.into_garbage()));
        if let Some(began) = began {
            self.slow.sample("expire-del", self.time.now_ms() / 1000, common::clock::monotonic_ns() - began);
        }
    }

    /// What [`Self::expire`] does beside deleting, for a key that was overwritten when its time was up: whoever writes
    /// blindly need not look it up before.
    #[cold]
    pub fn note_expired(&mut self, db: DbIndex, key: Key<'_>, garbage: Option<Garbage>) {
        if let Some(garbage) = garbage {
            self.garbage.release(garbage, self.config.lazyfree_lazy_expire);
        }
        self.stats.expired_keys += 1;
        let verb: &[u8] = if self.config.lazyfree_lazy_expire { b"UNLINK" } else { b"DEL" };
        self.replication.propagate(db, &[verb, key.bytes]);
        self.watches.touch_expired(&mut self.clients, db, key.bytes);
        self.invalidate(key.bytes, false);
        self.blocked.signal(db, key.bytes);
        self.notify(db, key.bytes, Event::EXPIRED);
    }

    /// Deletes a key; true when it was there. Announcing it is the caller's part.
    pub fn remove(&mut self, db: DbIndex, key: Key<'_>, lazily: bool) -> bool {
        match self.keyspace.db_mut(db).remove(key.hash, key.bytes) {
            None => false,
            Some(removed) => {
                self.garbage.release(removed.into_garbage(), lazily);
                true
            }
        }
    }

    /// Stores an object where anything may be, without an expiry, as a command does that computes one. Announcing it is
    /// the caller's part.
    pub fn store_object(&mut self, db: DbIndex, key: Key<'_>, object: Object) {
        let (old, new) = (self.find(db, key).map(|entry| entry.kind()), object.kind());
        let value = NewValue::Object(object);
        let outcome = self.keyspace.db_mut(db).set(key.hash, key.bytes, value, store::Expire::None);
        self.discard(outcome.garbage);
        match old {
            None => self.notify_new(db, key.bytes),
            Some(old) => self.notify_overwritten(db, key.bytes, (old, new)),
        }
    }

    /// Deletes a key whose object lost its last element; true when it did.
    pub fn remove_emptied<T: Typed>(&mut self, db: DbIndex, key: Key<'_>) -> bool {
        let entry = self.keyspace.db(db).get(key.hash, key.bytes);
        let emptied = entry.and_then(|entry| entry.typed::<T>()).is_some_and(T::is_empty);
        emptied && self.remove(db, key, false)
    }

    /// The first millisecond, Unix time, in which something is to be done for clients that wait.
    pub fn next_deadline(&self) -> Option<i64> {
        [self.blocked.next_deadline(), self.pause.next_end()].into_iter().flatten().min()
    }

    /// Finds out whether anybody looks at each command.
    pub fn follow_observers(&mut self) {
        self.is_observed = !self.monitors.is_empty() || self.tracking.is_active() || self.hotkeys.is_active();
    }

    /// Takes a helper's report.
    pub fn receive(&mut self, message: Internal) {
        match message {
            Internal::Snapshot(report) => crate::persistence::receive(self, report),
            // The main loop goes on with whatever waits.
            Internal::Wake | Internal::Due | Internal::Signal(_) => {}
        }
    }

    /// Frees an overwritten value.
    pub fn discard(&self, garbage: Option<Garbage>) {
        if let Some(garbage) = garbage {
            self.garbage.release(garbage, self.config.lazyfree_lazy_server_del);
        }
    }

    /// Tells those who watch a key, or cache it, that a command changed it.
    #[inline]
    pub fn touch(&mut self, db: DbIndex, key: &[u8]) {
        self.watches.touch(&mut self.clients, db, key);
        self.invalidate(key, true);
    }

    /// Says that `changes` changes were made to a key: WATCH, clients' caches, blocked clients, keyspace events, the dirty count.
    #[inline]
    pub fn changed(&mut self, db: DbIndex, key: &[u8], event: Event, changes: u64) {
        self.dirty += changes;
        self.touch(db, key);
        self.blocked.signal(db, key);
        self.notify(db, key, event);
    }

    /// Publishes a keyspace event if its class is wanted.
    #[inline]
    pub fn notify(&mut self, db: DbIndex, key: &[u8], event: Event) {
        let flags = self.config.notify_keyspace_events.0;
        if flags & event.class != 0 {
            self.publish_event(db, key, event, flags);
        }
    }

    #[cold]
    fn publish_event(&mut self, db: DbIndex, key: &[u8], event: Event, flags: u16) {
        if flags & NotifyFlags::KEYSPACE != 0 {
            let channel = [format!("__keyspace@{}__:", db.0).as_bytes(), key].concat();
            self.pubsub.publish(&mut self.clients, &channel, event.name.as_bytes());
        }
        if flags & NotifyFlags::KEYEVENT != 0 {
            let channel = format!("__keyevent@{}__:{}", db.0, event.name);
            self.pubsub.publish(&mut self.clients, channel.as_bytes(), key);
        }
    }

    /// Announces that a key's value was replaced as a whole: what it was and what it is.
    #[inline]
    pub fn notify_overwritten(&mut self, db: DbIndex, key: &[u8], (old, new): (Kind, Kind)) {
        if self.config.notify_keyspace_events.0 & (Event::OVERWRITTEN.class | Event::TYPE_CHANGED.class) == 0
        {
            return;
        }
        self.notify(db, key, Event::OVERWRITTEN);
        if old != new {
            self.notify(db, key, Event::TYPE_CHANGED);
        }
    }

    /// Announces a key that did not exist before.
    pub fn notify_new(&mut self, db: DbIndex, key: &[u8]) {
        self.notify(db, key, Event::NEW);
    }

    /// Frees everything that hangs on a client, and the client.
    pub fn free_client(&mut self, slot: Slot) {
        self.pause.forget(slot);
        self.end_monitoring(slot);
        self.untrack(slot);
        crate::watch::unwatch_all(self, slot);
        self.blocked.forget(&mut self.clients, slot);
        self.resumed.retain(|(waiting, _)| *waiting != slot);
        for target in Target::ALL {
            let names = self.clients.get_mut(slot).map(|client| client.unsubscribe_all(target));
            for name in names.unwrap_or_default() {
                self.pubsub.unsubscribe(target, &name, slot);
            }
        }
        self.replication.forget(&mut self.clients, slot);
        self.clients.remove(slot);
    }
}

/// The object of type `T` that an entry holds.
#[inline]
fn typed<T: Typed>(entry: Entry<'_>) -> Result<&T, CommandError> {
    entry.typed().ok_or(CommandError::WrongType)
}

/// The state can be handed to another thread.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Server>();
};
