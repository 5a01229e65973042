//! The Lua side: a sandboxed virtual machine, made once per actor.
//!
//! What scripts see is put together in `prelude.lua`. Errors of `redis.call` are tables and must be raised by Lua
//! itself (an error that Rust raises reaches Lua as opaque userdata), hence the thin Lua functions there.

use super::ScriptHost;
use super::convert;
use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, Lua, LuaOptions, MultiValue, RegistryKey, StdLib, Table, Value, VmState};
use sha1::{Digest, Sha1};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// Instructions between two looks at the clock; Redis's number.
const HOOK_EVERY: u32 = 100_000;
/// Memory that all scripts together may hold, bytes: one that runs away fails, the server goes on.
const MEMORY_LIMIT: usize = 1 << 30;
/// The name that errors show for a script.
const CHUNK_NAME: &str = "@user_script";
/// A table beyond this depth is no reply; also what keeps a table that holds itself from never ending.
pub(super) const MAX_DEPTH: usize = 200;

/// A script's SHA-1 in lower-case hexadecimal digits.
pub type Sha = [u8; 40];

/// The digest that names a script.
pub fn sha_of(body: &[u8]) -> Sha {
    let digest = Sha1::digest(body);
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest.iter()) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    hex
}

/// A running virtual machine.
pub struct Vm {
    lua: Lua,
    environment: RegistryKey,
    globals: RegistryKey,
    run: RegistryKey,
    scripts: RefCell<HashMap<Sha, RegistryKey>>,
}

/// How a script ended.
pub enum Ending {
    /// With a value, written as a reply by `convert`.
    Value(Value),
    /// With an error.
    Error {
        /// The code and what follows it.
        text: Vec<u8>,
        /// Chunk and line, if it is known.
        place: Option<(String, i64)>,
        /// Statistics know it from the command that failed.
        is_counted: bool,
    },
}

impl Ending {
    fn error(text: Vec<u8>) -> Self {
        Ending::Error { text, place: None, is_counted: false }
    }
}

impl Vm {
    /// A fresh machine.
    ///
    /// # Errors
    /// When Lua can't be set up: no memory, or a mistake in the prelude.
    pub fn new(host: &Rc<ScriptHost>) -> mlua::Result<Self> {
        let options = LuaOptions::new().catch_rust_panics(false);
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, options)?;
        lua.set_memory_limit(MEMORY_LIMIT)?;
        let functions = host_functions(&lua, &Rc::downgrade(host))?;
        let prelude = lua.load(include_str!("prelude.lua")).set_name("=prelude").into_function()?;
        let (environment, globals, run): (Table, Table, Function) = prelude.call(functions)?;
        let vm = Self {
            environment: lua.create_registry_value(environment)?,
            globals: lua.create_registry_value(globals)?,
            run: lua.create_registry_value(run)?,
            scripts: RefCell::default(),
            lua,
        };
        vm.watch_clock(host, HOOK_EVERY)?;
        Ok(vm)
    }

    /// Looks at the clock every `instructions`; scripts that take long let others have a word there.
    fn watch_clock(&self, host: &Rc<ScriptHost>, instructions: u32) -> mlua::Result<()> {
        let weak = Rc::downgrade(host);
        self.lua.set_global_hook(HookTriggers::new().every_nth_instruction(instructions), move |lua, _| {
            let Some(host) = weak.upgrade() else { return Ok(VmState::Continue) };
            if !host.is_running() || !host.tick() {
                return Ok(VmState::Continue);
            }
            host.note_place(place(lua, 0));
            // Killed. A pcall may swallow this error, so from now on every instruction raises it.
            lua.set_global_hook(HookTriggers::new().every_nth_instruction(1), |_, _| {
                Err(mlua::Error::runtime(KILLED))
            })?;
            Err(mlua::Error::runtime(KILLED))
        })
    }

    /// Compiles a script, or finds it compiled.
    ///
    /// # Errors
    /// Lua's complaint.
    pub fn compile(&self, sha: &Sha, body: &[u8]) -> Result<(), String> {
        if self.scripts.borrow().contains_key(sha) {
            return Ok(());
        }
        // A shebang line is no Lua; its line stays, so that line numbers agree.
        let source = if body.starts_with(b"#!") {
            &body[body.iter().position(|b| *b == b'\n').unwrap_or(body.len())..]
        } else {
            body
        };
        let environment: Table = self.lua.registry_value(&self.environment).map_err(|e| message(&e))?;
        let function = compile(&self.lua, source, CHUNK_NAME, &environment).map_err(|e| message(&e))?;
        let key = self.lua.create_registry_value(function).map_err(|e| message(&e))?;
        self.scripts.borrow_mut().insert(*sha, key);
        Ok(())
    }

    /// Forgets all compiled scripts.
    pub fn flush(&self) {
        self.scripts.borrow_mut().clear();
        self.lua.expire_registry_values();
    }

    /// Memory that Lua holds.
    pub fn memory_bytes(&self) -> u64 {
        self.lua.used_memory() as u64
    }

    /// Runs a compiled script. The server must be lent to the host.
    pub fn run(&self, host: &Rc<ScriptHost>, sha: &Sha, keys: &[&[u8]], args: &[&[u8]]) -> Ending {
        let ending = self
            .try_run(sha, keys, args)
            .unwrap_or_else(|error| Ending::error(format!("ERR {}", message(&error)).into_bytes()));
        if !host.is_killed() {
            return ending;
        }
        // Back to the clock's pace, for the next script.
        let _ = self.watch_clock(host, HOOK_EVERY);
        Ending::Error {
            text: format!("ERR {KILLED}").into_bytes(),
            place: host.take_place(),
            is_counted: false,
        }
    }

    fn try_run(&self, sha: &Sha, keys: &[&[u8]], args: &[&[u8]]) -> mlua::Result<Ending> {
        let globals: Table = self.lua.registry_value(&self.globals)?;
        for (name, words) in [("KEYS", keys), ("ARGV", args)] {
            let list = self.lua.create_table_with_capacity(words.len(), 0)?;
            for (index, word) in words.iter().enumerate() {
                list.raw_set(index + 1, self.lua.create_string(word)?)?;
            }
            globals.raw_set(name, list)?;
        }
        let run: Function = self.lua.registry_value(&self.run)?;
        let script: Function = {
            let scripts = self.scripts.borrow();
            self.lua.registry_value(scripts.get(sha).expect("it was compiled"))?
        };
        let (ok, value): (bool, Value) = run.call(script)?;
        Ok(if ok { Ending::Value(value) } else { failure(&value) })
    }
}

