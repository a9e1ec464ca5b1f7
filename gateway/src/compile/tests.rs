//! What is compiled again, and what is not.

use std::sync::Arc;

use crossdock_xds::{
    bootstrap::{self, Format},
    discovery::{self, Discovered, Interest, Resources, Subscription, Verdict},
    envoy_types::pb::envoy::config::{
        cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
        route::v3::RouteConfiguration,
    },
};

use super::{ChainPlan, Compiler, Serves, Tools};

/// A compiler with what it knows, as a sequence of responses changes it.
struct Rig {
    compiler: Compiler,
    resources: Resources,
}

const EMPTY: &str = "admin: {}";

impl Rig {
    fn new() -> Self {
        Self::of(EMPTY)
    }

    fn of(bootstrap: &str) -> Self {
        let options = bootstrap::Options::default();
        let loaded = bootstrap::parse("f.yaml", bootstrap, Format::Yaml, &options);
        let tools = Tools::unused();
        let (compiler, resources) =
            Compiler::new(&loaded.expect("good"), tools).expect("it compiles");
        Self {
            compiler,
            resources,
        }
    }

    /// Takes all resources of a kind, or says why not. What is not said any more is forgotten.
    fn offer<M: Discovered>(&mut self, resources: &str) -> Result<(), Vec<String>> {
        let text = format!("resources:\n{resources}");
        let options = discovery::Options::default();
        let response = discovery::parse::<M>("r.yaml", &text, Format::Yaml, &options)
            .map_err(|rejected| lines(&rejected.problems))?;
        let mut held = Subscription::<M>::new(Interest::All);
        let update = held.offer(&response);
        held.conclude(Verdict::Accepted, std::time::SystemTime::UNIX_EPOCH);
        let mut candidate = self.resources.clone();
        M::among_mut(&mut candidate).retain(|_, known| !known.origin.is_dynamic());
        candidate.take(&update);
        self.compiler
            .prepare(&candidate)
            .map_err(|problems| lines(&problems))?;
        self.resources = candidate;
        self.compiler.forget([&self.resources, &self.resources]);
        Ok(())
    }

    fn take<M: Discovered>(&mut self, resources: &str) {
        assert_eq!(self.offer::<M>(resources), Ok(()));
    }

    fn chains(&self, listener: &str) -> Vec<Arc<ChainPlan>> {
        let resource = &self.resources.listeners[listener];
        self.compiler
            .listener(resource)
            .expect("known")
            .plans
            .clone()
    }
}

