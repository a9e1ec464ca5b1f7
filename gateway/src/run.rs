//! The life of the process: bind, serve, drain, end.

use std::{
    process::ExitCode,
    sync::{Arc, PoisonError},
    time::Duration,
};

use crossdock_framework::{log::AccessLog, snapshot::Live, stats::Registry, workers::Workers};
use crossdock_xds::bootstrap::Loaded;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use crate::{
    access_log::Files,
    admin, compile, dns,
    listen::Bound,
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
    listeners: Vec<Bound>,
    files: Files,
    admin: Option<tokio::net::TcpListener>,
    clusters: Vec<compile::ClusterPlan>,
    orders: mpsc::Receiver<Order>,
}

/// Why a gateway could not start: lines for the operator.
#[derive(Debug)]
pub(crate) struct CannotStart(pub(crate) Vec<String>);

impl Gateway {
    /// Compiles the configuration and binds every listener, or does nothing at all.
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
        let mut plan = compile::compile(&loaded, &registry, &files)
            .map_err(|problems| CannotStart(problems.iter().map(ToString::to_string).collect()))?;
        for policy in plan.snapshot.policies.iter_mut().filter_map(Arc::get_mut) {
            policy.logs = policy.logs.iter().chain(&watch).cloned().collect();
        }
        let admin = match plan.admin {
            None => None,
            Some(address) => Some(tokio::net::TcpListener::bind(address).await.map_err(
                |error| {
                    CannotStart(vec![format!(
                        "the admin endpoint cannot listen at {address}: {error}"
                    )])
                },
            )?),
        };
        let bound: Result<Vec<_>, _> = plan
            .listeners
            .into_iter()
            .map(|plan| Bound::bind(plan, &registry))
            .collect();
        let listeners = bound.map_err(|text| CannotStart(vec![text]))?;
        let live = Arc::new(Live::new(plan.snapshot));
        let workers = Workers::start(settings.concurrency, &live, &registry, plan.buffer_bytes)
            .map_err(|error| CannotStart(vec![format!("cannot start worker threads: {error}")]))?;
        let (sender, orders) = mpsc::channel(ORDERS);
        let Loaded {
            bootstrap, unused, ..
        } = loaded;
        let server = Server::new(bootstrap, unused, live, registry, sender, settings);
        let gateway = Self {
            server: Arc::new(server),
            workers: Arc::new(workers),
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
        let admin = self
            .admin
            .take()
            .map(|listener| tokio::spawn(admin::serve(listener, Arc::clone(&self.server))));
        dns::start(std::mem::take(&mut self.clusters), &self.server.live).await;
        let (stop, stopped) = watch::channel(false);
        let accepting: Vec<_> = std::mem::take(&mut self.listeners)
            .into_iter()
            .map(|bound| tokio::spawn(bound.accept(Arc::clone(&self.workers), stopped.clone())))
            .collect();
        self.server.set_state(State::Live);
        tracing::info!("serving");
        let code = self.obey(&stop).await;
        for task in accepting {
            // Dropping the sender would end them too; this way their sockets are closed by now.
            task.abort();
        }
        if let Some(admin) = admin {
            admin.abort();
        }
        self.files.close(LOGS_CLOSE);
        code
    }

    /// Follows orders and signals to the end of the process.
    async fn obey(&mut self, stop: &watch::Sender<bool>) -> ExitCode {
        let (Ok(mut term), Ok(mut int)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            tracing::error!("cannot listen for signals");
            return ExitCode::FAILURE;
        };
        loop {
            let order = tokio::select! {
                order = self.orders.recv() => order.unwrap_or(Order::Quit),
                _ = term.recv() => Order::Drain { exit: true },
                _ = int.recv() => match self.server.state() {
                    // A second interrupt is impatience.
                    State::Draining => Order::Quit,
                    _ => Order::Drain { exit: true },
                },
            };
            let Order::Drain { exit } = order else {
                return ExitCode::SUCCESS;
            };
            self.server.set_state(State::Draining);
            stop.send_replace(true);
            let time = self.server.drain_time;
            tracing::info!("draining for at most {} s", time.as_secs());
            let hurry = async {
                tokio::select! {
                    order = self.orders.recv() => order != Some(Order::Quit),
                    _ = int.recv() => false,
                }
            };
            let finished = tokio::select! {
                () = self.workers.drain(shorten(time)) => true,
                waits = hurry => waits,
            };
            let left = self.workers.connections();
            match left {
                0 => tracing::info!("every connection is closed"),
                _ => tracing::warn!("{left} connections are cut off"),
            }
            if exit || !finished {
                return ExitCode::SUCCESS;
            }
        }
    }

    fn note_listeners(&self) {
        let bound = self
            .listeners
            .iter()
            .map(|bound| BoundListener {
                name: bound.plan.name.to_string(),
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

/// Leaves a little of the drain time for the end of the process itself.
fn shorten(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(200))
        .max(time / 2)
}
