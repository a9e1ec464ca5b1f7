use std::sync::Arc;

use crossdock_framework::protocol::{PeerCertificate, Tls};
use envoy_types::pb::envoy::{
    config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{
            CookieMatcher, HeaderMatcher, QueryParameterMatcher,
            header_matcher::HeaderMatchSpecifier,
            query_parameter_matcher::QueryParameterMatchSpecifier as QueryForm,
            route_match::{ConnectMatcher, GrpcRouteMatchOptions, TlsContextMatchOptions},
        },
    },
    r#type::{
        matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
        v3::{FractionalPercent, fractional_percent::DenominatorType},
    },
};

use super::*;

#[test]
fn the_first_route_that_matches_wins() {
    let table = compile(vec![
        host(
            &["com.acme.Foo"],
            vec![
                route(path("/com.acme.Foo/a"), "a"),
                route(prefix("/com.acme.Foo/"), "foo"),
                route(path("/com.acme.Foo/b"), "never"),
            ],
        ),
        host(&["*"], vec![route(prefix("/"), "rest")]),
    ]);
    assert_eq!(taken(&table, &Call::rpc("com.acme.Foo", "a")), "a");
    assert_eq!(taken(&table, &Call::rpc("com.acme.Foo", "b")), "foo");
    assert_eq!(taken(&table, &Call::rpc("com.acme.Bar", "a")), "rest");
    assert_eq!(
        taken(&table, &Call::http("com.acme.Foo", "/x")),
        "-",
        "no way back to *"
    );
    assert_eq!(
        table
            .clusters()
            .iter()
            .map(|name| &**name)
            .collect::<Vec<_>>(),
        ["a", "foo", "never", "rest"]
    );
    let id = table.route(&Call::rpc("x", "y"), &facts(0)).expect("rest");
    let origin = table.origin(id);
    assert_eq!((origin.virtual_host, origin.route), (1, 0));
}

#[test]
fn paths_are_compared_without_query_and_fragment() {
    let separated = PathSpecifier::PathSeparatedPrefix("/api/dev".into());
    let table = compile(vec![host(
        &["*"],
        vec![
            route(path("/a"), "exact"),
            route(separated, "separated"),
            route(prefix("/api/"), "prefix"),
        ],
    )]);
    for (path, name) in [
        ("/a", "exact"),
        ("/a?b=c", "exact"),
        ("/a#b?c", "exact"),
        ("/a/", "-"),
        ("/A", "-"),
        ("/api/dev", "separated"),
        ("/api/dev/", "separated"),
        ("/api/dev/v1?x", "separated"),
        ("/api/dev?param=true", "separated"),
        ("/api/developer", "prefix"),
        ("/api?/dev", "-"),
    ] {
        assert_eq!(taken(&table, &Call::http("x", path)), name, "{path}");
    }
}

#[test]
fn path_parameters_are_ignored_on_demand() {
    let mut config = config(vec![host(&["*"], vec![route(path("/a"), "a")])]);
    let call = Call::http("x", "/a;v=1?q");
    assert_eq!(
        taken(&RouteTable::compile(&config).expect("valid"), &call),
        "-"
    );
    config.ignore_path_parameters_in_path_matching = true;
    assert_eq!(
        taken(&RouteTable::compile(&config).expect("valid"), &call),
        "a"
    );
}

#[test]
fn case_counts_unless_the_route_says_otherwise() {
    let mut routes = vec![
        route(path("/Foo/Bar"), "exact"),
        route(prefix("/Foo/B"), "prefix"),
        route(
            PathSpecifier::PathSeparatedPrefix("/Foo".into()),
            "separated",
        ),
    ];
    for route in &mut routes {
        matcher(route).case_sensitive = Some(BoolValue { value: false });
    }
    routes.insert(0, route(path("/foo/bar"), "strict"));
    let table = compile(vec![host(&["*"], routes)]);
    for (path, name) in [
        ("/foo/bar", "strict"),
        ("/FOO/BAR", "exact"),
        ("/fOO/bAz", "prefix"),
        ("/foo", "separated"),
        ("/foo/x", "separated"),
        ("/fo", "-"),
    ] {
        assert_eq!(taken(&table, &Call::http("x", path)), name, "{path}");
    }
}

#[test]
fn expressions_match_the_whole_path() {
    let regex = |regex: &str| {
        PathSpecifier::SafeRegex(RegexMatcher {
            regex: regex.into(),
            ..RegexMatcher::default()
        })
    };
    let mut insensitive = route(regex("/B"), "b");
    matcher(&mut insensitive).case_sensitive = Some(BoolValue { value: false });
    let table = compile(vec![host(
        &["*"],
        vec![
            route(regex(r"/com\.acme\.\w+/get.*"), "get"),
            insensitive,
            route(regex(".*/put|/x"), "put"),
        ],
    )]);
    for (path, name) in [
        ("/com.acme.Foo/getAll?x=/put", "get"),
        ("/com.acme.Foo/put", "put"),
        ("/com-acme.Foo/getAll", "-"),
        ("/x", "put"),
        ("/xy", "-"),
        ("/B", "b"),
        ("/b", "-"),
    ] {
        assert_eq!(taken(&table, &Call::http("x", path)), name, "{path}");
    }
}

