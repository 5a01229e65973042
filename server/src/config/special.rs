//! Directives with a syntax of their own: `save`, `bind`, `client-output-buffer-limit` and a few more.
//!
//! Each has a pair of functions that the table names: `set_…` checks all arguments and then changes its field, or
//! changes nothing and says why in Redis's words; `get_…` prints the field as `CONFIG GET` shows it.

use common::config::syntax::push_quoted;
use common::number::{parse_f64, parse_memory};

use super::Config;
use super::rewrite::{Wanted, print_memory};

/// Addresses that `bind` takes, at most.
const BIND_ADDRESSES_MAX: usize = 16;

/// Save when at least `changes` changes were made and `seconds` have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last save, at least one.
    pub seconds: u64,
    /// Changes since the last save.
    pub changes: u64,
}

/// When a client whose replies pile up is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// At once when more bytes than this wait; 0 means never.
    pub hard_bytes: u64,
    /// When more bytes than this wait for longer than `soft_seconds`; 0 means never.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

/// The classes of clients that output limits tell apart, in the order of [`Config::output_limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientClass {
    /// Everyone else.
    Normal,
    /// Replicas.
    Replica,
    /// Clients subscribed to at least one channel or pattern.
    PubSub,
}

/// Names of the classes as `CONFIG GET` prints them.
const CLASS_NAMES: [&str; 3] = ["normal", "slave", "pubsub"];

/// The addresses that a server without `bind` listens on: all, IPv6 only if there is one.
pub(super) fn default_bind() -> Vec<String> {
    vec!["*".to_owned(), "-::*".to_owned()]
}

pub(super) fn default_save() -> Vec<SavePoint> {
    [(3600, 1), (300, 100), (60, 10_000)].map(|(seconds, changes)| SavePoint { seconds, changes }).to_vec()
}

pub(super) fn default_output_limits() -> [OutputLimit; 3] {
    [
        OutputLimit::default(),
        OutputLimit { hard_bytes: 256 << 20, soft_bytes: 64 << 20, soft_seconds: 60 },
        OutputLimit { hard_bytes: 32 << 20, soft_bytes: 8 << 20, soft_seconds: 60 },
    ]
}

/// What C's `strtoll` accepts as a whole: blanks, a sign, digits; an empty text counts as zero.
fn parse_lenient(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.is_empty() { Some(0) } else { text.trim_ascii_start().parse().ok() }
}

fn is_single_empty(args: &[Vec<u8>]) -> bool {
    matches!(args, [only] if only.is_empty())
}

pub(super) fn nothing(_: &mut Config) {}

pub(super) fn begin_save(config: &mut Config) {
    config.save.clear();
}

/// `save <seconds> <changes> ...`: adds save points; a single empty argument drops them all.
pub(super) fn set_save(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    if is_single_empty(args) {
        config.save.clear();
        return Ok(());
    }
    let invalid = || "Invalid save parameters".to_owned();
    let (pairs, []) = args.as_chunks::<2>() else { return Err(invalid()) };
    let mut points = Vec::new();
    for [seconds, changes] in pairs {
        let seconds = parse_lenient(seconds).filter(|&s| s >= 1).ok_or_else(invalid)?;
        let changes = parse_lenient(changes).filter(|&c| c >= 0).ok_or_else(invalid)?;
        points.push(SavePoint { seconds: seconds.unsigned_abs(), changes: changes.unsigned_abs() });
    }
    config.save.extend(points);
    Ok(())
}

pub(super) fn get_save(config: &Config) -> Vec<u8> {
    let points: Vec<String> = config.save.iter().map(|p| format!("{} {}", p.seconds, p.changes)).collect();
    points.join(" ").into_bytes()
}

/// One line for each save point, or one that says there is none.
pub(super) fn save_lines(config: &Config) -> Vec<Wanted> {
    let line = |line: String| Wanted { line: line.into_bytes(), needed: true };
    if config.save.is_empty() {
        return vec![line("save \"\"".to_owned())];
    }
    config.save.iter().map(|point| line(format!("save {} {}", point.seconds, point.changes))).collect()
}

