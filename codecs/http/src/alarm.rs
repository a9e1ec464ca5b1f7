//! A timer for the keeper of a connection, who is polled far more often than it rings: asking it
//! costs next to nothing.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crossdock_framework::{
    stream::{Expires, TimerKey, Timers},
    worker::Worker,
};

/// Rings once for each time it is set. Dropping it takes it back.
pub(crate) struct Alarm {
    worker: Worker,
    timers: Rc<Timers>,
    bell: Rc<Bell>,
}

#[derive(Default)]
struct Bell {
    key: Cell<Option<TimerKey>>,
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Alarm {
    /// Rings after so long.
    pub(crate) fn after(time: Duration, worker: &Worker) -> Self {
        let alarm = Self {
            worker: worker.clone(),
            timers: Timers::of(worker),
            bell: Rc::default(),
        };
        alarm.set(time);
        alarm
    }

    /// Rings after so long, and not when it was set to before.
    pub(crate) fn set(&self, time: Duration) {
        self.take_back();
        self.bell.rung.set(false);
        let at = self.worker.tick().after(time);
        let bell = Rc::clone(&self.bell) as Rc<dyn Expires>;
        self.bell.key.set(Some(self.timers.arm(at, bell)));
    }

    /// Ready once it has rung.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bell.rung.get() {
            return Poll::Ready(());
        }
        let mut waker = self.bell.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn take_back(&self) {
        if let Some(key) = self.bell.key.take() {
            self.timers.disarm(key);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl Expires for Bell {
    fn expire(self: Rc<Self>) {
        self.key.set(None);
        self.rung.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}
