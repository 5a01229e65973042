//! Streams.
//!
//! ```text
//! nodes     length, { string: 16 bytes of the node's ID, string holding a listpack }
//! facts     length, last ID                                 an ID is two lengths
//!           from 19 on: first ID, greatest deleted ID, entries added
//! groups    length, { name, last ID, from 19 on: entries read (all ones: unknown),
//!                     length, { 16 bytes of an ID, delivery time 8 bytes LE, deliveries },
//!                     length, { consumer's name, seen time 8 bytes LE, from 21 on: active time likewise,
//!                               length, { 16 bytes of an ID } } }
//!
//! producers from 26 on: seconds and number that are remembered,
//!           length, { name, length, { name of an entry, ID } }, entries ever added, ever found to be duplicates
//!
//! 15 written by Redis 5 and 6, 19 by 7.0 and here, 21 by 7.2 and later, 26 by 8.6, and here if there are producers
//! ```

use std::io::{self, Read, Write};

use super::super::RdbCause;
use super::super::input::Input;
use super::super::writer::Writer;
use store::Listpack;
use store::stream::{BadStream, Group, IdMap, ProducerLimits, Stream, StreamFacts, StreamId};

const FIRST: u8 = 15;
const SECOND: u8 = 19;
const THIRD: u8 = 21;
const FOURTH: u8 = 26;

/// The numbers that are read.
pub const KINDS: [u8; 4] = [FIRST, SECOND, THIRD, FOURTH];

/// The number that a stream is written with.
pub fn kind_of(stream: &Stream) -> u8 {
    if stream.producers().is_some() { FOURTH } else { SECOND }
}

/// A count that is not known.
const UNKNOWN: u64 = u64::MAX;

/// When a consumer was active that never was.
const NEVER: i64 = -1;

/// A consumer to whom entries are written that belong to nobody: the format has no other place for them.
const NOBODY: &[u8] = b"";

impl From<BadStream> for RdbCause {
    fn from(error: BadStream) -> Self {
        RdbCause::Node(error.0)
    }
}

/// Reads a stream.
pub fn read<R: Read>(kind: u8, input: &mut Input<R>) -> Result<Stream, RdbCause> {
    let mut stream = Stream::default();
    for _ in 0..input.len()? {
        let master = input.string()?.try_into().map_err(|_| RdbCause::Node("stream node's ID"))?;
        let pack = Listpack::from_bytes(&input.string()?).map_err(|_| RdbCause::Node("stream listpack"))?;
        stream.push_node(StreamId::from_bytes(master), pack)?;
    }
    let mut facts = StreamFacts { len: input.len()?, last_id: id(input)?, ..StreamFacts::default() };
    if kind == FIRST {
        facts.entries_added = facts.len;
        facts.first_id = stream.find_first_id();
    } else {
        (facts.first_id, facts.max_deleted_id) = (id(input)?, id(input)?);
        facts.entries_added = input.len()?;
    }
    stream.settle(facts)?;
    for _ in 0..input.len()? {
        let name = input.string()?;
        let group = read_group(kind, input, &stream)?;
        if !stream.create_group(&name, group) {
            return Err(RdbCause::Node("stream: two groups of one name"));
        }
    }
    if kind == FOURTH {
        read_producers(input, &mut stream)?;
    }
    Ok(stream)
}

fn read_producers<R: Read>(input: &mut Input<R>, stream: &mut Stream) -> Result<(), RdbCause> {
    let limits = ProducerLimits::checked(input.len()?, input.len()?);
    let producers = stream.producers_mut(limits.ok_or(RdbCause::Node("stream: limits of producers"))?);
    for _ in 0..input.len()? {
        let producer = input.string()?;
        for _ in 0..input.len()? {
            let name = input.string()?;
            producers.restore(&producer, &name, id(input)?);
        }
    }
    (producers.added, producers.duplicates) = (input.len()?, input.len()?);
    Ok(())
}

/// An ID as two lengths.
fn id<R: Read>(input: &mut Input<R>) -> Result<StreamId, RdbCause> {
    Ok(StreamId::new(input.len()?, input.len()?))
}

/// An ID as sixteen bytes.
fn raw_id<R: Read>(input: &mut Input<R>) -> Result<StreamId, RdbCause> {
    input.array().map(StreamId::from_bytes)
}