/// `client-output-buffer-limit <class> <hard> <soft> <seconds> ...`: changes the classes that are named.
pub(super) fn set_output_limits(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    let (groups, []) = args.as_chunks::<4>() else {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    };
    let mut limits = config.output_limits;
    for [class, hard, soft, seconds] in groups {
        let class =
            client_class(class).ok_or("Invalid client class specified in buffer limit configuration.")?;
        let amount = |text: &[u8]| parse_memory(std::str::from_utf8(text).ok()?).ok();
        let seconds = parse_lenient(seconds).and_then(|s| u64::try_from(s).ok());
        let (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) = (amount(hard), amount(soft), seconds)
        else {
            let problem = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
            return Err(problem.to_owned());
        };
        limits[class as usize] = OutputLimit { hard_bytes, soft_bytes, soft_seconds };
    }
    config.output_limits = limits;
    Ok(())
}

fn client_class(name: &[u8]) -> Option<ClientClass> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Some(ClientClass::Normal),
        b"slave" | b"replica" => Some(ClientClass::Replica),
        b"pubsub" => Some(ClientClass::PubSub),
        _ => None,
    }
}

pub(super) fn get_output_limits(config: &Config) -> Vec<u8> {
    let classes = CLASS_NAMES.iter().zip(&config.output_limits);
    let texts: Vec<String> = classes
        .map(|(name, limit)| {
            format!("{name} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
        })
        .collect();
    texts.join(" ").into_bytes()
}

/// A line for each class.
pub(super) fn output_limit_lines(config: &Config) -> Vec<Wanted> {
    let defaults = default_output_limits();
    let classes = ["normal", "replica", "pubsub"].iter().zip(config.output_limits.iter().zip(defaults));
    let line = |(name, (limit, default)): (&&str, (&OutputLimit, OutputLimit))| {
        let amount = |bytes: u64| print_memory(i128::from(bytes));
        let (hard, soft) = (amount(limit.hard_bytes), amount(limit.soft_bytes));
        let line = format!("client-output-buffer-limit {name} {hard} {soft} {}", limit.soft_seconds);
        Wanted { line: line.into_bytes(), needed: *limit != default }
    };
    classes.map(line).collect()
}

/// `bind <address> ...`: a leading `-` makes an address optional, a single empty argument means no TCP at all.
pub(super) fn set_bind(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    if args.len() > BIND_ADDRESSES_MAX {
        return Err("Too many bind addresses specified.".to_owned());
    }
    let args = if is_single_empty(args) { &[] } else { args };
    config.bind = args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
    Ok(())
}

pub(super) fn get_bind(config: &Config) -> Vec<u8> {
    config.bind.join(" ").into_bytes()
}

/// `dir <path>`: must exist; kept as an absolute path, since the process moves there.
pub(super) fn set_dir(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let [path] = args else { return Err("wrong number of arguments".to_owned()) };
    let path = std::path::Path::new(OsStr::from_bytes(path));
    let path = path.canonicalize().map_err(|error| common::config::source::os_message(&error))?;
    if !path.is_dir() {
        return Err("Not a directory".to_owned());
    }
    config.dir = path.into_os_string().into_vec().into();
    Ok(())
}

pub(super) fn get_dir(config: &Config) -> Vec<u8> {
    config.dir.as_bytes().to_vec()
}

/// Always written: what the server was started in need not be where it starts next.
pub(super) fn dir_lines(config: &Config) -> Vec<Wanted> {
    let mut line = b"dir ".to_vec();
    push_quoted(&mut line, config.dir.as_bytes());
    vec![Wanted { line, needed: true }]
}

/// `replicaof <host> <port>` or `replicaof no one`.
pub(super) fn set_replicaof(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    let [host, port] = args else { return Err("wrong number of arguments".to_owned()) };
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        config.replicaof = None;
        return Ok(());
    }
    let port = parse_lenient(port).and_then(|p| u16::try_from(p).ok()).ok_or("Invalid master port")?;
    config.replicaof = Some((String::from_utf8_lossy(host).into_owned(), port));
    Ok(())
}

pub(super) fn get_replicaof(config: &Config) -> Vec<u8> {
    config.replicaof.as_ref().map(|(host, port)| format!("{host} {port}").into_bytes()).unwrap_or_default()
}

