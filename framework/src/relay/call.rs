//! One call from its request frame to its answer.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use tokio::task::AbortHandle;

use super::{downstream::Down, up::Up};
use crate::{
    attempts::{Again, Tried},
    cluster::{Cluster, Host},
    codec::Codec,
    exchange::{Aim, Progress},
    frame::{Frame, Head, Kind},
    notes::Notes,
    route::Facts,
    snapshot::Pinned,
    time::Moment,
    wheel::TimerId,
};

/// Everything that is kept of a call in flight.
///
/// The frame stays until the answer is there, so that the call can be sent again elsewhere
/// without a copy. It pins the buffer that it was read into.
pub(super) struct Call<C: Codec> {
    pub(super) frame: Frame<C::Head>,
    /// What was found in the frame so far.
    pub(super) notes: Notes,
    pub(super) down: Rc<Down<C>>,
    pub(super) pinned: Pinned,
    /// The random number of [`Facts`]; the rest of them is made when it is asked for, which is
    /// cheaper than to carry it along.
    pub(super) random: u64,
    pub(super) progress: Progress,
    pub(super) aim: Option<Aim>,
    pub(super) phase: Phase<C>,
    pub(super) tried: Tried,
    /// Its retries, where its route has any.
    pub(super) again: Option<Again>,
    pub(super) timer: Option<TimerId>,
    /// Holds a place in the cluster's `max_requests`.
    pub(super) counted: bool,
    pub(super) began: Moment,
    /// When it has to be over.
    pub(super) until: Moment,
    /// The deadline that the caller gave, where it is looked at.
    pub(super) told: Option<Duration>,
    pub(super) sent: Moment,
    /// Our end of the connection that it was sent on.
    pub(super) local: Option<SocketAddr>,
}

/// Where a call is.
pub(super) enum Phase<C: Codec> {
    /// Being decided upon.
    Deciding,
    /// Waiting for a filter.
    Parked(#[expect(dead_code, reason = "kept to be dropped with the call")] Parked),
    /// Waiting for the time of its next attempt.
    Pausing,
    /// Waiting for a connection to its host.
    Waiting(Rc<Up<C>>),
    /// Queued on a connection, from this offset of its byte stream on.
    Sent { up: Rc<Up<C>>, offset: u64 },
}

/// The task that waits for a filter. It ends with the call: a deadline, or a caller that leaves, gives
/// the filter's future up.
pub(super) struct Parked(pub(super) AbortHandle);

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<C: Codec> Call<C> {
    /// The request as rules see it.
    pub(super) fn view(&self) -> C::View<'_> {
        C::view_noted(&self.frame, &self.notes)
    }

    /// What is known of the call besides its own words.
    pub(super) fn facts(&self) -> Facts {
        self.down.facts(self.began, self.random)
    }

    /// Whether an answer is expected.
    pub(super) fn is_oneway(&self) -> bool {
        self.frame.head.kind() == Kind::Oneway
    }

    /// Whether the call was sent on `up`.
    pub(super) fn is_sent_on(&self, up: &Rc<Up<C>>) -> bool {
        matches!(&self.phase, Phase::Sent { up: on, .. } if Rc::ptr_eq(on, up))
    }

    /// Whether the call is on `up` in any way.
    pub(super) fn is_on(&self, up: &Rc<Up<C>>) -> bool {
        match &self.phase {
            Phase::Deciding | Phase::Parked(_) | Phase::Pausing => false,
            Phase::Waiting(on) | Phase::Sent { up: on, .. } => Rc::ptr_eq(on, up),
        }
    }

    /// How long one attempt may take.
    pub(super) fn longest_attempt(&self) -> Option<Duration> {
        let per_try = self.aim.as_ref()?.times.per_try;
        match (per_try, self.cluster()?.http.attempt_duration) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Whether it is the cluster that lets attempts take no longer.
    pub(super) fn is_limited_by_cluster(&self) -> bool {
        let per_try = self.aim.and_then(|aim| aim.times.per_try);
        let cluster = self
            .cluster()
            .and_then(|cluster| cluster.http.attempt_duration);
        cluster.is_some_and(|time| per_try.is_none_or(|per_try| time < per_try))
    }

    /// The host of the latest attempt.
    pub(super) fn host(&self) -> Option<&Host> {
        self.cluster()?.hosts.get(self.tried.last()?)
    }

    /// The cluster that the call goes to, once that is decided.
    pub(super) fn cluster(&self) -> Option<&std::sync::Arc<Cluster>> {
        self.pinned.cluster(self.aim.as_ref()?.cluster)
    }
}
