use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    discovery::{
        Resources, Verdict,
        sample::{
            cluster, eds_cluster, endpoints as assignment, file, rds_listener, resource, response,
            routes as route_table,
        },
    },
    to_json,
};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn all(_: &str) -> bool {
    true
}

#[expect(
    clippy::disallowed_methods,
    reason = "where time starts does not matter"
)]
fn settle(warming: &mut Warming, wanted: Resources) {
    warming.want(wanted);
    warming.settle(Instant::now());
}

/// Offers clusters in a version, and has all of them taken.
fn accept(
    subscription: &mut Subscription<Cluster>,
    wanted: &mut Resources,
    version: &str,
    clusters: Vec<(Cluster, u128)>,
) {
    let clusters = clusters.into_iter().map(|(cluster, content)| {
        let mut resource = resource(cluster, content);
        resource.version = version.into();
        resource
    });
    let update = subscription.offer(&response(version, clusters.collect()));
    wanted.take(&update);
    subscription.conclude(Verdict::Accepted, at(version.len() as u64));
}

fn with_clusters() -> (Warming, Subscriptions, Resources) {
    let (mut warming, mut wanted) = (Warming::new(), Resources::default());
    let mut subscription = Subscription::new(Interest::All);
    accept(&mut subscription, &mut wanted, "1", vec![(cluster("a"), 1)]);
    settle(&mut warming, wanted.clone());
    let waits = eds_cluster("b", "", file("/eds.yaml", None));
    accept(
        &mut subscription,
        &mut wanted,
        "22",
        vec![(cluster("a"), 1), (waits, 1)],
    );
    settle(&mut warming, wanted.clone());
    let subscriptions = Subscriptions {
        clusters: Some(subscription),
        ..Subscriptions::default()
    };
    (warming, subscriptions, wanted)
}

fn any_type(kind: &str) -> String {
    format!("type.googleapis.com/envoy.config.{kind}")
}

#[test]
fn clusters_in_force_and_waiting() {
    let (warming, subscriptions, _) = with_clusters();
    let dump = to_json(&clusters(&warming, &subscriptions, &all));
    assert_eq!(dump["version_info"], "22");
    assert_eq!(
        dump["dynamic_active_clusters"],
        json!([{
            "version_info": "1",
            "cluster": {"@type": any_type("cluster.v3.Cluster"), "name": "a"},
            "last_updated": "1970-01-01T00:00:01Z",
        }])
    );
    let waiting = &dump["dynamic_warming_clusters"];
    assert_eq!(waiting.as_array().unwrap().len(), 1);
    assert_eq!(waiting[0]["cluster"]["name"], "b");
    assert_eq!(waiting[0]["last_updated"], "1970-01-01T00:00:02Z");
    let only_b = clusters(&warming, &subscriptions, &|name| name == "b");
    assert!(only_b.dynamic_active_clusters.is_empty());
    assert_eq!(only_b.dynamic_warming_clusters.len(), 1);
}

#[test]
fn a_refused_version_stands_beside_the_one_in_force() {
    let (warming, mut subscriptions, _) = with_clusters();
    let subscription = subscriptions.clusters.as_mut().unwrap();
    let bad = vec![resource(cluster("a"), 2), resource(cluster("new"), 1)];
    let _ = subscription.offer(&response("3", bad));
    subscription.conclude(Verdict::Refused("cds.yaml:1:1: is odd".into()), at(9));
    let dump = to_json(&clusters(&warming, &subscriptions, &all));
    let error = |name: &str| {
        json!({
            "failed_configuration": {"@type": any_type("cluster.v3.Cluster"), "name": name},
            "last_update_attempt": "1970-01-01T00:00:09Z",
            "details": "cds.yaml:1:1: is odd",
            "version_info": "3",
        })
    };
    let active = &dump["dynamic_active_clusters"][0];
    assert_eq!(active["version_info"], "1");
    assert_eq!(active["error_state"], error("a"));
    let waiting = dump["dynamic_warming_clusters"].as_array().unwrap();
    assert_eq!(waiting.len(), 2);
    assert_eq!(waiting[0].get("error_state"), None);
    assert_eq!(waiting[1], json!({"error_state": error("new")}));
    assert_eq!(dump["version_info"], "22");
}

