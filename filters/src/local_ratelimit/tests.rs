use std::net::SocketAddr;

use crossdock_framework::{
    edits::Effect,
    filter::{Chain, Filters, Passage},
    route::RouteId,
};
use crossdock_routers::RouteTable;
use crossdock_xds::envoy_types::pb::{
    envoy::{
        config::{
            core::v3::{HeaderValue, HeaderValueOption},
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
                rate_limit::{
                    Action as Made,
                    action::{ActionSpecifier, GenericKey, RequestHeaders},
                },
                route_action::ClusterSpecifier,
                route_match::PathSpecifier,
            },
        },
        extensions::{
            common::ratelimit::v3::{LocalRateLimitDescriptor, rate_limit_descriptor::Entry},
            filters::{
                http::router::v3::Router,
                network::http_connection_manager::v3::{HttpFilter, http_filter::ConfigType},
            },
        },
        r#type::v3::{FractionalPercent, HttpStatus, TokenBucket},
    },
    google::protobuf::{Any, BoolValue, Duration, UInt32Value},
};
use prost::Name as _;

use super::*;
use crate::{
    HttpFilters, Registry,
    testing::{Call, Ground, Passed},
};

const SECOND: u64 = 1_000_000;

fn bucket(most: u32, per_fill: u32, seconds: i64) -> Option<TokenBucket> {
    Some(TokenBucket {
        max_tokens: most,
        tokens_per_fill: Some(UInt32Value { value: per_fill }),
        fill_interval: Some(Duration { seconds, nanos: 0 }),
    })
}

fn percent(numerator: u32) -> Option<RuntimeFractionalPercent> {
    Some(RuntimeFractionalPercent {
        default_value: Some(FractionalPercent {
            numerator,
            denominator: 0,
        }),
        ..RuntimeFractionalPercent::default()
    })
}

/// A limit of all calls: so many at once, and as many each hour.
fn config(most: u32) -> Config {
    Config {
        stat_prefix: "limit".to_owned(),
        token_bucket: bucket(most, most.max(1), 3600),
        filter_enabled: percent(100),
        filter_enforced: percent(100),
        ..Config::default()
    }
}

fn header(name: &str, key: &str) -> Made {
    Made {
        action_specifier: Some(ActionSpecifier::RequestHeaders(RequestHeaders {
            header_name: name.to_owned(),
            descriptor_key: key.to_owned(),
            skip_if_absent: false,
        })),
    }
}

fn generic(value: &str) -> Made {
    Made {
        action_specifier: Some(ActionSpecifier::GenericKey(GenericKey {
            descriptor_value: value.to_owned(),
            ..GenericKey::default()
        })),
    }
}

fn made(actions: Vec<Made>) -> RateLimit {
    RateLimit {
        actions,
        ..RateLimit::default()
    }
}

fn descriptor(
    entries: &[(&str, &str)],
    token_bucket: Option<TokenBucket>,
) -> LocalRateLimitDescriptor {
    let entry = |(key, value): &(&str, &str)| Entry {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    LocalRateLimitDescriptor {
        entries: entries.iter().map(entry).collect(),
        token_bucket,
        ..LocalRateLimitDescriptor::default()
    }
}

fn chain(ground: &Ground, config: Config) -> Chain {
    let filter = LocalRateLimit::configure(config, &ground.site()).expect("valid");
    Chain::new(vec![Arc::new(filter)])
}

fn refused(passed: &Passed) -> Option<&Status> {
    match &passed.passage {
        Passage::Reply(status) => {
            assert_eq!(status.cause, Cause::RateLimited);
            Some(status)
        }
        _ => None,
    }
}

fn passes(chain: &Chain, call: &Call) -> bool {
    refused(&call.pass(chain)).is_none()
}

/// How many of so many calls pass.
fn passing(chain: &Chain, call: &Call, calls: usize) -> usize {
    (0..calls).filter(|_| passes(chain, call)).count()
}

fn told(edits: &Edits, name: &str) -> Option<String> {
    match edits.effect(name, None) {
        Effect::Become(value) => Some(value),
        _ => None,
    }
}

#[test]
fn as_many_pass_as_there_are_tokens() {
    let ground = Ground::new();
    let chain = chain(&ground, config(5));
    assert_eq!(passing(&chain, &Call::new("/"), 20), 5);
    let counts = ground.counts();
    let count = |name: &str| counts[&format!("limit.http_local_rate_limit.{name}")];
    assert_eq!(
        ["enabled", "ok", "rate_limited", "enforced"].map(count),
        [20, 5, 15, 15]
    );
    let passed = Call::new("/").pass(&chain);
    let status = refused(&passed).expect("none is left");
    assert_eq!(
        (status.http, status.grpc, &*status.text),
        (429, None, "local_rate_limited")
    );
}

/// So many a second, whichever workers they come to and at what times of theirs: in 30 seconds the
/// first burst and 30 times as many.
#[test]
fn a_limit_is_exact_over_time_and_workers() {
    for (rate, workers) in [(1, 2), (10, 1), (10, 2), (97, 3)] {
        let ground = Ground::new();
        let config = Config {
            token_bucket: bucket(rate, rate, 1),
            ..config(0)
        };
        let chain = chain(&ground, config);
        let run = |worker: u64| {
            // Each worker has read the time at other moments.
            let times = (0..30 * 1000).map(move |ms| SECOND + ms * 1000 + worker * 137);
            times
                .filter(|at| passes(&chain, &Call::new("/").at(*at)))
                .count()
        };
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|n| scope.spawn(move || run(n))).collect();
            let counts = threads.into_iter().map(|thread| thread.join());
            counts.map(|count| count.expect("no panic")).sum()
        });
        let wanted = 31 * rate as usize;
        // Workers that are ahead of others use up time that has not come for these.
        assert!(
            (wanted - 1..=wanted).contains(&passed),
            "{passed} of {wanted}"
        );
    }
}

