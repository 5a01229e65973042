//! What scripts call of the host: the functions of `redis`, except for its calls of commands, and the compiler.
//!
//! Most reply `(failed, value)`; `prelude.lua` makes functions of them that raise the value when they failed.

use super::ScriptHost;
use super::convert;
use super::lua::{compile, message, sha_of};
use mlua::{Lua, MultiValue, Table, Value};
use std::rc::{Rc, Weak};

/// What host functions reply: whether they failed, and the value or what to raise.
pub(super) type Outcome = (bool, Value);

/// A table with a field `err`, to be raised.
pub(super) fn refusal(lua: &Lua, text: &str) -> mlua::Result<Outcome> {
    let table = lua.create_table()?;
    table.raw_set("err", text)?;
    Ok((true, Value::Table(table)))
}

/// All of them, by the names that the prelude knows.
pub(super) fn host_functions(lua: &Lua, host: &Weak<ScriptHost>) -> mlua::Result<Table> {
    let functions = lua.create_table()?;
    let bound = |function: fn(&Lua, &Rc<ScriptHost>, MultiValue) -> mlua::Result<Outcome>| {
        let weak = host.clone();
        lua.create_function(move |lua, args: MultiValue| {
            let host = weak.upgrade().ok_or_else(|| mlua::Error::runtime("the server is gone"))?;
            function(lua, &host, args)
        })
    };
    functions.raw_set("setresp", bound(set_resp)?)?;
    functions.raw_set("set_repl", bound(set_repl)?)?;
    functions.raw_set("acl_check_cmd", bound(acl_check_cmd)?)?;
    functions.raw_set("sha1hex", lua.create_function(sha1hex)?)?;
    functions.raw_set("log", lua.create_function(log)?)?;
    functions.raw_set("error_reply", lua.create_function(error_reply)?)?;
    functions.raw_set("status_reply", lua.create_function(status_reply)?)?;
    functions.raw_set("locate", lua.create_function(super::lua::locate)?)?;
    functions.raw_set("compile", lua.create_function(load_text)?)?;
    functions.raw_set("clock", lua.create_function(|_, ()| Ok(crate::process::cpu_seconds().0))?)?;
    functions.raw_set("raising", lua.create_function(crate::sys::lua::raising)?)?;
    functions.raw_set("resumers", lua.create_function(crate::sys::lua::resumers)?)?;
    functions.raw_set("expecting", lua.create_function(crate::sys::lua::expecting)?)?;
    functions.raw_set("seeing", lua.create_function(crate::sys::lua::seeing)?)?;
    functions.raw_set("pairs", lua.create_function(crate::sys::lua::pairs)?)?;
    functions.raw_set("bounded", lua.create_function(crate::sys::lua::bounded)?)?;
    functions.raw_set("unpack", lua.create_function(crate::sys::lua::unpack)?)?;
    functions.raw_set("guarded", lua.create_function(crate::sys::lua::guarded)?)?;
    functions.raw_set("constants", constants(lua)?)?;
    functions.raw_set("libraries", super::libraries::all(lua)?)?;
    Ok(functions)
}

fn constants(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (level, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].iter().enumerate() {
        table.raw_set(*name, level)?;
    }
    for (name, bits) in [
        ("REPL_NONE", 0),
        ("REPL_AOF", REPL_AOF),
        ("REPL_SLAVE", REPL_REPLICA),
        ("REPL_REPLICA", REPL_REPLICA),
        ("REPL_ALL", REPL_ALL),
    ] {
        table.raw_set(name, bits)?;
    }
    table.raw_set("REDIS_VERSION", common::REDIS_VERSION)?;
    let number = common::REDIS_VERSION
        .split('.')
        .filter_map(|part| part.parse::<i64>().ok())
        .fold(0, |n, part| n << 8 | part);
    table.raw_set("REDIS_VERSION_NUM", number)?;
    Ok(table)
}

/// `redis.REPL_AOF`.
const REPL_AOF: u8 = 1;
/// `redis.REPL_REPLICA`.
const REPL_REPLICA: u8 = 2;
/// `redis.REPL_ALL`.
pub(super) const REPL_ALL: u8 = REPL_AOF | REPL_REPLICA;

/// What a script has chosen by `redis.set_repl` includes replicas.
pub(super) fn reaches_replicas(bits: u8) -> bool {
    bits & REPL_REPLICA != 0
}

/// A number, or a string that is one, without what is behind its point.
fn whole(lua: &Lua, value: &Value) -> mlua::Result<Option<i64>> {
    Ok(lua.coerce_number(value.clone())?.map(|number| number as i64))
}

