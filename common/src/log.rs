//! The log: Redis's line format by default, so that tools and eyes used to it go on reading.
//!
//! `pid:role day month year time level message`, role `M` for a master, `S` for a replica, `X` for a sentinel, `C` for
//! a process that is not yet any of these; levels `.` debug, `-` verbose, `*` notice, `#` warning. The other formats
//! are one JSON object, or logfmt, for each message, with the same fields.
//!
//! A message goes to a file or to standard output, and to the system's logger as well if that is asked for.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use tracing::field::{Field, Visit};
use tracing::{Event, Level as Severity, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// What can change while the process runs.
#[derive(Debug)]
struct Tunable {
    threshold: AtomicU8,
    role: AtomicU8,
    format: AtomicU8,
    times: AtomicU8,
}

/// The running log, to change it.
#[derive(Clone, Debug)]
pub struct Level(Arc<Tunable>);

impl Level {
    /// Filters at `threshold` from now on.
    pub fn set(&self, threshold: Threshold) {
        self.0.threshold.store(threshold as u8, Ordering::Relaxed);
        // Each place that logs remembers whether anyone wants to hear of it.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Shows another role from now on.
    pub fn set_role(&self, role: Role) {
        self.0.role.store(role as u8, Ordering::Relaxed);
    }

    /// Writes in another form from now on.
    pub fn set_form(&self, format: Format, times: Times) {
        self.0.format.store(format as u8, Ordering::Relaxed);
        self.0.times.store(times as u8, Ordering::Relaxed);
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

/// What the process is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// On its way to become one of the others.
    Starting,
    /// A server with a data set of its own.
    Master,
    /// A server that follows another.
    Replica,
    /// A sentinel.
    Sentinel,
}

impl Role {
    const ALL: [Role; 4] = [Role::Starting, Role::Master, Role::Replica, Role::Sentinel];

    fn letter(self) -> char {
        match self {
            Role::Starting => 'C',
            Role::Master => 'M',
            Role::Replica => 'S',
            Role::Sentinel => 'X',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Role::Starting => "starting",
            Role::Master => "primary",
            Role::Replica => "replica",
            Role::Sentinel => "sentinel",
        }
    }
}

/// Values of `log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Redis's line.
    Legacy,
    /// `name=value` pairs.
    Logfmt,
    /// An object in one line.
    Json,
}

impl Format {
    const ALL: [Format; 3] = [Format::Legacy, Format::Logfmt, Format::Json];
}

/// Values of `log-timestamp-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// `22 Nov 2026 23:24:03.201`, local time.
    Legacy,
    /// `2026-11-22T23:24:03.201+00:00`, local time with its offset.
    Iso8601,
    /// Unix time.
    Milliseconds,
}

impl Times {
    const ALL: [Times; 3] = [Times::Legacy, Times::Iso8601, Times::Milliseconds];
}

/// How the log starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Below it nothing is written.
    pub threshold: Threshold,
    /// Where to; `None` is standard output.
    pub file: Option<PathBuf>,
    /// What the process is.
    pub role: Role,
    /// How a message is written.
    pub format: Format,
    /// How the time is written.
    pub times: Times,
    /// The system's logger: the name to log under and the facility's number.
    pub syslog: Option<(String, u8)>,
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
    tunable: Arc<Tunable>,
    file: Option<PathBuf>,
    syslog: Option<Syslog>,
    pid: u32,
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

    fn line(&self, rank: u8, message: &str) -> String {
        let get = |value: &AtomicU8| usize::from(value.load(Ordering::Relaxed));
        let (role, times) = (Role::ALL[get(&self.tunable.role)], Times::ALL[get(&self.tunable.times)]);
        let (pid, time, level) = (self.pid, time_text(times), usize::from(rank));
        let name = ["debug", "verbose", "notice", "warning"][level];
        let word = role.word();
        match Format::ALL[get(&self.tunable.format)] {
            Format::Legacy => {
                format!("{pid}:{} {time} {} {message}\n", role.letter(), [".", "-", "*", "#"][level])
            }
            Format::Logfmt => {
                let message = quoted(message);
                format!("pid={pid} role={word} timestamp=\"{time}\" level={name} message={message}\n")
            }
            Format::Json => {
                let message = quoted(message);
                format!(
                    "{{\"pid\":{pid},\"role\":\"{word}\",\"timestamp\":\"{time}\",\"level\":\"{name}\",\"message\":{message}}}\n"
                )
            }
        }
    }
}

fn time_text(times: Times) -> String {
    let now = jiff::Zoned::now();
    match times {
        Times::Legacy => now.strftime("%d %b %Y %H:%M:%S%.3f").to_string(),
        Times::Iso8601 => now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        Times::Milliseconds => now.timestamp().as_millisecond().to_string(),
    }
}

/// In double quotes, escaped as JSON wants it, which logfmt's readers understand too.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The system's logger, in the form that C's `syslog` speaks with it.
struct Syslog {
    socket: Option<UnixDatagram>,
    /// Where the logger listens.
    path: PathBuf,
    ident: String,
    facility: u8,
}

impl Syslog {
    /// Where loggers listen.
    const PATH: &str = "/dev/log";

    fn open(path: &Path, ident: String, facility: u8) -> Self {
        let socket = UnixDatagram::unbound().ok().filter(|socket| socket.set_nonblocking(true).is_ok());
        Self { socket, path: path.to_owned(), ident, facility }
    }

