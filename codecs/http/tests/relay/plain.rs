//! HTTP/1 to HTTP/1: calls as they should be.

use std::time::Duration;

use crossdock_framework::{cluster::ClusterMetric, snapshot::HttpMetric, worker::DrainScope};

use crate::{
    peer::Host,
    rig::{Rig, Setup, eventually, run},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn calls_go_through() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client
            .send("GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-One: 1\r\n\r\n")
            .await;
        let mut up = host.accept().await;
        let request = up.message().await;
        assert_eq!(request.start, "GET /a?b=c HTTP/1.1");
        assert_eq!(request.field("host"), Some("h"));
        assert_eq!(request.field("x-one"), Some("1"));
        assert_eq!(request.field("x-forwarded-proto"), Some("http"));
        up.send("HTTP/1.1 201 Created\r\nX-Two: 2\r\nContent-Length: 3\r\n\r\nabc")
            .await;
        let answer = client.message().await;
        assert_eq!(answer.start, "HTTP/1.1 201 Created");
        assert_eq!(answer.field("x-two"), Some("2"));
        assert_eq!(answer.text(), "abc");
        // Both connections serve the next call.
        client
            .send("POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody")
            .await;
        let request = up.message().await;
        assert_eq!(
            (request.start.as_str(), request.text()),
            ("POST /b HTTP/1.1", "body")
        );
        up.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
        drop(client);
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::Rq2xx), 2);
        assert_eq!(rig.upstream(ClusterMetric::CxTotal), 1);
    });
}

#[test]
fn bodies_of_unknown_length_and_their_trailers_go_through() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\nte: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await;
        let mut up = host.accept().await;
        let head = up.head().await;
        assert_eq!(head.field("transfer-encoding"), Some("chunked"));
        assert_eq!(head.field("content-length"), None);
        assert_eq!(
            up.chunk().await.as_deref(),
            Some(&b"abc"[..]),
            "before the body ends"
        );
        client.send("2;ext=1\r\nde\r\n0\r\nx-sum: 7\r\n\r\n").await;
        assert_eq!(up.chunk().await.as_deref(), Some(&b"de"[..]));
        assert_eq!(up.chunk().await, None);
        assert_eq!(up.head().await.start, "x-sum: 7");
        up.send(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nxy\r\n",
        )
        .await;
        let head = client.head().await;
        assert_eq!(head.field("transfer-encoding"), Some("chunked"));
        assert_eq!(
            client.chunk().await.as_deref(),
            Some(&b"xy"[..]),
            "before the body ends"
        );
        up.send("0\r\nx-sum: 9\r\n\r\n").await;
        assert_eq!(client.chunk().await, None);
        assert_eq!(client.head().await.start, "x-sum: 9");
    });
}

#[test]
fn answers_to_head_have_no_body_and_keep_their_length() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client.send("HEAD / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept().await;
        assert_eq!(up.message().await.start, "HEAD / HTTP/1.1");
        up.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
            .await;
        assert_eq!(client.head().await.field("content-length"), Some("1000"));
        for status in ["204 No Content", "304 Not Modified"] {
            client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
            up.message().await;
            up.send(format!("HTTP/1.1 {status}\r\netag: \"1\"\r\n\r\n"))
                .await;
            let head = client.head().await;
            assert_eq!(head.start, format!("HTTP/1.1 {status}"));
            assert_eq!(head.field("transfer-encoding"), None);
        }
        client.silent().await;
    });
}

#[test]
fn pipelined_calls_are_answered_in_order() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        let requests: String = (0..50)
            .map(|at| format!("GET /{at} HTTP/1.1\r\nhost: h\r\n\r\n"))
            .collect();
        client.send(requests).await;
        let mut up = host.accept().await;
        for at in 0..50 {
            assert_eq!(up.message().await.start, format!("GET /{at} HTTP/1.1"));
            up.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{at:02}"
            ))
            .await;
        }
        for at in 0..50 {
            assert_eq!(client.message().await.text(), format!("{at:02}"));
        }
        rig.settled().await;
    });
}

