//! Distribution of a command's duration, in few bytes and two instructions per call.

/// Buckets per power of two, as a power of two: 16 make an error of at most 6 %, and the calls of a command fall in one or
/// two lines of the processor's cache.
const BITS: u32 = 4;
const STEPS: u32 = 1 << BITS;
/// Up to 2^34 ns, about 17 s; longer calls count there.
const BUCKETS: usize = (34 * STEPS) as usize;

/// Counts by duration, logarithmic. Allocates with the first call.
#[derive(Clone, Debug, Default)]
pub struct LatencyHistogram(Option<Box<[u32; BUCKETS]>>);

impl LatencyHistogram {
    /// Counts a call that took so many nanoseconds.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        let nanos = nanos.max(1 << BITS);
        let power = nanos.ilog2();
        let step = (nanos >> (power - BITS)) as u32 & (STEPS - 1);
        let bucket = ((power * STEPS + step) as usize).min(BUCKETS - 1);
        let counts = self.0.get_or_insert_with(|| Box::new([0; BUCKETS]));
        counts[bucket] = counts[bucket].saturating_add(1);
    }

    /// Number of calls.
    pub fn count(&self) -> u64 {
        self.0.as_deref().map_or(0, |counts| counts.iter().map(|count| u64::from(*count)).sum())
    }

    /// For each power of two up to which the number of calls grew: microseconds, as Redis names that bound, and how many
    /// calls did not take longer.
    pub fn cumulative(&self) -> Vec<(u64, u64)> {
        let Some(counts) = self.0.as_deref() else { return Vec::new() };
        let (mut bounds, mut seen, mut shown) = (Vec::new(), 0, 0);
        for (power, counts) in counts.chunks_exact(STEPS as usize).enumerate() {
            seen += counts.iter().map(|count| u64::from(*count)).sum::<u64>();
            // Redis's buckets begin at 1024 ns; its histogram keeps two digits, which makes each bound a 128th larger.
            let above = (power + 1).max(10) - 10;
            if seen > shown && power + 1 >= 10 {
                bounds.push((((1032 << above) - 1) / 1000, seen));
                shown = seen;
            }
        }
        bounds
    }

    /// The duration in nanoseconds that `percent` of the calls did not exceed.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        let counts = self.0.as_deref()?;
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let wanted = ((total as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                let (power, step) = (bucket as u32 / STEPS, bucket as u64 % u64::from(STEPS));
                return Some((1 << power) + ((step + 1) << power) / u64::from(STEPS) - 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_the_names_of_redis() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!((histogram.count(), histogram.cumulative()), (0, Vec::new()));
        for nanos in [5, 900, 1500, 1600, 20_000, 60_000, 1_000_000] {
            histogram.record(nanos);
        }
        assert_eq!(histogram.count(), 7);
        assert_eq!(histogram.cumulative(), [(1, 2), (2, 4), (33, 5), (66, 6), (1056, 7)]);
    }

    #[test]
    fn percentiles_are_close() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!(histogram.percentile(50.0), None);
        for micros in 1..=1000 {
            histogram.record(micros * 1000);
        }
        for (percent, expected) in [(50.0, 500_000.0), (99.0, 990_000.0), (100.0, 1_000_000.0)] {
            let got = histogram.percentile(percent).unwrap() as f64;
            assert!((got / expected - 1.0).abs() < 0.065, "p{percent}: {got}");
        }
    }
}
