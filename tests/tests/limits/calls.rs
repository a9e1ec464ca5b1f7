//! Limits of calls: how many, how long.

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Client, Host, Wire};
use serde_json::json;

use crate::{CONNECT_FAILED, OVERLOAD, QUIET, TIMEOUT, refused};

#[test]
fn calls_per_connection() {
    let host = Host::start(|mut link| {
        let mut kept = Vec::new();
        while let Some(frame) = link.take_within(QUIET * 2) {
            kept.push(frame);
        }
        assert_eq!(kept.len(), 4, "no more than four calls at once");
        for frame in kept {
            link.answer(&frame);
        }
        while link.serve() {}
    });
    let gateway = Gateway::before(&[&host], &[("calls_per_connection", json!(4))]);
    let mut client = Client::connect(gateway.address(), Wire::Bolt2);
    for id in 0..20 {
        client.write(&Wire::Bolt2.request(id, &format!("<<{id}>>")));
    }
    for id in 0..20 {
        let answer = client.recv();
        assert_eq!(
            (answer.id, answer.token()),
            (id, Some(id.to_string().as_str()))
        );
    }
    assert!(gateway.stat("http.rpc.downstream_flow_control_paused_reading_total") >= 1);
}

/// The table of a worker is as long for one protocol as for the other.
#[test]
fn calls_in_flight_of_one_worker_and_protocol() {
    const MOST: u64 = 131_000;
    let host = Host::mute();
    let gateway = Gateway::before(&[&host], &[("calls_per_connection", json!(MOST))]);
    let mut greedy = Client::connect(gateway.address(), Wire::Bolt1);
    for first in (0..MOST).step_by(1000) {
        let calls = (first..first + 1000).flat_map(|id| Wire::Bolt1.request(id, "<<never>>"));
        greedy.write(&calls.collect::<Vec<u8>>());
    }
    let active = |calls| gateway.until("http.rpc.downstream_rq_active", |now| now == calls);
    active(MOST);
    let mut late = Client::connect(gateway.address(), Wire::Bolt2);
    late.write(&Wire::Bolt2.request(1, "<<one too many>>"));
    refused(&late.recv(), 1, "", OVERLOAD);
    assert_eq!(gateway.stat("codec.bolt.calls_overflow"), 1);
    let mut other = Client::connect(gateway.address(), Wire::Dubbo);
    other.write(&Wire::Dubbo.request(1, "<<there is room>>"));
    active(MOST + 1);
    drop((greedy, host));
    active(0);
    late.write(&Wire::Bolt2.request(2, "<<room again>>"));
    refused(&late.recv(), 2, "", CONNECT_FAILED);
}

#[test]
fn call_timeout_ms() {
    let host = Host::mute();
    let gateway = Gateway::before(&[&host], &[("call_timeout_ms", json!(150))]);
    for wire in Wire::ALL {
        let mut client = Client::connect(gateway.address(), wire);
        client.write(&wire.request(1, "<<never>>"));
        let answer = client.recv();
        refused(&answer, 1, "no answer from", TIMEOUT);
        assert!(wire != Wire::Dubbo || answer.status == 31);
    }
    assert_eq!(gateway.stat("cluster.echo.upstream_rq_timeout"), 4);
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
}

#[test]
fn body_deadline() {
    let host = Host::mute();
    let gateway = Gateway::before(&[&host], &[("body_deadline", json!(true))]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    client.write(&Wire::Dubbo.hurried(1, "<<hurried>>", 100));
    refused(&client.recv(), 1, "no answer from", TIMEOUT);
    // Bolt's stands in the header and counts always.
    let mut client = Client::connect(gateway.address(), Wire::Bolt2Crc);
    client.write(&Wire::Bolt2Crc.hurried(1, "<<hurried>>", 100));
    refused(&client.recv(), 1, "", TIMEOUT);
}
