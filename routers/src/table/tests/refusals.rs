//! What is refused, with the whole message.

use envoy_types::pb::{
    envoy::config::{
        core::v3::{
            DataSource, HeaderValue, HeaderValueOption, RuntimeFractionalPercent,
            TypedExtensionConfig, data_source::Specifier as Source,
        },
        route::v3::{
            CookieMatcher, DirectResponseAction, FilterAction, InternalRedirectPolicy,
            NonForwardingAction, RedirectAction, Vhds, WeightedCluster,
            route_action::{
                HashPolicy as HashMessage, HostRewriteSpecifier, MaxStreamDuration, UpgradeConfig,
                hash_policy::{Cookie, FilterState, Header, PolicySpecifier, QueryParameter},
            },
            route_match::TlsContextMatchOptions,
            weighted_cluster::ClusterWeight,
        },
    },
    google::protobuf::{Duration, UInt32Value},
};

use super::*;
use crate::Problem;

fn refused(config: &RouteConfiguration) -> Vec<Problem> {
    let problems = RouteTable::compile(config).expect_err("refused");
    for problem in &problems {
        assert!(
            !problem.reason.is_empty() && !problem.cure.is_empty(),
            "{problem}"
        );
    }
    problems
}

fn paths(problems: &[Problem]) -> Vec<&str> {
    problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect()
}

/// The problems of one route, their paths without that of the route.
fn of_route(route: RouteMessage) -> Vec<String> {
    let problems = refused(&config(vec![host(&["*"], vec![route])]));
    let start = "virtual_hosts[0].routes[0].";
    let rest = |path: &str| path.strip_prefix(start).expect("of the route").to_owned();
    paths(&problems).into_iter().map(rest).collect()
}

fn of_action(action: RouteAction) -> Vec<String> {
    let mut message = route(prefix("/"), "c");
    message.action = Some(ActionMessage::Route(action));
    of_route(message)
}

fn of_match(change: impl FnOnce(&mut RouteMatch)) -> Vec<String> {
    let mut message = route(prefix("/"), "c");
    change(matcher(&mut message));
    of_route(message)
}

#[test]
fn all_problems_are_told_at_once_and_in_full() {
    let mut bad_match = route(
        PathSpecifier::PathMatchPolicy(TypedExtensionConfig::default()),
        "c",
    );
    bad_match.action = Some(ActionMessage::FilterAction(FilterAction::default()));
    let mut rewriting = route(prefix("/a"), "c");
    rewriting.action = Some(ActionMessage::Route(RouteAction {
        prefix_rewrite: "/b".into(),
        path_rewrite: "/c".into(),
        ..forward("")
    }));
    let problems = refused(&config(vec![
        host(&["a"], vec![route(prefix("/"), "c"), bad_match]),
        host(&["b", "A"], vec![rewriting]),
    ]));
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "virtual_hosts[0].routes[1].match.path_match_policy.typed_config: no other \
         extension of path matching than UriTemplateMatchConfig is supported; use it, or safe_regex",
            "virtual_hosts[0].routes[1].filter_action: actions of filters are not supported; \
         set route to forward calls, or direct_response or redirect to answer them",
            "virtual_hosts[1].domains[1]: the domain `A` belongs to an earlier entry already; \
         let each domain, upper and lower case being equal, stand once in the whole table",
            "virtual_hosts[1].routes[0].route.path_rewrite: prefix_rewrite is set too, and a path \
         is rewritten once; leave only one of them",
            "virtual_hosts[1].routes[0].route.cluster: no name; name a cluster",
        ]
    );
}

#[test]
fn parts_of_tables_and_virtual_hosts() {
    let extension = || vec![TypedExtensionConfig::default()];
    let mut host = host(&["*"], vec![]);
    host.domains.clear();
    host.name = "h".into();
    host.matcher = Some(Default::default());
    host.require_tls = 7;
    host.route_specifiers = extension();
    let problems = refused(&RouteConfiguration {
        vhds: Some(Vhds::default()),
        vhost_header: "x".into(),
        route_specifiers: extension(),
        ..config(vec![host])
    });
    assert_eq!(
        paths(&problems),
        [
            "vhds",
            "vhost_header",
            "route_specifiers",
            "virtual_hosts[0].domains",
            "virtual_hosts[0].matcher",
            "virtual_hosts[0].route_specifiers",
            "virtual_hosts[0].require_tls",
        ]
    );
}

