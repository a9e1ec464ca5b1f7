//! HTTP/2, and between the versions.

use std::time::Duration;

use bytes::Bytes;
use crossdock_framework::{cluster::ClusterMetric, snapshot::HttpMetric, worker::DrainScope};
use http::Request;
use tokio::time::timeout;

use crate::{
    peer::{H2Client, Host, drain, fields, reply},
    rig::{PATIENCE, QUIET, Rig, Setup, run},
};

const URI: &str = "http://h/path?q";

#[test]
fn http2_to_http2() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let serving = async {
            let mut up = host.accept_h2().await;
            let (request, mut respond) = up.stream().await;
            let (head, body) = request.into_parts();
            assert_eq!(head.uri, URI);
            assert_eq!(head.headers["x-one"], "1");
            let (body, trailers) = drain(body).await;
            assert_eq!(body.expect("a body"), b"ask");
            assert_eq!(trailers, Some(fields(&[("x-sum", "7")])));
            reply(
                &mut respond,
                200,
                "answer",
                Some(fields(&[("grpc-status", "0")])),
            );
            up
        };
        let request = Request::post(URI).header("x-one", "1");
        let calling = client.call(request, "ask", Some(fields(&[("x-sum", "7")])));
        let (answer, _up) = tokio::join!(calling, serving);
        assert_eq!((answer.status, answer.text()), (200, "answer"));
        assert_eq!(answer.trailers, Some(fields(&[("grpc-status", "0")])));
        rig.settled().await;
    });
}

#[test]
fn http2_to_http1() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1()).await;
        let mut client = H2Client::connect(rig.address).await;
        let serving = async {
            let mut up = host.accept().await;
            let request = up.message().await;
            assert_eq!(request.start, "POST /path?q HTTP/1.1");
            assert_eq!(request.field("host"), Some("h"));
            assert_eq!(request.field("cookie"), Some("a=1; b=2"));
            assert_eq!(request.text(), "ask");
            assert_eq!(request.trailers, [("x-sum".to_owned(), "7".to_owned())]);
            up.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n6\r\nanswer\r\n0\r\nx-end: 1\r\n\r\n").await;
            // A request without a body has none here either.
            let request = up.message().await;
            assert_eq!(request.start, "GET /path?q HTTP/1.1");
            assert_eq!(request.field("transfer-encoding"), None);
            assert_eq!(request.field("content-length"), None);
            up.send("HTTP/1.1 204 No Content\r\n\r\n").await;
            up
        };
        let calling = async {
            let request = Request::post(URI)
                .header("cookie", "a=1")
                .header("cookie", "b=2")
                .header("trailer", "x-sum");
            let answer = client
                .call(request, "ask", Some(fields(&[("x-sum", "7")])))
                .await;
            assert_eq!(answer.text(), "answer");
            assert_eq!(answer.trailers, Some(fields(&[("x-end", "1")])));
            assert!(!answer.headers.contains_key("x-hop"));
            assert_eq!(client.get(URI).await.status, 204);
        };
        tokio::join!(calling, serving);
        rig.settled().await;
    });
}

#[test]
fn http1_to_http2() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http2()).await;
        let mut client = rig.client().await;
        client
            .send("POST /path?q HTTP/1.1\r\nhost: h\r\nte: trailers\r\ntransfer-encoding: chunked\r\nkeep-alive: x\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n3\r\nask\r\n0\r\nx-sum: 7\r\n\r\n")
            .await;
        let mut up = host.accept_h2().await;
        let (request, mut respond) = up.stream().await;
        let (head, body) = request.into_parts();
        assert_eq!(head.uri, URI);
        assert_eq!(head.headers["te"], "trailers");
        for gone in [
            "host",
            "transfer-encoding",
            "keep-alive",
            "connection",
            "x-hop",
        ] {
            assert!(!head.headers.contains_key(gone), "{gone}");
        }
        let (body, trailers) = drain(body).await;
        assert_eq!(body.expect("a body"), b"ask");
        assert_eq!(trailers, Some(fields(&[("x-sum", "7")])));
        reply(&mut respond, 200, "answer", Some(fields(&[("x-end", "1")])));
        let answer = client.message().await;
        assert_eq!(answer.text(), "answer");
        assert_eq!(answer.field("connection"), None);
        rig.settled().await;
    });
}

