//! Listeners, and the HTTP connection manager.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use crossdock_bolt::Bolt;
use crossdock_dubbo::Dubbo;
use crossdock_framework::{
    log::AccessLog,
    protocol::Protocol,
    relay::Framed,
    route::Router,
    snapshot::{HttpMetric, Policy, PolicyIx, Snapshot},
    stats::Registry,
};
use crossdock_http::{Http1, Http2};
use crossdock_routers::{Options, RouteTable};
use crossdock_xds::envoy_types::pb::envoy::{
    config::{core::v3::TrafficDirection, listener::v3::Listener, route::v3::RouteConfiguration},
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, http_connection_manager::RouteSpecifier,
    },
};

use super::{
    Problems,
    chains::{ChainPlan, Inspection},
    duration, http, name, own_settings, socket_address,
    tcp::TcpPlan,
    tls::TlsCompiler,
};
use crate::{
    access_log::{self, Files, Log},
    chains::Chains,
    settings::Settings,
};

/// Envoy's `listener_filters_timeout`: how long the protocol of a connection may stay unknown.
pub(super) const DETECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A listener to bind.
#[derive(Debug)]
pub(crate) struct ListenerPlan {
    pub(crate) name: Arc<str>,
    pub(crate) address: SocketAddr,
    /// Connections at the same time.
    pub(crate) connections: usize,
    /// Its `traffic_direction` is INBOUND.
    pub(crate) inbound: bool,
    /// Where ended connections are written.
    pub(crate) logs: Vec<Arc<Log>>,
    /// What is looked at before a chain is chosen.
    pub(crate) inspection: Inspection,
    /// How a chain is chosen.
    pub(crate) chains: Chains,
    /// The chains, in the order of [`Chains`].
    pub(crate) plans: Vec<ChainPlan>,
}

/// What a filter chain does with its connections.
#[derive(Debug)]
pub(crate) enum Serves {
    /// Calls of every protocol that is told by its first bytes.
    Rpc(RpcPlan),
    /// Bytes.
    Tcp(TcpPlan),
}

/// An HTTP connection manager, which serves RPC too.
#[derive(Debug)]
pub(crate) struct RpcPlan {
    pub(crate) policy: PolicyIx,
    pub(crate) protocols: Vec<Arc<dyn Protocol>>,
    pub(crate) detect_timeout: Duration,
    /// Where connections of unknown protocols go.
    pub(crate) fallback: Option<TcpPlan>,
}

/// What listeners are compiled with.
pub(super) struct Compiler<'c, 'l> {
    pub(super) settings: &'c Settings,
    pub(super) registry: &'c Registry,
    pub(super) files: &'c Files,
    /// Sees every call beside the configured access logs.
    pub(super) watch: Option<Arc<dyn AccessLog>>,
    /// The filters that may be asked for, and what they keep.
    pub(super) filters: &'c crossdock_filters::Registry,
    pub(super) states: &'c crossdock_filters::States,
    /// The names of all clusters, also of those that have not compiled.
    pub(super) clusters: HashSet<&'c str>,
    pub(super) tls: TlsCompiler<'c>,
    pub(super) snapshot: &'c mut Snapshot,
    pub(super) problems: &'c mut Problems<'l>,
}

impl Compiler<'_, '_> {
    /// Compiles every listener; none may be at the address `admin`.
    pub(super) fn compile(
        &mut self,
        listeners: &[Listener],
        admin: Option<SocketAddr>,
    ) -> Vec<ListenerPlan> {
        let (mut names, mut addresses) = (HashSet::new(), HashSet::new());
        let mut plans = Vec::new();
        for (ix, listener) in listeners.iter().enumerate() {
            let path = format!("static_resources.listeners[{ix}]");
            if !listener.name.is_empty() && !names.insert(listener.name.as_str()) {
                let reason = format!("there are two listeners '{}'", listener.name);
                self.problems
                    .add(format!("{path}.name"), reason, "rename one of them");
            }
            let Some(plan) = self.listener(listener, ix, &path) else {
                continue;
            };
            if plan.address.port() != 0 {
                let taken = match admin == Some(plan.address) {
                    true => Some("the admin endpoint is"),
                    false => (!addresses.insert(plan.address)).then_some("another listener is"),
                };
                if let Some(who) = taken {
                    let reason = format!("{who} at {} already", plan.address);
                    self.problems.add(
                        format!("{path}.address"),
                        reason,
                        "give each a port of its own",
                    );
                }
            }
            plans.push(plan);
        }
        plans
    }

