//! Bodies that no Dubbo wrote: a word less, an error, never a panic.

mod common;

use common::{decode, frame, message, names, octets};
use crossdock_dubbo::{Dubbo, HEADER_LEN, Head, inspect};
use crossdock_framework::{
    codec::Codec as _,
    edits::{Edit, Edits},
    frame::{Frame, Head as _, WireId},
    out::Out,
    status::{Cause, Class, Status},
    view::{Key, RoutingView as _},
};
use proptest::{prelude::*, sample::select};

/// Asks everything that can be asked of a message.
fn ask(frame: &Frame<Head>) {
    let view = Dubbo::view(frame);
    for key in [
        Key::Authority,
        Key::Path,
        Key::HttpMethod,
        Key::Scheme,
        Key::Header("timeout"),
        Key::Header("x-dubbo-version"),
        Key::Header("x-dubbo-group"),
        Key::Header("x-dubbo-generic"),
        Key::Header("x-dubbo-serialization"),
    ] {
        view.get(key);
    }
    let _ = (
        view.service(),
        view.method(),
        view.timeout(),
        view.protocol(),
    );
    view.headers(&mut |_, _| {});
    inspect(frame);
    Dubbo::classify(frame);
    let mut edits = Edits::none();
    edits.push(Edit::Set("x-new".into(), "value".into()));
    edits.push(Edit::Remove("timeout".into()));
    let mut out = Out::default();
    let written = Dubbo::default().encode(frame, WireId(9), &edits, &mut out);
    assert_eq!(written.is_err(), out.is_empty());
    if written.is_ok() {
        let again = decode(&out.to_vec());
        assert_eq!(again.head.id(), WireId(9));
    }
    let mut out = Out::default();
    let status = Status::new(Cause::Overload, "full");
    Dubbo::default().answer(frame, &status, &mut out);
    Dubbo::default().heartbeat_ack(frame, &mut out);
}

/// The frame with another body and a length that fits it.
fn with_body(frame: &Frame<Head>, body: &[u8]) -> Frame<Head> {
    decode(&message(frame.head.flag(), frame.head.status(), body))
}

#[test]
fn a_body_cut_anywhere_costs_only_its_own_words() {
    for name in names() {
        let whole = frame(&name);
        let body = &whole.bytes[HEADER_LEN..];
        for cut in (0..body.len()).filter(|cut| *cut < 400 || cut % 97 == 0) {
            ask(&with_body(&whole, &body[..cut]));
        }
    }
}

#[test]
fn a_body_of_garbage_has_no_words() {
    for body in [&[0x40; 100][..], &[0xff; 100], b"", b"\x05", &[0x79; 100]] {
        for flag in [0xc2, 0xd7, 0x82, 0x97] {
            let frame = decode(&message(flag, 0, body));
            let view = Dubbo::view(&frame);
            assert_eq!(view.get(Key::Authority), None);
            assert_eq!(view.get(Key::Path), None);
            assert_eq!(view.get(Key::Header("x")), None);
            assert_eq!(view.method(), None);
            assert_eq!(view.timeout(), None);
            assert!(!inspect(&frame).walked);
            ask(&frame);
        }
        let response = decode(&message(0x02, 20, body));
        assert_eq!(Dubbo::classify(&response), Class::Ok);
        ask(&response);
    }
}

#[test]
fn a_serialization_that_is_not_read_keeps_its_words_to_itself() {
    let mut octets = octets("jd33_h2_req_echo");
    octets[2] = 0xc8;
    let frame = decode(&octets);
    let view = Dubbo::view(&frame);
    assert_eq!(view.get(Key::Authority), None);
    assert_eq!(view.get(Key::Path), None);
    assert_eq!(view.get(Key::Header("timeout")), None);
    let name = view.get(Key::Header("x-dubbo-serialization"));
    assert_eq!(name.as_deref(), Some("kryo"));
    assert_eq!(view.protocol(), "dubbo");
    assert!(inspect(&frame).walked);
}

#[test]
fn nesting_and_counts_are_cheap_errors() {
    let call = b"\x052.0.2\x01s\x00\x01m\x12Ljava/lang/Object;";
    for argument in [
        &[0x79; 200_000][..],
        b"X\x49\x7f\xff\xff\xff",
        b"V\x01t\x49\x7f\xff\xff\xff",
    ] {
        let frame = decode(&message(0xc2, 0, &[&call[..], argument].concat()));
        let view = Dubbo::view(&frame);
        assert_eq!(view.get(Key::Path).as_deref(), Some("/s/m"));
        assert_eq!(view.get(Key::Header("timeout")), None);
    }
}

#[test]
fn arguments_that_dubbox_does_not_have_are_an_error() {
    let body = b"\x052.0.2\x01s\x00\x01m\x49\x7f\xff\xff\xff\x91HZ";
    let frame = decode(&message(0xc2, 0, body));
    assert_eq!(Dubbo::view(&frame).get(Key::Header("a")), None);
    assert!(!inspect(&frame).walked);
}

proptest! {
    #[test]
    fn damaged_octets_never_panic(
        name in select(names()),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let whole = frame(&name);
        let mut body = whole.bytes[HEADER_LEN..].to_vec();
        for (at, octet) in damage {
            let at = at.index(body.len());
            body[at] = octet;
        }
        ask(&with_body(&whole, &body));
    }

    #[test]
    fn random_bodies_never_panic(
        flag in select(vec![0xc2_u8, 0xd7, 0x02, 0x17, 0x82, 0xe2, 0xf7, 0x22, 0xc8]),
        body in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let status = if flag & 0x80 == 0 { 20 } else { 0 };
        ask(&decode(&message(flag, status, &body)));
    }
}
