//! Resources for tests.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::{
    config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig},
        },
        core::v3::{ConfigSource, PathConfigSource, config_source::ConfigSourceSpecifier},
        endpoint::v3::ClusterLoadAssignment,
        listener::v3::{Filter, FilterChain, Listener, filter::ConfigType},
        route::v3::{
            Route, RouteAction, RouteConfiguration, VirtualHost, route::Action,
            route_action::ClusterSpecifier,
        },
    },
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, Rds, http_connection_manager::RouteSpecifier,
    },
};
use envoy_types::pb::google::protobuf::{Any, Duration as ProtoDuration};
use prost::{Message as _, Name as _};

use super::{Discovered, Fingerprint, Origin, Resource, Response};
use crate::Positions;

/// A resource that says what `content` stands for.
pub(super) fn resource<M: Discovered>(message: M, content: u128) -> Resource<M> {
    let positions = Arc::new(Positions::new("sample"));
    Resource {
        name: message.resource_name().into(),
        needs: Arc::new(message.needs()),
        version: "".into(),
        origin: Arc::new(Origin::new(positions, "resources[0]", true, Vec::new())),
        fingerprint: Fingerprint(content),
        message: Arc::new(message),
    }
}

pub(super) fn response<M: Discovered>(version: &str, resources: Vec<Resource<M>>) -> Response<M> {
    Response {
        version: version.into(),
        resources,
        is_whole: M::KIND.is_listed_whole(),
        removed: Vec::new(),
        unused: Vec::new(),
        notes: Vec::new(),
        positions: Arc::new(Positions::new("sample")),
    }
}

/// A file; without a `timeout` the first answer is waited for as long as it takes.
pub(super) fn file(path: &str, timeout: Option<Duration>) -> ConfigSource {
    let file = PathConfigSource {
        path: path.to_owned(),
        ..PathConfigSource::default()
    };
    let timeout = timeout.unwrap_or_default();
    let timeout = ProtoDuration {
        seconds: i64::try_from(timeout.as_secs()).unwrap(),
        nanos: i32::try_from(timeout.subsec_nanos()).unwrap(),
    };
    ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::PathConfigSource(file)),
        initial_fetch_timeout: Some(timeout),
        ..ConfigSource::default()
    }
}

/// A cluster that needs nothing.
pub(super) fn cluster(name: &str) -> Cluster {
    Cluster {
        name: name.to_owned(),
        ..Cluster::default()
    }
}

/// A cluster whose load assignment is `endpoints`; empty for its own name.
pub(super) fn eds_cluster(name: &str, endpoints: &str, source: ConfigSource) -> Cluster {
    Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(source),
            service_name: endpoints.to_owned(),
        }),
        ..cluster(name)
    }
}

pub(super) fn endpoints(name: &str) -> ClusterLoadAssignment {
    ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        ..ClusterLoadAssignment::default()
    }
}

/// Routes to these clusters.
pub(super) fn routes(name: &str, clusters: &[&str]) -> RouteConfiguration {
    let route = |cluster: &&str| Route {
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster((*cluster).to_owned())),
            ..RouteAction::default()
        })),
        ..Route::default()
    };
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: vec![VirtualHost {
            routes: clusters.iter().map(route).collect(),
            ..VirtualHost::default()
        }],
        ..RouteConfiguration::default()
    }
}

/// A listener with one connection manager.
pub(super) fn listener(name: &str, routes: RouteSpecifier) -> Listener {
    let manager = HttpConnectionManager {
        stat_prefix: format!("{name}_http"),
        route_specifier: Some(routes),
        ..HttpConnectionManager::default()
    };
    let filter = Filter {
        config_type: Some(ConfigType::TypedConfig(Any {
            type_url: HttpConnectionManager::type_url(),
            value: manager.encode_to_vec(),
        })),
        ..Filter::default()
    };
    Listener {
        name: name.to_owned(),
        filter_chains: vec![FilterChain {
            filters: vec![filter],
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

/// A listener whose routes are discovered.
pub(super) fn rds_listener(name: &str, routes: &str, source: ConfigSource) -> Listener {
    let rds = Rds {
        config_source: Some(source),
        route_config_name: routes.to_owned(),
    };
    listener(name, RouteSpecifier::Rds(rds))
}
