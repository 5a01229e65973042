//! The two-level directory and the segments below it: extendible hashing by the leading bits of a hash.
//!
//! ```text
//!  root: 2^root_depth region numbers ──▶ regions ──▶ 2^bits slots of 16 bytes ──▶ segment: 1..=8 lines ──▶ items
//!
//!  hash: ├ root_depth ┤            the root's index, several entries may name one region
//!        ├ region.depth ┼ bits ┤   a slot in the region, several slots may name one segment
//!        ├ slot.depth ──┤          what all items of a segment have in common
//! ```
//!
//! A slot is repeated over all indexes that its segment covers. Only the first of them, the *canonical* one, keeps
//! the item count and the earliest expiry, so that an insertion writes one slot. Regions are bounded, hence no step
//! copies more than one region's slots (32 KB) or the root's 4 bytes per region.
//!
//! Invariants that the unsafe operations below rest on:
//! 1. `Slot::lines` came from a `Box<[Line]>` of `line_count` lines, owned by the directory through the canonical
//!    slot; repeats are updated (`publish`) before the old lines are freed.
//! 2. Every taken place of a line holds the address of an item of type `T` whose ownership the line has (`into_raw`
//!    when it went in, `from_raw` exactly once when it leaves).
//! 3. Nothing outside this module reaches lines or addresses without borrowing the directory.

mod ahead;
mod due;

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::item::{Item, Ref};
use super::line::{Line, PLACES, Word};
use super::prefetch::prefetch;
use crate::hash::Hash;
use crate::relocate::Mover;

pub use ahead::Ahead;
pub(crate) use due::DueSearch;

/// Lines of a segment that splits rather than grow.
pub(crate) const FULL_LINES: usize = 8;
/// Lines that even a segment which may not split cannot exceed.
pub(crate) const MOST_LINES: usize = 255;
/// Leading bits that the directory may use at most: the home line's 8 bits follow inside SCAN's 48.
pub(crate) const MOST_DEPTH: u8 = 40;
/// Window bits that may lie inside the segment's own prefix before its items are hashed again.
const MOST_USED: u8 = 8;
/// A region's slots at most, as a power of two: 2^11 × 16 bytes = 32 KB. Tests use tiny regions to see them split.
pub(crate) const MOST_REGION_BITS: u8 = if cfg!(test) { 3 } else { 11 };
/// No item of the segment has an expiry.
pub(crate) const NEVER: u32 = u32::MAX;

/// What the directory knows of a segment.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    lines: *mut Line,
    /// A lower bound of the expiry ticks of the segment's items; canonical slot only.
    earliest: u32,
    /// Leading hash bits that all items share.
    depth: u8,
    line_count: u8,
    /// Items (low 12 bits; canonical slot only) and how many window bits the depth has used up (high 4).
    len_used: u16,
}

impl Slot {
    fn new(lines: Box<[Line]>, depth: u8, used: u8, len: usize, earliest: u32) -> Self {
        let line_count = u8::try_from(lines.len()).expect("a segment has at most 255 lines");
        let len = u16::try_from(len).expect("a segment has at most 1785 items");
        let lines = Box::into_raw(lines).cast::<Line>();
        Self { lines, earliest, depth, line_count, len_used: u16::from(used) << 12 | len }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len_used & 0x0fff)
    }

    #[inline(always)]
    pub(crate) fn line_count(&self) -> usize {
        usize::from(self.line_count)
    }

    #[inline(always)]
    pub(crate) fn depth(&self) -> u8 {
        self.depth
    }

    #[inline(always)]
    fn used(&self) -> u8 {
        (self.len_used >> 12) as u8
    }

    /// The hash bit at which the windows of this segment's items start.
    #[inline(always)]
    pub(crate) fn base(&self) -> u8 {
        self.depth - self.used()
    }

    /// The line that an item with this window is searched from: its place in hash order, so that lines are in order too.
    #[inline(always)]
    fn home(&self, window: u16) -> usize {
        home(window, self.used(), self.line_count())
    }
}

