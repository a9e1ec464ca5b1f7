//! The examples: what is done in each, and what has to come of it.

mod fault;
mod headers;
mod limit;
mod retries;
mod weights;

use std::pin::Pin;

use super::{
    callers::Site,
    stage::{Stage, Tally},
};

/// An example.
#[derive(Debug)]
pub(super) struct Example {
    /// Its name, and that of its file.
    pub(super) name: &'static str,
    /// What it shows, in a line.
    pub(super) shows: &'static str,
    /// What the gateway is configured with, but for ports and folders.
    pub(super) config: &'static str,
    /// A file that the configuration names, and what is in it at first.
    pub(super) file: Option<(&'static str, &'static str)>,
    /// Makes the calls.
    pub(super) play: for<'s> fn(&'s mut Stage<'_>) -> Playing<'s>,
}

/// Calls being made, or why they could not be made to the end.
pub(super) type Playing<'s> = Pin<Box<dyn Future<Output = Result<(), String>> + 's>>;

/// Every example.
pub(super) const EXAMPLES: &[Example] = &[
    headers::EXAMPLE,
    weights::EXAMPLE,
    fault::EXAMPLE,
    limit::EXAMPLE,
    retries::EXAMPLE,
];

/// Calls that a caller makes of each kind.
const CALLS: u64 = 20;

/// Whether a version served all of so many calls.
fn all_by(site: &Site, tally: &Tally, version: &str, calls: u64) -> bool {
    *tally == Tally::from([(site.served(version), calls)])
}

/// How often a caller was told that a version served it.
fn by(site: &Site, tally: &Tally, version: &str) -> u64 {
    tally.get(&site.served(version)).copied().unwrap_or(0)
}

/// How often a caller was told this, and was served by nobody.
fn failed(tally: &Tally, outcome: &str) -> u64 {
    let failed = tally.iter().filter(|(told, _)| told.by.is_none());
    let failed = failed.filter(|(told, _)| told.outcome == outcome);
    failed.map(|(_, calls)| calls).sum()
}
