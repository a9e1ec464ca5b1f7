//! Which host a hash chooses: the same one.

use serde_json::{Value, json};

use crate::{
    ask::{Ask, get},
    scene::Scene,
};

pub(super) fn scenes() -> Vec<Scene> {
    let header = json!([{"header": {"header_name": "x-key"}}]);
    let both = json!([
        {"header": {"header_name": "x-none"}},
        {"header": {"header_name": "x-key"}, "terminal": true},
        {"query_parameter": {"name": "k"}},
    ]);
    let query = json!([{"query_parameter": {"name": "k"}}]);
    let cookie = json!([{"cookie": {"name": "session"}}]);
    let set_cookie = json!([{"cookie": {"name": "session", "ttl": "60s", "path": "/p"}}]);
    let rewritten = json!([{"header": {
        "header_name": "x-key",
        "regex_rewrite": {"pattern": {"regex": "^user-([0-9]+).*$"}, "substitution": "\\1"},
    }}]);
    let address = json!([{"connection_properties": {"source_ip": true}}]);
    vec![
        of("maglev_header", "maglev", header.clone()).asks(by_header()),
        of("ring_header", "ring", header.clone()).asks(by_header()),
        of("murmur_header", "murmur", header).asks(by_header()),
        of("maglev_several", "maglev", both)
            .asks(by_header())
            .asks(by_query()),
        of("maglev_query", "maglev", query).asks(by_query()),
        of("ring_cookie", "ring", cookie).asks(by_cookie()),
        of("maglev_set_cookie", "maglev", set_cookie).asks(by_cookie()),
        of("maglev_rewritten", "maglev", rewritten).asks(by_header()),
        of("ring_address", "ring", address).asks(by_address()),
    ]
}

fn of(name: &'static str, cluster: &str, policy: Value) -> Scene {
    Scene::of(
        name,
        json!([
            {"match": {"prefix": "/"}, "route": {"cluster": cluster, "hash_policy": policy}},
        ]),
    )
}

fn by_header() -> impl Iterator<Item = Ask> {
    let one = (0..40).map(|number| get("/").header("x-key", &format!("user-{number}")));
    let several = (0..6).map(|number| {
        get("/")
            .header("x-key", &format!("a{number}"))
            .header("x-key", &format!("b{number}"))
            .two()
    });
    one.chain(several)
}

fn by_query() -> impl Iterator<Item = Ask> {
    let plain = (0..20).map(|number| get(&format!("/?x=1&k=v{number}")));
    let odd = ["/?k=a%20b", "/?k=1&k=2", "/?k=v1&y#"].map(get);
    plain.chain(odd.into_iter().take(2))
}

fn by_cookie() -> impl Iterator<Item = Ask> {
    (0..20).map(|number| get("/").header("cookie", &format!("a=b; session=s{number}; c=d")))
}

fn by_address() -> impl Iterator<Item = Ask> {
    let from = |number: u8| get("/").header("x-forwarded-for", &format!("10.1.2.{number}"));
    let chains = [
        "1.2.3.4, 10.1.2.3",
        "10.1.2.3,5.6.7.8",
        "fe80::1",
        "x",
        "1.2.3.4:80",
    ];
    let chains = chains.map(|chain| get("/").header("x-forwarded-for", chain));
    (0..20).map(from).chain(chains).chain([get("/")])
}
