//! The way to a host: attempts, circuit breaker, hashing.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::{fs, net};

use crossdock_tests::{Gateway, UnusedPort};
use rustix::net::{AddressFamily, SocketType, bind, connect as connect_socket, socket};
use serde_json::{Value, json};

use super::logging::{Lines, log};
use super::{connect, greeter, next, rest, settles};
use crate::file::File;
use crate::upstream::PATIENCE;

/// A gateway whose listener `plain` goes to the cluster `server`, and what it logs.
fn plain(proxy: Value, hosts: &[SocketAddr], cluster: Value) -> (Gateway, Lines) {
    let format = json!({
        "flags": "%RESPONSE_FLAGS%", "long": "%RESPONSE_FLAGS_LONG%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "host": "%UPSTREAM_HOST%",
        "reason": "%DOWNSTREAM_LOCAL_CLOSE_REASON%",
        "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    });
    let own = json!({"cluster": "server", "access_log": [log("plain.log", format, json!({}))]});
    let text = File::new()
        .tcp("plain", crate::file::merged(own, proxy))
        .cluster("server", hosts, cluster)
        .text();
    let gateway = Gateway::start_text(&text, &["--file-flush-interval-msec", "10"]);
    let lines = Lines::of(&gateway, "plain.log");
    (gateway, lines)
}

#[test]
fn a_host_that_refuses_is_tried_as_often_as_configured() {
    let nobody = UnusedPort::take();
    let (gateway, lines) = plain(
        json!({"max_connect_attempts": 4}),
        &[nobody.address()],
        json!({}),
    );
    assert_eq!(rest(&connect(gateway.address_of("plain"))), "");
    let line = lines.next(0);
    assert_eq!(line["flags"], "UF,URX");
    assert_eq!(
        line["long"],
        "UpstreamConnectionFailure,UpstreamRetryLimitExceeded"
    );
    assert_eq!(line["attempts"], 4);
    assert_eq!(line["host"], nobody.address().to_string());
    assert_eq!(
        line["reason"],
        "tcp_proxy_initialization_failure:ConnectFailed"
    );
    assert!(
        line["failure"]
            .as_str()
            .is_some_and(|text| text.contains("refused"))
    );
    for (name, value) in [
        ("upstream_cx_total", 4),
        ("upstream_cx_connect_fail", 4),
        ("upstream_cx_connect_attempts_exceeded", 1),
        ("upstream_cx_active", 0),
    ] {
        settles(&gateway, &format!("cluster.server.{name}"), value);
    }
}

#[test]
fn a_host_that_refuses_is_passed_over() {
    let nobody = UnusedPort::take();
    let hosts = [nobody.address(), greeter("hello")];
    let (gateway, lines) = plain(json!({}), &hosts, json!({}));
    let address = gateway.address_of("plain");
    for _ in 0..10 {
        assert_eq!(next(&connect(address), 5), "hello");
    }
    let attempts = (0..10).map(|at| lines.next(at)["attempts"].as_u64());
    let attempts: u64 = attempts.flatten().sum();
    // Once a host has refused, the others are preferred for a while: on a slow machine for less
    // than all ten.
    assert!((10..20).contains(&attempts), "{attempts}");
}

#[test]
fn with_one_attempt_there_is_no_second() {
    let nobody = UnusedPort::take();
    let hosts = [nobody.address(), nobody.address()];
    let (gateway, lines) = plain(json!({"max_connect_attempts": 1}), &hosts, json!({}));
    assert_eq!(rest(&connect(gateway.address_of("plain"))), "");
    assert_eq!(lines.next(0)["attempts"], 1);
}

#[test]
fn the_circuit_breaker_counts_connections() {
    let thresholds = json!({"circuit_breakers": {"thresholds": [{"max_connections": 1}]}});
    let (gateway, lines) = plain(json!({}), &[greeter("hello")], thresholds);
    let address = gateway.address_of("plain");
    let first = connect(address);
    assert_eq!(next(&first, 5), "hello");
    assert_eq!(rest(&connect(address)), "");
    let line = lines.next(0);
    assert_eq!(
        (&line["flags"], &line["attempts"]),
        (&json!("UO"), &json!(0))
    );
    assert_eq!(
        line["reason"],
        "tcp_proxy_initialization_failure:ResourceLimitExceeded"
    );
    assert_eq!(gateway.stat("cluster.server.upstream_cx_overflow"), 1);
    assert_eq!(
        gateway.stat("cluster.server.circuit_breakers.default.cx_open"),
        1
    );
    drop(first);
    settles(&gateway, "cluster.server.upstream_cx_active", 0);
    assert_eq!(next(&connect(address), 5), "hello");
}

#[test]
fn a_cluster_without_hosts_takes_no_connection() {
    let (gateway, lines) = plain(json!({}), &[], json!({}));
    assert_eq!(rest(&connect(gateway.address_of("plain"))), "");
    assert_eq!(lines.next(0)["flags"], "UH");
    assert_eq!(gateway.stat("cluster.server.upstream_cx_none_healthy"), 1);
    assert_eq!(gateway.stat("tcp.plain.downstream_cx_no_route"), 0);
}

/// Connects from an address of loopback.
fn connect_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let SocketAddr::V4(to) = to else {
        panic!("tests are on IPv4");
    };
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a TCP socket");
    bind(&socket, &SocketAddrV4::new(source, 0)).expect("all of 127/8 is loopback");
    connect_socket(&socket, &to).expect("the gateway listens");
    let stream = net::TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

#[test]
fn connections_of_one_address_go_to_one_host() {
    let names = ["a", "b", "c", "d"];
    let hosts = names.map(greeter);
    let (gateway, _) = plain(
        json!({"hash_policy": [{"source_ip": {}}]}),
        &hosts,
        json!({"lb_policy": "MAGLEV"}),
    );
    let address = gateway.address_of("plain");
    let mut seen = BTreeSet::new();
    for last in 1..=24 {
        let source = Ipv4Addr::new(127, 0, 0, last);
        let reached: BTreeSet<_> = (0..4)
            .map(|_| next(&connect_from(source, address), 1))
            .collect();
        assert_eq!(reached.len(), 1, "{source} reached {reached:?}");
        seen.extend(reached);
    }
    // All 24 fall upon one of four hosts once in 4^23 tables.
    assert!(seen.len() > 1, "{seen:?}");
}

#[test]
fn only_addresses_are_hashed() {
    let proxy = json!({"cluster": "server", "hash_policy": [{"filter_state": {"key": "k"}}]});
    let text = File::new()
        .tcp("plain", proxy)
        .cluster("server", &[], json!({}))
        .text();
    let path = std::env::temp_dir().join(format!("crossdock-hash-{}.json", std::process::id()));
    fs::write(&path, text).expect("the temporary folder is writable");
    let output = Command::new(Gateway::program())
        .args(["validate", "-c"])
        .arg(&path)
        .output();
    let _ = fs::remove_file(&path);
    let output = output.expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("hash_policy[0]: only the address of the client is hashed in this version"),
        "{said}"
    );
}