#[test]
fn a_limit_that_is_not_enforced_marks_calls() {
    let ground = Ground::new();
    let mut config = config(1);
    config.filter_enforced = percent(0);
    config.request_headers_to_add_when_not_enforced = vec![HeaderValueOption {
        header: Some(HeaderValue {
            key: "x-over".to_owned(),
            value: "yes".to_owned(),
            ..HeaderValue::default()
        }),
        ..HeaderValueOption::default()
    }];
    let chain = chain(&ground, config);
    let first = Call::new("/").pass(&chain);
    assert_eq!(told(&first.edits, "x-over"), None);
    let second = Call::new("/").pass(&chain);
    assert!(refused(&second).is_none());
    assert_eq!(told(&second.edits, "x-over").as_deref(), Some("yes"));
    let counts = ground.counts();
    assert_eq!(counts["limit.http_local_rate_limit.rate_limited"], 1);
    assert!(!counts.contains_key("limit.http_local_rate_limit.enforced"));
}

#[test]
fn a_limit_is_off_unless_it_is_switched_on() {
    let ground = Ground::new();
    for (enabled, enforced) in [(None, percent(100)), (percent(100), None)] {
        let config = Config {
            filter_enabled: enabled,
            filter_enforced: enforced,
            ..config(0)
        };
        assert!(passes(&chain(&ground, config), &Call::new("/")));
    }
}

/// A limit for a part of the calls draws anew which of those that are over it are refused.
#[test]
fn shares_are_drawn_apart() {
    let ground = Ground::new();
    let half = Config {
        filter_enabled: percent(50),
        filter_enforced: percent(50),
        ..config(0)
    };
    let chain = chain(&ground, half);
    let mut random = fastrand::Rng::with_seed(3);
    let calls = (0..10_000).map(|_| Call::new("/").random(random.u64(..)));
    let refused = calls.filter(|call| !passes(&chain, call)).count();
    // A quarter, and four standard deviations.
    assert!((2327..=2673).contains(&refused), "{refused}");
}

#[test]
fn refused_callers_get_what_is_configured() {
    let ground = Ground::new();
    for (code, http) in [(0, 429), (200, 429), (399, 429), (400, 400), (503, 503)] {
        let mut config = config(0);
        config.status = Some(HttpStatus { code });
        config.rate_limited_as_resource_exhausted = true;
        config.enable_retry_after_header = true;
        config.response_headers_to_add = vec![HeaderValueOption {
            header: Some(HeaderValue {
                key: "x-limited".to_owned(),
                value: "yes".to_owned(),
                ..HeaderValue::default()
            }),
            ..HeaderValueOption::default()
        }];
        let passed = Call::new("/").pass(&chain(&ground, config));
        let status = refused(&passed).expect("there is no token");
        assert_eq!((status.http, status.grpc), (http, Some(8)));
        assert_eq!(told(&status.headers, "x-limited").as_deref(), Some("yes"));
        let retry = told(&status.headers, "retry-after");
        assert_eq!(retry.is_some(), http == 429);
    }
}

