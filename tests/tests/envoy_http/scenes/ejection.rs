//! Hosts that fail are left out.

use serde_json::{Value, json};

use crate::{
    ask::{Ask, get},
    scene::{Compare, Scene},
};

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        of("eject_5xx", "at=p0;status=500"),
        of("eject_gateway", "at=p1;status=503"),
        of("eject_gateway_not", "at=p1;status=500"),
        of("eject_reset", "at=p2;reset"),
        of("eject_local", "at=p2;reset"),
        of("eject_client", "at=p0;status=404"),
        of("eject_most", "status=500"),
        of("eject_most_20", "status=500"),
        of("eject_most_21", "status=500"),
        of("eject_most_41", "status=500"),
        of("eject_most_10", "status=500"),
        of("eject_one", "status=500"),
        of("eject_none", "at=p0;status=500"),
        of("eject_dead", "status=200"),
    ]
}

/// How each cluster leaves hosts out; the scene of the same name sends to it.
pub(crate) fn clusters() -> Vec<(&'static str, Value)> {
    let long = |more: Value| {
        let mut detection = json!({
            "interval": "1000s",
            "base_ejection_time": "1000s",
            "max_ejection_time": "1000s",
            "max_ejection_percent": 100,
        });
        crate::file::merge(&mut detection, &more);
        detection
    };
    let most = |percent: u32| long(json!({"consecutive_5xx": 1, "max_ejection_percent": percent}));
    vec![
        ("eject_5xx", long(json!({"consecutive_5xx": 3}))),
        (
            "eject_gateway",
            long(json!({
                "consecutive_gateway_failure": 2,
                "enforcing_consecutive_gateway_failure": 100,
            })),
        ),
        (
            "eject_gateway_not",
            long(json!({
                "consecutive_5xx": 100,
                "consecutive_gateway_failure": 2,
                "enforcing_consecutive_gateway_failure": 100,
            })),
        ),
        ("eject_reset", long(json!({"consecutive_5xx": 4}))),
        (
            "eject_local",
            long(json!({
                "split_external_local_origin_errors": true,
                "consecutive_5xx": 1,
                "consecutive_local_origin_failure": 3,
            })),
        ),
        ("eject_client", long(json!({"consecutive_5xx": 1}))),
        ("eject_most", most(40)),
        ("eject_most_20", most(20)),
        ("eject_most_21", most(21)),
        ("eject_most_41", most(41)),
        ("eject_most_10", most(10)),
        (
            "eject_one",
            long(json!({
                "consecutive_5xx": 1,
                "max_ejection_percent": 1,
                "always_eject_one_host": true,
            })),
        ),
        (
            "eject_none",
            long(json!({"consecutive_5xx": 1, "enforcing_consecutive_5xx": 0})),
        ),
        ("eject_dead", long(json!({"consecutive_5xx": 2}))),
    ]
}

/// Many requests one after another, to a cluster that goes round its hosts.
fn of(name: &'static str, want: &str) -> Scene {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": name}}]);
    let asks: Vec<Ask> = (0..60)
        .map(|_| get("/").method("POST").want(want))
        .collect();
    Scene::of(name, routes)
        .manager(json!({"delayed_close_timeout": "0.02s"}))
        .asks(asks)
        .compared(Compare::Counts)
}
