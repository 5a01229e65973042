//! One database: entries by key, the number of those with an expiry, and the part that a running snapshot has in it.
//!
//! Every change goes through here, so that the three things that belong to a change cannot be forgotten: a running
//! snapshot gets the entry as it was, the expiry count stays right, and the segment learns of an earlier expiry.

use crate::entry::Entry;
use crate::hash::{Hash, Seed};
use crate::object::{Object, Typed};
use crate::raw::directory::NEVER;
use crate::raw::entry::{Added, BigValue, EntryBox};
use crate::raw::item::Item;
use crate::relocate::Mover;
use crate::snapshot::{DbSnapshot, SnapshotSink, Walk};
use crate::table::{Ahead, At, Table};
use crate::value::{Kind, NewValue, SharedBytes, Value};

/// Start of the coarse expiry clock, unix ms: 2020-01-01. In units of 256 ms it reaches into 2054.
const TICK_EPOCH_MS: i64 = 1_577_836_800_000;
/// A tick's length as a power of two, ms.
const TICK_BITS: u32 = 8;

/// The coarse clock's reading at a unix time; times outside of its range count as its ends, which only makes a
/// segment be looked at too early.
fn tick(unix_ms: i64) -> u32 {
    let ticks = unix_ms.saturating_sub(TICK_EPOCH_MS) >> TICK_BITS;
    ticks.clamp(0, i64::from(NEVER - 1)) as u32
}

/// What becomes of a key's expiry when its value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expire {
    /// It stays as it is; a new key has none.
    Keep,
    /// The key has none afterwards.
    None,
    /// The key expires at this unix time, ms.
    At(i64),
}

/// One numbered database.
pub struct Db {
    table: Table<EntryBox>,
    /// Entries with an expiry.
    expires: usize,
    /// Entries with an expiry on something inside them.
    volatile: usize,
    /// Streams that know their producers.
    with_producers: usize,
    /// The stamp that new entries get.
    stamp: u8,
    /// The access bits that new entries get.
    access: u32,
    /// Overwriting an entry counts as a use of it.
    renews: bool,
    snapshot: Option<Box<DbSnapshot>>,
    /// Where the walk for expired keys goes on.
    due_from: u64,
    /// The walk that gives entries of aborted snapshots the present stamp.
    restamp: Walk,
}