#[test]
fn an_answer_before_the_end_of_its_request_ends_both() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\npart")
            .await;
        let mut up = host.accept().await;
        up.head().await;
        assert_eq!(up.bytes(4).await, b"part");
        up.send("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\n\r\nno")
            .await;
        let answer = client.message().await;
        assert_eq!((answer.status(), answer.text()), (413, "no"));
        client.closed().await;
        up.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn expectations_are_met_when_the_body_is_wanted() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
            .await;
        assert_eq!(client.head().await.start, "HTTP/1.1 100 Continue");
        let mut up = host.accept().await;
        client.send("body").await;
        let request = up.message().await;
        assert_eq!(request.field("expect"), None, "it has been answered");
        assert_eq!(request.text(), "body");
        up.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
    });
}

#[test]
fn upgrades_become_tunnels() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).http(|http| http.websocket = true)).await;
        let mut client = rig.client().await;
        client
            .send("GET /chat HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n")
            .await;
        let mut up = host.accept().await;
        let request = up.message().await;
        assert_eq!(request.field("connection"), Some("upgrade"));
        assert_eq!(request.field("upgrade"), Some("websocket"));
        up.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: a\r\n\r\nfirst").await;
        let head = client.head().await;
        assert_eq!(head.start, "HTTP/1.1 101 Switching Protocols");
        assert_eq!(head.field("upgrade"), Some("websocket"));
        assert_eq!(head.field("sec-websocket-accept"), Some("a"));
        assert_eq!(client.bytes(5).await, b"first");
        client.send("\x00there").await;
        assert_eq!(up.bytes(6).await, b"\x00there");
        up.send("\x00back").await;
        assert_eq!(client.bytes(5).await, b"\x00back");
        drop(client);
        up.closed().await;
        drop(up);
        rig.deserted().await;
    });
}

#[test]
fn an_upgrade_that_is_refused_is_a_call() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).http(|http| http.websocket = true)).await;
        let mut client = rig.client().await;
        let request =
            "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        for _ in 0..2 {
            client.send(request).await;
            let mut up = host.accept().await;
            up.message().await;
            up.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
                .await;
            assert_eq!(client.message().await.text(), "no");
        }
        rig.settled().await;
    });
}

#[test]
fn a_call_on_a_stale_connection_is_sent_again() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client.send("GET /1 HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept().await;
        up.message().await;
        up.send(OK).await;
        client.message().await;
        // The host closes when it reads the next request, as one that has timed out does.
        client.send("GET /2 HTTP/1.1\r\nhost: h\r\n\r\n").await;
        up.message().await;
        drop(up);
        let mut up = host.accept().await;
        assert_eq!(up.message().await.start, "GET /2 HTTP/1.1");
        up.send(OK).await;
        assert_eq!(client.message().await.text(), "ok");
        // A POST may have been acted upon.
        client
            .send("POST /3 HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx")
            .await;
        up.message().await;
        drop(up);
        assert_eq!(client.message().await.status(), 503);
        assert!(!host.is_called().await);
        rig.settled().await;
    });
}

#[test]
fn connections_that_end_with_an_answer_end_without_a_call() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        for (answer, closes) in [
            ("HTTP/1.1 200 OK\r\n\r\nall", true),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nall",
                false,
            ),
        ] {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
            let mut up = host.accept().await;
            up.message().await;
            up.send(answer).await;
            if closes {
                drop(up);
            }
            assert_eq!(client.message().await.text(), "all");
            eventually("the connection is gone", || {
                rig.upstream(ClusterMetric::CxActive) == 0
            })
            .await;
        }
        assert_eq!(rig.upstream(ClusterMetric::CxDestroyRemote), 2);
        assert_eq!(rig.upstream(ClusterMetric::CxDestroyWithActive), 0);
    });
}

