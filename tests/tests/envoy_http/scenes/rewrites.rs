//! Paths and authorities that hosts see.

use serde_json::{Value, json};

use crate::scene::{Pools, Scene};

const PATHS: &[&str] = &[
    "/",
    "/api",
    "/api/",
    "/api/v1",
    "/api/v1?x=1",
    "/apix",
    "/API/x",
    "/v1/a/b",
    "/v1/a/b?c=/v1/",
    "/xx/xx",
    "/a%20b",
    "/api//x",
    "/api?",
    "/item/7",
];

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        prefix(),
        root(),
        regex(),
        host(),
        host_header(),
        host_path(),
        auto(),
        template(),
        quiet(),
    ]
}

fn pools() -> Pools<'static> {
    Pools {
        paths: PATHS,
        hosts: &["example.org", "www.example.org:81"],
        headers: &[
            ("x-to", &["there.test", "there.test:99", ""]),
            ("x-envoy-original-path", &["/forged"]),
        ],
        ..Pools::default()
    }
}

fn of(name: &'static str, action: Value) -> Scene {
    let mut route = json!({"cluster": "v1"});
    route
        .as_object_mut()
        .expect("an object")
        .extend(action.as_object().expect("an object").clone());
    Scene::of(
        name,
        json!([
            {"match": {"prefix": "/api"}, "route": route},
            {"match": {"prefix": "/"}, "route": {"cluster": "two"}},
        ]),
    )
    .draw(50, pools())
}

fn prefix() -> Scene {
    of("prefix_rewrite", json!({"prefix_rewrite": "/inner/v9"}))
}

fn root() -> Scene {
    of("root_rewrite", json!({"prefix_rewrite": "/"}))
}

fn regex() -> Scene {
    Scene::of("regex_rewrite", json!([
        {"match": {"prefix": "/v1"}, "route": {"cluster": "v1", "regex_rewrite": {"pattern": {"regex": "^/v1/([^/]+)/(.*)$"}, "substitution": "/\\2/of/\\1"}}},
        {"match": {"prefix": "/"}, "route": {"cluster": "v2", "regex_rewrite": {"pattern": {"regex": "x"}, "substitution": "yy"}}},
    ]))
    .draw(50, pools())
}

fn host() -> Scene {
    of(
        "host_rewrite",
        json!({"host_rewrite_literal": "inner.test", "append_x_forwarded_host": true}),
    )
}

fn host_header() -> Scene {
    of("host_from_header", json!({"host_rewrite_header": "x-to"}))
}

fn host_path() -> Scene {
    of(
        "host_from_path",
        json!({"host_rewrite_path_regex": {"pattern": {"regex": "^/api/(.+)$"}, "substitution": "\\1"}}),
    )
}

fn auto() -> Scene {
    of(
        "auto_host",
        json!({"cluster": "named", "auto_host_rewrite": true}),
    )
}

fn template() -> Scene {
    let kind = |kind: &str| format!("type.googleapis.com/envoy.extensions.path.{kind}");
    let matched = json!({"path_match_policy": {"name": "match", "typed_config": {
        "@type": kind("match.uri_template.v3.UriTemplateMatchConfig"), "path_template": "/{first}/{rest=**}",
    }}});
    let rewrite = json!({"name": "rewrite", "typed_config": {
        "@type": kind("rewrite.uri_template.v3.UriTemplateRewriteConfig"), "path_template_rewrite": "/{rest}/{first}",
    }});
    Scene::of(
        "template_rewrite",
        json!([
            {"match": matched, "route": {"cluster": "v1", "path_rewrite_policy": rewrite}},
            {"match": {"prefix": "/"}, "route": {"cluster": "v2"}},
        ]),
    )
    .draw(30, pools())
}

fn quiet() -> Scene {
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    of("quiet", json!({"prefix_rewrite": "/inner"})).manager(json!({"http_filters": [
        {"name": "envoy.filters.http.router", "typed_config": {"@type": router, "suppress_envoy_headers": true}},
    ]}))
}
