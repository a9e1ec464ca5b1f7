//! Where metrics come from: the cells of the workers, and what is known without counting.

use std::{borrow::Cow, collections::BTreeMap};

use crossdock_framework::{
    cluster::{Breakers, Cluster},
    stats::{Group, Scope},
};

use super::{Histogram, Name, Stat, Stats, Wanted};
use crate::{
    admin::process,
    server::{Server, State},
};

/// Everything that is wanted. What has the same full name is one metric, as in Envoy.
pub(super) fn collect(server: &Server, wanted: &Wanted) -> Stats {
    let mut all = Collector {
        wanted,
        stats: BTreeMap::new(),
        histograms: BTreeMap::new(),
    };
    for group in server.registry.groups() {
        all.group(&group);
    }
    let snapshot = server.live.load();
    for cluster in snapshot.clusters() {
        all.cluster(cluster);
    }
    all.process(server, snapshot.clusters().len());
    Stats {
        stats: all.stats.into_iter().collect(),
        histograms: all.histograms.into_iter().collect(),
    }
}

struct Collector<'w> {
    wanted: &'w Wanted,
    stats: BTreeMap<String, Stat>,
    histograms: BTreeMap<String, Histogram>,
}

impl Collector<'_> {
    fn add(&mut self, stat: Stat) {
        let name = stat.name.full();
        let kinds = self.wanted.kinds;
        let kind = if stat.gauge {
            kinds.gauges
        } else {
            kinds.counters
        };
        if kind && self.wanted.takes(&name, stat.used) {
            let value = stat.value;
            let known = self.stats.entry(name).or_insert(Stat { value: 0, ..stat });
            known.value = known.value.wrapping_add(value);
        }
    }

    fn group(&mut self, group: &Group) {
        let scope = group.scope();
        // A gauge that is back at zero is in use all the same when its thing has counted anything.
        let active = group.read().any(|(def, value)| value > 0 && !def.gauge);
        for (def, value) in group.read() {
            let name = Name {
                scope: scope.clone(),
                own: def.name.into(),
            };
            let used = value > 0 || def.gauge && active;
            self.add(Stat {
                name,
                gauge: def.gauge,
                value,
                used,
            });
        }
        let Some(time) = group.time().filter(|_| self.wanted.kinds.histograms) else {
            return;
        };
        let own = match scope.kind {
            "cluster" => "upstream_rq_time",
            "http" => "downstream_rq_time",
            _ => "time",
        };
        let name = Name {
            scope: scope.clone(),
            own: own.into(),
        };
        let (buckets, sum) = time.read();
        let full = name.full();
        if self.wanted.takes(&full, !buckets.is_empty()) {
            self.histograms
                .entry(full)
                .or_insert(Histogram { name, buckets, sum });
        }
    }

    /// What is true of a cluster now.
    fn cluster(&mut self, cluster: &Cluster) {
        let hosts = &cluster.hosts;
        let healthy = hosts.iter().filter(|(_, host)| host.healthy).count();
        let scope = cluster.stats.scope().clone();
        let mut gauge = |name: Cow<'static, str>, value: u64, used: bool| {
            self.add(Stat {
                name: Name {
                    scope: scope.clone(),
                    own: name,
                },
                gauge: true,
                value,
                used,
            });
        };
        gauge("membership_total".into(), hosts.len() as u64, true);
        gauge("membership_healthy".into(), healthy as u64, true);
        for (breakers, priority) in cluster.breakers.iter().zip(["default", "high"]) {
            for (name, value, used) in breaker_gauges(breakers) {
                let name = format!("circuit_breakers.{priority}.{name}");
                gauge(name.into(), value.into(), used);
            }
        }
    }

    /// What is true of the process now.
    fn process(&mut self, server: &Server, clusters: usize) {
        let scope = |kind| Scope {
            kind,
            label: "".into(),
        };
        let state = server.state();
        let started = u64::from(state != State::Initializing);
        let resident = process::resident_bytes();
        let connections = server.registry.groups();
        let connections = connections
            .iter()
            .filter(|group| group.scope().kind == "listener");
        let connections = connections.flat_map(|group| group.read());
        let connections = connections.filter(|(def, _)| def.name == "downstream_cx_active");
        let connections = connections.map(|(_, value)| value).sum();
        let (counter, gauge) = (false, true);
        for (kind, name, gauge, value) in [
            // What the file gives is taken over as one update of each kind.
            ("cluster_manager", "cds.update_success", counter, started),
            ("cluster_manager", "cds.update_rejected", counter, 0),
            ("cluster_manager", "active_clusters", gauge, clusters as u64),
            ("listener_manager", "lds.update_success", counter, started),
            ("listener_manager", "lds.update_rejected", counter, 0),
            (
                "listener_manager",
                "total_listeners_active",
                gauge,
                server.bound().len() as u64,
            ),
            ("listener_manager", "workers_started", gauge, started),
            ("server", "concurrency", gauge, server.concurrency as u64),
            ("server", "live", gauge, u64::from(state == State::Live)),
            ("server", "memory_allocated", gauge, resident),
            ("server", "memory_physical_size", gauge, resident),
            ("server", "state", gauge, state as u64),
            ("server", "total_connections", gauge, connections),
            ("server", "uptime", gauge, process::uptime(server).as_secs()),
        ] {
            let name = Name {
                scope: scope(kind),
                own: name.into(),
            };
            self.add(Stat {
                name,
                gauge,
                value,
                used: gauge || value > 0,
            });
        }
    }
}

/// Envoy's gauges of a circuit breaker: whether it is open, and how much it still lets through.
fn breaker_gauges(breakers: &Breakers) -> [(&'static str, u32, bool); 6] {
    let (requests, connections, pending) = breakers.now();
    let gauges = |open, remaining, now: u32, max: u32| {
        [
            (open, u32::from(now >= max), now >= max),
            (remaining, max.saturating_sub(now), now > 0),
        ]
    };
    let [cx_open, cx] = gauges(
        "cx_open",
        "remaining_cx",
        connections,
        breakers.max_connections,
    );
    let [rq_open, rq] = gauges("rq_open", "remaining_rq", requests, breakers.max_requests);
    let [wait_open, wait] = gauges(
        "rq_pending_open",
        "remaining_pending",
        pending,
        breakers.max_pending,
    );
    [cx_open, rq_open, wait_open, cx, rq, wait]
}
