//! XREAD and XREADGROUP. `budget.rs` counts what a reply may hold, `idle.rs` finds entries that CLAIM takes over.

use super::budget::Budget;
use super::idle::{self, IdleEntry};
use super::{most, strict_id, write_entries, write_fields, write_id};
use crate::context::{Caller, Cx};
use crate::events::Event;
use crate::replication::Propagate;
use crate::server::Key;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::number::parse_i64;
use store::stream::{Group, Stream, StreamId};

/// Entries of one stream that a client gets at most which had to wait and named no number.
const WAITED_COUNT: i64 = 1000;

/// The ID of what a group was not given yet: a greater-than sign.
const NEW_ENTRIES: &[u8] = ">".as_bytes();

/// Who reads, and for which group.
#[derive(Clone, Copy)]
struct Reader<'k> {
    group: &'k [u8],
    consumer: &'k [u8],
    /// What is read counts as acknowledged.
    noack: bool,
}

struct Options<'k> {
    reader: Option<Reader<'k>>,
    /// Entries of each stream at most; 0 for all.
    count: i64,
    /// Entries of all streams at most, and bytes of the reply.
    max_count: Option<usize>,
    max_size: Option<usize>,
    /// Milliseconds; 0 is for ever.
    block: Option<i64>,
    /// Milliseconds for which pending entries must be idle to be taken over.
    claim: Option<i64>,
    streams: Vec<(Key<'k>, &'k [u8])>,
}

/// A timeout in whole milliseconds.
fn block_ms(word: &[u8], now_ms: i64) -> Result<i64, CommandError> {
    let ms = parse_i64(word).ok_or(CommandError::Text("ERR timeout is not an integer or out of range"))?;
    match ms {
        ..0 => Err("ERR timeout is negative".into()),
        ms if ms > i64::MAX - now_ms => Err("ERR timeout is out of range".into()),
        ms => Ok(ms),
    }
}

impl<'k> Options<'k> {
    fn parse(cx: &Cx<'_>, args: &mut Args<'k>, grouped: bool) -> Result<Self, CommandError> {
        let mut options = Self {
            reader: None,
            count: 0,
            max_count: None,
            max_size: None,
            block: None,
            claim: None,
            streams: Vec::new(),
        };
        let (mut noack, mut names) = (false, None);
        while args.left() > 0 {
            let more = args.left() - 1;
            if more > 0 && args.take("BLOCK") {
                if cx.caller == Caller::Script {
                    let name = String::from_utf8_lossy(args.get(0));
                    let text = format!("ERR {name} command is not allowed with BLOCK option from scripts");
                    return Err(CommandError::Message(text));
                }
                options.block = Some(block_ms(args.next(), cx.server.time.now_ms())?);
            } else if more > 0 && args.take("COUNT") {
                options.count = args.integer()?.max(0);
            } else if more > 0 && args.take("MAXCOUNT") {
                options.max_count = Some(cap(args, "ERR MAXCOUNT must be a positive integer")?);
            } else if more > 0 && args.take("MAXSIZE") {
                options.max_size = Some(cap(args, "ERR MAXSIZE must be a positive integer")?);
            } else if more > 0 && args.take("STREAMS") {
                options.streams = streams(cx, args, grouped)?;
                break;
            } else if more > 1 && args.take("GROUP") {
                if !grouped {
                    return Err(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
                            .into(),
                    );
                }
                names = Some((args.next(), args.next()));
            } else if more > 0 && args.take("CLAIM") {
                if !grouped {
                    return Err(
                        "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead."
                            .into(),
                    );
                }
                let idle_ms = args.integer()?;
                if idle_ms < 0 {
                    return Err("ERR min-idle-time must be a positive integer".into());
                }
                options.claim = Some(idle_ms);
            } else if args.take("NOACK") {
                if !grouped {
                    return Err(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
                            .into(),
                    );
                }
                noack = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if options.streams.is_empty() {
            return Err(CommandError::Syntax);
        }
        if options.max_count.is_some_and(|max_count| max_count < options.count.max(0) as usize) {
            return Err("ERR MAXCOUNT must be greater than or equal to COUNT".into());
        }
        options.reader = names.map(|(group, consumer)| Reader { group, consumer, noack });
        if grouped && options.reader.is_none() {
            return Err("ERR Missing GROUP option for XREADGROUP".into());
        }
        Ok(options)
    }
}

/// How many, more than none, of something that a reply holds at most.
fn cap(args: &mut Args<'_>, otherwise: &'static str) -> Result<usize, CommandError> {
    usize::try_from(args.integer()?).ok().filter(|cap| *cap > 0).ok_or(CommandError::Text(otherwise))
}

/// Keys and, for each, an ID.
fn streams<'k>(
    cx: &Cx<'_>,
    args: &Args<'k>,
    grouped: bool,
) -> Result<Vec<(Key<'k>, &'k [u8])>, CommandError> {
    if !args.left().is_multiple_of(2) {
        let (name, what) = if grouped { ("xreadgroup", "ID or '>'") } else { ("xread", "ID, '+', or '$'") };
        return Err(CommandError::Message(format!(
            "ERR Unbalanced '{name}' list of streams: for each stream key an {what} must be specified."
        )));
    }
    let words: Vec<&[u8]> = args.rest().collect();
    let (keys, ids) = words.split_at(words.len() / 2);
    Ok(keys.iter().zip(ids).map(|(key, id)| (cx.key(key), *id)).collect())
}

/// What a reader wants of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The entries behind this one.
    Behind(StreamId),
    /// What the group was not given yet.
    New,
    /// What the consumer was given and has not acknowledged, behind this ID.
    Own(StreamId),
}

