//! The filters of connection managers, and what their routes say to them.

use crossdock_filters::{HttpFilters, Site};
use crossdock_framework::filter::Filters;
use crossdock_routers::RouteTable;
use crossdock_xds::envoy_types::pb::envoy::{
    config::route::v3::RouteConfiguration,
    extensions::filters::network::http_connection_manager::v3::HttpConnectionManager,
};

use super::listeners::Compiler;

impl Compiler<'_, '_> {
    /// The chains of a connection manager whose routes stand within it.
    pub(super) fn filters(
        &mut self,
        hcm: &HttpConnectionManager,
        (config, table): (&RouteConfiguration, &RouteTable),
        listener: &str,
        path: &str,
    ) -> Option<Filters> {
        // The place within its listener: that one may move.
        let within = path.find("filter_chain").and_then(|at| path.get(at..));
        let place = format!("{listener}/{}", within.unwrap_or(path));
        let site = Site {
            stats: self.registry,
            stat_prefix: &hcm.stat_prefix,
            place: &place,
            states: self.states,
        };
        let made = HttpFilters::compile(&hcm.http_filters, self.filters, &site)
            .map_err(|inner| self.problems.within(path, inner))
            .ok()?;
        let path = format!("{path}.route_config");
        made.link(config, table, &site)
            .map_err(|inner| self.problems.within(&path, inner))
            .ok()
    }
}
