//! The health of hosts as their calls show it: the sweeps of outlier detection, one task for all
//! clusters, off the workers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crossdock_framework::{
    outlier::At,
    snapshot::{Live, Snapshot},
    stats::Shard,
    time,
};

/// How often clusters are looked at at least: one that has been added is known from then on.
const LOOK: u64 = 1000;

/// The shortest time between two looks: an `interval` below it is as long.
const SHORTEST: u64 = 10;

/// Sweeps the clusters of whatever configuration is in force, for ever.
pub(crate) async fn run(live: Arc<Live>) {
    let mut sweeps = Sweeps::default();
    loop {
        let now = time::now_us() / 1000;
        let next = sweeps.pass(&live.load(), now, &mut || fastrand::u64(..));
        let wait = next.saturating_sub(now).clamp(SHORTEST, LOOK);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

/// When each cluster was swept last.
#[derive(Debug, Default)]
struct Sweeps {
    last: HashMap<Arc<str>, u64>,
}

impl Sweeps {
    /// Sweeps the clusters whose interval is over at `now_ms`, and says when the next one is due.
    fn pass(&mut self, now: &Snapshot, now_ms: u64, random: &mut dyn FnMut() -> u64) -> u64 {
        let mut next = u64::MAX;
        self.last.retain(|name, _| now.find(name).is_some());
        for cluster in now.clusters() {
            let Some(detector) = &cluster.outlier else {
                self.last.remove(&cluster.name);
                continue;
            };
            let name = Arc::clone(&cluster.name);
            let last = self.last.entry(name).or_insert(now_ms);
            let interval = u64::try_from(detector.config().interval.as_millis());
            let interval = interval.unwrap_or(u64::MAX).max(SHORTEST);
            if now_ms.saturating_sub(*last) >= interval {
                *last = now_ms;
                let at = At {
                    now_ms,
                    random: random(),
                    shard: Shard(0),
                };
                detector.sweep(&cluster.hosts, at, random);
            } else {
                detector.recount(&cluster.hosts);
            }
            next = next.min(last.saturating_add(interval));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use crossdock_framework::{
        cluster::{Breakers, Cluster, ClusterMetric, ClusterSettings, Host, HostSet, HostState},
        outlier::{Config, Detector, OutlierMetric, Told},
        stats::Registry,
    };
    use crossdock_routers::{BalancerConfig, LoadBalancer};

    use super::*;

    /// A cluster of one host, looked at every two seconds, from which it is away for five.
    fn cluster(name: &str, hosts: &Arc<HostSet>) -> Arc<Cluster> {
        let registry = Registry::new(1);
        let config = Config {
            interval: Duration::from_secs(2),
            base_ejection_time: Duration::from_secs(5),
            max_ejection_percent: 100,
            ..Config::default()
        };
        let counts = registry.group::<OutlierMetric>("cluster", name);
        Arc::new(Cluster {
            name: name.into(),
            hosts: Arc::clone(hosts),
            balancer: LoadBalancer::build(None, hosts, &BalancerConfig::default()),
            connect_timeout: Duration::from_secs(5),
            secure: None,
            breakers: Arc::new([Breakers::unlimited(), Breakers::unlimited()]),
            settings: ClusterSettings::default(),
            http: Default::default(),
            observer: None,
            outlier: Some(Arc::new(Detector::new(config, name.into(), hosts, counts))),
            stats: registry.group::<ClusterMetric>("cluster", name),
        })
    }

    fn host() -> Arc<HostSet> {
        let host = Host {
            address: ([127, 0, 0, 1], 80).into(),
            hostname: None,
            hash_key: None,
            weight: 1,
            healthy: true,
            state: HostState::new(),
        };
        Arc::new(HostSet::new(vec![host]))
    }

    /// Makes the only host fail five times at `now_ms`.
    fn fail(cluster: &Cluster, now_ms: u64) {
        let at = || At {
            now_ms,
            random: 0,
            shard: Shard(1),
        };
        let detector = cluster.outlier.as_ref().expect("it has one");
        for (_, host) in cluster.hosts.iter() {
            (0..5).for_each(|_| detector.note(&cluster.hosts, host, Told::Answer(500), &at));
        }
    }

    #[test]
    fn a_host_comes_back_with_the_first_sweep_after_its_time() {
        let hosts = host();
        let before = cluster("orders", &hosts);
        let mut sweeps = Sweeps::default();
        let pass = |sweeps: &mut Sweeps, cluster: &Arc<Cluster>, now| {
            sweeps.pass(&Snapshot::new(vec![Arc::clone(cluster)]), now, &mut || 0)
        };
        assert_eq!(pass(&mut sweeps, &before, 1000), 3000, "an interval later");
        fail(&before, 1500);
        // Versions that follow one another faster than the interval do not put the sweep off.
        let mut returned = None;
        for now in (1500..12_000).step_by(500) {
            let version = cluster("orders", &hosts);
            let away = version.ejected();
            assert_eq!(away, u32::from(returned.is_none()), "at {now}");
            pass(&mut sweeps, &version, now);
            if returned.is_none() && version.ejected() == 0 {
                returned = Some(now);
            }
        }
        assert_eq!(
            returned,
            Some(7000),
            "away until 6500, swept at 3000, 5000, 7000"
        );
    }

    #[test]
    fn clusters_that_are_gone_are_forgotten() {
        let mut sweeps = Sweeps::default();
        let both = vec![cluster("a", &host()), cluster("b", &host())];
        sweeps.pass(&Snapshot::new(both), 0, &mut || 0);
        assert_eq!(sweeps.last.len(), 2);
        sweeps.pass(&Snapshot::new(Vec::new()), 1, &mut || 0);
        assert!(sweeps.last.is_empty());
    }
}