#[test]
fn parts_of_a_match() {
    assert_eq!(
        of_match(|matcher| {
            matcher.tls_context = Some(TlsContextMatchOptions {
                presented: Some(BoolValue { value: true }),
                validated: Some(BoolValue { value: false }),
            });
            matcher.dynamic_metadata = vec![Default::default()];
            matcher.filter_state = vec![Default::default()];
            matcher.cookies = vec![CookieMatcher::default()];
        }),
        [
            "match.dynamic_metadata",
            "match.filter_state",
            "match.cookies[0].name",
            "match.cookies[0].string_match",
            "match.tls_context",
        ]
    );
    assert_eq!(of_match(|matcher| matcher.path_specifier = None), ["match"]);
    for bad in ["/a/", "a", "/a?b", "/"] {
        let path = PathSpecifier::PathSeparatedPrefix(bad.into());
        let paths = of_match(|matcher| matcher.path_specifier = Some(path));
        assert_eq!(paths, ["match.path_separated_prefix"], "{bad}");
    }
    let policy = PathSpecifier::PathMatchPolicy(TypedExtensionConfig::default());
    let paths = of_match(|matcher| matcher.path_specifier = Some(policy));
    assert_eq!(paths, ["match.path_match_policy.typed_config"]);
    let fraction = RuntimeFractionalPercent::default();
    let paths = of_match(|matcher| matcher.runtime_fraction = Some(fraction));
    assert_eq!(paths, ["match.runtime_fraction.default_value"]);
    let mut nothing = route(prefix("/"), "c");
    nothing.r#match = None;
    assert_eq!(of_route(nothing), ["match"]);
}

#[test]
fn rewrites_and_redirects() {
    assert_eq!(
        of_action(RouteAction {
            path_rewrite: "%REQ%".into(),
            internal_redirect_policy: Some(InternalRedirectPolicy::default()),
            ..forward("c")
        }),
        ["route.path_rewrite", "route.internal_redirect_policy"]
    );
    assert_eq!(
        of_action(RouteAction {
            path_rewrite_policy: Some(TypedExtensionConfig::default()),
            host_rewrite_specifier: Some(HostRewriteSpecifier::HostRewritePathRegex(
                Default::default()
            )),
            ..forward("c")
        }),
        [
            "route.host_rewrite_path_regex.pattern",
            "route.path_rewrite_policy.typed_config"
        ]
    );
    let mut message = route(prefix("/"), "c");
    message.action = Some(ActionMessage::Redirect(RedirectAction {
        response_code: 9,
        ..RedirectAction::default()
    }));
    assert_eq!(of_route(message), ["redirect.response_code"]);
}

#[test]
fn times_and_upgrades() {
    let wrong = || {
        Some(Duration {
            seconds: -1,
            nanos: 0,
        })
    };
    #[allow(deprecated, reason = "configurations in use still have it")]
    let action = RouteAction {
        idle_timeout: wrong(),
        max_grpc_timeout: wrong(),
        max_stream_duration: Some(MaxStreamDuration {
            max_stream_duration: wrong(),
            grpc_timeout_header_max: wrong(),
            grpc_timeout_header_offset: wrong(),
        }),
        cluster_not_found_response_code: 9,
        ..forward("c")
    };
    assert_eq!(
        of_action(action),
        [
            "route.idle_timeout",
            "route.max_grpc_timeout",
            "route.max_stream_duration.max_stream_duration",
            "route.max_stream_duration.grpc_timeout_header_max",
            "route.max_stream_duration.grpc_timeout_header_offset",
        ]
    );
    let upgrade = |kind: &str, connect_config| UpgradeConfig {
        upgrade_type: kind.into(),
        enabled: None,
        connect_config,
    };
    let action = RouteAction {
        upgrade_configs: vec![
            upgrade("websocket", None),
            upgrade("WebSocket", None),
            upgrade("", None),
            upgrade("CONNECT", Some(Default::default())),
        ],
        cluster_not_found_response_code: 9,
        ..forward("c")
    };
    assert_eq!(
        of_action(action),
        [
            "route.cluster_not_found_response_code",
            "route.upgrade_configs[1].upgrade_type",
            "route.upgrade_configs[2].upgrade_type",
            "route.upgrade_configs[3].connect_config",
        ]
    );
}

