//! `/stats/prometheus` of a gateway that has seen calls of every kind, held against Prometheus' own linter.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::quartet::{Answer, Caller, Deed, File, Protocol, Service, otherwise, when};
use crossdock_tests::{Gateway, Tool, UnusedPort};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that has seen good calls, failures of every kind, callers that left and octets that are no call.
fn lived() -> (Gateway, [Service; 4]) {
    let services = Protocol::ALL.map(Service::start);
    let routes = json!([
        when(
            "teapot",
            &json!({"direct_response": {"status": 418, "body": {"inline_string": "tea"}}})
        ),
        when("nowhere", &json!({"route": {"cluster": "nowhere"}})),
        when("nobody", &json!({"route": {"cluster": "CLUSTER-nobody"}})),
        when("refused", &json!({"route": {"cluster": "CLUSTER-refused"}})),
        when(
            "soon",
            &json!({"route": {"cluster": "CLUSTER", "timeout": "0.1s"}})
        ),
        otherwise(),
    ]);
    let closed = UnusedPort::take();
    let mut file = File::new(&routes).before(&services, &json!({}));
    for protocol in Protocol::ALL {
        file = file.cluster(protocol, "-nobody", &[], &json!({})).cluster(
            protocol,
            "-refused",
            &[closed.address()],
            &json!({}),
        );
    }
    let gateway = Gateway::start_text(&file.text(), &["--concurrency", "2"]);
    for protocol in Protocol::ALL {
        let connect = || Caller::connect(protocol, gateway.address());
        let mut caller = connect();
        for deed in [Deed::Answer, Deed::Fail] {
            assert_ne!(caller.ask(deed), Answer::Gone);
        }
        for to in ["teapot", "nowhere", "nobody", "refused"] {
            assert_ne!(
                caller.call(&[("to", to)]),
                Answer::Good,
                "{protocol:?} {to}"
            );
        }
        let _ = caller.call(&[("to", "soon"), ("do", "hang")]);
        let _ = (caller.ask(Deed::Cut), connect().ask(Deed::Babble));
        connect().leave(&[("do", "slow")]);
        connect().babble();
    }
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
    (gateway, services)
}

/// Why a warning of the linter does not count: Envoy's name for a metric is kept where Prometheus' habits differ,
/// because dashboards and alerts ask for it. What Crossdock counts beside Envoy's own keeps to the names around it.
fn excused(name: &str, warning: &str) -> bool {
    const WITHOUT_TOTAL: &str = "counter metrics should have \"_total\" suffix";
    const MILLISECONDS: &str = "metric names should not contain abbreviated units";
    let excused = match warning {
        WITHOUT_TOTAL => true,
        MILLISECONDS => name.ends_with("_ms"),
        // Envoy's gauge of hosts.
        _ => name == "envoy_cluster_membership_total",
    };
    name.starts_with("envoy_") && excused
}

#[test]
fn promtool_finds_nothing_but_envoys_names() {
    let Some(promtool) = Tool::find("promtool") else {
        return;
    };
    let (gateway, _services) = lived();
    for page in [
        "/stats/prometheus",
        "/stats/prometheus?usedonly",
        "/stats/prometheus?filter=upstream_rq",
        "/stats?format=prometheus",
    ] {
        let (status, text) = gateway.admin("GET", page);
        assert_eq!(status, 200);
        let mut command = Command::new(promtool.path());
        command.args(["check", "metrics"]);
        // Warnings alone end it with 3, and anything that is no metric with 1.
        let said = match promtool.try_output(&mut command, text.as_bytes(), PATIENCE) {
            Ok(_) => String::new(),
            Err((3, said)) => said,
            Err((code, said)) => panic!("{page}: {code}: {said}"),
        };
        let warnings = said.lines().filter_map(|line| line.split_once(' '));
        let left: BTreeSet<_> = warnings
            .filter(|(name, what)| !excused(name, what))
            .collect();
        assert_eq!(left, BTreeSet::new(), "{page}");
    }
}

/// Samples by name and labels.
fn samples(gateway: &Gateway, page: &str) -> BTreeMap<String, f64> {
    let (_, text) = gateway.admin("GET", page);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = lines.map(|line| line.rsplit_once(' ').expect("a sample"));
    split
        .map(|(series, value)| (series.to_owned(), value.parse().expect("a number")))
        .collect()
}

