//! The way to a host: cluster, circuit breaker, balancer, and as many attempts as there may be.

use std::{sync::Arc, time::Duration};

use crossdock_framework::{
    cluster::{Cluster, ClusterMetric, Host, HostIx, HostState, Pick, UpstreamConnection},
    flags::Flag,
    outcome::{self, Failure, conclude},
    protocol::Io,
    stats::Group,
    status::Class,
    tcp::{self, Ended, Side, TcpMetric},
    transport::{self, CannotOpen, Named},
    worker::Worker,
};
use tokio::io::Interest;

use super::{Outcome, Session};
use crate::compile::TcpPlan;

/// Hosts that a connection is tried at where `max_connect_attempts` is not given.
const ATTEMPTS: u32 = 3;

/// The shortest time before a host is tried again, where `backoff_options` says nothing.
const AGAIN: Duration = Duration::from_millis(25);

/// Why no connection was made, in Envoy's words.
const NO_ROUTE: &str = "tcp_proxy_initialization_failure:NoRoute";
const OVERFLOW: &str = "tcp_proxy_initialization_failure:ResourceLimitExceeded";
const NO_HOST: &str = "tcp_proxy_initialization_failure:NoHealthyUpstream";
const FAILED: &str = "tcp_proxy_initialization_failure:ConnectFailed";

/// A connection is all that can be told of a host of unknown bytes.
const CONNECTED: outcome::Outcome = outcome::Outcome::Answered {
    class: Class::Ok,
    http: 200,
    concealed: false,
};

/// A connection's place in the circuit breaker, and among what its host is busy with.
struct Place {
    cluster: Arc<Cluster>,
    host: Arc<HostState>,
}

impl Place {
    /// Goes to a host for which a place in the circuit breaker has been taken.
    fn take(cluster: &Arc<Cluster>, host: &Arc<HostState>) -> Self {
        host.begin();
        Self {
            cluster: Arc::clone(cluster),
            host: Arc::clone(host),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.host.end();
        self.cluster.breakers[0].end_connection();
    }
}

/// An open upstream connection.
pub(super) struct Upstream {
    pub(super) io: Io,
    place: Place,
    account: UpstreamConnection,
}

impl Upstream {
    fn open(io: Io, place: Place, worker: &Worker) -> Self {
        let (stats, shard) = (&place.cluster.stats, worker.shard());
        stats.inc(shard, ClusterMetric::RqTotal);
        stats.inc(shard, ClusterMetric::RqActive);
        let account = UpstreamConnection::begin(stats, worker);
        Self { io, place, account }
    }

    /// The cluster's metrics.
    pub(super) fn stats(&self) -> &Arc<Group> {
        &self.place.cluster.stats
    }

    /// Closes the connection and the client's `down`. What was broken on one side is reset on the
    /// other: half of an answer must not look like a whole one.
    pub(super) fn close(self, down: Io, ended: Ended, worker: &Worker) {
        let (stats, shard) = (self.stats(), worker.shard());
        stats.dec(shard, ClusterMetric::RqActive);
        match ended {
            Ended::Reset(Side::Up) => self.account.set_busy(true),
            _ => self.account.ends_here(),
        }
        match ended {
            Ended::Overload => {
                tcp::reset(down);
                tcp::reset(self.io);
            }
            Ended::Reset(Side::Up) => tcp::reset(down),
            Ended::Reset(Side::Down) => tcp::reset(self.io),
            Ended::Closed | Ended::Idle | Ended::Expired | Ended::Drained => {}
        }
    }
}

impl Session<'_> {
    /// Opens a connection to a host, or notes in `outcome` why there is none. Gives up when the
    /// client at `down` is gone.
    pub(super) async fn connect(&self, down: &Io, outcome: &mut Outcome) -> Option<Upstream> {
        let Some(cluster) = self.cluster() else {
            let shard = self.worker.shard();
            self.plan.stats.inc(shard, TcpMetric::CxNoRoute);
            return outcome.refuse(Flag::NoClusterFound, NO_ROUTE);
        };
        outcome.cluster = Some(Arc::clone(&cluster));
        tokio::select! {
            biased;
            opened = self.attempts(&cluster, outcome) => opened,
            () = broken(down) => None,
        }
    }

    /// The cluster that the connection goes to; `None` if it is not known.
    fn cluster(&self) -> Option<Arc<Cluster>> {
        let snapshot = self.worker.snapshot();
        let ix = snapshot.find(draw(self.plan, self.facts.random)?)?;
        snapshot.cluster(ix).cloned()
    }

