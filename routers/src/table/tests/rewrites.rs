//! Rewrites of host and path, with the answers of Envoy 1.40 to the same requests.

use crossdock_framework::edits::{Edits, Effect};
use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::{HeaderValue, HeaderValueOption, TypedExtensionConfig},
            route::v3::{
                WeightedCluster,
                route_action::HostRewriteSpecifier as HostRewrite,
                weighted_cluster::{ClusterWeight, cluster_weight},
            },
        },
        extensions::path::{
            r#match::uri_template::v3::UriTemplateMatchConfig,
            rewrite::uri_template::v3::UriTemplateRewriteConfig,
        },
        r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher},
    },
    google::protobuf::{Any, UInt32Value},
};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::{Options, testing::applied};

fn regex(text: &str) -> RegexMatcher {
    RegexMatcher {
        regex: text.into(),
        ..RegexMatcher::default()
    }
}

fn substitute(pattern: &str, substitution: &str) -> RegexMatchAndSubstitute {
    RegexMatchAndSubstitute {
        pattern: Some(regex(pattern)),
        substitution: substitution.into(),
    }
}

fn add(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.into(),
            value: value.into(),
            raw_value: Vec::new(),
        }),
        ..HeaderValueOption::default()
    }
}

fn with(path: PathSpecifier, action: RouteAction) -> RouteMessage {
    let mut route = route(path, "c");
    route.action = Some(ActionMessage::Route(action));
    route
}

/// What the host gets of the words `asked` for, after the changes of the entry and of the route.
fn sent(table: &RouteTable, call: &Call, asked: &[&str]) -> Vec<Option<String>> {
    let id = table.route(call, &facts(0)).expect("a route");
    let mut edits = Edits::none();
    if let Target::Weighted(weighted) = &action(table, id.0).target {
        let entry = &weighted.entries()[0];
        applied(&*entry.request_edits, call, call, &mut edits);
    }
    applied(&*table.get(id).request_edits, call, call, &mut edits);
    let value = |name: &&str| {
        let before = call.get(Key::from_header_name(name));
        match edits.effect(name, before.as_deref()) {
            Effect::Keep => before.map(Into::into),
            Effect::Remove => None,
            Effect::Become(value) => Some(value),
        }
    };
    asked.iter().map(value).collect()
}

fn one(route: RouteMessage) -> RouteTable {
    compile(vec![host(&["*"], vec![route])])
}

#[test]
fn paths_are_rewritten_and_the_old_one_told() {
    let to = |text: &str| RouteAction {
        prefix_rewrite: text.into(),
        ..forward("c")
    };
    let by = |pattern, substitution| RouteAction {
        regex_rewrite: Some(substitute(pattern, substitution)),
        ..forward("c")
    };
    let format = |text: &str| RouteAction {
        path_rewrite: text.into(),
        ..forward("c")
    };
    let separated = |text: &str| PathSpecifier::PathSeparatedPrefix(text.into());
    for (specifier, action, asked, wanted) in [
        (prefix("/p1"), to("/new"), "/p1/x?q=1", "/new/x?q=1"),
        (prefix("/p1"), to("/new"), "/p1x", "/newx"),
        (path("/p2"), to("/new"), "/p2?q", "/new?q"),
        (separated("/p3"), to("/"), "/p3", "/"),
        (separated("/p3"), to("/"), "/p3/a", "//a"),
        (prefix("/p4/"), to("/"), "/p4/a", "/a"),
        (
            PathSpecifier::SafeRegex(regex("/p5.*")),
            to("/new"),
            "/p5/abc?q",
            "/new?q",
        ),
        (
            prefix("/p6"),
            by("p(.)", r"<\1\0>"),
            "/p6/p7?p8=1",
            "/<6p6>/<7p7>?p8=1",
        ),
        (prefix("/p8"), to("/p8"), "/p8/a", "/p8/a"),
        (prefix("/pa"), to("norel"), "/pa/b", "norel/b"),
        (
            prefix("/pr"),
            format("/n%REQ(x-p)%/%REQ(:path)%"),
            "/pr?q=1",
            "/nv//pr?q=1?q=1",
        ),
        (prefix("/pe"), format("%REQ(x-p)%"), "/pe?q=1", "v?q=1"),
    ] {
        let table = one(with(specifier, action));
        let call = Call::http("h.com", asked).with("x-p", "v");
        let sent = sent(&table, &call, &[":path", "x-envoy-original-path"]);
        let wanted = [wanted, asked].map(|text| Some(text.to_owned()));
        assert_eq!(sent, wanted, "{asked}");
    }
}

#[test]
fn case_may_be_ignored_in_what_is_replaced() {
    let mut route = with(
        prefix("/P7"),
        RouteAction {
            prefix_rewrite: "/x".into(),
            ..forward("c")
        },
    );
    matcher(&mut route).case_sensitive = Some(BoolValue { value: false });
    let sent = sent(&one(route), &Call::http("h.com", "/p7/A"), &[":path"]);
    assert_eq!(sent, [Some("/x/A".into())]);
}

