//! Pages about the configuration: what is served, and what of it is not acted upon.

use std::collections::BTreeMap;

use crossdock_framework::cluster::Cluster;
use crossdock_xds::{
    Loss,
    envoy_types::pb::{
        envoy::{
            config::{
                bootstrap::v3::runtime_layer::LayerSpecifier,
                listener::v3::{Listener, filter::ConfigType},
                route::v3::RouteConfiguration,
            },
            extensions::filters::network::http_connection_manager::v3::{
                HttpConnectionManager, http_connection_manager::RouteSpecifier,
            },
        },
        google::protobuf::{Struct, value::Kind},
    },
    to_json,
};
use hyper::StatusCode;
use prost::{Message, Name};
use regex::Regex;
use serde_json::{Map, Value as Json, json};

use super::{Server, query::Query, reply::Reply};
use crate::access_log::TimeFormat;

/// `/config_dump`: `envoy.admin.v3.ConfigDump`.
pub(super) fn dump(server: &Server, query: &Query) -> Reply {
    let names = match query.regex("name_regex") {
        Ok(names) => names,
        Err(reply) => return reply,
    };
    if query.has("mask") {
        return Reply::refuse(StatusCode::NOT_IMPLEMENTED, "masks are not supported");
    }
    let sections = sections(server, query.has("include_eds"), names.as_ref());
    let configs = match query.get("resource") {
        None => sections.into_iter().map(Section::into_json).collect(),
        Some(resource) => {
            let found = sections
                .into_iter()
                .find_map(|section| section.resource(resource));
            let Some(found) = found else {
                let text = format!("{resource} not found in config dump");
                return Reply::refuse(StatusCode::NOT_FOUND, text);
            };
            found
        }
    };
    Reply::json(&json!({"configs": Json::Array(configs)}))
}

/// One of the messages that make up a dump.
struct Section {
    /// Its message type within `envoy.admin.v3`.
    name: &'static str,
    /// The field that holds what it has, and the type of one of those.
    field: &'static str,
    item: Option<&'static str>,
    items: Vec<Json>,
    updated: Option<String>,
}

impl Section {
    fn into_json(self) -> Json {
        let mut object = Map::new();
        object.insert("@type".to_owned(), admin_type(self.name));
        if let (None, Some(item)) = (self.item, self.items.first()) {
            object.insert(self.field.to_owned(), item.clone());
            object.extend(
                self.updated
                    .map(|time| ("last_updated".to_owned(), time.into())),
            );
        } else if !self.items.is_empty() {
            object.insert(self.field.to_owned(), self.items.into());
        }
        Json::Object(object)
    }

    /// What `?resource=` of this name shows: each resource as a message of its own.
    fn resource(self, name: &str) -> Option<Vec<Json>> {
        (self.field == name).then_some(())?;
        let Some(item) = self.item else {
            return Some(vec![self.into_json()]);
        };
        let typed = |mut json: Json| {
            json["@type"] = admin_type(item);
            json
        };
        Some(self.items.into_iter().map(typed).collect())
    }
}

fn admin_type(name: &str) -> Json {
    format!("type.googleapis.com/envoy.admin.v3.{name}").into()
}

fn sections(server: &Server, endpoints: bool, names: Option<&Regex>) -> Vec<Section> {
    let bootstrap = &server.bootstrap;
    let resources = bootstrap.static_resources.clone().unwrap_or_default();
    let wanted = |name: &str| names.is_none_or(|names| names.is_match(name));
    let updated = updated(server);
    let list = |name, field, item, items| Section {
        name,
        field,
        item: Some(item),
        items,
        updated: None,
    };
    let clusters = resources
        .clusters
        .iter()
        .filter(|cluster| wanted(&cluster.name));
    let clusters = clusters.map(|cluster| entry("cluster", cluster, &updated));
    let clusters = list(
        "ClustersConfigDump",
        "static_clusters",
        "ClustersConfigDump.StaticCluster",
        clusters.collect(),
    );
    let listeners = resources
        .listeners
        .iter()
        .filter(|listener| wanted(&listener.name));
    let listeners = listeners.map(|listener| entry("listener", listener, &updated));
    let listeners = list(
        "ListenersConfigDump",
        "static_listeners",
        "ListenersConfigDump.StaticListener",
        listeners.collect(),
    );
    let routes = resources.listeners.iter().flat_map(routes);
    let routes = routes.filter(|routes| wanted(&routes.name));
    let routes = routes.map(|routes| entry("route_config", &routes, &updated));
    let routes = list(
        "RoutesConfigDump",
        "static_route_configs",
        "RoutesConfigDump.StaticRouteConfig",
        routes.collect(),
    );
    let bootstrap = Section {
        name: "BootstrapConfigDump",
        field: "bootstrap",
        item: None,
        items: vec![to_json(bootstrap)],
        updated: Some(updated.clone()),
    };
    let mut sections = vec![bootstrap, clusters];
    if endpoints {
        let snapshot = server.live.load();
        let clusters = snapshot
            .clusters()
            .iter()
            .filter(|cluster| wanted(&cluster.name));
        let items = clusters.map(|cluster| assignment(cluster)).collect();
        sections.push(list(
            "EndpointsConfigDump",
            "static_endpoint_configs",
            "EndpointsConfigDump.StaticEndpointConfig",
            items,
        ));
    }
    sections.extend([listeners, routes]);
    sections
}

