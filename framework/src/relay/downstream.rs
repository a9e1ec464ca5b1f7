//! The server side of the framed relay: one task for each downstream connection.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Sleep, sleep},
};

use super::{Relay, inbound::Inbound, up::Up, upstream::Elapsed, wake::Wake};
use crate::{
    accounts,
    codec::{Codec, Decoded, PoolMode},
    drain::ChainDrain,
    frame::{Frame, Head, Kind, Variant},
    out::Out,
    protocol::{Connection, Io, Tls},
    route::Facts,
    snapshot::{DownstreamConnection, DownstreamLimits, Ends, HttpMetric, PolicyIx, Spoken, Terms},
    stats::Group,
    status::{Cause, Detail, Status},
    stream::Unread,
    time::Moment,
    worker::{Memory, Worker},
};

/// Reads of one connection in one turn, before others have theirs.
const READS_A_TURN: usize = 4;

/// What the rest of the relay sees of a downstream connection.
pub(super) struct Down<C: Codec> {
    pub(super) ends: Ends,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) policy: PolicyIx,
    pub(super) drain: Arc<ChainDrain>,
    /// The metrics that its calls are counted in, from their begin to their end: those of the
    /// policy that it was accepted under.
    pub(super) stats: Arc<Group>,
    /// Calls in flight.
    pub(super) calls: Cell<u32>,
    pub(super) closed: Cell<bool>,
    /// The peer will send nothing more, and a call that has not left yet need not.
    gone: Cell<bool>,
    leaving: Notify,
    /// The task waits for a call to end: for room, or to close after the last one.
    pub(super) waits: Cell<bool>,
    pub(super) wake: Wake,
    /// The one upstream connection of a binding pool.
    pub(super) bound: RefCell<Option<Rc<Up<C>>>>,
    out: RefCell<Out>,
    codec: RefCell<C>,
    unread_soft: usize,
    unread_hard: usize,
    /// The socket did not take everything the last time.
    stalled: Cell<bool>,
    /// Close without further ado: the peer does not read.
    abort: Cell<bool>,
    /// Close once everything is written.
    finishing: Cell<bool>,
}

impl<C: Codec> Down<C> {
    /// What is known of a call on this connection besides its own words.
    pub(super) fn facts(&self, began: Moment, random: u64) -> Facts {
        Facts {
            source: Some(self.ends.peer),
            ends: self.ends,
            began,
            tls: self.tls.clone(),
            random,
        }
    }

    /// Queues bytes for the peer, unless it is gone.
    pub(super) fn push<R>(&self, relay: &Relay<C>, write: impl FnOnce(&mut C, &mut Out) -> R) -> R
    where
        R: Default,
    {
        if self.closed.get() {
            return R::default();
        }
        let mut out = self.out.borrow_mut();
        if !out.has_batch() && out.is_empty() {
            out.set_batch(relay.worker.take_batch());
        }
        let before = out.len();
        let result = write(&mut self.codec.borrow_mut(), &mut out);
        relay.worker.charge(out.len() - before);
        // An answer that nothing waits before is not unread yet, however long it is.
        let hard = before > 0 && out.len() > self.unread_hard;
        let soft = self.stalled.get() && out.len() > self.unread_soft;
        if hard || soft && relay.worker.memory(0) != Memory::Enough {
            self.abort.set(true);
        }
        drop(out);
        self.wake.wake();
        result
    }

    /// Waits for the peer to leave: to close the connection, or its side of it. Calls that a filter
    /// keeps waiting are given up then, for no client of a framed protocol closes one side of a
    /// connection and means the other.
    pub(super) async fn left(&self) {
        let leaving = self.leaving.notified();
        if !self.gone.get() {
            leaving.await;
        }
    }

    fn leave(&self) {
        self.gone.set(true);
        self.leaving.notify_waiters();
    }

    /// Closes the connection once everything is written.
    pub(super) fn finish(&self) {
        self.finishing.set(true);
        self.wake.wake();
    }
}

