//! Clients that begin and do not go on, and how long connections last.

use std::time::Duration;

use crossdock_framework::snapshot::HttpMetric;
use tokio::time::sleep;

use crate::{
    peer::{H2Client, Host},
    rig::{PATIENCE, Rig, Setup, run},
};

#[test]
fn a_request_whose_body_stops_is_answered_with_408() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).http(|http| {
            http.request_timeout = Some(Duration::from_millis(200));
        });
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf")
            .await;
        assert_eq!(client.message().await.status(), 408);
        client.closed().await;
        rig.deserted().await;
    });
}

#[test]
fn a_head_that_stops_costs_its_connection() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).http(|http| {
            http.headers_timeout = Duration::from_millis(300);
        });
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\nx-").await;
        assert_eq!(client.message().await.status(), 408);
        client.closed().await;
        rig.deserted().await;
        assert_eq!(rig.http(HttpMetric::CxFrameTimeout), 1);
        assert_eq!(rig.http(HttpMetric::RqHeaderTimeout), 1);
        assert_eq!(rig.http(HttpMetric::Rq4xx), 1);
    });
}

#[test]
fn connections_of_clients_end_after_their_count_of_requests() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).speaking_http1();
        let rig = Rig::start(setup.http(|http| http.requests_per_connection = Some(2))).await;
        let serving = async {
            let mut up = host.accept().await;
            for _ in 0..4 {
                up.message().await;
                up.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
            up
        };
        let calling = async {
            let mut one = rig.client().await;
            let get = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
            assert_eq!(one.call(get).await.field("connection"), None);
            assert_eq!(one.call(get).await.field("connection"), Some("close"));
            one.closed().await;
            let mut two = H2Client::connect(rig.address).await;
            for _ in 0..2 {
                assert_eq!(two.get("http://h/").await.status, 200);
            }
            let left = tokio::time::timeout(PATIENCE, async {
                while two.sender.clone().ready().await.is_ok() {
                    sleep(Duration::from_millis(10)).await;
                }
            });
            left.await.expect("GOAWAY comes");
        };
        let (_up, ()) = tokio::join!(serving, calling);
        rig.settled().await;
    });
}

#[test]
fn connections_of_clients_have_an_age() {
    run(async {
        let host = Host::bind();
        let age = Some(Duration::from_millis(100));
        let setup = Setup::to(&host).http(|http| http.connection_duration = age);
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        let serving = async {
            let mut up = host.accept().await;
            up.message().await;
            // It is looked after each second.
            sleep(Duration::from_millis(1500)).await;
            up.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
            up
        };
        let calling = client.call("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        let (answer, _up) = tokio::join!(calling, serving);
        assert_eq!(answer.text(), "ok", "no call fails by it");
        client.closed().await;
        rig.settled().await;
    });
}

#[test]
fn a_host_that_counts_the_same_time_and_breaks_off_was_late() {
    run(async {
        const TIME: Duration = Duration::from_millis(30);
        let host = Host::bind();
        let mut setup = Setup::to(&host).speaking_http2();
        setup.timeout = Some(TIME);
        let rig = Rig::start(setup).await;
        let mut client = H2Client::connect(rig.address).await;
        let serve = async {
            let mut up = host.accept_h2().await;
            loop {
                let (_, mut respond) = up.stream().await;
                sleep(TIME).await;
                respond.send_reset(h2::Reason::CANCEL);
            }
        };
        let ask = async {
            for round in 0..20 {
                let answer = client.get("http://h/").await;
                assert_eq!(answer.status, 504, "round {round}: {answer:?}");
            }
        };
        tokio::select! {
            () = ask => {}
            () = serve => {}
        }
    });
}
