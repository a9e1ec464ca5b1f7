//! How often configuration was looked for and what became of it, as metrics.

use std::{collections::BTreeMap, sync::Arc, time::UNIX_EPOCH};

use crossdock_framework::{
    metrics,
    stats::{Group, Metrics, Registry, Scope, Shard},
};
use crossdock_xds::discovery::{Counts, Discovered, Feed, Kind, Subscription};
use xxhash_rust::xxh64::xxh64;

metrics! {
    /// Metrics of LDS, `listener_manager.…`, named as Envoy does.
    pub(crate) enum ListenersMetric {
        /// Files that were read, or tried to be read.
        counter Attempt = "lds.update_attempt",
        /// Files that were accepted.
        counter Success = "lds.update_success",
        /// Files that were refused for what they say.
        counter Rejected = "lds.update_rejected",
        /// Files that could not be read.
        counter Failure = "lds.update_failure",
        /// A number that stands for the `version_info` in force.
        gauge Version = "lds.version",
        /// When a file was accepted last, in milliseconds since 1970.
        gauge Time = "lds.update_time",
    }
}

metrics! {
    /// Metrics of CDS, `cluster_manager.…`, named as Envoy does.
    pub(crate) enum ClustersMetric {
        /// Files that were read, or tried to be read.
        counter Attempt = "cds.update_attempt",
        /// Files that were accepted.
        counter Success = "cds.update_success",
        /// Files that were refused for what they say.
        counter Rejected = "cds.update_rejected",
        /// Files that could not be read.
        counter Failure = "cds.update_failure",
        /// A number that stands for the `version_info` in force.
        gauge Version = "cds.version",
        /// When a file was accepted last, in milliseconds since 1970.
        gauge Time = "cds.update_time",
    }
}

metrics! {
    /// Metrics of EDS, `cluster.<name>.…`, named as Envoy does.
    pub(crate) enum EndpointsMetric {
        /// Files with endpoints that were read, or tried to be read.
        counter Attempt = "update_attempt",
        /// Files with endpoints that were accepted.
        counter Success = "update_success",
        /// Files with endpoints that were refused for what they say.
        counter Rejected = "update_rejected",
        /// Files with endpoints that could not be read.
        counter Failure = "update_failure",
        /// Files with endpoints that were accepted and changed nothing.
        counter NoRebuild = "update_no_rebuild",
        /// A number that stands for the `version_info` in force.
        gauge Version = "version",
        /// When a file with endpoints was accepted last, in milliseconds since 1970.
        gauge Time = "update_time",
    }
}

metrics! {
    /// Metrics of RDS, `http.<stat_prefix>.rds.<route configuration>.…`, named as Envoy does.
    pub(crate) enum RoutesMetric {
        /// Files with routes that were read, or tried to be read.
        counter Attempt = "update_attempt",
        /// Files with routes that were accepted.
        counter Success = "update_success",
        /// Files with routes that were refused for what they say.
        counter Rejected = "update_rejected",
        /// Files with routes that could not be read.
        counter Failure = "update_failure",
        /// Files with routes that were accepted and changed them.
        counter Reload = "config_reload",
        /// A number that stands for the `version_info` in force.
        gauge Version = "version",
        /// When a file with routes was accepted last, in milliseconds since 1970.
        gauge Time = "update_time",
    }
}

/// Which metric shows what of a subscription.
trait Counted: Metrics {
    /// Those that count.
    const COUNTERS: &'static [(Self, Take)];
    const VERSION: Self;
    const TIME: Self;
}

/// Takes one count out of all.
type Take = fn(&Counts) -> u64;

macro_rules! counted {
    ($name:ident $(, $more:ident: $count:expr)?) => {
        impl Counted for $name {
            const COUNTERS: &'static [(Self, Take)] = &[
                (Self::Attempt, |counts| counts.attempt),
                (Self::Success, |counts| counts.success),
                (Self::Rejected, |counts| counts.rejected),
                (Self::Failure, |counts| counts.failure),
                $((Self::$more, $count),)?
            ];
            const VERSION: Self = Self::Version;
            const TIME: Self = Self::Time;
        }
    };
}

