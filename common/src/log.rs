//! The log: Redis's line format by default, so that tools and eyes used to it go on reading.
//!
//! `pid:role day month year time level message`, role `M` for a master, `S` for a replica, `X` for a sentinel, levels
//! `.` debug, `-` verbose, `*` notice, `#` warning.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tracing::field::{Field, Visit};
use tracing::{Event, Level as Severity, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The level in force, changed by CONFIG SET.
#[derive(Clone, Debug)]
pub struct Level(Arc<AtomicU8>);

impl Level {
    /// Filters at `threshold` from now on.
    pub fn set(&self, threshold: Threshold) {
        self.0.store(threshold as u8, Ordering::Relaxed);
    }
}

/// Values of `loglevel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Threshold {
    /// Everything.
    Debug,
    /// Much, but not a mess.
    Verbose,
    /// What an operator of a production server wants.
    Notice,
    /// What needs attention.
    Warning,
    /// Silence.
    Nothing,
}

fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::TRACE => 0,
        Severity::DEBUG => 1,
        Severity::INFO => 2,
        _ => 3,
    }
}

struct Lines {
    level: Arc<AtomicU8>,
    file: Option<PathBuf>,
    pid: u32,
    role: char,
}

impl Lines {
    fn write(&self, line: &str) {
        // Opened for each line, as Redis does: a file that was moved away by log rotation is left in peace.
        let written = match &self.file {
            None => io::stdout().lock().write_all(line.as_bytes()),
            Some(path) => OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| file.write_all(line.as_bytes())),
        };
        // There is nowhere left to complain.
        let _ = written;
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Libraries speak at debug level about their own affairs.
        let ours = metadata.target().starts_with("ochre") || metadata.target().starts_with("common");
        let rank = rank(*metadata.level());
        rank >= self.level.load(Ordering::Relaxed) && (ours || rank >= 3)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let now = jiff::Zoned::now();
        let mark = [".", "-", "*", "#"][usize::from(rank(*event.metadata().level()))];
        let line = format!(
            "{}:{} {} {mark} {}\n",
            self.pid,
            self.role,
            now.strftime("%d %b %Y %H:%M:%S%.3f"),
            message.0
        );
        self.write(&line);
    }
}

/// Starts the log, for the whole process; `role` is the letter behind the process id.
pub fn start(threshold: Threshold, file: Option<&Path>, role: char) -> Level {
    let shared = Arc::new(AtomicU8::new(threshold as u8));
    let lines =
        Lines { level: shared.clone(), file: file.map(Path::to_owned), pid: std::process::id(), role };
    // Only the first call in a process has an effect; tests start several servers.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
    Level(shared)
}

/// An operating system's error in C's words, without Rust's addition of the number.
pub fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
