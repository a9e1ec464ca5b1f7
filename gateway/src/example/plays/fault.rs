//! Calls of one user are ended as if nobody had answered in time.

use super::{CALLS, Example, all_by, failed};
use crate::example::{
    callers::{Ask, SITES},
    stage::Stage,
};

pub(super) const EXAMPLE: Example = Example {
    name: "fault-for-one-user",
    shows: "calls of one user end with status 504, everybody else's are served",
    config: include_str!("../../../../examples/fault-for-one-user.yaml"),
    file: None,
    play: |stage| Box::pin(play(stage)),
};

/// What 504 is to a caller of each protocol.
const TIMED_OUT: [&str; 4] = [
    "RpcException 2 TIMEOUT_EXCEPTION",
    "status 7 TIMEOUT",
    "504 Gateway Timeout",
    "grpc-status 14 UNAVAILABLE",
];

async fn play(stage: &mut Stage<'_>) -> Result<(), String> {
    let unlucky = Ask::FIRST.with("x-user", "unlucky");
    let aborted = stage.calls(unlucky, CALLS, |site, tally| {
        failed(tally, site.among(TIMED_OUT)) == CALLS
    });
    aborted.await?;
    let served = stage.calls(Ask::FIRST, CALLS, |site, tally| {
        all_by(site, tally, "v1", CALLS)
    });
    served.await?;
    for site in &SITES {
        stage.expect(site.counter("v1", "upstream_rq_total"), CALLS);
    }
    let aborts = CALLS * SITES.len() as u64;
    stage.expect("http.rpc.fault.aborts_injected".into(), aborts);
    // The answer to a gRPC call has status 200 of HTTP, whatever its own.
    stage.expect("http.rpc.downstream_rq_5xx".into(), aborts - CALLS);
    stage.expect("http.rpc.downstream_rq_2xx".into(), aborts + CALLS);
    Ok(())
}
