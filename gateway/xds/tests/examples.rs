//! Files of the kinds that people have, all accepted by Envoy.

use std::path::Path;

use crossdock_xds::bootstrap::{self, Loaded};

fn load(name: &str) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/files")
        .join(name);
    bootstrap::load(&path).unwrap_or_else(|rejected| panic!("{rejected}"))
}

#[test]
fn front_proxy() {
    let loaded = load("front-proxy.yaml");
    let resources = loaded.bootstrap.static_resources.clone().unwrap();
    assert_eq!(resources.listeners.len(), 1);
    assert_eq!(resources.clusters.len(), 3);
    assert_eq!(
        loaded.locate("static_resources.clusters[1].lb_policy").line,
        66
    );
    let routes = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config\
                  .route_config.virtual_hosts[0].routes";
    assert_eq!(
        loaded
            .locate(&format!(
                "{routes}[1].route.weighted_clusters.clusters[1].name"
            ))
            .line,
        44
    );
    assert_eq!(loaded.notes, []);
}
