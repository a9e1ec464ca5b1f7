//! Each page but the metrics.

use hyper::header;

use super::*;

#[test]
fn readiness_follows_the_state() {
    let fixture = Fixture::new();
    for (state, status, text) in [
        (State::Initializing, 503, "INITIALIZING\n"),
        (State::Live, 200, "LIVE\n"),
        (State::Draining, 503, "DRAINING\n"),
    ] {
        fixture.server.set_state(state);
        let reply = fixture.get("/ready");
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (status, text));
    }
}

#[test]
fn help_names_every_page_and_unknown_paths_get_it() {
    let fixture = Fixture::new();
    let help = fixture.get("/help");
    assert_eq!(help, fixture.get("/"));
    for path in [
        "/stats/prometheus",
        "/quitquitquit (POST)",
        "/unused",
        "/config_dump",
    ] {
        assert!(help.body.contains(&format!("\n  {path}: ")), "{path}");
    }
    let unknown = fixture.get("/nope?x");
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.body, format!("invalid path. {}", help.body));
    let pages = help
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("  /"));
    for page in pages.map(|line| line.split([':', ' ']).next().unwrap_or_default()) {
        if !page.starts_with("quit") && !page.starts_with("drain") {
            assert_eq!(
                fixture.get(&format!("/{page}")).status,
                StatusCode::OK,
                "{page}"
            );
        }
    }
}

#[test]
fn what_changes_the_process_needs_post() {
    let mut fixture = Fixture::new();
    for target in [
        "/quitquitquit",
        "/drain_listeners?graceful",
        "/logging?level=debug",
    ] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let reply = fixture.ask(&method, target, &HeaderMap::new());
            assert_eq!(
                reply.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {target}"
            );
        }
    }
    assert_eq!(
        fixture.get("/quitquitquit").body,
        "Method GET not allowed, POST required.\n"
    );
    assert_eq!(
        fixture
            .ask(&Method::PUT, "/stats", &HeaderMap::new())
            .status
            .as_u16(),
        405
    );
    assert_eq!(
        fixture
            .ask(&Method::HEAD, "/stats", &HeaderMap::new())
            .status
            .as_u16(),
        200
    );
    assert_eq!(fixture.post("/ready").status.as_u16(), 200);
    assert!(fixture.orders.try_recv().is_err());
}

#[test]
fn pages_of_other_origins_change_nothing() {
    let mut fixture = Fixture::new();
    for (host, origin, status) in [
        ("127.0.0.1:15000", None, 200),
        ("localhost:15000", Some("http://localhost:15000"), 200),
        ("127.0.0.1:15000", Some("https://example.org"), 403),
        ("127.0.0.1:15000", Some("null"), 403),
        // The name was made to resolve to this machine.
        ("example.org", Some("http://example.org"), 403),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        let reply = fixture.ask(&Method::POST, "/quitquitquit", &headers);
        assert_eq!(reply.status.as_u16(), status, "{host} {origin:?}");
        assert_eq!(fixture.orders.try_recv().is_ok(), status == 200);
    }
}

#[test]
fn orders_are_passed_on() {
    let mut fixture = Fixture::new();
    let (exit, scope) = (false, DrainScope::All);
    for (target, order) in [
        (
            "/drain_listeners?graceful&skip_exit",
            Order::Drain { exit, scope },
        ),
        (
            "/drain_listeners?graceful&inboundonly",
            Order::Drain {
                exit,
                scope: DrainScope::Inbound,
            },
        ),
        ("/drain_listeners", Order::Drain { exit, scope }),
        ("/quitquitquit", Order::Quit),
    ] {
        let reply = fixture.post(target);
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (StatusCode::OK, "OK\n")
        );
        assert_eq!(fixture.orders.try_recv(), Ok(order));
    }
    for status in [200, 200, 503] {
        assert_eq!(fixture.post("/quitquitquit").status.as_u16(), status);
    }
}

