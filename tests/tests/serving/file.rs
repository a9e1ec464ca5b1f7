//! Bootstrap files put together from what a test is about.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const TCP_PROXY: &str =
    "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

/// A file with an admin endpoint on a port of the kernel's choice.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    listeners: Vec<Value>,
    clusters: Vec<Value>,
    runtime: Map<String, Value>,
}

impl File {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A listener named `rpc` that sends every call to `echo`.
    pub(crate) fn echo(upstream: SocketAddr) -> Self {
        Self::new()
            .rpc(
                "rpc",
                json!({"route_config": everything_to("echo")}),
                json!({}),
            )
            .cluster("echo", &[upstream], json!({}))
    }

    /// Adds a listener with a connection manager of that `stat_prefix`; `manager` and `listener` are further
    /// fields of the two messages.
    pub(crate) fn rpc(self, name: &str, manager: Value, listener: Value) -> Self {
        let own = json!({
            "@type": MANAGER,
            "stat_prefix": name,
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
        });
        self.listener(
            name,
            "http_connection_manager",
            merged(own, manager),
            listener,
        )
    }

    /// Adds a listener with a `tcp_proxy`.
    pub(crate) fn tcp(self, name: &str, proxy: Value) -> Self {
        self.tcp_of(name, proxy, json!({}))
    }

    /// Adds a listener with a `tcp_proxy` and further fields of the listener.
    pub(crate) fn tcp_of(self, name: &str, proxy: Value, listener: Value) -> Self {
        let own = json!({"@type": TCP_PROXY, "stat_prefix": name});
        self.listener(name, "tcp_proxy", merged(own, proxy), listener)
    }

    fn listener(mut self, name: &str, filter: &str, config: Value, more: Value) -> Self {
        let filter =
            json!({"name": format!("envoy.filters.network.{filter}"), "typed_config": config});
        let own = json!({
            "name": name,
            "address": any_port(),
            "filter_chains": [{"filters": [filter]}],
        });
        self.listeners.push(merged(own, more));
        self
    }

    /// Adds a STATIC cluster, unless `more` says otherwise.
    pub(crate) fn cluster(self, name: &str, addresses: &[SocketAddr], more: Value) -> Self {
        let endpoints: Vec<_> = addresses.iter().map(|address| endpoint(*address)).collect();
        self.cluster_of(name, json!(endpoints), more)
    }

    /// Adds a cluster of these `lb_endpoints`.
    pub(crate) fn cluster_of(mut self, name: &str, endpoints: Value, more: Value) -> Self {
        let own = json!({
            "name": name,
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        });
        self.clusters.push(merged(own, more));
        self
    }

    /// Sets a key of the layered runtime.
    pub(crate) fn setting(mut self, key: &str, value: Value) -> Self {
        self.runtime.insert(key.to_owned(), value);
        self
    }

    /// The text, in JSON.
    pub(crate) fn text(&self) -> String {
        let file = json!({
            "admin": {"address": any_port()},
            "layered_runtime": {"layers": [{"name": "crossdock", "static_layer": self.runtime}]},
            "static_resources": {"listeners": self.listeners, "clusters": self.clusters},
        });
        format!("{file:#}\n")
    }
}

/// A route table with one virtual host for everybody.
pub(crate) fn table(routes: Value) -> Value {
    json!({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]})
}

/// A route table that sends every call to one cluster, without a time limit.
pub(crate) fn everything_to(cluster: &str) -> Value {
    table(json!([{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}]))
}

/// A route for calls that carry the header `to` with this value.
pub(crate) fn when(value: &str, action: Value) -> Value {
    let headers = json!([{"name": "to", "string_match": {"exact": value}}]);
    merged(
        json!({"match": {"prefix": "/", "headers": headers}}),
        action,
    )
}

/// An entry of `lb_endpoints`.
pub(crate) fn endpoint(address: SocketAddr) -> Value {
    json!({"endpoint": {"address": {"socket_address":
        {"address": address.ip().to_string(), "port_value": address.port()}}}})
}

/// An address on loopback with a port of the kernel's choice.
pub(crate) fn any_port() -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}})
}

/// The fields of both; those of `over` go before.
pub(crate) fn merged(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        base.extend(over);
    }
    base
}
