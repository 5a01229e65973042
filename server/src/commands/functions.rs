//! The scripting group: FUNCTION and FCALL.

use super::{doc, integer};
use crate::context::Cx;
use crate::persistence::rdb;
use crate::replication::Propagate;
use crate::scripting::{Called, ENGINE, Function, Functions, Program, Script};
use crate::server::Ochre;
use common::command::{
    Acl, Args, Arity, Command, CommandError, CommandResult, Flags, Handler, Outcome, write_help,
};
use common::glob::glob_match;
use common::pubsub::wrong_subcommand;
use std::time::Duration;

use super::scripting::{ACL, KEYS, KEYS_RO, RUN, RUN_RO, admit, keys_and_args};

/// Longest time that a library may take to register its functions; Redis's.
const LOAD_LIMIT: Duration = Duration::from_millis(500);

const CALL_SYNTAX: &str = "function numkeys [key [key ...]] [arg [arg ...]]";

/// The family.
#[rustfmt::skip]
pub const COMMANDS: &[Command<Ochre>] = &[
    Command {
        name: "fcall", arity: Arity::AtLeast(3), flags: RUN, acl: ACL, keys: KEYS, tips: &[], subcommands: &[],
        doc: doc("scripting", "7.0.0", "Depends on the function.", CALL_SYNTAX, "Calls a function of a library."),
        run: |cx, args| fcall(cx, args, false),
    },
    Command {
        name: "fcall_ro", arity: Arity::AtLeast(3), flags: RUN_RO, acl: ACL, keys: KEYS_RO, tips: &[], subcommands: &[],
        doc: doc("scripting", "7.0.0", "Depends on the function.", CALL_SYNTAX, "Calls a function of a library that may only read."),
        run: |cx, args| fcall(cx, args, true),
    },
    Command {
        name: "function", arity: Arity::AtLeast(2), flags: Flags::NONE, acl: &[], keys: &[], tips: &[], subcommands: FUNCTION,
        doc: doc("scripting", "7.0.0", "Depends on the subcommand.", "", "Looks after libraries of functions."),
        run: help,
    },
];

const CHANGE: Flags = Flags::WRITE.and(Flags::NOSCRIPT);
const SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

#[rustfmt::skip]
const FUNCTION: &[Command<Ochre>] = &[
    sub("delete", Arity::Exactly(3), CHANGE, SHARDS, "O(1)", "library-name", "Deletes a library with its functions.", delete),
    sub("dump", Arity::Exactly(2), Flags::NOSCRIPT, &[], "O(N), N functions", "", "Gives all libraries as one payload.", dump),
    sub("flush", Arity::AtLeast(2), CHANGE, SHARDS, "O(N), N functions", "[ASYNC | SYNC]", "Deletes all libraries.", flush),
    sub("help", Arity::Exactly(2), Flags::LOADING.and(Flags::STALE), &[], "O(1)", "", "Lists the subcommands of FUNCTION.", help),
    sub("kill", Arity::Exactly(2), Flags::NOSCRIPT.and(Flags::ALLOW_BUSY), &["request_policy:all_shards", "response_policy:one_succeeded"], "O(1)", "", "Ends the running function.", kill),
    sub("list", Arity::AtLeast(2), Flags::NOSCRIPT, &["nondeterministic_output_order"], "O(N), N functions", "[LIBRARYNAME library-name-pattern] [WITHCODE]", "Lists libraries with their functions.", list),
    sub("load", Arity::AtLeast(3), CHANGE.and(Flags::DENYOOM), SHARDS, "O(1), and what the library's text does", "[REPLACE] function-code", "Takes in a library.", load),
    sub("restore", Arity::AtLeast(3), CHANGE.and(Flags::DENYOOM), SHARDS, "O(N), N functions", "serialized-value [FLUSH | APPEND | REPLACE]", "Takes in the libraries of a payload.", restore),
    sub("stats", Arity::Exactly(2), Flags::NOSCRIPT.and(Flags::ALLOW_BUSY), &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"], "O(1)", "", "Tells which function runs, and how many there are.", stats),
];

#[expect(clippy::too_many_arguments, reason = "a row of the table above")]
const fn sub(
    name: &'static str,
    arity: Arity,
    flags: Flags,
    tips: &'static [&'static str],
    cost: &'static str,
    syntax: &'static str,
    summary: &'static str,
    run: Handler<Ochre>,
) -> Command<Ochre> {
    const SCRIPTING: &[Acl] = &[Acl::Scripting];
    let doc = doc("scripting", "7.0.0", cost, syntax, summary);
    Command { name, arity, flags, acl: SCRIPTING, keys: &[], tips, doc, subcommands: &[], run }
}

