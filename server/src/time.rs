//! The server's clock: sampled by the actor, read by everyone else.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time derived from the monotonic clock, so that one reading serves both.
#[derive(Debug)]
pub struct Time {
    /// A moment on the monotonic clock and the wall time it had, in microseconds.
    anchor: (Instant, i64),
    now_us: i64,
    now: Instant,
    /// Milliseconds since 1970 of the last sample, kept because expiry checks compare with it.
    now_ms: i64,
    /// While positive, samples don't move what commands see: inside EXEC and scripts.
    frozen: u32,
}

impl Time {
    /// A clock that stands at the present.
    pub fn new() -> Self {
        let now = Instant::now();
        let wall = wall_us();
        Self { anchor: (now, wall), now_us: wall, now, now_ms: wall / 1000, frozen: 0 }
    }

    /// Reads the clock; the time since the last reading.
    #[inline]
    pub fn sample(&mut self) -> Duration {
        let now = Instant::now();
        let since = now.duration_since(self.now);
        self.now = now;
        if self.frozen == 0 {
            self.now_us = self.anchor.1 + now.duration_since(self.anchor.0).as_micros() as i64;
            self.now_ms = self.now_us / 1000;
        }
        since
    }

    /// Follows the wall clock when it was set; called a few times a second.
    pub fn follow_wall(&mut self) {
        self.anchor = (Instant::now(), wall_us());
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

    /// Moment of the last sample on the monotonic clock.
    pub fn instant(&self) -> Instant {
        self.now
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

fn wall_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64
}
