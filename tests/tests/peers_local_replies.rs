//! What a caller sees when the gateway itself answers: the exception of its own framework for that cause. The
//! tables here and in `docs/local-replies.md` are the same.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crossdock_tests::calls::{self, MIB};
use crossdock_tests::{Answer, Bootstrap, Consumer, Gateway, Kind, Peers, Provider, Turn};
use serde_json::{Value, json};

const ARGS: &[&str] = &["--concurrency", "1"];

/// A case is chosen by the header or attachment `case`; a call without one has no route.
fn bootstrap(provider: SocketAddr) -> Bootstrap {
    let case = |name: &str, action: (&str, Value)| {
        let matches =
            json!({"prefix": "/", "headers": [{"name": "case", "string_match": {"exact": name}}]});
        json!({"match": matches, action.0: action.1})
    };
    Bootstrap::of(json!([
        case(
            "plain",
            ("route", json!({"cluster": "echo", "timeout": "0s"}))
        ),
        case("no cluster", ("route", json!({"cluster": "absent"}))),
        case("no host", ("route", json!({"cluster": "empty"}))),
        case("connect failed", ("route", json!({"cluster": "closed"}))),
        case(
            "timeout",
            ("route", json!({"cluster": "echo", "timeout": "0.3s"}))
        ),
        case(
            "overload",
            ("route", json!({"cluster": "narrow", "timeout": "0s"}))
        ),
        case(
            "denied",
            (
                "direct_response",
                json!({"status": 403, "body": {"inline_string": "not for you"}})
            )
        ),
    ]))
    .validate_clusters(false)
    .cluster("echo", &[provider], json!({}))
    .cluster("empty", &[], json!({}))
    .cluster("closed", &[closed()], json!({}))
    .cluster(
        "narrow",
        &[provider],
        json!({"circuit_breakers": {"thresholds": [{"max_requests": 1}]}}),
    )
}

/// An address where nobody listens.
fn closed() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a listener has an address")
}

/// How the three families put the case into a call.
type Put = fn(&str) -> Value;

const DUBBO: Put = |case| json!({"attachments": {"case": case}});
const SOFA: Put = |case| json!({"headers": {"case": case}});
const BOLT: Put = DUBBO;

fn call(consumer: &mut Consumer, put: Put, case: &str) -> Answer {
    match case {
        "timeout" => consumer.call_with("sleep", json!([1500]), put(case)),
        "request over limit" => calls::request_over_limit(consumer, &put("plain")),
        "response over limit" => calls::response_over_limit(consumer, &put("plain")),
        _ => consumer.call_with("who", json!([]), put(case)),
    }
}

/// Runs the cases; says all that differ and not only the first.
#[track_caller]
fn check(consumer: &mut Consumer, put: Put, table: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (case, expected) in table {
        let answer = call(consumer, put, case);
        if answer.ok() || answer.failure() != *expected {
            wrong.push(format!("{case}: expected {expected}, got {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        call(consumer, put, "plain").value(),
        "v1",
        "after all of them"
    );
}

/// One call may be at work; the second is refused at once and the first is answered.
#[track_caller]
fn check_overload(consumer: &mut Consumer, put: Put, expected: &str) {
    let mut command =
        json!({"op": "concurrent", "method": "sleep", "args": [800], "n": 4, "threads": 4});
    if let (Value::Object(command), Value::Object(more)) = (&mut command, put("overload")) {
        command.extend(more);
    }
    let tally = consumer.ask(command).tally();
    assert_eq!(tally.answered(), 1, "{tally:?}");
    assert_eq!(tally.failures.get(expected), Some(&3), "{tally:?}");
}

const DUBBO27: &[(&str, &str)] = &[
    ("no route", "RpcException/6"),
    ("no cluster", "RpcException/6"),
    ("no host", "RpcException/6"),
    ("connect failed", "RpcException/1"),
    ("timeout", "RpcException/2"),
    ("request over limit", "RpcException/1"),
    ("response over limit", "RpcException/5"),
    ("denied", "RpcException/4"),
];

#[test]
fn java_dubbo27() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo27) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &["--payload", "67108864"]);
    let gateway = Gateway::start(&bootstrap(provider.address()), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({"payload": 64 * MIB}));
    check(&mut consumer, DUBBO, DUBBO27);
    check_overload(&mut consumer, DUBBO, "RpcException/7");
}

