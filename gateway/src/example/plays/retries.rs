//! A service that fails every other call is made whole by retries.

use super::{CALLS, Example, all_by, by, failed};
use crate::example::{
    callers::{Ask, SITES},
    stage::Stage,
};

pub(super) const EXAMPLE: Example = Example {
    name: "retries",
    shows: "a service that fails every other call is made whole by retries",
    config: include_str!("../../../../examples/retries.yaml"),
    file: None,
    play: |stage| Box::pin(play(stage)),
};

/// What a service of each protocol says when it fails.
const FAILED: [&str; 4] = [
    "status 80 SERVER_ERROR",
    "status 2 SERVER_EXCEPTION",
    "503 Service Unavailable",
    "grpc-status 14 UNAVAILABLE",
];

async fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let once = stage.calls(Ask::SECOND, CALLS, |site, tally| {
        let well = by(site, tally, "flaky");
        well == CALLS / 2 && failed(tally, site.among(FAILED)) == CALLS / 2
    });
    once.await?;
    let again = stage.calls(Ask::FIRST, CALLS, |site, tally| {
        all_by(site, tally, "flaky", CALLS)
    });
    again.await?;
    for site in &SITES {
        // Of the tries of the second kind every other one fails too, and is the first of its call.
        for (counter, value) in [
            ("upstream_rq_total", CALLS * 3),
            ("upstream_rq_retry", CALLS),
            ("upstream_rq_retry_success", CALLS),
            ("upstream_rq_retry_limit_exceeded", 0),
        ] {
            stage.expect(site.counter("flaky", counter), value);
        }
    }
    Ok(())
}
