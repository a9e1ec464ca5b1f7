//! A bootstrap file in Envoy's format, put together from the parts that a test is about.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Map, Value, json};

const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const PROTOCOL_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const PROTOCOLS: &str =
    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/// One listener named `rpc` with an HTTP connection manager, its routes, the clusters they name, and the
/// admin endpoint on loopback.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    virtual_hosts: Vec<Value>,
    clusters: Vec<Value>,
    manager: Map<String, Value>,
    transport: Option<Value>,
    runtime: Map<String, Value>,
    validate_clusters: bool,
}

impl Bootstrap {
    /// Sends every call to `peer.api.Echo` by these routes (Envoy's `Route` messages). Other services have
    /// no virtual host.
    #[must_use]
    pub fn of(routes: Value) -> Self {
        Self::at(&["peer.api.Echo"], routes)
    }

    /// Sends every call to these domains by these routes; `*` is all of them, whatever authority a client names.
    #[must_use]
    pub fn at(domains: &[&str], routes: Value) -> Self {
        let host = json!({"name": "echo", "domains": domains, "routes": routes});
        Self {
            virtual_hosts: vec![host],
            clusters: Vec::new(),
            manager: Map::new(),
            transport: None,
            runtime: Map::new(),
            validate_clusters: true,
        }
    }

    /// Sends every call to these addresses.
    #[must_use]
    pub fn to(addresses: &[SocketAddr]) -> Self {
        Self::of(json!([{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}]))
            .cluster("echo", addresses, json!({}))
    }

    /// Adds a STATIC cluster; `more` are further fields of Envoy's `Cluster` message.
    #[must_use]
    pub fn cluster(mut self, name: &str, addresses: &[SocketAddr], more: Value) -> Self {
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|address| json!({"endpoint": {"address": socket(*address)}}))
            .collect();
        let mut cluster = json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut cluster, more) {
            all.extend(more);
        }
        self.clusters.push(cluster);
        self
    }

    /// Adds a cluster whose hosts speak HTTP/2, as all of gRPC do; `more` as for [`Self::cluster`].
    #[must_use]
    pub fn http2_cluster(self, name: &str, addresses: &[SocketAddr], more: Value) -> Self {
        let options =
            json!({"@type": PROTOCOLS, "explicit_http_config": {"http2_protocol_options": {}}});
        let extensions = json!({PROTOCOL_OPTIONS: options});
        let mut fields = json!({"typed_extension_protocol_options": extensions});
        if let (Value::Object(all), Value::Object(more)) = (&mut fields, more) {
            all.extend(more);
        }
        self.cluster(name, addresses, fields)
    }

    /// Whether a route to a cluster that does not exist makes the file wrong.
    #[must_use]
    pub fn validate_clusters(mut self, validate: bool) -> Self {
        self.validate_clusters = validate;
        self
    }

    /// Sets further fields of Envoy's `HttpConnectionManager` message.
    #[must_use]
    pub fn manager(mut self, more: Value) -> Self {
        if let Value::Object(more) = more {
            self.manager.extend(more);
        }
        self
    }

    /// Sets the `transport_socket` of the listener's filter chain.
    #[must_use]
    pub fn transport(mut self, socket: Value) -> Self {
        self.transport = Some(socket);
        self
    }

    /// Sets one of Crossdock's own settings, a key `crossdock.…` of the layered runtime.
    #[must_use]
    pub fn setting(mut self, key: &str, value: Value) -> Self {
        self.runtime.insert(key.to_owned(), value);
        self
    }

    /// Sets several of them, named without their prefix.
    #[must_use]
    pub fn settings(self, settings: &[(&str, Value)]) -> Self {
        settings.iter().fold(self, |bootstrap, (name, value)| {
            bootstrap.setting(&format!("crossdock.{name}"), value.clone())
        })
    }

    /// The file's text. Listener and admin endpoint have ports of the kernel's choice.
    #[must_use]
    pub fn text(&self) -> String {
        let any = socket((Ipv4Addr::LOCALHOST, 0).into());
        let mut manager = json!({
            "@type": MANAGER,
            "stat_prefix": "rpc",
            "route_config": {
                "name": "rpc",
                "virtual_hosts": self.virtual_hosts,
                "validate_clusters": self.validate_clusters,
            },
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
        });
        if let Value::Object(all) = &mut manager {
            all.extend(self.manager.clone());
        }
        let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
        let mut chain = json!({"filters": [filter]});
        if let Some(transport) = &self.transport {
            chain["transport_socket"] = transport.clone();
        }
        let file = json!({
            "admin": {"address": any},
            "layered_runtime": {"layers": [{"name": "crossdock", "static_layer": self.runtime}]},
            "static_resources": {
                "listeners": [{
                    "name": "rpc",
                    "address": any,
                    "filter_chains": [chain],
                }],
                "clusters": self.clusters,
            },
        });
        format!("{file:#}\n")
    }
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
