//! From a client of HTTP/1 to a host of HTTP/2.

use std::time::Duration;

use crossdock_framework::snapshot::HttpMetric;

use crate::{
    peer::{Host, Peer},
    rig::{Rig, Setup, eventually, run},
    streams::{Tunnel, accept, agree},
};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn setup(host: &Host) -> Setup {
    Setup::to(host)
        .speaking_http2()
        .http(|http| (http.websocket, http.connect) = (true, true))
}

/// A WebSocket that the host has agreed to, and its connection.
async fn opened(host: &Host, rig: &Rig) -> (Peer, Tunnel, crate::peer::H2Host) {
    let mut client = rig.client().await;
    client.send(UPGRADE).await;
    let mut up = accept(host).await;
    let (asked, tunnel) = agree(&mut up).await;
    assert_eq!(asked.method, "CONNECT");
    assert_eq!(asked.uri, "http://h/chat");
    let protocol = asked.extensions.get::<h2::ext::Protocol>();
    assert_eq!(protocol.map(h2::ext::Protocol::as_str), Some("websocket"));
    assert_eq!(asked.headers.get("upgrade"), None);
    let head = client.head().await;
    assert_eq!(head.start, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(head.field("connection"), Some("upgrade"));
    assert_eq!(head.field("upgrade"), Some("WebSocket"));
    // The host has not said it.
    let accept = Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(head.field("sec-websocket-accept"), accept);
    assert_eq!(head.field("x-host"), Some("two"));
    (client, tunnel, up)
}

#[test]
fn an_upgrade_becomes_extended_connect() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let (mut client, mut tunnel, _up) = opened(&host, &rig).await;
        client.send("\0there").await;
        assert_eq!(tunnel.bytes().await, "\0there");
        tunnel.send("back");
        assert_eq!(client.bytes(4).await, b"back");
        // Each direction ends on its own: the client's first.
        client.half_close().await;
        assert!(tunnel.next().await.is_none());
        tunnel.send("after");
        assert_eq!(client.bytes(5).await, b"after");
        assert_eq!(rig.http(HttpMetric::RqActive), 1);
        tunnel.end();
        client.closed().await;
        drop(client);
        rig.deserted().await;
    });
}

#[test]
fn a_host_may_end_first() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let (mut client, mut tunnel, _up) = opened(&host, &rig).await;
        tunnel.send("last");
        tunnel.end();
        assert_eq!(client.bytes(4).await, b"last");
        client.closed().await;
        client.send("still").await;
        assert_eq!(tunnel.bytes().await, "still");
        drop(client);
        assert!(tunnel.next().await.is_none());
        rig.deserted().await;
    });
}

#[test]
fn who_breaks_off_ends_the_tunnel() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let (client, mut tunnel, up) = opened(&host, &rig).await;
        client.io.set_zero_linger().expect("a TCP socket");
        drop(client);
        let error = tunnel.next().await.expect("no clean end");
        assert!(error.expect_err("a reset").is_reset());
        rig.deserted().await;
        // The pooled connection stands.
        let mut up = up;
        let mut client = rig.client().await;
        client.send(UPGRADE).await;
        let (_, mut tunnel) = agree(&mut up).await;
        client.head().await;
        tunnel.to.send_reset(h2::Reason::INTERNAL_ERROR);
        let mut space = [0];
        let read = tokio::io::AsyncReadExt::read(&mut client.io, &mut space).await;
        assert!(read.is_err(), "no reset");
        rig.deserted().await;
    });
}

#[test]
fn a_host_without_extended_connect_is_not_asked() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let mut client = rig.client().await;
        client.send(UPGRADE).await;
        let _up = host.accept_h2().await;
        let answer = client.message().await;
        assert_eq!(answer.status(), 502);
        assert!(answer.text().contains("SETTINGS_ENABLE_CONNECT_PROTOCOL"));
        rig.settled().await;
    });
}

#[test]
fn a_refusal_is_an_answer() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let mut client = rig.client().await;
        client.send(UPGRADE).await;
        let mut up = accept(&host).await;
        let (_request, mut respond) = up.stream().await;
        crate::peer::reply(&mut respond, 403, "no", None);
        let answer = client.message().await;
        assert_eq!((answer.status(), answer.text()), (403, "no"));
        rig.settled().await;
    });
}

#[test]
fn an_upgrade_with_a_body_is_not_told() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let mut client = rig.client().await;
        let body = "content-length: 2\r\n\r\nhi";
        let request = UPGRADE.replace("\r\n\r\n", "\r\n") + body;
        client.send(request).await;
        assert_eq!(client.message().await.status(), 400);
        rig.settled().await;
    });
}

#[test]
fn connect_stays_connect() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let mut client = rig.client().await;
        client
            .send("CONNECT far:443 HTTP/1.1\r\nhost: far:443\r\n\r\n")
            .await;
        let mut up = accept(&host).await;
        let (asked, mut tunnel) = agree(&mut up).await;
        assert_eq!(
            (asked.method.as_str(), asked.uri.to_string()),
            ("CONNECT", "far:443".into())
        );
        assert_eq!(client.head().await.status(), 200);
        client.send("ping").await;
        assert_eq!(tunnel.bytes().await, "ping");
        tunnel.send("pong");
        assert_eq!(client.bytes(4).await, b"pong");
        tunnel.end();
        drop(client);
        rig.deserted().await;
    });
}

#[test]
fn idle_tunnels_end() {
    run(async {
        let host = Host::bind();
        let setup = setup(&host).http(|http| {
            http.stream_idle_timeout = Duration::from_millis(900);
        });
        let rig = Rig::start(setup).await;
        let (mut client, mut tunnel, _up) = opened(&host, &rig).await;
        // What moves either way keeps it.
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            client.send("x").await;
            assert_eq!(tunnel.bytes().await, "x");
        }
        assert_eq!(rig.http(HttpMetric::RqActive), 1);
        eventually("the tunnel ends", || rig.http(HttpMetric::RqActive) == 0).await;
        assert!(tunnel.next().await.is_none_or(|next| next.is_err()));
        rig.deserted().await;
    });
}

#[test]
fn the_answer_of_an_upgrade_has_to_begin_in_time() {
    run(async {
        let host = Host::bind();
        let mut setup = setup(&host);
        setup.timeout = Some(Duration::from_millis(150));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(UPGRADE).await;
        let mut up = accept(&host).await;
        let _asked = up.stream().await;
        assert_eq!(client.message().await.status(), 504);
        // A tunnel lasts longer.
        client.send(UPGRADE).await;
        let (_, mut tunnel) = agree(&mut up).await;
        assert_eq!(client.head().await.status(), 101);
        tokio::time::sleep(Duration::from_millis(300)).await;
        tunnel.send("late");
        assert_eq!(client.bytes(4).await, b"late");
        tunnel.end();
        drop(client);
        rig.deserted().await;
    });
}
