//! Scores by the hash of their members, which themselves lie in the order only.
//!
//! ```text
//!  Index ─▶ Arc<Inner>: up to 64 × (first position, Arc) ─▶ … ─▶ Arc<Leaf>: up to 64 × (position u32, score f64)
//! ```
//!
//! A position is the leading bits of a member's hash; slots lie in ascending order of it. Several members may share one,
//! so what is found here is only where to look: the order says whether the member is there. A slot takes 12 bytes,
//! whatever a member takes.

use triomphe::Arc;

use crate::grow::{relieve, reserve};
use crate::hash::Hash;
use crate::relocate::Mover;

/// Slots of a leaf at most, unless all have one position.
const SLOTS: usize = if cfg!(test) { 6 } else { 64 };
/// Nodes below a node at most.
const KIDS: usize = if cfg!(test) { 4 } else { 64 };
/// Leaves looked at for an estimate of the memory in use.
const SAMPLED: u64 = 32;

/// Bits of a position. Among four thousand million members a second one is at a member's position as likely as not, and
/// costs a look at the order. Tests have some share one among few.
pub(super) const POSITION_BITS: u32 = if cfg!(test) { 12 } else { 32 };

/// Where a member's score lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(pub(super) u32);

impl Position {
    #[inline]
    pub(super) fn of(hash: Hash) -> Self {
        Self((hash.0 >> (64 - POSITION_BITS)) as u32)
    }

    pub(super) fn number(self) -> u64 {
        u64::from(self.0)
    }
}

/// A position and a score, in two halves so that nothing is lost to alignment.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) position: Position,
    score: [u32; 2],
}

impl Slot {
    pub(super) fn new(position: Position, score: f64) -> Self {
        let bits = score.to_bits();
        Self { position, score: [bits as u32, (bits >> 32) as u32] }
    }

    #[inline]
    fn bits(self) -> u64 {
        u64::from(self.score[0]) | u64::from(self.score[1]) << 32
    }

    #[inline]
    pub(super) fn score(self) -> f64 {
        f64::from_bits(self.bits())
    }
}

/// A subtree: what lies at or behind `first` and before the next one's.
#[derive(Clone)]
struct Kid {
    first: Position,
    node: Arc<Node>,
}

#[derive(Clone)]
enum Node {
    Leaf(Vec<Slot>),
    Inner(Vec<Kid>),
}

