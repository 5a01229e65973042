//! Sorted sets.
//!
//! ```text
//! 3    length, { string, score in text: 253 nan | 254 inf | 255 -inf | a length byte and digits }        before 4.0
//! 5    length, { string, f64 LE }                 written for those that are no listpack
//! 12   string holding a ziplist of pairs          before 7.0
//! 17   string holding a listpack of pairs         written
//! ```

use std::io::{self, Read, Write};

use super::super::RdbCause;
use super::super::input::Input;
use super::super::writer::Writer;
use super::super::ziplist;
use common::number::parse_f64;
use store::{Element, Listpack, SortedSet, SortedSetBuilder, SortedSetLimits};

const TEXT: u8 = 3;
const BINARY: u8 = 5;
const ZIPLIST: u8 = 12;
const LISTPACK: u8 = 17;

/// The numbers that are read.
pub const KINDS: [u8; 4] = [TEXT, BINARY, ZIPLIST, LISTPACK];

/// The number that is written for members one by one.
pub const WRITTEN: u8 = BINARY;

/// The number that is written for a listpack.
pub const WRITTEN_PACKED: u8 = LISTPACK;

const TWICE: RdbCause = RdbCause::Node("sorted set: a member comes twice");
const NOT_A_NUMBER: RdbCause = RdbCause::Node("sorted set: a score is no number");

/// Reads a sorted set.
pub fn read<R: Read>(
    kind: u8,
    input: &mut Input<R>,
    limits: &SortedSetLimits,
) -> Result<SortedSet, RdbCause> {
    match kind {
        TEXT | BINARY => pairs(kind, input, limits),
        ZIPLIST => {
            let elements = ziplist::elements(&input.string()?).map_err(RdbCause::Node)?;
            let mut pack = Listpack::new();
            elements.iter().for_each(|element| pack.push_back(Element::from_bytes(element)));
            packed(pack, limits)
        }
        _ => packed(super::listpack(input)?, limits),
    }
}

fn packed(pack: Listpack, limits: &SortedSetLimits) -> Result<SortedSet, RdbCause> {
    let in_disorder = RdbCause::Node("sorted set: its block does not hold members and scores in order");
    SortedSet::from_listpack(pack, limits).map_err(|_| in_disorder)
}

fn pairs<R: Read>(kind: u8, input: &mut Input<R>, limits: &SortedSetLimits) -> Result<SortedSet, RdbCause> {
    let count = input.len()?;
    let mut set = SortedSetBuilder::new();
    for _ in 0..count {
        let member = input.string()?;
        let score = if kind == BINARY { f64::from_le_bytes(input.array()?) } else { text_score(input)? };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        if !set.add(&member, score) {
            return Err(TWICE);
        }
    }
    Ok(set.finish(limits))
}

fn text_score<R: Read>(input: &mut Input<R>) -> Result<f64, RdbCause> {
    match input.byte()? {
        253 => Err(NOT_A_NUMBER),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        len => parse_f64(&input.bytes(usize::from(len))?).ok_or(NOT_A_NUMBER),
    }
}

/// Writes the members one by one, the highest first: readers then insert each at the front.
pub fn write<W: Write>(writer: &mut Writer<W>, set: &SortedSet) -> io::Result<()> {
    writer.put_len(set.len() as u64);
    let mut buffer = itoa::Buffer::new();
    set.iter(set.len().saturating_sub(1), true).try_for_each(|(member, score)| {
        writer.put_string(member.as_bytes(&mut buffer))?;
        writer.put_bytes(&score.to_le_bytes())
    })
}