#[test]
fn a_path_of_which_nothing_would_be_left_stays() {
    for action in [
        RouteAction {
            regex_rewrite: Some(substitute(".", "")),
            ..forward("c")
        },
        RouteAction {
            path_rewrite: "%REQ(none)%".into(),
            ..forward("c")
        },
    ] {
        let table = one(with(prefix("/"), action));
        let call = Call::http("h.com", "/a?q");
        let sent = sent(&table, &call, &[":path", "x-envoy-original-path"]);
        assert_eq!(sent, [Some("/a?q".into()), None]);
    }
}

#[test]
fn hosts_are_rewritten_and_the_old_one_told() {
    let to = |specifier| RouteAction {
        host_rewrite_specifier: Some(specifier),
        append_x_forwarded_host: true,
        ..forward("c")
    };
    let literal = || HostRewrite::HostRewriteLiteral("lit.com".into());
    let header = || HostRewrite::HostRewriteHeader("X-H".into());
    let path = || HostRewrite::HostRewritePathRegex(substitute("^/(h)3/(.+)$", r"\2.\1.com"));
    let format = || HostRewrite::HostRewrite("p-%REQ(x-h)%".into());
    let call = |path| Call::http("h.com", path);
    let old = Some("h.com");
    for (specifier, call, host, before, forwarded) in [
        (literal(), call("/"), "lit.com", old, Some("h.com")),
        (
            literal(),
            call("/").with("x-forwarded-host", "a, h.com"),
            "lit.com",
            old,
            Some("a, h.com,h.com"),
        ),
        (
            literal(),
            call("/").with("x-forwarded-host", "a,h.com"),
            "lit.com",
            old,
            Some("a,h.com"),
        ),
        (header(), call("/"), "h.com", None, None),
        (header(), call("/").with("x-h", ""), "h.com", None, None),
        (
            header(),
            call("/").with("x-h", "one").with("x-h", "two"),
            "one",
            old,
            Some("h.com"),
        ),
        (path(), call("/h3/abc?q=1"), "abc.h.com", old, Some("h.com")),
        (path(), call("/h3/"), "/h3/", old, Some("h.com")),
        (format(), call("/"), "p--", old, Some("h.com")),
        (
            format(),
            call("/").with("x-h", "v"),
            "p-v",
            old,
            Some("h.com"),
        ),
    ] {
        let table = one(with(prefix("/"), to(specifier)));
        let asked = [":authority", "x-envoy-original-host", "x-forwarded-host"];
        let wanted = [Some(host), before, forwarded].map(|text| text.map(str::to_owned));
        assert_eq!(sent(&table, &call, &asked), wanted, "{call:?}");
    }
}

#[test]
fn a_host_that_is_known_later_is_left_to_the_relay() {
    let auto = |value| RouteAction {
        host_rewrite_specifier: Some(HostRewrite::AutoHostRewrite(BoolValue { value })),
        ..forward("c")
    };
    for on in [true, false] {
        let table = one(with(prefix("/"), auto(on)));
        assert_eq!(action(&table, 0).auto_host_rewrite, on);
        assert!(table.get(RouteId(0)).request_edits.is_empty());
    }
}

#[test]
fn headers_are_changed_before_and_see_the_old_words() {
    let mut route = with(
        prefix("/p9"),
        RouteAction {
            prefix_rewrite: "/z".into(),
            host_rewrite_specifier: Some(HostRewrite::HostRewriteLiteral("zz".into())),
            ..forward("c")
        },
    );
    route.request_headers_to_add = vec![add("x-a", "%REQ(:path)% %REQ(host)%")];
    let sent = sent(
        &one(route),
        &Call::http("h.com", "/p9/a"),
        &["x-a", ":path"],
    );
    assert_eq!(sent, [Some("/p9/a h.com".into()), Some("/z/a".into())]);
}

#[test]
fn one_of_several_clusters_may_have_a_host_of_its_own() {
    let weighted = |specifier| {
        let weights = WeightedCluster {
            clusters: vec![ClusterWeight {
                name: "c".into(),
                weight: Some(UInt32Value { value: 1 }),
                host_rewrite_specifier: Some(
                    cluster_weight::HostRewriteSpecifier::HostRewriteLiteral("wh".into()),
                ),
                request_headers_to_add: vec![add("x-lvl", "w")],
                ..ClusterWeight::default()
            }],
            ..WeightedCluster::default()
        };
        let mut route = with(
            prefix("/"),
            RouteAction {
                cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weights)),
                host_rewrite_specifier: specifier,
                append_x_forwarded_host: true,
                ..RouteAction::default()
            },
        );
        route.request_headers_to_add = vec![add("x-lvl", "r %REQ(x-lvl)% %REQ(:authority)%")];
        one(route)
    };
    let asked = [
        ":authority",
        "x-envoy-original-host",
        "x-forwarded-host",
        "x-lvl",
    ];
    let call = Call::http("h.com", "/w");
    let lvl = "w,r w wh";
    let texts = |texts: [Option<&str>; 4]| texts.map(|text| text.map(str::to_owned));
    assert_eq!(
        sent(&weighted(None), &call, &asked),
        texts([Some("wh"), None, None, Some(lvl)])
    );
    let literal = HostRewrite::HostRewriteLiteral("lit".into());
    assert_eq!(
        sent(&weighted(Some(literal)), &call, &asked),
        texts([Some("lit"), Some("wh"), Some("wh"), Some(lvl)])
    );
}

