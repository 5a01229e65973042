//! SAVE, BGSAVE, LASTSAVE.

use super::doc;
use crate::context::{Caller, Cx};
use crate::persistence::{self, BeginError};
use crate::server::Ochre;
use common::command::{Args, Arity, Command, CommandError, CommandResult, Doc, Flags, Handler, Outcome};

const FLAGS: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::NO_ASYNC_LOADING);

const IN_PROGRESS: CommandError = CommandError::Text("ERR Background save already in progress");

const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    tips: &'static [&'static str],
    doc: Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    let acl = match name.as_bytes() {
        b"lastsave" => &[common::command::Acl::Admin, common::command::Acl::Dangerous],
        _ => [].as_slice(),
    };
    Command { name, arity, flags, acl, keys: &[], tips, doc, subcommands: &[], run }
}

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("bgsave", Arity::AtLeast(1), FLAGS, &[],
        doc("server", "1.0.0", "O(1), then O(N) beside the clients, N keys", "[SCHEDULE]", "Saves to disk while clients go on."), bgsave),
    entry("lastsave", Arity::Exactly(1), Flags::LOADING.and(Flags::STALE).and(Flags::FAST), &["nondeterministic_output"],
        doc("server", "1.0.0", "O(1)", "", "Tells when the last good save ended, in Unix seconds."), lastsave),
    entry("save", Arity::Exactly(1), FLAGS.and(Flags::NO_MULTI), &[],
        doc("server", "1.0.0", "O(N), N keys", "", "Saves to disk while everyone waits."), save),
];

fn save(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    if cx.server.persistence.running().is_some() {
        return Err(IN_PROGRESS);
    }
    if let Err(error) = persistence::save_now(cx.server) {
        tracing::error!("Failed saving the DB: {error}");
        return Err("ERR".into());
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn bgsave(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    if args.left() > 0 && !(args.left() == 1 && args.take("SCHEDULE")) {
        return Err(CommandError::Syntax);
    }
    if cx.server.persistence.running().is_some() {
        return Err(IN_PROGRESS);
    }
    // Half a transaction must not be saved.
    if cx.caller == Caller::Exec {
        persistence::schedule(cx.server);
        cx.reply.simple("Background saving scheduled");
        return Ok(Outcome::Done);
    }
    match persistence::save_in_background(cx.server) {
        Ok(()) => cx.reply.simple("Background saving started"),
        Err(BeginError::NotYet) => cx.reply.simple("Background saving scheduled"),
        Err(BeginError::Busy) => return Err(IN_PROGRESS),
        Err(BeginError::Place(_) | BeginError::Thread(_)) => return Err("ERR".into()),
    }
    Ok(Outcome::Done)
}

fn lastsave(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let at_s = cx.server.persistence.last_save_s();
    cx.reply.integer(at_s);
    Ok(Outcome::Done)
}
