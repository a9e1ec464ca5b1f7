//! A relay with everything around it in one thread: the worker, its configuration, fake hosts and
//! clients over loopback.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::BytesMut;
use crossdock_framework::{
    cluster::{
        Balancer, Breakers, Cluster, ClusterMetric, ClusterSettings, Host as HostConfig, HostIx,
        HostSet, HostState, Pick, RetryLimit,
    },
    codec::Codec,
    drain::ChainDrain,
    filter::{Chain, Filter},
    outcome::{Observer, Outcome},
    protocol::{Connection, Io, Protocol},
    relay::Framed,
    retry::RetryPolicy,
    route::{
        Action, ClusterSlot, Facts, Forward, Route, RouteId, Router, Target, Times, Unchanged,
    },
    snapshot::{DownstreamLimits, Ends, HttpMetric, Live, Policy, PolicyIx, Snapshot, Terms},
    stats::{Group, Registry, Shard},
    view::{Key, RoutingView},
    worker::{Worker, spawn},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use crate::toy::{Msg, Toy};

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

/// A cluster as a test wants it. Calls go to it whose service has its name.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSetup {
    pub(crate) name: &'static str,
    pub(crate) hosts: Vec<SocketAddr>,
    pub(crate) settings: ClusterSettings,
    pub(crate) connect_timeout: Duration,
    /// `max_requests`, `max_connections`, `max_pending`.
    pub(crate) breakers: (u32, u32, u32),
    pub(crate) retries: RetryLimit,
}

impl ClusterSetup {
    pub(crate) fn new(name: &'static str, hosts: &[&Host]) -> Self {
        Self {
            name,
            hosts: hosts.iter().map(|host| host.address).collect(),
            settings: ClusterSettings::default(),
            connect_timeout: Duration::from_secs(5),
            breakers: (u32::MAX, u32::MAX, u32::MAX),
            retries: RetryLimit::Most(u32::MAX),
        }
    }
}

/// What a test configures.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) clusters: Vec<ClusterSetup>,
    pub(crate) limits: DownstreamLimits,
    pub(crate) filters: Vec<Arc<dyn Filter>>,
    pub(crate) route_timeout: Option<Duration>,
    pub(crate) per_try: Option<Duration>,
    pub(crate) retry: Option<Arc<RetryPolicy>>,
    /// `stat_prefix`; nothing for a snapshot without any policy.
    pub(crate) policy: Option<&'static str>,
    pub(crate) memory: usize,
}

impl Setup {
    /// One cluster `a` of these hosts.
    pub(crate) fn of(hosts: &[&Host]) -> Self {
        Self::with(vec![ClusterSetup::new("a", hosts)])
    }

    pub(crate) fn with(clusters: Vec<ClusterSetup>) -> Self {
        Self {
            clusters,
            limits: DownstreamLimits::default(),
            filters: Vec::new(),
            route_timeout: None,
            per_try: None,
            retry: None,
            policy: Some("test"),
            memory: 256 << 20,
        }
    }

    /// Changes the settings of the first cluster.
    pub(crate) fn settings(mut self, change: impl FnOnce(&mut ClusterSettings)) -> Self {
        change(&mut self.clusters[0].settings);
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut DownstreamLimits)) -> Self {
        change(&mut self.limits);
        self
    }
}

/// A relay that serves.
pub(crate) struct Rig {
    pub(crate) worker: Worker,
    pub(crate) live: Arc<Live>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) address: SocketAddr,
    /// How every attempt at a host ended.
    pub(crate) seen: Arc<Seen>,
    /// The filter chain of the connections that come next.
    pub(crate) chain: Rc<RefCell<Arc<ChainDrain>>>,
    states: HashMap<(&'static str, SocketAddr), Arc<HostState>>,
    breakers: HashMap<&'static str, Arc<[Breakers; 2]>>,
}

impl Rig {
    /// A relay of the toy with wide ids and shared connections.
    pub(crate) async fn start(setup: Setup) -> Self {
        Self::start_as::<Toy>(setup).await
    }