impl Db {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            table: Table::new(seed),
            expires: 0,
            volatile: 0,
            with_producers: 0,
            stamp: 0,
            access: 0,
            renews: true,
            snapshot: None,
            due_from: 0,
            restamp: Walk::Done,
        }
    }

    /// Number of keys, expired ones that nobody removed yet among them.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// No keys.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of keys that have an expiry.
    #[inline]
    pub fn expires(&self) -> usize {
        self.expires
    }

    /// Number of keys in which something expires: hashes with such fields.
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// Number of streams that know their producers.
    pub fn with_producers(&self) -> usize {
        self.with_producers
    }

    /// The access bits that new entries get from now on (the lower 24), and whether overwritten ones get them too.
    pub fn set_new_access(&mut self, access: u32, renews: bool) {
        self.access = access;
        self.renews = renews;
    }

    /// Starts to fetch what `hash` leads to: the directory slot. What there is to go on with, see
    /// [`Self::PREFETCH_STAGES`].
    #[inline]
    pub fn prefetch_slot(&self, hash: Hash) -> Option<Ahead> {
        self.table.prefetch_slot(hash)
    }

    /// The stages behind [`Self::prefetch_slot`]. Each reads what the one before it fetched, so it is to be run over a whole
    /// batch of requests before the next, for those hashes for which the one before said that there is more. What they
    /// learn of a key's place saves [`Self::locate_ahead`] the search.
    pub const PREFETCH_STAGES: [fn(&Self, Hash, &mut Ahead) -> bool; 3] = [
        |db, hash, ahead| db.table.prefetch_line(hash, ahead),
        |db, hash, ahead| db.table.prefetch_item(hash, ahead),
        |db, hash, ahead| db.table.prefetch_further(hash, ahead),
    ];

    /// Fetches what several keys lead to, up to 64 of them, all stages.
    pub fn prefetch(&self, keys: &mut [(Hash, Ahead)]) {
        let mut far = 0u64;
        for (index, (hash, ahead)) in keys.iter_mut().enumerate().take(64) {
            let found = self.prefetch_slot(*hash);
            far |= u64::from(found.is_some()) << index;
            *ahead = found.unwrap_or(Ahead::NONE);
        }
        for stage in Self::PREFETCH_STAGES {
            let mut left = far;
            while left != 0 {
                let index = left.trailing_zeros();
                left &= left - 1;
                let (hash, ahead) = &mut keys[index as usize];
                if !stage(self, *hash, ahead) {
                    far &= !(1 << index);
                }
            }
        }
    }

    // --- moving ------------------------------------------------------------------------------------------------------

    /// Moves the entries of one segment, from the hash prefix `from` on, as the mover says; where the next one begins.
    /// Values of more than `most` elements are left to [`Self::relocate_object`], their keys go into `big`.
    pub fn relocate(
        &mut self,
        from: u64,
        mover: &mut Mover<'_>,
        most: usize,
        big: &mut Vec<Box<[u8]>>,
    ) -> Option<u64> {
        self.table.relocate_segment(from, mover, |entry, mover| {
            if mover.item(|mover| entry.relocate(mover, most)) {
                big.push(entry.key().into());
            }
        })
    }

    /// Moves a piece of a big value: `from` and the result are places in it, 0 and `None` its beginning and end.
    pub fn relocate_object(
        &mut self,
        hash: Hash,
        key: &[u8],
        from: u64,
        mover: &mut Mover<'_>,
    ) -> Option<u64> {
        let at = self.table.find(hash, key)?;
        self.table.object_mut(at)?.relocate_piece(from, mover)
    }

    // --- reading -----------------------------------------------------------------------------------------------------

    /// The entry of `key`, expired or not.
    #[inline]
    pub fn get(&self, hash: Hash, key: &[u8]) -> Option<Entry<'_>> {
        self.table.get(hash, key).map(Entry)
    }

    /// Where a key is, to look at it again without searching; good until the database changes.
    #[inline]
    pub fn locate(&self, hash: Hash, key: &[u8]) -> Option<At> {
        self.table.find(hash, key)
    }

    /// As [`Self::locate`], but looks first where the stages of a prefetch saw the key.
    #[inline]
    pub fn locate_ahead(&self, hash: Hash, key: &[u8], ahead: Ahead) -> Option<At> {
        self.table.find_ahead(hash, key, ahead)
    }

    /// As [`Self::get`], but looks first where the stages of a prefetch saw the key.
    #[inline]
    pub fn get_ahead(&self, hash: Hash, key: &[u8], ahead: Ahead) -> Option<Entry<'_>> {
        self.table.get_ahead(hash, key, ahead).map(Entry)
    }

    /// The entry at a place that [`Self::locate`] found.
    #[inline]
    pub fn entry_at(&self, at: At) -> Entry<'_> {
        Entry(self.table.item(at))
    }

    /// Whether there is an entry for `key`, expired or not.
    #[inline]
    pub fn contains(&self, hash: Hash, key: &[u8]) -> bool {
        self.table.get(hash, key).is_some()
    }

    /// Sets the access bits of a key; false when there is none. Not a change. (With an [`Entry`] at hand its own
    /// `touch` saves the search.)
    pub fn touch(&mut self, hash: Hash, key: &[u8], access: u32) -> bool {
        self.get(hash, key).is_some_and(|entry| {
            entry.touch(access);
            true
        })
    }

    /// Emits entries in hash order from `cursor` on, about `count` of them, and returns the next cursor; 0 starts and
    /// ends a walk. Every key that is there throughout a walk is emitted exactly once. Cursors stay below 2^48.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut emit: impl FnMut(Entry<'a>)) -> u64 {
        self.table.scan(cursor, count, |entry| emit(Entry(entry)))
    }

    /// All entries, in no order that means anything. O(n).
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> + '_ {
        self.table.iter().map(Entry)
    }

    /// An entry chosen at random, each as likely as another. `random` gives 64 random bits per call.
    pub fn random(&self, random: impl FnMut() -> u64) -> Option<Entry<'_>> {
        self.table.random(random).map(Entry)
    }

    /// Visits some `count` entries that lie together at a place chosen by `random`; fewer when there it is empty.
    pub fn sample<'a>(&'a self, random: u64, count: usize, mut visit: impl FnMut(Entry<'a>)) {
        self.table.sample(random, count, SAMPLED_SEGMENTS, |entry| visit(Entry(entry)));
    }

    /// As [`Self::sample`], among the entries with an expiry: key, access bits and expiry of each. Where these are rare it
    /// visits more of them than `count`: all in a segment, since to prefer the first ones would spare the others for ever.
    pub fn sample_volatile(&mut self, random: u64, count: usize, mut visit: impl FnMut(&[u8], u32, i64)) {
        let mut visited = 0;
        if self.expires * SPARSE > self.len() {
            let among = count * self.len().div_ceil(self.expires);
            self.table.sample(random, among, SAMPLED_SEGMENTS, |entry| {
                if let Some(at) = entry.expire()
                    && visited < count
                {
                    visited += 1;
                    visit(entry.key(), entry.access(), at);
                }
            });
        }
        let mut from = random;
        let mut budget = SAMPLED_VOLATILE;
        // Twice: from the place to the end, then from the start.
        for _ in 0..2 {
            while visited < count && budget > 0 && self.expires > 0 {
                let went_on = self.table.sample_due(from, &mut budget, |entry| {
                    if let Some(at) = entry.expire() {
                        visited += 1;
                        visit(entry.key(), entry.access(), at);
                    }
                    due(entry).map_or(NEVER, tick)
                });
                match went_on {
                    Some(prefix) => from = prefix << (64 - Hash::PREFIX_BITS),
                    None => break,
                }
            }
            from = 0;
        }
    }

    /// Bytes that the table spends beside the entries. O(n / 45).
    pub fn table_bytes(&self) -> usize {
        self.table.overhead_bytes()
    }

    // --- changing ----------------------------------------------------------------------------------------------------

    /// The entry of `key` for a change. A running snapshot gets it as it is now, so ask only when a change will follow.
    #[inline]
    pub fn get_mut(&mut self, hash: Hash, key: &[u8]) -> Option<EntryMut<'_>> {
        let at = self.table.find(hash, key)?;
        Some(self.entry_at_mut(at))
    }

    /// Adds to the integer at a place that [`Self::locate`] found, as INCR does: one look at the entry instead of four.
    #[inline]
    pub fn add_int(&mut self, at: At, by: i64) -> Added {
        self.before_change(at, false);
        self.table.update(at, |entry| entry.add_int(by))
    }

    /// As [`Self::get_mut`], at a place that [`Self::locate`] found.
    #[inline(always)]
    pub fn entry_at_mut(&mut self, at: At) -> EntryMut<'_> {
        self.before_change(at, false);
        EntryMut { db: self, at }
    }

    /// Inserts or overwrites. A new entry gets the access bits of `set_new_access`, an overwritten one if that says so.
    #[inline]
    pub fn set(&mut self, hash: Hash, key: &[u8], value: NewValue<'_>, expire: Expire) -> SetOutcome {
        self.set_at(self.table.find(hash, key), hash, key, value, expire)
    }

    /// As [`Self::set`], where [`Self::locate`] has just searched the key.
    #[inline]
    pub fn set_at(
        &mut self,
        at: Option<At>,
        hash: Hash,
        key: &[u8],
        value: NewValue<'_>,
        expire: Expire,
    ) -> SetOutcome {
        let Some(at) = at else {
            self.insert(hash, key, value, expire);
            return SetOutcome { replaced: None, expire: None, garbage: None };
        };
        self.before_change(at, true);
        let entry = self.table.item(at);
        let (kind, old_expire, old) = (entry.value().kind(), entry.expire(), Inside::of(&entry));
        let expire = match expire {
            Expire::Keep => old_expire,
            Expire::None => None,
            Expire::At(ms) => Some(ms),
        };
        let renewed = self.renews.then_some(self.access);
        let big = self.table.update(at, |entry| {
            let big = entry.replace(value, expire);
            if let Some(access) = renewed {
                entry.set_access(access);
            }
            big
        });
        self.expiry_changed(at, old_expire, expire);
        self.inside_changed(at, old);
        SetOutcome { replaced: Some(kind), expire: old_expire, garbage: big.map(Garbage::from) }
    }

    /// Stores an object under a key that is not there, to fill it at once: an empty one must not stay.
    pub fn create(&mut self, hash: Hash, key: &[u8], object: Object) -> EntryMut<'_> {
        let at = self.insert(hash, key, NewValue::Object(object), Expire::None);
        EntryMut { db: self, at }
    }

    fn insert(&mut self, hash: Hash, key: &[u8], value: NewValue<'_>, expire: Expire) -> At {
        let expire = match expire {
            Expire::Keep | Expire::None => None,
            Expire::At(ms) => Some(ms),
        };
        let entry = EntryBox::new(key, value, expire);
        entry.set_stamp(self.stamp);
        entry.set_access(self.access);
        let at = self.table.insert(hash, entry);
        self.expiry_changed(at, None, expire);
        self.inside_changed(at, Inside::default());
        at
    }

    /// Takes a key out.
    #[inline]
    pub fn remove(&mut self, hash: Hash, key: &[u8]) -> Option<Removed> {
        let at = self.table.find(hash, key)?;
        Some(self.remove_at(at))
    }

    fn remove_at(&mut self, at: At) -> Removed {
        self.before_change(at, true);
        let entry = self.table.take(at);
        self.expires -= usize::from(entry.expire().is_some());
        let inside = Inside::of(&entry);
        self.volatile -= usize::from(inside.due.is_some());
        self.with_producers -= usize::from(inside.has_producers);
        Removed { entry }
    }

    /// Sets or removes a key's expiry (unix ms); false when there is no such key.
    pub fn set_expire(&mut self, hash: Hash, key: &[u8], expire: Option<i64>) -> bool {
        self.get_mut(hash, key).is_some_and(|mut entry| {
            entry.set_expire(expire);
            true
        })
    }

    /// Removes all keys; dropping the result frees them, on any thread. During a snapshot what it still needs stays.
    pub fn clear(&mut self) -> Garbage {
        let seed = self.table.seed();
        let table = std::mem::replace(&mut self.table, Table::new(seed));
        self.expires = 0;
        (self.volatile, self.with_producers) = (0, 0);
        self.due_from = 0;
        self.restamp = Walk::Done;
        let table = match &mut self.snapshot {
            Some(snapshot) => snapshot.flush(table),
            None => Some(table),
        };
        table.map_or_else(Garbage::nothing, Garbage::from)
    }

    #[inline]
    fn before_change(&mut self, at: At, goes: bool) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.before_change(&self.table.item(at), goes);
        }
    }

    #[inline]
    fn expiry_changed(&mut self, at: At, old: Option<i64>, new: Option<i64>) {
        self.expires += usize::from(new.is_some());
        self.expires -= usize::from(old.is_some());
        if let Some(ms) = new
            && old != new
        {
            self.table.note_due(at, tick(ms));
        }
    }

    /// Takes note of what is inside an entry, after a change.
    #[inline]
    fn inside_changed(&mut self, at: At, old: Inside) {
        let new = Inside::of(&self.table.item(at));
        self.volatile += usize::from(new.due.is_some());
        self.volatile -= usize::from(old.due.is_some());
        self.with_producers += usize::from(new.has_producers);
        self.with_producers -= usize::from(old.has_producers);
        if let Some(ms) = new.due
            && old.due != new.due
        {
            self.table.note_due(at, tick(ms));
        }
    }

    // --- expiry ------------------------------------------------------------------------------------------------------

    /// Reports keys whose expiry is at or before `now_ms`, up to `limit` and the rest of a segment (about 50 more).
    /// Goes on where the last call stopped; returns false when it came round the end of the database. `budget` bounds
    /// the work: a directory slot counts as one (some 50 keys, or a region of 2,000 segments where nothing is due),
    /// an entry of a segment that is looked into, which is seldom in cache, as 16. A thousand take a few microseconds.
    ///
    /// The caller removes what is reported. A key that it keeps all the same is not reported again until its segment
    /// is visited for another one, unless [`Self::note_due`] asks for it. Keys turn up at most 256 ms late.
    pub fn expired(
        &mut self,
        now_ms: i64,
        limit: usize,
        mut budget: usize,
        mut report: impl FnMut(&[u8], Due),
    ) -> bool {
        let now_tick = tick(now_ms);
        let mut reported = 0;
        while reported < limit && budget > 0 && self.expires + self.volatile > 0 {
            let mut visited = 0;
            let next = self.table.visit_due(self.due_from, now_tick, &mut budget, |entry| {
                visited += 1;
                let what = match (entry.expire(), inner_due(entry)) {
                    (Some(at), _) if at <= now_ms => Due::Key,
                    (_, Some(at)) if at <= now_ms => Due::Inside,
                    (at, inner) => return at.into_iter().chain(inner).min().map_or(NEVER, tick),
                };
                reported += 1;
                report(entry.key(), what);
                NEVER
            });
            budget = budget.saturating_sub(visited * (VISIT_COST - 1));
            self.due_from = next.unwrap_or(0);
            if next.is_none() {
                return false;
            }
        }
        self.expires + self.volatile > 0
    }

    /// Makes sure that a key with an expiry will be reported by [`Self::expired`] again.
    pub fn note_due(&mut self, hash: Hash, key: &[u8]) {
        if let Some(at) = self.table.find(hash, key)
            && let Some(ms) = due(&self.table.item(at))
        {
            self.table.note_due(at, tick(ms));
        }
    }

    // --- snapshots, for the keyspace ---------------------------------------------------------------------------------

    pub(crate) fn begin_snapshot(&mut self, index: usize, stamp: u8) {
        self.stamp = stamp;
        self.restamp = Walk::Done;
        self.snapshot = Some(Box::new(DbSnapshot::new(index, stamp)));
    }

    pub(crate) fn snapshot_step(
        &mut self,
        budget: &mut usize,
        sink: &mut dyn SnapshotSink,
        garbage: &mut Vec<Garbage>,
    ) -> bool {
        self.snapshot.as_mut().is_none_or(|snapshot| snapshot.step(&self.table, budget, sink, garbage))
    }

    pub(crate) fn take_preimages(&mut self, budget: &mut usize, sink: &mut dyn SnapshotSink) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.take_preimages(budget, sink);
        }
    }

    pub(crate) fn preimage_bytes(&self) -> usize {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.preimage_bytes())
    }

    pub(crate) fn end_snapshot(&mut self, aborted: bool, garbage: &mut Vec<Garbage>) {
        if let Some(snapshot) = self.snapshot.take() {
            garbage.extend(snapshot.into_garbage());
        }
        if aborted {
            self.restamp = Walk::At(0);
        }
    }

    /// Gives entries the present stamp; true when none is left.
    pub(crate) fn restamp_step(&mut self, budget: &mut usize) -> bool {
        let stamp = self.stamp;
        self.restamp.step(&self.table, budget, |entry| entry.set_stamp(stamp));
        self.restamp == Walk::Done
    }
}

