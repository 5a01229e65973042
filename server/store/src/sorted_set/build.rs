//! Building a sorted set whose members come in any order, as results of set operations and files have them: the order is
//! made at the end, when a sort has brought them together, instead of pair by pair.

use super::tree::Tree;
use super::{SortedSet, SortedSetLimits, score_of};
use crate::dict::{Dict, dict_hash};
use crate::raw::word::Word;

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
        let mut set = SortedSet(Word::large(Tree::of(self.scores)));
        set.settle(limits);
        set
    }
}
