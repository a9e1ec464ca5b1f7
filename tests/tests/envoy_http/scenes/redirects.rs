//! Answers that no host gives: redirects and direct responses.

use serde_json::{Value, json};

use crate::scene::{Pools, Scene};

const PATHS: &[&str] = &[
    "/",
    "/old",
    "/old/",
    "/old/a/b?c=d",
    "/older",
    "/code/301",
    "/x?y=1&z",
    "/a%20b",
    "/old//x",
];

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        of("redirect_host", json!({"host_redirect": "new.test"})),
        of("redirect_https", json!({"https_redirect": true})),
        of(
            "redirect_scheme",
            json!({"scheme_redirect": "https", "host_redirect": "new.test", "port_redirect": 8443}),
        ),
        of(
            "redirect_port",
            json!({"port_redirect": 81, "response_code": "PERMANENT_REDIRECT"}),
        ),
        of(
            "redirect_path",
            json!({"path_redirect": "/new?k=v", "strip_query": true, "response_code": "FOUND"}),
        ),
        of(
            "redirect_prefix",
            json!({"prefix_rewrite": "/new", "response_code": "SEE_OTHER"}),
        ),
        of(
            "redirect_strip",
            json!({"path_redirect": "/new", "strip_query": true, "response_code": "TEMPORARY_REDIRECT"}),
        ),
        of(
            "redirect_regex",
            json!({"regex_rewrite": {"pattern": {"regex": "^/old/(.*)$"}, "substitution": "/\\1"}}),
        ),
        tls(),
        direct(),
    ]
}

fn pools() -> Pools<'static> {
    Pools {
        paths: PATHS,
        hosts: &[
            "example.org",
            "example.org:80",
            "example.org:8080",
            "[::1]:80",
        ],
        headers: &[("x-forwarded-proto", &["http", "https", "HTTPS", "ftp"])],
        ..Pools::default()
    }
}

fn of(name: &'static str, redirect: Value) -> Scene {
    Scene::of(
        name,
        json!([
            {"match": {"prefix": "/old"}, "redirect": redirect},
            {"match": {"prefix": "/"}, "route": {"cluster": "v1"}},
        ]),
    )
    .draw(40, pools())
}

fn tls() -> Scene {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "v1"}}]);
    Scene::at("require_tls", json!({"virtual_hosts": [
        {"name": "all", "domains": ["example.org"], "require_tls": "ALL", "routes": routes},
        {"name": "external", "domains": ["*"], "require_tls": "EXTERNAL_ONLY", "routes": routes},
    ]}))
    .draw(40, Pools {
        headers: &[("x-forwarded-proto", &["http", "https"]), ("x-envoy-internal", &["true"]), ("x-forwarded-for", &["10.0.0.1", "8.8.8.8"])],
        ..pools()
    })
}

fn direct() -> Scene {
    let answer =
        |status: u16, body: &str| json!({"status": status, "body": {"inline_string": body}});
    Scene::of("direct", json!([
        {"match": {"path": "/ok"}, "direct_response": answer(200, "fine")},
        {"match": {"path": "/none"}, "direct_response": {"status": 204}},
        {"match": {"path": "/empty"}, "direct_response": {"status": 200}},
        {"match": {"path": "/teapot"}, "direct_response": answer(418, "short\nand stout")},
        {"match": {"path": "/error"}, "direct_response": answer(503, "down"), "response_headers_to_add": [
            {"header": {"key": "retry-after", "value": "7"}},
            {"header": {"key": "content-type", "value": "application/json"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        ]},
        {"match": {"path": "/moved"}, "direct_response": answer(302, ""), "response_headers_to_add": [
            {"header": {"key": "location", "value": "/ok"}},
        ]},
    ]))
    .draw(60, Pools {
        paths: &["/ok", "/none", "/empty", "/teapot", "/error", "/moved", "/nothing"],
        headers: &[("content-type", &["application/grpc", "text/plain"])],
        ..Pools::default()
    })
}
