//! Changes of everything while calls flow in four protocols: none fails, no connection is closed, and memory stays
//! what it is.

use std::env;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crossdock_tests::quartet::{Answer, Caller, Deed, Protocol, Service};
use serde_json::{Value, json};

use crate::none;
use crate::world::{Resources, World};

/// Changes that are made unless the environment says how many. All of them take some minutes.
const CHANGES: u64 = 300;

/// The variable that says so.
const VARIABLE: &str = "CROSSDOCK_CHANGES";

/// Connections of each protocol.
const CALLERS: usize = 2;

/// What the process may grow by between a fifth of the changes and the last one. The allocator alone comes and goes
/// with a few MiB; a snapshot that was kept for each change would be more.
const GROWTH_KIB: u64 = 8 * 1024;

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Two hosts of each protocol.
type Hosts = Vec<[Service; 2]>;

fn name(protocol: Protocol, group: usize) -> String {
    format!("{}-{group}", protocol.name())
}

/// Two clusters for each protocol, and one that is another one each time.
fn clusters(round: u64) -> Resources {
    let timeout = format!("{}s", 4 + round % 2);
    let mut all = none();
    for protocol in Protocol::ALL {
        for group in 0..2 {
            let mut cluster = json!({
                "name": name(protocol, group),
                "type": "EDS",
                // The clusters of one group say something else each time.
                "connect_timeout": if group == 1 { timeout.as_str() } else { "5s" },
                "eds_cluster_config": {"eds_config": "FILE eds"},
            });
            if protocol == Protocol::Grpc {
                cluster["typed_extension_protocol_options"] = json!({OPTIONS: {
                    "@type": format!("type.googleapis.com/{OPTIONS}"),
                    "explicit_http_config": {"http2_protocol_options": {}},
                }});
            }
            all = all.other("cluster.v3.Cluster", cluster);
        }
    }
    let other = json!({"name": format!("other-{round}"), "connect_timeout": "1s"});
    all.other("cluster.v3.Cluster", other)
}

/// The first group has one of the two hosts after the other, then both; the second group has both.
fn endpoints(hosts: &Hosts, round: u64) -> Resources {
    let endpoint = |address: SocketAddr| {
        json!({"endpoint": {"address": {"socket_address":
            {"address": address.ip().to_string(), "port_value": address.port()}}}})
    };
    let mut all = none();
    for (protocol, pair) in Protocol::ALL.into_iter().zip(hosts) {
        for group in 0..2 {
            let chosen = match (group, round % 3) {
                (0, 0) => &pair[..1],
                (0, 1) => &pair[1..],
                _ => &pair[..],
            };
            let chosen: Vec<_> = chosen.iter().map(|host| endpoint(host.address())).collect();
            let assignment = json!({
                "cluster_name": name(protocol, group),
                "endpoints": [{"lb_endpoints": chosen}],
            });
            all = all.other("endpoint.v3.ClusterLoadAssignment", assignment);
        }
    }
    all
}

/// 90 of 100 calls go to one group and 10 to the other, and the other way round.
fn routes(round: u64) -> Resources {
    let (first, second) = if round.is_multiple_of(2) {
        (90, 10)
    } else {
        (10, 90)
    };
    let host = |protocol: Protocol| {
        let weights = json!({"clusters": [
            {"name": name(protocol, 0), "weight": first},
            {"name": name(protocol, 1), "weight": second},
        ]});
        json!({
            "name": protocol.name(),
            "domains": [protocol.service()],
            "routes": [{"match": {"prefix": "/"}, "route": {"weighted_clusters": weights, "timeout": "0s"}}],
        })
    };
    let hosts: Vec<Value> = Protocol::ALL.into_iter().map(host).collect();
    none().other(
        "route.v3.RouteConfiguration",
        json!({"name": "r", "virtual_hosts": hosts}),
    )
}

/// The listener that calls come to, and another one that comes, changes and goes.
fn listeners(round: u64) -> Resources {
    let stays = none().listener("rpc", "r");
    match round % 3 {
        0 => stays,
        1 => stays.listener("side", "r"),
        _ => {
            let text = none().listener("side", "r");
            let other = text.first()["filter_chains"].clone();
            let other = other
                .to_string()
                .replace("\"stat_prefix\":\"side\"", "\"stat_prefix\":\"turned\"");
            let chains: Value = serde_json::from_str(&other).expect("what was JSON before");
            let mut listener = text.first().clone();
            listener["filter_chains"] = chains;
            stays.other("listener.v3.Listener", listener)
        }
    }
}