/// 3.3 wraps an `RpcException` that a reply carries (its `RpcExceptionFilter` throws it where a value is
/// awaited): the code that says more is that of the innermost cause.
const DUBBO33: &[(&str, &str)] = &[
    ("no route", "RpcException/0 < RpcException/6"),
    ("no cluster", "RpcException/0 < RpcException/6"),
    ("no host", "RpcException/0 < RpcException/6"),
    ("connect failed", "RpcException/1"),
    ("timeout", "RpcException/2"),
    ("request over limit", "RpcException/0 < RpcException/1"),
    ("response over limit", "RpcException/0 < RpcException/5"),
    ("denied", "RpcException/0 < RpcException/4"),
];

#[test]
fn java_dubbo33() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &["--payload", "67108864"]);
    let gateway = Gateway::start(&bootstrap(provider.address()), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    for serialization in ["hessian2", "fastjson2"] {
        let way = json!({"serialization": serialization, "payload": 64 * MIB, "connections": 1, "retries": 0});
        consumer.refer(gateway.address(), way);
        check(&mut consumer, DUBBO, DUBBO33);
        check_overload(&mut consumer, DUBBO, "RpcException/0 < RpcException/7");
    }

    // A consumer repeats a call that failed for a reason that another try may get around, and no other.
    consumer.refer(gateway.address(), json!({"connections": 1, "retries": 2}));
    for (case, tries) in [
        ("no route", 1),
        ("denied", 1),
        ("no host", 1),
        ("connect failed", 3),
    ] {
        let before = gateway.stat("http.rpc.downstream_rq_total");
        assert!(!call(&mut consumer, DUBBO, case).ok());
        assert_eq!(
            gateway.stat("http.rpc.downstream_rq_total") - before,
            tries,
            "{case}"
        );
    }
}

#[test]
fn java_sofarpc() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaSofa) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let gateway = Gateway::start(&bootstrap(provider.address()), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({}));
    check(
        &mut consumer,
        SOFA,
        &[
            ("no route", "SofaRpcException/199"),
            ("no cluster", "SofaRpcException/199"),
            ("no host", "SofaRpcException/199"),
            ("connect failed", "SofaRpcException/250"),
            ("timeout", "SofaTimeOutException/200"),
            ("request over limit", "SofaRpcException/130"),
            ("response over limit", "SofaRpcException/120"),
            ("denied", "SofaRpcException/199"),
        ],
    );
    check_overload(&mut consumer, SOFA, "SofaRpcException/100");
    assert!(
        call(&mut consumer, SOFA, "no route")
            .message()
            .contains("RPC-020100010")
    );
    assert_eq!(
        gateway.stat("http.rpc.downstream_cx_total"),
        1,
        "no status made it hang up"
    );
}

#[test]
fn java_bolt_with_crc() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaBolt) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let gateway = Gateway::start(&bootstrap(provider.address()), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({"protocol": 2, "version": 2}));
    check(
        &mut consumer,
        BOLT,
        &[
            ("no route", "InvokeServerException/-1"),
            ("no cluster", "InvokeServerException/-1"),
            ("no host", "InvokeServerException/-1"),
            ("connect failed", "InvokeSendFailedException/-1"),
            ("timeout", "InvokeTimeoutException/-1"),
            ("request over limit", "DeserializationException/-1"),
            ("response over limit", "SerializationException/-1"),
            ("denied", "InvokeServerException/-1"),
        ],
    );
    check_overload(&mut consumer, BOLT, "InvokeServerBusyException/-1");
    assert_eq!(
        gateway.stat("http.rpc.downstream_cx_total"),
        1,
        "no status made it hang up"
    );
}
