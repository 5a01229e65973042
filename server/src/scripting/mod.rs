//! Scripts: the coroutine they run on, and where the server is meanwhile.
//!
//! A request that may run a script is executed on a stackful coroutine. While Lua runs, the server lies in the
//! host's [`ScriptHost::lend`] place, from which `redis.call` borrows it. When a script has run for longer than
//! `busy-reply-threshold`, its time hook suspends the coroutine and hands the server back to the actor, which serves
//! others (with -BUSY, mostly) until it resumes the script.

mod api;
mod cache;
mod convert;
mod flags;
mod functions;
mod libraries;
mod library;
mod lua;

pub use cache::{Origin, ScriptCache};
pub use flags::ScriptFlags;
pub use functions::{ENGINE, Function, FunctionId, Functions};
pub use lua::{Sha, sha_of};

use crate::actor::Ran;
use crate::context::Cx;
use crate::dispatch::{self, Flow};
use crate::server::Server;
use common::clients::Slot;
use common::clock::monotonic_ns;
use common::command::{Args, CommandError, CommandResult, Outcome};
use common::net::Batch;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use scoped_tls::scoped_thread_local;
use std::cell::{Cell, OnceCell, RefCell};
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::Duration;
use store::DbIndex;

scoped_thread_local! {
    /// The way out of the coroutine that runs on this thread.
    static YIELDER: Yielder<Box<Server>, Box<Server>>
}

/// Stack of the coroutine, bytes, of which only what is used takes memory: Lua's pattern matching recurses on it, up
/// to the longest pattern that `prelude.lua` allows.
const STACK_BYTES: usize = 8 << 20;

/// The script state that belongs to the server: everything but Lua itself.
#[derive(Debug, Default)]
pub struct Scripts {
    /// When the running script began, nanoseconds on the monotonic clock; `None` when none runs.
    pub started_ns: Option<u64>,
    /// It is a function.
    pub called: Option<Called>,
    /// It has asked that its writes reach no replica.
    pub is_muted: bool,
    /// It has run past `busy-reply-threshold`: others get -BUSY.
    busy: bool,
    /// SCRIPT KILL was asked for.
    pub kill: bool,
    /// It has changed the keyspace, so it can't be killed.
    pub wrote: bool,
    /// There was no room at `maxmemory` when the script began: commands that need memory fail until it has written.
    pub lacks_memory: bool,
    /// DEBUG SET-DISABLE-DENY-SCRIPTS: scripts may call what they otherwise may not, unless it can't run inside another
    /// command.
    pub allows_denied: bool,
    /// Memory of the scripts' Lua machine after the last script, bytes.
    pub vm_bytes: u64,
    /// Memory of the functions' Lua machine after the last of them, bytes.
    pub functions_vm_bytes: u64,
    /// Libraries of functions.
    pub functions: Functions,
    /// Bodies by digest, for EVALSHA and SCRIPT EXISTS.
    pub cache: ScriptCache,
}

/// A function that runs.
#[derive(Debug)]
pub struct Called {
    /// As it was registered.
    pub name: Vec<u8>,
    /// The request that calls it.
    pub command: Vec<Vec<u8>>,
}

impl Scripts {
    /// Whether a script keeps the server busy.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether a script runs, busy or not.
    pub fn is_running(&self) -> bool {
        self.started_ns.is_some()
    }

    /// For how long the running script has been running; `None` when none runs.
    pub fn elapsed_ms(&self) -> Option<u64> {
        self.started_ns.map(|started| monotonic_ns().saturating_sub(started) / 1_000_000)
    }

    fn begin(&mut self, now_ns: u64, called: Option<Called>) {
        self.started_ns = Some(now_ns);
        self.called = called;
        self.is_muted = false;
        self.kill = false;
        self.wrote = false;
    }

    fn end(&mut self) {
        self.started_ns = None;
        self.called = None;
        self.busy = false;
    }