    async fn attempts(&self, cluster: &Arc<Cluster>, outcome: &mut Outcome) -> Option<Upstream> {
        let (stats, shard) = (&cluster.stats, self.worker.shard());
        let hash = self.hash(cluster);
        let most = self.plan.attempts.unwrap_or(ATTEMPTS);
        let mut tried = Vec::new();
        loop {
            if !cluster.breakers[0].begin_connection() {
                stats.inc(shard, ClusterMetric::CxOverflow);
                return outcome.refuse(Flag::UpstreamOverflow, OVERFLOW);
            }
            let Some(ix) = self.pick(cluster, hash, &mut tried) else {
                cluster.breakers[0].end_connection();
                if outcome.attempts == 0 {
                    stats.inc(shard, ClusterMetric::CxNoneHealthy);
                    return outcome.refuse(Flag::NoHealthyUpstream, NO_HOST);
                }
                stats.inc(shard, ClusterMetric::CxAttemptsExceeded);
                return outcome.refuse(Flag::UpstreamRetryLimitExceeded, FAILED);
            };
            let Some(host) = cluster.hosts.get(ix) else {
                cluster.breakers[0].end_connection();
                return outcome.refuse(Flag::NoHealthyUpstream, NO_HOST);
            };
            let place = Place::take(cluster, &host.state);
            outcome.attempts += 1;
            outcome.host = Some(ix);
            match transport::open(cluster, host, &[], Named::default(), self.worker).await {
                Ok(opened) => {
                    conclude(cluster, ix, &CONNECTED, self.worker);
                    outcome.failure = None;
                    outcome.upstream_local = opened.local;
                    return Some(Upstream::open(opened.io, place, self.worker));
                }
                Err(failure) => {
                    self.failed(cluster, host, &failure, outcome);
                    let failure = match failure {
                        CannotOpen::TimedOut(_) => Failure::Timeout,
                        _ => Failure::Connect,
                    };
                    conclude(cluster, ix, &outcome::Outcome::Failed(failure), self.worker);
                }
            }
            drop(place);
            if outcome.attempts >= most {
                stats.inc(shard, ClusterMetric::CxAttemptsExceeded);
                return outcome.refuse(Flag::UpstreamRetryLimitExceeded, FAILED);
            }
            if let Some(pause) = self.pause(&tried, cluster, outcome.attempts) {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// The host of the next attempt: one that was not tried yet, as long as there is one.
    fn pick(
        &self,
        cluster: &Cluster,
        hash: Option<u64>,
        tried: &mut Vec<HostIx>,
    ) -> Option<HostIx> {
        let pick = Pick {
            ejected: cluster.ejected(),
            hash,
            random: self.worker.random(),
            now_ms: self.worker.tick().ms(),
            tried,
        };
        let ix = cluster.balancer.pick(&cluster.hosts, &pick)?;
        if tried.contains(&ix) {
            // Without a number from the configuration every host is tried once.
            self.plan.attempts?;
            tried.clear();
        }
        tried.push(ix);
        Some(ix)
    }

    fn failed(&self, cluster: &Cluster, host: &Host, failure: &CannotOpen, outcome: &mut Outcome) {
        host.state.refused(self.worker.tick().ms());
        let text = failure.describe(host);
        tracing::debug!(cluster = %cluster.name, "{text}");
        outcome.failure = Some(text.into());
        outcome.flag(Flag::UpstreamConnectionFailure);
    }

    /// How long to wait before the next attempt.
    fn pause(&self, tried: &[HostIx], cluster: &Cluster, attempts: u32) -> Option<Duration> {
        let again = tried.len() >= cluster.hosts.len();
        match self.plan.backoff {
            Some(backoff) => Some(backoff.draw(attempts, self.worker.random())),
            // Hosts that have not been tried need no rest.
            None => (again && self.plan.attempts.is_some()).then_some(AGAIN),
        }
    }

    /// The hash of the client's address, if it is asked for and of use.
    fn hash(&self, cluster: &Cluster) -> Option<u64> {
        if !self.plan.hashes_source || !cluster.balancer.hashes() {
            return None;
        }
        crossdock_routers::hash_of_source(&self.facts)
    }
}

/// Ends when the connection is broken. The end of what the peer sends is no such thing.
async fn broken(io: &Io) {
    match io {
        Io::Tcp(socket) => {
            let _ = socket.ready(Interest::ERROR).await;
        }
        Io::Other(_) => std::future::pending().await,
    }
}

/// The cluster that `random` falls upon.
fn draw(plan: &TcpPlan, random: u64) -> Option<&str> {
    let weights = plan.targets.iter().map(|target| u64::from(target.weight));
    let mut left = random.checked_rem(weights.sum())?;
    for target in &plan.targets {
        match left.checked_sub(u64::from(target.weight)) {
            Some(rest) => left = rest,
            None => return Some(&target.cluster),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_pause_that_nobody_configures_is_that_of_the_docs() {
        let row = "| plain TCP: pause before a host is tried again, where `backoff_options` says nothing | 25 ms |";
        assert!(include_str!("../../../docs/limits.md").contains(row));
        assert_eq!(super::AGAIN.as_millis(), 25);
    }
}
