//! Changes in the middle of a list: replace, insert, remove.
//!
//! Each copies what somebody else still holds of the chunk and the node that it touches, like a push. Nodes that a
//! removal leaves small are not joined with their neighbours; one that is full is cut where an element goes in. What was
//! compressed is so again afterwards.

use super::quick::{CHUNK_NODES, Chunk, Counted, ENTRY_OVERHEAD, Node, Quicklist};
use super::{End, List, ListLimit, ReprMut};
use crate::listpack::{Element, Listpack};
use crate::number::parse_i64;
use std::ops::ControlFlow;
use triomphe::Arc;

impl List {
    /// Replaces the element at `index`; false when there is none. O(chunks + bytes of one node).
    pub fn replace(&mut self, index: usize, element: &[u8], limit: &ListLimit) -> bool {
        if index >= self.len() {
            return false;
        }
        self.prepare_push(element.len(), 1, limit);
        match self.repr_mut() {
            ReprMut::Small(pack) => replace_packed(pack, index, element),
            ReprMut::Quick(quick) => {
                quick.replace(index, element, limit);
                self.convert_to_listpack(limit, true);
            }
        }
        true
    }

    /// Puts an element before the one at `index`, or at the end. O(chunks + bytes of one node).
    pub fn insert(&mut self, index: usize, element: &[u8], limit: &ListLimit) {
        self.prepare_push(element.len(), 1, limit);
        match self.repr_mut() {
            ReprMut::Small(pack) => pack.insert(index, Element::from_bytes(element)),
            ReprMut::Quick(quick) if index >= quick.len => quick.push(End::Tail, element, limit),
            ReprMut::Quick(quick) => quick.insert(index, element, limit),
        }
    }

    /// Takes out up to `count` elements from `index` on. O(nodes removed + bytes of two nodes).
    pub fn remove_range(&mut self, index: usize, count: usize, limit: &ListLimit) {
        let count = count.min(self.len().saturating_sub(index));
        if count == 0 {
            return;
        }
        match self.repr_mut() {
            ReprMut::Small(pack) => {
                pack.remove_range(index, count);
                pack.trim_room();
            }
            ReprMut::Quick(quick) => {
                quick.remove_range(index, count, limit);
                self.convert_to_listpack(limit, true);
            }
        }
    }

    /// Takes out up to `most` elements that equal `element`, the first ones seen from `end`; tells how many. O(n).
    pub fn remove_equal(&mut self, end: End, element: &[u8], most: usize, limit: &ListLimit) -> usize {
        let wanted = Wanted::new(element);
        match self.repr_mut() {
            ReprMut::Small(pack) => {
                let removed = remove_packed(pack, end, &wanted, most);
                pack.trim_room();
                removed
            }
            ReprMut::Quick(quick) => {
                let removed = quick.remove_equal(end, &wanted, most, limit);
                if removed > 0 {
                    self.convert_to_listpack(limit, true);
                }
                removed
            }
        }
    }

    /// Where the first element that equals `element` is. O(n).
    pub fn position(&self, element: &[u8]) -> Option<usize> {
        let wanted = Wanted::new(element);
        let (mut at, mut found) = (0, None);
        self.visit(0, End::Tail, |element| {
            if wanted.is(&element) {
                found = Some(at);
                return ControlFlow::Break(());
            }
            at += 1;
            ControlFlow::Continue(())
        });
        found
    }
}

/// An element that others are compared with: bytes from outside may hold a number in either form.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    bytes: &'a [u8],
    number: Option<i64>,
}

impl<'a> Wanted<'a> {
    /// To look for these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, number: parse_i64(bytes) }
    }

    /// Whether an element has the same bytes.
    #[inline]
    pub fn is(&self, element: &Element<'_>) -> bool {
        match element {
            Element::Int(n) => self.number == Some(*n),
            Element::Bytes(bytes) => *bytes == self.bytes,
        }
    }
}

fn replace_packed(pack: &mut Listpack, index: usize, element: &[u8]) {
    pack.remove_range(index, 1);
    pack.insert(index, Element::from_bytes(element));
}

fn remove_packed(pack: &mut Listpack, end: End, wanted: &Wanted<'_>, most: usize) -> usize {
    let len = pack.len();
    let found: Vec<usize> = match end {
        End::Head => {
            (0..len).zip(pack.iter()).filter(|(_, e)| wanted.is(e)).map(|(i, _)| i).take(most).collect()
        }
        End::Tail => {
            let from_tail = (0..len).rev().zip(pack.iter().rev());
            let mut found: Vec<usize> =
                from_tail.filter(|(_, e)| wanted.is(e)).map(|(i, _)| i).take(most).collect();
            found.reverse();
            found
        }
    };
    if found.len() > FEW {
        keep_others(pack, &found);
    } else {
        for index in found.iter().rev() {
            pack.remove_range(*index, 1);
        }
    }
    found.len()
}

/// Up to so many elements are cut out one by one; beyond it the others are copied, so that the work stays linear.
const FEW: usize = 8;

