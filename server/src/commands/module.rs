//! MODULE, on a server that can load none: the list is empty and every attempt fails as it does for a broken library.

use super::doc;
use crate::context::Cx;
use crate::server::Ochre;
use common::command::{Args, Arity, Command, CommandResult, Flags, Handler, Outcome, write_help};

const ADMIN: Flags = Flags::ADMIN.and(Flags::NOSCRIPT);
const LOAD: Flags = ADMIN.and(Flags::NO_ASYNC_LOADING).and(Flags::PROTECTED_MODULE);

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    Command { subcommands: SUBCOMMANDS, ..entry("module", Arity::AtLeast(2), Flags::NONE, "4.0.0", &[], "", "Looks after modules.", help) },
];

#[rustfmt::skip]
const SUBCOMMANDS: &[Command<Ochre>] = &[
    entry("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), "5.0.0", &[], "", "Lists the subcommands of MODULE.", help),
    entry("list", Arity::Exactly(2), ADMIN, "4.0.0", &["nondeterministic_output_order"], "", "Lists the modules.", list),
    entry("load", Arity::AtLeast(3), LOAD, "4.0.0", &[], "path [arg [arg ...]]", "Loads a module.", load),
    entry("loadex", Arity::AtLeast(3), LOAD, "7.0.0", &[], "path [CONFIG name value [CONFIG name value ...]] [ARGS args [args ...]]", "Loads a module with directives.", load),
    entry("unload", Arity::Exactly(3), LOAD, "4.0.0", &[], "name", "Unloads a module.", unload),
];

#[expect(clippy::too_many_arguments, reason = "a line per subcommand, with all that varies")]
const fn entry(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    since: &'static str,
    tips: &'static [&'static str],
    syntax: &'static str,
    summary: &'static str,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    let doc = doc("server", since, "O(1)", syntax, summary);
    Command { name, arity, flags, acl: &[], keys: &[], tips, doc, subcommands: &[], run }
}

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
        "    Print this help.",
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
