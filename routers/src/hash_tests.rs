use std::net::Ipv6Addr;

use envoy_types::pb::{
    envoy::{
        config::route::v3::route_action::{
            HashPolicy as Message,
            hash_policy::{
                Cookie as CookieMessage, CookieAttribute, Header as HeaderMessage, PolicySpecifier,
                QueryParameter as QueryMessage,
            },
        },
        r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher},
    },
    google::protobuf::Duration,
};

use super::*;
use crate::{
    problem::{Place, Problems},
    testing::{Call, facts},
};

fn header_policy(name: &str, terminal: bool) -> HashPolicy {
    HashPolicy {
        terminal,
        source: Box::new(Header {
            name: name.into(),
            rewrite: None,
        }),
    }
}

fn call() -> Call {
    Call::default().with("a", "user-0").with("b", "user-2")
}

// Both from the vectors of Envoy 1.40.
const USER_0: u64 = 0x7c1b_2034_a068_4560;
const USER_2: u64 = 0x7395_dd99_43ab_55e9;

fn of(policies: &[HashPolicy], call: &Call) -> Option<u64> {
    hash(policies, call, &facts(0), &mut Edits::none())
}

#[test]
fn one_header_is_hashed_as_it_is() {
    assert_eq!(of(&[header_policy("a", false)], &call()), Some(USER_0));
    assert_eq!(of(&[header_policy("b", false)], &call()), Some(USER_2));
}

#[test]
fn policies_are_rotated_into_each_other() {
    let policies = [header_policy("a", false), header_policy("b", false)];
    assert_eq!(of(&policies, &call()), Some(USER_0.rotate_left(1) ^ USER_2));
    let twice = [header_policy("a", false), header_policy("a", false)];
    assert_ne!(
        of(&twice, &call()),
        Some(0),
        "equal policies do not cancel out"
    );
}

#[test]
fn what_is_missing_counts_for_nothing() {
    assert_eq!(of(&[], &call()), None);
    assert_eq!(of(&[header_policy("c", true)], &call()), None);
    let policies = [header_policy("c", true), header_policy("b", false)];
    assert_eq!(of(&policies, &call()), Some(USER_2));
}

#[test]
fn an_empty_value_is_a_value() {
    let call = Call::default().with("a", "");
    assert_eq!(
        of(&[header_policy("a", false)], &call),
        Some(0xef46_db37_51d8_e999)
    );
}

#[test]
fn a_terminal_policy_ends_the_list_once_there_is_a_hash() {
    let first = [header_policy("a", true), header_policy("b", false)];
    assert_eq!(of(&first, &call()), Some(USER_0));
    // As in Envoy, it ends the list although the hash came from an earlier policy.
    let later = [
        header_policy("a", false),
        header_policy("c", true),
        header_policy("b", false),
    ];
    assert_eq!(of(&later, &call()), Some(USER_0));
}

#[test]
fn the_source_is_hashed_as_text_without_its_port() {
    let policies = [HashPolicy {
        terminal: false,
        source: Box::new(SourceIp),
    }];
    assert_eq!(of(&policies, &call()), Some(xxh64(b"10.1.2.3", 0)));
    let longest = Ipv6Addr::from([0xfd01_u16; 8]);
    let mut facts = facts(0);
    facts.source = Some((longest, 40123).into());
    let text = longest.to_string();
    assert_eq!(
        hash(&policies, &call(), &facts, &mut Edits::none()),
        Some(xxh64(text.as_bytes(), 0))
    );
    facts.source = None;
    assert_eq!(hash(&policies, &call(), &facts, &mut Edits::none()), None);
}

#[test]
fn several_values_are_hashed_whatever_their_order() {
    let policy = [header_policy("a", false)];
    let one = Call::default().with("a", "foo").with("a", "bar");
    let other = Call::default().with("a", "bar").with("a", "foo");
    assert_eq!(of(&policy, &one), of(&policy, &other));
    assert_eq!(of(&policy, &one), Some(xxh64(b"foo", xxh64(b"bar", 0))));
    let joined = Call::default().with("a", "foo,bar");
    assert_eq!(
        of(&policy, &joined),
        Some(xxh64(b"foo,bar", 0)),
        "one value with a comma"
    );
}

#[test]
fn words_of_the_call_can_be_hashed() {
    let call = Call::rpc("s", "m");
    assert_eq!(
        of(&[header_policy(":path", false)], &call),
        Some(xxh64(b"/s/m", 0))
    );
}

