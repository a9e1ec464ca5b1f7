use std::time::Duration;

use crossdock_framework::{
    edits::Edits,
    route::{ClusterSlot, Named},
};
use envoy_types::pb::{
    envoy::config::{
        core::v3::{DataSource, RoutingPriority, data_source::Specifier as Source},
        route::v3::{
            DirectResponseAction, WeightedCluster,
            route_action::{
                HashPolicy as HashMessage,
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
