//! What took long: the slow log of commands, and the latency monitor's samples of events.
//!
//! Both look at a command only when it took at least the lower of their thresholds, so that the others pay for one
//! comparison.

use crate::config::{self, Config};
use common::command::Args;
use std::collections::{BTreeMap, VecDeque};

/// Words of a command that an entry keeps, and bytes of each.
const MOST_WORDS: usize = 32;
const MOST_BYTES: usize = 128;
/// Samples kept of an event; one second makes one sample at most.
const SAMPLES: usize = 160;

/// A command that took long.
#[derive(Debug)]
pub struct SlowEntry {
    /// Counts up, whatever is forgotten.
    pub id: i64,
    /// Unix time when it ended, seconds.
    pub at_s: i64,
    /// How long it took.
    pub duration_us: i64,
    /// Its words, shortened, secrets left out.
    pub words: Vec<Vec<u8>>,
    /// How many words it had.
    pub argc: usize,
    /// Whose it was.
    pub peer: String,
    /// The name that the client gave itself.
    pub name: Vec<u8>,
}

/// An event's sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Unix time, seconds.
    pub at_s: i64,
    /// The longest time that it took within that second.
    pub latency_ms: u64,
}

/// Samples of one event, the oldest first.
#[derive(Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    /// The longest ever, also after its sample is gone.
    pub max_ms: u64,
}

impl Series {
    /// The samples, the oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> + '_ {
        self.samples.iter().copied()
    }

    /// The latest sample.
    pub fn latest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    fn add(&mut self, sample: Sample) {
        self.max_ms = self.max_ms.max(sample.latency_ms);
        match self.samples.back_mut() {
            Some(last) if last.at_s == sample.at_s => {
                last.latency_ms = last.latency_ms.max(sample.latency_ms)
            }
            _ => {
                if self.samples.len() == SAMPLES {
                    self.samples.pop_front();
                }
                self.samples.push_back(sample);
            }
        }
    }
}

/// Slow log and latency monitor.
#[derive(Debug)]
pub struct Slow {
    /// Commands that take less are of no interest, nanoseconds.
    pub noteworthy_ns: u64,
    /// `slowlog-log-slower-than`; `None` when nothing is logged.
    log_us: Option<u64>,
    /// `slowlog-max-len`.
    log_len: usize,
    /// `latency-monitor-threshold`; `None` when nothing is sampled.
    sample_ms: Option<u64>,
    /// The latest first.
    log: VecDeque<SlowEntry>,
    next_id: i64,
    events: BTreeMap<&'static str, Series>,
}

impl Slow {
    /// Nothing logged yet.
    pub fn new(config: &Config) -> Self {
        let mut slow = Self {
            noteworthy_ns: u64::MAX,
            log_us: None,
            log_len: 0,
            sample_ms: None,
            log: VecDeque::new(),
            next_id: 0,
            events: BTreeMap::new(),
        };
        slow.follow(config);
        slow
    }

    /// Takes thresholds over from the configuration.
    pub fn follow(&mut self, config: &Config) {
        self.log_len = usize::try_from(config.slowlog_max_len).unwrap_or(usize::MAX);
        self.log_us = u64::try_from(config.slowlog_log_slower_than).ok().filter(|_| self.log_len > 0);
        self.sample_ms = Some(config.latency_monitor_threshold).filter(|threshold| *threshold > 0);
        let log_ns = self.log_us.map_or(u64::MAX, |us| us.saturating_mul(1000));
        self.noteworthy_ns = self.sample_ms.map_or(log_ns, |ms| log_ns.min(ms.saturating_mul(1_000_000)));
    }

    /// Whether events are sampled.
    pub fn monitors(&self) -> bool {
        self.sample_ms.is_some()
    }

    /// Takes note of an event that took long.
    pub fn sample(&mut self, event: &'static str, at_s: i64, nanoseconds: u64) {
        let latency_ms = nanoseconds / 1_000_000;
        if self.sample_ms.is_some_and(|threshold| latency_ms >= threshold) {
            self.events.entry(event).or_default().add(Sample { at_s, latency_ms });
        }
    }

    /// Whether a command that took so long belongs into the log.
    pub fn logs(&self, nanoseconds: u64) -> bool {
        self.log_us.is_some_and(|threshold| nanoseconds / 1000 >= threshold)
    }

    /// Adds a command to the log.
    pub fn log(&mut self, at_s: i64, nanoseconds: u64, args: &Args<'_>, peer: String, name: Vec<u8>) {
        let duration_us = (nanoseconds / 1000).cast_signed();
        let entry = SlowEntry {
            id: self.next_id,
            at_s,
            duration_us,
            words: shortened(args),
            argc: args.count(),
            peer,
            name,
        };
        self.next_id += 1;
        self.log.push_front(entry);
        self.log.truncate(self.log_len);
    }

