//! What routes say to the filters of their listener.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crossdock_framework::{
    filter::{Chain, Filters, RouteChains},
    route::{RouteId, Router as _},
};
use crossdock_routers::{Origin, Problem, RouteTable};
use crossdock_xds::envoy_types::pb::{
    envoy::config::route::v3::{
        FilterConfig, RouteConfiguration, route::Action, route_action::ClusterSpecifier,
        weighted_cluster::ClusterWeight,
    },
    google::protobuf::Any,
};
use prost::{Message as _, Name as _};

use crate::{
    HttpFilters, RoutePlace, Site,
    http_filters::{Slot, within},
    registry::{Made, named},
};

/// Makes the chains of every route.
pub(crate) fn link(
    filters: &HttpFilters,
    config: &RouteConfiguration,
    table: &RouteTable,
    site: &Site<'_>,
) -> Result<Filters, Vec<Problem>> {
    let mut linker = Linker {
        filters,
        config,
        site,
        made: HashMap::new(),
        told: HashSet::new(),
        chains: HashMap::new(),
        problems: Vec::new(),
    };
    let usual = filters.usual();
    let by_route = (0..table.len()).map(|at| {
        let id = RouteId(at as u32);
        linker.route(table.origin(id), entries(table, id), &usual)
    });
    let by_route = by_route.collect();
    match linker.problems.is_empty() {
        true => Ok(Filters::new(usual, by_route)),
        false => Err(linker.problems),
    }
}

/// How many weighted clusters a route has.
fn entries(table: &RouteTable, id: RouteId) -> usize {
    use crossdock_framework::route::{Action, Target};
    match &table.get(id).action {
        Action::Forward(forward) => match &forward.target {
            Target::Weighted(weighted) => weighted.entries().len(),
            Target::Single(_) | Target::Header(_) => 0,
        },
        Action::Direct(_) | Action::Redirect(_) => 0,
    }
}

/// Something that speaks to filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Level {
    Config,
    Host(usize),
    Route(usize, usize),
    Cluster(usize, usize, usize),
}

/// A level, and what it says to filters by their names.
type Said<'c> = (Level, &'c HashMap<String, Any>);

struct Linker<'l> {
    filters: &'l HttpFilters,
    config: &'l RouteConfiguration,
    site: &'l Site<'l>,
    /// Filters that are made of what a level says to a slot: once, however many routes are in it.
    made: HashMap<(usize, Level), Option<Arc<dyn Made>>>,
    /// Levels and slots whose problems are known.
    told: HashSet<(usize, Level)>,
    /// Chains by the addresses of what is in them.
    chains: HashMap<Vec<Option<*const ()>>, Shared>,
    problems: Vec<Problem>,
}

