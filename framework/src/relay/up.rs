//! An upstream connection as the rest of the relay sees it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    net::SocketAddr,
    rc::Weak,
    sync::Arc,
};

use super::{Relay, downstream::Down, pool::PoolKey, table::CallKey, turned, wake::Wake};
use crate::{
    cluster::{Cluster, ClusterMetric, Host},
    codec::Codec,
    out::Out,
};

/// Where an upstream connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Being opened; calls wait for it.
    Opening,
    /// Takes calls.
    Open,
    /// Finishes its calls and takes no new ones: the host said that it is going away.
    Leaving,
    /// Gone.
    Closed,
}

/// What the rest of the relay sees of an upstream connection.
pub(super) struct Up<C: Codec> {
    pub(super) key: PoolKey,
    pub(super) cluster: Arc<Cluster>,
    pub(super) host: Host,
    /// Calls in flight on the connection.
    pub(super) calls: Cell<u32>,
    pub(super) wake: Wake,
    /// The one downstream connection of a binding pool.
    pub(super) bound: RefCell<Weak<Down<C>>>,
    pub(super) life: Cell<Life>,
    pub(super) out: RefCell<Out>,
    pub(super) codec: RefCell<C>,
    /// Bytes that the socket has taken.
    pub(super) written: Cell<u64>,
    /// Our end of it, once it is open.
    pub(super) local: Cell<Option<SocketAddr>>,
    pub(super) heartbeats: Cell<u32>,
    pub(super) unanswered: Cell<u32>,
    /// One-way calls of which bytes wait to be written, in order, each with the offset behind it.
    oneways: RefCell<VecDeque<(u64, CallKey)>>,
    /// How many refused calls may still turn elsewhere, see [`turned`].
    pub(super) turns: Cell<u32>,
}

impl<C: Codec> Up<C> {
    pub(super) fn new(key: PoolKey, cluster: Arc<Cluster>, host: Host) -> Self {
        Self {
            key,
            cluster,
            host,
            calls: Cell::new(0),
            wake: Wake::default(),
            bound: RefCell::new(Weak::new()),
            life: Cell::new(Life::Opening),
            out: RefCell::default(),
            codec: RefCell::default(),
            written: Cell::new(0),
            local: Cell::new(None),
            heartbeats: Cell::new(0),
            unanswered: Cell::new(0),
            oneways: RefCell::default(),
            turns: Cell::new(turned::STORE),
        }
    }

    /// Whether new calls may be given to it.
    #[inline]
    pub(super) fn takes_calls(&self) -> bool {
        matches!(self.life.get(), Life::Opening | Life::Open)
    }

    /// Whether it is connected and takes calls.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.life.get() == Life::Open
    }

    /// Whether it is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.life.get() == Life::Closed
    }

    /// Lets its calls finish and then closes it.
    pub(super) fn leave(&self) {
        if !self.is_closed() {
            self.life.set(Life::Leaving);
            self.wake.wake();
        }
    }

    /// Bytes that wait to be written.
    #[inline]
    pub(super) fn unwritten(&self) -> usize {
        self.out.borrow().len()
    }

    /// Whether more bytes wait to be written than a host may leave unread.
    #[inline]
    pub(super) fn is_glutted(&self) -> bool {
        self.unwritten() > self.cluster.settings.unwritten_max
    }

    /// Whether the bytes from `offset` on have not begun to leave.
    pub(super) fn is_unsent(&self, offset: u64) -> bool {
        offset >= self.written.get()
    }

    /// Notes that the latest bytes are those of a one-way call, which is over when they have left.
    pub(super) fn note_oneway(&self, key: CallKey) {
        let end = self.written.get() + self.unwritten() as u64;
        self.oneways.borrow_mut().push_back((end, key));
    }

    /// The next one-way call whose last byte has left.
    pub(super) fn oneway_left(&self) -> Option<CallKey> {
        let mut oneways = self.oneways.borrow_mut();
        let left = |(end, _): &&(u64, CallKey)| *end <= self.written.get();
        oneways.front().filter(left)?;
        oneways.pop_front().map(|(_, key)| key)
    }

    /// Queues bytes and returns the offset at which they start.
    pub(super) fn push<R>(
        &self,
        relay: &Relay<C>,
        write: impl FnOnce(&mut C, &mut Out) -> R,
    ) -> (u64, R) {
        let mut out = self.out.borrow_mut();
        if !out.has_batch() && out.is_empty() {
            out.set_batch(relay.worker.take_batch());
        }
        let before = out.len();
        let result = write(&mut self.codec.borrow_mut(), &mut out);
        relay.worker.charge(out.len() - before);
        drop(out);
        self.wake.wake();
        (self.written.get() + before as u64, result)
    }

    /// Counts for the cluster.
    pub(super) fn inc(&self, relay: &Relay<C>, metric: ClusterMetric) {
        self.cluster.stats.inc(relay.worker.shard(), metric);
    }
}
