//! Bytes with room before and after them, behind one pointer: what listpacks and integer sets own. Small ones are
//! many, so the numbers that go with them take eight bytes at the head of the allocation, about as many as Redis has
//! there, and the owner takes one word.
//!
//! ```text
//!  narrow, up to 64 KB   ├ class u8 ┼ tag u8 ┼ count u16 ┼ start u16 ┼ end u16 ┼ room … ┤
//!  wide                  ├ class u8 ┼ tag u8 ┼ 0 u16 ┼ count u32 ┼ start u32 ┼ end u32 ┼ room … ┤
//! ```
//!
//! The class is the allocation's size as [`class_size`] knows them, counted from 1; 0 is an empty one, which all
//! share and nobody writes to. The tag is its owner's: it stays when the bytes take another allocation, and an empty
//! one has it, too. See [`super::word`] for what it says.
//!
//! Invariants: the first byte describes the allocation; the room is initialised throughout; only the owner writes, and
//! only through `&mut`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::entry::class_size;
use crate::relocate::Mover;

const ALIGN: usize = 8;
const NARROW: usize = 8;
const WIDE: usize = 16;
/// The largest class whose header is narrow: its offsets fit 16 bits.
const WIDEST_NARROW: usize = 1 << 16;

/// Tags are less than that.
pub(crate) const TAGS: usize = 16;

/// The headers of the empty ones, aligned as others are: the class, 0, and the tag.
static EMPTY: [u64; TAGS] = {
    let mut headers = [0; TAGS];
    let mut tag = 0;
    while tag < TAGS {
        headers[tag] = u64::from_ne_bytes([0, tag as u8, 0, 0, 0, 0, 0, 0]);
        tag += 1;
    }
    headers
};

/// The owner of some bytes.
#[repr(transparent)]
pub(crate) struct Room(NonNull<u8>);

// SAFETY: it owns plain bytes.
unsafe impl Send for Room {}
// SAFETY: `&self` reads only.
unsafe impl Sync for Room {}

/// The number of a size that [`class_size`] gave.
fn class_number(size: usize) -> u8 {
    if size <= 128 {
        return (size / 16) as u8;
    }
    let doubling = (size - 1).ilog2();
    let step = 1 << (doubling - 2);
    // 129 to 256 is the first doubling; its first step is number 9.
    let number = (doubling as usize - 7) * 4 + (size - (1 << doubling)) / step + 8;
    u8::try_from(number).expect("fewer than 256 classes")
}

/// The size that a number stands for.
#[inline]
fn class_of(number: u8) -> usize {
    let number = usize::from(number);
    if number <= 8 {
        return number * 16;
    }
    let (doubling, step) = ((number - 9) / 4, (number - 9) % 4 + 1);
    (128 + step * 32) << doubling
}

/// What is counted in a header.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Field {
    Count = 1,
    Start = 2,
    End = 3,
}

impl Room {
    /// No room; allocates nothing.
    #[inline]
    pub(crate) fn empty() -> Self {
        Self::empty_tagged(0)
    }

    #[inline]
    fn empty_tagged(tag: u8) -> Self {
        Self(NonNull::from(&EMPTY[usize::from(tag)]).cast())
    }

    /// What [`Self::tagged`] said last; 0 at first.
    #[inline(always)]
    pub(crate) fn tag(&self) -> u8 {
        self.read::<1>(1)[0]
    }

    /// The same with another tag, less than [`TAGS`].
    #[inline]
    pub(crate) fn tagged(mut self, tag: u8) -> Self {
        if self.allocated() == 0 {
            return Self::empty_tagged(tag);
        }
        self.write(1, [tag]);
        self
    }

    /// As [`Self::with`], and the tag is kept.
    pub(crate) fn another(&self, room: usize) -> Self {
        Self::with(room).tagged(self.tag())
    }

    /// At least `room` zero bytes; as many as fit the allocator's size.
    ///
    /// # Panics
    /// Beyond 4 GB.
    pub(crate) fn with(room: usize) -> Self {
        let narrow = class_size(room + NARROW);
        let class = if narrow <= WIDEST_NARROW { narrow } else { class_size(room + WIDE) };
        assert!(u32::try_from(class).is_ok(), "a listpack of {room} bytes");
        Self::with_class(class)
    }

