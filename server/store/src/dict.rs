//! The dictionary behind big sets, hashes and sorted sets: byte strings by their hash, in a tree of shared nodes.
//!
//! ```text
//!  Dict ─▶ Arc<Inner>: up to 64 × (first hash, count, Arc) ─▶ … ─▶ Arc<Leaf>: up to 48 items
//!
//!  Leaf   tags: a byte of each item's hash · places: where in `bytes` it lies · bytes · far
//!  bytes  ├ key length ┼ value length, if they differ ┼ key ┼ value ┤ …      no gaps
//!         ├ 0xff ┼ index u16 ┤                          an item of over 250 bytes, kept in `far`
//! ```
//!
//! It is a B+ tree ordered by the leading 48 bits of the hash. Compared with the keyspace's table that costs an access
//! or two more per search; what it gives for that:
//! - a clone is one reference count, and a write after it copies one path (some 6 KB), however large the whole is;
//! - an item costs its bytes and some 8 more: nothing is rounded up to the allocator's sizes but whole leaves;
//! - nodes split and join one at a time, so no step is longer than another;
//! - a cursor is a place in the hash's range: an item that is there throughout a scan comes exactly once, whatever
//!   splits or joins meanwhile;
//! - counts beside the pointers find the n-th item, which makes a random one as likely as another.
//!
//! `V` is the width of the values in bytes: 0 for a set, or [`VARIABLE`].

mod leaf;

use std::fmt;
use std::sync::LazyLock;

use leaf::{Leaf, SLOTS};
use triomphe::Arc;

use crate::grow::reserve;
use crate::hash::{Hash, Seed};
use crate::relocate::Mover;
use crate::value::SharedBytes;

/// Says that values differ in length.
pub const VARIABLE: usize = usize::MAX;

/// Bytes of a leaf from which on it splits.
const LEAF_BYTES: usize = 4096;
/// Nodes below a node at most.
const KIDS: usize = if cfg!(test) { 4 } else { 64 };
/// Leaves looked at for an estimate of the memory in use.
const SAMPLED: usize = 32;

/// What all dictionaries of the process are keyed with: hashes found for one serve in another, and a loading thread
/// needs nobody to ask. From the standard library's source of randomness, as its own maps are.
static SEED: LazyLock<Seed> = LazyLock::new(|| {
    use std::hash::BuildHasher;
    let random = |n: u8| std::hash::RandomState::new().hash_one(n);
    Seed::new([random(0), random(1)])
});

/// The hash that a dictionary finds `key` by.
#[inline]
pub fn dict_hash(key: &[u8]) -> Hash {
    SEED.hash(key)
}

/// A subtree: what lies at or above `first` and below the next one's.
#[derive(Clone)]
struct Kid<const V: usize> {
    first: u64,
    count: usize,
    node: Arc<Node<V>>,
}

#[derive(Clone)]
enum Node<const V: usize> {
    Leaf(Leaf<V>),
    Inner(Vec<Kid<V>>),
}

/// Where a search ended: a leaf and its part of the hash's range.
pub(crate) struct Near<'d, const V: usize> {
    leaf: &'d Leaf<V>,
    first: u64,
    end: u64,
}

/// Byte strings with values of `V` bytes.
pub struct Dict<const V: usize> {
    root: Arc<Node<V>>,
    len: usize,
}

impl<const V: usize> Clone for Dict<V> {
    /// One reference count.
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<const V: usize> Default for Dict<V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Leaf::new())), len: 0 }
    }
}

impl<const V: usize> fmt::Debug for Dict<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dict({} items)", self.len)
    }
}

/// What to insert, with its hash.
#[derive(Clone, Copy)]
struct New<'a> {
    hash: Hash,
    key: &'a [u8],
    value: &'a [u8],
}

/// A node's right half.
struct Half<const V: usize> {
    first: u64,
    count: usize,
    node: Arc<Node<V>>,
}

