//! The same file and calls through Envoy: the callers see the same, and the hosts are asked as often.

use std::ffi::OsString;
use std::fs;

use crossdock_tests::quartet::{Answer, Caller, File, Protocol, Service, when};
use crossdock_tests::{Gateway, Kind, Peers};
use serde_json::{Value, json};

use crate::retries;

fn policies() -> Vec<Value> {
    let quick = json!({"base_interval": "0.001s", "max_interval": "0.002s"});
    let words = [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "refused-stream",
        "retriable-4xx",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "unavailable",
        "cancelled,internal,resource-exhausted,deadline-exceeded",
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
        "",
    ];
    let of = |(words, retries): (&str, u32)| {
        json!({
            "retry_on": words,
            "num_retries": retries,
            "retriable_status_codes": [503],
            "retriable_headers": [{"name": "grpc-status", "string_match": {"exact": "14"}}],
            "retry_back_off": quick,
        })
    };
    let counts = [0, 1, 2, 5].map(|retries| ("5xx,unavailable,reset", retries));
    let mut all: Vec<_> = words
        .map(|words| (words, 2))
        .into_iter()
        .chain(counts)
        .map(of)
        .collect();
    for words in ["5xx", "gateway-error", "reset", "connect-failure"] {
        let mut policy = of((words, 1));
        policy["per_try_timeout"] = "0.3s".into();
        all.push(policy);
    }
    all.push(json!({"retry_on": "5xx,unavailable", "retry_back_off": quick}));
    let mut barred = of(("5xx,unavailable", 2));
    barred["retriable_request_headers"] = json!([{"name": "safe", "present_match": true}]);
    all.push(barred);
    all
}

/// What a host does. A connection that breaks is another matter in HTTP/1: see docs/differences.md.
fn deeds(protocol: Protocol, hangs: bool) -> Vec<&'static str> {
    let mut all = vec!["answer", "fail", "fail,answer", "fail,fail,answer"];
    match protocol {
        Protocol::Http => all.extend(["babble", "babble,answer"]),
        _ => all.extend(["cut", "cut,answer", "cut,fail,answer"]),
    }
    if hangs {
        all.extend(["hang", "hang,answer"]);
    }
    all
}

/// What came of every call, and how often its host was asked.
fn play(gateway: &Gateway, services: &[Service; 4], policies: &[Value]) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for (protocol, service) in Protocol::ALL.into_iter().zip(services) {
        if protocol.is_framed() {
            continue;
        }
        let mut caller = Caller::connect(protocol, gateway.address());
        for (at, policy) in policies.iter().enumerate() {
            let hangs = policy.get("per_try_timeout").is_some();
            for deeds in deeds(protocol, hangs) {
                let (to, before) = (at.to_string(), service.received());
                let key = format!("{to}-{deeds}-{before}");
                let answer = caller.call(&[("to", &to), ("do", deeds), ("key", &key)]);
                let said = match (answer, protocol) {
                    // What takes too long is DEADLINE_EXCEEDED here, and UNAVAILABLE there: see
                    // docs/differences.md.
                    (Answer::Failed(4), Protocol::Grpc) => Answer::Failed(14),
                    (answer, _) => answer,
                };
                let name = format!("{protocol:?} {deeds} {policy}: {said:?}");
                all.push((name, service.received() - before));
            }
        }
    }
    all
}

#[test]
fn envoy_asks_hosts_as_often() {
    let Some(peers) = Peers::prepare(Kind::Envoy) else {
        return;
    };
    let services = Protocol::ALL.map(Service::start);
    let policies = policies();
    let routes = policies.iter().enumerate().map(|(at, policy)| {
        let action = json!({"cluster": "CLUSTER", "timeout": "5s", "retry_policy": policy});
        when(&at.to_string(), &json!({"route": action}))
    });
    let routes = Value::from_iter(routes);
    let file = File::new(&routes).before(&services, &retries(1000)).text();
    let theirs = {
        let envoy = Gateway::start_program("envoy", &peers.envoy(), |folder| {
            let path = folder.join("bootstrap.json");
            fs::write(&path, &file).expect("the folder can be written");
            let more = [
                "--concurrency",
                "1",
                "--log-level",
                "error",
                "--disable-hot-restart",
            ];
            let mut args = vec!["-c".into(), path.into()];
            args.extend(more.map(OsString::from));
            args
        });
        play(&envoy, &services, &policies)
    };
    let ours = play(&Gateway::start_text(&file, &[]), &services, &policies);
    assert!(theirs.len() > 200, "{} calls", theirs.len());
    let differ: Vec<_> = theirs
        .iter()
        .zip(&ours)
        .filter(|(theirs, ours)| theirs != ours)
        .collect();
    assert!(differ.is_empty(), "Envoy and Crossdock: {differ:#?}");
}