    fn listener(&mut self, listener: &Listener, ix: usize, path: &str) -> Option<ListenerPlan> {
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
        let logs = access_log::of_connections(&listener.access_log, self.files)
            .map_err(|inner| self.problems.within(path, inner))
            .ok();
        let inbound = listener.traffic_direction() == TrafficDirection::Inbound;
        let (chains, plans) = self.chains(listener, &settings, path)?;
        let inspection = self.inspection(listener, &chains, &settings, path);
        let shown = match listener.name.as_str() {
            "" => format!("listener-{ix}"),
            given => given.to_owned(),
        };
        let (address, logs) = (address?, logs?);
        Some(ListenerPlan {
            name: name(&shown),
            address,
            connections: settings.connections(),
            inbound,
            logs,
            inspection,
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
        let router = self.router(hcm, path);
        let logs = access_log::compile(&hcm.access_log, self.files)
            .map_err(|inner| self.problems.within(path, inner))
            .ok();
        let protocols = self.protocols(settings);
        let fallback = self.fallback(settings, &hcm.stat_prefix);
        let limits = settings.downstream(http::limits(hcm));
        let filters = match (&hcm.route_specifier, &router) {
            (Some(RouteSpecifier::RouteConfig(config)), Some(table)) => {
                self.filters(hcm, (config, table), &listener.name, path)
            }
            _ => None,
        };
        let (router, logs, protocols) = (router?, logs?, protocols?);
        let policy = Policy {
            name: name(&hcm.stat_prefix),
            links: self.snapshot.link(router.as_ref()),
            router,
            filters: filters?,
            logs: logs.into_iter().chain(self.watch.clone()).collect(),
            stats: self.registry.group::<HttpMetric>("http", &hcm.stat_prefix),
            limits,
            http: http::policy(hcm, path, self.problems),
        };
        let given = listener
            .listener_filters_timeout
            .as_ref()
            .and_then(duration);
        let detect = settings
            .detect_timeout()
            .or_else(|| given.filter(|time| *time > Duration::ZERO));
        Some(RpcPlan {
            policy: self.snapshot.add_policy(Arc::new(policy)),
            protocols,
            detect_timeout: detect.unwrap_or(DETECT_TIMEOUT),
            fallback,
        })
    }

    fn router(&mut self, hcm: &HttpConnectionManager, path: &str) -> Option<Arc<RouteTable>> {
        let Some(RouteSpecifier::RouteConfig(config)) = &hcm.route_specifier else {
            let (reason, cure) = match &hcm.route_specifier {
                None => (
                    "there is no route configuration",
                    "give an inline route_config",
                ),
                _ => (
                    "routes over the network are not in this version",
                    "use route_config",
                ),
            };
            self.problems.add(path, reason, cure);
            return None;
        };
        let path = format!("{path}.route_config");
        let options = Options {
            suppress_envoy_headers: http::router(hcm).suppress_envoy_headers,
        };
        match RouteTable::compile_with(config, options) {
            Ok(table) => {
                self.check_clusters(config, &table, &path);
                Some(Arc::new(table))
            }
            Err(inner) => {
                self.problems.within(&path, inner);
                None
            }
        }
    }

    /// Envoy refuses a static route to an unknown cluster unless `validate_clusters` is false.
    fn check_clusters(&mut self, config: &RouteConfiguration, table: &RouteTable, path: &str) {
        if config
            .validate_clusters
            .is_some_and(|validate| !validate.value)
        {
            return;
        }
        let names = table.clusters().iter();
        let unknown: Vec<_> = names
            .filter(|name| !self.clusters.contains(name.as_ref()))
            .collect();
        for name in unknown {
            for place in places_of(config, name, path) {
                self.unknown_cluster(place, name);
            }
        }
    }

    /// Says that the field at `path` names a cluster that there is not.
    pub(super) fn unknown_cluster(&mut self, path: String, name: &str) {
        self.problems.add(
            path,
            format!("the cluster '{name}' is not configured"),
            "add it to static_resources.clusters, or correct the name",
        );
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

/// The paths of all that name a cluster.
fn places_of(config: &RouteConfiguration, cluster: &str, path: &str) -> Vec<String> {
    use crossdock_xds::envoy_types::pb::envoy::config::route::v3::{
        route::Action, route_action::ClusterSpecifier as Specifier,
    };
    let mut places = Vec::new();
    for (v, host) in config.virtual_hosts.iter().enumerate() {
        for (r, route) in host.routes.iter().enumerate() {
            let Some(Action::Route(action)) = &route.action else {
                continue;
            };
            let path = format!("{path}.virtual_hosts[{v}].routes[{r}].route");
            match &action.cluster_specifier {
                Some(Specifier::Cluster(name)) if name == cluster => {
                    places.push(format!("{path}.cluster"));
                }
                Some(Specifier::WeightedClusters(weighted)) => {
                    let entries = weighted.clusters.iter().enumerate();
                    let named = entries.filter(|(_, entry)| entry.name == cluster);
                    places
                        .extend(named.map(|(at, _)| {
                            format!("{path}.weighted_clusters.clusters[{at}].name")
                        }));
                }
                _ => {}
            }
        }
    }
    places
}
