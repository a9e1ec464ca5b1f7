//! Frames of other implementations, against what an independent reader found in them.

mod common;

use std::{collections::BTreeMap, fs};

use common::{folder, frame, frames, names};
use crossdock_dubbo::{Dubbo, Head, Inspection, inspect};
use crossdock_framework::{
    codec::Codec as _,
    frame::{Frame, Head as _, Kind},
    status::Class,
    view::{Key, RoutingView as _},
};

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Oneway => "oneway",
        Kind::Response => "response",
        Kind::Heartbeat => "heartbeat",
        Kind::HeartbeatAck => "heartbeat-ack",
        Kind::GoAway | Kind::Resume | Kind::Event => "event",
    }
}

/// The rows of the index that have an `expected` column, as key and value.
fn rows() -> Vec<(String, BTreeMap<String, String>)> {
    let index = fs::read_to_string(folder().join("INDEX.md")).expect("the index");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [file, _, _, _, expected] = cells[..] else {
            return None;
        };
        let name = file.trim_start_matches("| ").strip_suffix(".hex")?;
        let facts = expected
            .trim_end_matches(" |")
            .split("; ")
            .filter_map(|fact| fact.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Some((name.to_owned(), facts))
    };
    index.lines().filter_map(row).collect()
}

/// What is found in a frame under a key of the index.
fn found(key: &str, frame: &Frame<Head>, seen: &Inspection) -> Option<String> {
    let head = frame.head;
    Some(match key {
        "protocol" => "dubbo2".to_owned(),
        "kind" => kind(head.kind()).to_owned(),
        "id" => head.id().0.cast_signed().to_string(),
        "flag" => format!("{:02x}", head.flag()),
        "serialization" => head.serialization().to_string(),
        "status" => head.status().to_string(),
        "service" => seen.service.clone()?,
        "method" => seen.method.clone()?,
        "generic_method" => seen.generic_method.clone()?,
        "version" => seen.version.clone()?,
        "desc" => seen.descriptors.clone()?,
        "group" => Dubbo::view(frame)
            .get(Key::Header("x-dubbo-group"))?
            .into_owned(),
        "timeout" => match seen.timeout {
            Some(timeout) => timeout.as_millis().to_string(),
            None => "none".to_owned(),
        },
        "event" => seen.event.clone()?,
        "body" => seen.body_flag?.to_string(),
        "text" => seen.text.clone()?,
        "outcome" => Dubbo::classify(frame).name().to_owned(),
        _ => return None,
    })
}

#[test]
fn every_field_of_the_index_is_found() {
    let mut rows = rows();
    rows.retain(|(_, facts)| facts.get("protocol").is_some_and(|name| name == "dubbo2"));
    assert_eq!(rows.len(), 36);
    for (name, facts) in rows {
        let frame = frame(&name);
        let seen = inspect(&frame);
        assert!(seen.walked, "{name}: {:?}", seen.error);
        for (key, expected) in facts {
            if key == "attachments" {
                let expected: serde_json::Value =
                    serde_json::from_str(&expected).expect("the index holds JSON");
                let found: BTreeMap<_, _> = seen.attachments.iter().cloned().collect();
                assert_eq!(serde_json::json!(found), expected, "{name}");
                continue;
            }
            let Some(found) = found(&key, &frame, &seen) else {
                panic!("{name}: no {key}");
            };
            let agrees = match key.as_str() {
                // The index gives the beginning of a text, and words beside a code.
                "text" => found.starts_with(expected.trim_end()),
                "outcome" | "body" => expected.starts_with(&found),
                _ => found == expected,
            };
            assert!(agrees, "{name}: {key} is {found:?}, expected {expected:?}");
        }
    }
}

#[test]
fn every_frame_is_walked_to_its_last_octet_but_the_malformed_one() {
    let names = names();
    assert!(names.len() > 70, "{} files", names.len());
    for name in names {
        for frame in frames(&name) {
            let seen = inspect(&frame);
            let malformed = name == "n_dubbo_res_null_malformed";
            assert_eq!(seen.walked, !malformed, "{name}: {:?}", seen.error);
        }
    }
}

/// File, method, version, timeout in ms, group; where the index tells them in words only.
type Row = (
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<u64>,
    Option<&'static str>,
);

