//! A configuration that is the same for all four protocols but for host and path.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::{Protocol, Service};

/// A bootstrap file for all four protocols.
#[derive(Clone, Debug)]
pub struct File {
    hosts: Vec<Value>,
    clusters: Vec<Value>,
    manager: Map<String, Value>,
    more: Map<String, Value>,
}

const HTTP_MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const PROTOCOL_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

impl File {
    /// A listener `rpc` (`stat_prefix` the same), and a virtual host for each protocol with these routes. A route
    /// names the protocol's own cluster as `CLUSTER`.
    #[must_use]
    pub fn new(routes: &Value) -> Self {
        let host = |protocol: Protocol| {
            let text = routes.to_string().replace("CLUSTER", protocol.name());
            let routes: Value = serde_json::from_str(&text).expect("what was JSON before");
            let domains = [protocol.service()];
            json!({"name": protocol.name(), "domains": domains, "routes": routes})
        };
        Self {
            hosts: Protocol::ALL.map(host).into(),
            clusters: Vec::new(),
            manager: Map::new(),
            more: Map::new(),
        }
    }

    /// Adds a cluster, named after the protocol and `suffix`, of these hosts; `more` are further fields.
    #[must_use]
    pub fn cluster(
        mut self,
        protocol: Protocol,
        suffix: &str,
        hosts: &[SocketAddr],
        more: &Value,
    ) -> Self {
        let endpoint = |host: &SocketAddr| json!({"endpoint": {"address": socket(*host)}});
        let endpoints: Vec<_> = hosts.iter().map(endpoint).collect();
        let name = format!("{}{suffix}", protocol.name());
        let mut cluster = json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        });
        if protocol == Protocol::Grpc {
            let options = json!({
                "@type": format!("type.googleapis.com/{PROTOCOL_OPTIONS}"),
                "explicit_http_config": {"http2_protocol_options": {}},
            });
            cluster["typed_extension_protocol_options"] = json!({PROTOCOL_OPTIONS: options});
        }
        extend(cluster.as_object_mut(), more);
        self.clusters.push(cluster);
        self
    }

    /// Adds the clusters of these services, one of each protocol in the order of [`Protocol::ALL`].
    #[must_use]
    pub fn before(self, services: &[Service; 4], more: &Value) -> Self {
        let all = Protocol::ALL.into_iter().zip(services);
        all.fold(self, |file, (protocol, service)| {
            file.cluster(protocol, "", &[service.address()], more)
        })
    }

    /// Sets further fields of every virtual host.
    #[must_use]
    pub fn hosts(mut self, more: &Value) -> Self {
        for host in &mut self.hosts {
            extend(host.as_object_mut(), more);
        }
        self
    }

    /// Sets further fields of the connection manager.
    #[must_use]
    pub fn manager(mut self, more: &Value) -> Self {
        extend(Some(&mut self.manager), more);
        self
    }

    /// Sets further fields of the bootstrap itself.
    #[must_use]
    pub fn more(mut self, more: &Value) -> Self {
        extend(Some(&mut self.more), more);
        self
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let any = socket(([127, 0, 0, 1], 0).into());
        let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
        let router =
            json!({"name": "envoy.filters.http.router", "typed_config": {"@type": router}});
        let mut manager = json!({
            "@type": HTTP_MANAGER,
            "stat_prefix": "rpc",
            "route_config": {"name": "rpc", "virtual_hosts": self.hosts, "validate_clusters": false},
            "http_filters": [router],
        });
        extend(
            manager.as_object_mut(),
            &Value::Object(self.manager.clone()),
        );
        let filter = json!({"name": "manager", "typed_config": manager});
        let listener = json!({
            "name": "rpc",
            "address": any,
            "filter_chains": [{"filters": [filter]}],
        });
        let mut file = json!({
            "admin": {"address": any},
            "static_resources": {"listeners": [listener], "clusters": self.clusters},
        });
        extend(file.as_object_mut(), &Value::Object(self.more.clone()));
        format!("{file:#}\n")
    }
}

/// Adds the fields of `more`, one level deep.
fn extend(all: Option<&mut Map<String, Value>>, more: &Value) {
    if let (Some(all), Value::Object(more)) = (all, more) {
        all.extend(more.clone());
    }
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// A route for calls that carry the header `to` with this value.
#[must_use]
pub fn when(value: &str, action: &Value) -> Value {
    let headers = json!([{"name": "to", "string_match": {"exact": value}}]);
    let mut route = json!({"match": {"prefix": "/", "headers": headers}});
    extend(route.as_object_mut(), action);
    route
}

/// The route for every other call, without a time limit.
#[must_use]
pub fn otherwise() -> Value {
    json!({"match": {"prefix": "/"}, "route": {"cluster": "CLUSTER", "timeout": "0s"}})
}
