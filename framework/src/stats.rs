//! Counters, gauges and histograms without a shared write on the path of a call.
//!
//! Each worker has cells of its own, written by no one else and summed when read. A gauge is a
//! counter that also goes down: one worker may take back what another added, only the sum counts.

use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Which worker's cells to write. Number 0 belongs to the control runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard(pub usize);

thread_local! {
    static CURRENT: Cell<Shard> = const { Cell::new(Shard(0)) };
}

impl Shard {
    /// The cells of the worker whose thread this is; those of the control runtime elsewhere. For
    /// what is reached through a shared value and has no handle to its worker.
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Makes these the cells of this thread.
    pub(crate) fn enter(self) {
        CURRENT.set(self);
    }
}

/// A set of metrics that belong to one thing: an enum whose variants name them.
pub trait Metrics: Copy + 'static {
    /// The name and kind of each metric, in the order of [`Metrics::index`].
    const DEFS: &'static [Def];

    /// The place of a metric in [`Metrics::DEFS`].
    fn index(self) -> usize;
}

/// One metric of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Def {
    /// Its name without the scope, as Envoy calls it where Envoy has it.
    pub name: &'static str,
    /// Whether it can go down.
    pub gauge: bool,
}

/// Declares a [`Metrics`] enum: `counter` or `gauge`, the variant, and the name it is read by.
#[macro_export]
macro_rules! metrics {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $kind:ident $variant:ident = $text:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $variant,)* }

        impl $crate::stats::Metrics for $name {
            const DEFS: &'static [$crate::stats::Def] = &[$(
                $crate::stats::Def { name: $text, gauge: $crate::metrics!(@$kind) },
            )*];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
    (@counter) => { false };
    (@gauge) => { true };
}

/// What a set of metrics belongs to, such as `cluster` `orders`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The first part of the full name: `cluster`, `listener`, `http`, `server`.
    pub kind: &'static str,
    /// The name of the thing; empty where there is only one.
    pub label: Arc<str>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label.as_ref() {
            "" => f.write_str(self.kind),
            label => write!(f, "{}.{label}", self.kind),
        }
    }
}

/// The cells of one worker. Aligned to two cache lines, the unit that prefetchers share.
#[derive(Debug)]
#[repr(align(128))]
struct Row(Box<[AtomicU64]>);

impl Row {
    fn new(cells: usize) -> Self {
        Self((0..cells).map(|_| AtomicU64::new(0)).collect())
    }

    /// Not a read-modify-write instruction: the worker is the only writer of its row.
    #[inline]
    fn add(&self, index: usize, by: u64) {
        if let Some(cell) = self.0.get(index) {
            cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
        }
    }
}

/// The metrics of one thing.
#[derive(Debug)]
pub struct Group {
    scope: Scope,
    defs: &'static [Def],
    rows: Box<[Row]>,
    time: Option<Histogram>,
}

impl Group {
    /// Adds `by` to a metric.
    #[inline]
    pub fn add<M: Metrics>(&self, shard: Shard, metric: M, by: u64) {
        if let Some(row) = self.rows.get(shard.0) {
            row.add(metric.index(), by);
        }
    }

    /// Adds one.
    #[inline]
    pub fn inc<M: Metrics>(&self, shard: Shard, metric: M) {
        self.add(shard, metric, 1);
    }

    /// Takes one from a gauge.
    #[inline]
    pub fn dec<M: Metrics>(&self, shard: Shard, metric: M) {
        self.add(shard, metric, 1_u64.wrapping_neg());
    }

    /// Records how long a call took, where the group has a histogram.
    #[inline]
    pub fn record(&self, shard: Shard, micros: u64) {
        if let Some(time) = &self.time {
            time.record(shard, micros);
        }
    }

    /// What the group belongs to.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The histogram of call times, if there is one.
    pub fn time(&self) -> Option<&Histogram> {
        self.time.as_ref()
    }

    /// The sum of one metric.
    pub fn get<M: Metrics>(&self, metric: M) -> u64 {
        self.sum(metric.index())
    }

    /// Every metric with its sum. A gauge that reads below zero for an instant, because its cells
    /// are not read at once, reads as zero.
    pub fn read(&self) -> impl Iterator<Item = (Def, u64)> {
        self.defs.iter().enumerate().map(|(index, def)| {
            let sum = self.sum(index);
            (
                *def,
                if def.gauge && sum > u64::MAX / 2 {
                    0
                } else {
                    sum
                },
            )
        })
    }

    fn sum(&self, index: usize) -> u64 {
        let cells = self.rows.iter().filter_map(|row| row.0.get(index));
        cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(Relaxed)))
    }
}

