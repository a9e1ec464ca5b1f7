//! Targets, hosts and methods.

use super::{After, Row};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = paths();
    rows.extend(hosts());
    rows.extend(methods());
    rows
}

fn paths() -> Vec<Row> {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut rows = Vec::new();
    // One spelling of each path reaches the host.
    for (target, seen) in [
        ("/", "/"),
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/%2E./b", "/b"),
        ("/a//b", "/a//b"),
        ("/a/b/..", "/a/"),
        ("/a\\..\\b", "/b"),
        ("/a?b=../c", "/a?b=../c"),
        ("/?", "/?"),
        ("/a%2fb", "/a%2fb"),
        ("/a;x=1", "/a;x=1"),
        ("/a%20b", "/a%20b"),
        ("/%zz", "/%zz"),
        ("/%", "/%"),
        ("//h/a", "//h/a"),
        ("/a?b#", ""),
        ("/a:b@c", "/a:b@c"),
        ("/~!$&'()*+,=", "/~!$&'()*+,="),
        ("http://other/a", "/a"),
        ("http://other", "/"),
        ("http://other:8080?q", "/?q"),
        ("HTTP://OTHER/a", "/a"),
        ("/a?http://x/../y", "/a?http://x/../y"),
    ] {
        rows.push(match seen {
            "" => Row::refused(400, get(target)),
            seen => Row::passes(get(target), &format!("GET {seen} ")),
        });
    }
    for target in [
        "a",
        "*",
        "?a",
        "#",
        "/a#b",
        "/../a",
        "/a/../../b",
        "/%2e%2e/a",
        "/%00",
        "http:/a",
        "http://",
        "http:///a",
        "://a",
        "http://u:p@h/a",
        "http://h:x/a",
        "/\u{e4}",
        "/a\u{7f}",
        "..",
        "h:80",
        "http://h/a b",
    ] {
        rows.push(Row::refused(400, get(target)));
    }
    rows
}

fn hosts() -> Vec<Row> {
    let get = |fields: &str| format!("GET /a HTTP/1.1\r\n{fields}\r\n");
    let mut rows = vec![
        Row::passes(get("host: h:8080\r\n"), "GET /a "),
        Row::passes(get("host: [::1]:80\r\n"), "GET /a "),
        Row::passes(get("HOST: H\r\n"), "GET /a "),
    ];
    for fields in [
        "",
        "x: 1\r\n",
        "host:\r\n",
        "host: \r\n",
        "host: a\r\nhost: b\r\n",
        "host: a\r\nhost: a\r\n",
        "host: a\r\nHost: b\r\n",
        "host: a b\r\n",
        "host: a/b\r\n",
        "host: a@b\r\n",
        "host: a#b\r\n",
        "host: a\\b\r\n",
        "host: \u{e4}\r\n",
        "host: a?b\r\n",
        "host: a\tb\r\n",
        "host: <a>\r\n",
    ] {
        rows.push(Row::refused(400, get(fields)));
    }
    rows
}

fn methods() -> Vec<Row> {
    let mut rows = Vec::new();
    for method in [
        "GET",
        "get",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "FOO",
        "M-SEARCH",
        "GeT",
        "PROPFIND",
        "X!#$%&'*+.^_`|~1",
    ] {
        rows.push(Row::passes(
            format!("{method} /a HTTP/1.1\r\nhost: h\r\n\r\n"),
            &format!("{method} /a "),
        ));
    }
    rows.push(Row::passes(
        "HEAD /a HTTP/1.1\r\nhost: h\r\n\r\n",
        "HEAD /a ",
    ));
    rows.push(Row::passes(
        "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n",
        "OPTIONS * ",
    ));
    rows.push(Row::refused(405, "TRACE /a HTTP/1.1\r\nhost: h\r\n\r\n"));
    rows.push(Row::refused(
        404,
        "CONNECT h:80 HTTP/1.1\r\nhost: h\r\n\r\n",
    ));
    for line in [
        "CONNECT / HTTP/1.1",
        "CONNECT h HTTP/1.1",
        "CONNECT http://h/ HTTP/1.1",
    ] {
        rows.push(Row::refused(400, format!("{line}\r\nhost: h\r\n\r\n")));
    }
    // The bytes of no protocol are not answered.
    for line in [
        "G@T /a HTTP/1.1",
        " GET /a HTTP/1.1",
        "(GET) /a HTTP/1.1",
        "\u{0}GET /a HTTP/1.1",
    ] {
        let mut row = Row::refused(400, format!("{line}\r\nhost: h\r\n\r\n"));
        row.answers.clear();
        rows.push(row);
    }
    let later = |line: &str| {
        let first = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";
        let both = format!("{first}{line}\r\nhost: h\r\n\r\n");
        Row::passes(both, "GET /a ")
            .and(400, "")
            .then(After::Closed)
    };
    rows.extend(
        [
            "G@T /b HTTP/1.1",
            " GET /b HTTP/1.1",
            "PRI * HTTP/2.0x",
            "\u{16}\u{3}\u{1}",
        ]
        .map(later),
    );
    rows
}
