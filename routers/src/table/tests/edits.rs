use crossdock_framework::{
    edits::{Edit, Edits},
    route::Route,
};
use envoy_types::pb::{
    envoy::config::{
        core::v3::{HeaderValue, HeaderValueOption},
        route::v3::{WeightedCluster, weighted_cluster::ClusterWeight},
    },
    google::protobuf::UInt32Value,
};

use super::*;
use crate::testing::applied;

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

/// A table whose three levels each add `level` and `<level>`.
fn layered(specific_last: bool) -> RouteTable {
    let mut route = route(prefix("/"), "c");
    route.request_headers_to_add = vec![add("level", "route")];
    route.response_headers_to_remove = vec!["Server".into()];
    let mut host = host(&["*"], vec![route]);
    host.request_headers_to_add = vec![add("level", "host")];
    let mut config = config(vec![host]);
    config.request_headers_to_add = vec![add("level", "table")];
    config.most_specific_header_mutations_wins = specific_last;
    RouteTable::compile(&config).expect("valid")
}

fn request_edits(route: &Route) -> Vec<Edit> {
    let mut edits = Edits::none();
    let call = Call::default();
    applied(&*route.request_edits, &call, &call, &mut edits);
    edits.iter().cloned().collect()
}

#[test]
fn levels_apply_from_special_to_general_or_the_other_way_round() {
    let order = |specific_last| {
        let table = layered(specific_last);
        let edits = request_edits(table.get(RouteId(0)));
        let values = edits.into_iter().map(|edit| match edit {
            Edit::Append(name, value) if &*name == "level" => value,
            other => panic!("{other:?}"),
        });
        values.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order(false), "route host table");
    assert_eq!(order(true), "table host route");
}

#[test]
fn responses_have_changes_of_their_own() {
    let table = layered(false);
    let mut edits = Edits::none();
    let call = Call::default();
    let template = &table.get(RouteId(0)).response_edits;
    applied(&**template, &call, &call, &mut edits);
    assert_eq!(
        edits.iter().collect::<Vec<_>>(),
        [&Edit::Remove("server".into())]
    );
}

#[test]
fn what_changes_nothing_is_empty() {
    let table = compile(vec![host(&["*"], vec![route(prefix("/"), "c")])]);
    let route = table.get(RouteId(0));
    assert!(route.request_edits.is_empty() && route.response_edits.is_empty());
    assert!(!layered(false).get(RouteId(0)).request_edits.is_empty());
}

#[test]
fn weighted_clusters_have_changes_of_their_own() {
    let mut message = route(prefix("/"), "c");
    let weights = WeightedCluster {
        clusters: vec![ClusterWeight {
            name: "c".into(),
            weight: Some(UInt32Value { value: 1 }),
            request_headers_to_add: vec![add("v", "2")],
            ..ClusterWeight::default()
        }],
        ..WeightedCluster::default()
    };
    message.action = Some(ActionMessage::Route(RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(weights)),
        ..RouteAction::default()
    }));
    let table = compile(vec![host(&["*"], vec![message])]);
    let Target::Weighted(weighted) = &action(&table, 0).target else {
        panic!("weights were compiled into something else");
    };
    let entry = &weighted.entries()[0];
    let mut edits = Edits::none();
    let call = Call::default();
    applied(&*entry.request_edits, &call, &call, &mut edits);
    assert_eq!(
        edits.iter().collect::<Vec<_>>(),
        [&Edit::Append("v".into(), "2".into())]
    );
    assert!(entry.response_edits.is_empty());
}
