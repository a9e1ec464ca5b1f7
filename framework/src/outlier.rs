//! Outlier detection: which hosts of a cluster answer so badly that they get no calls for a while.
//!
//! No sockets and no clock: whoever makes attempts tells how they ended, and somebody off the
//! workers calls [`Detector::sweep`] once in an interval. The rules are those of Envoy's
//! `outlier_detection_impl.cc`. An attempt costs a few atomic instructions on memory that belongs to
//! its host. Ejections are rare: they are decided by one thread at a time, so that never more hosts
//! are ejected than may be, whichever workers see them fail.

mod config;
mod log;
mod monitor;
mod sweep;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use self::{log::Lines, monitor::Streak};
use crate::{
    cluster::{Host, HostSet},
    metrics,
    outcome::{Failure, Outcome},
    stats::{Group, Shard},
    status::Class,
};

pub use self::{
    config::{Config, Consecutive, FailurePercentage, MAX_EJECTION_TIME, SuccessRate},
    monitor::Monitor,
};

/// Held by the thread that ejects hosts or takes them back.
static DECIDING: Mutex<Lines> = Mutex::new(Lines::new());

/// Watches over the hosts of one version of a cluster. What it knows of them is in their
/// [`Monitor`]s, and goes over to the next version with them.
#[derive(Debug)]
pub struct Detector {
    config: Config,
    cluster: Arc<str>,
    stats: Arc<Group>,
    /// Whether there are enough hosts to compare their rates.
    rates: bool,
    /// Ejected hosts, and those among them that are healthy by configuration.
    ejected: AtomicU32,
    missing: AtomicU32,
}

/// What an attempt tells of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The host answered; the HTTP status stands for what.
    Answer(u16),
    /// The gateway saw a failure itself: no connection, a broken one, no answer in time. The HTTP
    /// status stands for it where such failures are not told apart.
    LocalFailure(u16),
}

/// When and where something is told.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The process clock in milliseconds.
    pub now_ms: u64,
    /// A random number.
    pub random: u64,
    /// Whose cells count it.
    pub shard: Shard,
}

/// Why a host is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Consecutive5xx,
    ConsecutiveGatewayFailure,
    ConsecutiveLocalOriginFailure,
    SuccessRate,
    LocalOriginSuccessRate,
    FailurePercentage,
    LocalOriginFailurePercentage,
}

metrics! {
    /// Metrics of a cluster's outlier detection, named as Envoy does. How many hosts are ejected now
    /// tells [`Detector::ejected`].
    pub enum OutlierMetric {
        /// Ejections.
        counter EjectionsEnforced = "outlier_detection.ejections_enforced_total",
        /// Ejections that would have been too many at once (`max_ejection_percent`).
        counter EjectionsOverflow = "outlier_detection.ejections_overflow",
        /// Hosts that reached `consecutive_5xx`.
        counter Detected5xx = "outlier_detection.ejections_detected_consecutive_5xx",
        /// Those that were ejected for it.
        counter Enforced5xx = "outlier_detection.ejections_enforced_consecutive_5xx",
        /// Hosts that reached `consecutive_gateway_failure`.
        counter DetectedGateway = "outlier_detection.ejections_detected_consecutive_gateway_failure",
        /// Those that were ejected for it.
        counter EnforcedGateway = "outlier_detection.ejections_enforced_consecutive_gateway_failure",
        /// Hosts that reached `consecutive_local_origin_failure`.
        counter DetectedLocal =
            "outlier_detection.ejections_detected_consecutive_local_origin_failure",
        /// Those that were ejected for it.
        counter EnforcedLocal =
            "outlier_detection.ejections_enforced_consecutive_local_origin_failure",
        /// Hosts whose success rate was too far below the mean.
        counter DetectedRate = "outlier_detection.ejections_detected_success_rate",
        /// Those that were ejected for it.
        counter EnforcedRate = "outlier_detection.ejections_enforced_success_rate",
        /// The same by failures that the gateway saw itself.
        counter DetectedLocalRate = "outlier_detection.ejections_detected_local_origin_success_rate",
        /// Those that were ejected for it.
        counter EnforcedLocalRate = "outlier_detection.ejections_enforced_local_origin_success_rate",
        /// Hosts with too many failures.
        counter DetectedPercentage = "outlier_detection.ejections_detected_failure_percentage",
        /// Those that were ejected for it.
        counter EnforcedPercentage = "outlier_detection.ejections_enforced_failure_percentage",
        /// The same by failures that the gateway saw itself.
        counter DetectedLocalPercentage =
            "outlier_detection.ejections_detected_local_origin_failure_percentage",
        /// Those that were ejected for it.
        counter EnforcedLocalPercentage =
            "outlier_detection.ejections_enforced_local_origin_failure_percentage",
    }
}

