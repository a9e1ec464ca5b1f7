//! Accounts: what the metrics count of a call, whichever relay carries it.

use std::time::Duration;

use crate::{
    cluster::{Cluster, ClusterMetric},
    flags::{Flag, Flags},
    log::{Record, Retried},
    route::Facts,
    snapshot::{HttpMetric, Policy, Terms},
    stats::{Group, Shard, micros},
    status::{Cause, Class, Detail},
    stream::Unread,
    view::Opaque,
    worker::Worker,
};

/// A call has come.
pub(crate) fn begin(stats: &Group, shard: Shard) {
    stats.inc(shard, HttpMetric::RqTotal);
    stats.inc(shard, HttpMetric::RqActive);
}

/// Tells of a call that has ended with this HTTP status, which gRPC's callers are not told: its listener,
/// its route and the access logs.
pub(crate) fn tell(policy: Option<&Policy>, http: u16, record: &Record<'_>, shard: Shard) {
    let Some(policy) = policy else {
        return;
    };
    if let Some(answers) = policy.answers.get() {
        answers.respond(shard, record.http);
    }
    if let Some((table, route)) = record.table {
        table.account(route, http, record, shard);
    }
    policy.logs.iter().for_each(|log| log.log(record));
}

/// Tells access logs of what is no call, and counts it as one if it is answered.
pub(crate) fn unread(terms: &Terms, unread: &Unread, facts: &Facts, worker: &Worker) {
    let Unread { status, .. } = unread;
    let (shard, cause) = (worker.shard(), Some(status.cause));
    let view = Opaque {
        protocol: unread.protocol,
    };
    let record = Record {
        request: &view,
        response: None,
        facts,
        ends: facts.ends,
        route: None,
        table: None,
        cluster: None,
        host: None,
        class: status.class(),
        http: unread.answer.map_or(0, |_| status.http),
        cause,
        detail: status.detail,
        begun: false,
        transport_failure: None,
        flags: flags(Flags::default(), cause, status.detail, false),
        orphaned: false,
        received: 0,
        sent: unread.answer.unwrap_or_default(),
        began: unread.since,
        duration: worker.now().since(unread.since),
        upstream: None,
        sent_after: None,
        upstream_local: None,
        attempts: 0,
        sends: 0,
        retried: Retried::default(),
    };
    if unread.answer.is_some() {
        begin(&terms.stats, shard);
        end(&terms.stats, shard, &record, Reached::default());
        terms.stats.inc(shard, HttpMetric::RqEarly);
        if let Some(answers) = terms.answers.get() {
            answers.respond(shard, record.http);
        }
    }
    terms.logs.iter().for_each(|log| log.log(&record));
}

/// How far a call came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached {
    /// It passed the filters.
    pub(crate) passed: bool,
    /// It was given to a connection to a host.
    pub(crate) sent: bool,
}

/// A call has ended.
pub(crate) fn end(stats: &Group, shard: Shard, record: &Record<'_>, reached: Reached) {
    stats.dec(shard, HttpMetric::RqActive);
    stats.respond(shard, record.http);
    stats.record(shard, HttpMetric::RqTime, micros(record.duration));
    if reached.passed {
        stats.inc(shard, HttpMetric::RqRouted);
    }
    if !reached.sent {
        stats.inc(shard, HttpMetric::RqUnsent);
    }
    if record.class == Class::Business {
        stats.inc(shard, HttpMetric::RqBusiness);
    }
    if record.orphaned {
        stats.inc(shard, HttpMetric::RqOrphaned);
    }
    if let Some(cause) = record.cause.filter(|_| record.detail != Detail::CallerGone) {
        end_locally(stats, shard, cause, record);
    }
}

fn end_locally(stats: &Group, shard: Shard, cause: Cause, record: &Record<'_>) {
    if record.begun {
        stats.inc(shard, HttpMetric::RqBrokenOff);
        stats.inc(shard, HttpMetric::RqTxReset);
    } else {
        stats.inc(shard, HttpMetric::RqLocal);
    }
    let metric = match (cause, record.detail) {
        (Cause::NoRoute, _) => HttpMetric::NoRoute,
        (Cause::NoCluster, _) => HttpMetric::NoCluster,
        (Cause::Overload, _) => HttpMetric::RqOverload,
        (Cause::DirectResponse, _) => HttpMetric::RqDirect,
        (Cause::RequestTooLarge, _) => HttpMetric::RqTooLarge,
        (_, Detail::Upgrade) => HttpMetric::RqNoUpgrade,
        (_, Detail::RequestTimeout) => HttpMetric::RqTimeout,
        (_, Detail::StreamIdle) => HttpMetric::RqIdleTimeout,
        (_, Detail::MaxDuration) => HttpMetric::RqMaxDuration,
        _ => return,
    };
    stats.inc(shard, metric);
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
pub(crate) fn flags(
    mut before: Flags,
    cause: Option<Cause>,
    detail: Detail,
    orphaned: bool,
) -> Flags {
    if let Some(flag) = cause.and_then(|cause| detail.flag(cause)) {
        before.set(flag);
    }
    if orphaned {
        before.set(Flag::DownstreamConnectionTermination);
    }
    before
}