impl<const V: usize> Dict<V> {
    /// Number of items.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No items.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of `key`. O(log n).
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.get_hashed(dict_hash(key), key)
    }

    /// As [`Self::get`], with the key's [`dict_hash`].
    #[inline]
    pub fn get_hashed(&self, hash: Hash, key: &[u8]) -> Option<&[u8]> {
        let leaf = self.leaf_of(hash.prefix());
        leaf.find(hash, key).map(|slot| leaf.item(slot).1)
    }

    /// As [`Self::get_hashed`], for keys that are asked for in the order of their hashes, as another dictionary lists its
    /// own: as a rule the next one is in the leaf where the last search ended.
    #[inline]
    pub(crate) fn get_near<'d>(
        &'d self,
        near: &mut Option<Near<'d, V>>,
        hash: Hash,
        key: &[u8],
    ) -> Option<&'d [u8]> {
        let position = hash.prefix();
        let leaf = match near {
            Some(near) if (near.first..near.end).contains(&position) => near.leaf,
            _ => {
                let (leaf, first, next) = self.leaf_from(position);
                *near = Some(Near { leaf, first, end: next.unwrap_or(Span::WHOLE.end) });
                leaf
            }
        };
        leaf.find(hash, key).map(|slot| leaf.item(slot).1)
    }

    /// Whether `key` is there. O(log n).
    #[inline]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// The value of `key` where it can be shared, that is, when it is long.
    pub fn get_shared(&self, key: &[u8]) -> Option<&SharedBytes> {
        let hash = dict_hash(key);
        let leaf = self.leaf_of(hash.prefix());
        leaf.find(hash, key).and_then(|slot| leaf.far(slot)).map(|far| &far.value)
    }

    fn leaf_of(&self, position: u64) -> &Leaf<V> {
        self.leaf_from(position).0
    }

    /// Sets the value of `key`; true when the key is new. O(log n), after a clone one path is copied.
    #[inline]
    pub fn insert(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.insert_hashed(dict_hash(key), key, value)
    }

    /// As [`Self::insert`], with the key's [`dict_hash`].
    pub fn insert_hashed(&mut self, hash: Hash, key: &[u8], value: &[u8]) -> bool {
        debug_assert!(V == VARIABLE || value.len() == V, "a value of {} bytes", value.len());
        let (added, half) = insert(&mut self.root, Span::WHOLE, New { hash, key, value });
        self.len += usize::from(added);
        if let Some(Half { first, count, node }) = half {
            let left = Kid { first: 0, count: self.len - count, node: self.root.clone() };
            self.root = Arc::new(Node::Inner(vec![left, Kid { first, count, node }]));
        }
        added
    }

    /// Takes `key` out; true when it was there. O(log n), after a clone one path is copied.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let hash = dict_hash(key);
        if !Arc::is_unique(&self.root) && self.get_hashed(hash, key).is_none() {
            return false;
        }
        let removed = remove(&mut self.root, Span::WHOLE, hash, key);
        self.len -= usize::from(removed);
        while let Node::Inner(kids) = &*self.root
            && let [only] = kids.as_slice()
        {
            self.root = only.node.clone();
        }
        removed
    }

    /// The item at `rank` in an order of no meaning. O(log n).
    pub fn nth(&self, mut rank: usize) -> Option<(&[u8], &[u8])> {
        if rank >= self.len {
            return None;
        }
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return Some(leaf.item(rank)),
                Node::Inner(kids) => {
                    let mut at = 0;
                    while rank >= kids[at].count {
                        rank -= kids[at].count;
                        at += 1;
                    }
                    node = &kids[at].node;
                }
            }
        }
    }

    /// Emits items in hash order from `cursor` on, about `count` of them, and returns the next cursor; 0 starts and
    /// ends a walk. Every item that is there throughout a walk is emitted exactly once. Cursors stay below 2^48.
    pub fn scan<'a>(&'a self, cursor: u64, count: usize, mut emit: impl FnMut(&'a [u8], &'a [u8])) -> u64 {
        if cursor >= Span::WHOLE.end {
            return 0;
        }
        let (mut from, mut emitted) = (cursor, 0);
        loop {
            let (leaf, first, next) = self.leaf_from(from);
            for slot in 0..leaf.len() {
                let (key, value) = leaf.item(slot);
                if first >= from || dict_hash(key).prefix() >= from {
                    emit(key, value);
                    emitted += 1;
                }
            }
            match next {
                Some(next) if emitted < count => from = next,
                next => return next.unwrap_or(0),
            }
        }
    }

    /// Where the leaf ends that a place in the hash's range lies in.
    pub(crate) fn leaf_end(&self, position: u64) -> u64 {
        self.leaf_from(position).2.unwrap_or(Span::WHOLE.end)
    }

    /// Shows the items from one place in the hash's range up to another.
    pub(crate) fn each_between<'a>(&'a self, from: u64, end: u64, mut show: impl FnMut(&'a [u8], &'a [u8])) {
        let mut at = from;
        while at < end {
            let (leaf, first, next) = self.leaf_from(at);
            let next = next.unwrap_or(Span::WHOLE.end);
            let is_within = from <= first && next <= end;
            for slot in 0..leaf.len() {
                let (key, value) = leaf.item(slot);
                if is_within || (from..end).contains(&dict_hash(key).prefix()) {
                    show(key, value);
                }
            }
            at = next;
        }
    }

    /// Shows all items with their hashes, in the order of these.
    pub(crate) fn each_in_order<'a>(&'a self, mut show: impl FnMut(Hash, &'a [u8], &'a [u8])) {
        let (mut at, mut items) = (Some(0), Vec::with_capacity(SLOTS));
        while let Some(from) = at {
            let (leaf, _, next) = self.leaf_from(from);
            items.extend((0..leaf.len()).map(|slot| {
                let (key, value) = leaf.item(slot);
                (dict_hash(key), key, value)
            }));
            items.sort_unstable_by_key(|(hash, ..)| hash.0);
            items.drain(..).for_each(|(hash, key, value)| show(hash, key, value));
            at = next;
        }
    }

    /// All items.
    pub fn iter(&self) -> Iter<'_, V> {
        let (leaf, _, next) = self.leaf_from(0);
        Iter { dict: self, leaf, slot: 0, next }
    }

    /// The leaf for a position, where it begins, and where the next one does.
    #[inline]
    fn leaf_from(&self, position: u64) -> (&Leaf<V>, u64, Option<u64>) {
        let (mut node, mut span) = (&*self.root, Span::WHOLE);
        loop {
            match node {
                Node::Leaf(leaf) => {
                    let next = (span.end < Span::WHOLE.end).then_some(span.end);
                    return (leaf, span.first, next);
                }
                Node::Inner(kids) => {
                    let at = span.kid_of(kids, position);
                    span = span.of_kid(kids, at);
                    node = &kids[at].node;
                }
            }
        }
    }

    /// Moves the leaf at a place in the hash's range, and the nodes above it if it is their first; the next leaf's place.
    pub(crate) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        if from >= Span::WHOLE.end {
            return None;
        }
        let next = relocate(&mut self.root, Span::WHOLE, from, mover);
        (next < Span::WHOLE.end).then_some(next)
    }

    /// About how many allocations a drop frees.
    pub fn free_effort(&self) -> usize {
        1 + self.len / (SLOTS / 4)
    }

    /// Bytes on the heap, from a sample of the leaves when there are many.
    pub fn memory_usage(&self) -> usize {
        let (mut bytes, mut items) = (0, 0);
        let mut add = |leaf: &Leaf<V>| {
            bytes += leaf.memory_usage();
            items += leaf.len();
        };
        if self.len <= SAMPLED * SLOTS / 2 {
            let mut from = Some(0);
            while let Some(position) = from {
                let (leaf, _, next) = self.leaf_from(position);
                add(leaf);
                from = next;
            }
        } else {
            (0..SAMPLED as u64).for_each(|n| add(self.leaf_of((n << Hash::PREFIX_BITS) / SAMPLED as u64)));
        }
        let each_leaf = size_of::<Kid<V>>() * 3 / 2;
        let leaves = self.len / (items / SAMPLED).max(1) + 1;
        (bytes as u128 * self.len as u128 / items.max(1) as u128) as usize + leaves * each_leaf
    }
}