/// Leaves out the elements at `gone`, which ascend.
fn keep_others(pack: &mut Listpack, gone: &[usize]) {
    let mut rest = Listpack::new();
    let mut gone = gone.iter().copied().peekable();
    for (index, element) in pack.iter().enumerate() {
        match gone.next_if_eq(&index) {
            Some(_) => {}
            None => rest.push_back(element),
        }
    }
    *pack = rest;
}

/// A node of one element, in the form that its size asks for.
fn node_of(element: &[u8], limit: &ListLimit) -> Node {
    if limit.is_large(element.len()) {
        return Node::Plain(element.into());
    }
    let mut pack = Listpack::new();
    pack.push_back(Element::from_bytes(element));
    Node::Packed(pack)
}

/// The elements of a listpack before and from `index` on.
fn cut(pack: &Listpack, index: usize) -> (Listpack, Listpack) {
    let (mut left, mut right) = (pack.clone(), pack.clone());
    left.remove_range(index, pack.len());
    right.remove_range(0, index);
    (left, right)
}

impl Quicklist {
    fn replace(&mut self, index: usize, element: &[u8], limit: &ListLimit) {
        let (chunk_at, node_at, inside) = self.position(index);
        let chunk = Arc::make_mut(&mut self.chunks[chunk_at]);
        let counted = &mut chunk.nodes[node_at];
        let was_compressed = counted.is_compressed();
        if counted.len == 1 {
            *counted = Counted::new(node_of(element, limit));
        } else {
            let Node::Packed(pack) = counted.open() else { unreachable!("several elements") };
            if limit.is_large(element.len()) {
                let (left, mut right) = cut(pack, inside);
                right.pop_front();
                let nodes = [Node::Packed(left), node_of(element, limit), Node::Packed(right)];
                return self.put_nodes(chunk_at, node_at, nodes, was_compressed, limit);
            }
            replace_packed(pack, inside, element);
        }
        if was_compressed {
            counted.compress();
        }
    }

    /// Inserts before the element at `index`, which exists.
    fn insert(&mut self, index: usize, element: &[u8], limit: &ListLimit) {
        let (chunk_at, node_at, inside) = self.position(index);
        self.len += 1;
        let chunk = Arc::make_mut(&mut self.chunks[chunk_at]);
        let counted = &mut chunk.nodes[node_at];
        let was_compressed = counted.is_compressed();
        if was_compressed {
            counted.open();
        }
        match &*counted.node {
            Node::Packed(pack) if has_room(pack, element, limit) => {
                if let Node::Packed(pack) = counted.open() {
                    pack.insert(inside, Element::from_bytes(element));
                }
                counted.len += 1;
                chunk.len += 1;
                if was_compressed {
                    counted.compress();
                }
            }
            Node::Packed(pack) if inside > 0 => {
                let (mut left, right) = cut(pack, inside);
                if has_room(&left, element, limit) {
                    left.push_back(Element::from_bytes(element));
                    let nodes = [Node::Packed(left), Node::Packed(right)];
                    self.put_nodes(chunk_at, node_at, nodes, was_compressed, limit);
                } else {
                    let nodes = [Node::Packed(left), node_of(element, limit), Node::Packed(right)];
                    self.put_nodes(chunk_at, node_at, nodes, was_compressed, limit);
                }
            }
            _ => {
                if was_compressed {
                    counted.compress();
                }
                if node_at > 0 && self.push_to_node(chunk_at, node_at - 1, element, limit) {
                    return;
                }
                let chunk = Arc::make_mut(&mut self.chunks[chunk_at]);
                chunk.nodes.insert(node_at, Counted::new(node_of(element, limit)));
                chunk.len += 1;
                if was_compressed {
                    chunk.nodes[node_at].compress();
                }
                self.divide(chunk_at);
                self.tend(End::Head, limit);
                self.tend(End::Tail, limit);
            }
        }
    }

    /// Appends to a node in the middle if it has room.
    fn push_to_node(&mut self, chunk_at: usize, node_at: usize, element: &[u8], limit: &ListLimit) -> bool {
        let chunk = Arc::make_mut(&mut self.chunks[chunk_at]);
        let counted = &mut chunk.nodes[node_at];
        let was_compressed = counted.is_compressed();
        if was_compressed {
            counted.open();
        }
        let fits = matches!(&*counted.node, Node::Packed(pack) if has_room(pack, element, limit));
        if fits && let Node::Packed(pack) = counted.open() {
            pack.push_back(Element::from_bytes(element));
            counted.len += 1;
            chunk.len += 1;
        }
        if was_compressed {
            counted.compress();
        }
        fits
    }

    /// Puts nodes in the place of one; empty ones are left out. The list's own length is the caller's.
    fn put_nodes<const N: usize>(
        &mut self,
        chunk_at: usize,
        node_at: usize,
        nodes: [Node; N],
        compressed: bool,
        limit: &ListLimit,
    ) {
        let chunk = Arc::make_mut(&mut self.chunks[chunk_at]);
        chunk.nodes.remove(node_at);
        let nodes = nodes.into_iter().filter(|node| node.len() > 0);
        for (n, node) in nodes.enumerate() {
            let mut counted = Counted::new(node);
            if compressed {
                counted.compress();
            }
            chunk.nodes.insert(node_at + n, counted);
        }
        chunk.len = chunk.nodes.iter().map(|counted| counted.len as usize).sum();
        self.divide(chunk_at);
        self.tend(End::Head, limit);
        self.tend(End::Tail, limit);
    }

