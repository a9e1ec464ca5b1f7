//! Requests: accepted, decided upon, parked while a filter waits.

use std::{rc::Rc, time::Duration};

use bytes::Bytes;

use super::{
    Relay, RelayMetric,
    call::{Call, Parked, Phase},
    downstream::Down,
    end::{End, caller_gone},
    table::CallKey,
};
use crate::{
    accounts::{self, Reached},
    attempts::{self, Again, Tried},
    codec::Codec,
    edits::{Edits, Effect},
    exchange::{self, Aim, Decision, Progress},
    filter::{Flow, Verdict},
    flags::Flags,
    frame::{Frame, Head, Kind},
    log::{Record, Retried},
    notes::Notes,
    snapshot::{Policy, Terms},
    status::{Cause, Status},
    time::Moment,
    view::RoutingView,
    worker::{READ_BLOCK, spawn_abortable},
};

/// Calls in flight of a worker from which on the frames of waiting calls are copied out of the
/// blocks that they were read into, if they are short: so that a few slow calls cannot pin many
/// blocks. Below, keeping a frame copies nothing.
const PIN_CALLS: u32 = 1024;

/// Frames below this length are copied out: half a read block, so that what is counted as buffered
/// is at least half of what is held.
const COPY_BELOW: usize = READ_BLOCK / 2;

impl<C: Codec> Relay<C> {
    /// Takes a request or one-way call.
    pub(super) fn accept(&self, down: &Rc<Down<C>>, frame: Frame<C::Head>) {
        let pinned = self.worker.snapshot();
        let frame = self.keep(frame);
        self.begin_stats(&down.stats, frame.head.kind());
        self.worker.charge(frame.bytes.len());
        let now = self.worker.now();
        let call = Call {
            frame,
            notes: Notes::default(),
            down: Rc::clone(down),
            pinned,
            random: self.worker.random(),
            progress: Progress::default(),
            aim: None,
            phase: Phase::Deciding,
            tried: Tried::default(),
            again: None,
            timer: None,
            counted: false,
            began: now,
            until: now,
            told: None,
            sent: now,
            local: None,
        };
        let inserted = self.calls.borrow_mut().insert(call);
        match inserted {
            Ok(key) => {
                down.calls.set(down.calls.get() + 1);
                self.advance(key);
            }
            Err(call) => {
                down.calls.set(down.calls.get() + 1);
                self.stats.inc(self.worker.shard(), RelayMetric::TableFull);
                let text = "the gateway has as many calls in flight as it can hold";
                self.end(call, End::Local(Status::new(Cause::Overload, text)));
            }
        }
    }

    /// Answers a request that never became a call: damaged, or too long.
    pub(super) fn refuse(
        &self,
        down: &Rc<Down<C>>,
        terms: &Terms,
        frame: &Frame<C::Head>,
        status: &Status,
    ) {
        self.begin_stats(&down.stats, frame.head.kind());
        let before = self.worker.now();
        if frame.head.kind() == Kind::Request {
            down.push(self, |codec, out| codec.answer(frame, status, out));
        }
        let view = C::view(frame);
        let facts = down.facts(before, self.worker.random());
        let record = Record {
            request: &view,
            response: None,
            facts: &facts,
            ends: down.ends,
            route: None,
            table: None,
            cluster: None,
            host: None,
            class: status.class(),
            http: status.http,
            cause: Some(status.cause),
            detail: status.detail,
            begun: false,
            transport_failure: None,
            flags: accounts::flags(Flags::default(), Some(status.cause), status.detail, false),
            orphaned: false,
            received: frame.bytes.len(),
            sent: 0,
            began: before,
            duration: Duration::ZERO,
            upstream: None,
            sent_after: None,
            upstream_local: None,
            attempts: 0,
            sends: 0,
            retried: Retried::default(),
        };
        let reached = Reached::default();
        accounts::end(&down.stats, self.worker.shard(), &record, reached);
        if let Some(answers) = terms.answers.get() {
            answers.respond(self.worker.shard(), record.http);
        }
        terms.logs.iter().for_each(|log| log.log(&record));
    }

    /// Decides about a call, or goes on deciding, and carries the decision out.
    pub(super) fn advance(&self, key: CallKey) {
        let decision = self.decide(key);
        match decision {
            Some(Decision::Forward(_)) => self.dispatch(key),
            Some(Decision::Reply(status)) => self.settle(key, End::Local(status)),
            Some(Decision::Park(flow)) => self.park(key, flow),
            None => {}
        }
    }