/// What SCRIPT KILL makes of a script, in Redis's words.
const KILLED: &str = "Script killed by user with SCRIPT KILL...";

fn failure(value: &Value) -> Ending {
    let table = match value {
        Value::Table(table) => table,
        // No memory is left for a table that explains.
        Value::String(text) => return Ending::error([b"ERR ", &text.as_bytes()[..]].concat()),
        Value::Error(error) => return Ending::error(format!("ERR {}", message(error)).into_bytes()),
        _ => return Ending::error(b"ERR unknown error".to_vec()),
    };
    let text = match table.raw_get::<Value>("err") {
        Ok(Value::String(text)) => text.as_bytes().to_vec(),
        _ => b"ERR unknown error".to_vec(),
    };
    let source: Option<String> = table.raw_get("source").ok();
    let line: Option<i64> = table.raw_get("line").ok();
    let is_counted = matches!(table.raw_get(convert::COUNTED), Ok(Value::Boolean(true)));
    Ending::Error { text, place: source.zip(line), is_counted }
}

/// Lua's own words of an error, without the crate's additions.
fn message(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } | mlua::Error::RuntimeError(message) => message.clone(),
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        mlua::Error::CallbackError { cause, .. } => message(cause),
        other => other.to_string(),
    }
}

/// Compiles text, never bytecode: the loader of 5.1 trusts it. The collector rests meanwhile (CVE-2025-49844).
fn compile(lua: &Lua, source: &[u8], name: &str, environment: &Table) -> mlua::Result<Function> {
    if source.first() == Some(&0x1b) {
        return Err(mlua::Error::runtime("bytecode is not loaded"));
    }
    lua.gc_stop();
    let compiled = lua
        .load(source)
        .set_name(name)
        .set_mode(ChunkMode::Text)
        .set_environment(environment.clone())
        .into_function();
    lua.gc_restart();
    compiled
}

/// What host functions reply: whether they failed, and the value or what to raise.
pub(super) type Outcome = (bool, Value);

/// A table with a field `err`, to be raised.
pub(super) fn refusal(lua: &Lua, text: &str) -> mlua::Result<Outcome> {
    let table = lua.create_table()?;
    table.raw_set("err", text)?;
    Ok((true, Value::Table(table)))
}

/// A number, whichever way the crate represents it.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_number().or_else(|| value.as_integer().map(|n| n as f64))
}