/// A caller over HTTP/1 has its answer when it has so many bytes; the host's stream has an end of its own.
#[test]
fn the_end_of_a_stream_may_come_after_its_last_byte() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http2()).await;
        let mut client = rig.client().await;
        let mut up = None;
        for method in ["GET", "HEAD"] {
            client
                .send(format!("{method} / HTTP/1.1\r\nhost: h\r\n\r\n"))
                .await;
            if up.is_none() {
                up = Some(host.accept_h2().await);
            }
            let up = up.as_mut().expect("it stands");
            let (_, mut respond) = up.stream().await;
            let head = http::Response::builder().header("content-length", "6");
            let head = head.body(()).expect("an answer");
            let mut stream = respond.send_response(head, false).expect("it stands");
            let answer = if method == "GET" {
                stream
                    .send_data(Bytes::from_static(b"answer"), false)
                    .expect("it stands");
                client.message().await
            } else {
                client.head().await
            };
            assert_eq!(answer.field("content-length"), Some("6"));
            // A reset would have arrived by then, and the stream would take no end.
            tokio::time::sleep(QUIET).await;
            stream.send_data(Bytes::new(), true).expect("it stands");
        }
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::RqOrphaned), 0);
    });
}

/// A host that gives no end keeps neither the call nor its place for long.
#[test]
fn a_stream_without_an_end_is_given_up_after_its_last_byte() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http2()).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept_h2().await;
        let (_, mut respond) = up.stream().await;
        let head = http::Response::builder().header("content-length", "6");
        let head = head.body(()).expect("an answer");
        let mut stream = respond.send_response(head, false).expect("it stands");
        stream
            .send_data(Bytes::from_static(b"answer"), false)
            .expect("it stands");
        assert_eq!(client.message().await.text(), "answer");
        let reset = timeout(PATIENCE, std::future::poll_fn(|cx| stream.poll_reset(cx))).await;
        let reason = reset
            .expect("a reset comes")
            .expect("the connection stands");
        assert_eq!(reason, h2::Reason::CANCEL);
        rig.settled().await;
    });
}

#[test]
fn clients_share_connections() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut one = H2Client::connect(rig.address).await;
        let mut two = H2Client::connect(rig.address).await;
        let serving = async {
            let mut up = host.accept_h2().await;
            let mut held = Vec::new();
            for _ in 0..2 {
                held.push(up.stream().await.1);
            }
            held.iter_mut()
                .for_each(|respond| reply(respond, 200, "both", None));
            up
        };
        let (a, b, _up) = tokio::join!(one.get(URI), two.get(URI), serving);
        assert_eq!((a.text(), b.text()), ("both", "both"));
        assert_eq!(rig.upstream(ClusterMetric::CxTotal), 1);
        assert!(!host.is_called().await);
    });
}

#[test]
fn a_connection_that_goes_away_is_replaced() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let mut other = H2Client::connect(rig.address).await;
        let serving = async {
            let mut up = host.accept_h2().await;
            let (_, mut first) = up.stream().await;
            up.go_away().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let calling = other.get(URI);
            let again = async {
                let mut next = host.accept_h2().await;
                let (_, mut second) = next.stream().await;
                reply(&mut second, 200, "new", None);
                next
            };
            let (answer, next) = tokio::join!(calling, again);
            assert_eq!(answer.text(), "new");
            reply(&mut first, 200, "old", None);
            assert!(up.ended().await, "after its last stream");
            next
        };
        let (answer, _next) = tokio::join!(client.get(URI), serving);
        assert_eq!(answer.text(), "old");
        rig.settled().await;
    });
}

#[test]
fn a_refused_stream_is_sent_again() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let serving = async {
            let mut up = host.accept_h2().await;
            let (_, mut respond) = up.stream().await;
            respond.send_reset(h2::Reason::REFUSED_STREAM);
            drop(respond);
            let (_, mut respond) = up.stream().await;
            reply(&mut respond, 200, "ok", None);
            up
        };
        let (answer, _up) = tokio::join!(client.get(URI), serving);
        assert_eq!(answer.text(), "ok");
        rig.settled().await;
    });
}

