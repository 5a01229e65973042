//! The Lua side: a sandboxed virtual machine, made once per actor.
//!
//! What scripts see is put together in `prelude.lua`. Errors of `redis.call` are tables and must be raised by Lua
//! itself (an error that Rust raises reaches Lua as opaque userdata), hence the thin Lua functions there.

use super::api::host_functions;
use super::convert;
use super::functions::{Function as LibraryFunction, FunctionId};
use super::library::{Draft, Loading, register_function};
use super::{Program, ScriptHost};
use crate::sys::lua::set_ending;
use crate::sys::script::{Calls, Ended, Machine, Run, callers};
use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, Lua, LuaOptions, RegistryKey, StdLib, Table, Value, VmState};
use sha1::{Digest, Sha1};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// Instructions between two looks at the clock: a tenth of Redis's number. One may be a call that takes long (a string of
/// megabytes), and no look comes in the middle of it.
const HOOK_EVERY: u32 = 10_000;
/// Scripts between two times that the collector is sent on its way, and the steps that it then takes: Redis's numbers.
const COLLECT_EVERY: u32 = 50;
const COLLECT_STEPS: u32 = 50;
/// Memory that all scripts together may hold, bytes: one that runs away fails, the server goes on.
const MEMORY_LIMIT: usize = 1 << 30;
/// The name that errors show for a script.
const SCRIPT_CHUNK: &str = "@user_script";
/// The name that errors show for a library.
const LIBRARY_CHUNK: &str = "@user_function";
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

/// What a machine is for. Scripts and functions don't share one, so that neither finds what the other left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EVAL.
    Scripts,
    /// FCALL.
    Functions,
}

/// What the prelude gives.
struct Entries {
    /// What scripts see.
    environment: Table,
    /// What lies behind it.
    globals: Table,
    /// The metatable that puts the one before the other.
    backing: Table,
    /// Runs the text of a library.
    load: Function,
}

/// A running virtual machine.
pub struct Vm {
    lua: Lua,
    entries: Entries,
    machine: Machine,
    // In Lua's registry, as there may be many: the crate has room for no more than 8,000 values at a time.
    scripts: RefCell<HashMap<Sha, RegistryKey>>,
    functions: RefCell<HashMap<FunctionId, RegistryKey>>,
    last_function: Cell<u64>,
    /// What a library sees while it registers, in the machine of functions.
    registration: Option<Table>,
    loading: Loading,
    /// Runs since the collector was last sent on its way.
    runs: Cell<u32>,
    /// Bytes that were held after everything was last collected.
    kept: Cell<usize>,
}

