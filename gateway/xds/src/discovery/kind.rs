//! The kinds of resources.

use std::{collections::BTreeMap, fmt, sync::Arc};

use envoy_types::pb::envoy::config::{
    cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
    route::v3::RouteConfiguration,
};
use prost::{Message, Name};

use super::{
    Needs, Resource, Resources,
    needs::{of_cluster, of_listener, of_routes},
};

/// A kind of resource that can be discovered.
///
/// They are ordered as they are to be taken when several arrive at once, so that nothing names
/// what is not there yet (make before break, as the xDS protocol describes for ADS): clusters, their
/// endpoints, listeners, their routes. What is removed goes in the opposite order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `envoy.config.cluster.v3.Cluster`, by CDS.
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`, by EDS.
    Endpoints,
    /// `envoy.config.listener.v3.Listener`, by LDS.
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration`, by RDS.
    Routes,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Cluster, Self::Endpoints, Self::Listener, Self::Routes];

    /// The full name of the message type.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Cluster => "envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "envoy.config.listener.v3.Listener",
            Self::Routes => "envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// The kind of a message type's full name.
    #[must_use]
    pub fn of_type(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_name() == name)
    }

    /// What the service is called that tells of it, such as `CDS`.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Cluster => "CDS",
            Self::Endpoints => "EDS",
            Self::Listener => "LDS",
            Self::Routes => "RDS",
        }
    }

    /// Whether a response of the state of the world lists all resources that there are, so that
    /// what it leaves out is removed. Of the other kinds, resources are asked for by name.
    #[must_use]
    pub fn is_listed_whole(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

impl fmt::Display for Kind {
    /// What an operator calls it, such as `route configuration`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cluster => "cluster",
            Self::Endpoints => "load assignment",
            Self::Listener => "listener",
            Self::Routes => "route configuration",
        })
    }
}

/// A message type that can be discovered: the type behind each [`Kind`].
pub trait Discovered: Message + Name + Default + Clone + PartialEq + fmt::Debug + 'static {
    /// Its kind.
    const KIND: Kind;
    /// The field that names it.
    const NAME_FIELD: &'static str;

    /// The name by which it is asked for.
    fn resource_name(&self) -> &str;

    /// What it names.
    fn needs(&self) -> Needs;

    /// All resources of this kind.
    fn among(resources: &Resources) -> &BTreeMap<Arc<str>, Resource<Self>>;

    /// All resources of this kind, to change them.
    fn among_mut(resources: &mut Resources) -> &mut BTreeMap<Arc<str>, Resource<Self>>;
}

/// Message, kind, field of the name, what it needs, field of [`Resources`].
macro_rules! discovered {
    ($message:ty, $kind:expr, $name:ident, $needs:expr, $field:ident) => {
        impl Discovered for $message {
            const KIND: Kind = $kind;
            const NAME_FIELD: &'static str = stringify!($name);

            fn resource_name(&self) -> &str {
                &self.$name
            }

            fn needs(&self) -> Needs {
                let needs: fn(&Self) -> Needs = $needs;
                needs(self)
            }

            fn among(resources: &Resources) -> &BTreeMap<Arc<str>, Resource<Self>> {
                &resources.$field
            }

            fn among_mut(resources: &mut Resources) -> &mut BTreeMap<Arc<str>, Resource<Self>> {
                &mut resources.$field
            }
        }
    };
}

discovered!(Cluster, Kind::Cluster, name, of_cluster, clusters);
discovered!(
    ClusterLoadAssignment,
    Kind::Endpoints,
    cluster_name,
    |_| Needs::default(),
    endpoints
);
discovered!(Listener, Kind::Listener, name, of_listener, listeners);
discovered!(RouteConfiguration, Kind::Routes, name, of_routes, routes);
