//! Sizes of heads, and fields that belong to a connection.

use super::Row;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = sizes();
    rows.extend(hops());
    rows
}

fn sizes() -> Vec<Row> {
    let fields = |count: usize| {
        let fields: String = (0..count).map(|at| format!("x{at}: 1\r\n")).collect();
        format!("GET /a HTTP/1.1\r\nhost: h\r\n{fields}\r\n")
    };
    let value = |length: usize| {
        format!(
            "GET /a HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n",
            "v".repeat(length)
        )
    };
    let name = |length: usize| {
        format!(
            "GET /a HTTP/1.1\r\nhost: h\r\n{}: 1\r\n\r\n",
            "n".repeat(length)
        )
    };
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "t".repeat(length));
    vec![
        Row::passes(fields(99), "GET /a "),
        Row::refused(431, fields(100)),
        Row::refused(431, fields(2000)),
        Row::passes(value(59 << 10), "GET /a "),
        Row::refused(431, value(61 << 10)),
        Row::refused(431, value(1 << 20)),
        Row::passes(name(30 << 10), "GET /a "),
        Row::refused(431, name(61 << 10)),
        Row::passes(target(59 << 10), &format!("GET /{} ", "t".repeat(59 << 10))),
        Row::refused(431, target(61 << 10)),
        Row::refused(431, target(1 << 20)),
        Row::refused(
            431,
            format!(
                "GET /a HTTP/1.1\r\nhost: h\r\nx:{}1\r\n\r\n",
                " ".repeat(70 << 10)
            ),
        ),
        Row::refused(431, "a".repeat(70 << 10).replacen('a', "GET /", 1)),
    ]
}

/// What the host may not see is looked for in every row.
fn hops() -> Vec<Row> {
    let with = |fields: &str| format!("GET /a HTTP/1.1\r\nhost: h\r\n{fields}\r\n\r\n");
    let mut rows: Vec<Row> = [
        "connection: keep-alive",
        "connection: Keep-Alive, x-hop\r\nx-hop: 1",
        "connection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5",
        "connection:",
        "connection: ,",
        "proxy-connection: keep-alive",
        "te: gzip",
        "te: trailers",
        "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__",
        "upgrade: h2c",
        "upgrade: TLS/1.0\r\nconnection: upgrade",
        "expect: 100-continue",
        "trailer: x-sum",
        "x-envoy-internal: true",
    ]
    .iter()
    .map(|fields| Row::passes(with(fields), "GET /a "))
    .collect();
    for fields in [
        "connection: host",
        "connection: content-length\r\ncontent-length: 0",
        "connection: close, authorization\r\nauthorization: x",
        "connection: cookie\r\ncookie: a=1",
        "connection: x-forwarded-for",
        "connection: a b",
        "connection: \"x\"",
        "connection: :path",
    ] {
        rows.push(Row::refused(400, with(fields)));
    }
    rows.push(Row::refused(
        403,
        with("connection: upgrade\r\nupgrade: websocket"),
    ));
    rows
}
