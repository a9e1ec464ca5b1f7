//! Every limit of `docs/limits.md`, at the edge of the process: what happens there, which metric tells,
//! and that everybody else goes on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Frame, Host, Kind, Wire};
use crossdock_tests::{Bootstrap, End, Gateway, UnusedPort, eventually};
use serde_json::{Value, json};

const ONE_WORKER: &[&str] = &["--concurrency", "1"];
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to see that nothing happens.
const QUIET: Duration = Duration::from_millis(200);

/// A gateway before these hosts with these settings.
fn gateway(hosts: &[&Host], settings: &[(&str, Value)]) -> Gateway {
    let addresses: Vec<SocketAddr> = hosts.iter().map(|host| host.address()).collect();
    with_settings(Bootstrap::to(&addresses), settings)
}

fn with_settings(mut bootstrap: Bootstrap, settings: &[(&str, Value)]) -> Gateway {
    for (name, value) in settings {
        bootstrap = bootstrap.setting(&format!("crossdock.{name}"), value.clone());
    }
    Gateway::start(&bootstrap, ONE_WORKER)
}

#[track_caller]
fn until(gateway: &Gateway, metric: &str, holds: impl Fn(u64) -> bool) {
    let reached = eventually(PATIENCE, || holds(gateway.stat(metric)).then_some(()));
    assert!(reached.is_some(), "{metric} is {}", gateway.stat(metric));
}

/// Asserts that a local answer says why, as its protocol says it: a text in Dubbo, a status in Bolt.
#[track_caller]
fn refused(answer: &Frame, id: u64, text: &str, status: u16) {
    assert_eq!((answer.kind, answer.id), (Kind::Response, id), "{answer:?}");
    match answer.wire {
        Wire::Dubbo => assert!(!answer.is_good() && answer.says(text), "{answer:?}"),
        _ => assert_eq!(answer.status, status, "{answer:?}"),
    }
}

const OVERLOAD: u16 = 4;
const TIMEOUT: u16 = 7;
const TOO_LARGE: u16 = 18;

fn text_of(size: usize) -> String {
    format!("<<large>>{}", "x".repeat(size))
}

#[test]
fn frame_bytes() {
    let host = Host::echo();
    let gateway = gateway(&[&host], &[("frame_bytes", json!(100_000))]);
    for wire in Wire::ALL {
        let mut client = Client::connect(gateway.address(), wire);
        client.call(1, "before");
        client.write(&wire.request(2, &text_of(100_000)));
        refused(&client.recv(), 2, "crossdock.frame_bytes", TOO_LARGE);
        client.write(&wire.oneway(3, &text_of(100_000)));
        client.write(&wire.request(4, &text_of(90_000)));
        let answer = client.recv();
        assert_eq!(
            (answer.id, answer.token()),
            (4, Some("large")),
            "within the limit"
        );
        client.call(5, "after");
    }
    assert_eq!(gateway.stat("http.rpc.downstream_rq_too_large"), 8);
    assert_eq!(gateway.stat("http.rpc.downstream_cx_protocol_error"), 0);
}

#[test]
fn answers_over_frame_bytes() {
    let large = "x".repeat(100_000);
    let host = Host::start(move |mut link| {
        while let Some(frame) = link.take() {
            let answer = match frame.says("<<large") {
                true => frame.wire.response(frame.id, &large),
                false => frame.echo(),
            };
            link.send(&answer);
        }
    });
    let gateway = gateway(&[&host], &[("frame_bytes", json!(50_000))]);
    for wire in Wire::ALL {
        let mut client = Client::connect(gateway.address(), wire);
        client.write(&wire.request(1, "<<large>>"));
        refused(&client.recv(), 1, "crossdock.frame_bytes", 17);
        client.call(2, "after");
    }
    assert!(host.accepted() <= 4, "no connection broke");
}

