//! The configurations, by what they are about.

mod edits;
mod errors;
mod hashing;
mod hosts;
mod manager;
mod matching;
mod redirects;
mod rewrites;

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
    ];
    parts.into_iter().flatten().collect()
}
