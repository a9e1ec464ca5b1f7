//! The filters of a connection manager, as it lists them.

use std::sync::Arc;

use crossdock_framework::filter::{Chain, Filters};
use crossdock_routers::{Problem, RouteTable};
use crossdock_xds::envoy_types::pb::envoy::{
    config::route::v3::RouteConfiguration,
    extensions::filters::network::http_connection_manager::v3::{
        HttpFilter, http_filter::ConfigType,
    },
};

use crate::{
    Registry, Site,
    registry::{Made, named},
    routes,
};

/// The type of the filter that ends the chain.
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";

/// The filters of a connection manager.
#[derive(Clone, Debug, Default)]
pub struct HttpFilters {
    pub(crate) slots: Vec<Slot>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// The name by which routes speak to it.
    pub(crate) name: String,
    /// `None` for one that someone else acts upon, or nobody.
    pub(crate) made: Option<Arc<dyn Made>>,
    /// Off unless a route switches it on.
    pub(crate) off: bool,
}

impl HttpFilters {
    /// Makes the filters of `listed` that `registry` knows; those that are not known are for someone
    /// else, who refuses them if they are needed.
    ///
    /// # Errors
    /// Everything that is wrong with their configuration or their order. Problems name fields of the
    /// connection manager.
    pub fn compile(
        listed: &[HttpFilter],
        registry: &Registry,
        site: &Site<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut slots = Vec::with_capacity(listed.len());
        for (ix, filter) in listed.iter().enumerate() {
            let path = format!("http_filters[{ix}].typed_config");
            let place = format!("{}/{}", site.place, filter.name);
            let site = Site {
                place: &place,
                ..*site
            };
            let made = match &filter.config_type {
                Some(ConfigType::TypedConfig(config)) => registry.configure(config, &site),
                _ => None,
            };
            let made = made.transpose().unwrap_or_else(|inner| {
                problems.extend(within(&path, inner));
                None
            });
            slots.push(Slot {
                name: filter.name.clone(),
                made,
                off: filter.disabled,
            });
        }
        problems.extend(order(listed));
        match problems.is_empty() {
            true => Ok(Self { slots }),
            false => Err(problems),
        }
    }

    /// The chains of the calls that take the routes of `table`, which was compiled from `config`.
    /// `site` is that of the routes.
    ///
    /// # Errors
    /// Everything that is wrong with what routes, virtual hosts and weighted clusters say to the
    /// filters. Problems name fields of the route configuration.
    pub fn link(
        &self,
        config: &RouteConfiguration,
        table: &RouteTable,
        site: &Site<'_>,
    ) -> Result<Filters, Vec<Problem>> {
        if self.slots.iter().all(|slot| slot.made.is_none()) {
            return Ok(Filters::default());
        }
        routes::link(self, config, table, site)
    }

    /// The chain of calls of which no route says anything else.
    pub(crate) fn usual(&self) -> Chain {
        let on = |slot: &Slot| {
            let made = slot.made.as_ref().filter(|_| !slot.off);
            made.map(|made| made.filter())
        };
        Chain::sparse(self.slots.iter().map(on))
    }
}

/// The router ends the chain, as Envoy demands; nothing may stand behind it.
fn order(listed: &[HttpFilter]) -> Option<Problem> {
    let routes = |filter: &HttpFilter| match &filter.config_type {
        Some(ConfigType::TypedConfig(config)) => named(config).0 == ROUTER,
        _ => false,
    };
    let last = listed.len().checked_sub(1)?;
    let at = match listed.iter().position(routes) {
        Some(at) if at == last => return None,
        Some(at) => at,
        None => last,
    };
    let reason = match at == last {
        true => "the last filter is not the router, so no call would go anywhere",
        false => "filters behind the router never see a call",
    };
    Some(Problem {
        path: format!("http_filters[{at}]"),
        reason: reason.to_owned(),
        cure: "let envoy.filters.http.router be the last one".to_owned(),
    })
}

/// Problems of a message that stands at `path`.
pub(crate) fn within(path: &str, problems: Vec<Problem>) -> impl Iterator<Item = Problem> {
    problems.into_iter().map(move |problem| Problem {
        path: match problem.path.as_str() {
            "" => path.to_owned(),
            inner => format!("{path}.{inner}"),
        },
        ..problem
    })
}