/// Serves a downstream connection to its end.
pub(super) async fn serve<C: Codec>(connection: Connection, worker: Worker) {
    let relay = Relay::<C>::of(&worker);
    let snapshot = worker.snapshot();
    let Some(terms) = snapshot.terms(connection.policy).map(Arc::clone) else {
        return;
    };
    drop(snapshot);
    let down = Rc::new(Down {
        ends: connection.ends,
        tls: connection.tls,
        policy: connection.policy,
        drain: connection.drain,
        stats: Arc::clone(&terms.stats),
        calls: Cell::new(0),
        closed: Cell::new(false),
        gone: Cell::new(false),
        leaving: Notify::new(),
        waits: Cell::new(false),
        wake: Wake::default(),
        bound: RefCell::default(),
        out: RefCell::default(),
        codec: RefCell::default(),
        unread_soft: terms.limits.unread_soft,
        unread_hard: terms.limits.unread_hard,
        stalled: Cell::new(false),
        abort: Cell::new(false),
        finishing: Cell::new(false),
    });
    let secure = down.tls.is_some();
    let account = DownstreamConnection::begin(&terms.stats, &worker, Spoken::Rpc, secure);
    let read = connection.prefix.len() as u64;
    terms.stats.add(worker.shard(), HttpMetric::CxRx, read);
    let id = relay.add_down(&down);
    let longest = relay.response_limit.get().max(terms.limits.frame);
    relay.response_limit.set(longest);
    let now = worker.tick();
    let mut task = Task {
        relay,
        down,
        limits: terms.limits,
        terms,
        account,
        io: connection.io,
        inbound: Inbound::new(connection.prefix),
        codec: C::default(),
        last_moved: now,
        stalled_since: None,
        unflushed: false,
        ended: false,
        uncut: true,
        paused: false,
        variant: None,
        told: false,
    };
    let first = task.next_check(now);
    let mut timer = Box::pin(sleep(first));
    poll_fn(|cx| task.poll(cx, timer.as_mut())).await;
    task.close(id);
}

struct Task<C: Codec> {
    relay: Rc<Relay<C>>,
    down: Rc<Down<C>>,
    terms: Arc<Terms>,
    limits: DownstreamLimits,
    account: DownstreamConnection,
    io: Io,
    inbound: Inbound,
    codec: C,
    /// When a byte last moved, either way.
    last_moved: Moment,
    /// Since when the socket takes no byte of a waiting answer.
    stalled_since: Option<Moment>,
    /// The socket holds bytes that the peer has not taken: records of TLS.
    unflushed: bool,
    /// The peer sends nothing more; its last answers may still be on their way.
    ended: bool,
    /// Bytes may be buffered that have not been cut yet.
    uncut: bool,
    /// Not reading, because of calls in flight or unread answers.
    paused: bool,
    /// The dialect that the peer spoke last.
    variant: Option<Variant>,
    /// Has been told of a drain.
    told: bool,
}

/// The connection is to be closed now.
struct Close;

impl<C: Codec> Task<C> {
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<()> {
        let now = self.relay.worker.tick();
        self.down.wake.register(cx);
        let draining = self.relay.worker.drain_of(&self.down.drain).is_some();
        if draining && !self.told {
            self.tell_drain();
            timer
                .as_mut()
                .reset(tokio::time::Instant::now() + Duration::from_millis(50));
        }
        let read = self.read(cx, now);
        let flushed = self.flush(cx, now);
        self.inbound.settle(&self.relay.worker);
        if read.is_err() || flushed.is_err() || self.is_done() {
            return Poll::Ready(());
        }
        while timer.as_mut().poll_elapsed(cx) {
            if self.check(now).is_err() {
                self.account.ends_here();
                return Poll::Ready(());
            }
            timer
                .as_mut()
                .reset(tokio::time::Instant::now() + self.next_check(now));
        }
        Poll::Pending
    }

    /// Whether there is nothing left to do for the peer.
    fn is_done(&self) -> bool {
        let written = self.down.out.borrow().is_empty() && !self.unflushed;
        let ended = self.ended && self.down.calls.get() == 0 && written;
        self.down.abort.get() || ended || (self.down.finishing.get() && written)
    }