    fn with_class(class: usize) -> Self {
        let layout = layout(class);
        // SAFETY: the size is not zero: a header has eight bytes.
        let raw = unsafe { alloc_zeroed(layout) };
        let mut this = Self(NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout)));
        this.write(0, [class_number(class)]);
        this
    }

    #[inline(always)]
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.as_ptr().wrapping_add(offset)
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> [u8; N] {
        // SAFETY: callers read header bytes, which every allocation has.
        unsafe { self.at(offset).cast::<[u8; N]>().read() }
    }

    #[inline(always)]
    fn write<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        // SAFETY: callers write header bytes of an allocation of their own.
        unsafe { self.at(offset).cast::<[u8; N]>().write(bytes) }
    }

    /// Takes another allocation of the same size if the mover says so.
    pub(crate) fn relocate(&mut self, mover: &mut Mover<'_>) {
        let class = self.allocated();
        if class > 0 && mover.wants(self.0.as_ptr()) {
            let mut copy = Self::with_class(class);
            // SAFETY: two allocations of this size, both initialised throughout.
            unsafe { self.0.copy_to_nonoverlapping(copy.0, class) };
            std::mem::swap(self, &mut copy);
        }
    }

    /// Bytes of the allocation.
    #[inline]
    pub(crate) fn allocated(&self) -> usize {
        class_of(self.read::<1>(0)[0])
    }

    #[inline(always)]
    fn header(&self) -> usize {
        if self.allocated() <= WIDEST_NARROW { NARROW } else { WIDE }
    }

    /// Bytes of room.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.allocated().saturating_sub(self.header())
    }

    #[inline(always)]
    fn field(&self, field: Field) -> usize {
        match self.header() {
            NARROW => usize::from(u16::from_le_bytes(self.read(2 * field as usize))),
            _ => u32::from_le_bytes(self.read(4 * field as usize)) as usize,
        }
    }

    #[inline(always)]
    fn set_field(&mut self, field: Field, value: usize) {
        assert!(self.allocated() > 0, "the shared empty one is not written to");
        match self.header() {
            NARROW => self.write(2 * field as usize, (value as u16).to_le_bytes()),
            _ => self.write(4 * field as usize, (value as u32).to_le_bytes()),
        }
    }

    /// Whatever the owner counts; at most as much as there is room.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.field(Field::Count)
    }

    /// Sets [`Self::count`].
    #[inline]
    pub(crate) fn set_count(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.set_field(Field::Count, count);
    }

    /// Where the bytes in use begin.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.field(Field::Start)
    }

    /// Where they end.
    #[inline]
    pub(crate) fn end(&self) -> usize {
        self.field(Field::End)
    }

    /// Says which bytes are in use.
    #[inline]
    pub(crate) fn set_used(&mut self, start: usize, end: usize) {
        assert!(start <= end && end <= self.len(), "{start}..{end} of {}", self.len());
        self.set_field(Field::Start, start);
        self.set_field(Field::End, end);
    }

    /// The room.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the header says how many bytes follow it; all are initialised and are written through `&mut` only.
        unsafe { std::slice::from_raw_parts(self.at(self.header()), self.len()) }
    }

    /// The bytes in use.
    #[inline]
    pub(crate) fn used(&self) -> &[u8] {
        &self.bytes()[self.start()..self.end()]
    }

    /// The room, to write to.
    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably. The shared empty one has no bytes.
        unsafe { std::slice::from_raw_parts_mut(self.at(self.header()), self.len()) }
    }

    /// The same bytes and count with other room around them.
    pub(crate) fn moved(&self, room: usize, start: usize) -> Self {
        let mut moved = self.another(room);
        let used = self.used();
        moved.bytes_mut()[start..start + used.len()].copy_from_slice(used);
        moved.set_used(start, start + used.len());
        moved.set_count(self.count());
        moved
    }
}

fn layout(class: usize) -> Layout {
    Layout::from_size_align(class, ALIGN).expect("smaller than the address space")
}

impl Clone for Room {
    /// A copy that has no more room than the bytes in use need.
    fn clone(&self) -> Self {
        let used = self.end() - self.start();
        if used == 0 { Self::empty_tagged(self.tag()) } else { self.moved(used, 0) }
    }
}

impl Drop for Room {
    #[inline]
    fn drop(&mut self) {
        let class = self.allocated();
        if class > 0 {
            // SAFETY: allocated with this layout; this was the owner.
            unsafe { dealloc(self.0.as_ptr(), layout(class)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_numbers() {
        let mut size = 16;
        let mut number = 1;
        while size < 1 << 33 {
            assert_eq!((class_number(size), class_of(number)), (number, size));
            size = class_size(size + 1);
            number += 1;
        }
    }

    #[test]
    fn narrow_and_wide_ones_keep_their_numbers() {
        for room in [1, 8, 9, 100, 65_528, 65_529, 70_000, 1 << 20] {
            let mut bytes = Room::with(room);
            assert!(bytes.len() >= room && bytes.len() < room + room / 4 + 40, "{room}");
            bytes.bytes_mut().fill(7);
            bytes.set_used(1, room);
            bytes.set_count(room / 2);
            let copy = bytes.clone();
            assert_eq!((bytes.start(), bytes.end(), bytes.count()), (1, room, room / 2));
            assert_eq!((copy.start(), copy.end()), (0, room - 1));
            assert_eq!(copy.used(), bytes.used());
        }
        assert_eq!((Room::empty().len(), Room::empty().count(), Room::empty().used()), (0, 0, &[][..]));
    }

    #[test]
    fn a_tag_stays_through_every_change_of_the_allocation() {
        let empty = Room::empty().tagged(3);
        assert_eq!((empty.tag(), empty.clone().tag(), empty.another(5).tag(), empty.len()), (3, 3, 3, 0));
        for room in [1, 100, 100_000] {
            let mut bytes = Room::with(room);
            bytes.set_used(0, room);
            let bytes = bytes.tagged(15);
            assert_eq!((bytes.tag(), bytes.clone().tag(), bytes.moved(room * 2, 1).tag()), (15, 15, 15));
            assert_eq!((bytes.used().len(), bytes.clone().tagged(2).tag()), (room, 2));
        }
    }
}
