//! Configuration that changes while the program runs: listeners, routes, clusters and endpoints from files that
//! are moved into place.

mod chains;
mod ejected;
mod load;
mod refused;
mod watched;
mod world;

use std::net::TcpStream;

use crossdock_tests::eventually;
use crossdock_tests::fake::Wire;
use serde_json::json;
use world::{PATIENCE, Resources, World, host};

const WIRES: [Wire; 2] = [Wire::Dubbo, Wire::Bolt1];

fn none() -> Resources {
    Resources::default()
}

#[test]
fn four_files_are_served() {
    let a = host("a");
    let world = World::simple(&a);
    for wire in WIRES {
        assert_eq!(world.client("rpc", wire).who().as_deref(), Some("a"));
    }
    for counter in [
        "listener_manager.lds.update_success",
        "cluster_manager.cds.update_success",
        "http.rpc.rds.r.update_success",
        "cluster.a.update_success",
    ] {
        assert_eq!(world.gateway.stat(counter), 1, "{counter}");
    }
    let listeners = world.dump("ListenersConfigDump");
    assert_eq!(listeners["version_info"], "1");
    let listener = &listeners["dynamic_listeners"][0];
    assert_eq!(listener["name"], "rpc");
    assert_eq!(listener["active_state"]["listener"]["name"], "rpc");
    let clusters = world.dump("ClustersConfigDump");
    assert_eq!(
        clusters["dynamic_active_clusters"][0]["cluster"]["name"],
        "a"
    );
    let routes = world.dump("RoutesConfigDump");
    assert_eq!(
        routes["dynamic_route_configs"][0]["route_config"]["name"],
        "r"
    );
    let endpoints = world.dump("EndpointsConfigDump");
    let endpoints = &endpoints["dynamic_endpoint_configs"][0]["endpoint_config"];
    assert_eq!(endpoints["cluster_name"], "a");
}

#[test]
fn new_routes_take_effect() {
    let (a, b) = (host("a"), host("b"));
    let world = World::start(&[
        ("eds", none().endpoints("a", &[&a]).endpoints("b", &[&b])),
        ("rds", none().routes("r", "a")),
        ("cds", none().cluster("a").cluster("b")),
        ("lds", none().listener("rpc", "r")),
    ]);
    let mut callers = WIRES.map(|wire| world.client("rpc", wire));
    for (version, name) in [("2", "b"), ("3", "a"), ("4", "b")] {
        world.put("rds", &none().routes("r", name), version);
        callers.iter_mut().for_each(|caller| caller.until(name));
    }
    assert_eq!(world.gateway.stat("http.rpc.rds.r.config_reload"), 4);
}

/// Whatever comes first: the route waits for the cluster, and the cluster for its endpoints.
#[test]
fn a_new_cluster_is_warm_before_a_route_names_it() {
    let (a, b) = (host("a"), host("b"));
    let world = World::simple(&a);
    let mut callers = WIRES.map(|wire| world.client("rpc", wire));
    let mut still_a = || {
        for caller in &mut callers {
            assert_eq!(caller.who().as_deref(), Some("a"));
        }
    };
    world.put("cds", &none().cluster("a").cluster("b"), "2");
    world.until("cluster_manager.warming_clusters", 1);
    world.put("rds", &none().routes("r", "b"), "2");
    world.until("http.rpc.rds.r.update_success", 2);
    still_a();
    let waiting = world.dump("ClustersConfigDump");
    assert_eq!(
        waiting["dynamic_warming_clusters"][0]["cluster"]["name"],
        "b"
    );
    let both = none().endpoints("a", &[&a]).endpoints("b", &[&b]);
    world.put("eds", &both, "2");
    callers.iter_mut().for_each(|caller| caller.until("b"));
    world.until("cluster_manager.warming_clusters", 0);

    // The cluster goes before the route does.
    world.put("cds", &none().cluster("a"), "3");
    world.until("cluster_manager.cds.update_success", 3);
    for caller in &mut callers {
        assert_eq!(caller.who().as_deref(), Some("b"));
    }
    world.put("rds", &none().routes("r", "a"), "3");
    callers.iter_mut().for_each(|caller| caller.until("a"));
    world.until("cluster_manager.cluster_removed", 1);
}

