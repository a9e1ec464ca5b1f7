//! gRPC in Go and Triple in Java: what a consumer sees is the same without the gateway and through it, and what the
//! gateway answers by itself reads as the framework's own error.

use std::net::SocketAddr;

use crossdock_tests::calls::MIB;
use crossdock_tests::{Bootstrap, Consumer, Gateway, Kind, Peers, Provider, Turn, UnusedPort};
use serde_json::{Value, json};

const CALLS: u64 = 1000;
/// What the service with these may be told apart by.
const BLUE: [&str; 4] = ["--group", "blue", "--version", "2.0.0"];

fn everything_to(cluster: &str) -> Value {
    json!([{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}])
}

fn gateway(provider: SocketAddr) -> Gateway {
    let bootstrap = Bootstrap::at(&["*"], everything_to("one"));
    Gateway::start(&bootstrap.http2_cluster("one", &[provider], json!({})), &[])
}

/// Each call gets its own answer.
fn in_crowds(consumer: &mut Consumer) {
    let unique =
        json!({"op": "concurrent", "method": "echo", "n": CALLS, "threads": 50, "unique": true});
    let tally = consumer.ask(unique).tally();
    assert_eq!((tally.answered(), tally.wrong), (CALLS, 0), "{tally:?}");
}

fn payloads(consumer: &mut Consumer) {
    for size in [0, 1, 16 * 1024, 4 * MIB] {
        let blob = consumer.call("blob", json!([size]));
        assert_eq!(blob.value()["octets"], size);
    }
    let size = consumer.call("size", json!([{"octets": MIB}]));
    let size = size.value();
    assert!(size == MIB || size["octets"] == MIB, "{size}");
}

fn go(consumer: &mut Consumer) {
    assert_eq!(
        consumer.call("echo", json!(["grüß dich 你好"])).value(),
        "grüß dich 你好"
    );
    payloads(consumer);
    in_crowds(consumer);

    let sent = json!({"attachments": {"tenant": "blue", "octets-bin": "\u{1}\u{2}"}});
    let answer = consumer.call_with("headers", json!([]), sent);
    assert_eq!(answer.value()["tenant"], "blue");
    assert_eq!(answer.value()["octets-bin"], "\u{1}\u{2}");
    // One comes in the headers, one in the trailers.
    assert_eq!(answer.attachment("peer-label"), Some("v1"), "{answer:?}");
    assert_eq!(answer.attachment("peer-reply"), Some("back"), "{answer:?}");

    let failed = consumer.call("fail", json!(["bööm % \t"]));
    assert_eq!(
        (&*failed.failure(), failed.message()),
        ("Status/9", "bööm % \t")
    );
    assert_eq!(consumer.call("nope", json!(["x"])).failure(), "Status/12");
    let late = consumer.call_with("sleep", json!([2000]), json!({"timeout": 200}));
    assert_eq!(late.failure(), "Status/4", "{late:?}");

    let counted = consumer.call("count", json!([1000]));
    assert_eq!(counted.value(), &json!(vec!["v1"; 1000]));
    assert_eq!(
        consumer.call("sum", json!(["a", "b", "c"])).value(),
        &json!([3])
    );
    assert_eq!(
        consumer.call("chat", json!(["a", "b"])).value(),
        &json!(["a", "b"])
    );
    assert_eq!(consumer.call("chat", json!([])).value(), &json!([]));
}

fn triple(consumer: &mut Consumer) {
    assert_eq!(
        consumer.call("echo", json!(["grüß dich 你好"])).value(),
        "grüß dich 你好"
    );
    payloads(consumer);
    in_crowds(consumer);
    let placed = consumer.call("place", json!([{"order": 3}]));
    assert_eq!(placed.value()["whole"], true, "{placed:?}");
    let generic = consumer.call_with("place", json!([{"order": 2}]), json!({"mode": "generic"}));
    assert_eq!(generic.value()["state"], "placed by v1");
    let later = consumer.call_with("echo", json!(["x"]), json!({"mode": "async"}));
    assert_eq!(later.value(), "x");

    let sent = json!({"attachments": {"Tenant": "blue"}});
    let answer = consumer.call_with("headers", json!([]), sent);
    assert_eq!(answer.value()["Tenant"], "blue", "its capital comes back");
    assert_eq!(answer.attachment("peer-reply"), Some("back"), "{answer:?}");

    let failed = consumer.call("fail", json!(["boom"]));
    assert_eq!(
        (failed.exception(), failed.message()),
        ("peer.api.BizException", "boom")
    );
    // Which of its two timers is first decides whether the code stands in a cause.
    let late = consumer.call_with("sleep", json!([2000]), json!({"timeout": 200}));
    assert!(late.failure().ends_with("RpcException/2"), "{late:?}");

    let counted = consumer.call("count", json!([1000]));
    assert_eq!(counted.value(), &json!(vec!["v1"; 1000]));
    let chat = consumer.call("chat", json!(["a", "b"]));
    assert_eq!(chat.value(), &json!(["v1:a", "v1:b"]));
}

