//! HTTP connections with everything around them in one thread: the worker, its configuration, and a
//! port that tells HTTP/1 from HTTP/2 as a listener does.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use crossdock_framework::{
    cluster::{
        Balancer, Breakers, Cluster, ClusterMetric, ClusterSettings, Host as HostConfig, HostIx,
        HostSet, HostState, Pick, RetryLimit,
    },
    codec::Probe,
    filter::Filters,
    outcome::{Observer, Outcome},
    protocol::{Connection, Io, Protocol},
    retry::RetryPolicy,
    route::{
        Action, AttemptCount, ClusterSlot, Facts, Forward, KEPT_BODY, Route, RouteId, Router,
        Target, Times, Unchanged,
    },
    snapshot::{DownstreamLimits, Ends, HttpMetric, Live, Policy, PolicyIx, Snapshot, Terms},
    stats::{Group, Registry, Shard},
    stream::{HttpPolicy, HttpUpstream, UpstreamVersion},
    view::RoutingView,
    worker::{Worker, spawn},
};
use crossdock_http::{Http1, Http2};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::peer::{Host, Peer};

/// How long anything may take that is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// How long is waited to see that nothing happens.
pub(crate) const QUIET: Duration = Duration::from_millis(60);

/// Runs a test on a thread like a worker's.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        timeout(PATIENCE * 3, test).await.expect("the test ends");
    });
}

/// Waits until `look` holds.
pub(crate) async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let wait = async {
        while !look() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "in vain: {what}");
}

/// What a route says of attempts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    pub(crate) retry: Option<Arc<RetryPolicy>>,
    pub(crate) kept_body: Option<usize>,
    pub(crate) attempt_count: AttemptCount,
}

/// What a test configures.
#[derive(Debug)]
pub(crate) struct Setup {
    hosts: Vec<SocketAddr>,
    pub(crate) upstream: HttpUpstream,
    pub(crate) settings: ClusterSettings,
    pub(crate) http: HttpPolicy,
    pub(crate) limits: DownstreamLimits,
    pub(crate) timeout: Option<Duration>,
    pub(crate) per_try: Option<Duration>,
    /// What else the one route says.
    pub(crate) way: Way,
    /// `max_requests`, `max_connections`, `max_pending`.
    pub(crate) breakers: (u32, u32, u32),
    pub(crate) retries: RetryLimit,
}

impl Setup {
    /// Every call goes to this host, in the caller's own version.
    pub(crate) fn to(host: &Host) -> Self {
        Self {
            hosts: vec![host.address],
            upstream: HttpUpstream {
                version: UpstreamVersion::Downstream,
                ..HttpUpstream::default()
            },
            settings: ClusterSettings::default(),
            http: HttpPolicy {
                request_id: false,
                ..HttpPolicy::default()
            },
            limits: DownstreamLimits::default(),
            timeout: None,
            per_try: None,
            way: Way::default(),
            retries: RetryLimit::Most(u32::MAX),
            breakers: (u32::MAX, u32::MAX, u32::MAX),
        }
    }

    pub(crate) fn also_to(mut self, host: &Host) -> Self {
        self.hosts.push(host.address);
        self
    }

    pub(crate) fn speaking_http1(mut self) -> Self {
        self.upstream.version = UpstreamVersion::Http1;
        self
    }

    pub(crate) fn speaking_http2(mut self) -> Self {
        self.upstream.version = UpstreamVersion::Http2;
        self
    }

    pub(crate) fn http(mut self, change: impl FnOnce(&mut HttpPolicy)) -> Self {
        change(&mut self.http);
        self
    }
}

/// A port that serves.
pub(crate) struct Rig {
    pub(crate) worker: Worker,
    pub(crate) registry: Arc<Registry>,
    pub(crate) address: SocketAddr,
    /// How every attempt at a host ended.
    pub(crate) seen: Arc<Seen>,
    states: Vec<Arc<HostState>>,
    breakers: Arc<[Breakers; 2]>,
}