/// Resolves a stream's ID for XREAD.
fn wanted(cx: &mut Cx<'_>, key: Key<'_>, word: &[u8]) -> Result<Wanted, CommandError> {
    let stream = cx.server.read_typed::<Stream>(cx.db, key)?;
    let id = match word {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.facts().last_id),
        // Just before the last entry; as `$` where there is none.
        b"+" => stream.map_or(StreamId::MIN, |stream| match stream.last_entry_id() {
            Some(last) => last.previous().unwrap_or(StreamId::MIN),
            None => stream.facts().last_id,
        }),
        NEW_ENTRIES => {
            return Err("ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.".into());
        }
        word => strict_id(word, 0)?,
    };
    Ok(Wanted::Behind(id))
}

/// Resolves a stream's ID for XREADGROUP, and makes sure that the group exists.
fn wanted_of_group(cx: &mut Cx<'_>, key: Key<'_>, word: &[u8], group: &[u8]) -> Result<Wanted, CommandError> {
    let resumed = cx.resumed.is_some();
    let stream = match cx.server.read_typed::<Stream>(cx.db, key) {
        Ok(None) | Err(_) if resumed => return Err("UNBLOCKED the stream key no longer exists".into()),
        stream => stream?,
    };
    if stream.is_none_or(|stream| stream.group(group).is_none()) {
        if resumed {
            return Err("NOGROUP the consumer group this client was blocked on no longer exists".into());
        }
        let text = [
            b"NOGROUP No such key '",
            key.bytes,
            b"' or consumer group '",
            group,
            b"' in XREADGROUP with GROUP option",
        ];
        return Err(CommandError::Raw(text.concat()));
    }
    match word {
        b"$" => Err("ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.".into()),
        b"+" => Err("ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.".into()),
        NEW_ENTRIES => Ok(Wanted::New),
        word => Ok(Wanted::Own(strict_id(word, 0)?)),
    }
}