impl Linker<'_> {
    /// The chains of a route, if it has others than the usual one.
    fn route(&mut self, at: Origin, clusters: usize, usual: &Chain) -> Option<RouteChains> {
        let config = self.config;
        let host = config.virtual_hosts.get(at.virtual_host)?;
        let route = host.routes.get(at.route);
        let place = RoutePlace {
            config,
            virtual_host: (at.virtual_host, host),
            route: route.map(|route| (at.route, route)),
        };
        let mut said: Vec<Said<'_>> = Vec::with_capacity(4);
        if let Some(route) = route {
            let level = Level::Route(at.virtual_host, at.route);
            said.push((level, &route.typed_per_filter_config));
        }
        let level = Level::Host(at.virtual_host);
        said.push((level, &host.typed_per_filter_config));
        said.push((Level::Config, &config.typed_per_filter_config));
        let whole = self.chain(&said, &place);
        let own = |cluster: &&ClusterWeight| !cluster.typed_per_filter_config.is_empty();
        let weights = weights(&place).filter(|all| all.iter().any(|cluster| own(&cluster)));
        let weights = weights.map(|all| all.iter().take(clusters).enumerate());
        let entries = weights.into_iter().flatten().map(|(n, cluster)| {
            own(&cluster).then(|| {
                let level = Level::Cluster(at.virtual_host, at.route, n);
                said.insert(0, (level, &cluster.typed_per_filter_config));
                let chain = self.chain(&said, &place);
                said.remove(0);
                chain.unwrap_or_else(|| usual.clone())
            })
        });
        let entries: Box<[_]> = entries.collect();
        if whole.is_none() && entries.is_empty() {
            return None;
        }
        Some(RouteChains {
            whole: whole.unwrap_or_else(|| usual.clone()),
            entries,
        })
    }

    /// The chain of calls that `said` is said to the filters of, from the most specific level to the
    /// least; `None` if it is the usual one.
    fn chain(&mut self, said: &[Said<'_>], place: &RoutePlace<'_>) -> Option<Chain> {
        let slots = &self.filters.slots;
        let mut links = Vec::with_capacity(slots.len());
        let (mut key, mut usual) = (Vec::with_capacity(slots.len()), true);
        for (number, slot) in slots.iter().enumerate() {
            let (made, off) = self.slot(number, slot, said, place);
            let made = made.filter(|_| !off);
            let was = slot.made.as_ref().filter(|_| !slot.off);
            let address = |made: &Arc<dyn Made>| Arc::as_ptr(made).cast::<()>();
            usual &= made.as_ref().map(address) == was.map(address);
            key.push(made.as_ref().map(address));
            links.push(made);
        }
        if usual {
            return None;
        }
        let shared = self.chains.entry(key).or_insert_with(|| {
            let filters = links.iter().map(|made| Some(made.as_ref()?.filter()));
            Shared {
                chain: Chain::sparse(filters),
                _links: links,
            }
        });
        Some(shared.chain.clone())
    }

    /// The filter of a slot for a route, and whether it is off there.
    fn slot(
        &mut self,
        number: usize,
        slot: &Slot,
        said: &[Said<'_>],
        place: &RoutePlace<'_>,
    ) -> (Option<Arc<dyn Made>>, bool) {
        let (mut made, mut off) = (None, None);
        for (level, map) in said {
            let Some(any) = map.get(&slot.name) else {
                continue;
            };
            let word = self.word(number, slot, *level, any);
            off = off.or(Some(word.off));
            if made.is_none()
                && let Some(config) = word.config
            {
                let path = path_of(*level, &slot.name) + word.within;
                made = self.on_route(number, slot, (*level, path), &config);
            }
        }
        let made = made.or_else(|| slot.made.clone());
        let made = made.map(|made| self.for_route(made, place));
        (made, off.unwrap_or(slot.off))
    }

    /// What a level says to a slot.
    fn word(&mut self, number: usize, slot: &Slot, level: Level, any: &Any) -> Word {
        let (name, _) = named(any);
        if name != FilterConfig::full_name() {
            return Word {
                off: false,
                config: Some(any.clone()),
                within: "",
            };
        }
        let wrapper = FilterConfig::decode(any.value.as_slice()).unwrap_or_default();
        let config = wrapper.config.filter(|_| !wrapper.disabled);
        if config.is_none() && !wrapper.disabled && self.told.insert((number, level)) {
            // As Envoy: to switch a filter on, an empty `config` is given.
            let path = path_of(level, &slot.name);
            let reason = "it neither switches the filter off nor configures it".to_owned();
            let cure = "give a config, an empty one to switch the filter on".to_owned();
            self.problems.push(Problem { path, reason, cure });
        }
        if slot.made.is_none() && wrapper.disabled && self.told.insert((number, level)) {
            let path = path_of(level, &slot.name);
            let reason = "this filter cannot be switched off for a part of the routes".to_owned();
            let cure = "switch it off in http_filters, or remove this".to_owned();
            self.problems.push(Problem { path, reason, cure });
        }
        Word {
            off: wrapper.disabled,
            config: config.filter(|config| !config.type_url.is_empty()),
            within: ".config",
        }
    }

    fn on_route(
        &mut self,
        number: usize,
        slot: &Slot,
        (level, path): (Level, String),
        config: &Any,
    ) -> Option<Arc<dyn Made>> {
        let usual = slot.made.as_ref()?;
        if let Some(known) = self.made.get(&(number, level)) {
            return known.clone();
        }
        let place = format!("{}/{path}", self.site.place);
        let site = Site {
            place: &place,
            ..*self.site
        };
        let made = usual.on_route(config, &site);
        let made = made.map_err(|inner| self.problems.extend(within(&path, inner)));
        self.made.insert((number, level), made.clone().ok());
        made.ok()
    }

    fn for_route(&mut self, made: Arc<dyn Made>, place: &RoutePlace<'_>) -> Arc<dyn Made> {
        match made.for_route(place) {
            Ok(own) => own.unwrap_or(made),
            Err(inner) => {
                let new = inner.into_iter().filter(|it| !self.problems.contains(it));
                let new: Vec<_> = new.collect();
                self.problems.extend(new);
                made
            }
        }
    }
}

/// A chain, and what keeps the addresses that it is found by.
struct Shared {
    chain: Chain,
    _links: Vec<Option<Arc<dyn Made>>>,
}

/// What one level says to one filter.
struct Word {
    off: bool,
    config: Option<Any>,
    /// Where in the field of the level the configuration stands.
    within: &'static str,
}

fn weights<'p>(place: &RoutePlace<'p>) -> Option<&'p [ClusterWeight]> {
    let Some(Action::Route(action)) = &place.route?.1.action else {
        return None;
    };
    match &action.cluster_specifier {
        Some(ClusterSpecifier::WeightedClusters(weighted)) => Some(&weighted.clusters),
        _ => None,
    }
}

/// Where a level says something to a filter.
fn path_of(level: Level, name: &str) -> String {
    let field = format!("typed_per_filter_config['{name}']");
    match level {
        Level::Config => field,
        Level::Host(host) => format!("virtual_hosts[{host}].{field}"),
        Level::Route(host, route) => format!("virtual_hosts[{host}].routes[{route}].{field}"),
        Level::Cluster(host, route, at) => format!(
            "virtual_hosts[{host}].routes[{route}].route.weighted_clusters.clusters[{at}].{field}"
        ),
    }
}

#[cfg(test)]
mod tests;