impl Detector {
    /// A detector for `hosts`, some of which may be ejected already. `stats` is a group of
    /// [`OutlierMetric`].
    pub fn new(config: Config, cluster: Arc<str>, hosts: &HostSet, stats: Arc<Group>) -> Self {
        let detector = Self {
            rates: config.rates(hosts.len()),
            config,
            cluster,
            stats,
            ejected: AtomicU32::new(0),
            missing: AtomicU32::new(0),
        };
        detector.recount(hosts);
        detector
    }

    /// What it goes by.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its metrics.
    pub fn stats(&self) -> &Group {
        &self.stats
    }

    /// Hosts that are ejected.
    pub fn ejected(&self) -> u32 {
        self.ejected.load(Relaxed)
    }

    /// Ejected hosts that would take calls otherwise: what [`crate::cluster::Pick`] is told.
    #[inline]
    pub fn missing(&self) -> u32 {
        self.missing.load(Relaxed)
    }

    /// What `outcome` tells of its host, by outcome class: of an RPC and of gRPC, the HTTP status
    /// that stands for the class. An exception of the service is a success.
    pub fn told(&self, outcome: &Outcome) -> Option<Told> {
        Some(match *outcome {
            Outcome::Unknown => return None,
            Outcome::Failed(Failure::Timeout | Failure::TryTimeout) => Told::LocalFailure(504),
            Outcome::Failed(_) => Told::LocalFailure(503),
            Outcome::Answered { concealed, .. } if concealed && !self.config.concealed => {
                Told::Answer(200)
            }
            Outcome::Answered {
                class: Class::Business,
                ..
            } => Told::Answer(200),
            Outcome::Answered { http, .. } if http >= 400 => Told::Answer(http),
            // gRPC within 200: RESOURCE_EXHAUSTED is no failure of the server, as in Envoy.
            Outcome::Answered {
                class: Class::Overload,
                ..
            } => Told::Answer(429),
            Outcome::Answered { class, .. } => Told::Answer(class.http()),
        })
    }

    /// Takes in how an attempt at `host`, one of `hosts`, ended. Told once for each attempt; `at` is
    /// asked when there is something to decide.
    #[inline]
    pub fn note(&self, hosts: &HostSet, host: &Host, told: Told, at: &dyn Fn() -> At) {
        let monitor = &host.state.outlier;
        let status = match told {
            Told::Answer(status) if self.config.split => {
                if self.rates {
                    monitor.attempts.count(false);
                }
                monitor.local_failures.clear();
                status
            }
            Told::LocalFailure(_) if self.config.split => {
                if self.rates {
                    monitor.attempts.count(true);
                }
                let reason = Reason::ConsecutiveLocalOriginFailure;
                return self.step(hosts, host, reason, at);
            }
            Told::Answer(status) | Told::LocalFailure(status) => status,
        };
        let failed = (500..600).contains(&status);
        if self.rates {
            monitor.answers.count(failed);
        }
        let gateway = (502..=504).contains(&status);
        if !gateway {
            monitor.gateway_errors.clear();
        }
        if !failed {
            return monitor.errors.clear();
        }
        if gateway {
            self.step(hosts, host, Reason::ConsecutiveGatewayFailure, at);
        }
        self.step(hosts, host, Reason::Consecutive5xx, at);
    }

    /// Counts one more failure in a row, and ejects the host if that is one too many.
    fn step(&self, hosts: &HostSet, host: &Host, reason: Reason, at: &dyn Fn() -> At) {
        let monitor = &host.state.outlier;
        let (streak, limit): (&Streak, _) = match reason {
            Reason::ConsecutiveGatewayFailure => (
                &monitor.gateway_errors,
                self.config.consecutive_gateway_failure,
            ),
            Reason::ConsecutiveLocalOriginFailure => (
                &monitor.local_failures,
                self.config.consecutive_local_origin_failure,
            ),
            _ => (&monitor.errors, self.config.consecutive_5xx),
        };
        if !streak.reaches(limit.threshold) || monitor.is_ejected() {
            return;
        }
        let at = at();
        if self.is_due(hosts, reason, at) {
            let figure = limit.threshold.into();
            self.eject(hosts, host, (reason, figure), at, &mut decide());
        }
        streak.clear();
    }

    /// Counts that a host is to be ejected, and says whether it may be: a first look without a lock,
    /// for when every host fails.
    fn is_due(&self, hosts: &HostSet, reason: Reason, at: At) -> bool {
        self.stats.inc(at.shard, reason.detected());
        if !self.config.has_room(self.ejected(), hosts.len()) {
            self.stats.inc(at.shard, OutlierMetric::EjectionsOverflow);
            return false;
        }
        // Two numbers of one: this half draws, the other one is the jitter.
        let draw = at.random & u64::from(u32::MAX);
        draw % 100 < u64::from(reason.enforcing(&self.config))
    }

