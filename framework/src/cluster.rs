//! Clusters: named sets of hosts, how one is chosen, and how much each may carry.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

mod metrics;

pub(crate) use metrics::destroyed;
pub use metrics::{ClusterMetric, UpstreamConnection};

use crate::{
    outcome::Observer,
    outlier::{Detector, Monitor},
    stats::{Group, Shard},
    status::{Cause, Status},
    stream::HttpUpstream,
    transport::Secure,
};

/// A named set of hosts as one configuration gives it. Immutable; what changes while it runs
/// ([`HostState`], [`Breakers`]) is shared with the versions before and after it.
#[derive(Debug)]
pub struct Cluster {
    /// The name that routes use.
    pub name: Arc<str>,
    /// Its hosts, in the order of [`HostIx`].
    pub hosts: Arc<HostSet>,
    /// How a host is chosen.
    pub balancer: Arc<dyn Balancer>,
    /// The longest time that opening a connection may take. Envoy's default is 5 s.
    pub connect_timeout: Duration,
    /// What shakes hands on every new connection; `None` for plain TCP.
    pub secure: Option<Arc<dyn Secure>>,
    /// Circuit breakers, one for each priority.
    pub breakers: Arc<[Breakers; 2]>,
    /// Crossdock's own settings for its upstream connections.
    pub settings: ClusterSettings,
    /// What it says of HTTP.
    pub http: HttpUpstream,
    /// Is told how each attempt at a host ended.
    pub observer: Option<Arc<dyn Observer>>,
    /// Takes hosts that fail out of the choice for a while.
    pub outlier: Option<Arc<Detector>>,
    /// `cluster.<name>.…`
    pub stats: Arc<Group>,
}

impl Cluster {
    /// Hosts that would take calls if they were not ejected: for [`Pick::ejected`].
    #[inline]
    pub fn ejected(&self) -> u32 {
        self.outlier.as_ref().map_or(0, |outlier| outlier.missing())
    }

    /// Takes a place for an upstream connection, and counts that there was none. The `only`
    /// connection of its host is opened whatever the circuit breaker says, as Envoy does.
    pub fn take_connection(&self, only: bool, shard: Shard) -> bool {
        let [breakers, _] = &*self.breakers;
        if breakers.begin_connection() {
            return true;
        }
        self.stats.inc(shard, ClusterMetric::CxOverflow);
        if only {
            breakers.add_connection();
        }
        only
    }

    /// Takes a place in the line of calls that wait for a connection.
    ///
    /// # Errors
    ///
    /// When the line is full: what the caller is answered.
    pub fn take_pending(&self, priority: u8, shard: Shard) -> Result<(), Status> {
        if !self.breakers[usize::from(priority)].begin_pending() {
            self.stats.inc(shard, ClusterMetric::RqPendingOverflow);
            let text = format!(
                "cluster '{}' has as many calls waiting for a connection as its circuit breaker \
                 allows (max_pending_requests)",
                self.name
            );
            return Err(Status::new(Cause::Overload, text));
        }
        self.stats.inc(shard, ClusterMetric::RqPendingTotal);
        self.stats.inc(shard, ClusterMetric::RqPendingActive);
        Ok(())
    }

    /// Gives the place back.
    pub fn give_pending(&self, priority: u8, shard: Shard) {
        self.breakers[usize::from(priority)].end_pending();
        self.stats.dec(shard, ClusterMetric::RqPendingActive);
    }
}

/// Settings of a cluster's upstream connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The most upstream connections of one worker to one host. Default 4.
    pub connections_per_host: u32,
    /// Calls in flight on a connection before another one is opened. Default 1024.
    pub fill_calls: u32,
    /// Bytes waiting to be written to a connection before another one is used. Default 256 KiB.
    pub fill_bytes: usize,
    /// Bytes waiting to be written to a connection before calls to its host are refused.
    /// Default 16 MiB.
    pub unwritten_max: usize,
    /// Close an upstream connection without calls after this time. Default 1 h, as Envoy.
    pub idle_timeout: Duration,
    /// Send a heartbeat after this long without a byte from the host; zero for never.
    /// Default 15 s.
    pub heartbeat_interval: Duration,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            connections_per_host: 4,
            fill_calls: 1024,
            fill_bytes: 256 * 1024,
            unwritten_max: 16 * 1024 * 1024,
            idle_timeout: Duration::from_secs(3600),
            heartbeat_interval: Duration::from_secs(15),
        }
    }
}

