//! Clients that mean no good, and slow ones that do.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Host, Wire};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::file::{File, chain, inspector, rpc, shows};
use crate::peer::{Caller, PATIENCE};
use crate::{listener_settles, settles};

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream
}

/// Everything that comes until the gateway closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        // It closed with octets unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("still open: {error}"),
    }
    all
}

/// With and without a listener filter that looks at the ClientHello first.
fn gateways(echo: &Host, more: &Value) -> [Gateway; 2] {
    let authority = Authority::new("root");
    let mut plan = chain(rpc(json!({})), shows(&authority.issue(&["localhost"])));
    if let (Value::Object(plan), Value::Object(more)) = (&mut plan, more.clone()) {
        plan.extend(more);
    }
    let file = File::chains(json!([plan]), &[echo.address()]);
    let inspected = file.clone().with("listener_filters", json!([inspector()]));
    [file, inspected].map(|file| Gateway::start_text(&file.text(), &[]))
}

#[test]
fn a_hello_may_come_octet_by_octet() {
    let echo = Host::echo();
    for gateway in gateways(&echo, &json!({})) {
        let config = Arc::new(Caller::new("localhost").config);
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(config, name).expect("a good configuration");
        let mut socket = connect(gateway.address());
        let mut hello = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut hello).expect("memory");
        }
        for octet in &hello {
            socket.write_all(&[*octet]).expect("the gateway reads");
            if octet % 16 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        while session.is_handshaking() {
            session
                .complete_io(&mut socket)
                .expect("the gateway shakes hands");
        }
        let mut stream = StreamOwned::new(session, socket);
        let request = Wire::Dubbo.request(1, "<<slow>>");
        for octet in &request {
            stream.write_all(&[*octet]).expect("the gateway reads");
        }
        let mut answer = [0; 16];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer[..2], [0xda, 0xbb]);
    }
}

#[test]
fn what_is_no_hello_is_refused() {
    let echo = Host::echo();
    let [gateway, inspected] = gateways(&echo, &json!({}));
    let request = Wire::Dubbo.request(1, "<<plain>>");
    let broken = [&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0][..], &[0; 32]].concat();
    for octets in [request.as_slice(), b"GET / HTTP/1.1\r\n\r\n", &broken] {
        for gateway in [&gateway, &inspected] {
            let mut client = connect(gateway.address());
            client.write_all(octets).expect("the gateway reads");
            let said = rest(&mut client);
            assert!(
                said.is_empty() || said[0] == 21,
                "an alert at most: {said:?}"
            );
        }
    }
    settles(&gateway, "connection_error", 3);
    assert_eq!(echo.frames(), 0);
    Caller::new("localhost").call(gateway.address(), Wire::Dubbo);
    Caller::new("localhost").call(inspected.address(), Wire::Dubbo);
}

#[test]
fn a_hello_has_a_limit() {
    let echo = Host::echo();
    let [gateway, inspected] = gateways(&echo, &json!({}));
    // A handshake message of 60,000 octets, in records of 4096.
    let mut octets = Vec::new();
    let mut message = vec![1, 0, 0xea, 0x60];
    message.resize(60_004, 0);
    for part in message.chunks(4096) {
        octets.extend([22, 3, 1]);
        octets.extend((part.len() as u16).to_be_bytes());
        octets.extend(part);
    }
    for gateway in [&gateway, &inspected] {
        let mut client = connect(gateway.address());
        // It may close before all of it has been taken.
        let _ = client.write_all(&octets);
        rest(&mut client);
    }
    settles(&gateway, "connection_error", 1);
    listener_settles(&inspected, "tls_inspector.client_hello_too_large", 1);
}

#[test]
fn a_handshake_has_its_time() {
    let echo = Host::echo();
    let [gateway, _] = gateways(&echo, &json!({"transport_socket_connect_timeout": "0.3s"}));
    let mut clients = [b"".as_slice(), b"\x16\x03\x01"].map(|start| {
        let mut client = connect(gateway.address());
        client.write_all(start).expect("the gateway reads");
        client
    });
    for client in &mut clients {
        assert!(rest(client).is_empty());
    }
    listener_settles(
        &gateway,
        "downstream_cx_transport_socket_connect_timeout",
        2,
    );
    listener_settles(&gateway, "downstream_cx_active", 0);
    Caller::new("localhost").call(gateway.address(), Wire::Dubbo);
}

#[test]
fn garbage_within_a_session_ends_it_alone() {
    let echo = Host::echo();
    for gateway in gateways(&echo, &json!({})) {
        let mut good = Caller::new("localhost").call(gateway.address(), Wire::Dubbo);
        let config = Arc::new(Caller::new("localhost").config);
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(config, name).expect("a good configuration");
        let mut socket = connect(gateway.address());
        while session.is_handshaking() {
            session
                .complete_io(&mut socket)
                .expect("the gateway shakes hands");
        }
        socket
            .write_all(&[23, 3, 3, 0, 32])
            .expect("the gateway reads");
        socket.write_all(&[7; 32]).expect("the gateway reads");
        rest(&mut socket);
        good.call(Wire::Dubbo, 2, "unharmed");
    }
}

#[test]
fn the_last_word_is_said_to_clients_that_leave() {
    let echo = Host::echo();
    let [gateway, _] = gateways(&echo, &json!({}));
    let mut client = Caller::new("localhost").call(gateway.address(), Wire::Dubbo);
    // Several megabytes of answers are under way when the client has said all that it has to say.
    for id in 0..4 {
        client.write(&Wire::Dubbo.request(id, &"z".repeat(2 << 20)));
    }
    client.leave();
    let mut answers = 0;
    while let Ok(frame) = client.recv() {
        assert!(frame.is_good());
        answers += 1;
    }
    assert_eq!(answers, 4);
    // The end is told within the session; without that it would be an error.
    assert!(client.rest().expect("a close_notify").is_empty());
}

#[test]
fn many_half_open_handshakes_harm_nobody() {
    let echo = Host::echo();
    let [gateway, _] = gateways(&echo, &json!({}));
    let idle: Vec<_> = (0..300)
        .map(|_| {
            let mut client = connect(gateway.address());
            client
                .write_all(b"\x16\x03\x01\x02\x00\x01")
                .expect("the gateway reads");
            client
        })
        .collect();
    for id in 0..20 {
        Caller::new("localhost")
            .call(gateway.address(), Wire::Bolt1)
            .call(Wire::Bolt1, id, "x");
    }
    for client in idle {
        let _ = client.shutdown(Shutdown::Both);
    }
    listener_settles(&gateway, "downstream_cx_active", 0);
}
