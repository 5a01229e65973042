//! A key with its value and expiry, borrowed from a database. Whether an entry has expired is the caller's to judge:
//! the store knows no clock.

use crate::object::Typed;
use crate::raw::entry::EntryBox;
use crate::raw::item::Ref;
use crate::value::{Kind, NewValue, Value};

/// What the table spends on an entry beyond its allocation, bytes: a seventh of a line at nine tenths, and the slot.
const TABLE_SHARE: usize = 11;

/// A borrowed entry. What it hands out lives as long as the database is borrowed.
pub struct Entry<'a>(pub(crate) Ref<'a, EntryBox>);

impl<'a> Entry<'a> {
    /// The key.
    #[inline]
    pub fn key(&self) -> &'a [u8] {
        self.0.long_key()
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> Value<'a> {
        self.0.long_value()
    }

    /// The object, if the value is one of type `T`.
    #[inline]
    pub fn typed<T: Typed>(&self) -> Option<&'a T> {
        self.value().typed()
    }

    /// When the entry expires, unix time in ms.
    #[inline]
    pub fn expire(&self) -> Option<i64> {
        self.0.expire()
    }

    /// The 24 access bits: an LRU clock or an LFU counter, as the caller sees them.
    #[inline]
    pub fn access(&self) -> u32 {
        self.0.access()
    }

    /// Sets the access bits (the lower 24 of `access`). Not a change: snapshots and watchers do not hear of it.
    #[inline]
    pub fn touch(&self, access: u32) {
        self.0.set_access(access);
    }

    /// The value's type.
    pub fn kind(&self) -> Kind {
        self.value().kind()
    }

    /// The name in OBJECT ENCODING's reply.
    pub fn encoding(&self) -> &'static str {
        if self.0.is_raw() { "raw" } else { self.value().encoding() }
    }

    /// The value as one to be stored elsewhere: bytes stay borrowed, big values are shared.
    pub fn to_new(&self) -> NewValue<'_> {
        self.0.to_new()
    }

    /// Bytes that the key takes in all. O(nodes) for an object.
    pub fn memory_usage(&self) -> usize {
        TABLE_SHARE + self.0.allocated() + self.value().memory_usage()
    }
}