    /// Cuts a chunk in two that has grown to twice its size.
    fn divide(&mut self, chunk_at: usize) {
        if self.chunks[chunk_at].nodes.len() <= 2 * CHUNK_NODES {
            return;
        }
        let chunk = Arc::make_mut(&mut self.chunks[chunk_at]);
        let nodes = chunk.nodes.split_off(CHUNK_NODES);
        let len = nodes.iter().map(|counted| counted.len as usize).sum();
        chunk.len -= len;
        self.chunks.insert(chunk_at + 1, Arc::new(Chunk { nodes, len }));
    }

    fn remove_range(&mut self, index: usize, count: usize, limit: &ListLimit) {
        self.len -= count;
        let (mut start, mut left) = (index, count);
        let mut chunk_at = 0;
        while left > 0 {
            let len = self.chunks[chunk_at].len;
            if start >= len {
                start -= len;
                chunk_at += 1;
                continue;
            }
            let taken = left.min(len - start);
            if taken == len {
                self.chunks.remove(chunk_at);
            } else {
                Arc::make_mut(&mut self.chunks[chunk_at]).remove_range(start, taken);
                chunk_at += 1;
            }
            start = 0;
            left -= taken;
        }
        self.tend(End::Head, limit);
        self.tend(End::Tail, limit);
    }

    fn remove_equal(&mut self, end: End, wanted: &Wanted<'_>, most: usize, limit: &ListLimit) -> usize {
        let mut removed = 0;
        let chunks = self.chunks.len();
        for step in 0..chunks {
            if removed >= most {
                break;
            }
            let at = if end == End::Head { step } else { chunks - 1 - step };
            removed += remove_from_chunk(&mut self.chunks[at], end, wanted, most - removed);
        }
        if removed > 0 {
            self.chunks.retain(|chunk| chunk.len > 0);
            self.len -= removed;
            self.tend(End::Head, limit);
            self.tend(End::Tail, limit);
        }
        removed
    }
}

/// Whether an element can join those of a node.
fn has_room(pack: &Listpack, element: &[u8], limit: &ListLimit) -> bool {
    let bytes = pack.total_bytes() + element.len() + ENTRY_OVERHEAD;
    !limit.is_large(element.len()) && !limit.exceeded_by(bytes, pack.len() + 1)
}

/// Removes equal elements of a chunk; one without any is left shared.
fn remove_from_chunk(shared: &mut Arc<Chunk>, end: End, wanted: &Wanted<'_>, most: usize) -> usize {
    let mut removed = 0;
    let nodes = shared.nodes.len();
    for step in 0..nodes {
        let at = if end == End::Head { step } else { nodes - 1 - step };
        if removed >= most {
            break;
        }
        let was_compressed = shared.nodes[at].is_compressed();
        let found = match &*shared.nodes[at].node {
            Node::Lzf(lzf) => holds(&lzf.expand(), wanted),
            node => holds(node, wanted),
        };
        if !found {
            continue;
        }
        let counted = &mut Arc::make_mut(shared).nodes[at];
        let taken = if counted.len == 1 {
            1
        } else {
            match counted.open() {
                Node::Packed(pack) => remove_packed(pack, end, wanted, most - removed),
                Node::Plain(_) | Node::Lzf(_) => 1,
            }
        };
        counted.len -= taken as u32;
        if was_compressed && counted.len > 0 {
            counted.compress();
        }
        removed += taken;
    }
    if removed > 0 {
        let chunk = Arc::make_mut(shared);
        chunk.len -= removed;
        chunk.nodes.retain(|counted| counted.len > 0);
    }
    removed
}

fn holds(node: &Node, wanted: &Wanted<'_>) -> bool {
    match node {
        Node::Packed(pack) => pack.iter().any(|element| wanted.is(&element)),
        Node::Plain(bytes) => wanted.is(&Element::Bytes(bytes)),
        Node::Lzf(_) => false, // the caller expands it
    }
}

impl Chunk {
    /// Removes elements, though not all.
    fn remove_range(&mut self, mut start: usize, count: usize) {
        self.len -= count;
        let mut left = count;
        let mut at = 0;
        while left > 0 {
            let len = self.nodes[at].len as usize;
            if start >= len {
                start -= len;
                at += 1;
                continue;
            }
            let taken = left.min(len - start);
            let counted = &mut self.nodes[at];
            let was_compressed = counted.is_compressed();
            if taken < len
                && let Node::Packed(pack) = counted.open()
            {
                pack.remove_range(start, taken);
                pack.trim_room();
            }
            counted.len -= taken as u32;
            if was_compressed && counted.len > 0 {
                counted.compress();
            }
            start = 0;
            left -= taken;
            at += 1;
        }
        self.nodes.retain(|counted| counted.len > 0);
    }
}