#[test]
fn a_reset_of_the_host_is_passed_on() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let serving = async {
            let mut up = host.accept_h2().await;
            let (_, mut respond) = up.stream().await;
            let head = http::Response::new(());
            let mut stream = respond.send_response(head, false).expect("it stands");
            stream
                .send_data(Bytes::from_static(b"part"), false)
                .expect("it stands");
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.send_reset(h2::Reason::ENHANCE_YOUR_CALM);
            up
        };
        let (answer, _up) = tokio::join!(client.get(URI), serving);
        let error = answer.body.expect_err("broken off");
        assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
        rig.settled().await;
    });
}

#[test]
fn a_stream_that_its_client_resets_is_reset_at_the_host() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let client = H2Client::connect(rig.address).await;
        let mut sender = client.sender.clone().ready().await.expect("it stands");
        let request = Request::post(URI).body(()).expect("a request");
        let (_answer, mut stream) = sender.send_request(request, false).expect("it is sent");
        let mut up = host.accept_h2().await;
        let (_, mut respond) = up.stream().await;
        stream.send_reset(h2::Reason::CANCEL);
        let reset = std::future::poll_fn(|cx| respond.poll_reset(cx));
        let reason = timeout(PATIENCE, reset).await.expect("a reset comes");
        assert_eq!(reason.expect("the connection stands"), h2::Reason::CANCEL);
        rig.settled().await;
    });
}

#[test]
fn a_drain_says_goaway_and_lets_streams_end() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let serving = async {
            let mut up = host.accept_h2().await;
            let (_, mut respond) = up.stream().await;
            rig.worker
                .begin_drain(Duration::from_secs(20), DrainScope::All);
            tokio::time::sleep(Duration::from_millis(500)).await;
            reply(&mut respond, 200, "ok", None);
            up
        };
        let (answer, _up) = tokio::join!(client.get(URI), serving);
        assert_eq!(answer.text(), "ok");
        rig.deserted().await;
    });
}

#[test]
fn a_slow_reader_stops_its_host() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let client = H2Client::connect(rig.address).await;
        let mut sender = client.sender.clone().ready().await.expect("it stands");
        let request = Request::get(URI).body(()).expect("a request");
        let (answer, _) = sender.send_request(request, true).expect("it is sent");
        let mut up = host.accept_h2().await;
        let (_, mut respond) = up.stream().await;
        let mut stream = respond
            .send_response(http::Response::new(()), false)
            .expect("it stands");
        let answer = timeout(PATIENCE, answer)
            .await
            .expect("an answer")
            .expect("it stands");
        let mut sent = 0;
        loop {
            stream.reserve_capacity(16 * 1024);
            let credit = std::future::poll_fn(|cx| stream.poll_capacity(cx));
            let Ok(Some(Ok(credit))) = timeout(Duration::from_millis(300), credit).await else {
                break;
            };
            sent += credit;
            assert!(sent < 8 << 20, "nobody reads");
            stream
                .send_data(Bytes::from(vec![0; credit]), false)
                .expect("it stands");
        }
        // The reader's window, ours, and what waits to be written between them.
        assert!(sent <= 64 * 1024 + 256 * 1024 + 128 * 1024, "{sent}");
        stream.send_data(Bytes::new(), true).expect("it stands");
        let (body, _) = drain(answer.into_body()).await;
        assert_eq!(body.expect("a body").len(), sent);
        rig.settled().await;
    });
}

#[test]
fn clients_that_wait_to_be_told_to_go_on_are_told() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let client = H2Client::connect(rig.address).await;
        let mut sender = client.sender.clone().ready().await.expect("it stands");
        let request = Request::post(URI).header("expect", "100-continue");
        let request = request.body(()).expect("a request");
        let (mut answer, mut stream) = sender.send_request(request, false).expect("it is sent");
        let told = std::future::poll_fn(|cx| answer.poll_informational(cx));
        let told = timeout(PATIENCE, told).await.expect("it is told");
        assert_eq!(told.expect("an answer").expect("it stands").status(), 100);
        stream
            .send_data(Bytes::from_static(b"body"), true)
            .expect("it stands");
        let mut up = host.accept_h2().await;
        let (request, mut respond) = up.stream().await;
        let (head, body) = request.into_parts();
        assert!(!head.headers.contains_key("expect"));
        assert_eq!(drain(body).await.0.expect("a body"), b"body");
        reply(&mut respond, 200, "ok", None);
        let answer = timeout(PATIENCE, answer).await.expect("an answer comes");
        assert_eq!(answer.expect("it stands").status(), 200);
    });
}