#[inline(always)]
fn home(window: u16, used: u8, lines: usize) -> usize {
    let bits = usize::from((window << used) >> 8);
    (bits * lines) >> 8
}

/// Slots for one range of leading bits.
struct Region {
    slots: Box<[Slot]>,
    /// The range's leading bits, the rest zero.
    start: u64,
    /// How many leading bits the range has.
    depth: u8,
    /// The number of slots as a power of two.
    bits: u8,
    /// Segments that cover a single slot; none left means that half the slots can go.
    deepest: u32,
    /// A lower bound of the slots' earliest expiry.
    earliest: u32,
}

impl Region {
    fn new(slots: Box<[Slot]>, start: u64, depth: u8, earliest: u32) -> Self {
        let bits = slots.len().trailing_zeros() as u8;
        let mut region = Self { slots, start, depth, bits, deepest: 0, earliest };
        region.deepest = region.slots.iter().filter(|s| s.depth == region.full_depth()).count() as u32;
        region
    }

    fn full_depth(&self) -> u8 {
        self.depth + self.bits
    }

    #[inline(always)]
    fn index(&self, hash: Hash) -> usize {
        Hash(hash.0 << self.depth).leading(self.bits)
    }

    /// How many slots name the segment at `index`.
    #[inline(always)]
    fn span(&self, index: usize) -> usize {
        1 << (self.full_depth() - self.slots[index].depth)
    }

    /// Each slot twice.
    fn doubled(&self, times: u8) -> Vec<Slot> {
        let mut slots = Vec::with_capacity(self.slots.len() << times);
        for slot in &self.slots {
            slots.extend(std::iter::repeat_n(*slot, 1 << times));
        }
        slots
    }
}

/// The line after this one; the first comes after the last.
#[inline(always)]
fn behind(line: usize, lines: &[Line]) -> usize {
    if line + 1 == lines.len() { 0 } else { line + 1 }
}

/// Searches the lines behind the home line for an item that found that full.
#[cold]
fn find_further(
    lines: &[Line],
    home: usize,
    find: impl Fn(&Line) -> Option<usize>,
) -> Option<(usize, usize)> {
    let mut line = home;
    for _ in 1..lines.len() {
        line = behind(line, lines);
        if let Some(place) = find(&lines[line]) {
            return Some((line, place));
        }
        if !lines[line].overflowed() {
            return None;
        }
    }
    None
}

/// Which segment: valid until the next call that changes the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loc {
    region: u32,
    slot: u32,
}

/// Which place of which segment; checked when used, stale after any insertion or removal.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Any slot of the segment: reading needs no more, so a search leaves it at that.
    loc: Loc,
    line: u8,
    place: u8,
}

/// Hashes an item's key.
type HashOf<'a, T> = &'a dyn Fn(&T) -> Hash;

/// An item on its way from one segment to another.
struct Moved {
    item: NonNull<u8>,
    window: u16,
    tag: u8,
    is_due: bool,
}

/// The directory with all segments and items below it.
pub(crate) struct Directory<T: Item> {
    root: Vec<u32>,
    regions: Vec<Region>,
    root_depth: u8,
    items: PhantomData<T>,
}

// SAFETY: the directory owns its lines and items (invariants 1 and 2) and shares them with nobody.
unsafe impl<T: Item + Send> Send for Directory<T> {}

impl<T: Item> Directory<T> {
    pub(crate) const fn new() -> Self {
        Self { root: Vec::new(), regions: Vec::new(), root_depth: 0, items: PhantomData }
    }

    /// No segment was ever made.
    #[inline(always)]
    pub(crate) fn is_unused(&self) -> bool {
        self.regions.is_empty()
    }

    /// Makes the first segment, of one line.
    pub(crate) fn start(&mut self) {
        assert!(self.is_unused(), "the first segment is made once");
        let slot = Slot::new(empty_lines(1), 0, 0, 0, NEVER);
        self.regions.reserve_exact(1);
        self.regions.push(Region::new(Box::new([slot]), 0, 0, NEVER));
    }

    // --- finding -----------------------------------------------------------------------------------------------

