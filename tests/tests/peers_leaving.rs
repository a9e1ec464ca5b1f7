//! What calls notice when a provider is asked to end (SIGTERM) while they flow, and another one stays: nothing, where
//! it says so before or finishes what it has. And when one is killed: those that it has fail, and no other.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crossdock_tests::{
    Bootstrap, Consumer, Gateway, Kind, Peers, Provider, Tally, Tool, Turn, eventually,
};
use serde_json::{Value, json};

/// For what happens within milliseconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// Calls of which some come while a provider ends, and who makes them.
const CALLS: u64 = 6000;
const CALLERS: u64 = 16;

/// Who calls whom.
struct Family {
    caller: Kind,
    provider: Kind,
    /// Options of the provider.
    options: &'static [&'static str],
    /// Whether it speaks HTTP/2.
    http2: bool,
}

/// Says that it is read-only, and answers on for ten seconds.
const DUBBO: Family = Family {
    caller: Kind::JavaDubbo,
    provider: Kind::JavaDubbo,
    options: &[],
    http2: false,
};

/// The same, and refuses every call from then on.
const DUBBO27: Family = Family {
    caller: Kind::JavaDubbo27,
    provider: Kind::JavaDubbo27,
    ..DUBBO
};

/// Two GOAWAYs with a PING between them (`GracefulStop`).
const GRPC_GO: Family = Family {
    caller: Kind::Go,
    provider: Kind::Go,
    http2: true,
    ..DUBBO
};

/// The same of grpc-java (`shutdown`).
const GRPC_JAVA: Family = Family {
    provider: Kind::JavaGrpc,
    ..GRPC_GO
};

const SOFA: Family = Family {
    caller: Kind::JavaSofa,
    provider: Kind::JavaSofa,
    ..DUBBO
};

const BOLT: Family = Family {
    caller: Kind::JavaBolt,
    provider: Kind::JavaBolt,
    ..DUBBO
};

impl Family {
    /// A gateway before these hosts; `more` are further fields of the route.
    fn gateway(&self, hosts: &[SocketAddr], more: Value) -> Gateway {
        let mut route = json!({"cluster": "echo", "timeout": "0s"});
        if let (Value::Object(route), Value::Object(more)) = (&mut route, more) {
            route.extend(more);
        }
        let routes = json!([{"match": {"prefix": "/"}, "route": route}]);
        let breakers = json!({"circuit_breakers": {"thresholds": [{"max_retries": 100}]}});
        let bootstrap = Bootstrap::at(&["*"], routes);
        let bootstrap = match self.http2 {
            true => bootstrap.http2_cluster("echo", hosts, breakers),
            false => bootstrap.cluster("echo", hosts, breakers),
        };
        Gateway::start(&bootstrap, &["--concurrency", "2"])
    }
}

/// Waits until calls flow.
fn flows(gateway: &Gateway) {
    let count = || gateway.stat("cluster.echo.upstream_rq_total");
    let before = count();
    let flow = eventually(PATIENCE, || (count() > before + CALLS / 10).then_some(()));
    assert!(flow.is_some(), "calls flow");
}

/// A provider that ends while calls come, one that stays, and the gateway before both.
struct Scene {
    going: Provider,
    _staying: Provider,
    gateway: Gateway,
}

impl Scene {
    fn start(family: &Family, more: Value) -> Option<Self> {
        let peers = Peers::prepare(family.provider)?;
        let [going, staying] =
            ["going", "staying"].map(|label| Provider::start(&peers, label, family.options));
        let gateway = family.gateway(&[going.address(), staying.address()], more);
        Some(Self {
            going,
            _staying: staying,
            gateway,
        })
    }

    /// Asks the one to end, while calls flow.
    fn leave(&self) {
        flows(&self.gateway);
        self.going.process.terminate();
    }
}

fn calls() -> Value {
    json!({"op": "concurrent", "method": "who", "n": CALLS, "threads": CALLERS, "pause": 4})
}

/// What calls came to that were made while one of two providers ended.
fn left(family: &Family, more: Value) -> Option<Tally> {
    let scene = Scene::start(family, more)?;
    let mut consumer = Consumer::start(&Peers::prepare(family.caller)?, &[]);
    consumer.refer(scene.gateway.address(), json!({"timeout": 20_000}));
    let warm = json!({"op": "concurrent", "method": "who", "n": 100, "threads": 4});
    let warm = consumer.ask(warm).tally();
    assert_eq!(warm.answers.len(), 2, "both have calls: {warm:?}");
    consumer.begin(calls());
    scene.leave();
    let tally = consumer.finish().tally();
    assert_eq!(tally.answered() + tally.failed(), CALLS, "{tally:?}");
    assert!(tally.answers["going"] > 100, "{tally:?}");
    assert!(tally.answers["staying"] > CALLS / 2, "{tally:?}");
    Some(tally)
}

fn loses_nothing(family: &Family) {
    let _turn = Turn::take();
    if let Some(tally) = left(family, json!({})) {
        assert_eq!(tally.failed(), 0, "{tally:?}");
    }
}

#[test]
fn dubbo() {
    loses_nothing(&DUBBO);
}

#[test]
fn dubbo27() {
    loses_nothing(&DUBBO27);
}

#[test]
fn grpc_go() {
    loses_nothing(&GRPC_GO);
}

#[test]
fn grpc_java() {
    loses_nothing(&GRPC_JAVA);
}

