//! Nodes of a quicklist that are compressed because they lie far from its ends (`list-compress-depth`).
//!
//! Which nodes are is a wish, not an invariant: whoever touches a node opens it first, whatever the directive said when
//! it was compressed. A change at an end tends the few nodes that have come too near to it or too far from it; a change
//! in the middle leaves compressed what was.

use std::cell::RefCell;

use super::quick::{Node, Quicklist};
use super::{End, ListLimit};
use crate::listpack::Listpack;
use crate::lzf::{Compressor, decompress};
use crate::relocate::Mover;
use triomphe::Arc;

/// Nodes of fewer bytes are left as they are, as in Redis.
const MIN_BYTES: usize = 48;
/// What compression must save at least, bytes, as in Redis.
const MIN_GAIN: usize = 8;
/// Bytes before the compressed ones: expanded size, number of elements, whether it is one large element.
const HEAD: usize = 9;
/// Nodes that one change can add or remove at an end, at most.
const MOVED: usize = 3;

thread_local! {
    /// Its table is scratch memory, worth keeping from one node to the next.
    static COMPRESSOR: RefCell<Option<Compressor>> = const { RefCell::new(None) };
}

/// A compressed node, with what can be told about it without expanding it.
#[derive(Clone, Debug)]
pub struct Lzf {
    bytes: Box<[u8]>,
}

impl Lzf {
    /// The compressed form of a node, if that saves enough.
    pub(super) fn of(node: &Node) -> Option<Self> {
        let (packed, is_plain);
        let text: &[u8] = match node {
            Node::Packed(pack) => {
                (packed, is_plain) = (pack.to_bytes(), false);
                &packed
            }
            Node::Plain(bytes) => {
                is_plain = true;
                bytes
            }
            Node::Lzf(_) => return None,
        };
        let size = u32::try_from(text.len()).ok().filter(|size| *size as usize >= MIN_BYTES)?;
        let elements = u32::try_from(node.len()).ok()?;
        COMPRESSOR.with_borrow_mut(|compressor| {
            let compressor = compressor.get_or_insert_with(Compressor::new);
            let short = compressor.compress(text, text.len() - MIN_GAIN - 1)?;
            let mut bytes = Vec::with_capacity(HEAD + short.len());
            bytes.extend(size.to_le_bytes());
            bytes.extend(elements.to_le_bytes());
            bytes.push(u8::from(is_plain));
            bytes.extend(short);
            Some(Self { bytes: bytes.into() })
        })
    }

    fn number(&self, at: usize) -> usize {
        let word = self.bytes[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(word) as usize
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.number(4)
    }

    /// Bytes that the node takes when it is expanded: those of a listpack, or of the one large element.
    pub fn expanded_len(&self) -> usize {
        self.number(0)
    }

    /// Whether it is one large element, not a listpack.
    pub fn is_plain(&self) -> bool {
        self.bytes[8] != 0
    }

    /// The compressed bytes, as files hold them.
    pub fn compressed(&self) -> &[u8] {
        &self.bytes[HEAD..]
    }

    pub(super) fn memory_usage(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn relocate(&mut self, mover: &mut Mover<'_>) {
        mover.slice(&mut self.bytes);
    }

    /// The node as it was.
    pub(super) fn expand(&self) -> Node {
        let bytes = decompress(self.compressed(), self.expanded_len()).expect("compressed here");
        if self.is_plain() {
            Node::Plain(bytes.into())
        } else {
            Node::Packed(Listpack::from_bytes(&bytes).expect("a listpack was compressed"))
        }
    }
}

impl Quicklist {
    /// After nodes came or went at an end: expands those that must not be compressed any more, and compresses those that
    /// may be. Cheap without `list-compress-depth`.
    #[inline]
    pub(super) fn tend(&mut self, end: End, limit: &ListLimit) {
        let depth = limit.compress_depth();
        if depth > 0 {
            self.tend_at(end, depth);
        }
    }

    #[cold]
    fn tend_at(&mut self, end: End, depth: usize) {
        for at in depth.saturating_sub(MOVED)..depth {
            if let Some((chunk, node)) = self.node_at(end, at)
                && self.chunks[chunk].nodes[node].is_compressed()
            {
                Arc::make_mut(&mut self.chunks[chunk]).nodes[node].open();
            }
        }
        for at in depth..depth + MOVED {
            if self.node_at(end, at + depth).is_none() {
                break; // it is near the other end
            }
            let (chunk, node) = self.node_at(end, at).expect("there are more behind it");
            if !self.chunks[chunk].nodes[node].is_compressed() {
                Arc::make_mut(&mut self.chunks[chunk]).nodes[node].compress();
            }
        }
    }

    /// Compresses every node that may be, for a list that was put together from nodes.
    pub(super) fn compress(&mut self, limit: &ListLimit) {
        let depth = limit.compress_depth();
        let nodes: usize = self.chunks.iter().map(|chunk| chunk.nodes.len()).sum();
        if depth == 0 || nodes <= depth.saturating_mul(2) {
            return;
        }
        let mut at = 0;
        for chunk in &mut self.chunks {
            for counted in &mut Arc::make_mut(chunk).nodes {
                if (depth..nodes - depth).contains(&at) {
                    counted.compress();
                }
                at += 1;
            }
        }
    }

    /// Expands all nodes.
    pub(super) fn expand(&mut self) {
        for chunk in &mut self.chunks {
            if chunk.nodes.iter().any(super::quick::Counted::is_compressed) {
                let nodes = Arc::make_mut(chunk).nodes.iter_mut();
                nodes.filter(|counted| counted.is_compressed()).for_each(|counted| {
                    counted.open();
                });
            }
        }
    }

    /// Chunk of, and place in it of, the node that has `at` others between it and an end. O(chunks passed).
    fn node_at(&self, end: End, at: usize) -> Option<(usize, usize)> {
        let mut left = at;
        let chunks = self.chunks.len();
        for step in 0..chunks {
            let chunk = if end == End::Head { step } else { chunks - 1 - step };
            let nodes = self.chunks[chunk].nodes.len();
            if left < nodes {
                return Some((chunk, if end == End::Head { left } else { nodes - 1 - left }));
            }
            left -= nodes;
        }
        None
    }
}
