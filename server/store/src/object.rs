//! The values that hold other things: lists and their kin. An entry keeps one as it is, whatever its type, so that only
//! this file and the type's own module know it by name.
//!
//! To add a type: its module with [`Typed`] for its struct, a variant here with its arms, a file in the server's
//! `persistence/rdb/values/`, and its arms in DEBUG DIGEST and DEBUG OBJECT. A type keeps its small form in few words,
//! since these lie in the entry itself, and its large form behind a pointer that is cheap to clone.

use crate::hash_value::{HashLimit, HashValue};
use crate::list::{List, ListLimit};
use crate::relocate::Mover;
use crate::set::{Set, SetLimit};
use crate::sorted_set::{SortedSet, SortedSetLimits};
use crate::stream::{Stream, StreamLimits};
use crate::value::Kind;

/// A value of many elements.
#[derive(Clone, Debug)]
pub enum Object {
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A sorted set.
    SortedSet(SortedSet),
    /// A hash.
    Hash(HashValue),
    /// A stream.
    Stream(Stream),
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

/// Makes `$type` the content of `$variant`.
macro_rules! typed {
    ($($variant:ident: $type:ident),*) => {$(
        impl From<$type> for Object {
            fn from(value: $type) -> Self {
                Object::$variant(value)
            }
        }

        impl Typed for $type {
            #[inline]
            fn of(object: &Object) -> Option<&Self> {
                match object {
                    Object::$variant(value) => Some(value),
                    _ => None,
                }
            }

            #[inline]
            fn of_mut(object: &mut Object) -> Option<&mut Self> {
                match object {
                    Object::$variant(value) => Some(value),
                    _ => None,
                }
            }

            #[inline]
            fn is_empty(&self) -> bool {
                $type::is_empty(self)
            }
        }
    )*};
}

typed!(List: List, Set: Set, SortedSet: SortedSet, Hash: HashValue);

impl From<Stream> for Object {
    fn from(value: Stream) -> Self {
        Object::Stream(value)
    }
}

impl Typed for Stream {
    #[inline]
    fn of(object: &Object) -> Option<&Self> {
        match object {
            Object::Stream(value) => Some(value),
            _ => None,
        }
    }

    #[inline]
    fn of_mut(object: &mut Object) -> Option<&mut Self> {
        match object {
            Object::Stream(value) => Some(value),
            _ => None,
        }
    }

    /// Never: a stream without entries has its IDs and groups.
    fn is_empty(&self) -> bool {
        false
    }
}

impl Object {
    /// The value's type.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Object::List(_) => Kind::List,
            Object::Set(_) => Kind::Set,
            Object::SortedSet(_) => Kind::SortedSet,
            Object::Hash(_) => Kind::Hash,
            Object::Stream(_) => Kind::Stream,
        }
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        match self {
            Object::List(list) => list.encoding(),
            Object::Set(set) => set.encoding(),
            Object::SortedSet(set) => set.encoding(),
            Object::Hash(hash) => hash.encoding(),
            Object::Stream(stream) => stream.encoding(),
        }
    }

    /// Bytes on the heap, shared nodes in full. O(nodes).
    pub fn memory_usage(&self) -> usize {
        match self {
            Object::List(list) => list.memory_usage(),
            Object::Set(set) => set.memory_usage(),
            Object::SortedSet(set) => set.memory_usage(),
            Object::Hash(hash) => hash.memory_usage(),
            Object::Stream(stream) => stream.memory_usage(),
        }
    }

    /// About how many bytes a clone keeps alive that would be freed without it, if one write to the original follows.
    pub(crate) fn clone_bytes(&self) -> usize {
        match self {
            Object::List(list) => list.memory_usage().min(PATH_BYTES),
            Object::Set(set) => set.memory_usage().min(PATH_BYTES),
            Object::SortedSet(set) => set.memory_usage().min(PATH_BYTES),
            Object::Hash(hash) => hash.memory_usage().min(PATH_BYTES),
            Object::Stream(_) => PATH_BYTES,
        }
    }

    /// About how many allocations a drop frees. O(chunks).
    pub fn free_effort(&self) -> usize {
        match self {
            Object::List(list) => list.node_count(),
            Object::Set(set) => set.free_effort(),
            Object::SortedSet(set) => set.free_effort(),
            Object::Hash(hash) => hash.free_effort(),
            Object::Stream(stream) => stream.free_effort(),
        }
    }

    /// When something inside falls due at the earliest, unix ms: a hash's field. `None` when nothing in it expires.
    #[inline]
    pub fn next_due(&self) -> Option<i64> {
        match self {
            Object::Hash(hash) => hash.next_due(),
            Object::List(_) | Object::Set(_) | Object::SortedSet(_) | Object::Stream(_) => None,
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
        match self {
            Object::List(list) => list.relocate(from, mover),
            Object::Set(set) => set.relocate(from, mover),
            Object::SortedSet(set) => set.relocate(from, mover),
            Object::Hash(hash) => hash.relocate(from, mover),
            Object::Stream(stream) => stream.relocate(from, mover),
        }
    }

    /// Whether files in the form of Redis 7.0 have no place for it: a stream that knows its producers.
    #[inline]
    pub fn has_producers(&self) -> bool {
        matches!(self, Object::Stream(stream) if stream.producers().is_some())
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Object::List(list) => list.len(),
            Object::Set(set) => set.len(),
            Object::SortedSet(set) => set.len(),
            Object::Hash(hash) => hash.len(),
            Object::Stream(stream) => stream.len(),
        }
    }

    /// Nothing in it: such a value is never stored.
    pub fn is_empty(&self) -> bool {
        match self {
            Object::Stream(_) => false,
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
