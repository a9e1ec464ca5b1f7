//! Interim answers (1xx) of hosts, in every pair of versions, and clients that ask before they send.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::timeout;

use crate::{
    peer::{H2Client, Host, drain, reply},
    rig::{PATIENCE, Rig, Setup, run},
};

const URI: &str = "http://h/";
const HINTS: &str =
    "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A little later, so that it is no part of the same read.
async fn a_little() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

fn interim(status: u16) -> Response<()> {
    let told = Response::builder().status(status);
    let told = told.header("link", "</a>; rel=preload");
    told.body(()).expect("an answer")
}

#[test]
fn http1_clients_are_told_what_http1_hosts_say_first() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        for at_once in [false, true] {
            client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
            let serving = async {
                let mut up = host.accept().await;
                up.message().await;
                let nobody_asked = "HTTP/1.1 100 Continue\r\n\r\n";
                let first = format!("{nobody_asked}{HINTS}HTTP/1.1 102 Processing\r\n\r\n");
                match at_once {
                    true => up.send(first + FINAL).await,
                    false => {
                        up.send(first).await;
                        a_little().await;
                        up.send(FINAL).await;
                    }
                }
                // A connection of its own each time.
                a_little().await;
            };
            let asking = async {
                let hints = client.head().await;
                assert_eq!(hints.start, "HTTP/1.1 103 Early Hints");
                assert_eq!(hints.field("link"), Some("</a>; rel=preload"));
                assert_eq!(
                    (hints.field("x-hop"), hints.field("connection")),
                    (None, None)
                );
                assert_eq!(client.head().await.start, "HTTP/1.1 102 Processing");
                let answer = client.message().await;
                assert_eq!((answer.status(), answer.text()), (200, "ok"));
            };
            tokio::join!(serving, asking);
        }
        rig.settled().await;
    });
}

#[test]
fn http2_clients_are_told_what_http1_hosts_say_first() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http1()).await;
        let client = H2Client::connect(rig.address).await;
        let mut sender = client.sender.clone().ready().await.expect("it stands");
        let request = Request::get(URI).body(()).expect("a request");
        let (mut answer, _) = sender.send_request(request, true).expect("it is sent");
        let mut up = host.accept().await;
        up.message().await;
        up.send(format!("HTTP/1.1 100 Continue\r\n\r\n{HINTS}"))
            .await;
        let told = std::future::poll_fn(|cx| answer.poll_informational(cx));
        let told = timeout(PATIENCE, told).await.expect("it is told");
        let told = told.expect("an answer").expect("it stands");
        assert_eq!((told.status().as_u16(), told.headers().len()), (103, 1));
        up.send(FINAL).await;
        let answer = timeout(PATIENCE, answer).await.expect("an answer comes");
        assert_eq!(answer.expect("it stands").status(), 200);
    });
}

#[test]
fn clients_are_told_what_http2_hosts_say_first() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http2()).await;
        let (mut one, two) = (rig.client().await, H2Client::connect(rig.address).await);
        one.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept_h2().await;
        let (_, mut respond) = up.stream().await;
        respond.send_informational(interim(103)).expect("it stands");
        let hints = one.head().await;
        assert_eq!(hints.start, "HTTP/1.1 103 Early Hints");
        assert_eq!(hints.field("link"), Some("</a>; rel=preload"));
        reply(&mut respond, 200, "ok", None);
        assert_eq!(one.message().await.text(), "ok");

        let mut sender = two.sender.clone().ready().await.expect("it stands");
        let request = Request::get(URI).body(()).expect("a request");
        let (mut answer, _) = sender.send_request(request, true).expect("it is sent");
        let (_, mut respond) = up.stream().await;
        respond.send_informational(interim(103)).expect("it stands");
        let told = std::future::poll_fn(|cx| answer.poll_informational(cx));
        let told = timeout(PATIENCE, told).await.expect("it is told");
        assert_eq!(told.expect("an answer").expect("it stands").status(), 103);
        reply(&mut respond, 200, "ok", None);
        let answer = timeout(PATIENCE, answer).await.expect("an answer comes");
        assert_eq!(answer.expect("it stands").status(), 200);
    });
}

#[test]
fn too_many_interim_answers_are_none() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http2()).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept_h2().await;
        let (_, mut respond) = up.stream().await;
        for _ in 0..17 {
            respond.send_informational(interim(103)).expect("it stands");
        }
        for _ in 0..16 {
            assert_eq!(client.head().await.status(), 103);
        }
        assert_eq!(client.message().await.status(), 502);
        drop(respond);
        rig.settled().await;
    });
}

#[test]
fn clients_of_http_1_0_are_told_nothing_first() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).http(|http| http.http_10 = true)).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.0\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept().await;
        up.message().await;
        up.send(HINTS).await;
        a_little().await;
        up.send(FINAL).await;
        assert_eq!(client.message().await.status(), 200);
    });
}

#[test]
fn hosts_say_themselves_whether_they_want_a_body() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).http(|http| http.proxy_continue = true);
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        let post =
            "POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
        client.send(post).await;
        let mut up = host.accept().await;
        let head = up.head().await;
        assert_eq!(head.field("expect"), Some("100-continue"));
        client.silent().await;
        up.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(client.head().await.start, "HTTP/1.1 100 Continue");
        client.send("body").await;
        assert_eq!(up.bytes(4).await, b"body");
        up.send(FINAL).await;
        assert_eq!(client.message().await.text(), "ok");

        // One that wants none is sent none.
        client.send(post).await;
        up.head().await;
        up.send("HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n")
            .await;
        assert_eq!(client.message().await.status(), 417);
        assert_eq!(up.rest().await, b"");
    });
}

#[test]
fn a_host_that_says_nothing_gets_the_body_all_the_same() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).http(|http| http.proxy_continue = true);
        let rig = Rig::start(setup.speaking_http2()).await;
        let client = H2Client::connect(rig.address).await;
        let mut sender = client.sender.clone().ready().await.expect("it stands");
        for says in [true, false] {
            let request = Request::post(URI).header("expect", "100-continue");
            let request = request.body(()).expect("a request");
            let (mut answer, mut stream) = sender.send_request(request, false).expect("it is sent");
            let mut up = host.accept_h2().await;
            let (request, mut respond) = up.stream().await;
            let (head, body) = request.into_parts();
            assert_eq!(head.headers["expect"], "100-continue");
            if says {
                respond.send_informational(interim(100)).expect("it stands");
                let told = std::future::poll_fn(|cx| answer.poll_informational(cx));
                let told = timeout(PATIENCE, told).await.expect("it is told");
                assert_eq!(told.expect("an answer").expect("it stands").status(), 100);
            }
            let data = Bytes::from_static(b"body");
            stream.send_data(data, true).expect("it stands");
            assert_eq!(drain(body).await.0.expect("a body"), b"body");
            reply(&mut respond, 200, "ok", None);
            let answer = timeout(PATIENCE, answer).await.expect("an answer comes");
            assert_eq!(answer.expect("it stands").status(), 200);
            up.go_away().await;
            drop(up);
            sender = sender.ready().await.expect("it stands");
        }
    });
}
