use envoy_types::pb::envoy::r#type::{
    matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
    v3::Int64Range,
};

use super::*;
use crate::testing::Call;

fn compile(matcher: &HeaderMatcher) -> Result<HeaderRule, Vec<crate::Problem>> {
    let mut problems = Problems::default();
    let rule = HeaderRule::compile(matcher, &Place::ROOT.item("headers", 0), &mut problems);
    problems
        .or(())
        .map(|()| rule.expect("no problem, so a rule"))
}

fn matcher(form: Option<HeaderMatchSpecifier>) -> HeaderMatcher {
    HeaderMatcher {
        name: "X-Version".into(),
        header_match_specifier: form,
        ..HeaderMatcher::default()
    }
}

/// Whether a matcher, plain and inverted, takes a value; `None` is a missing header.
fn takes(form: HeaderMatchSpecifier, value: Option<&str>) -> (bool, bool) {
    let mut matcher = matcher(Some(form));
    let call = match value {
        Some(value) => Call::default().with("x-version", value),
        None => Call::default(),
    };
    let plain = compile(&matcher).expect("valid").matches(&call, true);
    matcher.invert_match = true;
    (
        plain,
        compile(&matcher).expect("valid").matches(&call, true),
    )
}

fn regex(regex: &str) -> RegexMatcher {
    RegexMatcher {
        regex: regex.into(),
        ..RegexMatcher::default()
    }
}

#[allow(
    deprecated,
    reason = "configurations in use still have the older forms"
)]
fn forms() -> Vec<(HeaderMatchSpecifier, &'static str, &'static str)> {
    use HeaderMatchSpecifier as Form;
    let string = |pattern, ignore_case| {
        Form::StringMatch(StringMatcher {
            ignore_case,
            match_pattern: Some(pattern),
        })
    };
    vec![
        (Form::ExactMatch("v2".into()), "v2", "v22"),
        (Form::PrefixMatch("v2".into()), "v22", "v"),
        (Form::SuffixMatch("v2".into()), "2v2", "v22"),
        (Form::ContainsMatch("v2".into()), "xv2x", "v-2"),
        (Form::SafeRegexMatch(regex("v[0-9]+")), "v22", "v22x"),
        (
            Form::RangeMatch(Int64Range { start: -10, end: 0 }),
            "-10",
            "0",
        ),
        (
            Form::RangeMatch(Int64Range { start: 0, end: 9 }),
            "+8",
            "8.5",
        ),
        (string(MatchPattern::Exact("v2".into()), true), "V2", "v3"),
        (string(MatchPattern::Exact(String::new()), false), "", "v3"),
        (
            string(MatchPattern::SafeRegex(regex("v.")), false),
            "v2",
            "V2",
        ),
    ]
}

#[test]
fn every_form_says_yes_and_no() {
    for (form, hit, miss) in forms() {
        assert_eq!(
            takes(form.clone(), Some(hit)),
            (true, false),
            "{form:?} {hit}"
        );
        assert_eq!(
            takes(form.clone(), Some(miss)),
            (false, true),
            "{form:?} {miss}"
        );
        assert_eq!(
            takes(form.clone(), None),
            (false, false),
            "{form:?} without the header"
        );
    }
}

#[test]
fn presence_is_what_is_asked_for() {
    use HeaderMatchSpecifier::PresentMatch;
    assert_eq!(takes(PresentMatch(true), Some("")), (true, false));
    assert_eq!(takes(PresentMatch(true), None), (false, true));
    assert_eq!(takes(PresentMatch(false), Some("x")), (false, true));
    assert_eq!(takes(PresentMatch(false), None), (true, false));
    let bare = compile(&matcher(None)).expect("valid");
    assert!(bare.matches(&Call::default().with("x-version", ""), true));
    assert!(!bare.matches(&Call::default(), true));
}