    #[inline(always)]
    fn region_of(&self, hash: Hash) -> usize {
        if self.root_depth == 0 { 0 } else { self.root[hash.leading(self.root_depth)] as usize }
    }

    /// The segment that `hash` belongs to. The table must not be unused.
    #[inline(always)]
    pub(crate) fn locate(&self, hash: Hash) -> Loc {
        let region = self.region_of(hash);
        let index = self.regions[region].index(hash);
        self.canonical(region, index)
    }

    #[inline(always)]
    fn canonical(&self, region: usize, index: usize) -> Loc {
        let first = index & !(self.regions[region].span(index) - 1);
        Loc { region: region as u32, slot: first as u32 }
    }

    /// The segment of a place.
    #[inline(always)]
    pub(crate) fn segment_of(&self, at: At) -> Loc {
        self.canonical(at.loc.region as usize, at.loc.slot as usize)
    }

    #[inline(always)]
    pub(crate) fn slot(&self, loc: Loc) -> &Slot {
        &self.regions[loc.region as usize].slots[loc.slot as usize]
    }

    #[inline(always)]
    fn slot_mut(&mut self, loc: Loc) -> &mut Slot {
        &mut self.regions[loc.region as usize].slots[loc.slot as usize]
    }

    /// The smallest hash that belongs to the segment.
    pub(crate) fn first_hash(&self, loc: Loc) -> Hash {
        let region = &self.regions[loc.region as usize];
        let below = 64 - u32::from(region.full_depth());
        let offset = u64::from(loc.slot).checked_shl(below).unwrap_or(0);
        Hash(region.start | offset)
    }

    /// The smallest hash after the segment's; `None` for the last segment.
    pub(crate) fn next_hash(&self, loc: Loc) -> Option<Hash> {
        let size = 1u64.checked_shl(64 - u32::from(self.slot(loc).depth))?;
        self.first_hash(loc).0.checked_add(size).map(Hash)
    }

    /// The segment that shares all but the last leading bit, if it is as deep and in the same region.
    pub(crate) fn buddy(&self, loc: Loc) -> Option<Loc> {
        let region = &self.regions[loc.region as usize];
        let depth = self.slot(loc).depth;
        if depth <= region.depth {
            return None;
        }
        let other = loc.slot as usize ^ region.span(loc.slot as usize);
        (region.slots[other].depth == depth).then_some(Loc { region: loc.region, slot: other as u32 })
    }

