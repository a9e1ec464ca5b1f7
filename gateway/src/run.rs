//! The life of the process: bind, serve, drain, end.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    process::ExitCode,
    sync::{Arc, PoisonError},
    time::Duration,
};

use crossdock_framework::{
    log::AccessLog, snapshot::Live, stats::Registry, worker::DrainScope, workers::Workers,
};
use crossdock_xds::bootstrap::Loaded;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};

use crate::{
    access_log::Files,
    admin,
    compile::{self, ListenerPlan},
    dns, health,
    listen::{Bound, Listening, Reserved, Site},
    server::{BoundListener, Order, ProcessSettings, Server, State},
};

/// Orders that may wait: an operator sends few.
const ORDERS: usize = 16;

/// How long the lines that wait may take to be written at the end of the process.
const LOGS_CLOSE: Duration = Duration::from_millis(150);

/// A gateway whose listeners are bound, before it serves.
#[derive(Debug)]
pub(crate) struct Gateway {
    server: Arc<Server>,
    workers: Arc<Workers>,
    listeners: Vec<Listening>,
    /// The same listeners, as long as the process lives.
    sites: Vec<Arc<Site>>,
    files: Files,
    admin: Option<TcpListener>,
    clusters: Vec<compile::ClusterPlan>,
    orders: mpsc::Receiver<Order>,
}

/// Why a gateway could not start: lines for the operator.
#[derive(Debug)]
pub(crate) struct CannotStart(pub(crate) Vec<String>);

impl Gateway {
    /// Compiles the configuration, takes the address of every listener, and then lets connections
    /// come in at all of them; or does nothing at all.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration, or the address that cannot be had.
    pub(crate) async fn start(
        loaded: Loaded,
        settings: ProcessSettings,
    ) -> Result<Self, CannotStart> {
        Self::start_watched(loaded, settings, None).await
    }

    /// As [`Gateway::start`]; `watch` sees every call beside the configured access logs.
    ///
    /// # Errors
    ///
    /// As [`Gateway::start`].
    pub(crate) async fn start_watched(
        loaded: Loaded,
        settings: ProcessSettings,
        watch: Option<Arc<dyn AccessLog>>,
    ) -> Result<Self, CannotStart> {
        let registry = Arc::new(Registry::new(settings.concurrency));
        let files = Files::new(&registry, settings.concurrency, settings.flush);
        let plan = compile::compile_watched(&loaded, &registry, &files, watch)
            .map_err(|problems| CannotStart(problems.iter().map(ToString::to_string).collect()))?;
        let addresses = bind(plan.admin, plan.listeners, &registry)?;
        let live = Arc::new(Live::new(plan.snapshot));
        let workers = Workers::start(settings.concurrency, &live, &registry, plan.buffer_bytes)
            .map_err(|error| CannotStart(vec![format!("cannot start worker threads: {error}")]))?;
        let (admin, listeners) = listen(addresses)
            .map_err(|error| CannotStart(vec![format!("an address was lost: {error}")]))?;
        let (sender, orders) = mpsc::channel(ORDERS);
        let Loaded {
            bootstrap, unused, ..
        } = loaded;
        let mut server = Server::new(bootstrap, unused, live, registry, sender, settings);
        server.certificates = Arc::new(plan.certificates);
        let gateway = Self {
            server: Arc::new(server),
            workers: Arc::new(workers),
            sites: listeners
                .iter()
                .map(|bound| Arc::clone(&bound.site))
                .collect(),
            listeners,
            files,
            admin,
            clusters: plan.clusters,
            orders,
        };
        gateway.note_listeners();
        Ok(gateway)
    }

    /// The listeners with the ports that they have.
    pub(crate) fn bound(&self) -> Vec<BoundListener> {
        self.server.bound()
    }

    /// Where the admin endpoint listens.
    pub(crate) fn admin_address(&self) -> Option<std::net::SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// A sender of orders, for whoever started the gateway.
    pub(crate) fn orders(&self) -> mpsc::Sender<Order> {
        self.server.orders.clone()
    }

