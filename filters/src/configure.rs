//! How a filter is made of configuration.

use std::{any::Any, sync::Arc};

use crossdock_framework::{filter::Filter, stats};
use crossdock_routers::Problem;
use crossdock_xds::{
    envoy_types::pb::envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost},
    support::Message,
};
use prost::{Message as ProtoMessage, Name};

use crate::States;

/// A filter that configuration can ask for, by the type of its message.
///
/// Problems name fields relative to the message that they are of.
pub trait Configure: Filter + Sized {
    /// What configures it for a listener. A filter whose configuration is not part of Envoy's API
    /// takes `google.protobuf.Struct`, and is written as an `xds.type.v3.TypedStruct` that names
    /// [`Configure::type_name`].
    type Config: ProtoMessage + Name + Default;

    /// What configures it for a part of the routes (`typed_per_filter_config`).
    type RouteConfig: ProtoMessage + Name + Default;

    /// Which fields of its messages it acts upon. A field that is set and not acted upon is reported
    /// to whoever configured it.
    const FIELDS: &'static [Message];

    /// The full name of the type that asks for the filter in `http_filters`.
    fn type_name() -> String {
        Self::Config::full_name()
    }

    /// The full name of the type of its configuration for a part of the routes.
    fn route_type_name() -> String {
        Self::RouteConfig::full_name()
    }

    /// Makes the filter of a listener.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    fn configure(config: Self::Config, site: &Site<'_>) -> Result<Self, Vec<Problem>>;

    /// Makes the filter that takes its place for the calls of some routes: all that `config` stands
    /// around share it.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    fn on_route(&self, config: Self::RouteConfig, site: &Site<'_>) -> Result<Self, Vec<Problem>>;

    /// Makes the filter for one route, where it depends on what else the route or its virtual host
    /// says. `None` where it does not. Problems name fields of the whole route configuration.
    ///
    /// # Errors
    /// Everything that is wrong with what the filter looks at.
    fn for_route(&self, place: &RoutePlace<'_>) -> Result<Option<Self>, Vec<Problem>> {
        let _ = place;
        Ok(None)
    }
}

/// Where a filter is configured, and what it finds there.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    /// Where its metrics are registered.
    pub stats: &'s stats::Registry,
    /// The `stat_prefix` of the connection manager.
    pub stat_prefix: &'s str,
    /// The place in words that stay the same while configuration around it changes.
    pub place: &'s str,
    /// The cluster that this process belongs to (`node.cluster`, `--service-cluster`).
    pub local_cluster: &'s str,
    /// What outlives a change of configuration.
    pub states: &'s States,
}

impl Site<'_> {
    /// The value that the filter of this place has kept under `name`, or a new one. It stays as long
    /// as someone holds it, so what counts or measures goes on over a change of configuration.
    /// Parameters that make it another value belong into the name.
    pub fn keep<T: Any + Send + Sync>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        self.states.keep(&format!("{}/{name}", self.place), make)
    }

    /// As [`Site::keep`], shared by every filter of the connection manager, wherever it is
    /// configured.
    pub fn keep_for_all<T: Any + Send + Sync>(
        &self,
        name: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.states
            .keep(&format!("{} {name}", self.stat_prefix), make)
    }
}

/// A route with what is around it.
#[derive(Clone, Copy, Debug)]
pub struct RoutePlace<'p> {
    /// All routes.
    pub config: &'p RouteConfiguration,
    /// The index of the virtual host, and the virtual host.
    pub virtual_host: (usize, &'p VirtualHost),
    /// The index of the route, and the route; `None` for the redirect that `require_tls` makes.
    pub route: Option<(usize, &'p Route)>,
}
