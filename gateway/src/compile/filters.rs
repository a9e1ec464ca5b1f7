//! The filters of connection managers, and what their routes say to them.

use std::sync::Arc;

use crossdock_filters::{HttpFilters, Registry, Site, States};
use crossdock_framework::{filter::Filters, stats};
use crossdock_routers::{Problem, RouteTable};
use crossdock_xds::envoy_types::pb::envoy::{
    config::route::v3::RouteConfiguration,
    extensions::filters::network::http_connection_manager::v3::HttpConnectionManager,
};

use super::listeners::ListenerCompiler;

/// The filters that may be asked for, and what they keep.
#[derive(Debug)]
pub(crate) struct FilterTools {
    registry: Registry,
    states: States,
}

impl Default for FilterTools {
    fn default() -> Self {
        Self {
            registry: Registry::standard(),
            states: States::default(),
        }
    }
}

/// The filters of one connection manager, whatever its routes.
#[derive(Debug)]
pub(super) struct FilterPlan {
    made: HttpFilters,
    stats: Arc<stats::Registry>,
    tools: Arc<FilterTools>,
    stat_prefix: Box<str>,
    place: Box<str>,
    local_cluster: Arc<str>,
}

impl FilterPlan {
    /// The chains of the calls that take the routes of `table`, which was compiled from `config`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with what routes say to the filters; problems name fields of the
    /// route configuration.
    pub(super) fn link(
        &self,
        config: &RouteConfiguration,
        table: &RouteTable,
    ) -> Result<Filters, Vec<Problem>> {
        let site = Site {
            stats: &self.stats,
            stat_prefix: &self.stat_prefix,
            place: &self.place,
            local_cluster: &self.local_cluster,
            states: &self.tools.states,
        };
        self.made.link(config, table, &site)
    }
}

impl ListenerCompiler<'_, '_> {
    /// The filters of the connection manager at `path`.
    pub(super) fn filters(
        &mut self,
        hcm: &HttpConnectionManager,
        listener: &str,
        path: &str,
    ) -> Option<FilterPlan> {
        // The place within its listener: that one may move.
        let within = path.find("filter_chain").and_then(|at| path.get(at..));
        let place = format!("{listener}/{}", within.unwrap_or(path));
        let (stats, tools) = (&self.tools.registry, &self.tools.filters);
        let site = Site {
            stats,
            stat_prefix: &hcm.stat_prefix,
            place: &place,
            local_cluster: self.local_cluster,
            states: &tools.states,
        };
        let made = HttpFilters::compile(&hcm.http_filters, &tools.registry, &site)
            .map_err(|inner| self.problems.within(path, inner))
            .ok()?;
        Some(FilterPlan {
            made,
            stats: Arc::clone(stats),
            tools: Arc::clone(tools),
            stat_prefix: hcm.stat_prefix.as_str().into(),
            place: place.into(),
            local_cluster: Arc::clone(self.local_cluster),
        })
    }
}
