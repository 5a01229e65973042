//! The order of a big sorted set: (score, member) pairs in a counted B+ tree of shared nodes.
//!
//! ```text
//!  Order ─▶ Arc<Inner>: up to 64 × (first score, count, Arc) ─▶ … ─▶ Arc<Leaf>: up to 64 pairs
//!
//!  Leaf   scores: f64 … · ends: where each member's bytes end · bytes: the members, one behind the other
//! ```
//!
//! What Redis keeps a skiplist for. Counts beside the pointers turn every question into one about ranks: where a range
//! of scores, of members or of ranks begins and ends is found in one descent, and its elements follow leaf by leaf. A
//! clone is one reference count, and a write after it copies one path.

use std::cmp::Ordering;

use triomphe::Arc;

use crate::relocate::Mover;

/// Pairs of a leaf at most.
const PAIRS: usize = if cfg!(test) { 6 } else { 64 };
/// Bytes of members in a leaf from which on it splits.
const LEAF_BYTES: usize = 4096;
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

#[derive(Clone, Default)]
struct Leaf {
    scores: Vec<f64>,
    ends: Vec<u32>,
    bytes: Vec<u8>,
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
        let mut kids = Vec::new();
        let (mut leaf, mut len) = (Leaf::default(), 0);
        for (score, member) in pairs {
            if leaf.len() >= PAIRS - PAIRS / 8 || leaf.bytes.len() >= LEAF_BYTES - LEAF_BYTES / 8 {
                kids.push(std::mem::take(&mut leaf).into_kid());
            }
            leaf.push(score, member);
            len += 1;
        }
        if len == 0 {
            return Self::default();
        }
        kids.push(leaf.into_kid());
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

    /// Adds a pair that is not there.
    pub(super) fn insert(&mut self, score: f64, member: &[u8]) {
        self.len += 1;
        let Some(right) = insert(&mut self.root, score, member, true) else { return };
        let left = Kid::new(self.root.clone());
        self.root = Arc::new(Node::Inner(vec![left, right]));
    }

