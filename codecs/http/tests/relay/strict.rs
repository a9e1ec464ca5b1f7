//! What is refused: requests and answers that two parsers could read differently.

use crossdock_framework::{cluster::ClusterMetric, snapshot::HttpMetric};

use crate::{
    peer::Host,
    rig::{Rig, Setup, eventually, run},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";

#[test]
fn a_refused_request_is_answered_after_those_before_it() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client
            .send([GET, "GET /2 HTTP/1.1\r\nhost : h\r\n\r\n", GET].concat())
            .await;
        let mut up = host.accept().await;
        assert_eq!(up.message().await.start, "GET / HTTP/1.1");
        client.silent().await;
        up.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
        let answer = client.message().await;
        assert_eq!(answer.start, "HTTP/1.1 400 Bad Request");
        assert_eq!(answer.field("connection"), Some("close"));
        client.closed().await;
        up.silent().await;
        drop(client);
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::CxProtocolError), 1);
        assert_eq!(rig.http(HttpMetric::RqTotal), 2, "the refused one too");
        assert_eq!(rig.http(HttpMetric::Rq4xx), 1);
    });
}

#[test]
fn a_head_may_come_byte_by_byte() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        let request =
            "POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        for byte in request.bytes() {
            client.send([byte]).await;
            tokio::task::yield_now().await;
        }
        let mut up = host.accept().await;
        let message = up.message().await;
        assert_eq!(
            (message.start.as_str(), message.text()),
            ("POST /x HTTP/1.1", "ab")
        );
        up.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
        drop(client);
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::CxProtocolError), 0);
    });
}

#[test]
fn a_body_that_turns_wrong_breaks_off_its_request() {
    run(async {
        let host = Host::bind();
        for setup in [Setup::to(&host), Setup::to(&host).speaking_http2()] {
            let http2 =
                setup.upstream.version == crossdock_framework::stream::UpstreamVersion::Http2;
            let rig = Rig::start(setup).await;
            let mut client = rig.client().await;
            client
                .send("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
                .await;
            if http2 {
                let mut up = host.accept_h2().await;
                let (request, _respond) = up.stream().await;
                client
                    .send("1\r\naX\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n")
                    .await;
                let (body, _) = crate::peer::drain(request.into_body()).await;
                assert!(body.is_err());
                assert_eq!(client.message().await.status(), 400);
            } else {
                let mut up = host.accept().await;
                up.head().await;
                client
                    .send("1\r\naX\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n")
                    .await;
                let rest = String::from_utf8(up.rest().await).expect("text");
                assert!(
                    !rest.contains("0\r\n\r\n") && !rest.contains("GET"),
                    "{rest}"
                );
                let answer = client.message().await;
                assert_eq!(
                    (answer.status(), answer.field("connection")),
                    (400, Some("close"))
                );
            }
            client.closed().await;
            drop(client);
            rig.deserted().await;
            assert_eq!(rig.http(HttpMetric::CxProtocolError), 1);
        }
    });
}

#[test]
fn answers_with_two_readings_are_not_passed_on() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        for (at, answer) in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            "nonsense\r\n\r\n",
        ]
        .into_iter()
        .enumerate()
        {
            let mut client = rig.client().await;
            client.send(GET).await;
            let mut up = host.accept().await;
            up.message().await;
            up.send(answer).await;
            assert_eq!(client.message().await.status(), 502, "{answer}");
            up.closed().await;
            // The client's connection is as good as before.
            client.send(GET).await;
            let mut up = host.accept().await;
            up.message().await;
            up.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                .await;
            assert_eq!(client.message().await.text(), "ok");
            up.closed().await;
            rig.settled().await;
            eventually("it is counted", || {
                rig.upstream(ClusterMetric::CxProtocolError) == at as u64 + 1
            })
            .await;
        }
    });
}

