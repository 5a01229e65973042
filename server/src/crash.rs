//! Reports of crashes and stalls, in the words of Redis's, so that tools find them in the log.
//!
//! A panic ends the process: its hook has the whole of Rust at hand and names each function. A signal may interrupt
//! anything, so its handler allocates nothing: it writes lines from a fixed buffer, and addresses that
//! `addr2line -e ochre-server` turns into names. Reports hold no keys, values or arguments.
//!
//! The watchdog is a timer that each tick of the clock winds up again: it rings if a tick is late.

use crate::config::Config;
use crate::sys;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::ffi::{CString, c_int};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What the configuration says about crashes.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// Write reports (`crash-log-enabled`).
    pub report: bool,
    /// Exit instead of aborting (`use-exit-on-panic`).
    pub exit: bool,
}

impl Manners {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        Manners { report: config.crash_log_enabled, exit: config.use_exit_on_panic }
    }
}

static REPORT: AtomicBool = AtomicBool::new(true);
static EXIT: AtomicBool = AtomicBool::new(false);
/// Milliseconds; what the timer is wound up to.
static WATCHDOG: AtomicU32 = AtomicU32::new(0);
/// The log's file for handlers of signals; empty is standard output.
static LOG_PATH: OnceLock<CString> = OnceLock::new();

thread_local! {
    /// Id of the client whose command ran last on this thread, and the command.
    static LAST: Cell<Option<(u64, &'static str)>> = const { Cell::new(None) };
}

const START: &str = "\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n";
const END: &str = "\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n\n       \
                   Please report the crash to Ochre's authors.\n\n  Suspect RAM error? Use ochre-server \
                   --test-memory to verify it.\n\n  Some other issues could be detected by ochre-server \
                   --check-system\n";

/// Watches for crashes from now on, for the whole process. The log must run.
pub fn install(manners: Manners) {
    set_manners(manners);
    let path = common::log::file().map(|path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default());
    let _ = LOG_PATH.set(path.unwrap_or_default());
    std::panic::set_hook(Box::new(on_panic));
    sys::watch_signals(on_signal, manners.report);
}

/// Follows CONFIG SET. Handlers of signals stay as they were installed.
pub fn set_manners(manners: Manners) {
    REPORT.store(manners.report, Ordering::Relaxed);
    EXIT.store(manners.exit, Ordering::Relaxed);
}

/// Remembers what runs, for a report.
#[inline]
pub fn note(client: u64, command: &'static str) {
    LAST.set(Some((client, command)));
}

/// Winds the watchdog up for another period; called with each tick. A period below two ticks would ring for nothing.
pub fn wind_watchdog(period_ms: u32, hz: u16) {
    let period_ms = if period_ms == 0 { 0 } else { period_ms.max(2 * 1000 / u32::from(hz.max(1))) };
    // Unused, it costs one load.
    if period_ms != 0 || WATCHDOG.load(Ordering::Relaxed) != 0 {
        WATCHDOG.store(period_ms, Ordering::Relaxed);
        sys::ring_in(period_ms);
    }
}

fn on_panic(info: &PanicHookInfo<'_>) {
    let text = info.payload_as_str().unwrap_or("a panic without words");
    let place = info.location().map_or(String::new(), |at| format!(" #{}:{}", at.file(), at.line()));
    if REPORT.load(Ordering::Relaxed) {
        let mut report = String::new();
        let _ = write!(report, "\n------ STACK TRACE ------\n\nBacktrace:\n{}\n", Backtrace::force_capture());
        write_facts(&mut report);
        common::log::raw(START);
        guru(text, &place);
        common::log::raw(&report);
        common::log::raw(END);
    } else {
        guru(text, &place);
    }
    if EXIT.load(Ordering::Relaxed) {
        std::process::exit(1);
    }
    // The report is written; the signal's handler has nothing to add.
    REPORT.store(false, Ordering::Relaxed);
    std::process::abort();
}

fn guru(text: &str, place: &str) {
    tracing::error!("------------------------------------------------");
    tracing::error!("!!! Software Failure. Press left mouse button to continue");
    tracing::error!("Guru Meditation: {text}{place}");
    tracing::error!("------------------------------------------------");
}

/// Version, thread and the last command; allocates nothing of its own.
fn write_facts(out: &mut impl std::fmt::Write) {
    let _ = write!(
        out,
        "\n------ VERSION ------\n\nochre_version:{}\nredis_version:{}\nprocess_id:{}\n",
        env!("CARGO_PKG_VERSION"),
        common::REDIS_VERSION,
        std::process::id()
    );
    if let Some((client, command)) = LAST.get() {
        let _ =
            write!(out, "\n------ LAST COMMAND OF THIS THREAD ------\n\nclient id={client} cmd={command}\n");
    }
}

/// Text of a bounded length that needs no allocation.
struct Line {
    bytes: [u8; 1024],
    len: usize,
}

impl Line {
    fn new() -> Self {
        Line { bytes: [0; 1024], len: 0 }
    }

    fn send(&mut self, fd: c_int) {
        sys::write_bytes(fd, &self.bytes[..self.len]);
        self.len = 0;
    }
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.len() - self.len;
        let taken = text.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.len += taken;
        Ok(())
    }
}

