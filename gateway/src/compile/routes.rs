//! Route tables that are discovered: compiled once, however many listeners name them.

use std::sync::{Arc, OnceLock};

use crossdock_framework::stats::Registry;
use crossdock_routers::{Options, RouteTable};
use crossdock_xds::{
    Problem,
    discovery::{Resource, Resources},
    envoy_types::pb::envoy::config::route::v3::RouteConfiguration,
};

use super::{Compiler, Problems, memory::Known, policies::places_of};

/// A route configuration, compiled.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(super) message: Arc<RouteConfiguration>,
    table: Arc<RouteTable>,
    /// The same, but for hosts that are not told what Envoy adds.
    silent: OnceLock<Option<Arc<RouteTable>>>,
    registry: Arc<Registry>,
}

impl Routes {
    /// The table for a connection manager with these options.
    pub(super) fn table(&self, options: Options) -> Option<&Arc<RouteTable>> {
        if options == Options::default() {
            return Some(&self.table);
        }
        let compile = || {
            let table = RouteTable::compile_with(&self.message, options).ok()?;
            table.count_in(&self.registry);
            Some(table)
        };
        self.silent.get_or_init(|| compile().map(Arc::new)).as_ref()
    }
}

impl Compiler {
    /// Compiles route configurations that are not known.
    pub(super) fn fresh_routes(
        &self,
        resources: &Resources,
        all: &mut Vec<Problem>,
    ) -> Known<RouteConfiguration, Routes> {
        let mut fresh = Known::default();
        for resource in self.memory.routes.unknown(resources) {
            let mut problems = Problems::of_resource(&resource.origin, &self.base.positions);
            if let Some(routes) = compile(resource, resources, &self.tools.registry, &mut problems)
            {
                fresh.put(resource, routes);
            }
            all.append(&mut problems.list);
        }
        fresh
    }
}

fn compile(
    resource: &Resource<RouteConfiguration>,
    resources: &Resources,
    registry: &Arc<Registry>,
    problems: &mut Problems<'_>,
) -> Option<Routes> {
    let (message, path) = (&resource.message, resource.origin.path());
    let table = match RouteTable::compile(message) {
        Ok(table) => table,
        Err(inner) => {
            problems.within(path, inner);
            return None;
        }
    };
    // As in Envoy, routes that are discovered may name clusters that there are not, yet.
    if message
        .validate_clusters
        .is_some_and(|validate| validate.value)
    {
        for name in &resource.needs.clusters {
            if !resources.clusters.contains_key(name.as_str()) {
                for place in places_of(message, name, path) {
                    problems.unknown_cluster(place, name);
                }
            }
        }
    }
    table.count_in(registry);
    Some(Routes {
        message: Arc::clone(message),
        table: Arc::new(table),
        silent: OnceLock::new(),
        registry: Arc::clone(registry),
    })
}
