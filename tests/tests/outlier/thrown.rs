//! Exceptions that services throw: whatever they are and however many, no host is ejected for one.

use crossdock_tests::{Consumer, Kind, Peers, Provider, Turn};
use serde_json::{Value, json};

use crate::{Speech, gateway};

/// The strictest detection there is.
fn strict() -> Value {
    json!({
        "outlier_detection": {
            "consecutive_5xx": 1,
            "consecutive_gateway_failure": 1,
            "enforcing_consecutive_gateway_failure": 100,
            "max_ejection_percent": 100,
            "base_ejection_time": "300s",
            "interval": "0.1s",
            "success_rate_minimum_hosts": 1,
            "success_rate_request_volume": 1,
            "failure_percentage_minimum_hosts": 1,
            "failure_percentage_request_volume": 1,
            "enforcing_failure_percentage": 100,
        },
    })
}

/// Calls that throw, and one that does not: the same host answers all of them.
fn throws(kind: Kind, speech: Speech, options: &[&str], way: Value, thrown: &str) {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(kind) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", options);
    for concealed in [false, true] {
        let settings = [("outlier_concealed_errors", json!(concealed))];
        let gateway = gateway(speech, &[provider.address()], strict(), &settings);
        let mut consumer = Consumer::start(&peers, &[]);
        consumer.refer(gateway.address(), way.clone());
        let failing =
            json!({"op": "concurrent", "method": "fail", "args": ["boom"], "n": 50, "threads": 4});
        let tally = consumer.ask(failing).tally();
        assert!(
            tally.failures.keys().all(|told| told.starts_with(thrown)),
            "{kind:?}: {tally:?}"
        );
        assert_eq!(tally.failed(), 50, "{kind:?}: {tally:?}");
        assert_eq!(consumer.call("who", json!([])).value(), "v1", "{kind:?}");
        let (_, stats) = gateway.admin("GET", "/stats?filter=outlier_detection");
        let counted = stats.lines().filter(|line| !line.ends_with(": 0"));
        assert_eq!(counted.collect::<Vec<_>>(), [""; 0], "{kind:?}");
        let (_, page) = gateway.admin("GET", "/clusters");
        assert!(page.contains("::health_flags::healthy"), "{kind:?}: {page}");
    }
}

#[test]
fn by_dubbo_in_java() {
    let way = json!({"timeout": 20_000});
    throws(Kind::JavaDubbo, Speech::Dubbo, &[], way, "BizException");
}

#[test]
fn by_sofarpc_in_java() {
    let way = json!({"timeout": 20_000});
    throws(Kind::JavaSofa, Speech::Bolt, &[], way, "BizException");
}

#[test]
fn by_triple_in_java() {
    let way = json!({"timeout": 20_000, "protocol": "tri"});
    let options = ["--protocol", "tri"];
    throws(Kind::JavaDubbo, Speech::Grpc, &options, way, "BizException");
}

#[test]
fn by_grpc_in_go() {
    throws(Kind::Go, Speech::Grpc, &[], json!({}), "Status/9");
}