#[test]
fn clusters_are_listed_with_hosts_and_limits() {
    let fixture = Fixture::new();
    assert_eq!(
        fixture.get("/clusters").body,
        "\
orders::observability_name::orders
orders::default_priority::max_connections::1024
orders::default_priority::max_pending_requests::8
orders::default_priority::max_requests::2
orders::default_priority::max_retries::3
orders::high_priority::max_connections::4294967295
orders::high_priority::max_pending_requests::4294967295
orders::high_priority::max_requests::4294967295
orders::high_priority::max_retries::4294967295
orders::added_via_api::false
orders::10.0.0.1:20880::rq_active::1
orders::10.0.0.1:20880::hostname::
orders::10.0.0.1:20880::health_flags::healthy
orders::10.0.0.1:20880::avoided::false
orders::10.0.0.1:20880::weight::3
orders::10.0.0.1:20880::priority::0
orders::10.0.0.1:20880::success_rate::-1
orders::[fd00::2]:20880::rq_active::0
orders::[fd00::2]:20880::hostname::two.local
orders::[fd00::2]:20880::health_flags::/failed_eds_health
orders::[fd00::2]:20880::avoided::true
orders::[fd00::2]:20880::weight::3
orders::[fd00::2]:20880::priority::0
orders::[fd00::2]:20880::success_rate::-1
"
    );
    assert_eq!(fixture.get("/clusters?filter=^x").body, "");
    assert_eq!(
        fixture.get("/clusters?filter=(").status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        fixture.json("/clusters?format=json")["cluster_statuses"][0]["host_statuses"][1],
        json!({
            "address": {"socket_address": {"address": "fd00::2", "port_value": 20880}},
            "hostname": "two.local",
            "health_status": {"eds_health_status": "UNHEALTHY"},
            "weight": 3,
            "locality": {},
            "stats": [{"type": "GAUGE", "name": "rq_active", "value": "0"}],
        })
    );
}

#[test]
fn listeners_are_listed_with_their_ports() {
    let fixture = Fixture::new();
    assert_eq!(fixture.get("/listeners").body, "rpc::127.0.0.1:20880\n");
    assert_eq!(
        fixture.json("/listeners?format=json"),
        json!({"listener_statuses": [{
            "name": "rpc",
            "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 20880}},
        }]})
    );
}

#[test]
fn the_process_describes_itself() {
    let fixture = Fixture::new();
    let info = fixture.json("/server_info");
    assert_eq!(info["state"], "LIVE");
    assert_eq!(info["node"]["metadata"]["ISTIO_VERSION"], "1.29");
    assert_eq!(info["command_line_options"]["concurrency"], 2);
    assert_eq!(info["command_line_options"]["drain_time"], "45s");
    assert!(
        info["version"]
            .as_str()
            .is_some_and(|version| version.starts_with("crossdock/"))
    );
    let memory = fixture.json("/memory");
    let bytes = memory["allocated"]
        .as_str()
        .and_then(|bytes| bytes.parse::<u64>().ok());
    assert!(bytes.is_some_and(|bytes| bytes > 1024 * 1024), "{memory}");
    assert_eq!(fixture.json("/certs"), json!({"certificates": []}));
}

#[test]
fn runtime_values_are_merged() {
    assert_eq!(
        Fixture::new().json("/runtime"),
        json!({"layers": ["base", "over"], "entries": {
            "crossdock.calls": {"final_value": "7", "layer_values": ["7", ""]},
            "crossdock.sniff": {"final_value": "bolt", "layer_values": ["dubbo", "bolt"]},
        }})
    );
}

