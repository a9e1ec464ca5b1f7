//! Where bodies end.

use super::{After, Row};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(codings());
    rows.extend(chunks());
    rows.extend(pipelines());
    rows
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nhost: h\r\n{fields}\r\n\r\n{body}")
}

fn lengths() -> Vec<Row> {
    let mut rows = vec![
        Row::passes(post("content-length: 3", "abc"), "POST /a abc"),
        Row::passes(post("content-length: 003", "abc"), "POST /a abc"),
        Row::passes(post("Content-Length:3", "abc"), "POST /a abc"),
        Row::passes(post("CONTENT-LENGTH:  3  ", "abc"), "POST /a abc"),
        Row::passes(post("content-length: 0", ""), "POST /a "),
        Row::passes(post("x: 1", ""), "POST /a "),
        Row::passes(
            "GET /a HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc",
            "GET /a abc",
        ),
        Row::passes(
            "DELETE /a HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc",
            "DELETE /a abc",
        ),
    ];
    for length in [
        "+3",
        "-3",
        "-0",
        "0x3",
        "3a",
        "a",
        "",
        "3,3",
        "3, 3",
        "3 3",
        "3;",
        "3.0",
        "1e1",
        "'3'",
        "\"3\"",
        "\u{663}",
        "3\u{b}",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "9223372036854775807999",
        "3,",
        ",3",
        "_3",
        "3_0",
    ] {
        rows.push(Row::refused(
            400,
            post(&format!("content-length: {length}"), "abc"),
        ));
    }
    for fields in [
        "content-length: 3\r\ncontent-length: 3",
        "content-length: 3\r\ncontent-length: 4",
        "content-length: 0\r\ncontent-length: 3",
        "content-length: 3\r\nContent-Length: 0",
        "content-length: 3\r\nx: 1\r\ncontent-length: 3",
        "content-length: 3\r\ncontent-length:",
    ] {
        rows.push(Row::refused(400, post(fields, "abc")));
    }
    rows
}

fn codings() -> Vec<Row> {
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    let mut rows = vec![
        Row::passes(post("transfer-encoding: chunked", chunks), "POST /a abc"),
        Row::passes(post("Transfer-Encoding: Chunked", chunks), "POST /a abc"),
        Row::passes(post("transfer-encoding:chunked", chunks), "POST /a abc"),
        Row::passes(
            post("transfer-encoding: \t chunked \t", chunks),
            "POST /a abc",
        ),
        Row::passes(
            "GET /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "GET /a abc",
        ),
    ];
    for fields in [
        "content-length: 3\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 3",
        "transfer-encoding: chunked\r\ncontent-length: 0",
        "Content-Length: 13\r\nTransfer-Encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\nx: 1\r\ntransfer-encoding: chunked",
        "transfer-encoding: \u{b}chunked",
        "transfer-encoding: chunked\u{b}",
        "transfer-encoding: chunked\u{0}",
        "transfer-encoding : chunked",
        "transfer-encoding\u{b}: chunked",
        "transfer encoding: chunked",
        "transfer-encoding",
        "x: y\rtransfer-encoding: chunked",
        "x: y\ntransfer-encoding: chunked",
    ] {
        rows.push(Row::refused(400, post(fields, chunks)));
    }
    rows.extend(other_codings());
    // These names are others, and say nothing.
    for name in [
        "transfer_encoding",
        "content_length",
        "x-transfer-encoding",
        "xcontent-length",
    ] {
        rows.push(Row::passes(
            post(&format!("{name}: chunked\r\ncontent-length: 3"), "abc"),
            "POST /a abc",
        ));
    }
    rows
}

fn other_codings() -> Vec<Row> {
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    let mut rows = Vec::new();
    for coding in [
        "xchunked",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "identity",
        "identity, chunked",
        "chunked;q=1",
        "\"chunked\"",
        "'chunked'",
        "chunked,",
        ",chunked",
        "chunk",
        "chunkedx",
        "chu nked",
        "",
        "deflate",
        "x-chunked",
        "chunked, identity",
        "cow",
        "trailers",
    ] {
        rows.push(Row::refused(
            501,
            post(&format!("transfer-encoding: {coding}"), chunks),
        ));
    }
    rows.push(Row::refused(
        501,
        post(
            "transfer-encoding: identity\r\ntransfer-encoding: chunked",
            chunks,
        ),
    ));
    rows.push(Row::refused(
        501,
        post("content-length: 3\r\ntransfer-encoding: identity", "abc"),
    ));
    rows.push(Row::refused(
        400,
        format!("POST /a HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"),
    ));
    rows
}

fn chunked(body: &str) -> String {
    post("transfer-encoding: chunked", body)
}

