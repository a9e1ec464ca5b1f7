//! Retries: a call that went badly at one host waits and goes to the next.

use std::time::Duration;

use super::{
    Relay,
    call::{Call, Phase},
    end::End,
    table::CallKey,
};
use crate::{
    attempts::Again,
    codec::{Codec, PoolMode},
    exchange,
    outcome::Outcome,
    retry::Attempted,
    status::{Cause, Status},
    time::Moment,
    view::RoutingView,
};

impl<C: Codec> Relay<C> {
    /// Ends a call, or tries it again if that is what its route wants.
    pub(super) fn end(&self, call: Call<C>, end: End<'_, C>) {
        self.end_taken(&mut Some(call), end);
    }

    /// The same, for a call that stays where it is unless it is tried again.
    pub(super) fn end_taken(&self, taken: &mut Option<Call<C>>, end: End<'_, C>) {
        let Some(call) = taken else {
            return;
        };
        let outcome = end.outcome();
        let wait = match &call.again {
            None => None,
            Some(_) => self.again(call, &end, outcome),
        };
        match wait {
            None if self.turns(call, &end) => {
                if let Some(call) = taken.take() {
                    self.turn(call, end);
                }
            }
            None => self.finish(call, &end, outcome),
            Some(wait) => {
                if let Some(call) = taken.take() {
                    self.pause(call, outcome, wait);
                }
            }
        }
    }

    /// How long the call waits for its next attempt, if it gets one.
    fn again(&self, call: &mut Call<C>, end: &End<'_, C>, outcome: Outcome) -> Option<Duration> {
        let mut again = call.again.take()?;
        let wait = self.wait(call, &mut again, end, outcome);
        call.again = Some(again);
        wait
    }

    fn wait(
        &self,
        call: &mut Call<C>,
        again: &mut Again,
        end: &End<'_, C>,
        outcome: Outcome,
    ) -> Option<Duration> {
        // A caller that is bound to a connection has its calls there and nowhere else.
        let stuck = C::POOL == PoolMode::Binding && matches!(outcome, Outcome::Failed(_));
        if outcome == Outcome::Unknown || stuck || call.down.closed.get() {
            return None;
        }
        let (aim, cluster) = (call.aim.as_ref()?, call.pinned.cluster(call.aim?.cluster)?);
        let policy = call.pinned.policy(call.down.policy)?;
        let policy = exchange::retry_policy(policy, aim)?;
        let answer = match end {
            End::Response(frame) => Some(C::view(frame)),
            End::Failed(..) | End::Local(_) | End::Sent => None,
        };
        let grpc = match outcome {
            Outcome::Answered { class, .. } => Some(class.grpc()),
            Outcome::Failed(_) | Outcome::Unknown => None,
        };
        let attempted = Attempted {
            outcome,
            grpc,
            answer: answer.as_ref().map(|view| view as &dyn RoutingView),
        };
        let flags = &mut call.progress.flags;
        let wait = again.decide((cluster, policy), &attempted, (aim, flags), &self.worker)?;
        call.tried.retry(policy.other_hosts);
        Some(wait)
    }

    /// Lets a call wait for its next attempt. It gets another id, so that nothing that the host
    /// still says finds it.
    fn pause(&self, mut call: Call<C>, outcome: Outcome, wait: Duration) {
        self.leave_host(&mut call, outcome);
        if let Some(timer) = call.timer.take() {
            self.worker.disarm(timer);
        }
        call.phase = Phase::Pausing;
        let at = self.worker.now().after(wait).min(call.until);
        let inserted = self.calls.borrow_mut().insert(call);
        match inserted {
            Ok(key) => self.time(key, at),
            Err(mut call) => {
                let text = "the gateway has as many calls in flight as it can hold";
                let status = Status::new(Cause::Overload, text);
                self.finish(&mut call, &End::Local(status), Outcome::Unknown);
            }
        }
    }

    fn time(&self, key: CallKey, at: Moment) {
        if let (Some(target), Some(call)) =
            (self.timers.get(), self.calls.borrow_mut().get_mut(key))
        {
            call.timer = Some(self.worker.arm(at, target, key.pack()));
        }
    }
}
