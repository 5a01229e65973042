//! How much a thread's connections read and wrote.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that one thread writes and anyone reads: plain loads and stores, no locked instruction.
#[derive(Debug, Default)]
pub struct Traffic {
    input: AtomicU64,
    output: AtomicU64,
    replica_output: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
}

/// What the counters say, bytes and calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Bytes read from clients.
    pub input: u64,
    /// Bytes written to clients.
    pub output: u64,
    /// Bytes written to replicas.
    pub replica_output: u64,
    /// Reads that brought something.
    pub reads: u64,
    /// Writes that took something.
    pub writes: u64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

impl Traffic {
    pub(super) fn note_read(&self, bytes: usize) {
        add(&self.input, bytes as u64);
        add(&self.reads, 1);
    }

    pub(super) fn note_write(&self, bytes: usize, to_replica: bool) {
        add(if to_replica { &self.replica_output } else { &self.output }, bytes as u64);
        add(&self.writes, 1);
    }

    /// The counters as they stand.
    pub fn counts(&self) -> TrafficCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrafficCounts {
            input: read(&self.input),
            output: read(&self.output),
            replica_output: read(&self.replica_output),
            reads: read(&self.reads),
            writes: read(&self.writes),
        }
    }
}

impl std::iter::Sum for TrafficCounts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |all, part| Self {
            input: all.input + part.input,
            output: all.output + part.output,
            replica_output: all.replica_output + part.replica_output,
            reads: all.reads + part.reads,
            writes: all.writes + part.writes,
        })
    }
}

impl std::ops::Sub for TrafficCounts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            input: self.input - before.input,
            output: self.output - before.output,
            replica_output: self.replica_output - before.replica_output,
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
        }
    }
}