/// A host of one [`HostSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostIx(pub u32);

/// The hosts of a cluster at one moment.
#[derive(Debug, Default)]
pub struct HostSet {
    hosts: Vec<Host>,
}

/// One host as configured.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that it was configured with, when that is not an address (STRICT_DNS).
    pub hostname: Option<Arc<str>>,
    /// What hashing balancers place on the ring instead of the address
    /// (`metadata: envoy.lb: hash_key`).
    pub hash_key: Option<Arc<str>>,
    /// Its share, 1 or more.
    pub weight: u32,
    /// Whether the configuration calls it healthy; an unhealthy one is chosen only in panic.
    pub healthy: bool,
    /// What changes while it runs.
    pub state: Arc<HostState>,
}

impl HostSet {
    /// A set with its hosts in the order given.
    pub fn new(hosts: Vec<Host>) -> Self {
        Self { hosts }
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host at all.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// A host by its index.
    pub fn get(&self, ix: HostIx) -> Option<&Host> {
        self.hosts.get(ix.0 as usize)
    }

    /// All hosts with their indices.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (HostIx, &Host)> {
        self.hosts
            .iter()
            .enumerate()
            .map(|(ix, host)| (HostIx(ix as u32), host))
    }
}

/// What changes of a host while it runs. Survives configuration pushes, shared by all workers.
#[derive(Debug)]
pub struct HostState {
    /// A number that no other living host has; pools are found by it.
    pub id: u64,
    active: AtomicU32,
    avoid_until: AtomicU64,
    /// How its calls went, and whether it is ejected.
    pub outlier: Monitor,
}

static NEXT_HOST: AtomicU64 = AtomicU64::new(1);

impl HostState {
    /// A host without history.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            id: NEXT_HOST.fetch_add(1, Relaxed),
            active: AtomicU32::new(0),
            avoid_until: AtomicU64::new(0),
            outlier: Monitor::default(),
        })
    }

    /// Calls in flight to the host over all workers.
    #[inline]
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// Counts a call that begins.
    #[inline]
    pub fn begin(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    /// Counts a call that ended.
    #[inline]
    pub fn end(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// Prefers other hosts for 500 ms from the time `now_ms` of the process clock on: it refused a
    /// connection.
    pub fn refused(&self, now_ms: u64) {
        const AVOIDED_MS: u64 = 500;
        self.avoid_until(now_ms + AVOIDED_MS);
    }

    /// Prefers other hosts until the time `until_ms` of the process clock: it refused a
    /// connection or said that it is going away.
    pub fn avoid_until(&self, until_ms: u64) {
        self.avoid_until.fetch_max(until_ms, Relaxed);
    }

    /// Whether other hosts are preferred at the time `now_ms` of the process clock.
    #[inline]
    pub fn avoided(&self, now_ms: u64) -> bool {
        self.avoid_until.load(Relaxed) > now_ms
    }
}

/// A choice among the hosts of a cluster. Built once from a [`HostSet`], shared by all workers,
/// and told nothing but the call at hand; what changes stands in [`HostState`].
pub trait Balancer: fmt::Debug + Send + Sync + 'static {
    /// A host for the call, or `None` if the cluster has none.
    ///
    /// A host is usable when it is configured healthy, not [ejected](Monitor::is_ejected), not
    /// [avoided](HostState::avoided) and not in [`Pick::tried`]. When fewer than half of the hosts
    /// are healthy by configuration and not ejected, health is ignored (Envoy's panic threshold);
    /// when every host is avoided or tried, those are taken all the same, but no ejected one.
    fn pick(&self, hosts: &HostSet, pick: &Pick<'_>) -> Option<HostIx>;

    /// Whether [`Pick::hash`] is worth computing.
    fn hashes(&self) -> bool {
        false
    }
}

/// What a balancer knows of a call.
#[derive(Clone, Copy, Debug)]
pub struct Pick<'p> {
    /// The hash of the route's hash policies, if any gave one.
    pub hash: Option<u64>,
    /// A random number of this attempt.
    pub random: u64,
    /// The process clock in milliseconds.
    pub now_ms: u64,
    /// Hosts that earlier attempts of this call went to.
    pub tried: &'p [HostIx],
    /// How many hosts that are healthy by configuration are ejected; zero where ejections do not
    /// count.
    pub ejected: u32,
}

