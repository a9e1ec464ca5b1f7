//! Listeners: sockets bound, connections accepted, and each handed to a worker.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use crossdock_framework::{
    drain::{ChainDrain, DrainScope},
    metrics,
    protocol::LocalFuture,
    route::Facts,
    snapshot::Ends,
    stats::{Group, Registry, Shard},
    worker::Worker,
    workers::{Accepted, Serve, Workers},
};
use crossdock_xds::envoy_types::pb::envoy::data::accesslog::v3::AccessLogType;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    access_log::{self, Log},
    arrive,
    chains::Seen,
    compile::{ChainPlan, ListenerPlan, Serves},
    tcp::Outcome,
    tls::TlsMetric,
};

/// Connections that the kernel keeps for a listener that is busy.
const BACKLOG: i32 = 1024;

/// How long a listener rests when the process is out of file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

metrics! {
    /// Metrics of a listener, `listener.<address>.…`, named as Envoy does.
    pub(crate) enum ListenerMetric {
        /// Connections accepted.
        counter CxTotal = "downstream_cx_total",
        /// Connections open.
        gauge CxActive = "downstream_cx_active",
        /// Connections closed at once because the listener has too many.
        counter CxOverflow = "downstream_cx_overflow",
        /// Sockets that could not be accepted, for instance for want of file descriptors.
        counter CxFail = "downstream_cx_accept_fail",
        /// Connections whose protocol stayed unknown until the time was up.
        counter DetectTimeout = "downstream_pre_cx_timeout",
        /// Connections whose first bytes belong to no protocol served here.
        counter Unknown = "downstream_cx_unknown_protocol",
        /// Connections that no filter chain is for.
        counter NoChain = "no_filter_chain_match",
        /// Connections whose TLS handshake took too long.
        counter TlsTimeout = "downstream_cx_transport_socket_connect_timeout",
        /// Connections whose ClientHello is too long.
        counter HelloTooLong = "tls_inspector.client_hello_too_large",
        /// PROXY protocol headers of version 1.
        counter ProxyOne = "proxy_proto.versions.v1.found",
        /// PROXY protocol headers of version 2.
        counter ProxyTwo = "proxy_proto.versions.v2.found",
        /// Connections without a PROXY protocol header, which they need not have.
        counter ProxyNone = "proxy_proto.not_found_allowed",
        /// Connections closed for a PROXY protocol header that is missing or wrong.
        counter ProxyError = "downstream_cx_proxy_proto_error",
        /// Connections of unknown protocols passed on as plain bytes.
        counter Fallback = "downstream_cx_tcp_fallback",
    }
}

/// An address that this process has, and at which nobody is accepted yet.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// The address with the port that the kernel gave, where 0 was asked for.
    pub(crate) address: SocketAddr,
    socket: Socket,
}

/// What every connection of a listener shares.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) name: Arc<str>,
    pub(crate) stats: Arc<Group>,
    /// The drain of connections whose filter chain is not known yet.
    pub(crate) drain: Arc<ChainDrain>,
    /// What connections that come now are served by.
    plan: ArcSwap<ListenerPlan>,
    ssl: Arc<Group>,
    open: AtomicUsize,
}

impl ListenerPlan {
    /// The filter chain that fits a connection best.
    pub(crate) fn choose(&self, seen: &Seen<'_>) -> Option<Arc<ChainPlan>> {
        self.plans.get(self.chains.find(seen)?).cloned()
    }
}

impl Site {
    /// A listener that is bound to `address`.
    pub(crate) fn new(plan: &Arc<ListenerPlan>, address: SocketAddr, registry: &Registry) -> Self {
        let label = address.to_string().replace(':', "_");
        let site = Self {
            name: Arc::clone(&plan.name),
            stats: registry.group::<ListenerMetric>("listener", &label),
            drain: ChainDrain::new(plan.inbound),
            plan: ArcSwap::from(Arc::clone(plan)),
            ssl: registry.group::<TlsMetric>("listener", &label),
            open: AtomicUsize::new(0),
        };
        site.count(plan, registry);
        site
    }

    /// What connections that come now are served by.
    pub(crate) fn plan(&self) -> Arc<ListenerPlan> {
        self.plan.load_full()
    }