const CALLS: [Row; 17] = [
    (
        "n_dubbo_req_plus",
        "plus",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "n_dubbo_req_echo_str",
        "echo",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "n_dubbo_req_noargs",
        "nothing",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "n_dubbo_req_mixed",
        "mix",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "n_dubbo_req_oneway",
        "echo",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "n_dubbo_req_bigid",
        "plus",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "n_dubbo_req_generic",
        "echo",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "n_adubbo_req_dubbox",
        "plus",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "n_adubbo_req_obj",
        "save",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    ("p_dubbo_req_plus", "plus", Some("1.0"), None, Some("g1")),
    ("p_dubbo_req_obj", "save", Some("1.0"), None, Some("g1")),
    ("p_dubbo_req_str", "echo", Some("1.0"), None, Some("g1")),
    (
        "j_lite_dubbo_req_user",
        "save",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    ("j_lite_dubbo_req_nullver", "ping", None, None, None),
    (
        "j_lite_dubbo_req_generic",
        "echo",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "j_lite_dubbo_req_echo",
        "$echo",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
    (
        "j_lite_dubbo_req_sharedref",
        "two",
        Some("1.0"),
        Some(3000),
        Some("g1"),
    ),
];

#[test]
fn calls_of_other_libraries_are_read() {
    for (name, method, version, timeout, group) in CALLS {
        let frame = frame(name);
        let view = Dubbo::view(&frame);
        let header = |name| view.get(Key::Header(name));
        let service = "com.example.EchoService";
        assert_eq!(view.service().as_deref(), Some(service), "{name}");
        assert_eq!(view.method().as_deref(), Some(method), "{name}");
        let path = format!("/{service}/{method}");
        assert_eq!(view.get(Key::Path).as_deref(), Some(&*path), "{name}");
        assert_eq!(header("x-dubbo-version").as_deref(), version, "{name}");
        assert_eq!(header("x-dubbo-group").as_deref(), group, "{name}");
        let ms = view.timeout().map(|timeout| timeout.as_millis());
        assert_eq!(ms, timeout.map(u128::from), "{name}");
        assert_eq!(header("no-such-thing"), None, "{name}");
    }
}

#[test]
fn kinds_are_told_by_flag_and_body() {
    for (name, expected) in [
        ("n_dubbo_req_plus", Kind::Request),
        ("n_dubbo_req_oneway", Kind::Oneway),
        ("n_dubbo_heartbeat", Kind::Heartbeat),
        ("n_adubbo_heartbeat", Kind::Heartbeat),
        ("n_dubbo_heartbeat_ack", Kind::HeartbeatAck),
        ("n_dubbo_event_readonly", Kind::GoAway),
        ("j_lite_dubbo_event_R", Kind::GoAway),
        ("j_lite_dubbo_event_W", Kind::Resume),
        ("jd33_fj2_heartbeat", Kind::Heartbeat),
        ("jd33_fj2_heartbeat_ack", Kind::HeartbeatAck),
        ("n_dubbo_res_int", Kind::Response),
    ] {
        assert_eq!(frame(name).head.kind(), expected, "{name}");
    }
}

#[test]
fn outcomes_follow_status_and_body_flag() {
    for (name, expected) in [
        ("n_dubbo_res_int", Class::Ok),
        ("n_dubbo_res_null_malformed", Class::Ok),
        ("j_lite_dubbo_res_flag0", Class::Business),
        ("j_lite_dubbo_res_flag3", Class::Business),
        ("j_lite_dubbo_res_flag5", Class::Ok),
        ("j_lite_dubbo_res_status30", Class::Timeout),
        ("j_lite_dubbo_res_status31", Class::Timeout),
        ("j_lite_dubbo_res_status40", Class::Client),
        ("j_lite_dubbo_res_status50", Class::Codec),
        ("j_lite_dubbo_res_status60", Class::NotFound),
        ("j_lite_dubbo_res_status80", Class::Unavailable),
    ] {
        assert_eq!(Dubbo::classify(&frame(name)), expected, "{name}");
    }
}

#[test]
fn one_segment_may_hold_several_frames() {
    let ids: Vec<u64> = frames("n_dubbo_two_frames")
        .iter()
        .map(|frame| frame.head.id().0)
        .collect();
    assert_eq!(ids, [1, 8]);
}