fn compiled(specifier: PolicySpecifier) -> Vec<HashPolicy> {
    let message = Message {
        terminal: false,
        policy_specifier: Some(specifier),
    };
    let mut problems = Problems::default();
    let policy = policy(&message, &Place::ROOT, &mut problems);
    assert_eq!(problems.or(()), Ok(()));
    policy.into_iter().collect()
}

#[test]
fn the_first_value_of_a_query_parameter_is_hashed() {
    let policy = compiled(PolicySpecifier::QueryParameter(QueryMessage {
        name: "k".into(),
    }));
    let asked = |path| of(&policy, &Call::http("x", path));
    assert_eq!(asked("/a?j=1&k=user-0&k=2"), Some(USER_0));
    assert_eq!(asked("/a?k"), Some(xxh64(b"", 0)));
    assert_eq!(asked("/a?K=user-0"), None);
    assert_eq!(asked("/a"), None);
}

#[test]
fn a_header_may_be_rewritten_before() {
    let policy = compiled(PolicySpecifier::Header(HeaderMessage {
        header_name: "A".into(),
        regex_rewrite: Some(RegexMatchAndSubstitute {
            pattern: Some(RegexMatcher {
                regex: "^(.*)/.*$".into(),
                ..RegexMatcher::default()
            }),
            substitution: r"\1".into(),
        }),
    }));
    let one = Call::default().with("a", "user-0/whatever");
    assert_eq!(of(&policy, &one), Some(USER_0));
    let two = one.with("a", "bar/x");
    let plain = Call::default().with("a", "user-0").with("a", "bar");
    assert_eq!(of(&policy, &two), of(&[header_policy("a", false)], &plain));
}

fn cookie(ttl: Option<i64>, path: &str, attributes: &[(&str, &str)]) -> Vec<HashPolicy> {
    let attribute = |(name, value): &(&str, &str)| CookieAttribute {
        name: (*name).into(),
        value: (*value).into(),
    };
    compiled(PolicySpecifier::Cookie(CookieMessage {
        name: "sid".into(),
        ttl: ttl.map(|seconds| Duration {
            seconds,
            nanos: 500_000_000,
        }),
        path: path.into(),
        attributes: attributes.iter().map(attribute).collect(),
    }))
}

#[test]
fn the_value_of_a_cookie_is_hashed() {
    let policy = cookie(Some(3), "", &[]);
    for value in ["sid=user-0", "a=b; sid=\"user-0\"; sid=x"] {
        let mut response = Edits::none();
        let call = Call::default().with("cookie", value);
        assert_eq!(hash(&policy, &call, &facts(0), &mut response), Some(USER_0));
        assert!(response.is_empty(), "the caller has one");
    }
    assert_eq!(of(&cookie(None, "", &[]), &Call::default()), None);
}

#[test]
fn callers_without_the_cookie_are_given_one() {
    // Names and order as Envoy 1.40 writes them, the value as it computes it from both ends of the
    // connection.
    let value = format!("{:016x}", xxh64(b"10.1.2.3:4012310.9.8.7:12200", 0));
    for (policy, behind) in [
        (cookie(Some(0), "", &[]), "; HttpOnly"),
        (
            cookie(Some(3), "/p", &[("SameSite", "Strict"), ("Secure", "")]),
            "; Max-Age=3; Path=/p; SameSite=Strict; Secure; HttpOnly",
        ),
    ] {
        for cookies in ["", "other=1", "sid="] {
            let mut response = Edits::none();
            let call = Call::default().with("cookie", cookies);
            let hash = hash(&policy, &call, &facts(0), &mut response);
            assert_eq!(hash, Some(xxh64(value.as_bytes(), 0)));
            let set = format!("sid=\"{value}\"{behind}");
            assert_eq!(
                response.iter().collect::<Vec<_>>(),
                [&Edit::Append("set-cookie".into(), set.into())]
            );
        }
    }
}

#[test]
fn a_cookie_cannot_smuggle_another_header() {
    for message in [
        CookieMessage {
            name: "a;b".into(),
            ..CookieMessage::default()
        },
        CookieMessage {
            name: "a".into(),
            path: "/\r\nx: y".into(),
            ..CookieMessage::default()
        },
    ] {
        let message = Message {
            terminal: false,
            policy_specifier: Some(PolicySpecifier::Cookie(message)),
        };
        let mut problems = Problems::default();
        assert!(policy(&message, &Place::ROOT, &mut problems).is_none());
        assert_eq!(problems.or(()).expect_err("refused")[0].path, "cookie");
    }
}
