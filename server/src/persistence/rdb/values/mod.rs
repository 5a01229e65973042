//! The bytes of values: a file per type, each with the encodings that it reads and the one that it writes.
//!
//! To add a type: its file, its numbers in [`Source::read`] (and out of `other_type`), an arm in [`Writer::object`], and
//! a [`Packed`] form if its small values can be copied as they are.

mod list;
mod stream;

use std::io::{self, Read, Write};

use super::input::Input;
use super::writer::Writer;
use super::{Access, RdbCause, RdbValue};
use store::{Limits, Listpack, Object};

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
        if self.kind == STRING || list::KINDS.contains(&self.kind) || stream::KINDS.contains(&self.kind) {
            return Ok(());
        }
        let name = other_type(self.kind, self.is_valkey).unwrap_or("unknown");
        Err(RdbCause::UnsupportedType { number: self.kind, name })
    }

    /// The value; `None` when it is empty, which Redis passes over. [`Self::check`] comes first.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read<R: Read>(&self, input: &mut Input<R>) -> Result<Option<RdbValue>, RdbCause> {
        let object: Object = match self.kind {
            STRING => return Ok(Some(RdbValue::String(input.string()?))),
            kind if stream::KINDS.contains(&kind) => stream::read(kind, input)?.into(),
            kind => list::read(kind, input, &self.limits.list)?.into(),
        };
        Ok((!object.is_empty()).then_some(RdbValue::Object(object)))
    }
}

/// A small object's bytes as the snapshot's walk copies them, instead of sharing the object: what they are.
#[derive(Clone, Copy, Debug)]
pub enum Packed {
    /// The one listpack of a list.
    List,
}

/// Appends a small object's bytes to `out`; `None`, and nothing appended, when it had better be shared.
pub fn pack(object: &Object, out: &mut Vec<u8>) -> Option<Packed> {
    match object {
        Object::List(list) => {
            list::only_node(list)?.write_to(out);
            Some(Packed::List)
        }
        Object::Stream(_) => None,
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
        match object {
            Object::List(list) => {
                self.begin_key(list::WRITTEN, key, expire_ms, access)?;
                list::write(self, list)
            }
            Object::Stream(stream) => {
                self.begin_key(stream::WRITTEN, key, expire_ms, access)?;
                stream::write(self, stream)
            }
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
        }
    }
}

/// A string that holds a listpack, checked in depth.
fn listpack<R: Read>(input: &mut Input<R>) -> Result<Listpack, RdbCause> {
    Listpack::from_bytes(&input.string()?).map_err(|_| RdbCause::Node("listpack"))
}

/// Type and encoding behind a number that is not kept; the numbers from 22 on mean something else in Valkey.
fn other_type(number: u8, is_valkey: bool) -> Option<&'static str> {
    Some(match number {
        2 => "set, hashtable",
        3 => "sorted set, text scores",
        4 => "hash, hashtable",
        5 => "sorted set, binary scores",
        6 => "module, pre-release",
        7 => "module",
        9 => "hash, zipmap",
        11 => "set, intset",
        12 => "sorted set, ziplist",
        13 => "hash, ziplist",
        16 => "hash, listpack",
        17 => "sorted set, listpack",
        20 => "set, listpack",
        22 if is_valkey => "hash with expiring fields",
        22 => "hash with expiring fields, pre-release",
        23 if !is_valkey => "hash with expiring fields, listpack, pre-release",
        24 if !is_valkey => "hash with expiring fields",
        25 if !is_valkey => "hash with expiring fields, listpack",
        _ => return None,
    })
}
