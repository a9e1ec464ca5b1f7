//! Listeners, and the HTTP connection manager.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crossdock_bolt::Bolt;
use crossdock_dubbo::Dubbo;
use crossdock_framework::{protocol::Protocol, relay::Framed, snapshot::PolicyIx};
use crossdock_http::{Http1, Http2};
use crossdock_xds::{
    Problem,
    discovery::{Resource, Resources},
    envoy_types::pb::envoy::{
        config::{core::v3::TrafficDirection, listener::v3::Listener},
        extensions::filters::network::http_connection_manager::v3::HttpConnectionManager,
    },
};

use super::{
    Compiler, Problems, Tools,
    chains::{ChainPlan, Inspection},
    duration, index_in,
    memory::Known,
    name, own_settings,
    policies::PolicyPlan,
    slots::Slots,
    socket_address,
    tcp::TcpPlan,
    tls::TlsCompiler,
};
use crate::{
    access_log::{self, Log},
    chains::Chains,
    settings::Settings,
};

/// Envoy's `listener_filters_timeout`: how long the protocol of a connection may stay unknown.
pub(super) const DETECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A listener, compiled.
#[derive(Debug)]
pub(crate) struct ListenerPlan {
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    /// Connections at the same time.
    pub(crate) connections: usize,
    /// Its `traffic_direction` is INBOUND.
    pub(crate) inbound: bool,
    /// Where ended connections are written.
    pub(crate) logs: Arc<[Arc<Log>]>,
    /// What is looked at before a chain is chosen.
    pub(crate) inspection: Arc<Inspection>,
    /// How a chain is chosen.
    pub(crate) chains: Chains,
    /// The chains, in the order of [`Chains`].
    pub(crate) plans: Vec<Arc<ChainPlan>>,
}

/// What a filter chain does with its connections.
#[derive(Debug)]
pub(crate) enum Serves {
    /// Calls of every protocol that is told by its first bytes.
    Rpc(Box<RpcPlan>),
    /// Bytes.
    Tcp(TcpPlan),
}

/// An HTTP connection manager, which serves RPC too.
#[derive(Debug)]
pub(crate) struct RpcPlan {
    /// The place of its policy, for as long as there is a connection.
    pub(crate) place: PolicyIx,
    pub(crate) policy: PolicyPlan,
    pub(crate) protocols: Vec<Arc<dyn Protocol>>,
    pub(crate) detect_timeout: Duration,
    /// Where connections of unknown protocols go.
    pub(crate) fallback: Option<TcpPlan>,
}

/// What one listener is compiled with.
pub(super) struct ListenerCompiler<'c, 'l> {
    pub(super) settings: &'c Settings,
    /// The cluster that this process belongs to.
    pub(super) local_cluster: &'c Arc<str>,
    pub(super) tools: &'c Tools,
    pub(super) resources: &'c Resources,
    pub(super) tls: TlsCompiler<'c>,
    pub(super) slots: &'c mut Slots,
    /// The versions of the listener that are known: chains that they have are not compiled again.
    pub(super) before: Vec<Arc<ListenerPlan>>,
    /// Whether the listener was discovered.
    pub(super) dynamic: bool,
    pub(super) problems: &'c mut Problems<'l>,
}

impl Compiler {
    /// Compiles listeners that are not known.
    pub(super) fn fresh_listeners(
        &mut self,
        resources: &Resources,
        all: &mut Vec<Problem>,
    ) -> Known<Listener, ListenerPlan> {
        let mut fresh = Known::default();
        let (base, known) = (&self.base, &self.memory.listeners);
        for resource in known.unknown(resources) {
            let mut problems = Problems::of_resource(&resource.origin, &base.positions);
            let mut compiler = ListenerCompiler {
                settings: &base.settings,
                local_cluster: &base.local_cluster,
                tools: &self.tools,
                resources,
                tls: TlsCompiler {
                    secrets: &base.secrets,
                    contexts: &base.certificates,
                    positions: &base.positions,
                },
                slots: &mut self.slots,
                before: known.versions(&resource.name).cloned().collect(),
                dynamic: resource.origin.is_dynamic(),
                problems: &mut problems,
            };
            if let Some(plan) = compiler.listener(resource) {
                fresh.put(resource, plan);
            }
            all.append(&mut problems.list);
        }
        self.slots.release();
        fresh
    }
}

