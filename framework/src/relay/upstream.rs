//! The client side of the framed relay: one task for each upstream connection.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use super::{
    Relay,
    inbound::Inbound,
    up::{Life, Up},
};
use crate::{
    cluster::{Cluster, ClusterMetric, Host, HostIx, UpstreamConnection},
    codec::{Codec, Decoded, PoolMode},
    frame::{Frame, Head, Kind},
    out::Out,
    protocol::Io,
    status::{Cause, Detail, Status},
    time::Moment,
    transport::{self, Named},
};

/// Heartbeats that may go unanswered before the connection is given up.
const MAX_UNANSWERED: u32 = 3;

/// Reads of one connection in one turn, before others have theirs.
const READS_A_TURN: usize = 4;

/// Opens the connection, serves it, and cleans up after it.
pub(super) async fn run<C: Codec>(relay: Rc<Relay<C>>, up: Rc<Up<C>>) {
    let opened = transport::open(&up.cluster, &up.host, &[], Named::default(), &relay.worker).await;
    let failure = match opened {
        Ok(opened) => {
            up.local.set(opened.local);
            return serve(&relay, &up, opened.io).await;
        }
        Err(failure) => failure,
    };
    let status = failure.status(&up.host);
    up.life.set(Life::Closed);
    up.cluster.breakers[0].end_connection();
    tracing::debug!(cluster = %up.cluster.name, "{}", status.text);
    relay.connect_failed(&up, &status);
    relay.forget(&up);
}

