//! Sorted sets: a listpack of member, score, member, score … while small, then a dictionary beside an order.
//!
//! ```text
//!  SortedSet ─┬─ Listpack: pairs in order                                        encoding "listpack"
//!             └─ Tree: an order, and the scores by hash (tree.rs)                encoding "skiplist"
//! ```
//!
//! What Redis calls a skiplist is a tree here; the name stays, since clients and files know it. Its parts clone in a
//! reference count each.

mod build;
mod index;
mod leaf;
mod order;
mod tree;

use std::collections::HashSet;

use crate::listpack::{Element, Listpack};
use crate::number::parse_i64;
use crate::raw::word::{Tag, Word};
use crate::relocate::Mover;

use order::{Pairs, Probe};
pub(crate) use tree::Tree;

pub use build::SortedSetBuilder;
pub use order::Side;

/// When a listpack gives way, as `zset-max-listpack-entries` and `-value` say.
#[derive(Clone, Copy, Debug)]
pub struct SortedSetLimits {
    /// Members.
    pub entries: usize,
    /// Bytes of the longest member.
    pub value: usize,
}

impl Default for SortedSetLimits {
    /// 128 members of 64 bytes.
    fn default() -> Self {
        Self { entries: 128, value: 64 }
    }
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The member is new.
    New,
    /// It had another score.
    Moved,
    /// It had this score.
    Same,
}

enum Repr<'a> {
    Pack(&'a Listpack),
    Tree(&'a Tree),
}

enum ReprMut<'a> {
    Pack(&'a mut Listpack),
    Tree(&'a mut Tree),
}

/// A set of members with a score each, in the order of score and member.
#[derive(Clone)]
#[repr(transparent)]
pub struct SortedSet(Word);

impl SortedSet {
    fn of_pack(pack: Listpack) -> Self {
        Self(Word::small(pack, Tag::SortedPacked))
    }

    #[inline]
    fn repr(&self) -> Repr<'_> {
        match self.0.tag() {
            Tag::SortedPacked => Repr::Pack(self.0.pack()),
            _ => Repr::Tree(self.0.get()),
        }
    }

    #[inline]
    fn repr_mut(&mut self) -> ReprMut<'_> {
        match self.0.tag() {
            Tag::SortedPacked => ReprMut::Pack(self.0.pack_mut()),
            _ => ReprMut::Tree(self.0.get_mut()),
        }
    }

    /// Moves a piece as the mover says; where to go on.
    pub(crate) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        match self.repr_mut() {
            ReprMut::Pack(pack) => {
                pack.relocate(mover);
                None
            }
            ReprMut::Tree(_) => self.0.relocate::<Tree>(from, mover).relocate(from, mover),
        }
    }
}

impl Default for SortedSet {
    fn default() -> Self {
        Self::of_pack(Listpack::new())
    }
}

impl std::fmt::Debug for SortedSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SortedSet({} members, {})", self.len(), self.encoding())
    }
}

fn score_of(value: &[u8]) -> f64 {
    f64::from_le_bytes(value.try_into().expect("a score has eight bytes"))
}

/// A score as a listpack's element holds it.
fn score_in(element: Element<'_>) -> f64 {
    match element {
        Element::Int(n) => n as f64,
        // Checked when the listpack came from outside; written by ourselves otherwise.
        Element::Bytes(bytes) => parse_score(bytes).unwrap_or(0.0),
    }
}

fn parse_score(bytes: &[u8]) -> Option<f64> {
    std::str::from_utf8(bytes).ok()?.trim().parse::<f64>().ok().filter(|score| !score.is_nan())
}

/// Appends a score's element at a place.
fn put_score(pack: &mut Listpack, at: usize, score: f64) {
    // As in Redis, a negative zero loses its sign here and keeps it in the large form.
    if score.fract() == 0.0 && score.abs() < 9.0e18 {
        return pack.insert(at, Element::Int(score as i64));
    }
    let text = if score.is_infinite() {
        (if score > 0.0 { "inf" } else { "-inf" }).to_owned()
    } else if score == 0.0 || (1e-5..1e17).contains(&score.abs()) {
        score.to_string()
    } else {
        format!("{score:e}")
    };
    pack.insert(at, Element::from_bytes(text.as_bytes()));
}

