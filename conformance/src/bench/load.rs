//! The load generator: connections that keep a number of calls in flight each (a closed loop) and
//! check every answer to the last byte.

use super::child;
use super::clock::now;
use super::histogram::Histogram;
use super::link::Link;
use super::wire::{Garbled, Seen, Template, Wire};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is loaded, and how.
#[derive(Clone, clap::Args)]
pub(crate) struct Load {
    /// The address that is called.
    #[arg(long)]
    target: SocketAddr,
    #[arg(long, value_enum)]
    wire: Wire,
    /// Octets of each call's argument.
    #[arg(long)]
    payload: usize,
    #[arg(long)]
    connections: usize,
    /// Calls that each connection has open.
    #[arg(long)]
    in_flight: usize,
    /// Calls before the measured ones.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Measured calls, over all connections.
    #[arg(long)]
    calls: u64,
    /// Every connection makes the same number of calls, and waits for all answers before it calls
    /// again: slower, and the same each time.
    #[arg(long)]
    lockstep: bool,
    /// Seconds without any answer after which what is open is given up.
    #[arg(long, default_value_t = 15)]
    patience: u64,
}

/// What a measured run came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Calls that got exactly their answer.
    pub(crate) ok: u64,
    /// Calls answered with an error, or lost with their connection.
    pub(crate) failed: u64,
    /// Of these, the ones in the first second.
    pub(crate) failed_first_second: u64,
    /// Answers that belong to no open call or carry another call's bytes.
    pub(crate) wrong: u64,
    /// Calls that never came to an end.
    pub(crate) unanswered: u64,
    /// Connections that the other side closed.
    pub(crate) lost_connections: u64,
    /// Microseconds from the first call to the last answer.
    pub(crate) elapsed: u64,
    /// Latency in microseconds.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    /// The first failure, in words.
    pub(crate) example: Option<String>,
}

impl Outcome {
    /// Calls that did not get their answer, and answers that nobody may get.
    pub(crate) const fn errors(&self) -> u64 {
        self.failed + self.wrong + self.unanswered
    }

    /// Calls that came to an end.
    pub(crate) const fn completed(&self) -> u64 {
        self.ok + self.failed
    }
}

/// Connects, warms up, says `ready`, and after a line from the parent runs the measured calls and
/// tells their [`Outcome`]. The connections stay open until the parent's input ends.
pub(super) fn run(load: &Load) -> anyhow::Result<()> {
    let runtime = child::runtime()?;
    let template = Arc::new(load.wire.template(load.payload));
    let mut callers = runtime.block_on(async {
        let mut callers = Vec::new();
        for index in 0..load.connections {
            callers.push(Caller::new(load, index, Arc::clone(&template)).await?);
        }
        anyhow::Ok(callers)
    })?;
    (callers, _) = runtime.block_on(phase(load, callers, load.warm_up));
    child::tell("ready")?;
    while child::told()? {
        let (kept, outcome) = runtime.block_on(phase(load, callers, load.calls));
        callers = kept;
        child::tell(&serde_json::to_string(&outcome)?)?;
    }
    drop(callers);
    Ok(())
}

/// Makes `calls` calls and waits for their answers.
async fn phase(load: &Load, callers: Vec<Caller>, calls: u64) -> (Vec<Caller>, Outcome) {
    let run = Arc::new(Run {
        start: now(),
        left: AtomicU64::new(calls),
        share: calls / callers.len().max(1) as u64,
        issued: AtomicU64::new(0),
        tally: Mutex::new(Tally {
            outcome: Outcome::default(),
            latency: Histogram::new(),
        }),
    });
    let mut tasks = JoinSet::new();
    for caller in callers {
        tasks.spawn(caller.make_calls(Arc::clone(&run)));
    }
    let mut kept = Vec::new();
    let mut ended = 0;
    loop {
        match tokio::time::timeout(Duration::from_secs(load.patience), tasks.join_next()).await {
            Ok(None) => break,
            Ok(Some(caller)) => kept.extend(caller),
            Err(_) => {
                let so_far = run.tally().outcome.completed();
                if so_far == ended {
                    break;
                }
                ended = so_far;
            }
        }
    }
    let mut outcome = run.outcome();
    outcome.elapsed = micros(run.start.elapsed());
    (kept, outcome)
}

/// What all connections of a phase share.
struct Run {
    start: Instant,
    /// Calls not yet made.
    left: AtomicU64,
    /// Calls of one connection in lockstep.
    share: u64,
    issued: AtomicU64,
    tally: Mutex<Tally>,
}

struct Tally {
    outcome: Outcome,
    latency: Histogram,
}

impl Run {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one of the calls that are left.
    fn take(&self) -> bool {
        self.left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }

    fn failed(&self, calls: u64, why: impl FnOnce() -> String) {
        let early = self.start.elapsed() < Duration::from_secs(1);
        let outcome = &mut self.tally().outcome;
        outcome.failed += calls;
        outcome.failed_first_second += if early { calls } else { 0 };
        outcome.example.get_or_insert_with(why);
    }

