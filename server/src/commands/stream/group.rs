//! XGROUP, XACK and XPENDING.

use super::{end_id, loose_id, no_group, start_id, stream_mut, strict_id, write_id};
use crate::commands::entry;
use crate::context::Cx;
use crate::events::Event;
use crate::server::{Key, Ochre};
use common::command::{
    Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome, write_help,
};
use store::stream::{Group, Nack, Stream, StreamId};

const WRITE: Flags = Flags::WRITE.and(Flags::DENYOOM);
const INSERT: &[KeySpec] = &[KeySpec::one(2, Access::RwInsert)];
const DELETE: &[KeySpec] = &[KeySpec::one(2, Access::Delete)];

#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    entry("create", Arity::AtLeast(5), WRITE, INSERT,
        super::doc("stream", "5.0.0", "O(1)", "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]", "Makes a group."), create),
    entry("createconsumer", Arity::Exactly(5), WRITE, INSERT,
        super::doc("stream", "6.2.0", "O(1)", "key group consumer", "Makes a consumer."), create_consumer),
    entry("delconsumer", Arity::Exactly(5), Flags::WRITE, DELETE,
        super::doc("stream", "5.0.0", "O(N), N pending entries of the consumer", "key group consumer", "Deletes a consumer with its pending entries."), delete_consumer),
    entry("destroy", Arity::Exactly(4), Flags::WRITE, DELETE,
        super::doc("stream", "5.0.0", "O(N), N pending entries of the group", "key group", "Deletes a group."), destroy),
    entry("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[],
        super::doc("stream", "5.0.0", "O(1)", "", "Lists the subcommands of XGROUP."), help),
    entry("setid", Arity::AtLeast(5), Flags::WRITE, &[KeySpec::one(2, Access::Update)],
        super::doc("stream", "5.0.0", "O(1)", "key group <id | $> [ENTRIESREAD entries-read]", "Sets how far a group is."), set_id),
];

pub(super) fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "XGROUP", LINES);
    Ok(Outcome::Done)
}

/// What follows the ID of CREATE and SETID: whether to make the stream, and the count.
fn options(args: &mut Args<'_>, creates: bool) -> Result<(bool, Option<u64>), CommandError> {
    let (mut make, mut entries_read) = (false, None);
    while args.left() > 0 {
        if creates && args.take("MKSTREAM") {
            make = true;
        } else if args.left() > 1 && args.take("ENTRIESREAD") {
            let count = args.integer()?;
            if count < -1 {
                return Err("ERR value for ENTRIESREAD must be positive or -1".into());
            }
            entries_read = u64::try_from(count).ok();
        } else {
            return Err(bad_subcommand(args));
        }
    }
    Ok((make, entries_read))
}

pub(super) fn bad_subcommand(args: &Args<'_>) -> CommandError {
    let name = String::from_utf8_lossy(args.get(0)).to_ascii_uppercase();
    let text = b"ERR unknown subcommand or wrong number of arguments for '";
    CommandError::Raw([text, args.get(1), b"'. Try ", name.as_bytes(), b" HELP."].concat())
}

const NEEDS_KEY: CommandError = CommandError::Text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

pub(super) fn no_such_group(key: &[u8], group: &[u8]) -> CommandError {
    CommandError::Raw([b"NOGROUP No such consumer group '", group, b"' for key name '", key, b"'"].concat())
}

fn create(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let (key, name, id) = (cx.key(args.next()), args.next(), args.next());
    let (make, entries_read) = options(args, true)?;
    let last_id = match cx.server.find_typed::<Stream>(cx.db, key)? {
        None if !make => return Err(NEEDS_KEY),
        stream if id == b"$" => stream.map_or(StreamId::MIN, |stream| stream.facts().last_id),
        _ => strict_id(id, 0)?,
    };
    let is_new = cx.server.find(cx.db, key).is_none();
    let stream: &mut Stream = cx.server.edit_or_create(cx.db, key)?;
    if !stream.create_group(name, Group::new(last_id, entries_read)) {
        return Err("BUSYGROUP Consumer Group name already exists".into());
    }
    if is_new {
        cx.server.touch(cx.db, key.bytes);
    }
    cx.reply.ok();
    super::note(cx, key, Some(Event::XGROUP_CREATE));
    Ok(Outcome::Done)
}

/// Makes sure that key and group exist.
fn find_group(cx: &mut Cx<'_>, key: Key<'_>, name: &[u8]) -> Result<(), CommandError> {
    let stream = cx.server.find_typed::<Stream>(cx.db, key)?.ok_or(NEEDS_KEY)?;
    stream.group(name).map(drop).ok_or_else(|| no_such_group(key.bytes, name))
}

fn group_mut<'c>(cx: &'c mut Cx<'_>, key: Key<'_>, name: &[u8]) -> &'c mut Group {
    stream_mut(cx, key).group_mut(name).expect("the caller found the group")
}

fn set_id(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let (key, name, id) = (cx.key(args.next()), args.next(), args.next());
    let (_, entries_read) = options(args, false)?;
    find_group(cx, key, name)?;
    let stream = stream_mut(cx, key);
    let id = if id == b"$" { stream.facts().last_id } else { loose_id(id, 0)? };
    let group = group_mut(cx, key, name);
    (group.last_id, group.entries_read) = (id, entries_read);
    cx.reply.ok();
    super::note(cx, key, Some(Event::XGROUP_SETID));
    Ok(Outcome::Done)
}