    fn read(&mut self, cx: &mut Context<'_>, now: Moment) -> Result<(), Close> {
        if self.uncut {
            self.cut()?;
        }
        for _ in 0..READS_A_TURN {
            if !self.may_read() {
                return Ok(());
            }
            match self.inbound.poll_fill(cx, &mut self.io, &self.relay.worker) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => {
                    self.ended = true;
                    self.down.waits.set(true);
                    self.down.leave();
                    return Ok(());
                }
                Poll::Ready(Ok(read)) => {
                    self.last_moved = now;
                    let shard = self.relay.worker.shard();
                    self.terms.stats.add(shard, HttpMetric::CxRx, read as u64);
                    self.cut()?;
                }
                Poll::Ready(Err(_)) => return Err(Close),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Whether another request is welcome: the peer takes its answers and has not too many calls
    /// in flight.
    fn may_read(&mut self) -> bool {
        let room = self.down.calls.get() < self.limits.calls
            && self.down.out.borrow().len() < self.limits.unread_soft;
        let (stats, shard) = (&self.terms.stats, self.relay.worker.shard());
        if !room && !self.paused {
            stats.inc(shard, HttpMetric::CxPaused);
        }
        if room && self.paused {
            stats.inc(shard, HttpMetric::CxResumed);
            // Nothing was read meanwhile, so an unfinished frame has its whole time again.
            self.inbound.restart_clock();
        }
        self.paused = !room;
        self.down.waits.set(!room || self.ended);
        room && !self.ended && !self.down.finishing.get()
    }

    /// Tells access logs of bytes after which the framing is lost.
    fn note_unread(&self, why: &str) {
        let worker = &self.relay.worker;
        let status = Status::new(Cause::BadRequest, why.to_owned());
        let unread = Unread {
            protocol: C::NAME,
            status: status.because(Detail::Unreadable("codec_error")),
            answer: None,
            since: worker.now(),
        };
        let facts = self.down.facts(worker.now(), worker.random());
        accounts::unread(&self.terms, &unread, &facts, worker);
    }

    fn cut(&mut self) -> Result<(), Close> {
        self.uncut = true;
        while self.may_read() {
            let worker = &self.relay.worker;
            match self.inbound.cut(&mut self.codec, self.limits.frame, worker) {
                Ok(None) => {
                    self.uncut = false;
                    return Ok(());
                }
                Ok(Some(Decoded::Frame(frame))) => self.take(frame),
                Ok(Some(Decoded::Damaged { frame, reason })) => {
                    let text = format!("the request is damaged: {reason}");
                    self.refuse(&frame, Status::new(Cause::BadRequest, text));
                }
                Ok(Some(Decoded::Oversized { frame, rest })) => self.refuse_large(&frame, rest),
                Ok(Some(Decoded::More(_))) => unreachable!("cut() turns More into None"),
                Err(error) => {
                    self.terms
                        .stats
                        .inc(worker.shard(), HttpMetric::CxProtocolError);
                    self.note_unread(&error.to_string());
                    self.account.ends_here();
                    tracing::debug!(peer = %self.down.ends.peer, "{error}; closing the connection");
                    return Err(Close);
                }
            }
            self.inbound.restart_clock();
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame<C::Head>) {
        let (relay, down) = (&self.relay, &self.down);
        match frame.head.kind() {
            Kind::Request | Kind::Oneway => {
                self.variant = Some(frame.head.variant());
                relay.accept(down, frame);
            }
            Kind::Heartbeat => {
                self.variant = Some(frame.head.variant());
                relay
                    .stats
                    .inc(relay.worker.shard(), super::RelayMetric::HeartbeatReceived);
                down.push(relay, |codec, out| codec.heartbeat_ack(&frame, out));
            }
            Kind::Response if C::POOL == PoolMode::Binding => {
                if let Some(up) = down.bound.borrow().as_ref().filter(|up| !up.is_closed()) {
                    up.push(relay, |_, out| out.share(frame.bytes));
                    if up.is_glutted() {
                        down.abort.set(true);
                    }
                }
            }
            Kind::Response => relay
                .stats
                .inc(relay.worker.shard(), super::RelayMetric::Stray),
            Kind::HeartbeatAck | Kind::GoAway | Kind::Resume | Kind::Event => {}
        }
    }

    fn refuse_large(&self, frame: &Frame<C::Head>, rest: u64) {
        let length = frame.bytes.len() as u64 + rest;
        let limit = self.limits.frame;
        let status = match length > limit as u64 {
            true => Status::new(
                Cause::RequestTooLarge,
                format!(
                    "the request has {length} bytes, the limit is {limit} (crossdock.frame_bytes)"
                ),
            ),
            false => Status::new(
                Cause::Overload,
                "the gateway buffers as much as it may (crossdock.buffer_bytes)",
            ),
        };
        self.refuse(frame, status);
    }

    fn refuse(&self, frame: &Frame<C::Head>, status: Status) {
        if matches!(frame.head.kind(), Kind::Request | Kind::Oneway) {
            self.relay.refuse(&self.down, &self.terms, frame, &status);
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>, now: Moment) -> Result<(), Close> {
        let mut out = self.down.out.borrow_mut();
        let before = out.len();
        let flushed = out.poll_flush(cx, &mut self.io);
        self.unflushed = flushed.is_pending();
        if before == 0 && !out.has_batch() {
            return match flushed {
                Poll::Ready(Err(_)) => Err(Close),
                _ => Ok(()),
            };
        }
        let gone = before - out.len();
        let worker = &self.relay.worker;
        worker.refund(gone);
        if gone > 0 {
            self.last_moved = now;
        }
        self.terms
            .stats
            .add(worker.shard(), HttpMetric::CxTx, gone as u64);
        self.down.stalled.set(flushed.is_pending());
        match flushed {
            Poll::Ready(Ok(())) => {
                worker.put_batch(out.take_batch());
                self.stalled_since = None;
            }
            Poll::Ready(Err(_)) => return Err(Close),
            Poll::Pending => {
                out.own();
                let since = self.stalled_since.filter(|_| gone == 0);
                self.stalled_since = since.or(Some(now));
            }
        }
        drop(out);
        if gone > 0 && (self.paused || self.uncut) {
            // There may be room again, and nothing else would look.
            self.down.wake.wake();
        }
        Ok(())
    }

    fn tell_drain(&mut self) {
        self.told = true;
        if self.limits.goaway_on_drain
            && let Some(variant) = self.variant
        {
            let id = self.relay.calls.borrow().spare_id(0);
            self.down
                .push(&self.relay, |codec, out| codec.goaway(variant, id, out));
        }
    }

    /// How long nothing can be due.
    fn next_check(&self, now: Moment) -> Duration {
        if self.relay.worker.drain_of(&self.down.drain).is_some() {
            return Duration::from_millis(50);
        }
        let limits = &self.limits;
        let idle = limits
            .idle_timeout
            .saturating_sub(now.since(self.last_moved));
        let idle = match self.down.calls.get() {
            0 => idle,
            // Idleness begins with the answer at the earliest.
            _ => limits.idle_timeout,
        };
        let shortest = idle
            .min(limits.frame_timeout / 4)
            .min(limits.stall_timeout / 4);
        let shortest = match self.inbound.is_empty() && self.stalled_since.is_none() {
            // Whatever begins from now on has its whole time before it.
            true => idle.min(limits.frame_timeout).min(limits.stall_timeout),
            false => shortest,
        };
        shortest.max(Duration::from_millis(10))
    }

    fn check(&self, now: Moment) -> Result<(), Close> {
        let limits = &self.limits;
        let shard = self.relay.worker.shard();
        let quiet = self.down.calls.get() == 0
            && self.inbound.is_empty()
            && self.down.out.borrow().is_empty();
        if quiet && now.since(self.last_moved) >= limits.idle_timeout {
            self.terms.stats.inc(shard, HttpMetric::CxIdleTimeout);
            return Err(Close);
        }
        let unfinished = self.inbound.unfinished_since().filter(|_| !self.paused);
        if unfinished.is_some_and(|since| now.since(since) >= limits.frame_timeout) {
            self.terms.stats.inc(shard, HttpMetric::CxFrameTimeout);
            tracing::debug!(peer = %self.down.ends.peer, "a frame was left unfinished");
            return Err(Close);
        }
        if self
            .stalled_since
            .is_some_and(|since| now.since(since) >= limits.stall_timeout)
        {
            self.terms.stats.inc(shard, HttpMetric::CxSlow);
            tracing::debug!(peer = %self.down.ends.peer, "the peer does not read its answers");
            return Err(Close);
        }
        match self.relay.worker.drain_of(&self.down.drain) {
            // A filter chain that is gone cannot be served for ever.
            Some(drain)
                if quiet && drain.closes_idle(self.last_moved, now)
                    || now >= drain.deadline && self.down.drain.get().is_some() =>
            {
                self.terms.stats.inc(shard, HttpMetric::CxDrained);
                Err(Close)
            }
            _ => Ok(()),
        }
    }

    /// Calls in flight stay in the table until their answers come, which are then dropped: the
    /// hosts are at work on them all the same.
    fn close(mut self, id: u64) {
        let (relay, down) = (&self.relay, &self.down);
        let shard = relay.worker.shard();
        if down.abort.get() {
            self.terms.stats.inc(shard, HttpMetric::CxSlow);
        }
        if down.abort.get() || down.finishing.get() {
            self.account.ends_here();
        }
        self.account.set_busy(down.calls.get() > 0);
        down.closed.set(true);
        down.leave();
        relay.worker.refund(down.out.borrow().len());
        *down.out.borrow_mut() = Out::default();
        self.inbound.close(&relay.worker);
        relay.remove_down(id);
        if let Some(up) = down.bound.take() {
            up.leave();
        }
    }
}
