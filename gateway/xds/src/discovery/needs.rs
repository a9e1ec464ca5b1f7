//! What resources name: the other resources without which they cannot be served.

use std::{collections::BTreeSet, time::Duration};

use envoy_types::pb::envoy::{
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType},
        },
        core::v3::ConfigSource,
        listener::v3::{Filter, Listener, filter::ConfigType},
        route::v3::{Route, RouteConfiguration, route::Action, route_action::ClusterSpecifier},
    },
    extensions::filters::network::{
        http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
        tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier as TcpClusters},
    },
};
use prost::{Message, Name};

use super::{Kind, source::initial_fetch_timeout};

/// What one resource names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// Load assignments or route configurations that have to be discovered, in the order of the
    /// file. A name may stand there more than once.
    pub discovered: Vec<Need>,
    /// Clusters that are named. Not those whose name a call brings along.
    pub clusters: BTreeSet<String>,
}

/// A resource that has to be discovered, because another one names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Its kind: load assignments are needed by clusters, route configurations by listeners.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Where it is to be found.
    pub source: ConfigSource,
    /// The field that names the source, within the resource.
    pub path: String,
    /// The `stat_prefix` of the connection manager that asks; empty for a cluster.
    pub stat_prefix: String,
}

impl Need {
    /// How long the first answer is waited for; `None` for as long as it takes.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        initial_fetch_timeout(&self.source)
    }
}

/// What a cluster names: its load assignment, if EDS has that.
pub(super) fn of_cluster(cluster: &Cluster) -> Needs {
    let mut needs = Needs::default();
    let eds = ClusterDiscoveryType::Type(DiscoveryType::Eds.into());
    if cluster.cluster_discovery_type != Some(eds) {
        return needs;
    }
    if let Some(given) = &cluster.eds_cluster_config {
        let name = match given.service_name.is_empty() {
            true => &cluster.name,
            false => &given.service_name,
        };
        needs.discovered.push(Need {
            kind: Kind::Endpoints,
            name: name.clone(),
            source: given.eds_config.clone().unwrap_or_default(),
            path: "eds_cluster_config.eds_config".to_owned(),
            stat_prefix: String::new(),
        });
    }
    needs
}

/// What a listener names: route configurations that RDS has, and the clusters of what stands
/// within it.
pub(super) fn of_listener(listener: &Listener) -> Needs {
    let mut needs = Needs::default();
    let chains = listener.filter_chains.iter().enumerate();
    let chains = chains.map(|(index, chain)| (format!("filter_chains[{index}]"), chain));
    let default = listener.default_filter_chain.iter();
    let default = default.map(|chain| ("default_filter_chain".to_owned(), chain));
    for (path, chain) in chains.chain(default) {
        for (index, filter) in chain.filters.iter().enumerate() {
            needs.add_filter(filter, &format!("{path}.filters[{index}].typed_config"));
        }
    }
    needs
}

/// What a route configuration names: its clusters.
pub(super) fn of_routes(routes: &RouteConfiguration) -> Needs {
    let mut needs = Needs::default();
    needs.add_routes(routes);
    needs
}

impl Needs {
    fn add_filter(&mut self, filter: &Filter, path: &str) {
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else {
            return;
        };
        let is = |name: String| any.type_url.rsplit('/').next() == Some(name.as_str());
        if is(HttpConnectionManager::full_name())
            && let Ok(manager) = HttpConnectionManager::decode(any.value.as_slice())
        {
            self.add_manager(manager, path);
        } else if is(TcpProxy::full_name())
            && let Ok(proxy) = TcpProxy::decode(any.value.as_slice())
        {
            match proxy.cluster_specifier {
                Some(TcpClusters::Cluster(name)) => {
                    self.clusters.insert(name);
                }
                Some(TcpClusters::WeightedClusters(weighted)) => {
                    let names = weighted.clusters.into_iter();
                    self.clusters.extend(names.map(|cluster| cluster.name));
                }
                None => {}
            }
        }
    }

    fn add_manager(&mut self, manager: HttpConnectionManager, path: &str) {
        match manager.route_specifier {
            Some(RouteSpecifier::Rds(rds)) => self.discovered.push(Need {
                kind: Kind::Routes,
                name: rds.route_config_name,
                source: rds.config_source.unwrap_or_default(),
                path: format!("{path}.rds.config_source"),
                stat_prefix: manager.stat_prefix,
            }),
            Some(RouteSpecifier::RouteConfig(routes)) => self.add_routes(&routes),
            Some(RouteSpecifier::ScopedRoutes(_)) | None => {}
        }
    }

    fn add_routes(&mut self, routes: &RouteConfiguration) {
        for host in &routes.virtual_hosts {
            for route in &host.routes {
                self.add_route(route);
            }
        }
    }

    fn add_route(&mut self, route: &Route) {
        let Some(Action::Route(action)) = &route.action else {
            return;
        };
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => {
                self.clusters.insert(name.clone());
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                let names = weighted.clusters.iter().map(|cluster| &cluster.name);
                let names = names.filter(|name| !name.is_empty());
                self.clusters.extend(names.cloned());
            }
            _ => {}
        }
        let mirrors = action.request_mirror_policies.iter();
        let mirrors = mirrors.map(|mirror| &mirror.cluster);
        let mirrors = mirrors.filter(|name| !name.is_empty());
        self.clusters.extend(mirrors.cloned());
    }
}
