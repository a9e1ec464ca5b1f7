//! One call from its request frame to its answer.

use std::rc::Rc;

use super::{downstream::Down, up::Up};
use crate::{
    cluster::{Cluster, HostIx},
    codec::Codec,
    exchange::{Aim, Progress},
    frame::{Frame, Head, Kind},
    route::Facts,
    snapshot::Pinned,
    time::Moment,
    wheel::TimerId,
};

/// Hosts that one call may be tried at: the first, and two more while no byte has left.
pub(super) const MAX_ATTEMPTS: usize = 3;

/// Everything that is kept of a call in flight.
///
/// The frame stays until the answer is there, so that the call can be sent again elsewhere
/// without a copy. It pins the buffer that it was read into.
pub(super) struct Call<C: Codec> {
    pub(super) frame: Frame<C::Head>,
    pub(super) down: Rc<Down<C>>,
    pub(super) pinned: Pinned,
    pub(super) facts: Facts,
    pub(super) progress: Progress,
    pub(super) aim: Option<Aim>,
    pub(super) phase: Phase<C>,
    pub(super) tried: Tried,
    pub(super) timer: Option<TimerId>,
    /// Holds a place in the cluster's `max_requests`.
    pub(super) counted: bool,
    pub(super) began: Moment,
    pub(super) sent: Moment,
}

/// Where a call is.
pub(super) enum Phase<C: Codec> {
    /// Being decided upon, or waiting for a filter.
    Deciding,
    /// Waiting for a connection to its host.
    Waiting(Rc<Up<C>>),
    /// Queued on a connection, from this offset of its byte stream on.
    Sent { up: Rc<Up<C>>, offset: u64 },
}

impl<C: Codec> Call<C> {
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
            Phase::Deciding => false,
            Phase::Waiting(on) | Phase::Sent { up: on, .. } => Rc::ptr_eq(on, up),
        }
    }

    /// The cluster that the call goes to, once that is decided.
    pub(super) fn cluster(&self) -> Option<&std::sync::Arc<Cluster>> {
        self.pinned.cluster(self.aim.as_ref()?.cluster)
    }
}

/// The hosts that a call went to, first to last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried {
    hosts: [Option<HostIx>; MAX_ATTEMPTS],
    /// The call is at the last of them now.
    there: bool,
}

impl Tried {
    /// Notes another host; `false` when the call has been tried often enough.
    pub(super) fn push(&mut self, host: HostIx) -> bool {
        match self.hosts.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some(host);
                self.there = true;
                true
            }
            None => false,
        }
    }

    /// Notes that the call left the latest host; `false` if it had left before.
    pub(super) fn leave(&mut self) -> bool {
        std::mem::take(&mut self.there)
    }

    /// Takes the latest host back: the call never came to it.
    pub(super) fn retract(&mut self) {
        if let Some(slot) = self.hosts.iter_mut().rfind(|slot| slot.is_some()) {
            *slot = None;
        }
    }

    /// How many hosts there were.
    pub(super) fn len(&self) -> usize {
        self.hosts.iter().flatten().count()
    }

    /// The host of the latest attempt.
    pub(super) fn last(&self) -> Option<HostIx> {
        self.hosts.iter().flatten().last().copied()
    }

    /// Every host, for a balancer to leave out.
    pub(super) fn list<'b>(&self, buffer: &'b mut [HostIx; MAX_ATTEMPTS]) -> &'b [HostIx] {
        let mut count = 0;
        for (place, host) in buffer.iter_mut().zip(self.hosts.iter().flatten()) {
            *place = *host;
            count += 1;
        }
        buffer.get(..count).unwrap_or_default()
    }
}