pub(super) fn xread(cx: &mut Cx<'_>, args: &mut Args<'_>, grouped: bool) -> CommandResult {
    let mut options = Options::parse(cx, args, grouped)?;
    let mut wants = Vec::with_capacity(options.streams.len());
    let waited = std::mem::take(&mut cx.waited_ids);
    for (index, (key, word)) in options.streams.iter().enumerate() {
        wants.push(match (&options.reader, waited.get(index)) {
            (Some(reader), _) => wanted_of_group(cx, *key, word, reader.group)?,
            // `$` is what it was when the wait began.
            (None, Some(id)) => Wanted::Behind(*id),
            (None, None) => wanted(cx, *key, word)?,
        });
    }
    if cx.resumed.is_some() && options.count == 0 {
        options.count = WAITED_COUNT;
    }
    if let Some(reader) = options.reader {
        // What was read and by whom is told in other words.
        cx.propagate = Propagate::Nothing;
        let new: Vec<bool> = options.streams.iter().map(|(key, _)| greet(cx, *key, reader)).collect();
        let served = serve_all(cx, &options, &wants);
        for ((key, _), _) in options.streams.iter().zip(new).filter(|(_, new)| *new) {
            propagate_consumer(cx, *key, reader, served);
        }
        if served {
            return Ok(Outcome::Done);
        }
    } else if serve_all(cx, &options, &wants) {
        return Ok(Outcome::Done);
    }
    let Some(timeout) = options.block.filter(|_| cx.caller == Caller::Client) else {
        cx.reply.null_array();
        return Ok(Outcome::Done);
    };
    let deadline = cx.deadline(timeout);
    let ids = wants.iter().map(|wanted| match wanted {
        Wanted::Behind(id) | Wanted::Own(id) => *id,
        Wanted::New => StreamId::MAX,
    });
    let ids = ids.collect();
    if let Some(least_ms) = options.claim {
        let reader = options.reader.expect("only a group's reader may claim");
        let keys = options.streams.iter().zip(&wants).filter(|(_, wanted)| **wanted == Wanted::New);
        let first = keys.filter_map(|((key, _), _)| idle::first_due(cx, *key, reader.group, least_ms)).min();
        cx.server.blocked.set_alarm(cx.slot, first);
    }
    cx.wait_for_streams(options.streams.iter().map(|(key, _)| key.bytes), ids, deadline, grouped);
    Ok(Outcome::Block)
}

/// Notes that a consumer has come; true when that made it.
fn greet(cx: &mut Cx<'_>, key: Key<'_>, reader: Reader<'_>) -> bool {
    let now_ms = cx.server.time.now_ms();
    let Some(group) = super::stream_mut(cx, key).group_mut(reader.group) else { return false };
    let is_new = group.create_consumer(reader.consumer, now_ms);
    group.touch_consumer(reader.consumer, now_ms, None);
    if is_new {
        super::note(cx, key, Some(Event::XGROUP_CREATECONSUMER));
    }
    is_new
}

/// A consumer that got nothing to keep must be made by replicas all the same.
fn propagate_consumer(cx: &mut Cx<'_>, key: Key<'_>, reader: Reader<'_>, served: bool) {
    let has_entries = || {
        let stream =
            cx.server.keyspace.db(cx.db).get(key.hash, key.bytes).and_then(|entry| entry.typed::<Stream>());
        let group = stream.and_then(|stream| stream.group(reader.group));
        let consumer = group.and_then(|group| group.consumer(reader.consumer));
        consumer.is_some_and(|(_, consumer)| !consumer.pending().is_empty())
    };
    if cx.server.replication.is_active() && (reader.noack || !served || !has_entries()) {
        cx.propagate_as(&[b"XGROUP", b"CREATECONSUMER", key.bytes, reader.group, reader.consumer]);
    }
}

/// A stream of which there is something to reply.
struct Ready<'k> {
    key: Key<'k>,
    wanted: Wanted,
    /// Entries to take over.
    idle: Vec<IdleEntry>,
}

/// The streams of which there is something to reply.
fn find_ready<'k>(cx: &mut Cx<'_>, options: &Options<'k>, wants: &[Wanted]) -> Vec<Ready<'k>> {
    let now_ms = cx.server.time.now_ms();
    let mut ready = Vec::new();
    for ((key, _), wanted) in options.streams.iter().zip(wants) {
        // A stream that is gone meanwhile, or turned into something else, has nothing.
        let stream = cx.server.peek(cx.db, *key).and_then(|entry| entry.typed::<Stream>());
        let last = stream.and_then(Stream::last_entry_id);
        let group = options.reader.and_then(|reader| stream?.group(reader.group));
        let idle = match (options.claim, group, wanted) {
            (Some(least_ms), Some(group), Wanted::New) => idle::longest_first(group, least_ms, now_ms),
            _ => Vec::new(),
        };
        let is_ready = match wanted {
            Wanted::Behind(id) => last.is_some_and(|last| last > *id),
            Wanted::New => {
                !idle.is_empty() || last.zip(group).is_some_and(|(last, group)| last > group.last_id)
            }
            Wanted::Own(_) => true,
        };
        if is_ready {
            ready.push(Ready { key: *key, wanted: *wanted, idle });
        }
    }
    ready
}

