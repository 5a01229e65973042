//! The large form of a sorted set: an order of scores and members, and what finds a member's score.
//!
//! ```text
//!  Tree ─┬─ Order: (score, member), in order                  order.rs   all members
//!        ├─ Index: position in the hash's range → score       index.rs   light ones
//!        └─ Dict:  member → score                             dict.rs    heavy ones
//! ```
//!
//! A light member's bytes lie in the order only. The index gives the score that it would have, the order says whether it
//! is there: a look-up descends two trees instead of one, and a member costs its bytes once instead of twice.
//!
//! A scan of the hash's range must find members the other way round, by a position and a score. Where few have that score,
//! that is quick: the order has them side by side. So members are heavy, and known by their bytes to the dictionary, where
//! many share a score. *A light member never lies in a leaf whose pairs all have one score*, but for ends of the order that
//! [`Alike`] names: then the light members of a score are in the leaf where its run begins or in the one where it ends. A
//! heavy one may lie anywhere; when a leaf comes to hold one score only, those of its members that are light become heavy.

use super::index::{Index, POSITION_BITS, Position, Slot};
use super::leaf::PAIRS;
use super::order::{Alike, Order, Probe};
use super::{Placed, Side, score_of};
use crate::dict::{Dict, dict_hash};
use crate::hash::Hash;
use crate::relocate::Mover;

#[derive(Clone, Default)]
pub(crate) struct Tree {
    light: Index,
    heavy: Dict<8>,
    pub(super) order: Order,
}

/// The order of a dictionary's members by their scores.
fn sorted(scores: &Dict<8>) -> Order {
    let pairs = scores.iter().map(|(member, score)| (sortable(score_of(score)), score, member));
    let mut pairs: Vec<(u64, &[u8], &[u8])> = pairs.collect();
    pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.2.cmp(b.2)));
    Order::from_sorted(pairs.iter().map(|(_, score, member)| (score_of(score), *member)))
}

