//! Lists: one listpack while small, beyond that a quicklist of shared nodes.
//!
//! ```text
//!  List ─┬─ Listpack                                          encoding "listpack"
//!        └─ chunks ─▶ Arc<Chunk>: up to 128 × Arc<Node> ─┬─ Packed: a listpack of about 8 KB      "quicklist"
//!                                                        └─ Plain: one element too large for that
//! ```
//!
//! Cloning a list clones one pointer per chunk: 2 µs for ten million short elements. A write after that copies the
//! chunk (128 pointers) and the node that it touches, nothing else. The price of the plainer alternative, a clone
//! that copies bytes, would be a pause of milliseconds at the start of each snapshot of a big list.
//!
//! The thresholds are Redis 7.2's: `list-max-listpack-size` decides when a listpack becomes a quicklist, how much goes
//! into a node, and (at half of it) when a quicklist of one node becomes a listpack again.

use std::collections::VecDeque;
use std::fmt;

use triomphe::Arc;

use crate::listpack::{self, Element, Listpack};

/// Nodes in a chunk at most: a copied chunk is about 2 KB, a hundred million short elements need a thousand chunks.
const CHUNK_NODES: usize = if cfg!(test) { 4 } else { 128 };
/// What an element is assumed to cost beyond its bytes when a node's room is judged.
const ENTRY_OVERHEAD: usize = 8;
/// Size in bytes that a node limited by count must not exceed either.
const SAFETY_LIMIT: usize = 8192;
/// Sizes in bytes for `list-max-listpack-size` -1 to -5.
const SIZE_LEVELS: [usize; 5] = [4096, 8192, 16384, 32768, 65536];

/// Which end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first element's side.
    Head,
    /// The last element's side.
    Tail,
}

/// How much a listpack or a quicklist's node may hold.
#[derive(Clone, Copy, Debug)]
pub struct ListLimit {
    /// As `list-max-listpack-size`: -1 to -5 for 4 to 64 KB, else a number of elements.
    fill: i32,
    /// Elements of so many bytes get a node of their own; 0 derives it from `fill`.
    packed_threshold: usize,
}

impl Default for ListLimit {
    /// 8 KB.
    fn default() -> Self {
        Self::new(-2)
    }
}

impl ListLimit {
    /// The limits that `list-max-listpack-size` stands for. Values below -5 count as -5.
    pub fn new(fill: i32) -> Self {
        Self { fill, packed_threshold: 0 }
    }

    /// Elements of at least `bytes` bytes get a node of their own (DEBUG QUICKLIST-PACKED-THRESHOLD); 0 for the rule.
    pub fn with_packed_threshold(self, bytes: usize) -> Self {
        Self { packed_threshold: bytes, ..self }
    }

    fn size_limit(&self) -> usize {
        match self.fill {
            0.. => usize::MAX,
            level => SIZE_LEVELS[level.unsigned_abs().min(5) as usize - 1],
        }
    }

    fn count_limit(&self) -> usize {
        if self.fill < 0 { usize::MAX } else { self.fill.max(1) as usize }
    }

    fn is_large(&self, bytes: usize) -> bool {
        match self.packed_threshold {
            0 => bytes > self.size_limit().min(if self.fill < 0 { usize::MAX } else { SAFETY_LIMIT }),
            threshold => bytes >= threshold,
        }
    }

    fn exceeded_by(&self, bytes: usize, count: usize) -> bool {
        match self.fill {
            0.. => bytes > SAFETY_LIMIT || count > self.count_limit(),
            _ => bytes > self.size_limit(),
        }
    }

    /// A quicklist of one such node may become a listpack, with half the limit as a margin when it `shrinks`.
    fn fits_listpack(&self, bytes: usize, count: usize, shrinks: bool) -> bool {
        let share = if shrinks { 2 } else { 1 };
        bytes <= self.size_limit() / share && count <= self.count_limit() / share
    }
}

/// What a quicklist is made of.
#[derive(Clone)]
enum Node {
    Packed(Listpack),
    Plain(Box<[u8]>),
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Node::Packed(pack) => pack.len(),
            Node::Plain(_) => 1,
        }
    }

    fn memory_usage(&self) -> usize {
        size_of::<Node>()
            + size_of::<usize>()
            + match self {
                Node::Packed(pack) => pack.memory_usage(),
                Node::Plain(bytes) => bytes.len(),
            }
    }

    fn view(&self) -> NodeView<'_> {
        match self {
            Node::Packed(pack) => NodeView::Packed(pack),
            Node::Plain(bytes) => NodeView::Plain(bytes),
        }
    }
}