    #[inline(always)]
    fn lines_of<'a>(&'a self, slot: &Slot) -> &'a [Line] {
        // SAFETY: invariant 1: `lines` points to `line_count` lines that live as long as the directory is borrowed.
        unsafe { std::slice::from_raw_parts(slot.lines, slot.line_count()) }
    }

    #[inline(always)]
    fn lines_mut(&mut self, loc: Loc) -> &mut [Line] {
        let slot = *self.slot(loc);
        // SAFETY: invariant 1, and the directory is borrowed mutably, so nobody else sees the lines.
        unsafe { std::slice::from_raw_parts_mut(slot.lines, slot.line_count()) }
    }

    #[inline(always)]
    fn borrow(&self, item: NonNull<u8>) -> Ref<'_, T> {
        // SAFETY: invariant 2: the address of a taken place is an item of type T, owned by the borrowed directory.
        unsafe { Ref::new(item) }
    }

    /// Searches for the item with this key. Touches the home line and, as a rule, one item.
    #[inline(always)]
    pub(crate) fn find(&self, hash: Hash, key: &[u8]) -> Option<At> {
        if self.is_unused() {
            return None;
        }
        let region = self.region_of(hash);
        let index = self.regions[region].index(hash);
        let slot = &self.regions[region].slots[index];
        let lines = self.lines_of(slot);
        let window = hash.window(slot.base());
        let home = slot.home(window);
        let same = |item| self.borrow(item).item().has_key(key);
        let (line, place) = match lines[home].find(hash.tag(), window, same) {
            Some(place) => (home, place),
            None if !lines[home].overflowed() => return None,
            None => find_further(lines, home, |line| line.find(hash.tag(), window, same))?,
        };
        let loc = Loc { region: region as u32, slot: index as u32 };
        Some(At { loc, line: line as u8, place: place as u8 })
    }

    /// As [`Self::find`], but gives the item itself.
    #[inline]
    pub(crate) fn get(&self, hash: Hash, key: &[u8]) -> Option<Ref<'_, T>> {
        let at = self.find(hash, key)?;
        Some(self.item(at))
    }

    // --- items -------------------------------------------------------------------------------------------------

    #[inline(always)]
    pub(crate) fn item(&self, at: At) -> Ref<'_, T> {
        let line = &self.lines_of(self.slot(at.loc))[usize::from(at.line)];
        assert!(line.is_taken(usize::from(at.place)), "a stale place was used");
        self.borrow(line.word(usize::from(at.place)).item())
    }

    /// Lends the item out for a change that may move it to another address (but not to another key).
    #[inline]
    pub(crate) fn update<R>(&mut self, at: At, change: impl FnOnce(&mut T) -> R) -> R {
        let place = usize::from(at.place);
        let line = &mut self.lines_mut(at.loc)[usize::from(at.line)];
        assert!(line.is_taken(place), "a stale place was used");
        // SAFETY: invariant 2; the guard puts an owner back into the line before anyone else looks, also on a panic.
        let item = unsafe { T::from_raw(line.word(place).item()) };
        let mut guard = PutBack { line, place, item: ManuallyDrop::new(item) };
        change(&mut guard.item)
    }

    /// Puts an item whose key is absent into its segment, which must have a free place.
    #[inline]
    pub(crate) fn put(&mut self, loc: Loc, hash: Hash, item: T) -> At {
        let slot = *self.slot(loc);
        let window = hash.window(slot.base());
        let moved = Moved { item: item.into_raw(), window, tag: hash.tag(), is_due: false };
        let (line, place) = fill(self.lines_mut(loc), slot.used(), &moved);
        self.slot_mut(loc).len_used += 1;
        At { loc, line: line as u8, place: place as u8 }
    }

    /// Takes an item out.
    #[inline]
    pub(crate) fn take(&mut self, at: At) -> T {
        let place = usize::from(at.place);
        let line = &mut self.lines_mut(at.loc)[usize::from(at.line)];
        assert!(line.is_taken(place), "a stale place was used");
        let raw = line.word(place).item();
        line.clear(place);
        let segment = self.segment_of(at);
        self.slot_mut(segment).len_used -= 1;
        // SAFETY: invariant 2; the place was emptied above, so this owner is the only one.
        unsafe { T::from_raw(raw) }
    }

    /// The items of one segment, roughly in hash order.
    pub(crate) fn items(&self, loc: Loc) -> impl Iterator<Item = Ref<'_, T>> + '_ {
        self.lines_of(self.slot(loc))
            .iter()
            .flat_map(|line| line.items())
            .map(|(_, word)| self.borrow(word.item()))
    }

    /// The items of one segment with their windows.
    pub(crate) fn windows(&self, loc: Loc) -> impl Iterator<Item = (u16, Ref<'_, T>)> + '_ {
        let words = self.lines_of(self.slot(loc)).iter().flat_map(|line| line.items());
        words.map(|(_, word)| (word.window(), self.borrow(word.item())))
    }

    /// The item at a number below `7 * line_count`, if that place is taken.
    pub(crate) fn nth(&self, loc: Loc, place: usize) -> Option<Ref<'_, T>> {
        let line = self.lines_of(self.slot(loc)).get(place / PLACES)?;
        line.is_taken(place % PLACES).then(|| self.borrow(line.word(place % PLACES).item()))
    }

    /// Starts to fetch all items of a segment.
    pub(crate) fn prefetch_items(&self, loc: Loc) {
        for line in self.lines_of(self.slot(loc)) {
            line.items().for_each(|(_, word)| prefetch(word.address()));
        }
    }

    /// Starts to fetch so many items of a segment, from the `skip`-th on.
    pub(crate) fn prefetch_some(&self, loc: Loc, skip: usize, count: usize) {
        let words = self.lines_of(self.slot(loc)).iter().flat_map(|line| line.items());
        words.skip(skip).take(count).for_each(|(_, word)| prefetch(word.address()));
    }

    /// Moves a segment's lines as the mover says, and lets each item be moved.
    pub(crate) fn relocate(
        &mut self,
        loc: Loc,
        mover: &mut Mover<'_>,
        mut relocate: impl FnMut(&mut T, &mut Mover<'_>),
    ) {
        let slot = *self.slot(loc);
        if mover.wants(slot.lines) {
            let copy: Box<[Line]> = Box::from(self.lines_of(&slot));
            let lines = Box::into_raw(copy).cast::<Line>();
            self.publish(loc, Slot { lines, ..slot });
            // SAFETY: invariant 1: the lines came from such a box; no slot names them any more.
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(slot.lines, slot.line_count())) });
        }
        for line in self.lines_mut(loc) {
            for place in 0..PLACES {
                if !line.is_taken(place) {
                    continue;
                }
                // SAFETY: invariant 2; the guard puts an owner back into the line before anyone else looks, also on a panic.
                let item = unsafe { T::from_raw(line.word(place).item()) };
                let mut guard = PutBack { line, place, item: ManuallyDrop::new(item) };
                relocate(&mut guard.item, mover);
            }
        }
    }

    // --- shape -------------------------------------------------------------------------------------------------

    /// Writes a changed slot over all indexes that name its segment.
    fn publish(&mut self, loc: Loc, slot: Slot) {
        let region = &mut self.regions[loc.region as usize];
        let span = 1usize << (region.full_depth() - slot.depth);
        let first = loc.slot as usize;
        region.slots[first..first + span].fill(slot);
    }

    /// Takes the items out of a segment, emptying its memory. The caller puts them elsewhere and publishes that.
    fn drain(&mut self, loc: Loc, rehash: Option<(u8, HashOf<'_, T>)>, into: &mut Vec<Moved>) {
        let slot = *self.slot(loc);
        for line in self.lines_of(&slot) {
            for (tag, word) in line.items() {
                let window = match rehash {
                    Some((base, hash_of)) => hash_of(self.borrow(word.item()).item()).window(base),
                    None => word.window(),
                };
                into.push(Moved { item: word.item(), window, tag, is_due: word.is_due() });
            }
        }
        // SAFETY: invariant 1: the lines came from such a box; the caller overwrites all slots that name them.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(slot.lines, slot.line_count())) });
    }

    /// Gives the segment another number of lines, which must have room for its items.
    pub(crate) fn resize(&mut self, loc: Loc, lines: usize) {
        let slot = *self.slot(loc);
        let mut moved = Vec::with_capacity(slot.len());
        self.drain(loc, None, &mut moved);
        let lines = filled(lines, slot.used(), &moved);
        self.publish(loc, Slot::new(lines, slot.depth, slot.used(), moved.len(), slot.earliest));
    }

    /// Divides the segment of `hash` by its next bit; `lines_for` says how many lines a number of items gets.
    pub(crate) fn split(&mut self, hash: Hash, lines_for: fn(usize) -> usize, hash_of: HashOf<'_, T>) {
        self.make_room_to_split(hash);
        let loc = self.locate(hash);
        let slot = *self.slot(loc);
        let depth = slot.depth + 1;
        let rehash = slot.used() + 1 > MOST_USED;
        let base = if rehash { slot.depth } else { slot.base() };
        let mut moved = Vec::with_capacity(slot.len());
        if rehash {
            self.prefetch_items(loc);
        }
        self.drain(loc, rehash.then_some((base, hash_of)), &mut moved);
        let bit = 15 - u32::from(slot.depth - base);
        let (high, low): (Vec<_>, Vec<_>) = moved.into_iter().partition(|m| m.window >> bit & 1 == 1);
        let region = &mut self.regions[loc.region as usize];
        let half = 1u32 << (region.full_depth() - depth);
        if half == 1 {
            region.deepest += 2;
        }
        for (items, first) in [(low, loc.slot), (high, loc.slot + half)] {
            let lines = filled(lines_for(items.len()), depth - base, &items);
            let slot = Slot::new(lines, depth, depth - base, items.len(), slot.earliest);
            self.publish(Loc { region: loc.region, slot: first }, slot);
        }
    }

    /// Joins a segment with its [`Self::buddy`].
    pub(crate) fn merge(
        &mut self,
        loc: Loc,
        buddy: Loc,
        lines_for: fn(usize) -> usize,
        hash_of: HashOf<'_, T>,
    ) {
        let (one, other) = (*self.slot(loc), *self.slot(buddy));
        let depth = one.depth - 1;
        let keep = one.base() == other.base() && one.base() <= depth;
        // Some bits of slack on both sides: neither the next merge nor the next split hashes again.
        let base = if keep { one.base() } else { depth.saturating_sub(MOST_USED / 2) };
        let rehash = (!keep).then_some((base, hash_of));
        let mut moved = Vec::with_capacity(one.len() + other.len());
        self.drain(loc, rehash, &mut moved);
        self.drain(buddy, rehash, &mut moved);
        let region = &mut self.regions[loc.region as usize];
        if one.depth == region.full_depth() {
            region.deepest -= 2;
        }
        let lines = filled(lines_for(moved.len()), depth - base, &moved);
        let slot = Slot::new(lines, depth, depth - base, moved.len(), one.earliest.min(other.earliest));
        let first = loc.slot.min(buddy.slot);
        self.publish(Loc { region: loc.region, slot: first }, slot);
        self.contract(loc.region as usize);
    }

    /// Makes sure that the segment of `hash` covers at least two slots of its region.
    fn make_room_to_split(&mut self, hash: Hash) {
        let number = self.region_of(hash);
        let region = &self.regions[number];
        if region.slots[region.index(hash)].depth < region.full_depth() {
            return;
        }
        if region.bits == MOST_REGION_BITS {
            self.split_region(number);
            return self.make_room_to_split(hash);
        }
        let region = &mut self.regions[number];
        region.slots = region.doubled(1).into_boxed_slice();
        region.bits += 1;
        region.deepest = 0;
    }

    fn split_region(&mut self, number: usize) {
        if self.regions[number].depth == self.root_depth {
            self.double_root();
        }
        let region = &self.regions[number];
        let (depth, earliest) = (region.depth + 1, region.earliest);
        let (low, high) = region.slots.split_at(region.slots.len() / 2);
        let high_start = region.start | 1 << (64 - u32::from(depth));
        let high = Region::new(high.into(), high_start, depth, earliest);
        self.regions[number] = Region::new(low.into(), region.start, depth, earliest);
        self.regions.push(high);
        self.point_root_at(self.regions.len() - 1);
    }

    fn double_root(&mut self) {
        self.root = match self.root_depth {
            0 => vec![0, 0],
            _ => self.root.iter().flat_map(|&region| [region, region]).collect(),
        };
        self.root_depth += 1;
    }

    /// Writes a region's number over all root entries that it covers.
    fn point_root_at(&mut self, number: usize) {
        if self.root_depth == 0 {
            return;
        }
        let region = &self.regions[number];
        let first = Hash(region.start).leading(self.root_depth);
        let span = 1usize << (self.root_depth - region.depth);
        self.root[first..first + span].fill(number as u32);
    }

    /// Halves a region that no longer needs its last bit, joins regions that became small, halves the root.
    fn contract(&mut self, mut number: usize) {
        loop {
            let region = &mut self.regions[number];
            if region.bits > 0 && region.deepest == 0 {
                let halved: Box<[Slot]> = region.slots.iter().copied().step_by(2).collect();
                *region = Region::new(halved, region.start, region.depth, region.earliest);
                continue;
            }
            match self.merge_region(number) {
                Some(merged) => number = merged,
                None => return,
            }
        }
    }

    /// Joins a region with its other half when both are small; gives the joined region's number.
    fn merge_region(&mut self, number: usize) -> Option<usize> {
        // Two bits below the limit: a region that was just joined does not split again at the next doubling.
        let small = MOST_REGION_BITS - 2;
        let region = &self.regions[number];
        if region.depth == 0 || region.bits >= small {
            return None;
        }
        let other_start = region.start ^ 1 << (64 - u32::from(region.depth));
        let other = self.region_of(Hash(other_start));
        let buddy = &self.regions[other];
        if buddy.depth != region.depth || buddy.bits >= small {
            return None;
        }
        let (low, high) = if region.start < buddy.start { (number, other) } else { (other, number) };
        let (a, b) = (&self.regions[low], &self.regions[high]);
        let bits = a.bits.max(b.bits);
        let mut slots = a.doubled(bits - a.bits);
        slots.extend(b.doubled(bits - b.bits));
        let merged = Region::new(slots.into_boxed_slice(), a.start, a.depth - 1, a.earliest.min(b.earliest));
        self.regions[low] = merged;
        self.point_root_at(low);
        self.regions.swap_remove(high);
        let low = if low == self.regions.len() { high } else { low };
        if high < self.regions.len() {
            self.point_root_at(high);
        }
        if self.regions.len() < self.regions.capacity() / 4 {
            self.regions.shrink_to(self.regions.len() * 2);
        }
        self.halve_root();
        Some(low)
    }

    fn halve_root(&mut self) {
        while self.root_depth > 0 && self.regions.iter().all(|r| r.depth < self.root_depth) {
            self.root = self.root.iter().copied().step_by(2).collect();
            self.root_depth -= 1;
        }
        if self.root_depth == 0 {
            self.root = Vec::new();
        }
    }

    /// The deepest that any segment can be at present.
    pub(crate) fn depth_bound(&self) -> u8 {
        match self.regions.as_slice() {
            [only] => only.full_depth(),
            _ => self.root_depth + MOST_REGION_BITS,
        }
    }

    /// Bytes of root, regions and slots.
    pub(crate) fn overhead_bytes(&self) -> usize {
        let slots: usize = self.regions.iter().map(|r| r.slots.len() * size_of::<Slot>()).sum();
        slots + self.regions.capacity() * size_of::<Region>() + self.root.capacity() * size_of::<u32>()
    }

    #[cfg(test)]
    pub(crate) fn regions(&self) -> usize {
        self.regions.len()
    }
}