#[test]
fn buffer_bytes() {
    let host = Host::mute();
    let gateway = gateway(&[&host], &[("buffer_bytes", json!(2 << 20))]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    // Above the limit, and below the reserve of a quarter.
    let calls = 45;
    for id in 0..calls {
        client.write(&Wire::Dubbo.request(id, &text_of(50_000)));
        until(&gateway, "cluster.echo.upstream_rq_active", |active| {
            active == id + 1
        });
    }
    client.write(&Wire::Dubbo.request(100, &text_of(80_000)));
    refused(&client.recv(), 100, "crossdock.buffer_bytes", OVERLOAD);
    client.write(&Wire::Dubbo.request(101, "<<small>>"));
    until(&gateway, "cluster.echo.upstream_rq_active", |active| {
        active == calls + 1
    });
    let mut other = Client::connect(gateway.address(), Wire::Bolt1);
    other.write(&Wire::Bolt1.request(7, &text_of(80_000)));
    refused(&other.recv(), 7, "", OVERLOAD);
    assert_eq!(gateway.stat("http.rpc.downstream_rq_overload_close"), 2);
    drop((client, host));
    until(&gateway, "http.rpc.downstream_rq_active", |active| {
        active == 0
    });
}

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
    let gateway = gateway(&[&host], &[("calls_per_connection", json!(4))]);
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
    let gateway = gateway(&[&host], &settings);
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
    until(&gateway, "http.rpc.downstream_cx_unread_closed", |closed| {
        closed == 1
    });
    reads.call(2, "others go on");
    until(&gateway, "http.rpc.downstream_cx_active", |open| open == 1);
}

#[test]
fn unread_hard_bytes() {
    let host = large_host(1 << 20);
    let settings = [
        ("unread_soft_bytes", json!(32 << 20)),
        ("unread_hard_bytes", json!(4 << 20)),
    ];
    let gateway = gateway(&[&host], &settings);
    let mut deaf = Client::connect(gateway.address(), Wire::Bolt1).narrow();
    let mut reads = Client::connect(gateway.address(), Wire::Bolt1);
    for id in 0..64 {
        if !deaf.offer(&Wire::Bolt1.request(id, "<<large>>")) {
            break;
        }
    }
    until(&gateway, "http.rpc.downstream_cx_unread_closed", |closed| {
        closed == 1
    });
    reads.call(1, "others go on");
    until(&gateway, "http.rpc.downstream_rq_active", |active| {
        active == 0
    });
    assert_eq!(host.accepted(), 1, "the host noticed nothing");
}

#[test]
fn frame_timeout_ms() {
    let host = Host::echo();
    let gateway = gateway(&[&host], &[("frame_timeout_ms", json!(400))]);
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        let mut fast = Client::connect(gateway.address(), wire);
        let mut slow = Client::connect(gateway.address(), wire);
        slow.call(1, "known");
        let before = gateway.stat("http.rpc.downstream_cx_frame_timeout");
        let mut octets = wire.request(2, &text_of(1000)).into_iter();
        // One octet at a time never makes a frame.
        while slow.offer(&[octets.next().expect("closed long before the end")]) {
            thread::sleep(Duration::from_millis(20));
        }
        fast.call(1, "others go on");
        assert_eq!(
            gateway.stat("http.rpc.downstream_cx_frame_timeout"),
            before + 1
        );
    }
}

