//! The configurations, by what they are about.

mod edits;
mod ejection;
mod errors;
mod faults;
mod hashing;
mod hosts;
mod limits;
mod manager;
mod matching;
mod redirects;
mod replies;
mod retries;
mod rewrites;

use serde_json::{Value, json};

pub(crate) use ejection::clusters as ejecting;

use crate::scene::Scene;

/// All of them.
pub(crate) fn all() -> Vec<Scene> {
    let parts = [
        matching::scenes(),
        hosts::scenes(),
        rewrites::scenes(),
        redirects::scenes(),
        edits::scenes(),
        hashing::scenes(),
        manager::scenes(),
        errors::scenes(),
        replies::scenes(),
        faults::scenes(),
        limits::scenes(),
        retries::scenes(),
        ejection::scenes(),
    ];
    parts.into_iter().flatten().collect()
}

/// What a connection manager has besides when these filters go before the router.
fn filtered(filters: &[(&str, Value)]) -> Value {
    let router =
        json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"});
    let filters: Vec<Value> = filters
        .iter()
        .map(|(name, config)| (*name, config))
        .chain([("envoy.filters.http.router", &router)])
        .map(|(name, config)| json!({"name": name, "typed_config": config}))
        .collect();
    json!({"http_filters": filters})
}
