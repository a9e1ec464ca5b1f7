//! What is discovered, as Envoy's admin endpoint shows it: the dynamic parts of
//! `envoy.admin.v3.ConfigDump`.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use envoy_types::pb::{
    envoy::admin::v3::{
        ClustersConfigDump, EndpointsConfigDump, ListenersConfigDump, RoutesConfigDump,
        UpdateFailureState,
        clusters_config_dump::DynamicCluster,
        endpoints_config_dump::DynamicEndpointConfig,
        listeners_config_dump::{DynamicListener, DynamicListenerState},
        routes_config_dump::DynamicRouteConfig,
    },
    google::protobuf::{Any, Timestamp},
};

use super::{Discovered, Failure, Interest, Resource, Subscription, Subscriptions, Warming};

/// Listeners that were discovered: those in force, those that wait, and why some are refused.
///
/// `is_wanted` chooses them by their names.
#[must_use]
pub fn listeners(
    warming: &Warming,
    subscriptions: &Subscriptions,
    is_wanted: &dyn Fn(&str) -> bool,
) -> ListenersConfigDump {
    let subscription = subscriptions.listeners.as_ref();
    let entries = entries(warming, subscription, is_wanted);
    let state = |state: State| DynamicListenerState {
        version_info: state.version,
        listener: Some(state.resource),
        last_updated: state.updated,
    };
    let entries = entries.into_iter().map(|(name, entry)| DynamicListener {
        name: name.to_string(),
        active_state: entry.active.map(state),
        warming_state: entry.warming.map(state),
        error_state: entry.error,
        ..DynamicListener::default()
    });
    ListenersConfigDump {
        version_info: version(subscription),
        dynamic_listeners: entries.collect(),
        ..ListenersConfigDump::default()
    }
}

/// Clusters that were discovered, likewise. One that was refused and has no earlier version is
/// among those that wait, with nothing but the reason.
#[must_use]
pub fn clusters(
    warming: &Warming,
    subscriptions: &Subscriptions,
    is_wanted: &dyn Fn(&str) -> bool,
) -> ClustersConfigDump {
    let subscription = subscriptions.clusters.as_ref();
    let mut dump = ClustersConfigDump {
        version_info: version(subscription),
        ..ClustersConfigDump::default()
    };
    for entry in entries(warming, subscription, is_wanted).into_values() {
        let mut error = entry.error;
        let mut cluster = |state: Option<State>| {
            let (version_info, cluster, last_updated) = parts(state);
            DynamicCluster {
                version_info,
                cluster,
                last_updated,
                error_state: error.take(),
                ..DynamicCluster::default()
            }
        };
        let is_active = entry.active.is_some();
        if is_active {
            dump.dynamic_active_clusters.push(cluster(entry.active));
        }
        if entry.warming.is_some() || !is_active {
            dump.dynamic_warming_clusters.push(cluster(entry.warming));
        }
    }
    dump
}

/// Route configurations that were discovered, likewise.
#[must_use]
pub fn routes(
    warming: &Warming,
    subscriptions: &Subscriptions,
    is_wanted: &dyn Fn(&str) -> bool,
) -> RoutesConfigDump {
    let entries = entries(warming, subscriptions.routes.values(), is_wanted);
    let entries = entries.into_values().map(|entry| {
        let (version_info, route_config, last_updated) = parts(entry.active);
        DynamicRouteConfig {
            version_info,
            route_config,
            last_updated,
            error_state: entry.error,
            ..DynamicRouteConfig::default()
        }
    });
    RoutesConfigDump {
        dynamic_route_configs: entries.collect(),
        ..RoutesConfigDump::default()
    }
}

/// Load assignments that were discovered, likewise.
#[must_use]
pub fn endpoints(
    warming: &Warming,
    subscriptions: &Subscriptions,
    is_wanted: &dyn Fn(&str) -> bool,
) -> EndpointsConfigDump {
    let entries = entries(warming, subscriptions.endpoints.values(), is_wanted);
    let entries = entries.into_values().map(|entry| {
        let (version_info, endpoint_config, last_updated) = parts(entry.active);
        DynamicEndpointConfig {
            version_info,
            endpoint_config,
            last_updated,
            error_state: entry.error,
            ..DynamicEndpointConfig::default()
        }
    });
    EndpointsConfigDump {
        dynamic_endpoint_configs: entries.collect(),
        ..EndpointsConfigDump::default()
    }
}

