//! How connections end: for their age, by a reset, and in a drain.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::{Deadline, End, Gateway};
use rustix::net::sockopt::set_socket_linger;
use serde_json::json;

use super::logging::{Lines, SOON, log};
use super::{connect, greeter, next, rest, settles};
use crate::file::{File, everything_to};
use crate::upstream::{PATIENCE, Upstream};

/// A gateway whose listener `plain` goes to `server`, with these fields of `tcp_proxy`, and its log.
fn plain(server: SocketAddr, proxy: serde_json::Value, args: &[&str]) -> (Gateway, Lines) {
    let format = json!({"flags": "%RESPONSE_FLAGS%", "reason": "%DOWNSTREAM_LOCAL_CLOSE_REASON%"});
    let own = json!({"cluster": "server", "access_log": [log("plain.log", format, json!({}))]});
    let text = File::new()
        .tcp("plain", crate::file::merged(own, proxy))
        .cluster("server", &[server], json!({}))
        .text();
    let args: Vec<&str> = SOON.iter().chain(args).copied().collect();
    let gateway = Gateway::start_text(&text, &args);
    let lines = Lines::of(&gateway, "plain.log");
    (gateway, lines)
}

/// A server that hands its connections over.
fn host() -> (SocketAddr, Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    let (sender, accepted) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if stream.set_read_timeout(Some(PATIENCE)).is_err() || sender.send(stream).is_err() {
                return;
            }
        }
    });
    (address, accepted)
}

/// Closes a connection by a reset.
fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).expect("a TCP socket");
    drop(stream);
}

/// Reads to the end, which has to be a reset.
#[track_caller]
fn is_reset(mut stream: &TcpStream) {
    let ended = stream.read_to_end(&mut Vec::new());
    let kind = ended.map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionReset));
}

#[test]
fn an_idle_time_of_zero_is_none() {
    let (gateway, _) = plain(greeter("hello"), json!({"idle_timeout": "0s"}), &[]);
    let client = connect(gateway.address_of("plain"));
    assert_eq!(next(&client, 5), "hello");
    thread::sleep(Duration::from_millis(300));
    (&client).write_all(b"four").expect("it is open");
    client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(rest(&client), " heard 4 octets");
    assert_eq!(gateway.stat("tcp.plain.idle_timeout"), 0);
}

#[test]
fn idleness_counts_after_one_side_has_closed() {
    let (server, accepted) = host();
    let (gateway, lines) = plain(server, json!({"idle_timeout": "0.2s"}), &[]);
    let client = connect(gateway.address_of("plain"));
    client.shutdown(Shutdown::Write).expect("it is open");
    let theirs = accepted.recv_timeout(PATIENCE).expect("it is connected");
    assert_eq!(rest(&theirs), "", "the client has nothing to say");
    assert_eq!(rest(&client), "");
    assert_eq!(lines.next(0)["reason"], "tcp_session_idle_timeout");
    assert_eq!(gateway.stat("tcp.plain.idle_timeout"), 1);
}

#[test]
fn an_old_connection_is_closed_however_busy() {
    let (server, accepted) = host();
    let proxy = json!({
        "max_downstream_connection_duration": "0.3s",
        "max_downstream_connection_duration_jitter_percentage": {"value": 50},
    });
    let (gateway, lines) = plain(server, proxy, &[]);
    let (least, most) = (
        Deadline::after(Duration::from_millis(300)),
        Deadline::after(PATIENCE),
    );
    let mut client = connect(gateway.address_of("plain"));
    let _theirs = accepted.recv_timeout(PATIENCE).expect("it is connected");
    while client.write_all(b"x").is_ok() {
        assert!(!most.passed(), "it lives on");
        most.tick();
    }
    assert!(least.passed());
    let line = lines.next(0);
    assert_eq!(line["flags"], "DT");
    assert_eq!(line["reason"], "max_connection_duration_reached");
    assert_eq!(
        gateway.stat("tcp.plain.max_downstream_connection_duration"),
        1
    );
}

#[test]
fn a_host_that_has_said_all_still_hears() {
    let (server, accepted) = host();
    let (gateway, _) = plain(server, json!({}), &[]);
    let mut client = connect(gateway.address_of("plain"));
    let mut theirs = accepted.recv_timeout(PATIENCE).expect("it is connected");
    theirs.write_all(b"all").expect("it is open");
    theirs.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(rest(&client), "all");
    let reader = thread::spawn(move || rest(&theirs).len());
    client
        .write_all(&vec![b'x'; 300_000])
        .expect("the gateway reads");
    client.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(reader.join().ok(), Some(300_000));
}

#[test]
fn a_reset_is_passed_on_as_one() {
    let (server, accepted) = host();
    let (gateway, lines) = plain(server, json!({}), &[]);
    let client = connect(gateway.address_of("plain"));
    let mut theirs = accepted.recv_timeout(PATIENCE).expect("it is connected");
    theirs.write_all(b"half").expect("it is open");
    assert_eq!(next(&client, 4), "half");
    reset(theirs);
    is_reset(&client);
    assert_eq!(lines.next(0)["flags"], "UR");

    let client = connect(gateway.address_of("plain"));
    let theirs = accepted.recv_timeout(PATIENCE).expect("it is connected");
    reset(client);
    is_reset(&theirs);
    assert_eq!(lines.next(1)["flags"], "-");
    settles(&gateway, "cluster.server.upstream_cx_active", 0);
}

