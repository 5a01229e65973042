//! A leaf of the order: pairs in one allocation, so that a search in it leads to one place in memory.
//!
//! ```text
//!  ├ member 0 ┼ member 1 ┼ … ┼ room ┼ … ┼ slot 1 ┼ slot 0 ┤         slot: ├ score f64 ┼ where its member begins u16 ┤
//! ```

use super::order::{Probe, Side};
use crate::raw::entry::class_size;
use crate::relocate::Mover;

/// Pairs of a leaf at most.
pub(super) const PAIRS: usize = if cfg!(test) { 6 } else { 64 };
/// Bytes of members in a leaf from which on it splits, and of a member that is long: nothing lies behind it in its leaf, so
/// that 16 bits tell where any member begins.
pub(super) const LEAF_BYTES: usize = 4096;
/// Bytes of a slot.
const SLOT: usize = 10;

#[derive(Clone, Default)]
pub(super) struct Leaf {
    room: Box<[u8]>,
    /// Bytes of members.
    bytes: u32,
    count: u16,
}

impl Leaf {
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Bytes of members.
    #[inline]
    pub(super) fn byte_len(&self) -> usize {
        self.bytes as usize
    }

    #[inline]
    fn slot(&self, at: usize) -> &[u8; SLOT] {
        let end = self.room.len() - SLOT * at;
        self.room[end - SLOT..end].try_into().expect("a slot's bytes")
    }

    #[inline]
    pub(super) fn score(&self, at: usize) -> f64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.slot(at);
        f64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Where a member begins, or where they end.
    #[inline]
    fn start(&self, at: usize) -> usize {
        if at == self.len() {
            return self.byte_len();
        }
        let [.., low, high] = *self.slot(at);
        usize::from(u16::from_le_bytes([low, high]))
    }

    fn set_slot(&mut self, at: usize, score: f64, start: usize) {
        let end = self.room.len() - SLOT * at;
        let start = u16::try_from(start).expect("a long member is the last one");
        self.room[end - SLOT..end - 2].copy_from_slice(&score.to_le_bytes());
        self.room[end - 2..end].copy_from_slice(&start.to_le_bytes());
    }

    /// Adds to where members begin, from one on.
    fn move_starts(&mut self, from: usize, by: isize) {
        let len = self.room.len();
        let (count, from) = (self.len(), SLOT * from);
        for slot in self.room[len - SLOT * count..len - from].as_chunks_mut::<SLOT>().0 {
            let start = u16::from_le_bytes([slot[8], slot[9]]);
            let moved = u16::try_from(start as isize + by).expect("a long member is the last one");
            slot[8..].copy_from_slice(&moved.to_le_bytes());
        }
    }

    #[inline]
    pub(super) fn member(&self, at: usize) -> &[u8] {
        &self.room[self.start(at)..self.start(at + 1)]
    }