#[test]
fn what_cannot_be_read_is_told_of_each_resource() {
    let (warming, mut subscriptions, _) = with_clusters();
    let subscription = subscriptions.clusters.as_mut().unwrap();
    subscription.failed("cds.yaml:1:1: cannot be read", at(9));
    let dump = to_json(&clusters(&warming, &subscriptions, &all));
    for list in ["dynamic_active_clusters", "dynamic_warming_clusters"] {
        let error = &dump[list][0]["error_state"];
        assert_eq!(error["details"], "cds.yaml:1:1: cannot be read");
    }
    // Where there is none, it stands alone.
    let mut none = Subscription::new(Interest::All);
    none.failed("gone", at(9));
    let subscriptions = Subscriptions {
        listeners: Some(none),
        ..Subscriptions::default()
    };
    let dump = to_json(&listeners(&warming, &subscriptions, &all));
    let entry = &dump["dynamic_listeners"][0];
    assert_eq!(entry["error_state"]["details"], "gone");
    assert_eq!(entry.get("name"), None);
}

#[test]
fn listeners_routes_and_endpoints() {
    let (mut warming, mut wanted) = (Warming::new(), Resources::default());
    let mut subscriptions = Subscriptions::default();
    let mut lds = Subscription::new(Interest::All);
    let source = || file("/rds.yaml", None);
    let both = vec![
        resource(rds_listener("l", "r", source()), 1),
        resource(rds_listener("waits", "s", source()), 1),
    ];
    let update = lds.offer(&response("1", both));
    wanted.take(&update);
    lds.conclude(Verdict::Accepted, at(1));
    subscriptions.listeners = Some(lds);
    let mut rds = Subscription::new(Interest::Names(["r".into()].into()));
    let update = rds.offer(&response("1", vec![resource(route_table("r", &[]), 1)]));
    wanted.take(&update);
    rds.conclude(Verdict::Accepted, at(2));
    subscriptions.routes.insert("r".into(), rds);
    let mut none = Subscription::new(Interest::Names(["s".into()].into()));
    none.rejected("not there", at(3));
    subscriptions.routes.insert("s".into(), none);
    let mut eds = Subscription::new(Interest::Names(["e".into()].into()));
    let update = eds.offer(&response("1", vec![resource(assignment("e"), 1)]));
    wanted.take(&update);
    eds.conclude(Verdict::Accepted, at(4));
    subscriptions.endpoints.insert("e".into(), eds);
    let name = "c".into();
    let by_eds = eds_cluster("c", "e", file("/eds.yaml", None));
    wanted.clusters.insert(name, resource(by_eds, 1));
    settle(&mut warming, wanted);

    let shown = to_json(&listeners(&warming, &subscriptions, &all));
    let state = |index: usize, state: &str| {
        let listener = &shown["dynamic_listeners"][index];
        (
            listener["name"].clone(),
            listener[state]["listener"]["name"].clone(),
        )
    };
    assert_eq!(state(0, "active_state"), ("l".into(), "l".into()));
    assert_eq!(state(1, "active_state"), ("waits".into(), Json::Null));
    assert_eq!(state(1, "warming_state"), ("waits".into(), "waits".into()));

    let shown = to_json(&routes(&warming, &subscriptions, &all));
    let shown = &shown["dynamic_route_configs"];
    assert_eq!(shown[0]["route_config"]["name"], "r");
    assert_eq!(shown[0]["last_updated"], "1970-01-01T00:00:02Z");
    assert_eq!(shown[1]["error_state"]["details"], "not there");

    let shown = to_json(&endpoints(&warming, &subscriptions, &all));
    let shown = &shown["dynamic_endpoint_configs"];
    assert_eq!(shown[0]["endpoint_config"]["cluster_name"], "e");
}
