//! The account of one call: what has to be taken back and written down when it ends, however it
//! ends.

use std::{rc::Rc, sync::Arc};

use http::{HeaderMap, request, response};

use super::{call::Door, codec::StreamCodec, flight::Flight};
use crate::{
    accounts::{self, Reached},
    attempts::{self, Again, Tried},
    cluster::{Cluster, Host},
    exchange::{self, Aim, Progress},
    log::{Record, Retried},
    outcome::{self, Failure, Outcome},
    route::{Facts, Forward},
    snapshot::{HttpMetric, Pinned, Policy},
    status::{Cause, Class, Detail, Status},
    time::Moment,
    view::RoutingView,
};

/// One call from its head to its end. Dropping it is the end.
pub(super) struct Ledger<C: StreamCodec> {
    pub(super) door: Rc<Door>,
    pub(super) flight: Rc<Flight<C::Body>>,
    pub(super) pinned: Pinned,
    /// Whether somebody wants to read the answer when the call has ended.
    pub(super) logged: bool,
    pub(super) facts: Facts,
    pub(super) progress: Progress,
    /// The request as it came.
    pub(super) request: request::Parts,
    pub(super) aim: Option<Aim>,
    pub(super) tried: Tried,
    /// Its retries, where its route has any.
    pub(super) again: Option<Again>,
    /// Holds a place in the cluster's `max_requests`.
    pub(super) counted: bool,
    pub(super) began: Moment,
    /// When the request went upstream, and when the head of the answer came.
    pub(super) sent_at: Option<Moment>,
    pub(super) answered_at: Option<Moment>,
    pub(super) outcome: Heard,
}

/// How far the answer has come.
#[derive(Default)]
pub(super) struct Heard {
    /// The status of the host's answer, and what the call ended as by what is known of it.
    heard: Option<(u16, Class)>,
    /// Whether a failure was found within an answer whose own status says success.
    concealed: bool,
    /// The head and the trailers of the answer, the host's as they came, for the record.
    response: Option<Box<response::Parts>>,
    trailers: Option<HeaderMap>,
    /// Why the gateway answered itself, or broke the answer off.
    pub(super) local: Option<End>,
    /// The HTTP status of the gateway's own answer: 200 where gRPC tells a failure by its own status.
    said: Option<u16>,
    /// How the host failed, before its answer or in it.
    pub(super) failure: Option<Failure>,
    /// The answer has come to its end.
    pub(super) complete: bool,
    /// Bytes of the answer's body.
    pub(super) sent: u64,
}

/// How a call ended.
pub(super) struct End {
    /// Why the gateway ended it; `None` for a host's answer.
    cause: Option<Cause>,
    detail: Detail,
    http: u16,
    class: Class,
    transport: Option<Box<str>>,
    /// The host's answer had begun.
    begun: bool,
}

impl End {
    /// The end that the gateway has no part in: the host's answer, or a caller that left before.
    fn of(heard: Option<(u16, Class)>) -> Self {
        let (cause, detail) = match heard {
            Some(_) => (None, Detail::Plain),
            None => (Some(Cause::ConnectionLost), Detail::CallerGone),
        };
        let (http, class) = heard.unwrap_or((0, Class::Unavailable));
        Self {
            cause,
            detail,
            http,
            class,
            transport: None,
            begun: false,
        }
    }
}

impl Heard {
    /// What is known of the host by now.
    fn of_host(&self) -> Outcome {
        let concealed = self.concealed;
        match (self.failure, self.heard) {
            // How long an answer takes that has begun is for the service to know, as in Envoy.
            (None | Some(Failure::Timeout), Some((http, class))) => Outcome::Answered {
                class,
                http,
                concealed,
            },
            (Some(failure), _) => Outcome::Failed(failure),
            (None, None) => Outcome::Unknown,
        }
    }
}

impl<C: StreamCodec> Ledger<C> {
    /// The policy that the call is under.
    pub(super) fn policy(&self) -> Option<&Arc<Policy>> {
        self.pinned.policy(self.door.policy)
    }

    /// Whether hosts and callers are told of times.
    pub(super) fn tells(&self) -> bool {
        self.policy()
            .is_some_and(|policy| policy.http.envoy_headers)
    }

