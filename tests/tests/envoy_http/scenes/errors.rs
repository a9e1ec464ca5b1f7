//! Answers of the proxy itself, and answers of hosts that are out of the ordinary.

use serde_json::{Value, json};

use crate::{
    ask::{get, grpc},
    scene::{Pools, Scene},
};

pub(super) fn scenes() -> Vec<Scene> {
    vec![
        ways(),
        unreachable(),
        broken("broken_one", "v1"),
        broken("broken_two", "two"),
        timeouts(),
        stream_timeouts(),
        statuses(),
        grpc_calls(),
        refused(),
        not_found(),
    ]
}

/// The two versions downstream and the two upstream.
fn ways() -> Scene {
    Scene::of(
        "ways",
        json!([
            {"match": {"prefix": "/one"}, "route": {"cluster": "v1"}},
            {"match": {"prefix": "/two"}, "route": {"cluster": "two"}},
            {"match": {"prefix": "/both"}, "route": {"cluster": "both"}},
        ]),
    )
    .draw(
        80,
        Pools {
            paths: &["/one", "/two", "/both", "/one?a", "/two?b=c"],
            hosts: &["example.org", "example.org:99"],
            methods: &["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"],
            headers: &[
                ("cookie", &["a=b"]),
                ("cookie", &["c=d"]),
                ("accept", &["*/*"]),
                ("accept-encoding", &["gzip, br"]),
                ("x-multi", &["1"]),
                ("x-multi", &["2"]),
                ("x-empty", &[""]),
                (
                    "x-want",
                    &[
                        "status=404",
                        "status=500",
                        "header=x-multi:1;header=x-multi:2",
                        "body=",
                        "header=server:theirs",
                    ],
                ),
            ],
        },
    )
}

fn unreachable() -> Scene {
    Scene::of("unreachable", json!([
        {"match": {"prefix": "/empty"}, "route": {"cluster": "empty"}},
        {"match": {"prefix": "/dead_two"}, "route": {"cluster": "dead_two"}},
        {"match": {"prefix": "/dead"}, "route": {"cluster": "dead"}},
        {"match": {"prefix": "/full"}, "route": {"cluster": "full"}},
        {"match": {"prefix": "/404"}, "route": {"cluster_header": "x-c", "cluster_not_found_response_code": "NOT_FOUND"}},
        {"match": {"prefix": "/500"}, "route": {"cluster_header": "x-c", "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR"}},
        {"match": {"prefix": "/503"}, "route": {"cluster_header": "x-c"}},
    ]))
    .draw(60, Pools {
        paths: &["/empty", "/dead", "/dead_two", "/full", "/404", "/500", "/503", "/nothing"],
        headers: &[("x-c", &["nowhere", "empty"]), ("content-type", &["application/grpc", "application/json"])],
        ..Pools::default()
    })
}

