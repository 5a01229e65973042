//! One value by itself, as DUMP gives it and RESTORE takes it.
//!
//! ```text
//! payload   type byte, value as in a snapshot | version, 2 bytes LE | CRC-64 of everything before, 8 bytes LE
//! ```
//!
//! The version is the oldest that knows the value, so that Redis 7.0 takes whatever it can keep. Who has a payload made
//! may have made it himself, checksum included: nothing in it is believed before it was checked.

use super::input::Input;
use super::loader::read_library;
use super::values::Source;
use super::writer::Writer;
use super::{
    CRC64, REDIS_VERSION_MAX, RdbValue, VALKEY_VERSION, VERSION, VERSION_WITH_EXPIRING_FIELDS,
    VERSION_WITH_PRODUCERS, opcode,
};
use store::{Limits, Value};

/// Version and checksum, bytes.
const FOOTER: usize = 10;

/// The checksum's part of that.
const CHECKSUM: usize = 8;

/// Bytes of a payload that are read at a time at most.
const CHUNK: usize = 16 << 10;

/// Why a payload was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadError {
    /// It comes from a version that is not known here, or does not have the checksum that it ends with.
    Footer,
    /// Its content is no value that can be kept.
    Content,
}

/// The payload of a value; `compression` as `rdbcompression`. O(bytes).
pub fn dump(value: Value<'_>, compression: bool) -> Vec<u8> {
    let version = match value {
        Value::Object(object) if object.has_producers() => VERSION_WITH_PRODUCERS,
        Value::Object(object) if object.next_due().is_some() => VERSION_WITH_EXPIRING_FIELDS,
        _ => VERSION,
    };
    let mut writer = Writer::of_value(compression);
    writer.value(value).expect("memory takes everything");
    seal(writer, version)
}

fn seal(writer: Writer<Vec<u8>>, version: u32) -> Vec<u8> {
    let mut payload = writer.into_bytes().expect("memory takes everything");
    payload.extend((version as u16).to_le_bytes());
    let checksum = CRC64.checksum(&payload);
    payload.extend(checksum.to_le_bytes());
    payload
}

/// The payload of libraries of functions, by their texts, as FUNCTION DUMP gives it: each as in a snapshot, then the
/// same ending as that of a value. O(bytes).
pub fn dump_libraries<'c>(codes: impl Iterator<Item = &'c [u8]>, compression: bool) -> Vec<u8> {
    let mut writer = Writer::of_value(compression);
    codes.for_each(|code| writer.library(code).expect("memory takes everything"));
    seal(writer, VERSION)
}

/// The texts of libraries in a payload, one after the other, or what is wrong with the next; `None` when the payload
/// comes from a version that is not known here or does not have the checksum that it ends with.
pub fn restore_libraries(payload: &[u8]) -> Option<impl Iterator<Item = Result<Vec<u8>, &'static str>>> {
    let (content, _) = open(payload, true)?;
    let mut input = Input::with_buffer(content, false, content.len().clamp(1, CHUNK));
    let mut is_broken = false;
    Some(std::iter::from_fn(move || {
        if is_broken || input.offset() >= content.len() as u64 {
            return None;
        }
        let code = match input.byte() {
            Ok(kind @ (opcode::FUNCTION2 | opcode::FUNCTION_PRE_GA)) => {
                read_library(&mut input, kind).map_err(|_| "Failed loading library payload")
            }
            Ok(_) => Err("given type is not a function"),
            Err(_) => Err("can not read data type"),
        };
        is_broken = code.is_err();
        Some(code)
    }))
}

/// The value of a payload, in the encoding that `limits` ask for; `verifies` its checksum. O(bytes).
///
/// # Errors
/// What is wrong with it.
pub fn restore(payload: &[u8], verifies: bool, limits: &Limits) -> Result<RdbValue, PayloadError> {
    let (content, is_valkey) = open(payload, verifies).ok_or(PayloadError::Footer)?;
    read(content, is_valkey, limits).ok_or(PayloadError::Content)
}

