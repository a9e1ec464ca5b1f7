//! Readers that do not read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossdock_tests::{Gateway, eventually};
use serde_json::json;

use super::{connect, greeter, next, settles};
use crate::file::File;
use crate::upstream::PATIENCE;

/// What the flood sends on each connection.
const FLOOD: u64 = 64 * 1024 * 1024;

/// A server that sends [`FLOOD`] octets on each connection as fast as they are taken, and counts what has been
/// taken in all.
fn flood() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    let taken = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&taken);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let all = Arc::clone(&all);
            thread::spawn(move || {
                let block = vec![7; 256 * 1024];
                let mut left = FLOOD;
                while left > 0 {
                    let share = left.min(block.len() as u64) as usize;
                    let Ok(written) = stream.write(&block[..share]) else {
                        return;
                    };
                    left -= written as u64;
                    all.fetch_add(written as u64, Ordering::Relaxed);
                }
            });
        }
    });
    (address, taken)
}

/// Waits until nothing more is taken, and returns what has been.
fn settled(taken: &AtomicU64) -> u64 {
    let mut last = 0;
    let still = eventually(PATIENCE, || {
        let now = taken.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(300));
        let same = now > 0 && now == taken.load(Ordering::Relaxed);
        last = now;
        same.then_some(())
    });
    assert!(still.is_some(), "{last} octets and more are taken");
    last
}

#[test]
fn a_reader_that_stops_stops_the_sender() {
    const READERS: u64 = 8;
    let (server, taken) = flood();
    let text = File::new()
        .tcp("plain", json!({"cluster": "flood"}))
        .tcp("other", json!({"cluster": "server"}))
        .cluster("flood", &[server], json!({}))
        .cluster("server", &[greeter("hello")], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &["--concurrency", "1"]);
    let address = gateway.address_of("plain");
    let before = gateway.resident_kib();
    let mut readers: Vec<TcpStream> = (0..READERS).map(|_| connect(address)).collect();
    let stopped = settled(&taken);
    // What the kernel's four buffers of each connection hold is beyond the gateway's control.
    assert!(stopped < READERS * FLOOD / 2, "{stopped}");
    let buffered = gateway.stat("crossdock.buffered_bytes");
    assert!(
        (1..=READERS * 64 * 1024).contains(&buffered),
        "{buffered} octets are buffered"
    );
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "memory has grown by {grown} KiB");
    // The worker has time for others.
    assert_eq!(next(&connect(gateway.address_of("other")), 5), "hello");

    // And every octet comes.
    let mut reader = readers.pop().expect("there are some");
    let mut count = 0;
    let mut block = vec![0; 256 * 1024];
    while count < FLOOD {
        let read = reader.read(&mut block).expect("octets come");
        assert!(read > 0, "the end comes after {count} octets");
        assert!(block[..read].iter().all(|octet| *octet == 7));
        count += read as u64;
    }
    drop((reader, readers));
    settles(&gateway, "crossdock.buffered_bytes", 0);
    settles(&gateway, "tcp.plain.downstream_cx_active", 0);
}

#[test]
fn a_host_that_does_not_read_stops_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let text = File::new()
        .tcp("plain", json!({"cluster": "deaf"}))
        .cluster("deaf", &[listener.local_addr().expect("bound")], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let mut client = connect(gateway.address_of("plain"));
    client
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("not zero");
    let (_host, _) = listener.accept().expect("the gateway connects");
    let block = vec![7; 256 * 1024];
    let mut count = 0;
    while let Ok(written) = client.write(&block) {
        count += written as u64;
        assert!(count < FLOOD, "the client is never stopped");
    }
    let buffered = gateway.stat("crossdock.buffered_bytes");
    assert!((1..=64 * 1024).contains(&buffered), "{buffered}");
    let paused = "tcp.plain.downstream_flow_control_paused_reading_total";
    assert!(gateway.stat(paused) > 0);
}
