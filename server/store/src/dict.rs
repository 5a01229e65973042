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

use std::fmt;
use std::sync::LazyLock;

use triomphe::Arc;

use crate::hash::{Hash, Seed};
use crate::raw::entry::class_size;
use crate::relocate::Mover;
use crate::value::SharedBytes;

/// Says that values differ in length.
pub const VARIABLE: usize = usize::MAX;

/// Items of a leaf at most.
const SLOTS: usize = if cfg!(test) { 8 } else { 48 };
/// Bytes of a leaf from which on it splits.
const LEAF_BYTES: usize = 4096;
/// Nodes below a node at most.
const KIDS: usize = if cfg!(test) { 4 } else { 64 };
/// Longest item that lies in its leaf, key and value, bytes.
const NEAR: usize = 250;
/// Stands for the length of an item that lies elsewhere.
const FAR: u8 = 0xff;
/// Size of the entry of an item that lies elsewhere: mark and index.
const FAR_ENTRY: usize = 3;
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

/// An item too long for its leaf.
struct Far {
    key: Box<[u8]>,
    value: SharedBytes,
}

#[derive(Clone)]
struct Leaf<const V: usize> {
    tags: [u8; SLOTS],
    places: [u16; SLOTS],
    len: u8,
    bytes: Vec<u8>,
    /// Rarely there, so it takes one word instead of three.
    #[expect(clippy::box_collection, reason = "a leaf is to stay small")]
    far: Option<Box<Vec<Arc<Far>>>>,
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

impl<const V: usize> Leaf<V> {
    fn relocate(&mut self, mover: &mut Mover<'_>) {
        mover.vec(&mut self.bytes);
        for far in self.far.iter_mut().flat_map(|far| far.iter_mut()) {
            if let Some(far) = Arc::get_mut(far) {
                mover.slice(&mut far.key);
                far.value.relocate(mover);
            }
        }
    }
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
            kids.insert(at + 1, Kid { first, count, node });
            let half = (kids.len() > KIDS).then(|| {
                let right = kids.split_off(KIDS / 2);
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
    let full = leaf.len() == SLOTS || leaf.bytes.len() >= LEAF_BYTES;
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
            Node::Leaf(leaf) => leaf.bytes.len().max(leaf.len() * ROOM / SLOTS),
            Node::Inner(kids) => kids.len() * ROOM / KIDS,
        }
    }
}

impl<const V: usize> Leaf<V> {
    fn new() -> Self {
        Self { tags: [0; SLOTS], places: [0; SLOTS], len: 0, bytes: Vec::new(), far: None }
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Slots whose tag is `tag`, as bits. Eight tags per step.
    #[inline]
    fn candidates(&self, tag: u8) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        /// Moves bit 8n to bit 56 + n.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let pattern = u64::from_le_bytes([tag; 8]);
        let mut found = 0;
        for (at, eight) in self.tags.chunks_exact(8).enumerate() {
            let differs = u64::from_le_bytes(eight.try_into().expect("eight of them")) ^ pattern;
            let equal = !(((differs & LOW) + LOW) | differs | LOW);
            found |= ((equal >> 7).wrapping_mul(GATHER) >> 56) << (8 * at);
        }
        found & ((1 << self.len) - 1)
    }

    #[inline]
    fn find(&self, hash: Hash, key: &[u8]) -> Option<usize> {
        let mut candidates = self.candidates(hash.tag());
        while candidates != 0 {
            let slot = candidates.trailing_zeros() as usize;
            if self.item(slot).0 == key {
                return Some(slot);
            }
            candidates &= candidates - 1;
        }
        None
    }

    #[inline]
    fn item(&self, slot: usize) -> (&[u8], &[u8]) {
        let entry = &self.bytes[usize::from(self.places[slot])..];
        if entry[0] == FAR {
            let far = &self.far_items()[far_index(entry)];
            return (&far.key, &far.value);
        }
        let key_len = usize::from(entry[0]);
        match V {
            VARIABLE => {
                let (key, rest) = entry[2..].split_at(key_len);
                (key, &rest[..usize::from(entry[1])])
            }
            _ => {
                let (key, rest) = entry[1..].split_at(key_len);
                (key, &rest[..V])
            }
        }
    }