fn lines(problems: &[crossdock_xds::Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

fn cluster(name: &str, rest: &str) -> String {
    format!("- {{\"@type\": {CLUSTER}, name: {name}{rest}}}\n")
}

/// A listener with a filter chain for each server name, whose routes are of that name.
fn listener(name: &str, port: u16, chains: &[(&str, &str)]) -> String {
    let chain = |(server, routes): &(&str, &str)| {
        format!(
            "{{filter_chain_match: {{server_names: [{server}]}}, filters: [{{name: h, typed_config: \
             {{\"@type\": {HCM}, stat_prefix: in, {routes}}}}}]}}"
        )
    };
    let chains: Vec<_> = chains.iter().map(chain).collect();
    format!(
        "- {{\"@type\": {LISTENER}, name: {name}, address: {{socket_address: {{address: 127.0.0.1, \
         port_value: {port}}}}}, filter_chains: [{}]}}\n",
        chains.join(", ")
    )
}

const BY_RDS: &str =
    "rds: {route_config_name: shop, config_source: {path_config_source: {path: /r}}}";

fn within(cluster: &str) -> String {
    format!(
        "route_config: {{virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, \
         route: {{cluster: {cluster}}}}}]}}]}}"
    )
}

fn routes(name: &str, cluster: &str) -> String {
    format!(
        "- {{\"@type\": {ROUTES}, name: {name}, virtual_hosts: [{{name: v, domains: ['*'], routes: \
         [{{match: {{prefix: /}}, route: {{cluster: {cluster}}}}}]}}]}}\n"
    )
}

#[test]
fn an_equal_cluster_is_not_compiled_again() {
    let mut rig = Rig::new();
    let first = cluster("a", "") + &cluster("b", ", connect_timeout: 1s");
    rig.take::<Cluster>(&first);
    let known = |rig: &Rig, name: &str| {
        let resource = &rig.resources.clusters[name];
        Arc::clone(rig.compiler.cluster(resource).expect("known"))
    };
    let (a, b) = (known(&rig, "a"), known(&rig, "b"));
    rig.take::<Cluster>(&(cluster("a", "") + &cluster("b", ", connect_timeout: 2s")));
    assert!(Arc::ptr_eq(&a, &known(&rig, "a")));
    let changed = known(&rig, "b");
    assert!(!Arc::ptr_eq(&b, &changed));
    assert!(
        changed.shares_connections(&b),
        "a time-out is no reason to connect anew"
    );
    rig.take::<Cluster>(&cluster("a", ", http2_protocol_options: {}"));
    assert!(!known(&rig, "a").shares_connections(&a));
    assert!(!rig.resources.clusters.contains_key("b"));
}

#[test]
fn circuit_breakers_stay_while_their_thresholds_do() {
    let mut rig = Rig::new();
    let of = |rig: &Rig| {
        let plan = rig.compiler.cluster(&rig.resources.clusters["a"]);
        plan.expect("known")
            .build(Vec::new(), None)
            .0
            .breakers
            .clone()
    };
    let limited = |most: u32, rest: &str| {
        let limits =
            format!(", circuit_breakers: {{thresholds: [{{max_requests: {most}}}]}}{rest}");
        cluster("a", &limits)
    };
    rig.take::<Cluster>(&limited(7, ""));
    let first = of(&rig);
    rig.take::<Cluster>(&limited(7, ", connect_timeout: 1s"));
    assert!(Arc::ptr_eq(&first, &of(&rig)));
    rig.take::<Cluster>(&limited(8, ", connect_timeout: 1s"));
    assert!(!Arc::ptr_eq(&first, &of(&rig)));
    assert_eq!(of(&rig)[0].max_requests, 8);
}

#[test]
fn a_route_table_is_compiled_once_for_all_that_name_it() {
    let mut rig = Rig::new();
    rig.take::<Listener>(
        &(listener("one", 81, &[("a", BY_RDS)]) + &listener("two", 82, &[("a", BY_RDS)])),
    );
    rig.take::<RouteConfiguration>(&(routes("shop", "x") + &routes("other", "y")));
    let known = |rig: &Rig, name: &str| {
        let resource = &rig.resources.routes[name];
        Arc::clone(rig.compiler.routes(resource).expect("known"))
    };
    let (shop, other) = (known(&rig, "shop"), known(&rig, "other"));
    assert!(Arc::ptr_eq(&shop, &known(&rig, "shop")));
    rig.take::<RouteConfiguration>(&(routes("shop", "z") + &routes("other", "y")));
    assert!(!Arc::ptr_eq(&shop, &known(&rig, "shop")));
    assert!(Arc::ptr_eq(&other, &known(&rig, "other")));
}

#[test]
fn filter_chains_of_a_changed_listener_stay_unless_they_have_changed() {
    let mut rig = Rig::new();
    rig.take::<Cluster>(&(cluster("x", "") + &cluster("y", "")));
    let (x, y) = (within("x"), within("y"));
    rig.take::<Listener>(&listener("l", 81, &[("a", &x), ("b", &x), ("c", BY_RDS)]));
    let before = rig.chains("l");
    // Another order, one chain changed, one gone, one new.
    rig.take::<Listener>(&listener(
        "l",
        81,
        &[("c", BY_RDS), ("a", &x), ("b", &y), ("d", &x)],
    ));
    let after = rig.chains("l");
    assert!(Arc::ptr_eq(&after[0], &before[2]));
    assert!(Arc::ptr_eq(&after[1], &before[0]));
    assert!(!Arc::ptr_eq(&after[2], &before[1]));
    let place = |chain: &ChainPlan| match &chain.serves {
        Serves::Rpc(rpc) => rpc.place,
        Serves::Tcp(_) => panic!("an RPC chain"),
    };
    let mut places: Vec<_> = after.iter().map(|chain| place(chain).0).collect();
    places.push(place(&before[1]).0);
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 5, "a chain with connections keeps its place");
    let free = place(&before[1]);
    drop(before);
    rig.take::<Listener>(&(listener("l", 81, &[("a", &x)]) + &listener("m", 82, &[("a", &y)])));
    assert!(
        place(&rig.chains("m")[0]).0 < 5,
        "places are used again: {free:?}"
    );
}

#[test]
fn a_listener_that_moves_or_turns_begins_anew() {
    let mut rig = Rig::new();
    rig.take::<Listener>(&listener("l", 81, &[("a", BY_RDS)]));
    let first = rig.chains("l");
    rig.take::<Listener>(&listener("l", 82, &[("a", BY_RDS)]));
    let moved = rig.chains("l");
    assert!(!Arc::ptr_eq(&first[0], &moved[0]), "another address");
    let inbound = listener("l", 82, &[("a", BY_RDS)])
        .replace("name: l,", "name: l, traffic_direction: INBOUND,");
    rig.take::<Listener>(&inbound);
    assert!(
        !Arc::ptr_eq(&moved[0], &rig.chains("l")[0]),
        "another direction"
    );
}

#[test]
fn nothing_is_kept_of_what_does_not_compile_as_a_whole() {
    let mut rig = Rig::new();
    rig.take::<Cluster>(&cluster("x", ""));
    let (good, bad) = (within("x"), within("ghost"));
    let both = listener("good", 81, &[("a", &good)]) + &listener("bad", 82, &[("a", &bad)]);
    let said = rig.offer::<Listener>(&both).expect_err("refused");
    assert_eq!(said.len(), 1, "{said:?}");
    let expected = "resources[1].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0]\
                    .routes[0].route.cluster: the cluster 'ghost' is not configured; let CDS have it \
                    first, or correct the name";
    assert!(
        said[0].starts_with("r.yaml:3:") && said[0].contains(expected),
        "{said:?}"
    );
    assert!(rig.resources.listeners.is_empty() && rig.compiler.living_chains().is_empty());
}

#[test]
fn a_route_that_is_discovered_may_name_a_cluster_that_comes_later() {
    let mut rig = Rig::new();
    rig.take::<RouteConfiguration>(&routes("shop", "later"));
    let checked =
        routes("shop", "later").replace("name: shop,", "name: shop, validate_clusters: true,");
    let said = rig
        .offer::<RouteConfiguration>(&checked)
        .expect_err("refused");
    assert!(
        said[0].contains("resources[0].virtual_hosts[0].routes[0].route.cluster"),
        "{said:?}"
    );
}

#[test]
fn two_listeners_have_two_addresses() {
    let mut rig = Rig::of(
        "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 99}}}\n\
         static_resources: {listeners: []}",
    );
    let same = listener("one", 81, &[("a", BY_RDS)]) + &listener("two", 81, &[("a", BY_RDS)]);
    let said = rig.offer::<Listener>(&same).expect_err("refused");
    assert!(
        said[0].contains("resources[1].address: another listener is at 127.0.0.1:81"),
        "{said:?}"
    );
    let said = rig
        .offer::<Listener>(&listener("one", 99, &[("a", BY_RDS)]))
        .expect_err("refused");
    assert!(
        said[0].contains("the admin endpoint is at 127.0.0.1:99 already"),
        "{said:?}"
    );
    rig.take::<Listener>(&listener("one", 81, &[("a", BY_RDS)]));
    // A listener may take the place of one that goes.
    rig.take::<Listener>(&listener("two", 81, &[("a", BY_RDS)]));
}

#[test]
fn an_equal_load_assignment_is_not_compiled_again() {
    let mut rig = Rig::new();
    let of = |name: &str, port: u16| {
        format!(
            "- {{\"@type\": {ENDPOINTS}, cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: \
             {{address: {{socket_address: {{address: 10.0.0.1, port_value: {port}}}}}}}}}]}}]}}\n"
        )
    };
    let known = |rig: &Rig, name: &str| {
        let assignment = rig.compiler.assignment(&rig.resources.endpoints[name]);
        Arc::clone(assignment.expect("known"))
    };
    rig.take::<ClusterLoadAssignment>(&(of("a", 1) + &of("b", 1)));
    let (a, b) = (known(&rig, "a"), known(&rig, "b"));
    rig.take::<ClusterLoadAssignment>(&(of("a", 1) + &of("b", 2)));
    assert!(Arc::ptr_eq(&a, &known(&rig, "a")));
    assert!(!Arc::ptr_eq(&b, &known(&rig, "b")));
    let said = rig.offer::<ClusterLoadAssignment>(&of("a", 1).replace("10.0.0.1", "a.example"));
    let said = said.expect_err("refused");
    assert!(
        said[0].contains("'a.example' is not an IP address"),
        "{said:?}"
    );
    assert!(
        Arc::ptr_eq(&a, &known(&rig, "a")),
        "the last good one stays"
    );
}
