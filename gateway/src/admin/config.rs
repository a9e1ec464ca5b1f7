//! Pages about the configuration: what is served, and what of it is not acted upon.

use std::collections::BTreeMap;

use crossdock_framework::cluster::Cluster;
use crossdock_xds::{
    Loss, Unused,
    discovery::dump,
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
use crate::{access_log::TimeFormat, server::Discovered};

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
    /// Fields that are no lists.
    fields: Map<String, Json>,
    lists: Vec<List>,
}

/// A field of a section that lists resources.
struct List {
    name: &'static str,
    /// The type of one of them, within `envoy.admin.v3`.
    item: &'static str,
    items: Vec<Json>,
}

impl Section {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            fields: Map::new(),
            lists: Vec::new(),
        }
    }

    fn list(
        mut self,
        name: &'static str,
        item: &'static str,
        items: impl IntoIterator<Item = Json>,
    ) -> Self {
        let items = items.into_iter().collect();
        self.lists.push(List { name, item, items });
        self
    }

    /// The same of what is discovered: lists that are taken out of a message of this section, and
    /// the types of what they list.
    fn dynamic(mut self, dump: Json, lists: &[(&'static str, &'static str)]) -> Self {
        let Json::Object(mut fields) = dump else {
            return self;
        };
        for (name, item) in lists {
            let items = match fields.remove(*name) {
                Some(Json::Array(items)) => items,
                _ => Vec::new(),
            };
            self = self.list(name, item, items);
        }
        self.fields.extend(fields);
        self
    }

    fn into_json(self) -> Json {
        let mut object = self.fields;
        object.insert("@type".to_owned(), admin_type(self.name));
        for list in self.lists {
            if !list.items.is_empty() {
                object.insert(list.name.to_owned(), list.items.into());
            }
        }
        Json::Object(object)
    }

    /// What `?resource=` of this name shows: each resource as a message of its own.
    fn resource(mut self, name: &str) -> Option<Vec<Json>> {
        if self.fields.contains_key(name) && name == "bootstrap" {
            return Some(vec![self.into_json()]);
        }
        let list = self.lists.iter().position(|list| list.name == name)?;
        let List { item, items, .. } = self.lists.swap_remove(list);
        let typed = |mut json: Json| {
            json["@type"] = admin_type(item);
            json
        };
        Some(items.into_iter().map(typed).collect())
    }
}

fn admin_type(name: &str) -> Json {
    format!("type.googleapis.com/envoy.admin.v3.{name}").into()
}

