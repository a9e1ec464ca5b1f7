//! Hostile hosts: an answer with two readings reaches nobody, and nothing that a host sends too much
//! reaches the next caller.

use std::io::Write as _;
use std::net::TcpStream;

use crossdock_tests::{Bootstrap, Gateway};
use serde_json::json;

use crate::backend::{Backend, Reader, Seen};
use crate::client::Client;

/// What a host sends, and the status that its caller gets: its own or 502; `None` for an answer that
/// breaks off.
const ANSWERS: &[(&str, Option<u16>)] = &[
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some(200)),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Some(200),
    ),
    ("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok", Some(200)),
    ("HTTP/1.1 299 Odd\r\ncontent-length: 2\r\n\r\nok", Some(299)),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Some(200),
    ),
    ("HTTP/1.1 204 No Content\r\n\r\n", Some(204)),
    (
        "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
        Some(204),
    ),
    (
        "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nabcde",
        Some(204),
    ),
    (
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        Some(304),
    ),
    (
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nabcde",
        Some(304),
    ),
    (
        "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Some(204),
    ),
    // More than an answer.
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokx", Some(200)),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\r\n",
        Some(200),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad",
        Some(200),
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad",
        Some(200),
    ),
    // Who asked for that?
    ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Some(502)),
    (
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        Some(502),
    ),
    (
        "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad",
        Some(502),
    ),
    (
        "HTTP/1.1 100 Continue\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    // Lengths.
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        Some(502),
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", Some(502)),
    ("HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", Some(502)),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\nok",
        Some(502),
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nok", Some(502)),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        Some(502),
    ),
    (
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Some(502),
    ),
    // Lines.
    ("HTTP/1.1 200 OK\ncontent-length: 2\n\nok", Some(502)),
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\n\r\nok", Some(502)),
    ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\nok", Some(502)),
    (
        "HTTP/1.1 200 OK\r\nx: 1\r\n 2\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\nx : 1\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\nx y: 1\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\nx\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    (
        "HTTP/1.1 200 O\rK\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    ("HTTP/1.2 200 OK\r\ncontent-length: 2\r\n\r\nok", Some(502)),
    ("HTTP/2 200\r\ncontent-length: 2\r\n\r\nok", Some(502)),
    ("http/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Some(502)),
    ("HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok", Some(502)),
    ("HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok", Some(502)),
    ("HTTP/1.1 0200 OK\r\ncontent-length: 2\r\n\r\nok", Some(502)),
    ("HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok", Some(502)),
    (
        "\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    ("SSH-2.0-OpenSSH_9\r\n\r\n", Some(502)),
    // The connection's own words.
    (
        "HTTP/1.1 200 OK\r\nconnection: content-length\r\ncontent-length: 2\r\n\r\nok",
        Some(502),
    ),
    // Chunks that turn wrong after the head has been passed on.
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokx\r\n0\r\n\r\n",
        None,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n-1\r\n",
        None,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: 1\n\r\n",
        None,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
        None,
    ),
];

/// Sends row N at `/N`, and its own target to everybody else.
fn serve(stream: TcpStream, seen: &Seen) {
    let mut reader = Reader::new(stream);
    while let Some(start) = reader.line() {
        if reader.fields().is_none() {
            return;
        }
        let start = String::from_utf8_lossy(&start).into_owned();
        let target = start.split(' ').nth(1).unwrap_or_default().to_owned();
        let row = target
            .strip_prefix('/')
            .and_then(|row| row.parse::<usize>().ok());
        let answer = match row.and_then(|row| ANSWERS.get(row)) {
            Some((answer, _)) => (*answer).to_owned(),
            None => format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{target}",
                target.len()
            ),
        };
        seen.lock().expect("no thread panics").push(target);
        if reader.stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn gateway(backend: &Backend) -> Gateway {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}]);
    let bootstrap = Bootstrap::at(&["*"], routes).cluster("echo", &[backend.address()], json!({}));
    Gateway::start(&bootstrap, &["--concurrency", "1"])
}

#[test]
fn no_answer_is_read_in_two_ways() {
    let backend = Backend::serving(serve);
    let gateway = gateway(&backend);
    let mut wrong = Vec::new();
    for (at, (bytes, status)) in ANSWERS.iter().enumerate() {
        let mut client = Client::connect(gateway.address());
        client.send(format!("GET /{at} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes());
        let answer = client.answer(false);
        let got = answer
            .as_ref()
            .filter(|answer| answer.whole)
            .map(|answer| answer.status);
        if got != *status || answer.is_some_and(|answer| answer.body.contains("bad")) {
            wrong.push(format!("{}: {got:?}", bytes.escape_debug()));
        }
        // On the same connection if it stands, and on others: everybody gets what is meant for him.
        for other in 0..3 {
            let mut honest = Client::connect(gateway.address());
            let target = format!("/honest/{at}/{other}");
            let answer = honest.call(&format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n"));
            if (answer.status, answer.body.as_str()) != (200, target.as_str()) {
                wrong.push(format!("after {}: {answer:?}", bytes.escape_debug()));
            }
        }
        if status.is_some() {
            let answer = client.call("GET /same HTTP/1.1\r\nhost: h\r\n\r\n");
            if (answer.status, answer.body.as_str()) != (200, "/same") {
                wrong.push(format!("then {}: {answer:?}", bytes.escape_debug()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let refused = ANSWERS
        .iter()
        .filter(|(_, status)| !matches!(status, Some(200 | 299)));
    let counted = gateway.stat("cluster.echo.upstream_cx_protocol_error");
    assert!(counted as usize >= refused.count() - 5, "{counted}");
}

#[test]
fn a_client_that_sends_no_more_gets_its_answers() {
    let backend = Backend::serving(serve);
    let gateway = gateway(&backend);
    let mut client = Client::connect(gateway.address());
    client.send(b"GET /a HTTP/1.1\r\nhost: h\r\n\r\nGET /b HTTP/1.1\r\nhost: h\r\n\r\n");
    client.half_close();
    for target in ["/a", "/b"] {
        assert_eq!(client.answer(false).expect("an answer").body, target);
    }
    assert!(client.rest().is_empty());
}
