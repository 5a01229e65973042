//! The listpack: Redis's packed sequence of strings and integers, byte for byte, since RDB files and DUMP carry it.
//!
//! ```text
//!  ├ total bytes u32 ┼ count u16 ┼ entry ┼ entry ┼ … ┼ 0xFF ┤        little endian
//!  entry: ├ encoding, perhaps with the length or the number ┼ bytes of a string ┼ back length ┤
//!
//!  0xxxxxxx            7-bit number          10xxxxxx            string up to 63 bytes
//!  110xxxxx x          13-bit number         1110xxxx x          string up to 4095 bytes
//!  F1 F2 F3 F4         16-, 24-, 32-, 64-bit number              F0 + u32: longer string
//!  back length: size of the rest of the entry, 7 bits per byte, read from the right; more follows while bit 7 is set
//! ```
//!
//! In memory only the entries are kept, with room before and after them, so that a push at the head moves nothing;
//! header and end byte are written when the bytes leave ([`Listpack::to_bytes`]) and checked deeply when they come
//! ([`Listpack::from_bytes`]).

use std::fmt;

use crate::number::parse_i64;
use crate::raw::room::Room;
use crate::relocate::Mover;

/// Bytes of the header.
pub(crate) const HEADER: usize = 6;
/// Bytes around the entries: header and end.
pub(crate) const FRAME: usize = HEADER + 1;
const END: u8 = 0xff;
/// A count that does not fit its 16 bits: readers must count for themselves.
const UNKNOWN_COUNT: u16 = u16::MAX;
/// Bytes up to which a listpack has hardly any room that is not in use.
const SMALL: usize = 1024;

/// One element: what was pushed, as an integer where its spelling is canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// An integer.
    Int(i64),
    /// Any other string.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element that a string is stored as.
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        match parse_i64(bytes) {
            Some(n) => Element::Int(n),
            None => Element::Bytes(bytes),
        }
    }

    /// The element's bytes; an integer is written into `buffer`.
    #[inline]
    pub fn as_bytes<'b>(&self, buffer: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Element::Int(n) => buffer.format(n).as_bytes(),
            Element::Bytes(bytes) => bytes,
        }
    }

    /// The element's bytes in memory of their own.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes(&mut itoa::Buffer::new()).to_vec()
    }
}

/// Why foreign bytes are not a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListpackError {
    /// Shorter than an empty one.
    TooShort,
    /// The header's size is not the number of bytes.
    SizeMismatch,
    /// The end byte is missing, or an entry reaches beyond it.
    BadEnd,
    /// An entry starts with a byte that means nothing.
    BadEncoding,
    /// An entry's back length is not its size.
    BadBackLength,
    /// The header's count is not the number of entries.
    CountMismatch,
}

impl fmt::Display for ListpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ListpackError::TooShort => "listpack shorter than its frame",
            ListpackError::SizeMismatch => "listpack size differs from its header",
            ListpackError::BadEnd => "listpack end out of place",
            ListpackError::BadEncoding => "listpack entry of unknown encoding",
            ListpackError::BadBackLength => "listpack entry with a wrong back length",
            ListpackError::CountMismatch => "listpack count differs from its header",
        })
    }
}

impl std::error::Error for ListpackError {}

/// A packed sequence of elements.
#[derive(Clone)]
#[repr(transparent)]
pub struct Listpack {
    /// The entries, and how many there are.
    room: Room,
}

impl Listpack {
    /// Moves the bytes as the mover says.
    pub(crate) fn relocate(&mut self, mover: &mut Mover<'_>) {
        self.room.relocate(mover);
    }
}

impl Default for Listpack {
    fn default() -> Self {
        Self { room: Room::empty() }
    }
}