impl Rig {
    pub(crate) async fn start(setup: Setup) -> Self {
        let registry = Arc::new(Registry::new(1));
        let live = Arc::new(Live::default());
        let worker = Worker::new(Shard(1), Arc::clone(&live), Arc::clone(&registry), 64 << 20);
        let listener = listener();
        let address = listener.local_addr().expect("bound");
        let (requests, connections, pending) = setup.breakers;
        let states: Vec<_> = setup.hosts.iter().map(|_| HostState::new()).collect();
        let breakers = Arc::new(
            [requests; 2]
                .map(|most| Breakers::new(most, connections, pending).with_retries(setup.retries)),
        );
        let rig = Self {
            worker,
            registry,
            address,
            seen: Arc::default(),
            states,
            breakers,
        };
        live.publish(rig.snapshot(&setup));
        let (timers, worker) = (rig.worker.clone(), rig.worker.clone());
        spawn(async move { timers.run_timers().await });
        spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("accepts");
                socket.set_nodelay(true).expect("a TCP socket");
                spawn(sniff(socket, worker.clone()));
            }
        });
        rig
    }

    fn snapshot(&self, setup: &Setup) -> Snapshot {
        let hosts = setup.hosts.iter().zip(&self.states);
        let hosts = hosts.map(|(address, state)| HostConfig {
            address: *address,
            hostname: None,
            hash_key: None,
            weight: 1,
            healthy: true,
            state: Arc::clone(state),
        });
        let cluster = Arc::new(Cluster {
            name: "a".into(),
            hosts: Arc::new(HostSet::new(hosts.collect())),
            balancer: Arc::new(FirstOpen),
            connect_timeout: Duration::from_secs(5),
            secure: None,
            breakers: Arc::clone(&self.breakers),
            settings: setup.settings,
            http: setup.upstream.clone(),
            observer: Some(Arc::clone(&self.seen) as Arc<dyn Observer>),
            outlier: None,
            stats: self.registry.group::<ClusterMetric>("cluster", "a"),
        });
        let mut snapshot = Snapshot::new(vec![cluster]);
        let router = Arc::new(All::new(setup));
        snapshot.add_policy(Arc::new(Policy {
            terms: Arc::new(Terms {
                name: "test".into(),
                logs: Box::default(),
                stats: self.registry.group::<HttpMetric>("http", "test"),
                answers: Default::default(),
                limits: setup.limits,
                http: setup.http.clone(),
            }),
            links: snapshot.link(router.as_ref()),
            router,
            filters: Filters::default(),
        }));
        snapshot
    }

    pub(crate) async fn client(&self) -> Peer {
        Peer::connect(self.address).await
    }

    pub(crate) fn http(&self, metric: HttpMetric) -> u64 {
        self.group("http", "test").get(metric)
    }

    pub(crate) fn upstream(&self, metric: ClusterMetric) -> u64 {
        self.group("cluster", "a").get(metric)
    }

    fn group(&self, kind: &str, label: &str) -> Arc<Group> {
        let groups = self.registry.groups();
        let found = groups
            .into_iter()
            .find(|group| group.scope().kind == kind && group.scope().label() == label);
        found.unwrap_or_else(|| panic!("no metrics of {kind} {label}"))
    }

    /// Waits until no call is in flight, and asserts that everything that counts calls says so.
    pub(crate) async fn settled(&self) {
        eventually("calls end", || self.http(HttpMetric::RqActive) == 0).await;
        eventually("calls leave their cluster", || {
            self.upstream(ClusterMetric::RqActive) == 0
        })
        .await;
        for state in &self.states {
            assert_eq!(state.active(), 0, "calls counted at a host");
        }
        for breakers in self.breakers.iter() {
            assert_eq!(breakers.retrying(), 0, "retries counted by breakers");
            let (requests, _, pending) = breakers.now();
            assert_eq!((requests, pending), (0, 0), "calls counted by breakers");
        }
        assert_eq!(self.upstream(ClusterMetric::RqPendingActive), 0);
        let total = self.http(HttpMetric::RqTotal);
        let answered = self.http(HttpMetric::RqCompleted);
        // A caller may also leave within its answer.
        let left = self.http(HttpMetric::RqOrphaned);
        assert!(
            (answered..=answered + left).contains(&total),
            "{total} calls begun, {answered} answered, {left} left"
        );
    }

    /// As [`Rig::settled`], and every client has left.
    pub(crate) async fn deserted(&self) {
        eventually("clients are gone", || self.http(HttpMetric::CxActive) == 0).await;
        self.settled().await;
    }
}

