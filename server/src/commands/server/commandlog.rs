//! COMMANDLOG: commands that took long, and those whose request or reply was large. SLOWLOG is a view of the first.

use super::{doc, sub};
use crate::context::Cx;
use crate::server::Ochre;
use crate::stats::{LogKind, SlowEntry};
use common::command::{Args, Arity, Command, CommandError, CommandResult, Flags, Outcome, write_help};
use common::number::parse_i64;

/// Of all subcommands but HELP, and of SLOWLOG's.
pub(super) const FLAGS: Flags = Flags::ADMIN.and(Flags::LOADING).and(Flags::STALE);

/// Subcommands of COMMANDLOG.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    sub("get", Arity::Exactly(4), FLAGS, &["request_policy:all_nodes", "nondeterministic_output"], doc("server", "8.1.0", "O(N), N entries", "count <slow | large-request | large-reply>", "Lists the latest commands of a log."), get),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[], doc("server", "8.1.0", "O(1)", "", "Lists the subcommands of COMMANDLOG."), help),
    sub("len", Arity::Exactly(3), FLAGS, &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"], doc("server", "8.1.0", "O(1)", "<slow | large-request | large-reply>", "Counts the entries of a log."), len),
    sub("reset", Arity::Exactly(3), FLAGS, &["request_policy:all_nodes", "response_policy:all_succeeded"], doc("server", "8.1.0", "O(N), N entries", "<slow | large-request | large-reply>", "Empties a log."), reset),
];

pub(super) fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "GET <count> <type>",
        "    Return top <count> entries of the specified <type> from the commandlog (-1 mean all).",
        "    Entries are made of:",
        "    id, timestamp,",
        "        time in microseconds for type of slow,",
        "        or size in bytes for type of large-request,",
        "        or size in bytes for type of large-reply",
        "    arguments array, client IP and port,",
        "    client name",
        "LEN <type>",
        "    Return the length of the specified type of commandlog.",
        "RESET <type>",
        "    Reset the specified type of commandlog.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "COMMANDLOG", LINES);
    Ok(Outcome::Done)
}

fn kind(word: &[u8]) -> Result<LogKind, CommandError> {
    let kinds = [
        ("slow", LogKind::Slow),
        ("large-request", LogKind::LargeRequest),
        ("large-reply", LogKind::LargeReply),
    ];
    let found = kinds.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    let wrong = "ERR type should be one of the following: slow, large-request, large-reply";
    found.map(|(_, kind)| kind).ok_or(CommandError::Text(wrong))
}

/// How many entries a client wants; -1 stands for all.
pub(super) fn count(word: &[u8]) -> Result<usize, CommandError> {
    match parse_i64(word) {
        Some(-1) => Ok(usize::MAX),
        Some(count) if count >= 0 => Ok(count as usize),
        _ => Err("ERR count should be greater than or equal to -1".into()),
    }
}

/// Writes what SLOWLOG and COMMANDLOG tell alike of an entry.
pub(super) fn write_entry(reply: &mut common::resp::Reply, entry: &SlowEntry) {
    reply.integer(entry.id);
    reply.integer(entry.at_s);
    reply.integer(entry.value);
    reply.array(entry.words.len());
    entry.words.iter().for_each(|word| reply.bulk(word));
    reply.bulk(entry.peer.as_bytes());
    reply.bulk(&entry.name);
}

fn get(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let count = count(args.next())?;
    let entries = cx.server.slow.entries(kind(args.next())?);
    cx.reply.array(entries.len().min(count));
    for entry in entries.take(count) {
        cx.reply.array(6);
        write_entry(&mut cx.reply, entry);
    }
    Ok(Outcome::Done)
}

fn len(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    cx.reply.integer(cx.server.slow.entries(kind(args.next())?).len() as i64);
    Ok(Outcome::Done)
}

fn reset(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    cx.server.slow.reset_log(kind(args.next())?);
    cx.reply.ok();
    Ok(Outcome::Done)
}