#[test]
fn conditions_are_joined_by_and() {
    let mut both = route(prefix("/"), "both");
    matcher(&mut both).headers = ["a", "b"]
        .map(|name| HeaderMatcher {
            name: name.into(),
            ..HeaderMatcher::default()
        })
        .into();
    let mut query = route(prefix("/"), "query");
    matcher(&mut query).query_parameters = vec![QueryParameterMatcher {
        name: "q".into(),
        query_parameter_match_specifier: None,
    }];
    let mut grpc = route(prefix("/"), "grpc");
    matcher(&mut grpc).grpc = Some(GrpcRouteMatchOptions {});
    let table = compile(vec![host(&["*"], vec![both, query, grpc])]);
    let call = || Call::http("x", "/a");
    assert_eq!(taken(&table, &call().with("a", "1").with("b", "")), "both");
    assert_eq!(taken(&table, &call().with("a", "1")), "-");
    assert_eq!(
        taken(&table, &Call::http("x", "/a?q").with("a", "1")),
        "query"
    );
    let typed = |value| call().with("content-type", value);
    assert_eq!(taken(&table, &typed("application/grpc")), "grpc");
    assert_eq!(taken(&table, &typed("application/grpc+proto")), "grpc");
    assert_eq!(taken(&table, &typed("application/grpc-web")), "-");
}

#[test]
fn a_runtime_fraction_takes_its_share_of_the_draws() {
    let mut some = route(prefix("/"), "some");
    matcher(&mut some).runtime_fraction = Some(RuntimeFractionalPercent {
        default_value: Some(FractionalPercent {
            numerator: 25,
            denominator: DenominatorType::TenThousand as i32,
        }),
        runtime_key: String::new(),
    });
    let table = compile(vec![host(&["*"], vec![some])]);
    let call = Call::http("x", "/");
    let taken = (0..20_000).filter(|random| table.route(&call, &facts(*random)).is_some());
    assert_eq!(taken.count(), 50);
}

#[test]
fn what_cannot_be_read_matches_only_rules_that_ask_for_nothing() {
    let header = |specifier| HeaderMatcher {
        name: "v".into(),
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    };
    let mut absent = route(prefix("/"), "absent");
    matcher(&mut absent).headers = vec![header(HeaderMatchSpecifier::PresentMatch(false))];
    let mut present = route(prefix(""), "present");
    matcher(&mut present).headers = vec![header(HeaderMatchSpecifier::PresentMatch(true))];
    let regex = PathSpecifier::SafeRegex(RegexMatcher {
        regex: ".*".into(),
        ..RegexMatcher::default()
    });
    let table = compile(vec![
        host(&["a"], vec![route(prefix("/"), "a")]),
        host(
            &["*"],
            vec![
                route(regex, "regex"),
                route(prefix("/x"), "x"),
                absent,
                present,
                route(prefix("/"), "rest"),
            ],
        ),
    ]);
    let opaque = Call::default();
    assert_eq!(taken(&table, &opaque), "rest");
    assert_eq!(taken(&table, &opaque.with("v", "1")), "present");
    let only_authority = Call {
        authority: Some("a".into()),
        ..Call::default()
    };
    assert_eq!(taken(&table, &only_authority), "a");
}

#[test]
fn ports_are_part_of_the_authority_unless_ignored() {
    let mut config = config(vec![host(&["a"], vec![route(prefix("/"), "a")])]);
    let call = Call::http("a:12200", "/");
    assert_eq!(
        taken(&RouteTable::compile(&config).expect("valid"), &call),
        "-"
    );
    config.ignore_port_in_host_matching = true;
    assert_eq!(
        taken(&RouteTable::compile(&config).expect("valid"), &call),
        "a"
    );
}

#[test]
fn cookies_are_conditions_too() {
    let cookie = |name: &str, value: &str| CookieMatcher {
        name: name.into(),
        string_match: Some(StringMatcher {
            ignore_case: false,
            match_pattern: Some(MatchPattern::Exact(value.into())),
        }),
        invert_match: false,
    };
    let mut both = route(prefix("/"), "both");
    matcher(&mut both).cookies = vec![cookie("a", "1"), cookie("b", "2")];
    let mut without = route(prefix("/"), "without");
    matcher(&mut without).cookies = vec![CookieMatcher {
        invert_match: true,
        ..cookie("a", "1")
    }];
    let table = compile(vec![host(&["*"], vec![both, without])]);
    let call = |cookies| Call::http("x", "/").with("cookie", cookies);
    assert_eq!(taken(&table, &call("a=1; b=2")), "both");
    assert_eq!(taken(&table, &call("a=1")), "-");
    assert_eq!(taken(&table, &call("b=2")), "without");
    assert_eq!(taken(&table, &Call::http("x", "/")), "without");
    assert_eq!(
        taken(&table, &Call::default()),
        "-",
        "cookies that cannot be read"
    );
}

