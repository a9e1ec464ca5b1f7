use std::net::SocketAddr;

use crossdock_xds::envoy_types::pb::{
    envoy::config::route::v3::{
        HeaderMatcher, QueryParameterMatcher,
        header_matcher::HeaderMatchSpecifier,
        rate_limit::action::{
            DestinationCluster, GenericKey, HeaderValueMatch, MaskedRemoteAddress, MetaData,
            QueryParameterValueMatch, QueryParameters, RemoteAddress, RequestHeaders,
            SourceCluster,
        },
    },
    google::protobuf::{BoolValue, UInt32Value},
};

use super::*;
use crate::testing::Call;

fn limit(actions: Vec<ActionSpecifier>) -> RateLimit {
    let action = |specifier| Action {
        action_specifier: Some(specifier),
    };
    RateLimit {
        actions: actions.into_iter().map(action).collect(),
        ..RateLimit::default()
    }
}

/// The descriptors of a call, each as `key=value;key=value`.
fn of(limits: &[RateLimit], call: &Call) -> Vec<String> {
    let (mut descriptors, mut problems) = (Descriptors::default(), Vec::new());
    for limit in limits {
        descriptors.add(limit, "rate_limits[0]", "mine", &mut problems);
    }
    assert_eq!(problems, []);
    let mut all = Vec::new();
    call.show(|cx| {
        descriptors.of(cx, |entries| {
            let words = entries.iter().map(|(key, value)| format!("{key}={value}"));
            all.push(words.collect::<Vec<_>>().join(";"));
        });
    });
    all
}

fn header(name: &str, optional: bool) -> ActionSpecifier {
    ActionSpecifier::RequestHeaders(RequestHeaders {
        header_name: name.to_owned(),
        descriptor_key: "h".to_owned(),
        skip_if_absent: optional,
    })
}

fn generic(key: &str) -> ActionSpecifier {
    ActionSpecifier::GenericKey(GenericKey {
        descriptor_value: "g".to_owned(),
        descriptor_key: key.to_owned(),
        ..GenericKey::default()
    })
}

fn has_user(expect: Option<bool>) -> ActionSpecifier {
    ActionSpecifier::HeaderValueMatch(HeaderValueMatch {
        descriptor_value: "user".to_owned(),
        expect_match: expect.map(|value| BoolValue { value }),
        headers: vec![HeaderMatcher {
            name: "user".to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
            ..HeaderMatcher::default()
        }],
        ..HeaderValueMatch::default()
    })
}

fn masked(v4: u32, v6: u32) -> ActionSpecifier {
    ActionSpecifier::MaskedRemoteAddress(MaskedRemoteAddress {
        v4_prefix_mask_len: Some(UInt32Value { value: v4 }),
        v6_prefix_mask_len: Some(UInt32Value { value: v6 }),
    })
}

#[test]
fn words_of_a_call_make_descriptors() {
    let mut call = Call::new("/a?x=1&e=").with("user", "me");
    call.cluster = Some("v1".into());
    call.source = Some(SocketAddr::from(([192, 168, 1, 7], 9)));
    let query = |name: &str, optional| {
        ActionSpecifier::QueryParameters(QueryParameters {
            query_parameter_name: name.to_owned(),
            descriptor_key: "q".to_owned(),
            skip_if_absent: optional,
        })
    };
    let has = |name: &str| {
        ActionSpecifier::QueryParameterValueMatch(QueryParameterValueMatch {
            descriptor_value: "v".to_owned(),
            query_parameters: vec![QueryParameterMatcher {
                name: name.to_owned(),
                ..QueryParameterMatcher::default()
            }],
            ..QueryParameterValueMatch::default()
        })
    };
    for (actions, wanted) in [
        (
            vec![ActionSpecifier::SourceCluster(SourceCluster {})],
            Some("source_cluster=mine"),
        ),
        (
            vec![ActionSpecifier::DestinationCluster(DestinationCluster {})],
            Some("destination_cluster=v1"),
        ),
        (
            vec![ActionSpecifier::RemoteAddress(RemoteAddress {})],
            Some("remote_address=192.168.1.7"),
        ),
        (
            vec![masked(24, 64)],
            Some("masked_remote_address=192.168.1.0/24"),
        ),
        (vec![masked(0, 0)], Some("masked_remote_address=0.0.0.0/0")),
        (vec![generic("")], Some("generic_key=g")),
        (vec![generic("k")], Some("k=g")),
        (vec![header("User", false)], Some("h=me")),
        (vec![header(":path", false)], Some("h=/a?x=1&e=")),
        (vec![header("other", false)], None),
        (vec![header("other", true)], None),
        // A word that may lack leaves the others; one that may not leaves nothing.
        (
            vec![generic(""), header("other", true)],
            Some("generic_key=g"),
        ),
        (vec![generic(""), header("other", false)], None),
        (vec![query("x", false)], Some("q=1")),
        (vec![query("e", false)], None),
        (vec![generic(""), query("y", true)], Some("generic_key=g")),
        (vec![has_user(None)], Some("header_match=user")),
        (vec![has_user(Some(true))], Some("header_match=user")),
        (vec![has_user(Some(false))], None),
        (vec![has("x")], Some("query_match=v")),
        (vec![has("z")], None),
        // An action that is not acted upon makes no descriptor of those around it either.
        (
            vec![generic(""), ActionSpecifier::Metadata(MetaData::default())],
            None,
        ),
    ] {
        let made = of(&[limit(actions.clone())], &call);
        let wanted: Vec<_> = wanted.map(str::to_owned).into_iter().collect();
        assert_eq!(made, wanted, "{actions:?}");
    }
}

#[test]
fn several_limits_make_several_descriptors() {
    let call = Call::new("/").with("user", "me");
    let limits = [
        limit(vec![generic(""), header("user", false)]),
        limit(vec![header("none", false)]),
        limit(vec![generic("other")]),
    ];
    assert_eq!(of(&limits, &call), ["generic_key=g;h=me", "other=g"]);
}

#[test]
fn addresses_of_version_6_are_masked() {
    let mut call = Call::new("/");
    let address = "[2001:abcd:ef01:2345:6789:abcd:ef01:234]:1";
    call.source = Some(address.parse().expect("an address"));
    for (length, wanted) in [
        (64, "2001:abcd:ef01:2345::/64"),
        (128, "2001:abcd:ef01:2345:6789:abcd:ef01:234/128"),
        (0, "::/0"),
    ] {
        let made = of(&[limit(vec![masked(32, length)])], &call);
        assert_eq!(made, [format!("masked_remote_address={wanted}")]);
    }
    call.source = None;
    assert!(of(&[limit(vec![masked(32, 64)])], &call).is_empty());
}

#[test]
fn what_is_wrong_has_its_place() {
    let mut matched = HeaderValueMatch::default();
    matched.headers.push(HeaderMatcher::default());
    let limit = limit(vec![
        generic(""),
        ActionSpecifier::HeaderValueMatch(matched),
    ]);
    let mut problems = Vec::new();
    Descriptors::default().add(&limit, "rate_limits[3]", "", &mut problems);
    assert_eq!(
        problems[0].path,
        "rate_limits[3].actions[1].header_value_match.headers[0].name"
    );
}
