//! The way of one call through the relay: accepted, decided, sent, answered.

use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    AVOID_REFUSING_MS, Relay, RelayMetric,
    call::{Call, MAX_ATTEMPTS, Phase, Tried},
    downstream::Down,
    pool::{Offer, PoolKey},
    table::CallKey,
    upstream::{self, Up},
};
use crate::{
    cluster::{Cluster, ClusterMetric, HostIx},
    codec::{Codec, PoolMode},
    edits::Edits,
    exchange::{self, Aim, Decision, Progress},
    filter::{Flow, ResponseCx, Verdict},
    frame::{Frame, Head, Kind, WireId},
    log::Record,
    route::Facts,
    snapshot::{HttpMetric, Policy},
    stats::Shard,
    status::{Cause, Class, Status},
    time::Moment,
    view::RoutingView,
    worker::spawn,
};

/// Calls in flight of a worker from which on the frames of waiting calls are copied out of the
/// blocks that they were read into, if they are short: so that a few slow calls cannot pin many
/// blocks. Below, keeping a frame copies nothing.
const PIN_CALLS: u32 = 1024;

/// The longest frame that is copied out.
const COPY_BELOW: usize = 1024;

/// Calls that may wait in line for a ping-pong connection to one host.
const MAX_IN_LINE: usize = 1024;

/// How a call ends.
enum End<'e, C: Codec> {
    /// The upstream answered.
    Response(&'e Frame<C::Head>),
    /// The gateway answers.
    Local(Status),
    /// A one-way call has been sent.
    Sent,
}

