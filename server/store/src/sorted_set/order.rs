//! The order of a big sorted set: (score, member) pairs in a counted B+ tree of shared nodes.
//!
//! ```text
//!  Order ─▶ Arc<Inner>: up to 64 × (first score, count, Arc) ─▶ … ─▶ Arc<Leaf>: up to 64 pairs (leaf.rs)
//! ```
//!
//! What Redis keeps a skiplist for. Counts beside the pointers turn every question into one about ranks: where a range
//! of scores, of members or of ranks begins and ends is found in one descent, and its elements follow leaf by leaf. A
//! clone is one reference count, and a write after it copies one path.

use std::cmp::Ordering;

use triomphe::Arc;

use super::leaf::{LEAF_BYTES, Leaf, PAIRS};
use crate::grow::reserve;
use crate::relocate::Mover;

/// Nodes below a node at most.
const KIDS: usize = if cfg!(test) { 4 } else { 64 };

/// A place between two pairs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Probe<'a> {
    /// Before the first pair of this score, or behind the last.
    Score(f64, Side),
    /// Before the first pair of this member, or behind it, where all scores are equal.
    Member(&'a [u8], Side),
    /// Before this pair.
    Pair(f64, &'a [u8]),
}

/// On which side of what it names a place lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before it.
    Before,
    /// Behind it.
    Behind,
}

impl Probe<'_> {
    /// Whether a pair lies before this place.
    #[inline]
    pub(super) fn is_behind<'m>(&self, score: f64, member: impl FnOnce() -> &'m [u8]) -> bool {
        match *self {
            Probe::Score(at, side) => score < at || side == Side::Behind && score == at,
            Probe::Member(at, side) => match member().cmp(at) {
                Ordering::Less => true,
                Ordering::Equal => side == Side::Behind,
                Ordering::Greater => false,
            },
            Probe::Pair(at, name) => score < at || score == at && member() < name,
        }
    }
}

/// Pairs of leaves that have come to hold one score only.
///
/// All but two kinds of leaves are told of: the only leaf of an order, and a last leaf of one pair that was appended with
/// a new score. The one may hold any pairs when a second leaf comes, the other's pair counts when a second comes.
#[derive(Default)]
pub(super) struct Alike {
    pub(super) pairs: Vec<(f64, Box<[u8]>)>,
}

impl Alike {
    /// Tells of a leaf, if it is one.
    fn add(&mut self, leaf: &Leaf) {
        if leaf.is_alike() {
            self.pairs.extend(leaf.pairs().map(|(score, member)| (score, member.into())));
        }
    }
}

/// A subtree.
#[derive(Clone)]
struct Kid {
    /// The score of its first pair.
    first: f64,
    count: usize,
    node: Arc<Node>,
}

#[derive(Clone)]
enum Node {
    Leaf(Leaf),
    Inner(Vec<Kid>),
}

/// Pairs in order.
#[derive(Clone)]
pub(super) struct Order {
    root: Arc<Node>,
    len: usize,
}

impl Default for Order {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Leaf::default())), len: 0 }
    }
}

