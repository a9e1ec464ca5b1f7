//! Plain bytes between two connections: `tcp_proxy`, and the fall-back for unknown protocols.

mod half;
#[cfg(test)]
mod tests;

use std::{
    cell::Cell,
    future::Future as _,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};

use self::half::{Broken, Half};
use crate::{
    cluster::ClusterMetric,
    drain::ChainDrain,
    metrics,
    protocol::Io,
    stats::{Group, Shard},
    time::Moment,
    worker::Worker,
};

metrics! {
    /// Metrics of plain TCP, `tcp.<stat_prefix>.…`, named as Envoy does.
    pub enum TcpMetric {
        /// Connections accepted.
        counter CxTotal = "downstream_cx_total",
        /// Connections open. Envoy has no such metric.
        gauge CxActive = "downstream_cx_active",
        /// Connections whose cluster is not known.
        counter CxNoRoute = "downstream_cx_no_route",
        /// Connections closed for being idle.
        counter IdleTimeout = "idle_timeout",
        /// Connections closed for being too old.
        counter MaxDuration = "max_downstream_connection_duration",
        /// Connections closed because bytes would have had to wait when the memory was used up.
        counter Overload = "downstream_cx_unread_closed",
        /// Times that a client was not read because the host took no more bytes.
        counter Paused = "downstream_flow_control_paused_reading_total",
        /// Times that the client was read again after that.
        counter Resumed = "downstream_flow_control_resumed_reading_total",
        /// Bytes from clients.
        counter Rx = "downstream_cx_rx_bytes_total",
        /// Bytes to clients.
        counter Tx = "downstream_cx_tx_bytes_total",
    }
}

/// One of the two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Down,
    /// The host's.
    Up,
}

/// How a pair of connections ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Both sides closed.
    Closed,
    /// No byte moved for the idle time.
    Idle,
    /// The longest life of a connection was over.
    Expired,
    /// A drain took as long as it may, or the connection leaves at the first chance.
    Drained,
    /// Bytes would have had to wait, and the worker's memory is used up.
    Overload,
    /// This side broke.
    Reset(Side),
}

/// What a pair of connections may do.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Ends a pair on which no byte moved for so long; `None` for never.
    pub idle: Option<Duration>,
    /// Ends the pair then; `None` for never.
    pub until: Option<Moment>,
    /// The drain of the filter chain.
    pub drain: Arc<ChainDrain>,
    /// End with the first bytes that move while a drain is in progress (`check_drain_close`),
    /// instead of taking all of its time.
    pub leaves_on_drain: bool,
}

/// Bytes that have moved so far, counted where the metrics of the pair are.
#[derive(Debug)]
pub struct Flow {
    /// Read from the client.
    pub received: Cell<u64>,
    /// Written to the client.
    pub sent: Cell<u64>,
    /// Read from the host.
    pub upstream_received: Cell<u64>,
    /// Written to the host.
    pub upstream_sent: Cell<u64>,
    stats: Arc<Group>,
    cluster: Arc<Group>,
}

impl Flow {
    /// Nothing has moved yet; `stats` are of [`TcpMetric`], `cluster` of [`ClusterMetric`].
    pub fn new(stats: Arc<Group>, cluster: Arc<Group>) -> Self {
        Self {
            received: Cell::new(0),
            sent: Cell::new(0),
            upstream_received: Cell::new(0),
            upstream_sent: Cell::new(0),
            stats,
            cluster,
        }
    }

    /// Takes the counters of both directions over; whether anything has moved.
    fn take(&self, there: &mut Half, back: &mut Half, shard: Shard) -> bool {
        let mut moved = false;
        for (by, cell, metric) in [
            (&mut there.read, &self.received, TcpMetric::Rx),
            (&mut back.written, &self.sent, TcpMetric::Tx),
        ] {
            let by = mem::take(by);
            moved |= by > 0;
            cell.set(cell.get() + by);
            self.stats.add(shard, metric, by);
        }
        for (by, cell, metric) in [
            (&mut there.written, &self.upstream_sent, ClusterMetric::CxTx),
            (&mut back.read, &self.upstream_received, ClusterMetric::CxRx),
        ] {
            let by = mem::take(by);
            moved |= by > 0;
            cell.set(cell.get() + by);
            self.cluster.add(shard, metric, by);
        }
        for (by, metric) in [
            (&mut there.paused, TcpMetric::Paused),
            (&mut there.resumed, TcpMetric::Resumed),
        ] {
            self.stats.add(shard, metric, mem::take(by));
        }
        moved
    }
}