    /// What others are told while a script keeps the server busy.
    pub fn busy_error(&self) -> CommandError {
        CommandError::Text(match self.called {
            None => "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            Some(_) => {
                "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
            }
        })
    }

    /// The running script is past its time.
    fn become_busy(&mut self, program: Option<Program>) {
        if !self.busy {
            let name = match (&self.called, program) {
                (Some(called), _) => String::from_utf8_lossy(&called.name).into_owned(),
                (None, Some(Program::Script(sha))) => String::from_utf8_lossy(&sha).into_owned(),
                _ => String::new(),
            };
            self.busy = true;
            let ms = self.elapsed_ms().unwrap_or(0);
            let kill = if self.called.is_some() { "FUNCTION KILL" } else { "SCRIPT KILL" };
            tracing::warn!(
                "Slow script detected: still in execution after {ms} milliseconds. You can try killing the script using the {kill} command. Script name is: {name}."
            );
        }
    }
}

/// What running a request on a coroutine came to.
pub enum Progress {
    /// It is done.
    Ran(Ran),
    /// Its script was suspended; the server is back meanwhile.
    Suspended(Box<Server>, Suspended),
}

/// A suspended script.
pub struct Suspended {
    /// Where the process ends in the middle of a script, its stack is left as it is: unwinding it would lead through Lua.
    coroutine: ManuallyDrop<Coroutine<Box<Server>, Box<Server>, Ran, DefaultStack>>,
    host: Rc<ScriptHost>,
    slot: Slot,
}

impl Suspended {
    /// Whose script it is.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Runs on until it ends or yields again.
    pub fn resume(mut self, server: Box<Server>) -> Progress {
        match self.coroutine.resume(server) {
            CoroutineResult::Yield(server) => Progress::Suspended(server, self),
            CoroutineResult::Return(ran) => {
                let coroutine = ManuallyDrop::into_inner(self.coroutine);
                self.host.stack.replace(Some(coroutine.into_stack()));
                Progress::Ran(ran)
            }
        }
    }
}

/// The side of scripting that never leaves the actor's thread.
#[derive(Default)]
pub struct ScriptHost {
    /// The server while Lua runs.
    lent: RefCell<Option<Box<Server>>>,
    /// What stands in for the server meanwhile.
    vacant: RefCell<Option<Box<Server>>>,
    /// The stack of the last coroutine, to be used again.
    stack: RefCell<Option<DefaultStack>>,
    /// Lua, made for the first script.
    scripts: OnceCell<lua::Vm>,
    /// Lua, made for the first library of functions.
    functions: OnceCell<lua::Vm>,
    /// The running script.
    running: Running,
    /// `lua-enable-deprecated-api`.
    has_deprecated: bool,
}

/// What a running script's calls need to know.
#[derive(Default)]
struct Running {
    active: Cell<bool>,
    killed: Cell<bool>,
    read_only: Cell<bool>,
    resp3: Cell<bool>,
    slot: Cell<u32>,
    db: Cell<usize>,
    /// When the script began, nanoseconds on the monotonic clock.
    started_ns: Cell<u64>,
    program: Cell<Option<Program>>,
    /// Where it was when it was killed.
    place: Cell<Option<(String, i64)>>,
    /// `busy-reply-threshold`, nanoseconds; zero = never busy.
    threshold_ns: Cell<u64>,
}

/// What is to run.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// A compiled script.
    Script(Sha),
    /// A function of a library.
    Function(FunctionId),
}

/// A script or function to run.
pub struct Script<'s> {
    /// What is to run.
    pub program: Program,
    /// What errors and the log call it: its digest, or the function's name.
    pub name: &'s [u8],
    /// KEYS.
    pub keys: Vec<&'s [u8]>,
    /// ARGV.
    pub args: Vec<&'s [u8]>,
    /// Writes are refused.
    pub read_only: bool,
    /// For FUNCTION STATS, if it is a function.
    pub called: Option<Called>,
}

impl ScriptHost {
    /// One whose Lua comes with its first script. `has_deprecated`: scripts find getfenv, setfenv and newproxy.
    pub fn new(has_deprecated: bool) -> Self {
        Self { has_deprecated, ..Self::default() }
    }