/// Positions with a score each.
#[derive(Clone)]
pub(super) struct Index {
    root: Arc<Node>,
    len: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl Index {
    /// An index of slots that come in their order. O(n). Nodes keep an eighth of their room for what comes later.
    pub(super) fn from_sorted(slots: &[Slot]) -> Self {
        let mut kids = Vec::new();
        let mut left = slots;
        while !left.is_empty() {
            let mut end = left.len().min(SLOTS - SLOTS / 8);
            // Those of one position stay together.
            while end < left.len() && left[end].position == left[end - 1].position {
                end += 1;
            }
            let (leaf, rest) = left.split_at(end);
            kids.push(Kid { first: leaf[0].position, node: Arc::new(Node::Leaf(leaf.to_vec())) });
            left = rest;
        }
        while kids.len() > 1 {
            let mut above = Vec::new();
            let mut left = kids.into_iter();
            while left.len() > 0 {
                let some: Vec<Kid> = left.by_ref().take(KIDS - KIDS / 8).collect();
                above.push(Kid { first: some[0].first, node: Arc::new(Node::Inner(some)) });
            }
            kids = above;
        }
        kids.pop().map_or_else(Self::default, |kid| Self { root: kid.node, len: slots.len() })
    }

    /// The scores at a position.
    #[inline]
    pub(super) fn at(&self, position: Position) -> impl Iterator<Item = f64> {
        let (slots, span) = self.leaf_at(position.number());
        let from = span.slot_of(slots, position);
        slots[from..].iter().take_while(move |slot| slot.position == position).map(|slot| slot.score())
    }

    /// The slots of the leaf that a position lies in, and where the next leaf begins.
    pub(super) fn leaf(&self, position: u64) -> (&[Slot], u64) {
        let (slots, span) = self.leaf_at(position);
        (slots, span.end)
    }

    #[inline]
    fn leaf_at(&self, position: u64) -> (&[Slot], Span) {
        let (mut node, mut span) = (&*self.root, Span::WHOLE);
        loop {
            match node {
                Node::Leaf(slots) => return (slots, span),
                Node::Inner(kids) => {
                    let at = span.kid_of(kids, position);
                    span = span.of_kid(kids, at);
                    node = &kids[at].node;
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a score. O(log n), after a clone one path is copied.
    pub(super) fn insert(&mut self, position: Position, score: f64) {
        self.len += 1;
        let Some(right) = insert(&mut self.root, Span::WHOLE, Slot::new(position, score)) else { return };
        let left = Kid { first: Position(0), node: self.root.clone() };
        self.root = Arc::new(Node::Inner(vec![left, right]));
    }

    /// Puts a score in the place of one that is there.
    pub(super) fn replace(&mut self, position: Position, old: f64, new: f64) {
        let (mut node, mut span) = (&mut self.root, Span::WHOLE);
        loop {
            match Arc::make_mut(node) {
                Node::Leaf(slots) => {
                    let at = span.exact(slots, position, old).expect("a score that is there");
                    slots[at] = Slot::new(position, new);
                    return;
                }
                Node::Inner(kids) => {
                    let at = span.kid_of(kids, position.number());
                    span = span.of_kid(kids, at);
                    node = &mut kids[at].node;
                }
            }
        }
    }

    /// Takes a score out that is there.
    pub(super) fn remove(&mut self, position: Position, score: f64) {
        remove(&mut self.root, Span::WHOLE, position, score);
        self.len -= 1;
        while let Node::Inner(kids) = &*self.root
            && let [only] = &kids[..]
        {
            self.root = only.node.clone();
        }
    }

    /// Moves the leaf that a position lies in, and the nodes above it if it is their first; the next leaf's position.
    pub(super) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        if from >= Span::WHOLE.end {
            return None;
        }
        let next = relocate(&mut self.root, Span::WHOLE, from, mover);
        (next < Span::WHOLE.end).then_some(next)
    }

    /// Number of nodes, roughly.
    pub(super) fn node_count(&self) -> usize {
        1 + self.len / (SLOTS / 2)
    }

    /// Bytes on the heap, from a sample of the leaves when there are many.
    pub(super) fn memory_usage(&self) -> usize {
        let (mut bytes, mut slots, mut leaves) = (0, 0, 0);
        let mut from = 0;
        let step = if self.node_count() as u64 <= SAMPLED { 0 } else { Span::WHOLE.end / SAMPLED };
        while from < Span::WHOLE.end {
            let (leaf, span) = self.leaf_at(from);
            // Its share of the node above comes to one and a half kids.
            bytes += leaf.len().next_multiple_of(8) * size_of::<Slot>()
                + size_of::<Node>()
                + 8
                + size_of::<Kid>() * 3 / 2;
            (slots, leaves) = (slots + leaf.len(), leaves + 1);
            from = if step == 0 { span.end } else { from + step };
        }
        if step == 0 || slots == 0 {
            bytes
        } else {
            (bytes as u128 * self.len as u128 / slots as u128) as usize
        }
    }
}

/// The positions that a subtree covers: `end` is the next one's first.
#[derive(Clone, Copy)]
struct Span {
    first: u64,
    end: u64,
}

impl Span {
    const WHOLE: Self = Self { first: 0, end: 1 << POSITION_BITS };

    /// About how many of `count` things, spread evenly over this span, lie before a position: hashes are even, so a guess
    /// is off by a few places, where a binary search would touch more cache lines.
    #[inline]
    fn guess(self, position: u64, count: usize) -> usize {
        (position.saturating_sub(self.first) * count as u64 / (self.end - self.first)) as usize
    }

    /// Which of several subtrees, which cover this span together, a position lies in.
    #[inline]
    fn kid_of(self, kids: &[Kid], position: u64) -> usize {
        let last = kids.len() - 1;
        let mut at = last.min(self.guess(position, kids.len()));
        while at > 0 && kids[at].first.number() > position {
            at -= 1;
        }
        while at < last && kids[at + 1].first.number() <= position {
            at += 1;
        }
        at
    }

    /// The span of one of the subtrees.
    #[inline]
    fn of_kid(self, kids: &[Kid], at: usize) -> Self {
        let end = kids.get(at + 1).map_or(self.end, |next| next.first.number());
        Self { first: if at == 0 { self.first } else { kids[at].first.number() }, end }
    }

    /// The first slot that does not lie before a position.
    #[inline]
    fn slot_of(self, slots: &[Slot], position: Position) -> usize {
        let mut at = slots.len().min(self.guess(position.number(), slots.len()));
        while at > 0 && slots[at - 1].position >= position {
            at -= 1;
        }
        while at < slots.len() && slots[at].position < position {
            at += 1;
        }
        at
    }

    /// The slot of a position and a score.
    fn exact(self, slots: &[Slot], position: Position, score: f64) -> Option<usize> {
        let from = self.slot_of(slots, position);
        let mut same = slots[from..].iter().take_while(|slot| slot.position == position);
        same.position(|slot| slot.bits() == score.to_bits()).map(|n| from + n)
    }
}

/// What was split off to the right.
fn insert(node: &mut Arc<Node>, span: Span, slot: Slot) -> Option<Kid> {
    match Arc::make_mut(node) {
        Node::Leaf(slots) => {
            let at = span.slot_of(slots, slot.position);
            let mut right = if slots.len() >= SLOTS { split(slots) } else { None };
            let before = slots.len();
            let (half, at) = match &mut right {
                Some(right) if right[0].position <= slot.position => (right, at - before),
                _ => (slots, at),
            };
            reserve(half, 1);
            half.insert(at, slot);
            right.map(|right| Kid { first: right[0].position, node: Arc::new(Node::Leaf(right)) })
        }
        Node::Inner(kids) => {
            let at = span.kid_of(kids, slot.position.number());
            let within = span.of_kid(kids, at);
            let right = insert(&mut kids[at].node, within, slot)?;
            reserve(kids, 1);
            kids.insert(at + 1, right);
            (kids.len() > KIDS).then(|| {
                let right = kids.split_off(KIDS / 2);
                kids.shrink_to_fit();
                Kid { first: right[0].first, node: Arc::new(Node::Inner(right)) }
            })
        }
    }
}

/// Takes about the second half of a leaf out; those of one position stay together.
fn split(slots: &mut Vec<Slot>) -> Option<Vec<Slot>> {
    let middle = slots[slots.len() / 2].position;
    let cut = match slots.partition_point(|slot| slot.position < middle) {
        0 => slots.partition_point(|slot| slot.position <= middle),
        cut => cut,
    };
    if cut == slots.len() {
        return None;
    }
    let right = slots.split_off(cut);
    slots.shrink_to_fit();
    Some(right)
}

fn remove(node: &mut Arc<Node>, span: Span, position: Position, score: f64) {
    match Arc::make_mut(node) {
        Node::Leaf(slots) => {
            let at = span.exact(slots, position, score).expect("a score that is there");
            slots.remove(at);
            relieve(slots);
        }
        Node::Inner(kids) => {
            let at = span.kid_of(kids, position.number());
            let within = span.of_kid(kids, at);
            remove(&mut kids[at].node, within, position, score);
            join(kids, at);
        }
    }
}

/// Joins a subtree that got small with a neighbour.
fn join(kids: &mut Vec<Kid>, at: usize) {
    let fill = |kid: &Kid| kid.node.fill();
    if kids.len() == 1 || fill(&kids[at]) > FULL / 4 {
        return;
    }
    let left = [at.checked_sub(1), Some(at)].into_iter().flatten().find(|left| {
        kids.get(left + 1).is_some_and(|right| fill(&kids[*left]) + fill(right) <= FULL * 3 / 4)
    });
    let Some(left) = left else { return };
    let right = kids.remove(left + 1);
    match (Arc::make_mut(&mut kids[left].node), &*right.node) {
        (Node::Leaf(slots), Node::Leaf(others)) => {
            reserve(slots, others.len());
            slots.extend_from_slice(others);
        }
        (Node::Inner(kids), Node::Inner(others)) => {
            reserve(kids, others.len());
            kids.extend_from_slice(others);
        }
        _ => unreachable!("all leaves are equally deep"),
    }
}

/// A full node in the unit of [`Node::fill`].
const FULL: usize = 1 << 12;

impl Node {
    /// How full a node is.
    fn fill(&self) -> usize {
        match self {
            Node::Leaf(slots) => slots.len() * FULL / SLOTS,
            Node::Inner(kids) => kids.len() * FULL / KIDS,
        }
    }
}

/// Moves the leaf of a subtree that a position lies in; where the next one begins.
fn relocate(node: &mut Arc<Node>, span: Span, position: u64, mover: &mut Mover<'_>) -> u64 {
    let is_first = position <= span.first;
    let node = if is_first { mover.arc(node) } else { Arc::get_mut(node) };
    match node {
        None => span.end, // shared, and so is all below it
        Some(Node::Leaf(slots)) => {
            mover.vec(slots);
            span.end
        }
        Some(Node::Inner(kids)) => {
            if is_first {
                mover.vec(kids);
            }
            let at = span.kid_of(kids, position);
            let within = span.of_kid(kids, at);
            relocate(&mut kids[at].node, within, position, mover)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Scores by position; those of one position in no order.
    type Model = BTreeMap<u32, Vec<u64>>;

    fn check(index: &Index, model: &Model) {
        let len: usize = model.values().map(Vec::len).sum();
        assert_eq!(index.len, len);
        let (mut from, mut found, mut all) = (0, Model::new(), Vec::new());
        while from < Span::WHOLE.end {
            let (slots, next) = index.leaf(from);
            for slot in slots {
                assert!((from..next).contains(&slot.position.number()));
                found.entry(slot.position.0).or_default().push(slot.bits());
                all.push(*slot);
            }
            from = next;
        }
        found.values_mut().for_each(|scores| scores.sort_unstable());
        assert_eq!(&found, model);
        assert!(all.is_sorted_by_key(|slot| slot.position));
        for (position, scores) in model {
            let mut at: Vec<u64> = index.at(Position(*position)).map(f64::to_bits).collect();
            at.sort_unstable();
            assert_eq!(&at, scores);
        }
        assert_eq!(index.at(Position(4095)).count(), model.get(&4095).map_or(0, Vec::len));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 100 }))]

        #[test]
        fn behaves_like_a_map_of_bags(
            ops in proptest::collection::vec((0u8..10, 0u32..60, 0u8..4), 0..600),
            stride in prop_oneof![Just(1u32), Just(64)],
        ) {
            let (mut index, mut model, mut clones) = (Index::default(), Model::new(), Vec::new());
            for (op, position, score) in ops {
                let (position, score) = (position * stride, f64::from(score));
                let scores = model.entry(position).or_default();
                match (op, scores.first().copied()) {
                    (0, _) => clones.push((index.clone(), model.clone())),
                    (1..=3, Some(old)) => {
                        index.remove(Position(position), f64::from_bits(old));
                        scores.remove(0);
                    }
                    (4, Some(old)) => {
                        index.replace(Position(position), f64::from_bits(old), score);
                        scores[0] = score.to_bits();
                        scores.sort_unstable();
                    }
                    _ => {
                        index.insert(Position(position), score);
                        scores.push(score.to_bits());
                        scores.sort_unstable();
                    }
                }
                model.retain(|_, scores| !scores.is_empty());
            }
            clones.iter_mut().for_each(|(_, model)| model.retain(|_, scores| !scores.is_empty()));
            check(&index, &model);
            clones.iter().for_each(|(index, model)| check(index, model));
            let slots = model.iter().flat_map(|(position, scores)| {
                scores.iter().map(|bits| Slot::new(Position(*position), f64::from_bits(*bits)))
            });
            let mut built = Index::from_sorted(&slots.collect::<Vec<_>>());
            check(&built, &model);
            for (position, scores) in &model {
                scores.iter().for_each(|bits| built.remove(Position(*position), f64::from_bits(*bits)));
            }
            check(&built, &Model::new());
        }
    }
}