/// The file to remove when the process is interrupted.
static LEFTOVER: Mutex<Option<CString>> = Mutex::new(None);

/// Has SIGINT end the process at once, after removing this file; `None` has it do what it did before.
pub fn exit_on_interrupt(leftover: Option<&Path>) {
    let name = leftover.map(|path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default());
    let is_wanted = name.is_some();
    // Never locked while the signal is watched for, so that the handler finds it free.
    *LEFTOVER.lock().unwrap_or_else(PoisonError::into_inner) = name;
    sys::watch_interrupts(is_wanted);
}

fn leave(line: &mut Line, fd: c_int) -> ! {
    head(line);
    let _ = line.write_str("You insist... exiting now.\n");
    line.send(fd);
    if let Ok(leftover) = LEFTOVER.try_lock()
        && let Some(path) = &*leftover
    {
        sys::remove_file(path);
    }
    sys::exit_now(1)
}

fn on_signal(signal: sys::Signal) {
    let is_interrupt = signal.number == sys::SIGINT;
    let is_crash = signal.number != sys::SIGALRM && !is_interrupt;
    if is_crash && !REPORT.load(Ordering::Relaxed) {
        return;
    }
    let fd = match LOG_PATH.get() {
        Some(path) if !path.is_empty() => sys::open_append(path),
        _ => 1,
    };
    let mut line = Line::new();
    if is_interrupt {
        leave(&mut line, fd);
    }
    if is_crash {
        describe_crash(&mut line, signal, fd);
    } else {
        describe_stall(&mut line, signal, fd);
    }
}

fn head(line: &mut Line) {
    let _ = write!(line, "{}:signal-handler ({}) ", std::process::id(), sys::unix_time());
}

fn describe_crash(line: &mut Line, signal: sys::Signal, fd: c_int) {
    let _ = line.write_str(START);
    head(line);
    let _ = writeln!(
        line,
        "Ochre {} (Redis {}) crashed by signal: {}, si_code: {}",
        env!("CARGO_PKG_VERSION"),
        common::REDIS_VERSION,
        signal.number,
        signal.code
    );
    head(line);
    // Positive codes come from the processor, the others from someone.
    if signal.code > 0 {
        let _ = writeln!(line, "Accessing address: {:#x}", signal.address);
    } else {
        let (pid, uid) = signal.sender;
        let _ = writeln!(line, "Killed by PID: {pid}, UID: {uid}");
    }
    let _ = line.write_str("\n------ STACK TRACE ------\n\nBacktrace:\n");
    line.send(fd);
    sys::write_stack(fd);
    write_facts(line);
    line.send(fd);
    let _ = line.write_str(END);
    line.send(fd);
}

fn describe_stall(line: &mut Line, signal: sys::Signal, fd: c_int) {
    head(line);
    // The timer sends no process id.
    let what = if signal.sender.0 == 0 { "--- WATCHDOG TIMER EXPIRED ---" } else { "Received SIGALRM" };
    let _ = write!(line, "\n{what}\n\n------ STACK TRACE ------\n\nBacktrace:\n");
    line.send(fd);
    sys::write_stack(fd);
    if let Some((client, command)) = LAST.get() {
        let _ = writeln!(line, "Last command: client id={client} cmd={command}");
    }
    let _ = line.write_str("--------\n");
    line.send(fd);
}
