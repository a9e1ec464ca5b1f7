use std::time::Duration;

use super::*;
use crate::discovery::sample::{
    cluster, eds_cluster, file, listener, rds_listener, resource, routes,
};

const TIME: Option<Duration> = Some(Duration::from_secs(1));

fn insert<M: Discovered>(resources: &mut Resources, messages: Vec<M>) {
    for message in messages {
        let resource = resource(message, 0);
        M::among_mut(resources).insert(Arc::clone(&resource.name), resource);
    }
}

fn names(names: &BTreeSet<Arc<str>>) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

#[test]
fn clusters_and_listeners_ask_for_what_they_name() {
    let mut resources = Resources::default();
    let clusters = vec![
        cluster("static"),
        eds_cluster("a", "", file("/eds.yaml", TIME)),
        eds_cluster("b", "shared", file("/eds.yaml", TIME)),
        eds_cluster("c", "shared", file("/eds.yaml", None)),
    ];
    insert(&mut resources, clusters);
    use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::
        http_connection_manager::RouteSpecifier;
    let inline = RouteSpecifier::RouteConfig(routes("inline", &["a"]));
    let listeners = vec![
        listener("plain", inline),
        rds_listener("one", "r", file("/rds.yaml", TIME)),
        rds_listener("two", "r", file("/rds.yaml", TIME)),
    ];
    insert(&mut resources, listeners);
    let demands = demands(&resources).unwrap();
    let said: Vec<_> = demands
        .iter()
        .map(|((kind, name), demand)| {
            let path = demand.source.path.to_str().unwrap();
            let prefixes = names(&demand.stat_prefixes);
            (*kind, &**name, path, names(&demand.askers), prefixes)
        })
        .collect();
    let (endpoints, routes) = (Kind::Endpoints, Kind::Routes);
    assert_eq!(
        said,
        [
            (endpoints, "a", "/eds.yaml", vec!["a"], vec![]),
            (endpoints, "shared", "/eds.yaml", vec!["b", "c"], vec![]),
            (
                routes,
                "r",
                "/rds.yaml",
                vec!["one", "two"],
                vec!["one_http", "two_http"]
            ),
        ]
    );
}

#[test]
fn one_name_has_one_source() {
    let mut resources = Resources::default();
    let clusters = vec![
        eds_cluster("a", "shared", file("/1.yaml", TIME)),
        eds_cluster("b", "shared", file("/2.yaml", TIME)),
        eds_cluster("c", "", Default::default()),
    ];
    insert(&mut resources, clusters);
    let problems = demands(&resources).unwrap_err();
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let path = "sample:1:1: resources[0].eds_cluster_config.eds_config";
    assert_eq!(
        problems,
        [
            format!(
                "{path}: the load assignment 'shared' is to be found in /1.yaml and in /2.yaml; \
                 name one source, or give one of them another name"
            ),
            format!("{path}: no source is named; name a file in `path_config_source`"),
        ]
    );
}
