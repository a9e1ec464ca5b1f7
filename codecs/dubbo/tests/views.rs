//! The words of a message, where the vectors do not show a case.

mod common;

use std::time::Duration;

use common::{decode, frame, message};
use crossdock_dubbo::{Dubbo, Head};
use crossdock_framework::{
    codec::Codec as _,
    frame::Frame,
    view::{Key, RoutingView as _},
};

/// A call in hessian2: what stands behind `2.0.2`.
fn call(rest: &[u8]) -> Frame<Head> {
    decode(&message(0xc2, 0, &[b"\x052.0.2", rest].concat()))
}

fn header(frame: &Frame<Head>, name: &str) -> Option<String> {
    Dubbo::view(frame).get(Key::Header(name)).map(Into::into)
}

fn path(frame: &Frame<Head>) -> Option<String> {
    Dubbo::view(frame).get(Key::Path).map(Into::into)
}

#[test]
fn words_that_every_call_has() {
    let frame = frame("jd33_h2_req_echo");
    let view = Dubbo::view(&frame);
    assert_eq!(view.get(Key::HttpMethod).as_deref(), Some("POST"));
    assert_eq!(view.get(Key::Scheme).as_deref(), Some("http"));
    assert_eq!(view.protocol(), "dubbo");
    assert_eq!(
        header(&frame, "x-dubbo-serialization").as_deref(),
        Some("hessian2")
    );
    assert_eq!(header(&frame, "x-dubbo-generic"), None);
}

#[test]
fn a_response_has_headers_and_no_path() {
    let frame = frame("jd33_h2_res_attachments");
    let view = Dubbo::view(&frame);
    assert_eq!(view.get(Key::Path), None);
    assert_eq!(view.get(Key::Authority), None);
    assert_eq!(view.get(Key::HttpMethod), None);
    assert_eq!(header(&frame, "x-case").as_deref(), Some("Upper"));
    let mut all = Vec::new();
    view.headers(&mut |name, value| all.push(format!("{name}={value}")));
    assert_eq!(
        all,
        [
            "x-back=from-v1",
            "X-Case=Upper",
            "dubbo=2.0.2",
            "x-provider=v1"
        ]
    );
}

#[test]
fn versions_that_dubbo_takes_for_none_are_absent() {
    for (version, expected) in [
        (&b"N"[..], None),
        (b"\x00", None),
        (b"\x050.0.0", None),
        (b"\x051.0.0", Some("1.0.0")),
        (b"\x050.0.1", Some("0.0.1")),
    ] {
        let frame = call(&[b"\x01s", version, b"\x01m\x00N"].concat());
        assert_eq!(header(&frame, "x-dubbo-version").as_deref(), expected);
    }
}

#[test]
fn attachments_are_found_whatever_their_case_and_the_last_counts() {
    let plain = call(b"\x01s\x00\x01m\x00H\x03Tag\x01a\x03tag\x01b\x05other\x01cZ");
    let object = call(b"\x01s\x00\x01m\x00H\x03Tag\x01a\x01o\x78\x03tag\x01b\x05other\x01cZ");
    for frame in [plain, object] {
        assert_eq!(header(&frame, "tag").as_deref(), Some("b"));
        assert_eq!(header(&frame, "other").as_deref(), Some("c"));
        assert_eq!(header(&frame, "ta"), None);
        assert_eq!(header(&frame, "o"), None);
    }
}

#[test]
fn numbers_and_booleans_show_as_text_and_nothing_else_does() {
    let frame = call(
        b"\x01s\x00\x01m\x00H\x01i\x91\x01l\x4c\0\0\0\x01\0\0\0\0\x01t\x54\x01n\x4e\x01d\x5bZ",
    );
    for (name, expected) in [
        ("i", Some("1")),
        ("l", Some("4294967296")),
        ("t", Some("true")),
        ("n", None),
        ("d", None),
    ] {
        assert_eq!(header(&frame, name).as_deref(), expected, "{name}");
    }
}

