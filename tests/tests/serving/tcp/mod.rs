//! Plain bytes: `tcp_proxy`, and connections whose protocol is unknown.

mod connecting;
mod ending;
mod logging;
mod slow;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::{Gateway, UnusedPort, eventually};
use serde_json::json;

pub(super) use logging::{Lines, SOON, log};

use crate::file::{File, everything_to, table};
use crate::upstream::{PATIENCE, Upstream};

/// A server that greets with its name, and when the client has said all, tells how much that was.
pub(super) fn greeter(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.write_all(name.as_bytes());
                let mut all = Vec::new();
                if stream.read_to_end(&mut all).is_ok() {
                    let _ = write!(stream, " heard {} octets", all.len());
                }
            });
        }
    });
    address
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

/// Everything that comes until the end.
#[track_caller]
pub(super) fn rest(mut stream: &TcpStream) -> String {
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .expect("the connection ends");
    text
}

/// The next octets.
#[track_caller]
pub(super) fn next(mut stream: &TcpStream, length: usize) -> String {
    let mut octets = vec![0; length];
    stream.read_exact(&mut octets).expect("they come");
    String::from_utf8(octets).expect("ASCII")
}

/// Waits until a metric has this value: a connection is counted right after it has closed.
#[track_caller]
fn settles(gateway: &Gateway, name: &str, value: u64) {
    let settled = || (gateway.stat(name) == value).then_some(());
    assert!(
        eventually(PATIENCE, settled).is_some(),
        "{name}: {}",
        gateway.stat(name)
    );
}

#[test]
fn bytes_pass_both_ways_and_each_side_closes_for_itself() {
    let server = greeter("hello");
    let text = File::new()
        .tcp("plain", json!({"cluster": "server"}))
        .cluster("server", &[server], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let mut client = connect(gateway.address_of("plain"));
    assert_eq!(next(&client, 5), "hello");
    client
        .write_all(&vec![b'x'; 300_000])
        .expect("the gateway reads");
    client.shutdown(Shutdown::Write).expect("it is open");
    // The server hears of the end, and its last words still come.
    assert_eq!(rest(&client), " heard 300000 octets");
    settles(&gateway, "tcp.plain.downstream_cx_rx_bytes_total", 300_000);
    settles(&gateway, "tcp.plain.downstream_cx_tx_bytes_total", 25);
    settles(&gateway, "tcp.plain.downstream_cx_active", 0);
    assert_eq!(gateway.stat("tcp.plain.downstream_cx_total"), 1);
}

#[test]
fn connections_are_split_by_weight() {
    let (one, three) = (greeter("1"), greeter("3"));
    let clusters = json!([{"name": "one", "weight": 1}, {"name": "three", "weight": 3}]);
    let text = File::new()
        .tcp(
            "plain",
            json!({"weighted_clusters": {"clusters": clusters}}),
        )
        .cluster("one", &[one], json!({}))
        .cluster("three", &[three], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let address = gateway.address_of("plain");
    let ones = (0..200)
        .filter(|_| next(&connect(address), 1) == "1")
        .count();
    // A quarter of 200, and five standard deviations of a binomial distribution to each side.
    assert!((20..=80).contains(&ones), "{ones}");
}

#[test]
fn a_silent_connection_is_closed_and_an_unreachable_server_too() {
    let nowhere = UnusedPort::take();
    let text = File::new()
        .tcp(
            "plain",
            json!({"cluster": "server", "idle_timeout": "0.2s"}),
        )
        .tcp("nowhere", json!({"cluster": "nowhere"}))
        .cluster("server", &[greeter("hello")], json!({}))
        .cluster("nowhere", &[nowhere.address()], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let idle = connect(gateway.address_of("plain"));
    assert_eq!(rest(&idle), "hello");
    settles(&gateway, "tcp.plain.idle_timeout", 1);
    assert_eq!(rest(&connect(gateway.address_of("nowhere"))), "");
    settles(&gateway, "cluster.nowhere.upstream_cx_connect_fail", 1);
    settles(
        &gateway,
        "cluster.nowhere.upstream_cx_connect_attempts_exceeded",
        1,
    );
}

/// The beginning of no protocol that is served here.
const UNKNOWN: &[u8] = b"\0of nobody's words\n";

/// The listener's own metric.
pub(super) fn listener_stat(gateway: &Gateway, name: &str) -> u64 {
    let label = gateway.address().to_string().replace(':', "_");
    gateway.stat(&format!("listener.{label}.{name}"))
}

#[test]
fn codecs_http_and_unknown_protocols_share_a_port() {
    let echo = Upstream::named("v1");
    let healthy = json!({"status": 200, "body": {"inline_string": "healthy"}});
    let routes = table(json!([
        {"match": {"path": "/health"}, "direct_response": healthy},
        {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}},
    ]));
    let file = File::new()
        .rpc("rpc", json!({"route_config": routes}), json!({}))
        .cluster("echo", &[echo.address()], json!({}))
        .cluster("plain", &[greeter("hello")], json!({}));
    let closed = Gateway::start_text(&file.text(), &[]);
    let mut unknown = connect(closed.address());
    unknown.write_all(UNKNOWN).expect("the gateway reads");
    assert_eq!(rest(&unknown), "", "nobody serves it");
    assert_eq!(listener_stat(&closed, "downstream_cx_unknown_protocol"), 1);
    drop(closed);

    let file = file.setting("crossdock.tcp_fallback", json!("plain"));
    let gateway = Gateway::start_text(&file.text(), &[]);
    let mut clients =
        [Wire::Dubbo, Wire::Bolt1].map(|wire| Client::connect(gateway.address(), wire));
    let [mut unknown, mut http] = [(); 2].map(|()| connect(gateway.address()));
    for round in 0..3 {
        for client in &mut clients {
            client.write(&Call::new(client.wire(), round).octets());
        }
        unknown.write_all(UNKNOWN).expect("the gateway reads");
        for client in &mut clients {
            let answer = client.recv();
            assert_eq!((answer.id, answer.token()), (round, Some("v1")));
        }
    }
    http.write_all(b"GET /health HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n")
        .expect("the gateway reads");
    let page = rest(&http);
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.ends_with("\r\n\r\nhealthy"), "{page}");
    unknown.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(rest(&unknown), "hello heard 57 octets");
    assert_eq!(listener_stat(&gateway, "downstream_cx_total"), 4);
    assert_eq!(listener_stat(&gateway, "downstream_cx_tcp_fallback"), 1);
    assert_eq!(gateway.stat("http.rpc.downstream_cx_total"), 3);
}

#[test]
fn a_server_that_speaks_first_is_reached_when_the_time_to_tell_is_up() {
    let own = json!({"tcp_fallback": "plain", "detect_timeout_ms": 100});
    let listener = json!({"metadata": {"filter_metadata": {"crossdock": own}}});
    let text = File::new()
        .rpc(
            "rpc",
            json!({"route_config": everything_to("plain")}),
            listener,
        )
        .cluster("plain", &[greeter("220 ready")], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let mut client = connect(gateway.address());
    assert_eq!(next(&client, 9), "220 ready");
    client.write_all(b"HELO").expect("the gateway reads");
    client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(rest(&client), " heard 4 octets");
    assert_eq!(listener_stat(&gateway, "downstream_pre_cx_timeout"), 1);
}
