//! What calls notice when a provider or the gateway goes away, and when nobody calls for a while.

use std::thread;
use std::time::Duration;

use crossdock_tests::{Bootstrap, Consumer, End, Gateway, Kind, Peers, Provider, Turn, eventually};
use serde_json::{Value, json};

const ARGS: &[&str] = &["--concurrency", "1", "--drain-time-s", "10"];
/// For what happens within milliseconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(20);

fn at_once(method: &str, args: Value, calls: u64) -> Value {
    json!({"op": "concurrent", "method": method, "args": args, "n": calls, "threads": calls})
}

/// Eight callers, each with a call every few milliseconds, for about four seconds.
fn steady() -> Value {
    json!({"op": "concurrent", "method": "who", "n": 3200, "threads": 8, "pause": 10})
}

/// Waits until the provider has so many calls at work.
fn under_way(gateway: &Gateway, calls: u64) {
    let active = || gateway.stat("cluster.echo.upstream_rq_active");
    let all = eventually(PATIENCE, || (active() == calls).then_some(()));
    assert!(all.is_some(), "{calls} calls are at work: {}", active());
}

/// Begins [`steady`] calls after both providers had some, and waits until they flow.
fn begin_steady(consumer: &mut Consumer, gateway: &Gateway) {
    let warm = consumer
        .ask(json!({"op": "concurrent", "method": "who", "n": 100, "threads": 4}))
        .tally();
    assert_eq!(warm.answers.len(), 2, "both providers have calls: {warm:?}");
    let count = || gateway.stat("cluster.echo.upstream_rq_total");
    let before = count();
    consumer.begin(steady());
    let flows = eventually(PATIENCE, || (count() > before + 200).then_some(()));
    assert!(flows.is_some(), "calls flow");
}

/// A family: its peers, what a call says whose provider was killed, what ends it gracefully.
struct Family {
    kind: Kind,
    killed: &'static str,
}

const DUBBO: Family = Family {
    kind: Kind::JavaDubbo,
    killed: "RpcException/1",
};
const SOFA: Family = Family {
    kind: Kind::JavaSofa,
    killed: "SofaRpcException/250",
};

/// Calls on the broken connection fail at once, in the caller's own words; the caller's connection stays, and
/// works again as soon as the provider does.
fn upstream_killed(family: &Family) {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(family.kind) else {
        return;
    };
    let mut provider = Provider::start(&peers, "v1", &[]);
    let address = provider.address();
    let gateway = Gateway::start(&Bootstrap::to(&[address]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({"timeout": 20_000}));
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    let connections = gateway.stat("http.rpc.downstream_cx_total");

    consumer.begin(at_once("sleep", json!([15_000]), 20));
    under_way(&gateway, 20);
    provider.process.kill();
    let tally = consumer.finish().tally();
    assert_eq!(tally.failures.get(family.killed), Some(&20), "{tally:?}");

    let port = address.port().to_string();
    let _again = Provider::start(&peers, "v1", &["--port", &port]);
    let works = eventually(PATIENCE, || {
        consumer.call("who", json!([])).ok().then_some(())
    });
    assert!(works.is_some(), "the provider is back");
    assert_eq!(
        gateway.stat("http.rpc.downstream_cx_total"),
        connections,
        "the caller kept its connection"
    );
}

#[test]
fn dubbo_upstream_killed_in_the_middle() {
    upstream_killed(&DUBBO);
}

#[test]
fn sofarpc_upstream_killed_in_the_middle() {
    upstream_killed(&SOFA);
}

/// A Dubbo provider says that it is going away (the read-only event) and answers for ten more seconds: no call
/// may fail.
#[test]
fn dubbo_upstream_stopped_gracefully() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    let (going, staying) = (
        Provider::start(&peers, "going", &[]),
        Provider::start(&peers, "staying", &[]),
    );
    let gateway = Gateway::start(&Bootstrap::to(&[going.address(), staying.address()]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({}));
    begin_steady(&mut consumer, &gateway);
    going.process.terminate();
    let tally = consumer.finish().tally();
    assert_eq!(tally.failed(), 0, "{tally:?}");

    let after = consumer
        .ask(json!({"op": "concurrent", "method": "who", "n": 50}))
        .tally();
    assert_eq!(after.answers.get("staying"), Some(&50), "{after:?}");
}

/// A SOFARPC provider closes its connections without a word. Only calls that it had already taken may be lost,
/// at most one of each caller.
#[test]
fn sofarpc_upstream_stopped_gracefully() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaSofa) else {
        return;
    };
    let (mut going, staying) = (
        Provider::start(&peers, "going", &[]),
        Provider::start(&peers, "staying", &[]),
    );
    let gateway = Gateway::start(&Bootstrap::to(&[going.address(), staying.address()]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({}));
    begin_steady(&mut consumer, &gateway);
    assert_ne!(going.stop(Duration::from_secs(10)), End::StillRunning);
    let tally = consumer.finish().tally();
    assert_eq!(tally.answered() + tally.failed(), 3200, "{tally:?}");
    assert!(tally.answers.get("staying") > Some(&0), "{tally:?}");
    let waited = tally
        .failures
        .keys()
        .any(|failure| failure.starts_with("SofaTimeOut"));
    assert!(
        !waited,
        "no call waits for an answer that cannot come: {tally:?}"
    );
}

