//! Draining: connections that are to end, each in a quiet moment.
//!
//! All of them drain at the end of the process, those of inbound listeners when an operator asks
//! for it, and those of one filter chain when the configuration has no place for it any more.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    time::{Moment, now_us},
    worker::Worker,
};

/// A drain in progress: no new connections; open ones close in a quiet moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// When it began.
    pub began: Moment,
    /// When every connection has to be closed.
    pub deadline: Moment,
}

impl Drain {
    /// How long a connection has to be silent to be closed in a quiet moment.
    pub const QUIET: Duration = Duration::from_millis(200);

    /// Whether a connection without calls, silent since `last`, should close now. In the last
    /// fifth of the time any moment without calls is good enough.
    pub fn closes_idle(&self, last: Moment, now: Moment) -> bool {
        let late = Moment(self.deadline.0 - self.deadline.0.saturating_sub(self.began.0) / 5);
        now.since(last) >= Self::QUIET || now >= late
    }
}

/// Which connections an operator's drain concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainScope {
    /// All of them.
    All,
    /// Those of listeners whose `traffic_direction` is INBOUND.
    Inbound,
}

/// What the connections of one filter chain share: whether they are to end.
///
/// Set by the thread that changes the configuration, read by every worker.
#[derive(Debug, Default)]
pub struct ChainDrain {
    inbound: bool,
    /// Microseconds of the process clock; 0 while there is no drain.
    began: AtomicU64,
    deadline: AtomicU64,
}

impl ChainDrain {
    /// No drain. `inbound`: the `traffic_direction` of the listener is INBOUND.
    pub fn new(inbound: bool) -> Arc<Self> {
        Arc::new(Self {
            inbound,
            ..Self::default()
        })
    }

    /// Whether an operator's drain of inbound listeners concerns the chain.
    pub fn is_inbound(&self) -> bool {
        self.inbound
    }

    /// Begins the drain, which may take `time`; one that has begun keeps its own time. Workers are
    /// told by [`Workers::tell_drains`](crate::workers::Workers::tell_drains).
    pub fn begin(&self, time: Duration) {
        let began = Moment(now_us().max(1));
        if self.began.load(Ordering::Relaxed) == 0 {
            self.deadline.store(began.after(time).0, Ordering::Relaxed);
            self.began.store(began.0, Ordering::Release);
        }
    }

    /// The drain, if it has begun.
    #[inline]
    pub fn get(&self) -> Option<Drain> {
        match self.began.load(Ordering::Acquire) {
            0 => None,
            began => Some(Drain {
                began: Moment(began),
                deadline: Moment(self.deadline.load(Ordering::Relaxed)),
            }),
        }
    }
}

/// What a worker knows of drains.
#[derive(Default)]
pub(crate) struct Draining {
    all: Cell<Option<Drain>>,
    inbound: Cell<Option<Drain>>,
    begun: Notify,
    hooks: RefCell<Vec<Rc<dyn Fn()>>>,
}

/// Draining.
impl Worker {
    /// The drain of every connection, if it has begun.
    #[inline]
    pub fn drain(&self) -> Option<Drain> {
        self.draining().all.get()
    }

    /// The drain in progress that concerns the connections of a filter chain.
    #[inline]
    pub fn drain_of(&self, chain: &ChainDrain) -> Option<Drain> {
        let inbound = || self.draining().inbound.get().filter(|_| chain.inbound);
        self.drain().or_else(inbound).or_else(|| chain.get())
    }

    /// Begins to drain; `time` is how long calls in flight have.
    pub fn begin_drain(&self, time: Duration, scope: DrainScope) {
        let began = self.tick();
        let draining = self.draining();
        let drain = match scope {
            DrainScope::All => &draining.all,
            DrainScope::Inbound => &draining.inbound,
        };
        drain.set(Some(Drain {
            began,
            deadline: began.after(time),
        }));
        self.tell_drains();
    }

    /// Has every connection look whether a drain concerns it.
    pub fn tell_drains(&self) {
        let draining = self.draining();
        draining.begun.notify_waiters();
        let hooks = draining.hooks.borrow().clone();
        hooks.iter().for_each(|hook| hook());
    }

    /// Ends when a drain begins that concerns a connection as [`Worker::drain_of`] says.
    pub async fn drain_begins(&self, chain: &ChainDrain) -> Drain {
        loop {
            let begun = self.draining().begun.notified();
            if let Some(drain) = self.drain_of(chain) {
                return drain;
            }
            begun.await;
        }
    }

    /// Registers what is called when a drain begins.
    pub fn on_drain(&self, hook: Rc<dyn Fn()>) {
        self.draining().hooks.borrow_mut().push(hook);
    }
}