/// Replies what there is of all streams; false when there is nothing.
fn serve_all(cx: &mut Cx<'_>, options: &Options<'_>, wants: &[Wanted]) -> bool {
    let ready = find_ready(cx, options, wants);
    if ready.is_empty() {
        return false;
    }
    let mut budget = Budget::new(&cx.reply, options.max_count, options.max_size);
    // Without those options each stream has entries; with them its turn may not come, or what was idle be gone.
    let is_certain = options.max_count.is_none() && options.max_size.is_none() && options.claim.is_none();
    let start = cx.reply.mark();
    if is_certain {
        cx.reply.entries(ready.len());
    }
    let mut served = 0;
    for Ready { key, wanted, idle } in ready {
        if budget.is_spent() {
            break;
        }
        let before = cx.reply.mark();
        cx.reply.entry();
        cx.reply.bulk(key.bytes);
        let written = match (wanted, options.reader) {
            (Wanted::Behind(id), _) => serve(cx, key, id, options.count, &mut budget),
            (Wanted::New, Some(reader)) => serve_group(cx, key, reader, options, &idle, &mut budget),
            (Wanted::Own(id), Some(reader)) => serve_history(cx, key, reader, id, options.count, &mut budget),
            (_, None) => unreachable!("only a group's reader wants that"),
        };
        let shows_nothing = matches!(wanted, Wanted::Own(_)) && !budget.is_spent();
        if written == 0 && !shows_nothing && !is_certain {
            cx.reply.truncate(before);
        } else {
            served += 1;
        }
    }
    if !is_certain && served > 0 {
        cx.reply.insert_at(start, |head| head.entries(served));
    }
    is_certain || served > 0
}

fn peek<'c>(cx: &'c Cx<'_>, key: Key<'_>) -> &'c Stream {
    let entry = cx.server.keyspace.db(cx.db).get(key.hash, key.bytes);
    entry.and_then(|entry| entry.typed()).expect("the caller found a stream")
}

/// Writes the entries behind an ID; how many.
fn serve(cx: &mut Cx<'_>, key: Key<'_>, behind: StreamId, count: i64, budget: &mut Budget) -> usize {
    let entry = cx.server.keyspace.db(cx.db).get(key.hash, key.bytes);
    let stream: &Stream = entry.and_then(|entry| entry.typed()).expect("the caller found a stream");
    let start = behind.next().unwrap_or(StreamId::MAX);
    let entries = stream.range(start, StreamId::MAX);
    if budget.is_endless() {
        return write_entries(&mut cx.reply, entries, most(count));
    }
    let mark = cx.reply.mark();
    let mut written = 0;
    for entry in entries.take(most(count)) {
        if !budget.write(&mut cx.reply, |reply| super::write_entry(reply, &entry)) {
            break;
        }
        written += 1;
    }
    cx.reply.array_at(mark, written);
    written
}

/// Gives a consumer what others had for too long, and what its group was not given yet; how many that is.
fn serve_group(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    reader: Reader<'_>,
    options: &Options<'_>,
    idle: &[IdleEntry],
    budget: &mut Budget,
) -> usize {
    let mark = cx.reply.mark();
    let claimed =
        idle::take_over(cx, key, (reader.group, reader.consumer), idle, most(options.count), budget);
    let left = most(options.count) - claimed;
    let mut ids = Vec::new();
    {
        let entry = cx.server.keyspace.db(cx.db).get(key.hash, key.bytes);
        let stream: &Stream = entry.and_then(|entry| entry.typed()).expect("the caller found a stream");
        let group = stream.group(reader.group).expect("the caller found the group");
        let start = group.last_id.next().unwrap_or(StreamId::MAX);
        for entry in stream.range(start, StreamId::MAX).take(left) {
            let is_written = budget.write(&mut cx.reply, |reply| match options.claim {
                None => super::write_entry(reply, &entry),
                Some(_) => idle::write_claimed(reply, &entry, 0, 0),
            });
            if !is_written {
                break;
            }
            ids.push(entry.id);
        }
    }
    cx.reply.array_at(mark, claimed + ids.len());
    if !ids.is_empty() {
        deliver(cx, key, reader, &ids);
    }
    claimed + ids.len()
}

