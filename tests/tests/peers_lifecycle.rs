//! What calls notice when a provider or the gateway goes away, and when nobody calls for a while: for each family
//! of peers the same.

use std::thread;
use std::time::Duration;

use crossdock_tests::{Bootstrap, Consumer, End, Gateway, Kind, Peers, Provider, Turn, eventually};
use serde_json::{Value, json};

const ARGS: &[&str] = &["--concurrency", "1", "--drain-time-s", "10"];
/// For what happens within milliseconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// Calls at work when somebody goes away.
const AT_WORK: u64 = 20;
/// Calls of which some come while a provider ends, and who makes them.
const STEADY: u64 = 2400;
const CALLERS: u64 = 8;

/// What differs from family to family.
struct Family {
    /// Who calls.
    kind: Kind,
    /// Who provides, where it is another kind.
    provider: Option<Kind>,
    /// Keys of `refer`.
    way: &'static str,
    /// What a call says whose provider was killed.
    killed: &'static str,
    /// What calls may say besides when their provider ends; `None` where it says so before and answers on: then
    /// no call is lost.
    leaving: Option<&'static [&'static str]>,
    /// Options and system properties with which a provider closes a connection that is silent for seconds.
    impatient: (&'static [&'static str], &'static [&'static str]),
    /// A system property with which a caller sends heartbeats all the time, where `way` cannot say it.
    beating: &'static [&'static str],
    /// Whether the caller sends heartbeats at all.
    beats: bool,
    /// The name of the codec in statistics.
    codec: &'static str,
    /// Options of the provider.
    options: &'static [&'static str],
}

const JAVA_DUBBO: Family = Family {
    kind: Kind::JavaDubbo,
    provider: None,
    way: r#"{"timeout": 20000, "heartbeat": 600}"#,
    killed: "RpcException/1",
    leaving: None,
    impatient: (&["--heartbeat", "1000"], &[]),
    beating: &[],
    beats: true,
    codec: "dubbo",
    options: &[],
};

/// Announces its end as well, but refuses every call from then on.
const JAVA_DUBBO27: Family = Family {
    kind: Kind::JavaDubbo27,
    leaving: Some(&[]),
    ..JAVA_DUBBO
};

const JAVA_SOFA: Family = Family {
    kind: Kind::JavaSofa,
    provider: None,
    way: r#"{"timeout": 20000}"#,
    killed: "SofaRpcException/250",
    // Its pool of threads ends before its connections.
    leaving: Some(&["SofaRpcException/100"]),
    impatient: (&[], &["bolt.tcp.server.idle.interval=1500"]),
    beating: &["bolt.tcp.heartbeat.interval=500"],
    beats: true,
    codec: "bolt",
    options: &[],
};

/// Raw Bolt v2 with CRC.
const JAVA_BOLT: Family = Family {
    kind: Kind::JavaBolt,
    way: r#"{"timeout": 20000, "protocol": 2, "version": 2}"#,
    killed: "ConnectionClosedException/-1",
    leaving: Some(&["InvokeServerBusyException/-1"]),
    ..JAVA_SOFA
};

const NODE_BOLT: Family = Family {
    kind: Kind::Node,
    provider: None,
    way: r#"{"timeout": 20000, "wire": "bolt", "heartbeat": 500}"#,
    killed: "Error/1",
    leaving: Some(&[]),
    impatient: (&["--wire", "bolt", "--idle", "1500"], &[]),
    beating: &[],
    beats: true,
    codec: "bolt",
    options: &["--wire", "bolt"],
};

const NODE_DUBBO: Family = Family {
    way: r#"{"timeout": 20000, "wire": "dubbo", "heartbeat": 500}"#,
    impatient: (&["--wire", "dubbo", "--idle", "1500"], &[]),
    codec: "dubbo",
    options: &["--wire", "dubbo"],
    ..NODE_BOLT
};

