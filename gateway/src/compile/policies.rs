//! What an HTTP connection manager says of its calls, and the routes that go with it.

use std::sync::{Arc, LazyLock, OnceLock};

use crossdock_framework::{
    filter::Filters,
    log::AccessLog,
    route::Router as _,
    snapshot::{AnswerMetric, ClusterIx, HttpMetric, Policy, Terms},
    stats::{Registry, Scope},
};
use crossdock_routers::{Options, RouteTable};
use crossdock_xds::envoy_types::pb::envoy::{
    config::{listener::v3::Listener, route::v3::RouteConfiguration},
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager, http_connection_manager::RouteSpecifier,
    },
};

use super::{Problems, Routes, filters::FilterPlan, http, listeners::ListenerCompiler, name};
use crate::{access_log, rpc_stats::RpcStats, settings::Settings};

/// A policy but for its routes, which may change without it.
#[derive(Debug)]
pub(crate) struct PolicyPlan {
    terms: Arc<Terms>,
    pub(crate) routes: RoutesFrom,
    /// What its route table is compiled with.
    options: Options,
    filters: FilterPlan,
}

/// Where the routes of a connection manager are.
#[derive(Debug)]
pub(crate) enum RoutesFrom {
    /// They stand within it.
    Within(Arc<Bound>),
    /// RDS has them under this name.
    Discovered(Arc<str>),
}

/// Routes with the filters of the connection manager that takes them.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) table: Arc<RouteTable>,
    filters: Filters,
}

impl PolicyPlan {
    /// Takes routes that were discovered; without any, no call has a route.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with what they say to the filters; problems name fields of the
    /// route configuration.
    pub(crate) fn bind(
        &self,
        routes: Option<&Routes>,
    ) -> Result<Bound, Vec<crossdock_routers::Problem>> {
        static NOTHING: LazyLock<(RouteConfiguration, Arc<RouteTable>)> = LazyLock::new(|| {
            let config = RouteConfiguration::default();
            let table = RouteTable::compile(&config).expect("no route is wrong");
            (config, Arc::new(table))
        });
        let given = routes.and_then(|routes| Some((&*routes.message, routes.table(self.options)?)));
        let (config, table) = given.unwrap_or_else(|| (&NOTHING.0, &NOTHING.1));
        Ok(Bound {
            filters: self.filters.link(config, table)?,
            table: Arc::clone(table),
        })
    }

    /// Counts answers for the listener of this name in metrics, too.
    pub(crate) fn count_at(&self, listener: &str, registry: &Registry) {
        self.terms.answers.get_or_init(|| {
            let names = [listener, &*self.terms.name];
            registry.group_of::<AnswerMetric>(Scope::new("listener.*.http.*", &names))
        });
    }

    /// The policy with these routes, whose clusters are linked already.
    pub(crate) fn with(&self, bound: &Bound, links: Box<[Option<ClusterIx>]>) -> Policy {
        Policy {
            terms: Arc::clone(&self.terms),
            router: Arc::clone(&bound.table) as _,
            links,
            filters: bound.filters.clone(),
        }
    }
}

impl ListenerCompiler<'_, '_> {
    pub(super) fn policy(
        &mut self,
        hcm: &HttpConnectionManager,
        listener: &Listener,
        settings: &Settings,
        path: &str,
    ) -> Option<PolicyPlan> {
        let options = Options {
            suppress_envoy_headers: http::router(hcm).suppress_envoy_headers,
        };
        let filters = self.filters(hcm, &listener.name, path);
        let routes = self.routes(hcm, options, filters.as_ref(), path);
        let logs = access_log::compile(&hcm.access_log, &self.tools.files)
            .map_err(|inner| self.problems.within(path, inner))
            .ok();
        let mut http = http::policy(hcm, path, self.problems);
        match access_log::local_replies(hcm.local_reply_config.as_ref()) {
            Ok(replies) => http.replies = replies,
            Err(inner) => self.problems.within(path, inner),
        }
        let registry = &self.tools.registry;
        let (routes, logs) = (routes?, logs?);
        let pairs = settings.rpc_pairs();
        let rpc = (pairs > 0).then(|| RpcStats::new(registry, &hcm.stat_prefix, pairs));
        let rpc = rpc.map(|stats| Arc::new(stats) as Arc<dyn AccessLog>);
        let terms = Arc::new(Terms {
            name: name(&hcm.stat_prefix),
            logs: logs
                .into_iter()
                .chain(self.tools.watch.clone())
                .chain(rpc)
                .collect(),
            stats: registry.group::<HttpMetric>("http", &hcm.stat_prefix),
            answers: OnceLock::new(),
            limits: settings.downstream(http::limits(hcm)),
            http,
        });
        Some(PolicyPlan {
            terms,
            routes,
            options,
            filters: filters?,
        })
    }

    fn routes(
        &mut self,
        hcm: &HttpConnectionManager,
        options: Options,
        filters: Option<&FilterPlan>,
        path: &str,
    ) -> Option<RoutesFrom> {
        let config = match &hcm.route_specifier {
            Some(RouteSpecifier::RouteConfig(config)) => config,
            Some(RouteSpecifier::Rds(rds)) => {
                return Some(RoutesFrom::Discovered(name(&rds.route_config_name)));
            }
            other => {
                let (reason, cure) = match other {
                    None => (
                        "there is no route configuration",
                        "give an inline route_config, or rds",
                    ),
                    _ => (
                        "scoped routes are not in this version",
                        "use route_config or rds",
                    ),
                };
                self.problems.add(path, reason, cure);
                return None;
            }
        };
        let path = format!("{path}.route_config");
        let table = match RouteTable::compile_with(config, options) {
            Ok(table) => {
                table.count_in(&self.tools.registry);
                Arc::new(table)
            }
            Err(inner) => {
                self.problems.within(&path, inner);
                return None;
            }
        };
        self.check_clusters(config, &table, &path);
        let filters = filters?.link(config, &table);
        let filters = filters
            .map_err(|inner| self.problems.within(&path, inner))
            .ok()?;
        Some(RoutesFrom::Within(Arc::new(Bound { table, filters })))
    }

    /// Envoy refuses a route to an unknown cluster that stands within its listener, unless
    /// `validate_clusters` is false.
    fn check_clusters(&mut self, config: &RouteConfiguration, table: &RouteTable, path: &str) {
        if config
            .validate_clusters
            .is_some_and(|validate| !validate.value)
        {
            return;
        }
        let names = table.clusters().iter();
        let unknown: Vec<_> = names.filter(|name| !self.knows(name)).collect();
        for name in unknown {
            for place in places_of(config, name, path) {
                self.problems.unknown_cluster(place, name);
            }
        }
    }

    /// Whether there is a cluster of that name, be it one that has not compiled.
    pub(super) fn knows(&self, cluster: &str) -> bool {
        self.resources.clusters.contains_key(cluster)
    }
}

impl Problems<'_> {
    /// Says that the field at `path` names a cluster that there is not.
    pub(super) fn unknown_cluster(&mut self, path: String, name: &str) {
        let cure = match self.origin.is_some_and(|origin| origin.is_dynamic()) {
            true => "let CDS have it first, or correct the name",
            false => "add it to static_resources.clusters, or correct the name",
        };
        self.add(
            path,
            format!("the cluster '{name}' is not configured"),
            cure,
        );
    }
}

/// The paths of all that name a cluster.
pub(super) fn places_of(config: &RouteConfiguration, cluster: &str, path: &str) -> Vec<String> {
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
