//! PINGs that ask whether a connection's peer is still there (Envoy's `connection_keepalive`).

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use ::h2::{Ping, PingPong};
use crossdock_framework::{stream::Keepalive, worker::Worker};
use tokio::time::{Instant, Sleep, sleep};

use crate::wire::Meter;

/// Asks the peer of one connection.
pub(super) struct Pings {
    pings: PingPong,
    settings: Keepalive,
    interval: Duration,
    worker: Worker,
    timer: Pin<Box<Sleep>>,
    /// Whether an answer is awaited.
    asked: bool,
}

impl Pings {
    /// `None` where nothing is to be asked.
    pub(super) fn of(
        settings: Option<Keepalive>,
        pings: Option<PingPong>,
        worker: &Worker,
    ) -> Option<Self> {
        let settings = settings?;
        let interval = settings.interval?;
        let mut pings = Self {
            pings: pings?,
            settings,
            interval,
            worker: worker.clone(),
            timer: Box::pin(sleep(interval)),
            asked: false,
        };
        pings.wait(pings.next());
        Some(pings)
    }

    /// The time until the next PING: not the same for all connections that were opened at once.
    fn next(&self) -> Duration {
        let most = self.interval.mul_f64(self.settings.jitter);
        let part = (self.worker.random() >> 32) as f64 / f64::from(u32::MAX);
        self.interval + most.mul_f64(part)
    }

    fn wait(&mut self, time: Duration) {
        self.timer.as_mut().reset(Instant::now() + time);
    }

    /// Ready when the peer has not answered in time, and has sent nothing else either.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, meter: &Meter) -> Poll<()> {
        loop {
            if self.asked && self.pings.poll_pong(cx).is_ready() {
                self.asked = false;
                self.wait(self.next());
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let silent = self.worker.tick().since(meter.heard.get());
            match (self.asked, self.settings.timeout.checked_sub(silent)) {
                // Who sends something is there: its answer waits behind it.
                (true, Some(left)) if !left.is_zero() => self.wait(left),
                (true, _) => return Poll::Ready(()),
                (false, _) => {
                    // A connection that is ending says so itself.
                    self.asked = self.pings.send_ping(Ping::opaque()).is_ok();
                    meter.heard.set(self.worker.now());
                    self.wait(self.settings.timeout);
                }
            }
        }
    }
}