fn chunks() -> Vec<Row> {
    let mut rows = vec![
        Row::passes(chunked("0\r\n\r\n"), "POST /a "),
        Row::passes(chunked("000\r\n\r\n"), "POST /a "),
        Row::passes(chunked("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), "POST /a abc"),
        Row::passes(
            chunked("0000000000000003\r\nabc\r\n0\r\n\r\n"),
            "POST /a abc",
        ),
        Row::passes(
            chunked("A\r\n0123456789\r\n0\r\n\r\n"),
            "POST /a 0123456789",
        ),
        Row::passes(
            chunked("a\r\n0123456789\r\n0\r\n\r\n"),
            "POST /a 0123456789",
        ),
        Row::passes(chunked("3;x\r\nabc\r\n0\r\n\r\n"), "POST /a abc"),
        Row::passes(
            chunked("3;x=1;y=\"2\"\r\nabc\r\n0;z\r\n\r\n"),
            "POST /a abc",
        ),
        Row::passes(chunked("3\r\n\r\n\r\r\n0\r\n\r\n"), "POST /a \r\n\r"),
        Row::passes(chunked("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"), "POST /a abc"),
    ];
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(20 << 10));
    for body in [
        "x\r\n",
        "\r\n",
        "-1\r\na\r\n",
        "+1\r\na\r\n",
        "0x1\r\na\r\n",
        "1h\r\na\r\n",
        " 1\r\na\r\n",
        "\t1\r\na\r\n",
        "1 \r\na\r\n",
        "1\t\r\na\r\n",
        "1 ;x\r\na\r\n",
        "1,\r\na\r\n",
        "1\na\r\n",
        "1\n\r\na\r\n",
        "1;x\na\r\n",
        "1;x\n\r\na\r\n",
        "1;\u{0}\r\na\r\n",
        "1\ra\r\n",
        "00000000000000001\r\na\r\n",
        "FFFFFFFFFFFFFFFFF\r\na\r\n",
        ";x\r\na\r\n",
        "\u{661}\r\na\r\n",
        "1_0\r\n",
        "#\r\n",
        &long,
    ] {
        rows.push(Row::breaks(chunked(body), "POST /a "));
    }
    for body in [
        "1\r\naX\r\n",
        "1\r\naGET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na\r0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na\r\r\n0\r\n\r\n",
        "1\r\na \r\n0\r\n\r\n",
        "1\r\na\r\nx\r\n",
    ] {
        rows.push(Row::breaks(chunked(body), "POST /a a"));
    }
    rows.extend(trailers());
    rows
}

fn trailers() -> Vec<Row> {
    let mut rows = Vec::new();
    let long = format!("1\r\na\r\n0\r\nx: {}\r\n\r\n", "y".repeat(20 << 10));
    for body in [
        "1\r\na\r\n0\r\nx: 1\n\r\n",
        "1\r\na\r\n0\r\n\n",
        "1\r\na\r\n0\r\nx: 1\r\n y\r\n\r\n",
        "1\r\na\r\n0\r\nx : 1\r\n\r\n",
        "1\r\na\r\n0\r\nx\r\n\r\n",
        "1\r\na\r\n0\r\ncontent-length: 3\r\n\r\n",
        "1\r\na\r\n0\r\ntransfer-encoding: chunked\r\n\r\n",
        "1\r\na\r\n0\r\nhost: i\r\n\r\n",
        "1\r\na\r\n0\r\nx: \u{0}\r\n\r\n",
        "1\r\na\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n",
        &long,
    ] {
        rows.push(Row::breaks(chunked(body), "POST /a a"));
    }
    rows
}

/// What follows a body is the next request, and nothing else.
fn pipelines() -> Vec<Row> {
    let get = "GET /b HTTP/1.1\r\nhost: h\r\n\r\n";
    let after = |first: String| Row::passes(first + get, "POST /a abc").and(200, "GET /b ");
    let mut many = Row::passes("", "");
    many.answers.clear();
    many.seen.clear();
    for at in 0..50 {
        many.send
            .extend_from_slice(format!("GET /{at} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes());
        many = many.and(200, &format!("GET /{at} "));
    }
    vec![
        after(post("content-length: 3", "abc")),
        after(chunked("3\r\nabc\r\n0\r\n\r\n")),
        after(post("content-length: 3", "abc\r\n")),
        many,
        Row::passes(post("content-length: 2", "abc\r\n\r\n"), "POST /a ab").and(400, "").then(After::Closed),
        Row::passes(post("content-length: 3", "abc\n") + get, "POST /a abc")
            .and(400, "")
            .then(After::Closed),
        Row::passes(post("content-length: 3\r\nconnection: close", "abc") + get, "POST /a abc")
            .then(After::Closed),
        Row::passes(post("x: 1", "abc\r\n\r\n"), "POST /a ").and(400, "").then(After::Closed),
        Row::passes(
            format!("POST /a HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc{get}"),
            "POST /a abc",
        )
        .and(200, "GET /b "),
    ]
}
