//! The connection group, as far as it needs databases; the rest is shared with the sentinel in `common`.

use super::doc;
use crate::context::Cx;
use crate::server::Ochre;
use common::command::{Acl, Args, Arity, Command, CommandResult, Flags, Outcome};

/// The family.
pub const COMMANDS: &[Command<Ochre>] = &[Command {
    name: "select",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
    acl: &[Acl::Connection],
    keys: &[],
    tips: &[],
    doc: doc("connection", "1.0.0", "O(1)", "index", "Chooses the database."),
    subcommands: &[],
    run: select,
}];

fn select(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    cx.select(args.next())?;
    cx.reply.ok();
    Ok(Outcome::Done)
}
