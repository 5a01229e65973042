//! A bucket line: one cache line of a segment, seven places for items.
//!
//! ```text
//!  byte 0      6   7        8       16                        63
//!  ├─ 7 tags ──┼─ control ─┼ word 0 ┼ word 1 ┼ …  ┼ word 6 ────┤
//!              │ bits 0..6: place taken; bit 7: overflowed
//!
//!  word: 63 ─ window, 16 hash bits ─ 48 │ 47 ─ address of the item ─ 1 │ 0: due
//! ```
//!
//! *Due* says that the item may expire, or something in it: who looks for such items among many others reads the lines and
//! leaves these alone, each of which would be a wait for memory.
//!
//! A tag is the hash's lowest byte; a search compares seven of them at once in one register, then the window, and
//! only then touches the item. *Overflowed* says that an item passed this line because it was full, so that a search
//! which sees the bit clear can stop. Everything here is plain arithmetic on pointers with provenance kept; whoever
//! turns an address into an item (`directory.rs`) answers for it.

use std::ptr::{NonNull, null_mut};

/// Places in one line.
pub(crate) const PLACES: usize = 7;

const ADDRESS_BITS: u32 = 48;
/// Items lie at even addresses.
const ADDRESS_MASK: usize = (1 << ADDRESS_BITS) - 1 - DUE;
const DUE: usize = 1;
const TAKEN_MASK: u8 = 0x7f;
const OVERFLOWED: u8 = 0x80;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;
/// The high bit of each tag byte; the control byte is left out.
const TAG_HIGH_BITS: u64 = 0x0080_8080_8080_8080;

/// An item's address with 16 bits of its hash; null for an empty place.
#[derive(Clone, Copy)]
pub(crate) struct Word(*mut u8);

impl Word {
    const EMPTY: Self = Self(null_mut());

    #[inline]
    pub(crate) fn new(item: NonNull<u8>, window: u16) -> Self {
        let address = item.as_ptr();
        assert!(
            address.addr() & !ADDRESS_MASK == 0,
            "an odd address or above 48 bits: {:#x}",
            address.addr()
        );
        Self(address.map_addr(|a| a | (usize::from(window) << ADDRESS_BITS)))
    }

    /// The same with the item marked as due, or not.
    #[inline]
    pub(crate) fn with_due(self, is_due: bool) -> Self {
        Self(self.0.map_addr(|a| a & !DUE | usize::from(is_due)))
    }

    /// The item may expire, or something in it.
    #[inline(always)]
    pub(crate) fn is_due(self) -> bool {
        self.0.addr() & DUE != 0
    }

    #[inline(always)]
    pub(crate) fn window(self) -> u16 {
        (self.0.addr() >> ADDRESS_BITS) as u16
    }

    /// The item's address. Empty places have none; callers ask only for taken ones.
    #[inline(always)]
    pub(crate) fn item(self) -> NonNull<u8> {
        NonNull::new(self.0.map_addr(|a| a & ADDRESS_MASK)).expect("a place marked as taken holds an item")
    }

    #[inline(always)]
    pub(crate) fn address(self) -> *const u8 {
        self.0.map_addr(|a| a & ADDRESS_MASK)
    }
}

/// Seven items' tags and words.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line {
    head: u64,
    words: [Word; PLACES],
}

impl Line {
    pub(crate) const EMPTY: Self = Self { head: 0, words: [Word::EMPTY; PLACES] };

    #[inline(always)]
    fn control(&self) -> u8 {
        (self.head >> 56) as u8
    }

    /// One bit per taken place.
    #[inline(always)]
    pub(crate) fn taken(&self) -> u8 {
        self.control() & TAKEN_MASK
    }

    #[inline(always)]
    pub(crate) fn is_taken(&self, place: usize) -> bool {
        self.taken() >> place & 1 == 1
    }

    #[inline(always)]
    pub(crate) fn overflowed(&self) -> bool {
        self.control() & OVERFLOWED != 0
    }

