//! The end of the process, and of its listeners, in the way that costs callers least.

use std::net::TcpStream;
use std::time::Duration;

use crossdock_tests::fake::{Call, Client, Kind, Wire};
use crossdock_tests::{End, Gateway, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::file::{File, everything_to};
use crate::upstream::{PATIENCE, Upstream};

const WIRES: [Wire; 2] = [Wire::Dubbo, Wire::Bolt1];

fn interrupt(gateway: &Gateway) {
    let id = i32::try_from(gateway.process.id())
        .ok()
        .and_then(Pid::from_raw);
    kill_process(id.expect("a child has an id"), Signal::INT).expect("it runs");
}

/// Waits until the listener is gone.
#[track_caller]
fn refuses(address: std::net::SocketAddr) {
    let refused = eventually(PATIENCE, || {
        TcpStream::connect(address).is_err().then_some(())
    });
    assert!(refused.is_some(), "{address} still accepts");
}

/// A connection that has made a call, and one whose call is with the host.
fn idle_and_busy(gateway: &Gateway, upstream: &Upstream, wire: Wire) -> [Client; 2] {
    let mut clients = [(); 2].map(|()| Client::connect(gateway.address(), wire));
    let [idle, busy] = &mut clients;
    idle.write(&wire.heartbeat(1));
    assert_eq!(idle.recv().kind, Kind::HeartbeatAck);
    let before = upstream.calls().len();
    busy.write(&Call::new(wire, 2).octets());
    upstream.await_calls(before + 1);
    clients
}

#[test]
fn on_sigterm_idle_connections_close_and_calls_in_flight_finish() {
    for wire in WIRES {
        let upstream = Upstream::holding("v1");
        let text = File::echo(upstream.address()).text();
        let mut gateway = Gateway::start_text(&text, &["--drain-time-s", "60"]);
        let address = gateway.address();
        let [mut idle, mut busy] = idle_and_busy(&gateway, &upstream, wire);
        gateway.process.terminate();
        idle.closed();
        refuses(address);
        assert_eq!(
            gateway.admin("GET", "/ready"),
            (503, "DRAINING\n".to_owned())
        );
        // A caller that does not know of the drain calls on while its connection is open.
        busy.write(&Call::new(wire, 3).octets());
        upstream.release();
        let answers = [busy.recv(), busy.recv()];
        assert_eq!(answers.map(|answer| answer.id), [2, 3]);
        busy.closed();
        assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
    }
}

#[test]
fn a_drain_ends_when_its_time_is_up() {
    let upstream = Upstream::holding("v1");
    let text = File::echo(upstream.address()).text();
    let mut gateway = Gateway::start_text(&text, &["--drain-time-s", "1"]);
    let [_, mut busy] = idle_and_busy(&gateway, &upstream, Wire::Dubbo);
    assert_eq!(gateway.stop(PATIENCE), End::Code(0));
    busy.closed();
}

#[test]
fn connections_that_never_said_a_word_do_not_hold_a_drain_up() {
    let upstream = Upstream::named("v1");
    let file = File::echo(upstream.address())
        .setting("crossdock.detect_timeout_ms", json!(3_600_000))
        .setting("crossdock.tcp_fallback", json!("echo"));
    let mut gateway = Gateway::start_text(&file.text(), &["--drain-time-s", "600"]);
    let address = gateway.address();
    let mut silent = Client::connect(address, Wire::Dubbo);
    let label = address.to_string().replace(':', "_");
    let accepted = || gateway.stat(&format!("listener.{label}.downstream_cx_active")) == 1;
    eventually(PATIENCE, || accepted().then_some(())).expect("it is accepted");
    gateway.process.terminate();
    silent.closed();
    assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
}

#[test]
fn the_end_is_announced_only_where_that_is_configured() {
    let upstreams = ["rpc", "quiet"].map(Upstream::holding);
    let manager = |cluster: &str| json!({"route_config": everything_to(cluster)});
    let own = json!({"metadata": {"filter_metadata": {"crossdock": {"goaway_on_drain": true}}}});
    let text = File::new()
        .rpc("rpc", manager("rpc"), own)
        .rpc("quiet", manager("quiet"), json!({}))
        .cluster("rpc", &[upstreams[0].address()], json!({}))
        .cluster("quiet", &[upstreams[1].address()], json!({}))
        .text();
    let mut gateway = Gateway::start_text(&text, &[]);
    let connect = |listener: &str, wire| {
        let mut client = Client::connect(gateway.address_of(listener), wire);
        client.write(&Call::new(wire, 1).octets());
        client
    };
    let told = WIRES.map(|wire| connect("rpc", wire));
    let untold = WIRES.map(|wire| connect("quiet", wire));
    upstreams
        .iter()
        .for_each(|upstream| upstream.await_calls(2));
    gateway.process.terminate();
    let mut told = told;
    for client in &mut told {
        // Dubbo's read-only event, Bolt's command 100: before the answer that is still to come.
        assert_eq!(client.recv().kind, Kind::GoAway, "{:?}", client.wire());
    }
    upstreams.iter().for_each(Upstream::release);
    for (listener, clients) in [("rpc", told), ("quiet", untold)] {
        for mut client in clients {
            let answer = client.recv();
            assert_eq!(
                (answer.kind, answer.token()),
                (Kind::Response, Some(listener))
            );
            client.closed();
        }
    }
    assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
}

#[test]
fn one_interrupt_drains_and_a_second_is_impatience() {
    let upstream = Upstream::holding("v1");
    let text = File::echo(upstream.address()).text();
    let mut gateway = Gateway::start_text(&text, &[]);
    let [mut idle, mut busy] = idle_and_busy(&gateway, &upstream, Wire::Dubbo);
    interrupt(&gateway);
    idle.closed();
    assert_eq!(gateway.process.wait(Duration::ZERO), End::StillRunning);
    interrupt(&gateway);
    assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
    busy.closed();
}

#[test]
fn listeners_can_be_drained_without_ending_the_process() {
    let upstream = Upstream::holding("v1");
    let text = File::echo(upstream.address()).text();
    let mut gateway = Gateway::start_text(&text, &[]);
    let address = gateway.address();
    let [mut idle, mut busy] = idle_and_busy(&gateway, &upstream, Wire::Bolt1);
    for _ in 0..2 {
        assert_eq!(
            gateway.admin("POST", "/drain_listeners"),
            (200, "OK\n".to_owned())
        );
    }
    idle.closed();
    refuses(address);
    assert_eq!(gateway.admin("GET", "/ready").0, 503);
    // The end of the process is asked for meanwhile, and again a drain: the call still has its time.
    gateway.process.terminate();
    assert_eq!(gateway.admin("POST", "/drain_listeners").0, 200);
    assert_eq!(gateway.admin("GET", "/ready").0, 503);
    upstream.release();
    assert_eq!(busy.recv().token(), Some("v1"));
    busy.closed();
    assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
}

#[test]
fn a_drained_process_waits_for_its_end() {
    let upstream = Upstream::named("v1");
    let text = File::echo(upstream.address()).text();
    let mut gateway = Gateway::start_text(&text, &[]);
    assert_eq!(gateway.admin("POST", "/drain_listeners").0, 200);
    refuses(gateway.address());
    assert_eq!(
        gateway.process.wait(Duration::from_millis(300)),
        End::StillRunning
    );
    assert_eq!(gateway.stop(PATIENCE), End::Code(0));
}

#[test]
fn the_process_can_be_ended_at_once() {
    let upstream = Upstream::holding("v1");
    let text = File::echo(upstream.address()).text();
    let mut gateway = Gateway::start_text(&text, &[]);
    let [_, mut busy] = idle_and_busy(&gateway, &upstream, Wire::Dubbo);
    assert_eq!(
        gateway.admin("POST", "/quitquitquit"),
        (200, "OK\n".to_owned())
    );
    assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
    busy.closed();
}
