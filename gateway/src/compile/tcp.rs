//! Plain bytes: `tcp_proxy`, and the fall-back for connections of unknown protocols.

use std::{sync::Arc, time::Duration};

use crossdock_framework::{stats::Group, tcp::TcpMetric};
use crossdock_xds::envoy_types::pb::envoy::{
    config::core::v3::BackoffStrategy,
    extensions::filters::network::tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
    r#type::v3::hash_policy::PolicySpecifier,
};

use super::{duration, listeners::ListenerCompiler, name};
use crate::{
    access_log::{self, Log},
    settings::Settings,
};

/// Idle time of `tcp_proxy` if it says nothing, as in Envoy.
const IDLE: Duration = Duration::from_secs(3600);

/// A `tcp_proxy`.
#[derive(Clone, Debug)]
pub(crate) struct TcpPlan {
    pub(crate) targets: Vec<TcpTarget>,
    /// `None` for no limit.
    pub(crate) idle_timeout: Option<Duration>,
    /// `max_downstream_connection_duration`.
    pub(crate) longest: Option<Longest>,
    /// `max_connect_attempts`.
    pub(crate) attempts: Option<u32>,
    pub(crate) backoff: Option<Backoff>,
    /// The balancer hashes the client's address.
    pub(crate) hashes_source: bool,
    /// `check_drain_close`.
    pub(crate) leaves_on_drain: bool,
    pub(crate) logs: Arc<[Arc<Log>]>,
    pub(crate) flush: Flush,
    pub(crate) stats: Arc<Group>,
}

/// A cluster that `tcp_proxy` goes to, with its weight.
#[derive(Clone, Debug)]
pub(crate) struct TcpTarget {
    pub(crate) cluster: Arc<str>,
    pub(crate) weight: u32,
}

/// When a connection is logged besides its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flush {
    pub(crate) on_start: bool,
    pub(crate) on_connected: bool,
    pub(crate) interval: Option<Duration>,
}

/// The longest life of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Longest {
    time: Duration,
    /// The part of `time` that is added at most, drawn for each connection.
    jitter: f64,
}

impl Longest {
    /// The longest life of one connection.
    pub(crate) fn draw(self, random: u64) -> Duration {
        // Both numbers are small enough for the product to be a time.
        let part = (random >> 11) as f64 / (1_u64 << 53) as f64;
        self.time + self.time.mul_f64(self.jitter * part)
    }
}

/// `backoff_options`: times between attempts to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
}

impl Backoff {
    /// The time after so many attempts: drawn from an interval that doubles up to its maximum.
    pub(crate) fn draw(self, attempts: u32, random: u64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let most = self.base.saturating_mul(doubled).min(self.max);
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(random % micros)
    }
}

