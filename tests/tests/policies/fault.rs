//! Injected faults.

use std::time::Duration;

use crossdock_tests::eventually;
use crossdock_tests::quartet::{Answer, Caller, Protocol};
use serde_json::{Value, json};

use super::{Clock, WORKERS, answers, before, failures, saying};

fn fault(more: &Value) -> Value {
    let mut fault = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
    });
    let fields = fault.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    fault
}

fn all() -> Value {
    json!({"numerator": 100})
}

/// The calls of one user.
fn of(user: &str) -> Value {
    json!([{"name": "user", "string_match": {"exact": user}}])
}

/// Dubbo reads an exception inside status 20. Bolt's 2 is an exception of the server, 4 a busy one, 6 one without the
/// service, and 7 a time-out.
#[test]
fn an_abort_is_told_as_a_failure_to_the_user_it_is_for() {
    let faults = [
        (
            "late",
            fault(
                &json!({"headers": of("late"), "abort": {"http_status": 504, "percentage": all()}}),
            ),
        ),
        (
            "down",
            fault(
                &json!({"headers": of("down"), "abort": {"http_status": 503, "percentage": all()}}),
            ),
        ),
        (
            "busy",
            fault(
                &json!({"headers": of("busy"), "abort": {"grpc_status": 8, "percentage": all()}}),
            ),
        ),
        (
            "odd",
            fault(
                &json!({"headers": of("odd"), "abort": {"http_status": 200, "percentage": all()}}),
            ),
        ),
        (
            "asked",
            fault(
                &json!({"headers": of("asked"), "abort": {"header_abort": {}, "percentage": all()}}),
            ),
        ),
    ];
    let routes =
        json!([{"match": {"prefix": "/"}, "route": {"cluster": "CLUSTER", "timeout": "0s"}}]);
    let (gateway, services) = before(&faults, &routes, &WORKERS);
    assert_eq!(
        answers(&gateway, &[("user", "late")]),
        failures([20, 7, 504, 14])
    );
    assert_eq!(
        answers(&gateway, &[("user", "down")]),
        failures([20, 2, 503, 14])
    );
    assert_eq!(
        answers(&gateway, &[("user", "busy")]),
        failures([20, 4, 429, 8])
    );
    // What HTTP alone could take for a success.
    let odd = answers(&gateway, &[("user", "odd")]);
    let all = failures([20, 2, 200, 2]);
    assert_eq!((odd[0], odd[1], odd[3]), (all[0], all[1], all[3]));
    let asked = [("user", "asked"), ("x-envoy-fault-abort-request", "404")];
    assert_eq!(answers(&gateway, &asked), failures([20, 6, 404, 12]));
    assert_eq!(gateway.stat("http.rpc.fault.aborts_injected"), 20);
    assert_eq!(gateway.stat("http.rpc.fault.active_faults"), 0);
    assert!(services.iter().all(|service| service.received() == 0));
    assert_eq!(answers(&gateway, &[("user", "other")]), [Answer::Good; 4]);
    assert_eq!(answers(&gateway, &[("user", "asked")]), [Answer::Good; 4]);
}

/// A tenth of the calls of each protocol, within four standard deviations.
#[test]
fn a_share_of_calls_is_aborted() {
    const CALLS: usize = 1000;
    let config = fault(
        &json!({"abort": {"http_status": 503, "percentage": {"numerator": 1000, "denominator": "TEN_THOUSAND"}}}),
    );
    let off = fault(&json!({}));
    let (gateway, services) = before(
        &[("fault", off)],
        &json!([saying("fault", &config)]),
        &WORKERS,
    );
    let mut aborted = 0;
    for (protocol, service) in Protocol::ALL.into_iter().zip(&services) {
        let mut caller = Caller::connect(protocol, gateway.address());
        let good = (0..CALLS)
            .filter(|_| caller.call(&[]) == Answer::Good)
            .count();
        assert!((862..=938).contains(&good), "{protocol:?}: {good}");
        assert_eq!(service.received(), good as u64, "{protocol:?}");
        aborted += (CALLS - good) as u64;
    }
    assert_eq!(gateway.stat("http.rpc.fault.aborts_injected"), aborted);
}

#[test]
fn a_delay_takes_its_time_and_no_longer_than_its_caller() {
    let config = fault(&json!({
        "delay": {"header_delay": {}, "percentage": all()},
    }));
    let off = fault(&json!({}));
    let (gateway, _services) = before(
        &[("fault", off)],
        &json!([saying("fault", &config)]),
        &WORKERS,
    );
    let clock = Clock::start();
    let delayed = answers(&gateway, &[("x-envoy-fault-delay-request", "200")]);
    assert_eq!(delayed, [Answer::Good; 4]);
    assert!(clock.now() >= Duration::from_millis(4 * 200));
    assert_eq!(gateway.stat("http.rpc.fault.delays_injected"), 4);
    gateway.until("http.rpc.fault.active_faults", |active| active == 0);
    // Callers that leave end their faults long before the time.
    for protocol in [Protocol::Dubbo, Protocol::Bolt, Protocol::Grpc] {
        let leave = || {
            let caller = Caller::connect(protocol, gateway.address());
            caller.leave(&[("x-envoy-fault-delay-request", "3600000")]);
        };
        let injected = gateway.stat("http.rpc.fault.delays_injected");
        // A caller may have left before its call was read.
        let noticed = eventually(Duration::from_secs(30), || {
            leave();
            (gateway.stat("http.rpc.fault.delays_injected") > injected).then_some(())
        });
        assert!(noticed.is_some(), "{protocol:?}: no call came");
        gateway.until("http.rpc.fault.active_faults", |active| active == 0);
    }
}
