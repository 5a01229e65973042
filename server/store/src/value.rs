//! What a key can hold, as the outside sees it: kinds, borrowed values and values on their way in.

use std::fmt;
use std::ops::Deref;

use triomphe::Arc;

use crate::number::parse_i64;
use crate::object::{Object, Typed};
use crate::relocate::Mover;

/// The longest string that `OBJECT ENCODING` calls `embstr`.
const LONGEST_EMBSTR: usize = 44;

/// A value's type, as TYPE names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes or an integer.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
}

impl Kind {
    /// The name in TYPE's reply.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }
}

/// A long string behind a reference count: a clone costs nanoseconds and shows the bytes as they were, so replies and
/// snapshots hold one instead of copying.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedBytes(pub(crate) Arc<Vec<u8>>);

impl SharedBytes {
    /// Takes the bytes over without copying.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }

    /// The bytes for a change; copies them first when somebody else holds a clone.
    pub fn make_mut(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.0)
    }

    /// Moves the bytes as the mover says.
    pub(crate) fn relocate(&mut self, mover: &mut Mover<'_>) {
        if let Some(bytes) = mover.arc(&mut self.0) {
            mover.vec(bytes);
        }
    }

    /// Bytes that fit before it must be allocated anew.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Bytes on the heap, spare capacity included.
    pub fn memory_usage(&self) -> usize {
        // The vector's three words and the count beside them.
        self.0.capacity() + 32
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedBytes({} bytes)", self.len())
    }
}

/// A value that an entry holds.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A string that spells this integer.
    Int(i64),
    /// A string, kept inside the entry.
    Bytes(&'a [u8]),
    /// A longer string.
    Shared(&'a SharedBytes),
    /// A value of many elements.
    Object(&'a Object),
}

impl<'a> Value<'a> {
    /// The value's type.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Int(_) | Value::Bytes(_) | Value::Shared(_) => Kind::String,
            Value::Object(object) => object.kind(),
        }
    }

    /// The object, if it is of type `T`.
    #[inline]
    pub fn typed<T: Typed>(&self) -> Option<&'a T> {
        match self {
            Value::Object(object) => T::of(object),
            _ => None,
        }
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        match self {
            Value::Int(_) => "int",
            Value::Bytes(bytes) if bytes.len() <= LONGEST_EMBSTR => "embstr",
            Value::Bytes(_) | Value::Shared(_) => "raw",
            Value::Object(object) => object.encoding(),
        }
    }

    /// Bytes on the heap outside the entry. O(nodes) for an object.
    pub fn memory_usage(&self) -> usize {
        match self {
            Value::Int(_) | Value::Bytes(_) => 0,
            Value::Shared(bytes) => bytes.memory_usage(),
            Value::Object(object) => object.memory_usage(),
        }
    }

    /// The same value as one to be stored: bytes stay borrowed, big values are shared.
    pub fn to_new(&self) -> NewValue<'a> {
        match self {
            Value::Int(n) => NewValue::Int(*n),
            Value::Bytes(bytes) => NewValue::Bytes(bytes),
            Value::Shared(bytes) => NewValue::Shared((*bytes).clone()),
            Value::Object(object) => NewValue::Object((*object).clone()),
        }
    }
}

/// A value to be stored.
#[derive(Debug)]
pub enum NewValue<'a> {
    /// A string that spells this integer.
    Int(i64),
    /// A string of any length, kept as it is (`raw` or `embstr`, never `int`).
    Bytes(&'a [u8]),
    /// A string that was changed after it was made: `raw` however short it is.
    Raw(&'a [u8]),
    /// A string that is already shared.
    Shared(SharedBytes),
    /// A value of many elements.
    Object(Object),
}

impl<T: Typed> From<T> for NewValue<'_> {
    fn from(value: T) -> Self {
        NewValue::Object(value.into())
    }
}

impl<'a> NewValue<'a> {
    /// As it is, with small bytes copied into `bytes`: for a value whose database is about to change.
    pub fn moved_to<'b>(self, bytes: &'b mut Vec<u8>) -> NewValue<'b> {
        match self {
            NewValue::Int(n) => NewValue::Int(n),
            NewValue::Bytes(small) => {
                bytes.extend_from_slice(small);
                NewValue::Bytes(bytes)
            }
            NewValue::Raw(small) => {
                bytes.extend_from_slice(small);
                NewValue::Raw(bytes)
            }
            NewValue::Shared(bytes) => NewValue::Shared(bytes),
            NewValue::Object(object) => NewValue::Object(object),
        }
    }

    /// A string, stored as an integer when it is the canonical spelling of one.
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        match parse_i64(bytes) {
            Some(n) => NewValue::Int(n),
            None => NewValue::Bytes(bytes),
        }
    }

    /// The value's type.
    pub fn kind(&self) -> Kind {
        match self {
            NewValue::Object(object) => object.kind(),
            _ => Kind::String,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_integers_are_kept_as_such() {
        assert!(matches!(NewValue::from_bytes(b"12"), NewValue::Int(12)));
        assert!(matches!(NewValue::from_bytes(b"012"), NewValue::Bytes(b"012")));
        assert!(matches!(NewValue::from_bytes(b""), NewValue::Bytes(b"")));
    }

    #[test]
    fn encodings_have_the_names_of_redis() {
        assert_eq!(Value::Int(1).encoding(), "int");
        assert_eq!(Value::Bytes(&[b'x'; 44]).encoding(), "embstr");
        assert_eq!(Value::Bytes(&[b'x'; 45]).encoding(), "raw");
        assert_eq!(Value::Shared(&SharedBytes::new(vec![0; 2000])).encoding(), "raw");
    }

    #[test]
    fn a_shared_string_is_copied_when_it_changes() {
        let mut one = SharedBytes::new(b"abc".to_vec());
        let other = one.clone();
        one.make_mut().push(b'd');
        assert_eq!((&one[..], &other[..]), (&b"abcd"[..], &b"abc"[..]));
    }
}