/// As Envoy 1.40 with a bucket of 4 and 2 in 5 s: nothing to wait for while there are tokens.
#[test]
fn callers_are_told_of_the_bucket() {
    let ground = Ground::new();
    let config = Config {
        token_bucket: bucket(4, 2, 5),
        enable_x_ratelimit_headers: XRateLimitHeadersRfcVersion::DraftVersion03.into(),
        enable_retry_after_header: true,
        ..config(0)
    };
    let chain = chain(&ground, config);
    for (at, left, wait, retry) in [
        (0, "3", "0", None),
        (300, "2", "0", None),
        (600, "1", "0", None),
        (900, "0", "2", None),
        (1200, "0", "2", Some("2")),
        (1600, "0", "1", Some("1")),
        (4700, "0", "1", None),
    ] {
        let call = Call::new("/").at(10 * SECOND + at * 1000);
        let passed = call.pass(&chain);
        let told = |name: &str| told(&passed.answer, name).expect("all are told");
        assert_eq!(
            (told("x-ratelimit-limit"), told("x-ratelimit-remaining")),
            ("4".to_owned(), left.to_owned()),
            "{at}"
        );
        assert_eq!(told("x-ratelimit-reset"), wait, "{at}");
        let status = refused(&passed);
        let again = status.and_then(|status| super::tests::told(&status.headers, "retry-after"));
        assert_eq!(again.as_deref(), retry, "{at}");
    }
}

fn by_user(most: u32) -> Config {
    Config {
        rate_limits: vec![made(vec![header("user", "user")])],
        ..config(most)
    }
}

#[test]
fn descriptors_have_buckets_of_their_own() {
    let ground = Ground::new();
    let mut config = by_user(100);
    config.descriptors = vec![
        descriptor(&[("user", "one")], bucket(1, 1, 3600)),
        descriptor(&[("user", "three")], bucket(3, 1, 3600)),
    ];
    let chain = chain(&ground, config);
    let user = |name: &str| Call::new("/").with("user", name);
    assert_eq!(passing(&chain, &user("one"), 10), 1);
    assert_eq!(passing(&chain, &user("three"), 10), 3);
    // The default bucket lost the four that passed, and not those that were refused before.
    assert_eq!(passing(&chain, &user("other"), 200), 96);
}

#[test]
fn the_default_bucket_may_be_for_the_others_only() {
    for (always, passed) in [(true, 2), (false, 5)] {
        let ground = Ground::new();
        let mut config = by_user(2);
        config.always_consume_default_token_bucket = Some(BoolValue { value: always });
        config.descriptors = vec![descriptor(&[("user", "one")], bucket(5, 1, 3600))];
        let chain = chain(&ground, config);
        let call = Call::new("/").with("user", "one");
        assert_eq!(passing(&chain, &call, 10), passed);
    }
}

/// Of several buckets that a call fits, the one that fills most slowly is asked first, and what is
/// refused there takes nothing from the others.
#[test]
fn the_slowest_bucket_is_asked_first() {
    let ground = Ground::new();
    let mut config = config(100);
    config.rate_limits = vec![made(vec![generic("fast")]), made(vec![generic("slow")])];
    config.descriptors = vec![
        descriptor(&[("generic_key", "fast")], bucket(10, 10, 3600)),
        descriptor(&[("generic_key", "slow")], bucket(2, 1, 3600)),
    ];
    config.enable_x_ratelimit_headers = XRateLimitHeadersRfcVersion::DraftVersion03.into();
    let chain = chain(&ground, config);
    assert_eq!(passing(&chain, &Call::new("/"), 20), 2);
    let passed = Call::new("/").pass(&chain);
    assert_eq!(
        told(&passed.answer, "x-ratelimit-limit").as_deref(),
        Some("2")
    );
}

#[test]
fn a_shadow_refuses_nothing() {
    let ground = Ground::new();
    let mut config = by_user(3);
    let mut shadow = descriptor(&[("user", "one")], bucket(1, 1, 3600));
    shadow.shadow_mode = true;
    config.descriptors = vec![shadow];
    let chain = chain(&ground, config);
    assert_eq!(passing(&chain, &Call::new("/").with("user", "one"), 10), 3);
    let counts = ground.counts();
    assert_eq!(counts["limit.http_local_rate_limit.shadow_mode"], 9);
}