/// Walks over all items.
pub struct Iter<'a, const V: usize> {
    dict: &'a Dict<V>,
    leaf: &'a Leaf<V>,
    slot: usize,
    next: Option<u64>,
}

impl<'a, const V: usize> Iterator for Iter<'a, V> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.slot == self.leaf.len() {
            let (leaf, _, next) = self.dict.leaf_from(self.next?);
            (self.leaf, self.slot, self.next) = (leaf, 0, next);
        }
        self.slot += 1;
        Some(self.leaf.item(self.slot - 1))
    }
}

/// The part of the hash's range that a subtree covers: `end` is the next one's first position.
#[derive(Clone, Copy)]
struct Span {
    first: u64,
    end: u64,
}

impl Span {
    const WHOLE: Self = Self { first: 0, end: 1 << Hash::PREFIX_BITS };

    /// Which of several subtrees, which cover this span together, a position lies in. Hashes are spread evenly, so a
    /// guess is off by a few places; a binary search would touch more cache lines.
    #[inline]
    fn kid_of<const V: usize>(self, kids: &[Kid<V>], position: u64) -> usize {
        let last = kids.len() - 1;
        let from_first = position.saturating_sub(self.first);
        let mut at = last.min((from_first * kids.len() as u64 / (self.end - self.first)) as usize);
        while at > 0 && kids[at].first > position {
            at -= 1;
        }
        while at < last && kids[at + 1].first <= position {
            at += 1;
        }
        at
    }

    /// The span of one of the subtrees.
    #[inline]
    fn of_kid<const V: usize>(self, kids: &[Kid<V>], at: usize) -> Self {
        let end = kids.get(at + 1).map_or(self.end, |next| next.first);
        Self { first: if at == 0 { self.first } else { kids[at].first }, end }
    }
}