/// A node as files hold it.
#[derive(Clone, Copy, Debug)]
pub enum NodeView<'a> {
    /// Several elements; [`Listpack::write_to`] gives the bytes.
    Packed(&'a Listpack),
    /// One large element.
    Plain(&'a [u8]),
}

/// A node with its number of elements, so that a search by index does not touch the node.
#[derive(Clone)]
struct Counted {
    node: Arc<Node>,
    len: u32,
}

impl Counted {
    fn new(node: Node) -> Self {
        let len = u32::try_from(node.len()).expect("a node holds less than 4 billion elements");
        Self { node: Arc::new(node), len }
    }
}

/// A run of nodes, shared as a whole. Never empty inside a list.
#[derive(Clone, Default)]
struct Chunk {
    nodes: VecDeque<Counted>,
    /// Elements in all nodes.
    len: usize,
}

#[derive(Clone, Default)]
struct Quicklist {
    chunks: VecDeque<Arc<Chunk>>,
    len: usize,
}

#[derive(Clone)]
enum Repr {
    Small(Listpack),
    Quick(Quicklist),
}

/// A list of byte strings.
#[derive(Clone)]
pub struct List {
    repr: Repr,
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// An empty list; allocates nothing.
    pub fn new() -> Self {
        Self { repr: Repr::Small(Listpack::new()) }
    }

    /// A list of one listpack's elements, in the encoding that the limit asks for.
    pub fn from_listpack(pack: Listpack, limit: &ListLimit) -> Self {
        let mut list = Self { repr: Repr::Small(pack) };
        list.prepare_push(0, 0, limit);
        list
    }

    /// Appends a whole node, as files hold them. [`Self::settle`] after the last one. Empty listpacks are left out.
    pub fn append_listpack(&mut self, pack: Listpack) {
        if !pack.is_empty() {
            self.quicklist().append(Node::Packed(pack), End::Tail);
        }
    }

    /// Appends one large element as a node of its own. [`Self::settle`] after the last node.
    pub fn append_plain(&mut self, bytes: &[u8]) {
        self.quicklist().append(Node::Plain(bytes.into()), End::Tail);
    }

    /// Chooses the encoding for a list that was put together from nodes.
    pub fn settle(&mut self, limit: &ListLimit) {
        self.convert_to_listpack(limit, false);
        self.prepare_push(0, 0, limit);
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::Small(pack) => pack.len(),
            Repr::Quick(quick) => quick.len,
        }
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        match &self.repr {
            Repr::Small(_) => "listpack",
            Repr::Quick(_) => "quicklist",
        }
    }

    /// Bytes on the heap; shared nodes count in full. O(nodes).
    pub fn memory_usage(&self) -> usize {
        match &self.repr {
            Repr::Small(pack) => pack.memory_usage(),
            Repr::Quick(quick) => quick.memory_usage(),
        }
    }

    /// Number of nodes; 1 for a listpack. O(chunks).
    pub fn node_count(&self) -> usize {
        match &self.repr {
            Repr::Small(_) => 1,
            Repr::Quick(quick) => quick.chunks.iter().map(|chunk| chunk.nodes.len()).sum(),
        }
    }

    /// The nodes from head to tail; a listpack is one.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> + '_ {
        let (small, quick) = match &self.repr {
            Repr::Small(pack) => (Some(NodeView::Packed(pack)), None),
            Repr::Quick(quick) => (None, Some(quick)),
        };
        let nodes = quick.into_iter().flat_map(|quick| quick.chunks.iter().flat_map(|chunk| &chunk.nodes));
        small.into_iter().chain(nodes.map(|counted| counted.node.view()))
    }

    // --- changing ----------------------------------------------------------------------------------------------------

    /// Adds an element. O(1), after a clone at most one chunk and one node are copied.
    #[inline]
    pub fn push(&mut self, end: End, element: &[u8], limit: &ListLimit) {
        self.prepare_push(element.len(), 1, limit);
        self.push_prepared(end, element, limit);
    }

    /// Chooses the encoding for a push of `count` elements of `bytes` bytes in all: Redis judges a command's elements
    /// together, before the first one is pushed.
    #[inline]
    pub fn prepare_push(&mut self, bytes: usize, count: usize, limit: &ListLimit) {
        if let Repr::Small(pack) = &self.repr
            && limit.exceeded_by(pack.total_bytes() + bytes, pack.len() + count)
        {
            self.quicklist();
        }
    }

    /// Adds an element for which [`Self::prepare_push`] has chosen the encoding.
    #[inline]
    pub fn push_prepared(&mut self, end: End, element: &[u8], limit: &ListLimit) {
        match &mut self.repr {
            Repr::Small(pack) => push_packed(pack, end, element),
            Repr::Quick(quick) => quick.push(end, element, limit),
        }
    }

    /// Takes an element out and shows it to `read`. O(1), after a clone at most one chunk and one node are copied.
    #[inline]
    pub fn pop<R>(&mut self, end: End, limit: &ListLimit, read: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match &mut self.repr {
            Repr::Small(pack) => {
                let result = pop_packed(pack, end).map(read);
                pack.trim_room();
                result
            }
            Repr::Quick(quick) => {
                let result = quick.pop(end, read);
                self.convert_to_listpack(limit, true);
                result
            }
        }
    }

    /// The list as a quicklist, converted if it is not.
    fn quicklist(&mut self) -> &mut Quicklist {
        if let Repr::Small(pack) = &mut self.repr {
            let mut quick = Quicklist::default();
            if !pack.is_empty() {
                quick.append(Node::Packed(std::mem::take(pack)), End::Tail);
            }
            self.repr = Repr::Quick(quick);
        }
        match &mut self.repr {
            Repr::Quick(quick) => quick,
            Repr::Small(_) => unreachable!("converted above"),
        }
    }

    /// Makes a quicklist of one small node a listpack. Cheap when it is not one.
    #[inline]
    fn convert_to_listpack(&mut self, limit: &ListLimit, shrinks: bool) {
        let Repr::Quick(quick) = &self.repr else { return };
        if quick.chunks.len() > 1 {
            return;
        }
        let Some(chunk) = quick.chunks.front() else {
            self.repr = Repr::Small(Listpack::new());
            return;
        };
        if chunk.nodes.len() == 1
            && let Node::Packed(pack) = &*chunk.nodes[0].node
            && limit.fits_listpack(pack.total_bytes(), pack.len(), shrinks)
        {
            self.repr = Repr::Small(pack.clone());
        }
    }

    // --- reading -----------------------------------------------------------------------------------------------------

    /// The element at `index`. O(chunks + elements of one node).
    pub fn get(&self, index: usize) -> Option<Element<'_>> {
        self.iter_from(index).next()
    }

    /// All elements from head to tail.
    pub fn iter(&self) -> Range<'_> {
        self.iter_from(0)
    }

    /// The elements from `index` towards the tail, without allocating.
    pub fn iter_from(&self, index: usize) -> Range<'_> {
        self.range(index, End::Tail)
    }

    /// The elements from `index` towards the head, that one first, without allocating.
    pub fn iter_back_from(&self, index: usize) -> Range<'_> {
        self.range(index, End::Head)
    }

    fn range(&self, index: usize, towards: End) -> Range<'_> {
        if index >= self.len() {
            return Range { quick: None, chunk: 0, node: 0, left: Left::done(), towards };
        }
        match &self.repr {
            Repr::Small(pack) => {
                Range { quick: None, chunk: 0, node: 0, left: Left::in_pack(pack, index, towards), towards }
            }
            Repr::Quick(quick) => {
                let (chunk, node, inside) = quick.position(index);
                let left = match &*quick.chunks[chunk].nodes[node].node {
                    Node::Packed(pack) => Left::in_pack(pack, inside, towards),
                    Node::Plain(bytes) => Left::Plain(Some(bytes)),
                };
                Range { quick: Some(quick), chunk, node, left, towards }
            }
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({}, {} elements)", self.encoding(), self.len())
    }
}