#[test]
fn actions_other_than_forwarding_and_answering() {
    for (action, path) in [
        (
            Some(ActionMessage::FilterAction(FilterAction::default())),
            "filter_action",
        ),
        (
            Some(ActionMessage::NonForwardingAction(NonForwardingAction {})),
            "non_forwarding_action",
        ),
        (None, "action"),
    ] {
        let mut message = route(prefix("/"), "c");
        message.action = action;
        assert_eq!(of_route(message), [path]);
    }
}

#[test]
fn targets_times_and_priorities() {
    for (specifier, path) in [
        (None, "route.cluster"),
        (
            Some(ClusterSpecifier::ClusterHeader(String::new())),
            "route.cluster_header",
        ),
        (
            Some(ClusterSpecifier::ClusterSpecifierPlugin("x".into())),
            "route.cluster_specifier_plugin",
        ),
        (
            Some(ClusterSpecifier::InlineClusterSpecifierPlugin(
                Default::default(),
            )),
            "route.inline_cluster_specifier_plugin",
        ),
    ] {
        let action = RouteAction {
            cluster_specifier: specifier,
            ..RouteAction::default()
        };
        assert_eq!(of_action(action), [path]);
    }
    for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
        let timeout = Some(Duration { seconds, nanos });
        assert_eq!(
            of_action(RouteAction {
                timeout,
                ..forward("c")
            }),
            ["route.timeout"]
        );
    }
    assert_eq!(
        of_action(RouteAction {
            priority: 7,
            ..forward("c")
        }),
        ["route.priority"]
    );
}

#[test]
fn weights() {
    let cluster = |name: &str, weight: Option<u32>| ClusterWeight {
        name: name.into(),
        weight: weight.map(|value| UInt32Value { value }),
        ..ClusterWeight::default()
    };
    let of = |clusters| {
        let weights = WeightedCluster {
            clusters,
            ..WeightedCluster::default()
        };
        let paths = of_action(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weights)),
            ..RouteAction::default()
        });
        let start = "route.weighted_clusters";
        let rest = |path: String| path.strip_prefix(start).expect("of the weights").to_owned();
        paths.into_iter().map(rest).collect::<Vec<_>>()
    };
    assert_eq!(of(vec![cluster("a", Some(0))]), [".clusters"]);
    assert_eq!(of(vec![]), [".clusters"]);
    let heavy = || cluster("a", Some(u32::MAX));
    assert_eq!(of(vec![heavy(), cluster("b", Some(1))]), [".clusters"]);
    assert_eq!(
        of(vec![cluster("", Some(1)), heavy()]),
        [".clusters[0].name"]
    );
    assert_eq!(
        of(vec![heavy(), cluster("b", None)]),
        [".clusters[1].weight"]
    );
    let both = ClusterWeight {
        cluster_header: "x".into(),
        ..cluster("a", Some(1))
    };
    assert_eq!(of(vec![both]), [".clusters[0].cluster_header"]);
}

#[test]
fn hash_policies() {
    let policies = [
        PolicySpecifier::Header(Header {
            header_name: "x".into(),
            regex_rewrite: Some(Default::default()),
        }),
        PolicySpecifier::Header(Header::default()),
        PolicySpecifier::Cookie(Cookie::default()),
        PolicySpecifier::QueryParameter(QueryParameter::default()),
        PolicySpecifier::FilterState(FilterState::default()),
    ];
    let policies = policies.into_iter().map(Some).chain([None]);
    let policy = |policy_specifier| HashMessage {
        terminal: false,
        policy_specifier,
    };
    let hash_policy = policies.map(policy).collect();
    assert_eq!(
        of_action(RouteAction {
            hash_policy,
            ..forward("c")
        }),
        [
            "route.hash_policy[0].header.regex_rewrite.pattern",
            "route.hash_policy[1].header",
            "route.hash_policy[2].cookie",
            "route.hash_policy[3].query_parameter",
            "route.hash_policy[4].filter_state",
            "route.hash_policy[5].header",
        ]
    );
}

