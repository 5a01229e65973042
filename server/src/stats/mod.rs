//! Counters for INFO and its kin.

mod latency;
mod peaks;
mod slow;

pub use latency::LatencyHistogram;
pub use peaks::{Peaks, RecentPeaks};
pub use slow::{LogKind, Sample, Series, Slow, SlowEntry, secrets};

use common::command::CommandError;
use std::collections::BTreeMap;

/// Distinct error codes counted; a script that invents codes must not fill memory. As in Redis.
const MAX_ERROR_CODES: usize = 128;

/// Counts of one command.
#[derive(Clone, Debug, Default)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: u64,
    /// Time it ran, nanoseconds.
    pub nanoseconds: u64,
    /// Times a guard refused it.
    pub rejected: u64,
    /// Times it ran and failed.
    pub failed: u64,
    /// How long its calls took.
    pub latency: LatencyHistogram,
}

/// All counters. Those without a comment are the INFO field of that name.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Stats {
    pub connections: u64,
    pub rejected_connections: u64,
    pub total_commands: u64,
    pub keyspace_hits: u64,
    pub keyspace_misses: u64,
    pub expired_keys: u64,
    /// Fields of hashes deleted because their time was up.
    pub expired_fields: u64,
    pub expired_time_cap_reached: u64,
    pub protocol_errors: u64,
    pub query_buffer_disconnections: u64,
    pub output_buffer_disconnections: u64,
    pub total_error_replies: u64,
    pub acl_access_denied_auth: u64,
    pub sync_full: u64,
    pub sync_partial_ok: u64,
    pub sync_partial_err: u64,
    pub peak_memory: u64,
    /// Commands per second over the last samples.
    pub rate: Rate,
    /// Bytes per second: read, written, written to replicas.
    pub byte_rates: [Rate; 3],
    /// What connections had read and written when the counters were last set to zero.
    pub traffic_before: common::net::TrafficCounts,
    /// The largest buffers that clients had of late.
    pub peaks: RecentPeaks,
    /// Time spent in the expire cycle, nanoseconds.
    pub expire_cycle_ns: u64,
    /// Longest turn of the actor, or step of its background work, microseconds.
    pub longest_turn_us: u64,
    /// Turns taken.
    pub turns: u64,
    /// Turns per second, and nanoseconds that one takes.
    pub turn_rate: Rate,
    pub turn_ns: Rate,
    /// Time that turns took, nanoseconds.
    pub turns_ns: u64,
    /// Likewise, when the expire cycle last asked.
    turns_ns_before: u64,
    /// Time that turns and background work took since the start, nanoseconds.
    pub active_ns: u64,
    /// By [`common::command::CommandId::index`].
    pub commands: Vec<CommandStats>,
    /// By error code.
    pub errors: BTreeMap<String, u64>,
    pub errors_overflowed: bool,
}

/// Samples kept for a rate.
const RATE_SAMPLES: usize = 16;

/// A rate over the last second and a half: what a counter grew by while another, mostly the time, grew.
#[derive(Debug, Default)]
pub struct Rate {
    samples: [u64; RATE_SAMPLES],
    next: usize,
    /// Both counters at the last sample.
    last: Option<(u64, u64)>,
}

impl Rate {
    /// Takes the counter's value at `now_ms`; what counts is the growth per second.
    pub fn sample(&mut self, now_ms: i64, count: u64) {
        self.sample_per(now_ms.max(0).cast_unsigned(), count, 1000);
    }

    /// Takes the counter's value at a point of another one; what counts is its growth per `unit` of that.
    pub fn sample_per(&mut self, point: u64, count: u64, unit: u64) {
        if let Some((then, before)) = self.last.replace((point, count)) {
            let elapsed = point.saturating_sub(then).max(1);
            self.samples[self.next] = count.saturating_sub(before).saturating_mul(unit) / elapsed;
            self.next = (self.next + 1) % RATE_SAMPLES;
        }
    }

    /// The average of the samples: per second where [`Self::sample`] took them.
    pub fn average(&self) -> u64 {
        self.samples.iter().sum::<u64>() / RATE_SAMPLES as u64
    }

    /// Per second.
    pub fn per_second(&self) -> u64 {
        self.average()
    }
}

impl Stats {
    /// Counters for `commands` commands.
    pub fn new(commands: usize) -> Self {
        Self { commands: vec![CommandStats::default(); commands], ..Self::default() }
    }

    /// CONFIG RESETSTAT; `traffic` is what connections read and wrote so far.
    pub fn reset(&mut self, traffic: common::net::TrafficCounts) {
        let (active_ns, peaks) = (self.active_ns, self.peaks);
        *self = Self { traffic_before: traffic, active_ns, peaks, ..Self::new(self.commands.len()) };
    }

    /// Counts an error reply by its code.
    #[cold]
    pub fn count_error(&mut self, error: &CommandError) {
        self.total_error_replies += 1;
        if self.errors_overflowed {
            return;
        }
        let code = error.code();
        if self.errors.len() >= MAX_ERROR_CODES && !self.errors.contains_key(&code) {
            self.errors.clear();
            self.errors_overflowed = true;
            tracing::warn!(
                "Errorstats stopped adding new errors because the number of errors reached the limit ({MAX_ERROR_CODES})."
            );
            return;
        }
        *self.errors.entry(code).or_default() += 1;
    }

    /// Takes note of a turn that lasted so many nanoseconds.
    #[inline]
    pub fn note_turn(&mut self, lasted_ns: u64) {
        self.turns += 1;
        self.turns_ns += lasted_ns;
        self.note_step(lasted_ns);
    }

    /// Time that turns took since this was last asked, nanoseconds.
    pub fn take_busy_ns(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.turns_ns_before, self.turns_ns);
        self.turns_ns - before
    }

    /// Takes note of a step between turns, which keeps clients waiting just as long.
    #[inline]
    pub fn note_step(&mut self, lasted_ns: u64) {
        self.active_ns += lasted_ns;
        self.longest_turn_us = self.longest_turn_us.max(lasted_ns / 1000);
    }
}
