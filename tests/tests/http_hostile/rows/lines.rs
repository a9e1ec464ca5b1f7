//! Lines: their ends, their parts, and the characters in them.

use super::{After, Row};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = ends();
    rows.extend(parts());
    rows.extend(characters());
    rows
}

/// How lines end.
fn ends() -> Vec<Row> {
    vec![
        Row::passes("GET /a HTTP/1.1\r\nhost: h\r\n\r\n", "GET /a "),
        Row::passes("\r\nGET /a HTTP/1.1\r\nhost: h\r\n\r\n", "GET /a "),
        Row::refused(400, "GET /a HTTP/1.1\nhost: h\n\n"),
        Row::refused(400, "GET /a HTTP/1.1\nhost: h\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost: h\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost: h\r\n\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost: h\r\nx: 1\ny: 2\r\n\r\n"),
        Row::refused(
            400,
            "GET /a HTTP/1.1\r\nhost: h\r\nx: 1\n\nGET /b HTTP/1.1\r\n\r\n",
        ),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost: h\r\nx: 1\r\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost: h\r\nx: 1\ry: 2\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\r\nhost: h\r\n\r\n"),
        Row::refused(400, "GET /a\r HTTP/1.1\r\nhost: h\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\n\rhost: h\r\n\r\n"),
        Row::refused(400, "\r\nGET /a\nHTTP/1.1\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost: h\r\nx: 1\r\n 2\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost: h\r\nx: 1\r\n\t2\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost: h\r\nx:\r\n 2\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\n x: 1\r\nhost: h\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\n \r\nhost: h\r\n\r\n"),
        Row::refused(400, "GET /a HTTP/1.1\r\nhost:\r\n h\r\n\r\n"),
        Row::refused(
            400,
            "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length:\r\n 3\r\n\r\nabc",
        ),
        Row::refused(
            501,
            "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        ),
    ]
}

/// What lines are made of.
fn parts() -> Vec<Row> {
    let get = |line: &str| format!("{line}\r\nhost: h\r\n\r\n");
    let field = |line: &str| format!("GET /a HTTP/1.1\r\nhost: h\r\n{line}\r\n\r\n");
    let mut rows: Vec<Row> = [
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET /a\tHTTP/1.1",
        "GET /a",
        "GET /a ",
        "GET /a HTTP",
        "GET /a HTTP/",
        "GET /a HTTP/1",
        "GET /a HTTP/1.",
        "GET /a HTTP/1.1.1",
        "GET /a HTTP/11",
        "GET /a HTTP/01.1",
        "GET /a HTTP/1.01",
        "GET /a HTTP/1,1",
        "GET /a http/1.1",
        "GET /a Http/1.1",
        "GET /a HTTPS/1.1",
        "GET /a XTTP/1.1",
        "GET /a HTTP/1.1x",
        "GET /a HTTP/1.1\x00",
        "GET /a HTTP /1.1",
        "GET  HTTP/1.1",
    ]
    .iter()
    .map(|line| Row::refused(400, get(line)))
    .collect();
    for version in ["0.9", "1.2", "1.9", "2.0", "2.1", "3.0", "9.9"] {
        rows.push(Row::refused(505, get(&format!("GET /a HTTP/{version}"))));
    }
    rows.push(Row::refused(426, get("GET /a HTTP/1.0")));
    rows.push(Row::refused(426, "GET /a HTTP/1.0\r\n\r\n"));
    for line in [
        "x : 1",
        "x\t: 1",
        " x: 1",
        "x",
        "x y: 1",
        ": 1",
        ":",
        "(x): 1",
        "x,y: 1",
        "\"x\": 1",
        "x/y: 1",
        "x@y: 1",
        "[x]: 1",
        "{x}: 1",
        "x;y: 1",
        "x=y: 1",
        "x\\y: 1",
        "x<y: 1",
        "x\u{e4}: 1",
        "content-length : 0",
        "transfer-encoding : chunked",
        "host : i",
        "\u{feff}x: 1",
        "x\u{a0}: 1",
    ] {
        rows.push(Row::refused(400, field(line)));
    }
    for line in [
        "x:1",
        "x: 1 ",
        "x:\t1\t",
        "x:",
        "x: ",
        "!#$%&'*+-.^_`|~: 1",
        "x: a: b",
        "x: \u{e4}",
    ] {
        rows.push(Row::passes(field(line), "GET /a "));
    }
    rows
}

/// Every character that may not stand in a place.
fn characters() -> Vec<Row> {
    let mut rows = Vec::new();
    let control = (0..0x20).chain([0x7f]);
    for byte in control.filter(|byte| !b"\r\n".contains(byte)) {
        let with =
            |before: &str, after: &str| [before.as_bytes(), &[byte], after.as_bytes()].concat();
        rows.push(Row::refused(
            400,
            with("GET /a", "b HTTP/1.1\r\nhost: h\r\n\r\n"),
        ));
        rows.push(Row::refused(
            400,
            with("GET /a HTTP/1.1\r\nhost: h\r\nx", "y: 1\r\n\r\n"),
        ));
        if byte != b'\t' {
            rows.push(Row::refused(
                400,
                with("GET /a HTTP/1.1\r\nhost: h\r\nx: a", "b\r\n\r\n"),
            ));
            rows.push(Row::refused(
                400,
                with("GET /a HTTP/1.1\r\nhost: h\r\nx: ", "\r\n\r\n"),
            ));
        }
        rows.push(Row::refused(
            400,
            with("GET /a HTTP/1.1\r\nhost: h", "i\r\n\r\n"),
        ));
    }
    for byte in 0x80..=0xff_u8 {
        if byte % 16 == 5 {
            let target = [b"GET /", &[byte][..], b" HTTP/1.1\r\nhost: h\r\n\r\n"].concat();
            rows.push(Row::refused(400, target));
            let value = [
                b"GET /a HTTP/1.1\r\nhost: h\r\nx: ",
                &[byte][..],
                b"\r\n\r\n",
            ]
            .concat();
            rows.push(Row::passes(value, "GET /a "));
        }
    }
    rows.push(
        Row::passes(
            "GET /a HTTP/1.1\r\nhost: h\r\n\r\nGET /b HTTP/1.1\r\nx\r\n\r\n",
            "GET /a ",
        )
        .and(400, "")
        .then(After::Closed),
    );
    rows
}