#[test]
fn bytes_after_an_answer_reach_nobody() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        for surplus in [
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad",
            "x",
            "\r\n",
        ] {
            for (request, answer) in [
                (GET, OK),
                (
                    "HEAD / HTTP/1.1\r\nhost: h\r\n\r\n",
                    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
                ),
                (GET, "HTTP/1.1 204 No Content\r\n\r\n"),
                (
                    GET,
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                ),
            ] {
                // With the answer, and after it.
                for later in [false, true] {
                    let mut client = rig.client().await;
                    client.send(request).await;
                    let mut up = host.accept().await;
                    up.message().await;
                    let head = request.starts_with("HEAD");
                    if later {
                        up.send(answer).await;
                        if head {
                            client.head().await
                        } else {
                            client.message().await
                        };
                        up.send(surplus).await;
                    } else {
                        up.send([answer, surplus].concat()).await;
                        if head {
                            client.head().await
                        } else {
                            client.message().await
                        };
                    }
                    up.closed().await;
                    client.silent().await;
                }
            }
        }
        rig.settled().await;
        eventually("all are closed", || {
            rig.upstream(ClusterMetric::CxActive) == 0
        })
        .await;
        assert_eq!(rig.upstream(ClusterMetric::CxTotal), 24);
    });
}

#[test]
fn what_follows_a_declined_upgrade_is_judged_as_well() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).http(|http| http.websocket = true)).await;
        let mut client = rig.client().await;
        let upgrade =
            "GET /u HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        client
            .send([upgrade, GET, "GET /bad HTTP/1.1\nhost: h\r\n\r\n"].concat())
            .await;
        let mut up = host.accept().await;
        assert_eq!(up.message().await.start, "GET /u HTTP/1.1");
        up.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
            .await;
        assert_eq!(client.message().await.text(), "no");
        assert_eq!(up.message().await.start, "GET / HTTP/1.1");
        up.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
        assert_eq!(client.message().await.status(), 400);
        client.closed().await;
    });
}

#[test]
fn heads_have_limits() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let fields = |count: usize| "x: 1\r\n".repeat(count);
        let value = |length: usize| format!("x: {}\r\n", "a".repeat(length));
        let path = |length: usize| "a".repeat(length);
        for (passes, request) in [
            (
                true,
                format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", fields(99)),
            ),
            (
                false,
                format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", fields(100)),
            ),
            (
                true,
                format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", value(59 << 10)),
            ),
            (
                false,
                format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", value(60 << 10)),
            ),
            (
                true,
                format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", path(59 << 10)),
            ),
            (
                false,
                format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", path(60 << 10)),
            ),
            (
                false,
                format!("GET / HTTP/1.1\r\nhost: h\r\n{}", value(1 << 20)),
            ),
        ] {
            let mut client = rig.client().await;
            client.send(&request).await;
            if passes {
                let mut up = host.accept().await;
                up.message().await;
                up.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
                    .await;
                assert_eq!(client.message().await.text(), "ok");
            } else {
                assert_eq!(client.message().await.status(), 431);
                client.closed().await;
            }
        }
    });
}

#[test]
fn clients_of_http_1_0_get_what_they_can_read() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).http(|http| http.http_10 = true)).await;
        let mut client = rig.client().await;
        client
            .send("GET / HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n")
            .await;
        let mut up = host.accept().await;
        assert_eq!(up.message().await.start, "GET / HTTP/1.1");
        up.send(OK).await;
        let answer = client.message().await;
        assert_eq!(
            (answer.text(), answer.field("connection")),
            ("ok", Some("keep-alive"))
        );
        // A length that is not known ends with the connection.
        client
            .send("GET /2 HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n")
            .await;
        up.message().await;
        up.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
        let head = client.head().await;
        assert_eq!(head.field("transfer-encoding"), None);
        assert_eq!(client.rest().await, b"ok");
        let mut client = rig.client().await;
        client.send("GET /3 HTTP/1.0\r\nhost: h\r\n\r\n").await;
        up.message().await;
        up.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
        client.closed().await;
    });
}
