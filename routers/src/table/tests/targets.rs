use std::time::Duration;

use crossdock_framework::{
    edits::Edits,
    route::{ClusterSlot, Limit, Named, StreamTimes},
};
use envoy_types::pb::{
    envoy::config::{
        core::v3::{DataSource, RoutingPriority, data_source::Specifier as Source},
        route::v3::{
            DirectResponseAction, WeightedCluster,
            route_action::{
                HashPolicy as HashMessage, MaxStreamDuration, UpgradeConfig,
                hash_policy::{ConnectionProperties, Header, PolicySpecifier},
            },
            weighted_cluster::ClusterWeight,
        },
    },
    google::protobuf::{Duration as DurationMessage, UInt32Value},
};

use super::*;

fn with_action(action: RouteAction) -> RouteMessage {
    let mut route = route(prefix("/"), "any");
    route.action = Some(ActionMessage::Route(action));
    route
}

#[test]
fn times_and_priorities_have_envoys_defaults() {
    let timeout = |seconds, nanos| RouteAction {
        timeout: Some(DurationMessage { seconds, nanos }),
        priority: RoutingPriority::High as i32,
        ..forward("c")
    };
    let routes = vec![
        with_action(forward("c")),
        with_action(timeout(0, 0)),
        with_action(timeout(1, 500_000_000)),
    ];
    let table = compile(vec![host(&["*"], routes)]);
    let forwards = [0, 1, 2].map(|id| action(&table, id));
    let seconds = Duration::from_secs_f64;
    assert_eq!(
        forwards.map(|forward| forward.times.timeout),
        [Some(seconds(15.0)), None, Some(seconds(1.5))]
    );
    assert_eq!(forwards.map(|forward| forward.priority), [0, 1, 1]);
    assert_eq!(table.clusters().len(), 1, "one name, one slot");
}

#[test]
fn weights_share_the_calls() {
    let cluster = |name: &str, weight| ClusterWeight {
        name: name.into(),
        weight: Some(UInt32Value { value: weight }),
        ..ClusterWeight::default()
    };
    let weights = WeightedCluster {
        clusters: vec![cluster("a", 90), cluster("b", 0), cluster("c", 10)],
        ..WeightedCluster::default()
    };
    let table = compile(vec![host(
        &["*"],
        vec![with_action(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weights)),
            ..RouteAction::default()
        })],
    )]);
    let Target::Weighted(weighted) = &action(&table, 0).target else {
        panic!("weights were compiled into something else");
    };
    let entries = weighted.entries().iter();
    let entries: Vec<_> = entries
        .map(|entry| (entry.cluster.clone(), entry.weight))
        .collect();
    let slot = |at| Named::Slot(ClusterSlot(at));
    assert_eq!(entries, [(slot(0), 90), (slot(1), 0), (slot(2), 10)]);
}

#[test]
fn the_cluster_may_stand_in_a_header() {
    let table = compile(vec![host(
        &["*"],
        vec![with_action(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::ClusterHeader("X-Cluster".into())),
            ..RouteAction::default()
        })],
    )]);
    let Target::Header(name) = &action(&table, 0).target else {
        panic!("the header was compiled into something else");
    };
    assert_eq!(&**name, "x-cluster");
}

#[test]
fn hash_policies_keep_their_order() {
    let policy = |terminal, policy| HashMessage {
        terminal,
        policy_specifier: Some(policy),
    };
    let header = PolicySpecifier::Header(Header {
        header_name: "X-User".into(),
        regex_rewrite: None,
    });
    let source =
        |source_ip| PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip });
    let policies = vec![
        policy(true, header),
        policy(false, source(false)),
        policy(false, source(true)),
    ];
    let table = compile(vec![host(
        &["*"],
        vec![with_action(RouteAction {
            hash_policy: policies,
            ..forward("c")
        })],
    )]);
    let terminal = action(&table, 0).hash.iter().map(|policy| policy.terminal);
    assert_eq!(terminal.collect::<Vec<_>>(), [true, false]);
    let call = Call::http("x", "/").with("x-user", "user-0");
    assert_eq!(
        table.hash(RouteId(0), &call, &facts(0), &mut Edits::none()),
        Some(0x7c1b_2034_a068_4560)
    );
}

