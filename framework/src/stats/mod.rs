//! Counters, gauges and histograms without a shared write on the path of a call.
//!
//! Each worker has cells of its own, written by no one else and summed when read. A gauge is a
//! counter that also goes down: one worker may take back what another added, only the sum counts.

mod cells;
mod codes;
mod histogram;
mod registry;

use std::{cell::Cell, time::Duration};

use self::{cells::Row, codes::Codes};
pub use self::{
    histogram::Histogram,
    registry::{Registry, Scope},
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
    /// What it is.
    pub kind: Kind,
    /// What it tells, in a sentence.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that can go down.
    Gauge,
    /// How many answers there were ([`Group::respond`]).
    Completed,
    /// How many answers there were of a class of HTTP statuses, such as 2.
    Class(u8),
    /// How many answers there were of each HTTP status; its name is the part before the status.
    Codes,
    /// How long something took ([`Group::record`]). Histograms stand last in their set.
    Histogram,
}

/// Declares a [`Metrics`] enum: `counter`, `gauge`, `completed`, `class1` to `class5`, `codes` or
/// `histogram`, the variant, and the name it is read by. What documents a variant is its help text.
#[macro_export]
macro_rules! metrics {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[doc = $doc:literal])* $kind:ident $variant:ident = $text:literal,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[doc = $doc])* $variant,)* }

        impl $crate::stats::Metrics for $name {
            const DEFS: &'static [$crate::stats::Def] = &[$(
                $crate::stats::Def {
                    name: $text,
                    kind: $crate::metrics!(@$kind),
                    help: concat!($($doc),*).trim_ascii(),
                },
            )*];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
    (@counter) => { $crate::stats::Kind::Counter };
    (@gauge) => { $crate::stats::Kind::Gauge };
    (@completed) => { $crate::stats::Kind::Completed };
    (@class1) => { $crate::stats::Kind::Class(1) };
    (@class2) => { $crate::stats::Kind::Class(2) };
    (@class3) => { $crate::stats::Kind::Class(3) };
    (@class4) => { $crate::stats::Kind::Class(4) };
    (@class5) => { $crate::stats::Kind::Class(5) };
    (@codes) => { $crate::stats::Kind::Codes };
    (@histogram) => { $crate::stats::Kind::Histogram };
}

/// The metrics of one thing.
#[derive(Debug)]
pub struct Group {
    scope: Scope,
    defs: &'static [Def],
    rows: Box<[Row]>,
    codes: Option<Codes>,
    times: Box<[Histogram]>,
    /// The place of the first histogram among the metrics.
    first_time: usize,
}

impl Group {
    fn new<M: Metrics>(scope: Scope, shards: usize) -> Self {
        let defs = M::DEFS;
        let timed = |def: &Def| def.kind == Kind::Histogram;
        let first_time = defs.iter().position(timed).unwrap_or(defs.len());
        let times = defs.iter().skip(first_time);
        debug_assert!(times.clone().all(timed), "histograms stand last");
        let answers =
            |def: &Def| matches!(def.kind, Kind::Completed | Kind::Class(_) | Kind::Codes);
        Self {
            scope,
            defs,
            rows: (0..shards).map(|_| Row::new(first_time)).collect(),
            codes: defs.iter().any(answers).then(|| Codes::new(shards)),
            times: times.map(|_| Histogram::new(shards)).collect(),
            first_time,
        }
    }

    /// Adds `by` to a counter or gauge.
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

    /// Counts an answer with this HTTP status, where the group counts answers. A status that is
    /// none (0: there was no answer) counts nowhere.
    #[inline]
    pub fn respond(&self, shard: Shard, status: u16) {
        if let Some(codes) = &self.codes {
            codes.record(shard, status);
        }
    }

    /// Records a time of a histogram.
    #[inline]
    pub fn record<M: Metrics>(&self, shard: Shard, metric: M, micros: u64) {
        if let Some(times) = self.times.get(metric.index().wrapping_sub(self.first_time)) {
            times.record(shard, micros);
        }
    }

    /// What the group belongs to.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Every histogram.
    pub fn times(&self) -> impl Iterator<Item = (Def, &Histogram)> {
        let defs = self.defs.iter().skip(self.first_time).copied();
        defs.zip(&self.times)
    }

    /// How many answers there were of each HTTP status, and the part of the name before it; nothing
    /// where the group does not tell them apart.
    pub fn codes(&self) -> impl Iterator<Item = (Def, u16, u64)> {
        let def = self.defs.iter().find(|def| def.kind == Kind::Codes);
        let codes = def.copied().zip(self.codes.as_ref()).into_iter();
        codes.flat_map(|(def, codes)| codes.read().map(move |(code, count)| (def, code, count)))
    }

    /// One counter, gauge or count of answers; of a histogram, how many times it holds.
    pub fn get<M: Metrics>(&self, metric: M) -> u64 {
        self.value(metric.index())
    }

    /// Every counter, gauge and count of answers, but for those by status. A gauge that reads
    /// below zero for an instant, because its cells are not read at once, reads as zero.
    pub fn read(&self) -> impl Iterator<Item = (Def, u64)> {
        let defs = self.defs.iter().take(self.first_time).enumerate();
        let told = defs.filter(|(_, def)| def.kind != Kind::Codes);
        told.map(|(index, def)| {
            let sum = self.value(index);
            let below = def.kind == Kind::Gauge && sum > u64::MAX / 2;
            (*def, if below { 0 } else { sum })
        })
    }

    fn value(&self, index: usize) -> u64 {
        let codes = self.codes.as_ref();
        match self.defs.get(index).map(|def| def.kind) {
            Some(Kind::Counter | Kind::Gauge) => cells::sum(self.rows.iter(), index),
            Some(Kind::Completed | Kind::Codes) => codes.map_or(0, Codes::total),
            Some(Kind::Class(class)) => codes.map_or(0, |codes| codes.class(class)),
            Some(Kind::Histogram) => {
                let times = self.times.get(index.wrapping_sub(self.first_time));
                times.map_or(0, Histogram::count)
            }
            None => 0,
        }
    }
}

/// A time as histograms take it.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