/// A number that is ordered as scores are: both zeros are one.
fn sortable(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Bits by which a hash's prefix, which the dictionary is ordered by, is longer than a position.
const FINER: u32 = Hash::PREFIX_BITS - POSITION_BITS;
/// The positions' end.
const END: u64 = 1 << POSITION_BITS;

/// In the place of a walk that moves allocations: which part it has reached; below is the place there.
const IN_HEAVY: u64 = 1 << 62;
const IN_ORDER: u64 = 1 << 63;

impl Tree {
    /// The members of a dictionary with their scores. O(n log n).
    pub(super) fn of(scores: Dict<8>) -> Self {
        let order = sorted(&scores);
        let mut heavy = Dict::default();
        order.each_alike(|score, member| {
            heavy.insert(member, &score.to_le_bytes());
        });
        if heavy.len() == scores.len() {
            return Self { light: Index::default(), heavy: scores, order };
        }
        let mut slots = Vec::with_capacity(scores.len() - heavy.len());
        scores.each_in_order(|hash, member, score| {
            if heavy.is_empty() || heavy.get_hashed(hash, member).is_none() {
                slots.push(Slot::new(Position::of(hash), score_of(score)));
            }
        });
        Self { light: Index::from_sorted(&slots), heavy, order }
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// A member's score.
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        let hash = dict_hash(member);
        self.heavy_score(hash, member)
            .or_else(|| self.light.at(Position::of(hash)).find(|score| self.order.contains(*score, member)))
    }

    /// A member's rank and score.
    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let hash = dict_hash(member);
        let rank = |score: f64| self.order.find(score, member).map(|rank| (rank, score));
        match self.heavy_score(hash, member) {
            Some(score) => rank(score),
            None => self.light.at(Position::of(hash)).find_map(rank),
        }
    }

    #[inline]
    fn heavy_score(&self, hash: Hash, member: &[u8]) -> Option<f64> {
        if self.heavy.is_empty() { None } else { self.heavy.get_hashed(hash, member).map(score_of) }
    }

    /// Gives a member a score.
    pub(super) fn insert(&mut self, member: &[u8], score: f64) -> Placed {
        let hash = dict_hash(member);
        let mut alike = Alike::default();
        let placed = match self.heavy_score(hash, member) {
            Some(old) if old == score => return Placed::Same,
            Some(old) => {
                assert!(self.order.remove(old, member, &mut alike), "a heavy member is in the order");
                if self.order.insert(score, member, &mut alike) {
                    self.heavy.insert_hashed(hash, member, &score.to_le_bytes());
                } else {
                    self.heavy.remove(member);
                    self.light.insert(Position::of(hash), score);
                }
                Placed::Moved
            }
            None => match self.insert_light(hash, member, score, &mut alike) {
                Placed::Same => return Placed::Same,
                placed => placed,
            },
        };
        self.make_heavy(alike);
        placed
    }

    /// Gives a member a score that is new or light.
    fn insert_light(&mut self, hash: Hash, member: &[u8], score: f64, alike: &mut Alike) -> Placed {
        let position = Position::of(hash);
        let mut old = None;
        for at in self.light.at(position) {
            if at == score {
                if self.order.contains(at, member) {
                    return Placed::Same;
                }
            } else if self.order.remove(at, member, alike) {
                old = Some(at);
                break;
            }
        }
        let is_heavy = self.order.insert(score, member, alike);
        match old {
            Some(old) if is_heavy => self.light.remove(position, old),
            Some(old) => self.light.replace(position, old, score),
            None if is_heavy => {}
            None => self.light.insert(position, score),
        }
        if is_heavy {
            self.heavy.insert_hashed(hash, member, &score.to_le_bytes());
        }
        if old.is_some() { Placed::Moved } else { Placed::New }
    }

    /// Takes a member out; its score.
    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let hash = dict_hash(member);
        let mut alike = Alike::default();
        let score = match self.heavy_score(hash, member) {
            Some(score) => {
                assert!(self.order.remove(score, member, &mut alike), "a heavy member is in the order");
                self.heavy.remove(member);
                score
            }
            None => {
                let position = Position::of(hash);
                let score =
                    self.light.at(position).find(|score| self.order.remove(*score, member, &mut alike))?;
                self.light.remove(position, score);
                score
            }
        };
        self.make_heavy(alike);
        Some(score)
    }

    /// Makes the members heavy whose leaves have come to hold one score only.
    fn make_heavy(&mut self, alike: Alike) {
        for (score, member) in alike.pairs {
            let hash = dict_hash(&member);
            if self.heavy_score(hash, &member).is_none() {
                self.light.remove(Position::of(hash), score);
                self.heavy.insert_hashed(hash, &member, &score.to_le_bytes());
            }
        }
    }

    /// Emits members from `cursor` on, about `count`, and returns the next cursor: as [`Dict::scan`], in the coarser order
    /// of positions, which a member keeps whether it is light or heavy.
    pub(super) fn scan<'a>(&'a self, cursor: u64, count: usize, mut emit: impl FnMut(&'a [u8], f64)) -> u64 {
        let (mut from, mut emitted) = (cursor, 0);
        while from < END {
            let (slots, mut end) = self.light.leaf(from);
            let mut slots = &slots[slots.partition_point(|slot| slot.position.number() < from)..];
            let most = count.saturating_sub(emitted).max(1);
            if let Some(last) = slots.get(most - 1) {
                end = end.min(last.position.number() + 1);
            }
            if !self.heavy.is_empty() {
                // Up, so that a leaf that is narrower than a position does not hold the scan up.
                end = end.min(self.heavy.leaf_end(from << FINER).div_ceil(1 << FINER));
                self.heavy.each_between(from << FINER, end << FINER, |member, score| {
                    emit(member, score_of(score));
                    emitted += 1;
                });
            }
            slots = &slots[..slots.partition_point(|slot| slot.position.number() < end)];
            for (n, slot) in slots.iter().enumerate() {
                let mut before = slots[..n].iter().rev().take_while(|other| other.position == slot.position);
                if before.all(|other| other.score() != slot.score()) {
                    self.each_light(*slot, |member, score| {
                        emit(member, score);
                        emitted += 1;
                    });
                }
            }
            from = end;
            if emitted >= count && from < END {
                return from;
            }
        }
        0
    }

    /// The light members of a position and a score.
    fn each_light<'a>(&'a self, slot: Slot, mut emit: impl FnMut(&'a [u8], f64)) {
        let wanted = slot.score();
        let mut show = |(score, member): (f64, &'a [u8])| {
            let hash = dict_hash(member);
            if Position::of(hash) == slot.position && self.heavy_score(hash, member).is_none() {
                emit(member, score);
            }
        };
        let mut left = 2 * PAIRS;
        let run = self.order.pairs_from(Probe::Score(wanted, Side::Before));
        for pair in run.take_while(|pair| pair.0 == wanted).take(left) {
            left -= 1;
            show(pair);
        }
        if left == 0 {
            // A longer run: the leaf that it begins in is behind, the one where it ends is still to come.
            let rank = |side| self.order.rank(Probe::Score(wanted, side));
            let (from, end) = (rank(Side::Before) + 2 * PAIRS, rank(Side::Behind));
            if end > from {
                self.order.pairs(end - 1, true).take(PAIRS.min(end - from)).for_each(show);
            }
        }
    }

    /// Moves a piece as the mover says; where to go on.
    pub(super) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        let place = from & !(IN_ORDER | IN_HEAVY);
        if from & IN_ORDER != 0 {
            return self.order.relocate(place as usize, mover).map(|next| next as u64 | IN_ORDER);
        }
        if from & IN_HEAVY != 0 {
            return Some(self.heavy.relocate(place, mover).map_or(IN_ORDER, |next| next | IN_HEAVY));
        }
        Some(self.light.relocate(place, mover).unwrap_or(IN_HEAVY))
    }

    /// Bytes on the heap. O(nodes).
    pub(super) fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.light.memory_usage() + self.heavy.memory_usage() + self.order.memory_usage()
    }

    /// About how many allocations a drop frees.
    pub(super) fn free_effort(&self) -> usize {
        self.light.node_count() + self.heavy.free_effort() + self.order.node_count()
    }
}

