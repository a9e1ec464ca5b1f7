//! Requests that are tried again: for what, how often, and where.

use serde_json::{Value, json};

use crate::{
    ask::{Ask, get, grpc},
    scene::{Compare, Pools, Scene},
};

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        by_word("retry_words_one", "v1"),
        by_word("retry_words_two", "two"),
        by_count(),
        by_status(),
        by_header(),
        of_some_requests(),
        as_asked(),
        of_grpc(),
        per_try(),
        attempts(),
        elsewhere(),
        refused_connections(),
        bodies(),
        by_virtual_host(),
        overflow(),
        asked_timeouts(),
    ]
}

/// Between tries: short, so that tests are.
fn back_off() -> Value {
    json!({"base_interval": "0.002s", "max_interval": "0.004s"})
}

/// Whose requests may ask for retries themselves.
fn internal() -> Value {
    json!({"internal_address_config": {"cidr_ranges": [
        {"address_prefix": "10.0.0.0", "prefix_len": 8},
    ]}})
}

fn policy(more: Value) -> Value {
    let mut policy = json!({"retry_back_off": back_off()});
    crate::file::merge(&mut policy, &more);
    policy
}

fn to(prefix: &str, cluster: &str, more: Value) -> Value {
    json!({
        "match": {"prefix": prefix},
        "route": {"cluster": cluster, "timeout": "3s", "retry_policy": policy(more)},
    })
}

const WORDS: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "5xx,retriable-4xx",
    "gateway-error,reset",
];

const WANTS: &[&str] = &[
    "for=1;status=500",
    "for=1;status=502",
    "for=1;status=503",
    "for=1;status=504",
    "for=1;status=409",
    "for=1;status=404",
    "for=1;status=429;header=x-envoy-ratelimited:1",
    "for=1;reset",
    "for=2;status=503",
    "for=1;status=200",
];

fn by_word(name: &'static str, cluster: &str) -> Scene {
    let routes: Vec<Value> = WORDS
        .iter()
        .enumerate()
        .map(|(ix, word)| to(&format!("/w{ix}/"), cluster, json!({"retry_on": word})))
        .collect();
    let paths: Vec<String> = (0..WORDS.len()).map(|ix| format!("/w{ix}/")).collect();
    let asks = paths.iter().flat_map(|path| {
        WANTS.iter().enumerate().map(move |(at, want)| {
            // A GET on a connection that was used before is sent again whatever the route says.
            let ask = get(path).method("POST").body("a body").want(want);
            if at % 2 == 0 { ask.two() } else { ask }
        })
    });
    let asks: Vec<Ask> = asks.collect();
    Scene::of(name, json!(routes))
        .manager(json!({"delayed_close_timeout": "0.02s"}))
        .asks(asks)
}

fn by_count() -> Scene {
    let counts: Vec<Value> = (0..4)
        .map(|count| {
            to(
                &format!("/n{count}/"),
                "v1",
                json!({"retry_on": "5xx", "num_retries": count}),
            )
        })
        .chain([to("/none/", "v1", json!({"retry_on": "5xx"}))])
        .collect();
    Scene::of("retry_counts", json!(counts)).draw(
        80,
        Pools {
            paths: &["/n0/", "/n1/", "/n2/", "/n3/", "/none/"],
            headers: &[(
                "x-want",
                &[
                    "for=1;status=503",
                    "for=2;status=500",
                    "for=3;status=503",
                    "status=503",
                    "status=404",
                ],
            )],
            ..Pools::default()
        },
    )
}

fn by_status() -> Scene {
    let routes = json!([to(
        "/",
        "v1",
        json!({
            "retry_on": "retriable-status-codes,gateway-error",
            "retriable_status_codes": [404, 418, 200],
            "num_retries": 2,
        })
    )]);
    Scene::of("retry_statuses", routes).draw(
        40,
        Pools {
            headers: &[
                (
                    "x-want",
                    &[
                        "for=1;status=404",
                        "for=2;status=418",
                        "for=1;status=500",
                        "for=1;status=502",
                        "status=418",
                        "for=3;status=204",
                    ],
                ),
                ("x-envoy-retriable-status-codes", &["500", "500,204", "x"]),
            ],
            ..Pools::default()
        },
    )
}

fn by_header() -> Scene {
    let routes = json!([to(
        "/",
        "v1",
        json!({
            "retry_on": "retriable-headers",
            "retriable_headers": [
                {"name": "x-again"},
                {"name": "x-state", "string_match": {"prefix": "not"}},
            ],
            "num_retries": 3,
        })
    )]);
    Scene::of("retry_headers", routes).draw(
        40,
        Pools {
            headers: &[(
                "x-want",
                &[
                    "for=1;header=x-again:1",
                    "for=2;header=x-state:not yet;status=409",
                    "header=x-state:not yet",
                    "for=1;header=x-state:done",
                    "for=1;status=503",
                ],
            )],
            ..Pools::default()
        },
    )
}

