//! When a connection rests: soon after its last call, so that among thousands only those that are at
//! work hold buffers. One timer stands for many calls: it goes on when it finds a later one.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crossdock_framework::{
    stream::{Expires, TimerKey, Timers},
    time::Moment,
    worker::Worker,
};

/// Tells one connection that it may rest.
pub(super) struct Rest {
    worker: Worker,
    timers: Rc<Timers>,
    key: Cell<Option<TimerKey>>,
    /// When the last call ended; `None` during one.
    since: Cell<Option<Moment>>,
    due: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Rest {
    /// After this long without a call a connection's buffers are given back.
    pub(super) const AFTER: Duration = Duration::from_millis(50);

    pub(super) fn new(worker: &Worker) -> Rc<Self> {
        Rc::new(Self {
            worker: worker.clone(),
            timers: Timers::of(worker),
            key: Cell::new(None),
            since: Cell::new(Some(worker.now())),
            due: Cell::new(false),
            waker: RefCell::new(None),
        })
    }

    /// Notes that a call begins.
    pub(super) fn begin_call(&self) {
        self.since.set(None);
        self.due.set(false);
    }

    /// Notes that a call has ended.
    pub(super) fn end_call(self: &Rc<Self>) {
        let now = self.worker.now();
        self.since.set(Some(now));
        if self.key.get().is_none() {
            self.arm(now);
        }
    }

    /// For how long there has been no call.
    pub(super) fn lasts(&self) -> Duration {
        let since = self.since.get();
        since.map_or(Duration::ZERO, |since| self.worker.now().since(since))
    }

    /// Ready, once, when there has been no call for a while.
    pub(super) fn poll_due(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.due.take() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Takes the timer away, which holds what it tells.
    pub(super) fn disarm(&self) {
        if let Some(key) = self.key.take() {
            self.timers.disarm(key);
        }
    }

    fn arm(self: &Rc<Self>, since: Moment) {
        let me = Rc::clone(self) as Rc<dyn Expires>;
        self.key
            .set(Some(self.timers.arm(since.after(Self::AFTER), me)));
    }
}

impl Expires for Rest {
    fn expire(self: Rc<Self>) {
        self.key.set(None);
        // A call that is on its way arms it again at its end.
        let Some(since) = self.since.get() else {
            return;
        };
        if self.worker.now().ms() < since.after(Self::AFTER).ms() {
            return self.arm(since);
        }
        self.due.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}
