//! What becomes of calls when a connection opens, fails or breaks.

use std::rc::Rc;

use super::{
    Relay,
    attempt::Attempt,
    call::Phase,
    end::{End, caller_gone},
    table::CallKey,
    up::Up,
};
use crate::{
    cluster::ClusterMetric,
    codec::{Codec, PoolMode},
    outcome::{Failure, Outcome},
    status::{Cause, Status},
};

impl<C: Codec> Relay<C> {
    /// A connection is open: the calls that wait for it leave.
    pub(super) fn connected(&self, up: &Rc<Up<C>>) {
        let waiting = self.calls.borrow().keys_where(|call| call.is_on(up));
        for key in waiting {
            match self.send_waiting(key, up) {
                Ok(Attempt::Sent | Attempt::Waits) => {}
                Err(status) => self.settle(key, End::Local(status)),
            }
        }
    }

    /// A connection could not be opened: the calls that wait for it go elsewhere.
    pub(super) fn connect_failed(&self, up: &Rc<Up<C>>, status: &Status) {
        up.host.state.refused(self.worker.now().ms());
        // First of all, so that the calls can bind their client to another host.
        if let Some(down) = up.bound.borrow().upgrade() {
            down.bound.take();
        }
        let waiting = self.calls.borrow().keys_where(|call| call.is_on(up));
        for key in waiting {
            self.go_elsewhere(key, Failure::Connect, status);
        }
    }

    /// A connection broke: calls of which a byte has left fail, others go elsewhere.
    pub(super) fn lost(&self, up: &Rc<Up<C>>, status: &Status) {
        let on_it = self.calls.borrow().keys_where(|call| call.is_on(up));
        for key in on_it {
            let unsent = match self.calls.borrow_mut().get_mut(key).map(|call| &call.phase) {
                Some(Phase::Sent { offset, .. }) => up.is_unsent(*offset),
                Some(Phase::Waiting(_)) => true,
                _ => continue,
            };
            match unsent && C::POOL != PoolMode::Binding {
                true => self.go_elsewhere(key, Failure::Lost, status),
                false => self.settle(key, End::Failed(Failure::Lost, status.clone())),
            }
        }
    }

    /// Ends the one-way calls whose last byte has left.
    pub(super) fn oneways_left(&self, up: &Rc<Up<C>>) {
        while let Some(key) = up.oneway_left() {
            self.settle(key, End::Sent);
        }
    }

    /// Removes a connection from its pool. Calls that wait in line there have not been at the host
    /// yet: they choose again, that host included.
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
            let gone = self.calls.borrow_mut().get_mut(key).is_some_and(|call| {
                self.leave_host(call, Outcome::Unknown);
                call.tried.retract();
                call.down.closed.get()
            });
            match gone {
                true => self.settle(key, End::Local(caller_gone())),
                false => self.dispatch(key),
            }
        }
    }

    /// Lets connections to hosts that are no longer configured end with their last calls. A bound
    /// one is its client's.
    pub(super) fn leave_hosts(&self, hosts: &[u64]) {
        if C::POOL == PoolMode::Binding || hosts.is_empty() {
            return;
        }
        let pools = self.pools.borrow();
        let gone = pools.iter().filter(|(key, _)| hosts.contains(&key.host));
        for up in gone.flat_map(|(_, pool)| &pool.connections) {
            up.leave();
        }
    }

    /// A ping-pong connection may be free: the first call in line takes it.
    pub(super) fn next_in_line(&self, up: &Rc<Up<C>>) {
        while up.is_open() && up.calls.get() == 0 {
            let mut pools = self.pools.borrow_mut();
            let pool = pools.get_mut(&up.key);
            let Some(key) = pool.and_then(|pool| pool.waiting.pop_front()) else {
                return;
            };
            drop(pools);
            up.calls.set(1);
            match self.send_waiting(key, up) {
                Ok(Attempt::Sent) => {}
                Ok(Attempt::Waits) => up.calls.set(0),
                Err(status) => {
                    self.settle(key, End::Local(status));
                    up.calls.set(0);
                }
            }
        }
    }

    /// Tries a call of which no byte has left at another host.
    pub(super) fn go_elsewhere(&self, key: CallKey, failure: Failure, status: &Status) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(key) else {
            return;
        };
        self.leave_host(call, Outcome::Failed(failure));
        call.tried.go_elsewhere();
        let shard = self.worker.shard();
        if call.down.closed.get() {
            drop(calls);
            return self.settle(key, End::Local(caller_gone()));
        }
        if let Some(cluster) = call.cluster() {
            cluster.stats.inc(shard, ClusterMetric::RqResent);
        }
        drop(calls);
        match self.attempt(key) {
            Ok(Attempt::Sent | Attempt::Waits) => {}
            Err(refused) if refused.cause == Cause::NoHost => {
                self.settle(key, End::Failed(failure, status.clone()));
            }
            Err(status) => self.settle(key, End::Local(status)),
        }
    }
}