counted!(ListenersMetric);
counted!(ClustersMetric);
counted!(EndpointsMetric, NoRebuild: |counts| counts.no_rebuild);
counted!(RoutesMetric, Reload: |counts| counts.success - counts.no_rebuild);

/// The scope of [`RoutesMetric`].
const ROUTES: &str = "http.*.rds.*";

/// Tells the registry what subscriptions have counted.
#[derive(Debug)]
pub(crate) struct Tally {
    registry: Arc<Registry>,
    told: BTreeMap<Key, Told>,
}

/// A kind, the resource's name, and the names of the thing that the metrics belong to. The names
/// are empty where there is only one.
type Key = (Kind, Arc<str>, Arc<str>);

/// What the registry knows.
#[derive(Debug)]
struct Told {
    group: Arc<Group>,
    counts: Counts,
}

impl Tally {
    /// Nothing is told yet.
    pub(crate) fn new(registry: &Arc<Registry>) -> Self {
        Self {
            registry: Arc::clone(registry),
            told: BTreeMap::new(),
        }
    }

    /// Tells what has been counted since the last time. A subscription that has ended, or a thing
    /// that does not ask any more, is forgotten.
    pub(crate) fn tell(&mut self, feed: &Feed) {
        let mut before = std::mem::take(&mut self.told);
        let subscriptions = feed.subscriptions();
        let none: Arc<str> = "".into();
        if let Some(subscription) = &subscriptions.listeners {
            let key = (Kind::Listener, Arc::clone(&none), Arc::clone(&none));
            let scope = Scope::new("listener_manager", &[]);
            self.one::<_, ListenersMetric>(key, scope, subscription, &mut before);
        }
        if let Some(subscription) = &subscriptions.clusters {
            let key = (Kind::Cluster, Arc::clone(&none), none);
            let scope = Scope::new("cluster_manager", &[]);
            self.one::<_, ClustersMetric>(key, scope, subscription, &mut before);
        }
        for ((kind, name), demand) in feed.demands() {
            if let Some(subscription) = subscriptions.endpoints.get(name)
                && *kind == Kind::Endpoints
            {
                for cluster in &demand.askers {
                    let key = (*kind, Arc::clone(name), Arc::clone(cluster));
                    let scope = Scope::new("cluster", &[cluster]);
                    self.one::<_, EndpointsMetric>(key, scope, subscription, &mut before);
                }
            }
            if let Some(subscription) = subscriptions.routes.get(name)
                && *kind == Kind::Routes
            {
                for prefix in &demand.stat_prefixes {
                    let key = (*kind, Arc::clone(name), Arc::clone(prefix));
                    let scope = Scope::new(ROUTES, &[prefix, name]);
                    self.one::<_, RoutesMetric>(key, scope, subscription, &mut before);
                }
            }
        }
        if !before.is_empty() {
            drop(before);
            self.registry.forget_unused(&["cluster", ROUTES]);
        }
    }

    fn one<M: Discovered, T: Counted>(
        &mut self,
        key: Key,
        scope: Scope,
        subscription: &Subscription<M>,
        before: &mut BTreeMap<Key, Told>,
    ) {
        let mut told = before.remove(&key).unwrap_or_else(|| Told {
            group: self.registry.group_of::<T>(scope),
            counts: Counts::default(),
        });
        let now = subscription.counts();
        let group = &told.group;
        for (metric, count) in T::COUNTERS {
            let more = count(&now).saturating_sub(count(&told.counts));
            group.add(Shard(0), *metric, more);
        }
        if let Some(updated) = subscription.updated() {
            let time = updated.duration_since(UNIX_EPOCH).unwrap_or_default();
            let time = u64::try_from(time.as_millis()).unwrap_or_default();
            set(group, T::TIME, time);
            // Gauges have 63 bits here.
            set(
                group,
                T::VERSION,
                xxh64(subscription.version().as_bytes(), 0) >> 1,
            );
        }
        told.counts = now;
        self.told.insert(key, told);
    }
}

fn set(group: &Group, gauge: impl Metrics, now: u64) {
    let change = now.wrapping_sub(group.get(gauge));
    group.add(Shard(0), gauge, change);
}

#[cfg(test)]
mod tests;
