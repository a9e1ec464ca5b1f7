//! Extensions whose fields are listed by who implements them: a filter says in its own file what of
//! its configuration it acts upon.

use std::{collections::BTreeSet, sync::Arc};

use prost_reflect::{DescriptorPool, Kind};

use super::{MESSAGES, Message, Support};
use crate::descriptors;

/// The fields that take an HTTP filter.
pub const HTTP_FILTERS: &[&str] =
    &["envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.typed_config"];

/// The fields that take what a route, a virtual host, a route configuration or a weighted cluster
/// says to an HTTP filter.
pub const ROUTE_FILTERS: &[&str] = &[
    "envoy.config.route.v3.RouteConfiguration.typed_per_filter_config",
    "envoy.config.route.v3.VirtualHost.typed_per_filter_config",
    "envoy.config.route.v3.Route.typed_per_filter_config",
    "envoy.config.route.v3.WeightedCluster.ClusterWeight.typed_per_filter_config",
    "envoy.config.route.v3.FilterConfig.config",
];

/// What an extension says of its own configuration.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The fields that take it, each by the full name of its message and its own, and the full name
    /// of the type that it is configured by there.
    pub slots: Vec<(&'static [&'static str], String)>,
    /// What is done with the fields of its messages.
    pub messages: &'static [Message],
}

/// The extensions that tables of their own come with.
#[derive(Clone, Debug, Default)]
pub struct Extensions(Arc<[Extension]>);

impl FromIterator<Extension> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Self {
        Self(extensions.into_iter().collect())
    }
}

impl Extensions {
    /// As [`field`](super::field), of the messages of extensions too.
    #[must_use]
    pub fn field(&self, message: &str, field: &str, value: Option<&str>) -> Support {
        match self.message(message) {
            Some(found) if !MESSAGES.contains_key(message) => found.support(field, value),
            _ => super::field(message, field, value),
        }
    }

    /// As [`extension`](super::extension), with these extensions known.
    #[must_use]
    pub fn extension(&self, message: &str, field: &str, type_name: &str) -> Support {
        let takes = |(slots, own): &(&[&str], String)| {
            let named = |slot: &&str| slot.strip_suffix(field) == Some(&format!("{message}."));
            own == type_name && slots.iter().any(named)
        };
        match self.0.iter().any(|known| known.slots.iter().any(takes)) {
            true => Support::Acts,
            false => super::extension(message, field, type_name),
        }
    }

    fn message(&self, name: &str) -> Option<&Message> {
        let mut all = self.0.iter().flat_map(|extension| extension.messages);
        all.find(|message| message.name == name)
    }

    /// Everything that is wrong with the tables of these extensions: messages and fields that Envoy
    /// does not have, fields that are not decided upon or twice, and messages below a field that is
    /// acted upon without a table. Empty if they are right; for the tests of those who write
    /// extensions.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let pool = descriptors::pool(descriptors::names());
        let mut faults = BTreeSet::new();
        for message in self.0.iter().flat_map(|extension| extension.messages) {
            self.check(message, &pool, &mut faults);
        }
        faults.into_iter().collect()
    }

    fn check(&self, message: &Message, pool: &DescriptorPool, faults: &mut BTreeSet<String>) {
        let name = message.name;
        let Some(descriptor) = pool.get_message_by_name(name) else {
            faults.insert(format!("{name}: there is no such message"));
            return;
        };
        if MESSAGES.contains_key(name) {
            faults.insert(format!("{name} has a table already"));
        }
        let listed = || message.fields.iter().flat_map(|(_, names)| names.iter());
        for entry in listed() {
            let field = entry.split('=').next().unwrap_or_default();
            if descriptor.get_field_by_name(field).is_none() {
                faults.insert(format!("{name}.{entry}: there is no such field"));
            }
        }
        for field in descriptor.fields() {
            let times = listed().filter(|entry| **entry == field.name()).count();
            if times != 1 {
                faults.insert(format!("{name}.{}: {times} times", field.name()));
            }
            let Kind::Message(inner) = field.kind() else {
                continue;
            };
            let inner = inner.full_name();
            let known = inner.starts_with("google.protobuf.")
                || MESSAGES.contains_key(inner)
                || self.message(inner).is_some();
            if message.support(field.name(), None) == Support::Acts && !known {
                faults.insert(format!("{inner} has no table ({name}.{})", field.name()));
            }
        }
    }
}
