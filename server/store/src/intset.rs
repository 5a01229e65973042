//! The integer set: Redis's sorted array of integers of one width, byte for byte, since RDB files and DUMP carry it.
//!
//! ```text
//!  ├ width u32: 2, 4 or 8 ┼ count u32 ┼ integer ┼ integer ┼ … ┤      little endian, ascending, no two alike
//! ```
//!
//! In memory only the integers are kept; the header is written when the bytes leave. All have the width that the one
//! farthest from zero needs; it never shrinks.

use std::fmt;

use crate::raw::room::Room;
use crate::relocate::Mover;

const HEADER: usize = 8;

/// Why foreign bytes are not an integer set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntsetError;

impl fmt::Display for IntsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes are not an integer set")
    }
}

impl std::error::Error for IntsetError {}

/// A set of integers.
#[derive(Clone)]
#[repr(transparent)]
pub struct Intset {
    /// The integers from the start on; the room's count is their width.
    room: Room,
}

impl Intset {
    /// Moves the bytes as the mover says.
    pub(crate) fn relocate(&mut self, mover: &mut Mover<'_>) {
        self.room.relocate(mover);
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self { room: Room::empty() }
    }
}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

fn width_of(n: i64) -> usize {
    match n {
        -0x8000..=0x7fff => 2,
        -0x8000_0000..=0x7fff_ffff => 4,
        _ => 8,
    }
}

#[inline]
fn decode(bytes: &[u8], width: usize, index: usize) -> i64 {
    let at = index * width;
    match width {
        2 => i64::from(i16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))),
        4 => i64::from(i32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))),
        _ => i64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")),
    }
}

impl Intset {
    /// An empty set; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes per integer.
    #[inline]
    fn width(&self) -> usize {
        self.room.count().max(2)
    }

    /// Number of integers.
    #[inline]
    pub fn len(&self) -> usize {
        self.room.end() / self.width()
    }

    /// No integers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integer at `index`, counted from the smallest.
    #[inline]
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| decode(self.room.used(), self.width(), index))
    }

    /// The integers, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + DoubleEndedIterator + Clone + '_ {
        let (bytes, width) = (self.room.used(), self.width());
        (0..self.len()).map(move |index| decode(bytes, width, index))
    }

    /// Where `n` is, or where it would have to be. O(log n).
    #[inline]
    fn search(&self, n: i64) -> Result<usize, usize> {
        let (bytes, width) = (self.room.used(), self.width());
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match decode(bytes, width, middle).cmp(&n) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Whether `n` is there. O(log n).
    #[inline]
    pub fn contains(&self, n: i64) -> bool {
        self.search(n).is_ok()
    }

    /// Adds `n`; true when it is new. O(n).
    pub fn insert(&mut self, n: i64) -> bool {
        if width_of(n) > self.width() {
            self.widen(width_of(n));
        }
        let Err(index) = self.search(n) else { return false };
        let (width, end) = (self.width(), self.room.end());
        if self.room.len() < end + width {
            // A quarter more once that is worth the room.
            let more = if end < 1024 { 0 } else { end / 4 };
            self.room = self.room.moved(end + width + more, 0);
        }
        let at = index * width;
        let bytes = self.room.bytes_mut();
        bytes.copy_within(at..end, at + width);
        bytes[at..at + width].copy_from_slice(&n.to_le_bytes()[..width]);
        self.room.set_used(0, end + width);
        self.room.set_count(width);
        true
    }

    fn widen(&mut self, width: usize) {
        let len = self.len();
        let mut room = self.room.another((len + 1) * width);
        for (n, place) in self.iter().zip(room.bytes_mut().chunks_exact_mut(width)) {
            place.copy_from_slice(&n.to_le_bytes()[..width]);
        }
        room.set_used(0, len * width);
        room.set_count(width);
        self.room = room;
    }

    /// Takes `n` out; true when it was there. O(n).
    pub fn remove(&mut self, n: i64) -> bool {
        let Ok(index) = self.search(n) else { return false };
        let (width, end) = (self.width(), self.room.end());
        self.room.bytes_mut().copy_within((index + 1) * width..end, index * width);
        self.room.set_used(0, end - width);
        if self.room.len() > 64 && end - width < self.room.len() / 2 {
            self.room = self.room.moved(end - width, 0);
        }
        true
    }

    /// Bytes on the heap.
    pub fn memory_usage(&self) -> usize {
        self.room.allocated()
    }

    /// Appends the set in Redis's format to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.width() as u32).to_le_bytes());
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        out.extend_from_slice(self.room.used());
    }

    /// Reads Redis's format, checking every byte that later steps rely on. O(bytes).
    ///
    /// # Errors
    /// When the size contradicts the header, or the integers do not ascend.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IntsetError> {
        let (header, content) = bytes.split_first_chunk::<HEADER>().ok_or(IntsetError)?;
        let [a, b, c, d, e, f, g, h] = *header;
        let (width, len) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if !matches!(width, 2 | 4 | 8) || u64::from(len) * u64::from(width) != content.len() as u64 {
            return Err(IntsetError);
        }
        if content.is_empty() {
            return Ok(Self::new());
        }
        let mut room = Room::with(content.len());
        room.bytes_mut()[..content.len()].copy_from_slice(content);
        room.set_used(0, content.len());
        room.set_count(width as usize);
        let set = Self { room };
        let ascends = set.iter().zip(set.iter().skip(1)).all(|(one, next)| one < next);
        if ascends { Ok(set) } else { Err(IntsetError) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bytes(set: &Intset) -> Vec<u8> {
        let mut out = Vec::new();
        set.write_to(&mut out);
        out
    }

    #[test]
    fn bytes_are_those_of_redis() {
        let mut set = Intset::new();
        assert_eq!(bytes(&set), [2, 0, 0, 0, 0, 0, 0, 0]);
        assert!(set.insert(5) && set.insert(-1) && !set.insert(5));
        assert_eq!(bytes(&set), [2, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 5, 0]);
        set.insert(70_000);
        let wider = [4, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 5, 0, 0, 0, 0x70, 0x11, 1, 0];
        assert_eq!(bytes(&set), wider);
        assert!(set.remove(70_000) && !set.remove(70_000));
        assert_eq!(bytes(&set)[0], 4, "it stays wide");
    }

    #[test]
    fn foreign_bytes_are_checked() {
        let check =
            |bytes: &[u8], good: bool| assert_eq!(Intset::from_bytes(bytes).is_ok(), good, "{bytes:?}");
        check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0], true);
        check(&[2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0], false);
        check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0], false);
        check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2], false);
        check(&[3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2], false);
        check(&[2, 0, 0, 0, 0, 0, 0], false);
        check(&[8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1], false);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(ops in proptest::collection::vec(
            (any::<bool>(), prop_oneof![-20i64..20, any::<i16>().prop_map(i64::from), any::<i64>(), Just(i64::MIN)]),
            0..200,
        )) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (adds, n) in ops {
                if adds {
                    prop_assert_eq!(set.insert(n), model.insert(n));
                } else {
                    prop_assert_eq!(set.remove(n), model.remove(&n));
                }
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!(set.len(), model.len());
                prop_assert!(model.iter().all(|n| set.contains(*n)));
            }
            let read = Intset::from_bytes(&bytes(&set)).expect("our own bytes");
            prop_assert!(read.iter().eq(set.iter()));
        }
    }
}