#[test]
fn a_timeout_may_be_text_or_number() {
    for (value, expected) in [
        (&b"\x041500"[..], Some(1500)),
        (b"\xcd\xdc", Some(1500)),
        (b"\x05 1500", Some(1500)),
        (b"\x010", None),
        (b"\x02-1", None),
        (b"\x03abc", None),
        (b"\x14999999999999999999999", None),
        (b"N", None),
    ] {
        let frame = call(&[b"\x01s\x00\x01m\x00H\x07timeout", value, b"Z"].concat());
        let expected = expected.map(Duration::from_millis);
        assert_eq!(Dubbo::view(&frame).timeout(), expected, "{value:?}");
    }
}

#[test]
fn names_need_not_be_ascii() {
    let frame = call("\u{2}dé\u{0}\u{2}中m\u{0}H\u{1}é\u{1}ñZ".as_bytes());
    let view = Dubbo::view(&frame);
    assert_eq!(view.get(Key::Authority).as_deref(), Some("dé"));
    assert_eq!(view.get(Key::Path).as_deref(), Some("/dé/中m"));
    assert_eq!(header(&frame, "é").as_deref(), Some("ñ"));
}

#[test]
fn dubbox_may_count_arguments_instead_of_describing_them() {
    let two = call(b"\x01s\x00\x01m\x92\x91\x01xH\x01a\x011Z");
    assert_eq!(header(&two, "a").as_deref(), Some("1"));
    let described = call(b"\x01s\x00\x01m\x8f\x02II\x91\x92H\x01a\x012Z");
    assert_eq!(header(&described, "a").as_deref(), Some("2"));
}

#[test]
fn a_generic_call_is_named_by_its_first_argument() {
    let desc = "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;";
    let mut rest = b"\x01s\x00".to_vec();
    for method in ["$invoke", "$invokeAsync"] {
        let mut body = rest.clone();
        body.push(method.len() as u8);
        body.extend(method.bytes());
        body.extend([0x30, desc.len() as u8]);
        body.extend(desc.bytes());
        body.extend(b"\x04realNxH\x07generic\x04trueZ");
        let frame = call(&body);
        assert_eq!(path(&frame).as_deref(), Some("/s/real"));
        assert_eq!(Dubbo::view(&frame).method().as_deref(), Some("real"));
        assert_eq!(header(&frame, "x-dubbo-generic").as_deref(), Some("true"));
    }
    // Without a name the call keeps its own.
    rest.extend(b"\x07$invoke\x01I\x91N");
    assert_eq!(path(&call(&rest)).as_deref(), Some("/s/$invoke"));
}

/// A call in fastjson2: each value gets its length in front.
fn fast(values: &[&[u8]]) -> Frame<Head> {
    let mut body = Vec::new();
    for value in values {
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(*value);
    }
    decode(&message(0xd7, 0, &body))
}

#[test]
fn fastjson2_calls_have_the_same_words() {
    let generic = fast(&[
        b"\x4e2.0.2",
        b"\x4as",
        b"\xaf",
        b"\x50$invoke",
        b"\x5bLjava/lang/String;",
        b"\x4dreal",
        b"\xa6\x50timeout\x38\x64\x4aa\xb1\x4abv1\xa5",
    ]);
    assert_eq!(path(&generic).as_deref(), Some("/s/real"));
    assert_eq!(header(&generic, "x-dubbo-version"), None);
    let plain = fast(&[
        b"\x4e2.0.2",
        b"\x4as",
        b"\x4e1.0.0",
        b"\x4am",
        b"\x49",
        b"\xa6\x50timeout\x38\x64\x4aa\xb1\x4ab\x4bv1\xa5",
    ]);
    assert_eq!(path(&plain).as_deref(), Some("/s/m"));
    assert_eq!(header(&plain, "x-dubbo-version").as_deref(), Some("1.0.0"));
    assert_eq!(
        header(&plain, "x-dubbo-serialization").as_deref(),
        Some("fastjson2")
    );
    assert_eq!(
        Dubbo::view(&plain).timeout(),
        Some(Duration::from_millis(100))
    );
    assert_eq!(header(&plain, "a").as_deref(), Some("true"));
    assert_eq!(header(&plain, "b").as_deref(), Some("v1"));
}
