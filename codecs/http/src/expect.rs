//! A client that asks first whether its body is wanted, and whose host is to say so
//! (`Expect: 100-continue`, RFC 9110 section 10.1.1).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crossdock_framework::{stream::Interim, worker::Worker};
use http::{HeaderMap, StatusCode, response};

use crate::{alarm::Alarm, inbound};

/// After so long the body is asked for without a word of the host: it may not know the expectation.
const PATIENCE: Duration = Duration::from_secs(1);

/// Holds a request's body back until its host wants it.
pub(crate) struct Expected {
    wanted: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
    patience: Alarm,
}

impl Expected {
    /// Of a request whose expectation is passed on.
    pub(crate) fn of(headers: &HeaderMap, worker: &Worker) -> Option<Rc<Self>> {
        inbound::expects(headers).then(|| {
            Rc::new(Self {
                wanted: Cell::new(false),
                waiting: RefCell::new(None),
                patience: Alarm::after(PATIENCE, worker),
            })
        })
    }

    /// Hears an answer of the host: 100 Continue and success ask for the body.
    pub(crate) fn hear(&self, status: StatusCode) {
        if status == StatusCode::CONTINUE || status.is_success() {
            self.wanted.set(true);
            if let Some(waker) = self.waiting.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Asks for the body when the host takes too long.
    pub(crate) fn wait(&self, cx: &mut Context<'_>) {
        if !self.wanted.get() && self.patience.poll(cx).is_ready() {
            self.hear(StatusCode::CONTINUE);
        }
    }

    /// Ready when the body is wanted.
    pub(crate) fn poll_wanted(&self, cx: &Context<'_>) -> Poll<()> {
        if self.wanted.get() {
            return Poll::Ready(());
        }
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Takes a host's interim answer on its way to the client; `false` if it was one too many.
pub(crate) fn receive(
    head: response::Parts,
    expected: Option<&Expected>,
    interim: &Interim,
) -> bool {
    if let Some(expected) = expected {
        expected.hear(head.status);
    }
    interim.add(head)
}