fn of_some_requests() -> Scene {
    let routes = json!([to(
        "/",
        "v1",
        json!({
            "retry_on": "5xx",
            "retriable_request_headers": [
                {"name": ":method", "string_match": {"exact": "GET"}},
                {"name": "x-idempotent", "present_match": true},
            ],
        })
    )]);
    Scene::of("retry_some", routes).draw(
        40,
        Pools {
            headers: &[
                ("x-want", &["for=1;status=503"]),
                ("x-idempotent", &["yes"]),
            ],
            ..Pools::default()
        },
    )
}

/// What callers ask for in `x-envoy-…`.
fn as_asked() -> Scene {
    let routes = json!([
        to("/more", "v1", json!({"retry_on": "connect-failure", "num_retries": 1})),
        {"match": {"prefix": "/"}, "route": {"cluster": "v1"}},
    ]);
    Scene::of("retry_as_asked", routes)
        .manager(internal())
        .draw(
            80,
            Pools {
                paths: &["/", "/more"],
                headers: &[
                    (
                        "x-want",
                        &[
                            "for=1;status=503",
                            "for=2;status=503",
                            "for=1;status=409",
                            "for=3;status=418",
                            "status=503",
                        ],
                    ),
                    (
                        "x-envoy-retry-on",
                        &["5xx", "retriable-4xx", "gateway-error", "nonsense", ""],
                    ),
                    ("x-envoy-max-retries", &["0", "1", "2", "3", "x"]),
                    ("x-forwarded-for", &["10.0.0.1"]),
                    ("x-envoy-retriable-header-names", &["x-host"]),
                ],
                ..Pools::default()
            },
        )
}

fn of_grpc() -> Scene {
    let words = [
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
        "unavailable,internal",
        "5xx",
    ];
    let routes: Vec<Value> = words
        .iter()
        .enumerate()
        .map(|(ix, word)| to(&format!("/w{ix}/"), "two", json!({"retry_on": word})))
        .chain([json!({"match": {"prefix": "/"}, "route": {"cluster": "two"}})])
        .collect();
    let statuses = [0, 1, 2, 4, 8, 13, 14];
    let asks = (0..words.len()).flat_map(|ix| {
        statuses.into_iter().map(move |status| {
            grpc(&format!("/w{ix}/M")).want(&format!("for=1;body=;header=grpc-status:{status}"))
        })
    });
    let asked = ["unavailable", "internal", "cancelled,unavailable", "x"].map(|word| {
        grpc("/any/M")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-envoy-retry-grpc-on", word)
            .want("for=1;body=;header=grpc-status:14")
    });
    let late = grpc("/w4/M").want("for=1;trailer=grpc-status:14");
    let asks: Vec<Ask> = asks.chain(asked).chain([late]).collect();
    Scene::of("retry_grpc", json!(routes))
        .manager(internal())
        .asks(asks)
}

fn per_try() -> Scene {
    let of = |word: &str| json!({"retry_on": word, "per_try_timeout": "0.25s", "num_retries": 2});
    let routes = json!([
        to("/5xx", "v1", of("5xx")),
        to("/gateway", "v1", of("gateway-error")),
        to("/reset", "v1", of("reset")),
        to("/never", "v1", of("connect-failure")),
    ]);
    let asks = ["/5xx", "/gateway", "/reset", "/never"].map(|path| {
        [
            get(path).want("for=1;silent"),
            get(path).want("for=2;silent").method("POST").two(),
            get(path).want("silent"),
        ]
    });
    Scene::of("retry_per_try", routes).asks(asks.into_iter().flatten())
}

/// Who is told how often it was tried.
fn attempts() -> Scene {
    let routes = json!([to("/", "v1", json!({"retry_on": "5xx", "num_retries": 2}))]);
    let host = |name: &str, request: bool, response: bool| {
        json!({
            "name": name,
            "domains": [name],
            "routes": routes,
            "include_request_attempt_count": request,
            "include_attempt_count_in_response": response,
        })
    };
    let hosts = json!([
        host("request", true, false),
        host("response", false, true),
        host("both", true, true),
        host("none", false, false),
    ]);
    Scene::at("retry_attempts", json!({"virtual_hosts": hosts})).draw(
        60,
        Pools {
            hosts: &["request", "response", "both", "none"],
            headers: &[
                (
                    "x-want",
                    &["for=1;status=503", "for=2;status=500", "status=503"],
                ),
                ("x-envoy-attempt-count", &["7"]),
            ],
            ..Pools::default()
        },
    )
}

