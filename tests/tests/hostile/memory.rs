//! Little that keeps much: what waits must not pin the blocks that it was read into.

use std::net::Shutdown;
use std::thread;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Client, Host, Wire};
use serde_json::json;

use crate::{many_files, unharmed};

#[test]
fn many_beginnings_of_frames() {
    const WANTED: usize = 2000;
    let count = WANTED.min(many_files().saturating_sub(500));
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("frame_timeout_ms", json!(600_000))]);
    unharmed(&gateway);
    let already = gateway.stat("http.rpc.downstream_cx_rx_bytes_total");
    let before = gateway.resident_kib();
    let flood = Wire::Dubbo.heartbeat(1).repeat(60_000 / 17);
    let frame = Wire::Dubbo.request(1, "<<begun>>");
    let mut begun: Vec<Client> = (0..count)
        .map(|_| Client::connect(gateway.address(), Wire::Dubbo))
        .collect();
    for client in &mut begun {
        // What fills a block goes before, and leaves nothing behind.
        client.write(&[flood.as_slice(), &frame[..40]].concat());
    }
    let octets = (count * (flood.len() + 40)) as u64 + already;
    gateway.until("http.rpc.downstream_cx_rx_bytes_total", |read| {
        read == octets
    });
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {count} beginnings of frames");
    assert!(
        grown < 10 * count as u64 + (24 << 10),
        "{grown} KiB for {count} beginnings"
    );
    drop(begun);
    unharmed(&gateway);
}

#[test]
fn small_calls_that_wait_pin_no_large_blocks() {
    const CALLS: u64 = 3000;
    let host = Host::mute();
    let gateway = Gateway::before(&[&host], &[("calls_per_connection", json!(131_000))]);
    let before = gateway.resident_kib();
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    // One call in each 64 KiB of the stream: the rest is heartbeats that leave nothing behind.
    let beats = Wire::Bolt1.heartbeat(1).repeat(60_000 / 22);
    let mut reader = client.stream.try_clone().expect("a socket");
    let reading = thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    for id in 0..CALLS {
        let call = Wire::Bolt1.request(id, &format!("<<waits>>{}", "x".repeat(2000)));
        client.write(&[call, beats.clone()].concat());
    }
    gateway.until("cluster.echo.upstream_rq_active", |active| active == CALLS);
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {CALLS} waiting calls of 2 KiB");
    // The calls themselves, and 1024 whose blocks are shared.
    let allowed = CALLS * 2 * 2 + 1024 * 64 + (48 << 10);
    assert!(grown < allowed, "{grown} KiB for {CALLS} calls of 2 KiB");
    client.stream.shutdown(Shutdown::Both).expect("open");
    reading.join().expect("ends").ok();
    drop((client, host));
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
}

#[test]
fn answers_that_wait_pin_no_large_blocks() {
    const CALLS: u64 = 4000;
    // Each answer for the deaf client stands among 64 KiB of answers for the other.
    let host = Host::start(|mut link| {
        let (small, large) = ("x".repeat(3000), "x".repeat(58_000));
        while let Some(frame) = link.take() {
            let answer = match frame.token() {
                Some("small") => frame.wire.response(frame.id, &small),
                Some("large") => frame.wire.response(frame.id, &large),
                _ => frame.echo(),
            };
            if !link.send(&answer) {
                return;
            }
        }
    });
    let settings = [
        ("unread_soft_bytes", json!(32 << 20)),
        ("calls_per_connection", json!(131_000)),
    ];
    let gateway = Gateway::before(&[&host], &settings);
    let before = gateway.resident_kib();
    let mut deaf = Client::connect(gateway.address(), Wire::Bolt1).narrow();
    let mut reads = Client::connect(gateway.address(), Wire::Bolt1);
    for id in 0..CALLS {
        deaf.write(&Wire::Bolt1.request(id, "<<small>>"));
        reads.write(&Wire::Bolt1.request(id, "<<large>>"));
        // One after the other, so that no two small answers come together.
        assert!(reads.recv().octets.len() > 58_000);
    }
    gateway.until("http.rpc.downstream_rq_completed", |ended| {
        ended == 2 * CALLS
    });
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {CALLS} unread answers of 3 KiB");
    assert!(
        grown < CALLS * 3 * 3 + (48 << 10),
        "{grown} KiB for {CALLS} answers of 3 KiB"
    );
    drop((reads, deaf));
    unharmed(&gateway);
}
