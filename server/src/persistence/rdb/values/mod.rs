//! The bytes of values: a file per type, each with the encodings that it reads and the one that it writes.
//!
//! To add a type: its file, its numbers in [`Source::read`] (and out of `other_type`), its arms in [`kind_of`] and
//! [`Writer::object`], and a [`Packed`] form if its small values can be copied as they are.

mod hash;
mod list;
mod set;
mod sorted_set;
mod stream;

use std::io::{self, Read, Write};

use super::input::Input;
use super::writer::Writer;
use super::{Access, RdbCause, RdbValue};
use store::{Limits, Listpack, Object, ObjectView, SetView, Value};

const STRING: u8 = 0;

/// A value to be read: what is known before its first byte.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The number of its type and encoding.
    pub kind: u8,
    /// The file is Valkey's, where some numbers mean something else.
    pub is_valkey: bool,
    /// Which encodings values get.
    pub limits: &'a Limits,
}

impl Source<'_> {
    /// Whether there is such a type here.
    ///
    /// # Errors
    /// When not, with its name.
    pub fn check(&self) -> Result<(), RdbCause> {
        let hashes = if self.is_valkey { &hash::VALKEY_KINDS[..] } else { &hash::KINDS };
        let kinds = [&[STRING][..], &list::KINDS, &set::KINDS, &sorted_set::KINDS, hashes, &stream::KINDS];
        if kinds.iter().any(|kinds| kinds.contains(&self.kind)) {
            return Ok(());
        }
        let name = other_type(self.kind).unwrap_or("unknown");
        Err(RdbCause::UnsupportedType { number: self.kind, name })
    }

    /// The value; `None` when it is empty, which Redis passes over. [`Self::check`] comes first.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read<R: Read>(&self, input: &mut Input<R>) -> Result<Option<RdbValue>, RdbCause> {
        let object: Object = match self.kind {
            STRING => return Ok(Some(RdbValue::String(input.string()?))),
            kind if list::KINDS.contains(&kind) => list::read(kind, input, &self.limits.list)?.into(),
            kind if set::KINDS.contains(&kind) => set::read(kind, input, &self.limits.set)?.into(),
            kind if sorted_set::KINDS.contains(&kind) => {
                sorted_set::read(kind, input, &self.limits.sorted_set)?.into()
            }
            kind if stream::KINDS.contains(&kind) => stream::read(kind, input)?.into(),
            kind => hash::read((kind, self.is_valkey), input, &self.limits.hash)?.into(),
        };
        Ok((!object.is_empty()).then_some(RdbValue::Object(object)))
    }
}

/// A small object's bytes as the snapshot's walk copies them, instead of sharing the object: what they are.
#[derive(Clone, Copy, Debug)]
pub enum Packed {
    /// The one listpack of a list.
    List,
    /// The listpack of a set.
    Set,
    /// The integer set of a set.
    Ints,
    /// The listpack of a sorted set.
    SortedSet,
    /// The listpack of a hash in which nothing expires.
    Hash,
}

/// Appends a small object's bytes to `out`; `None`, and nothing appended, when it had better be shared.
pub fn pack(object: &Object, out: &mut Vec<u8>) -> Option<Packed> {
    match object.view() {
        ObjectView::List(list) => {
            list::only_node(list)?.write_to(out);
            Some(Packed::List)
        }
        ObjectView::Set(set) => match set.view() {
            SetView::Ints(ints) => {
                ints.write_to(out);
                Some(Packed::Ints)
            }
            SetView::Packed(pack) => {
                pack.write_to(out);
                Some(Packed::Set)
            }
            SetView::Table => None,
        },
        ObjectView::SortedSet(set) => {
            set.listpack()?.write_to(out);
            Some(Packed::SortedSet)
        }
        ObjectView::Hash(hash) => {
            hash.as_listpack()?.write_to(out);
            Some(Packed::Hash)
        }
        ObjectView::Stream(_) => None,
    }
}

impl<W: Write> Writer<W> {
    /// A key with an object.
    ///
    /// # Errors
    /// The output's.
    pub fn object(
        &mut self,
        key: &[u8],
        expire_ms: Option<i64>,
        access: Option<Access>,
        object: &Object,
    ) -> io::Result<()> {
        self.begin_key(kind_of(object), key, expire_ms, access)?;
        self.put_object(object)
    }