/// A server of SOFABolt swallows the calls of its last third of a second and closes; one of SOFARPC may refuse some
/// before that (status 4), which another host gets. Nobody can know: SOFARPC's own client, with both addresses, loses
/// calls in the same way. A route whose calls may be repeated loses none.
fn swallows(family: &Family, told: &str) {
    let _turn = Turn::take();
    let Some(tally) = left(family, json!({})) else {
        return;
    };
    assert!(tally.failed() <= CALLERS, "one of each caller: {tally:?}");
    assert!(tally.failures.keys().all(|what| what == told), "{tally:?}");
    // Another connection to the host that ends may still be open.
    let elsewhere = json!([{
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type":
            "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
    }]);
    let policy = json!({"retry_policy": {
        "retry_on": "reset,resource-exhausted",
        "num_retries": 2,
        "retry_host_predicate": elsewhere,
    }});
    let tally = left(family, policy).expect("as before");
    assert_eq!(tally.failed(), 0, "{tally:?}");
}

#[test]
fn sofa() {
    swallows(&SOFA, "SofaRpcException/250");
}

#[test]
fn bolt() {
    swallows(&BOLT, "ConnectionClosedException/-1");
}

/// What the gateway is measured by.
#[test]
fn sofa_without_the_gateway() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::JavaSofa) else {
        return;
    };
    let [going, staying] = ["going", "staying"].map(|label| Provider::start(&peers, label, &[]));
    let mut consumer = Consumer::start(&peers, &[]);
    let both = format!("{},bolt://{}", going.address(), staying.address());
    let _ = consumer
        .ask(json!({"op": "refer", "address": both, "timeout": 20_000}))
        .value();
    let warm = json!({"op": "concurrent", "method": "who", "n": 100, "threads": 4});
    assert_eq!(
        consumer.ask(warm).tally().answers.len(),
        2,
        "both have calls"
    );
    consumer.begin(calls());
    thread::sleep(Duration::from_millis(300));
    going.process.terminate();
    let tally = consumer.finish().tally();
    assert!(
        tally.failures.contains_key("SofaRpcException/250"),
        "{tally:?}"
    );
}

/// Calls that the gateway has in flight at a provider.
fn in_flight(gateway: &Gateway, provider: &Provider) -> u64 {
    let (_, body) = gateway.admin("GET", "/clusters");
    let name = format!("::{}::rq_active::", provider.address());
    let found = body.lines().find_map(|line| line.split_once(&name));
    let value = found.and_then(|(_, value)| value.trim().parse().ok());
    value.expect("a gauge for each host")
}

/// `kill -9` of one of three providers. It is frozen first, so that what is in flight there can be counted: a call of
/// each caller. These fail, and none where the route's policy tries them again.
fn killed(family: &Family) {
    let _turn = Turn::take();
    let (Some(peers), Some(callers)) = (
        Peers::prepare(family.provider),
        Peers::prepare(family.caller),
    ) else {
        return;
    };
    let policy = json!({"retry_policy": {"retry_on": "reset,connect-failure", "num_retries": 2}});
    for (policy, lost) in [(json!({}), CALLERS), (policy, 0)] {
        let mut providers =
            ["one", "two", "three"].map(|label| Provider::start(&peers, label, family.options));
        let gateway = family.gateway(&providers.each_ref().map(Provider::address), policy);
        let mut consumer = Consumer::start(&callers, &[]);
        consumer.refer(gateway.address(), json!({"timeout": 20_000}));
        consumer.begin(calls());
        flows(&gateway);
        providers[1].process.freeze();
        let there = || in_flight(&gateway, &providers[1]);
        let all = eventually(PATIENCE, || (there() == CALLERS).then_some(()));
        assert!(all.is_some(), "{} are in flight there", there());
        providers[1].process.kill();
        let tally = consumer.finish().tally();
        assert_eq!(tally.failed(), lost, "{tally:?}");
        assert_eq!(tally.answered(), CALLS - lost, "{tally:?}");
    }
}

#[test]
fn dubbo_killed() {
    killed(&DUBBO);
}

#[test]
fn sofa_killed() {
    killed(&SOFA);
}

#[test]
fn grpc_killed() {
    killed(&GRPC_GO);
}

/// Over HTTP/1.1 by `connection: close` and FIN, over HTTP/2 by GOAWAY.
#[test]
fn http() {
    let _turn = Turn::take();
    for wire in ["h1", "h2"] {
        let family = Family {
            caller: Kind::NodeHttp,
            provider: Kind::NodeHttp,
            options: match wire {
                "h1" => &["--wire", "h1"],
                _ => &["--wire", "h2"],
            },
            http2: wire == "h2",
        };
        let (Some(scene), Some(curl)) = (Scene::start(&family, json!({})), Tool::find("curl"))
        else {
            return;
        };
        let mut command = Command::new(curl.path());
        command
            .args(["-sS", "--fail", "--max-time", "50", "--http1.1"])
            .args(["--parallel", "--parallel-max", "16"])
            .arg(format!(
                "http://{}/who?[1-{CALLS}]",
                scene.gateway.address()
            ));
        let said = thread::scope(|scope| {
            let calling = scope.spawn(|| curl.output(&mut command, b"", PATIENCE * 3));
            scene.leave();
            calling.join().expect("every call is answered")
        });
        let said = String::from_utf8(said).expect("labels alone");
        let count = |label: &str| said.matches(label).count() as u64;
        assert_eq!(count("going") + count("staying"), CALLS, "{wire}");
        assert!(
            count("going") > 100 && count("staying") > CALLS / 2,
            "{wire}"
        );
    }
}
