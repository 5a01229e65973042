//! MODULE, on a server that can load none: the list is empty and every attempt fails as it does for a broken library.

use super::{doc, sub};
use crate::context::Cx;
use crate::server::Ochre;
use common::command::{Args, Arity, Command, CommandResult, Flags, Outcome, write_help};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);
const LOAD: Flags = ADMIN.and(Flags::NO_ASYNC_LOADING).and(Flags::PROTECTED_MODULE);

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    Command { subcommands: SUBCOMMANDS, ..sub("module", Arity::AtLeast(2), Flags::NONE, &[], doc("server", "4.0.0", "O(1)", "", "Looks after modules."), help) },
];

#[rustfmt::skip]
const SUBCOMMANDS: &[Command<Ochre>] = &[
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[], doc("server", "5.0.0", "O(1)", "", "Lists the subcommands of MODULE."), help),
    sub("list", Arity::Exactly(2), ADMIN, &["nondeterministic_output_order"], doc("server", "4.0.0", "O(1)", "", "Lists the modules."), list),
    sub("load", Arity::AtLeast(3), LOAD, &[], doc("server", "4.0.0", "O(1)", "path [arg [arg ...]]", "Loads a module."), load),
    sub("loadex", Arity::AtLeast(3), LOAD, &[], doc("server", "7.0.0", "O(1)", "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]", "Loads a module with directives."), load),
    sub("unload", Arity::Exactly(3), LOAD, &[], doc("server", "4.0.0", "O(1)", "name", "Unloads a module."), unload),
];

fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "LIST",
        "    Return a list of loaded modules.",
        "LOAD <path> [<arg> ...]",
        "    Load a module library from <path>, passing to it any optional arguments.",
        "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "    Load a module library from <path>, while passing it module configurations and optional arguments.",
        "UNLOAD <name>",
        "    Unload a module.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "MODULE", LINES);
    Ok(Outcome::Done)
}

fn list(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    cx.reply.array(0);
    Ok(Outcome::Done)
}

fn load(_cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let path = String::from_utf8_lossy(args.get(2));
    tracing::warn!("Module {path} failed to load: this server can load no modules");
    Err("ERR Error loading the extension. Please check the server logs.".into())
}

fn unload(_cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    Err("ERR Error unloading module: no such module with that name".into())
}
