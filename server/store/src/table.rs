//! The table: an extendible hash table whose every step is small. It holds a database's entries and, later, big
//! hashes, sets and the dictionaries of sorted sets.
//!
//! ```text
//!  hash ─▶ directory slot (16 B) ─▶ one 64-byte line of the segment (7 tags + 7 words) ─▶ the item
//! ```
//!
//! Segments grow line by line up to eight lines and then split in two; removals shrink and join them. So lines are
//! about nine tenths full at any size, and the longest step is the copy of one region of the directory (32 KB).
//!
//! SCAN goes by hash order. A cursor is a 48-bit hash prefix; a call returns the items from there on, so whatever
//! splits or joins between calls, every item that is present throughout is returned exactly once.
//!
//! This file decides *when* a segment grows, splits, shrinks or joins; `raw/directory.rs` does it.

use crate::hash::{Hash, Seed};
use crate::raw::directory::{Directory, DueSearch, FULL_LINES, Loc, MOST_DEPTH, MOST_LINES, NEVER};
use crate::raw::item::{Item, Ref};

use crate::list::List;
use crate::raw::entry::EntryBox;
use crate::value::SharedBytes;

pub use crate::raw::directory::At;

const PLACES: usize = crate::raw::line::PLACES;
/// Two segments join when together they would fill less than this (a segment splits at 54).
const MERGE_BELOW: usize = 36;
/// Free places that a segment must have beyond the next smaller size's limit before it gives a line back.
const SHRINK_SLACK: usize = 5;
/// How often `random` throws again before it takes the next item it meets.
const RANDOM_THROWS: usize = 128;

/// Items that a segment of `lines` lines holds before it gets another.
const fn most_items(lines: usize) -> usize {
    match lines {
        1 => PLACES,
        _ => lines * PLACES - lines / 4,
    }
}

/// The fewest lines that hold `items` and one more.
fn lines_for(items: usize) -> usize {
    let mut lines = 1;
    while most_items(lines) < items + 1 {
        lines += 1;
    }
    lines
}

/// A hash table of items that carry their own keys.
pub struct Table<T: Item> {
    directory: Directory<T>,
    len: usize,
    seed: Seed,
}

impl<T: Item> Table<T> {
    /// An empty table; allocates nothing.
    pub const fn new(seed: Seed) -> Self {
        Self { directory: Directory::new(), len: 0, seed }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The seed that the table's hashes must be made with.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The item with this key; `hash` is the key's under the table's seed.
    #[inline]
    pub fn get(&self, hash: Hash, key: &[u8]) -> Option<Ref<'_, T>> {
        self.directory.get(hash, key)
    }

    /// Where the item with this key is, for a series of steps on it.
    #[inline]
    pub fn find(&self, hash: Hash, key: &[u8]) -> Option<At> {
        self.directory.find(hash, key)
    }

