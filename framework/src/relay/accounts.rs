//! Accounts: the metrics and the access log record of each call.

use std::sync::Arc;

use super::{Relay, call::Call, end::End};
use crate::{
    accounts::{self, Reached},
    attempts,
    codec::Codec,
    frame::Kind,
    log::Record,
    snapshot::HttpMetric,
    stats::Group,
    status::{Cause, Class, Detail},
    time::Moment,
    view::RoutingView,
};

/// How a call ended, for the record.
pub(super) struct Ended {
    pub(super) said: Said,
    pub(super) sent_at: Option<Moment>,
    pub(super) orphaned: bool,
}

/// What a caller was told.
pub(super) struct Said {
    pub(super) class: Class,
    pub(super) http: u16,
    pub(super) cause: Option<Cause>,
    pub(super) detail: Detail,
    pub(super) transport: Option<Box<str>>,
    pub(super) sent: usize,
}

impl Said {
    /// A host's own answer.
    pub(super) fn of(class: Class, sent: usize) -> Self {
        Self {
            class,
            http: class.http(),
            cause: None,
            detail: Detail::Plain,
            transport: None,
            sent,
        }
    }
}

impl<C: Codec> Relay<C> {
    pub(super) fn begin_stats(&self, stats: &Group, kind: Kind) {
        let shard = self.worker.shard();
        accounts::begin(stats, shard);
        if kind == Kind::Oneway {
            stats.inc(shard, HttpMetric::RqOneway);
        }
    }

    pub(super) fn count(&self, call: &Call<C>, end: &End<'_, C>, ended: &Ended) {
        let said = &ended.said;
        let policy = call.pinned.policy(call.down.policy);
        let (shard, now) = (self.worker.shard(), self.worker.now());
        let cluster = call.cluster();
        let duration = now.since(call.began);
        if let (Some(cluster), Some(aim)) = (cluster, &call.aim) {
            if call.counted {
                attempts::release(cluster, aim.priority, shard);
            }
            if call.tried.len() > 0 {
                let took = ended.sent_at.map(|at| now.since(at));
                accounts::end_upstream(cluster, shard, said.http, said.class, took);
            }
        }
        let request = call.view();
        let response = match end {
            End::Response(frame) => Some(C::view(frame)),
            End::Failed(..) | End::Local(_) | End::Sent => None,
        };
        let facts = call.facts();
        let record = Record {
            request: &request,
            response: response.as_ref().map(|view| view as &dyn RoutingView),
            facts: &facts,
            ends: call.down.ends,
            route: policy.and_then(|policy| Some(policy.router.get(call.progress.route?))),
            table: policy.and_then(|policy| Some((&*policy.router, call.progress.route?))),
            cluster: cluster.map(Arc::as_ref),
            host: call.host(),
            class: said.class,
            // As in Envoy: nobody was answered.
            http: if ended.orphaned { 0 } else { said.http },
            cause: said.cause,
            detail: said.detail,
            begun: false,
            transport_failure: said.transport.as_deref(),
            flags: accounts::flags(call.progress.flags, said.cause, said.detail, ended.orphaned),
            orphaned: ended.orphaned,
            received: call.frame.bytes.len(),
            sent: said.sent,
            began: call.began,
            duration,
            upstream: ended.sent_at.map(|at| now.since(at)),
            sent_after: ended.sent_at.map(|at| at.since(call.began)),
            upstream_local: call.local,
            attempts: call.tried.len() as u32,
            sends: call.tried.sends(),
            retried: call
                .again
                .as_ref()
                .map(|again| again.retried)
                .unwrap_or_default(),
        };
        let reached = Reached {
            passed: call.progress.passed,
            sent: call.tried.was_sent(),
        };
        accounts::end(&call.down.stats, shard, &record, reached);
        accounts::tell(policy.map(AsRef::as_ref), said.http, &record, shard);
    }
}