    /// Takes a pair out that is there.
    pub(super) fn remove(&mut self, score: f64, member: &[u8]) {
        assert!(remove(&mut self.root, score, member), "the pair of a member with score {score} is missing");
        self.len -= 1;
        while let Node::Inner(kids) = &*self.root
            && let [only] = &kids[..]
        {
            self.root = only.node.clone();
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
                Node::Leaf(leaf) => {
                    leaf.scores.capacity() * 8 + leaf.ends.capacity() * 4 + leaf.bytes.capacity()
                }
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

/// Moves the leaf at `rank` of a subtree with `count` pairs; the rank behind it.
fn relocate(node: &mut Arc<Node>, count: usize, rank: usize, mover: &mut Mover<'_>) -> usize {
    let node = if rank == 0 { mover.arc(node) } else { Arc::get_mut(node) };
    match node {
        None => count, // shared, and so is all below it
        Some(Node::Leaf(leaf)) => {
            mover.vec(&mut leaf.scores);
            mover.vec(&mut leaf.ends);
            mover.vec(&mut leaf.bytes);
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

/// `is_last`: nothing lies behind this subtree. Pairs that come in their order, like moments, fill their nodes then
/// instead of leaving halves behind.
fn insert(node: &mut Arc<Node>, score: f64, member: &[u8], is_last: bool) -> Option<Kid> {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => {
            let at = leaf.rank(Probe::Pair(score, member));
            if !leaf.is_full() {
                leaf.insert(at, score, member);
                return None;
            }
            let appends = is_last && at == leaf.len();
            let middle = if appends { at } else { leaf.len() / 2 };
            let mut right = leaf.split_off(middle);
            if at < middle || at == middle && !appends {
                leaf.insert(at, score, member);
            } else {
                right.insert(at - middle, score, member);
            }
            Some(Kid::new(Arc::new(Node::Leaf(right))))
        }
        Node::Inner(kids) => {
            let at = kid_before(kids, Probe::Pair(score, member));
            let is_last = is_last && at == kids.len() - 1;
            let kid = &mut kids[at];
            let right = insert(&mut kid.node, score, member, is_last);
            kid.count += 1;
            kid.first = kid.first.min(score);
            let right = right?;
            kid.count -= right.count;
            kids.insert(at + 1, right);
            let middle = if is_last { KIDS } else { KIDS / 2 };
            (kids.len() > KIDS).then(|| Kid::new(Arc::new(Node::Inner(kids.split_off(middle)))))
        }
    }
}

/// Whether the pair was there. Joins what got small.
fn remove(node: &mut Arc<Node>, score: f64, member: &[u8]) -> bool {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => {
            let at = leaf.rank(Probe::Pair(score, member));
            let is_there = at < leaf.len() && leaf.scores[at] == score && leaf.member(at) == member;
            if is_there {
                leaf.remove(at);
            }
            is_there
        }
        Node::Inner(kids) => {
            // The pair itself is not before its place: its subtree may begin with it.
            let at = kids[1..].partition_point(|kid| {
                let first = kid.node.first_member();
                kid.first < score || kid.first == score && first <= member
            });
            let removed = remove(&mut kids[at].node, score, member);
            if removed {
                let kid = &mut kids[at];
                kid.count -= 1;
                if kid.count > 0 && kid.first == score {
                    kid.first = kid.node.first_leaf().scores[0];
                }
                join(kids, at);
            }
            removed
        }
    }
}

/// Joins a subtree that got small with a neighbour.
fn join(kids: &mut Vec<Kid>, at: usize) {
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
        (Node::Leaf(leaf), Node::Leaf(other)) => leaf.append(other),
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
            Node::Leaf(leaf) => (leaf.len() * FULL / PAIRS).max(leaf.bytes.len() * FULL / LEAF_BYTES),
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
        self.first = self.node.first_leaf().scores[0];
    }
}

impl Leaf {
    fn push(&mut self, score: f64, member: &[u8]) {
        self.scores.push(score);
        self.bytes.extend_from_slice(member);
        self.ends.push(u32::try_from(self.bytes.len()).expect("members of a leaf take up to 4 GB"));
    }

    fn into_kid(mut self) -> Kid {
        self.scores.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.bytes.shrink_to_fit();
        Kid::new(Arc::new(Node::Leaf(self)))
    }

    fn len(&self) -> usize {
        self.scores.len()
    }

    fn is_full(&self) -> bool {
        self.len() >= PAIRS || self.len() > 1 && self.bytes.len() >= LEAF_BYTES
    }

    fn start(&self, at: usize) -> usize {
        if at == 0 { 0 } else { self.ends[at - 1] as usize }
    }

    #[inline]
    fn member(&self, at: usize) -> &[u8] {
        &self.bytes[self.start(at)..self.ends[at] as usize]
    }

    fn rank(&self, probe: Probe<'_>) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if probe.is_behind(self.scores[middle], || self.member(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn insert(&mut self, at: usize, score: f64, member: &[u8]) {
        let start = self.start(at);
        // Vectors double; a leaf grows by an eighth at a time and wastes less.
        grow(&mut self.scores, 1);
        grow(&mut self.ends, 1);
        grow(&mut self.bytes, member.len());
        self.scores.insert(at, score);
        self.bytes.extend_from_slice(member);
        self.bytes[start..].rotate_right(member.len());
        let len = u32::try_from(member.len()).expect("a member of up to 4 GB");
        self.ends.insert(at, start as u32);
        self.ends[at..].iter_mut().for_each(|end| *end += len);
    }

    fn remove(&mut self, at: usize) {
        let (start, end) = (self.start(at), self.ends[at] as usize);
        self.scores.remove(at);
        self.ends.remove(at);
        self.bytes.drain(start..end);
        self.ends[at..].iter_mut().for_each(|e| *e -= (end - start) as u32);
    }

    fn split_off(&mut self, at: usize) -> Self {
        let start = self.start(at);
        let mut ends = self.ends.split_off(at);
        ends.iter_mut().for_each(|end| *end -= start as u32);
        let right = Self { scores: self.scores.split_off(at), ends, bytes: self.bytes.split_off(start) };
        // What stays keeps no more room than what goes takes.
        self.scores.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.bytes.shrink_to_fit();
        right
    }

    fn append(&mut self, other: &Self) {
        let before = self.bytes.len() as u32;
        self.scores.extend_from_slice(&other.scores);
        self.ends.extend(other.ends.iter().map(|end| end + before));
        self.bytes.extend_from_slice(&other.bytes);
    }
}

/// Makes room for `more` elements and an eighth of what is there.
fn grow<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more + vec.len() / 8);
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
        let pair = (leaf.scores[self.at], leaf.member(self.at));
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
