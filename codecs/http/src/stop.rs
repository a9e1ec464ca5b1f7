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
    finished: Cell<bool>,
    /// Who waits for the task's end.
    waiting: RefCell<Option<Waker>>,
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

    /// Notes that the task has ended.
    pub(crate) fn finish(&self) {
        self.finished.set(true);
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether the task has ended with the end of the body.
    pub(crate) fn is_clean(&self) -> bool {
        self.finished.get() && self.broken.borrow().is_none()
    }

    /// Ready when the task has ended.
    pub(crate) fn poll_finished(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.finished.get() {
            return Poll::Ready(());
        }
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
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
