//! What an entry's 24 access bits mean: the second of its last use, or how often it is used, as the policy wants it.
//!
//! Least recently used: a clock in seconds that wraps after 194 days. Least frequently used, as Redis documents it: 16
//! bits of minutes when the counter was last lowered, and 8 bits of a counter that grows the more slowly the higher
//! it is, and falls by one every `lfu-decay-time` minutes.

use crate::config::{Config, EvictionPolicy};

/// The counter of a new key: high enough not to be evicted at once.
const NEW_COUNTER: u32 = 5;
const COUNTER_MAX: u32 = 255;
const CLOCK_MASK: u32 = 0x00FF_FFFF;
const MINUTES_MASK: u32 = 0xFFFF;

/// What counts as a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    /// Reads and writes; the bits are a clock.
    Recency,
    /// Writes only; the bits are a clock.
    Modification,
    /// Reads and writes; the bits are a counter.
    Frequency,
}

/// The rule in force and the clock that it goes by.
#[derive(Debug)]
pub struct Access {
    measure: Measure,
    log_factor: u32,
    /// Minutes; 0 = never.
    decay_minutes: u32,
    seconds: u32,
    /// The running client's uses don't count (CLIENT NO-TOUCH).
    pub is_paused: bool,
    rng: fastrand::Rng,
}

impl Access {
    /// The rule that `config` asks for.
    pub fn new(config: &Config) -> Self {
        let mut access = Self {
            measure: Measure::Recency,
            log_factor: 0,
            decay_minutes: 0,
            seconds: 0,
            is_paused: false,
            rng: fastrand::Rng::new(),
        };
        access.configure(config);
        access
    }

    /// Follows the configuration. Bits of entries keep the meaning that they had; Redis does not rewrite them either.
    pub fn configure(&mut self, config: &Config) {
        use EvictionPolicy as Policy;
        self.measure = match config.max_memory_policy {
            Policy::VolatileLfu | Policy::AllkeysLfu => Measure::Frequency,
            Policy::VolatileLrm | Policy::AllkeysLrm => Measure::Modification,
            _ => Measure::Recency,
        };
        self.log_factor = config.lfu_log_factor;
        self.decay_minutes = config.lfu_decay_time;
    }

    /// Sets the clock, Unix time in ms.
    pub fn set_clock(&mut self, now_ms: i64) {
        self.seconds = (now_ms / 1000) as u32;
    }

    /// Bits of an entry that is made or overwritten now, and whether overwriting renews them.
    pub fn for_new(&self) -> (u32, bool) {
        match self.measure {
            Measure::Recency | Measure::Modification => (self.seconds & CLOCK_MASK, true),
            Measure::Frequency => (self.minutes() << 8 | NEW_COUNTER, false),
        }
    }

    /// Bits of an entry after a read; `None` when that is no use.
    #[inline]
    pub fn after_read(&mut self, bits: u32) -> Option<u32> {
        if self.is_paused {
            return None;
        }
        match self.measure {
            Measure::Recency => Some(self.seconds & CLOCK_MASK),
            Measure::Modification => None,
            Measure::Frequency => Some(self.counted(bits)),
        }
    }

    /// Bits of an entry after it was looked up to be changed; `None` when that is no use.
    #[inline]
    pub fn after_write(&mut self, bits: u32) -> Option<u32> {
        if self.is_paused {
            return None;
        }
        Some(match self.measure {
            Measure::Recency | Measure::Modification => self.seconds & CLOCK_MASK,
            Measure::Frequency => self.counted(bits),
        })
    }

    /// Whether uses are counted: a write that overwrites blindly has to look the key up for that.
    #[inline]
    pub fn counts(&self) -> bool {
        self.measure == Measure::Frequency
    }

    fn counted(&mut self, bits: u32) -> u32 {
        let counter = self.frequency(bits);
        let above = counter.saturating_sub(NEW_COUNTER);
        let chance = 1.0 / (f64::from(above) * f64::from(self.log_factor) + 1.0);
        let grown = counter + u32::from(counter < COUNTER_MAX && self.rng.f64() < chance);
        self.minutes() << 8 | grown
    }

