//! What the connection manager itself does to requests and answers.

use serde_json::{Value, json};

use crate::{
    ask::get,
    scene::{Pools, Scene},
};

const PATHS: &[&str] = &[
    "/a/../b",
    "/a/./b",
    "/a//b",
    "//a",
    "/a/%2e%2e/b",
    "/a%2fb",
    "/a%2Fb",
    "/a%5cb",
    "/a\\b",
    "/a/b/..",
    "/a/..",
    "/a/.",
    "/%61/b",
    "/a%00b",
    "/a/b?c=../d//e",
    "/..",
    "/../x",
    "/a/...",
    "/%7Ea",
    "/a%zz",
    "/;x/../y",
];

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        of("plain", json!({})),
        of("edge", json!({"use_remote_address": true})),
        of(
            "edge_hops",
            json!({"use_remote_address": true, "xff_num_trusted_hops": 1}),
        ),
        of("inner_hops", json!({"xff_num_trusted_hops": 1})),
        of(
            "edge_silent",
            json!({"use_remote_address": true, "skip_xff_append": true}),
        ),
        of(
            "forwarded_port",
            json!({"append_x_forwarded_port": true, "via": "dock"}),
        ),
        of("inner_own", own(json!({}))),
        of("edge_own", own(json!({"use_remote_address": true}))),
        of("no_request_id", json!({"generate_request_id": false})),
        of(
            "keep_request_id",
            json!({"use_remote_address": true, "preserve_external_request_id": true, "always_set_request_id_in_response": true}),
        ),
        of("continues", json!({"proxy_100_continue": true})),
        of("server_name", json!({"server_name": "dock"})),
        of(
            "server_append",
            json!({"server_header_transformation": "APPEND_IF_ABSENT"}),
        ),
        of(
            "server_pass",
            json!({"server_header_transformation": "PASS_THROUGH"}),
        ),
        of(
            "scheme",
            json!({"scheme_header_transformation": {"scheme_to_overwrite": "https"}}),
        ),
        paths("normalised", json!({"normalize_path": true})),
        paths("not_normalised", json!({"normalize_path": false})),
        paths(
            "merged",
            json!({"normalize_path": true, "merge_slashes": true}),
        ),
        paths(
            "slashes_refused",
            json!({"normalize_path": true, "path_with_escaped_slashes_action": "REJECT_REQUEST"}),
        ),
        paths(
            "slashes_redirected",
            json!({"normalize_path": true, "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT"}),
        ),
        paths(
            "slashes_unescaped",
            json!({"normalize_path": true, "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"}),
        ),
        underscores("underscores_dropped", "DROP_HEADER"),
        underscores("underscores_refused", "REJECT_REQUEST"),
        old(),
    ]
}

/// Some callers are of one's own network.
fn own(mut manager: Value) -> Value {
    manager["internal_address_config"] = json!({"cidr_ranges": [
        {"address_prefix": "10.0.0.0", "prefix_len": 8},
        {"address_prefix": "127.0.0.1", "prefix_len": 32},
    ]});
    manager
}

fn of(name: &'static str, manager: Value) -> Scene {
    Scene::of(
        name,
        json!([
            {"match": {"prefix": "/two"}, "route": {"cluster": "two"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "v1"}},
        ]),
    )
    .manager(manager)
    .draw(
        30,
        Pools {
            paths: &["/", "/two"],
            headers: &[
                (
                    "x-forwarded-for",
                    &["1.2.3.4", "1.2.3.4, 5.6.7.8", "10.0.0.1", "rubbish"],
                ),
                ("x-forwarded-proto", &["https", "http"]),
                (
                    "x-request-id",
                    &["3c9e5e1a-0000-4000-8000-000000000000", "own-id"],
                ),
                ("x-envoy-internal", &["true"]),
                ("x-envoy-decorator-operation", &["op"]),
                ("x-envoy-upstream-rq-timeout-ms", &["5000"]),
                ("x-envoy-expected-rq-timeout-ms", &["77"]),
                ("x-envoy-max-retries", &["3"]),
                ("x-forwarded-host", &["other.test"]),
                ("via", &["1.1 other"]),
                ("user-agent", &["curl/8"]),
                ("te", &["trailers"]),
                (
                    "x-want",
                    &[
                        "header=server:origin",
                        "header=x-request-id:theirs;header=via:1.1 origin",
                    ],
                ),
            ],
            ..Pools::default()
        },
    )
}

fn paths(name: &'static str, manager: Value) -> Scene {
    Scene::of(
        name,
        json!([
            {"match": {"prefix": "/b"}, "route": {"cluster": "v2"}},
            {"match": {"prefix": "/"}, "route": {"cluster": "v1"}},
        ]),
    )
    .manager(manager)
    .paths(PATHS)
}

fn underscores(name: &'static str, action: &str) -> Scene {
    Scene::of(
        name,
        json!([{"match": {"prefix": "/"}, "route": {"cluster": "v1"}}]),
    )
    .manager(json!({"common_http_protocol_options": {"headers_with_underscores_action": action}}))
    .draw(
        20,
        Pools {
            headers: &[("x_under", &["1"]), ("x-dash", &["2"])],
            ..Pools::default()
        },
    )
}

fn old() -> Scene {
    Scene::of("http_10", json!([
        {"match": {"prefix": "/", "headers": [{"name": ":authority", "string_match": {"exact": "old.test"}}]}, "route": {"cluster": "v2"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "v1"}},
    ]))
    .manager(json!({"http_protocol_options": {"accept_http_10": true, "default_host_for_http_10": "old.test"}}))
    .asks([
        get("/").ten(),
        get("/").ten().to(""),
        get("/").ten().method("HEAD"),
        get("/").ten().header("connection", "keep-alive"),
        get("/").to(""),
    ])
}