impl Order {
    /// An order of pairs that come in it. O(n). Nodes keep an eighth of their room for what comes later.
    pub(super) fn from_sorted<'m>(pairs: impl Iterator<Item = (f64, &'m [u8])>) -> Self {
        let kid = |leaf: &Leaf| Kid::new(Arc::new(Node::Leaf(leaf.part(0, leaf.len()))));
        let mut kids = Vec::new();
        let (mut leaf, mut len) = (Leaf::default(), 0);
        for (score, member) in pairs {
            if leaf.is_filled() {
                kids.push(kid(&leaf));
                leaf.clear();
            }
            leaf.push(score, member);
            len += 1;
        }
        if len == 0 {
            return Self::default();
        }
        kids.push(kid(&leaf));
        while kids.len() > 1 {
            let mut above = Vec::new();
            let mut left = kids.into_iter();
            while left.len() > 0 {
                let some: Vec<Kid> = left.by_ref().take(KIDS - KIDS / 8).collect();
                above.push(Kid::new(Arc::new(Node::Inner(some))));
            }
            kids = above;
        }
        Self { root: kids.remove(0).node, len }
    }

    /// Number of pairs.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Shows the pairs of leaves that hold one score only. O(n). Not of the only leaf, and not of the last one where that
    /// has one pair, whose score is new.
    pub(super) fn each_alike(&self, mut show: impl FnMut(f64, &[u8])) {
        let (mut rank, mut before) = (0, f64::NAN);
        while rank < self.len && !self.is_one_leaf() {
            let (leaf, _) = self.leaf_of(rank);
            rank += leaf.len();
            let is_new_end = rank == self.len && leaf.len() == 1 && leaf.last() != before;
            if leaf.is_alike() && !is_new_end {
                leaf.pairs().for_each(|(score, member)| show(score, member));
            }
            before = leaf.last();
        }
    }

    fn is_one_leaf(&self) -> bool {
        matches!(&*self.root, Node::Leaf(_))
    }

    /// A pair's rank, if it is there.
    pub(super) fn find(&self, score: f64, member: &[u8]) -> Option<usize> {
        let (mut node, mut rank) = (&*self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.find(score, member).map(|at| rank + at),
                Node::Inner(kids) => {
                    let at = kid_of(kids, score, member);
                    rank += kids[..at].iter().map(|kid| kid.count).sum::<usize>();
                    node = &kids[at].node;
                }
            }
        }
    }

    /// Whether a pair is there: [`Self::find`] without counting.
    pub(super) fn contains(&self, score: f64, member: &[u8]) -> bool {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.find(score, member).is_some(),
                Node::Inner(kids) => node = &kids[kid_of(kids, score, member)].node,
            }
        }
    }

    /// How many pairs lie before a place.
    pub(super) fn rank(&self, probe: Probe<'_>) -> usize {
        let (mut node, mut rank) = (&*self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => return rank + leaf.rank(probe),
                Node::Inner(kids) => {
                    let at = kid_before(kids, probe);
                    rank += kids[..at].iter().map(|kid| kid.count).sum::<usize>();
                    node = &kids[at].node;
                }
            }
        }
    }

    /// Adds a pair that is not there; whether its leaf holds this score only. The same of other pairs is told where it was
    /// not so before: see [`Alike`].
    pub(super) fn insert(&mut self, score: f64, member: &[u8], alike: &mut Alike) -> bool {
        let mut new =
            New { score, member, is_only_leaf: self.is_one_leaf(), is_last: true, alike, is_alike: false };
        self.len += 1;
        let right = insert(&mut self.root, &mut new);
        let is_alike = new.is_alike;
        if let Some(right) = right {
            let left = Kid::new(self.root.clone());
            self.root = Arc::new(Node::Inner(vec![left, right]));
        }
        is_alike
    }

    /// Takes a pair out; false when it is not there. Tells of pairs whose leaf holds one score only without it.
    pub(super) fn remove(&mut self, score: f64, member: &[u8], alike: &mut Alike) -> bool {
        let is_only_leaf = self.is_one_leaf();
        if !remove(&mut self.root, score, member, (!is_only_leaf).then_some(alike)) {
            return false;
        }
        self.len -= 1;
        while let Node::Inner(kids) = &*self.root
            && let [only] = &kids[..]
        {
            self.root = only.node.clone();
        }
        true
    }

    /// The pairs behind a place.
    pub(super) fn pairs_from(&self, probe: Probe<'_>) -> Pairs<'_> {
        let (mut node, mut next) = (&*self.root, 0);
        loop {
            match node {
                Node::Leaf(leaf) => {
                    let at = leaf.rank(probe);
                    next += at;
                    if at == leaf.len() {
                        return self.pairs(next, false);
                    }
                    return Pairs { order: self, leaf: Some(leaf), at, next, backwards: false, over: false };
                }
                Node::Inner(kids) => {
                    let at = kid_before(kids, probe);
                    next += kids[..at].iter().map(|kid| kid.count).sum::<usize>();
                    node = &kids[at].node;
                }
            }
        }
    }

    /// The pairs from a rank on, or from it back to the first.
    pub(super) fn pairs(&self, rank: usize, backwards: bool) -> Pairs<'_> {
        let mut pairs =
            Pairs { order: self, leaf: None, at: 0, next: rank, backwards, over: rank >= self.len };
        pairs.enter();
        pairs
    }

    /// The leaf of a rank and the place there.
    fn leaf_of(&self, mut rank: usize) -> (&Leaf, usize) {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf, rank),
                Node::Inner(kids) => {
                    let kid = kids.iter().find(|kid| {
                        let is_within = rank < kid.count;
                        rank -= if is_within { 0 } else { kid.count };
                        is_within
                    });
                    node = &kid.expect("a rank below the count").node;
                }
            }
        }
    }

    /// Moves the leaf of a rank, and the nodes above it if it is their first; the next leaf's rank.
    pub(super) fn relocate(&mut self, rank: usize, mover: &mut Mover<'_>) -> Option<usize> {
        if rank >= self.len {
            return None;
        }
        let next = relocate(&mut self.root, self.len, rank, mover);
        (next < self.len).then_some(next)
    }

    /// Number of nodes, roughly.
    pub(super) fn node_count(&self) -> usize {
        1 + self.len / (PAIRS / 2)
    }

    /// Bytes on the heap. O(leaves).
    pub(super) fn memory_usage(&self) -> usize {
        fn of(node: &Node) -> usize {
            let below: usize = match node {
                Node::Leaf(leaf) => leaf.allocated(),
                Node::Inner(kids) => {
                    kids.capacity() * size_of::<Kid>() + kids.iter().map(|kid| of(&kid.node)).sum::<usize>()
                }
            };
            below + size_of::<Node>() + size_of::<usize>()
        }
        of(&self.root)
    }
}