#[test]
fn words_without_a_value_have_a_bucket_for_each() {
    let ground = Ground::new();
    let mut config = by_user(1_000_000);
    config.max_dynamic_descriptors = Some(UInt32Value { value: 100 });
    config.descriptors = vec![
        descriptor(&[("user", "")], bucket(2, 1, 3600)),
        descriptor(&[("user", "boss")], bucket(50, 1, 3600)),
    ];
    let chain = chain(&ground, config);
    let user = |name: String| Call::new("/").with("user", &name);
    for n in 0..100 {
        assert_eq!(passing(&chain, &user(format!("u{n}")), 5), 2);
    }
    // Those that come when all places are taken share one bucket, and refill no other one.
    let rest = (100..1000).map(|n| passing(&chain, &user(format!("u{n}")), 5));
    assert_eq!(rest.sum::<usize>(), 2);
    assert_eq!(passing(&chain, &user("u7".to_owned()), 5), 0);
    // A value of its own goes before any value.
    assert_eq!(passing(&chain, &user("boss".to_owned()), 100), 50);
}

#[test]
fn connections_may_have_a_bucket_each() {
    let ground = Ground::new();
    let mut config = by_user(3);
    config.local_rate_limit_per_downstream_connection = true;
    config.descriptors = vec![descriptor(&[("user", "one")], bucket(1, 1, 3600))];
    let chain = chain(&ground, config.clone());
    for port in [1000, 1001] {
        let mut call = Call::new("/");
        call.port = port;
        assert_eq!(passing(&chain, &call, 9), 3);
        call.port += 10;
        assert_eq!(passing(&chain, &call.with("user", "one"), 9), 1);
    }
    config
        .descriptors
        .push(descriptor(&[("user", "")], bucket(1, 1, 1)));
    let problems = LocalRateLimit::configure(config, &ground.site()).expect_err("refused");
    assert_eq!(problems[0].path, "descriptors[1].entries");
}

/// A change of configuration that leaves a limit as it is leaves its tokens as they are.
#[test]
fn tokens_outlive_a_change() {
    let ground = Ground::new();
    let first = chain(&ground, config(3));
    assert_eq!(passing(&first, &Call::new("/"), 2), 2);
    let mut changed = config(3);
    changed.enable_retry_after_header = true;
    let second = chain(&ground, changed);
    drop(first);
    assert_eq!(passing(&second, &Call::new("/"), 5), 1);
    // Another limit is another bucket.
    let third = chain(&ground, config(4));
    assert_eq!(passing(&third, &Call::new("/"), 9), 4);
}

#[test]
fn what_is_wrong_is_told() {
    let ground = Ground::new();
    let mut bad = config(1);
    bad.token_bucket.as_mut().expect("set").fill_interval = Some(Duration {
        seconds: 0,
        nanos: 1,
    });
    bad.descriptors = vec![
        descriptor(&[("a", "1")], bucket(1, 1, 1)),
        descriptor(&[("a", "1")], bucket(2, 1, 1)),
        descriptor(&[("b", "1")], bucket(2, 1, 0)),
    ];
    bad.max_dynamic_descriptors = Some(UInt32Value { value: 1_000_001 });
    let problems = LocalRateLimit::configure(bad, &ground.site()).expect_err("refused");
    let paths: Vec<_> = problems.iter().map(|problem| &*problem.path).collect();
    assert_eq!(
        paths,
        [
            "max_dynamic_descriptors",
            "descriptors[1]",
            "descriptors[2].token_bucket.fill_interval",
            "token_bucket.fill_interval",
        ]
    );
    let limit = LocalRateLimit::configure(config(1), &ground.site()).expect("valid");
    let mut none = config(1);
    none.token_bucket = None;
    let problems = limit.on_route(none, &ground.site()).expect_err("refused");
    assert_eq!(problems[0].path, "token_bucket");
}

fn any<M: prost::Message + prost::Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

/// The chains of these routes, one for each prefix, behind a limit and the router.
fn linked(ground: &Ground, config: &Config, host: VirtualHost) -> Filters {
    let filter = |name: &str, any| HttpFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(any)),
        ..HttpFilter::default()
    };
    let listed = [
        filter("limit", any(config)),
        filter(&Router::full_name(), any(&Router::default())),
    ];
    let site = ground.site();
    let made = HttpFilters::compile(&listed, &Registry::standard(), &site).expect("valid");
    let routes = RouteConfiguration {
        virtual_hosts: vec![host],
        ..RouteConfiguration::default()
    };
    let table = RouteTable::compile(&routes).expect("valid routes");
    made.link(&routes, &table, &site).expect("valid")
}

