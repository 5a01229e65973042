//! Which items may expire, and from when on: a mark in each such item's word, and below it no bound but a segment's and a
//! region's, so that a search among millions reads neither the items nor most slots.

use super::{At, Directory, Loc, NEVER, Slot};
use crate::hash::Hash;
use crate::raw::item::{Item, Ref};
use crate::raw::line::Word;
use crate::raw::prefetch::prefetch;

/// Slots whose bounds are read for a region's in the time that a search spends on one of them.
const SLOTS_STREAMED: usize = 4;

/// The outcome of [`Directory::next_due`].
pub(crate) enum DueSearch {
    Found(Loc),
    Stopped(Hash),
    End,
}

impl<T: Item> Directory<T> {
    /// The addresses of a segment's items that are marked as due.
    fn due_words(&self, loc: Loc) -> impl Iterator<Item = Word> + '_ {
        let words = self.lines_of(self.slot(loc)).iter().flat_map(|line| line.items());
        words.map(|(_, word)| word).filter(|word| word.is_due())
    }

    /// The items of a segment that are marked as due.
    pub(crate) fn due_items(&self, loc: Loc) -> impl Iterator<Item = Ref<'_, T>> + '_ {
        self.due_words(loc).map(|word| self.borrow(word.item()))
    }

    /// Starts to fetch the items of a segment that are marked as due; their number.
    pub(crate) fn prefetch_due(&self, loc: Loc) -> usize {
        self.due_words(loc).map(|word| prefetch(word.address())).count()
    }

    /// Notes that the item at `at` expires at `tick`, or something in it.
    #[inline]
    pub(crate) fn note_due(&mut self, at: At, tick: u32) {
        self.lines_mut(at.loc)[usize::from(at.line)].mark_due(usize::from(at.place));
        self.lower_bound(self.segment_of(at), tick);
    }

    /// Sees to it that the segment's bound is no later than `tick`.
    #[inline]
    fn lower_bound(&mut self, loc: Loc, tick: u32) {
        let slot = self.slot_mut(loc);
        slot.earliest = slot.earliest.min(tick);
        let region = &mut self.regions[loc.region as usize];
        region.earliest = region.earliest.min(tick);
    }

    /// Replaces the segment's bound after its items were looked at.
    pub(crate) fn set_due(&mut self, loc: Loc, tick: u32) {
        self.slot_mut(loc).earliest = tick;
        self.lower_bound(loc, tick);
    }

    /// The first segment at or after `from` with a bound before `tick`. Looks at no more than `budget` slots (a
    /// region that has nothing due counts as one) and says where it stopped.
    pub(crate) fn next_due(&mut self, from: Hash, tick: u32, budget: &mut usize) -> DueSearch {
        let mut hash = from;
        while *budget > 0 {
            *budget -= 1;
            let number = self.region_of(hash);
            let first = self.regions[number].index(hash);
            let loc = self.canonical(number, first);
            // A bound that is late enough as it stands is not worth a look at the slots, which a walk over many keys
            // would pay for each time.
            if first == 0 && self.regions[number].earliest < tick {
                self.refresh_region_bound(number);
                *budget = budget.saturating_sub(self.regions[number].slots.len() / SLOTS_STREAMED);
            }
            let region = &self.regions[number];
            let skip_region = region.earliest >= tick;
            if !skip_region && self.slot(loc).earliest < tick {
                return DueSearch::Found(loc);
            }
            let next = if skip_region { self.after_region(number) } else { self.next_hash(loc) };
            match next {
                Some(next) => hash = next,
                None => return DueSearch::End,
            }
        }
        DueSearch::Stopped(hash)
    }

    fn after_region(&self, number: usize) -> Option<Hash> {
        let region = &self.regions[number];
        let size = 1u64.checked_shl(64 - u32::from(region.depth))?;
        region.start.checked_add(size).map(Hash)
    }

    /// Recomputes a region's bound from its slots; streams through 32 KB at most. Only the first of those that name the same
    /// segment counts; to look at the others costs less than to find out how many there are before going on.
    fn refresh_region_bound(&mut self, number: usize) {
        let region = &mut self.regions[number];
        let full_depth = region.full_depth();
        let is_first = |index: usize, slot: &Slot| index & ((1 << (full_depth - slot.depth)) - 1) == 0;
        let slots = region.slots.iter().enumerate();
        let earliest = slots.map(|(index, slot)| if is_first(index, slot) { slot.earliest } else { NEVER });
        region.earliest = earliest.min().unwrap_or(NEVER);
    }
}
