//! Faults: told as configured, by header, by level.

use serde_json::{Value, json};

use super::filtered;
use crate::{
    ask::{Ask, get, grpc},
    scene::{Pools, Scene},
};

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        by_route(),
        by_grpc_status(),
        aborts_by_header(),
        delays_by_header(),
        matching_headers(),
        of_one_cluster(),
        by_level(),
        switched_off(),
        delayed(),
        full(),
    ]
}

/// A fault filter, with `more` of its fields.
fn fault(more: Value) -> Value {
    let mut fault = json!({"@type": TYPE});
    crate::file::merge(&mut fault, &more);
    fault
}

fn abort(status: u16, percent: u32) -> Value {
    json!({"http_status": status, "percentage": {"numerator": percent}})
}

/// These routes, with a fault filter of these fields.
fn of(name: &'static str, listener: Value, routes: Value) -> Scene {
    Scene::of(name, routes).manager(filtered(&[("fault", fault(listener))]))
}

fn to(prefix: &str, own: Value) -> Value {
    json!({
        "match": {"prefix": prefix},
        "route": {"cluster": "two"},
        "typed_per_filter_config": {"fault": fault(own)},
    })
}

fn by_route() -> Scene {
    let statuses = [400, 403, 404, 418, 429, 500, 502, 503, 504, 599];
    let routes: Vec<Value> = statuses
        .iter()
        .map(|status| to(&format!("/{status}"), json!({"abort": abort(*status, 100)})))
        .chain([json!({"match": {"prefix": "/"}, "route": {"cluster": "two"}})])
        .collect();
    of("fault_by_route", json!({}), json!(routes)).draw(
        80,
        Pools {
            paths: &[
                "/400", "/403", "/404", "/418", "/429", "/500", "/502", "/503", "/504", "/599", "/",
            ],
            headers: &[(
                "content-type",
                &["application/grpc", "application/json", "text/plain"],
            )],
            ..Pools::default()
        },
    )
}

fn by_grpc_status() -> Scene {
    let statuses = 1..=16;
    let routes: Vec<Value> = statuses
        .clone()
        .map(|status| {
            let abort = json!({"grpc_status": status, "percentage": {"numerator": 100}});
            to(&format!("/s{status}/"), json!({"abort": abort}))
        })
        .collect();
    let asks = statuses.flat_map(|status| {
        let path = format!("/s{status}/M");
        [grpc(&path), get(&path), get(&path).two()]
    });
    let asks: Vec<Ask> = asks.collect();
    of("fault_by_grpc_status", json!({}), json!(routes)).asks(asks)
}

fn aborts_by_header() -> Scene {
    let routes = json!([
        to("/half", json!({"abort": {"header_abort": {}, "percentage": {"numerator": 0}}})),
        {"match": {"prefix": "/"}, "route": {"cluster": "two"}},
    ]);
    let by_header = json!({"abort": {"header_abort": {}, "percentage": {"numerator": 100}}});
    let statuses: &[&str] = &[
        "200", "204", "400", "404", "503", "504", "199", "600", "599", "0", "", "abc", "503x",
        " 503",
    ];
    let percent: &[&str] = &["0", "100", "1000", "", "abc"];
    of("fault_aborts_by_header", by_header, routes).draw(
        120,
        Pools {
            paths: &["/", "/half"],
            headers: &[
                ("x-envoy-fault-abort-request", statuses),
                (
                    "x-envoy-fault-abort-grpc-request",
                    &["0", "5", "14", "16", "17", "x"],
                ),
                ("x-envoy-fault-abort-request-percentage", percent),
                ("content-type", &["application/grpc"]),
            ],
            ..Pools::default()
        },
    )
}

fn delays_by_header() -> Scene {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "two"}}]);
    let by_header = json!({"delay": {"header_delay": {}, "percentage": {"numerator": 100}}});
    of("fault_delays_by_header", by_header, routes).draw(
        40,
        Pools {
            headers: &[
                ("x-envoy-fault-delay-request", &["1", "5", "0", "x", ""]),
                (
                    "x-envoy-fault-delay-request-percentage",
                    &["0", "100", "50x"],
                ),
            ],
            ..Pools::default()
        },
    )
}

