//! Filter chains: for which connections each is, and what it does with them.

mod criteria;
mod inspection;

use std::{sync::Arc, time::Duration};

use crossdock_framework::drain::ChainDrain;
use crossdock_xds::envoy_types::pb::{
    envoy::{
        config::{
            core::v3::TrafficDirection,
            listener::v3::{FilterChain, Listener, filter::ConfigType},
        },
        extensions::filters::network::{
            http_connection_manager::v3::HttpConnectionManager, tcp_proxy::v3::TcpProxy,
        },
    },
    google::protobuf::{Any, Duration as ProtoDuration, Struct},
};

pub(super) use self::criteria::ranges;
pub(crate) use self::inspection::{Inspection, ListenFor, Proxied};
use super::{
    duration,
    listeners::{ListenerCompiler, Serves},
    own_settings,
    tls::Wrong,
};
use crate::{chains::Chains, settings::Settings, tls::ServerTls};

const HCM: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

/// How long a TLS handshake may take if the chain says nothing. Envoy has no limit then.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Filter chains of one listener.
const MAX_CHAINS: usize = 4096;

/// A filter chain.
#[derive(Debug)]
pub(crate) struct ChainPlan {
    /// `None` for plain text.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// How long the TLS handshake may take.
    pub(crate) handshake: Duration,
    /// Whether its connections are to end.
    pub(crate) drain: Arc<ChainDrain>,
    pub(crate) serves: Serves,
    /// What it was compiled from.
    said: Said,
}

/// Everything that a filter chain depends upon: a chain of which all of it is equal is the same.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    chain: FilterChain,
    inbound: bool,
    settings: Option<Struct>,
    /// `listener_filters_timeout`.
    timeout: Option<ProtoDuration>,
}

impl ListenerCompiler<'_, '_> {
    /// Compiles the chains of a listener.
    pub(super) fn chains(
        &mut self,
        listener: &Listener,
        settings: &Settings,
        path: &str,
    ) -> Option<(Chains, Vec<Arc<ChainPlan>>)> {
        let chains = &listener.filter_chains;
        if chains.is_empty() && listener.default_filter_chain.is_none() {
            self.problems
                .add(path, "the listener has no filter chain", "give it one");
            return None;
        }
        if chains.len() > MAX_CHAINS {
            let reason = format!("the listener has over {MAX_CHAINS} filter chains");
            let field = format!("{path}.filter_chains");
            self.problems.add(field, reason, "use several listeners");
            return None;
        }
        let (mut criteria, mut plans, mut good) = (Vec::new(), Vec::new(), true);
        for (ix, chain) in chains.iter().enumerate() {
            let path = format!("{path}.filter_chains[{ix}]");
            let given = chain.filter_chain_match.clone().unwrap_or_default();
            let field = format!("{path}.filter_chain_match");
            let asks = criteria::compile(&given, &field, self.problems);
            match (asks, self.chain(chain, listener, settings, &path)) {
                (Ok(asks), Some(plan)) => {
                    criteria.push(asks);
                    plans.push(plan);
                }
                _ => good = false,
            }
        }
        let default = match &listener.default_filter_chain {
            Some(chain) => {
                let path = format!("{path}.default_filter_chain");
                good &= self.no_match(chain, &path);
                let plan = self.chain(chain, listener, settings, &path);
                good &= plan.is_some();
                plans.extend(plan);
                Some(plans.len().saturating_sub(1))
            }
            None => None,
        };
        if !good {
            return None;
        }
        self.unambiguous(Chains::new(criteria, default), path)
            .map(|chains| (chains, plans))
    }

    /// As Envoy, which would look at the match of a default chain, and refuses it instead.
    fn no_match(&mut self, chain: &FilterChain, path: &str) -> bool {
        let none = chain
            .filter_chain_match
            .as_ref()
            .is_none_or(|given| *given == Default::default());
        if !none {
            let reason = "the default filter chain is for all connections that fit no other";
            let field = format!("{path}.filter_chain_match");
            self.problems.add(field, reason, "remove it");
        }
        none
    }

