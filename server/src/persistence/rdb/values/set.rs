//! Sets.
//!
//! ```text
//! 2    length, { string }                        written for all that are not integers alone
//! 11   string holding an integer set             written
//! 20   string holding a listpack                 7.2 and later; 7.0 does not know it, so it is not written
//! ```

use std::io::{self, Read, Write};

use super::super::RdbCause;
use super::super::input::Input;
use super::super::writer::Writer;
use store::{Intset, Listpack, Set, SetLimit};

const MEMBERS: u8 = 2;
const INTSET: u8 = 11;
const LISTPACK: u8 = 20;

/// The numbers that are read.
pub const KINDS: [u8; 3] = [MEMBERS, INTSET, LISTPACK];

/// The number that is written for members one by one.
pub const WRITTEN: u8 = MEMBERS;

/// The number that is written for an integer set.
pub const WRITTEN_INTS: u8 = INTSET;

/// Reads a set.
pub fn read<R: Read>(kind: u8, input: &mut Input<R>, limit: &SetLimit) -> Result<Set, RdbCause> {
    match kind {
        MEMBERS => members(input, limit),
        INTSET => {
            let ints = Intset::from_bytes(&input.string()?).map_err(|_| RdbCause::Node("intset"))?;
            Ok(Set::from_ints(ints, limit))
        }
        _ => {
            let pack = super::listpack(input)?;
            Set::from_listpack(pack, limit).ok_or(RdbCause::Node("set: a member comes twice"))
        }
    }
}

fn members<R: Read>(input: &mut Input<R>, limit: &SetLimit) -> Result<Set, RdbCause> {
    let count = input.len()?;
    let mut set = if count > limit.ints as u64 { Set::hashed() } else { Set::new() };
    for _ in 0..count {
        if !set.add(&input.string()?, limit) {
            return Err(RdbCause::Node("set: a member comes twice"));
        }
    }
    Ok(set)
}

/// Writes the members one by one.
pub fn write<W: Write>(writer: &mut Writer<W>, set: &Set) -> io::Result<()> {
    writer.put_len(set.len() as u64);
    let mut buffer = itoa::Buffer::new();
    set.iter().try_for_each(|member| writer.put_string(member.as_bytes(&mut buffer)))
}

/// Writes the members of a listpack one by one.
pub fn write_packed<W: Write>(writer: &mut Writer<W>, pack: &[u8]) -> io::Result<()> {
    let pack = Listpack::from_bytes(pack).expect("a listpack that this process made");
    writer.put_len(pack.len() as u64);
    let mut buffer = itoa::Buffer::new();
    pack.iter().try_for_each(|member| writer.put_string(member.as_bytes(&mut buffer)))
}

/// Writes an integer set.
pub fn write_ints<W: Write>(writer: &mut Writer<W>, ints: &Intset) -> io::Result<()> {
    let mut bytes = Vec::new();
    ints.write_to(&mut bytes);
    writer.put_string(&bytes)
}
