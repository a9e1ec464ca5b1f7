//! One file in Envoy's format for both: a listener for each scene, and the clusters that all share.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use crate::{host, scene::Scene, scenes};
use crossdock_tests::UnusedPort;

const TYPES: &str = "type.googleapis.com/envoy.extensions";
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Hosts that a pool has.
const POOL: usize = 5;

/// The hosts, and the clusters that name them.
pub(crate) struct Clusters {
    all: Vec<Value>,
    /// Refuses connections for as long as this lasts.
    _refused: UnusedPort,
}

impl Clusters {
    /// Starts the hosts.
    pub(crate) async fn start(book: &host::Book) -> Self {
        let mut pool = Vec::new();
        for number in 0..POOL {
            pool.push(host::start(&format!("p{number}"), book).await);
        }
        let refused = UnusedPort::take();
        let dead = refused.address();
        let mut all = Vec::new();
        for name in ["v1", "v2", "v3"] {
            let address = host::start(name, book).await;
            all.push(cluster(name, &[address], json!({})));
        }
        let two = host::start("two", book).await;
        all.push(cluster("two", &[two], http2()));
        let both = host::start("both", book).await;
        let downstream = json!({"use_downstream_protocol_config": {"http2_protocol_options": {}}});
        all.push(cluster("both", &[both], options(downstream)));
        all.push(cluster("maglev", &pool, json!({"lb_policy": "MAGLEV"})));
        all.push(cluster("ring", &pool, json!({"lb_policy": "RING_HASH"})));
        let murmur = json!({
            "lb_policy": "RING_HASH",
            "ring_hash_lb_config": {"hash_function": "MURMUR_HASH_2", "minimum_ring_size": 64},
        });
        all.push(cluster("murmur", &pool, murmur));
        all.push(cluster("empty", &[], json!({})));
        all.push(cluster("dead", &[dead], json!({})));
        all.push(cluster("dead_two", &[dead], http2()));
        let none = json!({"circuit_breakers": {"thresholds": [
            {"max_connections": 0, "max_pending_requests": 0, "max_requests": 0},
        ]}});
        all.push(cluster("full", &[both], none));
        all.push(named("named", "backend.test", both));
        all.push(cluster("pair", &pool[..2], json!({})));
        let no_retries = json!({"circuit_breakers": {"thresholds": [{"max_retries": 0}]}});
        all.push(cluster("no_retries", &[both], no_retries));
        for (name, detection) in scenes::ejecting() {
            let mut hosts = pool.clone();
            if name == "eject_dead" {
                hosts.push(dead);
            }
            // Envoy would tell its workers of the second change in a second only.
            let more = json!({
                "outlier_detection": detection,
                "common_lb_config": {"update_merge_window": "0s"},
            });
            all.push(cluster(name, &hosts, more));
        }
        Self {
            all,
            _refused: refused,
        }
    }

    /// The whole file.
    pub(crate) fn bootstrap(&self, scenes: &[Scene]) -> Value {
        let listeners: Vec<Value> = scenes.iter().map(listener).collect();
        json!({
            "admin": {"address": address(SocketAddr::from(([127, 0, 0, 1], 0)))},
            "static_resources": {"listeners": listeners, "clusters": self.all},
        })
    }
}

fn listener(scene: &Scene) -> Value {
    let mut manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": scene.name,
        "route_config": scene.routes,
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")},
        }],
    });
    merge(&mut manager, &scene.manager);
    let filter = json!({"name": "http", "typed_config": manager});
    json!({
        "name": scene.name,
        "address": address(SocketAddr::from(([127, 0, 0, 1], 0))),
        "filter_chains": [{"filters": [filter]}],
    })
}

fn cluster(name: &str, addresses: &[SocketAddr], more: Value) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|at| json!({"endpoint": {"address": address(*at)}}))
        .collect();
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    });
    merge(&mut cluster, &more);
    cluster
}

/// A cluster whose endpoint has a name of its own.
fn named(name: &str, hostname: &str, at: SocketAddr) -> Value {
    let endpoint = json!({"endpoint": {"address": address(at), "hostname": hostname}});
    cluster(
        name,
        &[],
        json!({
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        }),
    )
}

fn http2() -> Value {
    options(json!({"explicit_http_config": {"http2_protocol_options": {}}}))
}

fn options(mut options: Value) -> Value {
    merge(
        &mut options,
        &json!({"@type": format!("type.googleapis.com/{OPTIONS}")}),
    );
    json!({"typed_extension_protocol_options": {OPTIONS: options}})
}

fn address(at: SocketAddr) -> Value {
    json!({"socket_address": {"address": at.ip(), "port_value": at.port()}})
}

/// Adds the fields of `more` to `all`.
pub(crate) fn merge(all: &mut Value, more: &Value) {
    let none = Map::new();
    let more = more.as_object().unwrap_or(&none).clone();
    all.as_object_mut().expect("an object").extend(more);
}