/// Requests.
impl<C: Codec> Relay<C> {
    /// Takes a request or one-way call.
    pub(super) fn accept(&self, down: &Rc<Down<C>>, policy: &Policy, frame: Frame<C::Head>) {
        let pinned = self.worker.snapshot();
        let facts = self.facts(down);
        let frame = self.keep(frame);
        self.begin_stats(policy, frame.head.kind());
        self.worker.charge(frame.bytes.len());
        let now = self.worker.now();
        let call = Call {
            frame,
            down: Rc::clone(down),
            pinned,
            facts,
            progress: Progress::default(),
            aim: None,
            phase: Phase::Deciding,
            tried: Tried::default(),
            timer: None,
            counted: false,
            began: now,
            sent: now,
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
        policy: &Policy,
        frame: &Frame<C::Head>,
        status: &Status,
    ) {
        self.begin_stats(policy, frame.head.kind());
        let before = self.worker.now();
        if frame.head.kind() == Kind::Request {
            down.push(self, |codec, out| codec.answer(frame, status, out));
        }
        if status.cause == Cause::RequestTooLarge {
            policy
                .stats
                .inc(self.worker.shard(), HttpMetric::RqTooLarge);
        }
        let view = C::view(frame);
        let facts = self.facts(down);
        let record = Record {
            request: &view,
            response: None,
            facts: &facts,
            ends: down.ends,
            route: None,
            cluster: None,
            host: None,
            class: status.class(),
            http: status.http,
            cause: Some(status.cause),
            orphaned: false,
            received: frame.bytes.len(),
            sent: 0,
            began: before,
            duration: Duration::ZERO,
            upstream: None,
            attempts: 0,
        };
        self.end_stats(policy, &record);
        policy.logs.iter().for_each(|log| log.log(&record));
    }

    /// Decides about a call, or goes on deciding, and carries the decision out.
    fn advance(&self, key: CallKey) {
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
    fn decide(&self, key: CallKey) -> Option<Decision> {
        let mut calls = self.calls.borrow_mut();
        let call = calls.get_mut(key)?;
        if call.down.closed.get() {
            return Some(Decision::Reply(caller_gone()));
        }
        let policy = call.pinned.policy(call.down.policy)?;
        let (decision, deadline) = {
            let view = C::view(&call.frame);
            let decision =
                exchange::decide(&call.pinned, policy, &view, &call.facts, &mut call.progress);
            let deadline = match &decision {
                Decision::Forward(aim) => self.deadline(aim, policy, &call.frame, &view),
                _ => policy.limits.call_timeout,
            };
            (decision, deadline)
        };
        if !matches!(decision, Decision::Reply(_))
            && let Some(target) = self.timers.get()
        {
            let at = call.began.after(deadline);
            let armed = call.timer.replace(self.worker.arm(at, target, key.pack()));
            armed
                .into_iter()
                .for_each(|timer| self.worker.disarm(timer));
        }
        let Decision::Forward(aim) = decision else {
            return Some(decision);
        };
        call.aim = Some(aim);
        Some(
            self.admit(call, &aim)
                .map_or_else(Decision::Reply, |()| decision),
        )
    }

    /// The shortest of all time limits.
    fn deadline(
        &self,
        aim: &Aim,
        policy: &Policy,
        frame: &Frame<C::Head>,
        view: &C::View<'_>,
    ) -> Duration {
        let longest = policy.limits.call_timeout;
        let route = aim.timeout.unwrap_or(longest);
        let head = frame.head.timeout().unwrap_or(longest);
        let body = match policy.limits.body_deadline {
            true => view.timeout().unwrap_or(longest),
            false => longest,
        };
        longest.min(route).min(head).min(body)
    }

    /// Takes a place in the cluster's circuit breaker.
    fn admit(&self, call: &mut Call<C>, aim: &Aim) -> Result<(), Status> {
        let Some(cluster) = call.pinned.cluster(aim.cluster) else {
            return Err(Status::new(Cause::NoCluster, "the cluster is gone"));
        };
        let shard = self.worker.shard();
        let breakers = &cluster.breakers[usize::from(aim.priority)];
        if !breakers.begin_request() {
            cluster.stats.inc(shard, ClusterMetric::RqPendingOverflow);
            return Err(Status::new(
                Cause::Overload,
                format!(
                    "cluster '{}' has {} calls in flight, the most its circuit breaker allows \
                     (max_requests)",
                    cluster.name, breakers.max_requests
                ),
            ));
        }
        call.counted = true;
        cluster.stats.inc(shard, ClusterMetric::RqActive);
        Ok(())
    }

    /// Parks a call until its filter is ready.
    fn park(&self, key: CallKey, flow: Flow) {
        let (Flow::Wait(wait), Some(relay)) = (flow, self.me.upgrade()) else {
            return;
        };
        spawn(async move {
            let verdict = wait.await;
            relay.worker.tick();
            match verdict {
                Verdict::Continue => relay.advance(key),
                Verdict::ContinueWith(edits) => {
                    if let Some(call) = relay.calls.borrow_mut().get_mut(key) {
                        edits
                            .iter()
                            .for_each(|edit| call.progress.edits.push(edit.clone()));
                    }
                    relay.advance(key);
                }
                Verdict::Reply(status) => relay.settle(key, End::Local(status)),
            }
        });
    }

    fn facts(&self, down: &Down<C>) -> Facts {
        Facts {
            source: Some(down.ends.peer.ip()),
            port: down.ends.local.port(),
            random: self.worker.random(),
        }
    }

    /// The frame as it waits for its answer: shared, or copied when it would pin a long block for
    /// a few bytes while many calls wait.
    fn keep(&self, frame: Frame<C::Head>) -> Frame<C::Head> {
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

/// What became of an attempt to send a call.
enum Attempt {
    /// It is queued on a connection; the answer will come.
    Sent,
    /// It is queued, and nothing more will come.
    OnewaySent,
    /// It waits for a connection.
    Waits,
}

/// Attempts: host, connection, bytes.
impl<C: Codec> Relay<C> {
    /// Sends a call to a host, or lets it wait for a connection, or answers it.
    pub(super) fn dispatch(&self, key: CallKey) {
        match self.attempt(key) {
            Ok(Attempt::Sent | Attempt::Waits) => {}
            Ok(Attempt::OnewaySent) => self.settle(key, End::Sent),
            Err(status) => self.settle(key, End::Local(status)),
        }
    }

    fn attempt(&self, key: CallKey) -> Result<Attempt, Status> {
        let mut calls = self.calls.borrow_mut();
        let id = calls.wire_id(key);
        let Some(call) = calls.get_mut(key) else {
            return Ok(Attempt::Waits);
        };
        let (Some(aim), Some(cluster)) = (call.aim, call.cluster().cloned()) else {
            return Err(Status::new(Cause::NoCluster, "the cluster is gone"));
        };
        let host = self.choose(call, &aim, &cluster)?;
        let Some(up) = self.connection(call, key, &cluster, host)? else {
            return Ok(Attempt::Waits);
        };
        up.calls.set(up.calls.get() + 1);
        if up.is_open() {
            return self.send(call, id, &up);
        }
        let shard = self.worker.shard();
        if !cluster.breakers[usize::from(aim.priority)].begin_pending() {
            up.calls.set(up.calls.get() - 1);
            cluster.stats.inc(shard, ClusterMetric::RqPendingOverflow);
            let text = format!(
                "cluster '{}' has as many calls waiting for a connection as its circuit breaker \
                 allows (max_pending_requests)",
                cluster.name
            );
            return Err(Status::new(Cause::Overload, text));
        }
        cluster.stats.inc(shard, ClusterMetric::RqPendingActive);
        call.phase = Phase::Waiting(up);
        Ok(Attempt::Waits)
    }

    /// Chooses the host of the next attempt.
    fn choose(&self, call: &mut Call<C>, aim: &Aim, cluster: &Cluster) -> Result<HostIx, Status> {
        let mut buffer = [HostIx(0); MAX_ATTEMPTS];
        let tried = call.tried.list(&mut buffer);
        let (random, now) = (self.worker.random(), self.worker.now().ms());
        let picked = exchange::choose(cluster, aim.hash, tried, random, now);
        let fresh = picked.filter(|ix| !tried.contains(ix));
        let host = fresh.and_then(|ix| Some((ix, cluster.hosts.get(ix)?)));
        let Some((ix, host)) = host.filter(|(ix, _)| call.tried.push(*ix)) else {
            cluster
                .stats
                .inc(self.worker.shard(), ClusterMetric::CxNoneHealthy);
            let text = match cluster.hosts.is_empty() {
                true => format!("cluster '{}' has no hosts", cluster.name),
                false => format!("cluster '{}' has no host that takes calls", cluster.name),
            };
            return Err(Status::new(Cause::NoHost, text));
        };
        host.state.begin();
        Ok(ix)
    }

    /// A connection to the host, which may still be opening; `None` when the call waits in line.
    fn connection(
        &self,
        call: &Call<C>,
        key: CallKey,
        cluster: &Arc<Cluster>,
        ix: HostIx,
    ) -> Result<Option<Rc<Up<C>>>, Status> {
        if C::POOL == PoolMode::Binding
            && let Some(up) = call.down.bound.borrow().as_ref()
        {
            return Ok(Some(Rc::clone(up)));
        }
        let Some(host) = cluster.hosts.get(ix) else {
            return Err(Status::new(Cause::NoHost, "the host is gone"));
        };
        let pool_key = PoolKey {
            host: host.state.id,
            variant: call.frame.head.variant(),
        };
        let mut pools = self.pools.borrow_mut();
        let pool = pools.entry(pool_key).or_default();
        let up = match pool.offer(&cluster.settings) {
            Offer::Take(up) => up,
            Offer::TakeAndOpen(up) => {
                pool.connections.extend(self.open(pool_key, cluster, ix));
                up
            }
            Offer::Open => {
                let up = self
                    .open(pool_key, cluster, ix)
                    .ok_or_else(|| too_many(cluster))?;
                pool.connections.push(Rc::clone(&up));
                if C::POOL == PoolMode::Binding {
                    *up.bound.borrow_mut() = Rc::downgrade(&call.down);
                    *call.down.bound.borrow_mut() = Some(Rc::clone(&up));
                }
                up
            }
            Offer::Wait if C::POOL == PoolMode::PingPong && pool.waiting.len() < MAX_IN_LINE => {
                pool.waiting.push_back(key);
                return Ok(None);
            }
            Offer::Wait => return Err(too_many(cluster)),
        };
        match up.unwritten() > cluster.settings.unwritten_max {
            false => Ok(Some(up)),
            true => Err(Status::new(
                Cause::Overload,
                format!("{} does not take the calls that it is sent", host.address),
            )),
        }
    }

    /// Starts to open a connection, unless the circuit breaker forbids it.
    fn open(&self, key: PoolKey, cluster: &Arc<Cluster>, ix: HostIx) -> Option<Rc<Up<C>>> {
        let (relay, host) = (self.me.upgrade()?, cluster.hosts.get(ix)?.clone());
        if !cluster.breakers[0].begin_connection() {
            cluster
                .stats
                .inc(self.worker.shard(), ClusterMetric::CxOverflow);
            return None;
        }
        let up = Rc::new(Up::new(key, Arc::clone(cluster), host));
        spawn(upstream::run(relay, Rc::clone(&up)));
        Some(up)
    }

    /// Queues the call on an open connection that already counts it.
    fn send(&self, call: &mut Call<C>, id: WireId, up: &Rc<Up<C>>) -> Result<Attempt, Status> {
        let (offset, written) = up.push(self, |codec, out| {
            codec.encode(&call.frame, id, &call.progress.edits, out)
        });
        call.phase = Phase::Sent {
            up: Rc::clone(up),
            offset,
        };
        call.sent = self.worker.now();
        written.map_err(|error| Status::new(Cause::CannotEdit, error.to_string()))?;
        up.cluster
            .stats
            .inc(self.worker.shard(), ClusterMetric::RqTotal);
        Ok(if call.is_oneway() {
            Attempt::OnewaySent
        } else {
            Attempt::Sent
        })
    }

    /// Sends a call that waited for `up`.
    fn send_waiting(&self, key: CallKey, up: &Rc<Up<C>>) -> Result<Attempt, Status> {
        let mut calls = self.calls.borrow_mut();
        let id = calls.wire_id(key);
        let Some(call) = calls.get_mut(key) else {
            return Ok(Attempt::Waits);
        };
        if call.down.closed.get() {
            return Err(caller_gone());
        }
        self.no_longer_waits(call);
        self.send(call, id, up)
    }

    /// Takes back that the call waits for a connection.
    fn no_longer_waits(&self, call: &Call<C>) {
        if let (Phase::Waiting(up), Some(aim)) = (&call.phase, &call.aim) {
            up.cluster.breakers[usize::from(aim.priority)].end_pending();
            up.cluster
                .stats
                .dec(self.worker.shard(), ClusterMetric::RqPendingActive);
        }
    }

    /// Takes back that the call is on a connection and at a host, before another attempt or at
    /// the end.
    fn leave_host(&self, call: &mut Call<C>) {
        self.no_longer_waits(call);
        if let Phase::Waiting(up) | Phase::Sent { up, .. } =
            std::mem::replace(&mut call.phase, Phase::Deciding)
        {
            up.calls.set(up.calls.get().saturating_sub(1));
            if !up.takes_calls() {
                up.wake.wake();
            }
        }
        if call.tried.leave()
            && let (Some(cluster), Some(ix)) = (call.cluster(), call.tried.last())
            && let Some(host) = cluster.hosts.get(ix)
        {
            host.state.end();
        }
    }
}

/// Connections.
impl<C: Codec> Relay<C> {
    /// A connection is open: the calls that wait for it leave.
    pub(super) fn connected(&self, up: &Rc<Up<C>>) {
        let waiting = self.calls.borrow().keys_where(|call| call.is_on(up));
        for key in waiting {
            match self.send_waiting(key, up) {
                Ok(Attempt::Sent | Attempt::Waits) => {}
                Ok(Attempt::OnewaySent) => self.settle(key, End::Sent),
                Err(status) => self.settle(key, End::Local(status)),
            }
        }
    }

    /// A connection could not be opened: the calls that wait for it go elsewhere.
    pub(super) fn connect_failed(&self, up: &Rc<Up<C>>, text: &str) {
        up.host
            .state
            .avoid_until(self.worker.now().ms() + AVOID_REFUSING_MS);
        let waiting = self.calls.borrow().keys_where(|call| call.is_on(up));
        for key in waiting {
            self.go_elsewhere(key, Cause::ConnectFailed, text);
        }
        if let Some(down) = up.bound.borrow().upgrade() {
            down.bound.take();
        }
    }

    /// A connection broke: calls of which a byte has left fail, others go elsewhere.
    pub(super) fn lost(&self, up: &Rc<Up<C>>, text: &str) {
        let on_it = self.calls.borrow().keys_where(|call| call.is_on(up));
        for key in on_it {
            let unsent = match self.calls.borrow_mut().get_mut(key).map(|call| &call.phase) {
                Some(Phase::Sent { offset, .. }) => up.is_unsent(*offset),
                Some(Phase::Waiting(_)) => true,
                _ => continue,
            };
            match unsent && C::POOL != PoolMode::Binding {
                true => self.go_elsewhere(key, Cause::ConnectionLost, text),
                false => {
                    let status = Status::new(Cause::ConnectionLost, text.to_owned());
                    self.settle(key, End::Local(status));
                }
            }
        }
    }

    /// Removes a connection from its pool. Calls that wait in line there look for another one.
    pub(super) fn forget(&self, up: &Rc<Up<C>>) {
        let mut pools = self.pools.borrow_mut();
        let Some(pool) = pools.get_mut(&up.key) else {
            return;
        };
        pool.remove(up);
        let waiting = std::mem::take(&mut pool.waiting);
        if pool.connections.is_empty() {
            pools.remove(&up.key);
        }
        drop(pools);
        for key in waiting {
            self.go_elsewhere(
                key,
                Cause::ConnectionLost,
                "the connection waited for is gone",
            );
        }
    }

    /// A ping-pong connection is free: the first call in line takes it.
    pub(super) fn next_in_line(&self, up: &Rc<Up<C>>) {
        let next = match up.takes_calls() && up.calls.get() == 0 {
            true => self
                .pools
                .borrow_mut()
                .get_mut(&up.key)
                .and_then(|p| p.waiting.pop_front()),
            false => None,
        };
        let Some(key) = next else { return };
        up.calls.set(1);
        match self.send_waiting(key, up) {
            Ok(Attempt::Sent) => {}
            Ok(Attempt::Waits) => {
                up.calls.set(0);
                self.next_in_line(up);
            }
            Ok(Attempt::OnewaySent) => self.settle(key, End::Sent),
            Err(status) => {
                up.calls.set(0);
                self.settle(key, End::Local(status));
                self.next_in_line(up);
            }
        }
    }

    /// Tries a call of which no byte has left at another host.
    fn go_elsewhere(&self, key: CallKey, cause: Cause, text: &str) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(key) else {
            return;
        };
        self.leave_host(call);
        let shard = self.worker.shard();
        if call.down.closed.get() {
            drop(calls);
            return self.settle(key, End::Local(caller_gone()));
        }
        if let Some(cluster) = call.cluster() {
            cluster.stats.inc(shard, ClusterMetric::RqRetry);
        }
        drop(calls);
        match self.attempt(key) {
            Ok(Attempt::Sent | Attempt::Waits) => {}
            Ok(Attempt::OnewaySent) => self.settle(key, End::Sent),
            Err(status) if status.cause == Cause::NoHost => {
                self.settle(key, End::Local(Status::new(cause, text.to_owned())));
            }
            Err(status) => self.settle(key, End::Local(status)),
        }
    }
}

/// Ends.
impl<C: Codec> Relay<C> {
    /// An answer came on `up`; `false` when it belongs to no call of that connection.
    pub(super) fn answered(&self, up: &Rc<Up<C>>, frame: &Frame<C::Head>) -> bool {
        let call = self.take_answered(up, frame);
        let found = call.is_some();
        if let Some(call) = call {
            self.end(call, End::Response(frame));
        }
        found
    }

    /// An answer came that cannot be used.
    pub(super) fn refused(&self, up: &Rc<Up<C>>, frame: &Frame<C::Head>, status: Status) {
        match self.take_answered(up, frame) {
            Some(call) => self.end(call, End::Local(status)),
            None => up
                .cluster
                .stats
                .inc(self.worker.shard(), ClusterMetric::RqUnmatched),
        }
    }

    #[inline]
    fn take_answered(&self, up: &Rc<Up<C>>, frame: &Frame<C::Head>) -> Option<Call<C>> {
        let mut calls = self.calls.borrow_mut();
        let key = calls.key(frame.head.id());
        calls.get_mut(key).filter(|call| call.is_sent_on(up))?;
        calls.remove(key)
    }

    /// The deadline of a call has come.
    pub(super) fn timed_out(&self, key: CallKey) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(key) else {
            return;
        };
        call.timer = None;
        if let (PoolMode::PingPong, Phase::Sent { up, .. }) = (C::POOL, &call.phase) {
            up.leave();
        }
        let shard = self.worker.shard();
        let place = match call.cluster() {
            Some(cluster) => {
                cluster.stats.inc(shard, ClusterMetric::RqTimeout);
                cluster.name.to_string()
            }
            None => String::from("a filter"),
        };
        let waited = self.worker.now().since(call.began).as_millis();
        drop(calls);
        let text = format!("no answer from {place} within {waited} ms");
        self.settle(key, End::Local(Status::new(Cause::Timeout, text)));
    }

    /// Ends the call behind `key`, if it has not ended yet.
    fn settle(&self, key: CallKey, end: End<'_, C>) {
        let call = self.calls.borrow_mut().remove(key);
        if let Some(call) = call {
            self.end(call, end);
        }
    }

    /// Gives everything back that the call held, answers it, and counts it.
    fn end(&self, mut call: Call<C>, end: End<'_, C>) {
        let sent_at = matches!(call.phase, Phase::Sent { .. }).then_some(call.sent);
        self.leave_host(&mut call);
        if let Some(timer) = call.timer.take() {
            self.worker.disarm(timer);
        }
        self.worker.refund(call.frame.bytes.len());
        let down = Rc::clone(&call.down);
        down.calls.set(down.calls.get().saturating_sub(1));
        let orphaned = down.closed.get();
        if !orphaned && down.calls.get() == 0 && !call.is_oneway() {
            down.wake.wake();
        }
        let (class, http, cause, sent) = match &end {
            End::Response(frame) => self.forward(&call, frame),
            End::Local(status) => (status.class(), status.http, Some(status.cause), {
                self.reply(&call, status)
            }),
            End::Sent => (Class::Ok, 200, None, 0),
        };
        self.count(
            &call,
            &end,
            Ended {
                class,
                http,
                cause,
                sent,
                sent_at,
                orphaned,
            },
        );
    }

    /// Passes an upstream's response on, unless a filter replaces it.
    fn forward(
        &self,
        call: &Call<C>,
        frame: &Frame<C::Head>,
    ) -> (Class, u16, Option<Cause>, usize) {
        let class = C::classify(frame);
        let mut edits = Edits::none();
        if let Some(status) = self.edit_response(call, frame, class, &mut edits) {
            return (
                status.class(),
                status.http,
                Some(status.cause),
                self.reply(call, &status),
            );
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
            Some(Ok(sent)) => (class, class.http(), None, sent),
            Some(Err(error)) => {
                let status = Status::new(Cause::CannotEdit, error.to_string());
                (
                    status.class(),
                    status.http,
                    Some(status.cause),
                    self.reply(call, &status),
                )
            }
            None => (class, class.http(), None, 0),
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
        let seen = policy.filters.sees_responses();
        if !seen && !exchange::edits_responses(policy, aim) {
            return None;
        }
        let (request, response) = (C::view(&call.frame), C::view(frame));
        let (request, response): (&dyn RoutingView, &dyn RoutingView) = (&request, &response);
        exchange::response_edits(policy, aim, response, request, &call.facts, edits);
        let facts = &call.facts;
        let mut cx = ResponseCx {
            response,
            request,
            facts,
            class,
            edits,
        };
        seen.then(|| policy.filters.on_response(&mut cx)).flatten()
    }

    /// Answers a call in its own protocol; a one-way call gets none.
    fn reply(&self, call: &Call<C>, status: &Status) -> usize {
        if call.is_oneway() {
            return 0;
        }
        call.down.push(self, |codec, out| {
            let before = out.len();
            codec.answer(&call.frame, status, out);
            out.len() - before
        })
    }
}

/// How a call ended, for the record.
struct Ended {
    class: Class,
    http: u16,
    cause: Option<Cause>,
    sent: usize,
    sent_at: Option<Moment>,
    orphaned: bool,
}

/// Accounts.
impl<C: Codec> Relay<C> {
    fn begin_stats(&self, policy: &Policy, kind: Kind) {
        let shard = self.worker.shard();
        policy.stats.inc(shard, HttpMetric::RqTotal);
        policy.stats.inc(shard, HttpMetric::RqActive);
        if kind == Kind::Oneway {
            policy.stats.inc(shard, HttpMetric::RqOneway);
        }
    }

    fn count(&self, call: &Call<C>, end: &End<'_, C>, ended: Ended) {
        let Some(policy) = call.pinned.policy(call.down.policy) else {
            return;
        };
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
            route: call.progress.route.map(|id| policy.router.get(id)),
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
        self.end_stats(policy, &record);
        policy.logs.iter().for_each(|log| log.log(&record));
    }

    fn end_stats(&self, policy: &Policy, record: &Record<'_>) {
        let (shard, stats) = (self.worker.shard(), &policy.stats);
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

fn too_many(cluster: &Cluster) -> Status {
    Status::new(
        Cause::Overload,
        format!(
            "cluster '{}' may open no more connections (max_connections or \
             crossdock.connections_per_host)",
            cluster.name
        ),
    )
}

/// Written to nobody; only the record has it.
fn caller_gone() -> Status {
    Status::new(Cause::ConnectionLost, "the caller left")
}