#[test]
#[allow(
    deprecated,
    reason = "configurations in use still have the older forms"
)]
fn an_empty_exact_match_takes_any_value() {
    let form = HeaderMatchSpecifier::ExactMatch(String::new());
    assert_eq!(takes(form, Some("x")), (true, false));
}

#[test]
fn a_missing_header_may_count_as_empty() {
    let range = HeaderMatchSpecifier::RangeMatch(Int64Range { start: 0, end: 10 });
    let empty = HeaderMatchSpecifier::StringMatch(StringMatcher {
        ignore_case: false,
        match_pattern: Some(MatchPattern::SafeRegex(regex("^$"))),
    });
    for (form, invert, taken) in [
        (range.clone(), true, true),
        (range, false, false),
        (empty.clone(), false, true),
        (empty, true, false),
        (HeaderMatchSpecifier::PresentMatch(true), false, true),
    ] {
        let matcher = HeaderMatcher {
            invert_match: invert,
            treat_missing_header_as_empty: true,
            ..matcher(Some(form.clone()))
        };
        let rule = compile(&matcher).expect("valid");
        assert_eq!(
            rule.matches(&Call::default(), true),
            taken,
            "{form:?} {invert}"
        );
        assert!(
            !rule.matches(&Call::default(), false),
            "unreadable is not missing"
        );
    }
}

#[test]
fn pseudo_headers_are_words_of_the_call() {
    let call = Call::rpc("com.acme.Foo", "get");
    for (name, value) in [
        (":authority", "com.acme.Foo"),
        ("Host", "com.acme.Foo"),
        (":path", "/com.acme.Foo/get"),
        (":method", "POST"),
        (":scheme", "http"),
    ] {
        let rule = compile(&HeaderMatcher {
            name: name.into(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(StringMatcher {
                ignore_case: false,
                match_pattern: Some(MatchPattern::Exact(value.into())),
            })),
            ..HeaderMatcher::default()
        });
        assert!(rule.expect("valid").matches(&call, true), "{name}");
    }
}

/// What Envoy 1.40 answers to the same matchers and headers.
#[test]
fn of_several_values_one_has_to_match() {
    let exact = |text: &str| {
        HeaderMatchSpecifier::StringMatch(StringMatcher {
            ignore_case: false,
            match_pattern: Some(MatchPattern::Exact(text.into())),
        })
    };
    let several = Call::default()
        .with("x-version", "a")
        .with("x-version", "b");
    let one = Call::default().with("x-version", "a,b");
    for (text, invert, of_several, of_one) in [
        ("a", false, true, false),
        ("b", false, true, false),
        ("a,b", false, false, true),
        ("c", false, false, false),
        ("a", true, false, true),
        ("a,b", true, true, false),
        ("c", true, true, true),
    ] {
        let rule = compile(&HeaderMatcher {
            invert_match: invert,
            ..matcher(Some(exact(text)))
        });
        let rule = rule.expect("valid");
        assert_eq!(rule.matches(&several, true), of_several, "{text} {invert}");
        assert_eq!(rule.matches(&one, true), of_one, "{text} {invert}");
    }
}

#[test]
#[allow(
    deprecated,
    reason = "configurations in use still have the older forms"
)]
fn rules_without_a_text_or_a_header_are_refused() {
    use HeaderMatchSpecifier as Form;
    let empty = String::new;
    for (form, field) in [
        (Form::PrefixMatch(empty()), "headers[0].prefix_match"),
        (Form::SuffixMatch(empty()), "headers[0].suffix_match"),
        (Form::ContainsMatch(empty()), "headers[0].contains_match"),
        (
            Form::SafeRegexMatch(regex("(")),
            "headers[0].safe_regex_match.regex",
        ),
        (
            Form::StringMatch(StringMatcher::default()),
            "headers[0].string_match",
        ),
    ] {
        let problems = compile(&matcher(Some(form))).expect_err("refused");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].path, field);
    }
    let problems = compile(&HeaderMatcher::default()).expect_err("refused");
    assert_eq!(problems[0].path, "headers[0].name");
}