/// Whether an element spells these bytes.
fn spells(element: Element<'_>, bytes: &[u8], number: Option<i64>) -> bool {
    match element {
        Element::Int(n) => number == Some(n),
        Element::Bytes(own) => own == bytes,
    }
}

impl SortedSet {
    /// Takes over a listpack from outside, of valid elements.
    ///
    /// # Errors
    /// The pack, when it does not hold pairs in order with each member once.
    pub fn from_listpack(pack: Listpack, limits: &SortedSetLimits) -> Result<Self, Listpack> {
        let Some(longest) = longest_if_valid(&pack) else { return Err(pack) };
        let fits = pack.len() / 2 <= limits.entries && longest <= limits.value;
        let mut set = Self::of_pack(pack);
        if !fits {
            set.grow();
        }
        Ok(set)
    }

    /// The listpack, while it is one.
    pub fn listpack(&self) -> Option<&Listpack> {
        match self.repr() {
            Repr::Pack(pack) => Some(pack),
            Repr::Tree(_) => None,
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match self.repr() {
            Repr::Pack(pack) => pack.len() / 2,
            Repr::Tree(tree) => tree.len(),
        }
    }

    /// No members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        match self.repr() {
            Repr::Pack(_) => "listpack",
            Repr::Tree(_) => "skiplist",
        }
    }

    /// Bytes on the heap. O(nodes).
    pub fn memory_usage(&self) -> usize {
        match self.repr() {
            Repr::Pack(pack) => pack.memory_usage(),
            Repr::Tree(tree) => tree.memory_usage(),
        }
    }

    /// About how many allocations a drop frees.
    pub fn free_effort(&self) -> usize {
        match self.repr() {
            Repr::Pack(_) => 1,
            Repr::Tree(tree) => tree.free_effort(),
        }
    }

    /// A member's score.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self.repr() {
            Repr::Pack(pack) => find_in(pack, member).map(|(_, score)| score),
            Repr::Tree(tree) => tree.score(member),
        }
    }

    /// A member's rank and score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self.repr() {
            Repr::Pack(pack) => find_in(pack, member),
            Repr::Tree(tree) => tree.rank(member),
        }
    }

    /// Gives a member a score, which is a number.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &SortedSetLimits) -> Placed {
        assert!(!score.is_nan(), "a score that is no number");
        if let ReprMut::Pack(pack) = self.repr_mut() {
            let found = find_in(pack, member);
            match found {
                Some((_, old)) if old == score => return Placed::Same,
                Some((rank, _)) => {
                    pack.remove_range(rank * 2, 2);
                }
                None if pack.len() / 2 >= limits.entries || member.len() > limits.value => {
                    self.grow();
                    return self.insert(member, score, limits);
                }
                None => {}
            }
            let at = rank_in(pack, Probe::Pair(score, member)) * 2;
            pack.insert(at, Element::from_bytes(member));
            put_score(pack, at + 1, score);
            return if found.is_some() { Placed::Moved } else { Placed::New };
        }
        let ReprMut::Tree(tree) = self.repr_mut() else { unreachable!("it is one or the other") };
        tree.insert(member, score)
    }

    /// Takes a member out; its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match self.repr_mut() {
            ReprMut::Pack(pack) => {
                let (rank, score) = find_in(pack, member)?;
                pack.remove_range(rank * 2, 2);
                Some(score)
            }
            ReprMut::Tree(tree) => tree.remove(member),
        }
    }

    /// Takes `count` members out from a rank on.
    pub fn remove_range(&mut self, rank: usize, count: usize) {
        match self.repr_mut() {
            ReprMut::Pack(pack) => {
                pack.remove_range(rank * 2, count * 2);
            }
            ReprMut::Tree(_) => {
                // One at a time, in slices that bound the copies: a tree that loses half its leaves joins them as it goes.
                let mut left = count;
                while left > 0 {
                    let slice: Vec<Vec<u8>> = self
                        .iter(rank, false)
                        .take(left.min(256))
                        .map(|(member, _)| member.to_vec())
                        .collect();
                    if slice.is_empty() {
                        return;
                    }
                    left -= slice.len();
                    for member in &slice {
                        self.remove(member);
                    }
                }
            }
        }
    }

    /// How many members have a lower score, or also those of this one.
    pub fn rank_of_score(&self, score: f64, side: Side) -> usize {
        self.rank_of(Probe::Score(score, side))
    }

    /// How many members come before this one, or also itself, where all scores are equal.
    pub fn rank_of_member(&self, member: &[u8], side: Side) -> usize {
        self.rank_of(Probe::Member(member, side))
    }

    fn rank_of(&self, probe: Probe<'_>) -> usize {
        match self.repr() {
            Repr::Pack(pack) => rank_in(pack, probe),
            Repr::Tree(tree) => tree.order.rank(probe),
        }
    }

    /// Members and scores from a rank on, or from it back to the first.
    pub fn iter(&self, rank: usize, backwards: bool) -> Members<'_> {
        match self.repr() {
            Repr::Pack(pack) if rank >= pack.len() / 2 => Members::Pack(pack.iter_from(pack.len()), false),
            Repr::Pack(pack) if backwards => Members::Pack(pack.iter_before(rank * 2 + 2), true),
            Repr::Pack(pack) => Members::Pack(pack.iter_from(rank * 2), false),
            Repr::Tree(tree) => Members::Tree(tree.order.pairs(rank, backwards)),
        }
    }

    /// The member of a rank.
    pub fn nth(&self, rank: usize) -> Option<(Element<'_>, f64)> {
        self.iter(rank, false).next()
    }

    /// Emits members from `cursor` on, about `count`, and returns the next cursor: see [`Dict::scan`](crate::Dict::scan). A listpack is
    /// emitted whole.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut emit: impl FnMut(Element<'a>, f64)) -> u64 {
        match self.repr() {
            Repr::Pack(_) => {
                self.iter(0, false).for_each(|(member, score)| emit(member, score));
                0
            }
            Repr::Tree(tree) => tree.scan(cursor, count, |member, score| emit(Element::Bytes(member), score)),
        }
    }

    /// Becomes a listpack again if the limits allow it, as results of set operations do.
    pub fn settle(&mut self, limits: &SortedSetLimits) {
        let Repr::Tree(_) = self.repr() else { return };
        let mut members = self.iter(0, false);
        if self.len() > limits.entries || members.any(|(member, _)| member.to_vec().len() > limits.value) {
            return;
        }
        let mut pack = Listpack::new();
        for (member, score) in self.iter(0, false) {
            let bytes = member.to_vec();
            pack.push_back(Element::from_bytes(&bytes));
            let end = pack.len();
            put_score(&mut pack, end, score);
        }
        *self = Self::of_pack(pack);
    }

    fn grow(&mut self) {
        let mut tree = Tree::default();
        let mut buffer = itoa::Buffer::new();
        for (member, score) in self.iter(0, false) {
            let member = member.as_bytes(&mut buffer);
            tree.insert(member, score);
        }
        self.0 = Word::large(tree);
    }
}