fn fcall(cx: &mut Cx<'_>, args: &mut Args<'_>, read_only: bool) -> CommandResult {
    crate::monitor::show_always(cx, args); // before its commands
    let command = args.all().map(<[u8]>::to_vec).collect();
    let function = cx.server.scripts.functions.find(args.next()).cloned();
    let function = function.ok_or(CommandError::Text("ERR Function not found"))?;
    if integer(args.get(2)).is_err() {
        return Err("ERR Bad number of keys provided".into());
    }
    let (keys, rest) = keys_and_args(args)?;
    let read_only = admit(cx, Some(function.flags), read_only)?;
    cx.propagate = Propagate::Nothing; // its commands speak for themselves
    let host = cx.host.clone();
    let called = Some(Called { name: function.name.clone(), command });
    let program = Program::Function(function.id);
    host.run(cx, Script { program, name: &function.name, keys, args: rest, read_only, called })
}

/// Errors of libraries have no code of their own.
fn failed(text: &str) -> CommandError {
    CommandError::Message(format!("ERR {text}"))
}

fn load(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let mut replaces = false;
    while args.left() > 1 {
        let option = args.next();
        if !option.eq_ignore_ascii_case(b"replace") {
            return Err(CommandError::quoting("ERR Unknown option given: ", option, ""));
        }
        replaces = true;
    }
    let host = cx.host.clone();
    let code = args.next();
    let name = cx.server.scripts.functions.load(&host, code, replaces, Some(LOAD_LIMIT));
    let name = name.map_err(|text| failed(&text))?;
    changed(cx);
    cx.reply.bulk(&name);
    Ok(Outcome::Done)
}

fn changed(cx: &mut Cx<'_>) {
    cx.server.dirty += 1;
    cx.server.scripts.functions_vm_bytes = cx.host.functions_bytes();
}

