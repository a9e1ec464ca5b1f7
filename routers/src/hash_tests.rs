use std::net::Ipv6Addr;

use super::*;
use crate::testing::{Call, facts};

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