/// The subtree that a place lies in or right behind.
fn kid_before(kids: &[Kid], probe: Probe<'_>) -> usize {
    kids[1..].partition_point(|kid| probe.is_behind(kid.first, || kid.node.first_member()))
}

/// The subtree that a pair lies in, if it is there. A pair is not before its own place: its subtree may begin with it.
fn kid_of(kids: &[Kid], score: f64, member: &[u8]) -> usize {
    kids[1..]
        .partition_point(|kid| kid.first < score || kid.first == score && kid.node.first_member() <= member)
}

/// Moves the leaf at `rank` of a subtree with `count` pairs; the rank behind it.
fn relocate(node: &mut Arc<Node>, count: usize, rank: usize, mover: &mut Mover<'_>) -> usize {
    let node = if rank == 0 { mover.arc(node) } else { Arc::get_mut(node) };
    match node {
        None => count, // shared, and so is all below it
        Some(Node::Leaf(leaf)) => {
            leaf.relocate(mover);
            count
        }
        Some(Node::Inner(kids)) => {
            if rank == 0 {
                mover.vec(kids);
            }
            let mut before = 0;
            for kid in kids {
                if rank < before + kid.count {
                    return before + relocate(&mut kid.node, kid.count, rank - before, mover);
                }
                before += kid.count;
            }
            count
        }
    }
}

/// A pair on its way to its leaf.
struct New<'a> {
    score: f64,
    member: &'a [u8],
    is_only_leaf: bool,
    /// Nothing lies behind the subtree. Pairs that come in their order, like moments, fill their nodes then instead of
    /// leaving halves behind.
    is_last: bool,
    alike: &'a mut Alike,
    /// What has become of the pair's leaf.
    is_alike: bool,
}

/// What was split off to the right.
fn insert(node: &mut Arc<Node>, new: &mut New<'_>) -> Option<Kid> {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => insert_into_leaf(leaf, new),
        Node::Inner(kids) => {
            let at = kid_before(kids, Probe::Pair(new.score, new.member));
            new.is_last &= at == kids.len() - 1;
            let kid = &mut kids[at];
            let right = insert(&mut kid.node, new);
            kid.count += 1;
            kid.first = kid.first.min(new.score);
            let right = right?;
            kid.count -= right.count;
            reserve(kids, 1);
            kids.insert(at + 1, right);
            let middle = if new.is_last { KIDS } else { KIDS / 2 };
            (kids.len() > KIDS).then(|| {
                let right = kids.split_off(middle);
                kids.shrink_to_fit();
                Kid::new(Arc::new(Node::Inner(right)))
            })
        }
    }
}

fn insert_into_leaf(leaf: &mut Leaf, new: &mut New<'_>) -> Option<Kid> {
    let at = leaf.rank(Probe::Pair(new.score, new.member));
    let Some((middle, side)) = leaf.cut_for(at, new.member.len(), new.is_last) else {
        leaf.insert(at, new.score, new.member);
        new.is_alike = !new.is_only_leaf && leaf.is_alike();
        if new.is_alike && leaf.len() == 2 {
            new.alike.add(leaf);
        }
        return None;
    };
    let was_alike = !new.is_only_leaf && leaf.len() > 1 && leaf.is_alike();
    let is_new_end = new.is_last && middle == leaf.len() && leaf.last() != new.score;
    let mut right = leaf.split_off(middle);
    let (half, at) = match side {
        Side::Before => (&mut *leaf, at),
        Side::Behind => (&mut right, at - middle),
    };
    half.insert(at, new.score, new.member);
    new.is_alike = half.is_alike() && !is_new_end;
    if new.is_only_leaf || !was_alike && !is_new_end {
        new.alike.add(leaf);
    }
    if !was_alike && !is_new_end {
        new.alike.add(&right);
    }
    Some(Kid::new(Arc::new(Node::Leaf(right))))
}

/// Whether the pair was there. Joins what got small. `alike` is there where there is more than one leaf.
fn remove(node: &mut Arc<Node>, score: f64, member: &[u8], mut alike: Option<&mut Alike>) -> bool {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => {
            let Some(at) = leaf.find(score, member) else { return false };
            let was_alike = leaf.is_alike();
            leaf.remove(at);
            if let Some(alike) = alike
                && !was_alike
            {
                alike.add(leaf);
            }
            true
        }
        Node::Inner(kids) => {
            let at = kid_of(kids, score, member);
            let removed = remove(&mut kids[at].node, score, member, alike.as_deref_mut());
            if removed {
                let kid = &mut kids[at];
                kid.count -= 1;
                if kid.count > 0 && kid.first == score {
                    kid.first = kid.node.first_leaf().score(0);
                }
                join(kids, at, alike);
            }
            removed
        }
    }
}

