//! Pages as they are asked for, and sockets as they are served.

use std::{sync::Arc, time::Duration};

use crossdock_framework::{
    cluster::{
        Balancer, Breakers, Cluster, ClusterMetric, ClusterSettings, Host, HostIx, HostSet,
        HostState, Pick,
    },
    snapshot::{HttpMetric, Live, Snapshot},
    stats::{Registry, Shard},
    worker::DrainScope,
};
use crossdock_xds::{
    bootstrap::{Format, Options},
    discovery::Options as FileOptions,
};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::{endpoints, reply::Reply};
use crate::{
    access_log::Flush,
    logging::Level,
    server::{BoundListener, Order, ProcessSettings, Server, State},
};

mod pages;
mod prometheus;
mod sockets;
mod stats;

#[derive(Debug)]
struct First;

impl Balancer for First {
    fn pick(&self, _: &HostSet, _: &Pick<'_>) -> Option<HostIx> {
        Some(HostIx(0))
    }
}

/// A process with one cluster of two hosts, one listener and one connection manager.
struct Fixture {
    server: Arc<Server>,
    orders: mpsc::Receiver<Order>,
}

const BOOTSTRAP: &str = r#"
node: {id: me, cluster: shop, metadata: {ISTIO_VERSION: "1.29"}}
layered_runtime:
  layers:
  - {name: base, static_layer: {crossdock: {sniff: dubbo, calls: 7}}}
  - {name: over, static_layer: {crossdock.sniff: bolt}}
static_resources:
  listeners:
  - name: rpc
    address: {socket_address: {address: 127.0.0.1, port_value: 20880}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config: {name: local, virtual_hosts: [{name: all, domains: ["*"]}]}
  clusters:
  - name: orders
    type: STATIC
"#;

impl Fixture {
    fn new() -> Self {
        Self::of(BOOTSTRAP)
    }

    fn of(bootstrap: &str) -> Self {
        let options = Options::default();
        let loaded = crossdock_xds::bootstrap::parse("f.yaml", bootstrap, Format::Yaml, &options);
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(rejected) => *rejected.refused.expect("the text can be read"),
        };
        let registry = Arc::new(Registry::new(2));
        let snapshot = Snapshot::new(vec![Arc::new(cluster(&registry))]);
        let http = registry.group::<HttpMetric>("http", "in");
        http.add(Shard(1), HttpMetric::RqTotal, 3);
        http.respond(Shard(2), 200);
        http.respond(Shard(1), 204);
        let (sender, orders) = mpsc::channel(2);
        let settings = ProcessSettings {
            concurrency: 2,
            drain_time: Duration::from_secs(45),
            flush: Flush::default(),
            log_level: Level::detached(),
            files: FileOptions::default(),
        };
        let live = Arc::new(Live::new(snapshot));
        let (bootstrap, unused) = (loaded.bootstrap, loaded.unused);
        let server = Server::new(bootstrap, unused, live, registry, sender, settings);
        server.set_state(State::Live);
        server
            .listeners
            .lock()
            .expect("nobody panicked")
            .push(BoundListener {
                name: "rpc".to_owned(),
                address: "127.0.0.1:20880".parse().expect("an address"),
            });
        Self {
            server: Arc::new(server),
            orders,
        }
    }

    fn ask(&self, method: &Method, target: &str, headers: &HeaderMap) -> Reply {
        let uri: Uri = target.parse().expect(target);
        endpoints::answer(&self.server, method, &uri, headers)
    }

    fn get(&self, target: &str) -> Reply {
        self.ask(&Method::GET, target, &HeaderMap::new())
    }

    fn post(&self, target: &str) -> Reply {
        self.ask(&Method::POST, target, &HeaderMap::new())
    }

    fn json(&self, target: &str) -> Json {
        let reply = self.get(target);
        assert_eq!(
            (reply.status, reply.content_type),
            (StatusCode::OK, "application/json")
        );
        serde_json::from_str(&reply.body).expect("JSON")
    }
}

fn cluster(registry: &Registry) -> Cluster {
    let host = |address: &str, name: Option<&str>, healthy| Host {
        address: address.parse().expect("an address"),
        hostname: name.map(Into::into),
        hash_key: None,
        weight: 3,
        healthy,
        state: HostState::new(),
    };
    let hosts = vec![
        host("10.0.0.1:20880", None, true),
        host("[fd00::2]:20880", Some("two.local"), false),
    ];
    hosts[0].state.begin();
    hosts[1].state.avoid_until(u64::MAX);
    let stats = registry.group::<ClusterMetric>("cluster", "orders");
    stats.add(Shard(1), ClusterMetric::RqTotal, 4);
    stats.add(Shard(2), ClusterMetric::RqTotal, 1);
    stats.respond(Shard(1), 503);
    for micros in [400, 3_000, 3_000, 70_000_000] {
        stats.record(Shard(1), ClusterMetric::RqTime, micros);
    }
    let breakers = [Breakers::new(2, 1024, 8), Breakers::unlimited()];
    assert!(breakers[0].begin_request() && breakers[0].begin_request());
    Cluster {
        name: "orders".into(),
        hosts: Arc::new(HostSet::new(hosts)),
        balancer: Arc::new(First),
        connect_timeout: Duration::from_secs(5),
        secure: None,
        breakers: Arc::new(breakers),
        settings: ClusterSettings::default(),
        http: Default::default(),
        observer: None,
        outlier: None,
        stats,
    }
}
