//! The bitmap group: strings as rows of bits, the highest bit of each byte first.
//!
//! `bits.rs` counts, finds and combines; `field.rs` is BITFIELD. Changes happen inside the value where it has room for
//! them, so that setting one bit of a large bitmap costs no copy.

mod bits;
mod field;

use super::string::{check_length, put_string, string_bytes};
use super::{doc, entry, integer};
use crate::context::Cx;
use crate::events::Event;
use crate::server::{Key, Ochre};
use bits::{Operation, combine, count_bits, find_bit};
use common::command::{Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome};
use common::number::parse_i64;
use store::{Expire, Kind, SharedBytes, Value};

const WRITE: Flags = Flags::WRITE.and(Flags::DENYOOM);
const READ: &[KeySpec] = &[KeySpec::one(1, Access::Read)];

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("bitcount", Arity::AtLeast(2), Flags::READONLY, READ,
        doc("bitmap", "2.6.0", "O(N), N bytes", "key [start end [BYTE | BIT]]", "Counts the bits that are set."), bitcount),
    entry("bitfield", Arity::AtLeast(2), WRITE, &[KeySpec::one(1, Access::Bitfield)],
        doc("bitmap", "3.2.0", "O(1) per operation", "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value | INCRBY encoding offset increment> ...]]", "Reads and changes integers of any width within a string."), |cx, args| field::bitfield(cx, args, false)),
    entry("bitfield_ro", Arity::AtLeast(2), Flags::READONLY.and(Flags::FAST), READ,
        doc("bitmap", "6.0.0", "O(1) per operation", "key [GET encoding offset [GET encoding offset ...]]", "Reads integers of any width within a string."), |cx, args| field::bitfield(cx, args, true)),
    entry("bitop", Arity::AtLeast(4), WRITE, &[KeySpec::one(2, Access::Overwrite), KeySpec::until(3, -1, 1, Access::Read)],
        doc("bitmap", "2.6.0", "O(N), N bytes in all", "<AND | OR | XOR | NOT | DIFF | DIFF1 | ANDOR | ONE> destkey key [key ...]", "Combines strings bit by bit and stores the result."), bitop),
    entry("bitpos", Arity::AtLeast(3), Flags::READONLY, READ,
        doc("bitmap", "2.8.7", "O(N), N bytes", "key bit [start [end [BYTE | BIT]]]", "Finds the first bit that is set, or clear."), bitpos),
    entry("getbit", Arity::Exactly(3), Flags::READONLY.and(Flags::FAST), READ,
        doc("bitmap", "2.2.0", "O(1)", "key offset", "Reads one bit."), getbit),
    entry("setbit", Arity::Exactly(4), WRITE, &[KeySpec::one(1, Access::RwUpdate)],
        doc("bitmap", "2.2.0", "O(1)", "key offset value", "Writes one bit, making the string longer if needed."), setbit),
];

/// Where a bit is: its number, or with `#` (where `width` is given) that of a field of so many bits.
fn bit_offset(cx: &Cx<'_>, word: &[u8], width: Option<u8>) -> Result<u64, CommandError> {
    const REFUSED: CommandError = CommandError::Text("ERR bit offset is not an integer or out of range");
    let (number, factor) = match (width, word.strip_prefix(b"#")) {
        (Some(width), Some(number)) => (number, i64::from(width)),
        _ => (word, 1),
    };
    let offset = parse_i64(number).and_then(|number| number.checked_mul(factor)).ok_or(REFUSED)?;
    let offset = u64::try_from(offset).map_err(|_| REFUSED)?;
    if offset >> 3 >= cx.server.config.proto_max_bulk_len {
        return Err(REFUSED);
    }
    Ok(offset)
}

/// Lends `change` the bytes of a string of at least `len` bytes, and says whether that made it longer (or made it):
/// zeros are added where it is shorter.
fn change_bytes<R>(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    len: usize,
    change: impl FnOnce(&mut [u8]) -> R,
) -> Result<(R, bool), CommandError> {
    let (mut bytes, existed) = match cx.server.find(cx.db, key).map(|entry| entry.value()) {
        Some(Value::Shared(bytes)) => {
            let grows = bytes.len() < len;
            let mut entry =
                cx.server.keyspace.db_mut(cx.db).get_mut(key.hash, key.bytes).expect("just found");
            let bytes = entry.shared_mut().expect("it is shared").make_mut();
            if grows {
                bytes.resize(len, 0);
            }
            return Ok((change(bytes), grows));
        }
        Some(Value::Bytes(bytes)) if bytes.len() >= len => {
            let mut entry =
                cx.server.keyspace.db_mut(cx.db).get_mut(key.hash, key.bytes).expect("just found");
            return Ok((change(entry.inline_mut().expect("it is inline")), false));
        }
        Some(value) => {
            let old = string_bytes(value, &mut itoa::Buffer::new())?.to_vec();
            (old, true)
        }
        None => (vec![0; len], false),
    };
    let grows = !existed || bytes.len() < len;
    if bytes.len() < len {
        bytes.resize(len, 0);
    }
    let result = change(&mut bytes);
    put_string(cx, key, bytes, Expire::Keep);
    if !existed {
        cx.server.notify_new(cx.db, key.bytes);
    }
    Ok((result, grows))
}

fn setbit(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let offset = bit_offset(cx, args.next(), None)?;
    let on = match args.next() {
        b"0" => false,
        b"1" => true,
        _ => return Err("ERR bit is not an integer or out of range".into()),
    };
    let (at, mask) = ((offset >> 3) as usize, 0x80 >> (offset & 7));
    let (old, grew) = change_bytes(cx, key, at + 1, |bytes| {
        let old = bytes[at] & mask != 0;
        bytes[at] = bytes[at] & !mask | if on { mask } else { 0 };
        old
    })?;
    if grew || old != on {
        cx.changed(key, Event::SETBIT);
    }
    cx.reply.integer(i64::from(old));
    Ok(Outcome::Done)
}

