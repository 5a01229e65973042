//! Walking a list from some element on.

use std::ops::ControlFlow;

use super::quick::{Node, Quicklist};
use super::{End, List, NodeView, Repr};
use crate::listpack::{self, Element, Listpack};

/// What is left of the node that a walk is in.
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

    /// From the element at `index` of a node; `None` when the node is compressed.
    fn in_node(node: &'a Node, index: usize, towards: End) -> Option<Self> {
        match node {
            Node::Packed(pack) => Some(Self::in_pack(pack, index, towards)),
            Node::Plain(bytes) => Some(Left::Plain(Some(bytes))),
            Node::Lzf(_) => None,
        }
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

/// The node after the one at `(chunk, node)`.
fn step(quick: &Quicklist, (chunk, node): (usize, usize), towards: End) -> Option<(usize, usize)> {
    match towards {
        End::Tail if node + 1 < quick.chunks[chunk].nodes.len() => Some((chunk, node + 1)),
        End::Tail if chunk + 1 < quick.chunks.len() => Some((chunk + 1, 0)),
        End::Head if node > 0 => Some((chunk, node - 1)),
        End::Head if chunk > 0 => Some((chunk - 1, quick.chunks[chunk - 1].nodes.len() - 1)),
        _ => None,
    }
}

/// The index at which a walk enters a node of `len` elements.
fn entrance(len: u32, towards: End) -> usize {
    if towards == End::Tail { 0 } else { len as usize - 1 }
}

/// [`List::visit`].
#[inline]
pub(super) fn visit(
    list: &List,
    index: usize,
    towards: End,
    mut look: impl FnMut(Element<'_>) -> ControlFlow<()>,
) {
    if index >= list.len() {
        return;
    }
    let mut show = |mut left: Left<'_>| {
        while let Some(element) = left.next(towards) {
            look(element)?;
        }
        ControlFlow::Continue(())
    };
    let quick = match list.repr() {
        Repr::Small(pack) => {
            let _ = show(Left::in_pack(pack, index, towards));
            return;
        }
        Repr::Quick(quick) => quick,
    };
    let (chunk, node, mut inside) = quick.position(index);
    let mut at = Some((chunk, node));
    while let Some((chunk, node)) = at {
        let counted = &quick.chunks[chunk].nodes[node];
        let shown = match &*counted.node {
            Node::Lzf(lzf) => {
                let open = lzf.expand();
                show(Left::in_node(&open, inside, towards).unwrap_or(Left::done()))
            }
            open => show(Left::in_node(open, inside, towards).unwrap_or(Left::done())),
        };
        if shown.is_break() {
            return;
        }
        at = step(quick, (chunk, node), towards);
        inside = at.map_or(0, |(chunk, node)| entrance(quick.chunks[chunk].nodes[node].len, towards));
    }
}

/// A list without compressed nodes, which lends its elements.
#[derive(Debug)]
pub struct Expanded(pub(super) List);

impl Expanded {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The nodes from head to tail.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> + '_ {
        self.0.nodes()
    }

    /// All elements from head to tail.
    pub fn iter(&self) -> Range<'_> {
        self.iter_from(0)
    }

    /// The elements from `index` towards the tail.
    pub fn iter_from(&self, index: usize) -> Range<'_> {
        self.range(index, End::Tail)
    }

    /// The elements from `index` towards the head, that one first.
    pub fn iter_back_from(&self, index: usize) -> Range<'_> {
        self.range(index, End::Head)
    }

    fn range(&self, index: usize, towards: End) -> Range<'_> {
        let none = Range { quick: None, at: (0, 0), left: Left::done(), towards };
        if index >= self.0.len() {
            return none;
        }
        match self.0.repr() {
            Repr::Small(pack) => Range { left: Left::in_pack(pack, index, towards), ..none },
            Repr::Quick(quick) => {
                let (chunk, node, inside) = quick.position(index);
                let mut range = Range { quick: Some(quick), at: (chunk, node), ..none };
                range.enter(inside);
                range
            }
        }
    }
}

/// Elements of a list from some index on, in one direction.
#[derive(Clone)]
pub struct Range<'a> {
    quick: Option<&'a Quicklist>,
    /// Chunk and node.
    at: (usize, usize),
    left: Left<'a>,
    towards: End,
}

impl Range<'_> {
    fn enter(&mut self, index: usize) {
        let Some(quick) = self.quick else { return };
        let node = &quick.chunks[self.at.0].nodes[self.at.1].node;
        self.left =
            Left::in_node(node, index, self.towards).expect("an expanded list has no compressed node");
    }

    /// Goes to the next node; false at the end of the list.
    fn advance(&mut self) -> bool {
        let Some(quick) = self.quick else { return false };
        let Some((chunk, node)) = step(quick, self.at, self.towards) else { return false };
        self.at = (chunk, node);
        self.enter(entrance(quick.chunks[chunk].nodes[node].len, self.towards));
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