#[test]
fn a_route_may_answer_by_itself() {
    let body = |specifier| {
        Some(DataSource {
            specifier: Some(specifier),
            ..DataSource::default()
        })
    };
    let direct = |status, body| {
        let mut route = route(prefix("/"), "any");
        route.action = Some(ActionMessage::DirectResponse(DirectResponseAction {
            status,
            body,
            body_format: None,
        }));
        route
    };
    let table = compile(vec![host(
        &["*"],
        vec![
            direct(503, body(Source::InlineString("gone".into()))),
            direct(200, None),
            direct(404, body(Source::InlineBytes(b"bytes".to_vec()))),
        ],
    )]);
    let answers = [0, 1, 2].map(|id| match &table.get(RouteId(id)).action {
        Action::Direct(direct) => (direct.status, direct.body.to_string()),
        Action::Forward(_) | Action::Redirect(_) => panic!("route {id} does not answer"),
    });
    assert_eq!(
        answers,
        [
            (503, "gone".into()),
            (200, String::new()),
            (404, "bytes".into())
        ]
    );
    assert_eq!(
        table.hash(RouteId(0), &Call::default(), &facts(0), &mut Edits::none()),
        None
    );
}

#[test]
fn a_body_may_stand_in_a_file_or_in_the_environment() {
    let file = std::env::temp_dir().join(format!("crossdock-body-{}", std::process::id()));
    std::fs::write(&file, "sixteen bytes ok").expect("a temporary file");
    let name = file.to_str().expect("a plain path").to_owned();
    let of = |source, limit| {
        let mut route = route(prefix("/"), "any");
        route.action = Some(ActionMessage::DirectResponse(DirectResponseAction {
            status: 200,
            body: Some(DataSource {
                specifier: Some(source),
                ..DataSource::default()
            }),
            body_format: None,
        }));
        let mut config = config(vec![host(&["*"], vec![route])]);
        config.max_direct_response_body_size_bytes = Some(UInt32Value { value: limit });
        RouteTable::compile(&config).map(|table| match &table.get(RouteId(0)).action {
            Action::Direct(direct) => direct.body.to_string(),
            other => panic!("{other:?}"),
        })
    };
    let read = of(Source::Filename(name.clone()), 16);
    let long = of(Source::Filename(name), 15);
    std::fs::remove_file(&file).expect("it is there");
    assert_eq!(read.as_deref(), Ok("sixteen bytes ok"));
    let problem = &long.expect_err("one byte too many")[0];
    assert_eq!(problem.reason, "more than the 15 bytes that are allowed");
    let path = std::env::var("PATH").expect("every test has one");
    let body = of(Source::EnvironmentVariable("PATH".into()), 1 << 20);
    assert_eq!(body, Ok(path));
}

#[test]
fn times_of_streams_and_upgrades_are_read() {
    let seconds = |seconds| Some(DurationMessage { seconds, nanos: 0 });
    #[allow(deprecated, reason = "configurations in use still have it")]
    let action_of = RouteAction {
        idle_timeout: seconds(0),
        max_grpc_timeout: seconds(0),
        grpc_timeout_offset: seconds(1),
        max_stream_duration: Some(MaxStreamDuration {
            max_stream_duration: seconds(0),
            grpc_timeout_header_max: seconds(5),
            grpc_timeout_header_offset: None,
        }),
        upgrade_configs: vec![
            UpgradeConfig {
                upgrade_type: "websocket".into(),
                ..UpgradeConfig::default()
            },
            UpgradeConfig {
                upgrade_type: "CONNECT".into(),
                enabled: Some(BoolValue { value: false }),
                ..UpgradeConfig::default()
            },
        ],
        ..forward("c")
    };
    let table = compile(vec![host(
        &["*"],
        vec![with_action(action_of), with_action(forward("c"))],
    )]);
    let (forward, plain) = (action(&table, 0), action(&table, 1));
    let stream = StreamTimes {
        max: Limit::Unlimited,
        grpc_max: Some(Some(Duration::from_secs(5))),
        grpc_offset: Duration::ZERO,
    };
    let times = forward.times;
    assert_eq!((times.idle, times.stream), (Limit::Unlimited, Some(stream)));
    assert_eq!(times.grpc_max, Some(None));
    assert_eq!(times.grpc_offset, Duration::from_secs(1));
    let upgrades = ["WebSocket", "connect", "h2c"].map(|kind| forward.upgrade(kind));
    assert_eq!(upgrades, [Some(true), Some(false), None]);
    assert_eq!(plain.upgrade("websocket"), None);
    assert_eq!(plain.times.idle, Limit::Inherited);
    assert_eq!((plain.times.stream, plain.times.grpc_max), (None, None));
}

#[test]
fn routes_without_a_name_are_named_by_their_place() {
    let mut nameless = route(prefix("/"), "c");
    nameless.name.clear();
    let table = compile(vec![host(
        &["a", "b"],
        vec![route(path("/x"), "x"), nameless],
    )]);
    let route = table.get(RouteId(1));
    assert_eq!((&*route.name, &*route.virtual_host), ("a.routes[1]", "a"));
}