    /// The cluster that the call goes to, once that is decided.
    pub(super) fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.pinned.cluster(self.aim.as_ref()?.cluster)
    }

    /// The host of the latest attempt.
    pub(super) fn host(&self) -> Option<&Host> {
        self.cluster()?.hosts.get(self.tried.last()?)
    }

    /// How the call is forwarded, once that is decided.
    pub(super) fn way(&self) -> Option<&Forward> {
        exchange::forward(self.policy()?, self.aim.as_ref()?)
    }

    /// Tells the caller how many attempts there were, where its route says so.
    pub(super) fn tell_attempts(&self, head: &mut response::Parts) {
        let attempts = self.tried.len();
        if attempts > 0
            && let Some(forward) = self.way()
            && forward.attempt_count.response
        {
            C::tell_attempts(&mut head.headers, attempts);
        }
    }

    /// Notes that the gateway ends the call.
    pub(super) fn end_locally(&mut self, status: &Status) {
        self.outcome.local = Some(End {
            cause: Some(status.cause),
            detail: status.detail,
            http: status.http,
            class: status.class(),
            transport: status.transport.clone(),
            begun: false,
        });
    }

    /// Notes that the gateway ends the call within the host's answer, whose status the caller has.
    pub(super) fn break_off(&mut self, cause: Cause, detail: Detail) {
        let heard = self.outcome.heard;
        let http = heard.map(|(http, _)| http);
        self.outcome.local = Some(End {
            cause: Some(cause),
            detail,
            http: http.unwrap_or_else(|| cause.http()),
            class: cause.class(),
            transport: None,
            begun: true,
        });
    }

    /// Notes the head of the gateway's own answer.
    pub(super) fn say(&mut self, head: &response::Parts) {
        self.outcome.said = Some(head.status.as_u16());
        if self.logged {
            self.outcome.response = Some(Box::new(head.clone()));
        }
    }

    /// Notes the head of the host's answer.
    pub(super) fn hear(&mut self, head: &response::Parts) {
        self.outcome.heard = Some((head.status.as_u16(), C::classify(head)));
        self.outcome.concealed = C::conceals(&head.headers);
        if self.logged {
            self.outcome.response = Some(Box::new(head.clone()));
        }
    }

    /// Notes the trailers of the host's answer.
    pub(super) fn hear_trailers(&mut self, trailers: &HeaderMap) {
        // What the head tells of a failure stands.
        if let Some((_, class)) = &mut self.outcome.heard
            && let Some(said) = C::classify_trailers(trailers)
            && said != Class::Ok
        {
            *class = said;
            self.outcome.concealed = C::conceals(trailers);
        }
        if self.logged {
            self.outcome.trailers = Some(trailers.clone());
        }
    }

    /// Takes back that the call is at a host, and tells how it went there.
    pub(super) fn leave_host(&mut self, outcome: Outcome) {
        if self.tried.leave()
            && let (Some(cluster), Some(ix)) = (self.cluster(), self.tried.last())
            && let Some(host) = cluster.hosts.get(ix)
        {
            host.state.end();
            outcome::conclude(cluster, ix, &outcome, &self.door.worker);
        }
    }

    /// Gives back what its retries hold, and tells what became of them.
    fn end_retries(&mut self) -> Retried {
        let Some(mut again) = self.again.take() else {
            return Retried::default();
        };
        if let (Some(aim), Some(cluster)) = (&self.aim, self.cluster()) {
            again.release(cluster, aim.priority);
        }
        again.retried
    }

    fn settle(&mut self) {
        self.flight.disarm();
        self.leave_host(self.outcome.of_host());
        let retried = self.end_retries();
        let worker = &self.door.worker;
        let (shard, now) = (worker.shard(), worker.now());
        let Heard {
            heard,
            concealed: _,
            response,
            trailers,
            local,
            said,
            failure: _,
            complete,
            sent,
        } = std::mem::take(&mut self.outcome);
        // A caller that leaves is told by the call being dropped before its end.
        let orphaned = !complete && local.is_none();
        if orphaned
            && self.tried.len() > 0
            && let Some(cluster) = self.cluster()
        {
            self.flight.count_given_up(cluster, shard);
        }
        let end = local.unwrap_or_else(|| End::of(heard));
        let (http, class) = (end.http, end.class);
        let cluster = self.cluster();
        if let (Some(cluster), Some(aim)) = (cluster, &self.aim) {
            if self.counted {
                attempts::release(cluster, aim.priority, shard);
            }
            if self.tried.len() > 0 {
                let took = self.sent_at.map(|at| now.since(at));
                accounts::end_upstream(cluster, shard, http, class, took);
            }
        }
        let policy = self.policy();
        let request = C::request(&self.request);
        let response = response
            .as_deref()
            .map(|head| C::response(head, trailers.as_ref()));
        let record = Record {
            request: &request,
            response: response.as_ref().map(|view| view as &dyn RoutingView),
            facts: &self.facts,
            ends: self.door.ends,
            route: policy.and_then(|policy| Some(policy.router.get(self.progress.route?))),
            table: policy.and_then(|policy| Some((&*policy.router, self.progress.route?))),
            cluster: cluster.map(Arc::as_ref),
            host: self.host(),
            class,
            http: said.unwrap_or(http),
            cause: end.cause,
            detail: end.detail,
            begun: end.begun,
            transport_failure: end.transport.as_deref(),
            flags: accounts::flags(self.progress.flags, end.cause, end.detail, orphaned),
            orphaned,
            received: self.flight.received() as usize,
            sent: sent as usize,
            began: self.began,
            duration: now.since(self.began),
            upstream: self
                .sent_at
                .map(|at| self.answered_at.unwrap_or(now).since(at)),
            sent_after: self.sent_at.map(|at| at.since(self.began)),
            upstream_local: self.flight.local(),
            attempts: self.tried.len() as u32,
            sends: self.flight.sends(),
            retried,
        };
        let reached = Reached {
            passed: self.progress.passed,
            sent: self.flight.was_sent(),
        };
        accounts::end(&self.door.stats, shard, &record, reached);
        if http > 0 && !self.flight.is_complete() && C::upgrade(&self.request).is_none() {
            self.door.stats.inc(shard, HttpMetric::RqEarly);
        }
        accounts::tell(policy.map(Arc::as_ref), http, &record, shard);
    }
}

impl<C: StreamCodec> Drop for Ledger<C> {
    fn drop(&mut self) {
        self.door.worker.tick();
        self.settle();
    }
}
