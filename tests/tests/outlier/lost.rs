//! One of three hosts is killed under load: nobody fails but the calls that were there, and the host is ejected
//! for the calls and connections that it did not take.

use std::{net::SocketAddr, thread, time::Duration};

use crossdock_tests::{Consumer, Kind, Peers, Provider, Turn};
use serde_json::json;

use crate::{
    Speech,
    caller::{Caller, Said},
    gateway, policy,
};

/// Callers, each with one call at a time, and the milliseconds between these.
const CALLERS: u64 = 8;
const PAUSE: u64 = 5;
/// Calls of which some come while a host is killed.
const CALLS: u64 = 2400;

/// Who provides and who calls.
struct Family {
    speech: Speech,
    providers: Kind,
    options: &'static [&'static str],
    /// Who calls, and how; nobody but the test itself over HTTP.
    callers: Option<(Kind, &'static str)>,
}

const DUBBO: Family = Family {
    speech: Speech::Dubbo,
    providers: Kind::Node,
    options: &["--wire", "dubbo"],
    callers: Some((
        Kind::JavaDubbo,
        r#"{"timeout": 20000, "retries": 0, "version": "1.0"}"#,
    )),
};

const BOLT: Family = Family {
    speech: Speech::Bolt,
    providers: Kind::Node,
    options: &["--wire", "bolt"],
    callers: Some((Kind::JavaSofa, r#"{"timeout": 20000, "version": "1.0"}"#)),
};

const HTTP: Family = Family {
    speech: Speech::Http,
    providers: Kind::NodeHttp,
    options: &[],
    callers: None,
};

const GRPC: Family = Family {
    speech: Speech::Grpc,
    providers: Kind::Go,
    options: &[],
    callers: Some((Kind::Go, "{}")),
};

/// All callers of a test.
enum Callers {
    Peer(Box<Consumer>),
    Own(Speech, SocketAddr, Vec<thread::JoinHandle<u64>>),
}

impl Callers {
    fn start(family: &Family, address: SocketAddr) -> Option<Self> {
        let Some((kind, way)) = family.callers else {
            return Some(Self::Own(family.speech, address, Vec::new()));
        };
        let mut consumer = Consumer::start(&Peers::prepare(kind)?, &[]);
        let way = serde_json::from_str(way).expect("keys of a command");
        consumer.refer(address, way);
        Some(Self::Peer(Box::new(consumer)))
    }

    /// Begins so many calls, [`CALLERS`] at a time.
    fn begin(&mut self, calls: u64) {
        match self {
            Self::Peer(consumer) => consumer.begin(json!({
                "op": "concurrent", "method": "who", "n": calls, "threads": CALLERS, "pause": PAUSE,
            })),
            Self::Own(speech, address, threads) => {
                let (speech, address) = (*speech, *address);
                let calling = move || {
                    let mut caller = Caller::connect(speech, address);
                    let failures = (0..calls / CALLERS).filter(|_| {
                        thread::sleep(Duration::from_millis(PAUSE));
                        caller.call() == Said::Failed
                    });
                    failures.count() as u64
                };
                *threads = (0..CALLERS).map(|_| thread::spawn(calling)).collect();
            }
        }
    }

    /// Waits for the calls that were begun: how many failed.
    fn end(&mut self) -> u64 {
        match self {
            Self::Peer(consumer) => consumer.finish().tally().failed(),
            Self::Own(.., threads) => {
                let ended = threads.drain(..).map(thread::JoinHandle::join);
                let failed = ended.map(|failed| failed.expect("every call is answered"));
                failed.sum()
            }
        }
    }
}

/// Kills the first of three hosts while calls flow.
fn killed(family: &Family, split: bool) {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(family.providers) else {
        return;
    };
    let mut hosts = ["0", "1", "2"].map(|label| Provider::start(&peers, label, family.options));
    let addresses = hosts.each_ref().map(Provider::address);
    let mut cluster = policy("300s");
    cluster["outlier_detection"]["split_external_local_origin_errors"] = json!(split);
    cluster["outlier_detection"]["consecutive_local_origin_failure"] = json!(3);
    let gateway = gateway(family.speech, &addresses, cluster, &[]);
    let Some(mut callers) = Callers::start(family, gateway.address()) else {
        return;
    };
    callers.begin(CALLS);
    gateway.until("cluster.echo.upstream_rq_total", |calls| calls > CALLS / 8);
    hosts[0].process.kill();
    let failed = callers.end();
    let speech = family.speech;
    assert!(failed <= CALLERS, "{speech:?}: {failed} of {CALLS} calls");

    let why = match split {
        true => "consecutive_local_origin_failure",
        false => "consecutive_5xx",
    };
    let name = format!("cluster.echo.outlier_detection.ejections_enforced_{why}");
    assert_eq!(gateway.stat(&name), 1, "{speech:?}");
    let flags = format!(
        "echo::{}::health_flags::/failed_outlier_check\n",
        addresses[0]
    );
    let (_, page) = gateway.admin("GET", "/clusters");
    assert!(page.contains(&flags), "{speech:?}: {page}");

    let refused = || gateway.stat("cluster.echo.upstream_cx_connect_fail");
    let before = refused();
    callers.begin(CALLS / 4);
    assert_eq!(callers.end(), 0, "{speech:?}: nobody needs the host");
    assert_eq!(refused(), before, "{speech:?}: nobody tries to reach it");
}

/// Ends the first of three hosts the way that costs its callers nothing: with GOAWAY, or by closing connections
/// that no call is on. Dubbo and Bolt have theirs in `peers_lifecycle`.
fn left(family: &Family) {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(family.providers) else {
        return;
    };
    let hosts = ["0", "1", "2"].map(|label| Provider::start(&peers, label, family.options));
    let addresses = hosts.each_ref().map(Provider::address);
    let gateway = gateway(family.speech, &addresses, policy("300s"), &[]);
    let Some(mut callers) = Callers::start(family, gateway.address()) else {
        return;
    };
    callers.begin(CALLS);
    gateway.until("cluster.echo.upstream_rq_total", |calls| calls > CALLS / 8);
    hosts[0].process.terminate();
    assert_eq!(callers.end(), 0, "{:?}", family.speech);
    callers.begin(CALLS / 4);
    assert_eq!(callers.end(), 0, "{:?}: without it", family.speech);
}

#[test]
fn nobody_misses_a_host_that_says_goodbye_over_grpc() {
    left(&GRPC);
}

#[test]
fn nobody_misses_a_host_that_closes_its_connections_over_http() {
    left(&HTTP);
}

#[test]
fn over_dubbo() {
    killed(&DUBBO, false);
}

#[test]
fn over_bolt() {
    killed(&BOLT, false);
}

#[test]
fn over_http() {
    killed(&HTTP, false);
}

#[test]
fn over_grpc() {
    killed(&GRPC, false);
}

#[test]
fn told_apart_from_what_hosts_answer() {
    for family in [DUBBO, BOLT, HTTP, GRPC] {
        killed(&family, true);
    }
}
