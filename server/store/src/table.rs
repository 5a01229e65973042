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
use crate::relocate::Mover;

use crate::object::Object;
use crate::raw::entry::EntryBox;
use crate::value::SharedBytes;

pub use crate::raw::directory::{Ahead, At};

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

    /// As [`Self::find`], but looks first where the stages below saw it.
    #[inline]
    pub fn find_ahead(&self, hash: Hash, key: &[u8], ahead: Ahead) -> Option<At> {
        self.directory.find_ahead(hash, key, ahead)
    }

    /// As [`Self::get`], but looks first where the stages below saw it.
    #[inline]
    pub fn get_ahead(&self, hash: Hash, key: &[u8], ahead: Ahead) -> Option<Ref<'_, T>> {
        self.directory.get_ahead(hash, key, ahead)
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
        self.shrink(self.directory.segment_of(at));
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

    /// Starts to fetch the directory slot of `hash`: the first of four stages for a batch of requests. Each says whether
    /// the next has anything to do; the table must not change between them.
    #[inline]
    pub fn prefetch_slot(&self, hash: Hash) -> Option<Ahead> {
        self.directory.prefetch_slot(hash)
    }

    /// Starts to fetch the line that `hash` is searched in: the second stage.
    #[inline]
    pub fn prefetch_line(&self, hash: Hash, ahead: &mut Ahead) -> bool {
        self.directory.prefetch_line(hash, ahead)
    }

    /// Starts to fetch the item that a search for `hash` will probably find: the third stage.
    #[inline]
    pub fn prefetch_item(&self, hash: Hash, ahead: &mut Ahead) -> bool {
        self.directory.prefetch_item(hash, ahead)
    }

    /// The same for an item that did not fit into its line: the fourth stage.
    #[inline]
    pub fn prefetch_further(&self, hash: Hash, ahead: &mut Ahead) -> bool {
        self.directory.prefetch_further(hash, ahead)
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

    /// Moves a segment and its items as the mover says; where the next one begins.
    pub fn relocate_segment(
        &mut self,
        from: u64,
        mover: &mut Mover<'_>,
        relocate: impl FnMut(&mut T, &mut Mover<'_>),
    ) -> Option<u64> {
        if self.directory.is_unused() {
            return None;
        }
        let loc = self.directory.locate(Hash::from_prefix(from));
        self.directory.prefetch_items(loc);
        self.directory.relocate(loc, mover, relocate);
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
            let place = ((dice & 0xffff_ffff) * places) >> 32;
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

    /// Visits up to `count` items from a random place on, whose neighbours they are: hashes are random, so neighbours are
    /// as good a sample as items from all over, and cheaper to look at. Fewer when `segments` segments hold no more.
    pub fn sample<'a>(
        &'a self,
        random: u64,
        count: usize,
        segments: usize,
        mut visit: impl FnMut(Ref<'a, T>),
    ) {
        if self.is_empty() {
            return;
        }
        let mut loc = self.directory.locate(Hash(random));
        let len = self.directory.slot(loc).len();
        // The hash's low bits choose no segment, so they are still free to choose an item.
        let mut skip = if len > 0 { random as u16 as usize % len } else { 0 };
        let mut visited = 0;
        for _ in 0..segments {
            self.directory.prefetch_some(loc, skip, count - visited);
            for item in self.directory.items(loc).skip(std::mem::take(&mut skip)) {
                if visited == count {
                    return;
                }
                visited += 1;
                visit(item);
            }
            loc = self.directory.locate(self.directory.next_hash(loc).unwrap_or(Hash(0)));
        }
    }

    /// The next segment behind the hash `from` that may hold an item with an expiry: visits its items as
    /// [`Self::visit_due`] does, and returns likewise.
    pub fn sample_due(&mut self, from: u64, budget: &mut usize, visit: impl FnMut(&T) -> u32) -> Option<u64> {
        self.visit_due(Hash(from).prefix(), NEVER, budget, visit)
    }

    // --- expiry ------------------------------------------------------------------------------------------------

    /// Notes that the item at `at` expires at `tick` (any coarse clock below `u32::MAX`).
    #[inline]
    pub fn note_due(&mut self, at: At, tick: u32) {
        self.directory.note_due(at, tick);
    }

    /// Looks for the next segment that may hold an item due before `tick`, from the prefix `from` on. A directory slot, a line
    /// of a segment and an item looked at cost one of `budget` each. For the segment found, `visit` gets each item that was
    /// ever noted as due since it came there, and returns its tick
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
        let due = self.directory.prefetch_due(loc);
        *budget = budget.saturating_sub(self.directory.slot(loc).line_count() + due);
        let earliest = self.directory.due_items(loc).map(|item| visit(item.item())).min().unwrap_or(NEVER);
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
    pub(crate) fn object_mut(&mut self, at: At) -> Option<&mut Object> {
        self.directory.object_mut(at)
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::value::{NewValue, Value};

    const MANY: usize = if cfg!(miri) { 300 } else { 20_000 };

    fn entry(key: &[u8], value: i64) -> EntryBox {
        EntryBox::new(key, NewValue::Int(value), None)
    }

    fn key(n: usize) -> Vec<u8> {
        format!("key:{n}").into_bytes()
    }

    fn filled(keys: usize) -> Table<EntryBox> {
        let mut table = Table::new(Seed::new([7, 11]));
        for n in 0..keys {
            let key = key(n);
            table.insert(table.seed().hash(&key), entry(&key, n as i64));
        }
        table
    }

    fn remove(table: &mut Table<EntryBox>, key: &[u8]) -> bool {
        table.remove(table.seed().hash(key), key).is_some()
    }

    fn scan_all(table: &Table<EntryBox>, count: usize) -> Vec<Vec<u8>> {
        let (mut keys, mut cursor) = (Vec::new(), 0);
        loop {
            cursor = table.scan(cursor, count, |item| keys.push(item.key().to_vec()));
            if cursor == 0 {
                return keys;
            }
        }
    }

    #[test]
    fn a_small_table_is_one_line() {
        let table = filled(7);
        assert!(table.overhead_bytes() < 250, "{} bytes", table.overhead_bytes());
        assert!(filled(20).overhead_bytes() < 4 * 64 + 150);
        assert_eq!(Table::<EntryBox>::new(Seed::new([0, 0])).overhead_bytes(), 0);
    }

    #[test]
    fn lines_are_filled_before_a_segment_grows() {
        for lines in 1..=FULL_LINES {
            let most = most_items(lines);
            assert!(most <= lines * PLACES && most * 10 >= lines * PLACES * 9, "{lines} lines");
            assert!(lines_for(most) == lines + 1 && lines_for(most - 1) == lines);
        }
    }

    #[test]
    fn grows_and_shrinks_back_to_one_region() {
        let mut table = filled(MANY);
        assert_eq!(table.len(), MANY);
        assert!(table.regions() > 1 || cfg!(miri));
        for n in 0..MANY {
            let key = key(n);
            let found = table.get(table.seed().hash(&key), &key);
            assert!(matches!(found.map(|e| e.long_value()), Some(Value::Int(v)) if v == n as i64), "key {n}");
        }
        let full = scan_all(&table, 10);
        assert_eq!((full.len(), full.iter().collect::<HashSet<_>>().len()), (MANY, MANY));
        for n in 0..MANY {
            assert!(remove(&mut table, &key(n * 7919 % MANY)), "key {n}");
            if n % 4999 == 0 {
                assert_eq!(scan_all(&table, 100).len(), table.len());
            }
        }
        assert!(table.is_empty());
        assert_eq!(table.regions(), 1);
        assert!(table.overhead_bytes() < 1000, "{} bytes", table.overhead_bytes());
    }

    #[test]
    fn what_was_seen_ahead_never_misleads() {
        let keys = if cfg!(miri) { 60 } else { 3000 };
        let mut table = filled(keys);
        let look_ahead = |table: &Table<EntryBox>, n: usize| {
            let hash = table.seed().hash(&key(n));
            let mut ahead = table.prefetch_slot(hash).expect("the table is in use");
            let _ = table.prefetch_line(hash, &mut ahead)
                && table.prefetch_item(hash, &mut ahead)
                && table.prefetch_further(hash, &mut ahead);
            ahead
        };
        let seen: Vec<Ahead> = (0..keys).map(|n| look_ahead(&table, n)).collect();
        let hits = |table: &Table<EntryBox>| {
            (0..keys)
                .filter(|n| {
                    let key = key(*n);
                    let found = table.get_ahead(table.seed().hash(&key), &key, seen[*n]);
                    let at = table.find_ahead(table.seed().hash(&key), &key, seen[*n]);
                    let plain = table.get(table.seed().hash(&key), &key);
                    assert_eq!(found.as_ref().map(|item| item.key()), plain.as_ref().map(|item| item.key()));
                    assert_eq!(at.map(|at| table.item(at).key() == key), plain.map(|_| true));
                    found.is_some()
                })
                .count()
        };
        assert_eq!(hits(&table), keys);
        for n in (0..keys).step_by(2) {
            assert!(remove(&mut table, &key(n)));
        }
        assert_eq!(hits(&table), keys / 2);
        for n in keys..keys * 4 {
            let key = key(n);
            table.insert(table.seed().hash(&key), entry(&key, 0));
        }
        assert_eq!(hits(&table), keys / 2);
        let key = key(1);
        for bits in [0, u64::MAX, u64::MAX >> 32, 0xffff_ff00, 0xff, 7, 0x0100_0000_00ff] {
            let found = table.get_ahead(table.seed().hash(&key), &key, Ahead::from_bits(bits));
            assert!(found.is_some_and(|item| item.key() == key));
        }
        // Nothing is found where nothing was seen, not even in a table that was never used.
        let unused = Table::<EntryBox>::new(Seed::new([7, 11]));
        assert!(unused.get_ahead(unused.seed().hash(&key), &key, seen[1]).is_none());
    }

    #[test]
    fn equal_prefixes_lengthen_a_segment_and_stay_together_in_scan() {
        let mut table = Table::new(Seed::FORGED);
        let together = |n: usize| format!("samepref{n}").into_bytes();
        for n in 0..500 {
            let key = together(n);
            table.insert(Seed::FORGED.hash(&key), entry(&key, 0));
        }
        let mut emitted = 0;
        let mut cursor = table.scan(0, 10, |_| emitted += 1);
        assert_eq!(emitted, 500);
        while cursor != 0 {
            cursor = table.scan(cursor, 10, |_| panic!("all were emitted at once"));
        }
        assert!(table.overhead_bytes() < 500 * 16, "{} bytes", table.overhead_bytes());
        assert!((0..500).all(|n| remove(&mut table, &together(n))));
        assert!(table.overhead_bytes() < 2500, "{} bytes", table.overhead_bytes());
    }

    #[test]
    fn a_cursor_from_nowhere_is_harmless() {
        let table = filled(100);
        for cursor in [1, (1 << 48) - 1, 1 << 48, u64::MAX] {
            table.scan(cursor, 10, |_| ());
        }
        assert_eq!(filled(0).scan(5, 10, |_| ()), 0);
    }

    #[test]
    fn random_items_are_about_equally_likely() {
        let keys = if cfg!(miri) { 60 } else { 300 };
        let table = filled(keys);
        let mut state = 1u64;
        let mut next = move || {
            // Weyl sequence through a mixer: plenty for a test.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) ^ x >> 31
        };
        let mut seen = HashMap::<Vec<u8>, usize>::new();
        let draws = keys * 100;
        for _ in 0..draws {
            let item = table.random(&mut next).expect("not empty");
            *seen.entry(item.key().to_vec()).or_default() += 1;
        }
        assert_eq!(seen.len(), keys);
        assert!(seen.values().all(|&n| n > 40 && n < 180), "{:?}", seen.values().max());
        assert!(filled(0).random(|| 0).is_none());
        assert!(table.random(|| u64::MAX).is_some(), "also a broken generator ends");
    }

    #[test]
    fn due_segments_are_found_and_only_these() {
        let mut table = filled(MANY / 4);
        let due = |n: usize| n.is_multiple_of(50);
        for n in (0..MANY / 4).filter(|&n| due(n)) {
            let at = table.find(table.seed().hash(&key(n)), &key(n)).expect("present");
            table.note_due(at, 100);
        }
        let mut reported = HashSet::new();
        let mut walk = |table: &mut Table<EntryBox>, tick| {
            let (mut from, mut visits) = (0, 0);
            loop {
                let mut budget = 3;
                let next = table.visit_due(from, tick, &mut budget, |item| {
                    visits += 1;
                    reported.insert(item.key().to_vec());
                    NEVER
                });
                match next {
                    Some(next) => from = next,
                    None => return visits,
                }
            }
        };
        assert_eq!(walk(&mut table, 100), 0);
        assert!(walk(&mut table, 101) > 0);
        assert_eq!(walk(&mut table, 101), 0, "the bounds were raised");
        assert!((0..MANY / 4).filter(|&n| due(n)).all(|n| reported.contains(&key(n))));
    }

    #[test]
    fn slots_are_read_only_where_something_may_be_due() {
        let mut table = filled(MANY / 4);
        for n in 0..MANY / 4 {
            let at = table.find(table.seed().hash(&key(n)), &key(n)).expect("present");
            table.note_due(at, 100);
        }
        // All are looked into, after which regions remember a bound that their segments have no more.
        let mut from = Some(0);
        while let Some(prefix) = from {
            from = table.visit_due(prefix, 101, &mut 100, |_| NEVER);
        }
        let cost = |table: &mut Table<EntryBox>, tick| {
            let mut budget = 1_000_000;
            assert!(table.visit_due(0, tick, &mut budget, |_| panic!("nothing is due")).is_none());
            1_000_000 - budget
        };
        let regions = table.regions();
        assert_eq!(cost(&mut table, 100), regions);
        assert!(cost(&mut table, 101) > regions, "reading slots is not for nothing");
        assert_eq!(cost(&mut table, 101), regions, "the bounds were raised");
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u16),
        InsertMany(u16, u16),
        Remove(u16),
        RemoveMany(u16, u16),
        Scan(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let many = if cfg!(miri) { 20 } else { 200u16 };
        prop_oneof![
            4 => any::<u16>().prop_map(Op::Insert),
            2 => (any::<u16>(), 1..many).prop_map(|(n, many)| Op::InsertMany(n, many)),
            4 => any::<u16>().prop_map(Op::Remove),
            2 => (any::<u16>(), 1..many).prop_map(|(n, many)| Op::RemoveMany(n, many)),
            6 => (1usize..30).prop_map(Op::Scan),
        ]
    }

    /// A table with its model, and a SCAN that runs meanwhile.
    struct Bench {
        table: Table<EntryBox>,
        model: BTreeMap<Vec<u8>, i64>,
        name: fn(u16) -> Vec<u8>,
        cursor: u64,
        /// Keys that were there at the start of the scan and all the time since.
        throughout: HashSet<Vec<u8>>,
        emitted: Vec<Vec<u8>>,
        changed: HashSet<Vec<u8>>,
    }

    impl Bench {
        fn insert(&mut self, n: u16) {
            let key = (self.name)(n);
            let hash = self.table.seed().hash(&key);
            match self.table.find(hash, &key) {
                Some(at) => self.table.update(at, |item| *item = entry(&key, i64::from(n) + 1)),
                None => drop(self.table.insert(hash, entry(&key, i64::from(n) + 1))),
            }
            self.model.insert(key, i64::from(n) + 1);
        }

        fn remove(&mut self, n: u16) {
            let key = (self.name)(n);
            assert_eq!(remove(&mut self.table, &key), self.model.remove(&key).is_some());
            self.throughout.remove(&key);
            self.changed.insert(key);
        }

        fn scan(&mut self, count: usize) {
            if self.cursor == 0 {
                self.throughout = self.model.keys().cloned().collect();
                self.emitted.clear();
                self.changed.clear();
            }
            let emitted = &mut self.emitted;
            self.cursor = self.table.scan(self.cursor, count, |item| emitted.push(item.key().to_vec()));
            if self.cursor == 0 {
                self.check_scan();
            }
        }

        fn check_scan(&self) {
            let mut times = HashMap::<&[u8], usize>::new();
            self.emitted.iter().for_each(|key| *times.entry(key).or_default() += 1);
            for key in &self.throughout {
                assert_eq!(times.get(&key[..]), Some(&1), "a key that was there throughout");
            }
            for (key, times) in times {
                assert!(times == 1 || self.changed.contains(key), "a key that was never removed came twice");
            }
        }

        fn check_all(&self) {
            assert_eq!(self.table.len(), self.model.len());
            assert_eq!(self.table.iter().count(), self.model.len());
            for (key, value) in &self.model {
                let item = self.table.get(self.table.seed().hash(key), key).expect("in the model");
                assert!(matches!(item.long_value(), Value::Int(v) if v == *value));
            }
        }
    }

    fn run(seed: Seed, name: fn(u16) -> Vec<u8>, ops: Vec<Op>) {
        let mut bench = Bench {
            table: Table::new(seed),
            model: BTreeMap::new(),
            name,
            cursor: 0,
            throughout: HashSet::new(),
            emitted: Vec::new(),
            changed: HashSet::new(),
        };
        for op in ops {
            match op {
                Op::Insert(n) => bench.insert(n % 2000),
                Op::InsertMany(n, many) => (0..many).for_each(|i| bench.insert((n % 2000 + i) % 2000)),
                Op::Remove(n) => bench.remove(n % 2000),
                Op::RemoveMany(n, many) => (0..many).for_each(|i| bench.remove((n % 2000 + i) % 2000)),
                Op::Scan(count) => bench.scan(count),
            }
        }
        bench.check_all();
        while bench.cursor != 0 {
            bench.scan(7);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 200 }))]

        #[test]
        fn behaves_like_a_map_and_scan_keeps_its_promise(
            seed in any::<[u64; 2]>(),
            ops in proptest::collection::vec(op(), 0..120),
        ) {
            run(Seed::new([seed[0] >> 1, seed[1]]), |n| n.to_string().into_bytes(), ops);
        }

        /// Keys whose hashes crowd together: deep directories, long segments, hashing again at splits and merges.
        #[test]
        fn crowded_hashes_do_no_harm(ops in proptest::collection::vec(op(), 0..120)) {
            run(Seed::FORGED, |n| {
                let crowd = [0, 0, u8::from(n % 3 == 0), (n >> 8) as u8, 0, (n % 5) as u8, 0, n as u8];
                [&crowd[..], &n.to_be_bytes()].concat()
            }, ops);
        }
    }
}
