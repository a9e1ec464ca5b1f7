use crossdock_framework::{
    route::{Action, Forward, RouteId, Router, Target},
    view::{Key, RoutingView},
};
use envoy_types::pb::{
    envoy::config::route::v3::{
        Route as RouteMessage, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
        route::Action as ActionMessage, route_action::ClusterSpecifier, route_match::PathSpecifier,
    },
    google::protobuf::BoolValue,
};

use super::RouteTable;
use crate::testing::{Call, facts};

mod cost;
mod edits;
mod matching;
mod redirects;
mod reference;
mod refusals;
mod retries;
mod rewrites;
mod targets;

/// A table of virtual hosts.
fn config(hosts: Vec<VirtualHost>) -> RouteConfiguration {
    RouteConfiguration {
        name: "test".into(),
        virtual_hosts: hosts,
        ..RouteConfiguration::default()
    }
}

/// A virtual host named like its first domain.
fn host(domains: &[&str], routes: Vec<RouteMessage>) -> VirtualHost {
    VirtualHost {
        name: domains[0].into(),
        domains: domains.iter().map(|domain| (*domain).into()).collect(),
        routes,
        ..VirtualHost::default()
    }
}

/// A route to a cluster.
fn route(path: PathSpecifier, cluster: &str) -> RouteMessage {
    RouteMessage {
        name: cluster.into(),
        r#match: Some(RouteMatch {
            path_specifier: Some(path),
            ..RouteMatch::default()
        }),
        action: Some(ActionMessage::Route(forward(cluster))),
        ..RouteMessage::default()
    }
}

fn forward(cluster: &str) -> RouteAction {
    RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.into())),
        ..RouteAction::default()
    }
}

fn prefix(text: &str) -> PathSpecifier {
    PathSpecifier::Prefix(text.into())
}

fn path(text: &str) -> PathSpecifier {
    PathSpecifier::Path(text.into())
}

/// The match of a route, to change it.
fn matcher(route: &mut RouteMessage) -> &mut RouteMatch {
    route.r#match.as_mut().expect("`route` sets it")
}

fn compile(hosts: Vec<VirtualHost>) -> RouteTable {
    RouteTable::compile(&config(hosts)).expect("a valid table")
}

/// The name of the route that a call takes, or `-`.
fn taken(table: &RouteTable, call: &Call) -> String {
    let id = table.route(call, &facts(0));
    id.map_or_else(|| "-".into(), |id| table.get(id).name.to_string())
}

fn action(table: &RouteTable, id: u32) -> &Forward {
    match &table.get(RouteId(id)).action {
        Action::Forward(forward) => forward,
        Action::Direct(_) | Action::Redirect(_) => panic!("route {id} answers by itself"),
    }
}
