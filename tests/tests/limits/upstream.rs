//! Limits of connections to hosts.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Host, Wire};
use crossdock_tests::{Bootstrap, Gateway, UnusedPort, eventually};
use serde_json::{Value, json};

use crate::{
    CONNECT_FAILED, CONNECTION_CLOSED, ONE_WORKER, OVERLOAD, PATIENCE, QUIET, refused, text_of,
};

#[test]
fn connections_per_host_and_fill_calls() {
    let host = Host::mute();
    let settings = [("connections_per_host", json!(3)), ("fill_calls", json!(5))];
    let gateway = Gateway::before(&[&host], &settings);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    for (calls, connections) in [(5, 1), (10, 2), (15, 3), (40, 3)] {
        while gateway.stat("cluster.echo.upstream_rq_active") < calls {
            let before = gateway.stat("cluster.echo.upstream_rq_active");
            client.write(&Wire::Dubbo.request(before, "<<never>>"));
            gateway.until("cluster.echo.upstream_rq_total", |sent| sent > before);
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
    let gateway = Gateway::before(&[&host], &settings);
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    let call = Wire::Bolt1.request(1, &text_of(500_000));
    let mut sent = 0;
    while gateway.stat("http.rpc.downstream_rq_overload_close") == 0 {
        client.write(&call);
        sent += 1;
        assert!(sent < 100, "never too much for a host that does not read");
    }
    refused(&client.recv(), 1, "", OVERLOAD);
    // The connection is there before the host has taken it from its kernel.
    let both = eventually(PATIENCE, || (host.accepted() == 2).then_some(()));
    assert!(both.is_some(), "a full connection makes room for another");
    drop(host);
    for _ in 1..sent {
        assert!(!client.recv().is_good());
    }
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
}

#[test]
fn heartbeat_interval_ms() {
    let answers = Host::echo();
    let gateway_of_good = Gateway::before(&[&answers], &[("heartbeat_interval_ms", json!(100))]);
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
    let gateway_of_mute = Gateway::before(&[&mute], &[("heartbeat_interval_ms", json!(100))]);
    let mut client = Client::connect(gateway_of_mute.address(), Wire::Bolt1);
    client.write(&Wire::Bolt1.request(1, "<<never>>"));
    refused(&client.recv(), 1, "", CONNECTION_CLOSED);
    assert_eq!(
        gateway_of_mute.stat("cluster.echo.upstream_cx_heartbeat_fail"),
        1
    );

    let never = Gateway::before(&[&answers], &[("heartbeat_interval_ms", json!(0))]);
    Client::connect(never.address(), Wire::Dubbo).call(1, "known");
    thread::sleep(QUIET * 3);
    assert_eq!(never.stat("codec.dubbo.heartbeat_sent"), 0);
}

/// It sends an octet now and then, so that it is not silent either.
#[test]
fn a_frame_that_a_host_does_not_finish() {
    /// Longer than the 30 s that a frame may take.
    const LONG: Duration = Duration::from_secs(60);
    let host = Host::start(|mut link| {
        while let Some(frame) = link.take() {
            for octet in frame.wire.response(frame.id, &text_of(2000)) {
                if !link.send(&[octet]) {
                    return;
                }
                thread::sleep(QUIET);
            }
        }
    });
    let gateway = Gateway::before(&[&host], &[]);
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    client.write(&Wire::Bolt1.request(1, "<<unfinished>>"));
    let answer = client.next(LONG).expect("in time").expect("an answer");
    refused(&answer, 1, "", CONNECTION_CLOSED);
    gateway.until("cluster.echo.upstream_cx_destroy", |gone| gone == 1);
    assert_eq!(gateway.stat("cluster.echo.upstream_cx_heartbeat_fail"), 0);
}

#[test]
fn upstream_idle_timeout_ms() {
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("upstream_idle_timeout_ms", json!(200))]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    client.call(1, "opens");
    gateway.until("cluster.echo.upstream_cx_idle_timeout", |closed| {
        closed == 1
    });
    gateway.until("cluster.echo.upstream_cx_active", |open| open == 0);
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
        Gateway::start(&bootstrap.settings(settings), ONE_WORKER)
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
        requests.stat("cluster.narrow.upstream_rq_active_overflow"),
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
        connections.until("cluster.narrow.upstream_rq_total", |sent| sent == calls);
    }
    assert_eq!(mute.accepted() - before, 2, "one for each protocol");
    assert!(connections.stat("cluster.narrow.upstream_cx_overflow") >= 1);
}

#[test]
fn hosts_tried_by_one_call() {
    let unused: Vec<UnusedPort> = (0..5).map(|_| UnusedPort::take()).collect();
    let closed: Vec<SocketAddr> = unused.iter().map(UnusedPort::address).collect();
    let gateway = Gateway::start(&Bootstrap::to(&closed).settings(&[]), ONE_WORKER);
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    client.write(&Wire::Bolt1.request(1, "<<nobody listens>>"));
    refused(&client.recv(), 1, "", CONNECT_FAILED);
    assert_eq!(gateway.stat("cluster.echo.upstream_cx_connect_fail"), 3);
}
