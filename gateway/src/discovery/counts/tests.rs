use std::{fs, path::PathBuf, time::SystemTime};

use crossdock_xds::{
    Problem,
    bootstrap::{self, Format},
    discovery::{Judge, Options, Resources, Update},
};

use super::*;

/// Takes everything.
struct All(Resources);

impl Judge for All {
    fn wanted(&self) -> &Resources {
        &self.0
    }

    fn consider<M: Discovered>(&mut self, update: &Update<M>) -> Result<Resources, Vec<Problem>> {
        let mut wanted = self.0.clone();
        wanted.take(update);
        Ok(wanted)
    }

    fn want(&mut self, resources: Resources) {
        self.0 = resources;
    }
}

const LISTENER: &str = r#"
- "@type": type.googleapis.com/envoy.config.listener.v3.Listener
  name: NAME
  address: {socket_address: {address: 127.0.0.1, port_value: 1}}
  filter_chains:
  - filters:
    - name: hcm
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: in_NAME
        rds: {route_config_name: r, config_source: {path: DIR/rds.yaml}}
"#;

const CLUSTER: &str = r#"
- "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
  name: NAME
  type: EDS
  eds_cluster_config: {service_name: s, eds_config: {path: DIR/eds.yaml}}
"#;

const ENDPOINTS: &str = "
- {'@type': type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment, cluster_name: s}";

const ROUTES: &str = "
- {'@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration, name: r}";

/// Files that are read again and again.
struct Fixture {
    folder: PathBuf,
    feed: Feed,
    judge: All,
    registry: Arc<Registry>,
    tally: Tally,
}

impl Fixture {
    fn new() -> Self {
        let name = format!("crossdock-counts-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let text = format!(
            "dynamic_resources: {{lds_config: {{path: {0}/lds.yaml}}, \
             cds_config: {{path: {0}/cds.yaml}}}}",
            folder.display()
        );
        fs::write(folder.join("lds.yaml"), "{}").unwrap();
        fs::write(folder.join("cds.yaml"), "{}").unwrap();
        let loaded = bootstrap::parse("b", &text, Format::Yaml, &Default::default()).unwrap();
        let feed = Feed::new(&loaded, Options::default()).unwrap();
        let registry = Arc::new(Registry::new(1));
        Self {
            folder,
            feed,
            judge: All(Resources::default()),
            tally: Tally::new(&registry),
            registry,
        }
    }

    /// Writes files and has everything read.
    fn put(&mut self, files: &[(&str, &str)]) {
        for (name, resources) in files {
            let folder = self.folder.display().to_string();
            let resources = resources.replace("DIR", &folder);
            let text = format!("version_info: '1'\nresources: {resources}\n");
            fs::write(self.folder.join(name), text).unwrap();
        }
        let sources = self.feed.sources();
        self.feed.read(&sources, &mut self.judge, SystemTime::now());
        self.tally.tell(&self.feed);
    }

    /// Every counter that is not zero.
    fn counters(&self) -> Vec<String> {
        let groups = self.registry.groups();
        let all = groups.iter().flat_map(|group| {
            let gauges = ["version", "update_time"];
            let counters = group.read().filter(move |(def, value)| {
                *value > 0 && !gauges.iter().any(|gauge| def.name.ends_with(gauge))
            });
            counters.map(|(def, value)| format!("{}.{} {value}", group.scope(), def.name))
        });
        all.collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn everything_is_counted_where_envoy_counts_it() {
    let mut fixture = Fixture::new();
    let clusters = format!(
        "{}{}",
        CLUSTER.replace("NAME", "a"),
        CLUSTER.replace("NAME", "b")
    );
    fixture.put(&[
        ("eds.yaml", ENDPOINTS),
        ("rds.yaml", ROUTES),
        ("cds.yaml", &clusters),
        ("lds.yaml", &LISTENER.replace("NAME", "l")),
    ]);
    let first = fixture.counters();
    assert_eq!(
        first,
        [
            "cluster.a.update_attempt 1",
            "cluster.a.update_success 1",
            "cluster.b.update_attempt 1",
            "cluster.b.update_success 1",
            "cluster_manager.cds.update_attempt 1",
            "cluster_manager.cds.update_success 1",
            "http.in_l.rds.r.update_attempt 1",
            "http.in_l.rds.r.update_success 1",
            "http.in_l.rds.r.config_reload 1",
            "listener_manager.lds.update_attempt 1",
            "listener_manager.lds.update_success 1",
        ]
    );
    let lds = fixture
        .registry
        .group_of::<ListenersMetric>(Scope::new("listener_manager", &[]));
    assert_eq!(lds.get(ListenersMetric::Version), xxh64(b"1", 0) >> 1);
    assert!(lds.get(ListenersMetric::Time) > 1_600_000_000_000);

    // A cluster is gone; routes are as before, endpoints are broken.
    fixture.put(&[
        ("eds.yaml", "1"),
        ("rds.yaml", ROUTES),
        ("cds.yaml", &CLUSTER.replace("NAME", "a")),
    ]);
    let second = fixture.counters();
    assert_eq!(
        second,
        [
            "cluster.a.update_attempt 2",
            "cluster.a.update_success 1",
            "cluster.a.update_rejected 1",
            "cluster_manager.cds.update_attempt 2",
            "cluster_manager.cds.update_success 2",
            "http.in_l.rds.r.update_attempt 2",
            "http.in_l.rds.r.update_success 2",
            "http.in_l.rds.r.config_reload 1",
            "listener_manager.lds.update_attempt 2",
            "listener_manager.lds.update_success 2",
        ]
    );
}
