//! From Envoy's messages to what the framework runs: the one place that knows both.
//!
//! Resources of the bootstrap and those that are discovered go the same way. Every problem is
//! collected before any is reported, and nothing is kept of what does not compile as a whole: a
//! wrong file never comes into force half.

mod chains;
mod clusters;
mod endpoints;
mod filters;
mod http;
mod listeners;
mod memory;
mod outlier;
mod policies;
mod routes;
mod slots;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use crossdock_framework::{log::AccessLog, stats::Registry};
use crossdock_xds::{
    Positions, Problem,
    bootstrap::Loaded,
    discovery::{Origin, Resource, Resources},
    envoy_types::pb::{
        envoy::{
            config::{
                bootstrap::v3::{Bootstrap, runtime_layer::LayerSpecifier},
                cluster::v3::Cluster,
                core::v3::{Address, Metadata, address, socket_address::PortSpecifier},
                endpoint::v3::ClusterLoadAssignment,
                listener::v3::Listener,
                route::v3::RouteConfiguration,
            },
            extensions::transport_sockets::tls::v3::Secret,
        },
        google::protobuf::{Duration as ProtoDuration, Struct},
    },
};

pub(crate) use self::{
    chains::{ChainPlan, ListenFor, Proxied},
    clusters::ClusterPlan,
    endpoints::{Assignment, HostPlan, Target},
    filters::FilterTools,
    listeners::{ListenerPlan, RpcPlan, Serves},
    policies::{Bound, RoutesFrom},
    routes::Routes,
    tcp::TcpPlan,
};
use self::{memory::Memory, slots::Slots};
use crate::{
    access_log::Files,
    settings::{Settings, Wrong},
    tls::Contexts,
};

/// What is compiled is counted, logged and watched with these.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) registry: Arc<Registry>,
    pub(crate) files: Arc<Files>,
    /// Sees every call beside the configured access logs.
    pub(crate) watch: Option<Arc<dyn AccessLog>>,
    pub(crate) filters: Arc<FilterTools>,
}

impl Tools {
    /// Tools that leave no trace, to find out whether a configuration is right.
    pub(crate) fn unused() -> Self {
        Self {
            registry: Arc::new(Registry::new(0)),
            files: Arc::new(Files::unopened()),
            watch: None,
            filters: Arc::default(),
        }
    }
}

/// Compiles resources, each once: what says the same as before is what it was before.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// What the bootstrap says besides its resources.
    base: Base,
    tools: Tools,
    memory: Memory,
    slots: Slots,
}

/// What the bootstrap says about the process.
#[derive(Debug)]
pub(crate) struct Base {
    settings: Settings,
    secrets: Arc<[Secret]>,
    positions: Arc<Positions>,
    /// The cluster that this process belongs to (`node.cluster`).
    local_cluster: Arc<str>,
    /// Where the admin endpoint listens.
    pub(crate) admin: Option<SocketAddr>,
    /// Bytes that the process may buffer.
    pub(crate) buffer_bytes: usize,
    /// Certificates in use.
    pub(crate) certificates: Arc<Contexts>,
}

impl Compiler {
    /// Compiles what a bootstrap file says, and gives its resources.
    ///
    /// # Errors
    ///
    /// Every problem, in the order of the file.
    pub(crate) fn new(loaded: &Loaded, tools: Tools) -> Result<(Self, Resources), Vec<Problem>> {
        let mut problems = Problems::of_bootstrap(&loaded.positions);
        let settings = runtime(&loaded.bootstrap, &mut problems);
        let admin = admin(&loaded.bootstrap, &mut problems);
        name_each(&loaded.bootstrap, &mut problems);
        let given = loaded.bootstrap.static_resources.as_ref();
        let node = loaded.bootstrap.node.as_ref();
        let mut compiler = Self {
            base: Base {
                buffer_bytes: settings.buffer_bytes(),
                settings,
                secrets: given.map_or_else(Arc::default, |given| given.secrets.as_slice().into()),
                positions: Arc::clone(&loaded.positions),
                local_cluster: name(node.map_or("", |node| &node.cluster)),
                admin,
                certificates: Arc::default(),
            },
            tools,
            memory: Memory::default(),
            slots: Slots::default(),
        };
        let resources = Resources::of_bootstrap(loaded);
        let mut list = problems.list;
        if let Err(more) = compiler.prepare(&resources) {
            list.extend(more);
        }
        match list.is_empty() {
            true => Ok((compiler, resources)),
            false => Err(in_order(list)),
        }
    }

