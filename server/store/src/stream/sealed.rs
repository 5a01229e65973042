//! The form that a node takes when nothing more comes to it: without what a listpack has for walks from its end.
//!
//! ```text
//!  ├ n ┼ field 1 … field n ┼ entry ┼ entry ┼ … ┤         elements as in the listpack, but without back lengths
//!  entry: ├ flags ┼ ms ┼ seq ┼ value 1 … value n ┤                    flags 2: it has the first entry's fields
//!         ├ flags ┼ ms ┼ seq ┼ n ┼ field 1 ┼ value 1 … ┤              flags 0: it has fields of its own
//!  flags 1: deleted · flags 4: seq is that of the first entry, and left out
//! ```
//!
//! An entry of one short value takes 7 bytes less, a quarter of it. Who reads a sealed node backwards first goes through it
//! forwards to see where its entries begin; files get the listpack again.

use super::node::SAME_FIELDS;
use crate::listpack::{Element, Listpack, append_back_length, append_int, back_length_size, decode_rest};
use crate::raw::room::Room;

const SAME_SEQ: i64 = 4;
/// Flags that an entry has outside.
const KNOWN_FLAGS: i64 = 3;
/// Bytes up to which a node is sealed: it is gone through as a whole then, and at a walk from its end.
const MOST_BYTES: usize = 1 << 16;

/// Walks elements of a node of either form.
#[derive(Clone)]
pub(super) struct Elements<'a> {
    pub(super) left: &'a [u8],
    pub(super) is_sealed: bool,
}

