//! Rate limits: as many as the bucket holds, the rest refused.

use serde_json::{Value, json};

use super::filtered;
use crate::{
    ask::{Ask, get, grpc},
    scene::{Pools, Scene},
};

const TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        of_the_listener(),
        by_level(),
        with_headers(),
        not_enforced(),
        not_enabled(),
        as_exhausted(),
        by_header(),
        by_key(),
        by_value_match(),
        by_query(),
        by_address(),
        all_at_once(),
    ]
}

/// A bucket that is not filled again within a test.
fn bucket(tokens: u32) -> Value {
    json!({"max_tokens": tokens, "fill_interval": "1000s"})
}

fn limit(more: Value) -> Value {
    let always = json!({"default_value": {"numerator": 100}});
    let mut limit = json!({
        "@type": TYPE,
        "stat_prefix": "limit",
        "filter_enabled": always,
        "filter_enforced": always,
    });
    crate::file::merge(&mut limit, &more);
    limit
}

/// These routes, behind a limit of these fields.
fn of(name: &'static str, listener: Value, routes: Value) -> Scene {
    Scene::of(name, routes).manager(filtered(&[("limit", limit(listener))]))
}

fn to(prefix: &str, own: Value) -> Value {
    json!({
        "match": {"prefix": prefix},
        "route": {"cluster": "two"},
        "typed_per_filter_config": {"limit": limit(own)},
    })
}

fn plain() -> Value {
    json!([{"match": {"prefix": "/"}, "route": {"cluster": "two"}}])
}

/// A route whose calls have these descriptors.
fn described(actions: Value) -> Value {
    json!([{
        "match": {"prefix": "/"},
        "route": {"cluster": "two", "rate_limits": [{"actions": actions}]},
    }])
}

fn of_the_listener() -> Scene {
    of(
        "limit_of_listener",
        json!({"token_bucket": bucket(5)}),
        plain(),
    )
    .draw(16, Pools::default())
}

fn by_level() -> Scene {
    let routes = json!({"virtual_hosts": [
        {
            "name": "one",
            "domains": ["one"],
            "typed_per_filter_config": {"limit": limit(json!({"token_bucket": bucket(3)}))},
            "routes": [
                to("/own", json!({"token_bucket": bucket(2)})),
                {"match": {"prefix": "/"}, "route": {"cluster": "two"}},
            ],
        },
        {
            "name": "all",
            "domains": ["*"],
            "routes": [
                to("/own", json!({"token_bucket": bucket(1), "status": {"code": 503}})),
                {"match": {"prefix": "/"}, "route": {"cluster": "two"}},
            ],
        },
    ]});
    let listener = limit(json!({"token_bucket": bucket(4)}));
    Scene::at("limit_by_level", routes)
        .manager(filtered(&[("limit", listener)]))
        .draw(
            40,
            Pools {
                paths: &["/own", "/"],
                hosts: &["one", "two"],
                ..Pools::default()
            },
        )
}

