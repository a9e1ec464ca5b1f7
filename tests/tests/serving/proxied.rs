//! Callers that a proxy in front tells of: the PROXY protocol, for every protocol behind it.

use std::io::Write;
use std::net::TcpStream;

use crossdock_tests::fake::{Call, Wire};
use crossdock_tests::{Gateway, eventually};
use serde_json::{Value, json};

use crate::file::{File, table};
use crate::tcp::{Lines, SOON, connect, greeter, listener_stat, log, next, rest};
use crate::upstream::{PATIENCE, Upstream};

/// A header of version 1, from 10.1.2.3:4711 to 10.9.8.7:443.
const ONE: &[u8] = b"PROXY TCP4 10.1.2.3 10.9.8.7 4711 443\r\n";

/// The same of version 2, with a TLV of 5,000 octets behind it.
fn two() -> Vec<u8> {
    let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11";
    let ends = [10, 1, 2, 3, 10, 9, 8, 7, 0x12, 0x67, 1, 0xbb];
    let value = vec![b'x'; 5000];
    let length = u16::try_from(ends.len() + 3 + value.len()).expect("short");
    let tlv = [4, 0x13, 0x88];
    [fixed, &length.to_be_bytes()[..], &ends, &tlv, &value].concat()
}

fn filter(more: Value) -> Value {
    let kind =
        "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
    let own = json!({"@type": kind});
    let config = crate::file::merged(own, more);
    json!({"listener_filters": [{"name": "envoy.filters.listener.proxy_protocol", "typed_config": config}]})
}

/// A listener that answers with what is known of the caller.
fn file(echo: &Upstream, more: Value) -> File {
    let known = "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS%";
    let body = json!({"status": 200, "body": {"inline_string": "known"}});
    let caller = [json!({"header": {"key": "x-known", "value": known}})];
    let routes = table(json!([
        {"match": {"path": "/who"}, "direct_response": body, "response_headers_to_add": caller},
        {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}},
    ]));
    let format = json!({
        "peer": "%DOWNSTREAM_REMOTE_ADDRESS%", "local": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "direct": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    });
    let logs = json!([log("calls.log", format, json!({}))]);
    let manager = json!({"route_config": routes, "access_log": logs, "use_remote_address": true});
    File::new()
        .rpc("rpc", manager, filter(more))
        .cluster("echo", &[echo.address()], json!({}))
}

/// Sends what comes first in pieces of this size.
fn begin(gateway: &Gateway, octets: &[u8], piece: usize) -> TcpStream {
    let mut stream = connect(gateway.address());
    stream.set_nodelay(true).expect("it is open");
    for piece in octets.chunks(piece) {
        stream.write_all(piece).expect("the gateway reads");
    }
    stream
}

#[test]
fn rules_and_logs_know_the_caller_that_the_proxy_tells_of() {
    let echo = Upstream::named("v1");
    let gateway = Gateway::start_text(&file(&echo, json!({})).text(), SOON);
    let get = b"GET /who HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n";
    let lines = Lines::of(&gateway, "calls.log");
    for (at, (header, piece)) in [
        (ONE.to_vec(), 1),
        (ONE.to_vec(), 999),
        (two(), 7),
        (two(), 9999),
    ]
    .into_iter()
    .enumerate()
    {
        let stream = begin(&gateway, &[&header[..], get].concat(), piece);
        let page = rest(&stream);
        assert!(
            page.contains("x-known: 10.1.2.3:4711 10.9.8.7:443\r\n"),
            "{page}"
        );
        let line = lines.next(at);
        let known =
            json!({"peer": "10.1.2.3:4711", "local": "10.9.8.7:443", "direct": "127.0.0.1"});
        assert_eq!(line, known);
    }
    // Calls of RPC have a caller too.
    let mut stream = begin(&gateway, ONE, 999);
    let call = Call::new(Wire::Dubbo, 1).octets();
    stream.write_all(&call).expect("the gateway reads");
    assert_eq!(lines.next(4)["peer"], "10.1.2.3:4711");
    let found = |version: &str| {
        let name = format!("proxy_proto.versions.{version}.found");
        listener_stat(&gateway, &name)
    };
    assert_eq!((found("v1"), found("v2")), (3, 2));
}

#[test]
fn connections_without_a_header_are_closed_unless_they_are_allowed() {
    let echo = Upstream::named("v1");
    let get = b"GET /who HTTP/1.1\r\nhost: any\r\nconnection: close\r\n\r\n";
    let strict = Gateway::start_text(&file(&echo, json!({})).text(), SOON);
    for wrong in [
        &get[..],
        b"PROXY TCP4 1 2 3 4\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ] {
        assert_eq!(rest(&begin(&strict, wrong, 9999)), "");
    }
    let counted = || (listener_stat(&strict, "downstream_cx_proxy_proto_error") == 3).then_some(());
    assert!(eventually(PATIENCE, counted).is_some());

    let lax = json!({
        "allow_requests_without_proxy_protocol": true,
        "disallowed_versions": ["V2"],
    });
    let lax = Gateway::start_text(&file(&echo, lax).text(), SOON);
    let page = rest(&begin(&lax, get, 9999));
    assert!(page.contains("x-known: 127.0.0.1:"), "{page}");
    let page = rest(&begin(&lax, &[ONE, get].concat(), 9999));
    assert!(page.contains("x-known: 10.1.2.3:4711 "), "{page}");
    assert_eq!(listener_stat(&lax, "proxy_proto.not_found_allowed"), 1);
}

#[test]
fn plain_bytes_and_filter_chains_come_after_the_header() {
    let text = File::new()
        .tcp_of("plain", json!({"cluster": "server"}), filter(json!({})))
        .cluster("server", &[greeter("hello")], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    let mut stream = connect(gateway.address_of("plain"));
    stream
        .write_all(&[&two()[..], b"ten octets"].concat())
        .expect("the gateway reads");
    assert_eq!(next(&stream, 5), "hello");
    stream
        .shutdown(std::net::Shutdown::Write)
        .expect("it is open");
    assert_eq!(rest(&stream), " heard 10 octets");
}
