//! The stream group: the entries, IDs as words, and what only reads a stream. `add.rs` has XADD and trimming, `producer.rs` what notices entries that are sent twice, `delete.rs`
//! deletions, `read.rs` XREAD and XREADGROUP, `group.rs` groups and acknowledgements, `claim.rs` XCLAIM and its relatives,
//! `info.rs` XINFO.
//!
//! Replicas get what was decided, in words of Redis 7.0: a delivery to a consumer is an XCLAIM, a deletion an XDEL.

mod add;
mod budget;
mod claim;
mod delete;
mod group;
mod idle;
mod info;
mod producer;
mod read;

use super::{NONDETERMINISTIC, doc, entry};
use crate::context::Cx;
use crate::server::{Key, Ochre};
use common::command::{
    Access, Args, Arity, Command, CommandError, CommandResult, Find, Flags, KeySpec, Outcome, Search,
};
use common::resp::Reply;
use store::Element;
use store::stream::{Stream, StreamEntry, StreamId};

const WRITE_FAST: Flags = Flags::WRITE.and(Flags::FAST);
const READ_FAST: Flags = Flags::READONLY.and(Flags::FAST);

const READ: &[KeySpec] = &[KeySpec::one(1, Access::Read)];
const UPDATE: &[KeySpec] = &[KeySpec::one(1, Access::Update)];
const DELETE: &[KeySpec] = &[KeySpec::one(1, Access::Delete)];

/// Streams behind the word STREAMS, as many words as there are IDs behind them.
const fn streams_from(index: usize) -> KeySpec {
    KeySpec { search: Search::Keyword("STREAMS", index), find: Find::Range(-1, 1, 2), access: Access::Read }
}

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("xack", Arity::AtLeast(4), WRITE_FAST, UPDATE,
        doc("stream", "5.0.0", "O(1) per ID", "key group id [id ...]", "Acknowledges entries that were delivered to a group."), group::xack),
    entry("xackdel", Arity::AtLeast(6), WRITE_FAST, &[KeySpec::one(1, Access::DeleteUpdate)],
        doc("stream", "8.2.0", "O(1) per ID", "key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]", "Acknowledges entries and deletes them."), delete::xackdel),
    Command { tips: NONDETERMINISTIC, ..entry("xadd", Arity::AtLeast(5), WRITE_FAST.and(Flags::DENYOOM), UPDATE,
        doc("stream", "5.0.0", "O(1), O(N) when it trims N entries", "key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO pid | IDMP pid iid] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]", "Adds an entry, making the stream if it is missing."), add::xadd) },
    Command { tips: NONDETERMINISTIC, ..entry("xautoclaim", Arity::AtLeast(6), WRITE_FAST, DELETE,
        doc("stream", "6.2.0", "O(1) for a small count", "key group consumer min-idle-time start [COUNT count] [JUSTID]", "Hands entries that are pending for long to another consumer."), claim::xautoclaim) },
    entry("xcfgset", Arity::AtLeast(2), WRITE_FAST, UPDATE,
        doc("stream", "8.6.0", "O(1)", "key [IDMP-DURATION idmp-duration] [IDMP-MAXSIZE idmp-maxsize]", "Sets what a stream remembers of its producers."), producer::xcfgset),
    Command { tips: NONDETERMINISTIC, ..entry("xclaim", Arity::AtLeast(6), WRITE_FAST, UPDATE,
        doc("stream", "5.0.0", "O(log N), N pending entries", "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]", "Hands pending entries to another consumer."), claim::xclaim) },
    entry("xdel", Arity::AtLeast(3), WRITE_FAST, DELETE,
        doc("stream", "5.0.0", "O(1) per ID", "key id [id ...]", "Deletes entries."), delete::xdel),
    entry("xdelex", Arity::AtLeast(5), WRITE_FAST, DELETE,
        doc("stream", "8.2.0", "O(1) per ID", "key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]", "Deletes entries with regard to groups in which they are pending."), delete::xdelex),
    Command { acl: &[], subcommands: group::SUBCOMMANDS, ..entry("xgroup", Arity::AtLeast(2), Flags::NONE, &[],
        doc("stream", "5.0.0", "Depends on the subcommand.", "", "Makes and changes groups."), group::help) },
    entry("xidmprecord", Arity::Exactly(5), WRITE_FAST.and(Flags::DENYOOM), UPDATE,
        doc("stream", "8.6.2", "O(1)", "key pid iid stream-id", "Remembers under which name a producer sent an entry."), producer::xidmprecord),
    Command { acl: &[], subcommands: info::SUBCOMMANDS, ..entry("xinfo", Arity::AtLeast(2), Flags::NONE, &[],
        doc("stream", "5.0.0", "Depends on the subcommand.", "", "Looks into a stream."), info::help) },
    entry("xlen", Arity::Exactly(2), READ_FAST, &[KeySpec::one(1, Access::Meta)],
        doc("stream", "5.0.0", "O(1)", "key", "Counts the entries."), xlen),
    entry("xnack", Arity::AtLeast(7), WRITE_FAST, UPDATE,
        doc("stream", "8.8.0", "O(1) per ID", "key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]", "Gives pending entries back to their group."), claim::xnack),
    Command { tips: NONDETERMINISTIC, ..entry("xpending", Arity::AtLeast(3), Flags::READONLY, READ,
        doc("stream", "5.0.0", "O(N), N entries shown", "key group [[IDLE min-idle-time] start end count [consumer]]", "Tells what a group has not acknowledged."), group::xpending) },
    entry("xrange", Arity::AtLeast(4), Flags::READONLY, READ,
        doc("stream", "5.0.0", "O(N), N entries shown", "key start end [COUNT count]", "Reads the entries within a range of IDs."), |cx, args| xrange(cx, args, false)),
    entry("xread", Arity::AtLeast(4), Flags::READONLY.and(Flags::BLOCKING).and(Flags::MOVABLE_KEYS), &[streams_from(1)],
        doc("stream", "5.0.0", "O(N), N entries shown", "[COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]", "Reads the entries behind given IDs, waiting for some if asked to."), |cx, args| read::xread(cx, args, false)),
    entry("xreadgroup", Arity::AtLeast(7), Flags::WRITE.and(Flags::BLOCKING).and(Flags::MOVABLE_KEYS), &[streams_from(4)],
        doc("stream", "5.0.0", "O(N), N entries shown", "GROUP group consumer [COUNT count] [MAXCOUNT maxcount] [MAXSIZE maxsize] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]", "Reads entries as a group's consumer."), |cx, args| read::xread(cx, args, true)),
    entry("xrevrange", Arity::AtLeast(4), Flags::READONLY, READ,
        doc("stream", "5.0.0", "O(N), N entries shown", "key end start [COUNT count]", "Reads the entries within a range of IDs, the last one first."), |cx, args| xrange(cx, args, true)),
    entry("xsetid", Arity::AtLeast(3), WRITE_FAST.and(Flags::DENYOOM), UPDATE,
        doc("stream", "5.0.0", "O(1)", "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]", "Sets what a stream knows of its past."), add::xsetid),
    Command { tips: NONDETERMINISTIC, ..entry("xtrim", Arity::AtLeast(4), Flags::WRITE, DELETE,
        doc("stream", "5.0.0", "O(N), N entries deleted", "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]", "Deletes the oldest entries."), add::xtrim) },
];