    fn far_items(&self) -> &[Arc<Far>] {
        self.far.as_ref().map_or(&[], |far| far.as_slice())
    }

    fn far(&self, slot: usize) -> Option<&Far> {
        let entry = &self.bytes[usize::from(self.places[slot])..];
        (entry[0] == FAR).then(|| &*self.far_items()[far_index(entry)])
    }

    fn entry_size(&self, slot: usize) -> usize {
        match self.far(slot) {
            Some(_) => FAR_ENTRY,
            None => {
                let (key, value) = self.item(slot);
                near_size::<V>(key.len(), value.len())
            }
        }
    }

    /// Adds an item whose key is not there. There is a slot for it.
    fn add(&mut self, new: New<'_>) {
        let New { hash, key, value } = new;
        let near = key.len() + value.len() <= NEAR;
        let size = if near { near_size::<V>(key.len(), value.len()) } else { FAR_ENTRY };
        self.reserve(size);
        let slot = self.take_slot(hash.tag());
        self.places[slot] = u16::try_from(self.bytes.len()).expect("a leaf stays small");
        if near {
            self.bytes.push(key.len() as u8);
            if V == VARIABLE {
                self.bytes.push(value.len() as u8);
            }
            self.bytes.extend_from_slice(key);
            self.bytes.extend_from_slice(value);
        } else {
            self.push_far(Arc::new(Far { key: key.into(), value: SharedBytes::new(value.to_vec()) }));
        }
    }

    fn take_slot(&mut self, tag: u8) -> usize {
        let slot = self.len();
        assert!(slot < SLOTS, "over {SLOTS} items have the same {} bits of hash", Hash::PREFIX_BITS);
        self.tags[slot] = tag;
        self.len += 1;
        slot
    }

    fn push_far(&mut self, item: Arc<Far>) {
        let far = self.far.get_or_insert_default();
        self.bytes.push(FAR);
        self.bytes.extend_from_slice(&(far.len() as u16).to_le_bytes());
        far.push(item);
    }

    /// Room for so many bytes more, in a size that the allocator has.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(class_size(needed) - self.bytes.len());
        }
    }

    /// Sets a value where it lies if its length stays; false when it does not.
    fn overwrite(&mut self, slot: usize, value: &[u8]) -> bool {
        let old = self.item(slot).1;
        if old.len() != value.len() || self.far(slot).is_some() {
            return false;
        }
        let end = usize::from(self.places[slot]) + self.entry_size(slot);
        self.bytes[end - value.len()..end].copy_from_slice(value);
        true
    }

    fn remove(&mut self, slot: usize) {
        let (place, size) = (self.places[slot], self.entry_size(slot));
        if self.far(slot).is_some() {
            self.remove_far(far_index(&self.bytes[usize::from(place)..]));
        }
        self.bytes.drain(usize::from(place)..usize::from(place) + size);
        let last = self.len() - 1;
        self.tags[slot] = self.tags[last];
        self.places[slot] = self.places[last];
        self.len -= 1;
        for other in &mut self.places[..last] {
            if *other > place {
                *other -= size as u16;
            }
        }
        if self.bytes.len() < self.bytes.capacity() / 2 {
            self.bytes.shrink_to(class_size(self.bytes.len() + 1));
        }
    }

    /// Takes a long item out and gives its index to the last one.
    fn remove_far(&mut self, index: usize) {
        let far = self.far.as_mut().expect("it has long items");
        far.swap_remove(index);
        let moved = far.len();
        if far.is_empty() {
            self.far = None;
        }
        for slot in 0..self.len() {
            let at = usize::from(self.places[slot]);
            if moved != index && self.bytes[at] == FAR && far_index(&self.bytes[at..]) == moved {
                self.bytes[at + 1..at + FAR_ENTRY].copy_from_slice(&(index as u16).to_le_bytes());
            }
        }
    }

    /// Moves the items with the greater hashes to a leaf of their own, which begins at the position that is returned.
    /// `None` when all hashes are the same.
    fn split(&mut self) -> Option<(u64, Self)> {
        let mut hashes = [Hash(0); SLOTS];
        let mut sorted = [0; SLOTS];
        let len = self.len();
        for slot in 0..len {
            hashes[slot] = dict_hash(self.item(slot).0);
            sorted[slot] = hashes[slot].prefix();
        }
        let sorted = &mut sorted[..len];
        sorted.sort_unstable();
        let middle = sorted[len / 2];
        let first = if middle > sorted[0] { middle } else { *sorted.iter().find(|at| **at > middle)? };
        let (mut left, mut right) = (Self::new(), Self::new());
        for (slot, hash) in hashes[..len].iter().enumerate() {
            let half = if hash.prefix() < first { &mut left } else { &mut right };
            half.add_from(self, slot);
        }
        *self = left;
        Some((first, right))
    }

    /// Adds a copy of another leaf's item.
    fn add_from(&mut self, other: &Self, slot: usize) {
        let own = self.take_slot(other.tags[slot]);
        let size = other.entry_size(slot);
        self.reserve(size);
        self.places[own] = self.bytes.len() as u16;
        if other.far(slot).is_some() {
            let index = far_index(&other.bytes[usize::from(other.places[slot])..]);
            self.push_far(other.far_items()[index].clone());
        } else {
            let place = usize::from(other.places[slot]);
            self.bytes.extend_from_slice(&other.bytes[place..place + size]);
        }
    }

    fn append(&mut self, other: &Self) {
        self.reserve(other.bytes.len());
        (0..other.len()).for_each(|slot| self.add_from(other, slot));
    }

    fn memory_usage(&self) -> usize {
        let far = |far: &Arc<Far>| size_of::<Far>() + 16 + far.key.len() + far.value.memory_usage();
        let far: usize = self.far_items().iter().map(far).sum();
        size_of::<Node<V>>() + 8 + self.bytes.capacity() + far
    }
}

