//! Which route a request takes.

use serde_json::{Value, json};

use crate::{
    ask::get,
    scene::{Pools, Scene},
};

const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/A/B",
    "/ab",
    "/api",
    "/api/",
    "/api/v1",
    "/api/v2?x=1",
    "/apis",
    "/exact",
    "/exact?q",
    "/Exact",
    "/item/12",
    "/item/x",
    "/item/12/more",
    "/a%20b",
    "/files/x.png",
    "/files/x.png?y",
    "/b;p=1",
    "/deep/a/b/c",
];

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        prefixes(),
        exact(),
        separated(),
        regexes(),
        templates(),
        case(),
        header_values(),
        header_ranges(),
        header_absence(),
        queries(),
        methods(),
        grpc_only(),
        fractions(),
        weighted(),
        weighted_by_header(),
        cluster_header(),
    ]
}

fn to(cluster: &str) -> Value {
    json!({"cluster": cluster})
}

fn paths() -> Pools<'static> {
    Pools {
        paths: PATHS,
        ..Pools::default()
    }
}

fn prefixes() -> Scene {
    Scene::of(
        "prefixes",
        json!([
            {"match": {"prefix": "/api/"}, "route": to("v1")},
            {"match": {"prefix": "/a"}, "route": to("v2")},
            {"match": {"prefix": "/deep/a/b/"}, "route": to("v3")},
            {"match": {"prefix": "/exact"}, "route": to("both")},
        ]),
    )
    .paths(PATHS)
    .draw(40, paths())
}

fn exact() -> Scene {
    Scene::of(
        "exact",
        json!([
            {"match": {"path": "/exact"}, "route": to("v1")},
            {"match": {"path": "/api"}, "route": to("v2")},
            {"match": {"path": "/a%20b"}, "route": to("v3")},
        ]),
    )
    .paths(PATHS)
    .draw(40, paths())
}

fn separated() -> Scene {
    Scene::of("separated", json!([
        {"match": {"path_separated_prefix": "/api"}, "route": to("v1")},
        {"match": {"path_separated_prefix": "/a"}, "route": {"cluster": "v2", "prefix_rewrite": "/z"}},
        {"match": {"prefix": "/"}, "route": to("v3")},
    ]))
    .paths(PATHS)
    .draw(40, paths())
}

fn regexes() -> Scene {
    Scene::of(
        "regexes",
        json!([
            {"match": {"safe_regex": {"regex": "/item/[0-9]+"}}, "route": to("v1")},
            {"match": {"safe_regex": {"regex": "/files/.*\\.(png|jpg)"}}, "route": to("v2")},
            {"match": {"safe_regex": {"regex": "(?i)/EXACT"}}, "route": to("v3")},
            {"match": {"safe_regex": {"regex": "/a.*"}}, "route": to("two")},
        ]),
    )
    .paths(PATHS)
    .draw(40, paths())
}

fn templates() -> Scene {
    let template = |pattern: &str| {
        json!({"path_match_policy": {
            "name": "template",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                "path_template": pattern,
            },
        }})
    };
    Scene::of(
        "templates",
        json!([
            {"match": template("/item/{id}"), "route": to("v1")},
            {"match": template("/files/*"), "route": to("v2")},
            {"match": template("/deep/**"), "route": to("v3")},
        ]),
    )
    .paths(PATHS)
}

fn case() -> Scene {
    Scene::of("case", json!([
        {"match": {"path": "/exact", "case_sensitive": false}, "route": to("v1")},
        {"match": {"prefix": "/A/", "case_sensitive": false}, "route": to("v2")},
        {"match": {"path_separated_prefix": "/API", "case_sensitive": false}, "route": to("v3")},
    ]))
    .paths(PATHS)
    .draw(40, paths())
}

const TENANTS: &[(&str, &[&str])] = &[
    (
        "x-tenant",
        &["blue", "Blue", "red", "dark-blue", "blue-1", ""],
    ),
    ("x-n", &["-1", "0", "5", "9", "10", "05", "ten", "1.0"]),
    ("x-two", &["a", "b"]),
    ("x-two", &["b", "c"]),
];

fn headers() -> Pools<'static> {
    Pools {
        paths: &["/", "/a"],
        headers: TENANTS,
        ..Pools::default()
    }
}

fn when(header: Value) -> Value {
    json!({"prefix": "/", "headers": [header]})
}

fn header_values() -> Scene {
    let tenant = |how: Value| when(json!({"name": "x-tenant", "string_match": how}));
    Scene::of(
        "header_values",
        json!([
            {"match": tenant(json!({"exact": "blue"})), "route": to("v1")},
            {"match": tenant(json!({"prefix": "blue-"})), "route": to("v2")},
            {"match": tenant(json!({"suffix": "-blue"})), "route": to("v3")},
            {"match": tenant(json!({"contains": "BLUE", "ignore_case": true})), "route": to("two")},
            {"match": tenant(json!({"safe_regex": {"regex": "r.d"}})), "route": to("both")},
            {"match": when(json!({"name": "x-two", "exact_match": "a,b"})), "route": to("v1")},
            {"match": when(json!({"name": "x-two", "contains_match": "c"})), "route": to("v2")},
        ]),
    )
    .draw(60, headers())
}

