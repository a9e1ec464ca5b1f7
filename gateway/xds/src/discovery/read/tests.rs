use envoy_types::pb::envoy::config::{
    cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
    route::v3::RouteConfiguration,
};

use super::*;
use crate::Loss;

fn yaml<M: Discovered>(text: &str) -> Result<Response<M>, Rejected> {
    parse("f.yaml", text, Format::Yaml, &Options::default())
}

fn refused<M: Discovered>(text: &str) -> Vec<String> {
    let rejected = yaml::<M>(text).expect_err("it is to be refused");
    assert!(!rejected.problems.is_empty());
    rejected.problems.iter().map(ToString::to_string).collect()
}

const CLUSTERS: &str = r#"
version_info: "7"
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: plain
  connect_timeout: 1s
- "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
  name: wrapped
  version: "3"
  resource:
    "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: wrapped
    lb_policy: MAGLEV
"#;

#[test]
fn resources_stand_alone_or_within_something() {
    let response = yaml::<Cluster>(CLUSTERS).unwrap();
    assert_eq!(&*response.version, "7");
    assert!(response.is_whole);
    let said: Vec<_> = response
        .resources
        .iter()
        .map(|cluster| (&*cluster.name, &*cluster.version, cluster.message.lb_policy))
        .collect();
    assert_eq!(said, [("plain", "7", 0), ("wrapped", "3", 5)]);
    let at = |index: usize, path: &str| {
        let at = response.resources[index].origin.locate(path);
        (at.line, at.column)
    };
    assert_eq!(at(0, "connect_timeout"), (6, 3));
    assert_eq!(at(0, "no.such.field"), (4, 3));
    assert_eq!(at(1, "lb_policy"), (13, 5));
    let problem = response.resources[1]
        .origin
        .problem("lb_policy", "is odd", "");
    assert_eq!(
        problem.to_string(),
        "f.yaml:13:5: resources[1].resource.lb_policy: is odd"
    );
}