impl Listpack {
    /// No elements; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many elements whose bytes these are, as they are made here.
    pub(crate) fn of_entries(entries: &[u8], count: usize) -> Self {
        let mut room = Room::with(entries.len());
        room.bytes_mut()[..entries.len()].copy_from_slice(entries);
        room.set_used(0, entries.len());
        room.set_count(count);
        Self { room }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.room.count()
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size in Redis's format, header and end included.
    #[inline]
    pub fn total_bytes(&self) -> usize {
        self.entries().len() + FRAME
    }

    /// Bytes on the heap.
    pub fn memory_usage(&self) -> usize {
        self.room.allocated()
    }

    /// The bytes of the elements.
    #[inline]
    pub(crate) fn entries(&self) -> &[u8] {
        self.room.used()
    }

    // --- coming and going ------------------------------------------------------------------------------------------

    /// Reads Redis's format, checking every byte that later steps rely on. O(bytes). A listpack without entries is
    /// read too; where one may not be empty the caller says so.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ListpackError> {
        let count = validate(bytes)?;
        let entries = &bytes[HEADER..bytes.len() - 1];
        if count == 0 {
            return Ok(Self::new());
        }
        Ok(Self::of_entries(entries, count).spelled_as_here())
    }

    /// The same elements, integers among them kept as such. Redis finds a number also where a listpack from elsewhere holds
    /// its digits; here a search compares kinds, so that it need not look at digits.
    fn spelled_as_here(self) -> Self {
        let is_other = |element: Element<'_>| matches!(element, Element::Bytes(b) if parse_i64(b).is_some());
        if !self.iter().any(is_other) {
            return self;
        }
        let mut pack = Self::new();
        for element in self.iter() {
            pack.push_back(match element {
                Element::Bytes(bytes) => Element::from_bytes(bytes),
                Element::Int(_) => element,
            });
        }
        pack
    }