impl ListenerCompiler<'_, '_> {
    fn listener(&mut self, resource: &Resource<Listener>) -> Option<ListenerPlan> {
        let (listener, path) = (&*resource.message, resource.origin.path());
        let mut wrong = Vec::new();
        let own = own_settings(listener.metadata.as_ref());
        let settings = self.settings.for_listener(own, path, &mut wrong);
        self.problems.settings(wrong);
        let address = match &listener.address {
            Some(address) => socket_address(address, &format!("{path}.address"), self.problems),
            None => {
                self.problems
                    .add(path, "the listener has no address", "give it one");
                None
            }
        };
        let logs = access_log::of_connections(&listener.access_log, &self.tools.files)
            .map_err(|inner| self.problems.within(path, inner))
            .ok();
        // At another address it is another listener: the connections of this one come to their end.
        self.before.retain(|before| Some(before.address) == address);
        let inbound = listener.traffic_direction() == TrafficDirection::Inbound;
        let (chains, plans) = self.chains(listener, &settings, path)?;
        let inspection = self.inspection(listener, &chains, &settings, path);
        let shown = match listener.name.as_str() {
            "" => format!("listener-{}", index_in(&resource.origin))
                .as_str()
                .into(),
            given => name(given),
        };
        let (address, logs) = (address?, logs?);
        Some(ListenerPlan {
            name: shown,
            address,
            connections: settings.connections(),
            inbound,
            logs: logs.into(),
            inspection: Arc::new(inspection),
            chains,
            plans,
        })
    }

    pub(super) fn rpc(
        &mut self,
        hcm: &HttpConnectionManager,
        listener: &Listener,
        settings: &Settings,
        path: &str,
    ) -> Option<RpcPlan> {
        let policy = self.policy(hcm, listener, settings, path);
        let protocols = self.protocols(settings);
        let fallback = self.fallback(settings, &hcm.stat_prefix);
        let (policy, protocols) = (policy?, protocols?);
        let given = listener
            .listener_filters_timeout
            .as_ref()
            .and_then(duration);
        let detect = settings
            .detect_timeout()
            .or_else(|| given.filter(|time| *time > Duration::ZERO));
        Some(RpcPlan {
            place: self.slots.reserve(),
            policy,
            protocols,
            detect_timeout: detect.unwrap_or(DETECT_TIMEOUT),
            fallback,
        })
    }

    /// The codecs that a connection is probed for, in the order that never changes.
    fn protocols(&mut self, settings: &Settings) -> Option<Vec<Arc<dyn Protocol>>> {
        let all: [Arc<dyn Protocol>; 4] = [
            Arc::new(Framed::<Dubbo>::default()),
            Arc::new(Framed::<Bolt>::default()),
            Arc::new(Http2),
            Arc::new(Http1),
        ];
        let Some(wanted) = settings.codecs() else {
            return Some(all.into());
        };
        let known = |name: &String| all.iter().any(|codec| codec.name() == name);
        let wrong = match wanted.iter().find(|name| !known(name)) {
            Some(unknown) => Some(format!("'{unknown}' is no codec")),
            None => wanted.is_empty().then(|| "no codec is named".to_owned()),
        };
        if let Some(reason) = wrong {
            self.problems.add(
                settings.path("codecs"),
                reason,
                "name some of dubbo, bolt, http2 and http1, with commas; plain bytes are for tcp_proxy",
            );
            return None;
        }
        Some(
            all.into_iter()
                .filter(|known| wanted.iter().any(|n| n == known.name()))
                .collect(),
        )
    }
}
