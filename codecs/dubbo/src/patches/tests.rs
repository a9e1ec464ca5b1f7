use std::{fs, time::Duration};

use bytes::BytesMut;
use crossdock_framework::{
    codec::{Codec as _, Decoded, FrameLimits},
    edits::Edit,
    frame::WireId,
    out::Out,
    view::{Key, RoutingView as _},
};
use proptest::{prelude::*, sample::select};

use super::*;
use crate::{
    Dubbo, Inspection,
    head::{self, ID_AT},
    inspect,
};

/// Messages with attachments: both serializations, calls and responses, plain and with objects.
const NAMES: [&str; 15] = [
    "jd33_h2_req_echo",
    "jd33_h2_req_attachments",
    "jd33_h2_req_pojo",
    "jd33_h2_res_attachments",
    "jd33_h2_res_null",
    "jd27_h2_res_bizexc",
    "jd33_fj2_req_echo",
    "jd33_fj2_req_attachments",
    "jd33_fj2_req_pojo",
    "jd33_fj2_res_attachments",
    "jd33_fj2_res_null",
    "n_dubbo_req_mixed",
    "n_adubbo_req_dubbox",
    "j_lite_dubbo_req_sharedref",
    "p_dubbo_req_obj",
];

fn octets(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/vectors");
    let text = fs::read_to_string(format!("{folder}/{name}.hex")).expect(name);
    let (_, digits) = text.split_once('\n').expect("a first line");
    let digits: Vec<u32> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

fn decode(octets: &[u8]) -> Frame<Head> {
    let mut buf = BytesMut::from(octets);
    match Dubbo::default().decode(&mut buf, &FrameLimits::default()) {
        Ok(Decoded::Frame(frame)) if buf.is_empty() => frame,
        other => panic!("{other:?}"),
    }
}

fn edits(list: impl IntoIterator<Item = Edit>) -> Edits {
    let mut edits = Edits::none();
    list.into_iter().for_each(|edit| edits.push(edit));
    edits
}

fn edited(frame: &Frame<Head>, edits: &Edits) -> Result<Frame<Head>, CannotEdit> {
    let mut out = Out::default();
    let written = Dubbo::default().encode(frame, WireId(7), edits, &mut out);
    match written {
        Ok(()) => Ok(decode(&out.to_vec())),
        Err(error) => {
            assert!(out.is_empty(), "something was written before the refusal");
            Err(error)
        }
    }
}

fn set(name: &str, value: &str) -> Edit {
    Edit::Set(name.into(), value.into())
}

fn header(frame: &Frame<Head>, name: &str) -> Option<String> {
    Dubbo::view(frame).get(Key::Header(name)).map(Into::into)
}

/// The octets of the body in front of the attachments.
fn payload(frame: &Frame<Head>) -> &[u8] {
    let body = &frame.bytes[HEADER_LEN..];
    let map = find_map(frame.head, body).expect("a body with attachments");
    &body[..map.pos()]
}

/// The attachments without those of the given names.
fn others(seen: &Inspection, names: &[&str]) -> Vec<(String, String)> {
    let mut others = seen.attachments.clone();
    others.retain(|(key, _)| !names.iter().any(|name| key.eq_ignore_ascii_case(name)));
    others
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = select(vec![
        "x-plain",
        "x-upper",
        "x-utf8",
        "version",
        "dubbo",
        "group",
        "path",
        "x-back",
        "new",
        "x-\u{4e2d}",
    ])
    .prop_map(Box::<str>::from);
    let value = prop_oneof![
        Just(String::new()),
        "[ -~]{1,60}",
        "\\PC{0,20}",
        Just("x".repeat(5000)),
    ]
    .prop_map(String::into_boxed_str);
    (name, value, 0..5).prop_map(|(name, value, which)| match which {
        0 => Edit::Set(name, value),
        1 => Edit::Append(name, value),
        2 => Edit::AddIfAbsent(name, value),
        3 => Edit::OverwriteIfExists(name, value),
        _ => Edit::Remove(name),
    })
}

proptest! {
    #[test]
    fn edits_change_what_they_name_and_nothing_else(
        name in select(&NAMES[..]),
        list in proptest::collection::vec(edit(), 1..5),
    ) {
        let before = decode(&octets(name));
        let edits = edits(list);
        let after = edited(&before, &edits).expect("no attachment here is an object");
        let (old, new) = (inspect(&before), inspect(&after));
        prop_assert!(new.walked, "{:?}", new.error);
        prop_assert_eq!(payload(&before), payload(&after));
        let names: Vec<&str> = edits.names().collect();
        prop_assert_eq!(others(&old, &names), others(&new, &names));
        for name in names {
            let current = header(&before, name);
            let expected = match edits.effect(name, current.as_deref()) {
                Effect::Keep => current,
                Effect::Remove => None,
                Effect::Become(value) => Some(value),
            };
            prop_assert_eq!(header(&after, name), expected);
        }
    }
}

#[test]
fn an_edit_without_effect_changes_the_id_alone() {
    for name in NAMES {
        let before = decode(&octets(name));
        let after = edited(&before, &edits([Edit::Remove("absent".into())])).expect(name);
        assert_eq!(
            before.bytes[HEADER_LEN..],
            after.bytes[HEADER_LEN..],
            "{name}"
        );
        assert_eq!(before.bytes[..ID_AT], after.bytes[..ID_AT], "{name}");
        assert_eq!(after.head.id(), WireId(7), "{name}");
    }
}

#[test]
fn an_added_attachment_stands_before_the_end_of_the_map() {
    let before = decode(&octets("jd33_h2_req_echo"));
    let after = edited(&before, &edits([set("x-tag", "gray")])).expect("a call");
    let old = &before.bytes[HEADER_LEN..];
    let mut expected = old[..old.len() - 1].to_vec();
    expected.extend(b"\x05x-tag\x04grayZ");
    assert_eq!(after.bytes[HEADER_LEN..], expected);
    assert_eq!(after.head.body_len() as usize, expected.len());
}

#[test]
fn a_replaced_attachment_keeps_its_place_and_spelling() {
    let before = decode(&octets("jd33_h2_req_attachments"));
    let after = edited(&before, &edits([set("x-upper", "2")])).expect("a call");
    let mut expected = inspect(&before).attachments;
    for (key, value) in &mut expected {
        if key == "X-Upper" {
            *value = "2".to_owned();
        }
    }
    assert_eq!(inspect(&after).attachments, expected);
}

#[test]
fn the_word_for_the_group_edits_the_group() {
    for name in ["jd33_h2_req_group", "jd33_fj2_req_group"] {
        let before = decode(&octets(name));
        let after = edited(&before, &edits([set("x-dubbo-group", "green")])).expect(name);
        assert_eq!(header(&after, "group").as_deref(), Some("green"));
    }
}

/// A call of `m()` in hessian2 with these octets for attachments.
fn call(attachments: &[u8]) -> Frame<Head> {
    let mut body = b"\x052.0.2\x01s\x00\x01m\x00".to_vec();
    body.extend(attachments);
    let length = u32::try_from(body.len()).expect("short");
    let mut octets = head::header(0xc2, 0, WireId(1), length).to_vec();
    octets.extend(body);
    decode(&octets)
}

#[test]
fn null_becomes_a_map() {
    let after = edited(&call(b"N"), &edits([set("a", "1")])).expect("a call");
    assert!(after.bytes.ends_with(b"\x00H\x01a\x011Z"));
    let same = edited(&call(b"N"), &edits([Edit::Remove("a".into())])).expect("a call");
    assert!(same.bytes.ends_with(b"\x00N"));
}

#[test]
fn of_several_spellings_one_is_left() {
    let before = call(b"H\x03Tag\x011\x03tag\x012\x03TAG\x013Z");
    assert_eq!(header(&before, "tag").as_deref(), Some("3"));
    let after = edited(&before, &edits([set("tag", "4")])).expect("a call");
    assert_eq!(
        inspect(&after).attachments,
        [("TAG".to_owned(), "4".to_owned())]
    );
    let gone = edited(&before, &edits([Edit::Remove("tag".into())])).expect("a call");
    assert_eq!(inspect(&gone).attachments, []);
}

#[test]
fn objects_stay_where_they_are() {
    // A map as attachment, and a later reference to it.
    let before = call(b"H\x03objH\x01k\x01vZ\x05again\x51\x91\x01a\x011Z");
    let after = edited(&before, &edits([set("obj", "text")])).expect("the last key counts");
    assert!(after.bytes.ends_with(b"\x01a\x011\x03obj\x04textZ"));
    assert_eq!(header(&after, "obj").as_deref(), Some("text"));
    assert!(inspect(&after).walked);
    let numbered = edited(&before, &edits([set("again", "text")])).expect("a reference can go");
    assert!(inspect(&numbered).walked);
}

#[test]
fn what_later_values_count_on_cannot_go() {
    // A map under one spelling of the name.
    let object = call(b"H\x03TagH\x01k\x01vZ\x03tag\x01a\x05again\x51\x91Z");
    let gone = edits([Edit::Remove("tag".into())]);
    assert_eq!(edited(&object, &gone).map(drop), Err(CONTAINER));
    assert_eq!(
        edited(&object, &edits([set("tag", "b")])).map(drop),
        Err(CONTAINER)
    );
    // The definition of a class in front of a string, and an object of the class.
    let class = call(b"H\x03tagC\x01c\x90\x01a\x01o\x60Z");
    assert_eq!(header(&class, "tag").as_deref(), Some("a"));
    assert_eq!(edited(&class, &gone).map(drop), Err(CONTAINER));
    let after = edited(&class, &edits([set("tag", "b")])).expect("the last key counts");
    assert!(inspect(&after).walked);
    assert_eq!(header(&after, "tag").as_deref(), Some("b"));
}

#[test]
fn names_that_fastjson2_numbers_cannot_go() {
    let fast = |map: &[u8]| {
        let mut body = b"\0\0\0\x06\x4e2.0.2\0\0\0\x02\x4as\0\0\0\x01\xaf\0\0\0\x02\x4am".to_vec();
        body.extend(b"\0\0\0\x01\x49");
        body.extend((map.len() as u32).to_be_bytes());
        body.extend(map);
        let mut octets = head::header(0xd7, 0, WireId(1), body.len() as u32).to_vec();
        octets.extend(body);
        decode(&octets)
    };
    // A key that is a symbol, and a string with a type: later values name both by number.
    for map in [
        &b"\xa6\x7f\x4ca\x2da\x01\x4ab\xa5"[..],
        b"\xa6\x4ca-a\x92\x4aT\x01\x4ab\xa5",
    ] {
        let before = fast(map);
        assert_eq!(header(&before, "a-a").as_deref(), Some("b"));
        let gone = edits([Edit::Remove("a-a".into())]);
        assert_eq!(edited(&before, &gone).map(drop), Err(CONTAINER));
        let after = edited(&before, &edits([set("a-a", "c")])).expect("the last key counts");
        assert!(after.bytes.ends_with(b"\x4ca-a\x4ac\xa5"));
        assert_eq!(header(&after, "a-a").as_deref(), Some("c"));
    }
    let null = edited(&fast(b"\xaf"), &edits([set("a", "b")])).expect("null becomes a map");
    assert!(null.bytes.ends_with(b"\0\0\0\x06\xa6\x4aa\x4ab\xa5"));
}

#[test]
fn what_cannot_be_edited_is_refused() {
    let refused = |frame: &Frame<Head>, edit: Edit| edited(frame, &edits([edit])).map(drop);
    let call = call(b"H\x01a\x011Z");
    for name in [
        ":path",
        ":authority",
        "host",
        "x-dubbo-version",
        "x-dubbo-serialization",
    ] {
        assert_eq!(
            refused(&call, set(name, "x")),
            Err(NOT_AN_ATTACHMENT),
            "{name}"
        );
    }
    let both = edits([set("group", "1"), set("x-dubbo-group", "2")]);
    let grouped = decode(&octets("jd33_h2_req_group"));
    assert_eq!(edited(&grouped, &both).map(drop), Err(TWICE));
    let bare = decode(&octets("n_dubbo_res_int"));
    assert_eq!(refused(&bare, set("a", "1")), Err(NO_ATTACHMENTS));
    let failed = decode(&octets("jd33_h2_res_status25"));
    assert_eq!(refused(&failed, set("a", "1")), Err(NO_ATTACHMENTS));
    let mut other = octets("jd33_h2_req_echo");
    other[2] = 0xc8;
    assert_eq!(refused(&decode(&other), set("a", "1")), Err(OPAQUE));
    let mut broken = octets("jd33_h2_req_echo");
    *broken.last_mut().expect("octets") = 0x40;
    assert_eq!(refused(&decode(&broken), set("a", "1")), Err(UNREADABLE));
}

#[test]
fn messages_about_the_connection_pass_unchanged() {
    let before = decode(&octets("jd33_h2_heartbeat"));
    let after = edited(&before, &edits([set("a", "1")])).expect("a heartbeat");
    assert_eq!(before.bytes[HEADER_LEN..], after.bytes[HEADER_LEN..]);
}

#[test]
fn a_large_payload_passes_around_edits() {
    let mut body = b"\x052.0.2\x01s\x00\x01m\x02[B".to_vec();
    body.extend([b'B', 0xff, 0xff]);
    body.extend([7; 0xffff]);
    body.extend(b"H\x01a\x011Z");
    let length = u32::try_from(body.len()).expect("short");
    let mut octets = head::header(0xc2, 0, WireId(1), length).to_vec();
    octets.extend(body);
    let before = decode(&octets);
    let after = edited(&before, &edits([set("a", "22"), set("b", "3")])).expect("a call");
    assert_eq!(payload(&before), payload(&after));
    assert!(after.bytes.ends_with(b"H\x01a\x0222\x01b\x013Z"));
}

#[test]
fn the_time_that_is_left_stands_in_the_attachment() {
    let within = |before: &Frame<Head>, edits: &Edits| {
        let mut out = Out::default();
        let left = Duration::from_micros(750_900);
        Dubbo::default()
            .encode_within(before, WireId(7), edits, left, &mut out)
            .expect("it can be written");
        decode(&out.to_vec())
    };
    for timeout in [&b"\x041000"[..], b"\xcb\xe8"] {
        let attachments = [b"H\x07timeout", timeout, b"\x01a\x011Z"].concat();
        let before = call(&attachments);
        assert_eq!(Dubbo::view(&before).timeout(), Some(Duration::from_secs(1)));
        let after = within(&before, &edits([set("a", "2")]));
        let seen = [("timeout", "750"), ("a", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(inspect(&after).attachments, seen);
    }
    // What cannot be read is passed on as it is.
    let opaque = call(b"\x92");
    let after = within(&opaque, &Edits::none());
    assert_eq!(after.bytes[HEADER_LEN..], opaque.bytes[HEADER_LEN..]);
}