fn set_resp(lua: &Lua, host: &Rc<ScriptHost>, args: MultiValue) -> mlua::Result<Outcome> {
    if args.len() != 1 {
        return refusal(lua, "ERR redis.setresp() requires one argument.");
    }
    let version = whole(lua, &args[0])?.unwrap_or(0);
    if version != 2 && version != 3 {
        return refusal(lua, "ERR RESP version must be 2 or 3.");
    }
    host.set_resp3(version == 3);
    Ok((false, Value::Nil))
}

/// Chooses who hears of the writes of the calls that follow.
fn set_repl(lua: &Lua, host: &Rc<ScriptHost>, args: MultiValue) -> mlua::Result<Outcome> {
    // One is meant; the text is Redis's.
    let [bits] = args.iter().collect::<Vec<_>>()[..] else {
        return refusal(lua, "ERR redis.set_repl() requires two arguments.");
    };
    let bits = whole(lua, bits)?.unwrap_or(0);
    if bits & !i64::from(REPL_ALL) != 0 {
        let text = "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return refusal(lua, text);
    }
    host.set_repl(bits as u8);
    Ok((false, Value::Nil))
}

/// Whether the script's user may run a command. There are no users with fewer rights than all.
fn acl_check_cmd(lua: &Lua, host: &Rc<ScriptHost>, args: MultiValue) -> mlua::Result<Outcome> {
    let words = match convert::words(lua, &args)? {
        Ok(words) => words,
        Err(refused) => return Ok(refused),
    };
    let known = host.with_server(|server| server.table.named(&common::command::Args::of(&words)).is_ok());
    if !known {
        return refusal(lua, "ERR Invalid command passed to redis.acl_check_cmd()");
    }
    Ok((false, Value::Boolean(true)))
}

fn sha1hex(lua: &Lua, args: MultiValue) -> mlua::Result<Outcome> {
    let [value] = args.iter().collect::<Vec<_>>()[..] else {
        return refusal(lua, "ERR wrong number of arguments");
    };
    let text = lua.coerce_string(value.clone())?;
    let sha = sha_of(&text.map(|text| text.as_bytes().to_vec()).unwrap_or_default());
    Ok((false, Value::String(lua.create_string(sha)?)))
}

fn log(lua: &Lua, args: MultiValue) -> mlua::Result<Outcome> {
    if args.len() < 2 {
        return refusal(lua, "ERR redis.log() requires two arguments or more.");
    }
    let Some(level) = whole(lua, &args[0])? else {
        return refusal(lua, "ERR First argument must be a number (log level).");
    };
    let mut words = Vec::new();
    for value in args.iter().skip(1) {
        if let Some(text) = lua.coerce_string(value.clone())? {
            words.push(text.to_string_lossy());
        }
    }
    let line = words.join(" ");
    match level {
        0 => tracing::trace!("{line}"),
        1 => tracing::debug!("{line}"),
        2 => tracing::info!("{line}"),
        3 => tracing::warn!("{line}"),
        _ => return refusal(lua, "ERR Invalid debug level."),
    }
    Ok((false, Value::Nil))
}

/// The first of several words is the error's code, with or without a dash before it; a single word gets `ERR`.
fn error_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    let [Value::String(text)] = args.iter().collect::<Vec<_>>()[..] else {
        return Ok(refusal(lua, "ERR wrong number or type of arguments")?.1);
    };
    let text = text.as_bytes();
    let text = convert::as_text(&text);
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (code, text) = match text.iter().position(|b| *b == b' ') {
        Some(space) => (&text[..space], &text[space + 1..]),
        None => (&b"ERR"[..], text),
    };
    let is_end = |b: &u8| matches!(b, b'\r' | b'\n');
    let from = text.iter().position(|b| !is_end(b)).unwrap_or(text.len());
    let to = text.iter().rposition(|b| !is_end(b)).map_or(from, |last| last + 1);
    let full = [code, b" ", &text[from..to]].concat();
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(full)?)?;
    Ok(Value::Table(table))
}

fn status_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    let [Value::String(text)] = args.iter().collect::<Vec<_>>()[..] else {
        return Ok(refusal(lua, "ERR wrong number or type of arguments")?.1);
    };
    let table = lua.create_table()?;
    table.raw_set("ok", text)?;
    Ok(Value::Table(table))
}

/// `loadstring`: a function, or nil and a message.
fn load_text(
    lua: &Lua,
    (text, name, environment): (mlua::LuaString, mlua::LuaString, Table),
) -> mlua::Result<(Value, Value)> {
    match compile(lua, &text.as_bytes(), &name.to_string_lossy(), &environment) {
        Ok(function) => Ok((Value::Function(function), Value::Nil)),
        Err(error) => Ok((Value::Nil, Value::String(lua.create_string(message(&error))?))),
    }
}