fn matching_headers() -> Scene {
    let listener = json!({
        "headers": [
            {"name": "x-user", "string_match": {"exact": "jason"}},
            {"name": "x-test", "present_match": true, "invert_match": true},
        ],
        "abort": abort(504, 100),
    });
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "two"}}]);
    of("fault_matching_headers", listener, routes).draw(
        40,
        Pools {
            headers: &[("x-user", &["jason", "Jason", "jim"]), ("x-test", &["1"])],
            ..Pools::default()
        },
    )
}

fn of_one_cluster() -> Scene {
    let listener = json!({"upstream_cluster": "v2", "abort": abort(503, 100)});
    let routes = json!([
        {"match": {"prefix": "/v2"}, "route": {"cluster": "v2"}},
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 200}},
        {"match": {"prefix": "/v1"}, "route": {"cluster": "two"}},
    ]);
    of("fault_of_one_cluster", listener, routes).paths(&["/v1", "/v2", "/direct", "/none", "/v2/a"])
}

/// The most specific level is the only one that counts.
fn by_level() -> Scene {
    let routes = json!({"virtual_hosts": [
        {
            "name": "one",
            "domains": ["one"],
            "typed_per_filter_config": {"fault": fault(json!({"abort": abort(501, 100)}))},
            "routes": [
                to("/own", json!({"abort": abort(502, 100)})),
                to("/none", json!({})),
                {"match": {"prefix": "/"}, "route": {"cluster": "two"}},
            ],
        },
        {
            "name": "all",
            "domains": ["*"],
            "routes": [
                to("/own", json!({"abort": abort(502, 100)})),
                {"match": {"prefix": "/direct"}, "direct_response": {"status": 201}},
                {"match": {"prefix": "/"}, "route": {"cluster": "two"}},
            ],
        },
    ]});
    let listener = fault(json!({"abort": abort(500, 100)}));
    Scene::at("fault_by_level", routes)
        .manager(filtered(&[("fault", listener)]))
        .draw(
            40,
            Pools {
                paths: &["/own", "/none", "/direct", "/"],
                hosts: &["one", "two"],
                ..Pools::default()
            },
        )
}

fn switched_off() -> Scene {
    let off = json!({
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "disabled": true,
    });
    let inner = json!({
        "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "config": fault(json!({"abort": abort(502, 100)})),
    });
    let routes = json!([
        {
            "match": {"prefix": "/off"},
            "route": {"cluster": "two"},
            "typed_per_filter_config": {"fault": off},
        },
        {
            "match": {"prefix": "/wrapped"},
            "route": {"cluster": "two"},
            "typed_per_filter_config": {"fault": inner},
        },
        to("/zero", json!({"abort": abort(503, 0)})),
        {"match": {"prefix": "/"}, "route": {"cluster": "two"}},
    ]);
    of(
        "fault_switched_off",
        json!({"abort": abort(500, 100)}),
        routes,
    )
    .paths(&["/off", "/wrapped", "/zero", "/", "/off", "/other"])
}

fn delayed() -> Scene {
    let delay = json!({"fixed_delay": "0.02s", "percentage": {"numerator": 100}});
    let routes = json!([
        to("/then", json!({"delay": delay, "abort": abort(504, 100)})),
        to("/only", json!({"delay": delay})),
        to(
            "/never",
            json!({"delay": {"fixed_delay": "9s", "percentage": {"numerator": 0}}})
        ),
    ]);
    of("fault_delayed", json!({}), routes).draw(
        30,
        Pools {
            paths: &["/then", "/only", "/never"],
            ..Pools::default()
        },
    )
}

fn full() -> Scene {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "two"}}]);
    let none = json!({"abort": abort(503, 100), "max_active_faults": 0});
    of("fault_full", none, routes).paths(&["/", "/a"])
}