fn broken(name: &'static str, cluster: &str) -> Scene {
    Scene::of(
        name,
        json!([{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]),
    )
    // Envoy waits for its client to close what it breaks off.
    .manager(json!({"delayed_close_timeout": "0.02s"}))
    .draw(
        24,
        Pools {
            methods: &["GET", "POST"],
            headers: &[("x-want", &["reset", "cut"]), ("x-more", &["1"])],
            ..Pools::default()
        },
    )
    .asks([grpc("/p.Echo/Say").want("reset")])
}

fn timeouts() -> Scene {
    Scene::of("timeouts", json!([
        {"match": {"prefix": "/short"}, "route": {"cluster": "v1", "timeout": "0.5s"}},
        {"match": {"prefix": "/none"}, "route": {"cluster": "v1", "timeout": "0s"}},
        {"match": {"prefix": "/idle"}, "route": {"cluster": "v1", "timeout": "0s", "idle_timeout": "0.5s"}},
        {"match": {"prefix": "/grpc"}, "route": {"cluster": "two", "max_stream_duration": {"grpc_timeout_header_max": "8s"}}},
        {"match": {"prefix": "/long"}, "route": {"cluster": "v1", "timeout": "90s"}},
    ]))
    .asks([
        get("/short").want("silent"),
        get("/short").want("silent").two(),
        get("/short").want("silent").method("POST").body("x"),
        get("/short"),
        get("/none"),
        get("/long"),
        get("/idle").want("silent"),
        get("/idle").want("silent").two(),
        get("/idle"),
        grpc("/short").want("silent"),
        grpc("/grpc").header("grpc-timeout", "200m").want("silent"),
        grpc("/grpc").header("grpc-timeout", "5000m"),
        grpc("/grpc").header("grpc-timeout", "30S"),
        grpc("/grpc"),
        get("/short").header("x-envoy-upstream-rq-timeout-ms", "7000"),
    ])
}

fn stream_timeouts() -> Scene {
    let quiet = json!({"common_http_protocol_options": {"max_stream_duration": "0.7s"}, "stream_idle_timeout": "0.5s"});
    Scene::of("stream_timeouts", json!([
        {"match": {"prefix": "/idle"}, "route": {"cluster": "v1", "timeout": "0s"}},
        {"match": {"prefix": "/long"}, "route": {"cluster": "v1", "timeout": "0s", "idle_timeout": "0s"}},
        {"match": {"prefix": "/own"}, "route": {"cluster": "v1", "timeout": "0s", "idle_timeout": "0s", "max_stream_duration": {"max_stream_duration": "0.5s"}}},
    ]))
    .manager(quiet)
    .asks([
        get("/idle").want("silent"),
        get("/long").want("silent"),
        get("/long").want("silent").two(),
        get("/own").want("silent"),
        get("/own"),
    ])
}

fn statuses() -> Scene {
    let wants = [
        "status=204",
        "status=304",
        "status=304;header=etag:\"a\"",
        "status=205",
        "status=206",
        "status=301;header=location:/x",
        "status=400",
        "status=401;header=www-authenticate:Basic",
        "status=404",
        "status=418",
        "status=429",
        "status=500",
        "status=502",
        "status=503",
        "status=504",
        "status=599",
        "early=103",
        "early=102",
        "body=",
        "header=x-envoy-upstream-service-time:9",
        "header=x-envoy-overloaded:true",
        "header=date:Tue, 01 Jan 2030 00:00:00 GMT",
        "header=connection:x-own;header=x-own:1",
        "header=server:theirs",
        "header=alt-svc:h3=1",
        "header=x-request-id:own",
    ];
    let asks = wants.iter().flat_map(|want| {
        [
            get("/one").want(want),
            get("/one").want(want).two(),
            get("/two").want(want),
            get("/two").want(want).two(),
            get("/one").want(want).method("HEAD"),
            get("/two").want(want).method("HEAD").two(),
        ]
    });
    let asks = asks.filter(|ask| {
        // HTTP/2 hosts cannot send fields of connections, and these hosts send no interim answers over it.
        let want = ask.headers.iter().map(|(_, value)| value.as_str());
        ask.path == "/one"
            || !want
                .clone()
                .any(|it| it.contains("connection") || it.contains("early"))
    });
    Scene::of(
        "statuses",
        json!([
            {"match": {"prefix": "/one"}, "route": {"cluster": "v1"}},
            {"match": {"prefix": "/two"}, "route": {"cluster": "two"}},
        ]),
    )
    .asks(asks)
}

fn grpc_calls() -> Scene {
    Scene::of("grpc_calls", json!([
        {"match": {"prefix": "/p.Echo/"}, "route": {"cluster": "two"}},
        {"match": {"prefix": "/p.Empty/"}, "route": {"cluster": "empty"}},
        {"match": {"prefix": "/p.Dead/"}, "route": {"cluster": "dead_two"}},
        {"match": {"prefix": "/p.Full/"}, "route": {"cluster": "full"}},
        {"match": {"prefix": "/p.Direct/"}, "direct_response": {"status": 403, "body": {"inline_string": "not you"}}},
        {"match": {"prefix": "/p.Moved/"}, "redirect": {"path_redirect": "/"}},
    ]))
    .asks([
        grpc("/p.Echo/Say").want("trailer=grpc-status:0"),
        grpc("/p.Echo/Say").want("trailer=grpc-status:13;trailer=grpc-message:no"),
        grpc("/p.Echo/Say").want("header=grpc-status:5;body="),
        grpc("/p.Echo/Say").want("status=503"),
        grpc("/p.Echo/Say").want("cut"),
        grpc("/p.Echo/Say").header("grpc-timeout", "10S"),
        grpc("/p.Empty/Say"),
        grpc("/p.Dead/Say"),
        grpc("/p.Full/Say"),
        grpc("/p.Direct/Say"),
        grpc("/p.Moved/Say"),
        grpc("/p.None/Say"),
    ])
    .draw(20, Pools {
        paths: &["/p.Echo/A", "/p.Empty/A", "/p.Direct/A", "/p.None/A"],
        methods: &["POST"],
        headers: &[("content-type", &["application/grpc", "application/grpc+json", "application/grpc-web"])],
        ..Pools::default()
    })
}

fn to_v1() -> Value {
    json!([{"match": {"prefix": "/"}, "route": {"cluster": "v1"}}])
}

/// Requests that are not let in.
fn refused() -> Scene {
    Scene::of("refused", to_v1()).asks([
        get("/").ten(),
        get("/").to(""),
        get("/")
            .header("upgrade", "websocket")
            .header("connection", "upgrade"),
        get("/")
            .header("upgrade", "h2c")
            .header("connection", "upgrade"),
        get("/").header("connection", "x-hop").header("x-hop", "1"),
        get("/")
            .header("connection", "close, te")
            .header("te", "gzip"),
        get("/").header("te", "trailers, gzip"),
        get("/")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive"),
        get("/")
            .header("expect", "100-continue")
            .method("POST")
            .body("x"),
        get("/").to("example.org:443").method("CONNECT"),
        get("http://other.test/abs?x").to("example.org"),
        get("http://other.test").to("example.org"),
        get("*").method("OPTIONS"),
        get("/#frag"),
        get("nothing"),
        get("/").method("TRACE"),
        get("/").method("BREW"),
        get("/a b"),
    ])
}

fn not_found() -> Scene {
    Scene::of(
        "not_found",
        json!([{"match": {"path": "/only"}, "route": {"cluster": "v1"}}]),
    )
    .draw(
        40,
        Pools {
            paths: &["/only", "/other", "/only/", "/"],
            headers: &[("content-type", &["application/grpc", "text/plain"])],
            ..Pools::default()
        },
    )
}
