//! Clusters and policies from version to version.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crossdock_framework::{
    cluster::{Cluster, HostIx},
    snapshot::Snapshot,
};
use crossdock_xds::{
    bootstrap::{self, Format},
    discovery::{self, Discovered, Interest, Subscription, Verdict},
    envoy_types::pb::envoy::config::{
        cluster::v3::Cluster as ClusterProto, endpoint::v3::ClusterLoadAssignment,
        listener::v3::Listener, route::v3::RouteConfiguration,
    },
};

use super::{Engine, engine::Settled};
use crate::compile::{Compiler, Tools};

const TYPES: &str = "type.googleapis.com/envoy.config";
const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// An engine, told of one response after another.
struct Rig {
    engine: Engine,
    now: Instant,
    /// What was published last.
    snapshot: Snapshot,
}

impl Rig {
    fn new() -> Self {
        let options = bootstrap::Options::default();
        let loaded = bootstrap::parse("f.yaml", "admin: {}", Format::Yaml, &options);
        let compiled = Compiler::new(&loaded.expect("good"), Tools::unused());
        let (compiler, resources) = compiled.expect("it compiles");
        #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
        let now = Instant::now();
        Self {
            engine: Engine::new(compiler, resources),
            now,
            snapshot: Snapshot::default(),
        }
    }

    /// Takes all resources of a kind, and brings into force what may be.
    fn take<M: Discovered>(&mut self, resources: &str) -> Settled {
        let text = format!("resources:\n{resources}");
        let options = discovery::Options::default();
        let response = discovery::parse::<M>("r.yaml", &text, Format::Yaml, &options);
        let response = response.expect("good");
        let mut held = Subscription::<M>::new(Interest::All);
        let mut update = held.offer(&response);
        held.conclude(Verdict::Accepted, SystemTime::UNIX_EPOCH);
        let known = M::among(self.engine.wanted()).keys();
        let gone = known.filter(|name| !response.resources.iter().any(|r| r.name == **name));
        update.removed = gone.cloned().collect();
        let wanted = self.engine.consider(&update).expect("it compiles");
        self.engine.want(wanted);
        self.settle()
    }

    fn settle(&mut self) -> Settled {
        let mut settled = self.engine.settle(self.now);
        if let Some(snapshot) = settled.snapshot.take() {
            self.snapshot = snapshot;
        }
        settled
    }

    fn cluster(&self, name: &str) -> Option<Arc<Cluster>> {
        let ix = self.snapshot.find(name)?;
        self.snapshot.cluster(ix).cloned()
    }

    /// The cluster that the first route of the only policy is linked to.
    fn linked(&self) -> Option<String> {
        let (_, policy) = self.snapshot.policies().next().expect("one policy");
        let ix = policy.links.first().copied().flatten()?;
        Some(self.snapshot.cluster(ix)?.name.to_string())
    }
}

fn cluster(name: &str, rest: &str) -> String {
    format!(
        "- {{\"@type\": {TYPES}.cluster.v3.Cluster, name: {name}, type: EDS, eds_cluster_config: \
         {{eds_config: {{path_config_source: {{path: /e}}}}}}{rest}}}\n"
    )
}

fn endpoints(name: &str, ports: &[u16]) -> String {
    let one = |port: &u16| {
        format!(
            "{{endpoint: {{address: {{socket_address: {{address: 10.0.0.1, port_value: {port}}}}}}}}}"
        )
    };
    let all: Vec<_> = ports.iter().map(one).collect();
    format!(
        "- {{\"@type\": {TYPES}.endpoint.v3.ClusterLoadAssignment, cluster_name: {name}, endpoints: \
         [{{lb_endpoints: [{}]}}]}}\n",
        all.join(", ")
    )
}

fn routes(cluster: &str) -> String {
    format!(
        "- {{\"@type\": {TYPES}.route.v3.RouteConfiguration, name: shop, virtual_hosts: [{{name: v, \
         domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: {cluster}}}}}]}}]}}\n"
    )
}

fn listener(prefix: &str) -> String {
    format!(
        "- {{\"@type\": {TYPES}.listener.v3.Listener, name: l, address: {{socket_address: {{address: \
         127.0.0.1, port_value: 81}}}}, filter_chains: [{{filters: [{{name: h, typed_config: \
         {{\"@type\": {HCM}, stat_prefix: {prefix}, rds: {{route_config_name: shop, config_source: \
         {{path_config_source: {{path: /r}}}}}}}}}}]}}]}}\n"
    )
}

fn ids(cluster: &Cluster) -> Vec<(u16, u64)> {
    let hosts = cluster.hosts.iter();
    let all = hosts.map(|(_, host)| (host.address.port(), host.state.id));
    all.collect()
}

