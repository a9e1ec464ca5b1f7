//! The peers themselves, with nothing between consumer and provider: what `peers_gateway.rs` shows through the
//! gateway means something only because it holds without it.

use crossdock_tests::{Answer, Consumer, Kind, Peers, Provider, Tally, Tap, Turn};
use serde_json::json;

const MIB: usize = 1 << 20;

#[track_caller]
fn all_answered(tally: &Tally, value: &str, count: u64) {
    assert_eq!(tally.answers.get(value), Some(&count), "{tally:?}");
    assert_eq!((tally.failed(), tally.wrong), (0, 0), "{tally:?}");
}

/// What every kind of peer can do.
fn common(consumer: &mut Consumer) {
    assert_eq!(
        consumer.call("echo", json!(["grüß dich 你好"])).value(),
        "grüß dich 你好"
    );
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    let late = consumer.call_with("sleep", json!([2000]), json!({"timeout": 200}));
    assert!(!late.ok() && late.millis() < 1500, "{late:?}");
    let many =
        json!({"op": "concurrent", "method": "echo", "n": 1000, "threads": 50, "unique": true});
    all_answered(&consumer.ask(many).tally(), "echo", 1000);
}

/// What every Java peer can do besides.
fn java(consumer: &mut Consumer) {
    common(consumer);
    let emoji = "\u{1f600}";
    assert_eq!(consumer.call("echo", json!([emoji])).value(), emoji);
    let placed = consumer.call("place", json!([{"order": 3}]));
    assert_eq!(placed.value()["whole"], true, "{placed:?}");
    assert_eq!(placed.value()["state"], "placed by v1");
    assert!(
        placed.value()["notes"]["greeting"]
            .as_str()
            .is_some_and(|text| text.ends_with(emoji))
    );
    assert_eq!(consumer.call("blob", json!([MIB])).value()["octets"], MIB);
    assert_eq!(consumer.call("size", json!([{"octets": MIB}])).value(), MIB);

    let before = consumer.call("fired", json!([])).value().as_u64();
    let _ = consumer.call("fire", json!(["x"])).value();
    let after = (0..100).find_map(|_| {
        let now = consumer.call("fired", json!([])).value().as_u64();
        (now != before).then_some(now)
    });
    assert_eq!(after, Some(before.map(|count| count + 1)));

    let answer = consumer.call_with(
        "headers",
        json!([]),
        json!({"attachments": {"tenant": "blue"}}),
    );
    assert_eq!(answer.value()["tenant"], "blue");
    assert_eq!(answer.attachment("peer-reply"), Some("back"));
    let together = json!({"op": "concurrent", "method": "who", "n": 1000, "mode": "async"});
    all_answered(&consumer.ask(together).tally(), "v1", 1000);
}

fn business(answer: &Answer) {
    assert_eq!(answer.exception(), "peer.api.BizException");
    assert_eq!(answer.message(), "boom");
}

#[test]
fn java_dubbo_with_hessian2_and_fastjson2() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let mut consumer = Consumer::start(&peers, &[]);
    for serialization in ["hessian2", "fastjson2"] {
        let tap = Tap::before(provider.address());
        consumer.refer(
            tap.address(),
            json!({"serialization": serialization, "connections": 1}),
        );
        java(&mut consumer);
        business(&consumer.call("fail", json!(["boom"])));
        let unknown = consumer.call_with("nope", json!(["x"]), json!({"mode": "generic"}));
        assert_eq!(unknown.failure(), "RpcException/1", "{unknown:?}");
        assert!(
            unknown.message().contains("No such method nope"),
            "{unknown:?}"
        );
        let generic =
            consumer.call_with("place", json!([{"order": 2}]), json!({"mode": "generic"}));
        assert_eq!(generic.value()["state"], "placed by v1");
        assert_eq!(
            consumer
                .call_with("echo", json!(["x"]), json!({"mode": "async"}))
                .value(),
            "x"
        );
        assert_eq!(consumer.call("$echo", json!(["ping"])).value(), "ping");
        let over = consumer.call("size", json!([{"octets": 9 * MIB}]));
        assert!(over.caused_by("ExceedPayloadLimitException"), "{over:?}");
        let over = consumer.call("blob", json!([9 * MIB]));
        assert_eq!(over.failure(), "RpcException/5", "{over:?}");

        let flag = if serialization == "hessian2" {
            0xc2
        } else {
            0xd7
        };
        assert!(
            tap.up()
                .windows(3)
                .any(|octets| octets == [0xda, 0xbb, flag]),
            "it speaks {serialization}"
        );
    }
}

#[test]
fn java_dubbo_service_of_a_group_and_version() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &["--group", "blue", "--version", "2.0.0"]);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(
        provider.address(),
        json!({"group": "blue", "version": "2.0.0"}),
    );
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    consumer.refer_as(
        "other",
        provider.address(),
        json!({"group": "blue", "version": "3.0.0"}),
    );
    let other = consumer.call_with("who", json!([]), json!({"ref": "other"}));
    assert_eq!(other.failure(), "RpcException/1", "{other:?}");
    // A request over the limit of both sides: this consumer is told to send it, the provider reads it.
    consumer.refer_as(
        "large",
        provider.address(),
        json!({"group": "blue", "version": "2.0.0", "payload": 64 * MIB, "connections": 1}),
    );
    let large = consumer.call_with(
        "size",
        json!([{"octets": 9 * MIB}]),
        json!({"ref": "large"}),
    );
    assert_eq!(large.value(), 9 * MIB);
}

