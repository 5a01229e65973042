//! Subcommands of CLIENT that only a server with data has; the others are shared with the sentinel in `common`.

mod tracking;

use super::doc;
use crate::context::Cx;
use crate::pause::{self, Held, Reason};
use crate::server::Ochre;
use common::clients::on_off;
use common::command::{Acl, Args, Arity, Command, CommandError, CommandResult, Flags, Handler, Outcome};
use common::number::parse_i64;

/// Lines of CLIENT HELP on them.
pub const HELP: &[&str] = &[
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients for <timeout> milliseconds.",
    "CAPA <option> [<option> [...]]",
    "    Tell what the client can do. Options are:",
    "    * REDIRECT",
    "      Follow -REDIRECT from a replica to its master.",
    "IMPORT-SOURCE (ON|OFF)",
    "    See keys whose time is up, while import-mode is enabled.",
    "CACHING (YES|NO)",
    "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Control server assisted client side caching.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
];

const FLAGS: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);
const ADMIN: Flags = FLAGS.and(Flags::ADMIN);

/// The container, as far as it is the server's.
pub const COMMANDS: &[Command<Ochre>] = &[Command {
    name: "client",
    arity: Arity::AtLeast(2),
    flags: Flags::NONE,
    acl: &[],
    keys: &[],
    tips: &[],
    doc: doc("connection", "2.4.0", "Depends on the subcommand.", "", "Looks after connections."),
    subcommands: SUBCOMMANDS,
    run: unpause,
}];

#[rustfmt::skip]
const SUBCOMMANDS: &[Command<Ochre>] = &[
    sub("pause", Arity::AtLeast(3), ADMIN, doc("connection", "3.0.0", "O(1)", "timeout [WRITE | ALL]", "Holds up commands for a while."), pause),
    sub("capa", Arity::AtLeast(3), FLAGS.and(Flags::ALLOW_BUSY), doc("connection", "8.0.0", "O(1)", "capability [capability ...]", "Tells what the client can do."), capa),
    sub("import-source", Arity::Exactly(3), FLAGS, doc("connection", "8.1.0", "O(1)", "<ON | OFF>", "Has keys whose time is up seen, while data is imported."), import_source),
    sub("caching", Arity::Exactly(3), FLAGS, doc("connection", "6.0.0", "O(1)", "<YES | NO>", "Has the next command's keys remembered, or not."), tracking::caching),
    sub("getredir", Arity::Exactly(2), FLAGS, doc("connection", "6.0.0", "O(1)", "", "Tells which client gets the messages on changed keys."), tracking::getredir),
    sub("tracking", Arity::AtLeast(3), FLAGS, doc("connection", "6.0.0", "O(1)", "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]", "Has the client told when keys change that it has read."), tracking::tracking),
    sub("trackinginfo", Arity::Exactly(2), FLAGS, doc("connection", "6.2.0", "O(1)", "", "Tells what CLIENT TRACKING was asked for."), tracking::trackinginfo),
    sub("unpause", Arity::Exactly(2), ADMIN, doc("connection", "6.2.0", "O(N), N clients that wait", "", "Ends a pause."), unpause),
];

const fn sub(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    doc: common::command::Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    Command { name, arity, flags, acl: &[Acl::Connection], keys: &[], tips: &[], doc, subcommands: &[], run }
}

fn pause(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let held = match args.count() {
        3 => Held::All,
        4 if args.get(3).eq_ignore_ascii_case(b"write") => Held::Writes,
        4 if args.get(3).eq_ignore_ascii_case(b"all") => Held::All,
        4 => return Err("ERR CLIENT PAUSE mode must be WRITE or ALL".into()),
        _ => return Err(common::pubsub::wrong_subcommand(args)),
    };
    let timeout_ms =
        parse_i64(args.get(2)).ok_or(CommandError::Text("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err("ERR timeout is negative".into());
    }
    let until_ms = timeout_ms
        .checked_add(cx.server.time.now_ms())
        .ok_or(CommandError::Text("ERR timeout is out of range"))?;
    pause::begin(cx, held, until_ms);
    cx.reply.ok();
    Ok(Outcome::Done)
}

/// Capabilities only ever grow. That a client can be redirected matters to a replica alone; words of later versions are
/// left aside.
fn capa(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    if args.rest().any(|word| word.eq_ignore_ascii_case(b"redirect")) {
        cx.session().can_redirect = true;
    }
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn import_source(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    if !cx.server.config.import_mode {
        return Err("ERR Server is not in import mode".into());
    }
    cx.session().is_import_source = on_off(args.get(2))?;
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn unpause(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.server.end_pause(Reason::Client);
    cx.reply.ok();
    Ok(Outcome::Done)
}
