//! One path takes one call a second, the other as many as come.

use std::time::Duration;

use tokio::time::Instant;

use super::{CALLS, Example, all_by, by, failed};
use crate::example::{
    callers::{Ask, SITES},
    stage::Stage,
};

pub(super) const EXAMPLE: Example = Example {
    name: "one-a-second",
    shows: "one path takes one call a second, the other as many as come",
    config: include_str!("../../../../examples/one-a-second.yaml"),
    file: None,
    play: |stage| Box::pin(play(stage)),
};

/// What a call over the limit is told.
const REFUSED: [&str; 4] = [
    "RpcException 7 LIMIT_EXCEEDED_EXCEPTION",
    "SofaRpcException 100 SERVER_BUSY",
    "429 Too Many Requests",
    "grpc-status 14 UNAVAILABLE",
];

/// Volleys of calls, and how many are in each.
const VOLLEYS: u64 = 3;
const VOLLEY: u64 = 5;

/// From the end of a volley to the next: in a second and a little there is a token again.
const PAUSE: Duration = Duration::from_millis(1100);

async fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let (mut served, mut refused) = ([0; 4], [0; 4]);
    for volley in 1..=VOLLEYS {
        let begun = Instant::now();
        let tallies = stage.tally(Ask::FIRST, VOLLEY).await?;
        // Only on a machine that stands still there is another token meanwhile.
        let more = begun.elapsed().as_secs();
        for (at, (site, tally)) in SITES.iter().zip(tallies).enumerate() {
            let (well, badly) = (by(site, &tally, "v1"), failed(&tally, site.among(REFUSED)));
            let right = (1..=1 + more).contains(&well) && well + badly == VOLLEY;
            stage.show(site, Ask::FIRST, &format!("second {volley}"), tally, right);
            served[at] += well;
            refused[at] += badly;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let unlimited = Ask::SECOND;
    let well = stage.calls(unlimited, CALLS, |site, tally| {
        all_by(site, tally, "v1", CALLS)
    });
    well.await?;
    for (site, served) in SITES.iter().zip(served) {
        stage.expect(site.counter("v1", "upstream_rq_total"), served + CALLS);
    }
    let limited = "one_a_second.http_local_rate_limit";
    stage.expect(format!("{limited}.ok"), served.iter().sum());
    stage.expect(format!("{limited}.rate_limited"), refused.iter().sum());
    Ok(())
}