fn host_functions(lua: &Lua, host: &Weak<ScriptHost>) -> mlua::Result<Table> {
    let functions = lua.create_table()?;
    let weak = host.clone();
    functions.raw_set(
        "call",
        lua.create_function(move |lua, args: MultiValue| {
            let host = weak.upgrade().ok_or_else(|| mlua::Error::runtime("the server is gone"))?;
            convert::call(lua, &host, args)
        })?,
    )?;
    let weak = host.clone();
    functions.raw_set(
        "setresp",
        lua.create_function(move |lua, args: MultiValue| {
            if args.len() != 1 {
                return refusal(lua, "ERR redis.setresp() requires one argument.");
            }
            let version = args.front().and_then(number);
            if version != Some(2.0) && version != Some(3.0) {
                return refusal(lua, "ERR RESP version must be 2 or 3.");
            }
            if let Some(host) = weak.upgrade() {
                host.set_resp3(version == Some(3.0));
            }
            Ok((false, Value::Nil))
        })?,
    )?;
    functions.raw_set("sha1hex", lua.create_function(sha1hex)?)?;
    functions.raw_set("log", lua.create_function(log)?)?;
    functions.raw_set("error_reply", lua.create_function(error_reply)?)?;
    functions.raw_set("status_reply", lua.create_function(status_reply)?)?;
    functions.raw_set("locate", lua.create_function(locate)?)?;
    functions.raw_set("compile", lua.create_function(load_text)?)?;
    functions.raw_set("clock", lua.create_function(|_, ()| Ok(crate::process::cpu_seconds().0))?)?;
    functions.raw_set("raising", lua.create_function(crate::sys::raising)?)?;
    functions.raw_set("constants", constants(lua)?)?;
    functions.raw_set("libraries", super::libraries::all(lua)?)?;
    Ok(functions)
}

fn constants(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (level, name) in ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"].iter().enumerate() {
        table.raw_set(*name, level)?;
    }
    table.raw_set("REDIS_VERSION", common::REDIS_VERSION)?;
    let number = common::REDIS_VERSION
        .split('.')
        .filter_map(|part| part.parse::<i64>().ok())
        .fold(0, |n, part| n << 8 | part);
    table.raw_set("REDIS_VERSION_NUM", number)?;
    Ok(table)
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
    let Some(level) = number(&args[0]) else {
        return refusal(lua, "ERR First argument must be a number (log level).");
    };
    let mut words = Vec::new();
    for value in args.iter().skip(1) {
        if let Some(text) = lua.coerce_string(value.clone())? {
            words.push(text.to_string_lossy());
        }
    }
    let line = words.join(" ");
    match level as i64 {
        0 => tracing::trace!("{line}"),
        1 => tracing::debug!("{line}"),
        2 => tracing::info!("{line}"),
        3 => tracing::warn!("{line}"),
        _ => return refusal(lua, "ERR Invalid log level."),
    }
    Ok((false, Value::Nil))
}

/// The first of several words is the error's code, with or without a dash before it; a single word gets `ERR`.
fn error_reply(lua: &Lua, args: MultiValue) -> mlua::Result<Value> {
    let [Value::String(text)] = args.iter().collect::<Vec<_>>()[..] else {
        return Ok(refusal(lua, "ERR wrong number or type of arguments")?.1);
    };
    let text = text.as_bytes();
    let trimmed = text.trim_ascii_end();
    let text = trimmed.strip_prefix(b"-").unwrap_or(trimmed);
    let full = if text.contains(&b' ') { text.to_vec() } else { [b"ERR ", text].concat() };
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

/// Adds where a failure happened.
fn locate(lua: &Lua, failure: Table) -> mlua::Result<()> {
    if let Some((source, line)) = place(lua, 1) {
        failure.raw_set("source", source)?;
        failure.raw_set("line", line)?;
    }
    Ok(())
}

/// The innermost line of a script on the stack, from `level` on.
fn place(lua: &Lua, level: usize) -> Option<(String, i64)> {
    /// Levels looked at, host functions and the prelude's included.
    const LEVELS: usize = 64;
    (level..LEVELS)
        .map_while(|level| {
            lua.inspect_stack(level, |debug| {
                let source = debug.source().source.map(|source| source.into_owned());
                // Neither C's nor the prelude's.
                source
                    .filter(|source| !source.starts_with('='))
                    .zip(debug.current_line().map(|line| line as i64))
            })
        })
        .flatten()
        .next()
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
