//! gRPC-Web callers of gRPC hosts.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};

use crate::{
    peer::{H2Client, H2Host, Host, drain, fields},
    rig::{Rig, Setup, run},
};

const CALL: &[u8] = b"\0\0\0\0\x02hi";
/// [`CALL`] and an empty message, in base64, each padded.
const CALL_TEXT: &str = "AAAAAAJoaQ==AAAAAAA=";
const ANSWER: &[u8] = b"\0\0\0\0\x05hello\x80\0\0\0\x22grpc-status:0\r\ngrpc-message:fine\r\n";

fn setup(host: &Host) -> Setup {
    Setup::to(host)
        .speaking_http2()
        .http(|http| http.grpc_web = true)
}

fn trailers() -> HeaderMap {
    fields(&[("grpc-status", "0"), ("grpc-message", "fine")])
}

/// Serves one call as gRPC, and says what its body was.
async fn serve(up: &mut H2Host, trailers: Option<HeaderMap>) -> Vec<u8> {
    let (request, mut respond) = up.stream().await;
    let (head, body) = request.into_parts();
    assert_eq!(head.uri.path(), "/peer.Echo/say");
    assert_eq!(head.headers["content-type"], "application/grpc+proto");
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(head.headers.get("content-length"), None);
    let (body, _) = drain(body).await;
    let answer = Response::builder().header("content-type", "application/grpc+proto");
    match trailers {
        Some(trailers) => {
            let answer = answer.body(()).expect("an answer");
            let mut stream = respond.send_response(answer, false).expect("it stands");
            let message = Bytes::from_static(b"\0\0\0\0\x05hello");
            stream.send_data(message, false).expect("it stands");
            stream.send_trailers(trailers).expect("it stands");
        }
        None => {
            let answer = answer
                .header("grpc-status", "5")
                .body(())
                .expect("an answer");
            respond.send_response(answer, true).expect("it stands");
        }
    }
    body.expect("a whole body")
}

fn post(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /peer.Echo/say HTTP/1.1\r\nhost: h\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn over_http1() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let mut client = rig.client().await;
        client.send(post("application/grpc-web+proto", CALL)).await;
        let mut up = host.accept_h2().await;
        assert_eq!(serve(&mut up, Some(trailers())).await, CALL);
        let answer = client.message().await;
        assert_eq!(answer.status(), 200);
        let kind = Some("application/grpc-web+proto");
        assert_eq!(answer.field("content-type"), kind);
        assert_eq!(answer.body, ANSWER);
        assert!(answer.trailers.is_empty());
        // Trailers alone are headers.
        client.send(post("application/grpc-web+proto", CALL)).await;
        serve(&mut up, None).await;
        let answer = client.message().await;
        assert_eq!(answer.field("content-type"), kind);
        assert_eq!(answer.field("grpc-status"), Some("5"));
        assert!(answer.body.is_empty());
        rig.settled().await;
    });
}

#[test]
fn in_base64_over_http2() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let mut client = H2Client::connect(rig.address).await;
        let request = Request::post("http://h/peer.Echo/say")
            .header("content-type", "application/grpc-web-text+proto");
        let serving = async {
            let mut up = host.accept_h2().await;
            let asked = serve(&mut up, Some(trailers())).await;
            assert_eq!(asked, [CALL, &[0; 5]].concat());
            up
        };
        let calling = client.call(request, CALL_TEXT, None);
        let (answer, _up) = tokio::join!(calling, serving);
        assert_eq!(
            answer.headers["content-type"],
            "application/grpc-web-text+proto"
        );
        assert_eq!(answer.trailers, None);
        // Each frame is padded: the message, and the trailers.
        assert_eq!(
            answer.text(),
            "AAAAAAVoZWxsbw==gAAAACJncnBjLXN0YXR1czowDQpncnBjLW1lc3NhZ2U6ZmluZQ0K"
        );
        rig.settled().await;
    });
}

#[test]
fn local_answers_are_in_its_words() {
    run(async {
        let host = Host::bind();
        let mut setup = setup(&host);
        setup.breakers = (0, u32::MAX, u32::MAX);
        let rig = Rig::start(setup).await;
        let mut client = rig.client().await;
        client.send(post("application/grpc-web", CALL)).await;
        let answer = client.message().await;
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.field("content-type"),
            Some("application/grpc-web+proto")
        );
        assert_eq!(answer.field("grpc-status"), Some("14"));
        rig.settled().await;
    });
}

#[test]
fn what_is_no_base64_is_refused() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host)).await;
        let mut client = rig.client().await;
        client
            .send(post("application/grpc-web-text", b"AAAA*"))
            .await;
        let _up = host.accept_h2().await;
        let answer = client.message().await;
        assert_eq!(answer.field("grpc-status"), Some("13"));
        rig.settled().await;
    });
}

#[test]
fn it_passes_unchanged_where_it_is_not_served() {
    run(async {
        let host = Host::bind();
        let rig = Rig::start(setup(&host).http(|http| http.grpc_web = false)).await;
        let mut client = rig.client().await;
        client.send(post("application/grpc-web", CALL)).await;
        let mut up = host.accept_h2().await;
        let (request, mut respond) = up.stream().await;
        assert_eq!(request.headers()["content-type"], "application/grpc-web");
        crate::peer::reply(&mut respond, 200, "as it is", None);
        assert_eq!(client.message().await.text(), "as it is");
        rig.settled().await;
    });
}