#[test]
fn endpoints_change_and_connections_to_the_others_stay() {
    let (a, b) = (host("a"), host("b"));
    let world = World::simple(&a);
    let mut callers = WIRES.map(|wire| world.client("rpc", wire));
    callers.iter_mut().for_each(|caller| caller.until("a"));
    let connections = a.accepted();
    world.put("eds", &none().endpoints("a", &[&a, &b]), "2");
    callers.iter_mut().for_each(|caller| caller.until("b"));
    callers.iter_mut().for_each(|caller| caller.until("a"));
    assert_eq!(a.accepted(), connections, "no connection is opened again");
    world.put("eds", &none().endpoints("a", &[&b]), "3");
    world.until("cluster.a.update_success", 3);
    world.until("cluster.a.membership_total", 1);
    let frames = a.frames();
    for caller in &mut callers {
        for _ in 0..20 {
            assert_eq!(caller.who().as_deref(), Some("b"));
        }
    }
    assert_eq!(a.frames(), frames, "who is gone is asked nothing");
}

#[test]
fn listeners_come_and_go() {
    let a = host("a");
    let world = World::simple(&a);
    let mut first = world.client("rpc", Wire::Dubbo);
    first.until("a");
    world.put(
        "lds",
        &none().listener("rpc", "r").listener("second", "r"),
        "2",
    );
    world.until("listener_manager.lds.update_success", 2);
    world.until("listener_manager.listener_added", 2);
    let address = world.gateway.address_of("second");
    let mut second = world.client("second", Wire::Bolt1);
    second.until("a");
    world.put("lds", &none().listener("rpc", "r"), "3");
    let refused = || TcpStream::connect(address).is_err().then_some(());
    assert!(
        eventually(PATIENCE, refused).is_some(),
        "its port is closed"
    );
    // Its connections are closed in a quiet moment, those of others are not.
    second.client.closed();
    assert_eq!(first.who().as_deref(), Some("a"));
    world.until("listener_manager.listener_removed", 1);
}

/// A change of everything but what a connection is about leaves the connection as it is.
#[test]
fn connections_outlive_changes_of_what_they_use() {
    let (a, b) = (host("a"), host("b"));
    let world = World::simple(&a);
    let mut callers = WIRES.map(|wire| world.client("rpc", wire));
    for round in 2..12_u32 {
        let version = round.to_string();
        let (name, host) = if round % 2 == 0 { ("b", &b) } else { ("a", &a) };
        let metadata = json!({"filter_metadata": {"own": {"round": version}}});
        let cluster = json!({
            "name": "other", "connect_timeout": "1s", "metadata": metadata,
        });
        let clusters = none().cluster("a").other("cluster.v3.Cluster", cluster);
        world.put("cds", &clusters, &version);
        world.put("eds", &none().endpoints("a", &[host]), &version);
        callers.iter_mut().for_each(|caller| caller.until(name));
    }
    assert_eq!(world.gateway.stat("http.rpc.downstream_cx_destroy"), 0);
    assert_eq!(world.gateway.stat("listener_manager.lds.update_success"), 1);
}

#[test]
fn a_cluster_without_endpoints_is_not_waited_for_for_ever() {
    let a = host("a");
    let world = World::simple(&a);
    let cluster = json!({
        "name": "b",
        "type": "EDS",
        "connect_timeout": "5s",
        "eds_cluster_config": {"eds_config": {
            "path_config_source": {"path": "/no/such/file.json"},
            "initial_fetch_timeout": "0.2s",
        }},
    });
    let clusters = none().cluster("a").other("cluster.v3.Cluster", cluster);
    world.put("cds", &clusters, "2");
    world.until("cluster_manager.cluster_added", 2);
    world.put("rds", &none().routes("r", "b"), "2");
    let mut caller = world.client("rpc", Wire::Dubbo);
    let answered = eventually(PATIENCE, || caller.who().is_none().then_some(()));
    assert!(answered.is_some(), "a cluster without hosts refuses calls");
    world.put("rds", &none().routes("r", "a"), "3");
    let answered = eventually(PATIENCE, || caller.who().map(drop));
    assert!(answered.is_some(), "and the next routes are taken");
}
