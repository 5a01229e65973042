//! The server's clock: sampled by the actor, read by everyone else.

use crate::ticks::Ticks;
use common::clock::{monotonic_ns, now_us};

/// Wall time derived from the monotonic clock, so that one reading serves both.
#[derive(Debug)]
pub struct Time {
    ticks: Ticks,
    /// A moment on the monotonic clock in nanoseconds, and the wall time it had in microseconds.
    anchor: (u64, i64),
    now_ns: u64,
    /// What commands see of it.
    seen_ns: u64,
    /// Milliseconds since 1970 at that time, kept because expiry checks compare with it, and when the next one begins.
    now_ms: i64,
    next_ms_ns: u64,
    /// What is due by then counts as gone: the present, or the beginning of time for who sees what has expired.
    due_ms: i64,
    sees_expired: bool,
    /// While positive, samples don't move what commands see: inside EXEC and scripts.
    frozen: u32,
}

impl Time {
    /// A clock that stands at the present.
    pub fn new() -> Self {
        let (now_ns, wall) = (monotonic_ns(), now_us().cast_signed());
        let mut time = Self {
            ticks: Ticks::new(),
            anchor: (now_ns, wall),
            now_ns,
            seen_ns: now_ns,
            now_ms: 0,
            next_ms_ns: 0,
            due_ms: 0,
            sees_expired: false,
            frozen: 0,
        };
        time.begin_ms();
        time
    }

    /// Reads the clock; the nanoseconds since the last reading.
    #[inline]
    pub fn sample(&mut self) -> u64 {
        // Two ways of reading the same clock differ by some nanoseconds.
        let now_ns = self.ticks.now_ns().unwrap_or_else(monotonic_ns).max(self.now_ns);
        let since = now_ns - self.now_ns;
        self.now_ns = now_ns;
        if self.frozen == 0 {
            self.seen_ns = now_ns;
            if now_ns >= self.next_ms_ns {
                self.begin_ms();
            }
        }
        since
    }

    /// Whether an expiry, unix time in ms, has come.
    #[inline(always)]
    pub fn is_past(&self, expire: Option<i64>) -> bool {
        expire.is_some_and(|due| due <= self.due_ms)
    }

    fn begin_ms(&mut self) {
        let now_us = self.now_us();
        self.now_ms = now_us.div_euclid(1000);
        self.follow_sight();
        // A microsecond early does no harm, it is looked at again then.
        let left_us = 999 - now_us.rem_euclid(1000).cast_unsigned();
        self.next_ms_ns = self.seen_ns + left_us * 1000 + 1;
    }

    /// Whether the commands that follow see keys and fields whose time is up, as an import's source does.
    #[inline]
    pub fn set_sight(&mut self, sees_expired: bool) {
        if sees_expired != self.sees_expired {
            self.sees_expired = sees_expired;
            self.follow_sight();
        }
    }

    fn follow_sight(&mut self) {
        self.due_ms = if self.sees_expired { i64::MIN } else { self.now_ms };
    }

    /// What is due by then counts as gone, unix ms: the present, unless whoever runs commands sees what has expired.
    #[inline]
    pub fn due_ms(&self) -> i64 {
        self.due_ms
    }

    /// Follows the wall clock when it was set; called a few times a second.
    pub fn follow_wall(&mut self) {
        self.ticks.follow();
        self.anchor = (monotonic_ns(), now_us().cast_signed());
        self.next_ms_ns = 0;
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
        // What commands see may lie a little before the anchor.
        let since_ns = self.seen_ns.wrapping_sub(self.anchor.0).cast_signed();
        self.anchor.1 + since_ns.div_euclid(1000)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn what_commands_see_follows_the_wall() {
        let mut time = Time::new();
        for _ in 0..20 {
            sleep(Duration::from_millis(7));
            time.follow_wall();
            for _ in 0..1000 {
                let (before, wall) = (monotonic_ns(), now_us().cast_signed());
                let (last_ns, last_ms) = (time.now_ns(), time.now_ms());
                time.sample();
                assert!(time.now_ns() >= last_ns && time.now_ms() >= last_ms);
                assert!(time.now_ns().abs_diff(before) < 100_000_000, "{} and {before}", time.now_ns());
                assert!(time.now_us().abs_diff(wall) < 100_000, "{} and {wall}", time.now_us());
                assert!((time.now_us() / 1000 - time.now_ms()).abs() <= 1);
            }
        }
    }

    #[test]
    fn it_stands_still_while_frozen() {
        let mut time = Time::new();
        time.freeze();
        let (us, ms, ns) = (time.now_us(), time.now_ms(), time.now_ns());
        sleep(Duration::from_millis(3));
        time.sample();
        assert_eq!((time.now_us(), time.now_ms()), (us, ms));
        assert!(time.now_ns() >= ns + 3_000_000);
        time.thaw();
        time.sample();
        assert!(time.now_ms() >= ms + 2);
    }

    #[test]
    fn who_sees_what_has_expired_misses_nothing() {
        let mut time = Time::new();
        let long_ago = Some(time.now_ms() - 1000);
        assert!(time.is_past(long_ago) && time.is_past(Some(0)));
        time.set_sight(true);
        assert!(!time.is_past(long_ago) && !time.is_past(Some(0)) && !time.is_past(Some(-1)));
        sleep(Duration::from_millis(3));
        time.sample();
        assert!(!time.is_past(long_ago));
        time.set_sight(false);
        assert!(time.is_past(long_ago) && time.due_ms() == time.now_ms());
    }
}
