//! The hosts of a cluster, from version to version: what is known of a host stays with its address.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use crossdock_framework::cluster::{Cluster, HostState};
use crossdock_routers::LoadBalancer;

use crate::{
    compile::{Assignment, ClusterPlan, HostPlan, Target},
    dns::Found,
};

/// A host: its address, and which of several endpoints with that address it is.
type Place = (SocketAddr, usize);

/// A cluster as it is served, with what outlives its next version.
#[derive(Debug)]
pub(super) struct Running {
    plan: Arc<ClusterPlan>,
    /// What EDS says.
    assigned: Option<Arc<Assignment>>,
    found: Option<Arc<Found>>,
    states: HashMap<Place, Arc<HostState>>,
    balancer: Arc<LoadBalancer>,
    pub(super) cluster: Arc<Cluster>,
}

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) plan: Arc<ClusterPlan>,
    /// What EDS says.
    pub(super) assigned: Option<Arc<Assignment>>,
    /// What DNS says.
    pub(super) found: Option<Arc<Found>>,
}

impl Running {
    /// The cluster of these parts. Of the version before it stay: everything if the parts are the
    /// same; else what is known of each host, unless its connections would be other ones, and the
    /// balancer's table while it holds.
    pub(super) fn next(parts: Parts, before: Option<Self>) -> Self {
        let before = match before {
            Some(before) if before.is_of(&parts) => return before,
            before => before,
        };
        let Parts {
            plan,
            assigned,
            found,
        } = parts;
        let known = before
            .as_ref()
            .filter(|before| plan.shares_connections(&before.plan))
            .map(|before| &before.states);
        let mut states = HashMap::new();
        let mut hosts = Vec::new();
        for (place, host) in places(&plan, assigned.as_deref(), found.as_deref()) {
            let state = known.and_then(|known| known.get(&place)).cloned();
            let state = state.unwrap_or_else(HostState::new);
            states.insert(place, Arc::clone(&state));
            hosts.push(host.host(place.0, state));
        }
        let previous = before.as_ref().map(|before| &*before.balancer);
        let (cluster, balancer) = plan.build(hosts, previous);
        Self {
            plan,
            assigned,
            found,
            states,
            balancer,
            cluster,
        }
    }

    fn is_of(&self, parts: &Parts) -> bool {
        Arc::ptr_eq(&self.plan, &parts.plan)
            && same(self.assigned.as_ref(), parts.assigned.as_ref())
            && same(self.found.as_ref(), parts.found.as_ref())
    }

    /// Whether it is of that plan.
    pub(super) fn has(&self, plan: &Arc<ClusterPlan>) -> bool {
        Arc::ptr_eq(&self.plan, plan)
    }

    /// The ids of its hosts.
    pub(super) fn ids(&self) -> HashSet<u64> {
        self.states.values().map(|state| state.id).collect()
    }
}

fn same<T>(one: Option<&Arc<T>>, two: Option<&Arc<T>>) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => Arc::ptr_eq(one, two),
        (None, None) => true,
        _ => false,
    }
}

/// The hosts of a cluster in their order.
fn places<'p>(
    plan: &'p ClusterPlan,
    assigned: Option<&'p Assignment>,
    found: Option<&Found>,
) -> Vec<(Place, &'p HostPlan)> {
    let within = assigned.unwrap_or(&plan.assignment);
    let mut places: Vec<(Place, &HostPlan)> = Vec::new();
    // An endpoint that stands in the cluster twice is two hosts; EDS and DNS may repeat themselves.
    let once = plan.service.is_some() || plan.needs_dns();
    let mut seen: HashMap<SocketAddr, usize> = HashMap::new();
    let mut add = |address: SocketAddr, host| {
        let times = seen.entry(address).or_default();
        if !once || *times == 0 {
            places.push(((address, *times), host));
        }
        *times += 1;
    };
    for host in &within.hosts {
        match &host.target {
            Target::Address(address) => add(*address, host),
            name => {
                let addresses = found.and_then(|found| found.get(name));
                let addresses = addresses.into_iter().flat_map(|addresses| addresses.iter());
                addresses.for_each(|address| add(*address, host));
            }
        }
    }
    if plan.needs_dns() {
        // Answers come in another order every time.
        places.sort_by_key(|(place, _)| *place);
    }
    places
}