/// What the callers have seen.
#[derive(Debug, Default)]
struct Seen {
    stop: AtomicBool,
    answered: [AtomicU64; 4],
}

/// Calls on one connection until told to stop. A connection that is closed is never replaced.
fn call(protocol: Protocol, number: usize, address: SocketAddr, seen: &Seen) {
    let mut caller = Caller::connect(protocol, address);
    while !seen.stop.load(SeqCst) {
        let answer = caller.ask(Deed::Answer);
        assert_eq!(answer, Answer::Good, "a call of {protocol:?}");
        seen.answered[number].fetch_add(1, SeqCst);
        thread::sleep(Duration::from_millis(2));
    }
}

/// Makes one change, and waits until it is in force.
fn change(world: &World, hosts: &Hosts, number: u64) {
    let (kind, round) = (number % 4, number / 4 + 1);
    let version = (round + 1).to_string();
    let (file, resources, counter) = match kind {
        0 => (
            "eds",
            endpoints(hosts, round),
            "cluster.dubbo-0.update_success",
        ),
        1 => ("rds", routes(round), "http.rpc.rds.r.config_reload"),
        2 => ("cds", clusters(round), "cluster_manager.cds.update_success"),
        _ => (
            "lds",
            listeners(round),
            "listener_manager.lds.update_success",
        ),
    };
    world.put(file, &resources, &version);
    world.until(counter, round + 1);
}

#[test]
fn nothing_is_lost_while_everything_changes() {
    let changes = env::var(VARIABLE).map_or(CHANGES, |text| text.parse().expect("a number"));
    let hosts: Hosts = Protocol::ALL
        .into_iter()
        .map(|protocol| [(); 2].map(|()| Service::start(protocol)))
        .collect();
    let world = World::start(&[
        ("eds", endpoints(&hosts, 0)),
        ("rds", routes(0)),
        ("cds", clusters(0)),
        ("lds", listeners(0)),
    ]);
    let (address, seen) = (world.gateway.address_of("rpc"), Seen::default());
    let (mut early, mut late) = (0, 0);
    thread::scope(|scope| {
        let protocols = Protocol::ALL.into_iter().enumerate();
        let callers: Vec<_> = protocols
            .flat_map(|caller| (0..CALLERS).map(move |_| caller))
            .map(|(number, protocol)| {
                let seen = &seen;
                scope.spawn(move || call(protocol, number, address, seen))
            })
            .collect();
        // Whatever goes wrong here, the callers have to be told to stop.
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for number in 0..changes {
                change(&world, &hosts, number);
                let lost = callers.iter().any(thread::ScopedJoinHandle::is_finished);
                let counted = || world.gateway.admin("GET", "/stats?usedonly").1;
                assert!(
                    !lost,
                    "a caller has failed after {number} changes; {}",
                    counted()
                );
                match number + 1 {
                    made if made == changes / 5 => early = world.gateway.resident_kib(),
                    made if made == changes => late = world.gateway.resident_kib(),
                    _ => {}
                }
            }
        }));
        seen.stop.store(true, SeqCst);
        for caller in callers {
            caller
                .join()
                .expect("no call fails and no connection closes");
        }
        made.expect("every change comes into force");
    });
    for (protocol, answered) in Protocol::ALL.into_iter().zip(&seen.answered) {
        assert!(
            answered.load(SeqCst) > changes,
            "{protocol:?}: {answered:?}"
        );
    }
    for (protocol, pair) in Protocol::ALL.into_iter().zip(&hosts) {
        assert!(
            pair.iter().all(|host| host.received() > 0),
            "{protocol:?} had one host"
        );
    }
    let stat = |name: &str| world.gateway.stat(name);
    assert_eq!(
        stat("http.rpc.downstream_rq_5xx") + stat("http.rpc.downstream_rq_4xx"),
        0
    );
    let connections = (Protocol::ALL.len() * CALLERS) as u64;
    assert_eq!(
        stat("http.rpc.downstream_cx_total"),
        connections,
        "none was opened anew"
    );
    assert!(late <= early + GROWTH_KIB, "{early} KiB became {late} KiB");
    // What is gone has left no metrics behind.
    let (_, all) = world.gateway.admin("GET", "/stats");
    let others = all
        .lines()
        .filter(|line| line.starts_with("cluster.other-"));
    let names: std::collections::BTreeSet<_> =
        others.filter_map(|line| line.split('.').nth(1)).collect();
    assert!(names.len() <= 2, "{names:?}");
}
