//! All resources of an instant.

use std::{collections::BTreeMap, sync::Arc};

use envoy_types::pb::envoy::config::{
    cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
    route::v3::RouteConfiguration,
};

use super::{Demands, Discovered, Fingerprint, Kind, Origin, Resource, Update};
use crate::bootstrap::Loaded;

/// Resources by type and name: those of the bootstrap, and those discovered since.
///
/// Copying takes time in proportion to the number of resources; their content is shared.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Listeners by name. One of the bootstrap may have none, and then stands under its path.
    pub listeners: BTreeMap<Arc<str>, Resource<Listener>>,
    /// Clusters by name.
    pub clusters: BTreeMap<Arc<str>, Resource<Cluster>>,
    /// Route configurations that were discovered; those within a listener stay there.
    pub routes: BTreeMap<Arc<str>, Resource<RouteConfiguration>>,
    /// Load assignments that were discovered, by the name under which EDS has them; those within
    /// a cluster stay there.
    pub endpoints: BTreeMap<Arc<str>, Resource<ClusterLoadAssignment>>,
}

impl Resources {
    /// The static part. Of several with one name the first is taken: the compiler refuses that
    /// file.
    #[must_use]
    pub fn of_bootstrap(loaded: &Loaded) -> Self {
        let mut resources = Self::default();
        let Some(given) = &loaded.bootstrap.static_resources else {
            return resources;
        };
        resources.add_static(&given.clusters, "clusters", loaded);
        resources.add_static(&given.listeners, "listeners", loaded);
        resources
    }

    fn add_static<M: Discovered>(&mut self, messages: &[M], field: &str, loaded: &Loaded) {
        for (index, message) in messages.iter().enumerate() {
            let path = format!("static_resources.{field}[{index}]");
            let name: Arc<str> = match message.resource_name() {
                "" => path.as_str().into(),
                name => name.into(),
            };
            let positions = Arc::clone(&loaded.positions);
            let resource = Resource {
                name: Arc::clone(&name),
                message: Arc::new(message.clone()),
                version: "".into(),
                origin: Arc::new(Origin::new(positions, &path, false, Vec::new())),
                fingerprint: Fingerprint(0),
                needs: Arc::new(message.needs()),
            };
            M::among_mut(self).entry(name).or_insert(resource);
        }
    }

    /// Takes what a subscription found to be new, and drops what it found to be gone. What the
    /// bootstrap says stays as it is, as in Envoy: a static resource cannot be discovered anew.
    pub fn take<M: Discovered>(&mut self, update: &Update<M>) {
        let resources = M::among_mut(self);
        let is_static = |resources: &BTreeMap<Arc<str>, Resource<M>>, name: &str| {
            resources
                .get(name)
                .is_some_and(|resource| !resource.origin.is_dynamic())
        };
        for name in &update.removed {
            if !is_static(resources, name) {
                resources.remove(name);
            }
        }
        for resource in &update.changed {
            if !is_static(resources, &resource.name) {
                resources.insert(Arc::clone(&resource.name), resource.clone());
            }
        }
    }

    /// Drops what was discovered by name and is asked for no longer.
    pub fn forget_unasked(&mut self, demands: &Demands) {
        let asked = |kind, name: &Arc<str>| demands.contains_key(&(kind, Arc::clone(name)));
        self.routes.retain(|name, _| asked(Kind::Routes, name));
        self.endpoints
            .retain(|name, _| asked(Kind::Endpoints, name));
    }
}
