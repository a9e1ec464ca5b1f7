//! A waker that can be told to keep still.
//!
//! hyper wakes the connection that a body comes on whenever a piece of it is taken; also for the last
//! one, when there is nothing left to do there, and so for every short body. That would be a turn of
//! the connection's task for nothing, twice a call.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;

/// The waker of one connection's task, as hyper has it. Its clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hush(Rc<RefCell<Option<Known>>>);

/// A task, and the waker that hyper has for it.
#[derive(Debug)]
struct Known {
    task: Arc<Task>,
    waker: Waker,
}

/// Wakes a task unless it is told not to. It stays on one thread, which wakers cannot say.
#[derive(Debug)]
struct Task {
    waker: Waker,
    still: AtomicBool,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.still.load(Relaxed) {
            self.waker.wake_by_ref();
        }
    }
}

impl Hush {
    /// Polls hyper's part of the connection.
    pub(super) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        self.know(cx.waker());
        match &*self.0.borrow() {
            Some(known) => poll(&mut Context::from_waker(&known.waker)),
            None => poll(cx),
        }
    }

    /// Makes the waker that stands for `task`: once, as a task keeps its own.
    fn know(&self, task: &Waker) {
        let known = self.0.borrow();
        if known
            .as_ref()
            .is_some_and(|known| known.task.waker.will_wake(task))
        {
            return;
        }
        drop(known);
        let fresh = Arc::new(Task {
            waker: task.clone(),
            still: AtomicBool::new(false),
        });
        let waker = Waker::from(Arc::clone(&fresh));
        *self.0.borrow_mut() = Some(Known { task: fresh, waker });
    }

    /// Takes the next piece of a body that comes on the connection, which is woken if there may be
    /// more of it. `begun` says whether it has been asked before: the first time begins the sending
    /// of a body that its sender waits with.
    pub(crate) fn poll_body(
        &self,
        body: &mut Incoming,
        begun: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let known = self.0.borrow();
        let Some(Known { task, .. }) = &*known else {
            return Pin::new(body).poll_frame(cx);
        };
        task.still.store(true, Relaxed);
        let polled = Pin::new(&mut *body).poll_frame(cx);
        task.still.store(false, Relaxed);
        let first = !std::mem::replace(begun, true);
        let more = match &polled {
            Poll::Pending => first,
            Poll::Ready(Some(Ok(_))) => !body.is_end_stream(),
            Poll::Ready(_) => false,
        };
        if more {
            task.waker.wake_by_ref();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_waker_is_made_once_for_each_task_and_keeps_still_when_told() {
        let (count, other) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let hush = Hush::default();
        let task = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&task);
        let first = hush.poll(&mut cx, |cx| cx.waker().clone());
        let second = hush.poll(&mut cx, |cx| cx.waker().clone());
        assert!(first.will_wake(&second));
        first.wake_by_ref();
        assert_eq!(count.0.load(Relaxed), 1);
        if let Some(Known { task, .. }) = &*hush.0.borrow() {
            task.still.store(true, Relaxed);
        }
        first.wake_by_ref();
        assert_eq!(count.0.load(Relaxed), 1);
        let task = Waker::from(Arc::clone(&other));
        let third = hush.poll(&mut Context::from_waker(&task), |cx| cx.waker().clone());
        third.wake();
        assert_eq!(other.0.load(Relaxed), 1);
    }
}
