//! A word to a task that sends the body of a request: nobody wants it any more; and one from it:
//! the body broke off.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Poll, Waker},
};

use crossdock_framework::{status::Status, stream::Broken};

use crate::payload;

/// Tells one task to stop.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    broken: RefCell<Option<Broken>>,
}

impl Stop {
    /// Wakes the task, if it has not ended.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Notes why the body broke off.
    pub(crate) fn break_off(&self, broken: Broken) {
        *self.broken.borrow_mut() = Some(broken);
    }

    /// What the caller is answered if it broke off by the caller's own fault.
    pub(crate) fn blame(&self) -> Option<Status> {
        payload::blame(self.broken.borrow().as_ref()?)
    }

    /// Ready when the task is to stop.
    pub(crate) fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stopped.get() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}
