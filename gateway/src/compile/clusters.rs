//! Clusters: where their hosts are found and how they are used.

use std::{sync::Arc, time::Duration};

use crossdock_framework::{
    cluster::{Breakers, Cluster, ClusterMetric, ClusterSettings, Host, HostSet, RetryLimit},
    stats::Group,
    stream::HttpUpstream,
    transport::Secure,
};
use crossdock_routers::{BalancerConfig, LoadBalancer};
use crossdock_xds::{
    Problem,
    discovery::{Resource, Resources},
    envoy_types::pb::envoy::config::cluster::v3::{
        Cluster as ClusterProto, circuit_breakers::Thresholds, cluster::ClusterDiscoveryType,
        cluster::DiscoveryType,
    },
};

use super::{
    Assignment, Compiler, Problems, Target, duration, endpoints, http,
    memory::Known,
    name,
    outlier::OutlierPlan,
    own_settings,
    tls::{TlsCompiler, Wrong},
};
use crate::tls::TlsMetric;

/// Circuit breakers of a cluster that configures none: Envoy's 1024 connections and waiting
/// calls. Calls in flight are bounded by each worker's own table instead of Envoy's 1024, because
/// one shared connection carries more than that.
const DEFAULT_CONNECTIONS: u32 = 1024;

/// Calls that may wait for a connection, if the cluster says nothing.
const DEFAULT_PENDING: u32 = 65_536;

/// A cluster, compiled but for its hosts, which DNS and EDS may change.
#[derive(Debug)]
pub(crate) struct ClusterPlan {
    pub(crate) name: Arc<str>,
    /// The endpoints that stand within it.
    pub(crate) assignment: Assignment,
    /// The name under which EDS has its endpoints, if it does.
    pub(crate) service: Option<Arc<str>>,
    /// How often names are looked up again.
    pub(crate) refresh: Duration,
    balancer: BalancerConfig,
    connect_timeout: Duration,
    secure: Option<Arc<dyn Secure>>,
    breakers: Arc<[Breakers; 2]>,
    settings: ClusterSettings,
    http: HttpUpstream,
    outlier: Option<OutlierPlan>,
    stats: Arc<Group>,
    message: Arc<ClusterProto>,
}

impl ClusterPlan {
    /// Whether names have to be looked up.
    pub(crate) fn needs_dns(&self) -> bool {
        self.names().next().is_some()
    }

    /// The names of endpoints.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Target> {
        let targets = self.assignment.hosts.iter().map(|host| &host.target);
        targets.filter(|target| matches!(target, Target::Name(..)))
    }

    /// Whether connections that were opened for `other` are as good as its own.
    pub(crate) fn shares_connections(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.message, &other.message);
        #[expect(deprecated, reason = "Envoy's users still set it there")]
        let http = |cluster: &ClusterProto| {
            (
                cluster.common_http_protocol_options,
                cluster.http_protocol_options.clone(),
                cluster.http2_protocol_options.clone(),
                cluster.protocol_selection,
                cluster.max_requests_per_connection,
            )
        };
        ours.transport_socket == theirs.transport_socket
            && ours.typed_extension_protocol_options == theirs.typed_extension_protocol_options
            && own_settings(ours.metadata.as_ref()) == own_settings(theirs.metadata.as_ref())
            && http(ours) == http(theirs)
    }

    /// The cluster with these hosts, and its balancer. Of the `previous` balancer of the cluster the
    /// table is kept while its hosts stay the same.
    pub(crate) fn build(
        &self,
        hosts: Vec<Host>,
        previous: Option<&LoadBalancer>,
    ) -> (Arc<Cluster>, Arc<LoadBalancer>) {
        let hosts = Arc::new(HostSet::new(hosts));
        let balancer = LoadBalancer::build(previous, &hosts, &self.balancer);
        let outlier = self.outlier.as_ref();
        let outlier = outlier.map(|plan| plan.detector(&self.name, &hosts));
        let cluster = Arc::new(Cluster {
            name: Arc::clone(&self.name),
            hosts,
            balancer: Arc::clone(&balancer) as _,
            connect_timeout: self.connect_timeout,
            secure: self.secure.clone(),
            breakers: Arc::clone(&self.breakers),
            settings: self.settings,
            http: self.http.clone(),
            observer: None,
            outlier,
            stats: Arc::clone(&self.stats),
        });
        (cluster, balancer)
    }
}

