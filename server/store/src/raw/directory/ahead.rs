//! Searches that look ahead: a batch of requests goes through the stages side by side, each of which fetches what the next
//! one reads, so that the time of the memory is spent once for all of them.

use super::{At, Directory, Loc, Slot, behind};
use crate::hash::Hash;
use crate::raw::item::{Item, Ref};
use crate::raw::line::PLACES;
use crate::raw::prefetch::prefetch;

/// How far a search has come that is made in stages over a batch of requests, each of which fetches what the next one
/// reads: in the end, where the item most likely is. What it says is checked when used, so a stale or foreign one costs a
/// search and nothing else.
///
/// ```text
///  63     32      16     8       0
///  ├ region ┼ slot ┼ line ┼ place ┤   place PLACES: none yet
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead(u64);

impl Ahead {
    /// Nothing is known.
    pub const NONE: Self = Self(u64::MAX);

    /// As a number, for whoever keeps it.
    #[inline(always)]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From a number; any will do.
    #[inline(always)]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    fn new(region: usize, slot: usize) -> Self {
        Self((region as u64) << 32 | (slot as u64) << 16 | PLACES as u64)
    }

    #[inline(always)]
    fn with_line(self, line: usize) -> Self {
        Self(self.0 & !0xff00 | (line as u64) << 8)
    }

    #[inline(always)]
    fn with_place(self, place: usize) -> Self {
        Self(self.0 & !0xff | place as u64)
    }

    #[inline(always)]
    fn region(self) -> usize {
        (self.0 >> 32) as usize
    }

    #[inline(always)]
    fn slot(self) -> usize {
        usize::from((self.0 >> 16) as u16)
    }

    #[inline(always)]
    fn line(self) -> usize {
        usize::from((self.0 >> 8) as u8)
    }

    #[inline(always)]
    fn place(self) -> usize {
        usize::from(self.0 as u8)
    }
}

impl<T: Item> Directory<T> {
    /// As [`Self::find`], but looks first where the item was seen ahead.
    #[inline(always)]
    pub(crate) fn find_ahead(&self, hash: Hash, key: &[u8], ahead: Ahead) -> Option<At> {
        match self.seen(key, ahead) {
            Some((at, _)) => Some(at),
            None => self.search(hash, key),
        }
    }

    /// As [`Self::find_ahead`], but gives the item itself.
    #[inline(always)]
    pub(crate) fn get_ahead(&self, hash: Hash, key: &[u8], ahead: Ahead) -> Option<Ref<'_, T>> {
        match self.seen(key, ahead) {
            Some((_, item)) => Some(item),
            None => self.search(hash, key).map(|at| self.item(at)),
        }
    }

    /// [`Self::find`] as a call.
    #[inline(never)]
    fn search(&self, hash: Hash, key: &[u8]) -> Option<At> {
        self.find(hash, key)
    }

    /// The place that `ahead` names, if the item with this key is there.
    #[inline(always)]
    fn seen(&self, key: &[u8], ahead: Ahead) -> Option<(At, Ref<'_, T>)> {
        let slot = self.regions.get(ahead.region())?.slots.get(ahead.slot())?;
        let line = self.lines_of(slot).get(ahead.line())?;
        let place = ahead.place();
        if place >= PLACES || !line.is_taken(place) {
            return None;
        }
        let item = self.borrow(line.word(place).item());
        if !item.item().has_key(key) {
            return None;
        }
        let loc = Loc { region: ahead.region() as u32, slot: ahead.slot() as u32 };
        Some((At { loc, line: ahead.line() as u8, place: place as u8 }, item))
    }

    /// First stage for a batch: the slot. Each stage says whether the next one has anything to do; the directory must not
    /// change between them.
    #[inline]
    pub(crate) fn prefetch_slot(&self, hash: Hash) -> Option<Ahead> {
        if self.is_unused() {
            return None;
        }
        let index = self.region_of(hash);
        let region = &self.regions[index];
        let slot = region.index(hash);
        prefetch(&raw const region.slots[slot]);
        Some(Ahead::new(index, slot))
    }

    #[inline(always)]
    fn slot_ahead(&self, ahead: Ahead) -> &Slot {
        &self.regions[ahead.region()].slots[ahead.slot()]
    }

    /// Second stage: the home line. Reads the slot.
    #[inline]
    pub(crate) fn prefetch_line(&self, hash: Hash, ahead: &mut Ahead) -> bool {
        let slot = self.slot_ahead(*ahead);
        let home = slot.home(hash.window(slot.base()));
        prefetch(slot.lines.wrapping_add(home));
        *ahead = ahead.with_line(home);
        true
    }

    /// Third stage: the item, or the line behind a full home line. Reads the slot and the home line.
    #[inline]
    pub(crate) fn prefetch_item(&self, hash: Hash, ahead: &mut Ahead) -> bool {
        let slot = self.slot_ahead(*ahead);
        let (lines, home) = (self.lines_of(slot), ahead.line());
        if let Some(place) = lines[home].likely(hash.tag(), hash.window(slot.base())) {
            prefetch_whole(lines[home].address(place));
            *ahead = ahead.with_place(place);
            return false;
        }
        if lines[home].overflowed() {
            let next = behind(home, lines);
            prefetch(&raw const lines[next]);
            *ahead = ahead.with_line(next);
            return true;
        }
        false
    }

    /// Fourth stage: the item, when the home line was full before it came. One in seven is.
    #[inline]
    pub(crate) fn prefetch_further(&self, hash: Hash, ahead: &mut Ahead) -> bool {
        let slot = self.slot_ahead(*ahead);
        let line = &self.lines_of(slot)[ahead.line()];
        if let Some(place) = line.likely(hash.tag(), hash.window(slot.base())) {
            prefetch_whole(line.address(place));
            *ahead = ahead.with_place(place);
        }
        false
    }
}

/// Fetches an item ahead. Where it begins in the second half of a cache line, the next line as well: most items are longer
/// than 32 bytes, and those of 48 lie across two lines every other time.
#[inline(always)]
fn prefetch_whole(item: *const u8) {
    prefetch(item);
    if item.addr() & 32 != 0 {
        prefetch(item.wrapping_add(32));
    }
}
