//! The server's clock: sampled by the actor, read by everyone else.

use common::clock::{monotonic_ns, now_us};

/// Wall time derived from the monotonic clock, so that one reading serves both.
#[derive(Debug)]
pub struct Time {
    /// A moment on the monotonic clock in nanoseconds, and the wall time it had in microseconds.
    anchor: (u64, i64),
    now_us: i64,
    now_ns: u64,
    /// Milliseconds since 1970 of the last sample, kept because expiry checks compare with it.
    now_ms: i64,
    /// While positive, samples don't move what commands see: inside EXEC and scripts.
    frozen: u32,
}

impl Time {
    /// A clock that stands at the present.
    pub fn new() -> Self {
        let (now_ns, wall) = (monotonic_ns(), now_us().cast_signed());
        Self { anchor: (now_ns, wall), now_us: wall, now_ns, now_ms: wall / 1000, frozen: 0 }
    }

    /// Reads the clock; the nanoseconds since the last reading.
    #[inline]
    pub fn sample(&mut self) -> u64 {
        let now_ns = monotonic_ns();
        let since = now_ns - self.now_ns;
        self.now_ns = now_ns;
        if self.frozen == 0 {
            self.now_us = self.anchor.1 + ((now_ns - self.anchor.0) / 1000).cast_signed();
            self.now_ms = self.now_us / 1000;
        }
        since
    }

    /// Follows the wall clock when it was set; called a few times a second.
    pub fn follow_wall(&mut self) {
        self.anchor = (monotonic_ns(), now_us().cast_signed());
        self.sample();
    }

    /// Keeps the time that commands see, until [`Self::thaw`]: within a transaction or script it stands still.
    pub fn freeze(&mut self) {
        self.frozen += 1;
    }

    /// Ends [`Self::freeze`].
    pub fn thaw(&mut self) {
        self.frozen -= 1;
    }

    /// Unix time of the last sample, milliseconds.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Unix time of the last sample, microseconds.
    pub fn now_us(&self) -> i64 {
        self.now_us
    }

    /// Moment of the last sample on the monotonic clock, nanoseconds; see [`monotonic_ns`].
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The 24-bit LRU clock: seconds.
    #[inline]
    pub fn access_clock(&self) -> u32 {
        (self.now_ms / 1000) as u32 & 0x00FF_FFFF
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::new()
    }
}