    /// Serves connections that come from now on by another plan.
    pub(crate) fn change(&self, plan: &Arc<ListenerPlan>, registry: &Registry) {
        self.count(plan, registry);
        self.plan.store(Arc::clone(plan));
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Whether an operator's drain concerns the listener.
    pub(crate) fn drains(&self, scope: DrainScope) -> bool {
        scope == DrainScope::All || self.drain.is_inbound()
    }

    /// Says where chains count what is the listener's.
    fn count(&self, plan: &ListenerPlan, registry: &Registry) {
        for chain in &plan.plans {
            if let Some(tls) = &chain.tls {
                tls.count_in(&self.ssl);
            }
            if let Serves::Rpc(rpc) = &chain.serves {
                rpc.policy.count_at(self.stats.scope().label(), registry);
            }
        }
    }

    /// Writes a connection that has ended into the listener's own logs.
    fn log(&self, logs: &[Arc<Log>], facts: &Facts, outcome: &Outcome, worker: &Worker) {
        let connection = access_log::Connection {
            kind: AccessLogType::NotSet,
            facts,
            outcome,
            duration: worker.tick().since(facts.began),
        };
        for log in logs {
            log.connection(&connection);
        }
    }
}

impl Reserved {
    /// Takes an address for `whom`.
    ///
    /// # Errors
    ///
    /// When the address cannot be had; the text names both.
    pub(crate) fn new(whom: &str, asked: SocketAddr) -> Result<Self, String> {
        let bound = bind(asked).and_then(|socket| {
            let address = socket.local_addr()?.as_socket();
            let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
            Ok(Self { address, socket })
        });
        bound.map_err(|error| {
            let cure = match error.kind() {
                io::ErrorKind::AddrInUse => "; end the process that has it, or give another port",
                io::ErrorKind::PermissionDenied => {
                    "; give a port above 1023, or the process the privilege"
                }
                io::ErrorKind::AddrNotAvailable => "; give an address that this machine has",
                _ => "",
            };
            format!("{whom} cannot listen at {asked}: {error}{cure}")
        })
    }

    /// Lets connections come in.
    ///
    /// # Errors
    ///
    /// When the kernel gives the address to another process after all.
    pub(crate) fn listen(self) -> io::Result<TcpListener> {
        self.socket.listen(BACKLOG)?;
        self.socket.set_nonblocking(true)?;
        TcpListener::from_std(self.socket.into())
    }
}

/// A socket that connections reach.
#[derive(Debug)]
pub(crate) struct Listening {
    /// The listener that they come to.
    pub(crate) site: Arc<ArcSwap<Site>>,
    pub(crate) socket: TcpListener,
}

impl Listening {
    /// Accepts connections until `stop` is dropped, and those that wait in the kernel by then.
    pub(crate) async fn accept(self, workers: Arc<Workers>, mut stop: oneshot::Receiver<()>) {
        loop {
            let accepted = tokio::select! {
                biased;
                _ = &mut stop => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => self.hand_over(socket, peer, &workers).await,
                Err(error) => {
                    let site = self.site.load();
                    site.stats.inc(Shard(0), ListenerMetric::CxFail);
                    tracing::warn!(listener = %site.name, "cannot accept: {error}");
                    tokio::time::sleep(OUT_OF_FILES).await;
                }
            }
        }
        for _ in 0..BACKLOG {
            let waiting = tokio::time::timeout(Duration::ZERO, self.socket.accept());
            let Ok(Ok((socket, peer))) = waiting.await else {
                return;
            };
            self.hand_over(socket, peer, &workers).await;
        }
    }

    async fn hand_over(&self, socket: tokio::net::TcpStream, peer: SocketAddr, workers: &Workers) {
        let site = self.site.load_full();
        site.stats.inc(Shard(0), ListenerMetric::CxTotal);
        if site.open() >= site.plan.load().connections {
            site.stats.inc(Shard(0), ListenerMetric::CxOverflow);
            return;
        }
        // A peer may be gone before it is served; that is its own affair.
        let (Ok(local), Ok(())) = (socket.local_addr(), socket.set_nodelay(true)) else {
            return;
        };
        let Ok(socket) = socket.into_std() else {
            return;
        };
        site.open.fetch_add(1, Relaxed);
        let accepted = Accepted {
            socket,
            ends: Ends::of(peer, local),
        };
        workers.give(accepted, site as Arc<dyn Serve>).await;
    }
}

impl Serve for Site {
    fn serve(self: Arc<Self>, accepted: Accepted, worker: Worker) -> LocalFuture {
        Box::pin(async move {
            let shard = worker.shard();
            self.stats.inc(shard, ListenerMetric::CxActive);
            // A connection is written where it was to be written when it came.
            let logs = Arc::clone(&self.plan.load().logs);
            if let Ok(socket) = tokio::net::TcpStream::from_std(accepted.socket) {
                let ends = accepted.ends;
                let mut facts = Facts {
                    source: Some(ends.peer),
                    ends,
                    began: worker.tick(),
                    tls: None,
                    random: worker.random(),
                };
                let outcome = arrive::serve(&self, socket, &mut facts, &worker).await;
                self.log(&logs, &facts, &outcome, &worker);
            }
            self.stats.dec(shard, ListenerMetric::CxActive);
            self.open.fetch_sub(1, Relaxed);
        })
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of a process before this one may still linger. Not SO_REUSEPORT: a second
    // process on the port would take half of the traffic in silence.
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}
