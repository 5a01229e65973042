//! Walking a list from some element on.

use super::End;
use super::quick::{Node, Quicklist};
use crate::listpack::{self, Element, Listpack};

/// What is left of the node that a range is in.
#[derive(Clone)]
pub(super) enum Left<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> Left<'a> {
    pub(super) fn done() -> Self {
        Left::Plain(None)
    }

    pub(super) fn in_pack(pack: &'a Listpack, index: usize, towards: End) -> Self {
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
    pub(super) quick: Option<&'a Quicklist>,
    pub(super) chunk: usize,
    pub(super) node: usize,
    pub(super) left: Left<'a>,
    pub(super) towards: End,
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