    /// The log, the latest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.log.iter()
    }

    /// Empties the log.
    pub fn reset_log(&mut self) {
        self.log.clear();
    }

    /// All events that were sampled, by name.
    pub fn events(&self) -> &BTreeMap<&'static str, Series> {
        &self.events
    }

    /// Forgets an event; false when there was none of that name.
    pub fn reset_event(&mut self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| self.events.remove(name).is_some())
    }

    /// Forgets all events; their number.
    pub fn reset_events(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }
}

fn shortened(args: &Args<'_>) -> Vec<Vec<u8>> {
    let secret = secrets(args);
    let kept = if args.count() > MOST_WORDS { MOST_WORDS - 1 } else { args.count() };
    let mut words: Vec<Vec<u8>> = args
        .all()
        .take(kept)
        .enumerate()
        .map(|(index, word)| match word.get(..MOST_BYTES) {
            _ if secret(index) => b"(redacted)".to_vec(),
            Some(start) if word.len() > MOST_BYTES => {
                let more = format!("... ({} more bytes)", word.len() - MOST_BYTES);
                [start, more.as_bytes()].concat()
            }
            _ => word.to_vec(),
        })
        .collect();
    if args.count() > kept {
        words.push(format!("... ({} more arguments)", args.count() - kept).into_bytes());
    }
    words
}

/// Which words must not be seen by those who may read logs: passwords.
pub fn secrets<'a>(args: &'a Args<'a>) -> impl Fn(usize) -> bool + 'a {
    let is = |index: usize, name: &str| {
        index < args.count() && args.get(index).eq_ignore_ascii_case(name.as_bytes())
    };
    move |index| {
        if is(0, "auth") {
            return index > 0;
        }
        if is(0, "acl") {
            let of_users = is(1, "setuser") || is(1, "deluser") || is(1, "getuser");
            return of_users && index > 1;
        }
        if is(0, "config") && is(1, "set") {
            return index > 2 && index % 2 == 1 && config::is_sensitive(args.get(index - 1));
        }
        // AUTH as an option: a user and a password in HELLO, a password in MIGRATE, both behind AUTH2.
        let follows = |word: &str, distance: usize| index > distance + 1 && is(index - distance, word);
        match () {
            () if is(0, "hello") => follows("auth", 1) || follows("auth", 2),
            () if is(0, "migrate") && index > 6 => {
                follows("auth", 1) || follows("auth2", 1) || follows("auth2", 2)
            }
            () => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(line: &str) -> String {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let words = shortened(&Args::of(&words));
        words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn secrets_are_left_out() {
        let check = |line: &str, expected: &str| assert_eq!(logged(line), expected);
        check("AUTH user secret", "AUTH (redacted) (redacted)");
        check("HELLO 3 AUTH user secret SETNAME me", "HELLO 3 AUTH (redacted) (redacted) SETNAME me");
        check("acl setuser me >secret", "acl setuser (redacted) (redacted)");
        check("acl list", "acl list");
        check("CONFIG SET port 1 requirepass secret", "CONFIG SET port 1 requirepass (redacted)");
        check("CONFIG GET requirepass", "CONFIG GET requirepass");
        check("MIGRATE h 1 k 0 10 AUTH secret", "MIGRATE h 1 k 0 10 AUTH (redacted)");
        check("MIGRATE h 1 k 0 10 AUTH2 me secret", "MIGRATE h 1 k 0 10 AUTH2 (redacted) (redacted)");
        check("SET auth x", "SET auth x");
    }

    #[test]
    fn long_commands_are_shortened() {
        let long = format!("SET k {}", "x".repeat(129));
        assert_eq!(logged(&long), format!("SET k {}... (1 more bytes)", "x".repeat(128)));
        let many = "DEL".to_owned() + &" k".repeat(32);
        assert_eq!(logged(&many), "DEL".to_owned() + &" k".repeat(30) + " ... (2 more arguments)");
    }

    #[test]
    fn a_second_makes_one_sample() {
        let mut series = Series::default();
        for (at_s, latency_ms) in [(1, 5), (1, 9), (1, 7), (2, 3)] {
            series.add(Sample { at_s, latency_ms });
        }
        let samples: Vec<_> = series.samples().map(|sample| (sample.at_s, sample.latency_ms)).collect();
        assert_eq!(samples, [(1, 9), (2, 3)]);
        (10..500).for_each(|at_s| series.add(Sample { at_s, latency_ms: 1 }));
        assert_eq!((series.samples().len(), series.max_ms), (SAMPLES, 9));
    }
}
