//! How long things took.

use std::sync::OnceLock;

use super::{Shard, cells::Row};

/// Sub-buckets of each power of two: a quantile is at most an eighth too high.
const STEPS: usize = 8;

/// Powers of two that are told apart: up to 2^36 µs, 19 hours.
const OCTAVES: usize = 36;

/// The cell that holds the sum of all times.
const SUM: usize = OCTAVES * STEPS;

/// Times in microseconds: eight buckets for each power of two. A worker's part takes memory from
/// its first time on.
#[derive(Debug)]
pub struct Histogram {
    rows: Box<[OnceLock<Row>]>,
}

impl Histogram {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            rows: (0..shards).map(|_| OnceLock::new()).collect(),
        }
    }

    #[inline]
    pub(super) fn record(&self, shard: Shard, micros: u64) {
        if let Some(row) = self.rows.get(shard.0) {
            let row = row.get_or_init(|| Row::new(SUM + 1));
            row.add(bucket(micros), 1);
            row.add(SUM, micros);
        }
    }

    /// Counts by bucket, as (highest value of the bucket in µs, count), empty buckets left out,
    /// and the sum of all values.
    pub fn read(&self) -> (Vec<(u64, u64)>, u64) {
        let total = |index: usize| -> u64 {
            let rows = self.rows.iter().filter_map(OnceLock::get);
            super::cells::sum(rows, index)
        };
        let counts = (0..SUM).map(|index| (bucket_end(index), total(index)));
        (counts.filter(|(_, count)| *count > 0).collect(), total(SUM))
    }

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.read().0.iter().map(|(_, count)| count).sum()
    }
}

fn bucket(value: u64) -> usize {
    let value = value as usize;
    if value < STEPS {
        return value;
    }
    let octave = value.ilog2() as usize;
    let step = (value >> (octave - 3)) - STEPS;
    ((octave - 2) * STEPS + step).min(SUM - 1)
}

fn bucket_end(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let (octave, step) = (index / STEPS + 2, index % STEPS);
    (((STEPS + step + 1) as u64) << (octave - 3)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_they_say() {
        for value in (0..100_000).chain([1 << 30, (1 << 36) - 1]) {
            let end = bucket_end(bucket(value));
            assert!(
                value <= end && end <= value + value / 8,
                "{value} fell into {end}"
            );
        }
        assert_eq!(bucket(u64::MAX), SUM - 1);
    }

    #[test]
    fn workers_without_a_time_take_no_memory() {
        let times = Histogram::new(3);
        times.record(Shard(1), 5);
        times.record(Shard(1), 5);
        times.record(Shard(7), 5);
        let made: Vec<_> = times.rows.iter().map(|row| row.get().is_some()).collect();
        assert_eq!(made, [false, true, false]);
        assert_eq!(times.read(), (vec![(5, 2)], 10));
        assert_eq!(times.count(), 2);
    }
}