fn read_group<R: Read>(kind: u8, input: &mut Input<R>, stream: &Stream) -> Result<Group, RdbCause> {
    let last_id = id(input)?;
    let entries_read = match kind {
        FIRST => stream.entries_up_to(last_id),
        _ => Some(input.len()?).filter(|count| *count != UNKNOWN),
    };
    let mut group = Group::new(last_id, entries_read);
    let mut deliveries = IdMap::default();
    for _ in 0..input.len()? {
        let (id, at_ms, count) = (raw_id(input)?, i64::from_le_bytes(input.array()?), input.len()?);
        if deliveries.insert(id, (at_ms, count)).is_some() {
            return Err(RdbCause::Node("stream: an entry is pending twice"));
        }
    }
    for _ in 0..input.len()? {
        let name = input.string()?;
        let seen_ms = i64::from_le_bytes(input.array()?);
        let active_ms = match kind {
            THIRD | FOURTH => Some(i64::from_le_bytes(input.array()?)).filter(|at| *at >= 0),
            // What a consumer last got is not known; Redis takes the time when it was seen.
            _ => Some(seen_ms),
        };
        if !group.create_consumer(&name, seen_ms) {
            return Err(RdbCause::Node("stream: two consumers of one name"));
        }
        group.touch_consumer(&name, seen_ms, active_ms);
        for _ in 0..input.len()? {
            let id = raw_id(input)?;
            let (at_ms, count) =
                deliveries.remove(id).ok_or(RdbCause::Node("stream: a pending entry's consumer"))?;
            group.assign(id, &name, at_ms, count);
        }
    }
    if deliveries.is_empty() {
        Ok(group)
    } else {
        Err(RdbCause::Node("stream: a pending entry without consumer"))
    }
}

/// Writes a stream.
pub fn write<W: Write>(writer: &mut Writer<W>, stream: &Stream) -> io::Result<()> {
    writer.put_len(stream.node_count() as u64);
    let mut scratch = Vec::new();
    for (master, node) in stream.nodes() {
        writer.put_string(&master.to_bytes())?;
        scratch.clear();
        node.write_to(&mut scratch);
        writer.put_string(&scratch)?;
    }
    let facts = stream.facts();
    writer.put_len(facts.len);
    for id in [facts.last_id, facts.first_id, facts.max_deleted_id] {
        put_id(writer, id);
    }
    writer.put_len(facts.entries_added);
    writer.put_len(stream.groups().len() as u64);
    for (name, group) in stream.groups() {
        writer.put_string(name)?;
        put_id(writer, group.last_id);
        writer.put_len(group.entries_read.unwrap_or(UNKNOWN));
        write_pending(writer, group, kind_of(stream))?;
    }
    write_producers(writer, stream)
}

fn write_producers<W: Write>(writer: &mut Writer<W>, stream: &Stream) -> io::Result<()> {
    let Some(producers) = stream.producers() else { return Ok(()) };
    let limits = producers.limits();
    writer.put_len(limits.duration_s.into());
    writer.put_len(limits.max_size.into());
    let all = producers.iter();
    writer.put_len(all.len() as u64);
    for (producer, number, sent) in all {
        writer.put_string(producer)?;
        writer.put_len(number as u64);
        for (name, id) in sent {
            writer.put_string(name)?;
            put_id(writer, id);
        }
    }
    writer.put_len(producers.added);
    writer.put_len(producers.duplicates);
    Ok(())
}

fn put_id<W: Write>(writer: &mut Writer<W>, id: StreamId) {
    writer.put_len(id.ms);
    writer.put_len(id.seq);
}

fn write_pending<W: Write>(writer: &mut Writer<W>, group: &Group, kind: u8) -> io::Result<()> {
    writer.put_len(group.pending().len() as u64);
    for (id, nack) in group.pending().iter() {
        writer.put_bytes(&id.to_bytes())?;
        writer.put_bytes(&nack.delivered_ms.to_le_bytes())?;
        writer.put_len(nack.deliveries);
    }
    let released: Vec<StreamId> = match group.released() {
        0 => Vec::new(),
        _ => group.pending().iter().filter(|(_, nack)| nack.consumer.is_none()).map(|(id, _)| id).collect(),
    };
    let extra = !released.is_empty() && group.consumer(NOBODY).is_none();
    writer.put_len((group.consumers().len() + usize::from(extra)) as u64);
    if extra {
        writer.put_string(NOBODY)?;
        writer.put_bytes(&0i64.to_le_bytes())?;
        if kind == FOURTH {
            writer.put_bytes(&NEVER.to_le_bytes())?;
        }
        write_ids(writer, released.iter().copied(), released.len())?;
    }
    for (name, consumer) in group.consumers() {
        writer.put_string(name)?;
        writer.put_bytes(&consumer.seen_ms.to_le_bytes())?;
        if kind == FOURTH {
            writer.put_bytes(&consumer.active_ms.unwrap_or(NEVER).to_le_bytes())?;
        }
        let own = consumer.pending().iter().map(|(id, ())| id);
        if **name == *NOBODY && !released.is_empty() {
            let mut both: Vec<StreamId> = own.chain(released.iter().copied()).collect();
            both.sort_unstable();
            write_ids(writer, both.iter().copied(), both.len())?;
        } else {
            write_ids(writer, own, consumer.pending().len())?;
        }
    }
    Ok(())
}

fn write_ids<W: Write>(
    writer: &mut Writer<W>,
    mut ids: impl Iterator<Item = StreamId>,
    len: usize,
) -> io::Result<()> {
    writer.put_len(len as u64);
    ids.try_for_each(|id| writer.put_bytes(&id.to_bytes()))
}
