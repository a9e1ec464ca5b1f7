//! Real peers through the gateway: the same calls with the same results as in `peers_direct.rs`.

use crossdock_tests::calls::{self, MIB};
use crossdock_tests::{Bootstrap, Consumer, Gateway, Kind, Peers, Provider, Turn};
use serde_json::json;

/// One worker: then a count of connections means the same on every machine.
const ARGS: &[&str] = &["--concurrency", "1"];

#[test]
fn java_dubbo_with_hessian2_and_fastjson2() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    // This provider would send more than the gateway passes on.
    let provider = Provider::start(&peers, "v1", &["--payload", "67108864"]);
    let gateway = Gateway::start(&Bootstrap::to(&[provider.address()]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    for serialization in ["hessian2", "fastjson2"] {
        let way = json!({"serialization": serialization, "connections": 1, "payload": 64 * MIB});
        consumer.refer(gateway.address(), way);
        calls::java_dubbo(&mut consumer);
        let over = calls::request_over_limit(&mut consumer, &json!({}));
        assert_eq!(
            over.failure(),
            "RpcException/0 < RpcException/1",
            "{over:?}"
        );
        let over = calls::response_over_limit(&mut consumer, &json!({}));
        assert_eq!(
            over.failure(),
            "RpcException/0 < RpcException/5",
            "{over:?}"
        );
        assert_eq!(consumer.call("who", json!([])).value(), "v1", "after both");
    }
    // Two ways, each with a connection for plain and one for generic calls.
    assert_eq!(
        gateway.stat("http.rpc.downstream_cx_total"),
        4,
        "no call cost a connection"
    );
}

#[test]
fn java_dubbo27() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo27) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let gateway = Gateway::start(&Bootstrap::to(&[provider.address()]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({"payload": 64 * MIB}));
    calls::java_dubbo27(&mut consumer);
    let over = calls::request_over_limit(&mut consumer, &json!({}));
    assert_eq!(over.failure(), "RpcException/1", "{over:?}");
    assert_eq!(consumer.call("who", json!([])).value(), "v1", "after it");
}

#[test]
fn java_dubbo_service_of_a_group_and_version() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    let provider = Provider::start(&peers, "blue", &["--group", "blue", "--version", "2.0.0"]);
    let routes = json!([{
        "match": {"prefix": "/", "headers": [
            {"name": "x-dubbo-group", "string_match": {"exact": "blue"}},
            {"name": "x-dubbo-version", "string_match": {"exact": "2.0.0"}},
        ]},
        "route": {"cluster": "blue"},
    }]);
    let bootstrap = Bootstrap::of(routes).cluster("blue", &[provider.address()], json!({}));
    let gateway = Gateway::start(&bootstrap, ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(
        gateway.address(),
        json!({"group": "blue", "version": "2.0.0"}),
    );
    assert_eq!(consumer.call("who", json!([])).value(), "blue");
    consumer.refer_as(
        "other",
        gateway.address(),
        json!({"group": "blue", "version": "3.0.0"}),
    );
    let other = consumer.call_with("who", json!([]), json!({"ref": "other"}));
    assert_eq!(
        other.failure(),
        "RpcException/0 < RpcException/6",
        "no route for it: {other:?}"
    );
}

#[test]
fn java_sofarpc() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaSofa) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &["--unique_id", "gray"]);
    let gateway = Gateway::start(&Bootstrap::to(&[provider.address()]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({"unique_id": "gray"}));
    calls::java_sofa(&mut consumer);
    let over = calls::request_over_limit(&mut consumer, &json!({}));
    assert_eq!(over.failure(), "SofaRpcException/130", "{over:?}");
    let over = calls::response_over_limit(&mut consumer, &json!({}));
    assert_eq!(over.failure(), "SofaRpcException/120", "{over:?}");
    assert_eq!(consumer.call("who", json!([])).value(), "v1", "after both");
    assert_eq!(
        gateway.stat("http.rpc.downstream_cx_total"),
        1,
        "no call cost a connection"
    );
}

