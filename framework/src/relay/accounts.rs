//! Accounts: the metrics and the access log record of each call.

use std::sync::Arc;

use super::{Relay, call::Call, end::End};
use crate::{
    cluster::{Cluster, ClusterMetric},
    codec::Codec,
    frame::Kind,
    log::Record,
    snapshot::HttpMetric,
    stats::{Group, Shard},
    status::{Cause, Class},
    time::Moment,
    view::RoutingView,
};

/// How a call ended, for the record.
pub(super) struct Ended {
    pub(super) class: Class,
    pub(super) http: u16,
    pub(super) cause: Option<Cause>,
    pub(super) sent: usize,
    pub(super) sent_at: Option<Moment>,
    pub(super) orphaned: bool,
}

impl<C: Codec> Relay<C> {
    pub(super) fn begin_stats(&self, stats: &Group, kind: Kind) {
        let shard = self.worker.shard();
        stats.inc(shard, HttpMetric::RqTotal);
        stats.inc(shard, HttpMetric::RqActive);
        if kind == Kind::Oneway {
            stats.inc(shard, HttpMetric::RqOneway);
        }
    }

    pub(super) fn count(&self, call: &Call<C>, end: &End<'_, C>, ended: Ended) {
        let policy = call.pinned.policy(call.down.policy);
        let (shard, now) = (self.worker.shard(), self.worker.now());
        let cluster = call.cluster();
        let duration = now.since(call.began);
        if let (Some(cluster), Some(aim)) = (cluster, &call.aim) {
            if call.counted {
                cluster.breakers[usize::from(aim.priority)].end_request();
                cluster.stats.dec(shard, ClusterMetric::RqActive);
            }
            if call.tried.len() > 0 {
                count_cluster(cluster, shard, &ended, now);
            }
        }
        let request = C::view(&call.frame);
        let response = match end {
            End::Response(frame) => Some(C::view(frame)),
            End::Local(_) | End::Sent => None,
        };
        let host = cluster.and_then(|cluster| cluster.hosts.get(call.tried.last()?));
        let record = Record {
            request: &request,
            response: response.as_ref().map(|view| view as &dyn RoutingView),
            facts: &call.facts,
            ends: call.down.ends,
            route: policy.and_then(|policy| Some(policy.router.get(call.progress.route?))),
            cluster: cluster.map(Arc::as_ref),
            host,
            class: ended.class,
            http: ended.http,
            cause: ended.cause,
            orphaned: ended.orphaned,
            received: call.frame.bytes.len(),
            sent: ended.sent,
            began: call.began,
            duration,
            upstream: ended.sent_at.map(|at| now.since(at)),
            attempts: call.tried.len() as u32,
        };
        self.end_stats(&call.down.stats, &record);
        let logs = policy.into_iter().flat_map(|policy| policy.logs.iter());
        logs.for_each(|log| log.log(&record));
    }

    pub(super) fn end_stats(&self, stats: &Group, record: &Record<'_>) {
        let shard = self.worker.shard();
        stats.dec(shard, HttpMetric::RqActive);
        stats.inc(shard, HttpMetric::RqCompleted);
        stats.record(
            shard,
            u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX),
        );
        stats.inc(
            shard,
            match record.http {
                0..400 => HttpMetric::Rq2xx,
                400..500 => HttpMetric::Rq4xx,
                _ => HttpMetric::Rq5xx,
            },
        );
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
}

fn count_cluster(cluster: &Cluster, shard: Shard, ended: &Ended, now: Moment) {
    let stats = &cluster.stats;
    stats.inc(shard, ClusterMetric::RqCompleted);
    stats.inc(
        shard,
        match ended.http {
            0..400 => ClusterMetric::Rq2xx,
            400..500 => ClusterMetric::Rq4xx,
            _ => ClusterMetric::Rq5xx,
        },
    );
    if ended.class == Class::Business {
        stats.inc(shard, ClusterMetric::RqBusiness);
    }
    if let Some(at) = ended.sent_at {
        stats.record(
            shard,
            u64::try_from(now.since(at).as_micros()).unwrap_or(u64::MAX),
        );
    }
}