fn header_ranges() -> Scene {
    Scene::of("header_ranges", json!([
        {"match": when(json!({"name": "x-n", "range_match": {"start": 0, "end": 10}})), "route": to("v1")},
        {"match": when(json!({"name": "x-n", "range_match": {"start": -5, "end": 0}, "invert_match": true})), "route": to("v2")},
        {"match": {"prefix": "/"}, "route": to("v3")},
    ]))
    .draw(60, headers())
}

fn header_absence() -> Scene {
    Scene::of("header_absence", json!([
        {"match": when(json!({"name": "x-tenant", "present_match": false})), "route": to("v1")},
        {"match": when(json!({"name": "x-n", "present_match": true})), "route": to("v2")},
        {"match": when(json!({"name": "x-two", "string_match": {"exact": "b"}, "treat_missing_header_as_empty": true, "invert_match": true})), "route": to("v3")},
        {"match": when(json!({"name": ":method", "string_match": {"exact": "PUT"}})), "route": to("two")},
        {"match": when(json!({"name": ":authority", "string_match": {"suffix": ".org"}})), "route": to("both")},
    ]))
    .draw(60, headers())
}

fn queries() -> Scene {
    let query = |parameter: Value| json!({"prefix": "/", "query_parameters": [parameter]});
    Scene::of("queries", json!([
        {"match": query(json!({"name": "a", "string_match": {"exact": "1"}})), "route": to("v1")},
        {"match": query(json!({"name": "b", "present_match": true})), "route": to("v2")},
        {"match": query(json!({"name": "c", "string_match": {"safe_regex": {"regex": "[0-9]+"}}})), "route": to("v3")},
        {"match": query(json!({"name": "d", "present_match": false})), "route": to("both")},
    ]))
    .paths(&[
        "/?a=1", "/?a=2", "/?a=1&a=2", "/?a=2&a=1", "/?a", "/?a=", "/?b", "/?b=", "/?x&b=7", "/?c=12", "/?c=1x", "/?c=%31", "/?%61=1",
        "/?d=1", "/?d", "/?A=1", "/?a=1#", "/?&&a=1", "/?a=1&", "/?aa=1", "/?", "/?=1", "/?a==1", "/?a=1?b=2", "/?d&a=1;b=2",
    ])
}

fn methods() -> Scene {
    let method = |name: &str| when(json!({"name": ":method", "string_match": {"exact": name}}));
    Scene::of(
        "methods",
        json!([
            {"match": method("GET"), "route": to("v1")},
            {"match": method("POST"), "route": to("v2")},
            {"match": method("DELETE"), "route": to("v3")},
            {"match": method("OPTIONS"), "route": to("both")},
        ]),
    )
    .asks(
        ["GET", "POST", "DELETE", "OPTIONS", "PATCH", "HEAD", "PUT"].map(|it| get("/").method(it)),
    )
    .draw(
        40,
        Pools {
            methods: &["GET", "POST", "DELETE", "OPTIONS", "PATCH", "HEAD"],
            ..paths()
        },
    )
}

fn grpc_only() -> Scene {
    Scene::of(
        "grpc_only",
        json!([
            {"match": {"prefix": "/", "grpc": {}}, "route": to("two")},
            {"match": {"prefix": "/"}, "route": to("v1")},
        ]),
    )
    .draw(
        40,
        Pools {
            paths: &["/p.Echo/Say", "/"],
            methods: &["POST"],
            headers: &[(
                "content-type",
                &[
                    "application/grpc",
                    "application/grpc+proto",
                    "application/grpc-web",
                    "application/json",
                    "application/grpc; x=y",
                ],
            )],
            ..Pools::default()
        },
    )
}

fn fractions() -> Scene {
    let share = |numerator: u32| json!({"prefix": "/", "runtime_fraction": {"default_value": {"numerator": numerator}}});
    Scene::of(
        "fractions",
        json!([
            {"match": share(0), "route": to("v1")},
            {"match": share(100), "route": to("v2")},
            {"match": {"prefix": "/"}, "route": to("v3")},
        ]),
    )
    .draw(20, paths())
}

fn weighted() -> Scene {
    let clusters = json!([
        {"name": "v1", "weight": 80},
        {"name": "v2", "weight": 20},
        {"name": "v3", "weight": 0},
    ]);
    Scene::of(
        "weighted",
        json!([
            {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters}}},
        ]),
    )
    .draw(300, Pools::default())
    .drawn()
}

fn weighted_by_header() -> Scene {
    let clusters = json!([
        {"name": "v1", "weight": 50, "request_headers_to_add": [{"header": {"key": "x-share", "value": "one"}}], "host_rewrite_literal": "one.test"},
        {"name": "v2", "weight": 50, "response_headers_to_add": [{"header": {"key": "x-share", "value": "two"}}]},
    ]);
    Scene::of("weighted_by_header", json!([
        {"match": {"prefix": "/"}, "route": {"weighted_clusters": {"clusters": clusters, "header_name": "x-draw"}}},
    ]))
    .asks([0, 1, 49, 50, 99, 100, 12345].map(|draw: u32| get("/").header("x-draw", &draw.to_string())))
}

fn cluster_header() -> Scene {
    Scene::of(
        "cluster_header",
        json!([
            {"match": {"prefix": "/"}, "route": {"cluster_header": "x-cluster"}},
        ]),
    )
    .draw(
        40,
        Pools {
            headers: &[("x-cluster", &["v1", "v2", "nowhere", "", "two"])],
            ..Pools::default()
        },
    )
}