impl Compiler {
    /// Compiles clusters that are not known.
    pub(super) fn fresh_clusters(
        &self,
        resources: &Resources,
        all: &mut Vec<Problem>,
    ) -> Known<ClusterProto, ClusterPlan> {
        let mut fresh = Known::default();
        for resource in self.memory.clusters.unknown(resources) {
            let mut problems = Problems::of_resource(&resource.origin, &self.base.positions);
            let known = self.memory.clusters.versions(&resource.name).next();
            if let Some(plan) = self.new_cluster(resource, known, &mut problems) {
                fresh.put(resource, plan);
            }
            all.append(&mut problems.list);
        }
        fresh
    }

    /// Compiles a cluster. Of the version before it, what has not changed is used further.
    fn new_cluster(
        &self,
        resource: &Resource<ClusterProto>,
        before: Option<&Arc<ClusterPlan>>,
        problems: &mut Problems<'_>,
    ) -> Option<ClusterPlan> {
        let (cluster, path) = (&*resource.message, resource.origin.path());
        let by_name = discovery(cluster, path, problems)?;
        let mut wrong = Vec::new();
        let own = own_settings(cluster.metadata.as_ref());
        let settings = self.base.settings.for_cluster(own, path, &mut wrong);
        let concealed = settings.concealed_errors();
        let mut settings = settings.upstream();
        if let Some(idle) = http::upstream_idle(cluster) {
            settings.idle_timeout = idle;
        }
        problems.settings(wrong);
        let balancer = match BalancerConfig::from_cluster(cluster) {
            Ok(balancer) => Some(balancer),
            Err(inner) => {
                problems.within(path, inner);
                None
            }
        };
        let secure = self.secure(cluster, path, before, problems);
        let same_breakers =
            before.filter(|before| before.message.circuit_breakers == cluster.circuit_breakers);
        #[expect(deprecated, reason = "Envoy's users still set it there")]
        let refresh = cluster.dns_refresh_rate.as_ref().and_then(duration);
        let assignment = cluster.load_assignment.clone().unwrap_or_default();
        let assigned = format!("{path}.load_assignment");
        let registry = &self.tools.registry;
        Some(ClusterPlan {
            name: Arc::clone(&resource.name),
            assignment: endpoints::compile(&assignment, &assigned, by_name, problems),
            service: resource
                .needs
                .discovered
                .first()
                .map(|need| name(&need.name)),
            refresh: refresh
                .unwrap_or(Duration::from_secs(5))
                .max(Duration::from_millis(1)),
            balancer: balancer?,
            connect_timeout: connect_timeout(cluster, path, problems),
            secure: secure.ok()?,
            breakers: same_breakers
                .map_or_else(|| breakers(cluster), |before| Arc::clone(&before.breakers)),
            settings,
            http: http::upstream(cluster, path, problems),
            outlier: OutlierPlan::of(cluster, path, concealed, registry, problems),
            stats: registry.group::<ClusterMetric>("cluster", stat_name(cluster)),
            message: Arc::clone(&resource.message),
        })
    }