const PYTHON_BOLT: Family = Family {
    kind: Kind::Python,
    way: r#"{"timeout": 20000, "wire": "bolt", "heartbeat": 500}"#,
    // Every status but success, by the library's way to tell it.
    killed: "KeyError/-1",
    // Its provider never closes a silent connection.
    impatient: (&[], &[]),
    codec: "bolt",
    options: &[],
    ..NODE_BOLT
};

/// Before a provider in Java.
const PYTHON_DUBBO: Family = Family {
    kind: Kind::Python,
    provider: Some(Kind::JavaDubbo),
    way: r#"{"timeout": 20000, "wire": "dubbo"}"#,
    killed: "DubboResponseException/-1",
    // It would, but the thread for that fails each time.
    beats: false,
    ..JAVA_DUBBO
};

impl Family {
    fn peers(&self) -> Option<(Peers, Peers)> {
        let providers = Peers::prepare(self.provider.unwrap_or(self.kind))?;
        Some((providers, Peers::prepare(self.kind)?))
    }

    fn provider(&self, peers: &Peers, label: &str) -> Provider {
        Provider::start(peers, label, self.options)
    }

    fn consumer(&self, peers: &Peers, gateway: &Gateway) -> Consumer {
        let mut consumer = Consumer::start(peers, self.beating);
        let way = serde_json::from_str(self.way).expect("keys of a command");
        consumer.refer(gateway.address(), way);
        consumer
    }
}

fn at_once(millis: u64) -> Value {
    json!({"op": "concurrent", "method": "sleep", "args": [millis], "n": AT_WORK, "threads": AT_WORK})
}

/// Waits until the provider has all of [`at_once`] at work.
fn under_way(gateway: &Gateway) {
    let active = || gateway.stat("cluster.echo.upstream_rq_active");
    let all = eventually(PATIENCE, || (active() == AT_WORK).then_some(()));
    assert!(all.is_some(), "{} calls are at work", active());
}

/// Begins calls from eight callers for some seconds, after both providers had some, and waits until they flow.
fn begin_steady(consumer: &mut Consumer, gateway: &Gateway) {
    let warm = json!({"op": "concurrent", "method": "who", "n": 100, "threads": 4});
    let warm = consumer.ask(warm).tally();
    assert_eq!(warm.answers.len(), 2, "both providers have calls: {warm:?}");
    let count = || gateway.stat("cluster.echo.upstream_rq_total");
    let before = count();
    consumer.begin(
        json!({"op": "concurrent", "method": "who", "n": STEADY, "threads": CALLERS, "pause": 10}),
    );
    let flows = eventually(PATIENCE, || (count() > before + 200).then_some(()));
    assert!(flows.is_some(), "calls flow");
}

/// Calls on the broken connection fail, and at once: their own timeout is told otherwise. The caller's connection
/// stays, and works again as soon as the provider does.
fn upstream_killed(family: &Family) {
    let _turn = Turn::take();
    let Some((providers, peers)) = family.peers() else {
        return;
    };
    let mut provider = family.provider(&providers, "v1");
    let address = provider.address();
    let gateway = Gateway::start(&Bootstrap::to(&[address]), ARGS);
    let mut consumer = family.consumer(&peers, &gateway);
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    let connections = gateway.stat("http.rpc.downstream_cx_total");

    consumer.begin(at_once(15_000));
    under_way(&gateway);
    provider.process.kill();
    let tally = consumer.finish().tally();
    assert_eq!(
        tally.failures.get(family.killed),
        Some(&AT_WORK),
        "{tally:?}"
    );

    let port = address.port().to_string();
    let options = [family.options, &["--port", &port]].concat();
    let _again = Provider::start(&providers, "v1", &options);
    let works = eventually(PATIENCE, || {
        consumer.call("who", json!([])).ok().then_some(())
    });
    assert!(works.is_some(), "the provider is back");
    let after = gateway.stat("http.rpc.downstream_cx_total");
    assert_eq!(after, connections, "the caller kept its connection");
}