#[test]
fn hosts_that_stay_are_the_same_hosts() {
    let mut rig = Rig::new();
    rig.take::<ClusterProto>(&cluster("a", ""));
    assert!(rig.cluster("a").is_none(), "it waits for its endpoints");
    rig.take::<ClusterLoadAssignment>(&endpoints("a", &[1, 2]));
    let before = rig.cluster("a").expect("in force");
    let settled = rig.take::<ClusterLoadAssignment>(&endpoints("a", &[2, 3]));
    let after = rig.cluster("a").expect("in force");
    assert_eq!(ids(&before)[1], ids(&after)[0]);
    assert_eq!(*settled.retired, [ids(&before)[0].1]);
    assert!(Arc::ptr_eq(&before.breakers, &after.breakers));
    assert!(Arc::ptr_eq(&before.stats, &after.stats));
    // A setting that connections do not depend upon.
    let settled = rig.take::<ClusterProto>(&cluster("a", ", connect_timeout: 1s"));
    assert_eq!(ids(&rig.cluster("a").expect("in force")), ids(&after));
    assert!(settled.retired.is_empty() && settled.modified == 1);
    // One that they do.
    let settled = rig.take::<ClusterProto>(&cluster("a", ", http2_protocol_options: {}"));
    assert_eq!(settled.retired.len(), 2, "every host begins anew");
}

#[test]
fn a_change_of_one_cluster_leaves_the_others_and_equal_words_change_nothing() {
    let mut rig = Rig::new();
    let both = endpoints("a", &[1]) + &endpoints("b", &[2]);
    rig.take::<ClusterProto>(&(cluster("a", "") + &cluster("b", "")));
    rig.take::<ClusterLoadAssignment>(&both);
    let a = rig.cluster("a").expect("in force");
    rig.take::<ClusterLoadAssignment>(&(endpoints("a", &[1]) + &endpoints("b", &[3])));
    assert!(Arc::ptr_eq(&a, &rig.cluster("a").expect("in force")));
    let settled = rig.engine.settle(rig.now);
    assert!(settled.snapshot.is_none() && settled.retired.is_empty());
    assert_eq!(
        (settled.added, settled.modified, settled.removed),
        (0, 0, 0)
    );
}

#[test]
fn a_route_goes_to_a_cluster_when_that_is_warm_and_the_old_one_goes_last() {
    let mut rig = Rig::new();
    rig.take::<ClusterProto>(&cluster("a", ""));
    rig.take::<ClusterLoadAssignment>(&endpoints("a", &[1]));
    rig.take::<Listener>(&listener("in"));
    rig.take::<RouteConfiguration>(&routes("a"));
    assert_eq!(rig.linked().as_deref(), Some("a"));
    rig.take::<ClusterProto>(&(cluster("a", "") + &cluster("b", "")));
    rig.take::<RouteConfiguration>(&routes("b"));
    assert_eq!(rig.linked().as_deref(), Some("a"), "b has no endpoints yet");
    rig.take::<ClusterLoadAssignment>(&(endpoints("a", &[1]) + &endpoints("b", &[2])));
    assert_eq!(rig.linked().as_deref(), Some("b"));
    rig.take::<ClusterProto>(&cluster("a", ""));
    assert_eq!(rig.linked().as_deref(), Some("b"), "it is named still");
    let settled = rig.take::<RouteConfiguration>(&routes("a"));
    assert_eq!(rig.linked().as_deref(), Some("a"));
    assert_eq!((settled.removed, settled.retired.len()), (1, 1));
}

#[test]
fn new_routes_reach_an_old_chain_and_a_chain_that_is_gone_keeps_its_place_and_cluster() {
    let mut rig = Rig::new();
    rig.take::<ClusterProto>(&(cluster("a", "") + &cluster("b", "")));
    rig.take::<ClusterLoadAssignment>(&(endpoints("a", &[1]) + &endpoints("b", &[2])));
    let settled = rig.take::<RouteConfiguration>(&routes("a"));
    assert!(settled.listeners.is_empty());
    let settled = rig.take::<Listener>(&listener("in"));
    let chain = Arc::clone(&settled.listeners[0].plans[0]);
    drop(settled);
    let settled = rig.take::<RouteConfiguration>(&routes("b"));
    assert!(
        Arc::ptr_eq(&chain, &settled.listeners[0].plans[0]),
        "no drain"
    );
    assert_eq!(rig.linked().as_deref(), Some("b"));
    drop(settled);
    // The listener goes while a connection holds its chain, and then all that it names.
    rig.take::<Listener>("");
    rig.take::<RouteConfiguration>("");
    rig.take::<ClusterProto>("");
    rig.now += Duration::from_secs(60);
    rig.settle();
    assert_eq!(rig.linked().as_deref(), Some("b"), "its calls go on");
    drop(chain);
    rig.settle();
    assert!(rig.snapshot.policies().next().is_none() && rig.snapshot.clusters().is_empty());
}

#[test]
fn a_cluster_without_endpoints_is_not_waited_for_for_ever() {
    let mut rig = Rig::new();
    let settled = rig.take::<ClusterProto>(&cluster("a", ""));
    assert!(rig.cluster("a").is_none() && settled.waiting.len() == 1);
    rig.now = settled.wake_at.expect("its time is limited");
    rig.settle();
    let empty = rig.cluster("a").expect("in force");
    assert!(empty.hosts.get(HostIx(0)).is_none());
}