/// Calls in flight end well, and the gateway ends with them.
fn gateway_drained(family: &Family) {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(family.kind) else {
        return;
    };
    let provider = Provider::start(&peers, "v1", &[]);
    let mut gateway = Gateway::start(&Bootstrap::to(&[provider.address()]), ARGS);
    let mut consumer = Consumer::start(&peers, &[]);
    consumer.refer(gateway.address(), json!({}));
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    consumer.begin(at_once("sleep", json!([1500]), 20));
    under_way(&gateway, 20);
    gateway.process.terminate();
    let tally = consumer.finish().tally();
    assert_eq!(
        (tally.answers.get("v1"), tally.failed()),
        (Some(&20), 0),
        "{tally:?}"
    );
    assert_eq!(gateway.process.wait(Duration::from_secs(12)), End::Code(0));
    assert!(
        !consumer.call("who", json!([])).ok(),
        "nobody is there any more"
    );
}

#[test]
fn gateway_drained_under_dubbo_calls() {
    gateway_drained(&DUBBO);
}

#[test]
fn gateway_drained_under_sofarpc_calls() {
    gateway_drained(&SOFA);
}

/// Silence of many heartbeat intervals on both sides: neither the caller nor the provider hangs up, because the
/// gateway answers the one and speaks to the other.
fn heartbeats(kind: Kind, consumer_settings: &[&str], provider: &Provider, way: Value) {
    let peers = Peers::prepare(kind).expect("the provider runs");
    let bootstrap =
        Bootstrap::to(&[provider.address()]).setting("crossdock.heartbeat_interval_ms", json!(400));
    let gateway = Gateway::start(&bootstrap, ARGS);
    let mut consumer = Consumer::start(&peers, consumer_settings);
    consumer.refer(gateway.address(), way);
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    let counts = |gateway: &Gateway| {
        [
            "http.rpc.downstream_cx_total",
            "cluster.echo.upstream_cx_total",
        ]
        .map(|name| gateway.stat(name))
    };
    let before = counts(&gateway);
    thread::sleep(Duration::from_secs(5));
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    assert_eq!(
        counts(&gateway),
        before,
        "no connection was closed and opened again"
    );
    let codec = if kind == Kind::JavaDubbo {
        "dubbo"
    } else {
        "bolt"
    };
    for direction in ["heartbeat_received", "heartbeat_sent"] {
        assert!(
            gateway.stat(&format!("codec.{codec}.{direction}")) >= 3,
            "{direction}"
        );
    }
}

#[test]
fn dubbo_heartbeats() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaDubbo) else {
        return;
    };
    // This provider closes a connection that is silent for three seconds.
    let provider = Provider::start(&peers, "v1", &["--heartbeat", "1000"]);
    heartbeats(Kind::JavaDubbo, &[], &provider, json!({"heartbeat": 600}));
}

#[test]
fn sofarpc_heartbeats() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaSofa) else {
        return;
    };
    let idle = ["bolt.tcp.server.idle.interval=1500"];
    let provider = Provider::start_with(&peers, "v1", &[], &idle);
    heartbeats(
        Kind::JavaSofa,
        &["bolt.tcp.heartbeat.interval=500"],
        &provider,
        json!({}),
    );
}
