//! What callers are told by the gateway itself.

use std::borrow::Cow;

use crossdock_bolt::{
    Bolt, Dialect, Head, RESPONSE_CLASS, SERVER_EXCEPTION_CLASS, checksum_holds, inspect,
};
use crossdock_framework::{
    codec::Codec,
    frame::{Frame, Head as _, Kind},
    out::Out,
    status::{Cause, Class, Status},
};
use crossdock_hessian::{Grammar, Limits, Walker};

use crate::made::{Made, sofa_request, written};

const TEXT: &str = "no host of \"a.B\" answers: 中😀";

fn answer(to: &Frame<Head>, status: &Status) -> Frame<Head> {
    let mut out = Out::default();
    Bolt.answer(to, status, &mut out);
    written(&out)
}

fn told(to: &Made, cause: Cause) -> Frame<Head> {
    answer(&to.frame(), &Status::new(cause, TEXT))
}

/// A string field of the object that a content begins with.
fn field<'f>(frame: &'f Frame<Head>, grammar: Grammar, name: &str) -> Option<Cow<'f, str>> {
    let content = Bolt::view(frame).content();
    let mut walker = Walker::new(content, grammar, Limits::DEFAULT);
    let mut fields = walker.object().expect("an object");
    while let Some(found) = fields.next_field().expect("a well-formed object") {
        if found.eq_str(name) {
            return Some(fields.value().read_string().expect("a string").to_cow());
        }
    }
    None
}

fn sofa(grammar: Grammar) -> Made {
    let names = [
        ("methodName", Some("m")),
        ("targetServiceUniqueName", Some("a.B:1.0")),
    ];
    Made {
        content: sofa_request(grammar, &names),
        ..Made::request()
    }
}

#[test]
fn sofarpc_reads_the_text_in_its_own_grammar() {
    for grammar in [Grammar::V2, Grammar::V3] {
        for (cause, code, class) in [
            (Cause::NoRoute, "RPC-020100010: ", Class::NotFound),
            (Cause::NoCluster, "RPC-020100010: ", Class::NotFound),
            (Cause::NoHost, "RPC-020060001: ", Class::Unavailable),
            (Cause::Denied, "", Class::Unavailable),
            (Cause::CannotEdit, "", Class::Unavailable),
            (Cause::Draining, "", Class::Unavailable),
        ] {
            let answer = told(&sofa(grammar), cause);
            assert_eq!(answer.head.status(), Some(0));
            let seen = inspect(&answer);
            assert!(seen.walked, "{cause:?}");
            assert_eq!(seen.class, RESPONSE_CLASS);
            let flag = ("sofa_head_response_error".to_owned(), "true".to_owned());
            assert_eq!(seen.headers, [flag]);
            let text = field(&answer, grammar, "errorMsg");
            assert_eq!(text.as_deref(), Some(&*format!("{code}{TEXT}")));
            assert_eq!(Bolt::classify(&answer), class, "{cause:?}");
        }
    }
}

#[test]
fn protobuf_and_json_callers_read_the_text_in_their_form() {
    let answer = told(
        &Made {
            codec: 11,
            ..Made::request()
        },
        Cause::Denied,
    );
    assert_eq!(Bolt::view(&answer).content(), TEXT.as_bytes());
    let answer = told(
        &Made {
            codec: 12,
            ..Made::request()
        },
        Cause::NoRoute,
    );
    let json = r#""RPC-020100010: no host of \"a.B\" answers: 中😀""#;
    assert_eq!(Bolt::view(&answer).content(), json.as_bytes());
    assert_eq!(
        (answer.head.serialization(), answer.head.status()),
        (12, Some(0))
    );
    assert_eq!(Bolt::classify(&answer), Class::NotFound);
}

