//! Load assignments: the endpoints of a cluster, which stand within it or are discovered.

use std::{net::SocketAddr, sync::Arc};

use crossdock_framework::cluster::{Host, HostState};
use crossdock_xds::{
    Problem,
    discovery::Resources,
    envoy_types::pb::envoy::config::{
        core::v3::{HealthStatus, address},
        endpoint::v3::{ClusterLoadAssignment, LbEndpoint, lb_endpoint::HostIdentifier},
    },
};

use super::{Compiler, Problems, memory::Known, name, port};

/// A load assignment, compiled.
#[derive(Debug, Default)]
pub(crate) struct Assignment {
    pub(crate) hosts: Vec<HostPlan>,
}

/// One configured endpoint.
#[derive(Clone, Debug)]
pub(crate) struct HostPlan {
    pub(crate) target: Target,
    /// `endpoint.hostname`.
    hostname: Option<Arc<str>>,
    hash_key: Option<Arc<str>>,
    weight: u32,
    healthy: bool,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// At this address.
    Address(SocketAddr),
    /// At every address of this name.
    Name(Arc<str>, u16),
}

impl HostPlan {
    /// The host at one of the endpoint's addresses.
    pub(crate) fn host(&self, address: SocketAddr, state: Arc<HostState>) -> Host {
        let looked_up = match &self.target {
            Target::Address(_) => None,
            Target::Name(name, _) => Some(Arc::clone(name)),
        };
        Host {
            address,
            hostname: self.hostname.clone().or(looked_up),
            hash_key: self.hash_key.clone(),
            weight: self.weight,
            healthy: self.healthy,
            state,
        }
    }
}

impl Compiler {
    /// Compiles load assignments that are not known.
    pub(super) fn fresh_endpoints(
        &self,
        resources: &Resources,
        all: &mut Vec<Problem>,
    ) -> Known<ClusterLoadAssignment, Assignment> {
        let mut fresh = Known::default();
        for resource in self.memory.endpoints.unknown(resources) {
            let mut problems = Problems::of_resource(&resource.origin, &self.base.positions);
            let path = resource.origin.path();
            fresh.put(
                resource,
                compile(&resource.message, path, false, &mut problems),
            );
            all.append(&mut problems.list);
        }
        fresh
    }
}

/// Compiles the load assignment at `path`. With `by_name`, its endpoints may be names.
pub(super) fn compile(
    assignment: &ClusterLoadAssignment,
    path: &str,
    by_name: bool,
    problems: &mut Problems<'_>,
) -> Assignment {
    let mut hosts = Vec::new();
    for (l, locality) in assignment.endpoints.iter().enumerate() {
        let path = format!("{path}.endpoints[{l}]");
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
    Assignment { hosts }
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
        Ok(ip) => Target::Address(SocketAddr::new(ip, port)),
        Err(_) if by_name => Target::Name(name(&socket.address), port),
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