impl Pick<'_> {
    /// Whether `host` may take the call, ignoring configured health.
    #[inline]
    pub fn open(&self, ix: HostIx, host: &Host) -> bool {
        !host.state.avoided(self.now_ms) && !self.tried.contains(&ix) && self.allows(host)
    }

    /// Whether `host` is not ejected, or that does not count.
    #[inline]
    pub fn allows(&self, host: &Host) -> bool {
        self.ejected == 0 || !host.state.outlier.is_ejected()
    }
}

/// The circuit breakers of one cluster and priority, exact over all workers.
#[derive(Debug)]
pub struct Breakers {
    /// The most calls in flight (`max_requests`).
    pub max_requests: u32,
    /// The most upstream connections (`max_connections`).
    pub max_connections: u32,
    /// The most calls waiting for a connection (`max_pending_requests`).
    pub max_pending: u32,
    /// The most retries (`max_retries`, `retry_budget`).
    pub retries: RetryLimit,
    requests: AtomicU32,
    connections: AtomicU32,
    pending: AtomicU32,
    retrying: AtomicU32,
}

/// How many calls may be in a retry at once: from the decision for it to the end of its attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryLimit {
    /// So many (`max_retries`). Envoy's default is 3.
    Most(u32),
    /// So many in a hundred of the calls in flight (`budget_percent`, 20 by default), but always
    /// `least` (`min_retry_concurrency`, 3 by default).
    Budget {
        /// A part of the calls in flight, in percent.
        percent: f64,
        /// How many there may be however few calls there are.
        least: u32,
    },
}

impl Default for RetryLimit {
    fn default() -> Self {
        Self::Most(3)
    }
}

impl Breakers {
    /// Breakers that open above these counts.
    pub fn new(max_requests: u32, max_connections: u32, max_pending: u32) -> Self {
        Self {
            max_requests,
            max_connections,
            max_pending,
            retries: RetryLimit::default(),
            requests: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            pending: AtomicU32::new(0),
            retrying: AtomicU32::new(0),
        }
    }

    /// The same with another limit of retries.
    pub fn with_retries(self, retries: RetryLimit) -> Self {
        Self { retries, ..self }
    }

    /// Breakers that never open.
    pub fn unlimited() -> Self {
        Self::new(u32::MAX, u32::MAX, u32::MAX).with_retries(RetryLimit::Most(u32::MAX))
    }

    /// Takes a place for a call; `false` when there is none.
    #[inline]
    pub fn begin_request(&self) -> bool {
        take(&self.requests, self.max_requests)
    }

    /// Gives a call's place back.
    #[inline]
    pub fn end_request(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }

    /// Takes a place for an upstream connection; `false` when there is none.
    pub fn begin_connection(&self) -> bool {
        take(&self.connections, self.max_connections)
    }

