//! What took long or was large: the logs of such commands, and the latency monitor's samples of events.
//!
//! Each looks at a command only when it reached a threshold, so that the others pay for a comparison or two.

use crate::config::{self, Config};
use common::command::Args;
use std::collections::{BTreeMap, VecDeque};

/// Words of a command that an entry keeps, and bytes of each.
const MOST_WORDS: usize = 32;
const MOST_BYTES: usize = 128;
/// Samples kept of an event; one second makes one sample at most.
const SAMPLES: usize = 160;

/// What a log of commands is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Commands that took long, by microseconds.
    Slow,
    /// Commands whose words are large, by bytes of the request.
    LargeRequest,
    /// Commands with a large reply, by bytes.
    LargeReply,
}

/// A command that took long or was large.
#[derive(Debug)]
pub struct SlowEntry {
    /// Counts up, whatever is forgotten.
    pub id: i64,
    /// Unix time when it ended, seconds.
    pub at_s: i64,
    /// How long it took, microseconds, or how large it was, bytes.
    pub value: i64,
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

/// One of the logs.
#[derive(Debug, Default)]
struct Log {
    /// What has this value goes in; `None` when nothing is logged.
    threshold: Option<u64>,
    /// Entries kept.
    most: usize,
    /// The latest first.
    entries: VecDeque<SlowEntry>,
    next_id: i64,
}

impl Log {
    fn follow(&mut self, threshold: i64, most: u64) {
        self.most = usize::try_from(most).unwrap_or(usize::MAX);
        self.threshold = u64::try_from(threshold).ok().filter(|_| self.most > 0);
    }
}

/// The logs and the latency monitor.
#[derive(Debug)]
pub struct Slow {
    /// Commands that take less are of no interest, nanoseconds.
    pub noteworthy_ns: u64,
    /// Requests of fewer bytes are of no interest.
    pub large_request: usize,
    /// Replies of fewer bytes are of no interest.
    pub large_reply: usize,
    /// `latency-monitor-threshold`; `None` when nothing is sampled.
    sample_ms: Option<u64>,
    /// By [`LogKind`].
    logs: [Log; 3],
    events: BTreeMap<&'static str, Series>,
}

impl Slow {
    /// Nothing logged yet.
    pub fn new(config: &Config) -> Self {
        let mut slow = Self {
            noteworthy_ns: u64::MAX,
            large_request: usize::MAX,
            large_reply: usize::MAX,
            sample_ms: None,
            logs: Default::default(),
            events: BTreeMap::new(),
        };
        slow.follow(config);
        slow
    }

    /// Takes thresholds over from the configuration.
    pub fn follow(&mut self, config: &Config) {
        let [slow, requests, replies] = &mut self.logs;
        slow.follow(config.slowlog_log_slower_than, config.slowlog_max_len);
        requests.follow(config.commandlog_request_larger_than, config.commandlog_large_request_max_len);
        replies.follow(config.commandlog_reply_larger_than, config.commandlog_large_reply_max_len);
        let bytes =
            |log: &Log| log.threshold.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        (self.large_request, self.large_reply) = (bytes(requests), bytes(replies));
        self.sample_ms = Some(config.latency_monitor_threshold).filter(|threshold| *threshold > 0);
        let log_ns = slow.threshold.map_or(u64::MAX, |us| us.saturating_mul(1000));
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

    /// Whether a command of this value belongs into a log.
    pub fn logs(&self, kind: LogKind, value: u64) -> bool {
        self.logs[kind as usize].threshold.is_some_and(|threshold| value >= threshold)
    }

    /// Adds a command to a log.
    pub fn log(
        &mut self,
        kind: LogKind,
        at_s: i64,
        value: u64,
        args: &Args<'_>,
        peer: String,
        name: Vec<u8>,
    ) {
        let log = &mut self.logs[kind as usize];
        let entry = SlowEntry {
            id: log.next_id,
            at_s,
            value: value.cast_signed(),
            words: shortened(args),
            argc: args.count(),
            peer,
            name,
        };
        log.next_id += 1;
        log.entries.push_front(entry);
        log.entries.truncate(log.most);
    }

    /// A log, the latest first.
    pub fn entries(&self, kind: LogKind) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.logs[kind as usize].entries.iter()
    }

    /// Empties a log.
    pub fn reset_log(&mut self, kind: LogKind) {
        self.logs[kind as usize].entries.clear();
    }

    /// All events that were sampled, by name.
    pub fn events(&self) -> &BTreeMap<&'static str, Series> {
        &self.events
    }

    /// Forgets an event, whose name may be spelled in either case here; false when there was none of that name.
    pub fn reset_event(&mut self, name: &[u8]) -> bool {
        let events = self.events.len();
        self.events.retain(|event, _| !event.as_bytes().eq_ignore_ascii_case(name));
        self.events.len() < events
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
