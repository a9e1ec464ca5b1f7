//! gRPC-Web as a browser sends it, through the gateway to a gRPC server in Go.

use std::process::Command;
use std::time::Duration;

use crossdock_tests::{Bootstrap, Gateway, Kind, Peers, Provider, Tool, Turn};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);
const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";

/// A message with the string `ada` (`StringValue`), and it in base64.
const ADA: &[u8] = b"\0\0\0\0\x05\x0a\x03ada";
const ADA_TEXT: &[u8] = b"AAAAAAUKA2FkYQ==";

/// What curl prints of a call: the head of the answer, and its body.
fn call(
    curl: &Tool,
    gateway: &Gateway,
    method: &str,
    (version, kind): (&str, &str),
    body: &[u8],
) -> (String, Vec<u8>) {
    let mut command = Command::new(curl.path());
    command
        .args(["-sS", "--max-time", "30", "-i", version])
        .args([
            "-H",
            &format!("content-type: {kind}"),
            "--data-binary",
            "@-",
        ])
        .arg(format!(
            "http://{}/peer.api.Echo/{method}",
            gateway.address()
        ));
    let said = curl.output(&mut command, body, PATIENCE);
    let end = said.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("a head and a body");
    let head = String::from_utf8_lossy(&said[..end]).to_ascii_lowercase();
    (head, said[end + 4..].to_vec())
}

#[test]
fn a_browser_calls_a_grpc_server() {
    let _turn = Turn::take();
    let (Some(go), Some(curl)) = (Peers::prepare(Kind::Go), Tool::find("curl")) else {
        return;
    };
    let provider = Provider::start(&go, "v1", &[]);
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "go", "timeout": "0s"}}]);
    let filter = |name: &str, message: &str| {
        json!({
            "name": format!("envoy.filters.http.{name}"),
            "typed_config": {"@type": format!("{FILTERS}.{name}.v3.{message}")},
        })
    };
    let bootstrap = Bootstrap::at(&["*"], routes)
        .http2_cluster("go", &[provider.address()], json!({}))
        .manager(json!({
            "http_filters": [filter("grpc_web", "GrpcWeb"), filter("router", "Router")],
        }));
    let gateway = Gateway::start(&bootstrap, &[]);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let kind = "application/grpc-web+proto";
        let (head, body) = call(&curl, &gateway, "echo", (version, kind), ADA);
        assert!(
            head.contains("content-type: application/grpc-web+proto"),
            "{head}"
        );
        assert!(head.contains("peer-label: v1"), "{head}");
        assert!(body.starts_with(ADA), "{body:?}");
        let trailers = &body[ADA.len()..];
        assert_eq!(trailers.first(), Some(&0x80));
        let length = u32::from_be_bytes(trailers[1..5].try_into().expect("four octets"));
        let lines = String::from_utf8_lossy(&trailers[5..]);
        assert_eq!(lines.len(), length as usize);
        assert!(lines.contains("grpc-status:0\r\n"), "{lines}");
        assert!(lines.contains("peer-reply:back\r\n"), "{lines}");

        let kind = "application/grpc-web-text";
        let (head, body) = call(&curl, &gateway, "echo", (version, kind), ADA_TEXT);
        assert!(
            head.contains("content-type: application/grpc-web-text+proto"),
            "{head}"
        );
        assert!(body.starts_with(ADA_TEXT), "{body:?}");
        assert!(body[ADA_TEXT.len()..].starts_with(b"gA"), "{body:?}");

        // An error may come in trailers alone, which are the head then.
        let kind = "application/grpc-web";
        let (head, body) = call(&curl, &gateway, "fail", (version, kind), ADA);
        let all = head + &String::from_utf8_lossy(&body);
        assert!(
            all.contains("grpc-status: 9") || all.contains("grpc-status:9"),
            "{all}"
        );
    }
}
