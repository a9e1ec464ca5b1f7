//! What is done in each example, and what has to come of it.

use std::pin::Pin;

use super::{
    callers::{Ask, SITES, Site},
    stage::{Stage, Tally},
};

/// An example.
#[derive(Debug)]
pub(super) struct Example {
    /// Its name, and that of its file.
    pub(super) name: &'static str,
    /// What it shows, in a line.
    pub(super) shows: &'static str,
    /// What the gateway is configured with, but for ports.
    pub(super) config: &'static str,
    /// Makes the calls.
    pub(super) play: for<'s> fn(&'s mut Stage<'_>) -> Playing<'s>,
}

/// Calls being made, or why they could not be made to the end.
pub(super) type Playing<'s> = Pin<Box<dyn Future<Output = Result<(), String>> + 's>>;

/// Every example.
pub(super) const EXAMPLES: &[Example] = &[Example {
    name: "route-by-header",
    shows: "calls of testers go to version 1, all others to version 2",
    config: include_str!("../../../examples/route-by-header.yaml"),
    play: |stage| Box::pin(route_by_header(stage)),
}];

/// Calls that a caller makes of each kind.
const CALLS: u64 = 20;

/// Whether a version served all of so many calls.
fn all_by(site: &Site, tally: &Tally, version: &str, calls: u64) -> bool {
    *tally == Tally::from([(site.served(version), calls)])
}

async fn route_by_header(stage: &mut Stage<'_>) -> Result<(), String> {
    let tester = Ask::FIRST.with("x-user", "tester");
    let by = |version| move |site: &Site, tally: &Tally| all_by(site, tally, version, CALLS);
    stage.calls(tester, CALLS, by("v1")).await?;
    stage.calls(Ask::FIRST, CALLS, by("v2")).await?;
    for site in &SITES {
        for version in ["v1", "v2"] {
            let cluster = site.cluster(version);
            stage.expect(format!("cluster.{cluster}.upstream_rq_total"), CALLS);
        }
    }
    let calls = CALLS * 2 * SITES.len() as u64;
    stage.expect("http.rpc.downstream_rq_total".into(), calls);
    stage.expect("http.rpc.downstream_rq_2xx".into(), calls);
    Ok(())
}
