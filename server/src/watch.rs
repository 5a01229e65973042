//! WATCH: who looks after which key.

use crate::server::{Key, Server};
use crate::session::{Session, Watch};
use common::clients::{Clients, Slot};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use store::DbIndex;

/// Watched keys and their watchers. By number of either, nothing here takes longer than it must: a client may watch
/// many thousands of keys, and many thousands of clients one.
#[derive(Debug, Default)]
pub struct Watches {
    by_key: HashMap<(DbIndex, Vec<u8>), HashMap<Slot, State>>,
}

/// What a watcher saw of its key.
#[derive(Clone, Copy, Debug)]
struct State {
    /// It was past its expiry, though not deleted, when it was watched: its deletion is then no change.
    expired: bool,
}

impl Watches {
    /// Breaks the watch of everyone who looks after this key.
    #[inline]
    pub fn touch(&mut self, clients: &mut Clients<Session>, db: DbIndex, key: &[u8]) {
        if !self.by_key.is_empty() {
            self.break_watches(clients, db, key, false);
        }
    }

    /// As [`Self::touch`] for a key deleted because its time was up: whoever watched it in that state saw it missing
    /// then as now.
    pub fn touch_expired(&mut self, clients: &mut Clients<Session>, db: DbIndex, key: &[u8]) {
        if !self.by_key.is_empty() {
            self.break_watches(clients, db, key, true);
        }
    }

    #[cold]
    fn break_watches(&mut self, clients: &mut Clients<Session>, db: DbIndex, key: &[u8], expired: bool) {
        let Some(watchers) = self.by_key.get_mut(&(db, key.to_vec())) else { return };
        for (slot, saw) in watchers {
            if expired && saw.expired {
                saw.expired = false;
            } else if let Some(client) = clients.get_mut(*slot) {
                client.ext.watch_broken = true;
            }
        }
    }

    /// Breaks watches when a database is emptied or replaced (FLUSHDB, SWAPDB). `before` tells whether a key existed,
    /// `after` whether the replacement has it, and then whether its time is up: such a key counts as missing.
    pub fn touch_all(
        &mut self,
        clients: &mut Clients<Session>,
        db: DbIndex,
        before: impl Fn(&[u8]) -> bool,
        after: impl Fn(&[u8]) -> Option<bool>,
    ) {
        for ((_, key), watchers) in self.by_key.iter_mut().filter(|((at, _), _)| *at == db) {
            let (existed, replacement) = (before(key), after(key));
            if !existed && replacement.is_none() {
                continue;
            }
            for (slot, saw) in watchers {
                match (saw.expired, replacement) {
                    // Expired then, missing now: no change that anyone could see.
                    (true, None) => saw.expired = false,
                    (true, Some(true)) => {}
                    // Missing then, expired now: neither.
                    (false, Some(true)) if !existed => saw.expired = true,
                    _ => {
                        if let Some(client) = clients.get_mut(*slot) {
                            client.ext.watch_broken = true;
                        }
                    }
                }
            }
        }
    }

    fn saw_expired(&self, slot: Slot, watch: &Watch) -> bool {
        let watchers = self.by_key.get(&(watch.db, watch.key.clone()));
        watchers.and_then(|watchers| watchers.get(&slot)).is_some_and(|saw| saw.expired)
    }

    /// Number of keys watched.
    pub fn keys(&self) -> usize {
        self.by_key.len()
    }
}

/// Looks after a key for a client.
pub fn watch(server: &mut Server, slot: Slot, db: DbIndex, key: Key<'_>) {
    let due_ms = server.time.due_ms();
    let expire = server.keyspace.db(db).get(key.hash, key.bytes).and_then(|entry| entry.expire());
    let Some(client) = server.clients.get_mut(slot) else { return };
    let watchers = server.watches.by_key.entry((db, key.bytes.to_vec())).or_default();
    if let Entry::Vacant(place) = watchers.entry(slot) {
        place.insert(State { expired: expire.is_some_and(|at| at <= due_ms) });
        client.ext.watch_bytes += 2 * (size_of::<Watch>() + key.bytes.len());
        client.ext.watches.push(Watch { db, key: key.bytes.to_vec() });
    }
}

/// Ends all watches of a client.
pub fn unwatch_all(server: &mut Server, slot: Slot) {
    let Some(client) = server.clients.get_mut(slot) else { return };
    client.ext.watch_broken = false;
    client.ext.watch_bytes = 0;
    for Watch { db, key } in std::mem::take(&mut client.ext.watches) {
        let place = (db, key);
        if let Some(watchers) = server.watches.by_key.get_mut(&place) {
            watchers.remove(&slot);
            if watchers.is_empty() {
                server.watches.by_key.remove(&place);
            }
        }
    }
}

/// Whether EXEC of this client must not run: a watch broke, or a watched key's time is up by now.
pub fn is_broken(server: &mut Server, slot: Slot) -> bool {
    let due_ms = server.time.due_ms();
    let Some(client) = server.clients.get(slot) else { return true };
    if client.ext.watch_broken {
        return true;
    }
    client.ext.watches.iter().any(|watch| {
        let hash = server.keyspace.hash(&watch.key);
        let expire = server.keyspace.db(watch.db).get(hash, &watch.key).and_then(|entry| entry.expire());
        expire.is_some_and(|at| at <= due_ms) && !server.watches.saw_expired(slot, watch)
    })
}
