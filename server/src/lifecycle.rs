//! Facts about the process, and its end.

use crate::process::supervise::Supervisor;
use common::clients::Slot;
use std::path::PathBuf;
use std::time::Instant;

/// How to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Save first: always, never, or as save points are configured (`None`).
    pub save: Option<bool>,
    /// Don't wait for replicas.
    pub now: bool,
    /// Go even if saving fails.
    pub force: bool,
}

/// A shutdown that waits for replicas.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// What was asked for.
    pub wish: Shutdown,
    /// Unix ms when to wait no longer.
    pub deadline_ms: i64,
    /// A signal asked for it, not a client.
    pub by_signal: bool,
}

/// When buffers that connections share and nobody needs are freed (DEBUG REPLYBUFFER).
#[derive(Clone, Copy, Debug)]
pub struct Trimming {
    /// It is done at all.
    pub is_on: bool,
    /// Time between two looks, ms; with each tick at the least, `None` is never.
    pub every_ms: Option<i64>,
    /// Unix ms of the last look.
    pub done_ms: i64,
}

impl Default for Trimming {
    fn default() -> Self {
        Self { is_on: true, every_ms: Some(0), done_ms: 0 }
    }
}

impl Trimming {
    /// Whether it is time for a look, which then counts as done.
    pub fn is_due(&mut self, now_ms: i64) -> bool {
        let is_due = self.is_on && self.every_ms.is_some_and(|every| now_ms - self.done_ms >= every);
        if is_due {
            self.done_ms = now_ms;
        }
        is_due
    }
}

/// The process.
#[derive(Debug)]
pub struct Lifecycle {
    /// When it started.
    pub started: Instant,
    /// Unix ms when it started.
    pub started_ms: i64,
    /// 40 hexadecimal digits that name this run.
    pub run_id: String,
    /// The data set is being loaded.
    pub loading: bool,
    /// A wish to shut down that the actor carries out at the end of the turn.
    pub shutdown: Option<Shutdown>,
    /// The name of a signal that asks for the end, until it is obeyed.
    pub signal: Option<&'static str>,
    /// DEBUG PAUSE-CRON: nothing is done by the clock, obeying signals included.
    pub is_paused: bool,
    /// A shutdown that waits for replicas.
    pub waiting: Option<Waiting>,
    /// The clients that asked for it and wait with it.
    pub asked_by: Vec<Slot>,
    /// Who watches over the process.
    pub supervisor: Supervisor,
    /// The configuration file, absolute.
    pub config_file: Option<PathBuf>,
    /// The executable.
    pub executable: PathBuf,
    /// Memory in use before any data came, bytes.
    pub startup_bytes: u64,
    /// Ports in use: plain and TLS.
    pub ports: (u16, u16),
    /// Unix ms when the log last said what there is.
    pub reported_ms: i64,
    /// Freeing buffers that nobody needs.
    pub trimming: Trimming,
}

impl Lifecycle {
    /// A process that starts now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            started_ms: common::clock::now_ms(),
            run_id: random_hex(),
            loading: false,
            shutdown: None,
            signal: None,
            is_paused: false,
            waiting: None,
            asked_by: Vec::new(),
            supervisor: Supervisor::None,
            config_file: None,
            executable: std::env::current_exe().unwrap_or_default(),
            startup_bytes: 0,
            ports: (0, 0),
            reported_ms: 0,
            trimming: Trimming::default(),
        }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

/// 40 random hexadecimal digits: run ids and replication ids.
pub fn random_hex() -> String {
    let mut bytes = [0; 20];
    fill_random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Random bytes from the kernel.
///
/// # Panics
/// When the kernel has none to give: nothing safe can be done then.
pub fn fill_random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
            .expect("the kernel gives random bytes");
    }
}
