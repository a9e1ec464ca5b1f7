//! Limits of what waits in memory: requests that a host has not taken, answers that a client has not read.

use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Host, Wire};
use crossdock_tests::{Gateway, eventually};
use serde_json::json;

use crate::{OVERLOAD, QUIET, refused, text_of};

#[test]
fn buffer_bytes() {
    let host = Host::mute();
    let gateway = Gateway::before(&[&host], &[("buffer_bytes", json!(2 << 20))]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    // Above the limit, and below the reserve of a quarter.
    let calls = 45;
    for id in 0..calls {
        client.write(&Wire::Dubbo.request(id, &text_of(50_000)));
        gateway.until("cluster.echo.upstream_rq_active", |active| active == id + 1);
    }
    client.write(&Wire::Dubbo.request(100, &text_of(80_000)));
    refused(&client.recv(), 100, "crossdock.buffer_bytes", OVERLOAD);
    client.write(&Wire::Dubbo.request(101, "<<small>>"));
    gateway.until("cluster.echo.upstream_rq_active", |active| {
        active == calls + 1
    });
    let mut other = Client::connect(gateway.address(), Wire::Bolt1);
    other.write(&Wire::Bolt1.request(7, &text_of(80_000)));
    refused(&other.recv(), 7, "", OVERLOAD);
    assert_eq!(gateway.stat("http.rpc.downstream_rq_overload_close"), 2);
    drop((client, host));
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
}

/// A host whose answers are large.
fn large_host(size: usize) -> Host {
    Host::start(move |mut link| {
        let large = "x".repeat(size);
        while let Some(frame) = link.take() {
            let answer = match frame.says("<<large>>") {
                true => frame.wire.response(frame.id, &large),
                false => frame.echo(),
            };
            link.send(&answer);
        }
    })
}

#[test]
fn unread_soft_bytes_and_stall_timeout_ms() {
    let host = large_host(200_000);
    let settings = [
        ("unread_soft_bytes", json!(65_536)),
        ("stall_timeout_ms", json!(4000)),
    ];
    let gateway = Gateway::before(&[&host], &settings);
    let mut deaf = Client::connect(gateway.address(), Wire::Dubbo).narrow();
    let mut reads = Client::connect(gateway.address(), Wire::Dubbo);
    let stopped = (1..200).find(|sent| {
        deaf.write(&Wire::Dubbo.request(*sent, "<<large>>"));
        let wanted = || (gateway.stat("http.rpc.downstream_rq_total") >= *sent).then_some(());
        eventually(Duration::from_secs(1), wanted).is_none()
    });
    let stopped = stopped.expect("it is stopped before it has 200 answers that it does not read");
    assert!(gateway.stat("http.rpc.downstream_flow_control_paused_reading_total") >= 1);
    // Whatever it sends now waits in its own kernel.
    for id in 0..50 {
        deaf.offer(&Wire::Dubbo.request(1000 + id, "<<large>>"));
    }
    thread::sleep(QUIET);
    assert_eq!(gateway.stat("http.rpc.downstream_rq_total"), stopped - 1);
    reads.call(1, "others go on");
    gateway.until("http.rpc.downstream_cx_unread_closed", |closed| closed == 1);
    reads.call(2, "others go on");
    gateway.until("http.rpc.downstream_cx_active", |open| open == 1);
}

#[test]
fn unread_hard_bytes() {
    let host = large_host(1 << 20);
    let settings = [
        ("unread_soft_bytes", json!(32 << 20)),
        ("unread_hard_bytes", json!(4 << 20)),
    ];
    let gateway = Gateway::before(&[&host], &settings);
    let mut deaf = Client::connect(gateway.address(), Wire::Bolt1).narrow();
    let mut reads = Client::connect(gateway.address(), Wire::Bolt1);
    for id in 0..64 {
        if !deaf.offer(&Wire::Bolt1.request(id, "<<large>>")) {
            break;
        }
    }
    gateway.until("http.rpc.downstream_cx_unread_closed", |closed| closed == 1);
    reads.call(1, "others go on");
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
    assert_eq!(host.accepted(), 1, "the host noticed nothing");
}

#[test]
fn rpc_pairs() {
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("rpc_pairs", json!(1))]);
    for (id, wire) in (1..).zip([Wire::Dubbo, Wire::Bolt1]) {
        let mut client = Client::connect(gateway.address(), wire);
        client.call(id, "told by its name");
        // Never served, so never learnt.
        client.write(&wire.stray(id + 10, "<<nobody>>"));
        assert!(!client.recv().is_good());
    }
    gateway.until("rpc.rpc.peer.api.Echo.echo.rq_ok", |calls| calls == 2);
    gateway.until("rpc.rpc.other.other.rq_not_found", |calls| calls == 2);
    let (_, page) = gateway.admin("GET", "/stats/prometheus?filter=^rpc");
    let labels = r#"{stat_prefix="rpc",service="peer.api.Echo",method="echo"}"#;
    let told = format!("crossdock_rpc_rq_ok_total{labels} 2");
    assert!(page.lines().any(|line| line == told), "{page}");
    assert!(!page.contains("Nobody"), "{page}");
}
