//! Triple calls without gRPC's framing.

use crate::{
    peer::{H2Client, Host, fields, reply},
    rig::{Rig, Setup, run},
};

const CALL: &str = "POST /peer.api.Echo/say HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntri-service-version: 1.0\r\ntri-service-timeout: 5000\r\ncontent-length: 4\r\n\r\n[\"a\"";

#[test]
fn a_call_passes_with_its_deadline() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client.send(CALL).await;
        let mut up = host.accept().await;
        let request = up.message().await;
        assert_eq!(request.start, "POST /peer.api.Echo/say HTTP/1.1");
        assert_eq!(request.field("tri-service-version"), Some("1.0"));
        let left = request.field("tri-service-timeout").expect("a deadline");
        let left: u64 = left.parse().expect("a number");
        assert!((1..=5000).contains(&left), "{left}");
        up.send(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n\"a\"",
        )
        .await;
        assert_eq!(client.message().await.text(), "\"a\"");
        rig.settled().await;
    });
}

#[test]
fn deadlines_pass() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host)).await;
        let mut client = rig.client().await;
        client.send(CALL.replace("5000", "100")).await;
        let _up = host.accept().await;
        let answer = client.message().await;
        assert_eq!(answer.status(), 504);
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert!(
            answer.text().ends_with(",\"status\":\"504\"}"),
            "{answer:?}"
        );
        rig.settled().await;
    });
}

#[test]
fn local_answers_are_those_of_a_provider() {
    run(async {
        let host = Host::bind();
        let mut setup = Setup::to(&host);
        setup.breakers = (0, u32::MAX, u32::MAX);
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        let answer = client.call(CALL).await;
        assert_eq!(answer.status(), 503);
        assert!(answer.text().starts_with("{\"message\":\""), "{answer:?}");
        // With gRPC's framing the answer is its trailers alone.
        let mut client = H2Client::connect(rig.address).await;
        let request = http::Request::post("http://h/peer.api.Echo/say")
            .header("content-type", "application/grpc+proto")
            .header("tri-service-version", "1.0");
        let answer = client.call(request, "\0\0\0\0\0", None).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["grpc-status"], "14");
        assert!(answer.headers.contains_key("grpc-message"));
        assert_eq!(answer.body.expect("none"), b"");
        rig.settled().await;
    });
}

#[test]
fn an_exception_stays_one_whatever_the_trailers_say() {
    use crossdock_framework::snapshot::HttpMetric;
    run(async {
        let host = Host::bind();
        let rig = Rig::start(Setup::to(&host).speaking_http2()).await;
        let mut client = H2Client::connect(rig.address).await;
        let serving = async {
            let mut up = host.accept_h2().await;
            let (_, mut respond) = up.stream().await;
            let answer = http::Response::builder()
                .header("content-type", "application/grpc")
                .header("tri-exception-code", "3")
                .body(())
                .expect("an answer");
            let mut stream = respond.send_response(answer, false).expect("it stands");
            let trailers = fields(&[("grpc-status", "0")]);
            stream.send_trailers(trailers).expect("it stands");
            let (_, mut respond) = up.stream().await;
            reply(&mut respond, 200, "", Some(fields(&[("grpc-status", "0")])));
            up
        };
        let call = || {
            http::Request::post("http://h/peer.api.Echo/say")
                .header("content-type", "application/grpc+proto")
        };
        let calling = async {
            client.call(call(), "\0\0\0\0\0", None).await;
            client.call(call(), "\0\0\0\0\0", None).await
        };
        let (answer, _up) = tokio::join!(calling, serving);
        assert_eq!(answer.status, 200);
        rig.settled().await;
        assert_eq!(rig.http(HttpMetric::RqBusiness), 1);
    });
}
