//! What is counted beside connection managers and clusters: by listener, by virtual cluster and by route.

use crossdock_tests::Gateway;
use crossdock_tests::quartet::{Answer, Caller, Deed, File, Protocol, Service, otherwise, when};
use serde_json::json;

#[test]
fn virtual_clusters_routes_and_listeners_count_their_calls() {
    let services = Protocol::ALL.map(Service::start);
    let retry = json!({"retry_on": "5xx,unavailable", "num_retries": 2});
    let again =
        json!({"stat_prefix": "again", "route": {"cluster": "CLUSTER", "retry_policy": retry}});
    let routes = json!([
        when("again", &again),
        when(
            "soon",
            &json!({"route": {"cluster": "CLUSTER", "timeout": "0.1s"}})
        ),
        otherwise()
    ]);
    let marked = |value: &str| json!([{"name": "mark", "string_match": {"exact": value}}]);
    let clusters = json!([
        {"name": "first", "headers": marked("first")},
        {"name": "second", "headers": marked("second")},
    ]);
    let file = File::new(&routes)
        .before(&services, &json!({}))
        .hosts(&json!({"virtual_clusters": clusters}));
    let gateway = Gateway::start_text(&file.text(), &[]);
    for protocol in Protocol::ALL {
        let name = protocol.name();
        let mut caller = Caller::connect(protocol, gateway.address());
        assert_eq!(caller.call(&[("mark", "first")]), Answer::Good);
        assert_eq!(caller.ask(Deed::Answer), Answer::Good);
        let well = [
            ("mark", "second"),
            ("to", "again"),
            ("do", "fail,answer"),
            ("key", name),
        ];
        assert_eq!(caller.call(&well), Answer::Good);
        let never = [("mark", "second"), ("to", "again"), ("do", "fail")];
        assert_ne!(caller.call(&never), Answer::Good);
        let late = [("mark", "second"), ("to", "soon"), ("do", "hang")];
        assert_ne!(caller.call(&late), Answer::Good);
        // A host of gRPC says in trailers that it cannot serve.
        let well = 1 + u64::from(protocol == Protocol::Grpc);
        let stat = |of: &str, metric: &str| gateway.stat(&format!("vhost.{name}.{of}.{metric}"));
        gateway.until(
            &format!("vhost.{name}.vcluster.second.upstream_rq_completed"),
            |calls| calls == 3,
        );
        for (of, metric, expected) in [
            ("vcluster.first", "upstream_rq_total", 1),
            ("vcluster.first", "upstream_rq_2xx", 1),
            ("vcluster.other", "upstream_rq_total", 1),
            ("vcluster.other", "upstream_rq_200", 1),
            ("vcluster.second", "upstream_rq_total", 6),
            ("vcluster.second", "upstream_rq_2xx", well),
            ("vcluster.second", "upstream_rq_5xx", 3 - well),
            ("vcluster.second", "upstream_rq_retry", 3),
            ("vcluster.second", "upstream_rq_retry_success", 1),
            ("vcluster.second", "upstream_rq_retry_limit_exceeded", 1),
            ("vcluster.second", "upstream_rq_timeout", 1),
            ("route.again", "upstream_rq_total", 5),
            ("route.again", "upstream_rq_retry", 3),
            ("route.again", "upstream_rq_completed", 2),
            ("route.again", "upstream_rq_timeout", 0),
        ] {
            assert_eq!(stat(of, metric), expected, "{name} {of} {metric}");
        }
    }
    let listener = gateway.address().to_string().replace(':', "_");
    let stat = |metric: &str| gateway.stat(&format!("listener.{listener}.http.rpc.{metric}"));
    assert_eq!(
        stat("downstream_rq_completed"),
        gateway.stat("http.rpc.downstream_rq_completed")
    );
    // Callers of gRPC read of every failure in trailers.
    assert_eq!(stat("downstream_rq_2xx"), 14);
    assert_eq!(stat("downstream_rq_5xx") + stat("downstream_rq_2xx"), 20);
    let (_, page) = gateway.admin(
        "GET",
        "/stats/prometheus?filter=vcluster.first.upstream_rq_2xx",
    );
    let labels =
        r#"envoy_response_code_class="2",envoy_virtual_host="dubbo",envoy_virtual_cluster="first""#;
    let line = format!("envoy_vhost_vcluster_upstream_rq_xx{{{labels}}} 1");
    assert!(page.lines().any(|found| found == line), "{page}");
}

#[test]
fn each_limit_of_a_circuit_breaker_has_its_own_counter() {
    let services = Protocol::ALL.map(Service::start);
    let full = json!({"circuit_breakers": {"thresholds": [{"max_requests": 0}]}});
    let file = File::new(&json!([otherwise()])).before(&services, &full);
    let gateway = Gateway::start_text(&file.text(), &[]);
    for protocol in Protocol::ALL {
        let name = protocol.name();
        let answer = Caller::connect(protocol, gateway.address()).ask(Deed::Answer);
        assert_ne!(answer, Answer::Good);
        let stat = |metric: &str| gateway.stat(&format!("cluster.{name}.{metric}"));
        assert_eq!(stat("upstream_rq_active_overflow"), 1, "{name}");
        assert_eq!(stat("upstream_rq_pending_overflow"), 0, "{name}");
    }
}