#[test]
fn an_idle_connection_that_its_host_closes_is_not_used() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        for _ in 0..3 {
            client
                .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx")
                .await;
            let mut up = host.accept().await;
            up.message().await;
            up.send(OK).await;
            assert_eq!(client.message().await.text(), "ok");
            drop(up);
            eventually("the connection is gone", || {
                rig.upstream(ClusterMetric::CxActive) == 0
            })
            .await;
        }
    });
}

#[test]
fn a_host_that_breaks_off_breaks_the_answer_off() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
        ] {
            let mut client = rig.client().await;
            client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
            let mut up = host.accept().await;
            up.message().await;
            up.send(answer).await;
            client.head().await;
            drop(up);
            let rest = String::from_utf8(client.rest().await).expect("text");
            assert!(
                rest.contains("part") && !rest.contains("0\r\n\r\n"),
                "{rest}"
            );
        }
        rig.deserted().await;
    });
}

#[test]
fn an_answer_that_ends_with_its_connection_goes_through() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept().await;
        up.message().await;
        up.send("HTTP/1.1 200 OK\r\n\r\nall of it").await;
        drop(up);
        assert_eq!(client.message().await.text(), "all of it");
    });
}

#[test]
fn a_drain_tells_callers_to_leave() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut idle = rig.client().await;
        idle.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept().await;
        up.message().await;
        up.send(OK).await;
        assert_eq!(idle.message().await.field("connection"), None);
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        up.message().await;
        rig.worker
            .begin_drain(Duration::from_secs(20), DrainScope::All);
        up.send(OK).await;
        let answer = client.message().await;
        assert_eq!(
            (answer.text(), answer.field("connection")),
            ("ok", Some("close"))
        );
        client.closed().await;
        idle.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn deadlines_end_calls() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::to(&host);
        setup.timeout = Some(Duration::from_millis(100));
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept().await;
        up.message().await;
        assert_eq!(client.message().await.status(), 504);
        up.closed().await;
        rig.settled().await;
    });
}

#[test]
fn a_caller_that_leaves_ends_its_call_at_the_host() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept().await;
        up.message().await;
        up.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            .await;
        client.head().await;
        client.io.set_zero_linger().expect("a TCP socket");
        drop(client);
        up.closed().await;
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::RqOrphaned), 1);
    });
}

#[test]
fn a_client_that_sends_no_more_gets_its_answer() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        client.half_close().await;
        let mut up = host.accept().await;
        up.message().await;
        up.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nla")
            .await;
        assert_eq!(client.head().await.status(), 200);
        up.send("te").await;
        assert_eq!(client.rest().await, b"late");
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::RqOrphaned), 0);
    });
}

#[test]
fn requests_about_the_server_itself_go_through() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        let serving = async {
            let mut up = host.accept().await;
            assert_eq!(up.message().await.start, "OPTIONS * HTTP/1.1");
            up.send(OK).await;
            up
        };
        let calling = client.call("OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n");
        let (answer, _up) = tokio::join!(calling, serving);
        assert_eq!(answer.text(), "ok");
    });
}

#[test]
fn a_host_that_cannot_be_reached_is_passed_over() {
    run(async {
        let absent = Host::bind();
        let refused = Setup::to(&absent);
        drop(absent);
        let host = Host::bind();
        let rig = Rig::start(refused.also_to(&host)).await;
        let mut client = rig.client().await;
        let serving = async {
            let mut up = host.accept().await;
            assert_eq!(up.message().await.text(), "body");
            up.send(OK).await;
            up
        };
        let calling = client.call("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody");
        let (answer, _up) = tokio::join!(calling, serving);
        assert_eq!(answer.text(), "ok");
        assert_eq!(rig.upstream(ClusterMetric::RqResent), 1);
        rig.settled().await;
    });
}
