//! The time of calls: each has one timer, for its pause, its attempt, or all of it.

use std::time::Duration;

use super::{
    Relay,
    call::{Call, Phase},
    end::{End, caller_gone},
    table::CallKey,
};
use crate::{codec::Codec, outcome::Failure};

impl<C: Codec> Relay<C> {
    /// Gives an attempt that begins its time: what the route says, within what the call has left.
    pub(super) fn time_attempt(&self, call: &mut Call<C>, key: CallKey) {
        let per_try = call.longest_attempt();
        if per_try.is_none() && call.timer.is_some() {
            return;
        }
        let Some(target) = self.timers.get() else {
            return;
        };
        let at = per_try.map_or(call.until, |time| self.worker.now().after(time));
        let at = at.min(call.until);
        let former = call.timer.replace(self.worker.arm(at, target, key.pack()));
        former.into_iter().for_each(|id| self.worker.disarm(id));
    }

    /// The time of a call has come: of its pause, of its attempt, or of all of it.
    pub(super) fn expired(&self, key: CallKey) {
        let mut calls = self.calls.borrow_mut();
        let Some(call) = calls.get_mut(key) else {
            return;
        };
        call.timer = None;
        let over = self.worker.now() >= call.until;
        let pausing = matches!(call.phase, Phase::Pausing);
        let gone = call.down.closed.get();
        drop(calls);
        match (over, pausing) {
            (true, _) => self.timed_out(key, Failure::Timeout),
            (false, true) if gone => self.settle(key, End::Local(caller_gone())),
            (false, true) => self.dispatch(key),
            (false, false) => self.timed_out(key, Failure::TryTimeout),
        }
    }

    /// What is left of the caller's deadline for the attempt that begins now, if that is less than
    /// the caller said: the host is told, so that it does not work for nobody.
    pub(super) fn left(&self, call: &Call<C>) -> Option<Duration> {
        let told = call.told?;
        let left = call.until.since(self.worker.now());
        let per_try = call.longest_attempt();
        let left = per_try.map_or(left, |time| left.min(time));
        (left < told).then_some(left)
    }
}