    /// Counts a connection for which there was no place: the only one of its host.
    pub fn add_connection(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// Gives a connection's place back.
    pub fn end_connection(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Takes a place for a call that waits for a connection; `false` when there is none.
    pub fn begin_pending(&self) -> bool {
        take(&self.pending, self.max_pending)
    }

    /// Gives a waiting call's place back.
    pub fn end_pending(&self) {
        self.pending.fetch_sub(1, Relaxed);
    }

    /// Takes a place for a retry; `false` when there is none.
    pub fn begin_retry(&self) -> bool {
        take(&self.retrying, self.most_retries())
    }

    /// How many calls may be in a retry now.
    pub fn most_retries(&self) -> u32 {
        match self.retries {
            RetryLimit::Most(most) => most,
            RetryLimit::Budget { percent, least } => {
                let share = f64::from(self.requests.load(Relaxed)) * percent / 100.0;
                (share as u32).max(least)
            }
        }
    }

    /// Gives a retry's place back.
    pub fn end_retry(&self) {
        self.retrying.fetch_sub(1, Relaxed);
    }

    /// Calls that are in a retry now.
    pub fn retrying(&self) -> u32 {
        self.retrying.load(Relaxed)
    }

    /// Calls, connections and waiting calls now.
    pub fn now(&self) -> (u32, u32, u32) {
        (
            self.requests.load(Relaxed),
            self.connections.load(Relaxed),
            self.pending.load(Relaxed),
        )
    }
}

/// Counts up unless that would pass `max`; a refused taker leaves no trace that could refuse
/// another worker's.
#[inline]
fn take(counter: &AtomicU32, max: u32) -> bool {
    counter
        .fetch_update(Relaxed, Relaxed, |now| (now < max).then_some(now + 1))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_gives_as_many_places_as_it_has() {
        let breakers = Breakers::new(2, 1, 0);
        assert!(breakers.begin_request() && breakers.begin_request());
        assert!(!breakers.begin_request());
        breakers.end_request();
        assert!(breakers.begin_request());
        assert!(breakers.begin_connection() && !breakers.begin_connection());
        assert!(!breakers.begin_pending());
        assert_eq!(breakers.now(), (2, 1, 0));
    }

    #[test]
    fn places_are_exact_however_many_workers_ask() {
        const MOST: u32 = 7;
        const EACH: u32 = 20_000;
        let breakers = Breakers::new(MOST, MOST, MOST).with_retries(RetryLimit::Most(MOST));
        let inside = AtomicU32::new(0);
        let given: u32 = std::thread::scope(|scope| {
            let worker = || {
                let mut given = 0;
                for _ in 0..EACH {
                    let places = (breakers.begin_request(), breakers.begin_retry());
                    if places.0 {
                        let now = inside.fetch_add(1, Relaxed) + 1;
                        assert!(now <= MOST, "{now} calls at once");
                        given += 1;
                        inside.fetch_sub(1, Relaxed);
                        breakers.end_request();
                    }
                    if places.1 {
                        breakers.end_retry();
                    }
                }
                given
            };
            let workers: Vec<_> = (0..2 * MOST).map(|_| scope.spawn(worker)).collect();
            let given = workers
                .into_iter()
                .map(|worker| worker.join().expect("no panic"));
            given.sum()
        });
        assert!(given > 0);
        assert_eq!((breakers.now(), breakers.retrying()), ((0, 0, 0), 0));
        assert!((0..MOST).all(|_| breakers.begin_request()), "none was lost");
        assert!(!breakers.begin_request(), "and none came from nowhere");
    }

    #[test]
    fn retries_have_a_number_or_a_share_of_the_calls() {
        let few = Breakers::new(100, 1, 1);
        assert!((0..3).all(|_| few.begin_retry()) && !few.begin_retry());
        few.end_retry();
        assert!(few.begin_retry() && !few.begin_retry());

        let (percent, least) = (20.0, 2);
        let share = Breakers::unlimited().with_retries(RetryLimit::Budget { percent, least });
        let taken = || (0..100).take_while(|_| share.begin_retry()).count();
        assert_eq!(taken(), 2, "however few calls there are");
        assert!((0..14).all(|_| share.begin_request()));
        assert_eq!((taken(), share.retrying()), (0, 2));
        assert!((0..11).all(|_| share.begin_request()));
        assert_eq!((taken(), share.retrying()), (3, 5));
    }

    #[test]
    fn workers_share_the_places_of_retries_exactly() {
        let breakers = Breakers::unlimited().with_retries(RetryLimit::Most(5));
        let most = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if breakers.begin_retry() {
                            most.fetch_max(breakers.retrying(), Relaxed);
                            breakers.end_retry();
                        }
                    }
                });
            }
        });
        assert!((1..=5).contains(&most.into_inner()));
        assert_eq!(breakers.retrying(), 0);
    }

    #[test]
    fn hosts_are_avoided_for_a_time() {
        let host = HostState::new();
        host.avoid_until(10);
        host.avoid_until(5);
        assert!(host.avoided(9) && !host.avoided(10));
    }
}
