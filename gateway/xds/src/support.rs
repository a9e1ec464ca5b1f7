//! What Crossdock does with each field of Envoy's configuration.
//!
//! Every field that a file sets is looked up here. A field that no table lists is reported as not
//! acted upon: a function that is new in Envoy cannot be ignored in silence. The tables are the
//! promise, the gateway's compiler keeps it: whoever teaches it a field says so here.

mod access_log;
mod bootstrap;
mod cluster;
mod discovery;
mod extension;
mod extensions;
mod http;
mod listener;
mod route;
mod tls;

use std::{collections::HashMap, sync::LazyLock};

pub use self::extensions::{Extension, Extensions, HTTP_FILTERS, ROUTE_FILTERS};

/// What Crossdock does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The field does what Envoy's documentation says; what lies within it is looked up too.
    Acts,
    /// The compiler looks at the field with everything in it, and refuses what it does not do.
    Judged,
    /// The field has no effect, and nothing is lost by that. With the reason.
    Harmless(&'static str),
    /// The field has no effect though it should have one. With the reason.
    Ignored(&'static str),
    /// Serving the file without this field would be unsafe, or mean something else than what was
    /// asked for. With the reason and the cure.
    Refused(&'static str, &'static str),
}

/// The fields of one message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// The full name.
    pub name: &'static str,
    /// Field names by what is done with them. `field=VALUE` speaks of one value of a truth value,
    /// an enum or a whole number, and goes before `field`.
    pub fields: &'static [(Support, &'static [&'static str])],
}

const TABLES: [&[Message]; 8] = [
    bootstrap::MESSAGES,
    listener::MESSAGES,
    http::MESSAGES,
    route::MESSAGES,
    cluster::MESSAGES,
    access_log::MESSAGES,
    tls::MESSAGES,
    discovery::MESSAGES,
];

static MESSAGES: LazyLock<HashMap<&str, &Message>> = LazyLock::new(|| {
    TABLES
        .iter()
        .copied()
        .flatten()
        .map(|message| (message.name, message))
        .collect()
});

/// Why a field of no table is not acted upon.
const UNKNOWN: Support = Support::Ignored("Crossdock does not know this field");

// Reasons that many fields share.
const TLS: &str = "concerns TLS, which this version does not have";
const TRACING: &str = "concerns tracing, which this version does not have";
const STATISTICS: &str = "shapes statistics, which have fixed names here";
const RUNTIME: &str = "values at runtime are not looked up; the configured value holds";
const DEFAULT: &str = "this is what happens anyway";
const STATIC: &str = "write it into `static_resources`";
const REMOVE: &str = "remove it, or serve this part with another gateway";

/// Messages with `is_optional` or `disabled`, by which a filter that is not known may be left out.
pub(crate) const SKIPPABLE: [&str; 2] = [
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    "envoy.config.route.v3.FilterConfig",
];

/// Messages that carry JSON and the name of its type.
pub(crate) const TYPED_STRUCTS: [&str; 2] = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"];

/// What is done with a field, by the full name of its message and its own name.
///
/// `value` is the text of a truth value, of an enum or of a whole number, in case one value is
/// judged apart.
#[must_use]
pub fn field(message: &str, field: &str, value: Option<&str>) -> Support {
    let message = MESSAGES.get(message);
    message.map_or(UNKNOWN, |message| message.support(field, value))
}

/// What is done with a key of a map or of a free-form field that is acted upon.
#[must_use]
pub fn key(message: &str, field: &str, key: &str) -> Support {
    match (message, field) {
        ("envoy.config.bootstrap.v3.RuntimeLayer", "static_layer") => bootstrap::runtime_key(key),
        // Crossdock's own settings, and the hash keys of endpoints.
        ("envoy.config.core.v3.Metadata", "filter_metadata")
            if !["crossdock", "envoy.lb"].contains(&key) =>
        {
            Support::Harmless("metadata for someone else")
        }
        _ => Support::Acts,
    }
}

/// What is done with an extension, by the field that takes it and the full name of its type.
#[must_use]
pub fn extension(message: &str, field: &str, type_name: &str) -> Support {
    extension::judge(message, field, type_name)
}

impl Message {
    fn support(&self, field: &str, value: Option<&str>) -> Support {
        let exact = value.and_then(|value| self.find(&format!("{field}={value}")));
        exact.or_else(|| self.find(field)).unwrap_or(UNKNOWN)
    }

    fn find(&self, field: &str) -> Option<Support> {
        self.fields
            .iter()
            .find(|(_, names)| names.contains(&field))
            .map(|(support, _)| *support)
    }
}

#[cfg(test)]
mod tests;