impl<T: Item> Drop for Directory<T> {
    fn drop(&mut self) {
        let mut next = if self.is_unused() { None } else { Some(Hash(0)) };
        while let Some(hash) = next {
            let loc = self.locate(hash);
            next = self.next_hash(loc);
            let mut moved = Vec::new();
            self.drain(loc, None, &mut moved);
            for leaving in moved {
                // SAFETY: invariant 2; the lines are gone, and each address was in one place.
                drop(unsafe { T::from_raw(leaving.item) });
            }
        }
    }
}

/// Writes the item's present address into its place when a change is over or has panicked.
struct PutBack<'a, T: Item> {
    line: &'a mut Line,
    place: usize,
    item: ManuallyDrop<T>,
}

impl<T: Item> Drop for PutBack<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `item` is not used after this; the line takes its ownership back.
        let item = unsafe { ManuallyDrop::take(&mut self.item) };
        let raw = item.into_raw();
        // Most changes leave the item where it is: then the line stays clean and need not go back to memory.
        if raw != self.line.word(self.place).item() {
            self.line.replace(self.place, raw);
        }
    }
}

fn empty_lines(count: usize) -> Box<[Line]> {
    vec![Line::EMPTY; count].into_boxed_slice()
}

fn filled(count: usize, used: u8, items: &[Moved]) -> Box<[Line]> {
    let mut lines = empty_lines(count);
    for item in items {
        fill(&mut lines, used, item);
    }
    lines
}

/// Puts an item into the first free place at or after its home line.
#[inline]
fn fill(lines: &mut [Line], used: u8, moved: &Moved) -> (usize, usize) {
    let word = Word::new(moved.item, moved.window).with_due(moved.is_due);
    let mut line = home(moved.window, used, lines.len());
    for _ in 0..lines.len() {
        if let Some(place) = lines[line].place(moved.tag, word) {
            return (line, place);
        }
        line = behind(line, lines);
    }
    panic!("a segment of {} lines has no free place", lines.len());
}
