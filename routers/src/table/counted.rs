//! What is counted of single routes (`stat_prefix`) and of virtual clusters.

use std::sync::{Arc, OnceLock};

use crossdock_framework::{
    log::Record,
    route::{RouteId, RouteMetric},
    stats::{Group, Registry, Scope, Shard},
    view::RoutingView,
};
use envoy_types::pb::envoy::config::route::v3::VirtualHost as HostMessage;

use super::RouteTable;
use crate::{
    problem::{Place, Problems},
    rules::header::HeaderRule,
};

/// The virtual cluster of all requests that no other one of their virtual host takes.
const OTHER: &str = "other";

/// The virtual clusters of a virtual host, in their order.
#[derive(Debug, Default)]
pub(super) struct VirtualClusters(Box<[VirtualCluster]>);

#[derive(Debug)]
struct VirtualCluster {
    name: Box<str>,
    headers: Box<[HeaderRule]>,
}

impl VirtualClusters {
    /// Compiles `virtual_clusters`.
    pub(super) fn compile(host: &HostMessage, place: &Place<'_>, problems: &mut Problems) -> Self {
        let given = host.virtual_clusters.iter().enumerate();
        let compiled = given.map(|(at, message)| {
            let place = place.item("virtual_clusters", at);
            if message.name.is_empty() || message.headers.is_empty() {
                problems.add(
                    &place,
                    "a virtual cluster needs a name, and headers that tell its requests",
                    "give it both",
                );
            }
            let rules = message.headers.iter().enumerate();
            VirtualCluster {
                name: message.name.as_str().into(),
                headers: rules
                    .filter_map(|(at, it)| {
                        HeaderRule::compile(it, &place.item("headers", at), problems)
                    })
                    .collect(),
            }
        });
        Self(compiled.collect())
    }

    /// The place and the name of the first that takes the request; the place behind the last one
    /// is that of `other`.
    pub(super) fn find(&self, request: &dyn RoutingView) -> Option<(usize, &str)> {
        if self.0.is_empty() {
            return None;
        }
        let takes = |cluster: &VirtualCluster| {
            let mut rules = cluster.headers.iter();
            rules.all(|rule| rule.matches(request, true))
        };
        let at = self.0.iter().position(takes).unwrap_or(self.0.len());
        Some((at, self.0.get(at).map_or(OTHER, |cluster| &cluster.name)))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.0.iter().map(|cluster| &*cluster.name);
        names.chain((!self.0.is_empty()).then_some(OTHER))
    }
}

/// Where calls are counted beside their clusters.
#[derive(Debug)]
pub(super) struct Counted {
    /// The `stat_prefix` of routes that have one, in the order of their ids.
    prefixes: Box<[(RouteId, Box<str>)]>,
    groups: OnceLock<Groups>,
}

/// In the order of the prefixes, and of the virtual clusters of each virtual host.
#[derive(Debug)]
struct Groups {
    routes: Vec<Arc<Group>>,
    hosts: Vec<Vec<Arc<Group>>>,
}

impl Counted {
    pub(super) fn new(prefixes: Vec<(RouteId, Box<str>)>) -> Self {
        Self {
            prefixes: prefixes.into(),
            groups: OnceLock::new(),
        }
    }

    /// Counts from now on, if there is something to count.
    pub(super) fn begin(&self, table: &RouteTable, registry: &Registry) {
        let clusters = table.hosts.iter().any(|host| !host.clusters.0.is_empty());
        if self.prefixes.is_empty() && !clusters {
            return;
        }
        let group = |kind, host: &str, name: &str| {
            registry.group_of::<RouteMetric>(Scope::new(kind, &[host, name]))
        };
        self.groups.get_or_init(|| Groups {
            routes: self
                .prefixes
                .iter()
                .map(|(id, prefix)| {
                    let host = table.routes.get(id.0 as usize);
                    let host = host.map_or("", |route| &*route.virtual_host);
                    group("vhost.*.route.*", host, prefix)
                })
                .collect(),
            hosts: table
                .hosts
                .iter()
                .map(|host| {
                    let names = host.clusters.names();
                    names
                        .map(|name| group("vhost.*.vcluster.*", &host.name, name))
                        .collect()
                })
                .collect(),
        });
    }

    /// Counts a call that has ended on a route.
    pub(super) fn count(
        &self,
        table: &RouteTable,
        id: RouteId,
        (http, record): (u16, &Record<'_>),
        shard: Shard,
    ) {
        // Nothing for most tables.
        let Some(groups) = self.groups.get() else {
            return;
        };
        let found = self.prefixes.binary_search_by_key(&id.0, |(id, _)| id.0);
        if let Some(group) = found.ok().and_then(|at| groups.routes.get(at)) {
            RouteMetric::count(group, http, record, shard);
        }
        let origin = table.origins.get(id.0 as usize).copied();
        if let Some(at) = origin.map(|origin| origin.virtual_host)
            && let Some(host) = table.hosts.get(at)
            && let Some((place, _)) = host.clusters.find(record.request)
            && let Some(group) = groups.hosts.get(at).and_then(|host| host.get(place))
        {
            RouteMetric::count(group, http, record, shard);
        }
    }
}