    /// Serves until told to end, and then drains.
    pub(crate) async fn serve(mut self) -> ExitCode {
        // Before the first look-up: a name that does not resolve takes seconds.
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => {
                tracing::error!("cannot listen for signals: {error}");
                return ExitCode::FAILURE;
            }
        };
        let admin = self
            .admin
            .take()
            .map(|listener| tokio::spawn(admin::serve(listener, Arc::clone(&self.server))));
        let watch = tokio::spawn(Arc::clone(&self.server.certificates).watch());
        let health = tokio::spawn(health::run(Arc::clone(&self.server.live)));
        let clusters = std::mem::take(&mut self.clusters);
        let looked_up = tokio::select! {
            () = dns::start(clusters, &self.server.live) => true,
            _ = signals.next() => false,
        };
        let code = match looked_up {
            true => self.accept(&mut signals).await,
            false => {
                tracing::info!("told to end before serving");
                ExitCode::SUCCESS
            }
        };
        watch.abort();
        health.abort();
        if let Some(admin) = admin {
            admin.abort();
        }
        self.files.close(LOGS_CLOSE);
        code
    }

    /// Takes connections until told to end, and then drains.
    async fn accept(&mut self, signals: &mut Signals) -> ExitCode {
        let (drain, draining) = watch::channel(None);
        let accepting: Vec<_> = std::mem::take(&mut self.listeners)
            .into_iter()
            .map(|listener| {
                tokio::spawn(listener.accept(Arc::clone(&self.workers), draining.clone()))
            })
            .collect();
        self.server.set_state(State::Live);
        tracing::info!("serving");
        let code = self.obey(&drain, signals).await;
        for task in accepting {
            // Dropping the sender would end them too; this way their sockets are closed by now.
            task.abort();
        }
        code
    }

    /// Follows orders and signals to the end of the process.
    async fn obey(
        &mut self,
        drain: &watch::Sender<Option<DrainScope>>,
        signals: &mut Signals,
    ) -> ExitCode {
        // Whether the process ends when it has drained.
        let mut leaving = false;
        let mut drained: Drained = Box::pin(std::future::pending());
        loop {
            let order = tokio::select! {
                order = self.orders.recv() => order.unwrap_or(Order::Quit),
                told = signals.next() => match told {
                    // A second interrupt is impatience.
                    Told::Interrupt if leaving => Order::Quit,
                    _ => LEAVE,
                },
                () = &mut drained => {
                    self.report_drained(drain);
                    if leaving {
                        return ExitCode::SUCCESS;
                    }
                    drained = Box::pin(std::future::pending());
                    continue;
                }
            };
            match order {
                Order::Quit => return ExitCode::SUCCESS,
                Order::Drain { exit, scope } => {
                    let under_way = drain.borrow().is_some_and(|begun| covers(begun, scope));
                    // What is asked for already keeps its time.
                    if !leaving && (exit || !under_way) {
                        leaving = exit;
                        drained = self.drain(drain, scope);
                    }
                }
            }
        }
    }

    /// Refuses new connections, and has the old ones closed in quiet moments.
    fn drain(&self, drain: &watch::Sender<Option<DrainScope>>, scope: DrainScope) -> Drained {
        drain.send_replace(Some(scope));
        let (workers, sites) = (Arc::clone(&self.workers), self.sites(scope));
        if scope == DrainScope::All || !sites.is_empty() {
            self.server.set_state(State::Draining);
        }
        let time = self.server.drain_time;
        tracing::info!("draining for at most {} s", time.as_secs());
        Box::pin(async move {
            let time = shorten(time);
            workers.drain(time, scope).await;
            let closed = async {
                while sites.iter().any(|site| site.open() > 0) {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
            };
            // What is still open then is reported.
            let _ = tokio::time::timeout(time, closed).await;
        })
    }

    /// The listeners that a drain concerns.
    fn sites(&self, scope: DrainScope) -> Vec<Arc<Site>> {
        let sites = self.sites.iter().filter(|site| site.drains(scope));
        sites.cloned().collect()
    }

    fn report_drained(&self, drain: &watch::Sender<Option<DrainScope>>) {
        let Some(scope) = *drain.borrow() else { return };
        match self
            .sites(scope)
            .iter()
            .map(|site| site.open())
            .sum::<usize>()
        {
            0 => tracing::info!("every connection is closed"),
            left => tracing::warn!("{left} connections are still open after the drain time"),
        }
    }

    fn note_listeners(&self) {
        let bound = self
            .listeners
            .iter()
            .map(|bound| BoundListener {
                name: bound.site.plan.name.to_string(),
                address: bound.address,
            })
            .collect();
        *self
            .server
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = bound;
    }
}

/// What a signal to end the process means.
const LEAVE: Order = Order::Drain {
    exit: true,
    scope: DrainScope::All,
};

/// How often a drain looks whether it is done.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whether a drain that has begun does what another one would.
fn covers(begun: DrainScope, asked: DrainScope) -> bool {
    begun == DrainScope::All || begun == asked
}

/// The signals that end the process.
struct Signals {
    term: Signal,
    int: Signal,
}

/// Which of them came.
enum Told {
    Terminate,
    Interrupt,
}

impl Signals {
    /// From here on they do not end the process by themselves.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them; loses none when dropped before.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.term.recv() => Told::Terminate,
            _ = self.int.recv() => Told::Interrupt,
        }
    }
}

/// Ends when every connection is closed, or the time for that is up.
type Drained = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The addresses of the admin endpoint and of the listeners.
type Addresses = (Option<Reserved>, Vec<Bound>);

/// Takes every address, or says of each why it cannot be had.
fn bind(
    admin: Option<SocketAddr>,
    listeners: Vec<ListenerPlan>,
    registry: &Registry,
) -> Result<Addresses, CannotStart> {
    let mut reasons = Vec::new();
    let admin = admin.and_then(|address| {
        Reserved::new("the admin endpoint", address)
            .map_err(|reason| reasons.push(reason))
            .ok()
    });
    let mut bound = Vec::with_capacity(listeners.len());
    for plan in listeners {
        match Bound::bind(plan, registry) {
            Ok(listener) => bound.push(listener),
            Err(reason) => reasons.push(reason),
        }
    }
    match reasons.is_empty() {
        true => Ok((admin, bound)),
        false => Err(CannotStart(reasons)),
    }
}

/// Lets connections come in everywhere, now that nothing else can go wrong.
fn listen((admin, listeners): Addresses) -> io::Result<(Option<TcpListener>, Vec<Listening>)> {
    let listeners: Result<_, _> = listeners.into_iter().map(Bound::listen).collect();
    Ok((admin.map(Reserved::listen).transpose()?, listeners?))
}

/// Leaves a little of the drain time for the end of the process itself.
fn shorten(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(200))
        .max(time / 2)
}
