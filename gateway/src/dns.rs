//! STRICT_DNS: names looked up again and again; every address is a host.

use std::{
    collections::HashMap,
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
            if tokio::time::timeout(FIRST, resolver.refresh())
                .await
                .is_err()
            {
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
                    for address in addresses.take(MAX_ADDRESSES) {
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
        snapshot.policies.clone_from(&now.policies);
        self.live.publish(snapshot);
    }
}