/// Joins a subtree that got small with a neighbour.
fn join(kids: &mut Vec<Kid>, at: usize, alike: Option<&mut Alike>) {
    if kids.len() == 1 {
        return;
    }
    if kids[at].count == 0 {
        kids.remove(at);
        return;
    }
    if kids[at].node.fill() > FULL / 4 {
        return;
    }
    let fits = |left: &usize| {
        kids.get(left + 1).is_some_and(|right| kids[*left].node.fill() + right.node.fill() <= FULL * 3 / 4)
    };
    let Some(left) = [at.checked_sub(1), Some(at)].into_iter().flatten().find(fits) else { return };
    let right = kids.remove(left + 1);
    match (Arc::make_mut(&mut kids[left].node), &*right.node) {
        (Node::Leaf(leaf), Node::Leaf(other)) => {
            let is_news = leaf.len() == 1 || other.len() == 1;
            leaf.append(other);
            if let Some(alike) = alike
                && is_news
            {
                alike.add(leaf);
            }
        }
        (Node::Inner(kids), Node::Inner(others)) => kids.extend_from_slice(others),
        _ => unreachable!("all leaves are equally deep"),
    }
    kids[left].count += right.count;
}

/// A full node in the unit of [`Node::fill`].
const FULL: usize = 1 << 12;

impl Node {
    /// How full a node is.
    fn fill(&self) -> usize {
        match self {
            Node::Leaf(leaf) => (leaf.len() * FULL / PAIRS).max(leaf.byte_len() * FULL / LEAF_BYTES),
            Node::Inner(kids) => kids.len() * FULL / KIDS,
        }
    }

    fn first_leaf(&self) -> &Leaf {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf,
                Node::Inner(kids) => node = &kids[0].node,
            }
        }
    }

    fn first_member(&self) -> &[u8] {
        self.first_leaf().member(0)
    }
}

impl Kid {
    fn new(node: Arc<Node>) -> Self {
        let mut kid = Self { first: 0.0, count: 0, node };
        kid.refresh();
        kid
    }

    /// Takes over what the subtree has become.
    fn refresh(&mut self) {
        self.count = match &*self.node {
            Node::Leaf(leaf) => leaf.len(),
            Node::Inner(kids) => kids.iter().map(|kid| kid.count).sum(),
        };
        self.first = self.node.first_leaf().score(0);
    }
}

/// Pairs of a tree, one after the other.
pub(super) struct Pairs<'a> {
    order: &'a Order,
    leaf: Option<&'a Leaf>,
    /// Place in the leaf.
    at: usize,
    /// Rank of the pair that comes next.
    next: usize,
    backwards: bool,
    over: bool,
}

impl Pairs<'_> {
    fn enter(&mut self) {
        if !self.over {
            let (leaf, at) = self.order.leaf_of(self.next);
            (self.leaf, self.at) = (Some(leaf), at);
        }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (f64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let leaf = self.leaf.expect("a leaf was entered");
        let pair = leaf.pair(self.at);
        self.over = if self.backwards { self.next == 0 } else { self.next + 1 == self.order.len };
        if !self.over {
            let is_last_here = if self.backwards { self.at == 0 } else { self.at + 1 == leaf.len() };
            (self.next, self.at) = match self.backwards {
                true => (self.next - 1, self.at.wrapping_sub(1)),
                false => (self.next + 1, self.at + 1),
            };
            if is_last_here {
                self.enter();
            }
        }
        Some(pair)
    }
}

#[cfg(test)]
impl Order {
    /// The pairs leaf by leaf, after looking at counts and first scores.
    pub(super) fn leaves(&self) -> Vec<Vec<(f64, Vec<u8>)>> {
        fn walk(node: &Node, leaves: &mut Vec<Vec<(f64, Vec<u8>)>>) -> usize {
            match node {
                Node::Leaf(leaf) => {
                    leaves.push(leaf.pairs().map(|(score, member)| (score, member.to_vec())).collect());
                    leaf.len()
                }
                Node::Inner(kids) => {
                    assert!(!kids.is_empty() && kids.len() <= KIDS);
                    kids.iter()
                        .map(|kid| {
                            assert_eq!(kid.first, kid.node.first_leaf().score(0));
                            assert_eq!(walk(&kid.node, leaves), kid.count);
                            kid.count
                        })
                        .sum()
                }
            }
        }
        let mut leaves = Vec::new();
        assert_eq!(walk(&self.root, &mut leaves), self.len);
        leaves
    }
}
