//! Changes of headers, both ways.

use serde_json::{Value, json};

use crate::{
    ask::get,
    scene::{Pools, Scene},
};

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        levels("levels", false),
        levels("levels_turned", true),
        actions(),
        formats(),
        formats_back(),
        removals(),
        cookies(),
    ]
}

fn add(key: &str, value: &str) -> Value {
    json!({"header": {"key": key, "value": value}})
}

fn add_as(key: &str, value: &str, action: &str) -> Value {
    json!({"header": {"key": key, "value": value}, "append_action": action})
}

/// The same header at all levels: the order shows.
fn levels(name: &'static str, most_specific_wins: bool) -> Scene {
    let at = |level: &str| {
        json!({
            "request_headers_to_add": [add("x-level", level), add_as("x-last", level, "OVERWRITE_IF_EXISTS_OR_ADD")],
            "response_headers_to_add": [add("x-level", level), add_as("x-last", level, "OVERWRITE_IF_EXISTS_OR_ADD")],
        })
    };
    let with = |mut fields: Value, level: &str| {
        let edits = at(level).as_object().expect("an object").clone();
        fields.as_object_mut().expect("an object").extend(edits);
        fields
    };
    let clusters = json!([with(json!({"name": "v2", "weight": 1}), "cluster")]);
    let routes = json!([
        with(
            json!({"match": {"prefix": "/w"}, "route": {"weighted_clusters": {"clusters": clusters}}}),
            "route"
        ),
        with(
            json!({"match": {"prefix": "/d"}, "direct_response": {"status": 200, "body": {"inline_string": "d"}}}),
            "route"
        ),
        with(
            json!({"match": {"prefix": "/r"}, "redirect": {"path_redirect": "/"}}),
            "route"
        ),
        with(
            json!({"match": {"prefix": "/e"}, "route": {"cluster": "empty"}}),
            "route"
        ),
        with(
            json!({"match": {"prefix": "/"}, "route": {"cluster": "v1"}}),
            "route"
        ),
    ]);
    let host = with(
        json!({"name": "all", "domains": ["*"], "routes": routes}),
        "host",
    );
    let mut config = with(json!({"virtual_hosts": [host]}), "table");
    config["most_specific_header_mutations_wins"] = most_specific_wins.into();
    Scene::at(name, config).draw(
        40,
        Pools {
            paths: &["/", "/w", "/d", "/r", "/e"],
            headers: &[
                ("x-level", &["caller"]),
                ("x-last", &["caller"]),
                ("x-want", &["header=x-level:host", "header=x-last:host"]),
            ],
            ..Pools::default()
        },
    )
}

fn actions() -> Scene {
    let edits = json!([
        add("x-a", "default"),
        add_as("x-b", "appended", "APPEND_IF_EXISTS_OR_ADD"),
        add_as("x-c", "if absent", "ADD_IF_ABSENT"),
        add_as("x-d", "overwritten", "OVERWRITE_IF_EXISTS_OR_ADD"),
        add_as("x-e", "only if there", "OVERWRITE_IF_EXISTS"),
        {"header": {"key": "x-f", "value": "old style"}, "append": false},
        {"header": {"key": "x-g", "value": ""}, "keep_empty_value": true},
        {"header": {"key": "x-h", "value": ""}},
    ]);
    Scene::of("actions", json!([
        {"match": {"prefix": "/"}, "route": {"cluster": "v1"}, "request_headers_to_add": edits, "response_headers_to_add": edits},
    ]))
    .asks([
        get("/").want("header=x-a:h;header=x-b:h;header=x-c:h;header=x-d:h;header=x-e:h;header=x-f:h;header=x-g:h"),
        get("/").want("header=x-d:1;header=x-d:2;header=x-b:1;header=x-b:2"),
    ])
    .draw(40, Pools {
        headers: &[("x-a", &["1"]), ("x-b", &["1", ""]), ("x-c", &["1"]), ("x-d", &["1"]), ("x-d", &["2"]), ("x-e", &["1"]), ("x-f", &["1"])],
        ..Pools::default()
    })
}

