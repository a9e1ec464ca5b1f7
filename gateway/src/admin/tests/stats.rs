//! Metrics as text and JSON.

use super::*;

fn lines(fixture: &Fixture, target: &str) -> Vec<String> {
    let reply = fixture.get(target);
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    reply.body.lines().map(str::to_owned).collect()
}

fn has(fixture: &Fixture, target: &str, expected: &[&str]) {
    let lines = lines(fixture, target);
    for line in expected {
        assert!(
            lines.iter().any(|found| found == line),
            "{line} is not in {lines:#?}"
        );
    }
}

#[test]
fn every_metric_has_its_line() {
    let fixture = Fixture::new();
    has(
        &fixture,
        "/stats",
        &[
            "cluster.orders.circuit_breakers.default.cx_open: 0",
            "cluster.orders.circuit_breakers.default.remaining_cx: 1024",
            "cluster.orders.circuit_breakers.default.remaining_rq: 0",
            "cluster.orders.circuit_breakers.default.rq_open: 1",
            "cluster.orders.circuit_breakers.high.remaining_pending: 4294967295",
            "cluster.orders.membership_healthy: 1",
            "cluster.orders.membership_total: 2",
            "cluster.orders.upstream_rq_5xx: 1",
            "cluster.orders.upstream_rq_total: 5",
            "cluster_manager.active_clusters: 1",
            "http.in.downstream_cx_active: 0",
            "http.in.downstream_rq_total: 3",
            "listener_manager.total_listeners_active: 1",
            "server.concurrency: 2",
            "server.live: 1",
            "server.state: 0",
            "cluster.orders.upstream_rq_time: P0(nan,0.415) P25(nan,0.415) P50(nan,3.071) \
             P75(nan,3.071) P90(nan,75497.471) P95(nan,75497.471) P99(nan,75497.471) \
             P99.5(nan,75497.471) P99.9(nan,75497.471) P100(nan,75497.471)",
            "http.in.downstream_rq_time: No recorded values",
        ],
    );
    let names: Vec<_> = lines(&fixture, "/stats?type=Counters");
    assert!(names.is_sorted() && names.iter().all(|line| line.matches(':').count() == 1));
    assert!(!names.iter().any(|line| line.contains("server.state")));
}

#[test]
fn pilot_agent_finds_what_it_asks_for() {
    let fixture = Fixture::new();
    let updates = r"/stats?usedonly&filter=^(cluster_manager\.cds|listener_manager\.lds)\.(update_success|update_rejected)$";
    assert_eq!(
        lines(&fixture, updates),
        [
            "cluster_manager.cds.update_success: 1",
            "listener_manager.lds.update_success: 1"
        ]
    );
    let state = r"/stats?usedonly&filter=^(server\.state|listener_manager\.workers_started)";
    assert_eq!(
        lines(&fixture, state),
        ["listener_manager.workers_started: 1", "server.state: 0"]
    );
    fixture.server.set_state(State::Initializing);
    assert_eq!(lines(&fixture, updates), [""; 0]);
    assert_eq!(
        lines(&fixture, state),
        ["listener_manager.workers_started: 0", "server.state: 3"]
    );
    fixture.server.set_state(State::Draining);
    assert_eq!(lines(&fixture, state)[1], "server.state: 1");
}

#[test]
fn open_connections_of_a_listener_can_be_watched() {
    let fixture = Fixture::new();
    let active = "/stats?usedonly&filter=^listener.*downstream_cx_active$";
    let group = fixture
        .server
        .registry
        .group::<HttpMetric>("listener", "127.0.0.1:20880");
    assert_eq!(lines(&fixture, active), [""; 0]);
    group.inc(Shard(0), HttpMetric::CxTotal);
    group.inc(Shard(1), HttpMetric::CxActive);
    assert_eq!(
        lines(&fixture, active),
        ["listener.127.0.0.1_20880.downstream_cx_active: 1"]
    );
    has(&fixture, "/stats", &["server.total_connections: 1"]);
    group.dec(Shard(1), HttpMetric::CxActive);
    assert_eq!(
        lines(&fixture, active),
        ["listener.127.0.0.1_20880.downstream_cx_active: 0"]
    );
}

#[test]
fn what_counted_nothing_can_be_left_out() {
    let used = lines(
        &Fixture::new(),
        "/stats?usedonly&filter=^(cluster.orders.up|http)",
    );
    for line in [
        "cluster.orders.upstream_rq_total: 5",
        "cluster.orders.upstream_rq_active: 0",
        "http.in.downstream_rq_2xx: 2",
    ] {
        assert!(
            used.iter().any(|found| found == line),
            "{line} is not in {used:#?}"
        );
    }
    for name in [
        "upstream_cx_total",
        "downstream_rq_4xx",
        "downstream_rq_time",
    ] {
        assert!(
            !used.iter().any(|line| line.contains(name)),
            "{name} is in {used:#?}"
        );
    }
}

#[test]
fn metrics_of_equal_names_are_one() {
    let fixture = Fixture::new();
    for label in ["a:b", "a_b"] {
        let group = fixture
            .server
            .registry
            .group::<ClusterMetric>("cluster", label);
        group.inc(Shard(1), ClusterMetric::RqTotal);
    }
    let stats = "/stats?filter=a_b.upstream_rq_(total|time)$";
    assert_eq!(
        lines(&fixture, stats),
        [
            "cluster.a_b.upstream_rq_total: 2",
            "cluster.a_b.upstream_rq_time: No recorded values"
        ]
    );
}

#[test]
fn json_holds_the_same() {
    let fixture = Fixture::new();
    let filtered = "/stats?format=json&filter=orders.upstream_rq_(total|time)$";
    let stats = fixture.json(filtered);
    assert_eq!(
        stats["stats"][0],
        json!({"name": "cluster.orders.upstream_rq_total", "value": 5})
    );
    let histograms = &stats["stats"][1]["histograms"];
    assert_eq!(
        histograms["supported_quantiles"],
        json!([0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0])
    );
    let computed = &histograms["computed_quantiles"][0];
    assert_eq!(computed["name"], "cluster.orders.upstream_rq_time");
    assert_eq!(
        computed["values"][2],
        json!({"interval": null, "cumulative": 3.071})
    );
    assert_eq!(
        fixture.json("/stats?format=json&filter=^x"),
        json!({"stats": []})
    );
}

#[test]
fn wrong_parameters_are_refused() {
    let fixture = Fixture::new();
    for target in [
        "/stats?format=html",
        "/stats?type=x",
        "/stats?filter=(",
        "/stats/prometheus?filter=(",
    ] {
        assert_eq!(
            fixture.get(target).status,
            StatusCode::BAD_REQUEST,
            "{target}"
        );
    }
}
