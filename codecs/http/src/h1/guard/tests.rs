use super::*;

const LIMITS: Limits = Limits {
    fields: 5,
    bytes: 300,
};

/// Shows the bytes in pieces of `step`, as a connection does: what was passed, and the refusal.
fn show(guard: &mut Guard, bytes: &[u8], step: usize) -> (Vec<u8>, Option<Refusal>) {
    let (mut held, mut passed) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        held.extend_from_slice(piece);
        loop {
            let count = guard.judge(&held);
            passed.extend(held.drain(..count));
            if count == 0 || held.is_empty() {
                break;
            }
        }
    }
    (passed, guard.refusal())
}

fn requests(bytes: &[u8]) -> (Vec<u8>, Option<Refusal>) {
    let whole = show(&mut Guard::of_requests(LIMITS), bytes, usize::MAX);
    for step in [1, 2, 3, 7] {
        let pieces = show(&mut Guard::of_requests(LIMITS), bytes, step);
        assert_eq!(
            pieces,
            whole,
            "in pieces of {step}: {}",
            bytes.escape_ascii()
        );
    }
    whole
}

fn answers(awaited: Awaited, bytes: &[u8]) -> (Vec<u8>, Option<Refusal>) {
    let fresh = || {
        let cell = Rc::new(Cell::new(awaited));
        Guard::of_answers(LIMITS, &cell)
    };
    let whole = show(&mut fresh(), bytes, usize::MAX);
    for step in [1, 2, 3, 7] {
        let pieces = show(&mut fresh(), bytes, step);
        assert_eq!(
            pieces,
            whole,
            "in pieces of {step}: {}",
            bytes.escape_ascii()
        );
    }
    whole
}

#[test]
fn well_formed_requests_pass_as_they_are() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"[..],
        b"\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
        b"get-IT http://h:1/%zz?q HTTP/1.0\r\nx:\r\ny: \t1\xff \r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n\r\n\nGET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length:0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=\"b\"\r\n\n\r\n\r\n00000000000000A\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        let (passed, refusal) = requests(bytes);
        assert_eq!(refusal, None, "{}", bytes.escape_ascii());
        assert_eq!(passed, bytes, "{}", bytes.escape_ascii());
    }
}

/// Heads with lines that two parsers could end or split differently.
const LINES: &[(u16, &[u8])] = &[
    (400, b"GET / HTTP/1.1\nhost: h\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nhost: h\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nhost: h\r\n\n"),
    (400, b"\nGET / HTTP/1.1\r\nhost: h\r\n\r\n"),
    (400, b"GET  / HTTP/1.1\r\n"),
    (400, b"GET / HTTP/1.1 \r\n"),
    (400, b"GET /\r\n"),
    (400, b"GET / a HTTP/1.1\r\n"),
    (400, b" GET / HTTP/1.1\r\n"),
    (400, b"G(T / HTTP/1.1\r\n"),
    (400, b"GET /\t HTTP/1.1\r\n"),
    (400, b"GET /\xff HTTP/1.1\r\n"),
    (400, b"GET /#f HTTP/1.1\r\n"),
    (400, b"GET ://a HTTP/1.1\r\n"),
    (400, b"GET a HTTP/1.1\r\n"),
    (400, b"GET ftp://a/ HTTP/1.1\r\n"),
    (400, b"GET / http/1.1\r\n"),
    (400, b"GET / HTTP/1.1x\r\n"),
    (505, b"GET / HTTP/1.2\r\n"),
    (505, b"GET / HTTP/2.0\r\n"),
    (400, b"GET / HTTP/1.1\r\n folded: 1\r\n"),
    (400, b"GET / HTTP/1.1\r\nx: 1\r\n\t2\r\n"),
    (400, b"GET / HTTP/1.1\r\nx\r\n"),
    (400, b"GET / HTTP/1.1\r\n: 1\r\n"),
    (400, b"GET / HTTP/1.1\r\nx : 1\r\n"),
    (400, b"GET / HTTP/1.1\r\nx y: 1\r\n"),
    (400, b"GET / HTTP/1.1\r\nx\xff: 1\r\n"),
    (400, b"GET / HTTP/1.1\r\nx: a\rb\r\n"),
    (400, b"GET / HTTP/1.1\r\nx: a\r\r\n"),
    (400, b"GET / HTTP/1.1\r\nx: a\0b\r\n"),
    (400, b"GET / HTTP/1.1\r\nx: a\x7fb\r\n"),
];

