//! Metrics of the process itself: known without counting.

use crate::{
    admin::process,
    server::{Server, State},
};

/// What is true of the process at one moment.
#[derive(Debug)]
pub(super) struct Now {
    state: State,
    concurrency: u64,
    clusters: u64,
    listeners: u64,
    connections: u64,
    resident: u64,
    uptime: u64,
    /// Whether listeners are discovered, and counted by who does that.
    lds: bool,
    /// The same of clusters.
    cds: bool,
}

impl Now {
    /// Looks at the process.
    pub(super) fn of(server: &Server) -> Self {
        let groups = server.registry.groups();
        let listeners = groups
            .iter()
            .filter(|group| group.scope().kind == "listener");
        let read = listeners.flat_map(|group| group.read());
        let open = read.filter(|(def, _)| def.name == "downstream_cx_active");
        let discovered = server.discovered();
        Self {
            lds: discovered.subscriptions.listeners.is_some(),
            cds: discovered.subscriptions.clusters.is_some(),
            state: server.state(),
            concurrency: server.concurrency as u64,
            clusters: server.live.load().clusters().len() as u64,
            listeners: server.bound().len() as u64,
            connections: open.map(|(_, value)| value).sum(),
            resident: process::resident_bytes(),
            uptime: process::uptime(server).as_secs(),
        }
    }

    fn started(&self) -> u64 {
        u64::from(self.state != State::Initializing)
    }
}

/// A metric of the process.
pub(super) struct Own {
    /// Its full name.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) gauge: bool,
    pub(super) value: fn(&Now) -> u64,
}

const fn counter(name: &'static str, help: &'static str, value: fn(&Now) -> u64) -> Own {
    Own {
        name,
        help,
        gauge: false,
        value,
    }
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&Now) -> u64) -> Own {
    Own {
        name,
        help,
        gauge: true,
        value,
    }
}

/// Every metric of the process, named as Envoy does.
pub(super) const OWN: &[Own] = &[
    // What a file without discovery gives is taken over as one update of each kind.
    counter(
        "cluster_manager.cds.update_success",
        "Updates of clusters that were taken over.",
        |now| if now.cds { 0 } else { now.started() },
    ),
    counter(
        "cluster_manager.cds.update_rejected",
        "Updates of clusters that were refused.",
        |_| 0,
    ),
    gauge("cluster_manager.active_clusters", "Clusters.", |now| {
        now.clusters
    }),
    counter(
        "listener_manager.lds.update_success",
        "Updates of listeners that were taken over.",
        |now| if now.lds { 0 } else { now.started() },
    ),
    counter(
        "listener_manager.lds.update_rejected",
        "Updates of listeners that were refused.",
        |_| 0,
    ),
    gauge(
        "listener_manager.total_listeners_active",
        "Listeners.",
        |now| now.listeners,
    ),
    gauge(
        "listener_manager.workers_started",
        "Whether the workers run.",
        Now::started,
    ),
    gauge("server.concurrency", "Workers.", |now| now.concurrency),
    gauge("server.live", "Whether calls are served.", |now| {
        u64::from(now.state == State::Live)
    }),
    gauge(
        "server.memory_allocated",
        "Bytes of memory that are resident.",
        |now| now.resident,
    ),
    gauge(
        "server.memory_physical_size",
        "Bytes of memory that are resident.",
        |now| now.resident,
    ),
    gauge(
        "server.state",
        "0 live, 1 draining, 2 before initialization, 3 initializing.",
        |now| now.state as u64,
    ),
    gauge(
        "server.total_connections",
        "Connections to all listeners.",
        |now| now.connections,
    ),
    gauge("server.uptime", "Seconds since the start.", |now| {
        now.uptime
    }),
];
