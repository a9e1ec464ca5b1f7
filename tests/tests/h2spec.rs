//! What a conformance client finds on a port of the gateway. It asks for one page, whether the gateway answers that
//! itself or a host behind it does.

use std::net::SocketAddr;

use crossdock_tests::{Bootstrap, Certificates, Gateway, Kind, Peers, Provider, Report, Turn};
use serde_json::{Value, json};

/// With the strict ones.
const CASES: usize = 146;
/// Cases about windows need a page that some cannot hold, and what a client does wrong after its request needs one that
/// is not over by then.
const PAGE: &str = "--path=/late/5000";
const RETRIES: usize = 5;
/// A port that speaks HTTP/1 as well answers what is neither with `400 Bad Request` before it closes; the case takes
/// only a GOAWAY frame or a bare close.
const NOT_ON_A_SHARED_PORT: &str = "http2/3.5/2 Sends invalid connection preface";

fn direct() -> Bootstrap {
    let body = json!({"inline_string": "a page that some windows cannot hold"});
    let route = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": body}});
    Bootstrap::at(&["*"], json!([route]))
}

fn routed() -> Value {
    json!([{"match": {"prefix": "/"}, "route": {"cluster": "pages"}}])
}

/// The gateway's own answer may be over before the next frame of a case arrives: what fails is tried again by itself.
fn cases_of_an_early_answer(peers: &Peers, address: SocketAddr, options: &[&str]) -> Report {
    let mut report = peers.h2spec(address, options);
    report.failed.retain(|failed| {
        let case = failed.split(' ').next().unwrap_or_default();
        let again = [options, &[case]].concat();
        !(0..RETRIES).any(|_| peers.h2spec(address, &again).failed.is_empty())
    });
    report.passed = report.tried - report.failed.len();
    report
}

#[track_caller]
fn assert_all_but(report: &Report, exceptions: &[&str]) {
    assert_eq!(report.tried, CASES, "{report:#?}");
    let unexpected: Vec<&String> = report
        .failed
        .iter()
        .filter(|failed| !exceptions.iter().any(|known| failed.starts_with(known)))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(report.passed + exceptions.len() >= CASES, "{report:#?}");
}

fn plain(peers: &Peers, address: SocketAddr) {
    assert_all_but(&peers.h2spec(address, &[PAGE]), &[NOT_ON_A_SHARED_PORT]);
}

#[test]
fn answers_of_the_gateway_itself() {
    let _turn = Turn::take();
    let Some(peers) = Peers::prepare(Kind::H2spec) else {
        return;
    };
    let gateway = Gateway::start(&direct(), &[]);
    let report = cases_of_an_early_answer(&peers, gateway.address(), &[]);
    assert_all_but(&report, &[NOT_ON_A_SHARED_PORT]);
}

#[test]
fn answers_of_a_host_over_http1() {
    let _turn = Turn::take();
    let (Some(peers), Some(node)) = (Peers::prepare(Kind::H2spec), Peers::prepare(Kind::NodeHttp))
    else {
        return;
    };
    let provider = Provider::start(&node, "v1", &[]);
    let bootstrap =
        Bootstrap::at(&["*"], routed()).cluster("pages", &[provider.address()], json!({}));
    let gateway = Gateway::start(&bootstrap, &[]);
    plain(&peers, gateway.address());
}

#[test]
fn answers_of_a_host_over_http2() {
    let _turn = Turn::take();
    let (Some(peers), Some(node)) = (Peers::prepare(Kind::H2spec), Peers::prepare(Kind::NodeHttp))
    else {
        return;
    };
    let provider = Provider::start(&node, "v1", &["--wire", "h2"]);
    let bootstrap =
        Bootstrap::at(&["*"], routed()).http2_cluster("pages", &[provider.address()], json!({}));
    let gateway = Gateway::start(&bootstrap, &[]);
    plain(&peers, gateway.address());
}

/// Over TLS the client has said that it speaks HTTP/2: whatever else it sends is an error of that protocol.
#[test]
fn answers_over_tls() {
    let _turn = Turn::take();
    let (Some(peers), Some(java), Some(node)) = (
        Peers::prepare(Kind::H2spec),
        Peers::prepare(Kind::JavaGrpc),
        Peers::prepare(Kind::NodeHttp),
    ) else {
        return;
    };
    let provider = Provider::start(&node, "v1", &["--wire", "h2"]);
    let bootstrap = Bootstrap::at(&["*"], routed())
        .http2_cluster("pages", &[provider.address()], json!({}))
        .transport(Certificates::of(&java).downstream());
    let gateway = Gateway::start(&bootstrap, &[]);
    let report = peers.h2spec(gateway.address(), &[PAGE, "--tls", "--insecure"]);
    assert_all_but(&report, &[]);
}
