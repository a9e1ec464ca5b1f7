//! The peers themselves, with nothing between consumer and provider: what `peers_gateway.rs` shows through the
//! gateway means something only because it holds without it.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crossdock_tests::calls::{self, MIB, OVER_LIMIT};
use crossdock_tests::{Consumer, Kind, Peers, Provider, Tap, Turn, eventually};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn java_dubbo_with_hessian2_and_fastjson2() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let mut consumer = Consumer::start(&peers, &[]);
    for (serialization, flag) in [("hessian2", 0xc2), ("fastjson2", 0xd7)] {
        let tap = Tap::before(provider.address());
        consumer.refer(
            tap.address(),
            json!({"serialization": serialization, "connections": 1}),
        );
        calls::java_dubbo(&mut consumer);
        let over = consumer.call("size", json!([{"octets": OVER_LIMIT}]));
        assert!(over.caused_by("ExceedPayloadLimitException"), "{over:?}");
        let over = consumer.call("blob", json!([OVER_LIMIT]));
        assert_eq!(over.failure(), "RpcException/5", "{over:?}");
        assert!(
            tap.up()
                .windows(3)
                .any(|octets| octets == [0xda, 0xbb, flag]),
            "it speaks {serialization}"
        );
    }
}

#[test]
fn java_dubbo27() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo27) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(provider.address(), json!({}));
    calls::java_dubbo27(&mut consumer);
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
    // This consumer may send more than the default limit, and the provider takes it.
    let large = json!({"group": "blue", "version": "2.0.0", "payload": 64 * MIB, "connections": 1});
    consumer.refer_as("large", provider.address(), large);
    let large = consumer.call_with(
        "size",
        json!([{"octets": OVER_LIMIT}]),
        json!({"ref": "large"}),
    );
    assert_eq!(large.value(), OVER_LIMIT);
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
    calls::java_sofa(&mut consumer);
    assert_eq!(
        consumer
            .call("size", json!([{"octets": OVER_LIMIT}]))
            .value(),
        OVER_LIMIT
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
    // Protocol, ver1, CRC wanted; then what shows it in v2: ver1 and switch.
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
        calls::java_bolt(&mut consumer);
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
        calls::node(&mut consumer);
        if called == "boltWithCrc" {
            let sent = tap.up();
            assert_eq!((sent.get(..2), sent.get(11)), (Some(&[2, 2][..]), Some(&1)));
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
    calls::python_bolt(&mut consumer);
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
        calls::dubbo_of_others(&mut consumer);
        calls::late(&mut consumer);
    }
}

/// Whether the peer hangs up on a connection that says nothing.
fn closes_silent(address: SocketAddr) -> bool {
    let mut silent = TcpStream::connect(address).expect("the provider listens");
    silent
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout of seconds");
    matches!(silent.read(&mut [0]), Ok(0))
}

#[test]
fn consumers_send_heartbeats_and_providers_miss_them() {
    let _turn = Turn::take();
    let (Some(dubbo), Some(sofa)) = (
        Peers::prepare(Kind::JavaDubbo),
        Peers::prepare(Kind::JavaSofa),
    ) else {
        return;
    };
    let provider = Provider::start(&dubbo, "v1", &["--heartbeat", "1000"]);
    let mut consumer = Consumer::start(&dubbo, &[]);
    let tap = Tap::before(provider.address());
    consumer.refer(tap.address(), json!({"heartbeat": 600}));
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    let beats = |octets: &[u8], beat: &[u8]| octets.windows(beat.len()).any(|w| w == beat);
    let beat = eventually(PATIENCE, || {
        beats(&tap.up(), &[0xda, 0xbb, 0xe2]).then_some(())
    });
    assert!(beat.is_some(), "a Dubbo heartbeat");
    assert!(closes_silent(provider.address()), "Dubbo");

    let idle = ["bolt.tcp.server.idle.interval=1500"];
    let provider = Provider::start_with(&sofa, "v1", &[], &idle);
    let mut consumer = Consumer::start(&sofa, &["bolt.tcp.heartbeat.interval=500"]);
    let tap = Tap::before(provider.address());
    consumer.refer(tap.address(), json!({}));
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    // Protocol 1, request, command 0.
    let beat = eventually(PATIENCE, || {
        beats(&tap.up(), &[1, 1, 0, 0, 1]).then_some(())
    });
    assert!(beat.is_some(), "a Bolt heartbeat");
    assert!(closes_silent(provider.address()), "Bolt");
}