/// Sub-buckets of each power of two: a quantile is at most an eighth too high.
const STEPS: usize = 8;

/// Powers of two that are told apart: up to 2^36 µs, 19 hours.
const OCTAVES: usize = 36;

/// Times of calls in microseconds: eight buckets for each power of two.
#[derive(Debug)]
pub struct Histogram {
    rows: Box<[Row]>,
}

impl Histogram {
    fn new(shards: usize) -> Self {
        Self {
            rows: (0..shards).map(|_| Row::new(OCTAVES * STEPS + 1)).collect(),
        }
    }

    #[inline]
    fn record(&self, shard: Shard, micros: u64) {
        if let Some(row) = self.rows.get(shard.0) {
            row.add(bucket(micros), 1);
            row.add(OCTAVES * STEPS, micros);
        }
    }

    /// Counts by bucket, as (highest value of the bucket in µs, count), empty buckets left out,
    /// and the sum of all values.
    pub fn read(&self) -> (Vec<(u64, u64)>, u64) {
        let total = |index: usize| -> u64 {
            self.rows
                .iter()
                .filter_map(|row| row.0.get(index))
                .map(|cell| cell.load(Relaxed))
                .sum()
        };
        let counts = (0..OCTAVES * STEPS).map(|index| (bucket_end(index), total(index)));
        (
            counts.filter(|(_, count)| *count > 0).collect(),
            total(OCTAVES * STEPS),
        )
    }
}

fn bucket(value: u64) -> usize {
    let value = value as usize;
    if value < STEPS {
        return value;
    }
    let octave = value.ilog2() as usize;
    let step = (value >> (octave - 3)) - STEPS;
    ((octave - 2) * STEPS + step).min(OCTAVES * STEPS - 1)
}

fn bucket_end(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let (octave, step) = (index / STEPS + 2, index % STEPS);
    (((STEPS + step + 1) as u64) << (octave - 3)) - 1
}

/// Every group of the process. Written when configuration changes, read by the admin endpoint.
#[derive(Debug)]
pub struct Registry {
    shards: usize,
    groups: Mutex<Vec<Arc<Group>>>,
}

impl Registry {
    /// A registry for `workers` workers and the control runtime.
    pub fn new(workers: usize) -> Self {
        Self {
            shards: workers + 1,
            groups: Mutex::new(Vec::new()),
        }
    }

    /// The group of `kind` and `label` with these metrics: the one that exists, or a new one. `timed`
    /// gives it a histogram of call times.
    pub fn group<M: Metrics>(&self, kind: &'static str, label: &str, timed: bool) -> Arc<Group> {
        let mut groups = self
            .groups
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = groups.iter().find(|group| {
            group.scope.kind == kind && group.scope.label.as_ref() == label && group.defs == M::DEFS
        });
        if let Some(group) = found {
            return Arc::clone(group);
        }
        let group = Arc::new(Group {
            scope: Scope {
                kind,
                label: label.into(),
            },
            defs: M::DEFS,
            rows: (0..self.shards).map(|_| Row::new(M::DEFS.len())).collect(),
            time: timed.then(|| Histogram::new(self.shards)),
        });
        groups.push(Arc::clone(&group));
        group
    }

    /// Every group, in the order of its scope.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        let groups = self
            .groups
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut groups = groups.clone();
        groups.sort_by(|a, b| a.scope.cmp(&b.scope));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    metrics! {
        enum Pair {
            counter Total = "total",
            gauge Active = "active",
        }
    }

    #[test]
    fn cells_are_summed_over_workers() {
        let registry = Registry::new(2);
        let group = registry.group::<Pair>("cluster", "a", true);
        group.inc(Shard(1), Pair::Total);
        group.inc(Shard(2), Pair::Total);
        group.inc(Shard(1), Pair::Active);
        group.dec(Shard(2), Pair::Active);
        group.add(Shard(9), Pair::Total, 5);
        assert_eq!(group.get(Pair::Total), 2);
        let read: Vec<_> = group.read().map(|(def, sum)| (def.name, sum)).collect();
        assert_eq!(read, [("total", 2), ("active", 0)]);
        assert!(Arc::ptr_eq(
            &group,
            &registry.group::<Pair>("cluster", "a", true)
        ));
        assert_eq!(registry.groups().len(), 1);
    }

    #[test]
    fn buckets_hold_what_they_say() {
        for value in (0..100_000).chain([1 << 30, (1 << 36) - 1]) {
            let end = bucket_end(bucket(value));
            assert!(
                value <= end && end <= value + value / 8,
                "{value} fell into {end}"
            );
        }
        assert_eq!(bucket(u64::MAX), OCTAVES * STEPS - 1);
    }
}