/// Size of the entry of an item that lies in its leaf.
#[inline]
fn near_size<const V: usize>(key_len: usize, value_len: usize) -> usize {
    key_len + value_len + if V == VARIABLE { 2 } else { 1 }
}

fn far_index(entry: &[u8]) -> usize {
    usize::from(u16::from_le_bytes([entry[1], entry[2]]))
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    type Model = HashMap<Vec<u8>, Vec<u8>>;

    fn check_same<const V: usize>(dict: &Dict<V>, model: &Model) {
        assert_eq!(dict.len(), model.len());
        let found: Model = dict.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        assert_eq!(&found, model);
        check_shape(&dict.root, 0, u64::MAX);
        for rank in 0..dict.len() {
            assert!(model.contains_key(dict.nth(rank).expect("in range").0));
        }
        assert!(dict.nth(dict.len()).is_none());
    }

    /// Depth of a subtree, after looking at its bounds and counts.
    fn check_shape<const V: usize>(node: &Node<V>, first: u64, end: u64) -> (usize, usize) {
        match node {
            Node::Leaf(leaf) => {
                for slot in 0..leaf.len() {
                    let at = dict_hash(leaf.item(slot).0).prefix();
                    assert!(first <= at && at < end);
                }
                let sizes: usize = (0..leaf.len()).map(|slot| leaf.entry_size(slot)).sum();
                assert_eq!(sizes, leaf.bytes.len());
                (0, leaf.len())
            }
            Node::Inner(kids) => {
                assert!(!kids.is_empty() && kids.len() <= KIDS);
                let mut depth = None;
                for (at, kid) in kids.iter().enumerate() {
                    let end = kids.get(at + 1).map_or(end, |next| next.first);
                    assert!(kid.first < end && (at == 0 || kid.first >= first));
                    let (below, count) = check_shape(&kid.node, if at == 0 { first } else { kid.first }, end);
                    assert_eq!((count, *depth.get_or_insert(below)), (kid.count, below));
                }
                (depth.expect("not empty") + 1, kids.iter().map(|kid| kid.count).sum())
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u16, u16),
        Remove(u16),
        Clone,
        Scan(u8),
    }

    fn key(n: u16) -> Vec<u8> {
        let len = if n.is_multiple_of(13) { 300 } else { usize::from(n % 5) };
        [&n.to_le_bytes()[..], &vec![b'k'; len]].concat()
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            8 => (0u16..400, 0u16..400).prop_map(|(key, len)| Op::Insert(key, len)),
            6 => (0u16..400).prop_map(Op::Remove),
            1 => Just(Op::Clone),
            1 => (1u8..20).prop_map(Op::Scan),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 200 }))]

        #[test]
        fn behaves_like_a_map_and_clones_stay(ops in proptest::collection::vec(op(), 0..600)) {
            let (mut dict, mut model) = (Dict::<VARIABLE>::default(), Model::new());
            let mut clones = Vec::new();
            let (mut cursor, mut throughout, mut emitted) = (0, HashSet::new(), Vec::new());
            for op in ops {
                match op {
                    Op::Insert(n, len) => {
                        let value = vec![n as u8; usize::from(len)];
                        prop_assert_eq!(dict.insert(&key(n), &value), model.insert(key(n), value).is_none());
                    }
                    Op::Remove(n) => {
                        throughout.remove(&key(n));
                        prop_assert_eq!(dict.remove(&key(n)), model.remove(&key(n)).is_some());
                    }
                    Op::Clone => clones.push((dict.clone(), model.clone())),
                    Op::Scan(count) => {
                        if cursor == 0 {
                            throughout = model.keys().cloned().collect();
                        }
                        cursor = dict.scan(cursor, usize::from(count), |key, _| emitted.push(key.to_vec()));
                        if cursor == 0 {
                            let distinct: HashSet<_> = emitted.drain(..).collect();
                            prop_assert!(throughout.is_subset(&distinct));
                        }
                    }
                }
            }
            check_same(&dict, &model);
            for (clone, model) in &clones {
                check_same(clone, model);
            }
            for n in 0..400 {
                prop_assert_eq!(dict.get(&key(n)), model.get(&key(n)).map(Vec::as_slice));
            }
            for n in 0..400 {
                dict.remove(&key(n));
            }
            check_same(&dict, &Model::new());
            prop_assert!(matches!(&*dict.root, Node::Leaf(_)));
        }
    }

    #[test]
    fn a_scan_emits_each_item_once_if_nothing_changes() {
        let mut dict = Dict::<0>::default();
        (0..5000u32).for_each(|n| assert!(dict.insert(&n.to_le_bytes(), b"")));
        let mut emitted = HashSet::new();
        let mut cursor = 0;
        loop {
            cursor = dict.scan(cursor, 10, |key, _| assert!(emitted.insert(key.to_vec())));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(emitted.len(), 5000);
        dict.scan(u64::MAX, 10, |_, _| {});
    }

    #[test]
    fn fixed_values_are_overwritten_in_place() {
        let mut dict = Dict::<8>::default();
        (0..1000u64).for_each(|n| assert!(dict.insert(&n.to_be_bytes(), &n.to_le_bytes())));
        (0..1000u64).for_each(|n| assert!(!dict.insert(&n.to_be_bytes(), &(n + 1).to_le_bytes())));
        assert_eq!(dict.get(&7u64.to_be_bytes()), Some(&8u64.to_le_bytes()[..]));
    }

    #[test]
    fn a_clone_shares_all_but_one_path() {
        let mut dict = Dict::<0>::default();
        (0..10_000u32).for_each(|n| assert!(dict.insert(&n.to_le_bytes(), b"")));
        let clone = dict.clone();
        dict.insert(b"another", b"");
        fn shared<const V: usize>(one: &Arc<Node<V>>, other: &Arc<Node<V>>) -> usize {
            match (&**one, &**other) {
                _ if Arc::ptr_eq(one, other) => 0,
                (Node::Inner(a), Node::Inner(b)) => {
                    let differing = a.iter().filter(|kid| !b.iter().any(|o| Arc::ptr_eq(&o.node, &kid.node)));
                    1 + differing.count()
                }
                _ => 1,
            }
        }
        assert!(shared(&dict.root, &clone.root) <= 3);
        assert_eq!((dict.len(), clone.len()), (10_001, 10_000));
        assert!(!clone.contains(b"another"));
    }

    #[test]
    fn the_estimate_of_memory_is_close() {
        let mut dict = Dict::<0>::default();
        (0..50_000u64).for_each(|n| assert!(dict.insert(format!("member:{n:09}").as_bytes(), b"")));
        let mut exact = 0;
        let mut from = Some(0);
        while let Some(at) = from {
            let (leaf, _, next) = dict.leaf_from(at);
            exact += leaf.memory_usage();
            from = next;
        }
        let estimate = dict.memory_usage();
        assert!(estimate > exact * 8 / 10 && estimate < exact * 15 / 10, "{estimate} {exact}");
    }
}