#[test]
fn dashboards_of_envoy_find_what_they_ask_for() {
    let (gateway, _services) = lived();
    let all = samples(&gateway, "/stats/prometheus");
    let prefix = r#"envoy_http_conn_manager_prefix="rpc""#;
    for protocol in Protocol::ALL {
        let cluster = format!("envoy_cluster_name=\"{}\"", protocol.name());
        for series in [
            format!("envoy_cluster_upstream_rq_total{{{cluster}}}"),
            format!("envoy_cluster_upstream_rq_xx{{envoy_response_code_class=\"2\",{cluster}}}"),
            format!("envoy_cluster_upstream_rq{{envoy_response_code=\"200\",{cluster}}}"),
            format!("envoy_cluster_upstream_rq_time_count{{{cluster}}}"),
            format!("envoy_cluster_upstream_rq_time_bucket{{{cluster},le=\"+Inf\"}}"),
            format!("envoy_cluster_upstream_cx_connect_ms_count{{{cluster}}}"),
            format!("envoy_cluster_upstream_cx_length_ms_count{{{cluster}}}"),
            format!("envoy_cluster_membership_healthy{{{cluster}}}"),
        ] {
            let value = all.get(&series);
            assert!(
                value.is_some_and(|value| *value > 0.0),
                "{series}: {value:?}"
            );
        }
        let refused = format!("envoy_cluster_name=\"{}-refused\"", protocol.name());
        let failed = format!("envoy_cluster_upstream_cx_connect_fail{{{refused}}}");
        assert!(
            all.get(&failed).is_some_and(|failed| *failed > 0.0),
            "{failed}"
        );
    }
    for series in [
        format!("envoy_http_downstream_rq_total{{{prefix}}}"),
        format!("envoy_http_downstream_rq_xx{{envoy_response_code_class=\"5\",{prefix}}}"),
        format!("envoy_http_downstream_rq_time_sum{{{prefix}}}"),
        format!("envoy_http_no_cluster{{{prefix}}}"),
        format!("envoy_http_downstream_cx_http1_total{{{prefix}}}"),
        format!("envoy_http_downstream_cx_http2_total{{{prefix}}}"),
    ] {
        let value = all.get(&series);
        assert!(
            value.is_some_and(|value| *value > 0.0),
            "{series}: {value:?}"
        );
    }
    let used = samples(&gateway, "/stats/prometheus?usedonly&filter=^cluster");
    assert!(
        used.len() < all.len() / 2
            && used
                .keys()
                .all(|series| series.starts_with("envoy_cluster_"))
    );
}

/// Names that callers may choose.
fn hostile_names() -> Vec<String> {
    let mut names = vec![
        r#"quote".x"#.to_owned(),
        r#"back\slash"#.to_owned(),
        "line\nenvoy_forged 1".to_owned(),
        "carriage\rreturn".to_owned(),
        "nul\0".to_owned(),
        "brace} 1".to_owned(),
        "\u{2028}line".to_owned(),
        "x".repeat(60_000),
    ];
    names.extend((0..40).map(|number| format!("many.Service{number}")));
    names
}

#[test]
fn names_of_callers_neither_break_the_page_nor_fill_it() {
    const PAIRS: usize = 12;
    let Some(promtool) = Tool::find("promtool") else {
        return;
    };
    let service = Service::start(Protocol::Dubbo);
    let all = json!({"name": "all \"of\" them\n", "domains": ["*"], "routes": [{
        "match": {"prefix": "/"},
        "stat_prefix": "a \"route\"",
        "route": {"cluster": "dubbo"},
    }]});
    let file = File::new(&json!([]))
        .cluster(Protocol::Dubbo, "", &[service.address()], &json!({}))
        .manager(&json!({"route_config": {"name": "rpc", "virtual_hosts": [all]}}))
        .more(&json!({"layered_runtime": {"layers": [{
            "name": "static",
            "static_layer": {"crossdock.rpc_pairs": PAIRS},
        }]}}));
    let gateway = Gateway::start_text(&file.text(), &["--concurrency", "2"]);
    let names = hostile_names();
    for (id, name) in (1..).zip(&names) {
        let mut client = Client::connect(gateway.address(), Wire::Dubbo);
        client.write(&Call::new(Wire::Dubbo, id).of(name, "call").octets());
        assert_eq!(client.recv().token(), Some("done"), "{name:.40}");
    }
    let calls = names.len() as u64;
    gateway.until("http.rpc.downstream_rq_2xx", |count| count == calls);
    let (_, text) = gateway.admin("GET", "/stats/prometheus");
    let mut command = Command::new(promtool.path());
    command.args(["check", "metrics"]);
    // Warnings alone end it with 3.
    let checked = promtool.try_output(&mut command, text.as_bytes(), PATIENCE);
    assert!(matches!(checked, Ok(_) | Err((3, _))), "{checked:?}");
    let told: BTreeMap<_, _> = samples(&gateway, "/stats/prometheus?filter=^rpc")
        .into_iter()
        .filter(|(series, _)| series.starts_with("crossdock_rpc_rq_ok_total{"))
        .collect();
    // Beside the pairs that may be told there is the one of all others.
    assert_eq!(told.len(), PAIRS + 1, "{told:?}");
    assert_eq!(told.values().sum::<f64>(), calls as f64);
    assert!(told.keys().all(|series| series.len() < 600), "{told:?}");
    assert!(!text.contains("\nenvoy_forged"), "{text}");
}