#[cfg(test)]
impl Tree {
    /// Looks at every member: light or heavy, and what may be light is.
    pub(super) fn check(&self) {
        let is_light = |member: &[u8]| self.heavy_score(dict_hash(member), member).is_none();
        let mut light = 0;
        for (score, member) in self.order.pairs(0, false) {
            let hash = dict_hash(member);
            match self.heavy_score(hash, member) {
                Some(own) => assert_eq!(own.to_bits(), score.to_bits()),
                None => {
                    light += 1;
                    assert!(self.light.at(Position::of(hash)).any(|own| own.to_bits() == score.to_bits()));
                }
            }
        }
        assert_eq!((light, light + self.heavy.len()), (self.light.len(), self.len()));
        let leaves = self.order.leaves();
        for (at, leaf) in leaves.iter().enumerate() {
            let Some(&(score, _)) = leaf.first() else { continue }; // the root of an empty set
            let is_alike = leaf.iter().all(|pair| pair.0 == score);
            let is_next = |other: Option<f64>| other == Some(score);
            let is_amid = at > 0
                && is_next(leaves[at - 1].last().map(|pair| pair.0))
                && is_next(leaves.get(at + 1).map(|next| next[0].0));
            if is_alike && leaves.len() > 1 && (leaf.len() > 1 || is_amid) {
                assert!(
                    leaf.iter().all(|(_, member)| !is_light(member)),
                    "a run of {score} with a light member"
                );
            }
        }
    }

    pub(super) fn heavy_len(&self) -> usize {
        self.heavy.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_of_crowded_scores_are_heavy() {
        let check = |score: fn(u32) -> u32, expected: std::ops::RangeInclusive<usize>| {
            let (mut tree, mut scores) = (Tree::default(), Dict::default());
            for n in 0..3000 {
                let (member, score) = (format!("member:{n}"), f64::from(score(n)));
                tree.insert(member.as_bytes(), score);
                scores.insert(member.as_bytes(), &score.to_le_bytes());
            }
            for tree in [tree, Tree::of(scores)] {
                tree.check();
                assert!(expected.contains(&tree.heavy_len()), "{}", tree.heavy_len());
            }
        };
        check(|n| n, 0..=0);
        check(|n| u32::MAX - n, 0..=0);
        check(|n| n.wrapping_mul(0x9e37_79b9), 0..=1);
        check(|n| n / 100, 2000..=3000);
        check(|_| 7, 3000..=3000);
    }

    /// A scan finds what is there from its start to its end, whatever else comes, goes, and changes between light and heavy.
    #[test]
    fn a_scan_misses_nothing_that_stays() {
        let member = |n: u32| format!("member:{n}").into_bytes();
        let mut tree = Tree::default();
        for n in 0..600 {
            tree.insert(&member(n), f64::from(n % 5));
        }
        let (mut cursor, mut step, mut found) = (0, 0, std::collections::HashSet::new());
        loop {
            cursor = tree.scan(cursor, 3, |member, _| {
                found.insert(member.to_vec());
            });
            if cursor == 0 {
                break;
            }
            step += 1;
            for n in (0..40).map(|n| step * 37 + n * 11) {
                tree.insert(&member(n % 600), f64::from(n % (1 + step % 300)));
                tree.insert(&member(1000 + n), 1.0);
                tree.remove(&member(1000 + n - step % 7));
            }
            tree.check();
        }
        assert!(step > 20 && (0..600).all(|n| found.contains(&member(n))));
    }

    #[test]
    fn scores_are_sorted_by_number() {
        let scores = [f64::NEG_INFINITY, -1e300, -2.5, -1e-300, 0.0, 5e-324, 1.0, 1.5, 1e300, f64::INFINITY];
        assert!(scores.windows(2).all(|two| sortable(two[0]) < sortable(two[1])));
        assert_eq!(sortable(-0.0), sortable(0.0));
    }
}
