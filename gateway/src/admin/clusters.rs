//! `/clusters`: hosts and limits as they are now.

use std::{fmt::Write as _, net::SocketAddr};

use crossdock_framework::{
    cluster::{Breakers, Cluster, Host},
    time,
};
use serde_json::{Value as Json, json};

use super::{Server, query::Query, reply::Reply};

/// The clusters of the current snapshot.
pub(super) fn page(server: &Server, query: &Query) -> Reply {
    let filter = match query.regex("filter") {
        Ok(filter) => filter,
        Err(reply) => return reply,
    };
    let snapshot = server.live.load();
    let wanted = |cluster: &&Cluster| filter.as_ref().is_none_or(|f| f.is_match(&cluster.name));
    let clusters = snapshot.clusters().iter().map(AsRef::as_ref).filter(wanted);
    let discovered = server.discovered();
    let in_force = &discovered.warming.in_force().clusters;
    let is_added = |cluster: &Cluster| {
        let resource = in_force.get(&cluster.name);
        resource.is_some_and(|resource| resource.origin.is_dynamic())
    };
    if query.get("format") == Some("json") {
        let statuses = clusters.map(|cluster| status(cluster, is_added(cluster)));
        let statuses: Vec<_> = statuses.collect();
        return Reply::json(&json!({"cluster_statuses": statuses}));
    }
    let mut text = String::new();
    for cluster in clusters {
        // Writing to memory cannot fail.
        let _ = describe(cluster, is_added(cluster), &mut text);
    }
    Reply::text(text)
}

const PRIORITIES: [&str; 2] = ["default", "high"];

fn describe(cluster: &Cluster, added: bool, text: &mut String) -> std::fmt::Result {
    let name = &cluster.name;
    writeln!(text, "{name}::observability_name::{name}")?;
    for (breakers, priority) in cluster.breakers.iter().zip(PRIORITIES) {
        for (limit, value) in limits(breakers) {
            writeln!(text, "{name}::{priority}_priority::{limit}::{value}")?;
        }
    }
    writeln!(text, "{name}::added_via_api::{added}")?;
    for (_, host) in cluster.hosts.iter() {
        let address = host.address;
        let flags = match (is_ejected(cluster, host), host.healthy) {
            (false, true) => "healthy",
            (false, false) => "/failed_eds_health",
            (true, true) => "/failed_outlier_check",
            (true, false) => "/failed_outlier_check/failed_eds_health",
        };
        let success_rate = success_rate(cluster, host).unwrap_or(-1.0);
        let hostname = host.hostname.as_deref().unwrap_or_default();
        writeln!(
            text,
            "{name}::{address}::rq_active::{}",
            host.state.active()
        )?;
        writeln!(text, "{name}::{address}::hostname::{hostname}")?;
        writeln!(text, "{name}::{address}::health_flags::{flags}")?;
        writeln!(text, "{name}::{address}::avoided::{}", avoided(host))?;
        writeln!(text, "{name}::{address}::weight::{}", host.weight)?;
        writeln!(text, "{name}::{address}::priority::0")?;
        writeln!(text, "{name}::{address}::success_rate::{success_rate}")?;
    }
    Ok(())
}

/// A cluster as `envoy.admin.v3.ClusterStatus`.
fn status(cluster: &Cluster, added: bool) -> Json {
    let hosts: Vec<_> = cluster
        .hosts
        .iter()
        .map(|(_, host)| {
            let health = if host.healthy { "HEALTHY" } else { "UNHEALTHY" };
            let mut status = json!({
                "address": socket_address(host.address),
                "stats": [{
                    "type": "GAUGE", "name": "rq_active", "value": host.state.active().to_string(),
                }],
                "health_status": {"eds_health_status": health},
                "weight": host.weight,
                "locality": {},
            });
            if is_ejected(cluster, host) {
                status["health_status"]["failed_outlier_check"] = true.into();
            }
            if let Some(rate) = success_rate(cluster, host) {
                status["success_rate"] = json!({"value": rate});
            }
            if let Some(hostname) = &host.hostname {
                status["hostname"] = hostname.as_ref().into();
            }
            status
        })
        .collect();
    let thresholds: Vec<_> = cluster
        .breakers
        .iter()
        .zip(PRIORITIES)
        .map(|(breakers, priority)| {
            let limits = limits(breakers).map(|(limit, value)| (limit.to_owned(), value.into()));
            let mut threshold = serde_json::Map::from_iter(limits);
            threshold.insert("priority".to_owned(), priority.to_uppercase().into());
            Json::Object(threshold)
        })
        .collect();
    json!({
        "name": cluster.name.as_ref(),
        "observability_name": cluster.name.as_ref(),
        "added_via_api": added,
        "host_statuses": hosts,
        "circuit_breakers": {"thresholds": thresholds},
    })
}

fn limits(breakers: &Breakers) -> [(&'static str, u32); 4] {
    [
        ("max_connections", breakers.max_connections),
        ("max_pending_requests", breakers.max_pending),
        ("max_requests", breakers.max_requests),
        ("max_retries", breakers.most_retries()),
    ]
}

/// Whether outlier detection has taken the host out of the choice.
fn is_ejected(cluster: &Cluster, host: &Host) -> bool {
    cluster.outlier.is_some() && host.state.outlier.is_ejected()
}

/// The share of its calls that succeeded in the last interval, in per cent, if there were enough.
fn success_rate(cluster: &Cluster, host: &Host) -> Option<f64> {
    cluster.outlier.as_ref()?;
    host.state.outlier.success_rate()
}

/// Whether other hosts are preferred for now, for instance because this one refused connections.
fn avoided(host: &Host) -> bool {
    host.state.avoided(time::now_us() / 1000)
}

/// An address as `envoy.config.core.v3.Address`.
pub(super) fn socket_address(address: SocketAddr) -> Json {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}