    /// Appends the listpack in Redis's format to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        Self::write_entries(self.entries(), self.len(), out);
    }

    /// As [`Self::write_to`], of so many elements whose bytes these are.
    pub(crate) fn write_entries(entries: &[u8], count: usize, out: &mut Vec<u8>) {
        let total = u32::try_from(entries.len() + FRAME).expect("a listpack stays below 4 GB");
        out.reserve(entries.len() + FRAME);
        out.extend_from_slice(&total.to_le_bytes());
        out.extend_from_slice(&u16::try_from(count).unwrap_or(UNKNOWN_COUNT).to_le_bytes());
        out.extend_from_slice(entries);
        out.push(END);
    }

    /// The listpack in Redis's format.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }

    // --- reading ---------------------------------------------------------------------------------------------------

    /// The elements, from either end.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { left: self.entries() }
    }

    /// The elements from `index` on; skips over the shorter side. O(n).
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        let at = self.offset(index.min(self.len()));
        Iter { left: &self.entries()[at..] }
    }

    /// The elements before `index`, to be read backwards. O(n).
    pub fn iter_before(&self, index: usize) -> Iter<'_> {
        let at = self.offset(index.min(self.len()));
        Iter { left: &self.entries()[..at] }
    }

    /// The element at `index`. O(n).
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        self.iter_from(index).next()
    }

    /// Where the entry at `index <= count` starts, relative to the first.
    fn offset(&self, index: usize) -> usize {
        let mut iter = self.iter();
        if index <= self.len() / 2 {
            for _ in 0..index {
                iter.next();
            }
            self.entries().len() - iter.left.len()
        } else {
            for _ in index..self.len() {
                iter.next_back();
            }
            iter.left.len()
        }
    }

    // --- changing --------------------------------------------------------------------------------------------------

    /// Adds an element at the tail. Amortised O(size).
    #[inline]
    pub fn push_back(&mut self, element: Element<'_>) {
        let head = Head::new(&element);
        let size = head.entry_size();
        if self.room.len() - self.room.end() < size {
            self.make_room(size, Side::Back);
        }
        let (start, end) = (self.room.start(), self.room.end());
        head.write(&element, &mut self.room.bytes_mut()[end..end + size]);
        self.set_used(start, end + size, self.len() + 1);
    }

    /// Adds an element at the head. Amortised O(size).
    #[inline]
    pub fn push_front(&mut self, element: Element<'_>) {
        let head = Head::new(&element);
        let size = head.entry_size();
        if self.room.start() < size {
            self.make_room(size, Side::Front);
        }
        let (start, end) = (self.room.start() - size, self.room.end());
        head.write(&element, &mut self.room.bytes_mut()[start..start + size]);
        self.set_used(start, end, self.len() + 1);
    }

    /// Takes the first element out. The bytes stay where they are, so the element can still be read.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Element<'_>> {
        let (_, size) = decode(self.entries())?;
        let start = self.room.start();
        self.set_used(start + size, self.room.end(), self.len() - 1);
        decode(&self.room.bytes()[start..]).map(|(element, _)| element)
    }

    /// Takes the last element out. The bytes stay where they are, so the element can still be read.
    #[inline]
    pub fn pop_back(&mut self) -> Option<Element<'_>> {
        let size = last_entry_size(self.entries())?;
        let end = self.room.end() - size;
        self.set_used(self.room.start(), end, self.len() - 1);
        decode(&self.room.bytes()[end..]).map(|(element, _)| element)
    }

    /// Takes out up to `count` elements from `index` on and returns how many there were. O(bytes).
    pub fn remove_range(&mut self, index: usize, count: usize) -> usize {
        let count = count.min(self.len().saturating_sub(index));
        if count == 0 {
            return 0;
        }
        let len = self.len() - count;
        self.cut(self.offset(index), self.offset(index + count));
        self.room.set_count(len);
        count
    }

    /// Closes the gap that entries leave, given by their offsets.
    fn cut(&mut self, from: usize, to: usize) {
        let (start, end) = (self.room.start(), self.room.end());
        let (from, to) = (start + from, start + to);
        if from - start < end - to {
            self.room.bytes_mut().copy_within(start..from, start + (to - from));
            self.room.set_used(start + (to - from), end);
        } else {
            self.room.bytes_mut().copy_within(to..end, from);
            self.room.set_used(start, end - (to - from));
        }
    }

    /// Puts an element before the one at `index` (or at the end). O(bytes).
    pub fn insert(&mut self, index: usize, element: Element<'_>) {
        if index == 0 {
            return self.push_front(element);
        }
        let at = self.offset(index.min(self.len()));
        self.insert_at(at, element);
    }

    /// Puts an element at an offset where an entry begins.
    fn insert_at(&mut self, offset: usize, element: Element<'_>) {
        let head = Head::new(&element);
        let size = head.entry_size();
        if self.room.len() - self.room.end() < size {
            self.make_room(size, Side::Back);
        }
        let (start, end) = (self.room.start(), self.room.end());
        let at = start + offset;
        self.room.bytes_mut().copy_within(at..end, at + size);
        head.write(&element, &mut self.room.bytes_mut()[at..at + size]);
        self.set_used(start, end + size, self.len() + 1);
    }

    /// Puts an element in the place of the one at `index`. O(bytes).
    pub fn replace(&mut self, index: usize, element: Element<'_>) {
        let (from, to) = (self.offset(index), self.offset(index + 1));
        let head = Head::new(&element);
        if head.entry_size() == to - from {
            let start = self.room.start();
            head.write(&element, &mut self.room.bytes_mut()[start + from..start + to]);
            return;
        }
        let len = self.len();
        self.cut(from, to);
        self.room.set_count(len - 1);
        self.insert_at(from, element);
    }

    /// Gives back most of the room that is not in use, when that is more than three quarters. O(bytes) then.
    pub fn trim_room(&mut self) {
        let used = self.entries().len();
        if self.room.len() > 64 && used < self.room.len() / 4 {
            self.room = self.room.moved(used + used / 2, used / 4);
        }
    }

    /// Gives back all room that is not in use. O(bytes) if there is any.
    pub fn shrink_to_fit(&mut self) {
        if self.room.len() > self.entries().len() {
            self.room = self.room.clone();
        }
    }

    #[inline]
    fn set_used(&mut self, start: usize, end: usize, count: usize) {
        self.room.set_used(start, end);
        self.room.set_count(count);
    }

    /// Makes room for `size` bytes on one side: by shifting the entries when half of the room is free, else in a
    /// larger allocation.
    #[cold]
    fn make_room(&mut self, size: usize, side: Side) {
        let used = self.entries().len();
        let free = self.room.len() - used;
        let shifts = free >= size && free >= used;
        // The side that grows gets the room; the other keeps what a queue needs: nothing.
        let start = |room: usize| match side {
            Side::Front => room - used,
            Side::Back => 0,
        };
        if shifts {
            let (from, to, start) = (self.room.start(), self.room.end(), start(self.room.len()));
            self.room.bytes_mut().copy_within(from..to, start);
            self.room.set_used(start, start + used);
        } else {
            let mut room = self.room.another(grown(used, size));
            let start = start(room.len());
            room.bytes_mut()[start..start + used].copy_from_slice(self.entries());
            room.set_used(start, start + used);
            room.set_count(self.len());
            self.room = room;
        }
    }
}