/// What a database counts of the inside of its entries.
#[derive(Clone, Copy, Default)]
struct Inside {
    /// When something falls due at the earliest, unix ms.
    due: Option<i64>,
    has_producers: bool,
}

impl Inside {
    #[inline]
    fn of(entry: &EntryBox) -> Self {
        match entry.value() {
            Value::Object(object) => Self { due: object.next_due(), has_producers: object.has_producers() },
            _ => Self::default(),
        }
    }
}

/// When something inside an entry falls due at the earliest, unix ms.
#[inline]
fn inner_due(entry: &EntryBox) -> Option<i64> {
    match entry.value() {
        Value::Object(object) => object.next_due(),
        _ => None,
    }
}

/// When an entry, or something inside it, falls due at the earliest, unix ms.
fn due(entry: &EntryBox) -> Option<i64> {
    entry.expire().into_iter().chain(inner_due(entry)).min()
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The key.
    Key,
    /// Something in its value: a hash's field.
    Inside,
}

/// What an entry counts in the budget of [`Db::expired`].
const VISIT_COST: usize = 16;

/// Segments that a sample looks through: they hold some 50 entries each, unless most were deleted.
const SAMPLED_SEGMENTS: usize = 16;
/// Entries with an expiry are searched for by segment where they are less than one in so many.
const SPARSE: usize = 4;
/// Budget of a sample of entries with an expiry, an entry counting one: some 300 µs where they are rare.
const SAMPLED_VOLATILE: usize = 8 * 1024;

