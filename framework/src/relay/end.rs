//! Ends: an answer, a local reply, a deadline; each call has exactly one.

use std::rc::Rc;

use super::{
    Relay,
    accounts::{Ended, Said},
    call::{Call, Phase},
    table::CallKey,
    up::Up,
};
use crate::{
    cluster::ClusterMetric,
    codec::{Codec, PoolMode},
    edits::Edits,
    exchange::{self, Answer},
    frame::{Frame, Head},
    outcome::{Failure, Outcome},
    status::{Cause, Class, Detail, Status},
};

/// How a call ends.
pub(super) enum End<'e, C: Codec> {
    /// The upstream answered.
    Response(&'e Frame<C::Head>),
    /// The host that the call was at failed, and the gateway answers.
    Failed(Failure, Status),
    /// The gateway answers.
    Local(Status),
    /// A one-way call has been sent.
    Sent,
}

impl<C: Codec> End<'_, C> {
    /// The end by an answer that cannot be passed on.
    fn of_answer(status: Status) -> Self {
        match Failure::of(status.cause) {
            Some(failure) => Self::Failed(failure, status),
            None => Self::Local(status),
        }
    }

    /// What it says of the host that the call was at.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Response(frame) => {
                let class = C::classify(frame);
                let http = class.http();
                Outcome::Answered {
                    class,
                    http,
                    concealed: http >= 500 && C::conceals(frame),
                }
            }
            Self::Failed(failure, _) => Outcome::Failed(*failure),
            Self::Local(_) | Self::Sent => Outcome::Unknown,
        }
    }

    /// Whether a call that was at no host is given up because its caller left.
    fn is_caller_gone(&self) -> bool {
        matches!(self, End::Local(status) if status.detail == Detail::CallerGone)
    }
}

impl<C: Codec> Relay<C> {
    /// An answer came on `up`; `false` when it belongs to no call of that connection.
    pub(super) fn answered(&self, up: &Rc<Up<C>>, frame: &Frame<C::Head>) -> bool {
        let mut call = self.take_answered(up, frame);
        let found = call.is_some();
        if found {
            up.earn_turn();
        }
        self.end_taken(&mut call, End::Response(frame));
        found
    }

    /// An answer came that cannot be used.
    pub(super) fn refused(&self, up: &Rc<Up<C>>, frame: &Frame<C::Head>, status: Status) {
        match self.take_answered(up, frame) {
            Some(call) => self.end(call, End::of_answer(status)),
            None => up
                .cluster
                .stats
                .inc(self.worker.shard(), ClusterMetric::RqUnmatched),
        }
    }

    #[inline]
    pub(super) fn take_answered(&self, up: &Rc<Up<C>>, frame: &Frame<C::Head>) -> Option<Call<C>> {
        let mut calls = self.calls.borrow_mut();
        let key = calls.key(frame.head.id());
        calls.get_mut(key).filter(|call| call.is_sent_on(up))?;
        calls.remove(key)
    }

