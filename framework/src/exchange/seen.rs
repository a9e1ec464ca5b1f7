//! Messages as rules see them that are not as they came: a request after its changes, and an answer
//! of the gateway before it has any.

use std::borrow::Cow;

use crate::{
    edits::{Edits, Effect},
    view::{Key, RoutingView},
};

/// A request as it will be after its edits: what a second look at the route sees.
pub(super) struct Edited<'e> {
    pub(super) inner: &'e dyn RoutingView,
    pub(super) edits: &'e Edits,
}

impl RoutingView for Edited<'_> {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let current = self.inner.get(key);
        let name = match key {
            Key::Header(name) => name,
            Key::Authority => ":authority",
            Key::Path => ":path",
            Key::HttpMethod => ":method",
            Key::Scheme => ":scheme",
        };
        match self.edits.effect(name, current.as_deref()) {
            Effect::Keep => current,
            Effect::Remove => None,
            Effect::Become(value) => Some(Cow::Owned(value)),
        }
    }

    fn method(&self) -> Option<Cow<'_, str>> {
        self.inner.method()
    }

    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        let names: Vec<&str> = self.edits.names().collect();
        self.inner.headers(&mut |name, value| {
            if !names.iter().any(|edited| edited.eq_ignore_ascii_case(name)) {
                each(name, value);
            }
        });
        for name in names.iter().filter(|name| !name.starts_with(':')) {
            if let Some(value) = self.get(Key::Header(name)) {
                each(name, &value);
            }
        }
    }

    fn protocol(&self) -> &'static str {
        self.inner.protocol()
    }
}

/// An answer of the gateway before its headers are made.
pub(super) struct Local;

impl RoutingView for Local {
    fn get(&self, _: Key<'_>) -> Option<Cow<'_, str>> {
        None
    }

    fn protocol(&self) -> &'static str {
        "local"
    }
}