    /// What shakes hands with its hosts: keeps the sessions of the version before it.
    fn secure(
        &self,
        cluster: &ClusterProto,
        path: &str,
        before: Option<&Arc<ClusterPlan>>,
        problems: &mut Problems<'_>,
    ) -> Result<Option<Arc<dyn Secure>>, Wrong> {
        let same =
            before.filter(|before| before.message.transport_socket == cluster.transport_socket);
        if let Some(same) = same {
            return Ok(same.secure.clone());
        }
        let registry = &self.tools.registry;
        let counts = || registry.group::<TlsMetric>("cluster", stat_name(cluster));
        let tls = TlsCompiler {
            secrets: &self.base.secrets,
            contexts: &self.base.certificates,
            positions: &self.base.positions,
        };
        tls.upstream(cluster.transport_socket.as_ref(), path, counts, problems)
    }
}

/// The name of a cluster in metrics: `alt_stat_name`, without the `;` that Istio ends it with for its
/// own patterns.
pub(super) fn stat_name(cluster: &ClusterProto) -> &str {
    match cluster.alt_stat_name.trim_end_matches(';') {
        "" => &cluster.name,
        name => name,
    }
}

/// Whether the endpoints of the cluster are names.
fn discovery(cluster: &ClusterProto, path: &str, problems: &mut Problems<'_>) -> Option<bool> {
    let kind = match &cluster.cluster_discovery_type {
        None => Some(DiscoveryType::Static),
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(*kind).ok(),
        Some(ClusterDiscoveryType::ClusterType(_)) => None,
    };
    match kind {
        Some(DiscoveryType::Static) => Some(false),
        Some(DiscoveryType::StrictDns) => Some(true),
        Some(DiscoveryType::Eds) if cluster.eds_cluster_config.is_some() => Some(false),
        Some(DiscoveryType::Eds) => {
            problems.add(
                format!("{path}.type"),
                "nothing says where the endpoints are to be discovered",
                "give eds_cluster_config an eds_config",
            );
            None
        }
        other => {
            let shown = other.map_or("a cluster_type extension", |kind| kind.as_str_name());
            problems.add(
                format!("{path}.type"),
                format!("{shown} is not in this version"),
                "use STATIC, STRICT_DNS or EDS",
            );
            None
        }
    }
}

fn connect_timeout(cluster: &ClusterProto, path: &str, problems: &mut Problems<'_>) -> Duration {
    let Some(given) = &cluster.connect_timeout else {
        return Duration::from_secs(5);
    };
    match duration(given) {
        Some(timeout) if timeout > Duration::ZERO => timeout,
        _ => {
            problems.add(
                format!("{path}.connect_timeout"),
                "the time is not above zero",
                "use a time such as 1s",
            );
            Duration::from_secs(5)
        }
    }
}

/// The breakers for the priorities DEFAULT (0) and HIGH (1).
fn breakers(cluster: &ClusterProto) -> Arc<[Breakers; 2]> {
    let thresholds = cluster
        .circuit_breakers
        .clone()
        .unwrap_or_default()
        .thresholds;
    let of = |priority: i32| -> Breakers {
        let none = Thresholds::default();
        let given = thresholds
            .iter()
            .find(|t| t.priority == priority)
            .unwrap_or(&none);
        Breakers::new(
            given.max_requests.map_or(u32::MAX, |max| max.value),
            given
                .max_connections
                .map_or(DEFAULT_CONNECTIONS, |max| max.value),
            given
                .max_pending_requests
                .map_or(DEFAULT_PENDING, |max| max.value),
        )
        .with_retries(retries(given))
    };
    Arc::new([of(0), of(1)])
}

/// As in Envoy, a budget goes before a number, and its parts have their defaults.
fn retries(thresholds: &Thresholds) -> RetryLimit {
    let most = thresholds.max_retries.map(|max| max.value);
    match &thresholds.retry_budget {
        Some(budget) => RetryLimit::Budget {
            percent: (budget.budget_percent.as_ref()).map_or(20.0, |percent| percent.value),
            least: (budget.min_retry_concurrency).map_or(3, |least| least.value),
        },
        None => most.map_or_else(RetryLimit::default, RetryLimit::Most),
    }
}
