//! Client-side caching: who read which key, and telling them when it changes (CLIENT TRACKING).
//!
//! Two ways to ask. By default the server remembers the keys that a client reads, and forgets them with the message that
//! they changed. A client that broadcasts instead names prefixes: nothing is remembered for it, and what changed under
//! them is told at the end of a turn, one message for all. Keys are known by name alone, whatever their database, as in
//! Redis. A client that left may stand in the table until the key is touched: ids are never reused.

use crate::context::Cx;
use crate::server::{Ochre, Server};
use bytes::Bytes;
use common::clients::Slot;
use common::command::{Args, Command, CommandId, Flags};
use common::resp::{Reply, Resp};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Where RESP2 clients are told, as a message of pub/sub.
const CHANNEL: &[u8] = b"__redis__:invalidate";
/// Keys that are forgotten at once beyond the limit, at first; each time that was not enough adds as many.
const EFFORT: usize = 100;

/// What a client asked for.
#[derive(Debug, Default)]
pub struct Wish {
    /// The client that gets the messages; 0 = it itself.
    pub redirect: u64,
    /// It is told of prefixes instead of what it read.
    pub broadcast: bool,
    /// What it reads is remembered only after CLIENT CACHING YES.
    pub opt_in: bool,
    /// What it reads is remembered unless CLIENT CACHING NO came before.
    pub opt_out: bool,
    /// It does not want to hear of its own changes.
    pub no_loop: bool,
    /// CLIENT CACHING was said for the next command.
    pub caching: bool,
    /// The client that was to get the messages has gone.
    pub broken: bool,
    /// The prefixes of a client that broadcasts.
    pub prefixes: BTreeSet<Bytes>,
    /// Bytes that these take.
    prefix_bytes: usize,
}

impl Wish {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.prefix_bytes
    }
}

/// A key that clients have read.
#[derive(Debug)]
struct Tracked {
    key: Bytes,
    readers: Vec<u64>,
}

/// A prefix that clients asked for.
#[derive(Debug, Default)]
struct Prefix {
    clients: Vec<Slot>,
    /// Keys that changed in this turn, and whose command did it.
    changed: BTreeMap<Bytes, Option<u64>>,
}

/// All that is remembered.
#[derive(Debug, Default)]
pub struct Tracking {
    clients: usize,
    /// Keys in no order, so that one can be picked at random.
    keys: Vec<Tracked>,
    places: HashMap<Bytes, usize>,
    /// Pairs of key and reader.
    items: usize,
    prefixes: BTreeMap<Bytes, Prefix>,
    /// Something changed under a prefix.
    has_news: bool,
    /// Times in a row that did not get the table down to its limit.
    behind: usize,
}

impl Tracking {
    /// Whether anybody is to be told of anything.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.clients > 0
    }

    /// Clients that are told.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Keys, pairs of key and reader, and prefixes.
    pub fn totals(&self) -> (usize, usize, usize) {
        (self.keys.len(), self.items, self.prefixes.len())
    }

    fn remember(&mut self, key: &[u8], reader: u64) {
        let place = *self.places.get(key).unwrap_or(&self.keys.len());
        if place == self.keys.len() {
            let key = Bytes::copy_from_slice(key);
            self.places.insert(key.clone(), place);
            self.keys.push(Tracked { key, readers: Vec::new() });
        }
        let readers = &mut self.keys[place].readers;
        if !readers.contains(&reader) {
            readers.push(reader);
            self.items += 1;
        }
    }

    fn take(&mut self, key: &[u8]) -> Option<Tracked> {
        let place = self.places.remove(key)?;
        let tracked = self.keys.swap_remove(place);
        if let Some(moved) = self.keys.get(place) {
            *self.places.get_mut(&moved.key).expect("every key has its place") = place;
        }
        self.items -= tracked.readers.len();
        Some(tracked)
    }

    fn forget_keys(&mut self) {
        (self.keys, self.places, self.items) = Default::default();
    }

    fn note_change(&mut self, key: &[u8], by: Option<u64>) {
        for (prefix, state) in &mut self.prefixes {
            if key.starts_with(prefix) && !state.changed.contains_key(key) {
                state.changed.insert(Bytes::copy_from_slice(key), by);
                self.has_news = true;
            }
        }
    }
}

/// What a message says.
enum News<'k> {
    /// These keys changed.
    Keys(&'k [&'k [u8]]),
    /// All of them may have.
    Everything,
}

impl News<'_> {
    fn write(&self, reply: &mut Reply) {
        match self {
            Self::Keys(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
            Self::Everything => reply.null(),
        }
    }
}

