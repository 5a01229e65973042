//! The scripting group: EVAL and its kin, SCRIPT.

use super::{doc, integer};
use crate::context::Cx;
use crate::replication::{self, Propagate};
use crate::scripting::{Origin, Program, Script, ScriptFlags, ScriptHost, Sha, sha_of};
use crate::server::{Ochre, Server};
use common::command::{
    Access, Acl, Args, Arity, Command, CommandError, CommandResult, Flags, Handler, KeySpec, Outcome,
    write_help,
};
use common::config::syntax::split_args;
use std::rc::Rc;

pub(super) const ACL: &[Acl] = &[Acl::Scripting];
pub(super) const RUN: Flags = Flags::NOSCRIPT
    .and(Flags::STALE)
    .and(Flags::SKIP_MONITOR)
    .and(Flags::MAY_REPLICATE)
    .and(Flags::NO_MANDATORY_KEYS)
    .and(Flags::MOVABLE_KEYS)
    .and(Flags::SCRIPT_RUNNER);
pub(super) const RUN_RO: Flags = Flags::READONLY
    .and(Flags::NOSCRIPT)
    .and(Flags::STALE)
    .and(Flags::SKIP_MONITOR)
    .and(Flags::NO_MANDATORY_KEYS)
    .and(Flags::MOVABLE_KEYS)
    .and(Flags::SCRIPT_RUNNER);
pub(super) const KEYS: &[KeySpec] = &[KeySpec::counted(2, Access::Script)];
pub(super) const KEYS_RO: &[KeySpec] = &[KeySpec::counted(2, Access::ScriptRead)];
const COST: &str = "Depends on the script.";

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    entry("eval", RUN, KEYS, doc("scripting", "2.6.0", COST, "script numkeys [key [key ...]] [arg [arg ...]]", "Runs a Lua script."), |cx, args| eval(cx, args, false)),
    entry("eval_ro", RUN_RO, KEYS_RO, doc("scripting", "7.0.0", COST, "script numkeys [key [key ...]] [arg [arg ...]]", "Runs a Lua script that may only read."), |cx, args| eval(cx, args, true)),
    entry("evalsha", RUN, KEYS, doc("scripting", "2.6.0", COST, "sha1 numkeys [key [key ...]] [arg [arg ...]]", "Runs a cached Lua script."), |cx, args| evalsha(cx, args, false)),
    entry("evalsha_ro", RUN_RO, KEYS_RO, doc("scripting", "7.0.0", COST, "sha1 numkeys [key [key ...]] [arg [arg ...]]", "Runs a cached Lua script that may only read."), |cx, args| evalsha(cx, args, true)),
    Command {
        arity: Arity::AtLeast(2),
        subcommands: SCRIPT,
        acl: &[],
        ..entry("script", Flags::NONE, &[], doc("scripting", "2.6.0", "Depends on the subcommand.", "", "Looks after cached scripts."), help)
    },
];

#[rustfmt::skip]
const SCRIPT: &[Command<Ochre>] = &[
    sub("debug", Arity::Exactly(3), Flags::NOSCRIPT, "<YES | SYNC | NO>", "Would debug scripts; refused, since there is no debugger.", debug),
    sub("exists", Arity::AtLeast(3), Flags::NOSCRIPT, "sha1 [sha1 ...]", "Tells which scripts are cached.", exists),
    sub("flush", Arity::AtLeast(2), Flags::NOSCRIPT, "[ASYNC | SYNC]", "Forgets all scripts.", flush),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), "", "Lists the subcommands of SCRIPT.", help),
    sub("kill", Arity::Exactly(2), Flags::NOSCRIPT.and(Flags::ALLOW_BUSY), "", "Ends the running script.", kill),
    sub("load", Arity::Exactly(3), Flags::NOSCRIPT.and(Flags::STALE), "script", "Caches a script.", load),
    sub("show", Arity::Exactly(3), Flags::NOSCRIPT.and(Flags::STALE), "sha1", "Gives the text of a cached script.", show),
];

const fn entry(
    name: &'static str,
    flags: Flags,
    keys: &'static [KeySpec],
    doc: common::command::Doc,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    Command { name, arity: Arity::AtLeast(3), flags, acl: ACL, keys, tips: &[], doc, subcommands: &[], run }
}

const fn sub(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    syntax: &'static str,
    summary: &'static str,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    let tips: &[&str] = match name.as_bytes() {
        b"exists" => &["request_policy:all_shards", "response_policy:agg_logical_and"],
        b"flush" | b"load" => &["request_policy:all_nodes", "response_policy:all_succeeded"],
        b"kill" => &["request_policy:all_shards", "response_policy:one_succeeded"],
        _ => &[],
    };
    let since = match name.as_bytes() {
        b"debug" => "3.2.0",
        b"help" => "5.0.0",
        b"show" => "8.0.0",
        _ => "2.6.0",
    };
    let doc = doc("scripting", since, "O(N), N scripts", syntax, summary);
    Command { name, arity, flags, acl: ACL, keys: &[], tips, doc, subcommands: &[], run }
}