fn sections(server: &Server, endpoints: bool, names: Option<&Regex>) -> Vec<Section> {
    let wanted = |name: &str| names.is_none_or(|names| names.is_match(name));
    let mut bootstrap = Section::new("BootstrapConfigDump");
    let fields = [
        ("bootstrap", to_json(&server.bootstrap)),
        ("last_updated", updated(server).into()),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    bootstrap.fields.extend(fields);
    let discovered = server.discovered();
    let mut sections = vec![bootstrap, clusters(server, &discovered, &wanted)];
    if endpoints {
        sections.push(assignments(server, &discovered, &wanted));
    }
    sections.push(listeners(server, &discovered, &wanted));
    sections.push(route_tables(server, &discovered, &wanted));
    sections
}

/// Chooses resources by their names.
type Wanted<'w> = &'w dyn Fn(&str) -> bool;

fn clusters(server: &Server, discovered: &Discovered, wanted: Wanted<'_>) -> Section {
    let updated = updated(server);
    let clusters = server.bootstrap.static_resources.iter();
    let clusters = clusters.flat_map(|resources| &resources.clusters);
    let clusters = clusters.filter(|cluster| wanted(&cluster.name));
    let clusters = clusters.map(|cluster| entry("cluster", cluster, &updated));
    let dynamic = dump::clusters(&discovered.warming, &discovered.subscriptions, wanted);
    Section::new("ClustersConfigDump")
        .list(
            "static_clusters",
            "ClustersConfigDump.StaticCluster",
            clusters,
        )
        .dynamic(
            to_json(&dynamic),
            &[
                (
                    "dynamic_active_clusters",
                    "ClustersConfigDump.DynamicCluster",
                ),
                (
                    "dynamic_warming_clusters",
                    "ClustersConfigDump.DynamicCluster",
                ),
            ],
        )
}

fn listeners(server: &Server, discovered: &Discovered, wanted: Wanted<'_>) -> Section {
    let updated = updated(server);
    let listeners = server.bootstrap.static_resources.iter();
    let listeners = listeners.flat_map(|resources| &resources.listeners);
    let listeners = listeners.filter(|listener| wanted(&listener.name));
    let listeners = listeners.map(|listener| entry("listener", listener, &updated));
    let dynamic = dump::listeners(&discovered.warming, &discovered.subscriptions, wanted);
    Section::new("ListenersConfigDump")
        .list(
            "static_listeners",
            "ListenersConfigDump.StaticListener",
            listeners,
        )
        .dynamic(
            to_json(&dynamic),
            &[("dynamic_listeners", "ListenersConfigDump.DynamicListener")],
        )
}

/// Route tables that were discovered, and those that stand within listeners.
fn route_tables(server: &Server, discovered: &Discovered, wanted: Wanted<'_>) -> Section {
    let updated = updated(server);
    let given = server.bootstrap.static_resources.iter();
    let given = given.flat_map(|resources| &resources.listeners);
    let found = discovered.warming.in_force().listeners.values();
    let found = found.filter(|listener| listener.origin.is_dynamic());
    let listeners = given.chain(found.map(|listener| &*listener.message));
    let tables = listeners.flat_map(routes);
    let tables = tables.filter(|table| wanted(&table.name));
    let tables = tables.map(|table| entry("route_config", &table, &updated));
    let dynamic = dump::routes(&discovered.warming, &discovered.subscriptions, wanted);
    Section::new("RoutesConfigDump")
        .list(
            "static_route_configs",
            "RoutesConfigDump.StaticRouteConfig",
            tables,
        )
        .dynamic(
            to_json(&dynamic),
            &[(
                "dynamic_route_configs",
                "RoutesConfigDump.DynamicRouteConfig",
            )],
        )
}

/// The endpoints of all clusters: as EDS has them, or as they stand in the file, names resolved.
fn assignments(server: &Server, discovered: &Discovered, wanted: Wanted<'_>) -> Section {
    let snapshot = server.live.load();
    let by_eds = |name: &str| {
        let cluster = discovered.warming.in_force().clusters.get(name);
        cluster.is_some_and(|cluster| !cluster.needs.discovered.is_empty())
    };
    let clusters = snapshot.clusters().iter();
    let clusters = clusters.filter(|cluster| wanted(&cluster.name) && !by_eds(&cluster.name));
    let given = clusters.map(|cluster| assignment(cluster));
    let dynamic = dump::endpoints(&discovered.warming, &discovered.subscriptions, wanted);
    Section::new("EndpointsConfigDump")
        .list(
            "static_endpoint_configs",
            "EndpointsConfigDump.StaticEndpointConfig",
            given,
        )
        .dynamic(
            to_json(&dynamic),
            &[(
                "dynamic_endpoint_configs",
                "EndpointsConfigDump.DynamicEndpointConfig",
            )],
        )
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

/// `/unused`: what the files say and nothing follows from.
pub(super) fn unused(server: &Server, query: &Query) -> Reply {
    let discovered = server.discovered();
    let unused = server.unused.iter().chain(&discovered.unused);
    if query.get("format") != Some("json") {
        return Reply::text(
            unused
                .map(|unused| format!("{unused}\n"))
                .collect::<String>(),
        );
    }
    let shown = |unused: &Unused| {
        json!({
            "file": unused.at.file.as_ref(),
            "line": unused.at.line,
            "column": unused.at.column,
            "field": unused.path,
            "loses_function": unused.loss == Loss::Function,
            "reason": unused.reason,
        })
    };
    Reply::json(&json!({"unused": unused.map(shown).collect::<Vec<_>>()}))
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