/// Whether two prefixes have keys in common.
pub fn overlap(one: &[u8], other: &[u8]) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// Remembers the keys that a command of a client read.
pub fn remember(cx: &mut Cx<'_>, id: CommandId, command: &Command<Ochre>, args: &Args<'_>) {
    let reads =
        command.flags.has(Flags::READONLY) && !command.flags.any(Flags::SCRIPT_RUNNER.and(Flags::PUBSUB));
    if !reads || !cx.server.tracking.is_active() {
        return;
    }
    let Some(client) = cx.server.clients.get(cx.slot) else { return };
    let reader = client.id;
    let wanted = client.ext.tracking.as_deref().is_some_and(|wish| {
        !wish.broadcast && if wish.opt_in { wish.caching } else { !wish.opt_out || !wish.caching }
    });
    if !wanted {
        return;
    }
    for key in cx.server.table.keys(id, args).unwrap_or_default() {
        cx.server.tracking.remember(args.get(key.index), reader);
    }
}

/// A request is over: what CLIENT CACHING said was for the one behind it, or for a whole transaction.
pub fn end_request(cx: &mut Cx<'_>, args: &Args<'_>) {
    cx.server.limit_tracking(); // now, lest the table grow by all that comes before the next tick
    if args.get(0).eq_ignore_ascii_case(b"client") {
        return;
    }
    let session = cx.session();
    if let Some(wish) = session.tracking.as_deref_mut().filter(|_| session.multi.is_none()) {
        wish.caching = false;
    }
}

impl Server {
    /// Begins to tell a client of changes, or changes what it asked for.
    pub fn track(&mut self, slot: Slot, mut wish: Wish) {
        let Some(client) = self.clients.get_mut(slot) else { return };
        let old = client.ext.tracking.take();
        self.tracking.clients += usize::from(old.is_none());
        if wish.broadcast && wish.prefixes.is_empty() {
            wish.prefixes.insert(Bytes::new());
        }
        for prefix in &wish.prefixes {
            let clients = &mut self.tracking.prefixes.entry(prefix.clone()).or_default().clients;
            if !clients.contains(&slot) {
                clients.push(slot);
            }
        }
        wish.prefixes.extend(old.map(|old| old.prefixes).unwrap_or_default());
        let bytes =
            wish.prefixes.iter().map(|prefix| prefix.len() + size_of::<Prefix>() + 2 * size_of::<Bytes>());
        wish.prefix_bytes = bytes.sum();
        client.ext.tracking = Some(Box::new(wish));
        self.follow_observers();
    }

    /// Tells a client no more. With the last of them all is forgotten.
    pub fn untrack(&mut self, slot: Slot) {
        let Some(wish) = self.clients.get_mut(slot).and_then(|client| client.ext.tracking.take()) else {
            return;
        };
        for prefix in wish.prefixes {
            let Some(state) = self.tracking.prefixes.get_mut(&prefix) else { continue };
            state.clients.retain(|client| *client != slot);
            if state.clients.is_empty() {
                self.tracking.prefixes.remove(&prefix);
            }
        }
        self.tracking.clients -= 1;
        if self.tracking.clients == 0 {
            self.tracking.forget_keys();
        }
        self.follow_observers();
    }

    /// Tells who has read a key that it is not what it was. `by_command`: the running client's command changed it, which
    /// that client may not want to hear of.
    #[inline]
    pub fn invalidate(&mut self, key: &[u8], by_command: bool) {
        if self.tracking.is_active() {
            self.tell_change(key, by_command);
        }
    }

    #[cold]
    fn tell_change(&mut self, key: &[u8], by_command: bool) {
        let current = self.clients.current().and_then(|slot| self.clients.get(slot)).map(|client| client.id);
        self.tracking.note_change(key, current.filter(|_| by_command));
        self.tell_readers(key, current);
    }

    fn tell_readers(&mut self, key: &[u8], current: Option<u64>) {
        let Some(tracked) = self.tracking.take(key) else { return };
        for reader in tracked.readers {
            let Some(slot) = self.clients.by_id(reader) else { continue };
            let wish = self.clients.get(slot).and_then(|client| client.ext.tracking.as_deref());
            let wanted =
                wish.is_some_and(|wish| !wish.broadcast && (!wish.no_loop || current != Some(reader)));
            if wanted {
                self.tell(slot, &News::Keys(&[key]));
            }
        }
    }

    /// Tells everyone that all keys may be gone.
    pub fn invalidate_all(&mut self) {
        if !self.tracking.is_active() {
            return;
        }
        for slot in self.clients.slots() {
            if self.clients.get(slot).is_some_and(|client| client.ext.tracking.is_some()) {
                self.tell(slot, &News::Everything);
            }
        }
        self.tracking.forget_keys();
    }

