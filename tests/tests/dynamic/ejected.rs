//! What is known of the health of hosts outlives changes of their cluster and of its endpoints.

use crossdock_tests::fake::{Host, Kind, Wire};
use serde_json::json;

use crate::none;
use crate::world::{Resources, World, host};

/// The cluster `a` with outlier detection.
fn watched(connect_timeout: &str) -> Resources {
    let cluster = json!({
        "name": "a",
        "type": "EDS",
        "connect_timeout": connect_timeout,
        "eds_cluster_config": {"eds_config": "FILE eds"},
        "outlier_detection": {
            "consecutive_5xx": 3,
            "interval": "0.05s",
            "base_ejection_time": "300s",
            "max_ejection_percent": 50,
        },
    });
    none().other("cluster.v3.Cluster", cluster)
}

/// Fails every call: Dubbo's SERVER_ERROR.
fn failing() -> Host {
    Host::start(|mut link| {
        while let Some(frame) = link.take() {
            let well = match frame.kind {
                Kind::Request => link.send(&frame.wire.status(frame.id, 80)),
                _ => link.answer(&frame),
            };
            if !well {
                return;
            }
        }
    })
}

#[test]
fn an_ejected_host_stays_so_over_changes_and_is_forgotten_when_it_leaves() {
    let (a, b, c, bad) = (host("a"), host("b"), host("c"), failing());
    let world = World::start(&[
        ("eds", none().endpoints("a", &[&a, &bad, &b])),
        ("rds", none().routes("r", "a")),
        ("cds", watched("5s")),
        ("lds", none().listener("rpc", "r")),
    ]);
    let mut caller = world.client("rpc", Wire::Dubbo);
    let failed = (0..9).filter(|_| caller.who().is_none()).count();
    assert_eq!(failed, 3);
    let active = "cluster.a.outlier_detection.ejections_active";
    world.until(active, 1);
    let mut nobody_fails = || {
        for _ in 0..30 {
            assert!(caller.who().is_some(), "the host stays away");
        }
    };
    nobody_fails();

    // Other endpoints beside it, and then another version of the cluster.
    world.put("eds", &none().endpoints("a", &[&bad, &a, &b, &c]), "2");
    world.until("cluster.a.membership_total", 4);
    world.until("cluster.a.membership_healthy", 3);
    nobody_fails();
    world.put("cds", &watched("4s"), "2");
    world.until("cluster_manager.cds.update_success", 2);
    nobody_fails();
    world.until(active, 1);

    world.put("eds", &none().endpoints("a", &[&a, &b, &c]), "3");
    world.until("cluster.a.membership_total", 3);
    world.until(active, 0);
    nobody_fails();
    let enforced = "cluster.a.outlier_detection.ejections_enforced_total";
    assert_eq!(world.gateway.stat(enforced), 1);
}