/// An entry borrowed for a change. Made by [`Db::get_mut`], which has told a running snapshot.
pub struct EntryMut<'a> {
    db: &'a mut Db,
    at: At,
}

impl<'a> EntryMut<'a> {
    /// The entry, to read.
    #[inline]
    pub fn entry(&self) -> Entry<'_> {
        Entry(self.db.table.item(self.at))
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        self.entry().key()
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> Value<'_> {
        self.entry().value()
    }

    /// The value's type.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.value().kind()
    }

    /// When the entry expires, unix time in ms.
    pub fn expire(&self) -> Option<i64> {
        self.entry().expire()
    }

    /// Sets or removes the expiry, unix time in ms.
    pub fn set_expire(&mut self, expire: Option<i64>) {
        let old = self.expire();
        self.db.table.update(self.at, |entry| entry.set_expire(expire));
        self.db.expiry_changed(self.at, old, expire);
    }

    /// Replaces the value; the expiry stays. Returns the old value when it was big, to be dropped anywhere.
    pub fn set_value(&mut self, value: NewValue<'_>) -> Option<Garbage> {
        let (expire, old) = (self.expire(), Inside::of(&self.db.table.item(self.at)));
        let big = self.db.table.update(self.at, |entry| entry.replace(value, expire));
        self.db.inside_changed(self.at, old);
        big.map(Garbage::from)
    }

    /// Makes the value this integer: in place when it was one, as INCR wants it.
    #[inline]
    pub fn set_int(&mut self, value: i64) -> Option<Garbage> {
        match self.db.table.update(self.at, |entry| entry.set_int(value)) {
            true => None,
            false => self.set_value(NewValue::Int(value)),
        }
    }

    /// The object, if the value is of type `T`.
    #[inline]
    pub fn typed_mut<T: Typed>(&mut self) -> Option<&mut T> {
        T::of_mut(self.db.table.object_mut(self.at)?)
    }

    /// Changes the object, if the value is of type `T`, and takes note of what is counted inside it then. Wherever `change` may
    /// alter that, this is the way.
    pub fn change<T: Typed, R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let old = Inside::of(&self.db.table.item(self.at));
        let result = self.typed_mut().map(change);
        self.db.inside_changed(self.at, old);
        result
    }

    /// As [`Self::typed_mut`], for as long as the database is borrowed.
    #[inline]
    pub fn into_typed<T: Typed>(self) -> Option<&'a mut T> {
        T::of_mut(self.db.table.object_mut(self.at)?)
    }

    /// The bytes of a string of up to 1024 bytes that is kept inside the entry; their number cannot change.
    pub fn inline_mut(&mut self) -> Option<&mut [u8]> {
        self.db.table.inline_mut(self.at)
    }

    /// A longer string; `SharedBytes::make_mut` gives its bytes.
    pub fn shared_mut(&mut self) -> Option<&mut SharedBytes> {
        self.db.table.shared_mut(self.at)
    }

    /// Takes the entry out of the database.
    pub fn remove(self) -> Removed {
        self.db.remove_at(self.at)
    }
}

