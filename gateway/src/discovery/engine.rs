//! From what is wanted to what is in force: everything that takes time, and nothing that waits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Weak},
    time::Instant,
};

use crossdock_framework::{
    route::Router as _,
    snapshot::{ClusterIx, Policy, PolicyIx, Snapshot},
};
use crossdock_xds::{
    Problem,
    discovery::{Discovered, Resources, Update, Waiting, Warming},
};

use super::hosts::{Parts, Running};
use crate::{
    compile::{
        Bound, ChainPlan, ClusterPlan, Compiler, ListenerPlan, Routes, RoutesFrom, RpcPlan, Serves,
    },
    dns::{FIRST, Found},
};

/// All configuration: what is wanted, what is compiled, and what is in force.
#[derive(Debug)]
pub(crate) struct Engine {
    compiler: Compiler,
    wanted: Resources,
    warming: Warming,
    running: BTreeMap<Arc<str>, Running>,
    policies: HashMap<PolicyIx, Linked>,
    /// What DNS says, by cluster.
    found: HashMap<Arc<str>, Arc<Found>>,
}

/// A policy with its routes.
#[derive(Debug)]
struct Linked {
    /// Not held: a chain is gone with its last connection.
    chain: Weak<ChainPlan>,
    /// The routes that were discovered, if they were.
    routes: Option<Arc<Routes>>,
    bound: Arc<Bound>,
    policy: Arc<Policy>,
}

/// What has come into force.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// What workers get; `None` when nothing of it has changed.
    pub(crate) snapshot: Option<Snapshot>,
    /// Hosts ([`HostState::id`](crossdock_framework::cluster::HostState::id)) that it has no more.
    pub(crate) retired: Arc<[u64]>,
    /// The listeners in force.
    pub(crate) listeners: Vec<Arc<ListenerPlan>>,
    /// Clusters whose names are to be looked up.
    pub(crate) by_name: Vec<Arc<ClusterPlan>>,
    /// Clusters that came into force before their names were resolved.
    pub(crate) unresolved: Vec<Arc<str>>,
    /// What waits, and for what.
    pub(crate) waiting: Vec<Waiting>,
    /// When to settle again at the latest.
    pub(crate) wake_at: Option<Instant>,
    /// Clusters that were added, that say something else, and that were removed.
    pub(crate) added: u64,
    pub(crate) modified: u64,
    pub(crate) removed: u64,
    /// Whether the hosts or the settings of any cluster have changed.
    changed: bool,
}

impl Engine {
    /// Configuration of which nothing is in force yet.
    pub(crate) fn new(compiler: Compiler, wanted: Resources) -> Self {
        Self {
            compiler,
            wanted,
            warming: Warming::new(),
            running: BTreeMap::new(),
            policies: HashMap::new(),
            found: HashMap::new(),
        }
    }

    /// What is wanted.
    pub(crate) fn wanted(&self) -> &Resources {
        &self.wanted
    }