    pub(crate) async fn start_as<C: Codec>(setup: Setup) -> Self {
        let registry = Arc::new(Registry::new(1));
        let live = Arc::new(Live::default());
        let worker = Worker::new(
            Shard(1),
            Arc::clone(&live),
            Arc::clone(&registry),
            setup.memory,
        );
        let listener = listener();
        let address = listener.local_addr().expect("bound");
        let mut rig = Self {
            worker,
            live,
            registry,
            address,
            seen: Arc::default(),
            chain: Rc::default(),
            states: HashMap::new(),
            breakers: HashMap::new(),
        };
        rig.publish(setup);
        let (timers, worker) = (rig.worker.clone(), rig.worker.clone());
        let chain = Rc::clone(&rig.chain);
        spawn(async move { timers.run_timers().await });
        spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("accepts");
                socket.set_nodelay(true).expect("a TCP socket");
                let connection = Connection {
                    drain: Arc::clone(&chain.borrow()),
                    ..connection(Io::Tcp(socket))
                };
                spawn(Framed::<C>::default().serve(connection, worker.clone()));
            }
        });
        rig
    }

    /// Serves a stream that is no socket.
    pub(crate) fn serve<C: Codec>(&self, io: Io) {
        spawn(Framed::<C>::default().serve(connection(io), self.worker.clone()));
    }

    /// Makes another configuration the current one. Hosts and breakers keep what they count.
    pub(crate) fn publish(&mut self, setup: Setup) {
        let clusters = setup.clusters.iter().map(|c| self.cluster(c)).collect();
        let names = setup.clusters.iter().map(|c| Arc::from(c.name)).collect();
        let mut snapshot = Snapshot::new(clusters);
        if let Some(name) = setup.policy {
            let router = Arc::new(ByService::new(names, &setup));
            snapshot.add_policy(Arc::new(Policy {
                terms: Arc::new(Terms {
                    name: name.into(),
                    logs: Box::default(),
                    stats: self.registry.group::<HttpMetric>("http", name),
                    answers: Default::default(),
                    limits: setup.limits,
                    http: Default::default(),
                }),
                links: snapshot.link(router.as_ref()),
                router,
                filters: Chain::new(setup.filters).into(),
            }));
        }
        self.live.publish(snapshot);
    }

    fn cluster(&mut self, setup: &ClusterSetup) -> Arc<Cluster> {
        let hosts = setup.hosts.iter().map(|address| HostConfig {
            address: *address,
            hostname: None,
            hash_key: None,
            weight: 1,
            healthy: true,
            state: Arc::clone(
                self.states
                    .entry((setup.name, *address))
                    .or_insert_with(HostState::new),
            ),
        });
        let hosts = Arc::new(HostSet::new(hosts.collect()));
        let (requests, connections, pending) = setup.breakers;
        let fresh =
            || {
                Arc::new([requests; 2].map(|most| {
                    Breakers::new(most, connections, pending).with_retries(setup.retries)
                }))
            };
        let kept = self.breakers.entry(setup.name).or_insert_with(fresh);
        let now = &kept[0];
        if (now.max_requests, now.max_connections, now.max_pending) != setup.breakers {
            *kept = fresh();
        }
        Arc::new(Cluster {
            name: setup.name.into(),
            hosts,
            balancer: Arc::new(RoundRobin::default()),
            connect_timeout: setup.connect_timeout,
            secure: None,
            breakers: Arc::clone(kept),
            settings: setup.settings,
            http: Default::default(),
            observer: Some(Arc::clone(&self.seen) as Arc<dyn Observer>),
            outlier: None,
            stats: self.registry.group::<ClusterMetric>("cluster", setup.name),
        })
    }

    pub(crate) async fn client(&self) -> Peer {
        Peer::connect(self.address).await
    }

    pub(crate) fn http(&self, metric: HttpMetric) -> u64 {
        self.group("http", "test").get(metric)
    }

    /// What changes of a host of the cluster `a` while it runs.
    pub(crate) fn state(&self, address: SocketAddr) -> &HostState {
        &self.states[&("a", address)]
    }

    /// A metric of the cluster `a`.
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

    /// Waits until nothing is in flight and asserts that everything that counts calls says so.
    pub(crate) async fn settled(&self) {
        eventually(&format!("calls end: {}", self.in_flight()), || {
            self.http(HttpMetric::RqActive) == 0
        })
        .await;
        sleep(Duration::from_millis(20)).await;
        for (host, state) in &self.states {
            assert_eq!(state.active(), 0, "calls counted at {host:?}");
        }
        for (name, breakers) in &self.breakers {
            for breakers in breakers.iter() {
                assert_eq!(breakers.retrying(), 0, "retries of {name}");
                let (requests, _, pending) = breakers.now();
                assert_eq!((requests, pending), (0, 0), "breakers of {name}");
            }
            let stats = self.group("cluster", name);
            assert_eq!(stats.get(ClusterMetric::RqActive), 0, "{name}");
            assert_eq!(stats.get(ClusterMetric::RqPendingActive), 0, "{name}");
        }
        let answered = self.http(HttpMetric::RqCompleted);
        assert_eq!(
            self.http(HttpMetric::RqTotal),
            answered + self.http(HttpMetric::RqOrphaned),
            "calls begun and ended"
        );
        assert_eq!(self.worker.buffered(), 0, "bytes still counted as buffered");
    }

    /// As [`Rig::settled`], and every client has left.
    pub(crate) async fn deserted(&self) {
        eventually("clients are gone", || self.http(HttpMetric::CxActive) == 0).await;
        self.settled().await;
    }

    fn in_flight(&self) -> String {
        let stats = self.group("http", "test");
        stats
            .read()
            .map(|(def, sum)| format!("{}={sum} ", def.name))
            .collect()
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

fn connection(io: Io) -> Connection {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    Connection {
        io,
        prefix: BytesMut::new(),
        ends: Ends::of(anywhere, anywhere),
        policy: PolicyIx(0),
        drain: Arc::default(),
        tls: None,
    }
}

fn listener() -> TcpListener {
    let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    bound.set_nonblocking(true).expect("a socket");
    TcpListener::from_std(bound).expect("within a runtime")
}

/// Sends each service to the cluster of its name.
#[derive(Debug)]
struct ByService {
    names: Vec<Arc<str>>,
    routes: Vec<Route>,
}

impl ByService {
    fn new(names: Vec<Arc<str>>, setup: &Setup) -> Self {
        let route = |at: usize| Route {
            name: Arc::clone(&names[at]),
            virtual_host: "all".into(),
            action: Action::Forward(Forward {
                times: Times {
                    timeout: setup.route_timeout,
                    per_try: setup.per_try,
                    ..Times::default()
                },
                retry: setup.retry.clone(),
                ..Forward::to(Target::Single(ClusterSlot(at as u32)))
            }),
            request_edits: Box::new(Unchanged),
            response_edits: Box::new(Unchanged),
        };
        let routes = (0..names.len()).map(route).collect();
        Self { names, routes }
    }
}

impl Router for ByService {
    fn route(&self, request: &dyn RoutingView, _: &Facts) -> Option<RouteId> {
        let service = request.get(Key::Authority)?;
        let at = self.names.iter().position(|name| **name == *service)?;
        Some(RouteId(at as u32))
    }

    fn get(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }

    fn clusters(&self) -> &[Arc<str>] {
        &self.names
    }
}

/// One host after the other, by the rules of [`Balancer::pick`].
#[derive(Debug, Default)]
struct RoundRobin(AtomicU64);

impl Balancer for RoundRobin {
    fn pick(&self, hosts: &HostSet, pick: &Pick<'_>) -> Option<HostIx> {
        let first = self.0.fetch_add(1, Relaxed) as usize;
        let turn = |at: usize| (first + at) % hosts.len();
        let order = || (0..hosts.len()).map(|at| HostIx(turn(at) as u32));
        let open = |ix: &HostIx| hosts.get(*ix).is_some_and(|host| pick.open(*ix, host));
        order().find(open).or_else(|| order().next())
    }
}

/// A fake host. What it does to its connections is up to the test.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl Host {
    pub(crate) fn bind() -> Self {
        let listener = listener();
        let address = listener.local_addr().expect("bound");
        Self { address, listener }
    }

    /// An address where nobody listens.
    pub(crate) fn absent() -> Self {
        let mut host = Self::bind();
        host.listener = listener();
        host
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        Peer::new(accepted.expect("a connection comes").expect("accepts").0)
    }

    /// Whether a connection waits to be accepted.
    pub(crate) async fn is_called(&self) -> bool {
        timeout(QUIET, self.listener.accept()).await.is_ok()
    }

    /// Answers every request of every connection from now on.
    pub(crate) fn echo(self) {
        spawn(async move {
            while let Ok((io, _)) = self.listener.accept().await {
                spawn(echo(Peer::new(io)));
            }
        });
    }
}