/// What is shown of one name.
#[derive(Default)]
struct Entry {
    active: Option<State>,
    warming: Option<State>,
    error: Option<UpdateFailureState>,
}

/// A resource with its version, and when it was accepted.
struct State {
    version: String,
    resource: Any,
    updated: Option<Timestamp>,
}

fn entries<'a, M: Discovered>(
    warming: &Warming,
    subscriptions: impl IntoIterator<Item = &'a Subscription<M>>,
    is_wanted: &dyn Fn(&str) -> bool,
) -> BTreeMap<Arc<str>, Entry> {
    let mut entries: BTreeMap<Arc<str>, Entry> = BTreeMap::new();
    let subscriptions: Vec<_> = subscriptions.into_iter().collect();
    let mut times = BTreeMap::new();
    for subscription in &subscriptions {
        times.extend(subscription.held());
    }
    let state = |resource: &Resource<M>| {
        let held = times.get(&resource.name);
        let held = held.filter(|held| held.resource.says_the_same(resource));
        State {
            version: resource.version.to_string(),
            resource: any(&*resource.message),
            updated: held.map(|held| timestamp(held.since)),
        }
    };
    for resource in M::among(warming.in_force()).values() {
        if resource.origin.is_dynamic() && is_wanted(&resource.name) {
            let entry = entries.entry(Arc::clone(&resource.name)).or_default();
            entry.active = Some(state(resource));
        }
    }
    for waiting in warming.waiting().iter().filter(|it| it.kind == M::KIND) {
        let resource = M::among(warming.wanted()).get(&waiting.name);
        if let Some(resource) = resource.filter(|it| it.origin.is_dynamic() && is_wanted(&it.name))
        {
            let entry = entries.entry(Arc::clone(&resource.name)).or_default();
            entry.warming = Some(state(resource));
        }
    }
    for subscription in subscriptions {
        for (name, failure) in failures(subscription) {
            if is_wanted(&name) {
                entries.entry(name).or_default().error = Some(error(failure));
            }
        }
    }
    entries
}

/// What was refused, by name. What could not be read at all concerns every resource that might
/// have been in it; the empty name stands for those of which none is known.
fn failures<M: Discovered>(subscription: &Subscription<M>) -> Vec<(Arc<str>, &Failure<M>)> {
    let single = subscription.failures().iter();
    let single: Vec<_> = single
        .map(|(name, failure)| (Arc::clone(name), failure))
        .collect();
    let Some(failure) = subscription.failure().filter(|_| single.is_empty()) else {
        return single;
    };
    let mut names: Vec<Arc<str>> = match subscription.interest() {
        Interest::Names(names) => names.iter().cloned().collect(),
        Interest::All => subscription.held().keys().cloned().collect(),
    };
    if names.is_empty() {
        names.push("".into());
    }
    names.into_iter().map(|name| (name, failure)).collect()
}

fn error<M: Discovered>(failure: &Failure<M>) -> UpdateFailureState {
    let resource = failure.resource.as_ref();
    UpdateFailureState {
        failed_configuration: resource.map(|resource| any(&*resource.message)),
        last_update_attempt: Some(timestamp(failure.at)),
        details: failure.details.clone(),
        version_info: failure.version.to_string(),
    }
}

fn version<M: Discovered>(subscription: Option<&Subscription<M>>) -> String {
    subscription.map_or_else(String::new, |it| it.version().to_string())
}

fn parts(state: Option<State>) -> (String, Option<Any>, Option<Timestamp>) {
    match state {
        Some(state) => (state.version, Some(state.resource), state.updated),
        None => Default::default(),
    }
}

fn any<M: Discovered>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

/// A time before 1970 is shown as its beginning.
fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
