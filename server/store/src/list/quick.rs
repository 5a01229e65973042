//! The quicklist: nodes in chunks, each behind a reference count, so that a clone shares all of it.

use std::collections::VecDeque;

use triomphe::Arc;

use super::compressed::Lzf;
use super::{End, ListLimit};
use crate::listpack::{Element, Listpack};
use crate::relocate::Mover;

/// Nodes in a chunk at most: a copied chunk is about 2 KB, a hundred million short elements need a thousand chunks.
pub(super) const CHUNK_NODES: usize = if cfg!(test) { 4 } else { 128 };
/// What an element is assumed to cost beyond its bytes when a node's room is judged.
pub(super) const ENTRY_OVERHEAD: usize = 8;

/// What a quicklist is made of.
#[derive(Clone)]
pub(super) enum Node {
    Packed(Listpack),
    Plain(Box<[u8]>),
    Lzf(Lzf),
}

impl Node {
    pub(super) fn len(&self) -> usize {
        match self {
            Node::Packed(pack) => pack.len(),
            Node::Plain(_) => 1,
            Node::Lzf(lzf) => lzf.len(),
        }
    }

    pub(super) fn memory_usage(&self) -> usize {
        size_of::<Node>()
            + size_of::<usize>()
            + match self {
                Node::Packed(pack) => pack.memory_usage(),
                Node::Plain(bytes) => bytes.len(),
                Node::Lzf(lzf) => lzf.memory_usage(),
            }
    }

    pub(super) fn view(&self) -> NodeView<'_> {
        match self {
            Node::Packed(pack) => NodeView::Packed(pack),
            Node::Plain(bytes) => NodeView::Plain(bytes),
            Node::Lzf(lzf) => NodeView::Lzf(lzf),
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
    /// Either of them, compressed.
    Lzf(&'a Lzf),
}

/// A node with its number of elements, so that a search by index does not touch the node.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) node: Arc<Node>,
    pub(super) len: u32,
}

impl Counted {
    pub(super) fn new(node: Node) -> Self {
        let len = u32::try_from(node.len()).expect("a node holds less than 4 billion elements");
        Self { node: Arc::new(node), len }
    }

    /// The node for a change, not compressed, and copied if it is shared.
    #[inline]
    pub(super) fn open(&mut self) -> &mut Node {
        if let Node::Lzf(lzf) = &*self.node {
            self.node = Arc::new(lzf.expand());
        }
        Arc::make_mut(&mut self.node)
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(&*self.node, Node::Lzf(_))
    }

    /// Compresses the node where that is worth it.
    pub(super) fn compress(&mut self) {
        if let Some(lzf) = Lzf::of(&self.node) {
            self.node = Arc::new(Node::Lzf(lzf));
        }
    }
}

/// A run of nodes, shared as a whole. Never empty inside a list.
#[derive(Clone, Default)]
pub(super) struct Chunk {
    pub(super) nodes: VecDeque<Counted>,
    /// Elements in all nodes.
    pub(super) len: usize,
}

#[derive(Clone, Default)]
pub(crate) struct Quicklist {
    pub(super) chunks: VecDeque<Arc<Chunk>>,
    pub(super) len: usize,
}

#[inline]
pub(super) fn push_packed(pack: &mut Listpack, end: End, element: &[u8]) {
    let element = Element::from_bytes(element);
    match end {
        End::Head => pack.push_front(element),
        End::Tail => pack.push_back(element),
    }
}

#[inline]
pub(super) fn pop_packed(pack: &mut Listpack, end: End) -> Option<Element<'_>> {
    match end {
        End::Head => pack.pop_front(),
        End::Tail => pack.pop_back(),
    }
}

