//! Scripts: the coroutine they run on, and where the server is meanwhile.
//!
//! A request that may run a script is executed on a stackful coroutine. While Lua runs, the server lies in the
//! host's [`ScriptHost::lend`] place, from which `redis.call` borrows it. When a script has run for longer than
//! `busy-reply-threshold`, its time hook suspends the coroutine and hands the server back to the actor, which serves
//! others (with -BUSY, mostly) until it resumes the script.

use crate::actor::Ran;
use crate::context::Cx;
use crate::dispatch::{self, Flow};
use crate::server::Server;
use common::clients::Slot;
use common::command::Args;
use common::net::Batch;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use scoped_tls::scoped_thread_local;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

scoped_thread_local! {
    /// The way out of the coroutine that runs on this thread.
    static YIELDER: Yielder<Box<Server>, Box<Server>>
}

/// Stack of the coroutine, bytes: Lua's own limit of nested C calls (200) and our dispatch fit several times over.
const STACK_BYTES: usize = 1 << 20;

/// The script state that belongs to the server: everything but Lua itself.
#[derive(Debug, Default)]
pub struct Scripts {
    /// When the running script began; `None` when none runs.
    pub started: Option<Instant>,
    /// It has run past `busy-reply-threshold`: others get -BUSY.
    busy: bool,
    /// SCRIPT KILL was asked for.
    pub kill: bool,
    /// It has changed the keyspace, so it can't be killed.
    pub wrote: bool,
}

impl Scripts {
    /// Whether a script keeps the server busy.
    #[inline]
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// The running script is past its time.
    pub fn set_busy(&mut self, busy: bool) {
        self.busy = busy;
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
    coroutine: Coroutine<Box<Server>, Box<Server>, Ran, DefaultStack>,
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
                self.host.stack.replace(Some(self.coroutine.into_stack()));
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
}

impl ScriptHost {
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
        Suspended { coroutine, host: host.clone(), slot }.resume(server)
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