/// Notes that a consumer was given new entries.
fn deliver(cx: &mut Cx<'_>, key: Key<'_>, reader: Reader<'_>, ids: &[StreamId]) {
    let now_ms = cx.server.time.now_ms();
    let stream = super::stream_mut(cx, key);
    let group = stream.group(reader.group).expect("it was just seen");
    let mut entries_read = group.entries_read;
    ids.iter().for_each(|id| entries_read = stream.entries_read_at(entries_read, *id));
    let group = stream.group_mut(reader.group).expect("it was just seen");
    group.entries_read = entries_read;
    group.last_id = ids.last().copied().unwrap_or(group.last_id);
    group.touch_consumer(reader.consumer, now_ms, Some(now_ms));
    if !reader.noack {
        ids.iter().for_each(|id| group.assign(*id, reader.consumer, now_ms, 1));
        cx.server.blocked.signal_pending(cx.db, key.bytes);
    }
    cx.server.dirty += 1;
    if cx.is_propagating() {
        if !reader.noack {
            for id in ids {
                propagate_claim(cx, key, reader.group, *id, *id);
            }
        }
        propagate_group_id(cx, key, reader.group);
    }
}

/// Shows a consumer again what it was given; how many entries that is.
fn serve_history(
    cx: &mut Cx<'_>,
    key: Key<'_>,
    reader: Reader<'_>,
    behind: StreamId,
    count: i64,
    budget: &mut Budget,
) -> usize {
    let mut found = Vec::new();
    let mut written = 0;
    {
        let entry = cx.server.keyspace.db(cx.db).get(key.hash, key.bytes);
        let stream: &Stream = entry.and_then(|entry| entry.typed()).expect("the caller found a stream");
        let group = stream.group(reader.group).expect("the caller found the group");
        let (_, consumer) = group.consumer(reader.consumer).expect("it has just come");
        let start = behind.next().unwrap_or(StreamId::MAX);
        let ids = consumer.pending().iter_from(start).map(|(id, ())| id).take(most(count));
        let mark = cx.reply.mark();
        for id in ids {
            let entry = stream.range(id, id).next();
            let is_written = budget.write(&mut cx.reply, |reply| {
                reply.array(2);
                write_id(reply, id);
                match &entry {
                    Some(entry) => write_fields(reply, entry),
                    None => reply.null_array(),
                }
            });
            if !is_written {
                break;
            }
            written += 1;
            found.extend(entry.map(|_| id));
        }
        cx.reply.array_at(mark, written);
    }
    let now_ms = cx.server.time.now_ms();
    cx.server.dirty += 1;
    if let Some(group) = super::stream_mut(cx, key).group_mut(reader.group) {
        found.iter().for_each(|id| group.redeliver(*id, now_ms));
    }
    written
}

/// Tells replicas what a pending entry has become, and how far its group is.
pub(super) fn propagate_claim(cx: &mut Cx<'_>, key: Key<'_>, name: &[u8], id: StreamId, last_id: StreamId) {
    let nack = peek(cx, key).group(name).and_then(|group| group.pending().get(id)).cloned();
    let Some(nack) = nack else { return };
    let (id, last_id) = (id.to_string(), last_id.to_string());
    let Some(consumer) = nack.consumer else {
        return cx.propagate_as(&[b"XACK", key.bytes, name, id.as_bytes()]);
    };
    let (time, count) = (nack.delivered_ms.to_string(), nack.deliveries.min(i64::MAX as u64).to_string());
    cx.propagate_as(&[
        b"XCLAIM",
        key.bytes,
        name,
        &consumer,
        b"0",
        id.as_bytes(),
        b"TIME",
        time.as_bytes(),
        b"RETRYCOUNT",
        count.as_bytes(),
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        last_id.as_bytes(),
    ]);
}

/// Tells replicas how far a group is.
pub(super) fn propagate_group_id(cx: &mut Cx<'_>, key: Key<'_>, name: &[u8]) {
    let Some(Group { last_id, entries_read, .. }) = peek(cx, key).group(name) else { return };
    let (last_id, read) = (last_id.to_string(), entries_read.map_or(-1, u64::cast_signed).to_string());
    cx.propagate_as(&[
        b"XGROUP",
        b"SETID",
        key.bytes,
        name,
        last_id.as_bytes(),
        b"ENTRIESREAD",
        read.as_bytes(),
    ]);
}
