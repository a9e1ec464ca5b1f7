//! Streams and connections of HTTP/2 that are not as they should be.

use serde_json::json;

use crate::Scene;
use crate::h2::{
    DATA, END_HEADERS, END_STREAM, Framed, HEADERS, Outcome, PUSH_PROMISE, WINDOW_UPDATE, block,
    frame, head, request,
};

/// A fault by its name, and the fields that have it.
type Fault<'f> = (&'f str, Vec<(&'f str, &'f str)>);

/// What cannot be a field at all is found before it belongs to a stream (RFC 9113 section 5.4.2
/// allows to end the connection for it).
const UNREADABLE: [&str; 6] = [
    "upper case",
    "line break",
    "NUL",
    "name with a space",
    "empty name",
    "unknown pseudo",
];

fn faults<'f>(many: &[(&'f str, &'f str)]) -> Vec<Fault<'f>> {
    let with =
        |more: &[(&'static str, &'static str)]| [request("GET", "/x"), more.to_vec()].concat();
    vec![
        ("upper case", with(&[("X-Upper", "1")])),
        ("connection", with(&[("connection", "close")])),
        (
            "transfer-encoding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("keep-alive", with(&[("keep-alive", "1")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("te", with(&[("te", "gzip")])),
        ("line break", with(&[("x", "a\r\nb: c")])),
        ("NUL", with(&[("x", "a\0b")])),
        ("name with a space", with(&[("x y", "1")])),
        ("empty name", with(&[("", "1")])),
        ("unknown pseudo", with(&[(":x", "1")])),
        (
            "pseudo after others",
            vec![
                ("x", "1"),
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/x"),
                (":authority", "h"),
            ],
        ),
        (
            "two paths",
            [request("GET", "/x"), vec![(":path", "/y")]].concat(),
        ),
        (
            "no path",
            vec![(":method", "GET"), (":scheme", "http"), (":authority", "h")],
        ),
        (
            "no method",
            vec![(":scheme", "http"), (":authority", "h"), (":path", "/x")],
        ),
        ("empty path", request("GET", "")),
        ("relative path", request("GET", "x")),
        ("status", with(&[(":status", "200")])),
        (
            "user information",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "u@h"),
                (":path", "/x"),
            ],
        ),
        ("trace", request("TRACE", "/x")),
        ("a length without a body", with(&[("content-length", "5")])),
        (
            "two lengths",
            with(&[("content-length", "0"), ("content-length", "0")]),
        ),
        (
            "a length that is no number",
            with(&[("content-length", "x")]),
        ),
        (
            "too many fields",
            [request("GET", "/x"), many.to_vec()].concat(),
        ),
        ("a path with a space", request("GET", "/a b")),
        ("CONNECT", request("CONNECT", "/x")),
    ]
}

#[test]
fn only_the_stream_at_fault_suffers() {
    let scene = Scene::start(json!({}));
    let many: Vec<String> = (0..101).map(|at| format!("x{at}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "1")).collect();
    let mut wrong = Vec::new();
    for (name, fields) in faults(&many) {
        let mut client = Framed::connect(scene.gateway.address(), b"");
        client.send(&head(1, "POST", "/open", false));
        client.send(&frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            3,
            &block(&fields),
        ));
        let outcome = client.outcome(3);
        client.send(&frame(DATA, END_STREAM, 1, b"still there"));
        let other = client.outcome(1);
        let seen = scene.backend.take();
        if UNREADABLE.contains(&name) && outcome == Outcome::GoAway(1) {
            assert_eq!(seen, [""; 0], "{name}");
            continue;
        }
        let refused = matches!(outcome, Outcome::Status(400..500) | Outcome::Reset(_));
        if !refused || other != Outcome::Status(200) || seen != ["POST /open still there"] {
            wrong.push(format!(
                "{name}: {outcome:?}, the other {other:?}, {seen:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_a_connection_ends_it() {
    let scene = Scene::start(json!({}));
    let promise = frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]);
    for (name, bytes) in [
        ("an even stream", head(2, "GET", "/x", true)),
        (
            "a promise",
            [head(1, "POST", "/open", false), promise].concat(),
        ),
        ("DATA on an idle stream", frame(DATA, 0, 5, b"x")),
        (
            "a window that overflows",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        ),
        (
            "a frame that is too long",
            frame(DATA, 0, 1, &[0; 20 << 10]),
        ),
    ] {
        let mut client = Framed::connect(scene.gateway.address(), b"");
        client.send(&bytes);
        let outcome = client.outcome(99);
        assert!(
            matches!(outcome, Outcome::GoAway(_) | Outcome::Lost),
            "{name}: {outcome:?}"
        );
    }
}
