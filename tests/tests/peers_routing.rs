//! Two families of callers on one port: each call goes where its attachments or headers send it.

use std::collections::BTreeMap;

use crossdock_tests::{Bootstrap, Consumer, Gateway, Kind, Peers, Provider, Turn};
use serde_json::{Value, json};

const CALLS: u64 = 2000;
/// A tenth of the calls, and five standard deviations of a binomial distribution to each side.
const TENTH: std::ops::RangeInclusive<u64> = 133..=267;

fn split(first: &str, second: &str) -> Value {
    json!({"weighted_clusters": {"clusters": [{"name": first, "weight": 90}, {"name": second, "weight": 10}]}})
}

/// Bolt calls carry `x-sofa-version`; of the rest, Dubbo calls, the tenant stands in an attachment.
fn routes() -> Value {
    let sofa = json!({"name": "x-sofa-version", "present_match": true});
    let tenant = |name: &str| json!({"name": name, "string_match": {"exact": "blue"}});
    json!([
        {"match": {"prefix": "/", "headers": [sofa, tenant("rpc_req_baggage.tenant")]}, "route": {"cluster": "sofa-v2"}},
        {"match": {"prefix": "/", "headers": [sofa]}, "route": split("sofa-v1", "sofa-v2")},
        {"match": {"prefix": "/", "headers": [tenant("tenant")]}, "route": {"cluster": "dubbo-v2"}},
        {"match": {"prefix": "/"}, "route": split("dubbo-v1", "dubbo-v2")},
    ])
}

fn calls(attachments: Value) -> Value {
    json!({"op": "concurrent", "method": "who", "n": CALLS, "threads": 16, "attachments": attachments})
}

#[track_caller]
fn assert_split(answers: &BTreeMap<String, u64>) {
    let count = |label: &str| answers.get(label).copied().unwrap_or_default();
    assert_eq!(count("v1") + count("v2"), CALLS, "{answers:?}");
    assert!(TENTH.contains(&count("v2")), "{answers:?}");
}

#[test]
fn dubbo_and_sofarpc_share_a_port_at_the_same_time() {
    let _turn = Turn::take();
    let (Some(dubbo), Some(sofa), Some(node)) = (
        Peers::prepare(Kind::JavaDubbo),
        Peers::prepare(Kind::JavaSofa),
        Peers::prepare(Kind::Node),
    ) else {
        return;
    };
    let dubbo_v1 = Provider::start(&dubbo, "v1", &["--version", "1.0"]);
    let dubbo_v2 = Provider::start(&node, "v2", &["--wire", "dubbo"]);
    let sofa_v1 = Provider::start(&sofa, "v1", &[]);
    let sofa_v2 = Provider::start(&node, "v2", &["--wire", "bolt"]);
    let bootstrap = Bootstrap::of(routes())
        .cluster("dubbo-v1", &[dubbo_v1.address()], json!({}))
        .cluster("dubbo-v2", &[dubbo_v2.address()], json!({}))
        .cluster("sofa-v1", &[sofa_v1.address()], json!({}))
        .cluster("sofa-v2", &[sofa_v2.address()], json!({}));
    let gateway = Gateway::start(&bootstrap, &[]);
    let mut consumers = [Consumer::start(&dubbo, &[]), Consumer::start(&sofa, &[])];
    for consumer in &mut consumers {
        consumer.refer(gateway.address(), json!({"version": "1.0"}));
    }

    // Both at once: begun together, then read.
    for consumer in &mut consumers {
        consumer.begin(calls(json!({})));
    }
    for consumer in &mut consumers {
        let tally = consumer.finish().tally();
        assert_eq!(tally.failed(), 0, "{tally:?}");
        assert_split(&tally.answers);
    }
    for consumer in &mut consumers {
        consumer.begin(calls(json!({"tenant": "blue"})));
    }
    for consumer in &mut consumers {
        let tally = consumer.finish().tally();
        assert_eq!(
            tally.answers,
            BTreeMap::from([("v2".to_owned(), CALLS)]),
            "{tally:?}"
        );
        assert_eq!(tally.failed(), 0, "{tally:?}");
    }
    // No answer at the wrong caller while both run.
    for consumer in &mut consumers {
        let unique = json!({"op": "concurrent", "method": "echo", "n": CALLS, "threads": 50, "unique": true});
        consumer.begin(unique);
    }
    for consumer in &mut consumers {
        let tally = consumer.finish().tally();
        assert_eq!((tally.answered(), tally.wrong), (CALLS, 0), "{tally:?}");
    }
}
