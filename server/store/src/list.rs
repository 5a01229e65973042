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
//! With `list-compress-depth`, nodes far from the ends are compressed (`list/compressed.rs`): such a list cannot lend its
//! elements, it shows them one by one ([`List::visit`]), or a copy without compressed nodes lends them
//! ([`List::expanded`]).
//!
//! The thresholds are Redis 7.2's: `list-max-listpack-size` decides when a listpack becomes a quicklist, how much goes
//! into a node, and (at half of it) when a quicklist of one node becomes a listpack again.

mod compressed;
mod edit;
mod limit;
mod quick;
mod range;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::ControlFlow;

pub use compressed::Lzf;
pub use edit::Wanted;
pub use limit::ListLimit;
pub use quick::NodeView;
pub(crate) use quick::Quicklist;
use quick::{Node, pop_packed, push_packed};
pub use range::{Expanded, Range};

use crate::listpack::{Element, Listpack};
use crate::raw::word::{Tag, Word};
use crate::relocate::Mover;
use triomphe::Arc;

/// Which end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first element's side.
    Head,
    /// The last element's side.
    Tail,
}

enum Repr<'a> {
    Small(&'a Listpack),
    Quick(&'a Quicklist),
}

enum ReprMut<'a> {
    Small(&'a mut Listpack),
    Quick(&'a mut Quicklist),
}

/// A list of byte strings.
#[derive(Clone)]
#[repr(transparent)]
pub struct List {
    word: Word,
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    fn small(pack: Listpack) -> Self {
        Self { word: Word::small(pack, Tag::ListPacked) }
    }

    #[inline]
    fn repr(&self) -> Repr<'_> {
        match self.word.tag() {
            Tag::ListPacked => Repr::Small(self.word.pack()),
            _ => Repr::Quick(self.word.get()),
        }
    }

    #[inline]
    fn repr_mut(&mut self) -> ReprMut<'_> {
        match self.word.tag() {
            Tag::ListPacked => ReprMut::Small(self.word.pack_mut()),
            _ => ReprMut::Quick(self.word.get_mut()),
        }
    }

    /// Moves a piece as the mover says; where to go on.
    pub(crate) fn relocate(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        match self.repr_mut() {
            ReprMut::Small(pack) => {
                pack.relocate(mover);
                None
            }
            ReprMut::Quick(_) => self.word.relocate::<Quicklist>(from, mover).relocate(from, mover),
        }
    }

    /// An empty list; allocates nothing.
    pub fn new() -> Self {
        Self::small(Listpack::new())
    }

    /// A list of one listpack's elements, in the encoding that the limit asks for.
    pub fn from_listpack(pack: Listpack, limit: &ListLimit) -> Self {
        let mut list = Self::small(pack);
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
        if let ReprMut::Quick(quick) = self.repr_mut() {
            quick.compress(limit);
        }
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match self.repr() {
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
        match self.repr() {
            Repr::Small(_) => "listpack",
            Repr::Quick(_) => "quicklist",
        }
    }

    /// Bytes on the heap; shared nodes count in full. O(nodes).
    pub fn memory_usage(&self) -> usize {
        match self.repr() {
            Repr::Small(pack) => pack.memory_usage(),
            Repr::Quick(quick) => quick.memory_usage(),
        }
    }

    /// Number of nodes; 1 for a listpack. O(chunks).
    pub fn node_count(&self) -> usize {
        match self.repr() {
            Repr::Small(_) => 1,
            Repr::Quick(quick) => quick.chunks.iter().map(|chunk| chunk.nodes.len()).sum(),
        }
    }

    /// The nodes from head to tail; a listpack is one.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> + '_ {
        let (small, quick) = match self.repr() {
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
        if let Repr::Small(pack) = self.repr()
            && limit.exceeded_by(pack.total_bytes() + bytes, pack.len() + count)
        {
            self.quicklist();
        }
    }

    /// Adds an element for which [`Self::prepare_push`] has chosen the encoding.
    #[inline]
    pub fn push_prepared(&mut self, end: End, element: &[u8], limit: &ListLimit) {
        match self.repr_mut() {
            ReprMut::Small(pack) => push_packed(pack, end, element),
            ReprMut::Quick(quick) => quick.push(end, element, limit),
        }
    }

    /// Takes an element out and shows it to `read`. O(1), after a clone at most one chunk and one node are copied.
    #[inline]
    pub fn pop<R>(&mut self, end: End, limit: &ListLimit, read: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self.repr_mut() {
            ReprMut::Small(pack) => {
                let result = pop_packed(pack, end).map(read);
                pack.trim_room();
                result
            }
            ReprMut::Quick(quick) => {
                let result = quick.pop(end, limit, read);
                self.convert_to_listpack(limit, true);
                result
            }
        }
    }

    /// The list as a quicklist, converted if it is not.
    fn quicklist(&mut self) -> &mut Quicklist {
        if let Repr::Small(_) = self.repr() {
            let pack: Listpack = std::mem::take(self).word.into_pack();
            let mut quick = Quicklist::default();
            if !pack.is_empty() {
                quick.append(Node::Packed(pack), End::Tail);
            }
            self.word = Word::large(quick);
        }
        self.word.get_mut()
    }

    /// Makes a quicklist of one small node a listpack. Cheap when it is not one.
    #[inline]
    fn convert_to_listpack(&mut self, limit: &ListLimit, shrinks: bool) {
        let ReprMut::Quick(quick) = self.repr_mut() else { return };
        if quick.chunks.len() > 1 {
            return;
        }
        let Some(chunk) = quick.chunks.front_mut() else {
            *self = Self::new();
            return;
        };
        if chunk.nodes.len() != 1 {
            return;
        }
        if chunk.nodes[0].is_compressed() {
            Arc::make_mut(chunk).nodes[0].open();
        }
        if let Node::Packed(pack) = &*chunk.nodes[0].node
            && limit.fits_listpack(pack.total_bytes(), pack.len(), shrinks)
        {
            *self = Self::small(pack.clone());
        }
    }

    // --- reading -----------------------------------------------------------------------------------------------------

    /// Shows the element at `index` to `read`. O(chunks + elements of one node).
    pub fn get<R>(&self, index: usize, read: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let mut read = Some(read);
        let mut result = None;
        self.visit(index, End::Tail, |element| {
            result = read.take().map(|read| read(element));
            ControlFlow::Break(())
        });
        result
    }

    /// Shows the elements from `index` on, that one first, in the direction of `towards`, until `look` breaks off. One
    /// compressed node at a time is expanded.
    #[inline]
    pub fn visit(&self, index: usize, towards: End, look: impl FnMut(Element<'_>) -> ControlFlow<()>) {
        range::visit(self, index, towards, look);
    }

    /// Shows all elements from head to tail.
    pub fn for_each(&self, mut look: impl FnMut(Element<'_>)) {
        self.visit(0, End::Tail, |element| {
            look(element);
            ControlFlow::Continue(())
        });
    }

    /// A copy that can lend its elements: it shares all nodes with this list but those that had to be expanded for it.
    pub fn expanded(&self) -> Expanded {
        let mut list = self.clone();
        if let ReprMut::Quick(quick) = list.repr_mut() {
            quick.expand();
        }
        Expanded(list)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({}, {} elements)", self.encoding(), self.len())
    }
}
