//! The life of the process: bind, serve, drain, end.

use std::{io, pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use crossdock_framework::{
    drain::DrainScope, log::AccessLog, snapshot::Live, stats::Registry, workers::Workers,
};
use crossdock_xds::{Problem, bootstrap::Loaded, discovery::Feed};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{
    access_log::Files,
    admin,
    compile::{Compiler, Tools},
    discovery::{Engine, Manager},
    health,
    listen::Reserved,
    server::{BoundListener, Order, ProcessSettings, Server, State},
};

/// Orders that may wait: an operator sends few.
const ORDERS: usize = 16;

/// How long the lines that wait may take to be written at the end of the process.
const LOGS_CLOSE: Duration = Duration::from_millis(150);

/// A gateway whose static listeners have their addresses, before it serves.
#[derive(Debug)]
pub(crate) struct Gateway {
    server: Arc<Server>,
    workers: Arc<Workers>,
    manager: Manager,
    files: Arc<Files>,
    admin: Option<TcpListener>,
    orders: mpsc::Receiver<Order>,
    /// The drain in progress.
    drain: Option<DrainScope>,
}

/// Why a gateway could not start: lines for the operator.
#[derive(Debug)]
pub(crate) struct CannotStart(pub(crate) Vec<String>);

impl Gateway {
    /// Compiles the configuration, takes the address of every static listener, and then lets
    /// connections come in at all that wait for nothing; or does nothing at all.
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
        let files = Arc::new(files);
        let tools = Tools {
            registry: Arc::clone(&registry),
            files: Arc::clone(&files),
            watch,
            filters: Arc::default(),
        };
        let refuse = |problems: Vec<Problem>| {
            CannotStart(problems.iter().map(ToString::to_string).collect())
        };
        let feed = Feed::new(&loaded, settings.files.clone());
        let (compiler, resources) = Compiler::new(&loaded, tools).map_err(refuse)?;
        let feed = feed.map_err(refuse)?;
        let base = compiler.base();
        let admin = base.admin.map(|at| Reserved::new("the admin endpoint", at));
        let (memory, certificates) = (base.buffer_bytes, Arc::clone(&base.certificates));
        let live = Arc::new(Live::default());
        let workers = Workers::start(settings.concurrency, &live, &registry, memory)
            .map_err(|error| CannotStart(vec![format!("cannot start worker threads: {error}")]))?;
        let workers = Arc::new(workers);
        let (sender, orders) = mpsc::channel(ORDERS);
        let Loaded {
            bootstrap, unused, ..
        } = loaded;
        let mut server = Server::new(bootstrap, unused, live, registry, sender, settings);
        server.certificates = certificates;
        let server = Arc::new(server);
        let engine = Engine::new(compiler, resources);
        let manager = Manager::new(engine, feed, &server, &workers);
        let (admin, mut manager) = match (admin.transpose(), manager) {
            (Ok(admin), Ok(manager)) => (admin, manager),
            (admin, manager) => {
                let reasons = admin.err().into_iter();
                let more = manager.err().into_iter().flatten();
                return Err(CannotStart(reasons.chain(more).collect()));
            }
        };
        manager.start().await.map_err(CannotStart)?;
        let admin = admin.map(Reserved::listen).transpose();
        let admin =
            admin.map_err(|error| CannotStart(vec![format!("an address was lost: {error}")]))?;
        manager.settle().await;
        Ok(Self {
            server,
            workers,
            manager,
            files,
            admin,
            orders,
            drain: None,
        })
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
        let code = self.obey(&mut signals).await;
        // By now no socket takes connections.
        self.manager.close(DrainScope::All);
        watch.abort();
        health.abort();
        if let Some(admin) = admin {
            admin.abort();
        }
        self.files.close(LOGS_CLOSE);
        code
    }

    /// Follows orders, signals and changes of the configuration to the end of the process.
    async fn obey(&mut self, signals: &mut Signals) -> ExitCode {
        // Whether the process ends when it has drained.
        let mut leaving = false;
        let mut serving = false;
        let mut drained: Drained = Box::pin(std::future::pending());
        loop {
            if !serving && self.manager.is_ready() {
                serving = true;
                self.manager.open();
                self.server.set_state(State::Live);
                tracing::info!("serving");
            }
            let order = tokio::select! {
                order = self.orders.recv() => order.unwrap_or(Order::Quit),
                told = signals.next() => match told {
                    // A second interrupt is impatience.
                    Told::Interrupt if leaving => Order::Quit,
                    _ => LEAVE,
                },
                () = &mut drained => {
                    self.report_drained();
                    if leaving {
                        return ExitCode::SUCCESS;
                    }
                    drained = Box::pin(std::future::pending());
                    continue;
                }
                event = self.manager.next() => {
                    self.manager.handle(event).await;
                    continue;
                }
            };
            match order {
                Order::Quit => return ExitCode::SUCCESS,
                Order::Drain { exit: true, .. } if !serving => {
                    tracing::info!("told to end before serving");
                    return ExitCode::SUCCESS;
                }
                Order::Drain { exit, scope } => {
                    let under_way = self.drain.is_some_and(|begun| covers(begun, scope));
                    // What is asked for already keeps its time.
                    if !leaving && (exit || !under_way) {
                        leaving = exit;
                        drained = self.drain(scope);
                    }
                }
            }
        }
    }

    /// Refuses new connections, and has the old ones closed in quiet moments.
    fn drain(&mut self, scope: DrainScope) -> Drained {
        self.drain = Some(scope);
        self.manager.close(scope);
        let (workers, sites) = (Arc::clone(&self.workers), self.manager.sites(scope));
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

    fn report_drained(&self) {
        let Some(scope) = self.drain else { return };
        let sites = self.manager.sites(scope);
        match sites.iter().map(|site| site.open()).sum::<usize>() {
            0 => tracing::info!("every connection is closed"),
            left => tracing::warn!("{left} connections are still open after the drain time"),
        }
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

/// Leaves a little of the drain time for the end of the process itself.
fn shorten(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(200))
        .max(time / 2)
}
