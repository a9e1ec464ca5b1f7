//! Frames in the words of rules.

use std::borrow::Cow;

use crossdock_bolt::{Bolt, Head, REQUEST_CLASS};
use crossdock_framework::{
    codec::Codec,
    frame::Frame,
    view::{Key, RoutingView},
};
use crossdock_hessian::Grammar;

use crate::made::{Made, sofa_request};

fn word(frame: &Frame<Head>, key: Key<'_>) -> Option<String> {
    Bolt::view(frame).get(key).map(Cow::into_owned)
}

#[track_caller]
fn check(made: &Made, authority: Option<&str>, path: Option<&str>) {
    let frame = made.frame();
    assert_eq!(word(&frame, Key::Authority).as_deref(), authority);
    assert_eq!(word(&frame, Key::Path).as_deref(), path);
}

#[test]
fn the_header_map_names_service_and_method() {
    let method = ("sofa_head_method_name", "m");
    let target = ("sofa_head_target_service", "b.C:2.0:gray");
    let service = ("service", "a.B:1.0");
    check(
        &Made::request().header(&[target, service, method]),
        Some("a.B"),
        Some("/a.B/m"),
    );
    let blank = ("service", "");
    let made = Made::request().header(&[method, blank, target]);
    check(&made, Some("b.C"), Some("/b.C/m"));
    let frame = made.frame();
    let header = |name| word(&frame, Key::Header(name));
    assert_eq!(header("x-sofa-version").as_deref(), Some("2.0"));
    assert_eq!(header("x-sofa-unique-id").as_deref(), Some("gray"));
    assert_eq!(header("x-bolt-class").as_deref(), Some(REQUEST_CLASS));
    assert_eq!(header("x-bolt-codec").as_deref(), Some("1"));
    assert_eq!(header("service").as_deref(), Some(""));
    assert_eq!(word(&frame, Key::HttpMethod).as_deref(), Some("POST"));
    assert_eq!(word(&frame, Key::Scheme).as_deref(), Some("http"));
    assert_eq!(Bolt::view(&frame).method().as_deref(), Some("m"));
    check(&Made::request().header(&[service]), Some("a.B"), None);
}

#[test]
fn what_the_header_map_lacks_is_in_the_content_of_either_grammar() {
    for grammar in [Grammar::V2, Grammar::V3] {
        let content = sofa_request(
            grammar,
            &[
                ("targetAppName", None),
                ("methodName", Some("plus")),
                ("targetServiceUniqueName", Some("c.D:1.0")),
            ],
        );
        let made = Made {
            content,
            ..Made::request()
        };
        check(&made, Some("c.D"), Some("/c.D/plus"));
        let service = made.clone().header(&[("service", "a.B:1.0")]);
        check(&service, Some("a.B"), Some("/a.B/plus"));
        // A protobuf content may begin with any octet.
        check(
            &Made {
                codec: 11,
                ..made.clone()
            },
            None,
            None,
        );
        for end in 0..made.content.len() {
            let cut = Made {
                content: made.content[..end].to_vec(),
                ..made.clone()
            };
            let _ = word(&cut.frame(), Key::Path);
        }
    }
}

#[test]
fn a_raw_bolt_request_is_known_by_its_class() {
    let made = Made {
        class: b"peer.Say".to_vec(),
        header: b"opaque".to_vec(),
        content: b"\x05hello".to_vec(),
        ..Made::request()
    };
    check(&made, None, None);
    let class = word(&made.frame(), Key::Header("x-bolt-class"));
    assert_eq!(class.as_deref(), Some("peer.Say"));
    assert_eq!(word(&made.frame(), Key::Header("opaque")), None);
}

#[test]
fn long_paths_are_whole() {
    for len in [250, 251, 252, 253, 254, 5000] {
        let method = "m".repeat(len);
        let made =
            Made::request().header(&[("service", "s:1.0"), ("sofa_head_method_name", &method)]);
        check(&made, Some("s"), Some(&format!("/s/{method}")));
    }
}

#[test]
fn headers_come_in_wire_order_and_the_last_of_one_name_counts() {
    let frame = Made::response(0)
        .header(&[("B", "1"), ("a", "2"), ("b", "3")])
        .frame();
    let mut seen = Vec::new();
    Bolt::view(&frame).headers(&mut |name, value| seen.push(format!("{name}={value}")));
    assert_eq!(seen, ["B=1", "a=2", "b=3"]);
    assert_eq!(word(&frame, Key::Header("b")).as_deref(), Some("3"));
    // A response calls nobody.
    let frame = Made::response(0).header(&[("service", "a.B:1.0")]).frame();
    assert_eq!(word(&frame, Key::Authority), None);
}

#[test]
fn text_that_is_no_utf8_is_what_java_makes_of_it() {
    let mut made = Made::request();
    made.header = b"\0\0\0\x01k\0\0\0\x02a\xff".to_vec();
    let value = word(&made.frame(), Key::Header("k"));
    assert_eq!(value.as_deref(), Some("a\u{fffd}"));
}
