//! How a call ended, by its answer.

use crossdock_bolt::{Bolt, RESPONSE_CLASS};
use crossdock_framework::{codec::Codec, status::Class};
use crossdock_hessian::{Grammar, Writer};

use crate::made::Made;

fn class(made: &Made) -> Class {
    Bolt::classify(&made.frame())
}

#[test]
fn a_status_tells_the_class() {
    for (status, expected) in [
        (0, Class::Ok),
        (1, Class::Unavailable),
        (2, Class::Unavailable),
        (3, Class::Unavailable),
        (4, Class::Overload),
        (5, Class::Unavailable),
        (6, Class::NotFound),
        (7, Class::Timeout),
        (8, Class::Unavailable),
        (9, Class::Codec),
        (16, Class::Unavailable),
        (17, Class::Codec),
        (18, Class::Codec),
    ] {
        assert_eq!(class(&Made::response(status)), expected, "{status}");
    }
}

/// A response of status 0 whose header map tells of an error.
fn flagged(codec: u8, content: Vec<u8>) -> Made {
    Made {
        codec,
        class: RESPONSE_CLASS.into(),
        content,
        ..Made::response(0)
    }
    .header(&[("sofa_head_response_error", "true")])
}

fn sofa_response(grammar: Grammar, is_error: bool, message: Option<&str>) -> Vec<u8> {
    let mut content = Vec::new();
    let mut writer = Writer::new(&mut content, grammar);
    let class = writer.define_class(RESPONSE_CLASS, &["errorMsg", "appResponse", "isError"]);
    writer.object(class);
    writer.string_or_null(message);
    writer.int(5);
    writer.bool(is_error);
    content
}

#[test]
fn the_error_inside_a_success_is_found() {
    for grammar in [Grammar::V2, Grammar::V3] {
        for (is_error, message, expected) in [
            (true, Some("RPC-020100010: no service"), Class::NotFound),
            (true, Some("RPC-020100011: no method"), Class::NotFound),
            (true, Some("RPC-020060001: no provider"), Class::Unavailable),
            (true, None, Class::Unavailable),
            (
                false,
                Some("RPC-020100010: from a throwable"),
                Class::Business,
            ),
            (false, None, Class::Business),
        ] {
            let content = sofa_response(grammar, is_error, message);
            let made = flagged(1, content.clone());
            assert_eq!(class(&made), expected, "{message:?}");
            assert_eq!(
                class(&Made {
                    header: vec![],
                    ..made
                }),
                Class::Ok
            );
            let unreadable = flagged(1, content[..content.len() - 1].to_vec());
            assert_eq!(class(&unreadable), Class::Business);
        }
    }
    assert_eq!(class(&flagged(1, vec![])), Class::Business);
    let not_found = "RPC-020100011: no method";
    assert_eq!(class(&flagged(11, not_found.into())), Class::NotFound);
    assert_eq!(class(&flagged(11, b"boom".to_vec())), Class::Business);
    assert_eq!(
        class(&flagged(12, format!("\"{not_found}\"").into())),
        Class::NotFound
    );
    assert_eq!(class(&flagged(12, b"\"boom\"".to_vec())), Class::Business);
    assert_eq!(class(&flagged(22, not_found.into())), Class::Business);
}

#[test]
fn only_true_is_an_error() {
    let made = Made {
        class: RESPONSE_CLASS.into(),
        ..Made::response(0)
    };
    for value in ["false", "", "TRUE"] {
        let made = made.clone().header(&[("sofa_head_response_error", value)]);
        assert_eq!(class(&made), Class::Ok);
    }
}
