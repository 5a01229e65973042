//! Hashes.
//!
//! ```text
//! 4    length, { field string, value string }                                        written
//! 9    string holding a zipmap                                                       before 2.6
//! 13   string holding a ziplist: field, value, …                                     before 7.0
//! 16   string holding a listpack: field, value, …                                    written
//! 22   length, { length: 0 or expiry, field string, value string }                   7.4, release candidates
//!      of Valkey: length, { field string, value string, expiry or -1, 8 bytes LE }   Valkey 9
//! 23   string holding a listpack: field, value, expiry or 0, …                       7.4, release candidates
//! 24   earliest expiry, 8 bytes LE, length, { length: 0 or 1 + expiry - earliest, field string, value string }
//!                                                                                    written if a field expires
//! 25   earliest expiry, 8 bytes LE, string as in 23                                  7.4
//! ```

use std::io::{self, Read, Write};

use super::super::RdbCause;
use super::super::input::Input;
use super::super::writer::Writer;
use super::super::ziplist;
use store::{Element, HashLimit, HashValue};

const FIELDS: u8 = 4;
const ZIPMAP: u8 = 9;
const ZIPLIST: u8 = 13;
const LISTPACK: u8 = 16;
const EXPIRING_RC: u8 = 22;
const LISTPACK_EXPIRING_RC: u8 = 23;
const EXPIRING: u8 = 24;
const LISTPACK_EXPIRING: u8 = 25;

/// The numbers that are read from files of Redis.
pub const KINDS: [u8; 8] =
    [FIELDS, ZIPMAP, ZIPLIST, LISTPACK, EXPIRING_RC, LISTPACK_EXPIRING_RC, EXPIRING, LISTPACK_EXPIRING];

/// The numbers that are read from files of Valkey.
pub const VALKEY_KINDS: [u8; 5] = [FIELDS, ZIPMAP, ZIPLIST, LISTPACK, EXPIRING_RC];

/// The number that is written for fields one by one.
pub const WRITTEN: u8 = FIELDS;

/// The number that is written for a listpack.
pub const WRITTEN_PACKED: u8 = LISTPACK;

/// The number that is written when fields expire; readers before 7.4 do not know it.
pub const WRITTEN_EXPIRING: u8 = EXPIRING;

const TWICE: RdbCause = RdbCause::Node("hash: a field comes twice");

/// The latest expiry that a field can have, unix ms.
const LATEST_MS: i64 = (1 << 46) - 1;

/// A hash in the making, which refuses a field that comes twice.
struct Filled<'a> {
    hash: HashValue,
    limit: &'a HashLimit,
}

impl Filled<'_> {
    fn add(&mut self, field: &[u8], value: &[u8], expire: i64) -> Result<(), RdbCause> {
        if !self.hash.set(field, value, self.limit) {
            return Err(TWICE);
        }
        match expire {
            0 => {}
            1..=LATEST_MS => self.hash.set_expiry(field, Some(expire)),
            _ => return Err(RdbCause::Node("hash: an expiry out of range")),
        }
        Ok(())
    }
}

/// Reads a hash.
pub fn read<R: Read>(
    (kind, is_valkey): (u8, bool),
    input: &mut Input<R>,
    limit: &HashLimit,
) -> Result<HashValue, RdbCause> {
    let mut filled = Filled { hash: HashValue::new(), limit };
    match kind {
        LISTPACK => {
            return HashValue::from_listpack(super::listpack(input)?, limit)
                .ok_or(RdbCause::Node("hash: fields and values do not go together"));
        }
        ZIPMAP => zipmap(&input.string()?, &mut filled)?,
        ZIPLIST => {
            let elements = ziplist::elements(&input.string()?).map_err(RdbCause::Node)?;
            for pair in elements.chunks(2) {
                let [field, value] = pair else {
                    return Err(RdbCause::Node("hash: a field without a value"));
                };
                filled.add(field, value, 0)?;
            }
        }
        LISTPACK_EXPIRING_RC => triplets(input, &mut filled)?,
        LISTPACK_EXPIRING => {
            let _earliest: [u8; 8] = input.array()?;
            triplets(input, &mut filled)?;
        }
        EXPIRING_RC if is_valkey => {
            for _ in 0..input.len()? {
                let (field, value) = (input.string()?, input.string()?);
                filled.add(&field, &value, i64::from_le_bytes(input.array()?).max(0))?;
            }
        }
        EXPIRING_RC => {
            for _ in 0..input.len()? {
                let expire = i64::try_from(input.len()?).unwrap_or(i64::MAX);
                filled.add(&input.string()?, &input.string()?, expire)?;
            }
        }
        EXPIRING => {
            let earliest = i64::from_le_bytes(input.array()?);
            for _ in 0..input.len()? {
                let distance = i64::try_from(input.len()?).unwrap_or(i64::MAX);
                let expire = if distance == 0 { 0 } else { earliest.saturating_add(distance - 1).max(1) };
                filled.add(&input.string()?, &input.string()?, expire)?;
            }
        }
        _ => {
            for _ in 0..input.len()? {
                filled.add(&input.string()?, &input.string()?, 0)?;
            }
        }
    }
    Ok(filled.hash)
}