fn with_headers() -> Scene {
    let listener = json!({
        "token_bucket": bucket(3),
        "status": {"code": "ServiceUnavailable"},
        "response_headers_to_add": [
            {"header": {"key": "x-limited", "value": "yes"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        ],
    });
    of("limit_with_headers", listener, plain()).draw(10, Pools::default())
}

fn not_enforced() -> Scene {
    let listener = json!({
        "token_bucket": bucket(2),
        "filter_enforced": {"default_value": {"numerator": 0}},
        "request_headers_to_add_when_not_enforced": [
            {"header": {"key": "x-over", "value": "1"}},
        ],
    });
    of("limit_not_enforced", listener, plain()).draw(8, Pools::default())
}

fn not_enabled() -> Scene {
    let listener = json!({
        "token_bucket": bucket(1),
        "filter_enabled": {"default_value": {"numerator": 0}},
    });
    of("limit_not_enabled", listener, plain()).draw(6, Pools::default())
}

fn as_exhausted() -> Scene {
    let routes = json!([
        to(
            "/told/",
            json!({"token_bucket": bucket(1), "rate_limited_as_resource_exhausted": true})
        ),
        to("/plain/", json!({"token_bucket": bucket(1)})),
    ]);
    of(
        "limit_as_exhausted",
        json!({"token_bucket": bucket(100)}),
        routes,
    )
    .asks((0..4).flat_map(|_| [grpc("/told/M"), grpc("/plain/M"), get("/told/M")]))
}

fn by_header() -> Scene {
    let entry = |value: &str, tokens: u32| {
        json!({
            "entries": [{"key": "user", "value": value}],
            "token_bucket": bucket(tokens),
        })
    };
    let listener = json!({
        "token_bucket": bucket(4),
        "descriptors": [entry("one", 1), entry("three", 3)],
    });
    let actions = json!([{"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}]);
    of("limit_by_header", listener, described(actions)).draw(
        40,
        Pools {
            headers: &[("x-user", &["one", "three", "other"])],
            ..Pools::default()
        },
    )
}

fn by_key() -> Scene {
    let listener = json!({
        "token_bucket": bucket(3),
        "descriptors": [{
            "entries": [{"key": "generic_key", "value": "slow"}, {"key": "m", "value": "GET"}],
            "token_bucket": bucket(2),
        }],
    });
    let actions = json!([
        {"generic_key": {"descriptor_value": "slow"}},
        {"request_headers": {"header_name": ":method", "descriptor_key": "m"}},
    ]);
    of("limit_by_key", listener, described(actions)).draw(20, Pools::default())
}

fn by_value_match() -> Scene {
    let listener = json!({
        "token_bucket": bucket(100),
        "descriptors": [
            {"entries": [{"key": "header_match", "value": "beta"}], "token_bucket": bucket(1)},
            {"entries": [{"key": "kind", "value": "none"}], "token_bucket": bucket(2)},
        ],
    });
    let headers = json!([{"name": "x-beta", "present_match": true}]);
    let routes = json!([{
        "match": {"prefix": "/"},
        "route": {"cluster": "two", "rate_limits": [
            {"actions": [{"header_value_match": {"descriptor_value": "beta", "headers": headers}}]},
            {"actions": [{"header_value_match": {
                "descriptor_key": "kind", "descriptor_value": "none", "expect_match": false, "headers": headers,
            }}]},
        ]},
    }]);
    of("limit_by_value_match", listener, routes).draw(
        20,
        Pools {
            headers: &[("x-beta", &["1"])],
            ..Pools::default()
        },
    )
}

fn by_query() -> Scene {
    let listener = json!({
        "token_bucket": bucket(100),
        "descriptors": [
            {"entries": [{"key": "query_match", "value": "v"}], "token_bucket": bucket(2)},
        ],
    });
    let parameters = json!([{"name": "q", "string_match": {"exact": "1"}}]);
    let actions = json!([
        {"query_parameter_value_match": {"descriptor_value": "v", "query_parameters": parameters}},
    ]);
    of("limit_by_query", listener, described(actions)).draw(
        16,
        Pools {
            paths: &["/?q=1", "/?q=2", "/"],
            ..Pools::default()
        },
    )
}

fn by_address() -> Scene {
    let listener = json!({
        "token_bucket": bucket(100),
        "descriptors": [
            {"entries": [{"key": "remote_address", "value": "127.0.0.1"}], "token_bucket": bucket(2)},
        ],
    });
    let actions = json!([{"remote_address": {}}]);
    of("limit_by_address", listener, described(actions)).draw(6, Pools::default())
}

/// A bucket that a descriptor takes from leaves the default one alone, or not.
fn all_at_once() -> Scene {
    let listener = json!({
        "token_bucket": bucket(4),
        "always_consume_default_token_bucket": false,
        "descriptors": [
            {"entries": [{"key": "user", "value": "one"}], "token_bucket": bucket(3)},
        ],
    });
    let actions = json!([{"request_headers": {"header_name": "x-user", "descriptor_key": "user"}}]);
    let one = |_| [get("/").header("x-user", "one"), get("/")];
    let asks: Vec<Ask> = (0..7).flat_map(one).collect();
    of("limit_apart", listener, described(actions)).asks(asks)
}
