use crate::bootstrap::{Format, Options, parse};

/// The problems of a file with one cluster, which has these fields.
fn cluster(fields: &str) -> Vec<String> {
    let text = format!("static_resources: {{clusters: [{{{fields}}}]}}");
    match parse("f.yaml", &text, Format::Yaml, &Options::default()) {
        Ok(_) => Vec::new(),
        Err(rejected) => {
            let path = "static_resources.clusters[0].";
            let lines = rejected.problems.into_iter();
            lines
                .map(|p| format!("{}: {}", p.path.replace(path, ""), p.reason))
                .collect()
        }
    }
}

#[test]
fn what_must_be_there() {
    assert_eq!(cluster("name: c"), [""; 0]);
    assert_eq!(
        cluster("connect_timeout: 1s"),
        ["name: is missing and must not be empty"]
    );
    assert_eq!(cluster("name: ''"), ["name: must not be empty"]);
    assert_eq!(
        cluster("name: c, load_assignment: {}"),
        ["load_assignment.cluster_name: is missing and must not be empty"]
    );
    assert_eq!(
        cluster(
            "name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {}}}]}]}"
        ),
        [
            "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address: \
          one of `socket_address`, `pipe`, `envoy_internal_address` must be set"
        ]
    );
}

#[test]
fn ranges() {
    assert_eq!(
        cluster("name: c, connect_timeout: 0s"),
        ["connect_timeout: must be more than 0s"]
    );
    assert_eq!(
        cluster("name: c, least_request_lb_config: {choice_count: 1}"),
        ["least_request_lb_config.choice_count: must be at least 2"]
    );
    assert_eq!(
        cluster("name: c, maglev_lb_config: {table_size: 5000012}"),
        ["maglev_lb_config.table_size: must be at most 5000011"]
    );
    assert_eq!(
        cluster(
            "name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: h, port_value: 65536}}}}]}]}"
        ),
        [
            "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: must be at most 65535"
        ]
    );
}

#[test]
fn what_is_wrong_is_not_missing() {
    assert_eq!(
        cluster("name: [c]"),
        ["name: expected a text, found a list"]
    );
    assert_eq!(
        cluster("nmae: c"),
        ["nmae: envoy.config.cluster.v3.Cluster has no such field"]
    );
}