impl Vm {
    /// A fresh machine.
    ///
    /// # Errors
    /// When Lua can't be set up: no memory, or a mistake in the prelude.
    pub fn new(host: &Rc<ScriptHost>, kind: Kind) -> mlua::Result<Self> {
        let options = LuaOptions::new().catch_rust_panics(false);
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, options)?;
        lua.set_memory_limit(MEMORY_LIMIT)?;
        let functions = host_functions(&lua, &Rc::downgrade(host))?;
        let loading = Loading::default();
        let [call, pcall] = callers(&lua, calls(host))?;
        functions.raw_set("call", call)?;
        functions.raw_set("pcall", pcall)?;
        functions.raw_set("has_deprecated", host.has_deprecated)?;
        if kind == Kind::Functions {
            functions.raw_set("register_function", register_function(&lua, &loading)?)?;
        }
        let prelude = lua.load(include_str!("prelude.lua")).set_name("=prelude").into_function()?;
        let (environment, entries): (Table, Table) = prelude.call(functions)?;
        let globals: Table = entries.raw_get("globals")?;
        let machine = Machine::new(&lua, entries.raw_get("explain")?, globals.clone())?;
        let vm = Self {
            machine,
            entries: Entries {
                environment,
                globals,
                backing: entries.raw_get("backing")?,
                load: entries.raw_get("load")?,
            },
            registration: entries.raw_get("registration")?,
            scripts: RefCell::default(),
            functions: RefCell::default(),
            last_function: Cell::default(),
            loading,
            runs: Cell::default(),
            kept: Cell::default(),
            lua,
        };
        vm.watch_clock(host, HOOK_EVERY)?;
        Ok(vm)
    }

    /// Looks at the clock every `instructions`; scripts that take long let others have a word there.
    fn watch_clock(&self, host: &Rc<ScriptHost>, instructions: u32) -> mlua::Result<()> {
        set_ending(false);
        let (weak, loading) = (Rc::downgrade(host), self.loading.clone());
        self.lua.set_global_hook(HookTriggers::new().every_nth_instruction(instructions), move |lua, _| {
            if loading.borrow_mut().as_mut().is_some_and(Draft::tick) {
                return end(lua, TIMEOUT);
            }
            let Some(host) = weak.upgrade() else { return Ok(VmState::Continue) };
            if !host.is_running() || !host.tick() {
                return Ok(VmState::Continue);
            }
            host.note_place(place(lua, 0));
            end(lua, KILLED)
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
        let key = compile(&self.lua, source, SCRIPT_CHUNK, &self.entries.environment)
            .and_then(|function| self.lua.create_registry_value(function));
        self.scripts.borrow_mut().insert(*sha, key.map_err(|error| message(&error))?);
        Ok(())
    }

    /// Runs a library's text, which registers functions.
    ///
    /// # Errors
    /// Lua's complaint, or that it takes longer than `limit`.
    pub fn load_library(
        &self,
        host: &Rc<ScriptHost>,
        body: &[u8],
        limit: Option<Duration>,
    ) -> Result<Vec<LibraryFunction>, String> {
        let failed = |error| format!("Error registering functions: {}", message(&error));
        let chunk = compile(&self.lua, body, LIBRARY_CHUNK, &self.entries.environment)
            .map_err(|error| format!("Error compiling function: {}", message(&error)))?;
        self.loading.replace(Some(Draft::new(limit)));
        let result = self.run_library(chunk);
        let draft = self.loading.take().expect("it was put there");
        if draft.is_overdue {
            self.watch_clock(host, HOOK_EVERY).map_err(failed)?; // back to the clock's pace
            return Err(format!("Error registering functions: ERR {TIMEOUT}"));
        }
        let (ok, value) = result.map_err(failed)?;
        if !ok {
            return Err(format!("Error registering functions: {}", complaint(&value)));
        }
        let functions = draft.functions.into_iter().map(|registered| {
            let id = FunctionId(self.last_function.get() + 1);
            self.last_function.set(id.0);
            self.functions.borrow_mut().insert(id, registered.callback);
            let (name, description, flags) = (registered.name, registered.description, registered.flags);
            LibraryFunction { name, description, flags, id }
        });
        Ok(functions.collect())
    }

    /// While a library registers, its environment is the little that may be used then.
    fn run_library(&self, chunk: Function) -> mlua::Result<(bool, Value)> {
        let Entries { globals, backing, load, .. } = &self.entries;
        backing.raw_set("__index", self.registration.as_ref())?;
        let result = load.call(chunk);
        backing.raw_set("__index", globals)?;
        result
    }

    /// Forgets functions.
    pub fn forget(&self, ids: impl Iterator<Item = FunctionId>) {
        let mut functions = self.functions.borrow_mut();
        ids.for_each(|id| drop(functions.remove(&id)));
        self.lua.expire_registry_values();
    }

    /// Forgets all compiled scripts.
    pub fn flush(&self) {
        self.scripts.borrow_mut().clear();
        self.lua.expire_registry_values();
        // What they left goes as well. Each round halves the table of strings, down to what is used; no finalizer
        // comes from a script, so nothing can fail.
        let mut before = usize::MAX;
        while self.lua.used_memory() < before {
            before = self.lua.used_memory();
            let _ = self.lua.gc_collect();
        }
        self.kept.set(before);
    }

    /// Forgets one compiled script.
    pub fn forget_script(&self, sha: &Sha) {
        self.scripts.borrow_mut().remove(sha);
        self.lua.expire_registry_values();
    }

    /// Memory that Lua holds.
    pub fn memory_bytes(&self) -> u64 {
        self.lua.used_memory() as u64
    }

    /// Runs a compiled script or a function. The server must be lent to the host.
    pub fn run(&self, program: &Program, keys: &[&[u8]], args: &[&[u8]]) -> Ended<'_> {
        let (scripts, functions) = (self.scripts.borrow(), self.functions.borrow());
        let (program, are_passed) = match program {
            Program::Script(sha) => (scripts.get(sha), false),
            Program::Function(id) => (functions.get(id), true),
        };
        let program = program.expect("it was compiled");
        self.machine.run(&Run { program, keys, args, are_passed })
    }

    /// Makes ready for the next script.
    pub fn settle(&self, host: &Rc<ScriptHost>) {
        self.collect_now_and_then();
        if host.is_killed() {
            // Back to the clock's pace, for the next script.
            let _ = self.watch_clock(host, HOOK_EVERY);
        }
    }

    /// Lua 5.1 does not collect when memory runs out: what one script left would be missing for the next.
    /// And small scripts leave little, so that the collector alone would let the machine double first.
    fn collect_now_and_then(&self) {
        if self.lua.used_memory() > self.kept.get() + MEMORY_LIMIT / 4 {
            let _ = self.lua.gc_collect();
            self.kept.set(self.lua.used_memory());
        }
        self.runs.set(self.runs.get() + 1);
        if self.runs.get() == COLLECT_EVERY {
            self.runs.set(0);
            let _ = (0..COLLECT_STEPS).try_for_each(|_| match self.lua.gc_step() {
                Ok(false) => Ok(()),
                done => Err(done), // the cycle is complete
            });
        }
    }
}