    #[inline]
    pub(super) fn pair(&self, at: usize) -> (f64, &[u8]) {
        (self.score(at), self.member(at))
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (f64, &[u8])> {
        (0..self.len()).map(|at| self.pair(at))
    }

    pub(super) fn last(&self) -> f64 {
        self.score(self.len() - 1)
    }

    /// Whether all pairs have one score.
    pub(super) fn is_alike(&self) -> bool {
        self.len() == 0 || self.score(0) == self.last()
    }

    fn is_full(&self) -> bool {
        self.len() >= PAIRS || self.byte_len() >= LEAF_BYTES
    }

    /// Whether it has as much as is good for a leaf that was not grown pair by pair.
    pub(super) fn is_filled(&self) -> bool {
        self.len() >= PAIRS - PAIRS / 8 || self.byte_len() >= LEAF_BYTES - LEAF_BYTES / 8
    }

    /// Where to cut the leaf so that a member of `len` bytes fits in at `at`, and on which side of the cut; `None` when it
    /// fits as it is. `is_last`: nothing lies behind the leaf.
    pub(super) fn cut_for(&self, at: usize, len: usize, is_last: bool) -> Option<(usize, Side)> {
        let count = self.len();
        if len >= LEAF_BYTES && at < count {
            return Some((at, Side::Before)); // nothing may lie behind it
        }
        if !self.is_full() {
            return None;
        }
        if at == count && is_last {
            return Some((count, Side::Behind));
        }
        if self.byte_len() - self.start(count - 1) >= LEAF_BYTES {
            return Some(if at == count { (count, Side::Behind) } else { (count - 1, Side::Before) });
        }
        let middle = count / 2;
        Some((middle, if at <= middle { Side::Before } else { Side::Behind }))
    }

    #[inline]
    pub(super) fn rank(&self, probe: Probe<'_>) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if probe.is_behind(self.score(middle), || self.member(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Where a pair lies, if it is there.
    pub(super) fn find(&self, score: f64, member: &[u8]) -> Option<usize> {
        let at = self.rank(Probe::Pair(score, member));
        (at < self.len() && self.score(at) == score && self.member(at) == member).then_some(at)
    }

    /// Takes an allocation for so many pairs and bytes of members, which are not fewer than there are.
    fn take_room(&mut self, count: usize, bytes: usize) {
        let mut room = vec![0; class_size(SLOT * count + bytes)].into_boxed_slice();
        let (used, slots) = (self.byte_len(), SLOT * self.len());
        let (from, to) = (self.room.len() - slots, room.len() - slots);
        room[..used].copy_from_slice(&self.room[..used]);
        room[to..].copy_from_slice(&self.room[from..]);
        self.room = room;
    }

    /// Takes no more memory than it needs.
    fn shrink_to_fit(&mut self) {
        if class_size(SLOT * self.len() + self.byte_len()) < self.room.len() {
            self.take_room(self.len(), self.byte_len());
        }
    }

    /// Adds a pair behind the others.
    pub(super) fn push(&mut self, score: f64, member: &[u8]) {
        self.insert(self.len(), score, member);
    }

    pub(super) fn insert(&mut self, at: usize, score: f64, member: &[u8]) {
        let (count, end, start) = (self.len(), self.byte_len(), self.start(at));
        if SLOT * (count + 1) + end + member.len() > self.room.len() {
            self.take_room(count + 1, end + member.len());
        }
        self.room.copy_within(start..end, start + member.len());
        self.room[start..start + member.len()].copy_from_slice(member);
        self.move_starts(at, member.len() as isize);
        let len = self.room.len();
        self.room.copy_within(len - SLOT * count..len - SLOT * at, len - SLOT * (count + 1));
        self.bytes = u32::try_from(end + member.len()).expect("members of a leaf take up to 4 GB");
        self.count += 1;
        self.set_slot(at, score, start);
    }

    pub(super) fn remove(&mut self, at: usize) {
        let (count, end, from, to) = (self.len(), self.byte_len(), self.start(at), self.start(at + 1));
        self.room.copy_within(to..end, from);
        self.move_starts(at + 1, from as isize - to as isize);
        let len = self.room.len();
        self.room.copy_within(len - SLOT * count..len - SLOT * (at + 1), len - SLOT * (count - 1));
        self.bytes -= (to - from) as u32;
        self.count -= 1;
        if SLOT * self.len() + self.byte_len() < self.room.len() / 2 {
            self.shrink_to_fit();
        }
    }

    /// The pairs from `at` on as a leaf of their own; what stays keeps no more room than it needs.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let right = self.part(at, self.len());
        *self = self.part(0, at);
        right
    }

    /// A copy of some of the pairs, which takes no more memory than it needs.
    pub(super) fn part(&self, from: usize, to: usize) -> Self {
        let (start, end) = (self.start(from), self.start(to));
        let mut part = Self { room: Box::default(), bytes: 0, count: 0 };
        part.take_room(to - from, end - start);
        let bytes = end - start;
        part.room[..bytes].copy_from_slice(&self.room[start..end]);
        let (len, own) = (self.room.len(), part.room.len());
        part.room[own - SLOT * (to - from)..].copy_from_slice(&self.room[len - SLOT * to..len - SLOT * from]);
        (part.count, part.bytes) = ((to - from) as u16, bytes as u32);
        part.move_starts(0, -(start as isize));
        part
    }

    /// Forgets all pairs, and keeps the room.
    pub(super) fn clear(&mut self) {
        (self.count, self.bytes) = (0, 0);
    }

    /// Adds another leaf's pairs behind its own.
    pub(super) fn append(&mut self, other: &Self) {
        let (count, before) = (self.len(), self.byte_len());
        self.take_room(count + other.len(), before + other.byte_len());
        self.room[before..before + other.byte_len()].copy_from_slice(&other.room[..other.byte_len()]);
        let end = self.room.len() - SLOT * count;
        let slots = &other.room[other.room.len() - SLOT * other.len()..];
        self.room[end - slots.len()..end].copy_from_slice(slots);
        (self.count, self.bytes) = (self.count + other.count, self.bytes + other.bytes);
        self.move_starts(count, before as isize);
    }

    /// Moves the allocation as the mover says.
    pub(super) fn relocate(&mut self, mover: &mut Mover<'_>) {
        mover.slice(&mut self.room);
    }

    /// Bytes of the allocation.
    pub(super) fn allocated(&self) -> usize {
        self.room.len()
    }
}