    /// At the end of a turn: tells those who broadcast what changed in it.
    #[inline]
    pub fn tell_prefixes(&mut self) {
        if self.tracking.has_news {
            self.tell_news_of_prefixes();
        }
    }

    #[cold]
    fn tell_news_of_prefixes(&mut self) {
        self.tracking.has_news = false;
        let prefixes = self.tracking.prefixes.values_mut().filter(|state| !state.changed.is_empty());
        let news: Vec<_> =
            prefixes.map(|state| (state.clients.clone(), std::mem::take(&mut state.changed))).collect();
        for (clients, changed) in news {
            for slot in clients {
                let Some(client) = self.clients.get(slot) else { continue };
                let own =
                    client.ext.tracking.as_deref().is_some_and(|wish| wish.no_loop).then_some(client.id);
                let theirs = changed.iter().filter(|(_, by)| own.is_none() || **by != own);
                let keys: Vec<&[u8]> = theirs.map(|(key, _)| &key[..]).collect();
                if !keys.is_empty() {
                    self.tell(slot, &News::Keys(&keys));
                }
            }
        }
    }

    /// Sends a message to a client, or to the one that it named.
    fn tell(&mut self, slot: Slot, news: &News<'_>) {
        let wish = self.clients.get(slot).and_then(|client| client.ext.tracking.as_deref());
        let Some(redirect) = wish.map(|wish| wish.redirect) else { return };
        let target = if redirect == 0 { Some(slot) } else { self.clients.by_id(redirect) };
        let Some(target) = target else {
            self.tell_of_loss(slot, redirect);
            return;
        };
        let Some(client) = self.clients.get(target) else { return };
        let mut reply = Reply::new(client.resp());
        if client.resp() == Resp::V3 {
            reply.push(2);
            reply.bulk(b"invalidate");
        } else if redirect != 0 && client.subscriptions() > 0 {
            reply.array(3);
            reply.bulk(b"message");
            reply.bulk(CHANNEL);
        } else {
            return; // RESP2 has no way to tell it
        }
        news.write(&mut reply);
        self.push(target, reply);
    }

    /// Tells a client that the one is gone that was to get its messages.
    fn tell_of_loss(&mut self, slot: Slot, redirect: u64) {
        let Some(client) = self.clients.get_mut(slot) else { return };
        let resp = client.resp();
        if let Some(wish) = client.ext.tracking.as_deref_mut() {
            wish.broken = true;
        }
        if resp == Resp::V3 {
            let mut reply = Reply::new(resp);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.integer(redirect.cast_signed());
            self.push(slot, reply);
        }
    }

    fn push(&mut self, slot: Slot, mut reply: Reply) {
        let bytes: Vec<u8> = reply.since(Reply::default().mark());
        drop(reply.take());
        self.clients.push(slot, &bytes.into());
    }

    /// Keeps the table within `tracking-table-max-keys`: forgets keys at random, which their readers are told.
    pub fn limit_tracking(&mut self) {
        let limit = usize::try_from(self.config.tracking_table_max_keys).unwrap_or(usize::MAX);
        let mut effort = EFFORT * (self.tracking.behind + 1);
        while limit > 0 && self.tracking.keys.len() > limit && effort > 0 {
            let place = self.rng.usize(..self.tracking.keys.len());
            let key = self.tracking.keys[place].key.clone();
            self.tell_readers(&key, None);
            effort -= 1;
        }
        self.tracking.behind = if effort == 0 { self.tracking.behind + 1 } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_places() {
        let mut tracking = Tracking::default();
        for (key, reader) in [("a", 1), ("b", 1), ("c", 2), ("a", 2), ("a", 1)] {
            tracking.remember(key.as_bytes(), reader);
        }
        assert_eq!(tracking.totals(), (3, 4, 0));
        assert_eq!(tracking.take(b"a").map(|tracked| tracked.readers), Some(vec![1, 2]));
        assert!(tracking.take(b"a").is_none());
        assert_eq!(tracking.take(b"c").map(|tracked| tracked.readers), Some(vec![2]));
        assert_eq!(tracking.take(b"b").map(|tracked| tracked.readers), Some(vec![1]));
        assert_eq!((tracking.totals(), tracking.places.len()), ((0, 0, 0), 0));
    }

    #[test]
    fn prefixes_overlap_when_one_begins_the_other() {
        assert!(overlap(b"ab", b"abc") && overlap(b"abc", b"ab") && overlap(b"", b"x"));
        assert!(!overlap(b"ab", b"ac"));
    }
}