#[inline]
fn push_packed(pack: &mut Listpack, end: End, element: &[u8]) {
    let element = Element::from_bytes(element);
    match end {
        End::Head => pack.push_front(element),
        End::Tail => pack.push_back(element),
    }
}

#[inline]
fn pop_packed(pack: &mut Listpack, end: End) -> Option<Element<'_>> {
    match end {
        End::Head => pack.pop_front(),
        End::Tail => pack.pop_back(),
    }
}

impl Quicklist {
    fn memory_usage(&self) -> usize {
        let chunk = |chunk: &Arc<Chunk>| {
            let nodes: usize = chunk.nodes.iter().map(|counted| counted.node.memory_usage()).sum();
            nodes + chunk.nodes.capacity() * size_of::<Counted>() + size_of::<Chunk>() + size_of::<usize>()
        };
        let chunks: usize = self.chunks.iter().map(chunk).sum();
        chunks + self.chunks.capacity() * size_of::<Arc<Chunk>>()
    }

    /// Puts a node at an end, in a new chunk when the one there is full.
    fn append(&mut self, node: Node, end: End) {
        let counted = Counted::new(node);
        self.len += counted.len as usize;
        let full = |chunk: &Arc<Chunk>| chunk.nodes.len() >= CHUNK_NODES;
        if self.chunk_at(end).is_none_or(full) {
            let chunk = Arc::new(Chunk::default());
            match end {
                End::Head => self.chunks.push_front(chunk),
                End::Tail => self.chunks.push_back(chunk),
            }
        }
        let chunk = self.chunk_at_mut(end).expect("there is a chunk with room now");
        chunk.len += counted.len as usize;
        match end {
            End::Head => chunk.nodes.push_front(counted),
            End::Tail => chunk.nodes.push_back(counted),
        }
    }