#[test]
fn direct_responses() {
    let of = |status, source| {
        let mut message = route(prefix("/"), "c");
        message.action = Some(ActionMessage::DirectResponse(DirectResponseAction {
            status,
            body: Some(DataSource {
                specifier: Some(source),
                ..DataSource::default()
            }),
            body_format: None,
        }));
        of_route(message)
    };
    let text = |length| Source::InlineString("a".repeat(length));
    assert_eq!(of(199, text(0)), ["direct_response.status"]);
    assert_eq!(of(70_000, text(4096)), ["direct_response.status"]);
    assert_eq!(of(200, text(4097)), ["direct_response.body.inline_string"]);
    assert_eq!(
        of(200, Source::InlineBytes(vec![0xff])),
        ["direct_response.body.inline_bytes"]
    );
    assert_eq!(
        of(200, Source::Filename("/no/such/file".into())),
        ["direct_response.body.filename"]
    );
    assert_eq!(
        of(200, Source::EnvironmentVariable("NO_SUCH_VARIABLE".into())),
        ["direct_response.body.environment_variable"]
    );
}

#[test]
#[allow(deprecated, reason = "configurations in use still have `append`")]
fn header_changes() {
    let add = |key: &str, value: &str| HeaderValueOption {
        header: Some(HeaderValue {
            key: key.into(),
            value: value.into(),
            raw_value: Vec::new(),
        }),
        ..HeaderValueOption::default()
    };
    let mut message = route(prefix("/"), "c");
    let on = Some(BoolValue { value: true });
    message.request_headers_to_add = vec![
        add(":path", "/x"),
        add("Host", "x"),
        add("a b", "x"),
        add("a", "%NO_SUCH_THING%"),
        add("a", "100%"),
        add("a", "%UPSTREAM_REMOTE_ADDRESS%"),
        add("a", "%REQ()%"),
        HeaderValueOption::default(),
        HeaderValueOption {
            append: on,
            append_action: 2,
            ..add("a", "x")
        },
        HeaderValueOption {
            append_action: 9,
            ..add("a", "x")
        },
    ];
    message.response_headers_to_remove = vec![":status".into(), String::new()];
    let add = "request_headers_to_add";
    assert_eq!(
        of_route(message),
        [
            format!("{add}[0].header.key"),
            format!("{add}[1].header.key"),
            format!("{add}[2].header.key"),
            format!("{add}[3].header.value"),
            format!("{add}[4].header.value"),
            format!("{add}[5].header.value"),
            format!("{add}[6].header.value"),
            format!("{add}[7].header"),
            format!("{add}[8].append"),
            format!("{add}[9].append_action"),
            "response_headers_to_remove[0]".into(),
            "response_headers_to_remove[1]".into(),
        ]
    );
}

#[test]
fn unknown_operators_are_named_with_what_can_be_used() {
    let mut message = route(prefix("/"), "c");
    let add = |value: &str| HeaderValueOption {
        header: Some(HeaderValue {
            key: "a".into(),
            value: value.into(),
            raw_value: Vec::new(),
        }),
        ..HeaderValueOption::default()
    };
    message.request_headers_to_add = vec![add("%UPSTREAM_HOST%")];
    message.response_headers_to_add = vec![add("%UPSTREAM_HOST%"), add("%WHAT%")];
    let problems = refused(&config(vec![host(&["*"], vec![message])]));
    assert_eq!(
        problems[0].to_string(),
        "virtual_hosts[0].routes[0].request_headers_to_add[0].header.value: UPSTREAM_HOST is not \
         known yet when requests are changed; use it in response_headers_to_add"
    );
    assert!(
        problems[1]
            .to_string()
            .contains("the operator WHAT is not known")
    );
    assert_eq!(problems.len(), 2);
}