/// Bytes of the longest member, if the elements are pairs in order with each member once.
fn longest_if_valid(pack: &Listpack) -> Option<usize> {
    let mut members = HashSet::new();
    let mut longest = 0;
    let mut before: Option<(f64, Vec<u8>)> = None;
    let mut elements = pack.iter();
    while let Some(member) = elements.next() {
        let score = match elements.next()? {
            Element::Int(n) => n as f64,
            Element::Bytes(bytes) => parse_score(bytes)?,
        };
        let member = member.to_vec();
        longest = longest.max(member.len());
        let is_in_order = before.is_none_or(|(last, name)| last < score || last == score && name < member);
        if !is_in_order || !members.insert(member.clone()) {
            return None;
        }
        before = Some((score, member));
    }
    Some(longest)
}

/// The rank and score of a member.
fn find_in(pack: &Listpack, member: &[u8]) -> Option<(usize, f64)> {
    let number = parse_i64(member);
    let mut elements = pack.iter();
    let mut rank = 0;
    while let (Some(name), Some(score)) = (elements.next(), elements.next()) {
        if spells(name, member, number) {
            return Some((rank, score_in(score)));
        }
        rank += 1;
    }
    None
}

/// How many pairs of a listpack lie before a place.
fn rank_in(pack: &Listpack, probe: Probe<'_>) -> usize {
    let mut elements = pack.iter();
    let mut buffer = itoa::Buffer::new();
    let mut rank = 0;
    while let (Some(name), Some(score)) = (elements.next(), elements.next()) {
        if !probe.is_behind(score_in(score), || name.as_bytes(&mut buffer)) {
            break;
        }
        rank += 1;
    }
    rank
}

