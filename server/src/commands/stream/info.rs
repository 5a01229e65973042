//! XINFO.

use super::group::{bad_subcommand, no_such_group};
use super::{most, write_entries, write_entry, write_id};
use crate::commands::entry;
use crate::context::Cx;
use crate::server::Ochre;
use common::command::{
    Access, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome, write_help,
};
use common::resp::Reply;
use store::stream::{Group, Stream, StreamId};

const READ: &[KeySpec] = &[KeySpec::one(2, Access::Read)];

#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    Command { tips: super::NONDETERMINISTIC, ..entry("consumers", Arity::Exactly(4), Flags::READONLY, READ,
        super::doc("stream", "5.0.0", "O(N), N consumers", "key group", "Lists a group's consumers."), consumers) },
    entry("groups", Arity::Exactly(3), Flags::READONLY, READ,
        super::doc("stream", "5.0.0", "O(N), N groups", "key", "Lists a stream's groups."), groups),
    entry("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[],
        super::doc("stream", "5.0.0", "O(1)", "", "Lists the subcommands of XINFO."), help),
    entry("stream", Arity::AtLeast(3), Flags::READONLY, READ,
        super::doc("stream", "5.0.0", "O(1)", "key [FULL [COUNT count]]", "Tells about a stream."), stream),
];

pub(super) fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "XINFO", LINES);
    Ok(Outcome::Done)
}

const NO_KEY: CommandError = CommandError::Text("ERR no such key");

fn name(reply: &mut Reply, name: &str) {
    reply.bulk(name.as_bytes());
}

fn field(reply: &mut Reply, label: &str, value: i64) {
    name(reply, label);
    reply.integer(value);
}

fn id_field(reply: &mut Reply, label: &str, id: StreamId) {
    name(reply, label);
    write_id(reply, id);
}

fn optional_field(reply: &mut Reply, label: &str, value: Option<i64>) {
    name(reply, label);
    match value {
        Some(value) => reply.integer(value),
        None => reply.null(),
    }
}

/// How far a group is.
fn progress(reply: &mut Reply, stream: &Stream, group: &Group) {
    id_field(reply, "last-delivered-id", group.last_id);
    optional_field(reply, "entries-read", group.entries_read.map(u64::cast_signed));
    optional_field(reply, "lag", stream.lag(group));
}

fn consumers(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let (key, group) = (cx.key(args.next()), args.next());
    let now_ms = cx.server.time.now_ms();
    let stream = cx.server.read_typed::<Stream>(cx.db, key)?.ok_or(NO_KEY)?;
    let group = stream.group(group).ok_or_else(|| no_such_group(key.bytes, group))?;
    let reply = &mut cx.reply;
    reply.array(group.consumers().len());
    for (consumer_name, consumer) in group.consumers() {
        reply.map(4);
        name(reply, "name");
        reply.bulk(consumer_name);
        field(reply, "pending", consumer.pending().len() as i64);
        field(reply, "idle", now_ms.saturating_sub(consumer.seen_ms).max(0));
        let inactive = consumer.active_ms.map_or(-1, |at| now_ms.saturating_sub(at).max(0));
        field(reply, "inactive", inactive);
    }
    Ok(Outcome::Done)
}

fn groups(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let key = cx.key(args.next());
    let stream = cx.server.read_typed::<Stream>(cx.db, key)?.ok_or(NO_KEY)?;
    let reply = &mut cx.reply;
    reply.array(stream.groups().len());
    for (group_name, group) in stream.groups() {
        reply.map(6);
        name(reply, "name");
        reply.bulk(group_name);
        field(reply, "consumers", group.consumers().len() as i64);
        field(reply, "pending", group.pending().len() as i64);
        progress(reply, stream, group);
    }
    Ok(Outcome::Done)
}

/// Entries that FULL shows unless told otherwise.
const FULL_COUNT: i64 = 10;

