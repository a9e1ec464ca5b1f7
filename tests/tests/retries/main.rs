//! Retries, with the same policy text for Dubbo, SOFARPC, HTTP and gRPC: what the callers see, how often the hosts
//! are asked, and what is counted.

mod envoy;
mod killed;
mod limits;
mod policy;
mod refused;

use crossdock_tests::Gateway;
use crossdock_tests::quartet::{File, Protocol, Service};
use serde_json::{Value, json};

/// One worker or two make no difference to what is counted.
const WORKERS: [&str; 2] = ["--concurrency", "2"];

/// A route of every call to the protocol's cluster under this policy.
fn route(policy: &Value) -> Value {
    json!([{
        "name": "all",
        "match": {"prefix": "/"},
        "route": {"cluster": "CLUSTER", "timeout": "5s", "retry_policy": policy},
    }])
}

/// A gateway before one service of each protocol; `cluster` are further fields of its clusters.
fn before(policy: &Value, cluster: &Value) -> (Gateway, [Service; 4]) {
    let services = Protocol::ALL.map(Service::start);
    let file = File::new(&route(policy)).before(&services, cluster);
    (Gateway::start_text(&file.text(), &WORKERS), services)
}

/// Circuit breakers that let so many retries through at once.
fn retries(most: u32) -> Value {
    json!({"circuit_breakers": {"thresholds": [{"max_retries": most}]}})
}

/// A counter of a protocol's cluster.
fn count(gateway: &Gateway, protocol: Protocol, counter: &str) -> u64 {
    gateway.stat(&format!("cluster.{}.{counter}", protocol.name()))
}

/// Asserts that what a host has got is what was called and what was tried again, to the last one.
#[track_caller]
fn conserved(gateway: &Gateway, protocol: Protocol, calls: u64, received: u64) {
    let tried = ["upstream_rq_retry", "upstream_rq_retry_unsent"];
    let again: u64 = tried
        .iter()
        .map(|counter| count(gateway, protocol, counter))
        .sum();
    assert_eq!(received, calls + again, "{protocol:?}: {again} again");
    let total = count(gateway, protocol, "upstream_rq_total");
    assert_eq!(total, received, "{protocol:?}");
}
