//! The body of an answer on its way to the caller, and with it the end of the call.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    codec::{Broken, StreamCodec},
    flight::Expiry,
    ledger::Ledger,
};
use crate::{
    cluster::ClusterMetric,
    outcome::Failure,
    status::{Cause, Detail},
};

/// The body of an answer. The call ends when it has come to its end or is dropped.
pub struct Answer<C: StreamCodec> {
    source: Source<C::Body>,
    /// Gone when the call has ended.
    ledger: Option<Box<Ledger<C>>>,
    /// The call has become a tunnel: the end of the answer is not its own.
    tunnel: bool,
}

enum Source<B> {
    /// The host's.
    Upstream(B),
    /// The gateway's own.
    Local(Option<Bytes>),
}

impl<C: StreamCodec> std::fmt::Debug for Answer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("ended", &self.ledger.is_none())
            .finish()
    }
}

impl<C: StreamCodec> Answer<C> {
    pub(super) fn upstream(body: C::Body, ledger: Box<Ledger<C>>) -> Self {
        let mut answer = Self {
            source: Source::Upstream(body),
            ledger: Some(ledger),
            tunnel: false,
        };
        if answer.is_end_stream() {
            answer.end();
        }
        answer
    }

    pub(super) fn local(body: Bytes, ledger: Box<Ledger<C>>) -> Self {
        let body = Some(body).filter(|body| !body.is_empty());
        let mut answer = Self {
            source: Source::Local(body),
            ledger: Some(ledger),
            tunnel: false,
        };
        if answer.is_end_stream() {
            answer.end();
        }
        answer
    }

    /// The host's body itself, when the call has become something else than a call: an upgraded
    /// connection. `None` for the gateway's own answers.
    pub fn body_mut(&mut self) -> Option<&mut C::Body> {
        match &mut self.source {
            Source::Upstream(body) => Some(body),
            Source::Local(_) => None,
        }
    }

    /// Makes the call a tunnel, whose two directions end on their own: [`Answer::finish`] is its
    /// end then.
    pub fn open_tunnel(&mut self) {
        self.tunnel = true;
    }

    /// Says how many bytes have moved where the relay has not seen them.
    pub fn count(&mut self, received: u64, sent: u64) {
        if let Some(ledger) = &mut self.ledger {
            ledger.flight.count(received);
            ledger.outcome.sent = sent;
        }
    }

    /// Ends the call after it had become something else.
    pub fn finish(mut self) {
        self.end();
    }

    /// Ready when the call has lasted too long; for a writer that waits for its reader.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        // The gateway's own answer is short, and often says that the time is up.
        match &self.ledger {
            Some(ledger) if self.is_upstream() => ledger.flight.poll_expired(cx).map(|expiry| {
                let broken = self.expire(expiry);
                self.end();
                broken
            }),
            _ => Poll::Pending,
        }
    }

    fn is_late(&self) -> bool {
        let ledger = self.ledger.as_ref();
        self.is_upstream() && ledger.is_some_and(|ledger| ledger.flight.is_late())
    }

    fn is_upstream(&self) -> bool {
        matches!(self.source, Source::Upstream(_))
    }

    /// Notes that bytes reached the caller.
    pub fn moved(&self) {
        if let Some(ledger) = &self.ledger {
            ledger.flight.moved();
        }
    }

    fn expire(&mut self, expiry: Expiry) -> Broken {
        let Some(ledger) = &mut self.ledger else {
            return Broken::Timeout;
        };
        if let Some(cluster) = ledger.cluster() {
            let shard = ledger.door.worker.shard();
            expiry.count(cluster, shard);
            ledger.flight.count_given_up(cluster, shard);
        }
        ledger.outcome.failure = match expiry {
            Expiry::Deadline => Some(Failure::Timeout),
            // The caller may be as slow as the host.
            Expiry::Idle | Expiry::Upload | Expiry::Attempt | Expiry::Host => None,
        };
        ledger.break_off(Cause::Timeout, expiry.detail());
        match expiry {
            Expiry::Deadline | Expiry::Upload | Expiry::Attempt | Expiry::Host => Broken::Timeout,
            Expiry::Idle => Broken::Idle,
        }
    }

    /// The answer has come to its end.
    fn end(&mut self) {
        if let Some(mut ledger) = self.ledger.take() {
            ledger.outcome.complete = true;
        }
    }

    fn note(&mut self, frame: &Result<Frame<Bytes>, Broken>) {
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        ledger.flight.moved();
        match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    ledger.outcome.sent += data.len() as u64;
                } else if let Some(trailers) = frame.trailers_ref() {
                    ledger.hear_trailers(trailers);
                }
            }
            Err(broken) => {
                ledger.outcome.failure = Some(Failure::Lost);
                if broken.detail() == Detail::RemoteReset
                    && let Some(cluster) = ledger.cluster()
                {
                    let shard = ledger.door.worker.shard();
                    cluster.stats.inc(shard, ClusterMetric::RqRxReset);
                }
                ledger.break_off(Cause::ConnectionLost, broken.detail());
            }
        }
    }
}

impl<C: StreamCodec> Body for Answer<C> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let polled = match &mut this.source {
            Source::Upstream(body) => Pin::new(body).poll_frame(cx),
            Source::Local(body) => Poll::Ready(body.take().map(|data| Ok(Frame::data(data)))),
        };
        match polled {
            Poll::Pending => match this.poll_expired(cx) {
                Poll::Ready(broken) => Poll::Ready(Some(Err(broken))),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Some(Err(_))) if this.is_late() => {
                let broken = this.expire(Expiry::Deadline);
                this.end();
                Poll::Ready(Some(Err(broken)))
            }
            Poll::Ready(Some(frame)) => {
                this.note(&frame);
                let last = frame.as_ref().map_or(true, Frame::is_trailers);
                if frame.is_err() || !this.tunnel && (last || this.is_end_stream()) {
                    this.end();
                }
                Poll::Ready(Some(frame))
            }
            Poll::Ready(None) => {
                if !this.tunnel {
                    this.end();
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Upstream(body) => body.is_end_stream(),
            Source::Local(body) => body.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Upstream(body) => body.size_hint(),
            Source::Local(body) => {
                SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64))
            }
        }
    }
}