async fn serve<C: Codec>(relay: &Rc<Relay<C>>, up: &Rc<Up<C>>, io: Io) {
    let account = UpstreamConnection::begin(&up.cluster.stats, &relay.worker);
    if up.life.get() == Life::Opening {
        up.life.set(Life::Open);
    }
    relay.connected(up);
    let now = relay.worker.now();
    let mut task = Task {
        relay: Rc::clone(relay),
        up: Rc::clone(up),
        io,
        inbound: Inbound::default(),
        codec: C::default(),
        last_read: now,
        last_call: now,
        ended: false,
        known: Arc::clone(&up.cluster),
    };
    let mut timer = Box::pin(sleep(task.check_interval()));
    let reason = poll_fn(|cx| task.poll(cx, timer.as_mut())).await;
    match reason {
        End::Closed | End::Failed(_) => {}
        End::Protocol(_) | End::Silent | End::Idle => account.ends_here(),
    }
    account.set_busy(up.calls.get() > 0);
    task.close(&reason);
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    Closed,
    Failed(io::Error),
    Protocol(&'static str),
    Silent,
    Idle,
}

struct Task<C: Codec> {
    relay: Rc<Relay<C>>,
    up: Rc<Up<C>>,
    io: Io,
    inbound: Inbound,
    codec: C,
    last_read: Moment,
    last_call: Moment,
    ended: bool,
    /// The version of the cluster in which the host was last looked for.
    known: Arc<Cluster>,
}

impl<C: Codec> Task<C> {
    fn poll(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<End> {
        let now = self.relay.worker.tick();
        self.up.wake.register(cx);
        let read = self.read(cx, now);
        if C::POOL == PoolMode::PingPong {
            self.relay.next_in_line(&self.up);
        }
        // What is queued for a host that has closed the connection is not written any more, though the
        // kernel would take it: calls of which no byte has left go to another host.
        let flushed = read.and_then(|()| self.flush(cx));
        self.relay.oneways_left(&self.up);
        self.inbound.settle(&self.relay.worker);
        if let Err(end) = flushed {
            return Poll::Ready(end);
        }
        if self.up.calls.get() > 0 {
            self.last_call = now;
        } else if self.ended || (self.up.life.get() == Life::Leaving && self.up.unwritten() == 0) {
            return Poll::Ready(End::Closed);
        }
        while timer.as_mut().poll_elapsed(cx) {
            if let Some(end) = self.check(now) {
                return Poll::Ready(end);
            }
            timer
                .as_mut()
                .reset(tokio::time::Instant::now() + self.check_interval());
        }
        Poll::Pending
    }

    fn read(&mut self, cx: &mut Context<'_>, now: Moment) -> Result<(), End> {
        for _ in 0..READS_A_TURN {
            match self.inbound.poll_fill(cx, &mut self.io, &self.relay.worker) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(End::Closed),
                Poll::Ready(Ok(read)) => {
                    self.last_read = now;
                    self.up.unanswered.set(0);
                    let stats = &self.up.cluster.stats;
                    stats.add(self.relay.worker.shard(), ClusterMetric::CxRx, read as u64);
                    self.cut()?;
                }
                Poll::Ready(Err(error)) => return Err(End::Failed(error)),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn cut(&mut self) -> Result<(), End> {
        let limit = self.relay.response_limit.get();
        loop {
            let worker = &self.relay.worker;
            match self.inbound.cut(&mut self.codec, limit, worker) {
                Ok(None) => return Ok(()),
                Ok(Some(Decoded::Frame(frame))) => self.take(frame)?,
                Ok(Some(Decoded::Damaged { frame, reason })) => {
                    let text = format!(
                        "the answer of {} is damaged: {reason}",
                        self.up.host.address
                    );
                    self.refuse(&frame, Status::new(Cause::BadResponse, text));
                }
                Ok(Some(Decoded::Oversized { frame, rest })) => {
                    let length = frame.bytes.len() as u64 + rest;
                    let status = match length > limit as u64 {
                        true => Status::new(
                            Cause::ResponseTooLarge,
                            format!(
                                "the answer of {} has {length} bytes, the limit is {limit} \
                                 (crossdock.frame_bytes)",
                                self.up.host.address
                            ),
                        ),
                        false => Status::new(
                            Cause::Overload,
                            "the gateway buffers as much as it may (crossdock.buffer_bytes)",
                        ),
                    };
                    self.refuse(&frame, status);
                }
                Ok(Some(Decoded::More(_))) => unreachable!("cut() turns More into None"),
                Err(error) => return Err(End::Protocol(error.reason)),
            }
            self.inbound.restart_clock();
        }
    }

    fn take(&mut self, frame: Frame<C::Head>) -> Result<(), End> {
        let (relay, up) = (&self.relay, &self.up);
        match frame.head.kind() {
            Kind::Response => {
                if !relay.answered(up, &frame) {
                    self.pass_back(frame);
                }
            }
            // A host that asks and does not read what it is told is not told more.
            Kind::Heartbeat if up.is_glutted() => {}
            Kind::Heartbeat => {
                up.push(relay, |codec, out| codec.heartbeat_ack(&frame, out));
            }
            Kind::HeartbeatAck => {}
            Kind::GoAway | Kind::Resume | Kind::Event if C::POOL == PoolMode::Binding => {
                self.pass_back(frame);
            }
            Kind::GoAway => {
                up.inc(relay, ClusterMetric::CxGoaway);
                tracing::debug!(cluster = %up.cluster.name, host = %up.host.address, "host is going away");
                up.host
                    .state
                    .avoid_until(relay.worker.now().ms() + relay.avoid_leaving_ms);
                if up.life.get() == Life::Open {
                    up.life.set(Life::Leaving);
                }
            }
            Kind::Resume => {
                if up.life.get() == Life::Leaving {
                    up.life.set(Life::Open);
                }
            }
            Kind::Request | Kind::Oneway if C::POOL == PoolMode::Binding => self.pass_back(frame),
            Kind::Request if up.is_glutted() => {}
            Kind::Request => {
                let text = "calls from a provider to its consumer need an upstream connection \
                            of their own, which this protocol's shared connections are not";
                let status = Status::new(Cause::NoRoute, text);
                up.push(relay, |codec, out| codec.answer(&frame, &status, out));
            }
            Kind::Oneway | Kind::Event => {}
        }
        Ok(())
    }

    /// Hands a frame to the bound downstream connection as it is.
    fn pass_back(&self, frame: Frame<C::Head>) {
        let down = self.up.bound.borrow().upgrade();
        match down.filter(|_| C::POOL == PoolMode::Binding) {
            Some(down) => down.push(&self.relay, |_, out| out.share(frame.bytes)),
            None => self.up.inc(&self.relay, ClusterMetric::RqUnmatched),
        }
    }

    fn refuse(&self, frame: &Frame<C::Head>, status: Status) {
        match frame.head.kind() {
            Kind::Response => self.relay.refused(&self.up, frame, status),
            Kind::Request if !self.up.is_glutted() => {
                self.up
                    .push(&self.relay, |codec, out| codec.answer(frame, &status, out));
            }
            _ => {}
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let mut out = self.up.out.borrow_mut();
        let before = out.len();
        let flushed = out.poll_flush(cx, &mut self.io);
        if before == 0 && !out.has_batch() {
            return match flushed {
                Poll::Ready(Err(error)) => Err(End::Failed(error)),
                _ => Ok(()),
            };
        }
        let gone = before - out.len();
        let worker = &self.relay.worker;
        worker.refund(gone);
        self.up.written.set(self.up.written.get() + gone as u64);
        self.up
            .cluster
            .stats
            .add(worker.shard(), ClusterMetric::CxTx, gone as u64);
        match flushed {
            Poll::Ready(Ok(())) => {
                worker.put_batch(out.take_batch());
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(End::Failed(error)),
            Poll::Pending => Ok(()),
        }
    }

    /// How often silence and idleness are looked at.
    fn check_interval(&self) -> Duration {
        let settings = &self.up.cluster.settings;
        let beat = match settings.heartbeat_interval {
            Duration::ZERO => Duration::from_secs(3600),
            every => every / 2,
        };
        beat.min(settings.idle_timeout / 2)
            .clamp(Duration::from_millis(10), Duration::from_secs(60))
    }

    /// Whether the host still belongs to its cluster.
    fn is_wanted(&mut self) -> bool {
        let (snapshot, up) = (self.relay.worker.snapshot(), &self.up);
        let current = snapshot
            .find(&up.cluster.name)
            .and_then(|ix| snapshot.cluster(ix));
        let Some(cluster) = current else {
            return false;
        };
        let here = |(_, host): (HostIx, &Host)| host.state.id == up.key.host;
        let wanted = Arc::ptr_eq(cluster, &self.known) || cluster.hosts.iter().any(here);
        if wanted {
            self.known = Arc::clone(cluster);
        }
        wanted
    }

    fn check(&mut self, now: Moment) -> Option<End> {
        let settings = self.up.cluster.settings;
        if self.up.calls.get() == 0 && now.since(self.last_call) >= settings.idle_timeout {
            self.up.inc(&self.relay, ClusterMetric::CxIdleTimeout);
            return Some(End::Idle);
        }
        if C::POOL != PoolMode::Binding && !self.is_wanted() {
            self.up.leave();
        }
        let stuck = self.inbound.unfinished_since();
        if stuck.is_some_and(|since| now.since(since) >= self.relay.stuck_timeout) {
            return Some(End::Silent);
        }
        let every = settings.heartbeat_interval;
        if every == Duration::ZERO || now.since(self.last_read) < every {
            return None;
        }
        if self.up.unanswered.get() >= MAX_UNANSWERED {
            self.up.inc(&self.relay, ClusterMetric::CxHeartbeatFail);
            return Some(End::Silent);
        }
        self.up.unanswered.set(self.up.unanswered.get() + 1);
        let count = self
            .up
            .heartbeats
            .replace(self.up.heartbeats.get().wrapping_add(1));
        let id = self.relay.calls.borrow().spare_id(count);
        let variant = self.up.key.variant;
        self.up
            .push(&self.relay, |codec, out| codec.heartbeat(variant, id, out));
        self.relay
            .stats
            .inc(self.relay.worker.shard(), super::RelayMetric::HeartbeatSent);
        None
    }

    fn close(mut self, reason: &End) {
        let (relay, up) = (&self.relay, &self.up);
        up.life.set(Life::Closed);
        let text = match reason {
            End::Closed => format!("{} closed the connection", up.host.address),
            End::Idle => format!("the connection to {} was idle", up.host.address),
            End::Failed(error) => format!("the connection to {} broke: {error}", up.host.address),
            End::Silent => format!(
                "{} is silent: no byte and no heartbeat answer",
                up.host.address
            ),
            End::Protocol(what) => {
                up.inc(relay, ClusterMetric::CxProtocolError);
                format!(
                    "{} sent bytes that are no {}: {what}",
                    up.host.address,
                    C::NAME
                )
            }
        };
        tracing::debug!(cluster = %up.cluster.name, "{text}");
        relay.worker.refund(up.unwritten());
        *up.out.borrow_mut() = Out::default();
        self.inbound.close(&relay.worker);
        // Before its calls look for other connections: they may need this one's place.
        up.cluster.breakers[0].end_connection();
        relay.forget(up);
        let detail = match reason {
            End::Protocol(_) => Detail::Protocol,
            _ => Detail::Plain,
        };
        let status = Status::new(Cause::ConnectionLost, text).because(detail);
        relay.lost(up, &status);
        if let Some(down) = up.bound.borrow().upgrade() {
            down.finish();
        }
    }
}

/// Polling a timer without its output.
pub(super) trait Elapsed {
    /// Whether the time has come.
    fn poll_elapsed(self, cx: &mut Context<'_>) -> bool;
}

impl Elapsed for Pin<&mut Sleep> {
    fn poll_elapsed(self, cx: &mut Context<'_>) -> bool {
        std::future::Future::poll(self, cx).is_ready()
    }
}
