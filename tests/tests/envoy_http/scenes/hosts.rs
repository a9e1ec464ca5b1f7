//! Which virtual host a request belongs to.

use serde_json::{Value, json};

use crate::{
    ask::get,
    scene::{Pools, Scene},
};

const HOSTS: &[&str] = &[
    "example.org",
    "EXAMPLE.org",
    "example.org:80",
    "example.org:8080",
    "example.org.",
    "www.example.org",
    "a.b.example.org",
    "example.com",
    "example",
    "api.one",
    "api.one:80",
    "api.two",
    "10.0.0.1",
    "10.0.0.1:80",
    "[::1]",
    "[::1]:80",
    "other",
];

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        domains(),
        ports(),
        ignored_ports(),
        stripped_any(),
        stripped_matching(),
        dots(),
        no_default(),
    ]
}

fn host(name: &str, domains: &[&str], cluster: &str) -> Value {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]);
    json!({"name": name, "domains": domains, "routes": routes})
}

fn pools() -> Pools<'static> {
    Pools {
        hosts: HOSTS,
        ..Pools::default()
    }
}

fn of(name: &'static str, more: Value) -> Scene {
    let mut routes = json!({"virtual_hosts": [
        host("exact", &["example.org", "api.one"], "v1"),
        host("suffix", &["*.example.org"], "v2"),
        host("prefix", &["example.*", "api.*"], "v3"),
        host("ports", &["example.org:8080", "10.0.0.1:80", "[::1]"], "two"),
        host("all", &["*"], "both"),
    ]});
    routes
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    Scene::at(name, routes)
        .asks(HOSTS.iter().map(|host| get("/").to(host)))
        .draw(40, pools())
}

fn domains() -> Scene {
    of("domains", json!({}))
}

fn ports() -> Scene {
    Scene::at(
        "ports",
        json!({"virtual_hosts": [
            host("any", &["example.org:*"], "v1"),
            host("one", &["example.org:80"], "v2"),
        ]}),
    )
    .asks(HOSTS.iter().map(|host| get("/").to(host)))
}

fn ignored_ports() -> Scene {
    of(
        "ignored_ports",
        json!({"ignore_port_in_host_matching": true}),
    )
}

fn stripped_any() -> Scene {
    of("stripped_any", json!({})).manager(json!({"strip_any_host_port": true}))
}

fn stripped_matching() -> Scene {
    of("stripped_matching", json!({})).manager(json!({"strip_matching_host_port": true}))
}

fn dots() -> Scene {
    of("dots", json!({})).manager(json!({"strip_trailing_host_dot": true}))
}

fn no_default() -> Scene {
    Scene::at(
        "no_default",
        json!({"virtual_hosts": [
            host("one", &["example.org"], "v1"),
            {"name": "none", "domains": ["empty.org"]},
        ]}),
    )
    .draw(
        30,
        Pools {
            hosts: &["example.org", "empty.org", "other", "example.org:1"],
            ..Pools::default()
        },
    )
}
