//! The processor's own counter as a clock: a third of the cost of asking the kernel's, which the hot path does once per
//! command.
//!
//! Used only where the kernel itself counts time with it, and so vouches that it runs evenly and alike on all cores. The
//! kernel's clock stays the judge: a few times a second its reading is taken anew, with the rate that the counter had
//! since, so that the two are never further apart than the kernel corrects its clock in that time.

use crate::sys;
use common::clock::monotonic_ns;

/// Binary digits of the rate behind the point.
const FRACTION: u32 = 24;
/// Ticks for which a reading holds: about a second, less than which `rate` can be multiplied by.
const VALID: u64 = 1 << 32;
/// The shortest time over which a rate is measured, nanoseconds: the two readings are some tens of them apart.
const MEASURED_NS: u64 = 20_000_000;

/// A reading of both clocks.
#[derive(Debug)]
pub struct Ticks {
    is_trusted: bool,
    /// Counter and nanoseconds on the monotonic clock at one moment.
    at: (u64, u64),
    /// Nanoseconds per tick; 0 while not known.
    rate: u64,
}

impl Ticks {
    /// Knows no rate before [`Self::follow`] was called at least twice.
    pub fn new() -> Self {
        let is_trusted = kernel_counts_ticks() && sys::ticks().is_some();
        Self { is_trusted, at: (0, 0), rate: 0 }
    }

    /// The monotonic clock in nanoseconds, as [`monotonic_ns`] would say within some tens of them; `None` where or while
    /// the counter can't tell.
    #[inline]
    pub fn now_ns(&self) -> Option<u64> {
        if self.rate == 0 {
            return None;
        }
        let passed = sys::ticks()?.wrapping_sub(self.at.0);
        (passed < VALID).then(|| self.at.1 + ((passed * self.rate) >> FRACTION))
    }

    /// Takes both readings anew.
    pub fn follow(&mut self) {
        if !self.is_trusted {
            return;
        }
        let (ticks, now_ns) = (sys::ticks().unwrap_or_default(), monotonic_ns());
        let (passed, passed_ns) = (ticks.wrapping_sub(self.at.0), now_ns - self.at.1);
        if self.at.1 != 0 && passed_ns < MEASURED_NS {
            return;
        }
        let is_sound = self.at.1 != 0 && passed > 0 && passed < VALID;
        // 2^32 ticks at 2^32 ns are the most that gets here: the rate stays below 2^31, its product with VALID below 2^63.
        let rate = if is_sound { (u128::from(passed_ns) << FRACTION) / u128::from(passed) } else { 0 };
        self.rate = u64::try_from(rate).ok().filter(|rate| *rate < 1 << 31).unwrap_or(0);
        self.at = (ticks, now_ns);
    }
}

fn kernel_counts_ticks() -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|name| name.trim() == "tsc")
}