    /// The time of a call or of an attempt is over.
    pub(super) fn timed_out(&self, key: CallKey, failure: Failure) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(key) else {
            return;
        };
        if let (PoolMode::PingPong, Phase::Sent { up, .. }) = (C::POOL, &call.phase) {
            up.leave();
        }
        let shard = self.worker.shard();
        let (metric, detail) = match failure {
            Failure::TryTimeout if call.is_limited_by_cluster() => {
                (ClusterMetric::RqMaxDuration, Detail::HostDuration)
            }
            Failure::TryTimeout => (ClusterMetric::RqTryTimeout, Detail::TryTimeout),
            _ => (ClusterMetric::RqTimeout, Detail::Plain),
        };
        let (place, detail) = match call.cluster() {
            Some(cluster) => {
                cluster.stats.inc(shard, metric);
                (cluster.name.to_string(), detail)
            }
            // As long as any call may last.
            None => (String::from("a filter"), Detail::MaxDuration),
        };
        let waited = self.worker.now().since(call.began).as_millis();
        drop(calls);
        let text = format!("no answer from {place} within {waited} ms");
        let status = Status::new(Cause::Timeout, text).because(detail);
        self.settle(key, End::Failed(failure, status));
    }

    /// Ends the call behind `key`, if it has not ended yet.
    pub(super) fn settle(&self, key: CallKey, end: End<'_, C>) {
        let call = self.calls.borrow_mut().remove(key);
        if let Some(call) = call {
            self.end(call, end);
        }
    }

    /// Gives everything back that the call held, answers it, and counts it.
    pub(super) fn finish(&self, call: &mut Call<C>, end: &End<'_, C>, outcome: Outcome) {
        let sent_at = matches!(call.phase, Phase::Sent { .. }).then_some(call.sent);
        self.leave_host(call, outcome);
        if let Some(mut again) = call.again.take()
            && let (Some(aim), Some(cluster)) = (&call.aim, call.cluster())
        {
            again.release(cluster, aim.priority);
            call.again = Some(again);
        }
        if let Some(timer) = call.timer.take() {
            self.worker.disarm(timer);
        }
        self.worker.refund(call.frame.bytes.len());
        let down = Rc::clone(&call.down);
        down.calls.set(down.calls.get().saturating_sub(1));
        let closed = down.closed.get();
        if !closed && down.waits.get() {
            down.wake.wake();
        }
        let orphaned =
            closed && !matches!(end, End::Sent) || call.aim.is_none() && end.is_caller_gone();
        let said = match end {
            End::Response(frame) => self.forward(call, frame, outcome),
            End::Failed(_, status) | End::Local(status) => self.say(call, status),
            End::Sent => Said::of(Class::Ok, 0),
        };
        let ended = Ended {
            said,
            sent_at,
            orphaned,
        };
        self.count(call, end, &ended);
    }

    /// Passes an upstream's response on, unless a filter replaces it.
    fn forward(&self, call: &Call<C>, frame: &Frame<C::Head>, outcome: Outcome) -> Said {
        let class = match outcome {
            Outcome::Answered { class, .. } => class,
            Outcome::Failed(_) | Outcome::Unknown => C::classify(frame),
        };
        let mut edits = Edits::none();
        if let Some(status) = self.edit_response(call, frame, class, &mut edits) {
            return self.say(call, &status);
        }
        let id = call.frame.head.id();
        let written = call.down.push(self, |codec, out| {
            let before = out.len();
            Some(
                codec
                    .encode(frame, id, &edits, out)
                    .map(|()| out.len() - before),
            )
        });
        match written {
            Some(Ok(sent)) => Said::of(class, sent),
            Some(Err(error)) => self.say(call, &Status::new(Cause::CannotEdit, error.to_string())),
            None => Said::of(class, 0),
        }
    }

    /// Collects the changes of a response; `Some` when a filter replaces it.
    fn edit_response(
        &self,
        call: &Call<C>,
        frame: &Frame<C::Head>,
        class: Class,
        edits: &mut Edits,
    ) -> Option<Status> {
        let (aim, policy) = (call.aim.as_ref()?, call.pinned.policy(call.down.policy)?);
        if !exchange::sees_responses(policy, aim) {
            return None;
        }
        let answer = Answer {
            response: &C::view(frame),
            request: &call.view(),
            sent: &call.progress.edits,
            facts: &call.facts(),
            cluster: call.cluster().map(|cluster| &*cluster.name),
            host: call.host().map(|host| host.address),
        };
        exchange::pass_back(policy, aim, &answer, class, edits)
    }

    /// Answers a call in its own protocol; a one-way call gets none.
    fn say(&self, call: &Call<C>, status: &Status) -> Said {
        let sent = match call.is_oneway() {
            true => 0,
            false => call.down.push(self, |codec, out| {
                let before = out.len();
                codec.answer(&call.frame, status, out);
                out.len() - before
            }),
        };
        Said {
            class: status.class(),
            http: status.http,
            cause: Some(status.cause),
            detail: status.detail,
            transport: status.transport.clone(),
            sent,
        }
    }
}

/// Written to nobody; only the record has it.
pub(super) fn caller_gone() -> Status {
    Status::new(Cause::ConnectionLost, "the caller left").because(Detail::CallerGone)
}