/// What `redis.call` and `redis.pcall` lead to.
fn calls(host: &Rc<ScriptHost>) -> Box<Calls> {
    let weak = Rc::downgrade(host);
    Box::new(move |words, reply| {
        let host = weak.upgrade().expect("scripts run while their host is there");
        convert::call(&host, words, reply);
    })
}

/// Ends what runs. A pcall may swallow the error, so from now on every instruction raises it: in each coroutine once its
/// own count is full, which is when this is called again.
fn end(lua: &Lua, text: &'static str) -> mlua::Result<VmState> {
    set_ending(true);
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(1), move |lua, _| end(lua, text))?;
    Err(mlua::Error::runtime(text))
}

/// What becomes of a library that takes too long to load, in Redis's words.
const TIMEOUT: &str = "FUNCTION LOAD timeout";

/// What a library's text raised.
fn complaint(value: &Value) -> String {
    let coded = match value {
        Value::Table(table) => table.raw_get::<Value>("err").unwrap_or(Value::Nil),
        Value::String(text) => return format!("ERR {}", text.to_string_lossy()),
        Value::Error(error) => return format!("ERR {}", message(error)),
        _ => Value::Nil,
    };
    match coded {
        Value::String(text) => text.to_string_lossy(),
        _ => "ERR unknown error".to_owned(),
    }
}

/// What SCRIPT KILL makes of a script, in Redis's words.
pub(super) const KILLED: &str = "Script killed by user with SCRIPT KILL...";

/// Lua's own words of an error, without the crate's additions.
pub(super) fn message(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } | mlua::Error::RuntimeError(message) => message.clone(),
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        mlua::Error::CallbackError { cause, .. } => message(cause),
        other => other.to_string(),
    }
}

/// Compiles text, never bytecode: the loader of 5.1 trusts it. The collector rests meanwhile (CVE-2025-49844).
pub(super) fn compile(lua: &Lua, source: &[u8], name: &str, environment: &Table) -> mlua::Result<Function> {
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

/// Adds where a failure happened.
pub(super) fn locate(lua: &Lua, failure: Table) -> mlua::Result<()> {
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