fn getbit(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let offset = bit_offset(cx, args.next(), None)?;
    let mut buffer = itoa::Buffer::new();
    let bytes = match cx.server.read(cx.db, key) {
        Some(entry) => string_bytes(entry.value(), &mut buffer)?,
        None => b"",
    };
    let byte = bytes.get((offset >> 3) as usize).copied().unwrap_or(0);
    cx.reply.integer(i64::from(byte >> (7 - (offset & 7)) & 1));
    Ok(Outcome::Done)
}

/// The part of a string that BITCOUNT or BITPOS looks at, as given.
struct Extent {
    start: i64,
    /// `None`: to the end.
    end: Option<i64>,
    in_bits: bool,
}

impl Extent {
    const WHOLE: Self = Self { start: 0, end: None, in_bits: false };

    /// The unit's word, in any case.
    fn is_bits(word: &[u8]) -> Result<bool, CommandError> {
        match word.to_ascii_uppercase().as_slice() {
            b"BIT" => Ok(true),
            b"BYTE" => Ok(false),
            _ => Err(CommandError::Syntax),
        }
    }

    /// First and last bit in a string of `len` bytes; `None` when there is none.
    fn bits(&self, len: usize) -> Option<(u64, u64)> {
        let total = if self.in_bits { len as i64 * 8 } else { len as i64 };
        let end = self.end.unwrap_or(total - 1);
        if self.start < 0 && end < 0 && self.start > end {
            return None;
        }
        let from_end = |index: i64| if index < 0 { (index + total).max(0) } else { index };
        let (start, end) = (from_end(self.start), from_end(end).min(total - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start.cast_unsigned(), end.cast_unsigned());
        Some(if self.in_bits { (start, end) } else { (start * 8, end * 8 + 7) })
    }
}

fn bitcount(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let extent = match args.left() {
        0 => Extent::WHOLE,
        2 | 3 => {
            let (start, end) = (args.integer()?, args.integer()?);
            let in_bits = args.try_next().map_or(Ok(false), Extent::is_bits)?;
            Extent { start, end: Some(end), in_bits }
        }
        _ => return Err(CommandError::Syntax),
    };
    let mut buffer = itoa::Buffer::new();
    let bytes = match cx.server.read(cx.db, key) {
        Some(entry) => string_bytes(entry.value(), &mut buffer)?,
        None => b"",
    };
    let count = extent.bits(bytes.len()).map_or(0, |(first, last)| count_bits(bytes, first, last));
    cx.reply.integer(count as i64);
    Ok(Outcome::Done)
}

fn bitpos(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let wanted = match args.integer()? {
        0 => false,
        1 => true,
        _ => return Err("ERR The bit argument must be 1 or 0.".into()),
    };
    let extent = match args.left() {
        0 => Extent::WHOLE,
        1..=3 => {
            let start = args.integer()?;
            let end = args.try_next();
            let in_bits = args.try_next().map_or(Ok(false), Extent::is_bits)?;
            Extent { start, end: end.map(integer).transpose()?, in_bits }
        }
        _ => return Err(CommandError::Syntax),
    };
    let mut buffer = itoa::Buffer::new();
    let found = match cx.server.read(cx.db, key) {
        None => (!wanted).then_some(0),
        Some(entry) => {
            let bytes = string_bytes(entry.value(), &mut buffer)?;
            extent.bits(bytes.len()).and_then(|(first, last)| {
                // Without an end the string counts as followed by zeros.
                let behind = (!wanted && extent.end.is_none()).then_some(bytes.len() as u64 * 8);
                find_bit(bytes, first, last, wanted).or(behind)
            })
        }
    };
    cx.reply.integer(found.map_or(-1, |at| at as i64));
    Ok(Outcome::Done)
}

fn bitop(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let operation = Operation::from_word(args.next()).ok_or(CommandError::Syntax)?;
    // Redis 7.0 does not know these: replicas get the result.
    let is_new = !matches!(operation, Operation::And | Operation::Or | Operation::Xor | Operation::Not);
    let target = cx.key(args.next());
    operation.check_sources(args.left())?;
    let mut sources = Vec::with_capacity(args.left());
    for key in args.rest() {
        let key = cx.key(key);
        sources.push(match cx.server.read(cx.db, key) {
            // A clone of a large string shares its bytes.
            Some(entry) => match entry.value() {
                Value::Shared(bytes) => bytes.clone(),
                value => SharedBytes::new(string_bytes(value, &mut itoa::Buffer::new())?.to_vec()),
            },
            None => SharedBytes::new(Vec::new()),
        });
    }
    let sources: Vec<&[u8]> = sources.iter().map(AsRef::as_ref).collect();
    let result = combine(operation, &sources);
    let len = result.len();
    if len > 0 {
        check_length(cx, len as u64)?;
        let old = cx.server.find(cx.db, target).map(|entry| entry.kind());
        if is_new && cx.is_propagating() {
            cx.propagate_as(&[b"SET", target.bytes, &result]);
        }
        put_string(cx, target, result, Expire::None);
        match old {
            None => cx.server.notify_new(cx.db, target.bytes),
            Some(old) => cx.server.notify_overwritten(cx.db, target.bytes, (old, Kind::String)),
        }
        cx.changed(target, Event::SET);
    } else if cx.delete_target(target, false) && is_new {
        cx.propagate_as(&[b"DEL", target.bytes]);
    }
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}
