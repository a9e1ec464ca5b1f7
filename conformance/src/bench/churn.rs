//! Connections that come, make one call and go.

use super::child;
use super::clock::now;
use super::load::{Dialler, Outcome, Run};
use super::wire::{Heard, Verdict, Wire};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Seconds of coming and going before the measured ones, and how long one call may take.
const WARM_UP: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(15);
/// Connections that may be open at the same time; more would mean that the proxy does not keep up.
const MAX_OPEN: usize = 4000;

/// How many come, and where to.
#[derive(Clone, clap::Args)]
pub(crate) struct Churn {
    #[arg(long)]
    target: SocketAddr,
    #[arg(long, value_enum)]
    wire: Wire,
    #[arg(long)]
    payload: usize,
    /// The folder with the keys of mutual TLS; without it nothing is encrypted.
    #[arg(long)]
    tls: Option<PathBuf>,
    /// Connections in a second.
    #[arg(long)]
    rate: u64,
    #[arg(long)]
    seconds: u64,
}

/// Warms up, says `ready`, and after a line from the parent opens and closes connections at a steady
/// rate and tells their [`Outcome`]. A connection's latency is from its start to its answer.
pub(super) fn run(churn: &Churn) -> anyhow::Result<()> {
    let runtime = child::runtime()?;
    let dialler = Dialler::new(
        churn.target,
        churn.wire,
        churn.payload,
        churn.tls.as_deref(),
    )?;
    let dialler = Arc::new(dialler);
    runtime.block_on(phase(churn.rate, WARM_UP, &dialler));
    child::tell("ready")?;
    while child::told()? {
        let outcome = runtime.block_on(phase(churn.rate, churn.seconds, &dialler));
        child::tell(&serde_json::to_string(&outcome)?)?;
    }
    Ok(())
}

async fn phase(rate: u64, seconds: u64, dialler: &Arc<Dialler>) -> Outcome {
    let run = Arc::new(Run::new(rate * seconds, 1, MAX_OPEN));
    let room = Arc::new(Semaphore::new(MAX_OPEN));
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let begin = now();
    let mut begun = 0;
    while begun < rate * seconds {
        ticks.tick().await;
        let due = (begin.elapsed().as_micros() as u64 * rate / 1_000_000).min(rate * seconds);
        for number in begun..due {
            run.begun();
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                run.failed(1, || format!("{MAX_OPEN} connections wait already"));
                continue;
            };
            let (dialler, run) = (Arc::clone(dialler), Arc::clone(&run));
            tokio::spawn(async move {
                visit(number, &dialler, &run).await;
                drop(place);
            });
        }
        begun = due;
    }
    // Whoever has not gone by then has run out of patience.
    let _all_gone = room.acquire_many(MAX_OPEN as u32).await;
    run.outcome()
}

/// One connection with one call.
async fn visit(number: u64, dialler: &Dialler, run: &Run) {
    let begin = now();
    let call = tokio::time::timeout(PATIENCE, call(number, dialler)).await;
    match call {
        Ok(Ok(Verdict::Right)) => run.right(begin.elapsed()),
        Ok(Ok(Verdict::Failed(why))) => run.failed(1, || why),
        Ok(Ok(Verdict::Wrong(why))) => run.wrong(|| why),
        Ok(Err(error)) => run.failed(1, || format!("connection lost: {error}")),
        Err(_) => run.failed(1, || "out of patience".to_owned()),
    }
}

async fn call(number: u64, dialler: &Dialler) -> std::io::Result<Verdict> {
    let (mut link, mut talk) = dialler.dial(number as usize).await?;
    talk.call(number, link.out());
    let mut verdict = None;
    while verdict.is_none() {
        let open = link
            .turn(|frame, out| {
                match talk.take(frame, out)? {
                    Heard::Nothing => {}
                    Heard::End(_, end) => verdict = Some(end),
                    Heard::Stray(what) => verdict = Some(Verdict::Wrong(what)),
                }
                Ok(())
            })
            .await?;
        if !open {
            break;
        }
    }
    verdict.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}