#[test]
fn the_callers_certificate_is_a_condition_too() {
    let asks = |presented, validated, name| {
        let mut route = route(prefix("/"), name);
        let flag = |value: Option<bool>| value.map(|value| BoolValue { value });
        matcher(&mut route).tls_context = Some(TlsContextMatchOptions {
            presented: flag(presented),
            validated: flag(validated),
        });
        route
    };
    let table = compile(vec![
        host(
            &["*"],
            vec![
                asks(Some(true), None, "with"),
                asks(None, Some(false), "without"),
            ],
        ),
        host(&["any"], vec![asks(None, None, "any")]),
    ]);
    let route_of = |tls| {
        let mut facts = facts(0);
        facts.tls = tls;
        let id = table.route(&Call::http("x", "/"), &facts).expect("a route");
        table.get(id).name.to_string()
    };
    let peer = Some(PeerCertificate::default());
    let tls = |peer| {
        Some(Arc::new(Tls {
            peer,
            ..Tls::default()
        }))
    };
    assert_eq!(route_of(None), "without");
    assert_eq!(route_of(tls(None)), "without");
    assert_eq!(route_of(tls(peer)), "with");
    assert_eq!(taken(&table, &Call::http("any", "/")), "any");
}

#[test]
fn connect_requests_take_routes_of_their_own() {
    let connect = || PathSpecifier::ConnectMatcher(ConnectMatcher {});
    let mut picky = route(connect(), "picky");
    matcher(&mut picky).headers = vec![HeaderMatcher {
        name: "v".into(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(false)),
        ..HeaderMatcher::default()
    }];
    let table = compile(vec![host(
        &["*"],
        vec![
            route(prefix("/x"), "x"),
            picky,
            route(prefix("/"), "rest"),
            route(connect(), "late"),
        ],
    )]);
    let call = |path: Option<&str>| Call {
        authority: Some("h.com:443".into()),
        path: path.map(Into::into),
        method: Some("CONNECT"),
        headers: Vec::new(),
    };
    assert_eq!(taken(&table, &call(None)), "picky");
    assert_eq!(
        taken(&table, &call(None).with("v", "1")),
        "late",
        "no path is no prefix"
    );
    assert_eq!(taken(&table, &call(Some("/udp"))), "picky");
    assert_eq!(taken(&table, &call(Some("/x"))), "x");
    assert_eq!(taken(&table, &call(Some("/")).with("v", "1")), "rest");
    assert_eq!(taken(&table, &Call::http("h", "/")), "rest");
    assert_eq!(
        taken(&table, &Call::default()),
        "rest",
        "a call that cannot be read"
    );
}

#[test]
fn query_parameters_are_compared_as_they_are_written() {
    let mut exact = route(prefix("/"), "exact");
    matcher(&mut exact).query_parameters = vec![QueryParameterMatcher {
        name: "a".into(),
        query_parameter_match_specifier: Some(QueryForm::StringMatch(StringMatcher {
            ignore_case: false,
            match_pattern: Some(MatchPattern::Exact("1".into())),
        })),
    }];
    let table = compile(vec![host(&["*"], vec![exact])]);
    // As Envoy 1.40 answers.
    for (path, name) in [
        ("/q?a=1", "exact"),
        ("/q?a=2&a=1", "-"),
        ("/q?a=1&a=2", "exact"),
        ("/q?a=%31", "-"),
        ("/q?b&a=1", "exact"),
        ("/q?&a=1", "exact"),
        ("/q?a=1;b", "-"),
        ("/q??a=1", "-"),
        ("/q?a=1?b", "-"),
    ] {
        assert_eq!(taken(&table, &Call::http("x", path)), name, "{path}");
    }
}

#[test]
fn authorities_are_compared_as_http_does() {
    let table = compile(vec![
        host(&["a.com", "a.com:8080"], vec![route(prefix("/"), "a")]),
        host(&["*.a.com"], vec![route(prefix("/"), "sub")]),
        host(&["[::1]:80"], vec![route(prefix("/"), "v6")]),
        host(&["a.*"], vec![route(prefix("/"), "tail")]),
    ]);
    for (authority, name) in [
        ("a.com", "a"),
        ("A.Com", "a"),
        ("a.com:8080", "a"),
        ("a.com:80", "tail"),
        ("x.A.com", "sub"),
        ("x.a.com:80", "-"),
        ("[::1]:80", "v6"),
        ("[::1]", "-"),
        ("a.org", "tail"),
        ("b.org", "-"),
    ] {
        assert_eq!(
            taken(&table, &Call::http(authority, "/")),
            name,
            "{authority}"
        );
    }
    let absent = Call {
        path: Some("/".into()),
        ..Call::default()
    };
    assert_eq!(taken(&table, &absent), "-");
}
