//! What the parts of the running process know of each other.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::SystemTime,
};

use crossdock_framework::{snapshot::Live, stats::Registry, worker::DrainScope};
use crossdock_xds::{
    Unused,
    discovery::{Options, Subscriptions, Warming},
    envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap,
};
use tokio::sync::mpsc;

/// The process as its control plane sees it: shared by the admin endpoint, the listeners and the
/// signal handlers.
#[derive(Debug)]
pub(crate) struct Server {
    /// The configuration as it was read.
    pub(crate) bootstrap: Bootstrap,
    /// Fields of it that are not acted upon.
    pub(crate) unused: Vec<Unused>,
    /// The compiled configuration of this instant.
    pub(crate) live: Arc<Live>,
    /// Every metric.
    pub(crate) registry: Arc<Registry>,
    /// The listeners that are bound.
    pub(crate) listeners: Mutex<Vec<BoundListener>>,
    /// What was discovered.
    discovered: Mutex<Arc<Discovered>>,
    /// Where the admin endpoint and the signal handlers send their orders.
    pub(crate) orders: mpsc::Sender<Order>,
    /// When the process started.
    pub(crate) started: SystemTime,
    /// Worker threads.
    pub(crate) concurrency: usize,
    /// How long a drain may take.
    pub(crate) drain_time: std::time::Duration,
    /// Certificates in use.
    pub(crate) certificates: Arc<crate::tls::Contexts>,
    /// Changes the level of the log; `None` in tests without a log of their own.
    pub(crate) log_level: crate::logging::Level,
    state: AtomicU8,
}

/// A listener as it is bound.
#[derive(Clone, Debug)]
pub(crate) struct BoundListener {
    /// Its configured name.
    pub(crate) name: String,
    /// The address with the port that the kernel gave, where 0 was asked for.
    pub(crate) address: SocketAddr,
}

/// What was discovered, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Discovered {
    /// What is wanted, what is in force and what waits; the bootstrap's resources among them.
    pub(crate) warming: Warming,
    /// What is subscribed to.
    pub(crate) subscriptions: Subscriptions,
    /// Fields of files that are not acted upon.
    pub(crate) unused: Vec<Unused>,
}

/// What the control plane can be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Stop accepting and close connections in quiet moments.
    Drain {
        /// End the process afterwards.
        exit: bool,
        /// Which listeners.
        scope: DrainScope,
    },
    /// End at once, without waiting for calls in flight.
    Quit,
}

/// The state of the process, numbered as Envoy's `server.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Serving.
    Live = 0,
    /// Refusing new connections, finishing old ones.
    Draining = 1,
    /// Not serving yet.
    Initializing = 3,
}

impl Server {
    /// A process that does not serve yet.
    pub(crate) fn new(
        bootstrap: Bootstrap,
        unused: Vec<Unused>,
        live: Arc<Live>,
        registry: Arc<Registry>,
        orders: mpsc::Sender<Order>,
        settings: ProcessSettings,
    ) -> Self {
        Self {
            bootstrap,
            unused,
            live,
            registry,
            listeners: Mutex::default(),
            discovered: Mutex::default(),
            orders,
            started: SystemTime::now(),
            concurrency: settings.concurrency,
            drain_time: settings.drain_time,
            certificates: Arc::default(),
            log_level: settings.log_level,
            state: AtomicU8::new(State::Initializing as u8),
        }
    }

    /// What the process does now.
    pub(crate) fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 => State::Live,
            1 => State::Draining,
            _ => State::Initializing,
        }
    }

    /// Notes what the process does from now on.
    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    /// Notes which listeners are bound.
    pub(crate) fn note_listeners(&self, bound: Vec<BoundListener>) {
        *self
            .listeners
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = bound;
    }

    /// Notes what has been discovered.
    pub(crate) fn note_discovered(&self, discovered: Discovered) {
        *self
            .discovered
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(discovered);
    }

    /// What was discovered.
    pub(crate) fn discovered(&self) -> Arc<Discovered> {
        let discovered = self.discovered.lock();
        Arc::clone(&discovered.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The listeners that are bound.
    pub(crate) fn bound(&self) -> Vec<BoundListener> {
        self.listeners
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

/// What the command line says about the process.
#[derive(Clone, Debug)]
pub(crate) struct ProcessSettings {
    /// `--concurrency`.
    pub(crate) concurrency: usize,
    /// `--drain-time-s`.
    pub(crate) drain_time: std::time::Duration,
    /// `--file-flush-interval-msec` and `--file-flush-min-size-kb`.
    pub(crate) flush: crate::access_log::Flush,
    /// Changes the level of the log.
    pub(crate) log_level: crate::logging::Level,
    /// How files with resources are read.
    pub(crate) files: Options,
}