#[test]
fn grpc_in_go_directly_and_through_the_gateway() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::Go) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let gateway = gateway(provider.address());
    let mut consumer = Consumer::start(&peers, &[]);
    for address in [provider.address(), gateway.address()] {
        consumer.refer(address, json!({}));
        go(&mut consumer);
    }
    // At most the one call whose deadline its caller may have noticed first.
    assert!(gateway.stat("http.rpc.downstream_rq_rx_reset") <= 1);
}

#[test]
fn triple_in_java_directly_and_through_the_gateway() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    let options = [&["--protocol", "tri"][..], &BLUE].concat();
    let provider = Provider::start(&peers, "v1", &options);
    let gateway = gateway(provider.address());
    let mut consumer = Consumer::start(&peers, &[]);
    for address in [provider.address(), gateway.address()] {
        let blue = json!({"protocol": "tri", "group": "blue", "version": "2.0.0"});
        consumer.refer(address, blue);
        triple(&mut consumer);
    }
}

#[test]
fn triple_services_of_one_name_are_told_apart_by_group_and_version() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    let tri = ["--protocol", "tri"];
    let blue = Provider::start(&peers, "blue", &[&tri[..], &BLUE].concat());
    let plain = Provider::start(&peers, "plain", &[&tri[..], &["--version", "1.0"]].concat());
    let exact = |name: &str, value: &str| json!({"name": name, "string_match": {"exact": value}});
    let group = exact("tri-service-group", "blue");
    let version = exact("tri-service-version", "2.0.0");
    let routes = json!([
        {
            "match": {"prefix": "/peer.api.Echo/", "headers": [group, version]},
            "route": {"cluster": "blue"},
        },
        {"match": {"prefix": "/"}, "route": {"cluster": "plain"}},
    ]);
    let bootstrap = Bootstrap::at(&["*"], routes)
        .http2_cluster("blue", &[blue.address()], json!({}))
        .http2_cluster("plain", &[plain.address()], json!({}));
    let gateway = Gateway::start(&bootstrap, &[]);
    let mut consumer = Consumer::start(&peers, &[]);
    let to_blue = json!({"protocol": "tri", "group": "blue", "version": "2.0.0"});
    consumer.refer_as("blue", gateway.address(), to_blue);
    let to_plain = json!({"protocol": "tri", "version": "1.0"});
    consumer.refer_as("plain", gateway.address(), to_plain);
    for name in ["blue", "plain"] {
        let who = consumer.call_with("who", json!([]), json!({"ref": name}));
        assert_eq!(who.value(), name);
    }
}

/// What the gateway says when there is nobody to say it.
fn routes_to_nowhere() -> Value {
    let on = |path: &str| json!({"path": format!("/peer.api.Echo/{path}")});
    json!([
        {"match": on("sleep"), "route": {"cluster": "one", "timeout": "0.2s"}},
        {"match": on("who"), "route": {"cluster": "nobody"}},
        {"match": on("fail"), "direct_response": {"status": 403}},
        {"match": on("echo"), "route": {"cluster": "one"}},
    ])
}

#[test]
fn local_answers_read_as_the_framework_s_own_errors() {
    let _turn = Turn::take();
    let (Some(go), Some(java)) = (Peers::prepare(Kind::Go), Peers::prepare(Kind::JavaDubbo)) else {
        return;
    };
    let nobody = UnusedPort::take();
    let of_go = Provider::start(&go, "v1", &[]);
    let of_java = Provider::start(&java, "v1", &["--protocol", "tri"]);
    for (peers, provider, refer, failures) in [
        (
            &go,
            &of_go,
            json!({}),
            // A deadline, nobody there, forbidden, no route.
            ["Status/4", "Status/14", "Status/7", "Status/12"].map(str::to_owned),
        ),
        (
            &java,
            &of_java,
            json!({"protocol": "tri"}),
            // Dubbo's codes for these statuses, in a cause.
            [2, 1, 4, 11].map(|code| format!("RpcException/0 < StatusRpcException/{code}")),
        ),
    ] {
        let bootstrap = Bootstrap::at(&["*"], routes_to_nowhere())
            .http2_cluster("one", &[provider.address()], json!({}))
            .http2_cluster("nobody", &[nobody.address()], json!({}));
        let gateway = Gateway::start(&bootstrap, &[]);
        let mut consumer = Consumer::start(peers, &[]);
        consumer.refer(gateway.address(), refer);
        let seen = [
            consumer.call("sleep", json!([1000])),
            consumer.call("who", json!([])),
            consumer.call("fail", json!(["x"])),
            consumer.call("blob", json!([1])),
        ];
        assert_eq!(
            seen.each_ref().map(|answer| answer.failure()),
            failures,
            "{seen:#?}"
        );
        // The connection stands.
        assert_eq!(consumer.call("echo", json!(["x"])).value(), "x");
    }
}
