//! What a policy makes of hosts that fail, hang and break off.

use std::fs;
use std::time::Duration;

use crossdock_tests::quartet::{Answer, Caller, File, Protocol, Service};
use crossdock_tests::{Gateway, eventually};
use serde_json::json;

use crate::{WORKERS, before, conserved, count, retries, route};

const CALLS: u64 = 20;

#[test]
fn a_flaky_host_is_made_whole() {
    let policy = json!({
        "retry_on": "5xx,reset,unavailable",
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.001s"},
    });
    let (gateway, services) = before(&policy, &retries(100));
    for (protocol, service) in Protocol::ALL.into_iter().zip(&services) {
        let mut caller = Caller::connect(protocol, gateway.address());
        for call in 0..CALLS {
            let key = call.to_string();
            let answer = caller.call(&[("do", "fail,fail,answer"), ("key", &key)]);
            assert_eq!(answer, Answer::Good, "{protocol:?} {call}");
        }
        assert_eq!(service.received(), 3 * CALLS, "{protocol:?}");
        conserved(&gateway, protocol, CALLS, service.received());
        for (counter, wanted) in [
            ("upstream_rq_retry", 2 * CALLS),
            ("upstream_rq_retry_backoff_exponential", 2 * CALLS),
            ("upstream_rq_retry_success", CALLS),
            ("upstream_rq_retry_limit_exceeded", 0),
            ("upstream_rq_retry_overflow", 0),
            ("upstream_rq_completed", CALLS),
            ("upstream_rq_5xx", 0),
        ] {
            let counted = count(&gateway, protocol, counter);
            assert_eq!(counted, wanted, "{protocol:?} {counter}");
        }
        // Connections that break, and octets that are no answer, too.
        for (call, deeds) in ["cut,answer", "babble,answer", "cut,fail,babble,answer"]
            .into_iter()
            .enumerate()
        {
            let key = format!("broken-{call}");
            let answer = caller.call(&[("do", deeds), ("key", &key)]);
            assert_eq!(answer, Answer::Good, "{protocol:?} {deeds}");
        }
        conserved(&gateway, protocol, CALLS + 3, service.received());
    }
}

#[test]
fn num_retries_1_is_one_retry_and_told_of_in_the_log() {
    let services = Protocol::ALL.map(Service::start);
    let policy = json!({"retry_on": "5xx,unavailable", "num_retries": 1});
    let log = json!({
        "name": "log",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "FOLDER/access.log",
            "log_format": {"text_format_source": {"inline_string":
                "%UPSTREAM_CLUSTER% %RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"}},
        },
    });
    let file = File::new(&route(&policy))
        .before(&services, &retries(100))
        .manager(&json!({"access_log": [log]}));
    let gateway = Gateway::start_text(&file.text(), &WORKERS);
    let mut expected = Vec::new();
    for (protocol, service) in Protocol::ALL.into_iter().zip(&services) {
        let mut caller = Caller::connect(protocol, gateway.address());
        let answer = caller.call(&[("do", "fail")]);
        assert!(
            matches!(answer, Answer::Failed(_)),
            "{protocol:?} {answer:?}"
        );
        assert_eq!(service.received(), 2, "{protocol:?}");
        let exceeded = count(&gateway, protocol, "upstream_rq_retry_limit_exceeded");
        assert_eq!(exceeded, 1, "{protocol:?}");
        expected.push(format!("{} URX 2", protocol.name()));
        assert_eq!(caller.call(&[]), Answer::Good);
        expected.push(format!("{} - 1", protocol.name()));
    }
    let path = gateway.folder().join("access.log");
    let mut said = Vec::new();
    let all = eventually(Duration::from_secs(20), || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        said = text.lines().map(str::to_owned).collect();
        (said.len() == expected.len()).then_some(())
    });
    assert!(all.is_some(), "{said:?}");
    said.sort();
    expected.sort();
    assert_eq!(said, expected);
}

#[test]
fn an_attempt_has_its_own_time() {
    let policy = json!({
        "retry_on": "5xx",
        "num_retries": 2,
        "per_try_timeout": "0.2s",
        "retry_back_off": {"base_interval": "0.001s"},
    });
    let (gateway, services) = before(&policy, &retries(100));
    for (protocol, service) in Protocol::ALL.into_iter().zip(&services) {
        let mut caller = Caller::connect(protocol, gateway.address());
        let answer = caller.call(&[("do", "hang,answer"), ("key", "a")]);
        assert_eq!(answer, Answer::Good, "{protocol:?}");
        let answer = caller.call(&[("do", "hang"), ("key", "b")]);
        assert!(
            matches!(answer, Answer::Failed(_)),
            "{protocol:?} {answer:?}"
        );
        assert_eq!(service.received(), 2 + 3, "{protocol:?}");
        let late = count(&gateway, protocol, "upstream_rq_per_try_timeout");
        assert_eq!(late, 1 + 3, "{protocol:?}");
        assert_eq!(count(&gateway, protocol, "upstream_rq_timeout"), 0);
        conserved(&gateway, protocol, 2, service.received());
    }
}

#[test]
fn what_no_word_names_is_not_tried_again() {
    let policy = json!({"retry_on": "retriable-4xx,refused-stream,resource-exhausted"});
    let (gateway, services) = before(&policy, &retries(100));
    for (protocol, service) in Protocol::ALL.into_iter().zip(&services) {
        for deed in ["fail", "babble", "cut"] {
            let mut caller = Caller::connect(protocol, gateway.address());
            let answer = caller.call(&[("do", deed)]);
            assert_ne!(answer, Answer::Good, "{protocol:?} {deed}");
        }
        assert_eq!(count(&gateway, protocol, "upstream_rq_retry"), 0);
        conserved(&gateway, protocol, 3, service.received());
    }
}