/// Moves the leaf of a subtree that a position lies in; where the next one begins.
fn relocate<const V: usize>(
    node: &mut Arc<Node<V>>,
    span: Span,
    position: u64,
    mover: &mut Mover<'_>,
) -> u64 {
    let is_first = position <= span.first;
    let node = if is_first { mover.arc(node) } else { Arc::get_mut(node) };
    match node {
        None => span.end, // shared, and so is all below it
        Some(Node::Leaf(leaf)) => {
            leaf.relocate(mover);
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

/// Whether the key was added, and what was split off to the right.
fn insert<const V: usize>(node: &mut Arc<Node<V>>, span: Span, new: New<'_>) -> (bool, Option<Half<V>>) {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => insert_into_leaf(leaf, new),
        Node::Inner(kids) => {
            let at = span.kid_of(kids, new.hash.prefix());
            let within = span.of_kid(kids, at);
            let (added, half) = insert(&mut kids[at].node, within, new);
            kids[at].count += usize::from(added);
            let Some(Half { first, count, node }) = half else { return (added, None) };
            kids[at].count -= count;
            reserve(kids, 1);
            kids.insert(at + 1, Kid { first, count, node });
            let half = (kids.len() > KIDS).then(|| {
                let right = kids.split_off(KIDS / 2);
                kids.shrink_to_fit();
                let count = right.iter().map(|kid| kid.count).sum();
                Half { first: right[0].first, count, node: Arc::new(Node::Inner(right)) }
            });
            (added, half)
        }
    }
}

fn insert_into_leaf<const V: usize>(leaf: &mut Leaf<V>, new: New<'_>) -> (bool, Option<Half<V>>) {
    let found = leaf.find(new.hash, new.key);
    if let Some(slot) = found
        && leaf.overwrite(slot, new.value)
    {
        return (false, None);
    }
    if let Some(slot) = found {
        leaf.remove(slot);
    }
    let full = leaf.len() == SLOTS || leaf.byte_len() >= LEAF_BYTES;
    let mut half = if full { leaf.split() } else { None };
    match &mut half {
        Some((first, right)) if new.hash.prefix() >= *first => right.add(new),
        _ => leaf.add(new),
    }
    let half = half.map(|(first, leaf)| {
        let count = leaf.len();
        Half { first, count, node: Arc::new(Node::Leaf(leaf)) }
    });
    (found.is_none(), half)
}

/// Whether the key was there. Joins what got small.
fn remove<const V: usize>(node: &mut Arc<Node<V>>, span: Span, hash: Hash, key: &[u8]) -> bool {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => leaf.find(hash, key).is_some_and(|slot| {
            leaf.remove(slot);
            true
        }),
        Node::Inner(kids) => {
            let at = span.kid_of(kids, hash.prefix());
            let within = span.of_kid(kids, at);
            let removed = remove(&mut kids[at].node, within, hash, key);
            if removed {
                kids[at].count -= 1;
                join(kids, at);
            }
            removed
        }
    }
}

/// Joins a subtree that got small with a neighbour.
fn join<const V: usize>(kids: &mut Vec<Kid<V>>, at: usize) {
    let size = |kid: &Kid<V>| kid.node.size();
    if kids.len() > 1 && kids[at].count == 0 {
        let first = kids.remove(at).first;
        if at == 0 {
            kids[0].first = first;
        }
        return;
    }
    if kids.len() == 1 || size(&kids[at]) > ROOM / 4 {
        return;
    }
    let left = [at.checked_sub(1), Some(at)].into_iter().flatten().find(|left| {
        kids.get(left + 1).is_some_and(|right| size(&kids[*left]) + size(right) <= ROOM * 3 / 4)
    });
    let Some(left) = left else { return };
    let right = kids.remove(left + 1);
    let kid = &mut kids[left];
    kid.count += right.count;
    match (Arc::make_mut(&mut kid.node), &*right.node) {
        (Node::Leaf(leaf), Node::Leaf(other)) => leaf.append(other),
        (Node::Inner(kids), Node::Inner(others)) => kids.extend_from_slice(others),
        _ => unreachable!("all leaves are equally deep"),
    }
}

/// A node's room in the unit of [`Node::size`].
const ROOM: usize = LEAF_BYTES;

impl<const V: usize> Node<V> {
    /// How full a node is.
    fn size(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.byte_len().max(leaf.len() * ROOM / SLOTS),
            Node::Inner(kids) => kids.len() * ROOM / KIDS,
        }
    }
}

#[cfg(test)]
mod tests;
