//! What stands in the files.

use std::{
    borrow::Cow,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use crossdock_framework::{
    cluster::{
        Balancer, Breakers, Cluster, ClusterMetric, ClusterSettings, Host, HostIx, HostSet,
        HostState, Pick,
    },
    flags::Flags,
    log::Retried,
    route::{Action, Direct, Facts, Route, Unchanged},
    snapshot::Ends,
    stats::Registry,
    status::{Cause, Class, Detail},
    time::Moment,
    view::{Key, RoutingView},
};
use crossdock_xds::envoy_types::pb::{
    envoy::{
        config::bootstrap::v3::Bootstrap,
        extensions::filters::network::http_connection_manager::v3::HttpConnectionManager,
    },
    google::protobuf::Struct,
};

use super::{file::LANE_MAX, operator::MAX_VALUE, *};

mod files;
mod filters;
mod lines;
mod refusals;

/// Words of a message, headers among them.
struct Words(Vec<(&'static str, String)>);

impl Words {
    fn new(words: &[(&'static str, &str)]) -> Self {
        Self(
            words
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        )
    }
}

impl RoutingView for Words {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let found = self
            .0
            .iter()
            .find(|(name, _)| Key::from_header_name(name) == key)?;
        Some(found.1.as_str().into())
    }

    fn protocol(&self) -> &'static str {
        "dubbo"
    }
}

#[derive(Debug)]
struct First;

impl Balancer for First {
    fn pick(&self, _: &HostSet, _: &Pick<'_>) -> Option<HostIx> {
        Some(HostIx(0))
    }
}

/// Everything that a record borrows.
struct Call {
    request: Words,
    response: Option<Words>,
    facts: Facts,
    route: Route,
    cluster: Cluster,
}

impl Call {
    /// A call of a Dubbo method that was answered by 10.0.0.2.
    fn answered() -> Self {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let host = Host {
            address: address("10.0.0.2:20880"),
            hostname: Some("orders.local".into()),
            hash_key: None,
            weight: 1,
            healthy: true,
            state: HostState::new(),
        };
        Self {
            request: Words::new(&[
                (":authority", "com.acme.Orders"),
                (":path", "/com.acme.Orders/create"),
                (":method", "POST"),
                ("x-user", "ada"),
            ]),
            response: Some(Words::new(&[("x-served-by", "v2")])),
            facts: Facts {
                source: None,
                ends: Ends::of(address("10.0.0.1:40123"), address("10.0.0.9:20880")),
                began: Moment(0),
                tls: None,
                random: 7,
            },
            route: Route {
                name: "to-orders".into(),
                virtual_host: "v".into(),
                action: Action::Direct(Direct {
                    status: 200,
                    body: "".into(),
                }),
                request_edits: Box::new(Unchanged),
                response_edits: Box::new(Unchanged),
            },
            cluster: Cluster {
                name: "orders".into(),
                hosts: Arc::new(HostSet::new(vec![host])),
                balancer: Arc::new(First),
                connect_timeout: Duration::from_secs(1),
                secure: None,
                breakers: Arc::new([Breakers::unlimited(), Breakers::unlimited()]),
                settings: ClusterSettings::default(),
                http: Default::default(),
                observer: None,
                outlier: None,
                stats: Registry::new(1).group::<ClusterMetric>("cluster", "orders"),
            },
        }
    }

    /// The record of this call.
    fn record(&self) -> Record<'_> {
        Record {
            request: &self.request,
            response: self.response.as_ref().map(|view| view as &dyn RoutingView),
            facts: &self.facts,
            ends: Ends::of(
                "10.0.0.1:4711".parse().expect("an address"),
                "[::1]:20880".parse().expect("an address"),
            ),
            route: Some(&self.route),
            table: None,
            cluster: Some(&self.cluster),
            host: self.cluster.hosts.get(HostIx(0)),
            class: Class::Ok,
            http: 200,
            cause: None,
            detail: Detail::Plain,
            begun: false,
            transport_failure: None,
            flags: Flags::default(),
            orphaned: false,
            received: 128,
            sent: 64,
            began: Moment(0),
            duration: Duration::from_micros(12_900),
            upstream: Some(Duration::from_micros(11_200)),
            sent_after: Some(Duration::from_micros(1_100)),
            upstream_local: Some("10.0.0.9:51000".parse().expect("an address")),
            attempts: 1,
            sends: 1,
            retried: Retried::default(),
        }
    }

    /// The record of this call if the gateway had answered it, before a route was found.
    fn refused(&self, cause: Cause) -> Record<'_> {
        Record {
            response: None,
            route: None,
            cluster: None,
            host: None,
            class: cause.class(),
            http: cause.http(),
            cause: Some(cause),
            flags: cause.flag().into_iter().collect(),
            upstream: None,
            sent_after: None,
            upstream_local: None,
            attempts: 0,
            sends: 0,
            ..self.record()
        }
    }
}

/// The line of a call that ends now.
fn ended<'r>(record: &'r Record<'r>) -> Line<'r> {
    Line {
        record,
        connection: None,
        reply: None,
        now: SystemTime::now(),
    }
}

/// The access logs of a YAML list, as a bootstrap file carries them.
fn logs(yaml: &str) -> Vec<Proto> {
    let item: String = yaml
        .lines()
        .map(|line| format!("          {line}\n"))
        .collect();
    let text = format!(
        r#"
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/{}
          stat_prefix: x
          route_config: {{}}
          access_log:
{item}"#,
        HttpConnectionManager::full_name()
    );
    let options = crossdock_xds::bootstrap::Options::default();
    let format = crossdock_xds::bootstrap::Format::Yaml;
    let loaded = crossdock_xds::bootstrap::parse("test", &text, format, &options);
    let bootstrap: Bootstrap = match loaded {
        Ok(loaded) => loaded.bootstrap,
        Err(rejected) => {
            rejected
                .refused
                .unwrap_or_else(|| panic!("{:?}", rejected.problems))
                .bootstrap
        }
    };
    let listeners = bootstrap.static_resources.expect("there are").listeners;
    use crossdock_xds::envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
    let filter = &listeners[0].filter_chains[0].filters[0];
    let Some(ConfigType::TypedConfig(any)) = &filter.config_type else {
        panic!("no config")
    };
    HttpConnectionManager::decode(any.value.as_slice())
        .expect("its type")
        .access_log
}

/// A folder for the files of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("crossdock-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind hurts no later test: names carry the process id.
        let _ = fs::remove_dir_all(&self.0);
    }
}
