use envoy_types::pb::envoy::{
    config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{
            HeaderMatcher, QueryParameterMatcher, header_matcher::HeaderMatchSpecifier,
            route_match::GrpcRouteMatchOptions,
        },
    },
    r#type::{
        matcher::v3::RegexMatcher,
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