    #[inline]
    fn chunk_at(&self, end: End) -> Option<&Arc<Chunk>> {
        match end {
            End::Head => self.chunks.front(),
            End::Tail => self.chunks.back(),
        }
    }

    /// The chunk at an end, copied if it is shared.
    #[inline]
    fn chunk_at_mut(&mut self, end: End) -> Option<&mut Chunk> {
        match end {
            End::Head => self.chunks.front_mut(),
            End::Tail => self.chunks.back_mut(),
        }
        .map(Arc::make_mut)
    }

    #[inline]
    fn push(&mut self, end: End, element: &[u8], limit: &ListLimit) {
        if limit.is_large(element.len()) {
            return self.append(Node::Plain(element.into()), end);
        }
        if self.push_into_node(end, element, limit) {
            return;
        }
        let mut pack = Listpack::new();
        push_packed(&mut pack, end, element);
        self.append(Node::Packed(pack), end);
    }

    /// Pushes into the node at an end if it has room. A node found full loses its spare memory.
    #[inline]
    fn push_into_node(&mut self, end: End, element: &[u8], limit: &ListLimit) -> bool {
        let Some(chunk) = self.chunk_at_mut(end) else { return false };
        let counted = match end {
            End::Head => chunk.nodes.front_mut(),
            End::Tail => chunk.nodes.back_mut(),
        };
        let counted = counted.expect("a chunk is never empty");
        let Node::Packed(pack) = &*counted.node else { return false };
        if limit.exceeded_by(pack.total_bytes() + element.len() + ENTRY_OVERHEAD, pack.len() + 1) {
            if let Some(Node::Packed(pack)) = Arc::get_mut(&mut counted.node) {
                pack.shrink_to_fit();
            }
            return false;
        }
        let Node::Packed(pack) = Arc::make_mut(&mut counted.node) else { return false };
        push_packed(pack, end, element);
        counted.len += 1;
        chunk.len += 1;
        self.len += 1;
        true
    }

    #[inline]
    fn pop<R>(&mut self, end: End, read: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let chunk = self.chunk_at_mut(end)?;
        let counted = match end {
            End::Head => chunk.nodes.front_mut(),
            End::Tail => chunk.nodes.back_mut(),
        };
        let counted = counted.expect("a chunk is never empty");
        let result = match &*counted.node {
            // The node goes, so a plain element need not be copied when it is shared.
            Node::Plain(bytes) => Some(read(Element::Bytes(bytes))),
            Node::Packed(pack) if pack.len() == 1 => pack.get(0).map(read),
            Node::Packed(_) => match Arc::make_mut(&mut counted.node) {
                Node::Packed(pack) => pop_packed(pack, end).map(read),
                Node::Plain(_) => unreachable!("seen as packed above"),
            },
        };
        counted.len -= 1;
        let emptied = counted.len == 0;
        chunk.len -= 1;
        self.len -= 1;
        if emptied {
            self.drop_node(end);
        }
        result
    }

    fn drop_node(&mut self, end: End) {
        let Some(chunk) = self.chunk_at_mut(end) else { return };
        match end {
            End::Head => chunk.nodes.pop_front(),
            End::Tail => chunk.nodes.pop_back(),
        };
        if chunk.nodes.is_empty() {
            match end {
                End::Head => self.chunks.pop_front(),
                End::Tail => self.chunks.pop_back(),
            };
        }
    }

