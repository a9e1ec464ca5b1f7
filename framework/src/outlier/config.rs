//! What `Cluster.outlier_detection` says.

use std::time::Duration;

/// When a host is ejected, and for how long. The defaults are Envoy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Failures one after another, whatever they are: answers from 500 to 599, and what the gateway
    /// saw itself unless that is [told apart](Config::split).
    pub consecutive_5xx: Consecutive,
    /// Those among them that are 502, 503 or 504.
    pub consecutive_gateway_failure: Consecutive,
    /// Failures that the gateway saw itself, one after another: no connection, a broken one, no
    /// answer in time. Only where they are [told apart](Config::split).
    pub consecutive_local_origin_failure: Consecutive,
    /// Whether failures that the gateway saw itself are counted apart from what hosts answer
    /// (`split_external_local_origin_errors`).
    pub split: bool,
    /// The time between two looks at all hosts.
    pub interval: Duration,
    /// The time of a first ejection; the second lasts twice as long, and so on.
    pub base_ejection_time: Duration,
    /// The longest time of an ejection.
    pub max_ejection_time: Duration,
    /// The most that is added to the time of an ejection, at random.
    pub max_ejection_time_jitter: Duration,
    /// The share of the hosts that may be ejected at once, in per cent.
    pub max_ejection_percent: u32,
    /// Whether one host may be ejected whatever its share is.
    pub always_eject_one_host: bool,
    /// Hosts whose calls succeed less often than those of the others.
    pub success_rate: SuccessRate,
    /// Hosts whose calls fail too often.
    pub failure_percentage: FailurePercentage,
    /// Whether an error counts that a host tells within an answer whose own status says success
    /// (an `RpcException` in a Dubbo answer of status 20, an error in a SOFARPC answer of status 0).
    /// An exception of the service itself never counts.
    pub concealed: bool,
}

/// So many failures one after another eject a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consecutive {
    /// How many; none ever for 0.
    pub threshold: u32,
    /// How often a host is then ejected indeed, in per cent.
    pub enforcing: u32,
}

/// What share of its calls succeed at a host, compared with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuccessRate {
    /// The fewest hosts with enough calls to compare.
    pub minimum_hosts: u32,
    /// The fewest calls of a host in one interval to compare it.
    pub request_volume: u32,
    /// How far below the mean a host is ejected, in thousandths of the standard deviation.
    pub stdev_factor: u32,
    /// How often a host is then ejected indeed, in per cent.
    pub enforcing: u32,
    /// The same for failures that the gateway saw itself, where they are told apart.
    pub enforcing_local_origin: u32,
}

/// What share of its calls fail at a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentage {
    /// The share that ejects it, in per cent.
    pub threshold: u32,
    /// The fewest hosts with enough calls.
    pub minimum_hosts: u32,
    /// The fewest calls of a host in one interval.
    pub request_volume: u32,
    /// How often a host is then ejected indeed, in per cent.
    pub enforcing: u32,
    /// The same for failures that the gateway saw itself, where they are told apart.
    pub enforcing_local_origin: u32,
}

/// The longest time of an ejection, unless the base time is longer.
pub const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);

impl Default for Config {
    fn default() -> Self {
        let consecutive = |enforcing| Consecutive {
            threshold: 5,
            enforcing,
        };
        Self {
            consecutive_5xx: consecutive(100),
            consecutive_gateway_failure: consecutive(0),
            consecutive_local_origin_failure: consecutive(100),
            split: false,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: MAX_EJECTION_TIME,
            max_ejection_time_jitter: Duration::ZERO,
            max_ejection_percent: 10,
            always_eject_one_host: false,
            success_rate: SuccessRate {
                minimum_hosts: 5,
                request_volume: 100,
                stdev_factor: 1900,
                enforcing: 100,
                enforcing_local_origin: 100,
            },
            failure_percentage: FailurePercentage {
                threshold: 85,
                minimum_hosts: 5,
                request_volume: 50,
                enforcing: 0,
                enforcing_local_origin: 0,
            },
            concealed: false,
        }
    }
}

impl Config {
    /// Whether `ejected` of `hosts` hosts leave room for one more.
    pub(super) fn has_room(&self, ejected: u32, hosts: usize) -> bool {
        let share = (u64::from(ejected) + 1) * 100;
        share <= u64::from(self.max_ejection_percent) * hosts as u64
            || (self.always_eject_one_host && ejected == 0)
    }

    /// Whether so many hosts are enough to compare them at all.
    pub(super) fn rates(&self, hosts: usize) -> bool {
        let fewest = self.success_rate.minimum_hosts;
        hosts >= fewest.min(self.failure_percentage.minimum_hosts) as usize
    }
}