/// The most that a time of a connection's life may be: the rest of a worker's clock is for adding.
const YEARS: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl ListenerCompiler<'_, '_> {
    /// Where connections of unknown protocols go, if the settings say so.
    pub(super) fn fallback(&mut self, settings: &Settings, prefix: &str) -> Option<TcpPlan> {
        let cluster = settings.tcp_fallback()?;
        if !self.knows(cluster) {
            self.problems
                .unknown_cluster(settings.path("tcp_fallback").to_owned(), cluster);
            return None;
        }
        Some(TcpPlan {
            targets: vec![TcpTarget {
                cluster: name(cluster),
                weight: 1,
            }],
            idle_timeout: Some(IDLE),
            longest: None,
            attempts: None,
            backoff: None,
            hashes_source: true,
            leaves_on_drain: false,
            logs: Arc::default(),
            flush: Flush::default(),
            stats: self.tools.registry.group::<TcpMetric>("tcp", prefix),
        })
    }

    /// Compiles a `tcp_proxy`.
    pub(super) fn tcp(&mut self, proxy: &TcpProxy, path: &str) -> Option<TcpPlan> {
        let logs = access_log::of_connections(&proxy.access_log, &self.tools.files)
            .map_err(|inner| self.problems.within(path, inner))
            .ok();
        let hashes_source = self.hashes_source(proxy, path);
        let targets = self.targets(proxy, path)?;
        let idle = proxy.idle_timeout.as_ref().and_then(duration);
        let longest = proxy.max_downstream_connection_duration.as_ref();
        let jitter = proxy
            .max_downstream_connection_duration_jitter_percentage
            .as_ref()
            .map_or(0.0, |percent| percent.value.clamp(0.0, 100.0) / 100.0);
        Some(TcpPlan {
            targets,
            // Zero turns the time-out off.
            idle_timeout: Some(idle.unwrap_or(IDLE)).filter(|time| *time > Duration::ZERO),
            longest: longest.and_then(duration).map(|time| Longest {
                time: time.min(YEARS),
                jitter,
            }),
            attempts: proxy.max_connect_attempts.map(|most| most.value.max(1)),
            backoff: proxy.backoff_options.as_ref().and_then(backoff),
            hashes_source: hashes_source?,
            leaves_on_drain: proxy.check_drain_close.is_some_and(|check| check.value),
            logs: logs?.into(),
            flush: flush(proxy),
            stats: self
                .tools
                .registry
                .group::<TcpMetric>("tcp", &proxy.stat_prefix),
        })
    }

    fn targets(&mut self, proxy: &TcpProxy, path: &str) -> Option<Vec<TcpTarget>> {
        let (targets, weighted): (Vec<_>, _) = match &proxy.cluster_specifier {
            Some(ClusterSpecifier::Cluster(cluster)) => {
                let cluster = name(cluster);
                (vec![TcpTarget { cluster, weight: 1 }], false)
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                let entries = weighted.clusters.iter().map(|entry| TcpTarget {
                    cluster: name(&entry.name),
                    weight: entry.weight,
                });
                (entries.collect(), true)
            }
            None => (Vec::new(), false),
        };
        if targets.iter().all(|target| target.weight == 0) {
            self.problems
                .add(path, "tcp_proxy names no cluster", "give it a cluster");
            return None;
        }
        for (ix, target) in targets.iter().enumerate() {
            if !self.dynamic && !self.knows(&target.cluster) {
                let field = match weighted {
                    true => format!("weighted_clusters.clusters[{ix}].name"),
                    false => "cluster".to_owned(),
                };
                self.problems
                    .unknown_cluster(format!("{path}.{field}"), &target.cluster);
            }
        }
        Some(targets)
    }

    /// Whether the client's address is hashed; `None` if something else should be.
    fn hashes_source(&mut self, proxy: &TcpProxy, path: &str) -> Option<bool> {
        let mut known = true;
        for (ix, policy) in proxy.hash_policy.iter().enumerate() {
            if !matches!(policy.policy_specifier, Some(PolicySpecifier::SourceIp(_))) {
                known = false;
                self.problems.add(
                    format!("{path}.hash_policy[{ix}]"),
                    "only the address of the client is hashed in this version",
                    "use source_ip",
                );
            }
        }
        known.then_some(!proxy.hash_policy.is_empty())
    }
}

#[expect(deprecated, reason = "files in use still carry the older fields")]
fn flush(proxy: &TcpProxy) -> Flush {
    let interval = match &proxy.access_log_options {
        Some(options) => &options.access_log_flush_interval,
        None => &proxy.access_log_flush_interval,
    };
    let options = proxy.access_log_options.as_ref();
    Flush {
        on_start: options.is_some_and(|options| options.flush_access_log_on_start),
        on_connected: options.map_or(proxy.flush_access_log_on_connected, |options| {
            options.flush_access_log_on_connected
        }),
        interval: interval
            .as_ref()
            .and_then(duration)
            .map(|every| every.max(Duration::from_millis(1))),
    }
}

fn backoff(given: &BackoffStrategy) -> Option<Backoff> {
    let base = given.base_interval.as_ref().and_then(duration)?;
    let max = given.max_interval.as_ref().and_then(duration);
    Some(Backoff {
        base,
        // As Envoy: ten times the first interval.
        max: max.unwrap_or_else(|| base.saturating_mul(10)),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_idle_time_that_nobody_configures_is_that_of_the_docs() {
        let row = "| plain TCP: idle time, where `idle_timeout` says nothing | 1 h, as Envoy |";
        assert!(include_str!("../../../docs/limits.md").contains(row));
        assert_eq!(super::IDLE.as_secs(), 3600);
    }
}