fn route(rate_limits: Vec<RateLimit>, own: Option<&Config>) -> Route {
    let mut route = Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster("a".to_owned())),
            rate_limits,
            ..RouteAction::default()
        })),
        ..Route::default()
    };
    if let Some(own) = own {
        route
            .typed_per_filter_config
            .insert("limit".to_owned(), any(own));
    }
    route
}

fn host(routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes,
        ..VirtualHost::default()
    }
}

#[test]
fn each_level_has_a_bucket_of_its_own() {
    let ground = Ground::new();
    let mut host = host(vec![
        route(Vec::new(), Some(&config(2))),
        route(Vec::new(), None),
        route(Vec::new(), None),
    ]);
    host.typed_per_filter_config
        .insert("limit".to_owned(), any(&config(3)));
    let filters = linked(&ground, &config(4), host);
    let passed = |route: Option<u32>| {
        let chain = filters.of(route.map(RouteId), || None);
        passing(chain, &Call::new("/"), 9)
    };
    // Both routes that say nothing share the bucket of their virtual host.
    assert_eq!([Some(0), Some(1), Some(2), None].map(passed), [2, 3, 0, 4]);
}

#[test]
fn routes_make_descriptors_of_their_calls() {
    let mut config = config(1000);
    let of = |value: &str, most| descriptor(&[("generic_key", value)], bucket(most, 1, 3600));
    config.descriptors = vec![of("route", 1), of("host", 2), of("stage", 3)];
    let mut staged = made(vec![generic("stage")]);
    staged.stage = Some(UInt32Value { value: 1 });
    let by_route = vec![made(vec![generic("route")])];
    let passed = |config: &Config, limits: Vec<RateLimit>, include: bool| {
        let ground = Ground::new();
        let mut route = route(limits, None);
        if include && let Some(Action::Route(action)) = &mut route.action {
            #[expect(deprecated, reason = "Envoy's users still set it there")]
            {
                action.include_vh_rate_limits = Some(BoolValue { value: true });
            }
        }
        let mut host = host(vec![route]);
        host.rate_limits = vec![made(vec![generic("host")]), staged.clone()];
        let filters = linked(&ground, config, host);
        passing(filters.of(Some(RouteId(0)), || None), &Call::new("/"), 9)
    };
    // The virtual host speaks where the route is silent, or is to be heard as well.
    assert_eq!(passed(&config, Vec::new(), false), 2);
    assert_eq!(passed(&config, by_route.clone(), false), 1);
    let by_nothing = vec![made(vec![generic("unknown")])];
    assert_eq!(passed(&config, by_nothing.clone(), false), 9);
    assert_eq!(passed(&config, by_nothing.clone(), true), 2);
    config.vh_rate_limits = VhRateLimitsOptions::Include.into();
    assert_eq!(passed(&config, by_nothing.clone(), false), 2);
    config.vh_rate_limits = VhRateLimitsOptions::Ignore.into();
    assert_eq!(passed(&config, Vec::new(), false), 9);
    // A filter hears those of its stage.
    config.stage = 1;
    config.vh_rate_limits = VhRateLimitsOptions::Include.into();
    assert_eq!(passed(&config, by_route, false), 3);
    // What the filter says itself goes before all routes.
    config.rate_limits = vec![made(vec![generic("route")])];
    assert_eq!(passed(&config, by_nothing, true), 1);
}

/// Callers are told apart by their addresses.
#[test]
fn addresses_are_words_too() {
    let ground = Ground::new();
    let mut config = config(1000);
    config.rate_limits = vec![made(vec![Made {
        action_specifier: Some(ActionSpecifier::RemoteAddress(Default::default())),
    }])];
    config.descriptors = vec![descriptor(&[("remote_address", "")], bucket(2, 1, 3600))];
    let chain = chain(&ground, config);
    for last in [1, 2] {
        let mut call = Call::new("/");
        call.source = Some(SocketAddr::from(([10, 0, 0, last], 1)));
        assert_eq!(passing(&chain, &call, 9), 2);
    }
}
