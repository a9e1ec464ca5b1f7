//! Messages about connections, from either side and in every protocol, and messages of every size.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Host, Kind, Wire};
use crossdock_tests::{Bootstrap, Gateway};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);
const QUIET: Duration = Duration::from_millis(150);

fn gateway(hosts: &[&Host]) -> Gateway {
    let addresses: Vec<_> = hosts.iter().map(|host| host.address()).collect();
    let bootstrap = Bootstrap::to(&addresses).setting("crossdock.heartbeat_interval_ms", json!(0));
    Gateway::start(&bootstrap, &["--concurrency", "1"])
}

/// Dubbo's read-only event, Bolt's command 100.
#[test]
fn a_host_that_goes_away_finishes_its_calls_and_gets_no_new_one() {
    for wire in Wire::ALL {
        let gone = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&gone);
        // Whoever gets the call named `last` says that it goes away, and answers that call in the end.
        let leave = move |mut link: crossdock_tests::fake::Link| {
            while let Some(frame) = link.take() {
                if frame.token() != Some("last") {
                    link.answer(&frame);
                    continue;
                }
                link.send(&frame.wire.goaway());
                let next = link.take_within(QUIET * 3);
                assert!(next.is_none(), "a call after the event: {next:?}");
                told.store(true, SeqCst);
                link.answer(&frame);
            }
        };
        let leave = Arc::new(leave);
        let hosts = [Arc::clone(&leave), leave].map(|leave| Host::start(move |link| leave(link)));
        let gateway = gateway(&[&hosts[0], &hosts[1]]);
        let mut client = Client::connect(gateway.address(), wire);
        for id in 0..4 {
            client.call(id, "before");
        }
        client.write(&wire.request(100, "<<last>>"));
        gateway.until("cluster.echo.upstream_cx_close_notify", |told| told == 1);
        for id in 0..20 {
            client.call(id, "after");
        }
        assert!(!gone.load(SeqCst), "the other host has answered");
        let last = client.recv();
        assert_eq!((last.id, last.token()), (100, Some("last")), "{wire:?}");
        gateway.until("cluster.echo.upstream_cx_active", |open| open == 1);
    }
}

#[test]
fn heartbeats_of_either_side_are_answered_once_and_answers_to_none_are_not() {
    for wire in Wire::ALL {
        let host = Host::start(move |mut link| {
            while let Some(frame) = link.take() {
                if frame.kind != Kind::Request {
                    panic!("nothing but calls comes here: {frame:?}");
                }
                // An answer that nobody asked for, and a question.
                link.send(&wire.heartbeat_ack(77));
                link.send(&wire.heartbeat(78));
                let ack = link
                    .take_within(PATIENCE)
                    .expect("the question is answered");
                assert_eq!((ack.kind, ack.id), (Kind::HeartbeatAck, 78));
                if wire == Wire::Dubbo {
                    link.send(&one_way_heartbeat());
                }
                let more = link.take_within(QUIET);
                assert!(more.is_none(), "{more:?}");
                link.answer(&frame);
            }
        });
        let gateway = gateway(&[&host]);
        let mut client = Client::connect(gateway.address(), wire);
        client.write(&wire.heartbeat(5));
        let ack = client.recv();
        assert_eq!((ack.kind, ack.id), (Kind::HeartbeatAck, 5));
        client.write(&wire.heartbeat_ack(6));
        if wire == Wire::Dubbo {
            client.write(&one_way_heartbeat());
        }
        client.silent(QUIET);
        client.call(7, "between heartbeats");
        client.silent(QUIET);
        assert_eq!(host.accepted(), 1);
    }
}

/// A heartbeat without Dubbo's two-way bit: nobody waits for its answer.
fn one_way_heartbeat() -> Vec<u8> {
    let mut beat = Wire::Dubbo.heartbeat(9);
    beat[2] &= !0x40;
    beat
}

#[test]
fn messages_of_every_size_pass_up_to_the_limit() {
    let host = Host::start(|mut link| {
        while let Some(frame) = link.take() {
            // As long as the request was, give or take the words around.
            let text = format!(
                "<<same size>>{}",
                "y".repeat(frame.octets.len().saturating_sub(150))
            );
            link.send(&frame.wire.response(frame.id, &text));
        }
    });
    let gateway = gateway(&[&host]);
    let before = gateway.resident_kib();
    for wire in [Wire::Dubbo, Wire::Bolt1, Wire::Bolt2Crc] {
        let mut client = Client::connect(gateway.address(), wire);
        for (id, size) in [
            200,
            2_047,
            2_048,
            16_384,
            65_535,
            65_536,
            300_000,
            1 << 20,
            4 << 20,
            8_380_000,
        ]
        .into_iter()
        .enumerate()
        {
            let request = wire.request(id as u64, &"x".repeat(size - 200));
            let mut writer = client.stream.try_clone().expect("a socket");
            let writing = thread::spawn(move || {
                std::io::Write::write_all(&mut writer, &request).expect("the gateway reads");
            });
            let answer = client.recv();
            writing.join().expect("written");
            assert_eq!(
                (answer.id, answer.token()),
                (id as u64, Some("same size")),
                "{size}"
            );
        }
        let mut writer = client.stream.try_clone().expect("a socket");
        let request = wire.request(99, &"x".repeat(16 << 20));
        let writing = thread::spawn(move || {
            std::io::Write::write_all(&mut writer, &request).expect("the gateway reads");
        });
        let refused = client.recv();
        writing.join().expect("written");
        assert!(refused.id == 99 && !refused.is_good());
    }
    assert_eq!(host.accepted(), 3);
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 128 << 10, "{grown} KiB stay");
}
