//! Files of the kinds that people have, all accepted by Envoy, each with everything in it that is
//! not acted upon: `tests/files/NAME.txt`, one field a line.

use std::{fs, path::Path};

use crossdock_xds::bootstrap::{self, Loaded};

fn load(name: &str) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/files")
        .join(name);
    let loaded = bootstrap::load(&path).unwrap_or_else(|rejected| panic!("{rejected}"));
    let unused: Vec<_> = loaded.unused.iter().map(ToString::to_string).collect();
    let unused = unused
        .join("\n")
        .replace(path.to_str().expect("UTF-8"), name);
    let expected = fs::read_to_string(path.with_extension("txt")).expect("it stands beside");
    assert_eq!(unused, expected.trim_end());
    assert_eq!(loaded.notes, []);
    loaded
}

#[test]
fn front_proxy() {
    let loaded = load("front-proxy.yaml");
    let resources = loaded.bootstrap.static_resources.clone().unwrap();
    assert_eq!(resources.listeners.len(), 1);
    assert_eq!(resources.clusters.len(), 3);
    let line = |path: &str| loaded.locate(path).line;
    assert_eq!(line("static_resources.clusters[1].lb_policy"), 66);
    let routes = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config\
                  .route_config.virtual_hosts[0].routes";
    assert_eq!(
        line(&format!(
            "{routes}[1].route.weighted_clusters.clusters[1].name"
        )),
        44
    );
    let problem = loaded.problem(
        format!("{routes}[0].route.cluster"),
        "no such cluster",
        "name it",
    );
    assert_eq!((problem.at.line, problem.at.column), (34, 26));
}

#[test]
fn tcp_proxy() {
    let loaded = load("tcp-proxy.yaml");
    let clusters = loaded.bootstrap.static_resources.unwrap().clusters;
    let endpoints = &clusters[1].load_assignment.as_ref().unwrap().endpoints[0].lb_endpoints;
    assert_eq!(
        endpoints
            .iter()
            .map(|e| e.health_status)
            .collect::<Vec<_>>(),
        [1, 3]
    );
}

/// Also a file of anchors, aliases and `!ignore`.
#[test]
fn hash_policy() {
    let loaded = load("hash-policy.yaml");
    let settings = loaded.settings();
    let keys: Vec<_> = settings.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "crossdock.codecs",
            "crossdock.frame_bytes",
            "re2.max_program_size.error_level"
        ]
    );
    let clusters = loaded.bootstrap.static_resources.unwrap().clusters;
    assert_eq!(clusters[0].connect_timeout.unwrap().nanos, 500_000_000);
}

/// What pilot-agent renders, with the parts that need a control plane left out.
#[test]
fn istio_sidecar_without_control_plane() {
    let loaded = load("istio-static.json");
    assert_eq!(
        loaded
            .bootstrap
            .node
            .clone()
            .unwrap()
            .metadata
            .unwrap()
            .fields
            .len(),
        5
    );
    assert_eq!(loaded.bootstrap.bootstrap_extensions.len(), 1);
}
