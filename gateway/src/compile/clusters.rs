//! Clusters: where their hosts are found and how they are used.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use crossdock_framework::{
    cluster::{
        Breakers, Cluster, ClusterMetric, ClusterSettings, Host, HostSet, HostState, RetryLimit,
    },
    stats::{Group, Registry},
    stream::HttpUpstream,
    transport::Secure,
};
use crossdock_routers::{BalancerConfig, LoadBalancer};
use crossdock_xds::envoy_types::pb::envoy::config::{
    cluster::v3::{
        Cluster as ClusterProto, circuit_breakers::Thresholds, cluster::ClusterDiscoveryType,
        cluster::DiscoveryType,
    },
    core::v3::{HealthStatus, address},
    endpoint::v3::{LbEndpoint, lb_endpoint::HostIdentifier},
};

use super::{
    Problems, duration, http, name, outlier::OutlierPlan, own_settings, port, tls::TlsCompiler,
};
use crate::{settings::Settings, tls::TlsMetric};

/// Circuit breakers of a cluster that configures none: Envoy's 1024 connections and waiting
/// calls. Calls in flight are bounded by each worker's own table instead of Envoy's 1024, because
/// one shared connection carries more than that.
const DEFAULT_CONNECTIONS: u32 = 1024;

/// Calls that may wait for a connection, if the cluster says nothing.
const DEFAULT_PENDING: u32 = 65_536;

/// A cluster, compiled but for its hosts, which DNS may change.
#[derive(Debug)]
pub(crate) struct ClusterPlan {
    pub(crate) name: Arc<str>,
    pub(crate) hosts: Vec<HostPlan>,
    /// How often names are looked up again.
    pub(crate) refresh: Duration,
    balancer: BalancerConfig,
    /// The balancer that was built last; its table is kept while its hosts stay the same.
    built: Option<Arc<LoadBalancer>>,
    connect_timeout: Duration,
    secure: Option<Arc<dyn Secure>>,
    breakers: Arc<[Breakers; 2]>,
    settings: ClusterSettings,
    http: HttpUpstream,
    outlier: Option<OutlierPlan>,
    stats: Arc<Group>,
}

/// One configured endpoint.
#[derive(Clone, Debug)]
pub(crate) struct HostPlan {
    pub(crate) target: DnsTarget,
    /// `endpoint.hostname`.
    hostname: Option<Arc<str>>,
    hash_key: Option<Arc<str>>,
    weight: u32,
    healthy: bool,
}

/// Where an endpoint is.
#[derive(Clone, Debug)]
pub(crate) enum DnsTarget {
    /// At this address.
    Address(SocketAddr, Arc<HostState>),
    /// At every address of this name.
    Name(Arc<str>, u16),
}

impl ClusterPlan {
    /// Whether names have to be looked up.
    pub(crate) fn needs_dns(&self) -> bool {
        self.hosts
            .iter()
            .any(|host| matches!(host.target, DnsTarget::Name(..)))
    }

    /// The cluster with the hosts whose addresses are configured.
    pub(crate) fn build(&mut self) -> Arc<Cluster> {
        let known = self.hosts.iter().filter_map(|plan| match &plan.target {
            DnsTarget::Address(address, state) => {
                Some(plan.host(*address, None, Arc::clone(state)))
            }
            DnsTarget::Name(..) => None,
        });
        let known = known.collect();
        self.with_hosts(known)
    }

    /// The cluster with these hosts.
    pub(crate) fn with_hosts(&mut self, hosts: Vec<Host>) -> Arc<Cluster> {
        let hosts = Arc::new(HostSet::new(hosts));
        let balancer = LoadBalancer::build(self.built.as_deref(), &hosts, &self.balancer);
        self.built = Some(Arc::clone(&balancer));
        let outlier = self.outlier.as_ref();
        let outlier = outlier.map(|plan| plan.detector(&self.name, &hosts));
        Arc::new(Cluster {
            name: Arc::clone(&self.name),
            hosts,
            balancer,
            connect_timeout: self.connect_timeout,
            secure: self.secure.clone(),
            breakers: Arc::clone(&self.breakers),
            settings: self.settings,
            http: self.http,
            observer: None,
            outlier,
            stats: Arc::clone(&self.stats),
        })
    }
}

impl HostPlan {
    /// The host at one of the endpoint's addresses.
    pub(crate) fn host(
        &self,
        address: SocketAddr,
        hostname: Option<Arc<str>>,
        state: Arc<HostState>,
    ) -> Host {
        Host {
            address,
            hostname: self.hostname.clone().or(hostname),
            hash_key: self.hash_key.clone(),
            weight: self.weight,
            healthy: self.healthy,
            state,
        }
    }
}

/// Compiles every cluster.
pub(super) fn compile(
    clusters: &[ClusterProto],
    settings: &Settings,
    registry: &Registry,
    tls: TlsCompiler<'_>,
    problems: &mut Problems<'_>,
) -> Vec<ClusterPlan> {
    let mut names = HashSet::new();
    let mut plans = Vec::new();
    for (ix, cluster) in clusters.iter().enumerate() {
        let path = format!("static_resources.clusters[{ix}]");
        if cluster.name.is_empty() {
            problems.add(format!("{path}.name"), "the cluster has no name", "name it");
        } else if !names.insert(cluster.name.as_str()) {
            problems.add(
                format!("{path}.name"),
                format!("there are two clusters '{}'", cluster.name),
                "rename one of them",
            );
        }
        plans.extend(compile_one(
            cluster, &path, settings, registry, tls, problems,
        ));
    }
    plans
}