/// Remembers how attempts ended.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Vec<(HostIx, Outcome)>>);

impl Seen {
    /// What has been seen since the last time.
    pub(crate) fn take(&self) -> Vec<(HostIx, Outcome)> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }
}

impl Observer for Seen {
    fn concluded(&self, _: &Cluster, host: HostIx, outcome: &Outcome, _: &Worker) {
        let mut seen = self.0.lock().expect("nobody panics with it");
        seen.push((host, *outcome));
    }
}

/// Reads until the bytes tell what the client speaks, and serves that.
async fn sniff(mut socket: TcpStream, worker: Worker) {
    let mut prefix = BytesMut::new();
    let protocol: &dyn Protocol = loop {
        match (Http1.probe(&prefix), Http2.probe(&prefix)) {
            (Probe::Yes, _) => break &Http1,
            (_, Probe::Yes) => break &Http2,
            (Probe::No, Probe::No) => return,
            _ => {}
        }
        if !matches!(socket.read_buf(&mut prefix).await, Ok(1..)) {
            return;
        }
    };
    let ends = Ends::of(
        socket.peer_addr().expect("connected"),
        socket.local_addr().expect("connected"),
    );
    let connection = Connection {
        io: Io::Tcp(socket),
        prefix,
        ends,
        policy: PolicyIx(0),
        drain: Arc::default(),
        tls: None,
    };
    protocol.serve(connection, worker).await;
}

pub(crate) fn listener() -> TcpListener {
    let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    bound.set_nonblocking(true).expect("a socket");
    TcpListener::from_std(bound).expect("within a runtime")
}

/// Sends every call to the one cluster.
#[derive(Debug)]
struct All {
    names: [Arc<str>; 1],
    route: Route,
}

impl All {
    fn new(setup: &Setup) -> Self {
        let times = Times {
            timeout: setup.timeout,
            per_try: setup.per_try,
            ..Times::default()
        };
        Self {
            names: ["a".into()],
            route: Route {
                name: "all".into(),
                virtual_host: "all".into(),
                action: Action::Forward(Forward {
                    times,
                    retry: setup.way.retry.clone(),
                    kept_body: setup.way.kept_body.unwrap_or(KEPT_BODY),
                    attempt_count: setup.way.attempt_count,
                    ..Forward::to(Target::Single(ClusterSlot(0)))
                }),
                request_edits: Box::new(Unchanged),
                response_edits: Box::new(Unchanged),
            },
        }
    }
}

impl Router for All {
    fn route(&self, _: &dyn RoutingView, _: &Facts) -> Option<RouteId> {
        Some(RouteId(0))
    }

    fn get(&self, _: RouteId) -> &Route {
        &self.route
    }

    fn clusters(&self) -> &[Arc<str>] {
        &self.names
    }
}

/// The first host that may be chosen.
#[derive(Debug)]
struct FirstOpen;

impl Balancer for FirstOpen {
    fn pick(&self, hosts: &HostSet, pick: &Pick<'_>) -> Option<HostIx> {
        let mut all = (0..hosts.len()).map(|at| HostIx(at as u32));
        let open = |ix: &HostIx| hosts.get(*ix).is_some_and(|host| pick.open(*ix, host));
        all.find(open)
            .or_else(|| (!hosts.is_empty()).then_some(HostIx(0)))
    }
}
