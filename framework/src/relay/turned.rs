//! Calls that their host has refused before it began them: they turn to another host, once, without a policy that asks
//! for it. What gRPC calls a transparent retry.
//!
//! So that refusals of hosts that are full do not multiply the load, a connection has [`TURNS`] of them in store, and
//! earns one more by every [`EARNED_BY`] answers.

use super::{
    Relay,
    call::{Call, Phase},
    end::End,
    up::{Life, Up},
};
use crate::{
    cluster::ClusterMetric,
    codec::{Codec, PoolMode},
    status::Cause,
};

/// Calls of one connection that may turn elsewhere before it has earned more.
const TURNS: u32 = 32;

/// Answers that earn one of them, up to [`TURNS`].
const EARNED_BY: u32 = 5;

/// What a connection has in store, in answers.
pub(super) const STORE: u32 = TURNS * EARNED_BY;

impl<C: Codec> Up<C> {
    /// Notes an answer.
    #[inline]
    pub(super) fn earn_turn(&self) {
        self.turns.set((self.turns.get() + 1).min(STORE));
    }

    /// Takes one out of the store, if there is one.
    fn take_turn(&self) -> bool {
        let left = self.turns.get().checked_sub(EARNED_BY);
        left.map(|left| self.turns.set(left)).is_some()
    }
}

impl<C: Codec> Relay<C> {
    /// Whether the call ends by a refusal, and goes to another host instead. Routes with a policy say themselves what
    /// is tried again.
    #[inline]
    pub(super) fn turns(&self, call: &Call<C>, end: &End<'_, C>) -> bool {
        let (End::Response(frame), Phase::Sent { up, .. }) = (end, &call.phase) else {
            return false;
        };
        C::refuses(frame, up.life.get() == Life::Leaving)
            && C::POOL == PoolMode::Multiplex
            && call.again.is_none()
            && call.tried.len() == 1
            && !call.down.closed.get()
            && call
                .cluster()
                .is_some_and(|cluster| cluster.hosts.len() > 1)
            && up.take_turn()
    }

    /// Sends a call that was refused to another host, under another id. Without one the refusal is its answer.
    pub(super) fn turn(&self, mut call: Call<C>, end: End<'_, C>) {
        let outcome = end.outcome();
        self.leave_host(&mut call, outcome);
        call.tried.go_elsewhere();
        if let Some(timer) = call.timer.take() {
            self.worker.disarm(timer);
        }
        if let Some(cluster) = call.cluster() {
            let metric = ClusterMetric::RqResent;
            cluster.stats.inc(self.worker.shard(), metric);
        }
        let inserted = self.calls.borrow_mut().insert(call);
        let key = match inserted {
            Ok(key) => key,
            Err(mut call) => return self.finish(&mut call, &end, outcome),
        };
        match self.attempt(key) {
            Ok(_) => {}
            Err(status) if status.cause == Cause::NoHost => self.settle(key, end),
            Err(status) => self.settle(key, End::Local(status)),
        }
    }
}
