//! Attempts: a host, a connection to it, and the bytes on their way.

use std::{rc::Rc, sync::Arc};

use super::{
    Relay,
    call::{Call, Phase},
    end::{End, caller_gone},
    pool::{Offer, Pool, PoolKey},
    table::CallKey,
    up::Up,
    upstream,
};
use crate::{
    attempts,
    cluster::{Cluster, ClusterMetric, Host, HostIx},
    codec::{Codec, PoolMode},
    frame::{Head, WireId},
    outcome::{self, Failure, Outcome},
    status::{Cause, Status},
    worker::spawn,
};

/// What became of an attempt to send a call.
pub(super) enum Attempt {
    /// It is queued on a connection: the answer will come, or its last byte leaves and nothing will.
    Sent,
    /// It waits for a connection.
    Waits,
}

impl<C: Codec> Relay<C> {
    /// Sends a call to a host, or lets it wait for a connection, or answers it.
    pub(super) fn dispatch(&self, key: CallKey) {
        match self.attempt(key) {
            Ok(Attempt::Sent | Attempt::Waits) => {}
            Err(status) => self.settle(key, End::Local(status)),
        }
    }

    pub(super) fn attempt(&self, key: CallKey) -> Result<Attempt, Status> {
        let mut calls = self.calls.borrow_mut();
        let id = calls.wire_id(key);
        let Some(call) = calls.get_mut(key) else {
            return Ok(Attempt::Waits);
        };
        let (Some(aim), Some(cluster)) = (call.aim, call.cluster().cloned()) else {
            return Err(Status::new(Cause::NoCluster, "the cluster is gone"));
        };
        self.time_attempt(call, key);
        let bound = match C::POOL {
            PoolMode::Binding => call.down.bound.borrow().clone(),
            PoolMode::Multiplex | PoolMode::PingPong => None,
        };
        let up = match bound {
            Some(up) => Self::stay(call, &cluster, up).map(Some),
            None => {
                let host = attempts::choose(&cluster, aim.hash, &mut call.tried, &self.worker)?;
                self.connection(call, key, &cluster, host)
            }
        };
        let Some(up) = up? else {
            return Ok(Attempt::Waits);
        };
        up.calls.set(up.calls.get() + 1);
        if up.is_open() {
            return self.send(call, (key, id), &up);
        }
        let shard = self.worker.shard();
        if let Err(status) = cluster.take_pending(aim.priority, shard) {
            up.calls.set(up.calls.get() - 1);
            return Err(status);
        }
        call.phase = Phase::Waiting(up);
        Ok(Attempt::Waits)
    }

    /// Keeps a call at the connection that its caller is bound to.
    fn stay(call: &mut Call<C>, cluster: &Cluster, up: Rc<Up<C>>) -> Result<Rc<Up<C>>, Status> {
        if up.is_closed() {
            let text = "the connection that the caller is bound to is gone";
            return Err(Status::new(Cause::ConnectionLost, text));
        }
        // Another cluster's host, if the caller's calls go to several clusters: then none is noted.
        let here = |(_, host): &(HostIx, &Host)| host.state.id == up.key.host;
        if let Some((ix, host)) = cluster.hosts.iter().find(here) {
            call.tried.push(ix);
            host.state.begin();
        }
        Ok(up)
    }

