//! Distribution of a command's duration, in few bytes and two instructions per call.

/// Buckets per power of two: 4 make an error of at most 12.5 %.
const STEPS: u32 = 4;
/// Up to 2^34 ns, about 17 s; longer calls count there.
const BUCKETS: usize = (34 * STEPS) as usize;

/// Counts by duration, logarithmic. Allocates with the first call.
#[derive(Clone, Debug, Default)]
pub struct LatencyHistogram(Option<Box<[u32; BUCKETS]>>);

impl LatencyHistogram {
    /// Counts a call that took so many nanoseconds.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        let nanos = nanos.max(1 << 2);
        let power = nanos.ilog2();
        let step = (nanos >> (power - 2)) as u32 & (STEPS - 1);
        let bucket = ((power * STEPS + step) as usize).min(BUCKETS - 1);
        let counts = self.0.get_or_insert_with(|| Box::new([0; BUCKETS]));
        counts[bucket] = counts[bucket].saturating_add(1);
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
                return Some((1 << power) + ((step + 1) << power) / u64::from(STEPS));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_close() {
        let mut histogram = LatencyHistogram::default();
        assert_eq!(histogram.percentile(50.0), None);
        for micros in 1..=1000 {
            histogram.record(micros * 1000);
        }
        for (percent, expected) in [(50.0, 500_000.0), (99.0, 990_000.0), (100.0, 1_000_000.0)] {
            let got = histogram.percentile(percent).unwrap() as f64;
            assert!((got / expected - 1.0).abs() < 0.26, "p{percent}: {got}");
        }
    }
}
