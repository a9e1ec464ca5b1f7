//! Latencies in buckets of about three per cent.

use std::time::Duration;

/// Buckets for each power of two.
const FINE: u32 = 32;
/// Enough for 2^40 µs.
const BUCKETS: usize = 40 * FINE as usize;

/// Counts of durations in microseconds; the relative error of a quantile is at most 1/32.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max: 0,
        }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros).min(BUCKETS - 1)] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    /// The duration in microseconds that the share `of` (0 to 1) of all does not exceed.
    pub(crate) fn quantile(&self, of: f64) -> u64 {
        let wanted = (self.total as f64 * of).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return upper(index).min(self.max);
            }
        }
        self.max
    }
}

/// The bucket of a value: values below `FINE` have one each.
fn bucket(value: u64) -> usize {
    let shift = value.max(1).ilog2().saturating_sub(FINE.ilog2());
    (shift * FINE) as usize + (value >> shift) as usize
}

/// The largest value in a bucket.
fn upper(index: usize) -> u64 {
    let fine = FINE as usize;
    if index < 2 * fine {
        return index as u64;
    }
    let shift = index / fine - 1;
    (((index - shift * fine) as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_at_most_a_thirty_second_below_its_bucket() {
        for value in (0..5000).chain([1 << 20, (1 << 30) + 7, 1 << 38]) {
            let top = upper(bucket(value));
            assert!(
                top >= value && top - value <= value / 32,
                "{value} in a bucket up to {top}"
            );
        }
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        let near = |got: u64, want: u64| got >= want && got <= want + want / 32;
        assert!(near(histogram.quantile(0.5), 500_000));
        assert!(near(histogram.quantile(0.99), 990_000));
        assert_eq!(histogram.quantile(1.0), 1_000_000);
        assert_eq!(Histogram::new().quantile(0.5), 0);
    }
}