    /// Chunk, node and place in the node of an element that exists; counts from the nearer end.
    fn position(&self, index: usize) -> (usize, usize, usize) {
        let (chunk, index) = nearer_end(self.chunks.iter().map(|chunk| chunk.len), self.len, index);
        let nodes = &self.chunks[chunk];
        let (node, index) = nearer_end(nodes.nodes.iter().map(|node| node.len as usize), nodes.len, index);
        (chunk, node, index)
    }
}

/// Which of several runs of known lengths holds an index, and the index inside it.
fn nearer_end(
    lens: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator,
    total: usize,
    index: usize,
) -> (usize, usize) {
    let runs = lens.len();
    if index < total / 2 {
        let mut before = 0;
        for (run, len) in lens.enumerate() {
            if index < before + len {
                return (run, index - before);
            }
            before += len;
        }
    } else {
        let mut start = total;
        for (back, len) in lens.rev().enumerate() {
            start -= len;
            if index >= start {
                return (runs - 1 - back, index - start);
            }
        }
    }
    unreachable!("element {index} of {total} lies in no run")
}

/// What is left of the node that a range is in.
#[derive(Clone)]
enum Left<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> Left<'a> {
    fn done() -> Self {
        Left::Plain(None)
    }

    fn in_pack(pack: &'a Listpack, index: usize, towards: End) -> Self {
        Left::Packed(match towards {
            End::Tail => pack.iter_from(index),
            End::Head => pack.iter_before(index + 1),
        })
    }

    #[inline]
    fn next(&mut self, towards: End) -> Option<Element<'a>> {
        match (self, towards) {
            (Left::Packed(iter), End::Tail) => iter.next(),
            (Left::Packed(iter), End::Head) => iter.next_back(),
            (Left::Plain(bytes), _) => bytes.take().map(Element::Bytes),
        }
    }
}

/// Elements of a list from some index on, in one direction.
#[derive(Clone)]
pub struct Range<'a> {
    quick: Option<&'a Quicklist>,
    chunk: usize,
    node: usize,
    left: Left<'a>,
    towards: End,
}