    /// What the bootstrap says about the process.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Compiles those resources that are not known yet, and keeps them all, or none.
    ///
    /// # Errors
    ///
    /// Every problem, in the order of the files.
    pub(crate) fn prepare(&mut self, resources: &Resources) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let fresh = Memory {
            clusters: self.fresh_clusters(resources, &mut problems),
            endpoints: self.fresh_endpoints(resources, &mut problems),
            routes: self.fresh_routes(resources, &mut problems),
            listeners: self.fresh_listeners(resources, &mut problems),
        };
        self.tell_addresses_apart(resources, &fresh, &mut problems);
        match problems.is_empty() {
            true => {
                self.memory.add(fresh);
                Ok(())
            }
            false => Err(in_order(problems)),
        }
    }

    /// Forgets what none of these say.
    pub(crate) fn forget(&mut self, except: [&Resources; 2]) {
        self.memory.keep(&except);
    }

    /// A cluster that has been prepared.
    pub(crate) fn cluster(&self, resource: &Resource<Cluster>) -> Option<&Arc<ClusterPlan>> {
        self.memory.clusters.get(resource)
    }

    /// A load assignment that has been prepared.
    pub(crate) fn assignment(
        &self,
        resource: &Resource<ClusterLoadAssignment>,
    ) -> Option<&Arc<Assignment>> {
        self.memory.endpoints.get(resource)
    }

    /// A route table that has been prepared.
    pub(crate) fn routes(&self, resource: &Resource<RouteConfiguration>) -> Option<&Arc<Routes>> {
        self.memory.routes.get(resource)
    }

    /// A listener that has been prepared.
    pub(crate) fn listener(&self, resource: &Resource<Listener>) -> Option<&Arc<ListenerPlan>> {
        self.memory.listeners.get(resource)
    }

    /// Every filter chain that there is, those without a listener among them, while they have
    /// connections.
    pub(crate) fn living_chains(&self) -> Vec<Arc<ChainPlan>> {
        self.slots.living()
    }

    /// No two listeners may have one address, and none that of the admin endpoint.
    fn tell_addresses_apart(
        &self,
        resources: &Resources,
        fresh: &Memory,
        problems: &mut Vec<Problem>,
    ) {
        let mut listeners: Vec<_> = resources.listeners.values().collect();
        listeners.sort_by_key(|listener| {
            let origin = &listener.origin;
            (origin.is_dynamic(), index_in(origin), &listener.name)
        });
        let mut addresses = HashSet::new();
        for listener in listeners {
            let known = fresh.listeners.get(listener);
            let Some(plan) = known.or_else(|| self.listener(listener)) else {
                continue;
            };
            let address = plan.address;
            let taken = match self.base.admin == Some(address) {
                _ if address.port() == 0 => None,
                true => Some("the admin endpoint is"),
                false => (!addresses.insert(address)).then_some("another listener is"),
            };
            if let Some(who) = taken {
                let reason = format!("{who} at {address} already");
                let cure = "give each a port of its own";
                problems.push(listener.origin.problem("address", reason, cure));
            }
        }
    }
}

/// Compiles a bootstrap file and drops what comes of it.
///
/// # Errors
///
/// Every problem, in the order of the file.
pub(crate) fn check(loaded: &Loaded) -> Result<(), Vec<Problem>> {
    Compiler::new(loaded, Tools::unused()).map(drop)
}

/// Of several static resources with one name none would be the right one.
fn name_each(bootstrap: &Bootstrap, problems: &mut Problems<'_>) {
    let Some(given) = &bootstrap.static_resources else {
        return;
    };
    let (mut clusters, mut listeners) = (HashSet::new(), HashSet::new());
    for (ix, cluster) in given.clusters.iter().enumerate() {
        let name = cluster.name.as_str();
        let path = format!("static_resources.clusters[{ix}].name");
        if name.is_empty() {
            problems.add(path, "the cluster has no name", "name it");
        } else if !clusters.insert(name) {
            let reason = format!("there are two clusters '{name}'");
            problems.add(path, reason, "rename one of them");
        }
    }
    for (ix, listener) in given.listeners.iter().enumerate() {
        let name = listener.name.as_str();
        if !name.is_empty() && !listeners.insert(name) {
            let path = format!("static_resources.listeners[{ix}].name");
            let reason = format!("there are two listeners '{name}'");
            problems.add(path, reason, "rename one of them");
        }
    }
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    problems
}

/// The place of a resource in the list that it stands in.
fn index_in(origin: &Origin) -> usize {
    let index = origin
        .path()
        .rsplit_once('[')
        .map_or("", |(_, index)| index);
    let digits = index.split(']').next().unwrap_or_default();
    digits.parse().unwrap_or(usize::MAX)
}

/// Problems with the places of their fields.
struct Problems<'p> {
    bootstrap: &'p Positions,
    /// The resource that is looked at.
    origin: Option<&'p Origin>,
    list: Vec<Problem>,
}