enum Side {
    Front,
    Back,
}

/// The room to ask for when `size` bytes come on top of `used`: what fits the allocator's next size while that is
/// small, since small ones are many, half as much again later.
fn grown(used: usize, size: usize) -> usize {
    if used + size <= SMALL { used + size } else { used + size + used / 2 }
}

impl fmt::Debug for Listpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Walks elements from either end.
#[derive(Clone)]
pub struct Iter<'a> {
    left: &'a [u8],
}

impl<'a> Iter<'a> {
    /// Walks elements whose bytes these are.
    pub(crate) fn over(left: &'a [u8]) -> Self {
        Self { left }
    }

    /// The bytes of the elements that are left.
    pub(crate) fn left(&self) -> &'a [u8] {
        self.left
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let (element, size) = decode(self.left)?;
        self.left = &self.left[size..];
        Some(element)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let size = last_entry_size(self.left)?;
        let at = self.left.len() - size;
        let (element, _) = decode(&self.left[at..])?;
        self.left = &self.left[..at];
        Some(element)
    }
}

// --- encoding ----------------------------------------------------------------------------------------------------

/// An entry's encoding bytes: all of a number's entry but its back length, or what comes before a string's bytes.
struct Head {
    bytes: [u8; 9],
    len: u8,
    /// Bytes of the string that follow.
    payload: usize,
}

impl Head {
    #[inline]
    fn new(element: &Element<'_>) -> Self {
        match element {
            Element::Int(n) => Self::int(*n),
            Element::Bytes(bytes) => Self::string(bytes.len()),
        }
    }

    fn int(n: i64) -> Self {
        let le = n.to_le_bytes();
        match n {
            0..=127 => Self::of(&[n as u8], 0),
            -4096..=4095 => {
                let n = (n & 0x1fff) as u16;
                Self::of(&[0xc0 | (n >> 8) as u8, n as u8], 0)
            }
            -0x8000..=0x7fff => Self::of(&[0xf1, le[0], le[1]], 0),
            -0x80_0000..=0x7f_ffff => Self::of(&[0xf2, le[0], le[1], le[2]], 0),
            -0x8000_0000..=0x7fff_ffff => Self::of(&[0xf3, le[0], le[1], le[2], le[3]], 0),
            _ => Self::of(&[0xf4, le[0], le[1], le[2], le[3], le[4], le[5], le[6], le[7]], 0),
        }
    }

    fn string(len: usize) -> Self {
        match len {
            0..=63 => Self::of(&[0x80 | len as u8], len),
            64..=4095 => Self::of(&[0xe0 | (len >> 8) as u8, len as u8], len),
            _ => {
                let le = u32::try_from(len).expect("an element stays below 4 GB").to_le_bytes();
                Self::of(&[0xf0, le[0], le[1], le[2], le[3]], len)
            }
        }
    }

    #[inline]
    fn of(head: &[u8], payload: usize) -> Self {
        let mut bytes = [0; 9];
        bytes[..head.len()].copy_from_slice(head);
        Self { bytes, len: head.len() as u8, payload }
    }

    #[inline]
    fn rest_size(&self) -> usize {
        usize::from(self.len) + self.payload
    }

    #[inline]
    fn entry_size(&self) -> usize {
        self.rest_size() + back_length_size(self.rest_size())
    }

