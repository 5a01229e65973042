//! The scripting group: EVAL and its kin, SCRIPT.

use super::{doc, integer};
use crate::context::Cx;
use crate::replication::Propagate;
use crate::scripting::{Script, Sha, sha_of};
use crate::server::{Ochre, Server};
use common::command::{
    Access, Acl, Args, Arity, Command, CommandError, CommandResult, Flags, Handler, KeySpec, Outcome,
    write_help,
};

const ACL: &[Acl] = &[Acl::Scripting];
const RUN: Flags = Flags::NOSCRIPT
    .and(Flags::STALE)
    .and(Flags::SKIP_MONITOR)
    .and(Flags::MAY_REPLICATE)
    .and(Flags::NO_MANDATORY_KEYS)
    .and(Flags::MOVABLE_KEYS)
    .and(Flags::SCRIPT_RUNNER);
const RUN_RO: Flags = Flags::READONLY
    .and(Flags::NOSCRIPT)
    .and(Flags::STALE)
    .and(Flags::SKIP_MONITOR)
    .and(Flags::NO_MANDATORY_KEYS)
    .and(Flags::MOVABLE_KEYS)
    .and(Flags::SCRIPT_RUNNER);
const KEYS: &[KeySpec] = &[KeySpec::counted(2, Access::Script)];
const KEYS_RO: &[KeySpec] = &[KeySpec::counted(2, Access::ScriptRead)];
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
    sub("exists", Arity::AtLeast(3), Flags::NOSCRIPT, "sha1 [sha1 ...]", "Tells which scripts are cached.", exists),
    sub("flush", Arity::AtLeast(2), Flags::NOSCRIPT, "[ASYNC | SYNC]", "Forgets all scripts.", flush),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), "", "Lists the subcommands of SCRIPT.", help),
    sub("kill", Arity::Exactly(2), Flags::NOSCRIPT.and(Flags::ALLOW_BUSY), "", "Ends the running script.", kill),
    sub("load", Arity::Exactly(3), Flags::NOSCRIPT.and(Flags::STALE), "script", "Caches a script.", load),
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
    let since = if matches!(name.as_bytes(), b"help") { "5.0.0" } else { "2.6.0" };
    let doc = doc("scripting", since, "O(N), N scripts", syntax, summary);
    Command { name, arity, flags, acl: ACL, keys: &[], tips, doc, subcommands: &[], run }
}

fn eval(cx: &mut Cx<'_>, args: &mut Args<'_>, read_only: bool) -> CommandResult {
    crate::monitor::show_always(cx, args); // before its commands
    let body = args.next();
    let (keys, rest) = keys_and_args(args)?;
    let sha = sha_of(body);
    let declared = compile(cx, &sha, body)?;
    admit(cx, declared)?;
    run(cx, &Script { sha, body, keys, args: rest, read_only: read_only || declared.no_writes })
}

fn evalsha(cx: &mut Cx<'_>, args: &mut Args<'_>, read_only: bool) -> CommandResult {
    crate::monitor::show_always(cx, args);
    let missing = CommandError::Text("NOSCRIPT No matching script. Please use EVAL.");
    let sha: Sha = args.next().to_ascii_lowercase().try_into().map_err(|_| missing.clone())?;
    let (keys, rest) = keys_and_args(args)?;
    // The machine may have forgotten it: it is compiled anew then.
    let body = cx.server.scripts.cache.get(&sha).cloned().ok_or(missing)?;
    let declared = compile(cx, &sha, &body)?;
    admit(cx, declared)?;
    run(cx, &Script { sha, body: &body, keys, args: rest, read_only: read_only || declared.no_writes })
}

/// A script that declares its needs is refused as a whole when there is no memory; one that declares nothing finds out
/// with the first command that needs some.
fn admit(cx: &mut Cx<'_>, declared: Declared) -> Result<(), CommandError> {
    if declared.needs_memory && cx.server.scripts.lacks_memory {
        return Err(CommandError::OutOfMemory);
    }
    cx.server.scripts.lacks_memory &= !declared.allow_oom;
    Ok(())
}

