//! The values that hold other things: lists and their kin. An entry keeps one as it is, whatever its type, so that only
//! this file and the type's own module know it by name.
//!
//! To add a type: its module with a struct of one word, its tags in `raw/word.rs`, [`Typed`] and a variant of the view here,
//! a file in the server's `persistence/rdb/values/`, and its arms in DEBUG DIGEST and DEBUG OBJECT. The word lies in the
//! entry itself and leads to the small form, or to a large one that is cheap to clone.

use crate::hash_value::{HashLimit, HashValue};
use crate::list::{List, ListLimit};
use crate::raw::word::Word;
use crate::relocate::Mover;
use crate::set::{Set, SetLimit};
use crate::sorted_set::{SortedSet, SortedSetLimits};
use crate::stream::{Stream, StreamLimits};
use crate::value::Kind;

/// A value of many elements.
#[derive(Clone)]
#[repr(transparent)]
pub struct Object(Word);

/// A value as its type.
#[derive(Clone, Copy, Debug)]
pub enum ObjectView<'a> {
    /// A list.
    List(&'a List),
    /// A set.
    Set(&'a Set),
    /// A sorted set.
    SortedSet(&'a SortedSet),
    /// A hash.
    Hash(&'a HashValue),
    /// A stream.
    Stream(&'a Stream),
}

/// As [`ObjectView`], for a change.
#[derive(Debug)]
pub enum ObjectMut<'a> {
    /// A list.
    List(&'a mut List),
    /// A set.
    Set(&'a mut Set),
    /// A sorted set.
    SortedSet(&'a mut SortedSet),
    /// A hash.
    Hash(&'a mut HashValue),
    /// A stream.
    Stream(&'a mut Stream),
}

/// One of the types that an [`Object`] can be.
pub trait Typed: Default + Into<Object> {
    /// The value if it is of this type.
    fn of(object: &Object) -> Option<&Self>;
    /// As [`Self::of`], for a change.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
    /// Nothing in it: then its key must go.
    fn is_empty(&self) -> bool;
}

/// Makes each type one that an object can be; `$empty` says whether its key must go.
macro_rules! typed {
    ($($type:ident: $empty:expr),*) => {$(
        impl From<$type> for Object {
            fn from(value: $type) -> Self {
                Object(Word::of_type(value))
            }
        }

        impl Typed for $type {
            #[inline]
            fn of(object: &Object) -> Option<&Self> {
                object.0.as_type()
            }

            #[inline]
            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                object.0.as_type_mut()
            }

            #[inline]
            fn is_empty(&self) -> bool {
                let empty: fn(&$type) -> bool = $empty;
                empty(self)
            }
        }
    )*};
}

// A stream without entries has its IDs and groups.
typed!(
    List: List::is_empty, Set: Set::is_empty, SortedSet: SortedSet::is_empty, HashValue: HashValue::is_empty,
    Stream: |_| false
);

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}

impl Object {
    /// The value's type.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.0.tag().kind()
    }

    /// The value as its type.
    #[inline]
    pub fn view(&self) -> ObjectView<'_> {
        match self.kind() {
            Kind::List => ObjectView::List(self.typed()),
            Kind::Set => ObjectView::Set(self.typed()),
            Kind::SortedSet => ObjectView::SortedSet(self.typed()),
            Kind::Hash => ObjectView::Hash(self.typed()),
            Kind::Stream => ObjectView::Stream(self.typed()),
            Kind::String => unreachable!("a string is not an object"),
        }
    }

    /// As [`Self::view`], for a change.
    pub fn view_mut(&mut self) -> ObjectMut<'_> {
        match self.kind() {
            Kind::List => ObjectMut::List(self.typed_mut()),
            Kind::Set => ObjectMut::Set(self.typed_mut()),
            Kind::SortedSet => ObjectMut::SortedSet(self.typed_mut()),
            Kind::Hash => ObjectMut::Hash(self.typed_mut()),
            Kind::Stream => ObjectMut::Stream(self.typed_mut()),
            Kind::String => unreachable!("a string is not an object"),
        }
    }

    fn typed<T: Typed>(&self) -> &T {
        T::of(self).expect("the kind says so")
    }

    fn typed_mut<T: Typed>(&mut self) -> &mut T {
        T::of_mut(self).expect("the kind says so")
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        match self.view() {
            ObjectView::List(list) => list.encoding(),
            ObjectView::Set(set) => set.encoding(),
            ObjectView::SortedSet(set) => set.encoding(),
            ObjectView::Hash(hash) => hash.encoding(),
            ObjectView::Stream(stream) => stream.encoding(),
        }
    }

    /// Bytes on the heap, shared nodes in full. O(nodes).
    pub fn memory_usage(&self) -> usize {
        match self.view() {
            ObjectView::List(list) => list.memory_usage(),
            ObjectView::Set(set) => set.memory_usage(),
            ObjectView::SortedSet(set) => set.memory_usage(),
            ObjectView::Hash(hash) => hash.memory_usage(),
            ObjectView::Stream(stream) => stream.memory_usage(),
        }
    }

    /// About how many bytes a clone keeps alive that would be freed without it, if one write to the original follows.
    pub(crate) fn clone_bytes(&self) -> usize {
        match self.view() {
            ObjectView::List(list) => list.memory_usage().min(PATH_BYTES),
            ObjectView::Set(set) => set.memory_usage().min(PATH_BYTES),
            ObjectView::SortedSet(set) => set.memory_usage().min(PATH_BYTES),
            ObjectView::Hash(hash) => hash.memory_usage().min(PATH_BYTES),
            ObjectView::Stream(_) => PATH_BYTES,
        }
    }

    /// About how many allocations a drop frees. O(chunks).
    pub fn free_effort(&self) -> usize {
        match self.view() {
            ObjectView::List(list) => list.node_count(),
            ObjectView::Set(set) => set.free_effort(),
            ObjectView::SortedSet(set) => set.free_effort(),
            ObjectView::Hash(hash) => hash.free_effort(),
            ObjectView::Stream(stream) => stream.free_effort(),
        }
    }

    /// When something inside falls due at the earliest, unix ms: a hash's field. `None` when nothing in it expires.
    #[inline]
    pub fn next_due(&self) -> Option<i64> {
        match self.view() {
            ObjectView::Hash(hash) => hash.next_due(),
            ObjectView::List(_) | ObjectView::Set(_) | ObjectView::SortedSet(_) | ObjectView::Stream(_) => {
                None
            }
        }
    }

    /// Moves all of it as the mover says.
    pub(crate) fn relocate(&mut self, mover: &mut Mover<'_>) {
        let mut from = Some(0);
        while let Some(place) = from {
            from = self.relocate_piece(place, mover);
        }
    }

    /// Moves about a node of it; where to go on, a place that other changes leave meaningful.
    pub(crate) fn relocate_piece(&mut self, from: u64, mover: &mut Mover<'_>) -> Option<u64> {
        match self.view_mut() {
            ObjectMut::List(list) => list.relocate(from, mover),
            ObjectMut::Set(set) => set.relocate(from, mover),
            ObjectMut::SortedSet(set) => set.relocate(from, mover),
            ObjectMut::Hash(hash) => hash.relocate(from, mover),
            ObjectMut::Stream(stream) => stream.relocate(from, mover),
        }
    }

    /// Whether files in the form of Redis 7.0 have no place for it: a stream that knows its producers.
    #[inline]
    pub fn has_producers(&self) -> bool {
        matches!(self.view(), ObjectView::Stream(stream) if stream.producers().is_some())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self.view() {
            ObjectView::List(list) => list.len(),
            ObjectView::Set(set) => set.len(),
            ObjectView::SortedSet(set) => set.len(),
            ObjectView::Hash(hash) => hash.len(),
            ObjectView::Stream(stream) => stream.len(),
        }
    }

    /// Nothing in it: such a value is never stored.
    pub fn is_empty(&self) -> bool {
        match self.view() {
            ObjectView::Stream(_) => false,
            _ => self.len() == 0,
        }
    }
}

/// A copied node and the path to it, bytes.
const PATH_BYTES: usize = 16 * 1024;

/// The thresholds between encodings, as the configuration has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// `list-max-listpack-size`.
    pub list: ListLimit,
    /// The thresholds of sets.
    pub set: SetLimit,
    /// The thresholds of sorted sets.
    pub sorted_set: SortedSetLimits,
    /// The thresholds of hashes.
    pub hash: HashLimit,
    /// `stream-node-max-bytes` and `stream-node-max-entries`.
    pub stream: StreamLimits,
}
