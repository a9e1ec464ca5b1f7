//! Plain bytes: `tcp_proxy`, and the fall-back for connections of unknown protocols.

use std::{sync::Arc, time::Duration};

use crossdock_framework::{stats::Group, tcp::TcpMetric};
use crossdock_xds::envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3::{
    TcpProxy, tcp_proxy::ClusterSpecifier,
};

use super::{duration, listeners::Compiler, name};
use crate::settings::Settings;

/// Idle time of `tcp_proxy` if it says nothing, as in Envoy.
const IDLE: Duration = Duration::from_secs(3600);

/// A `tcp_proxy`.
#[derive(Clone, Debug)]
pub(crate) struct TcpPlan {
    pub(crate) targets: Vec<TcpTarget>,
    pub(crate) idle_timeout: Duration,
    pub(crate) stats: Arc<Group>,
}

/// A cluster that `tcp_proxy` goes to, with its weight.
#[derive(Clone, Debug)]
pub(crate) struct TcpTarget {
    pub(crate) cluster: Arc<str>,
    pub(crate) weight: u32,
}

impl Compiler<'_, '_> {
    /// Where connections of unknown protocols go, if the settings say so.
    pub(super) fn fallback(&mut self, settings: &Settings, prefix: &str) -> Option<TcpPlan> {
        let cluster = settings.tcp_fallback()?;
        if !self.clusters.contains(cluster) {
            self.unknown_cluster(settings.path("tcp_fallback").to_owned(), cluster);
            return None;
        }
        Some(TcpPlan {
            targets: vec![TcpTarget {
                cluster: name(cluster),
                weight: 1,
            }],
            idle_timeout: IDLE,
            stats: self.registry.group::<TcpMetric>("tcp", prefix, false),
        })
    }

    /// Compiles a `tcp_proxy`.
    pub(super) fn tcp(&mut self, proxy: &TcpProxy, path: &str) -> Option<TcpPlan> {
        let targets = match &proxy.cluster_specifier {
            Some(ClusterSpecifier::Cluster(cluster)) => {
                vec![TcpTarget {
                    cluster: name(cluster),
                    weight: 1,
                }]
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => weighted
                .clusters
                .iter()
                .map(|entry| TcpTarget {
                    cluster: name(&entry.name),
                    weight: entry.weight,
                })
                .collect(),
            None => Vec::new(),
        };
        if targets.iter().all(|target| target.weight == 0) {
            self.problems
                .add(path, "tcp_proxy names no cluster", "give it a cluster");
            return None;
        }
        let weighted = matches!(
            proxy.cluster_specifier,
            Some(ClusterSpecifier::WeightedClusters(_))
        );
        for (ix, target) in targets.iter().enumerate() {
            if !self.clusters.contains(target.cluster.as_ref()) {
                let field = match weighted {
                    true => format!("weighted_clusters.clusters[{ix}].name"),
                    false => "cluster".to_owned(),
                };
                self.unknown_cluster(format!("{path}.{field}"), &target.cluster);
            }
        }
        let idle = proxy
            .idle_timeout
            .as_ref()
            .and_then(duration)
            .unwrap_or(IDLE);
        // Zero turns the time-out off; a year is as good.
        let idle_timeout = match idle {
            Duration::ZERO => Duration::from_secs(365 * 24 * 3600),
            time => time,
        };
        let stats = self
            .registry
            .group::<TcpMetric>("tcp", &proxy.stat_prefix, false);
        Some(TcpPlan {
            targets,
            idle_timeout,
            stats,
        })
    }
}
