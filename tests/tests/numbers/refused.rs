//! What is no call, in the access log: heads that are refused, and bytes after which nothing can be read.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crossdock_tests::Gateway;
use crossdock_tests::quartet::{Caller, File, Protocol, Service, otherwise};
use serde_json::{Value, json};

use super::lines::{PATIENCE, lines, log, text};

/// What is sent, and what is written of it: status, flags, details and protocol.
const HEADS: &[(&str, &str)] = &[
    (
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\n",
        "400 DPE http1.codec_error HTTP/1.1",
    ),
    (
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
        "400 DPE http1.content_length_and_chunked_not_allowed HTTP/1.1",
    ),
    (
        "GET / HTTP/1.1\r\nhost: a\r\nbad name: x\r\n\r\n",
        "400 DPE http1.codec_error HTTP/1.1",
    ),
    (
        "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n",
        "501 DPE http1.invalid_transfer_encoding HTTP/1.1",
    ),
    (
        "GET / HTTP/1.1\r\nhost: a\r\nx: LONG\r\n\r\n",
        "431 DPE http1.headers_too_large HTTP/1.1",
    ),
    (
        "GET / HTTP/1.1\r\n\r\n",
        "400 - missing_host_header HTTP/1.1",
    ),
    (
        "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
        "426 DPE low_version HTTP/1.0",
    ),
    (
        "GET / HTTP/1.1\r\nhos",
        "408 - request_header_timeout HTTP/1.1",
    ),
];

/// Sends bytes and reads until the gateway closes the connection.
fn send(gateway: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(gateway).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.write_all(bytes).expect("the gateway reads");
    let mut answer = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn start(services: &[Service; 4]) -> Gateway {
    let format = text("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %PROTOCOL%\n");
    let file = File::new(&json!([otherwise()]))
        .before(services, &json!({}))
        .manager(&json!({
            "access_log": [log("refused.log", &format, &Value::Null)],
            "request_headers_timeout": "0.3s",
        }));
    Gateway::start_text(&file.text(), &["--file-flush-interval-msec", "20"])
}

#[test]
fn heads_that_are_refused_are_calls_of_the_log() {
    let services = Protocol::ALL.map(Service::start);
    let gateway = start(&services);
    for (number, (head, expected)) in (1_u64..).zip(HEADS) {
        let head = head.replace("LONG", &"x".repeat(70_000));
        let answer = send(gateway.address(), head.as_bytes());
        let status = expected.split(' ').next().expect("a status");
        let first = String::from_utf8_lossy(&answer);
        assert!(first.contains(status), "{expected}: {first}");
        let count = usize::try_from(number).expect("a few");
        let line = lines(&gateway, "refused.log", count).pop().expect("a line");
        assert_eq!(line, *expected);
        let stat = |name: &str| gateway.stat(&format!("http.rpc.{name}"));
        assert_eq!(stat("downstream_rq_total"), number, "{expected}");
        assert_eq!(stat("downstream_rq_http1_total"), number, "{expected}");
        assert_eq!(stat("downstream_rq_completed"), number, "{expected}");
        assert_eq!(stat("downstream_rq_not_forwarded"), number, "{expected}");
    }
    let stat = |name: &str| gateway.stat(&format!("http.rpc.{name}"));
    assert_eq!(stat("downstream_rq_4xx"), HEADS.len() as u64 - 1);
    assert_eq!(stat("downstream_rq_header_timeout"), 1);
    assert_eq!(stat("downstream_cx_protocol_error"), 5);
    assert_eq!(stat("downstream_rq_active"), 0);
}

#[test]
fn bytes_after_which_nothing_can_be_read_have_a_line() {
    let services = Protocol::ALL.map(Service::start);
    let gateway = start(&services);
    for protocol in [Protocol::Dubbo, Protocol::Bolt] {
        let _ = Caller::connect(protocol, gateway.address()).babble();
    }
    // Data of a stream that was never opened (RFC 9113 section 5.1).
    let idle = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x05\0\x01\0\0\0\x01hello";
    let _ = send(gateway.address(), idle);
    let lines = lines(&gateway, "refused.log", 5);
    for protocol in ["dubbo", "bolt", "HTTP/2"] {
        let line = format!("0 DPE codec_error {protocol}");
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    gateway.until("http.rpc.downstream_cx_protocol_error", |errors| {
        errors == 3
    });
    // They are no calls: those before them are.
    assert_eq!(gateway.stat("http.rpc.downstream_rq_total"), 2);
    assert_eq!(lines.len(), 5, "{lines:?}");
}