/// What [`Db::set`] found.
#[derive(Debug)]
pub struct SetOutcome {
    /// The type of the value that was overwritten; `None` for a new key.
    pub replaced: Option<Kind>,
    /// When what was overwritten expires, unix ms: if that is over, the key was missing already.
    pub expire: Option<i64>,
    /// The old value when it may take long to free: drop it where that does not matter.
    pub garbage: Option<Garbage>,
}

/// An entry that left its database.
pub struct Removed {
    entry: EntryBox,
}

impl Removed {
    /// The key that it had.
    pub fn key(&self) -> &[u8] {
        self.entry.key()
    }

    /// The value as one to store under another key: big values are shared, not copied.
    pub fn to_new(&self) -> NewValue<'_> {
        self.entry.to_new()
    }

    /// The value.
    pub fn value(&self) -> Value<'_> {
        self.entry.value()
    }

    /// The value's type.
    pub fn kind(&self) -> Kind {
        self.value().kind()
    }

    /// The expiry that it had, unix ms.
    pub fn expire(&self) -> Option<i64> {
        self.entry.expire()
    }

    /// The access bits that it had.
    pub fn access(&self) -> u32 {
        self.entry.access()
    }

    /// About how many allocations a drop frees. O(chunks).
    pub fn free_effort(&self) -> usize {
        free_effort(self.value())
    }

    /// Something to drop elsewhere.
    pub fn into_garbage(self) -> Garbage {
        Garbage::from(self.entry)
    }
}

