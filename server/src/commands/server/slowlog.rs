//! SLOWLOG.

use super::commandlog::{self, FLAGS};
use super::{doc, sub};
use crate::context::Cx;
use crate::server::Ochre;
use crate::stats::LogKind;
use common::command::{Args, Arity, Command, CommandError, CommandResult, Flags, Outcome, write_help};

/// Entries that GET replies when the client names no count.
const COUNT: usize = 10;

/// Subcommands of SLOWLOG.
#[rustfmt::skip]
pub(super) const SUBCOMMANDS: &[Command<Ochre>] = &[
    sub("get", Arity::AtLeast(2), FLAGS, &["request_policy:all_nodes", "nondeterministic_output"], doc("server", "2.2.12", "O(N), N entries", "[count]", "Lists the latest commands that took long."), get),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[], doc("server", "6.2.0", "O(N), N entries", "", "Lists the subcommands of SLOWLOG."), help),
    sub("len", Arity::Exactly(2), FLAGS, &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"], doc("server", "2.2.12", "O(N), N entries", "", "Counts the entries of the slow log."), len),
    sub("reset", Arity::Exactly(2), FLAGS, &["request_policy:all_nodes", "response_policy:all_succeeded"], doc("server", "2.2.12", "O(N), N entries", "", "Empties the slow log."), reset),
];

pub(super) fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "SLOWLOG", LINES);
    Ok(Outcome::Done)
}

fn get(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let count = match args.try_next() {
        None => COUNT,
        Some(word) => commandlog::count(word)?,
    };
    if args.left() > 0 {
        return Err(CommandError::quoting(
            "ERR unknown subcommand or wrong number of arguments for '",
            args.get(1),
            "'. Try SLOWLOG HELP.",
        ));
    }
    let entries = cx.server.slow.entries(LogKind::Slow);
    cx.reply.array(entries.len().min(count));
    for entry in entries.take(count) {
        cx.reply.array(7);
        commandlog::write_entry(&mut cx.reply, entry);
        // Since 8.10: how many words there were before the entry was shortened.
        cx.reply.integer(entry.argc as i64);
    }
    Ok(Outcome::Done)
}

fn len(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.reply.integer(cx.server.slow.entries(LogKind::Slow).len() as i64);
    Ok(Outcome::Done)
}

fn reset(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.server.slow.reset_log(LogKind::Slow);
    cx.reply.ok();
    Ok(Outcome::Done)
}
