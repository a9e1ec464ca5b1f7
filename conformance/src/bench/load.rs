//! The load generator: connections that keep a number of calls in flight each (a closed loop) and
//! check every answer to the last byte.

use super::child;
use super::clock::now;
use super::histogram::Histogram;
use super::link::Link;
use super::tls::Keys;
use super::wire::{Garbled, Heard, Talk, Template, Verdict, Wire};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What is loaded, and how.
#[derive(Clone, clap::Args)]
pub(crate) struct Load {
    /// The address that is called.
    #[arg(long)]
    pub(super) target: SocketAddr,
    #[arg(long, value_enum)]
    pub(super) wire: Wire,
    /// Octets of each call's argument.
    #[arg(long)]
    pub(super) payload: usize,
    /// The folder with the keys of mutual TLS; without it nothing is encrypted.
    #[arg(long)]
    pub(super) tls: Option<PathBuf>,
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
    /// Connections that call at the same time; the others wait for their turn.
    #[arg(long, default_value_t = usize::MAX >> 3)]
    at_once: usize,
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
    let dialler = Arc::new(Dialler::new(
        load.target,
        load.wire,
        load.payload,
        load.tls.as_deref(),
    )?);
    let mut callers = runtime.block_on(async {
        let mut callers = Vec::new();
        for index in 0..load.connections {
            callers.push(Caller::new(load, index, &dialler).await?);
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
    let share = calls / callers.len().max(1) as u64;
    let run = Arc::new(Run::new(calls, share, load.at_once));
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
    (kept, run.outcome())
}

/// What all connections of a phase share.
pub(super) struct Run {
    start: Instant,
    /// Calls not yet made.
    left: AtomicU64,
    /// Calls of one connection in lockstep.
    share: u64,
    issued: AtomicU64,
    turns: Semaphore,
    tally: Mutex<Tally>,
}

struct Tally {
    outcome: Outcome,
    latency: Histogram,
}

impl Run {
    /// For `calls` calls, of which a connection in lockstep makes `share`, and for connections of
    /// which `at_once` call at the same time.
    pub(super) fn new(calls: u64, share: u64, at_once: usize) -> Self {
        Self {
            start: now(),
            left: AtomicU64::new(calls),
            share,
            issued: AtomicU64::new(0),
            turns: Semaphore::new(at_once),
            tally: Mutex::new(Tally {
                outcome: Outcome::default(),
                latency: Histogram::new(),
            }),
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one of the calls that are left.
    fn take(&self) -> bool {
        self.left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok()
    }

    /// Counts a call that is made.
    pub(super) fn begun(&self) {
        self.issued.fetch_add(1, Relaxed);
    }

    /// Counts a call that got its answer.
    pub(super) fn right(&self, after: Duration) {
        let mut tally = self.tally();
        tally.outcome.ok += 1;
        tally.latency.record(after);
    }

    /// Counts calls that failed.
    pub(super) fn failed(&self, calls: u64, why: impl FnOnce() -> String) {
        let early = self.start.elapsed() < Duration::from_secs(1);
        let outcome = &mut self.tally().outcome;
        outcome.failed += calls;
        outcome.failed_first_second += if early { calls } else { 0 };
        outcome.example.get_or_insert_with(why);
    }

    /// Counts an answer that nobody may get.
    pub(super) fn wrong(&self, why: impl FnOnce() -> String) {
        let outcome = &mut self.tally().outcome;
        outcome.wrong += 1;
        outcome.example.get_or_insert_with(why);
    }

    /// What the calls came to, now that they are over.
    pub(super) fn outcome(&self) -> Outcome {
        let tally = self.tally();
        let mut outcome = tally.outcome.clone();
        outcome.elapsed = micros(self.start.elapsed());
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

/// What is needed to open a connection.
pub(super) struct Dialler {
    target: SocketAddr,
    wire: Wire,
    template: Arc<Template>,
    keys: Option<Keys>,
}

impl Dialler {
    /// `folder` has the keys of mutual TLS, if it shall be spoken.
    pub(super) fn new(
        target: SocketAddr,
        wire: Wire,
        payload: usize,
        folder: Option<&Path>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            target,
            wire,
            template: Arc::new(wire.template(payload)),
            keys: folder.map(|f| Keys::client(f, wire)).transpose()?,
        })
    }

    /// Opens the connection with this number.
    pub(super) async fn dial(&self, connection: usize) -> std::io::Result<(Link, Box<dyn Talk>)> {
        let patience = Duration::from_secs(5);
        let open = async {
            let stream = TcpStream::connect(self.target).await?;
            match &self.keys {
                Some(keys) => keys.connect(stream).await,
                None => Link::new(stream),
            }
        };
        let mut link = tokio::time::timeout(patience, open).await??;
        let mut talk = self.wire.talk(Arc::clone(&self.template), connection);
        talk.greet(link.out());
        Ok((link, talk))
    }
}

/// One client connection.
struct Caller {
    dialler: Arc<Dialler>,
    index: usize,
    link: Link,
    book: Book,
}

/// The calls of one connection.
struct Book {
    talk: Box<dyn Talk>,
    in_flight: usize,
    lockstep: bool,
    /// Distinguishes this connection's marks from all others'.
    index: u64,
    made: u64,
    /// Calls left in lockstep.
    share: u64,
    open: Vec<Open>,
}

/// A call that waits for its answer.
struct Open {
    mark: u64,
    since: Instant,
}

impl Caller {
    async fn new(load: &Load, index: usize, dialler: &Arc<Dialler>) -> anyhow::Result<Self> {
        let (link, talk) = dialler
            .dial(index)
            .await
            .with_context(|| format!("connection {index}"))?;
        Ok(Self {
            dialler: Arc::clone(dialler),
            index,
            link,
            book: Book {
                talk,
                in_flight: load.in_flight,
                lockstep: load.lockstep,
                index: index as u64,
                made: 0,
                share: 0,
                open: Vec::with_capacity(load.in_flight),
            },
        })
    }

    /// Calls until none are left and all answers are there. A connection that is lost is opened
    /// again; the calls that were open on it have failed.
    async fn make_calls(mut self, run: Arc<Run>) -> Self {
        let turn = run.turns.acquire().await;
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
            match self.dialler.dial(self.index).await {
                Ok((link, talk)) => (self.link, self.book.talk) = (link, talk),
                Err(_) => break,
            }
            self.book.refill(now(), &run, self.link.out());
        }
        drop(turn);
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
        let (mark, verdict) = match self.talk.take(frame, out)? {
            Heard::Nothing => return Ok(()),
            Heard::Stray(what) => {
                run.wrong(|| what);
                return Ok(());
            }
            Heard::End(mark, verdict) => (mark, verdict),
        };
        let Some(place) = self.open.iter().position(|call| call.mark == mark) else {
            return Err(Garbled("the end of a call that nobody made"));
        };
        let call = self.open.swap_remove(place);
        match verdict {
            Verdict::Right => run.right(at.saturating_duration_since(call.since)),
            Verdict::Failed(why) => run.failed(1, || why),
            Verdict::Wrong(why) => {
                run.failed(1, || why.clone());
                run.wrong(|| why);
            }
        }
        if !self.lockstep || self.open.is_empty() {
            self.refill(at, run, out);
        }
        Ok(())
    }

    fn refill(&mut self, at: Instant, run: &Run, out: &mut Vec<u8>) {
        while self.open.len() < self.in_flight && self.may_call(run) {
            let mark = self.index << 32 | self.made & 0xffff_ffff;
            self.made += 1;
            self.talk.call(mark, out);
            self.open.push(Open { mark, since: at });
            run.begun();
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

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
