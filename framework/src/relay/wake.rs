//! Waking the task of a socket from another task of the same worker, once a turn.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Waker},
};

/// The waker of one task. Waking it twice before it runs costs one look at a flag.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    waker: RefCell<Option<Waker>>,
    pending: Cell<bool>,
}

impl Wake {
    /// Called by the task at the start of each turn.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.pending.set(false);
        let mut waker = self.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Lets the task run in the next turn of the loop.
    #[inline]
    pub(crate) fn wake(&self) {
        if !self.pending.replace(true)
            && let Some(waker) = self.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }
}
