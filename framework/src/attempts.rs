//! What a call takes of its cluster, whichever relay carries it: a place in the circuit breaker,
//! hosts, one after another, and retries.

use std::time::Duration;

use crate::{
    cluster::{Cluster, ClusterMetric, HostIx},
    exchange::{self, Aim},
    flags::{Flag, Flags},
    outcome::Outcome,
    retry::{Attempted, Retries, RetryPolicy, Verdict},
    stats::{Group, Shard},
    status::{Cause, Status},
    worker::Worker,
};

/// Hosts that one call may be tried at without a policy that asks for it: the first, and two more
/// while no byte has left.
pub(crate) const MAX_ATTEMPTS: usize = 3;

/// The latest hosts of a call that are remembered, for others to be chosen.
const REMEMBERED: usize = 8;

/// Takes a place in the cluster's circuit breaker.
pub(crate) fn admit(cluster: &Cluster, priority: u8, shard: Shard) -> Result<(), Status> {
    let breakers = &cluster.breakers[usize::from(priority)];
    if !breakers.begin_request() {
        cluster.stats.inc(shard, ClusterMetric::RqActiveOverflow);
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
    let mut buffer = [HostIx(0); REMEMBERED];
    let before = tried.left_out(&mut buffer);
    let (random, now) = (worker.random(), worker.now().ms());
    let picked = exchange::choose(cluster, hash, before, random, now);
    let allowed = |ix: &HostIx| match tried.turn {
        Turn::Move => !before.contains(ix) && tried.may_move(),
        Turn::Retry | Turn::RetryElsewhere => true,
    };
    let host = picked.filter(allowed);
    let host = host.and_then(|ix| Some((ix, cluster.hosts.get(ix)?)));
    let Some((ix, host)) = host else {
        cluster
            .stats
            .inc(worker.shard(), ClusterMetric::CxNoneHealthy);
        let text = match cluster.hosts.is_empty() {
            true => format!("cluster '{}' has no hosts", cluster.name),
            false => format!("cluster '{}' has no host that takes calls", cluster.name),
        };
        return Err(Status::new(Cause::NoHost, text));
    };
    tried.push(ix);
    host.state.begin();
    Ok(ix)
}

/// Counts a call that is given to an open connection.
#[inline]
pub(crate) fn count_sent(stats: &Group, shard: Shard, tried: &mut Tried) {
    stats.inc(shard, ClusterMetric::RqTotal);
    tried.sends = tried.sends.saturating_add(1);
    if tried.sends > 1 {
        stats.inc(shard, ClusterMetric::RqAgain);
    }
}

/// What became of the retries of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// How many there were.
    pub made: u8,
    /// After the last of them there was no need for another.
    pub well: bool,
    /// There might have been more, but for `max_retries` or `retry_budget`.
    pub overflow: bool,
    /// There would have been more, but for `num_retries`.
    pub exhausted: bool,
}

/// The retries of one call while it lives, and its place among those of its cluster.
#[derive(Debug)]
pub(crate) struct Again {
    retries: Retries,
    /// Holds a place in `max_retries`.
    holds: bool,
    /// What became of them by now.
    pub(crate) retried: Retried,
}

impl Again {
    /// The retries of a call that is forwarded.
    pub(crate) fn of(aim: &Aim) -> Option<Self> {
        let retries = aim.retries?;
        Some(Self {
            retries,
            holds: false,
            retried: Retried::default(),
        })
    }

    /// Whether a call whose attempt ended so is tried again, and after which time. Counts what
    /// becomes of it.
    pub(crate) fn decide(
        &mut self,
        (cluster, policy): (&Cluster, &RetryPolicy),
        attempted: &Attempted<'_>,
        (aim, flags): (&Aim, &mut Flags),
        worker: &Worker,
    ) -> Option<Duration> {
        self.release(cluster, aim.priority);
        let count = |metric| cluster.stats.inc(worker.shard(), metric);
        let answered = matches!(attempted.outcome, Outcome::Answered { .. });
        let before = self.retries.made();
        match self.retries.again(policy, attempted, worker.random()) {
            Verdict::Done if before > 0 && answered => {
                self.retried.well = true;
                count(ClusterMetric::RqRetrySuccess);
            }
            Verdict::Done => {}
            Verdict::Exhausted => {
                self.retried.exhausted = true;
                count(ClusterMetric::RqRetryLimit);
                flags.set(Flag::UpstreamRetryLimitExceeded);
            }
            Verdict::Again { wait, told } => {
                if !cluster.breakers[usize::from(aim.priority)].begin_retry() {
                    self.retried.overflow = true;
                    count(ClusterMetric::RqRetryOverflow);
                    flags.set(Flag::UpstreamOverflow);
                    return None;
                }
                self.holds = true;
                self.retried.made = self.retried.made.saturating_add(1);
                count(ClusterMetric::RqRetry);
                count(match told {
                    true => ClusterMetric::RqRetryTold,
                    false => ClusterMetric::RqRetryBackoff,
                });
                return Some(wait);
            }
        }
        None
    }

    /// Ends a call of which too much has gone to be sent again.
    pub(crate) fn abandon(
        &mut self,
        (cluster, policy): (&Cluster, &RetryPolicy),
        attempted: &Attempted<'_>,
        aim: &Aim,
        worker: &Worker,
    ) {
        self.release(cluster, aim.priority);
        if self.retries.wanted(policy, attempted) {
            let metric = ClusterMetric::RqRetryAbandoned;
            cluster.stats.inc(worker.shard(), metric);
        }
    }

