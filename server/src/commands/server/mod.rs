//! The server group: operators' commands.

mod buffers;
mod commandlog;
mod config;
mod debug;
mod digest;
mod flush;
mod hotkeys;
mod info;
mod inspect;
mod latency;
mod lolwut;
mod memory;
mod restart;
mod slowlog;

use super::{doc, sub};
use crate::context::Cx;
use crate::lifecycle::Shutdown;
use crate::replication::Propagate;
use crate::server::Ochre;
use crate::shutdown::shut_down_by_client;
use common::command::{Acl, Args, Arity, Command, CommandError, CommandResult, Flags, Handler, Outcome};

pub use info::{line, render as render_info};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);
const ANYTIME: Flags = Flags::LOADING.and(Flags::STALE);

const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    acl: &'static [Acl],
    doc: common::command::Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    let tips: &[&str] = match name.as_bytes() {
        b"dbsize" => &["request_policy:all_shards", "response_policy:agg_sum"],
        b"flushall" | b"flushdb" => &["request_policy:all_shards", "response_policy:all_succeeded"],
        b"info" => &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        b"lastsave" | b"time" => &["nondeterministic_output"],
        _ => &[],
    };
    Command { name, arity, flags, acl, keys: &[], tips, doc, subcommands: &[], run }
}

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    Command { subcommands: commandlog::SUBCOMMANDS, ..entry("commandlog", Arity::AtLeast(2), Flags::NONE, &[],
        doc("server", "8.1.0", "Depends on the subcommand.", "", "Tells which commands took long or were large."), commandlog::help) },
    Command { subcommands: config::SUBCOMMANDS, ..entry("config", Arity::AtLeast(2), Flags::NONE, &[],
        doc("server", "2.0.0", "Depends on the subcommand.", "", "Reads and changes directives."), config::help) },
    entry("dbsize", Arity::Exactly(1), Flags::READONLY.and(Flags::FAST), &[Acl::Keyspace],
        doc("server", "1.0.0", "O(1)", "", "Counts the keys of the database."), dbsize),
    entry("debug", Arity::AtLeast(2), ADMIN.and(ANYTIME).and(Flags::PROTECTED), &[],
        doc("server", "1.0.0", "Depends on the subcommand.", "subcommand [argument [argument ...]]", "Helps tests and those who look for faults."), debug::debug),
    entry("flushall", Arity::AtLeast(1), Flags::WRITE, &[Acl::Keyspace, Acl::Dangerous],
        doc("server", "1.0.0", "O(N), N keys", "[ASYNC | SYNC]", "Deletes all keys of all databases."), flush::flushall),
    entry("flushdb", Arity::AtLeast(1), Flags::WRITE, &[Acl::Keyspace, Acl::Dangerous],
        doc("server", "1.0.0", "O(N), N keys", "[ASYNC | SYNC]", "Deletes all keys of the database."), flush::flushdb),
    Command { subcommands: hotkeys::SUBCOMMANDS, ..entry("hotkeys", Arity::AtLeast(2), Flags::NONE, &[],
        doc("server", "8.6.0", "Depends on the subcommand.", "", "Finds out which keys cost most."), hotkeys::help) },
    entry("info", Arity::AtLeast(1), ANYTIME, &[Acl::Dangerous],
        doc("server", "1.0.0", "O(1)", "[section [section ...]]", "Describes the server's state."), info::info),
    Command { subcommands: latency::SUBCOMMANDS, ..entry("latency", Arity::AtLeast(2), Flags::NONE, &[],
        doc("server", "2.8.13", "Depends on the subcommand.", "", "Tells what took long."), latency::help) },
    lolwut::COMMAND,
    Command { subcommands: memory::SUBCOMMANDS, ..entry("memory", Arity::AtLeast(2), Flags::NONE, &[],
        doc("server", "4.0.0", "Depends on the subcommand.", "", "Tells where memory goes."), memory::help) },
    entry("monitor", Arity::Exactly(1), ADMIN.and(ANYTIME), &[],
        doc("server", "1.0.0", "O(1)", "", "Shows every command from here on."), crate::monitor::monitor),
    entry("shutdown", Arity::AtLeast(1), ADMIN.and(ANYTIME).and(Flags::NO_MULTI).and(Flags::ALLOW_BUSY), &[],
        doc("server", "1.0.0", "O(N) when it saves, N keys", "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]", "Saves as configured and ends the process."), shutdown),
    Command { subcommands: slowlog::SUBCOMMANDS, ..entry("slowlog", Arity::AtLeast(2), Flags::NONE, &[],
        doc("server", "2.2.12", "Depends on the subcommand.", "", "Tells which commands took long."), slowlog::help) },
    entry("swapdb", Arity::Exactly(3), Flags::WRITE.and(Flags::FAST), &[Acl::Keyspace, Acl::Dangerous],
        doc("server", "4.0.0", "O(N), N watched or waited-for keys", "index1 index2", "Exchanges two databases."), flush::swapdb),
    entry("time", Arity::Exactly(1), ANYTIME.and(Flags::FAST), &[],
        doc("server", "2.6.0", "O(1)", "", "Tells the time in seconds and microseconds."), time),
];

fn dbsize(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let len = cx.server.keyspace.db(cx.db).len();
    cx.reply.integer(len as i64);
    Ok(Outcome::Done)
}

fn time(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let now_us = cx.server.time.now_us();
    cx.reply.array(2);
    cx.reply.bulk_integer(now_us / 1_000_000);
    cx.reply.bulk_integer(now_us % 1_000_000);
    Ok(Outcome::Done)
}

fn shutdown(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let (mut wish, mut abort, mut save, mut nosave) =
        (Shutdown { save: None, now: false, force: false }, false, false, false);
    while let Some(word) = args.try_next() {
        match word.to_ascii_uppercase().as_slice() {
            b"SAVE" => save = true,
            b"NOSAVE" => nosave = true,
            b"NOW" => wish.now = true,
            b"FORCE" => wish.force = true,
            b"ABORT" => abort = true,
            _ => return Err(CommandError::Syntax),
        }
    }
    if save && nosave || abort && (save || nosave || wish.now || wish.force) {
        return Err(CommandError::Syntax);
    }
    if abort {
        cx.server.abort_shutdown()?;
        cx.reply.ok();
        return Ok(Outcome::Done);
    }
    if cx.server.scripts.is_busy() && !nosave {
        return Err(cx.server.scripts.busy_error());
    }
    wish.save = match (save, nosave) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    cx.propagate = Propagate::Nothing;
    shut_down_by_client(cx, wish)
}