    /// A value by itself: the byte of its type, then its bytes.
    pub(in super::super) fn value(&mut self, value: Value<'_>) -> io::Result<()> {
        match value {
            Value::Int(n) => {
                self.put_bytes(&[STRING])?;
                self.put_number(n)
            }
            Value::Bytes(bytes) => {
                self.put_bytes(&[STRING])?;
                self.put_string(bytes)
            }
            Value::Shared(bytes) => {
                self.put_bytes(&[STRING])?;
                self.put_string(bytes)
            }
            Value::Object(object) => {
                self.put_bytes(&[kind_of(object)])?;
                self.put_object(object)
            }
        }
    }

    /// An object's bytes, in the form that [`kind_of`] names.
    fn put_object(&mut self, object: &Object) -> io::Result<()> {
        match object.view() {
            ObjectView::List(list) => list::write(self, list),
            ObjectView::Set(set) => match set.view() {
                SetView::Ints(ints) => set::write_ints(self, ints),
                SetView::Packed(_) | SetView::Table => set::write(self, set),
            },
            ObjectView::SortedSet(set) => match set.listpack() {
                Some(pack) => self.put_string(&pack.to_bytes()),
                None => sorted_set::write(self, set),
            },
            ObjectView::Hash(hash) if hash.next_due().is_some() => hash::write_expiring(self, hash),
            ObjectView::Hash(hash) => match hash.as_listpack() {
                Some(pack) => self.put_string(&pack.to_bytes()),
                None => hash::write(self, hash),
            },
            ObjectView::Stream(stream) => stream::write(self, stream),
        }
    }

    /// A key with an object that [`pack`] took.
    ///
    /// # Errors
    /// The output's.
    pub fn packed(
        &mut self,
        key: &[u8],
        expire_ms: Option<i64>,
        access: Option<Access>,
        (form, bytes): (Packed, &[u8]),
    ) -> io::Result<()> {
        match form {
            Packed::List => {
                self.begin_key(list::WRITTEN, key, expire_ms, access)?;
                list::write_packed(self, bytes)
            }
            Packed::Set => {
                self.begin_key(set::WRITTEN, key, expire_ms, access)?;
                set::write_packed(self, bytes)
            }
            Packed::Hash => {
                self.begin_key(hash::WRITTEN_PACKED, key, expire_ms, access)?;
                self.put_string(bytes)
            }
            Packed::Ints => {
                self.begin_key(set::WRITTEN_INTS, key, expire_ms, access)?;
                self.put_string(bytes)
            }
            Packed::SortedSet => {
                self.begin_key(sorted_set::WRITTEN_PACKED, key, expire_ms, access)?;
                self.put_string(bytes)
            }
        }
    }
}

/// The number of the form in which an object is written.
fn kind_of(object: &Object) -> u8 {
    match object.view() {
        ObjectView::List(_) => list::WRITTEN,
        ObjectView::Set(set) => match set.view() {
            SetView::Ints(_) => set::WRITTEN_INTS,
            SetView::Packed(_) | SetView::Table => set::WRITTEN,
        },
        ObjectView::SortedSet(set) if set.listpack().is_some() => sorted_set::WRITTEN_PACKED,
        ObjectView::SortedSet(_) => sorted_set::WRITTEN,
        ObjectView::Hash(hash) if hash.next_due().is_some() => hash::WRITTEN_EXPIRING,
        ObjectView::Hash(hash) if hash.as_listpack().is_some() => hash::WRITTEN_PACKED,
        ObjectView::Hash(_) => hash::WRITTEN,
        ObjectView::Stream(stream) => stream::kind_of(stream),
    }
}

/// A string that holds a listpack, checked in depth.
fn listpack<R: Read>(input: &mut Input<R>) -> Result<Listpack, RdbCause> {
    Listpack::from_bytes(&input.string()?).map_err(|_| RdbCause::Node("listpack"))
}

/// Type and encoding behind a number that is not kept.
fn other_type(number: u8) -> Option<&'static str> {
    Some(match number {
        6 => "module, pre-release",
        7 => "module",
        _ => return None,
    })
}