fn delete(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    let host = cx.host.clone();
    if !cx.server.scripts.functions.remove(&host, args.get(2)) {
        return Err("ERR Library not found".into());
    }
    changed(cx);
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn flush(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    if args.left() > 1 {
        return Err(wrong_subcommand(args));
    }
    // Either way it is done at once: nothing is as large as to take long.
    if args.left() == 1 && !args.take("ASYNC") && !args.take("SYNC") {
        return Err("ERR FUNCTION FLUSH only supports SYNC|ASYNC option".into());
    }
    let host = cx.host.clone();
    cx.server.scripts.functions.clear(&host);
    changed(cx);
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn list(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    let (mut with_code, mut pattern) = (false, None);
    while let Some(option) = args.try_next() {
        if !with_code && option.eq_ignore_ascii_case(b"withcode") {
            with_code = true;
        } else if pattern.is_none() && option.eq_ignore_ascii_case(b"libraryname") {
            let given = args.try_next();
            pattern = Some(given.ok_or(CommandError::Text("ERR library name argument was not given"))?);
        } else {
            return Err(CommandError::quoting("ERR Unknown argument ", option, ""));
        }
    }
    // Library names match in any case, though they differ by it.
    let libraries: Vec<_> = cx.server.scripts.functions.libraries().collect();
    let is_wanted = |name: &[u8]| pattern.is_none_or(|pattern| glob_match(pattern, name, true));
    let wanted: Vec<_> = libraries.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    let reply = &mut cx.reply;
    reply.array(wanted.len());
    for (name, library) in wanted {
        reply.map(3 + usize::from(with_code));
        reply.bulk(b"library_name");
        reply.bulk(name);
        reply.bulk(b"engine");
        reply.bulk(ENGINE.as_bytes());
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        library.functions.iter().for_each(|function| describe(reply, function));
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(Outcome::Done)
}

fn describe(reply: &mut common::resp::Reply, function: &Function) {
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(&function.name);
    reply.bulk(b"description");
    match &function.description {
        Some(text) => reply.bulk(text),
        None => reply.null(),
    }
    reply.bulk(b"flags");
    reply.set(function.flags.names().count());
    function.flags.names().for_each(|name| reply.status(name.as_bytes()));
}

fn dump(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let libraries = cx.server.scripts.functions.libraries().map(|(_, library)| &*library.code);
    let payload = rdb::dump_libraries(libraries, cx.server.config.rdb_compression);
    cx.reply.bulk(&payload);
    Ok(Outcome::Done)
}

fn restore(cx: &mut Cx<'_>, args: &mut Args<'_>) -> CommandResult {
    args.skip(1);
    if args.left() > 2 {
        return Err(wrong_subcommand(args));
    }
    let payload = args.next();
    let (mut flushes, mut replaces) = (false, false);
    match args.try_next().map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"append") => {}
        Some(b"replace") => replaces = true,
        Some(b"flush") => flushes = true,
        Some(_) => {
            return Err(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.".into()
            );
        }
    }
    let codes = rdb::restore_libraries(payload)
        .ok_or(CommandError::Text("ERR DUMP payload version or checksum are wrong"))?;
    let host = cx.host.clone();
    let mut restored = Functions::default();
    for code in codes {
        let taken = code.map_err(str::to_owned).and_then(|code| restored.load(&host, &code, false, None));
        if let Err(text) = taken {
            restored.clear(&host);
            return Err(failed(&text));
        }
    }
    let functions = &mut cx.server.scripts.functions;
    if flushes {
        functions.clear(&host);
    }
    functions.join(&host, restored, replaces).map_err(|text| failed(&text))?;
    changed(cx);
    cx.reply.ok();
    Ok(Outcome::Done)
}

fn kill(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    super::scripting::kill_running(cx, true)
}

fn stats(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    let scripts = &cx.server.scripts;
    let reply = &mut cx.reply;
    match (scripts.elapsed_ms(), &scripts.called) {
        (Some(_), None) => return Err(scripts.busy_error()),
        (Some(elapsed_ms), Some(called)) => {
            reply.map(2);
            reply.bulk(b"running_script");
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&called.name);
            reply.bulk(b"command");
            reply.array(called.command.len());
            called.command.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            reply.integer(elapsed_ms as i64);
        }
        _ => {
            reply.map(2);
            reply.bulk(b"running_script");
            reply.null();
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(ENGINE.as_bytes());
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.integer(scripts.functions.library_count() as i64);
    reply.bulk(b"functions_count");
    reply.integer(scripts.functions.function_count() as i64);
    Ok(Outcome::Done)
}

fn help(cx: &mut Cx<'_>, _args: &mut Args<'_>) -> CommandResult {
    const LINES: &[&str] = &[
        "LOAD [REPLACE] <FUNCTION CODE>",
        "    Create a new library with the given library name and code.",
        "DELETE <LIBRARY NAME>",
        "    Delete the given library.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Return general information on all the libraries:",
        "    * Library name",
        "    * The engine used to run the Library",
        "    * Library description",
        "    * Functions list",
        "    * Library code (if WITHCODE is given)",
        "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
        "STATS",
        "    Return information about the current function running:",
        "    * Function name",
        "    * Command used to run the function",
        "    * Duration in MS that the function is running",
        "    If no function is running, return nil",
        "    In addition, returns a list of available engines.",
        "KILL",
        "    Kill the current running function.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all the libraries.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the libraries.",
        "    * SYNC: Synchronously flush the libraries.",
        "DUMP",
        "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
        "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
        "    control how to handle existing libraries (default APPEND):",
        "    * FLUSH: delete all existing libraries.",
        "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
        "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
        "      libraries with the new libraries (notice that even on this option there is a chance of failure",
        "      in case of functions name collision with another library).",
        "HELP",
        "    Prints this help.",
    ];
    write_help(&mut cx.reply, "FUNCTION", LINES);
    Ok(Outcome::Done)
}
