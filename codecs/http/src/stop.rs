//! A word to a task that works for a call: nobody wants it any more.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Poll, Waker},
};

/// Tells one task to stop.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Stop {
    /// Wakes the task, if it has not ended.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
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