#[test]
fn json_is_read_too() {
    let text = r#"{"version_info": "1", "resources": [
        {"@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "name": "r"}]}"#;
    let options = Options::default();
    let response = parse::<RouteConfiguration>("f", text, Format::Json, &options).unwrap();
    assert_eq!(&*response.resources[0].name, "r");
    assert!(!response.is_whole, "routes are asked for by name");
}

#[test]
fn a_response_may_be_empty() {
    let response = yaml::<Listener>("resources: []").unwrap();
    assert_eq!((response.resources.len(), &*response.version), (0, ""));
    assert_eq!(
        yaml::<Listener>("version_info: '1'")
            .unwrap()
            .resources
            .len(),
        0
    );
}

#[test]
fn an_empty_file_is_none() {
    assert_eq!(
        refused::<Listener>(""),
        ["f.yaml:1:1: the file holds no configuration; an empty one is `{}`"]
    );
}

#[test]
fn other_types_are_refused() {
    let text = r#"
type_url: type.googleapis.com/envoy.config.cluster.v3.Cluster
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: a
- "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
  resource:
    "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: a
- "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
"#;
    assert_eq!(
        refused::<Listener>(text),
        [
            "f.yaml:2:1: type_url: these are no resources of LDS; write \
             type.googleapis.com/envoy.config.listener.v3.Listener",
            "f.yaml:4:3: resources[0].@type: LDS takes resources of the type \
             envoy.config.listener.v3.Listener, found envoy.config.cluster.v3.Cluster",
            "f.yaml:8:5: resources[1].resource.@type: LDS takes resources of the type \
             envoy.config.listener.v3.Listener, found envoy.config.cluster.v3.Cluster",
            "f.yaml:10:3: resources[2].resource: is missing",
        ]
    );
}

/// What comes behind a resource that cannot be read at all is not looked at: its place would be
/// another one.
#[test]
fn an_unknown_type_is_told_alone() {
    let text = r#"
resources:
- "@type": type.googleapis.com/no.such.Cluster
  name: a
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  connect_timeout: 0s
"#;
    let [problem] = &refused::<Cluster>(text)[..] else {
        panic!("one problem");
    };
    let start = "f.yaml:3:12: resources[0].@type: the type `no.such.Cluster` is not known";
    assert!(problem.starts_with(start), "{problem}");
}

#[test]
fn every_resource_has_a_name_of_its_own() {
    let text = r#"
resources:
- {"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: a}
- {"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: a}
- {"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration}
- "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
  name: b
  resource: {"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: c}
"#;
    assert_eq!(
        refused::<RouteConfiguration>(text),
        [
            "f.yaml:4:75: resources[1].name: there are two resources 'a'; remove one; the first \
             is resources[0]",
            "f.yaml:5:3: resources[2].name: the route configuration has no name; it is known by \
             its name: give it one",
            "f.yaml:7:3: resources[3].name: is not the name within, 'c'; give both the same \
             name, or this none",
        ]
    );
}

/// As in Envoy without `--reject-unknown-dynamic-fields`.
#[test]
fn unknown_fields_are_told_or_refused() {
    let text = r#"
resources:
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: a
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: b
  of_tomorrow: 1
"#;
    let response = yaml::<ClusterLoadAssignment>(text).unwrap();
    let said = "f.yaml:7:3: resources[1].of_tomorrow: not acted upon: \
                envoy.config.endpoint.v3.ClusterLoadAssignment has no such field";
    assert_eq!(response.unused.len(), 1);
    assert_eq!(response.unused[0].to_string(), said);
    assert_eq!(response.unused[0].loss, Loss::Function);
    assert_eq!(response.resources[0].origin.unused(), []);
    assert_eq!(response.resources[1].origin.unused(), response.unused);

    let strict = Options {
        reject_unknown_fields: true,
        ..Options::default()
    };
    let rejected = parse::<ClusterLoadAssignment>("f.yaml", text, Format::Yaml, &strict);
    let problems = rejected.unwrap_err().problems;
    assert_eq!((problems.len(), problems[0].at.line), (1, 7));
}

#[test]
fn rules_and_coverage_hold_within_resources() {
    let text = r#"
resources:
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: a
  connect_timeout: 0s
  transport_socket_matches: [{name: x}]
"#;
    let problems = refused::<Cluster>(text);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].starts_with("f.yaml:5:3: resources[0].connect_timeout: must be more"));
    assert!(problems[1].starts_with("f.yaml:6:3: resources[0].transport_socket_matches: "));
}

#[test]
fn equal_text_is_an_equal_resource() {
    let read = |text: &str| yaml::<Cluster>(text).unwrap().resources;
    let (one, two) = (read(CLUSTERS), read(CLUSTERS));
    assert!(one[0].says_the_same(&two[0]) && one[1].says_the_same(&two[1]));
    assert!(!one[0].says_the_same(&two[1]));
    // Comments, order of the resources and versions are not what a resource says.
    let moved = CLUSTERS.replace("  name: plain", "  # a remark\n  name:   plain");
    let moved = moved.replace("\"7\"", "\"8\"").replace("\"3\"", "\"4\"");
    let moved = read(&moved);
    assert!(one[0].says_the_same(&moved[0]) && one[1].says_the_same(&moved[1]));
    let other = read(&CLUSTERS.replace("1s", "2s"));
    assert!(!one[0].says_the_same(&other[0]) && one[1].says_the_same(&other[1]));
}

/// Maps have no order in a message, but in a text they do.
#[test]
fn equality_does_not_depend_on_the_order_of_maps_in_memory() {
    let keys: Vec<_> = (0..50).map(|key| format!("k{key}: {key}")).collect();
    let text = format!(
        "resources: [{{\"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster, name: a, \
         metadata: {{filter_metadata: {{crossdock: {{{}}}}}}}}}]",
        keys.join(", ")
    );
    let read = || yaml::<Cluster>(&text).unwrap().resources.remove(0);
    assert!(read().says_the_same(&read()));
}

#[test]
fn what_was_asked_for_may_not_be_there() {
    let text = |names: &[&str]| {
        let kind = "\"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
        let routes: Vec<_> = names
            .iter()
            .map(|name| format!("{{{kind}, name: {name}}}"))
            .collect();
        format!("resources: [{}]", routes.join(", "))
    };
    let lacks = |names: &[&str]| {
        yaml::<RouteConfiguration>(&text(names))
            .unwrap()
            .lacks("me")
    };
    assert_eq!(lacks(&["other", "me"]), None);
    assert_eq!(
        lacks(&["a", "b"]).unwrap(),
        "there is no route configuration 'me' among its resources: it has 'a', 'b'"
    );
    assert!(lacks(&[]).unwrap().ends_with("it has no resources"));
    let many: Vec<_> = (0..13).map(|count| format!("n{count}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(lacks(&many).unwrap().ends_with("'n9' and 3 more"));
}

#[test]
fn files_have_a_limit() {
    let text = format!("resources: []\n{}", " ".repeat(MAX_FILE_BYTES - 14));
    assert_eq!(text.len(), MAX_FILE_BYTES);
    assert!(yaml::<Listener>(&text).is_ok());
    let [problem] = &refused::<Listener>(&format!("{text} "))[..] else {
        panic!("one problem");
    };
    assert!(
        problem.starts_with("f.yaml:1:1: larger than 67108864 bytes"),
        "{problem}"
    );
}

#[test]
fn files_are_found_by_their_names() {
    let folder = std::env::temp_dir().join(format!("crossdock-read-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let read = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        super::read::<Listener>(&path, &Options::default()).map_err(|rejected| {
            let shown = rejected.to_string();
            shown.replace(folder.to_str().unwrap(), "")
        })
    };
    assert!(read("a.json", "{\"resources\": []}").is_ok());
    assert!(read("a.yaml", "resources: []").is_ok());
    assert!(read("a", "{\"resources\": []}").is_ok());
    for name in ["a.pb", "a.pb_text"] {
        assert_eq!(
            read(name, "").unwrap_err(),
            format!(
                "/{name}:1:1: the protobuf formats of a configuration file are not supported; \
                 write it as YAML or JSON"
            )
        );
    }
    let missing = super::read::<Listener>(&folder.join("none.yaml"), &Options::default());
    let missing = missing.unwrap_err().to_string();
    assert!(
        missing.contains("none.yaml:1:1: cannot be read: "),
        "{missing}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