    /// What would be wanted with an update, which is compiled.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub(crate) fn consider<M: Discovered>(
        &mut self,
        update: &Update<M>,
    ) -> Result<Resources, Vec<Problem>> {
        let mut candidate = self.wanted.clone();
        candidate.take(update);
        self.compiler.prepare(&candidate)?;
        self.check_filters(&candidate)?;
        Ok(candidate)
    }

    /// Wants these resources from now on, which have been [considered](Self::consider).
    pub(crate) fn want(&mut self, resources: Resources) {
        self.wanted = resources;
    }

    /// What is wanted, what is in force and what waits, as of the last [`Self::settle`].
    pub(crate) fn warming(&self) -> &Warming {
        &self.warming
    }

    /// The plans of listeners that have been considered.
    pub(crate) fn listeners_of(&self, resources: &Resources) -> Vec<Arc<ListenerPlan>> {
        let listeners = resources.listeners.values();
        let plans = listeners.filter_map(|listener| self.compiler.listener(listener));
        plans.cloned().collect()
    }

    /// Takes what DNS says of a cluster's names.
    pub(crate) fn take_found(&mut self, cluster: Arc<str>, found: Found) {
        let known = self.found.get(&cluster);
        if known.is_none_or(|known| **known != found) {
            self.found.insert(cluster, Arc::new(found));
        }
    }

    /// Brings into force what may be.
    pub(crate) fn settle(&mut self, now: Instant) -> Settled {
        let by_name = self.look_up();
        self.warming.want(self.wanted.clone());
        self.warming.settle(now);
        let mut settled = Settled {
            by_name,
            waiting: self.warming.waiting().to_vec(),
            wake_at: self.warming.wake_at(),
            listeners: self.listeners_of(self.warming.in_force()),
            ..Settled::default()
        };
        let clusters_changed = self.run_clusters(&mut settled);
        let clusters = self.running.values();
        let mut snapshot = Snapshot::new(clusters.map(|run| Arc::clone(&run.cluster)).collect());
        if self.link_policies(&mut snapshot) || clusters_changed {
            settled.snapshot = Some(snapshot);
        }
        let keep = [&self.wanted, self.warming.in_force()];
        self.compiler.forget(keep);
        settled
    }

    /// The wanted clusters whose hosts are known by name. New ones wait until these have been
    /// looked up.
    fn look_up(&mut self) -> Vec<Arc<ClusterPlan>> {
        let clusters = self.wanted.clusters.values();
        let plans = clusters.filter_map(|cluster| self.compiler.cluster(cluster));
        let plans: Vec<_> = plans.filter(|plan| plan.needs_dns()).cloned().collect();
        for plan in &plans {
            let found = self.found.get(&plan.name);
            match found.is_some_and(|found| plan.names().all(|name| found.contains_key(name))) {
                true => self.warming.found(&plan.name),
                false => self.warming.look_up(&plan.name, FIRST),
            }
        }
        self.found
            .retain(|name, _| plans.iter().any(|plan| plan.name == *name));
        plans
    }

    /// Builds the clusters in force. Whether any of them has changed.
    fn run_clusters(&mut self, settled: &mut Settled) -> bool {
        let mut before = std::mem::take(&mut self.running);
        let mut retired = Vec::new();
        for resource in self.warming.in_force().clusters.values() {
            let Some(plan) = self.compiler.cluster(resource) else {
                continue;
            };
            let assigned = plan.service.as_ref().and_then(|service| {
                let endpoints = &self.warming.in_force().endpoints;
                self.compiler.assignment(endpoints.get(service)?)
            });
            let parts = Parts {
                plan: Arc::clone(plan),
                assigned: assigned.cloned(),
                found: self.found.get(&plan.name).cloned(),
            };
            let old = before.remove(&plan.name);
            let known = old
                .as_ref()
                .map(|old| (Arc::clone(&old.cluster), old.ids()));
            let same_plan = old.as_ref().is_some_and(|old| old.has(plan));
            if plan.needs_dns() && parts.found.is_none() && old.is_none() {
                settled.unresolved.push(Arc::clone(&plan.name));
            }
            let running = Running::next(parts, old);
            match known {
                None => settled.added += 1,
                Some((cluster, _)) if Arc::ptr_eq(&cluster, &running.cluster) => {}
                Some((_, mut ids)) => {
                    settled.modified += u64::from(!same_plan);
                    settled.changed = true;
                    let stay = running.ids();
                    ids.retain(|id| !stay.contains(id));
                    retired.extend(ids);
                }
            }
            self.running.insert(Arc::clone(&plan.name), running);
        }
        self.keep_named(&mut before);
        settled.removed = before.len() as u64;
        retired.extend(before.values().flat_map(Running::ids));
        settled.retired = retired.into();
        settled.added + settled.removed > 0 || settled.changed
    }

    /// Keeps clusters that are gone for connections that are being drained: their calls go there.
    fn keep_named(&mut self, gone: &mut BTreeMap<Arc<str>, Running>) {
        if gone.is_empty() {
            return;
        }
        let in_force = self.listeners_of(self.warming.in_force());
        let serves = |chain: &Weak<ChainPlan>| {
            let mut plans = in_force.iter().flat_map(|listener| &listener.plans);
            plans.any(|plan| Arc::as_ptr(plan) == chain.as_ptr())
        };
        let drained = self
            .policies
            .values()
            .filter(|linked| linked.chain.strong_count() > 0 && !serves(&linked.chain));
        let named = drained.flat_map(|linked| linked.bound.table.clusters());
        let named: Vec<_> = named.filter_map(|name| gone.remove_entry(name)).collect();
        self.running.extend(named);
    }

    /// Gives the policies of all filter chains their places. Whether any of them has changed.
    fn link_policies(&mut self, snapshot: &mut Snapshot) -> bool {
        let mut before = std::mem::take(&mut self.policies);
        let mut changed = false;
        for chain in self.compiler.living_chains() {
            let Serves::Rpc(rpc) = &chain.serves else {
                continue;
            };
            let old = before
                .remove(&rpc.place)
                .filter(|old| old.chain.as_ptr() == Arc::as_ptr(&chain));
            let routes = self.discovered(&rpc.policy.routes);
            // A chain that is being drained keeps the routes that there were last.
            let routes = routes.or_else(|| old.as_ref().and_then(|old| old.routes.clone()));
            let known = old.filter(|old| same(old.routes.as_ref(), routes.as_ref()));
            let bound = match (&known, &rpc.policy.routes) {
                (Some(known), _) => Arc::clone(&known.bound),
                (None, RoutesFrom::Within(bound)) => Arc::clone(bound),
                (None, RoutesFrom::Discovered(name)) => bind(rpc, name, routes.as_deref()),
            };
            let links: Box<[Option<ClusterIx>]> = snapshot.link(bound.table.as_ref());
            let policy = match known {
                Some(known) if known.policy.links == links => known.policy,
                Some(known) => {
                    changed = true;
                    let unlinked = Policy::clone(&known.policy);
                    Arc::new(Policy { links, ..unlinked })
                }
                None => {
                    changed = true;
                    Arc::new(rpc.policy.with(&bound, links))
                }
            };
            snapshot.put_policy(rpc.place, Arc::clone(&policy));
            let linked = Linked {
                chain: Arc::downgrade(&chain),
                routes,
                bound,
                policy,
            };
            self.policies.insert(rpc.place, linked);
        }
        changed || !before.is_empty()
    }

    /// The routes in force of a connection manager that has them discovered.
    fn discovered(&self, from: &RoutesFrom) -> Option<Arc<Routes>> {
        let RoutesFrom::Discovered(name) = from else {
            return None;
        };
        let resource = self.warming.in_force().routes.get(name)?;
        self.compiler.routes(resource).cloned()
    }

    /// What routes say to the filters of the connection managers that name them.
    fn check_filters(&self, candidate: &Resources) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let listeners = candidate.listeners.values();
        let plans = listeners.filter_map(|listener| self.compiler.listener(listener));
        for chain in plans.flat_map(|plan| &plan.plans) {
            let Serves::Rpc(rpc) = &chain.serves else {
                continue;
            };
            let RoutesFrom::Discovered(name) = &rpc.policy.routes else {
                continue;
            };
            let resource = candidate.routes.get(name);
            let routes = resource.and_then(|resource| self.compiler.routes(resource));
            let (Some(resource), Some(routes)) = (resource, routes) else {
                continue;
            };
            let known = self.policies.get(&rpc.place);
            if known.is_some_and(|known| same(known.routes.as_ref(), Some(routes))) {
                continue;
            }
            if let Err(inner) = rpc.policy.bind(Some(routes)) {
                let origin = &resource.origin;
                problems.extend(
                    inner
                        .into_iter()
                        .map(|wrong| origin.problem(&wrong.path, wrong.reason, wrong.cure)),
                );
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }
}

/// Routes that were discovered, with the filters of a connection manager.
fn bind(rpc: &RpcPlan, name: &str, routes: Option<&Routes>) -> Arc<Bound> {
    let bound = rpc.policy.bind(routes).or_else(|problems| {
        // They have been looked at before they were accepted.
        let first = problems.first().map_or("", |problem| &problem.reason);
        tracing::error!("the routes '{name}' cannot be used: {first}");
        rpc.policy.bind(None)
    });
    Arc::new(bound.expect("no route is wrong"))
}

fn same(one: Option<&Arc<Routes>>, two: Option<&Arc<Routes>>) -> bool {
    one.map(Arc::as_ptr) == two.map(Arc::as_ptr)
}
