//! Building a sorted set whose members come in any order, as results of set operations and files have them: the order is
//! made at the end, when a sort has brought them together, instead of pair by pair.

use super::order::Order;
use super::{SortedSet, SortedSetLimits, Tree, score_of};
use crate::dict::{Dict, dict_hash};
use crate::raw::word::Word;

/// A number that is ordered as scores are: both zeros are one.
fn sortable(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// Members and scores that become a sorted set.
#[derive(Default)]
pub struct SortedSetBuilder {
    scores: Dict<8>,
}

impl SortedSetBuilder {
    /// No members yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a member the score that `choose` makes of the one that it has, if any; a number.
    #[inline]
    pub fn put(&mut self, member: &[u8], choose: impl FnOnce(Option<f64>) -> f64) {
        let hash = dict_hash(member);
        let score = choose(self.scores.get_hashed(hash, member).map(score_of));
        assert!(!score.is_nan(), "a score that is no number");
        self.scores.insert_hashed(hash, member, &score.to_le_bytes());
    }

    /// Adds a member with its score, a number; false, and nothing changes but the score, when it is there.
    pub fn add(&mut self, member: &[u8], score: f64) -> bool {
        assert!(!score.is_nan(), "a score that is no number");
        self.scores.insert(member, &score.to_le_bytes())
    }

    /// The set, in the form that the limits ask for.
    pub fn finish(self, limits: &SortedSetLimits) -> SortedSet {
        let pairs = self.scores.iter().map(|(member, score)| (sortable(score_of(score)), score, member));
        let mut pairs: Vec<(u64, &[u8], &[u8])> = pairs.collect();
        pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.2.cmp(b.2)));
        let order = Order::from_sorted(pairs.iter().map(|(_, score, member)| (score_of(score), *member)));
        let mut set = SortedSet(Word::large(Tree { scores: self.scores, order }));
        set.settle(limits);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_sorted_by_number() {
        let scores = [f64::NEG_INFINITY, -1e300, -2.5, -1e-300, 0.0, 5e-324, 1.0, 1.5, 1e300, f64::INFINITY];
        assert!(scores.windows(2).all(|two| sortable(two[0]) < sortable(two[1])));
        assert_eq!(sortable(-0.0), sortable(0.0));
    }
}
