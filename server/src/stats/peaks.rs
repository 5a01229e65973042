//! The largest buffers that clients had in the last seconds, for those who look only now and then.

use crate::session::Session;
use common::clients::Client;

/// Seconds that are remembered, the running one among them. As in Redis.
const SECONDS: usize = 8;

/// The largest buffers of some clients, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Of requests.
    pub input: usize,
    /// Of replies that are not written yet.
    pub output: usize,
}

impl Peaks {
    /// Those of one client now.
    pub fn of(client: &Client<Session>) -> Self {
        Self { input: client.input_bytes(), output: client.unsent() }
    }

    /// The larger of each.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { input: self.input.max(other.input), output: self.output.max(other.output) }
    }
}

/// A peak for each of the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecentPeaks {
    seconds: [Peaks; SECONDS],
    /// The second, Unix time, that was noted last.
    last: i64,
}

impl RecentPeaks {
    /// Takes in what was seen at a time, Unix ms; seconds without a look are forgotten on the way.
    pub fn note(&mut self, now_ms: i64, seen: Peaks) {
        let second = now_ms.div_euclid(1000);
        let place = |second: i64| second.rem_euclid(SECONDS as i64) as usize;
        let passed = second.saturating_sub(self.last).clamp(0, SECONDS as i64);
        // After the wall clock was set back the present second goes on where it was.
        (second - passed + 1..=second).for_each(|old| self.seconds[place(old)] = Peaks::default());
        self.last = second;
        let now = &mut self.seconds[place(second)];
        *now = now.or(seen);
    }

    /// The largest of the last seconds.
    pub fn recent(&self) -> Peaks {
        self.seconds.iter().copied().fold(Peaks::default(), Peaks::or)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_remembered_for_some_seconds() {
        let mut peaks = RecentPeaks::default();
        let seen = |input, output| Peaks { input, output };
        peaks.note(1_000_000, seen(5, 100));
        peaks.note(1_000_100, seen(7, 20));
        peaks.note(1_003_000, seen(1, 1));
        assert_eq!(peaks.recent(), seen(7, 100));
        peaks.note(1_007_999, seen(2, 2));
        assert_eq!(peaks.recent(), seen(7, 100));
        peaks.note(1_008_000, seen(2, 2));
        assert_eq!(peaks.recent(), seen(2, 2));
        peaks.note(1_100_000, seen(0, 1));
        assert_eq!(peaks.recent(), seen(0, 1));
        peaks.note(900_000, seen(3, 0));
        assert_eq!(peaks.recent(), seen(3, 1));
    }
}