impl<'a> Range<'a> {
    /// Goes to the next node; false at the end of the list.
    fn advance(&mut self) -> bool {
        let Some(quick) = self.quick else { return false };
        let next = match self.towards {
            End::Tail if self.node + 1 < quick.chunks[self.chunk].nodes.len() => {
                Some((self.chunk, self.node + 1))
            }
            End::Tail if self.chunk + 1 < quick.chunks.len() => Some((self.chunk + 1, 0)),
            End::Head if self.node > 0 => Some((self.chunk, self.node - 1)),
            End::Head if self.chunk > 0 => {
                Some((self.chunk - 1, quick.chunks[self.chunk - 1].nodes.len() - 1))
            }
            _ => None,
        };
        let Some((chunk, node)) = next else { return false };
        (self.chunk, self.node) = (chunk, node);
        self.left = match &*quick.chunks[chunk].nodes[node].node {
            Node::Packed(pack) => Left::Packed(pack.iter()),
            Node::Plain(bytes) => Left::Plain(Some(bytes)),
        };
        true
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            if let Some(element) = self.left.next(self.towards) {
                return Some(element);
            }
            if !self.advance() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contents(list: &List) -> Vec<Vec<u8>> {
        list.iter().map(|e| e.to_vec()).collect()
    }

    fn pushed(count: usize, limit: &ListLimit) -> List {
        let mut list = List::new();
        (0..count).for_each(|n| list.push(End::Tail, format!("element {n}").as_bytes(), limit));
        list
    }

    /// After so many pushes of 10 bytes, the encoding is this.
    fn check(fill: i32, pushes: usize, expected: &str) {
        let limit = ListLimit::new(fill);
        let mut list = List::new();
        (0..pushes).for_each(|_| list.push(End::Tail, b"0123456789", &limit));
        assert_eq!(list.encoding(), expected, "{pushes} pushes at {fill}");
    }

    #[test]
    fn the_limit_decides_on_the_encoding() {
        check(3, 3, "listpack");
        check(3, 4, "quicklist");
        check(0, 1, "listpack");
        check(0, 2, "quicklist");
        check(-1, 340, "listpack"); // 340 × 12 + 7 = 4087
        check(-1, 341, "quicklist");
        check(-2, 681, "listpack"); // 681 × 12 + 7 = 8179
        check(-2, 683, "quicklist");
        check(10_000, 682, "listpack");
        check(10_000, 683, "quicklist");
    }

    #[test]
    fn a_quicklist_shrinks_at_half_the_limit() {
        let limit = ListLimit::new(8);
        let mut list = pushed(9, &limit);
        for left in (0..9).rev() {
            list.pop(End::Tail, &limit, |_| ());
            assert_eq!(list.encoding(), if left > 4 { "quicklist" } else { "listpack" }, "{left} left");
        }
        assert!(list.is_empty());
    }

    #[test]
    fn a_large_element_gets_a_node_of_its_own() {
        let limit = ListLimit::default();
        let mut list = List::new();
        let large = vec![b'x'; 9000];
        list.push(End::Tail, b"a", &limit);
        list.push(End::Tail, &large, &limit);
        list.push(End::Head, b"12", &limit);
        list.push(End::Tail, b"c", &limit);
        let nodes: Vec<_> = list.nodes().map(|n| matches!(n, NodeView::Plain(_))).collect();
        assert_eq!(nodes, [false, true, false]);
        assert_eq!(contents(&list), [&b"12"[..], b"a", &large, b"c"]);
        let mut copy = List::new();
        for node in list.nodes() {
            match node {
                NodeView::Packed(pack) => {
                    copy.append_listpack(Listpack::from_bytes(&pack.to_bytes()).expect("ours"))
                }
                NodeView::Plain(bytes) => copy.append_plain(bytes),
            }
        }
        copy.settle(&limit);
        assert_eq!(contents(&copy), contents(&list));
    }

    #[test]
    fn a_clone_stays_as_it_was() {
        let limit = ListLimit::new(4);
        let mut list = pushed(100, &limit);
        let (copy, before) = (list.clone(), contents(&list));
        for n in 0..60u8 {
            list.push(End::Head, &[n], &limit);
            list.pop(End::Tail, &limit, |_| ());
        }
        assert_eq!(contents(&copy), before);
        assert_ne!(contents(&list), before);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(bool, Vec<u8>),
        Pop(bool),
        Share,
    }

    fn op() -> impl Strategy<Value = Op> {
        let text = prop_oneof![
            3 => any::<i32>().prop_map(|n| n.to_string().into_bytes()),
            3 => proptest::collection::vec(any::<u8>(), 0..20),
            1 => (30usize..300).prop_map(|n| vec![b'z'; n]),
        ];
        prop_oneof![
            5 => (any::<bool>(), text).prop_map(|(head, text)| Op::Push(head, text)),
            3 => any::<bool>().prop_map(Op::Pop),
            1 => Just(Op::Share),
        ]
    }

    fn end(head: bool) -> End {
        if head { End::Head } else { End::Tail }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn behaves_like_a_deque(fill in -2..6i32, ops in proptest::collection::vec(op(), 0..200)) {
            let limit = ListLimit::new(fill).with_packed_threshold(200);
            let (mut list, mut model) = (List::new(), VecDeque::<Vec<u8>>::new());
            let mut shared = Vec::new();
            for op in ops {
                match op {
                    Op::Push(head, text) => {
                        list.push(end(head), &text, &limit);
                        if head { model.push_front(text) } else { model.push_back(text) }
                    }
                    Op::Pop(head) => {
                        let expected = if head { model.pop_front() } else { model.pop_back() };
                        prop_assert_eq!(list.pop(end(head), &limit, |e| e.to_vec()), expected);
                    }
                    Op::Share => shared.push((list.clone(), contents(&list))),
                }
                prop_assert_eq!(list.len(), model.len());
            }
            prop_assert!(contents(&list).iter().eq(model.iter()));
            for index in 0..=model.len() {
                let forward: Vec<_> = list.iter_from(index).map(|e| e.to_vec()).collect();
                prop_assert!(forward.iter().eq(model.iter().skip(index)));
                if index < model.len() {
                    let back: Vec<_> = list.iter_back_from(index).map(|e| e.to_vec()).collect();
                    prop_assert!(back.iter().eq(model.iter().rev().skip(model.len() - 1 - index)));
                }
            }
            for (copy, before) in shared {
                prop_assert_eq!(contents(&copy), before);
            }
        }
    }
}