fn free_effort(value: Value<'_>) -> usize {
    match value {
        Value::Int(_) | Value::Bytes(_) | Value::Shared(_) => 1,
        Value::Object(object) => object.free_effort(),
    }
}

/// What nobody needs any more: dropping it frees it, on any thread.
pub struct Garbage(Waste);

enum Waste {
    Nothing,
    Table(Table<EntryBox>),
    Entry(EntryBox),
    Value(BigValue),
}

impl Garbage {
    fn nothing() -> Self {
        Self(Waste::Nothing)
    }

    /// About how many allocations a drop frees. O(chunks).
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Waste::Nothing => 0,
            Waste::Table(table) => table.len(),
            Waste::Entry(entry) => free_effort(entry.value()),
            Waste::Value(BigValue::Object(object)) => object.free_effort(),
            Waste::Value(BigValue::Shared(_)) => 1,
        }
    }
}

impl std::fmt::Debug for Garbage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Garbage({} allocations)", self.free_effort())
    }
}

impl From<Table<EntryBox>> for Garbage {
    fn from(table: Table<EntryBox>) -> Self {
        Self(Waste::Table(table))
    }
}

impl From<EntryBox> for Garbage {
    fn from(entry: EntryBox) -> Self {
        Self(Waste::Entry(entry))
    }
}

impl From<BigValue> for Garbage {
    fn from(value: BigValue) -> Self {
        Self(Waste::Value(value))
    }
}