#[test]
fn raw_bolt_callers_get_an_exception_with_the_text() {
    for grammar in [Grammar::V2, Grammar::V3] {
        let made = Made {
            class: b"peer.Say".to_vec(),
            ..sofa(grammar)
        };
        let answer = told(&made, Cause::NoHost);
        assert_eq!(answer.head.status(), Some(2));
        assert_eq!(inspect(&answer).class, SERVER_EXCEPTION_CLASS);
        assert!(inspect(&answer).walked);
        let text = field(&answer, grammar, "detailMessage");
        assert_eq!(text.as_deref(), Some(&*format!("RPC-020060001: {TEXT}")));
    }
}

/// Which a client with retries does not repeat, as it does status 4.
#[test]
fn a_busy_gateway_throws_the_exception_of_a_busy_server() {
    for grammar in [Grammar::V2, Grammar::V3] {
        for cause in [Cause::Overload, Cause::RateLimited] {
            let answer = told(&sofa(grammar), cause);
            assert_eq!(answer.head.status(), Some(0));
            assert!(inspect(&answer).walked);
            assert_eq!(Bolt::classify(&answer), Class::Overload);
        }
    }
}

#[test]
fn a_status_alone_where_no_text_can_be_written() {
    let opaque = Made {
        codec: 22,
        ..Made::request()
    };
    let raw = Made {
        class: b"peer.Say".to_vec(),
        content: b"\x05hello".to_vec(),
        ..Made::request()
    };
    for made in [opaque, raw, Made::request()] {
        for (cause, status) in [
            (Cause::NoRoute, 6),
            (Cause::NoHost, 16),
            (Cause::Draining, 16),
            (Cause::Denied, 2),
            (Cause::Overload, 4),
            (Cause::RateLimited, 4),
        ] {
            let answer = told(&made, cause);
            assert_eq!(answer.head.status(), Some(status), "{cause:?}");
            assert_eq!(answer.bytes.len(), 20);
            assert_eq!(answer.head.serialization(), made.codec);
        }
    }
}

#[test]
fn causes_with_a_status_of_their_own_are_a_header_alone() {
    for (cause, status) in [
        (Cause::Timeout, 7),
        (Cause::ConnectFailed, 8),
        (Cause::ConnectionLost, 16),
        (Cause::BadRequest, 18),
        (Cause::RequestTooLarge, 18),
        (Cause::BadResponse, 17),
        (Cause::ResponseTooLarge, 17),
    ] {
        let answer = told(&sofa(Grammar::V3), cause);
        assert_eq!(answer.head.status(), Some(status), "{cause:?}");
        assert_eq!(answer.bytes.len(), 20, "{cause:?}");
    }
}

#[test]
fn a_direct_response_follows_its_http_status() {
    let direct = |http| {
        let status = Status {
            http,
            ..Status::new(Cause::DirectResponse, TEXT)
        };
        Bolt::classify(&answer(&sofa(Grammar::V3).frame(), &status))
    };
    assert_eq!(direct(429), Class::Overload);
    assert_eq!(direct(504), Class::Timeout);
    assert_eq!(direct(404), Class::NotFound);
    assert_eq!(direct(403), Class::Unavailable);
    assert_eq!(direct(200), Class::Unavailable, "never a success");
}

#[test]
fn answers_speak_the_dialect_of_the_request_without_a_checksum() {
    for dialect in [Dialect::V1, Dialect::V2, Dialect::V2Crc] {
        let made = Made {
            dialect,
            switch: 1,
            id: 0xffff_fff0,
            ..sofa(Grammar::V3)
        };
        for cause in [Cause::Timeout, Cause::NoRoute] {
            let answer = told(&made, cause);
            assert_eq!(answer.head.dialect(), dialect);
            assert_eq!(answer.head.id(), made.frame().head.id());
            assert!(!answer.head.has_crc());
            assert!(checksum_holds(&answer));
        }
    }
}

#[test]
fn only_requests_are_answered() {
    for (kind, command) in [(2, 1), (0, 2), (1, 0), (1, 100)] {
        let made = Made {
            kind,
            command,
            ..Made::request()
        };
        assert_ne!(made.frame().head.kind(), Kind::Request);
        let mut out = Out::default();
        Bolt.answer(&made.frame(), &Status::new(Cause::NoRoute, TEXT), &mut out);
        assert!(out.is_empty());
    }
}