    /// The high bit of each tag byte that equals `tag`, exactly (no false positives); empty places may be among them.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u64 {
        let difference = self.head ^ (u64::from(tag) * LOW_BITS);
        let low_seven = 0x7f * LOW_BITS;
        !(((difference & low_seven) + low_seven) | difference) & TAG_HIGH_BITS
    }

    /// The first place whose tag and window fit and for which `same` says yes.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        tag: u8,
        window: u16,
        mut same: impl FnMut(NonNull<u8>) -> bool,
    ) -> Option<usize> {
        let mut candidates = self.matches(tag);
        while candidates != 0 {
            let place = (candidates.trailing_zeros() / 8) as usize;
            if self.words[place].window() == window && self.is_taken(place) && same(self.words[place].item())
            {
                return Some(place);
            }
            candidates &= candidates - 1;
        }
        None
    }

    /// The place of the first item that looks like the one sought, for a prefetch; it may be empty.
    #[inline(always)]
    pub(crate) fn likely(&self, tag: u8, window: u16) -> Option<usize> {
        let mut candidates = self.matches(tag);
        while candidates != 0 {
            let place = (candidates.trailing_zeros() / 8) as usize;
            if self.words[place].window() == window {
                return Some(place);
            }
            candidates &= candidates - 1;
        }
        None
    }

    /// What a place holds, as an address for a prefetch.
    #[inline(always)]
    pub(crate) fn address(&self, place: usize) -> *const u8 {
        self.words[place].address()
    }

    #[inline(always)]
    pub(crate) fn word(&self, place: usize) -> Word {
        debug_assert!(self.is_taken(place));
        self.words[place]
    }

    #[inline(always)]
    pub(crate) fn tag(&self, place: usize) -> u8 {
        (self.head >> (8 * place)) as u8
    }

    /// Puts an item into the first free place; `None` (and marks the line as overflowed) when there is none.
    #[inline]
    pub(crate) fn place(&mut self, tag: u8, word: Word) -> Option<usize> {
        let place = self.taken().trailing_ones() as usize;
        if place >= PLACES {
            self.head |= u64::from(OVERFLOWED) << 56;
            return None;
        }
        self.head |= (u64::from(tag) << (8 * place)) | (1u64 << (56 + place));
        self.words[place] = word;
        Some(place)
    }

    /// Changes the address in a taken place, keeping the other bits.
    #[inline]
    pub(crate) fn replace(&mut self, place: usize, item: NonNull<u8>) {
        debug_assert!(self.is_taken(place));
        let old = self.words[place];
        self.words[place] = Word::new(item, old.window()).with_due(old.is_due());
    }

    /// Marks the item in a taken place as due.
    #[inline]
    pub(crate) fn mark_due(&mut self, place: usize) {
        debug_assert!(self.is_taken(place));
        self.words[place] = self.words[place].with_due(true);
    }

    /// Empties a taken place.
    #[inline]
    pub(crate) fn clear(&mut self, place: usize) {
        debug_assert!(self.is_taken(place));
        self.head &= !((0xffu64 << (8 * place)) | (1u64 << (56 + place)));
        self.words[place] = Word::EMPTY;
    }

    /// The taken places' tags and words.
    #[inline]
    pub(crate) fn items(&self) -> impl Iterator<Item = (u8, Word)> + '_ {
        let mut left = self.taken();
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let place = left.trailing_zeros() as usize;
            left &= left - 1;
            Some((self.tag(place), self.words[place]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: usize) -> NonNull<u8> {
        NonNull::new(std::ptr::without_provenance_mut(n * 16)).expect("not null")
    }

    #[test]
    fn a_line_is_a_cache_line() {
        assert_eq!(size_of::<Line>(), 64);
        assert_eq!(align_of::<Line>(), 64);
    }

    #[test]
    fn places_fill_and_empty() {
        let mut line = Line::EMPTY;
        for n in 1..=7 {
            assert_eq!(line.place(n as u8 % 3, Word::new(item(n), n as u16)), Some(n - 1));
        }
        assert!(!line.overflowed());
        assert_eq!(line.place(9, Word::new(item(9), 9)), None);
        assert!(line.overflowed());
        assert_eq!(line.find(1, 4, |_| true), Some(3));
        assert_eq!(line.find(1, 5, |_| true), None, "the window decides");
        assert_eq!(line.find(1, 4, |_| false), None, "the item decides");
        line.clear(3);
        assert_eq!(line.find(1, 4, |_| true), None);
        assert_eq!(line.items().count(), 6);
        assert_eq!(line.place(0xff, Word::new(item(10), 0xffff)), Some(3));
        assert_eq!(line.find(0xff, 0xffff, |found| found == item(10)), Some(3));
        line.replace(3, item(11));
        assert_eq!(line.find(0xff, 0xffff, |found| found == item(11)), Some(3));
        assert!(line.items().all(|(_, word)| !word.is_due()));
        line.mark_due(3);
        line.replace(3, item(12));
        assert_eq!(line.find(0xff, 0xffff, |found| found == item(12)), Some(3));
        assert_eq!(line.items().filter(|(_, word)| word.is_due()).count(), 1);
        assert_eq!(line.address(3), item(12).as_ptr().cast_const());
        line.clear(3);
        assert_eq!(line.place(1, Word::new(item(13), 1)), Some(3));
        assert!(!line.word(3).is_due());
    }

    #[test]
    fn tags_are_compared_exactly() {
        for tag in 0..=255u8 {
            let mut line = Line::EMPTY;
            for other in [tag.wrapping_sub(1), tag, tag.wrapping_add(1), tag ^ 0x80, 0, 255, tag] {
                line.place(other, Word::new(item(1), 0));
            }
            let expected = (0..7).filter(|&p| line.tag(p) == tag).fold(0u64, |m, p| m | 0x80 << (8 * p));
            assert_eq!(line.matches(tag), expected, "tag {tag}");
        }
    }
}