    /// Runs the next request of `batch` on a coroutine.
    pub fn start(host: &Rc<Self>, server: Box<Server>, slot: Slot, batch: Box<Batch>) -> Progress {
        let stack = host
            .stack
            .take()
            .or_else(|| DefaultStack::new(STACK_BYTES).ok())
            .expect("a script needs a stack");
        let its_host = host.clone();
        let coroutine = Coroutine::with_stack(stack, move |yielder, server| {
            YIELDER.set(yielder, || run_request(server, &its_host, slot, batch))
        });
        Suspended { coroutine: ManuallyDrop::new(coroutine), host: host.clone(), slot }.resume(server)
    }

    /// Lends the server of a context to Lua for the time of `run`.
    pub fn lend<R>(&self, server: &mut Box<Server>, run: impl FnOnce() -> R) -> R {
        let vacant = self.vacant.take().unwrap_or_else(|| Box::new(Server::vacant(server.table)));
        self.lent.replace(Some(std::mem::replace(server, vacant)));
        let result = run();
        let back = self.lent.take().expect("the server is back when Lua is");
        self.vacant.replace(Some(std::mem::replace(server, back)));
        result
    }

    /// Lua, made on first use.
    fn vm(self: &Rc<Self>, kind: lua::Kind) -> Result<&lua::Vm, String> {
        let cell = match kind {
            lua::Kind::Scripts => &self.scripts,
            lua::Kind::Functions => &self.functions,
        };
        if cell.get().is_none() {
            let vm = lua::Vm::new(self, kind).map_err(|error| format!("Lua can't be set up: {error}"))?;
            let _ = cell.set(vm);
        }
        Ok(cell.get().expect("it was just made"))
    }

    /// Compiles a script without running it.
    ///
    /// # Errors
    /// Lua's complaint.
    pub fn compile(self: &Rc<Self>, sha: &Sha, body: &[u8]) -> Result<(), String> {
        self.vm(lua::Kind::Scripts)?.compile(sha, body)
    }

    /// Runs a library's text for no longer than `limit`; the functions that it registers stay with Lua until
    /// [`Self::forget`].
    ///
    /// # Errors
    /// Lua's complaint.
    fn load_library(self: &Rc<Self>, body: &[u8], limit: Option<Duration>) -> Result<Vec<Function>, String> {
        self.vm(lua::Kind::Functions)?.load_library(self, body, limit)
    }

    /// Forgets functions.
    fn forget(&self, ids: impl Iterator<Item = FunctionId>) {
        if let Some(vm) = self.functions.get() {
            vm.forget(ids);
        }
    }

    /// Memory that the functions' Lua machine holds, bytes.
    pub fn functions_bytes(&self) -> u64 {
        self.functions.get().map_or(0, lua::Vm::memory_bytes)
    }

    /// Forgets compiled scripts.
    pub fn flush(&self) {
        if let Some(vm) = self.scripts.get() {
            vm.flush();
        }
    }

    /// Forgets one compiled script.
    pub fn forget_script(&self, sha: &Sha) {
        if let Some(vm) = self.scripts.get() {
            vm.forget_script(sha);
        }
    }