    fn send(&self, rank: u8, pid: u32, message: &str) {
        let severity = [7, 6, 5, 4][usize::from(rank)];
        let time = jiff::Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        let line = format!("<{}>{time} {}[{pid}]: {message}", self.facility * 8 + severity, self.ident);
        if let Some(socket) = &self.socket {
            // By its path each time: the logger may have been started anew. One that is busy does not make us wait.
            let _ = socket.send_to(line.as_bytes(), &self.path);
        }
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

struct Subscription(Arc<Lines>);

impl<S: Subscriber> Layer<S> for Subscription {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // Libraries speak at debug level about their own affairs.
        let ours = metadata.target().starts_with("ochre") || metadata.target().starts_with("common");
        let rank = rank(*metadata.level());
        rank >= self.0.tunable.threshold.load(Ordering::Relaxed) && (ours || rank >= 3)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let rank = rank(*event.metadata().level());
        self.0.write(&self.0.line(rank, &message.0));
        if let Some(syslog) = &self.0.syslog {
            syslog.send(rank, self.0.pid, &message.0);
        }
    }
}

/// The log of this process, for [`raw`].
static LOG: OnceLock<Arc<Lines>> = OnceLock::new();

/// Starts the log at a level, for the whole process.
pub fn start(threshold: Threshold, file: Option<&Path>, role: Role) -> Level {
    let file = file.map(Path::to_owned);
    start_with(Settings { threshold, file, role, format: Format::Legacy, times: Times::Legacy, syslog: None })
}

/// Starts the log, for the whole process.
pub fn start_with(settings: Settings) -> Level {
    let tunable = Arc::new(Tunable {
        threshold: AtomicU8::new(settings.threshold as u8),
        role: AtomicU8::new(settings.role as u8),
        format: AtomicU8::new(settings.format as u8),
        times: AtomicU8::new(settings.times as u8),
    });
    let syslog =
        settings.syslog.map(|(ident, facility)| Syslog::open(Path::new(Syslog::PATH), ident, facility));
    let lines = Lines { tunable: tunable.clone(), file: settings.file, syslog, pid: std::process::id() };
    let lines = Arc::new(lines);
    // Only the first call in a process has an effect; tests start several servers.
    let _ = LOG.set(lines.clone());
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Subscription(lines)));
    Level(tunable)
}

/// Writes text as it is, without a line's head: reports of crashes. Nothing is written at `loglevel nothing`.
pub fn raw(text: &str) {
    if let Some(lines) = LOG.get()
        && lines.tunable.threshold.load(Ordering::Relaxed) < Threshold::Nothing as u8
    {
        lines.write(text);
    }
}

/// Where the log is written; `None` is standard output, also before it has started.
pub fn file() -> Option<&'static Path> {
    LOG.get().and_then(|lines| lines.file.as_deref())
}

/// An operating system's error in C's words, without Rust's addition of the number.
pub fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format, times: Times, message: &str) -> String {
        let tunable = Tunable {
            threshold: AtomicU8::new(0),
            role: AtomicU8::new(Role::Replica as u8),
            format: AtomicU8::new(format as u8),
            times: AtomicU8::new(times as u8),
        };
        Lines { tunable: Arc::new(tunable), file: None, syslog: None, pid: 7 }.line(2, message)
    }

    /// The line with each digit as `9`, so that the time does not matter.
    fn check(format: Format, times: Times, message: &str, want: &str) {
        let got: String =
            line(format, times, message).chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        let blur_month = |text: &str| match text.split_once("99 ") {
            Some((head, tail)) if format == Format::Legacy => format!("{head}99 Mon{}", &tail[3..]),
            _ => text.to_owned(),
        };
        assert_eq!(blur_month(&got), want);
    }

    #[test]
    fn formats() {
        check(Format::Legacy, Times::Legacy, "a \"b\"\n", "9:S 99 Mon 9999 99:99:99.999 * a \"b\"\n\n");
        check(
            Format::Logfmt,
            Times::Milliseconds,
            "a \"b\"\n",
            "pid=9 role=replica timestamp=\"9999999999999\" level=notice message=\"a \\\"b\\\"\\n\"\n",
        );
        check(
            Format::Json,
            Times::Milliseconds,
            "\\\u{1}é",
            "{\"pid\":9,\"role\":\"replica\",\"timestamp\":\"9999999999999\",\"level\":\"notice\",\
             \"message\":\"\\\\\\u9999é\"}\n",
        );
        let iso = line(Format::Logfmt, Times::Iso8601, "x");
        let time = iso.split('"').nth(1).unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    }
    #[test]
    fn the_system_s_logger_hears_each_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let syslog = Syslog::open(&path, "redis".to_owned(), 16);
        syslog.send(3, 7, "nobody listens yet");
        for _ in 0..2 {
            // Also after the logger was started anew.
            let _ = std::fs::remove_file(&path);
            let logger = UnixDatagram::bind(&path).expect("a socket");
            logger.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a timeout");
            for (rank, priority) in [(0, 135), (1, 134), (2, 133), (3, 132)] {
                syslog.send(rank, 7, "hello");
                let mut line = [0; 100];
                let len = logger.recv(&mut line).expect("a line");
                let line = std::str::from_utf8(&line[..len]).expect("text");
                let (head, tail) = line.split_once('>').expect("a priority");
                assert_eq!(head, format!("<{priority}"));
                // "Nov  3 12:34:56", as C's syslog writes it.
                let (time, message) = tail.split_at(15);
                assert!(time.as_bytes()[3] == b' ' && time.as_bytes()[9] == b':', "{time}");
                assert_eq!(message, " redis[7]: hello");
            }
        }
    }
}
