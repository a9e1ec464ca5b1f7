//! All subscriptions of the process.

use std::{collections::BTreeMap, sync::Arc};

use envoy_types::pb::envoy::config::{
    cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
    route::v3::RouteConfiguration,
};

use super::{Demands, Interest, Kind, Subscription};

/// What is subscribed to: listeners and clusters as a whole, routes and endpoints one by one.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    /// LDS, if the bootstrap asks for it.
    pub listeners: Option<Subscription<Listener>>,
    /// CDS, if the bootstrap asks for it.
    pub clusters: Option<Subscription<Cluster>>,
    /// RDS, by the name of the route configuration.
    pub routes: BTreeMap<Arc<str>, Subscription<RouteConfiguration>>,
    /// EDS, by the name of the load assignment.
    pub endpoints: BTreeMap<Arc<str>, Subscription<ClusterLoadAssignment>>,
}

impl Subscriptions {
    /// Subscribes to what is asked for now, and ends what nobody asks for any more. What stays
    /// keeps what it holds. Names what is new.
    pub fn follow(&mut self, demands: &Demands) -> Vec<(Kind, Arc<str>)> {
        self.routes
            .retain(|name, _| demands.contains_key(&(Kind::Routes, Arc::clone(name))));
        self.endpoints
            .retain(|name, _| demands.contains_key(&(Kind::Endpoints, Arc::clone(name))));
        let mut new = Vec::new();
        for (kind, name) in demands.keys() {
            let is_new = match kind {
                Kind::Routes => subscribe(&mut self.routes, name),
                Kind::Endpoints => subscribe(&mut self.endpoints, name),
                Kind::Cluster | Kind::Listener => false,
            };
            if is_new {
                new.push((*kind, Arc::clone(name)));
            }
        }
        new
    }
}

/// Whether there was no such subscription.
fn subscribe<M: super::Discovered>(
    subscriptions: &mut BTreeMap<Arc<str>, Subscription<M>>,
    name: &Arc<str>,
) -> bool {
    if subscriptions.contains_key(name) {
        return false;
    }
    let interest = Interest::Names([Arc::clone(name)].into());
    subscriptions.insert(Arc::clone(name), Subscription::new(interest));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{
        Resources, Verdict, demands,
        sample::{eds_cluster, endpoints, file, rds_listener, resource, response},
    };

    fn resources(clusters: &[&str], routes: Option<&str>) -> Resources {
        let mut resources = Resources::default();
        for name in clusters {
            let cluster = eds_cluster(name, "", file("/eds.yaml", None));
            resources
                .clusters
                .insert((*name).into(), resource(cluster, 0));
        }
        if let Some(routes) = routes {
            let listener = rds_listener("l", routes, file("/rds.yaml", None));
            resources
                .listeners
                .insert("l".into(), resource(listener, 0));
        }
        resources
    }

    #[test]
    fn what_stays_keeps_what_it_holds() {
        let mut subscriptions = Subscriptions::default();
        let mut follow = |clusters: &[&str], routes| {
            let demands = demands(&resources(clusters, routes)).unwrap();
            let new = subscriptions.follow(&demands);
            let new = new.iter().map(|(kind, name)| format!("{kind:?} {name}"));
            let new: Vec<_> = new.collect();
            if let Some(endpoints_of_b) = subscriptions.endpoints.get_mut("b")
                && !endpoints_of_b.is_answered()
            {
                let _ = endpoints_of_b.offer(&response("1", vec![resource(endpoints("b"), 1)]));
                endpoints_of_b.conclude(Verdict::Accepted, std::time::UNIX_EPOCH);
            }
            let held = subscriptions.endpoints.get("b").map(|b| b.held().len());
            (new.join(", "), held)
        };
        assert_eq!(
            follow(&["a", "b"], Some("r")),
            ("Endpoints a, Endpoints b, Routes r".into(), Some(1))
        );
        assert_eq!(
            follow(&["b", "c"], Some("s")),
            ("Endpoints c, Routes s".into(), Some(1))
        );
        assert_eq!(follow(&["c"], None), (String::new(), None));
        let routes = subscriptions.routes.len();
        assert_eq!((subscriptions.endpoints.len(), routes), (1, 0));
    }
}