/// Answers every request of a connection.
pub(crate) async fn echo(mut peer: Peer) {
    use crossdock_framework::frame::Kind;
    while let Some(msg) = peer.next().await {
        let answer = match msg.kind {
            Kind::Request => msg.echo(),
            Kind::Heartbeat => Msg::new(Kind::HeartbeatAck, msg.id, ""),
            _ => continue,
        };
        if peer.io.write_all(&answer.to_bytes()).await.is_err() {
            return;
        }
    }
}

/// One end of a connection, in the hands of a test.
pub(crate) struct Peer {
    pub(crate) io: TcpStream,
    buf: BytesMut,
}

impl Peer {
    pub(crate) fn new(io: TcpStream) -> Self {
        io.set_nodelay(true).expect("a TCP socket");
        let buf = BytesMut::new();
        Self { io, buf }
    }

    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(
            TcpStream::connect(address)
                .await
                .expect("the relay listens"),
        )
    }

    pub(crate) async fn send(&mut self, msg: &Msg) {
        self.write(&msg.to_bytes()).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let written = timeout(PATIENCE, self.io.write_all(bytes)).await;
        written
            .expect("the peer reads")
            .expect("the connection stands");
    }

    /// The next message, or nothing at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Msg> {
        loop {
            if let Some((msg, length)) = Msg::parse(&self.buf) {
                let _ = self.buf.split_to(length);
                return Some(msg);
            }
            match self.io.read_buf(&mut self.buf).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message, which is expected.
    pub(crate) async fn recv(&mut self) -> Msg {
        let next = timeout(PATIENCE, self.next()).await;
        next.expect("a message comes")
            .expect("the connection stands")
    }

    /// A request, and its answer.
    pub(crate) async fn call(&mut self, id: u64, body: &str) -> Msg {
        self.send(&Msg::request(id, body)).await;
        self.recv().await
    }

    /// Asserts that the other side closes without another message.
    pub(crate) async fn closed(&mut self) {
        let next = timeout(PATIENCE, self.next()).await;
        assert_eq!(next.expect("the connection ends"), None);
    }

    /// Asserts that nothing comes.
    pub(crate) async fn silent(&mut self) {
        match timeout(QUIET, self.next()).await {
            Err(_) => {}
            Ok(msg) => panic!("unexpected: {msg:?}"),
        }
    }
}
