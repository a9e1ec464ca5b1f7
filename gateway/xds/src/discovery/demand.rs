//! What has to be subscribed to, because resources name it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Discovered, FileSource, Kind, Need, Resource, Resources};
use crate::Problem;

/// Resources that are asked for by name: load assignments and route configurations.
pub type Demands = BTreeMap<(Kind, Arc<str>), Demand>;

/// Who asks for a resource, and where it is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Where.
    pub source: FileSource,
    /// The names of the clusters or listeners that ask.
    pub askers: BTreeSet<Arc<str>>,
    /// The `stat_prefix` of each connection manager that asks.
    pub stat_prefixes: BTreeSet<Arc<str>>,
}

/// Everything that these resources ask for.
///
/// # Errors
/// When a source cannot be asked, or one name is asked of two sources: resources are known by
/// their names alone. (Envoy keeps such resources apart.)
pub fn demands(resources: &Resources) -> Result<Demands, Vec<Problem>> {
    let mut collector = Collector {
        demands: BTreeMap::new(),
        problems: Vec::new(),
    };
    for cluster in resources.clusters.values() {
        collector.add(cluster);
    }
    for listener in resources.listeners.values() {
        collector.add(listener);
    }
    match collector.problems.is_empty() {
        true => Ok(collector.demands),
        false => Err(collector.problems),
    }
}

struct Collector {
    demands: Demands,
    problems: Vec<Problem>,
}

impl Collector {
    fn add<M: Discovered>(&mut self, resource: &Resource<M>) {
        for need in &resource.needs.discovered {
            if let Err(problem) = self.need(resource, need) {
                self.problems.push(problem);
            }
        }
    }

    fn need<M: Discovered>(&mut self, resource: &Resource<M>, need: &Need) -> Result<(), Problem> {
        let problem =
            |reason: String, cure: &str| resource.origin.problem(&need.path, reason, cure);
        let source = FileSource::of(&need.source)
            .map_err(|error| problem(error.to_string(), error.cure()))?;
        let demand = self
            .demands
            .entry((need.kind, need.name.as_str().into()))
            .or_insert_with(|| Demand {
                source: source.clone(),
                askers: BTreeSet::new(),
                stat_prefixes: BTreeSet::new(),
            });
        if demand.source != source {
            let reason = format!(
                "the {} '{}' is to be found in {} and in {}",
                need.kind,
                need.name,
                demand.source.path.display(),
                source.path.display()
            );
            return Err(problem(
                reason,
                "name one source, or give one of them another name",
            ));
        }
        demand.askers.insert(Arc::clone(&resource.name));
        if need.kind == Kind::Routes {
            let prefix = need.stat_prefix.as_str();
            demand.stat_prefixes.insert(prefix.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