/// Heads whose body two parsers could end differently.
const FRAMING: &[(u16, &[u8])] = &[
    (
        400,
        b"GET / HTTP/1.1\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\nabcd",
    ),
    (400, b"GET / HTTP/1.1\r\ncontent-length: 4, 4\r\n\r\nabcd"),
    (400, b"GET / HTTP/1.1\r\ncontent-length: +4\r\n\r\nabcd"),
    (400, b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\nabcd"),
    (400, b"GET / HTTP/1.1\r\ncontent-length: 0x4\r\n\r\nabcd"),
    (
        400,
        b"GET / HTTP/1.1\r\ncontent-length: 18446744073709551616\r\n\r\n",
    ),
    (400, b"GET / HTTP/1.1\r\ncontent-length:\r\n\r\n"),
    (
        400,
        b"GET / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        400,
        b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n",
    ),
    (
        400,
        b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        501,
        b"GET / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n",
    ),
    (
        501,
        b"GET / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
    ),
    (
        501,
        b"GET / HTTP/1.1\r\ntransfer-encoding: chunked, chunked\r\n\r\n",
    ),
    (
        501,
        b"GET / HTTP/1.1\r\ntransfer-encoding: identity\r\n\r\n",
    ),
    (501, b"GET / HTTP/1.1\r\ntransfer-encoding:\r\n\r\n"),
    (
        400,
        b"GET / HTTP/1.1\r\ntransfer-encoding: \x0bchunked\r\n\r\n",
    ),
    (
        400,
        b"GET / HTTP/1.1\r\ntransfer-encoding : chunked\r\n\r\n",
    ),
    (
        400,
        b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    (
        400,
        b"CONNECT h:1 HTTP/1.1\r\ncontent-length: 4\r\n\r\nabcd",
    ),
];

#[test]
fn heads_with_two_readings_are_refused_before_a_byte_of_them_is_passed() {
    LINES
        .iter()
        .chain(FRAMING)
        .for_each(|(status, head)| refused(*status, head));
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let long = [&b"GET / HTTP/1.1\r\nx: "[..], &[b'a'; 300]].concat();
    let endless = vec![b'a'; 300 + SEPARATORS + 1];
    for (status, head) in [
        (
            431,
            &b"GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\n\r\n"[..],
        ),
        (431, &[&long[..], b"\r\n\r\n"].concat()),
        (431, &endless),
        (400, b"\r\n\r\n\r\n\r\n\r\n"),
    ] {
        refused(status, head);
    }
}

#[track_caller]
fn refused(status: u16, head: &[u8]) {
    let good = b"GET /first HTTP/1.1\r\nhost: h\r\n\r\n";
    let (passed, refusal) = requests(&[good, head].concat());
    let text = head.escape_ascii();
    assert_eq!(
        refusal.map(|refusal| refusal.status),
        Some(status),
        "{text}"
    );
    assert!(refusal.is_some_and(|refusal| !refusal.within), "{text}");
    let lines = passed.strip_prefix(good).expect("the first is passed");
    assert!(lines.iter().all(|byte| b"\r\n".contains(byte)), "{text}");
}

#[test]
fn bodies_with_two_readings_are_refused_where_they_turn_wrong() {
    let head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    let extension = [b"1;", &[b'a'; SIZE_LINE][..]].concat();
    let extensions = [b"1;", &[b'a'; 4000][..], b"\r\nx\r\n"].concat().repeat(5);
    for (passes, body) in [
        (0, &b"0x1\r\na\r\n"[..]),
        (0, b"\r\n"),
        (0, b"+1\r\na\r\n"),
        (0, b" 1\r\na\r\n"),
        (0, b"1 \r\na\r\n"),
        (0, b"1 ;x\r\na\r\n"),
        (0, b"10000000000000000\r\na\r\n"),
        (0, b"1\na\r\n"),
        (0, b"1;x\n\r\na\r\n"),
        (0, b"1;x\0\r\na\r\n"),
        (0, &extension),
        (4, b"1\r\naX\r\n"),
        (4, b"1\r\naGET /smuggled HTTP/1.1\r\n\r\n"),
        (4, b"1\r\na\n"),
        (4, b"1\r\na\r\r\n"),
        (3, b"0\r\nx: 1\n\r\n"),
        (3, b"0\r\nx: 1\r\n y\r\n\r\n"),
        (3, b"0\r\ncontent-length: 1\r\n\r\n"),
        (3, b"0\r\ntransfer-encoding: chunked\r\n\r\n"),
        (3, b"0\r\nHost: h\r\n\r\n"),
        (3, b"0\r\nGET / HTTP/1.1\r\n\r\n"),
        (4007 * 4, &extensions),
    ] {
        let (passed, refusal) = requests(&[head, body].concat());
        let text = body
            .get(..40.min(body.len()))
            .map(|text| text.escape_ascii());
        let text = text.expect("not longer").to_string();
        let refusal = refusal.unwrap_or_else(|| panic!("{text}"));
        assert_eq!((refusal.status, refusal.within), (400, true), "{text}");
        assert_eq!(passed.len(), head.len() + passes, "{text}");
    }
}

#[test]
fn nothing_is_passed_after_an_upgrade_until_it_is_declined() {
    let upgrade = b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let mut guard = Guard::of_requests(LIMITS);
    let bytes = [&upgrade[..], b"GET / HTTP/1.1\nx"].concat();
    assert_eq!(guard.judge(&bytes), upgrade.len());
    let rest = bytes.get(upgrade.len()..).expect("more");
    assert_eq!((guard.judge(rest), guard.refusal()), (0, None));
    assert!(guard.resume());
    assert_eq!(guard.judge(rest), 0);
    assert!(guard.refusal().is_some());
}

#[test]
fn well_formed_answers_pass_as_they_are() {
    for (awaited, bytes) in [
        (
            Awaited::Answer,
            &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..],
        ),
        (
            Awaited::Answer,
            b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
        ),
        (Awaited::Answer, b"HTTP/1.0 200 \xe4\r\n\r\nuntil\nthe\nend"),
        (
            Awaited::Answer,
            b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        ),
        (
            Awaited::Answer,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        ),
        (
            Awaited::Head,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
        ),
        (
            Awaited::Upgrade,
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n\0\n",
        ),
        (
            Awaited::Upgrade,
            b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
        ),
        (Awaited::Tunnel, b"HTTP/1.1 200 OK\r\n\r\n\0\n"),
    ] {
        let (passed, refusal) = answers(awaited, bytes);
        assert_eq!(refusal, None, "{}", bytes.escape_ascii());
        assert_eq!(passed, bytes, "{}", bytes.escape_ascii());
    }
}

#[test]
fn answers_with_two_readings_and_bytes_after_them_are_refused() {
    let many = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(INTERIM as usize + 1);
    for (awaited, passes, bytes) in [
        (Awaited::Nothing, 0, &b"HTTP/1.1 200 OK\r\n"[..]),
        (Awaited::Nothing, 0, b"\r\n"),
        (
            Awaited::Answer,
            0,
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ),
        (
            Awaited::Answer,
            0,
            b"HTTP/1.1 200 OK\ncontent-length: 2\r\n\r\nok",
        ),
        (Awaited::Answer, 0, b"HTTP/2 200\r\n\r\n"),
        (Awaited::Answer, 0, b"HTTP/1.1 20 OK\r\n\r\n"),
        (Awaited::Answer, 0, b"HTTP/1.1 2000 OK\r\n\r\n"),
        (Awaited::Answer, 0, b"HTTP/1.1 200 O\0K\r\n\r\n"),
        (Awaited::Answer, 0, b"ICY 200 OK\r\n\r\n"),
        (Awaited::Answer, 0, b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
        (Awaited::Answer, 0, b"HTTP/1.1 200 OK\r\nx: 1\r\n y\r\n\r\n"),
        (
            Awaited::Answer,
            0,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
        ),
        (
            Awaited::Answer,
            0,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            Awaited::Answer,
            0,
            b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            Awaited::Answer,
            0,
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            Awaited::Answer,
            0,
            b"HTTP/1.1 100 Continue\r\ncontent-length: 2\r\n\r\nok",
        ),
        (Awaited::Answer, 25 * INTERIM as usize, &many),
        (
            Awaited::Answer,
            40,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
        ),
        (Awaited::Answer, 27, b"HTTP/1.1 204 No Content\r\n\r\nbody"),
        (
            Awaited::Answer,
            29,
            b"HTTP/1.1 304 Not Modified\r\n\r\n\r\n",
        ),
        (
            Awaited::Head,
            38,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ),
    ] {
        let (passed, refusal) = answers(awaited, bytes);
        assert!(refusal.is_some(), "{}", bytes.escape_ascii());
        assert_eq!(passed.len(), passes, "{}", bytes.escape_ascii());
    }
}
