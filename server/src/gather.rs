//! Whether to wait a moment for more requests when there is nothing left to do.
//!
//! A server that answers faster than its clients ask falls asleep after every few requests, and each time a client has to
//! wake it: an interrupt between processors, which costs the client more than the request itself. Where many connections
//! ask without a break, the actor's thread therefore sleeps for a short while by the clock, which nobody's request ends,
//! and finds several requests at once. Measured with 50 connections beside the same server without it: a tenth
//! (SET) to a fifth (GET, PING) more requests per second, no more processor time for each, and a round trip no longer.
//!
//! Whoever waits for a single answer must not pay for that. So a pause is a fraction of the round trip that connections
//! show (Little's law: those in flight by their rate), and there is none unless the thread is busy for the most part.

use rustix::time::{ClockId, clock_gettime};
use std::num::NonZero;
use std::time::Duration;

/// How long is looked at to learn the round trip.
const WINDOW_NS: u64 = 10_000_000;
/// A pause is so small a part of a round trip.
const PART: u64 = 6;
/// Shorter pauses gather nothing, longer ones no more; nanoseconds.
const PAUSE_NS: std::ops::RangeInclusive<u64> = 20_000..=50_000;
/// What the kernel may add to a pause, nanoseconds. Its default is longer than the pause itself.
const SLACK_NS: NonZero<u64> = NonZero::new(1000).expect("not zero");

/// What connections did within the present window, and what follows from the last one.
#[derive(Debug, Default)]
pub struct Gather {
    /// Unix time in milliseconds from which on batches count.
    from_ms: i64,
    from_ns: u64,
    /// The thread's processor time at that moment.
    cpu_ns: u64,
    batches: u64,
    /// Different ones that batches came from.
    connections: u64,
    pause: Option<Duration>,
}

impl Gather {
    /// Counts a batch that came at `now_ms` from a connection whose last one came at `before_ms`.
    #[inline(always)]
    pub fn note(&mut self, now_ms: i64, before_ms: i64) {
        if now_ms >= self.from_ms {
            self.batches += 1;
            self.connections += u64::from(before_ms < self.from_ms);
        }
    }

    /// How long to sleep before the next look at the sockets. To be called on the thread that serves them.
    #[inline]
    pub fn pause(&mut self, now_ms: i64, now_ns: u64) -> Option<Duration> {
        if now_ns.saturating_sub(self.from_ns) >= WINDOW_NS {
            self.next_window(now_ms, now_ns, thread_cpu_ns());
        }
        self.pause
    }

    fn next_window(&mut self, now_ms: i64, now_ns: u64, cpu_ns: u64) {
        let lasted_ns = now_ns - self.from_ns;
        let is_busy = 2 * (cpu_ns - self.cpu_ns) > lasted_ns;
        let round_trip_ns = (lasted_ns * self.connections).checked_div(self.batches).unwrap_or(0);
        let wanted_ns = (round_trip_ns / PART).min(*PAUSE_NS.end());
        let pause = (is_busy && wanted_ns >= *PAUSE_NS.start()).then(|| Duration::from_nanos(wanted_ns));
        // A connection that was active within this millisecond would not count in the window if that began now.
        *self = Self { from_ms: now_ms + 1, from_ns: now_ns, cpu_ns, pause, ..Self::default() };
    }
}

/// Has sleeps of this thread end on time.
pub fn be_punctual() {
    if let Err(error) = rustix::thread::set_current_timer_slack(Some(SLACK_NS)) {
        tracing::debug!("Timers of the main thread keep their slack: {error}");
    }
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::clock::monotonic_ns;

    /// The pause after a window in which each of `connections` sent a batch every `round_trip_us`, while the thread
    /// was busy for `busy` percent.
    fn after(connections: u64, round_trip_us: u64, busy: u64) -> Option<Duration> {
        let mut gather = Gather::default();
        let (begin_ms, begin_ns) = (5_000_000, 7_000_000_000);
        gather.next_window(begin_ms, begin_ns, 0);
        let mut last_ms = vec![begin_ms; connections as usize];
        for round in 0..WINDOW_NS / 1000 / round_trip_us {
            let now_ms = begin_ms + (round * round_trip_us / 1000) as i64;
            for last_ms in &mut last_ms {
                gather.note(now_ms, *last_ms);
                *last_ms = now_ms;
            }
        }
        gather.next_window(begin_ms + 10, begin_ns + WINDOW_NS, WINDOW_NS * busy / 100);
        gather.pause
    }

    fn is_near(pause: Option<Duration>, us: u64) -> bool {
        pause.is_some_and(|pause| pause.as_micros().abs_diff(us.into()) * 5 <= us.into())
    }

    #[test]
    fn a_crowd_that_keeps_the_thread_busy_is_gathered() {
        assert!(is_near(after(50, 250, 80), 42));
        assert_eq!(after(1000, 5000, 80), Some(Duration::from_micros(50)));
    }

    #[test]
    fn few_connections_never_wait() {
        assert_eq!(after(1, 10, 90), None);
        assert_eq!(after(10, 80, 90), None);
    }

    #[test]
    fn an_idle_thread_never_waits() {
        assert_eq!(after(50, 250, 40), None);
        assert_eq!(after(0, 1000, 90), None);
    }

    #[test]
    fn a_clock_set_back_ends_the_pauses() {
        let mut gather = Gather::default();
        gather.next_window(9_000_000, 1_000_000_000, 0);
        gather.pause = Some(Duration::from_micros(30));
        gather.note(1_000_000, 9_000_000);
        gather.next_window(1_000_010, 1_010_000_000, WINDOW_NS);
        assert_eq!((gather.pause, gather.from_ms), (None, 1_000_011));
    }

    #[test]
    fn a_pause_ends_with_the_window_after_the_crowd() {
        let mut gather = Gather { pause: Some(Duration::from_micros(30)), ..Gather::default() };
        assert_eq!(gather.pause(1, monotonic_ns()), None);
    }
}