fn run(cx: &mut Cx<'_>, script: &Script<'_>) -> CommandResult {
    cx.propagate = Propagate::Nothing; // its commands speak for themselves
    let host = cx.host.clone();
    host.run(cx, script)
}

/// KEYS and ARGV.
type Split<'b> = (Vec<&'b [u8]>, Vec<&'b [u8]>);

fn keys_and_args<'b>(args: &mut Args<'b>) -> Result<Split<'b>, CommandError> {
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

/// What a script's first line says of it.
#[derive(Clone, Copy, Default)]
struct Declared {
    no_writes: bool,
    allow_oom: bool,
    /// It declares something, and not that it gets by without memory.
    needs_memory: bool,
}

/// Compiles a script and caches its body.
fn compile(cx: &mut Cx<'_>, sha: &Sha, body: &[u8]) -> Result<Declared, CommandError> {
    let declared = shebang(body)?;
    cx.host.compile(sha, body).map_err(|text| {
        CommandError::Raw(format!("ERR Error compiling script (new function): {text}").into_bytes())
    })?;
    if !cx.server.scripts.cache.contains_key(sha) {
        cx.server.scripts.cache.insert(*sha, body.into());
    }
    Ok(declared)
}

/// Reads `#!lua flags=no-writes,…`.
fn shebang(body: &[u8]) -> Result<Declared, CommandError> {
    let Some(rest) = body.strip_prefix(b"#!") else { return Ok(Declared::default()) };
    let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    if !rest.contains(&b'\n') {
        return Err("ERR Invalid script shebang".into());
    }
    let mut words = line.split_whitespace();
    if words.next() != Some("lua") {
        let engine = line.split_whitespace().next().unwrap_or_default();
        return Err(CommandError::Message(format!("ERR Unexpected engine in script shebang: #!{engine}")));
    }
    let mut declared = Declared::default();
    for word in words {
        let Some(flags) = word.strip_prefix("flags=") else {
            return Err(CommandError::Message(format!("ERR Unknown lua shebang option: {word}")));
        };
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => declared.no_writes = true,
                "allow-oom" => declared.allow_oom = true,
                // These lift guards that don't exist without stale replicas and cluster mode.
                "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                _ => {
                    return Err(CommandError::Message(format!(
                        "ERR Unexpected flag in script shebang: {flag}"
                    )));
                }
            }
        }
    }
    declared.needs_memory = !declared.allow_oom && !declared.no_writes;
    Ok(declared)
}

/// Whether a request to run a script is to run one that declares that it writes nothing.
pub fn declares_no_writes(server: &Server, args: &Args<'_>) -> bool {
    let body = args.get(1);
    let cached = || {
        let sha = Sha::try_from(body.to_ascii_lowercase()).ok()?;
        server.scripts.cache.get(&sha).map(|body| &**body)
    };
    let body = if body.starts_with(b"#!") { Some(body) } else { cached() };
    body.is_some_and(|body| shebang(body).is_ok_and(|declared| declared.no_writes))
}

fn load(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let body = args.get(2);
    let sha = sha_of(body);
    compile(cx, &sha, body)?;
    cx.reply.bulk(&sha);
    Ok(Outcome::Done)
}

fn exists(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    cx.reply.array(args.left());
    for name in args.rest() {
        let cached = Sha::try_from(name.to_ascii_lowercase())
            .is_ok_and(|sha| cx.server.scripts.cache.contains_key(&sha));
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
    if !cx.server.scripts.is_running() {
        return Err("NOTBUSY No scripts in execution right now.".into());
    }
    if cx.server.scripts.wrote {
        return Err("UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.".into());
    }
    cx.server.scripts.kill = true;
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
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
        "HELP",
        "    Print this help.",
    ];
    write_help(&mut cx.reply, "SCRIPT", LINES);
    Ok(Outcome::Done)
}