fn compile_one(
    cluster: &ClusterProto,
    path: &str,
    settings: &Settings,
    registry: &Registry,
    tls: TlsCompiler<'_>,
    problems: &mut Problems<'_>,
) -> Option<ClusterPlan> {
    let by_name = discovery(cluster, path, problems)?;
    let mut wrong = Vec::new();
    let own = own_settings(cluster.metadata.as_ref());
    let settings = settings.for_cluster(own, path, &mut wrong);
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
    let hosts = hosts(cluster, path, by_name, problems);
    let counts = || registry.group::<TlsMetric>("cluster", &cluster.name);
    let secure = tls.upstream(cluster.transport_socket.as_ref(), path, counts, problems);
    #[expect(deprecated, reason = "Envoy's users still set it there")]
    let refresh = cluster.dns_refresh_rate.as_ref().and_then(duration);
    Some(ClusterPlan {
        name: name(&cluster.name),
        hosts,
        refresh: refresh
            .unwrap_or(Duration::from_secs(5))
            .max(Duration::from_millis(1)),
        balancer: balancer?,
        built: None,
        connect_timeout: connect_timeout(cluster, path, problems),
        secure: secure.ok()?,
        breakers: breakers(cluster),
        settings,
        http: http::upstream(cluster, path, problems),
        outlier: OutlierPlan::of(cluster, path, concealed, registry, problems),
        stats: registry.group::<ClusterMetric>("cluster", &cluster.name),
    })
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
        other => {
            let shown = other.map_or("a cluster_type extension", |kind| kind.as_str_name());
            problems.add(
                format!("{path}.type"),
                format!("{shown} is not in this version"),
                "use STATIC or STRICT_DNS",
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

fn hosts(
    cluster: &ClusterProto,
    path: &str,
    by_name: bool,
    problems: &mut Problems<'_>,
) -> Vec<HostPlan> {
    let assignment = cluster.load_assignment.clone().unwrap_or_default();
    let mut hosts = Vec::new();
    for (l, locality) in assignment.endpoints.iter().enumerate() {
        let path = format!("{path}.load_assignment.endpoints[{l}]");
        if locality.priority != 0 {
            problems.add(
                format!("{path}.priority"),
                "endpoint priorities are not in this version",
                "put every endpoint into priority 0",
            );
        }
        for (e, endpoint) in locality.lb_endpoints.iter().enumerate() {
            let path = format!("{path}.lb_endpoints[{e}]");
            hosts.extend(host(endpoint, &path, by_name, problems));
        }
    }
    hosts
}

fn host(
    endpoint: &LbEndpoint,
    path: &str,
    by_name: bool,
    problems: &mut Problems<'_>,
) -> Option<HostPlan> {
    let Some(HostIdentifier::Endpoint(inner)) = &endpoint.host_identifier else {
        problems.add(path, "the endpoint has no address", "give endpoint.address");
        return None;
    };
    let path = format!("{path}.endpoint.address");
    let Some(address::Address::SocketAddress(socket)) = inner
        .address
        .as_ref()
        .and_then(|address| address.address.as_ref())
    else {
        problems.add(path, "not a TCP socket address", "use socket_address");
        return None;
    };
    let path = format!("{path}.socket_address");
    let port = port(socket.port_specifier.as_ref(), &path, problems)?;
    let target = match socket.address.parse() {
        Ok(ip) => DnsTarget::Address(SocketAddr::new(ip, port), HostState::new()),
        Err(_) if by_name => DnsTarget::Name(name(&socket.address), port),
        Err(_) => {
            problems.add(
                format!("{path}.address"),
                format!("'{}' is not an IP address", socket.address),
                "a STATIC cluster takes addresses; use type STRICT_DNS for names",
            );
            return None;
        }
    };
    let healthy = !matches!(
        endpoint.health_status(),
        HealthStatus::Unhealthy | HealthStatus::Draining | HealthStatus::Timeout
    );
    let weight = endpoint
        .load_balancing_weight
        .map_or(1, |weight| weight.value)
        .max(1);
    let hostname = (!inner.hostname.is_empty()).then(|| name(&inner.hostname));
    Some(HostPlan {
        target,
        hostname,
        hash_key: hash_key(endpoint),
        weight,
        healthy,
    })
}

/// `metadata.filter_metadata["envoy.lb"].hash_key`.
fn hash_key(endpoint: &LbEndpoint) -> Option<Arc<str>> {
    use crossdock_xds::envoy_types::pb::google::protobuf::value::Kind;
    let metadata = endpoint
        .metadata
        .as_ref()?
        .filter_metadata
        .get("envoy.lb")?;
    match metadata.fields.get("hash_key")?.kind.as_ref()? {
        Kind::StringValue(key) => Some(name(key)),
        _ => None,
    }
}