#[test]
fn java_sofarpc() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaSofa) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &["--unique_id", "gray"]);
    let mut consumer = Consumer::start(&peers, &[]);
    let tap = Tap::before(provider.address());
    consumer.refer(tap.address(), json!({"unique_id": "gray"}));
    java(&mut consumer);
    business(&consumer.call("fail", json!(["boom"])));
    for mode in ["future", "callback"] {
        assert_eq!(
            consumer
                .call_with("echo", json!(["x"]), json!({"mode": mode}))
                .value(),
            "x"
        );
        business(&consumer.call_with("fail", json!(["boom"]), json!({"mode": mode})));
    }
    let unknown = consumer.call_with("nope", json!(["x"]), json!({"mode": "generic"}));
    assert_eq!(unknown.failure(), "SofaRpcException/199", "{unknown:?}");
    let generic = consumer.call_with("place", json!([{"order": 2}]), json!({"mode": "generic"}));
    assert_eq!(generic.value()["state"], "placed by v1");
    assert_eq!(
        consumer.call("size", json!([{"octets": 9 * MIB}])).value(),
        9 * MIB
    );
    assert_eq!(tap.up().first(), Some(&1), "SOFARPC speaks v1");

    consumer.refer_as("plain", provider.address(), json!({}));
    let other = consumer.call_with("who", json!([]), json!({"ref": "plain"}));
    assert_eq!(other.failure(), "SofaRpcException/199", "{other:?}");
}

#[test]
fn java_bolt_v1_and_v2_with_and_without_crc() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaBolt) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let mut consumer = Consumer::start(&peers, &[]);
    // Protocol, ver1, CRC wanted, and the octets that show it: protocol, ver1 (v2 only), switch (v2 only).
    let ways = [
        (1, 1, true, None),
        (2, 1, true, Some([1, 1])),
        (2, 2, false, Some([2, 0])),
        (2, 2, true, Some([2, 1])),
    ];
    for (protocol, version, crc, octets) in ways {
        let tap = Tap::before(provider.address());
        consumer.refer(
            tap.address(),
            json!({"protocol": protocol, "version": version, "crc": crc}),
        );
        java(&mut consumer);
        let failed = consumer.call("fail", json!(["boom"]));
        assert_eq!(failed.failure(), "InvokeServerException/-1", "{failed:?}");
        assert_eq!(
            consumer
                .call_with("echo", json!(["x"]), json!({"mode": "callback"}))
                .value(),
            "x"
        );
        let sent = tap.up();
        assert_eq!(sent.first(), Some(&protocol));
        if let Some([ver1, switch]) = octets {
            assert_eq!((sent.get(1), sent.get(11)), (Some(&ver1), Some(&switch)));
        }
        let _ = consumer.ask(json!({"op": "close"})).value();
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
        let tap = Tap::before(provider.address());
        consumer.refer(tap.address(), json!({"wire": called}));
        common(&mut consumer);
        assert_eq!(consumer.call("blob", json!([MIB])).value()["octets"], MIB);
        let text = consumer.call("echo", json!([{"text": MIB}]));
        assert_eq!(text.value().as_str().map(str::len), Some(MIB));
        let failed = consumer.call("fail", json!(["boom"]));
        assert!(failed.message().contains("boom"), "{failed:?}");
        assert!(!consumer.call("nope", json!([])).ok());
        let answer = consumer.call_with(
            "headers",
            json!([]),
            json!({"attachments": {"tenant": "blue"}}),
        );
        assert_eq!(answer.value()["tenant"], "blue");
        if called == "boltWithCrc" {
            assert_eq!(
                (tap.up().get(..2), tap.up().get(11)),
                (Some(&[2, 2][..]), Some(&1))
            );
        }
    }
}

#[test]
fn python_speaks_bolt() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::Python) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(provider.address(), json!({"wire": "bolt"}));
    common(&mut consumer);
    assert_eq!(
        consumer
            .call("echo", json!([{"text": MIB}]))
            .value()
            .as_str()
            .map(str::len),
        Some(MIB)
    );
    assert!(!consumer.call("fail", json!(["boom"])).ok());
    assert!(!consumer.call("nope", json!(["x"])).ok());
}

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
    let provider = Provider::start(&java, "v1", &[]);
    // The Node client has no way to leave the version out but an empty one.
    for (peers, version) in [(node, ""), (python, "0.0.0")] {
        let mut consumer = Consumer::start(&peers, &[]);
        consumer.refer(
            provider.address(),
            json!({"wire": "dubbo", "version": version}),
        );
        common(&mut consumer);
        let failed = consumer.call("fail", json!(["boom"]));
        assert!(failed.message().contains("boom"), "{failed:?}");
    }
}