#[test]
fn levels_are_shown_and_changed() {
    let fixture = Fixture::new();
    let shown = fixture.get("/logging").body;
    assert!(
        shown.starts_with("active loggers:\n  crossdock_bolt: info\n"),
        "{shown}"
    );
    assert_eq!(fixture.post("/logging").body, shown);
    let changed = fixture.post("/logging?level=warning").body;
    assert!(changed.contains("  crossdock_xds: warning\n"), "{changed}");
    let changed = fixture.post("/logging?crossdock_xds=trace").body;
    assert!(
        changed.contains("bolt: warning\n") && changed.contains("xds: trace\n"),
        "{changed}"
    );
    let paths = "/logging?paths=crossdock_bolt:debug,crossdock_xds:off";
    let changed = fixture.post(paths).body;
    assert!(
        changed.contains("bolt: debug\n") && changed.contains("xds: off\n"),
        "{changed}"
    );
    assert_eq!(fixture.get("/logging").body, changed);
    for target in [
        "/logging?level=loud",
        "/logging?http=info",
        "/logging?paths=crossdock_xds",
    ] {
        let reply = fixture.post(target);
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{target}");
        assert!(
            reply.body.starts_with("error: ") && reply.body.contains("usage: "),
            "{reply:?}"
        );
    }
    assert_eq!(fixture.get("/logging").body, changed);
}

#[test]
fn the_configuration_is_dumped_in_parts() {
    let fixture = Fixture::new();
    let dump = fixture.json("/config_dump");
    let types: Vec<_> = dump["configs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|part| {
            part["@type"]
                .as_str()
                .and_then(|name| name.rsplit('.').next())
                .expect("a type")
        })
        .collect();
    assert_eq!(
        types,
        [
            "BootstrapConfigDump",
            "ClustersConfigDump",
            "ListenersConfigDump",
            "RoutesConfigDump"
        ]
    );
    let parts = &dump["configs"];
    assert_eq!(parts[0]["bootstrap"]["node"]["id"], "me");
    let cluster = &parts[1]["static_clusters"][0];
    assert_eq!(
        cluster["cluster"],
        json!({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "orders", "type": "STATIC"})
    );
    let updated = cluster["last_updated"].as_str().expect("a time");
    assert!(updated.len() == 24 && updated.ends_with('Z'), "{updated}");
    let listener = &parts[2]["static_listeners"][0]["listener"];
    let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(manager["stat_prefix"], "in");
    assert_eq!(
        parts[3]["static_route_configs"][0]["route_config"]["virtual_hosts"][0]["domains"],
        json!(["*"])
    );
}

#[test]
fn a_part_of_the_dump_can_be_asked_for() {
    let fixture = Fixture::new();
    let clusters = fixture.json("/config_dump?resource=static_clusters");
    assert_eq!(
        clusters["configs"][0]["@type"],
        "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster"
    );
    assert_eq!(clusters["configs"][0]["cluster"]["name"], "orders");
    let bootstrap = fixture.json("/config_dump?resource=bootstrap");
    assert_eq!(bootstrap["configs"][0]["bootstrap"]["node"]["id"], "me");
    let none = fixture.json("/config_dump?resource=static_clusters&name_regex=^x");
    assert_eq!(none, json!({"configs": []}));
    assert_eq!(
        fixture.get("/config_dump?resource=nope").status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        fixture.get("/config_dump?mask=a").status,
        StatusCode::NOT_IMPLEMENTED
    );

    let endpoints = fixture.json("/config_dump?include_eds");
    let endpoints = &endpoints["configs"][2]["static_endpoint_configs"][0]["endpoint_config"];
    assert_eq!(endpoints["cluster_name"], "orders");
    assert_eq!(
        endpoints["endpoints"][0]["lb_endpoints"][0],
        json!({
            "endpoint": {"address": {
                "socket_address": {"address": "10.0.0.1", "port_value": 20880},
            }},
            "health_status": "HEALTHY",
            "load_balancing_weight": 3,
        })
    );
}

#[test]
fn what_is_not_acted_upon_is_listed() {
    let fixture = Fixture::of("stats_flush_interval: 5s\n");
    assert!(
        !fixture.server.unused.is_empty(),
        "the field is known to have no effect"
    );
    let text = fixture.get("/unused").body;
    assert!(
        text.starts_with("f.yaml:1:1: stats_flush_interval: "),
        "{text}"
    );
    let listed = fixture.json("/unused?format=json");
    assert_eq!(listed["unused"][0]["field"], "stats_flush_interval");
    assert_eq!(listed["unused"][0]["line"], 1);
}