/// The content, and whether it is Valkey's, if the ending is as it should be.
fn open(payload: &[u8], verifies: bool) -> Option<(&[u8], bool)> {
    let (content, footer) = payload.split_at(payload.len().checked_sub(FOOTER)?);
    let version = u32::from(u16::from_le_bytes([footer[0], footer[1]]));
    let is_valkey = version == VALKEY_VERSION;
    if version > REDIS_VERSION_MAX && !is_valkey {
        return None;
    }
    let (summed, checksum) = payload.split_at(payload.len() - CHECKSUM);
    if verifies && CRC64.checksum(summed).to_le_bytes() != checksum {
        return None;
    }
    Some((content, is_valkey))
}

/// As Redis, this does not ask what comes behind the value.
fn read(content: &[u8], is_valkey: bool, limits: &Limits) -> Option<RdbValue> {
    let (&kind, value) = content.split_first()?;
    let source = Source { kind, is_valkey, limits };
    source.check().ok()?;
    let mut input = Input::with_buffer(value, false, value.len().clamp(1, CHUNK));
    source.read(&mut input).ok()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{End, Kind, List, ListLimit, NewValue};

    fn text(value: RdbValue) -> Vec<u8> {
        match value {
            RdbValue::String(bytes) => bytes,
            RdbValue::Object(object) => panic!("{object:?}"),
        }
    }

    fn back(payload: &[u8]) -> Result<RdbValue, PayloadError> {
        restore(payload, true, &Limits::default())
    }

    #[test]
    fn bytes_are_those_of_redis() {
        // Dumped by redis-server 7.0.15: RPUSH l a b 1.
        let theirs =
            b"\x12\x01\x02\x0f\x0f\0\0\0\x03\0\x81a\x02\x81b\x02\x01\x01\xff\n\0\xe0\x1b\xabJG\xceY\"";
        let mut list = List::new();
        [&b"a"[..], b"b", b"1"].iter().for_each(|e| list.push(End::Tail, e, &ListLimit::default()));
        assert_eq!(dump(Value::Object(&list.into()), true), theirs);
        let Ok(RdbValue::Object(list)) = back(theirs) else { panic!("a list") };
        assert_eq!((list.kind(), list.len()), (Kind::List, 3));
    }

    #[test]
    fn strings_come_back() {
        for value in [&b""[..], b"12", b"-40000", b"9999999999", b"text", &[b'x'; 100_000]] {
            for compression in [false, true] {
                let stored = NewValue::from_bytes(value);
                let kept = match &stored {
                    NewValue::Int(n) => Value::Int(*n),
                    _ => Value::Bytes(value),
                };
                assert_eq!(text(back(&dump(kept, compression)).expect("made here")), value);
            }
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_and_a_cut_one_too() {
        let payload = dump(Value::Bytes(b"some text"), true);
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1;
            assert!(back(&changed).is_err(), "byte {at}");
            assert!(back(&payload[..at]).is_err(), "up to {at}");
        }
    }

    #[test]
    fn versions_to_come_are_refused_and_contents_checked() {
        let sealed = |content: &[u8], version: u16| {
            let mut payload = [content, &version.to_le_bytes()].concat();
            payload.extend(CRC64.checksum(&payload).to_le_bytes());
            payload
        };
        assert_eq!(text(back(&sealed(b"\0\x01x", 13)).expect("of Redis 8")), b"x");
        assert_eq!(text(back(&sealed(b"\0\x01x", 80)).expect("of Valkey")), b"x");
        assert_eq!(back(&sealed(b"\0\x01x", 14)).err(), Some(PayloadError::Footer));
        assert_eq!(back(&sealed(b"\0\x01x", 81)).err(), Some(PayloadError::Footer));
        for content in [
            &b""[..],
            b"\0",
            b"\0\x02x",
            b"\x01\0",
            b"\x07\x01",
            b"\xff",
            b"\0\x81\xff\xff\xff\xff\xff\xff\xff\xf7",
        ] {
            assert_eq!(back(&sealed(content, 10)).err(), Some(PayloadError::Content), "{content:?}");
        }
        let unsealed = [&sealed(b"\0\x01x", 10)[..5], &[0; 8]].concat();
        assert_eq!(back(&unsealed).err(), Some(PayloadError::Footer));
        assert!(restore(&unsealed, false, &Limits::default()).is_ok());
    }
}