#[test]
fn hosts_may_be_told_nothing_of_what_was_there_before() {
    let route = with(
        prefix("/a"),
        RouteAction {
            prefix_rewrite: "/b".into(),
            host_rewrite_specifier: Some(HostRewrite::HostRewriteLiteral("x".into())),
            ..forward("c")
        },
    );
    let options = Options {
        suppress_envoy_headers: true,
    };
    let table = RouteTable::compile_with(&config(vec![host(&["*"], vec![route])]), options);
    let asked = [
        ":path",
        ":authority",
        "x-envoy-original-path",
        "x-envoy-original-host",
    ];
    let sent = sent(&table.expect("valid"), &Call::http("h", "/a"), &asked);
    assert_eq!(sent, [Some("/b".into()), Some("x".into()), None, None]);
}

#[test]
fn templates_are_rewritten_by_their_variables() {
    let policy = |name: &str, value: Vec<u8>| TypedExtensionConfig {
        name: "any".into(),
        typed_config: Some(Any {
            type_url: format!("type.googleapis.com/{name}"),
            value,
        }),
    };
    let matching = UriTemplateMatchConfig {
        path_template: "/t/{b}/*/{c=**}".into(),
    };
    let rewriting = |template: &str| UriTemplateRewriteConfig {
        path_template_rewrite: template.into(),
    };
    let name = "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig";
    let specifier = PathSpecifier::PathMatchPolicy(policy(name, matching.encode_to_vec()));
    let name = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig";
    let to = |template| RouteAction {
        path_rewrite_policy: Some(policy(name, rewriting(template).encode_to_vec())),
        ..forward("c")
    };
    let table = one(with(specifier.clone(), to("/z/{c}/x{b}")));
    // As Envoy 1.40 answers.
    for (asked, wanted) in [
        ("/t/B/C/d/e?q", "/z/d/e/xB?q"),
        ("/t/B/C/", "/z//xB"),
        ("/t/B/C/d/", "/z/d//xB"),
        ("/t/B%2Fx/C.d/~e", "/z/~e/xB%2Fx"),
    ] {
        let sent = sent(&table, &Call::http("h", asked), &[":path"]);
        assert_eq!(sent, [Some(wanted.to_owned())], "{asked}");
    }
    assert!(table.route(&Call::http("h", "/t/B/C"), &facts(0)).is_none());
    for route in [with(specifier, to("/{d}")), with(prefix("/"), to("/x"))] {
        let config = config(vec![host(&["*"], vec![route])]);
        let problems = RouteTable::compile(&config).expect_err("refused");
        let field = "path_rewrite_policy.typed_config.path_template_rewrite";
        assert!(problems[0].path.ends_with(field), "{}", problems[0]);
    }
}

fn some_rewrite() -> impl Strategy<Value = RouteAction> {
    let regex = prop::sample::select(vec![("a*", r"<\0>"), ("[/b]", ""), ("(.)b", r"\1")]);
    prop_oneof![
        "[/ab]{1,3}".prop_map(|text| RouteAction {
            prefix_rewrite: text,
            ..forward("c")
        }),
        regex.prop_map(|(pattern, substitution)| RouteAction {
            regex_rewrite: Some(substitute(pattern, substitution)),
            ..forward("c")
        }),
        Just(RouteAction {
            path_rewrite: "/%REQ(x)%".into(),
            ..forward("c")
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_for_keeps_its_query(
        action in some_rewrite(),
        rule in prop_oneof![Just(prefix("/a")), Just(prefix("")), Just(path("/ab"))],
        fold: bool,
        asked in "/[aAb/\u{e9}]{0,4}(\\?[ab?=&\u{e9}]{0,4})?",
        header in "[ab\u{e9}]{0,2}",
    ) {
        let mut route = with(rule, action);
        matcher(&mut route).case_sensitive = Some(BoolValue { value: !fold });
        let table = one(route);
        let call = Call::http("h", &asked).with("x", &header);
        if table.route(&call, &facts(0)).is_some() {
            let sent = sent(&table, &call, &[":path", "x-envoy-original-path"]);
            let path = sent[0].as_deref().expect("a path stays a path");
            let query = asked.find('?').map_or("", |at| &asked[at..]);
            prop_assert!(path.ends_with(query) && path.len() > query.len(), "{}", path);
            prop_assert!(sent[1].is_none() || sent[1].as_deref() == Some(&*asked));
        }
    }
}