impl Quicklist {
    /// Moves a node as the mover says, `from` being its chunk and its place there; where to go on.
    pub(super) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        let (chunk, at) = ((from >> 32) as usize, (from & u64::from(u32::MAX)) as usize);
        if from == 0 {
            mover.deque(&mut self.chunks);
        }
        let arc = self.chunks.get_mut(chunk)?;
        let next_chunk = Some((chunk as u64 + 1) << 32);
        let chunk = if at == 0 { mover.arc(arc) } else { Arc::get_mut(arc) };
        let Some(chunk) = chunk else { return next_chunk };
        if at == 0 {
            mover.deque(&mut chunk.nodes);
        }
        let Some(counted) = chunk.nodes.get_mut(at) else { return next_chunk };
        match mover.arc(&mut counted.node) {
            None => {}
            Some(Node::Packed(pack)) => pack.relocate(mover),
            Some(Node::Plain(bytes)) => mover.slice(bytes),
            Some(Node::Lzf(lzf)) => lzf.relocate(mover),
        }
        Some(from + 1)
    }

    pub(super) fn memory_usage(&self) -> usize {
        let chunk = |chunk: &Arc<Chunk>| {
            let nodes: usize = chunk.nodes.iter().map(|counted| counted.node.memory_usage()).sum();
            nodes + chunk.nodes.capacity() * size_of::<Counted>() + size_of::<Chunk>() + size_of::<usize>()
        };
        let chunks: usize = self.chunks.iter().map(chunk).sum();
        chunks + self.chunks.capacity() * size_of::<Arc<Chunk>>()
    }

    /// Puts a node at an end, in a new chunk when the one there is full.
    pub(super) fn append(&mut self, node: Node, end: End) {
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
    pub(super) fn chunk_at(&self, end: End) -> Option<&Arc<Chunk>> {
        match end {
            End::Head => self.chunks.front(),
            End::Tail => self.chunks.back(),
        }
    }

    /// The chunk at an end, copied if it is shared.
    #[inline]
    pub(super) fn chunk_at_mut(&mut self, end: End) -> Option<&mut Chunk> {
        match end {
            End::Head => self.chunks.front_mut(),
            End::Tail => self.chunks.back_mut(),
        }
        .map(Arc::make_mut)
    }

    #[inline]
    pub(super) fn push(&mut self, end: End, element: &[u8], limit: &ListLimit) {
        if limit.is_large(element.len()) {
            self.append(Node::Plain(element.into()), end);
        } else {
            if self.push_into_node(end, element, limit) {
                return;
            }
            let mut pack = Listpack::new();
            push_packed(&mut pack, end, element);
            self.append(Node::Packed(pack), end);
        }
        self.tend(end, limit);
    }

    /// Pushes into the node at an end if it has room. A node found full loses its spare memory.
    #[inline]
    pub(super) fn push_into_node(&mut self, end: End, element: &[u8], limit: &ListLimit) -> bool {
        let Some(chunk) = self.chunk_at_mut(end) else { return false };
        let counted = match end {
            End::Head => chunk.nodes.front_mut(),
            End::Tail => chunk.nodes.back_mut(),
        };
        let counted = counted.expect("a chunk is never empty");
        if counted.is_compressed() {
            counted.open();
        }
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
    pub(super) fn pop<R>(
        &mut self,
        end: End,
        limit: &ListLimit,
        read: impl FnOnce(Element<'_>) -> R,
    ) -> Option<R> {
        let chunk = self.chunk_at_mut(end)?;
        let counted = match end {
            End::Head => chunk.nodes.front_mut(),
            End::Tail => chunk.nodes.back_mut(),
        };
        let counted = counted.expect("a chunk is never empty");
        if counted.is_compressed() {
            counted.open();
        }
        let result = match &*counted.node {
            // The node goes, so a plain element need not be copied when it is shared.
            Node::Plain(bytes) => Some(read(Element::Bytes(bytes))),
            Node::Packed(pack) if pack.len() == 1 => pack.get(0).map(read),
            Node::Packed(_) => match Arc::make_mut(&mut counted.node) {
                Node::Packed(pack) => pop_packed(pack, end).map(read),
                Node::Plain(_) | Node::Lzf(_) => unreachable!("seen as packed above"),
            },
            Node::Lzf(_) => unreachable!("opened above"),
        };
        counted.len -= 1;
        let emptied = counted.len == 0;
        chunk.len -= 1;
        self.len -= 1;
        if emptied {
            self.drop_node(end);
            self.tend(end, limit);
        }
        result
    }

    pub(super) fn drop_node(&mut self, end: End) {
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
    pub(super) fn position(&self, index: usize) -> (usize, usize, usize) {
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