fn stream(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let key = cx.key(args.next());
    let now_ms = cx.server.time.now_ms();
    let stream = cx.server.read_typed::<Stream>(cx.db, key)?.ok_or(NO_KEY)?;
    let full = match args.left() {
        0 => None,
        1 | 3 if args.take("FULL") => match args.left() {
            0 => Some(FULL_COUNT),
            _ if args.take("COUNT") => {
                Some(Some(args.integer()?).filter(|count| *count >= 0).unwrap_or(FULL_COUNT))
            }
            _ => return Err(bad_subcommand(args)),
        },
        _ => return Err(bad_subcommand(args)),
    };
    let reply = &mut cx.reply;
    let facts = stream.facts();
    let more = if stream.producers().is_some() { 6 } else { 0 };
    reply.map(more + if full.is_some() { 9 } else { 10 });
    field(reply, "length", facts.len as i64);
    field(reply, "radix-tree-keys", stream.node_count() as i64);
    // There is no such tree: what one would have at least.
    field(reply, "radix-tree-nodes", stream.node_count() as i64 + 1);
    id_field(reply, "last-generated-id", facts.last_id);
    id_field(reply, "max-deleted-entry-id", facts.max_deleted_id);
    field(reply, "entries-added", facts.entries_added.cast_signed());
    id_field(reply, "recorded-first-entry-id", facts.first_id);
    if let Some(producers) = stream.producers() {
        let (limits, (pids, iids)) = (producers.limits(), producers.counts(now_ms));
        field(reply, "idmp-duration", limits.duration_s.into());
        field(reply, "idmp-maxsize", limits.max_size.into());
        field(reply, "pids-tracked", pids as i64);
        field(reply, "iids-tracked", iids as i64);
        field(reply, "iids-added", producers.added.cast_signed());
        field(reply, "iids-duplicates", producers.duplicates.cast_signed());
    }
    match full {
        Some(count) => show_all(reply, stream, most(count)),
        None => {
            field(reply, "groups", stream.groups().len() as i64);
            let edges = [
                ("first-entry", stream.range(StreamId::MIN, StreamId::MAX).next()),
                ("last-entry", stream.range_back(StreamId::MIN, StreamId::MAX).next()),
            ];
            for (label, entry) in edges {
                name(reply, label);
                match entry {
                    Some(entry) => write_entry(reply, &entry),
                    None => reply.null(),
                }
            }
        }
    }
    Ok(Outcome::Done)
}

fn show_all(reply: &mut Reply, stream: &Stream, most: usize) {
    name(reply, "entries");
    write_entries(reply, stream.range(StreamId::MIN, StreamId::MAX), most);
    name(reply, "groups");
    reply.array(stream.groups().len());
    for (group_name, group) in stream.groups() {
        let released = group.released();
        reply.map(if released > 0 { 8 } else { 7 });
        name(reply, "name");
        reply.bulk(group_name);
        progress(reply, stream, group);
        field(reply, "pel-count", group.pending().len() as i64);
        if released > 0 {
            field(reply, "nacked-count", released as i64);
        }
        name(reply, "pending");
        reply.array(group.pending().len().min(most));
        for (id, nack) in group.pending().iter().take(most) {
            reply.array(4);
            write_id(reply, id);
            reply.bulk(nack.consumer.as_deref().unwrap_or(b""));
            reply.integer(nack.delivered_ms);
            reply.integer(nack.deliveries.cast_signed());
        }
        name(reply, "consumers");
        reply.array(group.consumers().len());
        for (consumer_name, consumer) in group.consumers() {
            reply.map(5);
            name(reply, "name");
            reply.bulk(consumer_name);
            field(reply, "seen-time", consumer.seen_ms);
            field(reply, "active-time", consumer.active_ms.unwrap_or(-1));
            field(reply, "pel-count", consumer.pending().len() as i64);
            name(reply, "pending");
            reply.array(consumer.pending().len().min(most));
            for (id, ()) in consumer.pending().iter().take(most) {
                let nack = group.pending().get(id);
                reply.array(3);
                write_id(reply, id);
                reply.integer(nack.map_or(0, |nack| nack.delivered_ms));
                reply.integer(nack.map_or(0, |nack| nack.deliveries.cast_signed()));
            }
        }
    }
}