fn eval(cx: &mut Cx<'_>, args: &mut Args<'_>, read_only: bool) -> CommandResult {
    crate::monitor::show_always(cx, args); // before its commands
    let body = args.next();
    let (keys, rest) = keys_and_args(args)?;
    let sha = sha_of(body);
    let flags = load_script(cx, &sha, body, Origin::Eval)?;
    let read_only = admit(cx, flags, read_only)?;
    run(cx, sha, (keys, rest), read_only)
}

fn evalsha(cx: &mut Cx<'_>, args: &mut Args<'_>, read_only: bool) -> CommandResult {
    crate::monitor::show_always(cx, args);
    let missing = CommandError::Text("NOSCRIPT No matching script. Please use EVAL.");
    let sha: Sha = args.next().to_ascii_lowercase().try_into().map_err(|_| missing.clone())?;
    let (keys, rest) = keys_and_args(args)?;
    let script = cx.server.scripts.cache.touch(&sha).ok_or(missing)?;
    let flags = script.flags;
    // The machine may have forgotten it: it is compiled anew then.
    compile(cx.host, &sha, &script.body)?;
    let read_only = admit(cx, flags, read_only)?;
    run(cx, sha, (keys, rest), read_only)
}

/// What a script declares is checked as a whole before it runs; one that declares nothing finds out with the first
/// command that is refused. The guards have seen what a client sends by itself, so that this speaks to transactions,
/// and of commands that only read. Gives whether its writes are refused.
pub(super) fn admit(
    cx: &mut Cx<'_>,
    flags: Option<ScriptFlags>,
    read_only: bool,
) -> Result<bool, CommandError> {
    let Some(flags) = flags else { return Ok(read_only) };
    if !flags.has(ScriptFlags::NO_WRITES) {
        if cx.server.persistence.refuses_writes(&cx.server.config) {
            return Err("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts.".into());
        }
        if read_only {
            return Err("ERR Can not execute a script with write flag using *_ro command.".into());
        }
        if replication::lacks_replicas(cx.server) {
            return Err(replication::NO_REPLICAS.into());
        }
    }
    if flags.needs_memory() && cx.server.scripts.lacks_memory {
        return Err(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
                .into(),
        );
    }
    cx.server.scripts.lacks_memory &= !flags.has(ScriptFlags::ALLOW_OOM);
    Ok(read_only || flags.has(ScriptFlags::NO_WRITES))
}

fn run(cx: &mut Cx<'_>, sha: Sha, (keys, args): Split<'_>, read_only: bool) -> CommandResult {
    cx.propagate = Propagate::Nothing; // its commands speak for themselves
    let host = cx.host.clone();
    host.run(cx, Script { program: Program::Script(sha), name: &sha, keys, args, read_only, called: None })
}

/// KEYS and ARGV.
type Split<'b> = (Vec<&'b [u8]>, Vec<&'b [u8]>);

pub(super) fn keys_and_args<'b>(args: &mut Args<'b>) -> Result<Split<'b>, CommandError> {
    let count = integer(args.next())?;
    if count > args.left() as i64 {
        return Err("ERR Number of keys can't be greater than number of args".into());
    }
    let count =
        usize::try_from(count).map_err(|_| CommandError::Text("ERR Number of keys can't be negative"))?;
    let words: Vec<&[u8]> = args.rest().collect();
    let (keys, rest) = words.split_at(count);
    Ok((keys.to_vec(), rest.to_vec()))
}

/// Compiles a script and caches it; gives what it declares.
fn load_script(
    cx: &mut Cx<'_>,
    sha: &Sha,
    body: &[u8],
    origin: Origin,
) -> Result<Option<ScriptFlags>, CommandError> {
    let cache = &mut cx.server.scripts.cache;
    if origin == Origin::Load {
        cache.keep(sha);
    }
    if let Some(script) = cache.touch(sha) {
        let flags = script.flags;
        compile(cx.host, sha, body)?;
        return Ok(flags);
    }
    let flags = shebang(body)?;
    compile(cx.host, sha, body)?;
    if let Some(dropped) = cache.add(sha, body, flags, origin) {
        cx.host.forget_script(&dropped);
    }
    Ok(flags)
}

/// Has the machine compile a script that it doesn't know.
fn compile(host: &Rc<ScriptHost>, sha: &Sha, body: &[u8]) -> Result<(), CommandError> {
    host.compile(sha, body).map_err(|text| {
        CommandError::Raw(format!("ERR Error compiling script (new function): {text}").into_bytes())
    })
}

