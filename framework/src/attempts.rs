//! What a call takes of its cluster, whichever relay carries it: a place in the circuit breaker, and
//! hosts, one after another.

use crate::{
    cluster::{Cluster, ClusterMetric, HostIx},
    exchange,
    stats::Shard,
    status::{Cause, Status},
    worker::Worker,
};

/// Hosts that one call may be tried at: the first, and two more while no byte has left.
pub(crate) const MAX_ATTEMPTS: usize = 3;

/// Takes a place in the cluster's circuit breaker.
pub(crate) fn admit(cluster: &Cluster, priority: u8, shard: Shard) -> Result<(), Status> {
    let breakers = &cluster.breakers[usize::from(priority)];
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
    cluster.stats.inc(shard, ClusterMetric::RqActive);
    Ok(())
}

/// Gives the place back.
pub(crate) fn release(cluster: &Cluster, priority: u8, shard: Shard) {
    cluster.breakers[usize::from(priority)].end_request();
    cluster.stats.dec(shard, ClusterMetric::RqActive);
}

/// Chooses the host of the next attempt, and counts the call as active there.
pub(crate) fn choose(
    cluster: &Cluster,
    hash: Option<u64>,
    tried: &mut Tried,
    worker: &Worker,
) -> Result<HostIx, Status> {
    let mut buffer = [HostIx(0); MAX_ATTEMPTS];
    let before = tried.list(&mut buffer);
    let (random, now) = (worker.random(), worker.now().ms());
    let picked = exchange::choose(cluster, hash, before, random, now);
    let fresh = picked.filter(|ix| !before.contains(ix));
    let host = fresh.and_then(|ix| Some((ix, cluster.hosts.get(ix)?)));
    let Some((ix, host)) = host.filter(|(ix, _)| tried.push(*ix)) else {
        cluster
            .stats
            .inc(worker.shard(), ClusterMetric::CxNoneHealthy);
        let text = match cluster.hosts.is_empty() {
            true => format!("cluster '{}' has no hosts", cluster.name),
            false => format!("cluster '{}' has no host that takes calls", cluster.name),
        };
        return Err(Status::new(Cause::NoHost, text));
    };
    host.state.begin();
    Ok(ix)
}

/// The hosts that a call went to, first to last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    hosts: [Option<HostIx>; MAX_ATTEMPTS],
    /// The call is at the last of them now.
    there: bool,
}

impl Tried {
    /// Notes another host; `false` when the call has been tried often enough.
    pub(crate) fn push(&mut self, host: HostIx) -> bool {
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
    pub(crate) fn leave(&mut self) -> bool {
        std::mem::take(&mut self.there)
    }

    /// Takes the latest host back: the call never came to it.
    pub(crate) fn retract(&mut self) {
        if let Some(slot) = self.hosts.iter_mut().rfind(|slot| slot.is_some()) {
            *slot = None;
        }
    }

    /// How many hosts there were.
    pub(crate) fn len(&self) -> usize {
        self.hosts.iter().flatten().count()
    }

    /// The host of the latest attempt.
    pub(crate) fn last(&self) -> Option<HostIx> {
        self.hosts.iter().flatten().last().copied()
    }

    /// Every host, for a balancer to leave out.
    pub(crate) fn list<'b>(&self, buffer: &'b mut [HostIx; MAX_ATTEMPTS]) -> &'b [HostIx] {
        let mut count = 0;
        for (place, host) in buffer.iter_mut().zip(self.hosts.iter().flatten()) {
            *place = *host;
            count += 1;
        }
        buffer.get(..count).unwrap_or_default()
    }
}