fn destroy(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let (key, name) = (cx.key(args.next()), args.next());
    cx.server.find_typed::<Stream>(cx.db, key)?.ok_or(NEEDS_KEY)?;
    let destroyed = stream_mut(cx, key).destroy_group(name);
    if destroyed {
        super::note(cx, key, Some(Event::XGROUP_DESTROY));
        // Readers of the group learn that it is gone.
        cx.server.blocked.signal(cx.db, key.bytes);
    }
    cx.reply.integer(i64::from(destroyed));
    Ok(Outcome::Done)
}

fn create_consumer(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let (key, name, consumer) = (cx.key(args.next()), args.next(), args.next());
    find_group(cx, key, name)?;
    let now_ms = cx.server.time.now_ms();
    let created = group_mut(cx, key, name).create_consumer(consumer, now_ms);
    if created {
        super::note(cx, key, Some(Event::XGROUP_CREATECONSUMER));
    }
    cx.reply.integer(i64::from(created));
    Ok(Outcome::Done)
}

fn delete_consumer(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let (key, name, consumer) = (cx.key(args.next()), args.next(), args.next());
    find_group(cx, key, name)?;
    let pending = group_mut(cx, key, name).delete_consumer(consumer);
    if pending.is_some() {
        super::note(cx, key, Some(Event::XGROUP_DELCONSUMER));
    }
    cx.reply.integer(pending.unwrap_or(0) as i64);
    Ok(Outcome::Done)
}

pub(super) fn xack(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args.next()), args.next());
    let stream = cx.server.read_typed::<Stream>(cx.db, key)?;
    if stream.is_none_or(|stream| stream.group(name).is_none()) {
        cx.reply.integer(0);
        return Ok(Outcome::Done);
    }
    let ids = args.rest().map(|word| strict_id(word, 0)).collect::<Result<Vec<_>, _>>()?;
    let group = group_mut(cx, key, name);
    let acknowledged = ids.into_iter().filter(|id| group.acknowledge(*id)).count();
    cx.server.dirty += acknowledged as u64;
    cx.reply.integer(acknowledged as i64);
    Ok(Outcome::Done)
}

/// Which pending entries XPENDING shows.
struct Shown<'k> {
    least_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'k [u8]>,
}

impl<'k> Shown<'k> {
    fn parse(args: &mut Args<'k>) -> Result<Self, CommandError> {
        if !(3..=6).contains(&args.left()) {
            return Err(CommandError::Syntax);
        }
        let mut least_idle_ms = 0;
        if args.take("IDLE") {
            least_idle_ms = args.integer()?;
            if args.left() < 3 {
                return Err(CommandError::Syntax);
            }
        }
        let (start, end) = (args.next(), args.next());
        let count = usize::try_from(args.integer()?).unwrap_or(0);
        let (start, end) = (start_id(start)?, end_id(end)?);
        Ok(Self { least_idle_ms, start, end, count, consumer: args.try_next() })
    }
}

pub(super) fn xpending(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (key, name) = (cx.key(args.next()), args.next());
    let shown = if args.left() > 0 { Some(Shown::parse(args)?) } else { None };
    let now_ms = cx.server.time.now_ms();
    let stream = cx.server.read_typed::<Stream>(cx.db, key)?;
    let group = stream.and_then(|stream| stream.group(name)).ok_or_else(|| no_group(key.bytes, name))?;
    let reply = &mut cx.reply;
    let Some(shown) = shown else {
        summarize(reply, group);
        return Ok(Outcome::Done);
    };
    let write = |reply: &mut common::resp::Reply, (id, nack): (StreamId, &Nack)| {
        reply.array(4);
        write_id(reply, id);
        reply.bulk(nack.consumer.as_deref().unwrap_or(b""));
        reply.integer(now_ms.saturating_sub(nack.delivered_ms).max(0));
        reply.integer(nack.deliveries.cast_signed());
    };
    let fits = |(id, nack): &(StreamId, &Nack)| {
        *id <= shown.end
            && (shown.least_idle_ms == 0 || now_ms.saturating_sub(nack.delivered_ms) >= shown.least_idle_ms)
    };
    let mark = reply.mark();
    let mut written = 0;
    match shown.consumer {
        None => {
            let entries = group.pending().iter_from(shown.start).take_while(|(id, _)| *id <= shown.end);
            for entry in entries.filter(fits).take(shown.count) {
                write(reply, entry);
                written += 1;
            }
        }
        Some(consumer) => {
            let Some((_, consumer)) = group.consumer(consumer) else {
                reply.array(0);
                return Ok(Outcome::Done);
            };
            let ids = consumer.pending().iter_from(shown.start).take_while(|(id, ())| *id <= shown.end);
            let entries = ids.filter_map(|(id, ())| Some((id, group.pending().get(id)?)));
            for entry in entries.filter(fits).take(shown.count) {
                write(reply, entry);
                written += 1;
            }
        }
    }
    reply.array_at(mark, written);
    Ok(Outcome::Done)
}

/// How much is pending, from where to where, and with whom.
fn summarize(reply: &mut common::resp::Reply, group: &Group) {
    reply.array(4);
    reply.integer(group.pending().len() as i64);
    let (Some(first), Some(last)) = (group.pending().first(), group.pending().last()) else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    write_id(reply, first);
    write_id(reply, last);
    let busy = || group.consumers().filter(|(_, consumer)| !consumer.pending().is_empty());
    reply.array(busy().count());
    for (name, consumer) in busy() {
        reply.array(2);
        reply.bulk(name);
        reply.bulk_integer(consumer.pending().len() as i64);
    }
}
