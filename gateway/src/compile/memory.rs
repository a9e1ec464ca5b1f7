//! What has been compiled, by the resource that it was compiled from.

use std::{collections::HashMap, sync::Arc};

use crossdock_xds::{
    discovery::{Discovered, Resource, Resources},
    envoy_types::pb::envoy::config::{
        cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
        route::v3::RouteConfiguration,
    },
};

use super::{Assignment, ClusterPlan, ListenerPlan, Routes};

/// Everything that has been compiled and may be used.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) clusters: Known<Cluster, ClusterPlan>,
    pub(super) endpoints: Known<ClusterLoadAssignment, Assignment>,
    pub(super) routes: Known<RouteConfiguration, Routes>,
    pub(super) listeners: Known<Listener, ListenerPlan>,
}

impl Memory {
    /// Takes what another one has.
    pub(super) fn add(&mut self, fresh: Self) {
        self.clusters.add(fresh.clusters);
        self.endpoints.add(fresh.endpoints);
        self.routes.add(fresh.routes);
        self.listeners.add(fresh.listeners);
    }

    /// Forgets what none of these resources say.
    pub(super) fn keep(&mut self, resources: &[&Resources]) {
        self.clusters.keep(resources);
        self.endpoints.keep(resources);
        self.routes.keep(resources);
        self.listeners.keep(resources);
    }
}

/// What was made of the messages of one kind. There are several of one name while a new one waits
/// to come into force.
#[derive(Debug)]
pub(super) struct Known<M, T>(HashMap<Arc<str>, Versions<M, T>>);

/// What was made of the resources of one name, the latest last.
type Versions<M, T> = Vec<(Resource<M>, Arc<T>)>;

impl<M, T> Default for Known<M, T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<M: Discovered + 'static, T> Known<M, T> {
    /// What was made of a resource, or of one that says the same.
    pub(super) fn get(&self, resource: &Resource<M>) -> Option<&Arc<T>> {
        let mut versions = self.0.get(&resource.name)?.iter();
        let found = versions.find(|(known, _)| known.says_the_same(resource));
        found.map(|(_, made)| made)
    }

    /// What was made of the resources of a name, the latest first.
    pub(super) fn versions(&self, name: &str) -> impl Iterator<Item = &Arc<T>> {
        let versions = self.0.get(name).into_iter().flatten();
        versions.rev().map(|(_, made)| made)
    }

    /// Resources of which nothing has been made yet.
    pub(super) fn unknown<'r>(
        &self,
        resources: &'r Resources,
    ) -> impl Iterator<Item = &'r Resource<M>> {
        let all = M::among(resources).values();
        all.filter(|resource| self.get(resource).is_none())
    }

    /// Remembers what was made of a resource.
    pub(super) fn put(&mut self, resource: &Resource<M>, made: T) {
        let versions = self.0.entry(Arc::clone(&resource.name)).or_default();
        versions.push((resource.clone(), Arc::new(made)));
    }

    fn add(&mut self, fresh: Self) {
        for (name, versions) in fresh.0 {
            self.0.entry(name).or_default().extend(versions);
        }
    }

    fn keep(&mut self, all: &[&Resources]) {
        self.0.retain(|name, versions| {
            versions.retain(|(known, _)| {
                let wanted = |resources: &&Resources| {
                    let resource = M::among(resources).get(name);
                    resource.is_some_and(|resource| resource.says_the_same(known))
                };
                all.iter().any(wanted)
            });
            !versions.is_empty()
        });
    }
}