/// Relays bytes both ways until both sides have closed, one broke, or a limit is reached. `prefix`
/// has been read from the client already.
///
/// A side that closes its sending half still receives. When a side is closed or broken, what it
/// sent before reaches the other one first; when it has been reset, what the other one sends is
/// lost. Of each direction at most one read block is buffered ([`READ_BLOCK`]); less while the
/// worker's memory is scarce, and nothing when it is used up.
///
/// [`READ_BLOCK`]: crate::worker::READ_BLOCK
pub async fn relay<D, U>(
    down: &mut D,
    up: &mut U,
    prefix: BytesMut,
    limits: &Limits,
    flow: &Flow,
    worker: &Worker,
) -> Ended
where
    D: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut pair = Pair {
        there: Half::new(prefix),
        back: Half::default(),
        last: worker.tick(),
        limits,
        flow,
        worker,
    };
    let mut timer = pin!(sleep(pair.next_check()));
    let mut drain = pin!(worker.drain_begins(&limits.drain));
    let mut draining = false;
    let ended = std::future::poll_fn(|cx| {
        worker.tick();
        if !draining && drain.as_mut().poll(cx).is_ready() {
            draining = true;
            timer.as_mut().reset(Instant::now());
        }
        let polled = pair.poll(cx, down, up);
        let moved = pair.note_moves();
        if polled.is_ready() {
            return polled;
        }
        if draining && moved && limits.leaves_on_drain && pair.is_empty() {
            return Poll::Ready(Ended::Drained);
        }
        pair.check(cx, timer.as_mut())
    })
    .await;
    pair.there.close(worker);
    pair.back.close(worker);
    ended
}

struct Pair<'p> {
    there: Half,
    back: Half,
    /// When the last byte moved.
    last: Moment,
    limits: &'p Limits,
    flow: &'p Flow,
    worker: &'p Worker,
}

impl Pair<'_> {
    fn poll<D, U>(&mut self, cx: &mut Context<'_>, down: &mut D, up: &mut U) -> Poll<Ended>
    where
        D: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let there = self.there.poll(cx, down, up, self.worker);
        let back = self.back.poll(cx, up, down, self.worker);
        let broken = |side, half: &Poll<Result<(), Broken>>| match half {
            // Nothing can be read any more, and what would be written to it is lost.
            Poll::Ready(Err(Broken::Reading)) => Some(Ended::Reset(side)),
            Poll::Ready(Err(Broken::Memory)) => Some(Ended::Overload),
            _ => None,
        };
        if let Some(ended) = broken(Side::Down, &there).or_else(|| broken(Side::Up, &back)) {
            return Poll::Ready(ended);
        }
        match (there, back) {
            (Poll::Ready(there), Poll::Ready(back)) => Poll::Ready(match (there, back) {
                // What could not be written was lost on the side that it was meant for.
                (Err(_), _) => Ended::Reset(Side::Up),
                (_, Err(_)) => Ended::Reset(Side::Down),
                (Ok(()), Ok(())) => Ended::Closed,
            }),
            _ => Poll::Pending,
        }
    }

    /// Whether every byte that was read has been written.
    fn is_empty(&self) -> bool {
        self.there.is_empty() && self.back.is_empty()
    }

    /// Notes what has moved since it was last asked; whether anything has.
    fn note_moves(&mut self) -> bool {
        let shard = self.worker.shard();
        let moved = self.flow.take(&mut self.there, &mut self.back, shard);
        if moved {
            self.last = self.worker.now();
        }
        moved
    }

    /// Looks at the limits when the timer says so.
    fn check(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Ended> {
        while timer.as_mut().poll(cx).is_ready() {
            let now = self.worker.tick();
            if let Some(ended) = self.due(now) {
                return Poll::Ready(ended);
            }
            let next = self.next_check();
            timer.as_mut().reset(Instant::now() + next);
        }
        Poll::Pending
    }

    fn due(&self, now: Moment) -> Option<Ended> {
        let limits = self.limits;
        let drain = self.worker.drain_of(&limits.drain);
        if drain.is_some_and(|drain| now >= drain.deadline) {
            return Some(Ended::Drained);
        }
        if limits.until.is_some_and(|until| now >= until) {
            return Some(Ended::Expired);
        }
        let idle = limits.idle.is_some_and(|idle| now.since(self.last) >= idle);
        idle.then_some(Ended::Idle)
    }

    /// How long nothing can be due.
    fn next_check(&self) -> Duration {
        const NEVER: Duration = Duration::from_secs(24 * 3600);
        let now = self.worker.now();
        let idle = self.limits.idle.map(|idle| self.last.after(idle));
        let drain = self.worker.drain_of(&self.limits.drain);
        let drained = drain.map(|drain| drain.deadline);
        let next = [idle, self.limits.until, drained].into_iter().flatten();
        let left = next.min().map_or(NEVER, |at| at.since(now));
        // A runtime's timers count whole milliseconds.
        left.clamp(Duration::from_millis(1), NEVER)
    }
}

/// Closes a connection by a reset, so that its peer does not take what it got for everything. Over
/// TLS the missing `close_notify` tells the same.
pub fn reset(io: Io) {
    if let Io::Tcp(socket) = &io
        && let Err(error) = socket.set_zero_linger()
    {
        tracing::debug!("cannot reset a connection: {error}");
    }
    drop(io);
}
