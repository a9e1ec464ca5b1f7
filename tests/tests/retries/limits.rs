//! How much a policy may add to the load when everything fails.

use std::net::SocketAddr;
use std::thread;

use crossdock_tests::quartet::{Answer, Caller, Protocol};
use serde_json::{Value, json};

use crate::{before, conserved, count};

const CALLERS: u64 = 25;
const CALLS: u64 = 20;

/// Lets all callers make calls that fail, at once.
fn fail(protocol: Protocol, address: SocketAddr) {
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            thread::spawn(move || {
                let mut caller = Caller::connect(protocol, address);
                for _ in 0..CALLS {
                    let answer = caller.call(&[("do", "fail")]);
                    assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().expect("every call is answered");
    }
}

/// What is tried again of [`CALLERS`] times [`CALLS`] calls under total failure.
fn tried_again(thresholds: &Value) -> [u64; 4] {
    let policy = json!({
        "retry_on": "5xx,unavailable",
        "num_retries": 1,
        "retry_back_off": {"base_interval": "0.02s"},
    });
    let breakers = json!({"circuit_breakers": {"thresholds": [thresholds]}});
    let (gateway, services) = before(&policy, &breakers);
    let mut all = [0; 4];
    for ((protocol, service), again) in Protocol::ALL.into_iter().zip(&services).zip(&mut all) {
        fail(protocol, gateway.address());
        let calls = CALLERS * CALLS;
        conserved(&gateway, protocol, calls, service.received());
        let ends = [
            "upstream_rq_retry_overflow",
            "upstream_rq_retry_limit_exceeded",
        ];
        let ends: u64 = ends
            .iter()
            .map(|counter| count(&gateway, protocol, counter))
            .sum();
        assert_eq!(ends, calls, "{protocol:?}: each ends for want of a retry");
        *again = count(&gateway, protocol, "upstream_rq_retry");
    }
    all
}

#[test]
fn a_budget_bounds_what_is_added_to_the_load() {
    let budget = json!({"retry_budget": {
        "budget_percent": {"value": 20.0}, "min_retry_concurrency": 1,
    }});
    for again in tried_again(&budget) {
        assert!((1..=CALLERS * CALLS / 5).contains(&again), "{again}");
    }
}

#[test]
fn no_more_are_tried_again_than_max_retries() {
    assert_eq!(tried_again(&json!({"max_retries": 0})), [0; 4]);
    let all = CALLERS * CALLS;
    assert_eq!(tried_again(&json!({"max_retries": 1000})), [all; 4]);
}
