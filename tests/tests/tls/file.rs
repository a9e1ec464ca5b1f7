//! Bootstrap files with TLS.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::authority::{Authority, Folder, Identity};

const TYPES: &str = "type.googleapis.com/envoy.extensions";

/// A file with one listener `rpc` of these chains, and one cluster `echo`.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) listener: Value,
    pub(crate) clusters: Vec<Value>,
    pub(crate) secrets: Value,
}

impl File {
    /// A listener with TLS that sends every call to plain hosts.
    pub(crate) fn tls(context: Value, hosts: &[SocketAddr]) -> Self {
        Self::chains(json!([chain(rpc(json!({})), context)]), hosts)
    }

    /// A listener in plain text that sends every call to hosts with TLS.
    pub(crate) fn upstream(context: Value, hosts: &[SocketAddr]) -> Self {
        let mut file = Self::chains(json!([{"filters": [rpc(json!({}))]}]), hosts);
        file.clusters[0]["transport_socket"] = socket("UpstreamTlsContext", context);
        file
    }

    /// A listener with these chains.
    pub(crate) fn chains(chains: Value, hosts: &[SocketAddr]) -> Self {
        Self {
            listener: json!({"name": "rpc", "address": any_port(), "filter_chains": chains}),
            clusters: vec![cluster("echo", hosts)],
            secrets: json!([]),
        }
    }

    /// Sets a field of the listener.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.listener[field] = value;
        self
    }

    /// Adds a cluster.
    pub(crate) fn cluster(mut self, name: &str, hosts: &[SocketAddr]) -> Self {
        self.clusters.push(cluster(name, hosts));
        self
    }

    pub(crate) fn text(&self) -> String {
        let file = json!({
            "admin": {"address": any_port()},
            "static_resources": {
                "listeners": [self.listener],
                "clusters": self.clusters,
                "secrets": self.secrets,
            },
        });
        format!("{file:#}\n")
    }
}

/// A connection manager that sends every call to `echo`; `more` are further fields.
pub(crate) fn rpc(more: Value) -> Value {
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}});
    let host = json!({"name": "all", "domains": ["*"], "routes": [route]});
    let router = format!("{TYPES}.filters.http.router.v3.Router");
    let mut manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "rpc",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
    });
    if let (Value::Object(manager), Value::Object(more)) = (&mut manager, more) {
        manager.extend(more);
    }
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager})
}

/// A `tcp_proxy` to a cluster.
pub(crate) fn tcp(cluster: &str) -> Value {
    let proxy = json!({
        "@type": format!("{TYPES}.filters.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": cluster,
        "cluster": cluster,
    });
    json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy})
}

/// A filter chain with TLS.
pub(crate) fn chain(filter: Value, context: Value) -> Value {
    json!({"filters": [filter], "transport_socket": socket("DownstreamTlsContext", context)})
}

/// A chain for some connections.
pub(crate) fn matching(mut chain: Value, criteria: Value) -> Value {
    chain["filter_chain_match"] = criteria;
    chain
}

pub(crate) fn inspector() -> Value {
    let kind = format!("{TYPES}.filters.listener.tls_inspector.v3.TlsInspector");
    json!({"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": kind}})
}

/// A certificate, inline.
pub(crate) fn inline(identity: &Identity) -> Value {
    json!({
        "certificate_chain": {"inline_string": identity.chain},
        "private_key": {"inline_string": identity.key},
    })
}

/// A certificate in files of this name.
pub(crate) fn in_files(folder: &Folder, name: &str, identity: &Identity) -> Value {
    json!({
        "certificate_chain": {"filename": folder.write(&format!("{name}.pem"), &identity.chain)},
        "private_key": {"filename": folder.write(&format!("{name}.key"), &identity.key)},
    })
}

/// A context with one certificate and no question.
pub(crate) fn shows(identity: &Identity) -> Value {
    json!({"common_tls_context": {"tls_certificates": [inline(identity)]}})
}

/// A context that has peers show certificates of this authority.
pub(crate) fn trusts(authority: &Authority) -> Value {
    json!({"trusted_ca": {"inline_string": authority.pem()}})
}

/// A context with one certificate, and what peers have to show.
pub(crate) fn mutual(identity: &Identity, validation: Value) -> Value {
    json!({"common_tls_context": {
        "tls_certificates": [inline(identity)],
        "validation_context": validation,
    }})
}

/// The fields of both; those of `over` go before.
pub(crate) fn merged(mut base: Value, over: Value) -> Value {
    if let (Value::Object(base), Value::Object(over)) = (&mut base, over) {
        base.extend(over);
    }
    base
}

fn socket(kind: &str, context: Value) -> Value {
    let kind = json!({"@type": format!("{TYPES}.transport_sockets.tls.v3.{kind}")});
    json!({"name": "envoy.transport_sockets.tls", "typed_config": merged(kind, context)})
}

fn cluster(name: &str, hosts: &[SocketAddr]) -> Value {
    let endpoints: Vec<_> = hosts
        .iter()
        .map(|host| {
            json!({"endpoint": {"address": {"socket_address":
                {"address": host.ip().to_string(), "port_value": host.port()}}}})
        })
        .collect();
    json!({
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}

fn any_port() -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}})
}
