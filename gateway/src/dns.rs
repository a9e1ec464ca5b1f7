//! STRICT_DNS: names looked up again and again; every address is a host.

use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use crossdock_framework::{
    cluster::{Cluster, Host, HostState},
    snapshot::{Live, Snapshot},
};

use crate::compile::{ClusterPlan, DnsTarget};

/// The longest that the first look-up may delay the start.
const FIRST: Duration = Duration::from_secs(5);

/// Addresses taken of one name.
const MAX_ADDRESSES: usize = 1024;

/// Looks the names of every cluster up once, and then keeps looking.
pub(crate) async fn start(clusters: Vec<ClusterPlan>, live: &Arc<Live>) {
    let publishing = Arc::new(Mutex::new(()));
    let mut first = Vec::new();
    for (ix, plan) in clusters
        .into_iter()
        .enumerate()
        .filter(|(_, plan)| plan.needs_dns())
    {
        let mut resolver = Resolver {
            plan,
            ix,
            live: Arc::clone(live),
            publishing: Arc::clone(&publishing),
            states: HashMap::new(),
        };
        first.push(tokio::spawn(async move {
            let name = Arc::clone(&resolver.plan.name);
            if !ends_within(FIRST, resolver.refresh()).await {
                tracing::warn!(cluster = %name, "its names are not resolved yet; serving without");
            }
            tokio::spawn(async move { resolver.run().await });
        }));
    }
    for looked_up in first {
        // A look-up that panicked has been reported by its task.
        let _ = looked_up.await;
    }
}

/// Whether a look-up comes to its end in time.
async fn ends_within(limit: Duration, looking: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(limit, looking).await.is_ok()
}

/// As many addresses of a name as become hosts.
fn taken(addresses: impl Iterator<Item = SocketAddr>) -> impl Iterator<Item = SocketAddr> {
    addresses.take(MAX_ADDRESSES)
}

struct Resolver {
    plan: ClusterPlan,
    ix: usize,
    live: Arc<Live>,
    publishing: Arc<Mutex<()>>,
    states: HashMap<SocketAddr, Arc<HostState>>,
}

impl Resolver {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(self.plan.refresh).await;
            self.refresh().await;
        }
    }

    /// Looks every name up; publishes the cluster anew when its addresses differ.
    async fn refresh(&mut self) {
        let mut hosts = Vec::new();
        for plan in &self.plan.hosts {
            match &plan.target {
                DnsTarget::Address(address, state) => {
                    hosts.push(plan.host(*address, None, Arc::clone(state)));
                }
                DnsTarget::Name(name, port) => {
                    let looked_up = tokio::net::lookup_host((name.as_ref(), *port)).await;
                    let addresses = match looked_up {
                        Ok(addresses) => addresses,
                        Err(error) => {
                            tracing::warn!(cluster = %self.plan.name, "cannot resolve {name}: {error}");
                            // The last known addresses are better than none.
                            return;
                        }
                    };
                    for address in taken(addresses) {
                        let state = self.states.entry(address).or_insert_with(HostState::new);
                        hosts.push(plan.host(address, Some(Arc::clone(name)), Arc::clone(state)));
                    }
                }
            }
        }
        hosts.sort_by_key(|host| host.address);
        hosts.dedup_by_key(|host| host.address);
        self.states
            .retain(|address, _| hosts.iter().any(|host| host.address == *address));
        self.publish(hosts);
    }

    fn publish(&mut self, hosts: Vec<Host>) {
        let _one_at_a_time = self
            .publishing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = self.live.load();
        let Some(previous) = now.clusters().get(self.ix) else {
            return;
        };
        let same = previous.hosts.len() == hosts.len()
            && previous
                .hosts
                .iter()
                .zip(&hosts)
                .all(|((_, a), b)| a.address == b.address);
        if same {
            return;
        }
        let mut clusters: Vec<Arc<Cluster>> = now.clusters().to_vec();
        if let Some(cluster) = clusters.get_mut(self.ix) {
            *cluster = self.plan.with_hosts(hosts);
            tracing::info!(cluster = %cluster.name, hosts = cluster.hosts.len(), "resolved");
        }
        // The clusters keep their order, so the links of every policy still hold.
        let mut snapshot = Snapshot::new(clusters);
        for (ix, policy) in now.policies() {
            snapshot.put_policy(ix, Arc::clone(policy));
        }
        self.live.publish(snapshot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../docs/limits.md");

    #[test]
    fn a_name_gives_so_many_hosts() {
        let many = (0..5000_u32).map(|n| SocketAddr::new(n.to_be_bytes().into(), 80));
        assert_eq!(taken(many.clone()).count(), 1024);
        assert_eq!(taken(many.take(3)).count(), 3);
        assert!(DOCS.contains("| addresses taken of one DNS name | 1024 |"));
    }

    #[tokio::test]
    async fn a_first_look_up_that_does_not_end_delays_the_start_no_longer() {
        assert!(ends_within(FIRST, async {}).await);
        let short = Duration::from_millis(20);
        assert!(!ends_within(short, std::future::pending()).await);
        assert_eq!(FIRST, Duration::from_secs(5));
        assert!(DOCS.contains("| the first DNS look-up | 5 s |"));
    }
}
