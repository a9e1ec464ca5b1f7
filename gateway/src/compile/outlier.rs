//! `outlier_detection` of a cluster.

use std::{sync::Arc, time::Duration};

use crossdock_framework::{
    cluster::HostSet,
    outlier::{
        Config, Consecutive, Detector, FailurePercentage, MAX_EJECTION_TIME, OutlierMetric,
        SuccessRate,
    },
    stats::{Group, Registry},
};
use crossdock_xds::envoy_types::pb::{
    envoy::config::cluster::v3::{Cluster, OutlierDetection},
    google::protobuf::{Duration as ProtoDuration, UInt32Value},
};

use super::{Problems, duration};

/// What a cluster says of outliers, before its hosts are known.
#[derive(Debug)]
pub(super) struct OutlierPlan {
    config: Config,
    stats: Arc<Group>,
}

impl OutlierPlan {
    /// Reads what `cluster` says. `concealed` is the setting `crossdock.outlier_concealed_errors`.
    pub(super) fn of(
        cluster: &Cluster,
        path: &str,
        concealed: bool,
        registry: &Registry,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let given = cluster.outlier_detection.as_ref()?;
        let config = config(given, concealed);
        if config.max_ejection_time < config.base_ejection_time {
            problems.add(
                format!("{path}.outlier_detection.max_ejection_time"),
                "it is shorter than base_ejection_time",
                "make it as long at least, or remove it",
            );
        }
        let stats = registry.group::<OutlierMetric>("cluster", super::clusters::stat_name(cluster));
        Some(Self { config, stats })
    }

    /// The detector for these hosts.
    pub(super) fn detector(&self, cluster: &Arc<str>, hosts: &HostSet) -> Arc<Detector> {
        let (config, stats) = (self.config.clone(), Arc::clone(&self.stats));
        Arc::new(Detector::new(config, Arc::clone(cluster), hosts, stats))
    }
}

fn config(given: &OutlierDetection, concealed: bool) -> Config {
    let default = Config::default();
    let consecutive = |threshold, enforcing, default: Consecutive| Consecutive {
        threshold: number(threshold, default.threshold),
        enforcing: number(enforcing, default.enforcing),
    };
    let base_ejection_time = time(given.base_ejection_time, default.base_ejection_time);
    Config {
        consecutive_5xx: consecutive(
            given.consecutive_5xx,
            given.enforcing_consecutive_5xx,
            default.consecutive_5xx,
        ),
        consecutive_gateway_failure: consecutive(
            given.consecutive_gateway_failure,
            given.enforcing_consecutive_gateway_failure,
            default.consecutive_gateway_failure,
        ),
        consecutive_local_origin_failure: consecutive(
            given.consecutive_local_origin_failure,
            given.enforcing_consecutive_local_origin_failure,
            default.consecutive_local_origin_failure,
        ),
        split: given.split_external_local_origin_errors,
        interval: time(given.interval, default.interval),
        base_ejection_time,
        max_ejection_time: time(
            given.max_ejection_time,
            MAX_EJECTION_TIME.max(base_ejection_time),
        ),
        max_ejection_time_jitter: time(
            given.max_ejection_time_jitter,
            default.max_ejection_time_jitter,
        ),
        max_ejection_percent: number(given.max_ejection_percent, default.max_ejection_percent),
        always_eject_one_host: given.always_eject_one_host.is_some_and(|it| it.value),
        success_rate: success_rate(given, default.success_rate),
        failure_percentage: failure_percentage(given, default.failure_percentage),
        concealed,
    }
}

fn success_rate(given: &OutlierDetection, default: SuccessRate) -> SuccessRate {
    SuccessRate {
        minimum_hosts: number(given.success_rate_minimum_hosts, default.minimum_hosts),
        request_volume: number(given.success_rate_request_volume, default.request_volume),
        stdev_factor: number(given.success_rate_stdev_factor, default.stdev_factor),
        enforcing: number(given.enforcing_success_rate, default.enforcing),
        enforcing_local_origin: number(
            given.enforcing_local_origin_success_rate,
            default.enforcing_local_origin,
        ),
    }
}

fn failure_percentage(given: &OutlierDetection, default: FailurePercentage) -> FailurePercentage {
    FailurePercentage {
        threshold: number(given.failure_percentage_threshold, default.threshold),
        minimum_hosts: number(
            given.failure_percentage_minimum_hosts,
            default.minimum_hosts,
        ),
        request_volume: number(
            given.failure_percentage_request_volume,
            default.request_volume,
        ),
        enforcing: number(given.enforcing_failure_percentage, default.enforcing),
        enforcing_local_origin: number(
            given.enforcing_failure_percentage_local_origin,
            default.enforcing_local_origin,
        ),
    }
}

fn number(given: Option<UInt32Value>, default: u32) -> u32 {
    given.map_or(default, |given| given.value)
}

fn time(given: Option<ProtoDuration>, default: Duration) -> Duration {
    given.as_ref().and_then(duration).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_in_envoy() {
        assert_eq!(
            config(&OutlierDetection::default(), false),
            Config::default()
        );
    }

    #[test]
    fn a_long_base_time_is_the_longest_too() {
        let given = OutlierDetection {
            base_ejection_time: Some(ProtoDuration {
                seconds: 400,
                nanos: 0,
            }),
            ..OutlierDetection::default()
        };
        let config = config(&given, true);
        assert_eq!(config.max_ejection_time, Duration::from_secs(400));
        assert!(config.concealed);
    }
}