    /// Decides about a call; one that is to be forwarded has its deadline and its place in the
    /// circuit breaker then.
    pub(super) fn decide(&self, key: CallKey) -> Option<Decision> {
        let mut calls = self.calls.borrow_mut();
        let call = calls.get_mut(key)?;
        if call.down.closed.get() {
            return Some(Decision::Reply(caller_gone()));
        }
        let Some(policy) = call.pinned.policy(call.down.policy) else {
            let text = "the listener of this connection is no longer configured";
            return Some(Decision::Reply(Status::new(Cause::NoRoute, text)));
        };
        let (decision, deadline) = {
            let view = C::view_noted(&call.frame, &call.notes);
            let facts = call.facts();
            let decision =
                exchange::decide(&call.pinned, policy, &view, &facts, &mut call.progress);
            let decision = framed::<C>(decision, &call.progress);
            let deadline = match &decision {
                Decision::Forward(aim) => {
                    call.told = told::<C>(policy, &call.frame, &view);
                    self.deadline(aim, policy, call.told, call.began)
                }
                Decision::Park(_) => {
                    let longest = policy.limits.call_timeout;
                    let told = call.frame.head.timeout().unwrap_or(longest);
                    call.began.after(told.min(longest))
                }
                Decision::Reply(_) => call.began,
            };
            (decision, deadline)
        };
        call.until = deadline;
        if let Some(timer) = call.timer.take() {
            self.worker.disarm(timer);
        }
        // Each attempt arms its own.
        if let (Decision::Park(_), Some(target)) = (&decision, self.timers.get()) {
            call.timer = Some(self.worker.arm(deadline, target, key.pack()));
        }
        let Decision::Forward(aim) = decision else {
            return Some(decision);
        };
        call.aim = Some(aim);
        call.again = Again::of(&aim);
        Some(
            self.admit(call, &aim)
                .map_or_else(Decision::Reply, |()| decision),
        )
    }

    /// The earliest end of all time limits. That of the route begins here, after the filters, as in
    /// Envoy: a delay that one injects is not the route's. What the caller says began with the call.
    pub(super) fn deadline(
        &self,
        aim: &Aim,
        policy: &Policy,
        told: Option<Duration>,
        began: Moment,
    ) -> Moment {
        let longest = policy.limits.call_timeout;
        let route = self.worker.now().after(aim.times.whole(longest));
        let caller = began.after(told.unwrap_or(longest).min(longest));
        caller.min(route)
    }

    /// Takes a place in the cluster's circuit breaker.
    pub(super) fn admit(&self, call: &mut Call<C>, aim: &Aim) -> Result<(), Status> {
        let Some(cluster) = call.pinned.cluster(aim.cluster) else {
            return Err(Status::new(Cause::NoCluster, "the cluster is gone"));
        };
        attempts::admit(cluster, aim.priority, self.worker.shard())?;
        call.counted = true;
        Ok(())
    }

    /// Parks a call until its filter is ready, its time is over, or its caller leaves.
    pub(super) fn park(&self, key: CallKey, flow: Flow) {
        let (Flow::Wait(wait), Some(relay)) = (flow, self.me.upgrade()) else {
            return;
        };
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(key) else {
            return;
        };
        let down = Rc::clone(&call.down);
        let task = spawn_abortable(async move {
            let verdict = tokio::select! {
                biased;
                verdict = wait => verdict,
                () = down.left() => Verdict::Reply(caller_gone()),
            };
            relay.worker.tick();
            relay.resume(key, verdict);
        });
        call.phase = Phase::Parked(Parked(task));
    }

    /// Goes on with a parked call.
    fn resume(&self, key: CallKey, verdict: Verdict) {
        let (more, answer) = match verdict {
            Verdict::Continue => (Edits::none(), None),
            Verdict::ContinueWith(edits) => (edits, None),
            Verdict::Reply(status) => (Edits::none(), Some(status)),
        };
        if let Some(call) = self.calls.borrow_mut().get_mut(key) {
            call.phase = Phase::Deciding;
            call.progress.edits.extend(more);
        }
        match answer {
            None => self.advance(key),
            Some(status) => self.settle(key, End::Local(status)),
        }
    }

    /// The frame as it waits for its answer: shared, or copied when it would pin a long block for
    /// a few bytes while many calls wait.
    pub(super) fn keep(&self, frame: Frame<C::Head>) -> Frame<C::Head> {
        let short = frame.bytes.len() < COPY_BELOW;
        match short && self.calls.borrow().len() >= PIN_CALLS {
            true => Frame {
                head: frame.head,
                bytes: Bytes::copy_from_slice(&frame.bytes),
            },
            false => frame,
        }
    }
}

/// The caller's own deadline: that of the fixed header, and that of the body where the listener's
/// settings say so.
fn told<C: Codec>(policy: &Policy, frame: &Frame<C::Head>, view: &C::View<'_>) -> Option<Duration> {
    let head = frame.head.timeout();
    let body = match policy.limits.body_deadline {
        true => view.timeout(),
        false => None,
    };
    match (head, body) {
        (Some(head), Some(body)) => Some(head.min(body)),
        (head, body) => head.or(body),
    }
}

/// The decision about a call that is not HTTP: neither can what the frame itself says be rewritten,
/// nor can its caller follow a redirect.
fn framed<C: Codec>(decision: Decision, progress: &Progress) -> Decision {
    match (decision, progress.edits.pseudo()) {
        (Decision::Forward(_), Some(name)) => {
            let text = format!(
                "a rule rewrites {name}, which a {} call has as its service and method: let a \
                 route without rewrites take such calls",
                C::NAME
            );
            Decision::Reply(Status::new(Cause::CannotEdit, text))
        }
        (Decision::Reply(status), _) => Decision::Reply(match redirects(&status) {
            Some(location) => Status::new(
                Cause::NoRoute,
                format!(
                    "the route redirects to {location}, where a {} call cannot follow",
                    C::NAME
                ),
            ),
            None => status,
        }),
        (decision, _) => decision,
    }
}

/// Where a redirect sends the caller.
fn redirects(status: &Status) -> Option<String> {
    let redirect = status.cause == Cause::DirectResponse && (300..400).contains(&status.http);
    match status.headers.effect("location", None) {
        Effect::Become(location) if redirect => Some(location),
        _ => None,
    }
}