// --- IDs as words ----------------------------------------------------------------------------------------------------

const BAD_ID: CommandError = CommandError::Text("ERR Invalid stream ID specified as stream command argument");
/// The longest word that may be an ID.
const LONGEST_ID: usize = 127;

/// A part of an ID, as C's library reads numbers: zeros, a plus and blanks may stand before it.
fn id_part(word: &[u8]) -> Option<u64> {
    let word = word.trim_ascii_start();
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if is_number { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// An ID, `missing` being the second part if there is none; whether the second part was not left to us (`ms-*`).
fn id_or_pattern(word: &[u8], missing: u64) -> Result<(StreamId, bool), CommandError> {
    if word.len() > LONGEST_ID {
        return Err(BAD_ID);
    }
    let Some(dash) = word.iter().position(|byte| *byte == b'-') else {
        return Ok((StreamId::new(id_part(word).ok_or(BAD_ID)?, missing), true));
    };
    let ms = id_part(&word[..dash]).ok_or(BAD_ID)?;
    match &word[dash + 1..] {
        b"*" => Ok((StreamId::new(ms, 0), false)),
        seq => Ok((StreamId::new(ms, id_part(seq).ok_or(BAD_ID)?), true)),
    }
}

/// An ID as it stands: no `-`, `+` or `*`.
fn strict_id(word: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    match id_or_pattern(word, missing)? {
        (id, true) => Ok(id),
        _ => Err(BAD_ID),
    }
}

/// An ID, `-` for the first or `+` for the last one.
fn loose_id(word: &[u8], missing: u64) -> Result<StreamId, CommandError> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict_id(word, missing),
    }
}

/// The start of a range; `(` leaves the ID itself out.
fn start_id(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        [b'(', id @ ..] if !id.is_empty() => {
            strict_id(id, 0)?.next().ok_or(CommandError::Text("ERR invalid start ID for the interval"))
        }
        _ => loose_id(word, 0),
    }
}

/// The end of a range; `(` leaves the ID itself out.
fn end_id(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        [b'(', id @ ..] if !id.is_empty() => {
            let id = strict_id(id, u64::MAX)?;
            id.previous().ok_or(CommandError::Text("ERR invalid end ID for the interval"))
        }
        _ => loose_id(word, u64::MAX),
    }
}

/// `IDS numids id [id …]`, which ends the words or is followed by others.
fn counted_ids(args: &mut Args<'_>) -> Result<Vec<StreamId>, CommandError> {
    if !args.take("IDS") {
        return Err(CommandError::Syntax);
    }
    let count = super::integer(args.expect_next()?).ok().filter(|count| *count > 0);
    let count = count.ok_or(CommandError::Text("ERR Number of IDs must be a positive integer"))?;
    if args.left() < usize::try_from(count).unwrap_or(usize::MAX) {
        return Err("ERR The `numids` parameter must match the number of arguments".into());
    }
    (0..count).map(|_| strict_id(args.next(), 0)).collect()
}