/// A master has no such line.
pub(super) fn replicaof_lines(config: &Config) -> Vec<Wanted> {
    let line = |(host, port): &(String, u16)| format!("replicaof {host} {port}").into_bytes();
    config.replicaof.iter().map(|master| Wanted { line: line(master), needed: true }).collect()
}

/// `oom-score-adj-values <master> <replica> <background child>`.
pub(super) fn set_oom_values(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    let Ok(args) = <&[Vec<u8>; 3]>::try_from(args) else {
        return Err("wrong number of arguments".to_owned());
    };
    let mut values = [0; 3];
    for (value, arg) in values.iter_mut().zip(args) {
        *value = parse_lenient(arg)
            .filter(|v| (-2000..=2000).contains(v))
            .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
    }
    config.oom_score_adj_values = values;
    Ok(())
}

pub(super) fn get_oom_values(config: &Config) -> Vec<u8> {
    config.oom_score_adj_values.map(|v| v.to_string()).join(" ").into_bytes()
}

/// `latency-tracking-info-percentiles <p> ...`, each within 0 and 100; a single empty argument means none.
pub(super) fn set_percentiles(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    let args = if is_single_empty(args) { &[] } else { args };
    let mut percentiles = Vec::new();
    for arg in args {
        let value = parse_f64(arg).ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&value) {
            let problem = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
            return Err(problem.to_owned());
        }
        percentiles.push(value);
    }
    config.latency_percentiles = percentiles;
    Ok(())
}

pub(super) fn get_percentiles(config: &Config) -> Vec<u8> {
    // Redis prints six decimals and drops the zeros at the end.
    let texts = config.latency_percentiles.iter().map(|p| {
        let text = format!("{p:.6}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    });
    texts.collect::<Vec<_>>().join(" ").into_bytes()
}

/// Which keyspace events are published, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NotifyFlags(pub u16);

impl NotifyFlags {
    /// The letters and their bits, in the order in which they are printed.
    const LETTERS: [(u8, u16); 16] = [
        (b'g', 1 << 2),
        (b'$', 1 << 3),
        (b'l', 1 << 4),
        (b's', 1 << 5),
        (b'h', 1 << 6),
        (b'z', 1 << 7),
        (b'x', 1 << 8),
        (b'e', 1 << 9),
        (b't', 1 << 10),
        (b'd', 1 << 13),
        (b'n', 1 << 14),
        (b'K', 1 << 0),
        (b'E', 1 << 1),
        (b'm', 1 << 11),
        (b'o', Self::OVERWRITTEN),
        (b'c', Self::TYPE_CHANGED),
    ];

    /// What `A` stands for: all classes of events that come from commands on existing keys.
    const ALL: u16 = 0b10_0111_1111_1100;

    /// Publish in channels named after the key.
    pub const KEYSPACE: u16 = 1 << 0;
    /// Publish in channels named after the event.
    pub const KEYEVENT: u16 = 1 << 1;
    /// A key gets another value, whole.
    pub const OVERWRITTEN: u16 = 1 << 12;
    /// A key gets a value of another type.
    pub const TYPE_CHANGED: u16 = 1 << 15;
}

/// `notify-keyspace-events <letters>`.
pub(super) fn set_notify(config: &mut Config, args: &[Vec<u8>]) -> Result<(), String> {
    let [letters] = args else { return Err("wrong number of arguments".to_owned()) };
    let mut flags = 0;
    for letter in letters {
        flags |= match letter {
            b'A' => NotifyFlags::ALL,
            _ => NotifyFlags::LETTERS
                .iter()
                .find(|(known, _)| known == letter)
                .map(|(_, bit)| *bit)
                .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")?,
        };
    }
    config.notify_keyspace_events = NotifyFlags(flags);
    Ok(())
}

pub(super) fn get_notify(config: &Config) -> Vec<u8> {
    let flags = config.notify_keyspace_events.0;
    let all = flags & NotifyFlags::ALL == NotifyFlags::ALL;
    let mut letters = if all { b"A".to_vec() } else { Vec::new() };
    for (letter, bit) in NotifyFlags::LETTERS {
        // With `A` printed, Redis leaves out all letters of classes, also the new-key events that `A` does not cover.
        let covered = all && !matches!(letter, b'K' | b'E' | b'm' | b'o' | b'c');
        if flags & bit != 0 && !covered {
            letters.push(letter);
        }
    }
    letters
}
