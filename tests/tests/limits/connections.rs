//! Limits of connections from clients, and what they are taken for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Host, Kind, Wire};
use crossdock_tests::{Bootstrap, End, Gateway, eventually};
use serde_json::json;

use crate::{ONE_WORKER, PATIENCE, QUIET};

#[test]
fn idle_timeout_ms() {
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("idle_timeout_ms", json!(400))]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    for id in 0..8 {
        client.call(id, "not idle");
        thread::sleep(Duration::from_millis(100));
    }
    client.closed();
    assert_eq!(gateway.stat("http.rpc.downstream_cx_idle_timeout"), 1);
    // Also for those who never say a word.
    Client::connect(gateway.address(), Wire::Dubbo).closed();
}

#[test]
fn detect_timeout_ms_and_codecs() {
    let host = Host::echo();
    let settings = [("detect_timeout_ms", json!(200)), ("codecs", json!("bolt"))];
    let gateway = Gateway::before(&[&host], &settings);
    let label = gateway.address().to_string().replace(':', "_");
    let mut half = Client::connect(gateway.address(), Wire::Bolt1);
    half.write(&Wire::Bolt1.request(1, "<<half>>")[..10]);
    half.closed();
    let timeouts = format!("listener.{label}.downstream_pre_cx_timeout");
    assert_eq!(gateway.stat(&timeouts), 1);
    let mut dubbo = Client::connect(gateway.address(), Wire::Dubbo);
    dubbo.write(&Wire::Dubbo.request(1, "<<not looked for>>"));
    dubbo.closed();
    let unknown = format!("listener.{label}.downstream_cx_unknown_protocol");
    assert_eq!(gateway.stat(&unknown), 1);
    // A caller may connect long before its first call; its time begins with its first octet.
    let mut silent = Client::connect(gateway.address(), Wire::Bolt1);
    silent.silent(Duration::from_millis(600));
    silent.call(1, "looked for");
    assert_eq!(gateway.stat(&timeouts), 1);
}

#[test]
fn tcp_fallback() {
    let raw = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = raw.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in raw.incoming().flatten() {
            thread::spawn(move || {
                let (mut from, mut to) = (stream.try_clone().expect("a socket"), stream);
                std::io::copy(&mut from, &mut to)
            });
        }
    });
    let host = Host::echo();
    let bootstrap = Bootstrap::to(&[host.address()]).cluster("raw", &[address], json!({}));
    let settings = [
        ("tcp_fallback", json!("raw")),
        ("detect_timeout_ms", json!(200)),
    ];
    let gateway = Gateway::start(&bootstrap.settings(&settings), ONE_WORKER);
    let label = gateway.address().to_string().replace(':', "_");
    let fallbacks = format!("listener.{label}.downstream_cx_tcp_fallback");
    // Known to be no protocol at once, and unknown until the time is up.
    for (number, octets) in ["PING\r\n".as_bytes(), &[0xda, 0xbb]]
        .into_iter()
        .enumerate()
    {
        let mut client = Client::connect(gateway.address(), Wire::Dubbo);
        client.write(octets);
        client
            .stream
            .set_read_timeout(Some(PATIENCE))
            .expect("not zero");
        let mut back = vec![0; octets.len()];
        client
            .stream
            .read_exact(&mut back)
            .expect("the raw host answers");
        assert_eq!(back, octets);
        client.stream.write_all(b"more").expect("it stays open");
        let mut back = [0; 4];
        client
            .stream
            .read_exact(&mut back)
            .expect("the raw host answers");
        assert_eq!(&back, b"more");
        assert_eq!(gateway.stat(&fallbacks), number as u64 + 1);
    }
    Client::connect(gateway.address(), Wire::Dubbo).call(1, "still Dubbo");
}

#[test]
fn connections() {
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("connections", json!(3))]);
    let label = gateway.address().to_string().replace(':', "_");
    let connect = || Client::connect(gateway.address(), Wire::Bolt1);
    let mut clients = [connect(), connect(), connect()];
    for client in &mut clients {
        client.call(1, "one of three");
    }
    connect().closed();
    assert_eq!(
        gateway.stat(&format!("listener.{label}.downstream_cx_overflow")),
        1
    );
    for client in &mut clients {
        client.call(2, "still one of three");
    }
    let [gone, ..] = clients;
    drop(gone);
    let served = eventually(PATIENCE, || {
        let mut client = connect();
        client.offer(&Wire::Bolt1.request(3, "<<free again>>"));
        client.next(PATIENCE).ok().flatten()
    });
    assert!(served.is_some_and(|answer| answer.is_good()));
}

#[test]
fn goaway_on_drain() {
    for announce in [true, false] {
        let host = Host::start(|mut link| {
            while let Some(frame) = link.take() {
                thread::sleep(QUIET);
                link.answer(&frame);
            }
        });
        let mut gateway = Gateway::before(&[&host], &[("goaway_on_drain", json!(announce))]);
        let mut clients = Wire::ALL.map(|wire| Client::connect(gateway.address(), wire));
        for client in &mut clients {
            client.write(&client.wire().request(1, "<<in flight>>"));
        }
        gateway.until("http.rpc.downstream_rq_active", |active| active == 4);
        gateway.process.terminate();
        for client in &mut clients {
            let mut told = 0;
            let answer = loop {
                let frame = client.recv();
                match frame.kind {
                    Kind::GoAway => told += 1,
                    _ => break frame,
                }
            };
            assert_eq!((answer.id, answer.token()), (1, Some("in flight")));
            assert_eq!(told, usize::from(announce), "{:?}", client.wire());
            client.closed();
        }
        assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
    }
}