    /// A connection to the host, which may still be opening; `None` when the call waits in line.
    pub(super) fn connection(
        &self,
        call: &Call<C>,
        key: CallKey,
        cluster: &Arc<Cluster>,
        ix: HostIx,
    ) -> Result<Option<Rc<Up<C>>>, Status> {
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
                pool.connections
                    .extend(self.open(pool_key, cluster, ix, false));
                up
            }
            Offer::Open => {
                // As in Envoy, a host has its one connection whatever the others have.
                let only = C::POOL == PoolMode::Multiplex || pool.connections.is_empty();
                let Some(up) = self.open(pool_key, cluster, ix, only) else {
                    return stand_in_line(pool, key, cluster);
                };
                pool.connections.push(Rc::clone(&up));
                if C::POOL == PoolMode::Binding {
                    *up.bound.borrow_mut() = Rc::downgrade(&call.down);
                    *call.down.bound.borrow_mut() = Some(Rc::clone(&up));
                }
                up
            }
            Offer::Wait => return stand_in_line(pool, key, cluster),
        };
        match up.unwritten() > cluster.settings.unwritten_max {
            false => Ok(Some(up)),
            true => Err(Status::new(
                Cause::Overload,
                format!("{} does not take the calls that it is sent", host.address),
            )),
        }
    }

    /// Starts to open a connection, unless the circuit breaker forbids it and it is not the `only`
    /// one that could take the call.
    pub(super) fn open(
        &self,
        key: PoolKey,
        cluster: &Arc<Cluster>,
        ix: HostIx,
        only: bool,
    ) -> Option<Rc<Up<C>>> {
        let (relay, host) = (self.me.upgrade()?, cluster.hosts.get(ix)?.clone());
        if !cluster.take_connection(only, self.worker.shard()) {
            return None;
        }
        let up = Rc::new(Up::new(key, Arc::clone(cluster), host));
        spawn(upstream::run(relay, Rc::clone(&up)));
        Some(up)
    }

    /// Queues the call on an open connection that already counts it.
    pub(super) fn send(
        &self,
        call: &mut Call<C>,
        (key, id): (CallKey, WireId),
        up: &Rc<Up<C>>,
    ) -> Result<Attempt, Status> {
        let left = self.left(call);
        let (offset, written) = up.push(self, |codec, out| {
            let (frame, edits) = (&call.frame, &call.progress.edits);
            match left {
                None => codec.encode(frame, id, edits, out),
                Some(left) => codec.encode_within(frame, id, edits, left, out),
            }
        });
        call.phase = Phase::Sent {
            up: Rc::clone(up),
            offset,
        };
        call.sent = self.worker.now();
        call.local = up.local.get();
        written.map_err(|error| Status::new(Cause::CannotEdit, error.to_string()))?;
        attempts::count_sent(&up.cluster.stats, self.worker.shard(), &mut call.tried);
        if call.is_oneway() {
            up.note_oneway(key);
        }
        Ok(Attempt::Sent)
    }

    /// Sends a call that waited for `up`.
    pub(super) fn send_waiting(&self, key: CallKey, up: &Rc<Up<C>>) -> Result<Attempt, Status> {
        let mut calls = self.calls.borrow_mut();
        let id = calls.wire_id(key);
        let Some(call) = calls.get_mut(key) else {
            return Ok(Attempt::Waits);
        };
        if call.down.closed.get() {
            return Err(caller_gone());
        }
        self.no_longer_waits(call);
        self.send(call, (key, id), up)
    }

    /// Takes back that the call waits for a connection.
    pub(super) fn no_longer_waits(&self, call: &Call<C>) {
        // Not the connection's cluster: that may be another version of it, with breakers of its own.
        if let (Phase::Waiting(_), Some(aim), Some(cluster)) =
            (&call.phase, &call.aim, call.cluster())
        {
            cluster.give_pending(aim.priority, self.worker.shard());
        }
    }

    /// Takes back that the call is on a connection and at a host, before another attempt or at
    /// the end, and tells how it went there.
    pub(super) fn leave_host(&self, call: &mut Call<C>, outcome: Outcome) {
        self.no_longer_waits(call);
        if let Phase::Waiting(up) = &call.phase {
            let failed = matches!(outcome, Outcome::Failed(Failure::Connect | Failure::Lost));
            let metric = match failed {
                true => ClusterMetric::RqPendingFailure,
                false => ClusterMetric::RqCancelled,
            };
            up.inc(self, metric);
        }
        let outcome = match (&call.phase, outcome) {
            // In line for a connection: it was the calls before it that took their time.
            (Phase::Deciding, Outcome::Failed(Failure::Timeout | Failure::TryTimeout)) => {
                Outcome::Unknown
            }
            (_, outcome) => outcome,
        };
        if let Phase::Waiting(up) | Phase::Sent { up, .. } =
            std::mem::replace(&mut call.phase, Phase::Deciding)
        {
            up.calls.set(up.calls.get().saturating_sub(1));
            // To close after its last call, or to take the next in line.
            if !up.takes_calls() || C::POOL == PoolMode::PingPong {
                up.wake.wake();
            }
        }
        if call.tried.leave()
            && let (Some(cluster), Some(ix)) = (call.cluster(), call.tried.last())
            && let Some(host) = cluster.hosts.get(ix)
        {
            host.state.end();
            outcome::conclude(cluster, ix, &outcome, &self.worker);
        }
    }
}

/// Lets a call wait for a free ping-pong connection, if its pool has a line with room.
fn stand_in_line<C: Codec>(
    pool: &mut Pool<C>,
    key: CallKey,
    cluster: &Cluster,
) -> Result<Option<Rc<Up<C>>>, Status> {
    match pool.has_room_in_line() {
        true => {
            pool.waiting.push_back(key);
            Ok(None)
        }
        false => Err(too_many(cluster)),
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
