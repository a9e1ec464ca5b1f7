//! PINGs to clients and hosts of HTTP/2 that may have gone without a word.

use std::time::Duration;

use crossdock_framework::{cluster::ClusterMetric, snapshot::HttpMetric, stream::Keepalive};
use http::Request;
use tokio::time::{sleep, timeout};

use crate::{
    peer::{H2Client, Host, Peer, reply},
    rig::{PATIENCE, Rig, Setup, eventually, run},
};

const URI: &str = "http://h/";

/// Asks each 50 ms, and waits for 200 ms.
const OFTEN: Keepalive = Keepalive {
    interval: Some(Duration::from_millis(50)),
    timeout: Duration::from_millis(200),
    jitter: 0.15,
};

/// HTTP/2 from the first byte to the end of the settings.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[test]
fn clients_that_do_not_answer_are_left() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).http(|http| http.keepalive = Some(OFTEN))).await;
        let mut silent = Peer::connect(rig.address).await;
        silent.send(BEGIN).await;
        let rest = silent.rest().await;
        // A PING with eight octets, which are not acknowledged.
        let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0];
        assert!(rest.windows(9).any(|seen| seen == ping), "{rest:?}");
        let left = || rig.http(HttpMetric::CxKeepalive) == 1;
        eventually("the connection is counted", left).await;
    });
}

#[test]
fn clients_that_answer_stay_and_their_calls_too() {
    run(async {
        let host = Host::bind();
        let setup = Setup::to(&host).speaking_http1();
        let rig = Rig::start(setup.http(|http| http.keepalive = Some(OFTEN))).await;
        let client = H2Client::connect(rig.address).await;
        let mut sender = client.sender.clone().ready().await.expect("it stands");
        let request = Request::get(URI).body(()).expect("a request");
        let (answer, _) = sender.send_request(request, true).expect("it is sent");
        let mut up = host.accept().await;
        up.message().await;
        // Longer than a connection without answers would last.
        sleep(Duration::from_millis(800)).await;
        up.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .await;
        let answer = timeout(PATIENCE, answer).await.expect("an answer comes");
        assert_eq!(answer.expect("it stands").status(), 200);
        assert_eq!(rig.http(HttpMetric::CxKeepalive), 0);
    });
}

#[test]
fn hosts_that_do_not_answer_are_left_and_their_calls_end() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::to(&host).speaking_http2();
        setup.upstream.keepalive = Some(OFTEN);
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept().await;
        // Its settings, and not another word.
        up.send(&BEGIN[24..]).await;
        assert_eq!(client.message().await.status(), 503);
        let left = || rig.upstream(ClusterMetric::CxKeepalive) == 1;
        eventually("the connection is counted", left).await;
        drop(up);

        // One that answers serves on.
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut up = host.accept_h2().await;
        let (_, mut respond) = up.stream().await;
        sleep(Duration::from_millis(800)).await;
        reply(&mut respond, 200, "ok", None);
        assert_eq!(client.message().await.text(), "ok");
        assert_eq!(rig.upstream(ClusterMetric::CxKeepalive), 1);
    });
}