    fn unambiguous(&mut self, chains: Chains, path: &str) -> Option<Chains> {
        let Some((first, second)) = chains.ambiguous() else {
            return Some(chains);
        };
        self.problems.add(
            format!("{path}.filter_chains[{second}].filter_chain_match"),
            format!("filter_chains[{first}] is for the same connections"),
            "let one of them ask for something else",
        );
        None
    }

    /// The chain, or the one that is known already.
    fn chain(
        &mut self,
        chain: &FilterChain,
        listener: &Listener,
        settings: &Settings,
        path: &str,
    ) -> Option<Arc<ChainPlan>> {
        let said = Said {
            chain: chain.clone(),
            inbound: listener.traffic_direction() == TrafficDirection::Inbound,
            settings: own_settings(listener.metadata.as_ref()).cloned(),
            timeout: listener.listener_filters_timeout,
        };
        let mut known = self.before.iter().flat_map(|before| &before.plans);
        if let Some(known) = known.find(|known| known.said == said) {
            return Some(Arc::clone(known));
        }
        let tls = self.secure(chain, path);
        let serves =
            self.only_filter(chain, path)
                .and_then(|(any, kind, path)| match kind.as_str() {
                    HCM => {
                        let hcm = self.decode::<HttpConnectionManager>(any, &path)?;
                        let plan = self.rpc(&hcm, listener, settings, &path)?;
                        Some(Serves::Rpc(Box::new(plan)))
                    }
                    TCP_PROXY => {
                        let proxy = self.decode::<TcpProxy>(any, &path)?;
                        self.tcp(&proxy, &path).map(Serves::Tcp)
                    }
                    other => {
                        self.problems.add(
                            &path,
                            format!("the network filter {other} is not in this version"),
                            "use http_connection_manager or tcp_proxy",
                        );
                        None
                    }
                });
        let given = chain.transport_socket_connect_timeout.as_ref();
        let handshake = given.and_then(duration).filter(|time| !time.is_zero());
        let (Ok(tls), Some(serves)) = (tls, serves) else {
            return None;
        };
        let plan = Arc::new(ChainPlan {
            tls,
            handshake: handshake.unwrap_or(HANDSHAKE),
            drain: ChainDrain::new(said.inbound),
            serves,
            said,
        });
        if let Serves::Rpc(rpc) = &plan.serves {
            self.slots.take(rpc.place, &plan);
        }
        Some(plan)
    }

    /// What shakes hands with its clients. One that says the same is used further, so that clients
    /// resume their sessions.
    fn secure(&mut self, chain: &FilterChain, path: &str) -> Result<Option<Arc<ServerTls>>, Wrong> {
        let socket = chain.transport_socket.as_ref();
        let mut known = self.before.iter().flat_map(|before| &before.plans);
        match known.find(|known| known.said.chain.transport_socket.as_ref() == socket) {
            Some(known) => Ok(known.tls.clone()),
            None => self.tls.downstream(socket, path, self.problems),
        }
    }

    fn only_filter<'p>(
        &mut self,
        chain: &'p FilterChain,
        path: &str,
    ) -> Option<(&'p Any, String, String)> {
        let [filter] = chain.filters.as_slice() else {
            let (reason, cure) = match chain.filters.len() {
                0 => (
                    "the filter chain is empty",
                    "give it an http_connection_manager",
                ),
                _ => (
                    "several network filters in one chain are not in this version",
                    "leave only http_connection_manager or tcp_proxy",
                ),
            };
            self.problems.add(format!("{path}.filters"), reason, cure);
            return None;
        };
        let path = format!("{path}.filters[0].typed_config");
        match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => {
                let type_name = any
                    .type_url
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                Some((any, type_name, path))
            }
            _ => {
                self.problems.add(
                    path,
                    "the filter has no configuration",
                    "give a typed_config",
                );
                None
            }
        }
    }

    pub(super) fn decode<M: prost::Message + Default>(
        &mut self,
        any: &Any,
        path: &str,
    ) -> Option<M> {
        let decoded = M::decode(any.value.as_slice());
        decoded
            .inspect_err(|error| {
                self.problems
                    .add(path, format!("not a message of its type: {error}"), "");
            })
            .ok()
    }
}