    #[inline]
    fn write(&self, element: &Element<'_>, to: &mut [u8]) {
        let len = usize::from(self.len);
        to[..len].copy_from_slice(&self.bytes[..len]);
        if let Element::Bytes(bytes) = element {
            to[len..len + bytes.len()].copy_from_slice(bytes);
        }
        write_back_length(self.rest_size(), &mut to[self.rest_size()..]);
    }
}

#[inline]
pub(crate) fn back_length_size(rest: usize) -> usize {
    match rest {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        2_097_152..=268_435_455 => 4,
        _ => 5,
    }
}

/// Appends a number's entry.
#[inline]
pub(crate) fn append_int(entries: &mut Vec<u8>, n: i64) {
    if let 0..0x80 = n {
        return entries.extend_from_slice(&[n as u8, 1]);
    }
    let head = Head::int(n);
    entries.extend_from_slice(&head.bytes[..usize::from(head.len)]);
    append_back_length(entries, head.rest_size());
}

/// Appends what follows the rest of an entry.
#[inline]
pub(crate) fn append_back_length(entries: &mut Vec<u8>, rest: usize) {
    if rest < 0x80 {
        return entries.push(rest as u8);
    }
    let mut bytes = [0; 5];
    let bytes = &mut bytes[..back_length_size(rest)];
    write_back_length(rest, bytes);
    entries.extend_from_slice(bytes);
}

#[inline]
fn write_back_length(mut rest: usize, to: &mut [u8]) {
    let first = to.len() - 1;
    for (n, byte) in to.iter_mut().rev().enumerate() {
        *byte = (rest & 0x7f) as u8 | if n < first { 0x80 } else { 0 };
        rest >>= 7;
    }
}

/// The size that the back length at the end of `bytes` tells, with its own size.
#[inline]
fn read_back_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut rest = 0;
    for (n, &byte) in bytes.iter().rev().take(5).enumerate() {
        rest |= usize::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((rest, n + 1));
        }
    }
    None
}

/// The size of the entry that ends where `entries` ends.
#[inline]
fn last_entry_size(entries: &[u8]) -> Option<usize> {
    let (rest, size) = read_back_length(entries)?;
    Some(rest + size)
}

/// The element that `entries` starts with, and its entry's size. `None` at the end and for anything malformed.
#[inline]
fn decode(entries: &[u8]) -> Option<(Element<'_>, usize)> {
    let (element, rest) = decode_rest(entries)?;
    Some((element, rest + back_length_size(rest)))
}

/// The element that `entries` starts with, and its entry's size without the back length.
#[inline]
pub(crate) fn decode_rest(entries: &[u8]) -> Option<(Element<'_>, usize)> {
    let first = *entries.first()?;
    let string = |head: usize, len: usize| {
        let bytes = entries.get(head..head.checked_add(len)?)?;
        Some((Element::Bytes(bytes), head + len))
    };
    match first {
        0..=0x7f => Some((Element::Int(i64::from(first)), 1)),
        0x80..=0xbf => string(1, usize::from(first & 0x3f)),
        0xc0..=0xdf => {
            let raw = u16::from(first & 0x1f) << 8 | u16::from(*entries.get(1)?);
            // The sign bit is the thirteenth.
            Some((Element::Int(i64::from(((raw << 3) as i16) >> 3)), 2))
        }
        0xe0..=0xef => string(2, usize::from(first & 0x0f) << 8 | usize::from(*entries.get(1)?)),
        0xf0 => string(5, u32::from_le_bytes(entries.get(1..5)?.try_into().ok()?) as usize),
        0xf1..=0xf4 => {
            let width = match first {
                0xf1 => 2,
                0xf2 => 3,
                0xf3 => 4,
                _ => 8,
            };
            let mut wide = [0; 8];
            wide[8 - width..].copy_from_slice(entries.get(1..=width)?);
            Some((Element::Int(i64::from_le_bytes(wide) >> (64 - 8 * width)), 1 + width))
        }
        _ => None,
    }
}