impl<'p> Problems<'p> {
    /// Of a bootstrap file as a whole.
    fn of_bootstrap(bootstrap: &'p Positions) -> Self {
        Self {
            bootstrap,
            origin: None,
            list: Vec::new(),
        }
    }

    /// Of one resource. Its settings may stand in the bootstrap file.
    fn of_resource(origin: &'p Origin, bootstrap: &'p Positions) -> Self {
        Self {
            bootstrap,
            origin: Some(origin),
            list: Vec::new(),
        }
    }

    fn add(&mut self, path: impl Into<String>, reason: impl Into<String>, cure: impl Into<String>) {
        let path = path.into();
        let within = self.origin.and_then(|origin| {
            let rest = path.strip_prefix(origin.path())?;
            let own = rest
                .is_empty()
                .then_some("")
                .or_else(|| rest.strip_prefix('.'));
            Some((origin, own?))
        });
        self.list.push(match within {
            Some((origin, own)) => origin.problem(own, reason, cure),
            None => Problem {
                at: self.bootstrap.locate(&path),
                path,
                reason: reason.into(),
                cure: cure.into(),
            },
        });
    }

    /// Problems of a part that names its fields relative to `path`.
    fn within(&mut self, path: &str, inner: Vec<crossdock_routers::Problem>) {
        for problem in inner {
            let full = match problem.path.is_empty() {
                true => path.to_owned(),
                false => format!("{path}.{}", problem.path),
            };
            self.add(full, problem.reason, problem.cure);
        }
    }

    fn settings(&mut self, wrong: Vec<Wrong>) {
        for wrong in wrong {
            self.add(wrong.path, wrong.reason, wrong.cure);
        }
    }
}

/// The settings in `layered_runtime`; later layers go before earlier ones.
fn runtime(bootstrap: &Bootstrap, problems: &mut Problems<'_>) -> Settings {
    let mut settings = Settings::default();
    let layers = bootstrap.layered_runtime.clone().unwrap_or_default().layers;
    for (ix, layer) in layers.iter().enumerate() {
        if let Some(LayerSpecifier::StaticLayer(layer)) = &layer.layer_specifier {
            let mut wrong = Vec::new();
            let path = format!("layered_runtime.layers[{ix}].static_layer");
            settings.add_runtime(layer, &path, &mut wrong);
            problems.settings(wrong);
        }
    }
    settings
}

/// The address of the admin endpoint: it can end the process, so it is for this machine alone.
fn admin(bootstrap: &Bootstrap, problems: &mut Problems<'_>) -> Option<SocketAddr> {
    let admin = bootstrap.admin.as_ref()?;
    let path = "admin.address";
    let address = socket_address(admin.address.as_ref()?, path, problems)?;
    if !address.ip().is_loopback() {
        problems.add(
            "admin.address.socket_address.address",
            format!(
                "{} may be reached from other machines, and the admin endpoint has no \
                 authentication",
                address.ip()
            ),
            "use 127.0.0.1 or ::1",
        );
        return None;
    }
    Some(address)
}

/// A numeric socket address.
fn socket_address(
    address: &Address,
    path: &str,
    problems: &mut Problems<'_>,
) -> Option<SocketAddr> {
    let Some(address::Address::SocketAddress(socket)) = &address.address else {
        problems.add(path, "not a TCP socket address", "use socket_address");
        return None;
    };
    let path = format!("{path}.socket_address");
    let Ok(ip) = socket.address.parse() else {
        problems.add(
            format!("{path}.address"),
            format!("'{}' is not an IP address", socket.address),
            "write one, such as 127.0.0.1; only a STRICT_DNS cluster takes names",
        );
        return None;
    };
    Some(SocketAddr::new(
        ip,
        port(socket.port_specifier.as_ref(), &path, problems)?,
    ))
}

fn port(port: Option<&PortSpecifier>, path: &str, problems: &mut Problems<'_>) -> Option<u16> {
    let value = match port {
        Some(PortSpecifier::PortValue(value)) => u16::try_from(*value).ok(),
        _ => None,
    };
    if value.is_none() {
        problems.add(
            format!("{path}.port_value"),
            "there is no port from 0 to 65535",
            "give a port_value",
        );
    }
    value
}

/// The settings in `filter_metadata.crossdock`.
fn own_settings(metadata: Option<&Metadata>) -> Option<&Struct> {
    metadata?.filter_metadata.get("crossdock")
}

/// A time of the configuration; `None` for a negative one.
fn duration(given: &ProtoDuration) -> Option<Duration> {
    let (seconds, nanos) = (
        u64::try_from(given.seconds).ok()?,
        u32::try_from(given.nanos).ok()?,
    );
    (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

/// Shares a name.
fn name(text: &str) -> Arc<str> {
    Arc::from(text)
}