#[test]
fn idle_timeout_ms() {
    let host = Host::echo();
    let gateway = gateway(&[&host], &[("idle_timeout_ms", json!(400))]);
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
fn call_timeout_ms() {
    let host = Host::mute();
    let gateway = gateway(&[&host], &[("call_timeout_ms", json!(150))]);
    for wire in Wire::ALL {
        let mut client = Client::connect(gateway.address(), wire);
        client.write(&wire.request(1, "<<never>>"));
        let answer = client.recv();
        refused(&answer, 1, "no answer from", TIMEOUT);
        assert!(wire != Wire::Dubbo || answer.status == 31);
    }
    assert_eq!(gateway.stat("http.rpc.downstream_rq_timeout"), 4);
    until(&gateway, "http.rpc.downstream_rq_active", |active| {
        active == 0
    });
}

#[test]
fn body_deadline() {
    let host = Host::mute();
    let gateway = gateway(&[&host], &[("body_deadline", json!(true))]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    client.write(&Wire::Dubbo.hurried(1, "<<hurried>>", 100));
    refused(&client.recv(), 1, "no answer from", TIMEOUT);
    // Bolt's stands in the header and counts always.
    let mut client = Client::connect(gateway.address(), Wire::Bolt2Crc);
    client.write(&Wire::Bolt2Crc.hurried(1, "<<hurried>>", 100));
    refused(&client.recv(), 1, "", TIMEOUT);
}

#[test]
fn detect_timeout_ms_and_codecs() {
    let host = Host::echo();
    let settings = [("detect_timeout_ms", json!(200)), ("codecs", json!("bolt"))];
    let gateway = gateway(&[&host], &settings);
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
    let gateway = with_settings(bootstrap, &settings);
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
    let gateway = gateway(&[&host], &[("connections", json!(3))]);
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
        let mut gateway = gateway(&[&host], &[("goaway_on_drain", json!(announce))]);
        let mut clients = Wire::ALL.map(|wire| Client::connect(gateway.address(), wire));
        for client in &mut clients {
            client.write(&client.wire().request(1, "<<in flight>>"));
        }
        until(&gateway, "http.rpc.downstream_rq_active", |active| {
            active == 4
        });
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

#[test]
fn connections_per_host_and_fill_calls() {
    let host = Host::mute();
    let settings = [("connections_per_host", json!(3)), ("fill_calls", json!(5))];
    let gateway = gateway(&[&host], &settings);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    for (calls, connections) in [(5, 1), (10, 2), (15, 3), (40, 3)] {
        while gateway.stat("cluster.echo.upstream_rq_active") < calls {
            let before = gateway.stat("cluster.echo.upstream_rq_active");
            client.write(&Wire::Dubbo.request(before, "<<never>>"));
            until(&gateway, "cluster.echo.upstream_rq_total", |sent| {
                sent > before
            });
        }
        let open = eventually(PATIENCE, || {
            (host.accepted() >= connections - 1).then_some(())
        });
        assert!(open.is_some());
        assert!(
            host.accepted() <= connections,
            "{} for {calls} calls",
            host.accepted()
        );
    }
    assert_eq!(host.accepted(), 3);
}

#[test]
fn fill_bytes_and_unwritten_bytes() {
    let host = Host::deaf();
    let settings = [
        ("connections_per_host", json!(2)),
        ("fill_bytes", json!(100_000)),
        ("unwritten_bytes", json!(1 << 20)),
    ];
    let gateway = gateway(&[&host], &settings);
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    let call = Wire::Bolt1.request(1, &text_of(500_000));
    let mut sent = 0;
    while gateway.stat("http.rpc.downstream_rq_overload_close") == 0 {
        client.write(&call);
        sent += 1;
        assert!(sent < 100, "never too much for a host that does not read");
    }
    refused(&client.recv(), 1, "", OVERLOAD);
    assert_eq!(
        host.accepted(),
        2,
        "a full connection makes room for another"
    );
    drop(host);
    for _ in 1..sent {
        assert!(!client.recv().is_good());
    }
    until(&gateway, "http.rpc.downstream_rq_active", |active| {
        active == 0
    });
}

#[test]
fn heartbeat_interval_ms() {
    let answers = Host::echo();
    let gateway_of_good = gateway(&[&answers], &[("heartbeat_interval_ms", json!(100))]);
    for wire in Wire::ALL {
        Client::connect(gateway_of_good.address(), wire).call(1, "known");
    }
    let sent = || {
        let codecs = ["codec.dubbo.heartbeat_sent", "codec.bolt.heartbeat_sent"];
        codecs.map(|codec| gateway_of_good.stat(codec))
    };
    let enough = || sent().iter().all(|sent| *sent >= 6).then_some(());
    assert!(eventually(PATIENCE, enough).is_some(), "{:?}", sent());
    assert_eq!(gateway_of_good.stat("cluster.echo.upstream_cx_destroy"), 0);

    let mute = Host::mute();
    let gateway_of_mute = gateway(&[&mute], &[("heartbeat_interval_ms", json!(100))]);
    let mut client = Client::connect(gateway_of_mute.address(), Wire::Bolt1);
    client.write(&Wire::Bolt1.request(1, "<<never>>"));
    refused(&client.recv(), 1, "", 16);
    assert_eq!(
        gateway_of_mute.stat("cluster.echo.upstream_cx_heartbeat_fail"),
        1
    );

    let never = gateway(&[&answers], &[("heartbeat_interval_ms", json!(0))]);
    Client::connect(never.address(), Wire::Dubbo).call(1, "known");
    thread::sleep(QUIET * 3);
    assert_eq!(never.stat("codec.dubbo.heartbeat_sent"), 0);
}

#[test]
fn upstream_idle_timeout_ms() {
    let host = Host::echo();
    let gateway = gateway(&[&host], &[("upstream_idle_timeout_ms", json!(200))]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    client.call(1, "opens");
    until(
        &gateway,
        "cluster.echo.upstream_cx_idle_timeout",
        |closed| closed == 1,
    );
    until(&gateway, "cluster.echo.upstream_cx_active", |open| {
        open == 0
    });
    client.call(2, "opens another");
    assert_eq!(host.accepted(), 2);
}

#[test]
fn circuit_breakers() {
    let mute = Host::mute();
    let breakers = |thresholds: Value| json!({"circuit_breakers": {"thresholds": [thresholds]}});
    let gateway_with = |thresholds: Value, settings: &[(&str, Value)]| {
        let routes =
            json!([{"match": {"prefix": "/"}, "route": {"cluster": "narrow", "timeout": "0s"}}]);
        let bootstrap = Bootstrap::of(routes);
        let bootstrap = bootstrap.cluster("narrow", &[mute.address()], breakers(thresholds));
        with_settings(bootstrap, settings)
    };
    let requests = gateway_with(json!({"max_requests": 3}), &[]);
    let mut client = Client::connect(requests.address(), Wire::Dubbo);
    for id in 0..5 {
        client.write(&Wire::Dubbo.request(id, "<<never>>"));
    }
    for id in 3..5 {
        refused(&client.recv(), id, "max_requests", OVERLOAD);
    }
    assert_eq!(
        requests.stat("cluster.narrow.upstream_rq_pending_overflow"),
        2
    );
    assert_eq!(requests.stat("cluster.narrow.upstream_rq_active"), 3);

    let pending = gateway_with(json!({"max_pending_requests": 0}), &[]);
    let mut client = Client::connect(pending.address(), Wire::Dubbo);
    client.write(&Wire::Dubbo.request(1, "<<nothing may wait>>"));
    refused(&client.recv(), 1, "max_pending_requests", OVERLOAD);

    // A host has one connection in any case, as in Envoy.
    let connections = gateway_with(json!({"max_connections": 1}), &[("fill_calls", json!(1))]);
    let before = mute.accepted();
    for (number, wire) in [Wire::Dubbo, Wire::Bolt1].into_iter().enumerate() {
        let mut client = Client::connect(connections.address(), wire);
        for id in 0..10 {
            client.write(&wire.request(id, "<<shares the one>>"));
        }
        let calls = 10 * (number as u64 + 1);
        until(&connections, "cluster.narrow.upstream_rq_total", |sent| {
            sent == calls
        });
    }
    assert_eq!(mute.accepted() - before, 2, "one for each protocol");
    assert!(connections.stat("cluster.narrow.upstream_cx_overflow") >= 1);
}

#[test]
fn hosts_tried_by_one_call() {
    let unused: Vec<UnusedPort> = (0..5).map(|_| UnusedPort::take()).collect();
    let closed: Vec<SocketAddr> = unused.iter().map(UnusedPort::address).collect();
    let gateway = with_settings(Bootstrap::to(&closed), &[]);
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    client.write(&Wire::Bolt1.request(1, "<<nobody listens>>"));
    refused(&client.recv(), 1, "", 8);
    assert_eq!(gateway.stat("cluster.echo.upstream_cx_connect_fail"), 3);
}

#[test]
fn every_setting_of_the_docs_is_tested_here() {
    let (docs, tests) = (
        include_str!("../../docs/limits.md"),
        include_str!("limits.rs"),
    );
    let settings = docs.lines().filter_map(|line| {
        let rest = line.strip_prefix("| `crossdock.")?;
        rest.split('`').next()
    });
    let mut count = 0;
    for setting in settings {
        assert!(tests.contains(&format!("\"{setting}\"")), "{setting}");
        count += 1;
    }
    assert!(count >= 20, "{count} settings");
}