/// A provider that announces its end loses no call. One that just closes its connections may lose those that it
/// had taken: of each caller one that it refused and one that it had begun.
fn upstream_stopped_gracefully(family: &Family) {
    let _turn = Turn::take();
    let Some((providers, peers)) = family.peers() else {
        return;
    };
    let going = family.provider(&providers, "going");
    let staying = family.provider(&providers, "staying");
    let bootstrap = Bootstrap::to(&[going.address(), staying.address()]);
    let gateway = Gateway::start(&bootstrap, ARGS);
    let mut consumer = family.consumer(&peers, &gateway);
    begin_steady(&mut consumer, &gateway);
    going.process.terminate();
    let tally = consumer.finish().tally();
    assert_eq!(tally.answered() + tally.failed(), STEADY, "{tally:?}");
    match family.leaving {
        None => assert_eq!(tally.failed(), 0, "{tally:?}"),
        Some(others) => {
            let known = |told: &str| told == family.killed || others.contains(&told);
            assert!(tally.failures.keys().all(|told| known(told)), "{tally:?}");
            assert!(tally.failed() <= 2 * CALLERS, "{tally:?}");
        }
    }
    let after = consumer
        .ask(json!({"op": "concurrent", "method": "who", "n": 50}))
        .tally();
    assert_eq!(after.answers.get("staying"), Some(&50), "{after:?}");
}

/// Calls at work end well, and the gateway ends with them.
fn gateway_drained(family: &Family) {
    let _turn = Turn::take();
    let Some((providers, peers)) = family.peers() else {
        return;
    };
    let provider = family.provider(&providers, "v1");
    let mut gateway = Gateway::start(&Bootstrap::to(&[provider.address()]), ARGS);
    let mut consumer = family.consumer(&peers, &gateway);
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    consumer.begin(at_once(1500));
    under_way(&gateway);
    gateway.process.terminate();
    let tally = consumer.finish().tally();
    assert_eq!(
        (tally.answers.get("v1"), tally.failed()),
        (Some(&AT_WORK), 0),
        "{tally:?}"
    );
    assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
}

/// Silence of many heartbeat intervals on both sides: neither the caller nor the provider hangs up, because the
/// gateway answers the one and speaks to the other.
fn heartbeats(family: &Family) {
    let _turn = Turn::take();
    let Some((providers, peers)) = family.peers() else {
        return;
    };
    let (options, settings) = family.impatient;
    let provider = Provider::start_with(&providers, "v1", options, settings);
    let bootstrap =
        Bootstrap::to(&[provider.address()]).setting("crossdock.heartbeat_interval_ms", json!(400));
    let gateway = Gateway::start(&bootstrap, ARGS);
    let mut consumer = family.consumer(&peers, &gateway);
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    let names = [
        "http.rpc.downstream_cx_total",
        "cluster.echo.upstream_cx_total",
    ];
    let before = names.map(|name| gateway.stat(name));
    thread::sleep(Duration::from_secs(5));
    assert_eq!(consumer.call("who", json!([])).value(), "v1");
    let after = names.map(|name| gateway.stat(name));
    assert_eq!(after, before, "no connection was closed and opened again");
    let received = family.beats.then_some("heartbeat_received");
    for direction in received.into_iter().chain(["heartbeat_sent"]) {
        let beats = gateway.stat(&format!("codec.{}.{direction}", family.codec));
        assert!(beats >= 3, "{direction}: {beats}");
    }
}

/// The four tests of a family, in a module of its name.
macro_rules! family {
    ($name:ident, $family:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn upstream_killed_in_the_middle() {
                upstream_killed(&$family);
            }

            #[test]
            fn upstream_stopped() {
                upstream_stopped_gracefully(&$family);
            }

            #[test]
            fn drained() {
                gateway_drained(&$family);
            }

            #[test]
            fn silence() {
                heartbeats(&$family);
            }
        }
    };
}

family!(java_dubbo, JAVA_DUBBO);
family!(java_dubbo27, JAVA_DUBBO27);
family!(java_sofa, JAVA_SOFA);
family!(java_bolt_with_crc, JAVA_BOLT);
family!(node_bolt, NODE_BOLT);
family!(node_dubbo, NODE_DUBBO);
family!(python_bolt, PYTHON_BOLT);
family!(python_dubbo, PYTHON_DUBBO);
