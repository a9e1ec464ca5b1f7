//! What of a request is sent again.

use super::*;

/// A request with a body of `length` bytes, in chunks, and a trailer.
fn upload(length: usize) -> String {
    let body = "b".repeat(length);
    format!(
        "POST /x HTTP/1.1\r\nhost: h\r\nte: trailers\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
         {length:x}\r\n{body}\r\n0\r\nx-sum: 7\r\n\r\n"
    )
}

#[test]
fn bodies_are_sent_again_within_the_limit_with_their_trailers() {
    const LIMIT: usize = 1000;
    for (length, again) in [(LIMIT, true), (LIMIT + 1, false)] {
        run(async move {
            let host = Host::bind();
            let mut setup = retrying(&host, &["5xx"], 2);
            setup.way.kept_body = Some(LIMIT);
            let rig = Rig::start(setup).await;
            let script = [503, 503, 200].map(|status| Does::Says(status, ""));
            let got = play(host, &script);
            let mut client = rig.client().await;
            let answer = client.call(&upload(length)).await;
            let attempts = if again { 3 } else { 1 };
            assert_eq!(answer.status(), if again { 200 } else { 503 });
            let got = got.take();
            assert_eq!(got.len(), attempts, "{length}");
            for request in got {
                assert_eq!(request.text(), "b".repeat(length));
                assert_eq!(request.trailers, [("x-sum".into(), "7".into())]);
            }
            rig.settled().await;
            let abandoned = rig.upstream(ClusterMetric::RqRetryAbandoned);
            assert_eq!(abandoned, u64::from(!again));
        });
    }
}

#[test]
fn a_body_that_still_comes_is_taken_up_by_the_next_attempt() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(retrying(&host, &["5xx"], 1)).await;
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\n\r\nabc")
            .await;
        let mut first = host.accept().await;
        first.head().await;
        assert_eq!(first.bytes(3).await, b"abc");
        first
            .send("HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")
            .await;
        let mut second = host.accept().await;
        second.head().await;
        assert_eq!(second.bytes(3).await, b"abc");
        client.send("def").await;
        assert_eq!(second.bytes(3).await, b"def");
        second
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.message().await.text(), "ok");
        rig.settled().await;
    });
}

#[test]
fn a_body_over_http2_is_taken_up_too() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(retrying(&host, &["5xx"], 1)).await;
        let mut client = H2Client::connect(rig.address).await;
        let request = Request::post("http://h/").body(()).expect("a request");
        let (answer, mut body) = client.sender.send_request(request, false).expect("sent");
        body.send_data("abc".into(), false).expect("sent");
        let mut up = host.accept_h2().await;
        let (mut request, mut respond) = up.stream().await;
        let got = request
            .body_mut()
            .data()
            .await
            .expect("data")
            .expect("data");
        assert_eq!(&got[..], b"abc");
        reply(&mut respond, 503, "", None);
        let (request, mut respond) = up.stream().await;
        body.send_data("def".into(), true).expect("sent");
        let (got, _) = crate::peer::drain(request.into_body()).await;
        assert_eq!(got.expect("a body"), b"abcdef");
        reply(&mut respond, 200, "ok", None);
        let answer = H2Answer::read(answer.await.expect("an answer")).await;
        assert_eq!(answer.text(), "ok");
        rig.settled().await;
    });
}
