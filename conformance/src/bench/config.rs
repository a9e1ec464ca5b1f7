//! The configuration files of the contenders.
//!
//! All do the same work and no more: take a connection, read the call, find its route by path (or by
//! interface and method), pass it on over a kept connection. None adds a request id, and none writes an
//! access log or looks at policies, but for those that are compared with themselves without.

use super::contender::{Contender, Kind, Variant};
use super::setting::Setting;
use super::tls;
use super::wire::Wire;

impl Setting<'_> {
    /// The file of a contender that shall listen on `port`.
    pub(super) fn configuration(&self, contender: Contender, port: u16, admin: u16) -> String {
        let frame = match (contender.kind, self.wire) {
            (Kind::Haproxy, _) => include_str!("config/haproxy.cfg"),
            (Kind::Nginx, _) => include_str!("config/nginx.conf"),
            (_, Wire::Http1 | Wire::Grpc) => include_str!("config/http.yaml"),
            (Kind::Envoy | Kind::EnvoyBound, Wire::Dubbo) => {
                include_str!("config/envoy-dubbo.yaml")
            }
            (Kind::Envoy | Kind::EnvoyBound, Wire::Bolt) => include_str!("config/envoy-tcp.yaml"),
            (Kind::Relay | Kind::Crossdock | Kind::Baseline, _) => {
                include_str!("config/crossdock.yaml")
            }
        };
        let (rule, echo) = match contender.variant {
            Variant::Attachment => (
                include_str!("config/crossdock-header-route.yaml"),
                include_str!("config/envoy-header-route.yaml"),
            ),
            Variant::Policies => (POLICIES_ROUTE, include_str!("config/envoy-route.yaml")),
            Variant::Plain | Variant::Mtls => ("", include_str!("config/envoy-route.yaml")),
        };
        let policies = contender.variant == Variant::Policies;
        let bound = contender.kind == Kind::EnvoyBound;
        let clusters = ["backends", "gray"].map(|name| self.cluster(contender, name));
        let (mtls, grpc) = (contender.variant == Variant::Mtls, self.wire == Wire::Grpc);
        frame
            .replace("@HEADER_ROUTE@\n", rule)
            .replace("@ECHO@\n", echo)
            .replace("@CLUSTERS@\n", &clusters.concat())
            .replace("@RETRIES@\n", when(policies, RETRIES))
            .replace("@LIMIT@\n", when(policies, LIMIT))
            .replace("@ACCESS_LOG@\n", when(policies, ACCESS_LOG))
            .replace("@DOWNSTREAM_TLS@\n", when(mtls, DOWNSTREAM_TLS))
            .replace("@BOUND@", &bound.to_string())
            .replace("@ALPN@", if grpc { "h2" } else { "http/1.1" })
            .replace("@PROTO@", when(grpc, "proto h2"))
            .replace("@HTTP2@", when(grpc, "http2"))
            .replace("@PASS@", if grpc { NGINX_GRPC } else { NGINX_HTTP1 })
            .replace("@HAPROXY_SERVERS@\n", &self.haproxy_servers())
            .replace("@NGINX_SERVERS@\n", &self.nginx_servers())
            .replace("@FOLDER@", &self.folder.display().to_string())
            .replace("@NAME@", tls::NAME)
            .replace("@PORT@", &port.to_string())
            .replace("@ADMIN@", &admin.to_string())
    }

    fn cluster(&self, contender: Contender, name: &str) -> String {
        let endpoint = |port: &u16| {
            format!(
                "            - endpoint: {{ address: {{ socket_address: \
                 {{ address: 127.0.0.1, port_value: {port} }} }} }}\n"
            )
        };
        let backends = self.backends_of(contender);
        let endpoints: String = backends.iter().map(endpoint).collect();
        include_str!("config/cluster.yaml")
            .replace("@CLUSTER@", name)
            .replace("@ENDPOINTS@\n", &endpoints)
            + when(self.wire == Wire::Grpc, CLUSTER_HTTP2)
            + when(contender.variant == Variant::Mtls, UPSTREAM_TLS)
            + when(contender.variant == Variant::Policies, OUTLIERS)
    }

    fn haproxy_servers(&self) -> String {
        let proto = when(self.wire == Wire::Grpc, " proto h2");
        let server = |port: &u16| format!("    server s{port} 127.0.0.1:{port}{proto}\n");
        self.backends.iter().map(server).collect()
    }

    fn nginx_servers(&self) -> String {
        let server = |port: &u16| format!("        server 127.0.0.1:{port};\n");
        self.backends.iter().map(server).collect()
    }
}

const POLICIES_ROUTE: &str = include_str!("config/policies-route.yaml");
const RETRIES: &str = include_str!("config/policies-retries.yaml");
const LIMIT: &str = include_str!("config/policies-limit.yaml");
const ACCESS_LOG: &str = include_str!("config/policies-access-log.yaml");
const OUTLIERS: &str = include_str!("config/policies-outliers.yaml");
const CLUSTER_HTTP2: &str = include_str!("config/cluster-http2.yaml");
const UPSTREAM_TLS: &str = include_str!("config/upstream-tls.yaml");
const DOWNSTREAM_TLS: &str = include_str!("config/downstream-tls.yaml");
const NGINX_GRPC: &str = "grpc_pass grpc://backends;";
/// nginx speaks HTTP/1.0 to upstreams, and closes, unless it is told otherwise.
const NGINX_HTTP1: &str =
    "proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection \"\";";

const fn when(yes: bool, text: &'static str) -> &'static str {
    if yes { text } else { "" }
}
