//! Filters, with the same policy text for Dubbo, SOFARPC, HTTP and gRPC: what the callers see, what the hosts get,
//! and what is counted.

mod fault;
mod rate_limit;
mod share;

use std::time::Duration;

use crossdock_tests::quartet::{Answer, Caller, File, Protocol, Service};
use crossdock_tests::{Deadline, Gateway};
use serde_json::{Value, json};

/// One worker or two make no difference to what is counted.
const WORKERS: [&str; 2] = ["--concurrency", "2"];

/// The filters `listed` by name, type and fields, and the router.
fn filters(listed: &[(&str, Value)]) -> Value {
    let filter = |(name, config): &(&str, Value)| json!({"name": name, "typed_config": config});
    let mut all: Vec<Value> = listed.iter().map(filter).collect();
    all.push(json!({
        "name": "router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    json!({"http_filters": all})
}

/// A gateway with these filters and routes before one service of each protocol.
fn before(listed: &[(&str, Value)], routes: &Value, workers: &[&str]) -> (Gateway, [Service; 4]) {
    let services = Protocol::ALL.map(Service::start);
    let file = File::new(routes).before(&services, &json!({}));
    let text = file.manager(&filters(listed)).text();
    (Gateway::start_text(&text, workers), services)
}

/// A route to the protocol's cluster, with what it says to a filter.
fn saying(name: &str, config: &Value) -> Value {
    json!({
        "match": {"prefix": "/"},
        "route": {"cluster": "CLUSTER", "timeout": "0s"},
        "typed_per_filter_config": {name: config},
    })
}

/// What a caller of each protocol gets, in the order of [`Protocol::ALL`].
fn answers(gateway: &Gateway, headers: &[(&str, &str)]) -> [Answer; 4] {
    Protocol::ALL.map(|protocol| Caller::connect(protocol, gateway.address()).call(headers))
}

/// The same of failures: the statuses of Dubbo, Bolt, HTTP and gRPC.
fn failures(statuses: [u16; 4]) -> [Answer; 4] {
    statuses.map(Answer::Failed)
}

/// The time since the start of a test.
#[derive(Clone, Copy)]
struct Clock(Deadline);

/// Longer than any test.
const HOUR: Duration = Duration::from_secs(3600);

impl Clock {
    fn start() -> Self {
        Self(Deadline::after(HOUR))
    }

    fn now(self) -> Duration {
        HOUR - self.0.left()
    }
}