impl<'a> Elements<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next element, if it is a number.
    #[inline(always)]
    pub(super) fn int(&mut self) -> Option<i64> {
        if let Some(&small @ 0..0x80) = self.left.first() {
            self.left = self.left.get(if self.is_sealed { 1 } else { 2 }..)?;
            return Some(i64::from(small));
        }
        match self.next()? {
            Element::Int(n) => Some(n),
            Element::Bytes(_) => None,
        }
    }

    /// Passes over elements; `None` when there are fewer.
    #[inline]
    pub(super) fn pass(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| {
            let rest = match *self.left.first()? {
                0..0x80 => 1,
                head @ 0x80..0xc0 => 1 + usize::from(head & 0x3f),
                _ => decode_rest(self.left)?.1,
            };
            let size = if self.is_sealed { rest } else { rest + back_length_size(rest) };
            self.left = self.left.get(size..)?;
            Some(())
        })
    }

    /// Passes over an entry of a sealed node whose first entry has so many fields.
    #[inline]
    pub(super) fn pass_entry(&mut self, fields: usize) -> Option<()> {
        let (flags, ..) = self.head()?;
        let body = if flags & SAME_FIELDS != 0 {
            fields
        } else {
            usize::try_from(self.int()?).ok()?.checked_mul(2)?
        };
        self.pass(body)
    }

    /// Reads an entry's flags and the two parts of its ID.
    #[inline(always)]
    pub(super) fn head(&mut self) -> Option<(i64, i64, i64)> {
        let (flags, ms) = (self.int()?, self.int()?);
        if !self.is_sealed {
            return Some((flags, ms, self.int()?));
        }
        let seq = if flags & SAME_SEQ != 0 { 0 } else { self.int()? };
        Some((flags & KNOWN_FLAGS, ms, seq))
    }

    /// The next element and its bytes without the back length.
    #[inline]
    fn next_bare(&mut self) -> Option<(Element<'a>, &'a [u8])> {
        let (element, rest) = decode_rest(self.left)?;
        let bare = &self.left[..rest];
        let size = if self.is_sealed { rest } else { rest + back_length_size(rest) };
        self.left = &self.left[size..];
        Some((element, bare))
    }

    /// Appends the next elements to `out` as a sealed node has them.
    fn copy(&mut self, count: usize, out: &mut Vec<u8>) -> Option<()> {
        (0..count).try_for_each(|_| {
            out.extend_from_slice(self.next_bare()?.1);
            Some(())
        })
    }

    /// Appends the next element, a count.
    fn copy_count(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        match self.next_bare()? {
            (Element::Int(count), bare) => {
                out.extend_from_slice(bare);
                usize::try_from(count).ok()
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Element<'a>> {
        let (element, rest) = decode_rest(self.left)?;
        let size = if self.is_sealed { rest } else { rest + back_length_size(rest) };
        self.left = self.left.get(size..)?;
        Some(element)
    }
}

/// The sealed form of a listpack; `None` where it is too large, or not as it is made here.
pub(super) fn seal(pack: &Listpack) -> Option<Room> {
    if pack.total_bytes() > MOST_BYTES {
        return None;
    }
    let mut left = Elements { left: pack.entries(), is_sealed: false };
    let mut out = Vec::with_capacity(pack.total_bytes());
    let fields = left.copy_count(&mut out)?;
    left.copy(fields, &mut out)?;
    left.pass(1)?;
    while !left.is_empty() {
        let flags = left.int().filter(|flags| (0..=KNOWN_FLAGS).contains(flags))?;
        let flags_at = out.len();
        out.push(flags as u8);
        left.copy(1, &mut out)?;
        let (seq, bare) = left.next_bare()?;
        if seq == Element::Int(0) {
            out[flags_at] |= SAME_SEQ as u8;
        } else {
            out.extend_from_slice(bare);
        }
        let body =
            if flags & SAME_FIELDS != 0 { fields } else { left.copy_count(&mut out)?.checked_mul(2)? };
        left.copy(body, &mut out)?;
        left.pass(1)?;
    }
    let mut room = Room::with(out.len());
    room.bytes_mut()[..out.len()].copy_from_slice(&out);
    room.set_used(0, out.len());
    Some(room)
}

/// Marks entries of a sealed node, given by where they begin, as deleted.
pub(super) fn mark(room: &mut Room, starts: impl Iterator<Item = usize>, flag: u8) {
    let from = room.start();
    starts.for_each(|start| room.bytes_mut()[from + start] |= flag);
}

/// A listpack's elements on their way back from a sealed node.
#[derive(Default)]
pub(super) struct Unsealed {
    pub(super) entries: Vec<u8>,
    pub(super) count: usize,
}

impl Unsealed {
    pub(super) fn int(&mut self, n: i64) {
        append_int(&mut self.entries, n);
        self.count += 1;
    }

    /// Takes over elements, back lengths added.
    #[inline]
    fn take(&mut self, count: usize, left: &mut Elements<'_>) -> Option<()> {
        self.count += count;
        (0..count).try_for_each(|_| {
            let before = left.left;
            left.pass(1)?;
            let bare = &before[..before.len() - left.left.len()];
            self.entries.extend_from_slice(bare);
            append_back_length(&mut self.entries, bare.len());
            Some(())
        })
    }

    /// Adds what a sealed node holds; `None` if its elements contradict each other.
    pub(super) fn add(&mut self, sealed: &Room) -> Option<()> {
        let mut left = Elements { left: sealed.used(), is_sealed: true };
        self.entries.reserve(left.left.len() * 2);
        let fields = usize::try_from(left.clone().int()?).ok()?;
        self.take(1 + fields, &mut left)?;
        self.int(0);
        while !left.is_empty() {
            let flags = left.int()?;
            self.int(flags & KNOWN_FLAGS);
            self.take(1, &mut left)?;
            if flags & SAME_SEQ != 0 {
                self.int(0);
            } else {
                self.take(1, &mut left)?;
            }
            let (mut pieces, mut body) = (3 + fields, fields);
            if flags & SAME_FIELDS == 0 {
                let own = usize::try_from(left.clone().int()?).ok()?;
                (pieces, body) = (4 + 2 * own, 1 + 2 * own);
            }
            self.take(body, &mut left)?;
            self.int(pieces as i64);
        }
        Some(())
    }
}
