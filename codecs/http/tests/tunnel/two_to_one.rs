//! From a client of HTTP/2 to a host of HTTP/1.

use crossdock_framework::{snapshot::HttpMetric, stream::HttpPolicy};
use tokio::time::timeout;

use crate::{
    peer::{H2Client, Host, Peer},
    rig::{PATIENCE, QUIET, Rig, Setup, run},
    streams::{Tunnel, client, connect, open, web_socket},
};

fn upgrades(http: &mut HttpPolicy) {
    (http.websocket, http.connect) = (true, true);
}

/// What a host accepts the key of a request with.
fn agreement(key: &str) -> String {
    let digest = ring::digest::digest(
        &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    );
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut accept = String::new();
    for group in digest.as_ref().chunks(3) {
        let mut bits = [0; 4];
        bits[1..=group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes(bits);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            let there = at as usize <= group.len();
            accept.push(if there { char::from(digit) } else { '=' });
        }
    }
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    )
}

/// A WebSocket that the host has agreed to.
async fn opened(host: &Host, rig: &Rig) -> (Tunnel, Peer) {
    let client = client(rig.address).await;
    let serving = async {
        let mut up = host.accept().await;
        let request = up.message().await;
        assert_eq!(request.start, "GET /chat?room=1 HTTP/1.1");
        assert_eq!(request.field("host"), Some("h"));
        assert_eq!(request.field("connection"), Some("upgrade"));
        assert_eq!(request.field("upgrade"), Some("websocket"));
        assert_eq!(request.field("sec-websocket-version"), Some("13"));
        assert_eq!(request.field("transfer-encoding"), None);
        assert_eq!(request.field("content-length"), None);
        let key = request.field("sec-websocket-key").expect("made up");
        up.send(agreement(key)).await;
        up
    };
    tokio::join!(open(&client, web_socket()), serving)
}

#[test]
fn extended_connect_becomes_an_upgrade() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1().http(upgrades)).await;
        let (mut tunnel, mut up) = opened(&host, &rig).await;
        assert_eq!(tunnel.status, 200);
        for name in ["upgrade", "connection", "sec-websocket-accept"] {
            assert_eq!(tunnel.headers.get(name), None, "{name}");
        }
        up.send("first").await;
        assert_eq!(tunnel.bytes().await, "first");
        tunnel.send("\0there");
        assert_eq!(up.bytes(6).await, b"\0there");
        assert_eq!(rig.http(HttpMetric::RqActive), 1);
        // Each direction ends on its own: the client's first.
        tunnel.end();
        up.closed().await;
        up.send("after").await;
        assert_eq!(tunnel.bytes().await, "after");
        assert_eq!(rig.http(HttpMetric::RqActive), 1);
        drop(up);
        assert!(tunnel.next().await.is_none());
        rig.settled().await;
    });
}

#[test]
fn a_host_may_end_first() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1().http(upgrades)).await;
        let (mut tunnel, mut up) = opened(&host, &rig).await;
        up.send("last").await;
        up.half_close().await;
        assert_eq!(tunnel.bytes().await, "last");
        assert!(tunnel.next().await.is_none());
        tunnel.send("still");
        assert_eq!(up.bytes(5).await, b"still");
        assert_eq!(rig.http(HttpMetric::RqActive), 1);
        tunnel.end();
        up.closed().await;
        rig.settled().await;
    });
}

#[test]
fn who_breaks_off_ends_the_tunnel() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1().http(upgrades)).await;
        let (mut tunnel, mut up) = opened(&host, &rig).await;
        tunnel.to.send_reset(h2::Reason::CANCEL);
        let mut space = [0];
        let read = timeout(
            PATIENCE,
            tokio::io::AsyncReadExt::read(&mut up.io, &mut space),
        );
        assert!(read.await.expect("an end comes").is_err(), "no reset");
        rig.settled().await;
        let (mut tunnel, up) = opened(&host, &rig).await;
        up.io.set_zero_linger().expect("a TCP socket");
        drop(up);
        let error = tunnel.next().await.expect("no clean end");
        let reason = error.expect_err("a reset").reason();
        assert_eq!(reason, Some(h2::Reason::CONNECT_ERROR));
        rig.settled().await;
    });
}

#[test]
fn slow_readers_stop_the_sender() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1().http(upgrades)).await;
        let (mut tunnel, mut up) = opened(&host, &rig).await;
        // The client gives no credit: the host's writes come to a stop.
        let block = vec![7; 64 * 1024];
        let mut sent = 0;
        while sent < 64 << 20 {
            let write = tokio::io::AsyncWriteExt::write(&mut up.io, &block);
            match timeout(QUIET, write).await {
                Ok(written) => sent += written.expect("the connection stands"),
                Err(_) => break,
            }
        }
        assert!(sent < 32 << 20, "{sent} bytes went somewhere");
        // The other direction goes on.
        tunnel.send("meanwhile");
        assert_eq!(up.bytes(9).await, b"meanwhile");
        let mut read = 0;
        while read < sent {
            read += tunnel.bytes().await.len();
        }
        assert_eq!(read, sent);
        drop((tunnel, up));
        rig.settled().await;
    });
}

#[test]
fn what_is_no_agreement() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1().http(upgrades)).await;
        for (answer, status) in [
            ("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", 403),
            // An HTTP/2 client would take it for one.
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 502),
            (
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n",
                502,
            ),
        ] {
            let client = client(rig.address).await;
            let serving = async {
                let mut up = host.accept().await;
                up.message().await;
                up.send(answer).await;
                up
            };
            let (tunnel, up) = tokio::join!(open(&client, web_socket()), serving);
            assert_eq!(tunnel.status, status, "{answer}");
            drop((tunnel, up));
            rig.settled().await;
        }
    });
}

#[test]
fn connect_stays_connect() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1().http(upgrades)).await;
        let client = client(rig.address).await;
        let serving = async {
            let mut up = host.accept().await;
            let request = up.message().await;
            assert_eq!(request.start, "CONNECT far:443 HTTP/1.1");
            assert_eq!(request.field("host"), Some("far:443"));
            up.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
            up
        };
        let (mut tunnel, mut up) = tokio::join!(open(&client, connect()), serving);
        assert_eq!(tunnel.status, 200);
        assert_eq!(tunnel.bytes().await, "hello");
        tunnel.send("there");
        assert_eq!(up.bytes(5).await, b"there");
        tunnel.end();
        up.closed().await;
        drop(up);
        assert!(tunnel.next().await.is_none());
        rig.settled().await;
    });
}

#[test]
fn nothing_is_offered_or_passed_that_is_not_configured() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1()).await;
        let mut client = H2Client::connect(rig.address).await;
        // The settings have come with an answer.
        let serving = async {
            let mut up = host.accept().await;
            up.message().await;
            up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
            up
        };
        let (_, _up) = tokio::join!(client.get("http://h/"), serving);
        assert!(!client.sender.is_extended_connect_protocol_enabled());
        assert_eq!(open(&client.sender, connect()).await.status, 403);
        rig.settled().await;
    });
}
