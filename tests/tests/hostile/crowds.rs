//! More of everything than anybody needs.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Client, Host, Kind, Wire};
use serde_json::json;

use crate::{many_files, unharmed};

#[test]
fn a_flood_of_heartbeats() {
    const BEATS: usize = 100_000;
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("stall_timeout_ms", json!(2000))]);
    let before = gateway.resident_kib();
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        let flood = wire.heartbeat(5).repeat(1000);
        // Read: each is answered.
        let mut reads = Client::connect(gateway.address(), wire);
        let mut writer = reads.stream.try_clone().expect("a socket");
        let octets = flood.clone();
        let writing = thread::spawn(move || {
            for _ in 0..BEATS / 1000 {
                writer.write_all(&octets).expect("the gateway reads");
            }
        });
        for _ in 0..BEATS {
            assert_eq!(reads.recv().kind, Kind::HeartbeatAck);
        }
        writing.join().expect("written");
        // Not read: the sender is stopped, and dropped when it takes nothing.
        let mut deaf = Client::connect(gateway.address(), wire).narrow();
        deaf.stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .expect("not zero");
        while deaf.offer(&flood) {}
        Client::connect(gateway.address(), wire).call(1, "others go on");
    }
    assert_eq!(gateway.stat("http.rpc.downstream_cx_unread_closed"), 2);
    assert_eq!(host.frames(), 2, "no heartbeat reaches a host");
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB");
    unharmed(&gateway);
}

#[test]
fn ten_thousand_idle_connections() {
    const WANTED: usize = 10_000;
    /// What one of them may hold in the gateway.
    const KIB_EACH: u64 = 8;
    let files = many_files();
    let count = WANTED.min(files.saturating_sub(500));
    println!("{count} connections; the limit of files is {files}");
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("detect_timeout_ms", json!(600_000))]);
    unharmed(&gateway);
    let before = gateway.resident_kib();
    let address = gateway.address();
    let mut idle: Vec<TcpStream> = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = TcpStream::connect(address).expect("within the limit");
        // Some have said something, most have not.
        if number % 4 == 0 {
            stream.write_all(&Wire::Bolt1.heartbeat(1)).expect("open");
        }
        idle.push(stream);
    }
    let beats = count.div_ceil(4) as u64;
    gateway.until("codec.bolt.heartbeat_received", |received| {
        received == beats
    });
    let label = address.to_string().replace(':', "_");
    gateway.until(&format!("listener.{label}.downstream_cx_active"), |open| {
        open == count as u64
    });
    let grown = gateway.resident_kib().saturating_sub(before);
    println!("{grown} KiB for {count} connections");
    assert!(
        grown < KIB_EACH * count as u64,
        "{grown} KiB for {count} idle connections"
    );
    Client::connect(address, Wire::Dubbo).call(1, "among many");
    drop(idle);
    unharmed(&gateway);
}

#[test]
fn connections_that_come_and_go() {
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[]);
    let address = gateway.address();
    let churning: Vec<_> = (0..4)
        .map(|thread| {
            thread::spawn(move || {
                for number in 0..400_u64 {
                    let wire = Wire::ALL[(number % 4) as usize];
                    let mut client = Client::connect(address, wire);
                    match (thread + number) % 4 {
                        0 => client.reset(),
                        1 => drop(client),
                        2 => {
                            client.offer(&wire.request(1, "<<never read>>"));
                            client.reset();
                        }
                        _ => client.call(number, "short"),
                    }
                }
            })
        })
        .collect();
    for thread in churning {
        thread.join().expect("every call is answered");
    }
    assert!(
        host.accepted() <= 4 * 4,
        "{} upstream connections",
        host.accepted()
    );
    unharmed(&gateway);
}
