//! A header, an attachment or an entry of the header map chooses the version.

use super::{CALLS, Example, all_by};
use crate::example::{
    callers::{Ask, SITES, Site},
    stage::{Stage, Tally},
};

pub(super) const EXAMPLE: Example = Example {
    name: "route-by-header",
    shows: "calls of testers go to version 1, all others to version 2",
    config: include_str!("../../../../examples/route-by-header.yaml"),
    file: None,
    play: |stage| Box::pin(play(stage)),
};

async fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let tester = Ask::FIRST.with("x-user", "tester");
    let all = |version| move |site: &Site, tally: &Tally| all_by(site, tally, version, CALLS);
    stage.calls(tester, CALLS, all("v1")).await?;
    stage.calls(Ask::FIRST, CALLS, all("v2")).await?;
    for site in &SITES {
        for version in ["v1", "v2"] {
            stage.expect(site.counter(version, "upstream_rq_total"), CALLS);
        }
    }
    let calls = CALLS * 2 * SITES.len() as u64;
    stage.expect("http.rpc.downstream_rq_total".into(), calls);
    stage.expect("http.rpc.downstream_rq_2xx".into(), calls);
    Ok(())
}