/// Static configuration is as old as the process.
fn updated(server: &Server) -> String {
    let mut text = Vec::new();
    TimeFormat::iso_8601().write(server.started, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A resource with its type, as an entry of a dump.
fn entry<M: Message + Name>(field: &str, resource: &M, updated: &str) -> Json {
    let mut json = to_json(resource);
    json["@type"] = M::type_url().into();
    let mut entry = json!({"last_updated": updated});
    entry[field] = json;
    entry
}

/// The route tables that stand within the connection managers of a listener.
fn routes(listener: &Listener) -> impl Iterator<Item = RouteConfiguration> {
    let chains = listener
        .filter_chains
        .iter()
        .chain(&listener.default_filter_chain);
    let filters = chains.flat_map(|chain| &chain.filters);
    filters.filter_map(|filter| {
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else {
            return None;
        };
        if !any.type_url.ends_with(&HttpConnectionManager::full_name()) {
            return None;
        }
        let manager = HttpConnectionManager::decode(any.value.as_slice()).ok()?;
        match manager.route_specifier? {
            RouteSpecifier::RouteConfig(routes) => Some(routes),
            _ => None,
        }
    })
}

/// The endpoints of a cluster as they are now, names resolved.
fn assignment(cluster: &Cluster) -> Json {
    let endpoints: Vec<_> = cluster
        .hosts
        .iter()
        .map(|(_, host)| {
            let mut endpoint = json!({"address": super::clusters::socket_address(host.address)});
            if let Some(hostname) = &host.hostname {
                endpoint["hostname"] = hostname.as_ref().into();
            }
            json!({
                "endpoint": endpoint,
                "health_status": if host.healthy { "HEALTHY" } else { "UNHEALTHY" },
                "load_balancing_weight": host.weight,
            })
        })
        .collect();
    json!({"endpoint_config": {
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster.name.as_ref(),
        "endpoints": [{"lb_endpoints": endpoints}],
    }})
}

/// `/unused`: what the file says and nothing follows from.
pub(super) fn unused(server: &Server, query: &Query) -> Reply {
    if query.get("format") != Some("json") {
        return Reply::text(
            server
                .unused
                .iter()
                .map(|unused| format!("{unused}\n"))
                .collect::<String>(),
        );
    }
    let fields: Vec<_> = server
        .unused
        .iter()
        .map(|unused| {
            json!({
                "file": unused.at.file.as_ref(),
                "line": unused.at.line,
                "column": unused.at.column,
                "field": unused.path,
                "loses_function": unused.loss == Loss::Function,
                "reason": unused.reason,
            })
        })
        .collect();
    Reply::json(&json!({"unused": fields}))
}

/// `/runtime`: the layers of `layered_runtime`, each value with what every layer says of it.
pub(super) fn runtime(server: &Server, _: &Query) -> Reply {
    let layers = server
        .bootstrap
        .layered_runtime
        .clone()
        .unwrap_or_default()
        .layers;
    let mut entries: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (ix, layer) in layers.iter().enumerate() {
        if let Some(LayerSpecifier::StaticLayer(values)) = &layer.layer_specifier {
            flatten(values, "", &mut |key, value| {
                let values = entries.entry(key).or_default();
                values.resize(layers.len(), String::new());
                values[ix] = value;
            });
        }
    }
    let entries: Map<String, Json> = entries
        .into_iter()
        .map(|(key, values)| {
            let last = values.iter().rev().find(|value| !value.is_empty());
            let last = last.cloned().unwrap_or_default();
            (key, json!({"final_value": last, "layer_values": values}))
        })
        .collect();
    let names: Vec<_> = layers.iter().map(|layer| layer.name.as_str()).collect();
    Reply::json(&json!({"layers": names, "entries": entries}))
}

/// Values by their full keys. As deep as the configuration, which has a limit.
fn flatten(values: &Struct, prefix: &str, each: &mut dyn FnMut(String, String)) {
    for (name, value) in &values.fields {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match &value.kind {
            Some(Kind::StructValue(inner)) => flatten(inner, &key, each),
            Some(Kind::BoolValue(truth)) => each(key, truth.to_string()),
            Some(Kind::NumberValue(number)) => each(key, number.to_string()),
            Some(Kind::StringValue(text)) => each(key, text.clone()),
            // No runtime value: lists and nothing.
            Some(Kind::ListValue(_) | Kind::NullValue(_)) | None => {}
        }
    }
}
