//! Accounts: what the metrics count of a call, whichever relay carries it.

use std::time::Duration;

use crate::{
    cluster::{Cluster, ClusterMetric},
    flags::{Flag, Flags},
    log::Record,
    snapshot::HttpMetric,
    stats::{Group, Shard, micros},
    status::{Cause, Class},
};

/// A call has come.
pub(crate) fn begin(stats: &Group, shard: Shard) {
    stats.inc(shard, HttpMetric::RqTotal);
    stats.inc(shard, HttpMetric::RqActive);
}

/// A call has ended.
pub(crate) fn end(stats: &Group, shard: Shard, record: &Record<'_>) {
    stats.dec(shard, HttpMetric::RqActive);
    stats.respond(shard, record.http);
    stats.record(shard, HttpMetric::RqTime, micros(record.duration));
    if record.class == Class::Business {
        stats.inc(shard, HttpMetric::RqBusiness);
    }
    if record.orphaned {
        stats.inc(shard, HttpMetric::RqOrphaned);
    }
    let Some(cause) = record.cause else { return };
    stats.inc(shard, HttpMetric::RqLocal);
    match cause {
        Cause::NoRoute => stats.inc(shard, HttpMetric::NoRoute),
        Cause::NoCluster => stats.inc(shard, HttpMetric::NoCluster),
        Cause::Timeout => stats.inc(shard, HttpMetric::RqTimeout),
        Cause::Overload => stats.inc(shard, HttpMetric::RqOverload),
        _ => {}
    }
}

/// A call that was at a host of `cluster` has ended; `took` is the time from its sending.
pub(crate) fn end_upstream(
    cluster: &Cluster,
    shard: Shard,
    http: u16,
    class: Class,
    took: Option<Duration>,
) {
    let stats = &cluster.stats;
    stats.respond(shard, http);
    if class == Class::Business {
        stats.inc(shard, ClusterMetric::RqBusiness);
    }
    if let Some(took) = took {
        stats.record(shard, ClusterMetric::RqTime, micros(took));
    }
}

/// The flags of a call that has ended with `before` set on its way.
pub(crate) fn flags(mut before: Flags, cause: Option<Cause>, orphaned: bool) -> Flags {
    if let Some(flag) = cause.and_then(Cause::flag) {
        before.set(flag);
    }
    if orphaned {
        before.set(Flag::DownstreamConnectionTermination);
    }
    before
}