    /// Gives the place back.
    pub(crate) fn release(&mut self, cluster: &Cluster, priority: u8) {
        if std::mem::take(&mut self.holds) {
            cluster.breakers[usize::from(priority)].end_retry();
        }
    }
}

/// By which right a call comes to its next host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    /// It is its first, or no byte of the call has left: another one than before.
    #[default]
    Move,
    /// A policy asks for it: any host.
    Retry,
    /// A policy asks for it: another one than before, as long as there are any.
    RetryElsewhere,
}

/// Where a call has been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// The latest hosts; the place of each is its number, counted round.
    hosts: [HostIx; REMEMBERED],
    /// How many attempts there were.
    attempts: u16,
    /// How many of them were moves from a host that had not got a byte.
    moves: u8,
    /// How often the call has been given to an open connection.
    sends: u16,
    turn: Turn,
    /// The call is at the last of them now.
    there: bool,
}

impl Default for Tried {
    fn default() -> Self {
        Self {
            hosts: [HostIx(u32::MAX); REMEMBERED],
            attempts: 0,
            moves: 0,
            sends: 0,
            turn: Turn::Move,
            there: false,
        }
    }
}

impl Tried {
    /// Whether the call may be moved to another host before a byte of it has left.
    pub(crate) fn may_move(&self) -> bool {
        usize::from(self.moves) < MAX_ATTEMPTS
    }

    /// Lets the next host be chosen because a policy asks for another attempt.
    pub(crate) fn retry(&mut self, elsewhere: bool) {
        self.turn = match elsewhere {
            true => Turn::RetryElsewhere,
            false => Turn::Retry,
        };
    }

    /// Lets the next host be chosen because the last one did not get a byte.
    pub(crate) fn go_elsewhere(&mut self) {
        self.turn = Turn::Move;
    }

    /// Notes that the call comes to a host.
    pub(crate) fn push(&mut self, host: HostIx) {
        if let Some(place) = self.hosts.get_mut(usize::from(self.attempts) % REMEMBERED) {
            *place = host;
        }
        self.attempts = self.attempts.saturating_add(1);
        if self.turn == Turn::Move {
            self.moves = self.moves.saturating_add(1);
        }
        self.there = true;
    }

    /// Whether the call has ever been given to an open connection.
    pub(crate) fn was_sent(&self) -> bool {
        self.sends > 0
    }

    /// How often the call has been given to an open connection.
    pub(crate) fn sends(&self) -> u32 {
        self.sends.into()
    }

    /// Notes that the call left the latest host; `false` if it had left before.
    pub(crate) fn leave(&mut self) -> bool {
        std::mem::take(&mut self.there)
    }

    /// Takes the latest host back: the call never came to it.
    pub(crate) fn retract(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
        if self.turn == Turn::Move {
            self.moves = self.moves.saturating_sub(1);
        }
    }

    /// How many attempts there were.
    pub(crate) fn len(&self) -> usize {
        self.attempts.into()
    }

    /// The host of the latest attempt.
    pub(crate) fn last(&self) -> Option<HostIx> {
        let at = usize::from(self.attempts.checked_sub(1)?);
        self.hosts.get(at % REMEMBERED).copied()
    }

    /// The hosts that a balancer has to leave out.
    fn left_out<'b>(&self, buffer: &'b mut [HostIx; REMEMBERED]) -> &'b [HostIx] {
        if self.turn == Turn::Retry {
            return &[];
        }
        *buffer = self.hosts;
        buffer.get(..self.len().min(REMEMBERED)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(tried: &Tried) -> Vec<u32> {
        let mut buffer = [HostIx(0); REMEMBERED];
        tried.left_out(&mut buffer).iter().map(|ix| ix.0).collect()
    }

    #[test]
    fn a_call_moves_to_so_many_hosts_without_being_asked() {
        let mut tried = Tried::default();
        for host in 0..MAX_ATTEMPTS {
            assert!(tried.may_move());
            assert_eq!(left_out(&tried).len(), host);
            tried.push(HostIx(host as u32));
        }
        assert!(!tried.may_move());
        // One that it did not come to does not count.
        tried.retract();
        assert!(tried.may_move());
        assert_eq!((tried.len(), tried.last()), (2, Some(HostIx(1))));
    }

    #[test]
    fn a_policy_says_whether_former_hosts_are_left_out() {
        let mut tried = Tried::default();
        tried.push(HostIx(4));
        tried.retry(false);
        assert!(left_out(&tried).is_empty());
        tried.retry(true);
        assert_eq!(left_out(&tried), [4]);
        tried.push(HostIx(5));
        tried.go_elsewhere();
        assert_eq!(left_out(&tried), [4, 5]);
        assert!(tried.may_move(), "a retry is no move");
        assert!(tried.leave() && !tried.leave());
    }

    #[test]
    fn the_latest_hosts_are_remembered() {
        let mut tried = Tried::default();
        tried.retry(true);
        for host in 0..300 {
            tried.push(HostIx(host));
            assert_eq!(tried.last(), Some(HostIx(host)));
        }
        assert_eq!(tried.len(), 300);
        let mut hosts = left_out(&tried);
        hosts.sort_unstable();
        assert_eq!(hosts, Vec::from_iter(292..300));
    }
}