/// Reads `#!lua flags=no-writes,…`; `None` when there is no such line.
fn shebang(body: &[u8]) -> Result<Option<ScriptFlags>, CommandError> {
    let Some(rest) = body.strip_prefix(b"#!") else { return Ok(None) };
    let Some(end) = rest.iter().position(|b| *b == b'\n') else {
        return Err("ERR Invalid script shebang".into());
    };
    let mut words = split_args(&body[..end + 2]).unwrap_or_default().into_iter();
    let engine = words.next().ok_or(CommandError::Text("ERR Invalid engine in script shebang"))?;
    let complaint = |text: &str, of: &[u8]| CommandError::Raw([text.as_bytes(), of].concat());
    if engine != b"#!lua" {
        return Err(complaint("ERR Unexpected engine in script shebang: ", &engine));
    }
    let mut declared = ScriptFlags::default();
    for word in words {
        let names = word
            .strip_prefix(b"flags=")
            .ok_or_else(|| complaint("ERR Unknown lua shebang option: ", &word))?;
        for name in names.split(|b| *b == b',').filter(|_| !names.is_empty()) {
            // Unlike those of functions, these are told by their case.
            let known = ScriptFlags::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
            let (_, flag) =
                known.ok_or_else(|| complaint("ERR Unexpected flag in script shebang: ", name))?;
            declared = declared | *flag;
        }
    }
    Ok(Some(declared))
}

/// What the script or function declares that a request is to run, as far as that is known before.
pub fn declared(server: &Server, args: &Args<'_>) -> Option<ScriptFlags> {
    let (command, subject) = (args.get(0), args.get(1));
    if command.len() >= 5 && command[..5].eq_ignore_ascii_case(b"fcall") {
        return server.scripts.functions.find(subject).map(|function| function.flags);
    }
    if subject.starts_with(b"#!") {
        return shebang(subject).ok().flatten();
    }
    let sha = Sha::try_from(subject).ok()?.to_ascii_lowercase().try_into().ok()?;
    server.scripts.cache.get(&sha)?.flags
}

fn load(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let body = args.get(2);
    let sha = sha_of(body);
    load_script(cx, &sha, body, Origin::Load)?;
    cx.reply.bulk(&sha);
    Ok(Outcome::Done)
}

fn exists(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    cx.reply.array(args.left());
    for name in args.rest() {
        let cached = Sha::try_from(name.to_ascii_lowercase())
            .is_ok_and(|sha| cx.server.scripts.cache.get(&sha).is_some());
        cx.reply.integer(i64::from(cached));
    }
    Ok(Outcome::Done)
}

fn flush(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    if args.left() > 1 || args.left() == 1 && !args.take("ASYNC") && !args.take("SYNC") {
        return Err("ERR SCRIPT FLUSH only support SYNC|ASYNC option".into());
    }
    cx.server.scripts.cache.clear();
    cx.host.flush();
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn kill(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    kill_running(cx, false)
}

/// SCRIPT KILL, or FUNCTION KILL for functions: neither ends what the other is for.
pub(super) fn kill_running(cx: &mut Cx<'_>, function: bool) -> CommandResult {
    let scripts = &mut cx.server.scripts;
    if !scripts.is_running() {
        return Err("NOTBUSY No scripts in execution right now.".into());
    }
    if scripts.wrote {
        return Err("UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.".into());
    }
    if scripts.called.is_some() != function {
        return Err(scripts.busy_error());
    }
    scripts.kill = true;
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn show(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let sha = Sha::try_from(args.get(2).to_ascii_lowercase()).ok();
    let script = sha.and_then(|sha| cx.server.scripts.cache.get(&sha));
    let script = script.ok_or(CommandError::Text("NOSCRIPT No matching script. Please use EVAL."))?;
    cx.reply.bulk(&script.body);
    Ok(Outcome::Done)
}

fn debug(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    if args.take("NO") {
        cx.reply.ok(); // it is off, always
        return Ok(Outcome::Done);
    }
    if args.take("YES") || args.take("SYNC") {
        return Err("ERR The Lua debugger is not supported by this server".into());
    }
    Err("ERR Use SCRIPT DEBUG YES/SYNC/NO".into())
}

fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "DEBUG (YES|SYNC|NO)",
        "    Set the debug mode for subsequent scripts executed.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Return information about the existence of the scripts in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Flush the Lua scripts cache. Very dangerous on replicas.",
        "    When called without the optional mode argument, the behavior is determined",
        "    by the lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the scripts cache.",
        "    * SYNC: Synchronously flush the scripts cache.",
        "KILL",
        "    Kill the currently executing Lua script.",
        "LOAD <script>",
        "    Load a script into the scripts cache without executing it.",
        "SHOW <sha1>",
        "    Show a script in the scripts cache.",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "SCRIPT", LINES);
    Ok(Outcome::Done)
}