fn formats() -> Scene {
    let names = [
        "REQ(x-a)",
        "REQ(X-A):3",
        "REQ(x-none?x-a)",
        "REQ(:path)",
        "REQ(:method)",
        "REQ(:authority)",
        "PROTOCOL",
        "ROUTE_NAME",
        "UPSTREAM_CLUSTER",
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_TLS_VERSION",
        "DOWNSTREAM_PEER_SUBJECT",
        "REQUESTED_SERVER_NAME",
        "REQ(x-none)",
    ];
    let mut edits: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(at, name)| add(&format!("x-f{at}"), &format!("<%{name}%>")))
        .collect();
    edits.push(add("x-percent", "100%%"));
    edits.push(add("x-mixed", "%REQ(x-a)%-%PROTOCOL%"));
    edits.push(add("x-only", "%REQ(x-none)%"));
    Scene::of("formats", json!([
        {"name": "the-route", "match": {"prefix": "/"}, "route": {"cluster": "v1"}, "request_headers_to_add": edits},
    ]))
    .draw(40, Pools {
        paths: &["/", "/a?b=c"],
        headers: &[("x-a", &["1", "longer", ""]), ("x-forwarded-for", &["9.9.9.9", "9.9.9.9, 8.8.8.8", "nonsense"])],
        ..Pools::default()
    })
}

fn formats_back() -> Scene {
    let names = [
        "RESP(x-host)",
        "REQ(x-a)",
        "PROTOCOL",
        "UPSTREAM_CLUSTER",
        "ROUTE_NAME",
        "REQ(:path)",
        "REQ(x-envoy-original-path?:path)",
    ];
    let edits: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(at, name)| add(&format!("x-f{at}"), &format!("<%{name}%>")))
        .collect();
    Scene::of("formats_back", json!([
        {"name": "dead", "match": {"prefix": "/empty"}, "route": {"cluster": "empty"}, "response_headers_to_add": edits},
        {"name": "direct", "match": {"prefix": "/direct"}, "direct_response": {"status": 403}, "response_headers_to_add": edits},
        {"name": "the-route", "match": {"prefix": "/"}, "route": {"cluster": "v1", "prefix_rewrite": "/in/"}, "response_headers_to_add": edits},
    ]))
    .draw(40, Pools {
        paths: &["/", "/a?b=c", "/empty", "/direct"],
        headers: &[("x-a", &["1", "2"]), ("x-want", &["status=404", "status=503"])],
        ..Pools::default()
    })
}

fn removals() -> Scene {
    Scene::of(
        "removals",
        json!([
            {
                "match": {"prefix": "/"}, "route": {"cluster": "v1"},
                "request_headers_to_remove": ["x-a", "user-agent", "x-missing"],
                "response_headers_to_remove": ["x-b", "content-type"],
                "request_headers_to_add": [add("x-a", "again")],
            },
        ]),
    )
    .draw(
        40,
        Pools {
            headers: &[
                ("x-a", &["1"]),
                ("X-A", &["2"]),
                ("user-agent", &["curl"]),
                ("x-want", &["header=x-b:1", "header=X-B:1;header=x-c:1"]),
            ],
            ..Pools::default()
        },
    )
}

fn cookies() -> Scene {
    Scene::of("cookies", json!([
        {"match": {"prefix": "/", "headers": [{"name": "cookie", "string_match": {"contains": "user=beta"}}]}, "route": {"cluster": "v2"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "v1"}, "response_headers_to_add": [add("set-cookie", "seen=1; Path=/")]},
    ]))
    .draw(40, Pools {
        headers: &[("cookie", &["user=beta", "a=b; user=beta; c=d", "user=alpha"]), ("cookie", &["more=1"]), ("x-want", &["header=set-cookie:a=1;header=set-cookie:b=2"])],
        ..Pools::default()
    })
}