fn triplets<R: Read>(input: &mut Input<R>, filled: &mut Filled<'_>) -> Result<(), RdbCause> {
    let pack = super::listpack(input)?;
    let mut elements = pack.iter();
    while let Some(field) = elements.next() {
        let (Some(value), Some(Element::Int(expire))) = (elements.next(), elements.next()) else {
            return Err(RdbCause::Node("hash: a field without value or expiry"));
        };
        let (mut names, mut values) = (itoa::Buffer::new(), itoa::Buffer::new());
        filled.add(field.as_bytes(&mut names), value.as_bytes(&mut values), expire)?;
    }
    Ok(())
}

/// A count, then fields and values, each behind its length; values have unused bytes behind them, whose number comes
/// after the length.
fn zipmap(bytes: &[u8], filled: &mut Filled<'_>) -> Result<(), RdbCause> {
    const BAD: RdbCause = RdbCause::Node("zipmap");
    let take = |rest: &mut &[u8], len: usize| -> Result<Vec<u8>, RdbCause> {
        let (taken, left) = rest.split_at_checked(len).ok_or(BAD)?;
        *rest = left;
        Ok(taken.to_vec())
    };
    let length = |rest: &mut &[u8]| -> Result<Option<usize>, RdbCause> {
        let (&first, left) = rest.split_first().ok_or(BAD)?;
        *rest = left;
        match first {
            0xff => Ok(None),
            0xfe => {
                let (len, left) = rest.split_first_chunk::<4>().ok_or(BAD)?;
                *rest = left;
                Ok(Some(u32::from_le_bytes(*len) as usize))
            }
            len => Ok(Some(usize::from(len))),
        }
    };
    let mut rest = bytes.get(1..).ok_or(BAD)?;
    while let Some(len) = length(&mut rest)? {
        let field = take(&mut rest, len)?;
        let len = length(&mut rest)?.ok_or(BAD)?;
        let unused = usize::from(*take(&mut rest, 1)?.first().ok_or(BAD)?);
        let value = take(&mut rest, len)?;
        take(&mut rest, unused)?;
        filled.add(&field, &value, 0)?;
    }
    if rest.is_empty() { Ok(()) } else { Err(BAD) }
}

/// Writes the fields one by one.
pub fn write<W: Write>(writer: &mut Writer<W>, hash: &HashValue) -> io::Result<()> {
    writer.put_len(hash.len() as u64);
    let mut buffer = itoa::Buffer::new();
    hash.iter().try_for_each(|field| {
        writer.put_string(field.name.as_bytes(&mut buffer))?;
        writer.put_string(field.value.as_bytes(&mut buffer))
    })
}

/// Writes the fields one by one with their expiries.
pub fn write_expiring<W: Write>(writer: &mut Writer<W>, hash: &HashValue) -> io::Result<()> {
    let earliest = hash.iter().filter_map(|field| field.expire).min().unwrap_or(0);
    writer.put_bytes(&earliest.to_le_bytes())?;
    writer.put_len(hash.len() as u64);
    let mut buffer = itoa::Buffer::new();
    hash.iter().try_for_each(|field| {
        writer.put_len(field.expire.map_or(0, |at| (at - earliest + 1) as u64));
        writer.put_string(field.name.as_bytes(&mut buffer))?;
        writer.put_string(field.value.as_bytes(&mut buffer))
    })
}