#[test]
fn java_bolt_v1_and_v2_with_and_without_crc() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaBolt) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let gateway = Gateway::start(&Bootstrap::to(&[provider.address()]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    for (protocol, version, crc) in [(1, 1, true), (2, 1, true), (2, 2, false), (2, 2, true)] {
        let name = format!("{protocol}-{version}-{crc}");
        consumer.refer_as(
            &name,
            gateway.address(),
            json!({"protocol": protocol, "version": version, "crc": crc}),
        );
        consumer.refer(
            gateway.address(),
            json!({"protocol": protocol, "version": version, "crc": crc}),
        );
        calls::java_bolt(&mut consumer);
        let over = calls::request_over_limit(&mut consumer, &json!({}));
        assert_eq!(over.failure(), "DeserializationException/-1", "{over:?}");
        assert_eq!(consumer.call("who", json!([])).value(), "v1", "after it");
    }
    // The ways before the last are still open: versions side by side, never mixed upstream.
    for name in ["1-1-true", "2-1-true", "2-2-false", "2-2-true"] {
        assert_eq!(
            consumer
                .call_with("who", json!([]), json!({"ref": name}))
                .value(),
            "v1",
            "{name}"
        );
    }
}

#[test]
fn node_speaks_bolt_and_dubbo() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::Node) else {
        return;
    };
    let mut consumer = Consumer::start(&peers, &[]);
    for (served, called) in [
        ("bolt", "bolt"),
        ("bolt", "boltWithCrc"),
        ("dubbo", "dubbo"),
    ] {
        let provider = Provider::start(&peers, "v1", &["--wire", served]);
        let gateway = Gateway::start(&Bootstrap::to(&[provider.address()]), ARGS);
        consumer.refer(gateway.address(), json!({"wire": called}));
        calls::node(&mut consumer);
        assert_eq!(gateway.stat("http.rpc.downstream_rq_oneway"), 1, "{called}");
        over_limit(&mut consumer);
    }
}

#[test]
fn python_speaks_bolt() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::Python) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let gateway = Gateway::start(&Bootstrap::to(&[provider.address()]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({"wire": "bolt"}));
    calls::python_bolt(&mut consumer);
    over_limit(&mut consumer);
}

/// What their own libraries make of the answers is not much (see `docs/local-replies.md`), but the connection
/// goes on.
fn over_limit(consumer: &mut Consumer) {
    assert!(!calls::text_over_limit(consumer, &json!({})).ok());
    assert!(!calls::response_over_limit(consumer, &json!({})).ok());
    assert_eq!(consumer.call("who", json!([])).value(), "v1", "after both");
}

/// The gateway sees the method that a generic call is about: by it the calls of `echo` find their cluster, and
/// `$invoke` would find none.
#[test]
fn node_and_python_call_java() {
    let _turn = Turn::take();
    let (Some(java), Some(node), Some(python)) = (
        Peers::prepare(Kind::JavaDubbo),
        Peers::prepare(Kind::Node),
        Peers::prepare(Kind::Python),
    ) else {
        return;
    };
    let provider = Provider::start(&java, "v1", &["--payload", "67108864"]);
    let route = |path: &str| json!({"match": {"path": format!("/peer.api.Echo/{path}")}, "route": {"cluster": "echo", "timeout": "0s"}});
    let methods = [
        "echo", "who", "sleep", "fail", "fire", "fired", "headers", "blob", "nope",
    ];
    let bootstrap = Bootstrap::of(methods.map(route).to_vec().into()).cluster(
        "echo",
        &[provider.address()],
        json!({}),
    );
    let gateway = Gateway::start(&bootstrap, ARGS);
    // The Node client has no way to leave the version out but an empty one.
    for (peers, version) in [(node, ""), (python, "0.0.0")] {
        let mut consumer = Consumer::start(&peers, &[]);
        let way = json!({"wire": "dubbo", "version": version, "timeout": 20_000});
        consumer.refer(gateway.address(), way);
        calls::dubbo_of_others(&mut consumer);
        over_limit(&mut consumer);
        calls::late(&mut consumer);
    }
}