/// Members with their scores.
pub enum Members<'a> {
    /// Of a listpack; backwards or not.
    Pack(crate::listpack::Iter<'a>, bool),
    /// Of a tree.
    #[expect(private_interfaces, reason = "nobody looks inside")]
    Tree(Pairs<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Members::Pack(elements, false) => {
                let (member, score) = (elements.next()?, elements.next()?);
                Some((member, score_in(score)))
            }
            Members::Pack(elements, true) => {
                let (score, member) = (elements.next_back()?, elements.next_back()?);
                Some((member, score_in(score)))
            }
            Members::Tree(pairs) => pairs.next().map(|(score, member)| (Element::Bytes(member), score)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<Vec<u8>, f64>;

    fn ordered(model: &Model) -> Vec<(Vec<u8>, f64)> {
        let mut pairs: Vec<_> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
        pairs.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        pairs
    }

    fn check(set: &SortedSet, model: &Model) {
        if let Repr::Tree(tree) = set.repr() {
            tree.check();
        }
        let pairs = ordered(model);
        let all = |rank, backwards| -> Vec<(Vec<u8>, f64)> {
            set.iter(rank, backwards).map(|(member, score)| (member.to_vec(), score)).collect()
        };
        assert_eq!(set.len(), pairs.len());
        assert_eq!(all(0, false), pairs);
        let reversed: Vec<_> = pairs.iter().rev().cloned().collect();
        assert_eq!(all(pairs.len().saturating_sub(1), true), reversed);
        for (rank, (member, score)) in pairs.iter().enumerate() {
            assert_eq!(set.rank(member), Some((rank, *score)));
            assert_eq!(set.score(member), Some(*score));
            assert_eq!(
                set.rank_of_score(*score, Side::Before),
                pairs.iter().filter(|p| p.1 < *score).count()
            );
            assert_eq!(
                set.rank_of_score(*score, Side::Behind),
                pairs.iter().filter(|p| p.1 <= *score).count()
            );
            assert_eq!(
                set.nth(rank).map(|(name, score)| (name.to_vec(), score)),
                Some((member.clone(), *score))
            );
        }
        let mut seen = Model::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, 3, |member, score| {
                assert!(seen.insert(member.to_vec(), score).is_none(), "emitted twice");
            });
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(&seen, model);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u8, i8),
        Remove(u8),
        RemoveRange(u8, u8),
        Clone,
    }

    /// Some of them longer than a leaf's bytes, and than 16 bits can count, if wanted.
    fn member(n: u8, long: bool) -> Vec<u8> {
        match n % 3 {
            _ if long && n.is_multiple_of(23) => vec![n; 4000 + usize::from(n) * 300],
            0 => n.to_string().into_bytes(),
            1 => format!("member:{n}").into_bytes(),
            _ => vec![n; 1 + usize::from(n) % 90],
        }
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => (any::<u8>(), any::<i8>()).prop_map(|(m, s)| Op::Insert(m, s)),
            4 => any::<u8>().prop_map(Op::Remove),
            1 => (any::<u8>(), 0u8..40).prop_map(|(rank, count)| Op::RemoveRange(rank, count)),
            1 => Just(Op::Clone),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]

        #[test]
        fn behaves_like_a_sorted_map_and_clones_stay(
            ops in proptest::collection::vec(op(), 0..400),
            entries in prop_oneof![Just(0usize), Just(16), Just(1000)],
            scores in prop_oneof![Just(1), Just(3), Just(100)],
            long in any::<bool>(),
        ) {
            let member = |n| member(n, long);
            let limits = SortedSetLimits { entries, value: 200 };
            let (mut set, mut model) = (SortedSet::default(), Model::new());
            let mut clones = Vec::new();
            for op in &ops {
                match op {
                    Op::Insert(n, score) => {
                        let score = f64::from(*score / 8 % scores) / 4.0;
                        let placed = match model.insert(member(*n), score) {
                            None => Placed::New,
                            Some(old) if old == score => Placed::Same,
                            Some(_) => Placed::Moved,
                        };
                        prop_assert_eq!(set.insert(&member(*n), score, &limits), placed);
                    }
                    Op::Remove(n) => prop_assert_eq!(set.remove(&member(*n)), model.remove(&member(*n))),
                    Op::RemoveRange(rank, count) => {
                        let (rank, count) = (usize::from(*rank), usize::from(*count));
                        let pairs = ordered(&model);
                        if rank < pairs.len() {
                            let count = count.min(pairs.len() - rank);
                            set.remove_range(rank, count);
                            pairs[rank..rank + count].iter().for_each(|(member, _)| { model.remove(member); });
                        }
                    }
                    Op::Clone => clones.push((set.clone(), model.clone())),
                }
            }
            check(&set, &model);
            let mut builder = SortedSetBuilder::new();
            model.iter().for_each(|(member, score)| assert!(builder.add(member, 1.0) && !builder.add(member, *score)));
            let mut built = builder.finish(&limits);
            check(&built, &model);
            for (n, score) in [(1u8, 3.5), (250, -7.0), (77, 0.25)] {
                built.insert(&member(n), score, &limits);
                set.insert(&member(n), score, &limits);
                model.insert(member(n), score);
            }
            check(&built, &model);
            clones.iter().for_each(|(set, model)| check(set, model));
            set.settle(&SortedSetLimits { entries: 1000, value: 100_000 });
            prop_assert_eq!(set.encoding(), "listpack");
            check(&set, &model);
        }
    }

    #[test]
    fn scores_keep_their_value_in_a_listpack() {
        let limits = SortedSetLimits::default();
        let scores = [
            0.1,
            -0.0,
            1e300,
            -1e-300,
            f64::INFINITY,
            f64::NEG_INFINITY,
            9007199254740993.0,
            1.5,
            1e18,
            1e19,
            3e-7,
        ];
        let mut set = SortedSet::default();
        for (n, score) in scores.iter().enumerate() {
            set.insert(n.to_string().as_bytes(), *score, &limits);
        }
        for (n, score) in scores.iter().enumerate() {
            assert_eq!(set.score(n.to_string().as_bytes()), Some(*score), "{score}");
        }
    }

    #[test]
    fn foreign_listpacks_must_be_pairs_in_order() {
        let pack = |elements: &[&str]| {
            let mut pack = Listpack::new();
            elements.iter().for_each(|e| pack.push_back(Element::from_bytes(e.as_bytes())));
            SortedSet::from_listpack(pack, &SortedSetLimits::default()).is_ok()
        };
        assert!(pack(&["a", "1", "b", "1", "c", "2.5"]));
        assert!(!pack(&["a", "1", "b"]));
        assert!(!pack(&["b", "1", "a", "1"]));
        assert!(!pack(&["a", "2", "b", "1"]));
        assert!(!pack(&["a", "1", "a", "2"]));
        assert!(!pack(&["a", "nan"]));
        assert!(!pack(&["a", "x"]));
    }

    #[test]
    fn a_clone_shares_all_but_one_path() {
        let limits = SortedSetLimits { entries: 0, value: 0 };
        let mut set = SortedSet::default();
        (0..2000u32).for_each(|n| {
            set.insert(n.to_string().as_bytes(), f64::from(n % 97), &limits);
        });
        let copy = set.clone();
        let before = copy.len();
        set.insert(b"new", 3.0, &limits);
        set.remove(b"17");
        assert_eq!((copy.len(), copy.score(b"new"), copy.score(b"17")), (before, None, Some(17.0)));
    }
}
