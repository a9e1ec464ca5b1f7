//! The framed relay: many client connections over few upstream connections.
//!
//! One task for each socket reads, cuts frames, appends to the other side's queue and writes its
//! own. A call costs no task, no lock and no allocation: it waits in a table whose keys are its
//! wire ids. Wake-ups take effect after the whole read is cut, so that a burst of calls leaves in
//! one write.

mod accept;
mod accounts;
mod again;
mod attempt;
mod call;
mod connections;
mod downstream;
mod end;
mod inbound;
mod pool;
mod table;
mod time;
mod turned;
mod up;
mod upstream;
mod wake;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    marker::PhantomData,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use self::{
    call::Call,
    downstream::Down,
    pool::Pools,
    table::{CallKey, Table},
};
use crate::{
    codec::{Codec, Probe},
    metrics,
    protocol::{Connection, LocalFuture, Protocol},
    snapshot::DownstreamLimits,
    stats::Group,
    worker::{Expire, TimerTarget, Worker},
};

/// Calls in flight of one worker and protocol. More are refused as overload.
pub const MAX_CALLS: u32 = 131_000;

/// A framed protocol as a listener serves it.
pub struct Framed<C>(PhantomData<fn() -> C>);

impl<C> Default for Framed<C> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<C: Codec> fmt::Debug for Framed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(C::NAME)
    }
}

impl<C: Codec> Protocol for Framed<C> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn probe(&self, prefix: &[u8]) -> Probe {
        C::probe(prefix)
    }

    fn serve(&self, connection: Connection, worker: Worker) -> LocalFuture {
        Box::pin(downstream::serve::<C>(connection, worker))
    }
}

metrics! {
    /// Metrics of one protocol, `codec.<name>.…`.
    pub enum RelayMetric {
        /// Heartbeats received from clients, all of them answered here.
        counter HeartbeatReceived = "heartbeat_received",
        /// Heartbeats sent to hosts.
        counter HeartbeatSent = "heartbeat_sent",
        /// Frames that make no sense where they came, such as a response from a client.
        counter Stray = "stray_frame",
        /// Calls refused because the worker's table of calls is full.
        counter TableFull = "calls_overflow",
    }
}

/// What one worker knows of one framed protocol.
struct Relay<C: Codec> {
    worker: Worker,
    calls: RefCell<Table<Call<C>>>,
    pools: RefCell<Pools<C>>,
    downs: RefCell<HashMap<u64, Weak<Down<C>>>>,
    next_down: Cell<u64>,
    stats: Arc<Group>,
    timers: Cell<Option<TimerTarget>>,
    me: Weak<Self>,
    /// The longest answer: the largest limit of any policy that was served so far, because an
    /// upstream connection serves all of them.
    response_limit: Cell<usize>,
    /// How long an unfinished answer may stand still.
    stuck_timeout: Duration,
    /// For how long a host that says it is going away is avoided, in ms.
    avoid_leaving_ms: u64,
}

impl<C: Codec> Relay<C> {
    /// The worker's relay for `C`.
    fn of(worker: &Worker) -> Rc<Self> {
        worker.part(|| {
            let relay = Rc::new_cyclic(|me| Self {
                worker: worker.clone(),
                calls: RefCell::new(Table::new(C::ID_BITS, MAX_CALLS)),
                pools: RefCell::default(),
                downs: RefCell::default(),
                next_down: Cell::new(0),
                stats: worker.registry().group::<RelayMetric>("codec", C::NAME),
                timers: Cell::new(None),
                me: me.clone(),
                response_limit: Cell::new(0),
                stuck_timeout: DownstreamLimits::default().frame_timeout,
                avoid_leaving_ms: 10_000,
            });
            relay.timers.set(Some(worker.timer_target(relay.clone())));
            let weak = Rc::downgrade(&relay);
            worker.on_drain(Rc::new(move || {
                if let Some(relay) = weak.upgrade() {
                    relay.wake_drained();
                }
            }));
            let weak = Rc::downgrade(&relay);
            worker.on_retire(Rc::new(move |hosts| {
                if let Some(relay) = weak.upgrade() {
                    relay.leave_hosts(hosts);
                }
            }));
            relay
        })
    }

    fn add_down(&self, down: &Rc<Down<C>>) -> u64 {
        let id = self.next_down.replace(self.next_down.get() + 1);
        self.downs.borrow_mut().insert(id, Rc::downgrade(down));
        id
    }

    fn remove_down(&self, id: u64) {
        self.downs.borrow_mut().remove(&id);
    }

    fn wake_drained(&self) {
        for down in self.downs.borrow().values().filter_map(Weak::upgrade) {
            if self.worker.drain_of(&down.drain).is_some() {
                down.wake.wake();
            }
        }
    }
}

impl<C: Codec> Expire for Relay<C> {
    fn expire(&self, key: u64) {
        self.expired(CallKey::unpack(key));
    }
}