    /// Ejects a host for a reason, of which `figure` tells how bad it is, unless others have been
    /// ejected meanwhile. Whoever calls is [deciding](DECIDING).
    fn eject(
        &self,
        hosts: &HostSet,
        host: &Host,
        (reason, figure): (Reason, f64),
        at: At,
        lines: &mut Lines,
    ) {
        let monitor = &host.state.outlier;
        self.recount(hosts);
        if monitor.is_ejected() {
            return;
        }
        if !self.config.has_room(self.ejected(), hosts.len()) {
            self.stats.inc(at.shard, OutlierMetric::EjectionsOverflow);
            return;
        }
        let time = monitor.eject(&self.config, at.now_ms, at.random >> 32);
        self.recount(hosts);
        self.stats.inc(at.shard, OutlierMetric::EjectionsEnforced);
        self.stats.inc(at.shard, reason.enforced());
        let cause = reason.describe(figure);
        lines.ejected((&self.cluster, host), &cause, time, at.now_ms);
    }

    /// Counts the ejected hosts: now and then, because a call of an earlier version of the cluster
    /// may eject one too.
    pub fn recount(&self, hosts: &HostSet) {
        let away = |(_, host): &(_, &Host)| host.state.outlier.is_ejected();
        let (mut ejected, mut missing) = (0, 0);
        for (_, host) in hosts.iter().filter(away) {
            ejected += 1;
            missing += u32::from(host.healthy);
        }
        self.ejected.store(ejected, Relaxed);
        self.missing.store(missing, Relaxed);
    }
}

/// Waits for the other threads that eject hosts.
fn decide() -> MutexGuard<'static, Lines> {
    DECIDING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reason {
    /// How often a host is ejected for it, in per cent.
    fn enforcing(self, config: &Config) -> u32 {
        match self {
            Self::Consecutive5xx => config.consecutive_5xx.enforcing,
            Self::ConsecutiveGatewayFailure => config.consecutive_gateway_failure.enforcing,
            Self::ConsecutiveLocalOriginFailure => {
                config.consecutive_local_origin_failure.enforcing
            }
            Self::SuccessRate => config.success_rate.enforcing,
            Self::LocalOriginSuccessRate => config.success_rate.enforcing_local_origin,
            Self::FailurePercentage => config.failure_percentage.enforcing,
            Self::LocalOriginFailurePercentage => config.failure_percentage.enforcing_local_origin,
        }
    }

    fn detected(self) -> OutlierMetric {
        match self {
            Self::Consecutive5xx => OutlierMetric::Detected5xx,
            Self::ConsecutiveGatewayFailure => OutlierMetric::DetectedGateway,
            Self::ConsecutiveLocalOriginFailure => OutlierMetric::DetectedLocal,
            Self::SuccessRate => OutlierMetric::DetectedRate,
            Self::LocalOriginSuccessRate => OutlierMetric::DetectedLocalRate,
            Self::FailurePercentage => OutlierMetric::DetectedPercentage,
            Self::LocalOriginFailurePercentage => OutlierMetric::DetectedLocalPercentage,
        }
    }

    fn enforced(self) -> OutlierMetric {
        match self {
            Self::Consecutive5xx => OutlierMetric::Enforced5xx,
            Self::ConsecutiveGatewayFailure => OutlierMetric::EnforcedGateway,
            Self::ConsecutiveLocalOriginFailure => OutlierMetric::EnforcedLocal,
            Self::SuccessRate => OutlierMetric::EnforcedRate,
            Self::LocalOriginSuccessRate => OutlierMetric::EnforcedLocalRate,
            Self::FailurePercentage => OutlierMetric::EnforcedPercentage,
            Self::LocalOriginFailurePercentage => OutlierMetric::EnforcedLocalPercentage,
        }
    }

    /// What happened, for the log.
    fn describe(self, figure: f64) -> String {
        match self {
            Self::Consecutive5xx => {
                format!("{figure} failures in a row (consecutive_5xx)")
            }
            Self::ConsecutiveGatewayFailure => {
                format!("{figure} failures 502, 503 or 504 in a row (consecutive_gateway_failure)")
            }
            Self::ConsecutiveLocalOriginFailure => format!(
                "{figure} calls in a row without an answer (consecutive_local_origin_failure)"
            ),
            Self::SuccessRate => {
                format!("only {figure:.1} % of its calls succeeded (success_rate)")
            }
            Self::LocalOriginSuccessRate => {
                format!("only {figure:.1} % of its calls had an answer (success_rate)")
            }
            Self::FailurePercentage => {
                format!("{figure:.1} % of its calls failed (failure_percentage)")
            }
            Self::LocalOriginFailurePercentage => {
                format!("{figure:.1} % of its calls had no answer (failure_percentage)")
            }
        }
    }
}