    /// The item at a place from [`Self::find`]. Panics when the place is empty by now.
    #[inline]
    pub fn item(&self, at: At) -> Ref<'_, T> {
        self.directory.item(at)
    }

    /// Changes the item at a place from [`Self::find`]; the change may reallocate it but must keep its key.
    #[inline]
    pub fn update<R>(&mut self, at: At, change: impl FnOnce(&mut T) -> R) -> R {
        self.directory.update(at, change)
    }

    /// Adds an item whose key is absent. Amortised O(1); at worst it splits a segment and copies one region.
    pub fn insert(&mut self, hash: Hash, item: T) -> At {
        if self.directory.is_unused() {
            self.directory.start();
        }
        let mut loc = self.directory.locate(hash);
        loop {
            let slot = self.directory.slot(loc);
            let (lines, depth) = (slot.line_count(), slot.depth());
            if slot.len() < most_items(lines) {
                break;
            }
            if lines < FULL_LINES || depth >= self.depth_limit() {
                assert!(lines + 1 < MOST_LINES, "{} keys share their first {depth} hash bits", slot.len());
                self.directory.resize(loc, lines + 1);
            } else {
                let seed = self.seed;
                self.directory.split(hash, lines_for, &|item: &T| seed.hash(item.key()));
                loc = self.directory.locate(hash);
            }
        }
        self.len += 1;
        self.directory.put(loc, hash, item)
    }

    /// How deep a segment may go: seven bits beyond what evenly spread hashes need, so that keys with equal hash
    /// prefixes, if somebody found some, lengthen one segment instead of doubling the directory.
    fn depth_limit(&self) -> u8 {
        let expected = (self.len / 32).max(1).ilog2() as u8;
        (expected + 7).min(MOST_DEPTH)
    }

    /// Takes the item with this key out. Amortised O(1).
    #[inline]
    pub fn remove(&mut self, hash: Hash, key: &[u8]) -> Option<T> {
        let at = self.find(hash, key)?;
        Some(self.take(at))
    }

    /// Takes the item at a place from [`Self::find`] out.
    #[inline]
    pub fn take(&mut self, at: At) -> T {
        let item = self.directory.take(at);
        self.len -= 1;
        self.shrink(at.loc);
        item
    }

    fn shrink(&mut self, loc: Loc) {
        let slot = self.directory.slot(loc);
        let (len, lines) = (slot.len(), slot.line_count());
        if len < MERGE_BELOW / 2
            && let Some(buddy) = self.directory.buddy(loc)
            && len + self.directory.slot(buddy).len() < MERGE_BELOW
        {
            let seed = self.seed;
            return self.directory.merge(loc, buddy, lines_for, &|item: &T| seed.hash(item.key()));
        }
        if lines > 1 && len + SHRINK_SLACK <= most_items(lines - 1) {
            self.directory.resize(loc, lines - 1);
        }
    }

    /// Starts to fetch the directory slot of `hash`: the first of three stages for a batch of requests.
    #[inline]
    pub fn prefetch_slot(&self, hash: Hash) {
        self.directory.prefetch_slot(hash);
    }

    /// Starts to fetch the line that `hash` is searched in: the second stage.
    #[inline]
    pub fn prefetch_segment(&self, hash: Hash) {
        self.directory.prefetch_line(hash);
    }

    /// Starts to fetch the item that a search for `hash` will probably find: the third stage.
    #[inline]
    pub fn prefetch_item(&self, hash: Hash) {
        self.directory.prefetch_item(hash);
    }

    // --- walks -------------------------------------------------------------------------------------------------

    /// Emits items in hash order from `cursor` on until `count` were emitted, and returns the next cursor; 0 starts
    /// and ends a walk. Items whose hashes share their 48-bit prefix are never divided, so a call may emit a few
    /// more. A call also ends after `count` segments without items to emit.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut emit: impl FnMut(Ref<'a, T>)) -> u64 {
        if self.is_empty() || cursor >> Hash::PREFIX_BITS != 0 {
            return 0;
        }
        let count = count.max(1);
        let mut emitted = 0;
        let mut segments = 0;
        let mut from = cursor;
        let mut sorted = Vec::new();
        loop {
            let loc = self.directory.locate(Hash::from_prefix(from));
            if let Some(next) = self.scan_segment(loc, from, count, &mut emitted, &mut sorted, &mut emit) {
                return next;
            }
            let Some(next) = self.directory.next_hash(loc) else { return 0 };
            from = next.prefix();
            segments += 1;
            if emitted >= count || segments > count.max(10) {
                return from;
            }
        }
    }

    /// Emits what is left of one segment. Gives a cursor when it stopped inside.
    fn scan_segment<'a>(
        &'a self,
        loc: Loc,
        from: u64,
        count: usize,
        emitted: &mut usize,
        sorted: &mut Vec<(u16, Ref<'a, T>)>,
        emit: &mut impl FnMut(Ref<'a, T>),
    ) -> Option<u64> {
        let base = self.directory.slot(loc).base();
        // Bits of the window that lie below a cursor's resolution cannot separate two calls.
        let finer = (u32::from(base) + 16).saturating_sub(Hash::PREFIX_BITS);
        let group = |window: u16| window >> finer;
        let from_hash = Hash::from_prefix(from);
        let first = group(from_hash.window(base));
        // The cursor may lie inside the first group when an earlier call saw a finer window: then hashes decide.
        let inside = (from_hash.0 << base) << (16 - finer) != 0;
        sorted.clear();
        sorted.extend(self.directory.windows(loc).filter(|(window, item)| {
            let window = group(*window);
            window > first
                || (window == first && (!inside || self.seed.hash(item.item().key()).prefix() >= from))
        }));
        sorted.sort_unstable_by_key(|(window, _)| *window);
        let mut previous = None;
        for (window, item) in sorted.drain(..) {
            let window = group(window);
            if *emitted >= count && previous != Some(window) {
                let above = self.directory.first_hash(loc).0 & !(u64::MAX >> base);
                return Some(Hash(above | (u64::from(window) << finer) << (48 - base)).prefix());
            }
            previous = Some(window);
            *emitted += 1;
            emit(item);
        }
        None
    }

    /// Gives all items of the segment at `from` (a hash prefix, 0 at the start) to `visit` and returns the prefix at
    /// which the next segment starts, `None` after the last. When segments were joined in between, items before
    /// `from` are visited again.
    pub fn visit_segment<'a>(&'a self, from: u64, mut visit: impl FnMut(Ref<'a, T>)) -> Option<u64> {
        if self.directory.is_unused() {
            return None;
        }
        let loc = self.directory.locate(Hash::from_prefix(from));
        self.directory.prefetch_items(loc);
        self.directory.items(loc).for_each(&mut visit);
        self.directory.next_hash(loc).map(Hash::prefix)
    }

    /// All items, in hash order by segment.
    pub fn iter(&self) -> impl Iterator<Item = Ref<'_, T>> + '_ {
        let first = (!self.directory.is_unused()).then_some(Hash(0));
        let segments = std::iter::successors(first.map(|hash| self.directory.locate(hash)), |loc| {
            self.directory.next_hash(*loc).map(|hash| self.directory.locate(hash))
        });
        segments.flat_map(|loc| self.directory.items(loc))
    }

    /// An item chosen at random, every one as likely as another (except that after 128 unlucky throws, which takes a
    /// badly skewed table, the next item at hand is taken). `random` gives 64 random bits.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<Ref<'_, T>> {
        if self.is_empty() {
            return None;
        }
        let deepest = self.directory.depth_bound();
        for _ in 0..RANDOM_THROWS {
            let (hash, dice) = (Hash(random()), random());
            let loc = self.directory.locate(hash);
            let slot = self.directory.slot(loc);
            // A segment is met in proportion to its width; narrow ones make up for it by being taken more often.
            let levels = deepest.saturating_sub(slot.depth()).min(32);
            if dice >> 32 & ((1 << levels) - 1) != 0 {
                continue;
            }
            let places = (FULL_LINES.max(slot.line_count()) * PLACES) as u64;
            let place = (dice & 0xffff_ffff) * places >> 32;
            if let Some(item) = self.directory.nth(loc, place as usize) {
                return Some(item);
            }
        }
        self.next_item(Hash(random()))
    }

    fn next_item(&self, from: Hash) -> Option<Ref<'_, T>> {
        let mut hash = Some(from);
        while let Some(at) = hash {
            let loc = self.directory.locate(at);
            if let Some(item) = self.directory.items(loc).next() {
                return Some(item);
            }
            hash = self.directory.next_hash(loc);
        }
        self.iter().next()
    }

    // --- expiry ------------------------------------------------------------------------------------------------

    /// Notes that the item at `at` expires at `tick` (any coarse clock below `u32::MAX`).
    #[inline]
    pub fn note_due(&mut self, at: At, tick: u32) {
        self.directory.note_due(at.loc, tick);
    }

    /// Looks for the next segment that may hold an item due before `tick`, from the prefix `from` on, looking at no
    /// more than `budget` directory slots. For the segment found, `visit` gets each item and returns its tick
    /// (`u32::MAX` for none) or whatever the segment's new bound should consider.
    ///
    /// Returns the prefix to go on from, `None` when the end was reached.
    pub fn visit_due(
        &mut self,
        from: u64,
        tick: u32,
        budget: &mut usize,
        mut visit: impl FnMut(&T) -> u32,
    ) -> Option<u64> {
        if self.directory.is_unused() {
            return None;
        }
        let loc = match self.directory.next_due(Hash::from_prefix(from), tick, budget) {
            DueSearch::Found(loc) => loc,
            DueSearch::Stopped(hash) => return Some(hash.prefix()),
            DueSearch::End => return None,
        };
        self.directory.prefetch_items(loc);
        let earliest = self.directory.items(loc).map(|item| visit(item.item())).min().unwrap_or(NEVER);
        self.directory.set_due(loc, earliest);
        self.directory.next_hash(loc).map(Hash::prefix)
    }

    /// Bytes that the table itself uses: directory and lines, without the items. Walks all segments: O(n / 45).
    pub fn overhead_bytes(&self) -> usize {
        let mut lines = 0;
        let mut next = (!self.directory.is_unused()).then_some(Hash(0));
        while let Some(hash) = next {
            let loc = self.directory.locate(hash);
            lines += self.directory.slot(loc).line_count();
            next = self.directory.next_hash(loc);
        }
        lines * size_of::<crate::raw::line::Line>() + self.directory.overhead_bytes()
    }

    #[cfg(test)]
    fn regions(&self) -> usize {
        self.directory.regions()
    }
}

/// Changes to a database's values where they are.
impl Table<EntryBox> {
    /// The list at a place from [`Table::find`].
    pub(crate) fn list_mut(&mut self, at: At) -> Option<&mut List> {
        self.directory.list_mut(at)
    }

    /// The long string at a place from [`Table::find`].
    pub(crate) fn shared_mut(&mut self, at: At) -> Option<&mut SharedBytes> {
        self.directory.shared_mut(at)
    }

    /// The bytes of a short string at a place from [`Table::find`].
    pub(crate) fn inline_mut(&mut self, at: At) -> Option<&mut [u8]> {
        self.directory.inline_mut(at)
    }
}
