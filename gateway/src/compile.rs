//! From the bootstrap's messages to what the framework runs: the one place that knows both.
//!
//! Every problem is collected before any is reported, and nothing is bound or started before the
//! whole configuration has compiled: a wrong file never starts half.

mod chains;
mod clusters;
mod filters;
mod http;
mod listeners;
mod outlier;
mod tcp;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crossdock_framework::{log::AccessLog, snapshot::Snapshot, stats::Registry};
use crossdock_xds::{
    Problem,
    bootstrap::Loaded,
    envoy_types::pb::{
        envoy::config::{
            bootstrap::v3::runtime_layer::LayerSpecifier,
            core::v3::{Address, Metadata, address, socket_address::PortSpecifier},
        },
        google::protobuf::{Duration as ProtoDuration, Struct},
    },
};

pub(crate) use self::{
    chains::{ChainPlan, Inspection, ListenFor},
    clusters::{ClusterPlan, DnsTarget},
    listeners::{ListenerPlan, RpcPlan, Serves},
    tcp::TcpPlan,
};
use crate::{
    access_log::Files,
    settings::{Settings, Wrong},
    tls::Contexts,
};

/// A configuration, compiled.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What is listened to.
    pub(crate) listeners: Vec<ListenerPlan>,
    /// The clusters, in the order of the snapshot.
    pub(crate) clusters: Vec<ClusterPlan>,
    /// The first snapshot; clusters that are found by DNS have no hosts in it yet.
    pub(crate) snapshot: Snapshot,
    /// Where the admin endpoint listens.
    pub(crate) admin: Option<SocketAddr>,
    /// Bytes that the process may buffer.
    pub(crate) buffer_bytes: usize,
    /// Certificates in use.
    pub(crate) certificates: Contexts,
}

/// Compiles a configuration.
///
/// # Errors
///
/// Every problem, in the order of the file.
pub(crate) fn compile(
    loaded: &Loaded,
    registry: &Registry,
    files: &Files,
) -> Result<Plan, Vec<Problem>> {
    compile_watched(loaded, registry, files, None)
}

/// As [`compile`]; `watch` sees every call beside the configured access logs.
///
/// # Errors
///
/// As [`compile`].
pub(crate) fn compile_watched(
    loaded: &Loaded,
    registry: &Registry,
    files: &Files,
    watch: Option<Arc<dyn AccessLog>>,
) -> Result<Plan, Vec<Problem>> {
    let mut problems = Problems {
        loaded,
        list: Vec::new(),
    };
    if loaded.bootstrap.dynamic_resources.is_some() {
        let reason = "resources that are discovered are not served in this version";
        problems.add("dynamic_resources", reason, "use `static_resources`");
    }
    let settings = runtime(&mut problems);
    let admin = admin(&mut problems);
    let resources = loaded
        .bootstrap
        .static_resources
        .clone()
        .unwrap_or_default();
    let certificates = Contexts::default();
    let tls = tls::TlsCompiler {
        secrets: &resources.secrets,
        contexts: &certificates,
    };
    let clusters = &resources.clusters;
    let mut clusters = clusters::compile(clusters, &settings, registry, tls, &mut problems);
    let built = clusters.iter_mut().map(ClusterPlan::build).collect();
    let mut snapshot = Snapshot::new(built);
    let (filters, states) = (
        crossdock_filters::Registry::standard(),
        crossdock_filters::States::default(),
    );
    let listeners = {
        let mut compiler = listeners::Compiler {
            settings: &settings,
            registry,
            files,
            watch,
            filters: &filters,
            states: &states,
            clusters: resources.clusters.iter().map(|c| c.name.as_str()).collect(),
            tls,
            snapshot: &mut snapshot,
            problems: &mut problems,
        };
        compiler.compile(&resources.listeners, admin)
    };
    if listeners.is_empty() && problems.list.is_empty() {
        tracing::warn!("the configuration has no listener: nothing will be served");
    }
    match problems.list.is_empty() {
        true => Ok(Plan {
            listeners,
            clusters,
            snapshot,
            admin,
            buffer_bytes: settings.buffer_bytes(),
            certificates,
        }),
        false => {
            problems.list.sort();
            problems.list.dedup();
            Err(problems.list)
        }
    }
}

/// Problems with the places of their fields.
struct Problems<'l> {
    loaded: &'l Loaded,
    list: Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, path: impl Into<String>, reason: impl Into<String>, cure: impl Into<String>) {
        self.list.push(self.loaded.problem(path, reason, cure));
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
fn runtime(problems: &mut Problems<'_>) -> Settings {
    let mut settings = Settings::default();
    let layers = problems
        .loaded
        .bootstrap
        .layered_runtime
        .clone()
        .unwrap_or_default()
        .layers;
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
fn admin(problems: &mut Problems<'_>) -> Option<SocketAddr> {
    let admin = problems.loaded.bootstrap.admin.clone()?;
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
