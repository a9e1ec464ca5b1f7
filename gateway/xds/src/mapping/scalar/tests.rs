use super::*;
use crate::bootstrap::{Format, Options, parse};

#[test]
fn unquoted_texts() {
    for (text, expected) in [
        ("", Plain::Null),
        ("~", Plain::Null),
        ("Null", Plain::Null),
        ("nUll", Plain::Text),
        ("true", Plain::Bool(true)),
        ("FALSE", Plain::Bool(false)),
        ("yes", Plain::OldBool(true)),
        ("Off", Plain::OldBool(false)),
        ("yEs", Plain::Text),
        ("0", Plain::Int(Some(0))),
        ("-12", Plain::Int(Some(-12))),
        ("+3", Plain::Int(Some(3))),
        ("0x1F", Plain::Int(Some(31))),
        ("0x", Plain::Text),
        ("0x-1", Plain::Text),
        ("0o17", Plain::Int(Some(15))),
        ("0o8", Plain::Text),
        ("010", Plain::Octal),
        ("-007", Plain::Octal),
        ("1.5", Plain::Float(1.5)),
        (".5", Plain::Float(0.5)),
        ("1e3", Plain::Float(1000.0)),
        ("-.inf", Plain::Float(f64::NEG_INFINITY)),
        ("infinity", Plain::Text),
        ("nan", Plain::Text),
        ("1.2.3", Plain::Text),
        ("127.0.0.1", Plain::Text),
        ("-", Plain::Text),
        ("e", Plain::Text),
        ("1s", Plain::Text),
    ] {
        assert_eq!(plain(text), expected, "{text}");
    }
    assert_eq!(plain(&"9".repeat(60)), Plain::Int(None));
    assert!(matches!(plain(".nan"), Plain::Float(n) if n.is_nan()));
}

#[test]
fn text_in_messages_is_short_and_on_one_line() {
    assert_eq!(shorten("a\nb"), "a\\nb");
    assert_eq!(shorten("it's"), "it's");
    assert_eq!(shorten(&"x".repeat(61)), format!("{}...", "x".repeat(60)));
}

/// The reason of the first problem of a cluster with these fields.
fn first(cluster: &str) -> String {
    let text = format!("static_resources: {{clusters: [{{{cluster}}}]}}");
    match parse("f", &text, Format::Yaml, &Options::default()) {
        Ok(_) => "fine".into(),
        Err(mut rejected) => rejected.problems.swap_remove(0).reason,
    }
}

#[test]
fn numbers_of_all_kinds() {
    for fine in ["5", "5.0", "0.5e1", "\"5\"", "0x5"] {
        let fields = format!("name: a, least_request_lb_config: {{choice_count: {fine}}}");
        assert_eq!(first(&fields), "fine", "{fine}");
    }
    for (wrong, reason) in [
        ("5.5", "expected a whole number, found the number 5.5"),
        ("~x", "expected a whole number, found the text `~x`"),
        ("true", "expected a whole number, found `true`"),
        ("1e40", "expected a whole number, found the number 1e40"),
        (
            "4294967296",
            "4294967296 is out of range: uint32 goes from 0 to 4294967295",
        ),
    ] {
        let fields = format!("name: a, least_request_lb_config: {{choice_count: {wrong}}}");
        assert_eq!(first(&fields), reason, "{wrong}");
    }
    let double = |value| {
        format!("name: a, common_lb_config: {{healthy_panic_threshold: {{value: {value}}}}}")
    };
    for fine in ["5", "5.5", "\"5.5\"", "1e1"] {
        assert_eq!(first(&double(fine)), "fine", "{fine}");
    }
    assert_eq!(first(&double("NaN")), "must be at least 0");
    assert_eq!(first(&double("Infinity")), "must be at most 100");
    assert_eq!(
        first(&double("much")),
        "expected a number, found the text `much`"
    );
}

#[test]
fn tags() {
    assert_eq!(first("name: !!str 12"), "fine");
    assert_eq!(first("name: ! 12"), "fine");
    assert_eq!(
        first("name: !!int 12"),
        "expected a text, found the number 12"
    );
    assert_eq!(
        first("name: !secret x"),
        "the tag `!secret` has no meaning here"
    );
    assert_eq!(first("name: a, !ignore nonsense: {x: 1}"), "fine");
    assert_eq!(first("!!str name: a"), "fine");
}