// --- replies ---------------------------------------------------------------------------------------------------------

fn write_id(reply: &mut Reply, id: StreamId) {
    // Twenty digits each and what lies between.
    let mut text = [0; 41];
    let mut buffer = itoa::Buffer::new();
    let mut len = 0;
    for (part, ends) in [(id.ms, false), (id.seq, true)] {
        let digits = buffer.format(part).as_bytes();
        text[len..len + digits.len()].copy_from_slice(digits);
        len += digits.len();
        if !ends {
            text[len] = b'-';
            len += 1;
        }
    }
    reply.bulk(&text[..len]);
}

fn write_element(reply: &mut Reply, element: &Element<'_>) {
    match element {
        Element::Int(value) => reply.bulk_integer(*value),
        Element::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// An array of fields and values.
fn write_fields(reply: &mut Reply, entry: &StreamEntry<'_>) {
    reply.array(2 * entry.len());
    for (field, value) in entry.fields() {
        write_element(reply, &field);
        write_element(reply, &value);
    }
}

fn write_entry(reply: &mut Reply, entry: &StreamEntry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    write_fields(reply, entry);
}

/// Writes an array of as many entries as there are, `most` at most; tells how many.
fn write_entries<'s>(
    reply: &mut Reply,
    entries: impl Iterator<Item = StreamEntry<'s>>,
    most: usize,
) -> usize {
    let mark = reply.mark();
    let mut written = 0;
    for entry in entries.take(most) {
        write_entry(reply, &entry);
        written += 1;
    }
    reply.array_at(mark, written);
    written
}

/// A count of which 0 or less means all.
fn most(count: i64) -> usize {
    if count <= 0 { usize::MAX } else { usize::try_from(count).unwrap_or(usize::MAX) }
}

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::Raw([b"NOGROUP No such key '", key, b"' or consumer group '", group, b"'"].concat())
}

/// The stream of a key that was found to hold one, for a change.
fn stream_mut<'c>(cx: &'c mut Cx<'_>, key: Key<'_>) -> &'c mut Stream {
    cx.server.edit(cx.db, key).ok().flatten().expect("the caller found a stream")
}

/// Notes a change of which watchers of the key don't hear, as Redis does it with groups.
fn note(cx: &mut Cx<'_>, key: Key<'_>, event: Option<crate::events::Event>) {
    cx.server.dirty += 1;
    if let Some(event) = event {
        cx.server.notify(cx.db, key.bytes, event);
    }
}

// --- reading ---------------------------------------------------------------------------------------------------------

fn xlen(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let key = cx.key(args.next());
    let len = cx.server.read_typed::<Stream>(cx.db, key)?.map_or(0, Stream::len);
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}

fn xrange(cx: &mut Cx<'_>, args: &mut Args<'_>, back: bool) -> CommandResult {
    let key = cx.key(args.next());
    let (first, second) = (args.next(), args.next());
    let (start, end) = if back { (second, first) } else { (first, second) };
    let (start, end) = (start_id(start)?, end_id(end)?);
    let mut count = None;
    while args.left() > 0 {
        if !args.take("COUNT") {
            return Err(CommandError::Syntax);
        }
        count = Some(args.integer()?.max(0));
    }
    let Some(stream) = cx.server.read_typed::<Stream>(cx.db, key)? else {
        cx.reply.array(0);
        return Ok(Outcome::Done);
    };
    let most = most(count.unwrap_or(0));
    if count == Some(0) {
        cx.reply.null_array();
    } else if back {
        write_entries(&mut cx.reply, stream.range_back(start, end), most);
    } else {
        write_entries(&mut cx.reply, stream.range(start, end), most);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Option<(u64, u64, bool)>) {
        let id = id_or_pattern(word.as_bytes(), 7).ok().map(|(id, given)| (id.ms, id.seq, given));
        assert_eq!(id, expected, "{word}");
    }

    #[test]
    fn ids_are_read() {
        check("5", Some((5, 7, true)));
        check("5-2", Some((5, 2, true)));
        check("5-*", Some((5, 0, false)));
        check("007-01", Some((7, 1, true)));
        check("18446744073709551615-18446744073709551615", Some((u64::MAX, u64::MAX, true)));
        for bad in
            ["", "-", "+", "*", "5-", "-5", "5-x", "18446744073709551616", "5--1", "5-1-1", "5-**", "1 "]
        {
            check(bad, None);
        }
    }

    #[test]
    fn bounds_may_be_left_out() {
        assert_eq!(start_id(b"(5-1").ok(), Some(StreamId::new(5, 2)));
        assert_eq!(end_id(b"(5").ok(), Some(StreamId::new(5, u64::MAX - 1)));
        assert_eq!((start_id(b"-").ok(), end_id(b"+").ok()), (Some(StreamId::MIN), Some(StreamId::MAX)));
        assert!(start_id(b"(18446744073709551615-18446744073709551615").is_err() && end_id(b"(0-0").is_err());
        assert!(start_id(b"(").is_err() && start_id(b"(-").is_err());
    }
}