/// Checks a whole listpack in Redis's format; gives the number of entries. Never panics, whatever the bytes are.
fn validate(bytes: &[u8]) -> Result<usize, ListpackError> {
    if bytes.len() < FRAME {
        return Err(ListpackError::TooShort);
    }
    let total = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    if total as usize != bytes.len() {
        return Err(ListpackError::SizeMismatch);
    }
    let mut entries = &bytes[HEADER..bytes.len() - 1];
    if bytes[bytes.len() - 1] != END {
        return Err(ListpackError::BadEnd);
    }
    let mut count = 0;
    while let Some(&first) = entries.first() {
        if (0xf5..=0xff).contains(&first) {
            return Err(ListpackError::BadEncoding);
        }
        let (_, rest) = decode_rest(entries).ok_or(ListpackError::BadEnd)?;
        let size = rest + back_length_size(rest);
        let entry = entries.get(..size).ok_or(ListpackError::BadEnd)?;
        if read_back_length(entry) != Some((rest, size - rest)) {
            return Err(ListpackError::BadBackLength);
        }
        entries = &entries[size..];
        count += 1;
    }
    let told = u16::from_le_bytes([bytes[4], bytes[5]]);
    if told != UNKNOWN_COUNT && usize::from(told) != count {
        return Err(ListpackError::CountMismatch);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// One element's entry, as bytes.
    fn check(text: &[u8], expected: &[u8]) {
        let mut pack = Listpack::new();
        pack.push_back(Element::from_bytes(text));
        assert_eq!(pack.entries(), expected, "{text:?}");
        assert_eq!(pack.get(0).map(|e| e.to_vec()), Some(text.to_vec()));
    }

    #[test]
    fn digits_from_elsewhere_are_found_as_numbers() {
        let foreign = b"\x11\0\0\0\x03\0\x815\x02\x82x5\x03\x07\x01\xff";
        let foreign = &[&[foreign.len() as u8], &foreign[1..]].concat();
        let pack = Listpack::from_bytes(foreign).expect("a listpack");
        let expected = [Element::Int(5), Element::Bytes(b"x5"), Element::Int(7)];
        assert!(pack.iter().eq(expected));
        assert_eq!(Listpack::from_bytes(&pack.to_bytes()).expect("a listpack").len(), 3);
    }

    #[test]
    fn entries_are_encoded_as_redis_does() {
        check(b"0", &[0x00, 1]);
        check(b"127", &[0x7f, 1]);
        check(b"128", &[0xc0, 0x80, 2]);
        check(b"-1", &[0xdf, 0xff, 2]);
        check(b"4095", &[0xcf, 0xff, 2]);
        check(b"-4096", &[0xd0, 0x00, 2]);
        check(b"4096", &[0xf1, 0x00, 0x10, 3]);
        check(b"-32768", &[0xf1, 0x00, 0x80, 3]);
        check(b"32768", &[0xf2, 0x00, 0x80, 0x00, 4]);
        check(b"-8388608", &[0xf2, 0x00, 0x00, 0x80, 4]);
        check(b"8388608", &[0xf3, 0x00, 0x00, 0x80, 0x00, 5]);
        check(b"-2147483649", &[0xf4, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 9]);
        check(b"a", &[0x81, b'a', 2]);
        check(b"", &[0x80, 1]);
        check(b"01", &[0x82, b'0', b'1', 3]);
        let text = [b'x'; 64];
        check(&text, &[&[0xe0, 64][..], &text, &[66]].concat());
        let text = [b'x'; 126];
        check(&text, &[&[0xe0, 126][..], &text, &[0x01, 0x80]].concat());
        let text = [b'x'; 4096];
        check(&text, &[&[0xf0, 0x00, 0x10, 0, 0][..], &text, &[0x20, 0x85]].concat());
    }

    #[test]
    fn the_frame_is_written_and_checked() {
        let mut pack = Listpack::new();
        pack.push_back(Element::Bytes(b"ab"));
        pack.push_front(Element::Int(5));
        let bytes = pack.to_bytes();
        assert_eq!(bytes, [13, 0, 0, 0, 2, 0, 5, 1, 0x82, b'a', b'b', 3, 0xff]);
        let bad = |change: fn(&mut Vec<u8>), expected| {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            assert_eq!(Listpack::from_bytes(&bytes).map(|p| p.len()), expected);
        };
        bad(|_| {}, Ok(2));
        bad(|b| b.truncate(6), Err(ListpackError::TooShort));
        bad(|b| b[0] = 12, Err(ListpackError::SizeMismatch));
        bad(|b| b[12] = 0, Err(ListpackError::BadEnd));
        bad(|b| b[8] = 0x83, Err(ListpackError::BadEnd));
        bad(|b| b[8] = 0xf5, Err(ListpackError::BadEncoding));
        bad(|b| b[8] = 0xff, Err(ListpackError::BadEncoding));
        bad(|b| b[11] = 4, Err(ListpackError::BadBackLength));
        bad(|b| b[4] = 3, Err(ListpackError::CountMismatch));
        bad(|b| b[4..6].fill(0xff), Ok(2));
    }

    #[derive(Clone, Debug)]
    enum Op {
        PushBack(Vec<u8>),
        PushFront(Vec<u8>),
        PopBack,
        PopFront,
        Remove(usize, usize),
        Insert(usize, Vec<u8>),
        Trim,
        Fit,
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            (-5000i64..5000).prop_map(|n| n.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..80),
            (100usize..5000).prop_map(|n| vec![b'y'; n]),
        ]
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => text().prop_map(Op::PushBack),
            4 => text().prop_map(Op::PushFront),
            2 => Just(Op::PopBack),
            2 => Just(Op::PopFront),
            1 => (0usize..20, 0usize..4).prop_map(|(i, n)| Op::Remove(i, n)),
            1 => (0usize..20, text()).prop_map(|(i, t)| Op::Insert(i, t)),
            1 => Just(Op::Trim),
            1 => Just(Op::Fit),
        ]
    }

    fn apply(op: Op, pack: &mut Listpack, model: &mut VecDeque<Vec<u8>>) {
        match op {
            Op::PushBack(text) => {
                pack.push_back(Element::from_bytes(&text));
                model.push_back(text);
            }
            Op::PushFront(text) => {
                pack.push_front(Element::from_bytes(&text));
                model.push_front(text);
            }
            Op::PopBack => assert_eq!(pack.pop_back().map(|e| e.to_vec()), model.pop_back()),
            Op::PopFront => assert_eq!(pack.pop_front().map(|e| e.to_vec()), model.pop_front()),
            Op::Remove(index, count) => {
                let range = index.min(model.len())..(index + count).min(model.len());
                assert_eq!(pack.remove_range(index, count), model.drain(range).count());
            }
            Op::Insert(index, text) => {
                pack.insert(index, Element::from_bytes(&text));
                model.insert(index.min(model.len()), text);
            }
            Op::Trim => pack.trim_room(),
            Op::Fit => pack.shrink_to_fit(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn behaves_like_a_deque(ops in proptest::collection::vec(op(), 0..60)) {
            let (mut pack, mut model) = (Listpack::new(), VecDeque::new());
            for op in ops {
                apply(op, &mut pack, &mut model);
                let forward: Vec<_> = pack.iter().map(|e| e.to_vec()).collect();
                prop_assert!(forward.iter().eq(model.iter()));
                let backward: Vec<_> = pack.iter().rev().map(|e| e.to_vec()).collect();
                prop_assert!(backward.iter().eq(model.iter().rev()));
                prop_assert_eq!(pack.len(), model.len());
            }
            let read = Listpack::from_bytes(&pack.to_bytes()).expect("our own bytes");
            prop_assert!(read.iter().eq(pack.iter()));
        }

        #[test]
        fn foreign_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if bytes.len() >= FRAME {
                let total = bytes.len() as u32;
                bytes[..4].copy_from_slice(&total.to_le_bytes());
                bytes[4..6].fill(0xff);
                *bytes.last_mut().expect("not empty") = END;
            }
            if let Ok(pack) = Listpack::from_bytes(&bytes) {
                prop_assert_eq!(pack.iter().count(), pack.len());
                prop_assert_eq!(pack.iter().rev().count(), pack.len());
            }
        }
    }
}