    /// Runs a script that is compiled, for the client of `cx`; its reply goes there.
    ///
    /// # Errors
    /// Lua can't be set up. What the script raised goes into the reply.
    pub fn run(self: &Rc<Self>, cx: &mut Cx<'_>, mut script: Script<'_>) -> CommandResult {
        let kind = match script.program {
            Program::Script(_) => lua::Kind::Scripts,
            Program::Function(_) => lua::Kind::Functions,
        };
        let vm = self.vm(kind).map_err(CommandError::Message)?;
        let running = &self.running;
        running.active.set(true);
        running.program.set(Some(script.program));
        running.killed.set(false);
        running.read_only.set(script.read_only);
        running.resp3.set(false);
        running.slot.set(cx.slot.0);
        running.db.set(cx.db.0);
        let now_ns = cx.server.time.now_ns();
        running.started_ns.set(now_ns);
        running.threshold_ns.set(cx.server.config.busy_reply_threshold.saturating_mul(1_000_000));
        cx.server.scripts.begin(now_ns, script.called.take());
        cx.server.time.freeze();
        let ended = self.lend(cx.server, || vm.run(&script.program, &script.keys, &script.args));
        running.active.set(false);
        cx.server.time.thaw();
        cx.server.scripts.end();
        let mut failures = convert::Failures::default();
        if self.is_killed() {
            let failure =
                convert::Failure::at(format!("ERR {}", lua::KILLED).into_bytes(), self.take_place());
            failure.write(&mut cx.reply, script.name, &mut failures);
        } else if ended.is_fine {
            convert::write(&mut cx.reply, &ended.value(), running.resp3.get(), 0, &mut failures);
        } else {
            convert::Failure::of(&ended.value()).write(&mut cx.reply, script.name, &mut failures);
        }
        drop(ended);
        vm.settle(self);
        match kind {
            lua::Kind::Scripts => cx.server.scripts.vm_bytes = vm.memory_bytes(),
            lua::Kind::Functions => cx.server.scripts.functions_vm_bytes = vm.memory_bytes(),
        }
        failures.uncounted.iter().for_each(|error| cx.server.stats.count_error(error));
        Ok(if failures.any { Outcome::Failed } else { Outcome::Done })
    }

    fn is_running(&self) -> bool {
        self.running.active.get()
    }

    fn is_killed(&self) -> bool {
        self.running.killed.get()
    }

    fn note_place(&self, place: Option<(String, i64)>) {
        self.running.place.set(place);
    }

    fn take_place(&self) -> Option<(String, i64)> {
        self.running.place.take()
    }

    fn is_read_only(&self) -> bool {
        self.running.read_only.get()
    }

    fn resp3(&self) -> bool {
        self.running.resp3.get()
    }

    fn set_resp3(&self, resp3: bool) {
        self.running.resp3.set(resp3);
    }

    fn set_repl(&self, bits: u8) {
        let is_muted = !api::reaches_replicas(bits);
        self.with_server(|server| server.scripts.is_muted = is_muted);
    }

    fn slot(&self) -> Slot {
        Slot(self.running.slot.get())
    }

    fn db(&self) -> DbIndex {
        DbIndex(self.running.db.get())
    }

    fn set_db(&self, db: DbIndex) {
        self.running.db.set(db.0);
    }

    /// The time hook: past the threshold others have a word; true when the script must end.
    fn tick(&self) -> bool {
        let (threshold_ns, started_ns) = (self.running.threshold_ns.get(), self.running.started_ns.get());
        if threshold_ns == 0 || monotonic_ns().saturating_sub(started_ns) < threshold_ns {
            return false;
        }
        let program = self.running.program.get();
        self.with_server(|server| server.scripts.become_busy(program));
        self.breathe();
        let kill = self.with_server(|server| server.scripts.kill);
        self.running.killed.set(kill);
        kill
    }

    /// Borrows the lent server, from within `redis.call`.
    pub fn with_server<R>(&self, run: impl FnOnce(&mut Box<Server>) -> R) -> R {
        let mut server = self.lent.take().expect("the server is lent while Lua runs");
        let result = run(&mut server);
        self.lent.replace(Some(server));
        result
    }

    /// Gives others a turn: suspends the coroutine, hands the server to the actor meanwhile.
    pub fn breathe(&self) {
        let server = self.lent.take().expect("the server is lent while Lua runs");
        let server = YIELDER.with(|yielder| yielder.suspend(server));
        self.lent.replace(Some(server));
    }
}

fn run_request(mut server: Box<Server>, host: &Rc<ScriptHost>, slot: Slot, batch: Box<Batch>) -> Ran {
    let args = Args::over(&batch.buf, batch.requests.get(batch.next));
    let hint = batch.hints.get(batch.next).copied().unwrap_or_default();
    let mut cx = Cx::begin(&mut server, host, slot);
    let flow: Flow = dispatch::process(&mut cx, &args, hint);
    let parking = cx.wait.take();
    cx.finish();
    Ran { server, batch, flow, parking }
}