/// Never the same host twice.
fn elsewhere() -> Scene {
    let previous = json!([{
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
        },
    }]);
    let routes = json!([to(
        "/",
        "pair",
        json!({
            "retry_on": "5xx",
            "num_retries": 1,
            "retry_host_predicate": previous,
            "host_selection_retry_max_attempts": 40,
        })
    )]);
    let asks = (0..20).map(|_| get("/").want("at=p0;status=503"));
    Scene::of("retry_elsewhere", routes)
        .asks(asks.collect::<Vec<_>>())
        .compared(Compare::Statuses)
}

fn refused_connections() -> Scene {
    let routes = json!([
        to(
            "/dead/",
            "dead",
            json!({"retry_on": "connect-failure", "num_retries": 2})
        ),
        to(
            "/empty/",
            "empty",
            json!({"retry_on": "5xx,connect-failure"})
        ),
        to("/two/", "dead_two", json!({"retry_on": "5xx"})),
    ]);
    Scene::of("retry_refused", routes).draw(
        20,
        Pools {
            paths: &["/dead/", "/empty/", "/two/"],
            ..Pools::default()
        },
    )
}

/// A body is sent again as long as it was kept.
fn bodies() -> Scene {
    let mut limited = to("/limited", "v1", json!({"retry_on": "5xx"}));
    limited["per_request_buffer_limit_bytes"] = json!(1000);
    let routes = json!([limited, to("/", "v1", json!({"retry_on": "5xx"}))]);
    let body = |length: usize| "x".repeat(length);
    let asks = ["/", "/limited"].into_iter().flat_map(|path| {
        [0, 10, 900, 20_000].into_iter().map(move |length| {
            get(path)
                .method("POST")
                .body(&body(length))
                .want("for=1;status=503")
        })
    });
    Scene::of("retry_bodies", routes).asks(asks.collect::<Vec<_>>())
}

/// A route's own policy takes the place of its virtual host's.
fn by_virtual_host() -> Scene {
    let routes = json!([
        to("/own", "v1", json!({"retry_on": "retriable-4xx"})),
        {"match": {"prefix": "/"}, "route": {"cluster": "v1"}},
    ]);
    let hosts = json!([{
        "name": "all",
        "domains": ["*"],
        "routes": routes,
        "retry_policy": policy(json!({"retry_on": "5xx", "num_retries": 2})),
    }]);
    Scene::at("retry_by_virtual_host", json!({"virtual_hosts": hosts})).draw(
        40,
        Pools {
            paths: &["/own", "/"],
            headers: &[(
                "x-want",
                &["for=1;status=409", "for=2;status=503", "for=1;status=503"],
            )],
            ..Pools::default()
        },
    )
}

/// A breaker that has no place for retries.
fn overflow() -> Scene {
    let routes = json!([to("/", "no_retries", json!({"retry_on": "5xx"}))]);
    Scene::of("retry_overflow", routes).draw(
        12,
        Pools {
            headers: &[("x-want", &["for=1;status=503"])],
            ..Pools::default()
        },
    )
}

/// Time limits that callers ask for.
fn asked_timeouts() -> Scene {
    let routes = json!([
        to("/again", "v1", json!({"retry_on": "5xx", "num_retries": 1})),
        {"match": {"prefix": "/"}, "route": {"cluster": "v1"}},
    ]);
    // Only callers of one's own network may ask.
    let inner = |path: &str| get(path).header("x-forwarded-for", "10.0.0.1");
    let silent = |path: &str, name: &str| inner(path).header(name, "300").want("for=1;silent");
    Scene::of("retry_asked_timeouts", routes)
        .manager(internal())
        .asks([
            silent("/", "x-envoy-upstream-rq-timeout-ms"),
            silent("/again", "x-envoy-upstream-rq-timeout-ms"),
            silent("/again", "x-envoy-upstream-rq-per-try-timeout-ms"),
            silent("/again", "x-envoy-upstream-rq-per-try-timeout-ms")
                .method("POST")
                .two(),
            inner("/").header("x-envoy-upstream-rq-timeout-ms", "3000"),
            inner("/").header("x-envoy-upstream-rq-timeout-ms", "x"),
            inner("/again").header("x-envoy-expected-rq-timeout-ms", "77"),
            get("/").header("x-envoy-upstream-rq-timeout-ms", "3000"),
            get("/again").header("x-envoy-upstream-rq-per-try-timeout-ms", "3000"),
        ])
}
