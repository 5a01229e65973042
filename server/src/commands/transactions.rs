//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use super::doc;
use crate::context::{Caller, Cx};
use crate::dispatch::call_nested;
use crate::replication::Propagate;
use crate::server::Ochre;
use crate::watch;
use common::clients::ReplyMode;
use common::command::{
    Access, Acl, Args, Arity, Command, CommandError, CommandResult, Flags, KeySpec, Outcome,
};
use common::resp::Mark;

const FLAGS: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::UNQUEUED);
const ACL: &[Acl] = &[Acl::Transaction];

/// The family.
pub const COMMANDS: &[Command<Ochre>] = &[
    Command {
        name: "multi",
        arity: Arity::Exactly(1),
        flags: FLAGS.and(Flags::FAST).and(Flags::ALLOW_BUSY),
        acl: ACL,
        keys: &[],
        tips: &[],
        doc: doc("transactions", "1.2.0", "O(1)", "", "Opens a transaction."),
        subcommands: &[],
        run: multi,
    },
    Command {
        name: "exec",
        arity: Arity::Exactly(1),
        flags: FLAGS.and(Flags::SKIP_SLOWLOG).and(Flags::RUNS_QUEUED),
        acl: ACL,
        keys: &[],
        tips: &[],
        doc: doc("transactions", "1.2.0", "Depends on the queued commands", "", "Runs the queued commands."),
        subcommands: &[],
        run: exec,
    },
    Command {
        name: "discard",
        arity: Arity::Exactly(1),
        flags: FLAGS.and(Flags::FAST).and(Flags::ALLOW_BUSY),
        acl: ACL,
        keys: &[],
        tips: &[],
        doc: doc("transactions", "2.0.0", "O(N), N queued commands", "", "Drops the transaction."),
        subcommands: &[],
        run: discard,
    },
    Command {
        name: "watch",
        arity: Arity::AtLeast(2),
        flags: FLAGS.and(Flags::FAST).and(Flags::ALLOW_BUSY),
        acl: ACL,
        keys: &[KeySpec::until(1, -1, 1, Access::Meta)],
        tips: &[],
        doc: doc(
            "transactions",
            "2.2.0",
            "O(1) per key",
            "key [key ...]",
            "Lets EXEC fail if a key changes before it.",
        ),
        subcommands: &[],
        run: watch_keys,
    },
    Command {
        name: "unwatch",
        arity: Arity::Exactly(1),
        flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST).and(Flags::ALLOW_BUSY),
        acl: ACL,
        keys: &[],
        tips: &[],
        doc: doc("transactions", "2.2.0", "O(1)", "", "Forgets all watched keys."),
        subcommands: &[],
        run: unwatch,
    },
];

fn multi(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    if cx.session().multi.is_some() {
        return Err("ERR MULTI calls can not be nested".into());
    }
    cx.session().multi = Some(Box::default());
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn discard(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    if cx.session().multi.take().is_none() {
        return Err("ERR DISCARD without MULTI".into());
    }
    watch::unwatch_all(cx.server, cx.slot);
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn watch_keys(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    if cx.session().multi.is_some() {
        return Err("ERR WATCH inside MULTI is not allowed".into());
    }
    // A watch that is broken already can only break EXEC: more keys change nothing.
    if !cx.session().watch_broken {
        for key in args.rest() {
            let key = cx.key(key);
            watch::watch(cx.server, cx.slot, cx.db, key);
        }
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn unwatch(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    watch::unwatch_all(cx.server, cx.slot);
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// CLIENT REPLY may be one of the commands, so that silence begins or ends in the midst of the reply, as in Redis.
fn keep_silent(cx: &mut Cx<'_>, mark: Mark) {
    let mode = cx.server.clients.get(cx.slot).map(|client| client.reply_mode);
    if matches!(mode, Some(ReplyMode::Off | ReplyMode::Skip)) {
        cx.reply.truncate(mark);
    }
}

fn exec(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let Some(multi) = cx.session().multi.take() else { return Err("ERR EXEC without MULTI".into()) };
    let broken = watch::is_broken(cx.server, cx.slot);
    watch::unwatch_all(cx.server, cx.slot);
    if multi.failed {
        return Err(CommandError::Text("EXECABORT Transaction discarded because of previous errors."));
    }
    if broken {
        cx.reply.null_array();
        return Ok(Outcome::Done);
    }
    let mark = cx.reply.mark();
    cx.reply.array(multi.commands.len());
    keep_silent(cx, mark);
    let bounded = |figure: usize| u32::try_from(figure).unwrap_or(u32::MAX);
    cx.session().executing = Some((bounded(multi.commands.len()), bounded(multi.bytes)));
    let caller = std::mem::replace(&mut cx.caller, Caller::Exec);
    cx.server.time.freeze();
    for queued in &multi.commands {
        let command = cx.server.table.command(queued.id);
        let mark = cx.reply.mark();
        call_nested(cx, queued.id, command, &Args::of(&queued.words));
        keep_silent(cx, mark);
    }
    cx.server.time.thaw();
    cx.caller = caller;
    cx.server.end_transaction_in_pause();
    cx.session().executing = None;
    cx.silent_from = Some(cx.reply.mark());
    cx.propagate = Propagate::Nothing; // its commands spoke for themselves
    Ok(Outcome::Done)
}