#[test]
fn a_client_that_leaves_while_it_is_connected_frees_its_place() {
    // Nobody answers: the first connections fill the backlog, and the kernel drops further ones.
    let listener = full_backlog();
    let address = listener.0;
    let timeout = json!({"connect_timeout": "3600s"});
    let text = File::new()
        .tcp("plain", json!({"cluster": "server"}))
        .cluster("server", &[address], timeout)
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let clients: Vec<_> = (0..4)
        .map(|_| connect(gateway.address_of("plain")))
        .collect();
    settles(&gateway, "cluster.server.upstream_cx_total", 4);
    clients.into_iter().for_each(reset);
    settles(&gateway, "tcp.plain.downstream_cx_active", 0);
    settles(
        &gateway,
        "cluster.server.circuit_breakers.default.remaining_cx",
        1024,
    );
}

/// A listener with the shortest backlog there is, filled.
fn full_backlog() -> (SocketAddr, rustix::fd::OwnedFd, Vec<TcpStream>) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a TCP socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    bind(&socket, &any).expect("loopback has a free port");
    listen(&socket, 0).expect("it is bound");
    let address = getsockname(&socket)
        .ok()
        .and_then(|at| SocketAddr::try_from(at).ok())
        .expect("it is bound");
    let mut waiting = Vec::new();
    let short = Duration::from_millis(200);
    while let Ok(stream) = TcpStream::connect_timeout(&address, short) {
        waiting.push(stream);
        assert!(waiting.len() < 64, "the backlog has no end");
    }
    (address, socket, waiting)
}

#[test]
fn a_drain_leaves_connections_their_time_and_then_ends_them() {
    let (mut gateway, lines) = plain(greeter("hello"), json!({}), &["--drain-time-s", "2"]);
    let mut client = connect(gateway.address_of("plain"));
    assert_eq!(next(&client, 5), "hello");
    assert_eq!(gateway.admin("POST", "/drain_listeners").0, 200);
    let least = Deadline::after(Duration::from_millis(1500));
    thread::sleep(Duration::from_millis(300));
    client.write_all(b"four").expect("it is open");
    assert_eq!(rest(&client), "");
    assert!(least.passed());
    assert_eq!(lines.next(0)["reason"], "drain_close");
    assert_eq!(gateway.process.wait(Duration::ZERO), End::StillRunning);
    assert_eq!(gateway.stop(PATIENCE), End::Code(0));
}

#[test]
fn a_connection_can_leave_a_drain_with_its_next_bytes() {
    let proxy = json!({"check_drain_close": true});
    let (gateway, _) = plain(greeter("hello"), proxy, &["--drain-time-s", "600"]);
    let mut client = connect(gateway.address_of("plain"));
    assert_eq!(next(&client, 5), "hello");
    assert_eq!(gateway.admin("POST", "/drain_listeners").0, 200);
    thread::sleep(Duration::from_millis(100));
    client.write_all(b"four").expect("it is open");
    assert_eq!(rest(&client), "");
}

#[test]
fn inbound_listeners_drain_while_the_others_serve() {
    let echo = Upstream::named("v1");
    let (inbound, outbound) = (
        json!({"traffic_direction": "INBOUND"}),
        json!({"traffic_direction": "OUTBOUND"}),
    );
    let routes = || json!({"route_config": everything_to("echo")});
    let text = File::new()
        .rpc("in", routes(), inbound.clone())
        .rpc("out", routes(), outbound.clone())
        .tcp_of("plain-in", json!({"cluster": "server"}), inbound)
        .tcp_of("plain-out", json!({"cluster": "server"}), outbound)
        .cluster("echo", &[echo.address()], json!({}))
        .cluster("server", &[greeter("hello")], json!({}))
        .text();
    let mut gateway = Gateway::start_text(&text, &["--drain-time-s", "1"]);
    let call = |listener: &str| {
        let mut client = Client::connect(gateway.address_of(listener), Wire::Bolt1);
        client.write(&Call::new(Wire::Bolt1, 1).octets());
        assert_eq!(client.recv().token(), Some("v1"));
        client
    };
    let [mut called_in, mut called_out] = ["in", "out"].map(call);
    let [plain_in, plain_out] = ["plain-in", "plain-out"].map(|name| {
        let client = connect(gateway.address_of(name));
        assert_eq!(next(&client, 5), "hello");
        client
    });
    let silent = connect(gateway.address_of("in"));
    let accepting = ["in", "plain-in"].map(|name| gateway.address_of(name));
    assert_eq!(gateway.admin("POST", "/drain_listeners?inboundonly").0, 200);
    called_in.closed();
    assert_eq!(rest(&silent), "");
    assert_eq!(rest(&plain_in), "");
    for address in accepting {
        assert!(TcpStream::connect(address).is_err(), "{address} accepts");
    }
    called_out.write(&Call::new(Wire::Bolt1, 2).octets());
    assert_eq!(called_out.recv().id, 2);
    call("out");
    plain_out.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(rest(&plain_out), " heard 0 octets");
    // The drain of the rest is another one.
    gateway.process.terminate();
    called_out.closed();
    assert_eq!(gateway.process.wait(PATIENCE), End::Code(0));
}