    fn wrong(&self, why: impl FnOnce() -> String) {
        let outcome = &mut self.tally().outcome;
        outcome.wrong += 1;
        outcome.example.get_or_insert_with(why);
    }

    fn outcome(&self) -> Outcome {
        let tally = self.tally();
        let mut outcome = tally.outcome.clone();
        outcome.unanswered = self
            .issued
            .load(Relaxed)
            .saturating_sub(outcome.completed());
        outcome.p50 = tally.latency.quantile(0.5);
        outcome.p99 = tally.latency.quantile(0.99);
        outcome.p999 = tally.latency.quantile(0.999);
        outcome
    }
}

/// One client connection.
struct Caller {
    target: SocketAddr,
    link: Link,
    book: Book,
}

/// The calls of one connection.
struct Book {
    wire: Wire,
    template: Arc<Template>,
    in_flight: usize,
    lockstep: bool,
    /// Distinguishes this connection's marks from all others'.
    index: u64,
    first_id: u64,
    made: u64,
    /// Calls left in lockstep.
    share: u64,
    open: Vec<Open>,
}

/// A call that waits for its answer.
struct Open {
    id: u64,
    mark: u64,
    since: Instant,
}

impl Caller {
    async fn new(load: &Load, index: usize, template: Arc<Template>) -> anyhow::Result<Self> {
        Ok(Self {
            target: load.target,
            link: connect(load.target)
                .await
                .with_context(|| format!("connection {index}"))?,
            book: Book {
                wire: load.wire,
                template,
                in_flight: load.in_flight,
                lockstep: load.lockstep,
                index: index as u64,
                first_id: load.wire.first_id(index),
                made: 0,
                share: 0,
                open: Vec::with_capacity(load.in_flight),
            },
        })
    }

    /// Calls until none are left and all answers are there. A connection that is lost is opened
    /// again; the calls that were open on it have failed.
    async fn make_calls(mut self, run: Arc<Run>) -> Self {
        self.book.share = run.share;
        self.book.refill(now(), &run, self.link.out());
        while !self.book.open.is_empty() {
            let mut came = None;
            let turn = self.link.turn(|frame, out| {
                self.book
                    .take(frame, *came.get_or_insert_with(now), &run, out)
            });
            let why = match turn.await {
                Ok(true) => continue,
                Ok(false) => "connection closed".to_owned(),
                Err(error) => format!("connection lost: {error}"),
            };
            run.failed(self.book.open.len() as u64, || why);
            run.tally().outcome.lost_connections += 1;
            self.book.open.clear();
            match connect(self.target).await {
                Ok(link) => self.link = link,
                Err(_) => break,
            }
            self.book.refill(now(), &run, self.link.out());
        }
        self
    }
}

impl Book {
    /// Handles a frame that came, and makes the calls for which there is room again.
    fn take(
        &mut self,
        frame: &[u8],
        at: Instant,
        run: &Run,
        out: &mut Vec<u8>,
    ) -> Result<(), Garbled> {
        let id = match Wire::see(frame) {
            Seen::Heartbeat => return Wire::serve(frame, out),
            Seen::Notice => return Ok(()),
            Seen::Answer(id) => id,
        };
        let Some(place) = self.open.iter().position(|call| call.id == id) else {
            run.wrong(|| format!("an answer to no open call, id {id:x}"));
            return Ok(());
        };
        let call = self.open.swap_remove(place);
        if self.template.answered_by(frame, call.id, call.mark) {
            let mut tally = run.tally();
            tally.outcome.ok += 1;
            tally
                .latency
                .record(at.saturating_duration_since(call.since));
        } else {
            run.failed(1, || Wire::describe(frame));
            if Wire::succeeded(frame) {
                run.wrong(|| format!("another call's bytes, id {id:x}"));
            }
        }
        if !self.lockstep || self.open.is_empty() {
            self.refill(at, run, out);
        }
        Ok(())
    }

    fn refill(&mut self, at: Instant, run: &Run, out: &mut Vec<u8>) {
        while self.open.len() < self.in_flight && self.may_call(run) {
            let id = self.wire.nth_id(self.first_id, self.made);
            let mark = self.index << 32 | self.made & 0xffff_ffff;
            self.made += 1;
            self.template.call(id, mark, out);
            self.open.push(Open {
                id,
                mark,
                since: at,
            });
            run.issued.fetch_add(1, Relaxed);
        }
    }

    fn may_call(&mut self, run: &Run) -> bool {
        if self.lockstep {
            let more = self.share > 0;
            self.share -= u64::from(more);
            more
        } else {
            run.take()
        }
    }
}

async fn connect(target: SocketAddr) -> std::io::Result<Link> {
    let patience = Duration::from_secs(5);
    Link::new(tokio::time::timeout(patience, TcpStream::connect(target)).await??)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
