//! Where metrics come from: the cells of the workers, and what is known without counting.

use std::{borrow::Cow, collections::BTreeMap};

use crossdock_framework::{
    cluster::{Breakers, Cluster},
    stats::{Def, Group, Kind, Scope},
};

use super::{
    Histogram, Name, Stat, Stats, Wanted,
    process::{Now, OWN},
};
use crate::server::Server;

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
    all.process(&Now::of(server));
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
        let is_gauge = |def: &Def| def.kind == Kind::Gauge;
        // A gauge that is back at zero is in use all the same when its thing has counted anything.
        let active = group
            .read()
            .any(|(def, value)| value > 0 && !is_gauge(&def));
        for (def, value) in group.read() {
            let gauge = is_gauge(&def);
            self.add(Stat {
                name: Name::new(scope, def.name),
                help: def.help,
                gauge,
                value,
                used: value > 0 || gauge && active,
            });
        }
        for (def, code, value) in group.codes() {
            self.add(Stat {
                name: Name::new(scope, format!("{}_{code}", def.name)),
                help: def.help,
                gauge: false,
                value,
                used: true,
            });
        }
        for (def, times) in group.times().filter(|_| self.wanted.kinds.histograms) {
            let name = Name::new(scope, def.name);
            let full = name.full();
            let (buckets, sum) = times.read();
            if self.wanted.takes(&full, !buckets.is_empty()) {
                self.histograms.entry(full).or_insert(Histogram {
                    name,
                    help: def.help,
                    buckets,
                    sum,
                });
            }
        }
    }

    /// What is true of a cluster now.
    fn cluster(&mut self, cluster: &Cluster) {
        let hosts = &cluster.hosts;
        let healthy = hosts.iter().filter(|(_, host)| host.healthy).count();
        let healthy = healthy as u64 - u64::from(cluster.ejected()).min(healthy as u64);
        let scope = cluster.stats.scope().clone();
        let mut gauge = |name: Cow<'static, str>, help, value: u64, used: bool| {
            self.add(Stat {
                name: Name::new(&scope, name),
                help,
                gauge: true,
                value,
                used,
            });
        };
        gauge(
            "membership_total".into(),
            "Hosts.",
            hosts.len() as u64,
            true,
        );
        let help = "Hosts that are healthy.";
        gauge("membership_healthy".into(), help, healthy, true);
        let help = "Hosts that say that they are not quite well; they are not told apart.";
        gauge("membership_degraded".into(), help, 0, false);
        if let Some(detector) = &cluster.outlier {
            let help = "Hosts that are ejected.";
            let ejected = detector.ejected();
            gauge(
                "outlier_detection.ejections_active".into(),
                help,
                ejected.into(),
                true,
            );
        }
        for (breakers, priority) in cluster.breakers.iter().zip(["default", "high"]) {
            for (name, help, value, used) in breaker_gauges(breakers) {
                let name = format!("circuit_breakers.{priority}.{name}");
                gauge(name.into(), help, value.into(), used);
            }
        }
    }

    /// What is true of the process now.
    fn process(&mut self, now: &Now) {
        for own in OWN {
            let (kind, name) = own.name.split_once('.').unwrap_or(("server", own.name));
            let value = (own.value)(now);
            self.add(Stat {
                name: Name::new(&Scope::new(kind, &[]), name),
                help: own.help,
                gauge: own.gauge,
                value,
                used: own.gauge || value > 0,
            });
        }
    }
}

/// Envoy's gauges of a circuit breaker: whether it is open, and how much it still lets through.
fn breaker_gauges(breakers: &Breakers) -> [(&'static str, &'static str, u32, bool); 8] {
    let (requests, connections, pending) = breakers.now();
    let open = |name, help, now: u32, max: u32| (name, help, u32::from(now >= max), now >= max);
    let left = |name, help, now: u32, max: u32| (name, help, max.saturating_sub(now), now > 0);
    let (most_cx, most_rq) = (breakers.max_connections, breakers.max_requests);
    let most_pending = breakers.max_pending;
    let (retries, most_retries) = (breakers.retrying(), breakers.most_retries());
    [
        open(
            "cx_open",
            "Whether there are as many connections as there may be.",
            connections,
            most_cx,
        ),
        open(
            "rq_open",
            "Whether there are as many calls in flight as there may be.",
            requests,
            most_rq,
        ),
        open(
            "rq_pending_open",
            "Whether as many calls wait for a connection as may.",
            pending,
            most_pending,
        ),
        open(
            "rq_retry_open",
            "Whether there are as many retries under way as there may be.",
            retries,
            most_retries,
        ),
        left(
            "remaining_cx",
            "Connections that may still be opened.",
            connections,
            most_cx,
        ),
        left(
            "remaining_rq",
            "Calls that may still begin.",
            requests,
            most_rq,
        ),
        left(
            "remaining_pending",
            "Calls that may still wait for a connection.",
            pending,
            most_pending,
        ),
        left(
            "remaining_retries",
            "Retries that may still begin.",
            retries,
            most_retries,
        ),
    ]
}
