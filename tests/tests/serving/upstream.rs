//! Upstreams in the test's own process.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossdock_tests::eventually;
use crossdock_tests::fake::{Frame, Host, Kind, answer};

/// How long is waited for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A host that keeps every call and answers with its own name.
#[derive(Debug)]
pub(crate) struct Upstream {
    host: Host,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    calls: Mutex<Vec<Frame>>,
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Upstream {
    /// Answers at once, with response attachments or header entries `from` (its name) and `secret`.
    pub(crate) fn named(name: &'static str) -> Self {
        let upstream = Self::holding(name);
        upstream.release();
        upstream
    }

    /// Answers when it is released.
    pub(crate) fn holding(name: &'static str) -> Self {
        let seen = Arc::new(Seen::default());
        let theirs = Arc::clone(&seen);
        let host = Host::start(move |mut link| {
            while let Some(frame) = link.take() {
                if frame.kind != Kind::Request {
                    link.answer(&frame);
                    continue;
                }
                lock(&theirs.calls).push(frame.clone());
                let gate = lock(&theirs.gate);
                drop(theirs.opened.wait_while(gate, |open| !*open));
                if !link.send(&answer(&frame, name, &[("from", name), ("secret", "x")])) {
                    return;
                }
            }
        });
        Self { host, seen }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.host.address()
    }

    /// Lets every answer go, from now on.
    pub(crate) fn release(&self) {
        *lock(&self.seen.gate) = true;
        self.seen.opened.notify_all();
    }

    /// Every call that has arrived.
    pub(crate) fn calls(&self) -> Vec<Frame> {
        lock(&self.seen.calls).clone()
    }

    /// Waits until so many calls have arrived.
    #[track_caller]
    pub(crate) fn await_calls(&self, count: usize) {
        let arrived = eventually(PATIENCE, || (self.calls().len() >= count).then_some(()));
        assert!(
            arrived.is_some(),
            "{} of {count} calls arrived",
            self.calls().len()
        );
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.release();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