    /// Bits of an entry of which is known for how many seconds it was not used, or how often it was; `None` where the rule
    /// goes by the other.
    pub fn imported(&self, idle_s: Option<u64>, frequency: Option<u8>) -> Option<u32> {
        match self.measure {
            Measure::Frequency => frequency.map(|counter| self.minutes() << 8 | u32::from(counter)),
            Measure::Recency | Measure::Modification => {
                let idle_s = idle_s?.min(u64::from(CLOCK_MASK)) as u32;
                Some(self.seconds.wrapping_sub(idle_s) & CLOCK_MASK)
            }
        }
    }

    /// The counter as it stands now.
    pub fn frequency(&self, bits: u32) -> u32 {
        let elapsed = self.minutes().wrapping_sub(bits >> 8) & MINUTES_MASK;
        let periods = elapsed.checked_div(self.decay_minutes).unwrap_or(0);
        (bits & COUNTER_MAX).saturating_sub(periods)
    }

    /// Seconds since the last use.
    pub fn idle_s(&self, bits: u32) -> u32 {
        self.seconds.wrapping_sub(bits) & CLOCK_MASK
    }

    /// How much the entry deserves to go: more is worse.
    pub fn badness(&self, bits: u32) -> u64 {
        match self.measure {
            Measure::Recency | Measure::Modification => self.idle_s(bits).into(),
            Measure::Frequency => (COUNTER_MAX - self.frequency(bits)).into(),
        }
    }

    /// Random bits for choosing samples.
    pub fn random(&mut self) -> u64 {
        self.rng.u64(..)
    }

    fn minutes(&self) -> u32 {
        (self.seconds / 60) & MINUTES_MASK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(policy: EvictionPolicy) -> Access {
        let mut config = Config::default();
        config.max_memory_policy = policy;
        config.lfu_log_factor = 10;
        config.lfu_decay_time = 1;
        Access::new(&config)
    }

    #[test]
    fn the_counter_grows_ever_more_slowly_and_decays() {
        let mut lfu = access(EvictionPolicy::AllkeysLfu);
        lfu.set_clock(60_000 * 70_000);
        let (mut bits, renews) = lfu.for_new();
        assert_eq!((lfu.frequency(bits), renews), (5, false));
        for _ in 0..1000 {
            bits = lfu.counted(bits);
        }
        // Redis's table: a factor of 10 gives about 18 after a thousand hits.
        assert!((12..=26).contains(&lfu.frequency(bits)), "{}", lfu.frequency(bits));
        let before = lfu.frequency(bits);
        lfu.set_clock(60_000 * 70_003);
        assert_eq!(lfu.frequency(bits), before - 3);
        lfu.set_clock(60_000 * 71_000);
        assert_eq!(lfu.frequency(bits), 0);
        assert_eq!(lfu.badness(bits), 255);
    }

    #[test]
    fn clocks_wrap() {
        let mut lru = access(EvictionPolicy::AllkeysLru);
        lru.set_clock(i64::from(CLOCK_MASK) * 1000);
        let bits = lru.for_new().0;
        lru.set_clock((i64::from(CLOCK_MASK) + 5) * 1000);
        assert_eq!((lru.idle_s(bits), lru.after_read(bits)), (5, Some(4)));
    }

    #[test]
    fn uses_elsewhere_are_taken_over_where_they_are_measured() {
        let mut lru = access(EvictionPolicy::AllkeysLru);
        lru.set_clock(5_000_000);
        let bits = lru.imported(Some(1000), Some(7)).expect("a clock");
        assert_eq!(lru.idle_s(bits), 1000);
        assert_eq!(lru.imported(Some(u64::MAX), None).map(|bits| lru.idle_s(bits)), Some(CLOCK_MASK));
        let mut lfu = access(EvictionPolicy::AllkeysLfu);
        lfu.set_clock(5_000_000);
        let bits = lfu.imported(Some(1000), Some(200)).expect("a counter");
        assert_eq!((lfu.frequency(bits), lfu.imported(Some(1), None)), (200, None));
    }

    #[test]
    fn reads_don_t_count_for_modification_nor_when_paused() {
        let mut lrm = access(EvictionPolicy::AllkeysLrm);
        assert_eq!(lrm.after_read(7), None);
        let mut lru = access(EvictionPolicy::VolatileTtl);
        lru.is_paused = true;
        assert_eq!(lru.after_read(7), None);
    }
}
