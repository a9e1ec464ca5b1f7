//! What the two directions of one call share while it is in flight: its request body, its deadlines
//! and what has moved.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{
    codec::Broken,
    timers::{Expires, TimerKey, Timers},
};
use crate::{
    cluster::{Cluster, ClusterMetric},
    route::KEPT_BODY,
    stats::Shard,
    status::Detail,
    time::Moment,
    worker::Worker,
};

/// Why a call is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// Its deadline passed.
    Deadline,
    /// No byte moved for too long.
    Idle,
    /// The request took too long to come.
    Upload,
    /// One attempt took too long.
    Attempt,
    /// The host took longer than a call may last at its cluster.
    Host,
}

impl Expiry {
    /// What access logs are told of it.
    pub(crate) fn detail(self) -> Detail {
        match self {
            Self::Deadline => Detail::Plain,
            Self::Idle => Detail::StreamIdle,
            Self::Upload => Detail::RequestTimeout,
            Self::Attempt => Detail::TryTimeout,
            Self::Host => Detail::HostDuration,
        }
    }

    /// Counts it for the cluster whose answer did not come in time, if it is about that.
    pub(crate) fn count(self, cluster: &Cluster, shard: Shard) {
        match self {
            Self::Deadline => cluster.stats.inc(shard, ClusterMetric::RqTimeout),
            Self::Attempt => cluster.stats.inc(shard, ClusterMetric::RqTryTimeout),
            Self::Host => cluster.stats.inc(shard, ClusterMetric::RqMaxDuration),
            Self::Idle | Self::Upload => {}
        }
    }
}

/// A call in flight.
pub(crate) struct Flight<B> {
    worker: Worker,
    timers: Rc<Timers>,
    /// The timer that is armed, and for when.
    key: Cell<Option<(TimerKey, Moment)>>,
    body: RefCell<B>,
    /// Bytes of the request body that have come.
    received: Cell<u64>,
    /// What of the request body has been taken; `None` when it cannot be sent from its beginning
    /// again.
    kept: RefCell<Option<Kept>>,
    /// How many bytes of it are kept at most.
    keeps: Cell<usize>,
    /// Which upload may take from the body: the latest.
    uploads: Cell<u32>,
    /// Which upload was given to a connection to a host; none yet for 0.
    sent: Cell<u32>,
    /// How many were.
    sends: Cell<u32>,
    /// Our end of the latest connection to a host.
    local: Cell<Option<SocketAddr>>,
    /// The request body has come to its end.
    complete: Cell<bool>,
    limits: Cell<Limits>,
    /// How long the attempt may take once the request has come to its end.
    per_try: Cell<Option<Duration>>,
    /// When the attempt, or the pause before it, is over.
    attempt: Cell<Option<Moment>>,
    /// When the host has to have come to the end of its answer, whatever the attempt.
    host: Cell<Option<Moment>>,
    moved: Cell<Moment>,
    expired: Cell<Option<Expiry>>,
    waker: RefCell<Option<Waker>>,
}

/// What of a request body has been taken.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    trailers: Option<Box<HeaderMap>>,
}

/// The time limits of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// When the call has to be over.
    pub(crate) deadline: Option<Moment>,
    /// When the head of the answer has to be there: of an upgrade, whose request has no end.
    pub(crate) head: Option<Moment>,
    /// When the request has to have come to its end.
    pub(crate) upload: Option<Moment>,
    /// The longest time from the end of the request to the end of the answer: the route's timeout.
    pub(crate) answer: Option<Duration>,
    /// The longest time without a byte.
    pub(crate) idle: Option<Duration>,
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin + 'static> Flight<B> {
    pub(crate) fn new(worker: &Worker, body: B) -> Rc<Self> {
        let complete = body.is_end_stream();
        Rc::new(Self {
            worker: worker.clone(),
            timers: Timers::of(worker),
            key: Cell::new(None),
            body: RefCell::new(body),
            received: Cell::new(0),
            kept: RefCell::new(Some(Kept::default())),
            keeps: Cell::new(KEPT_BODY),
            uploads: Cell::new(0),
            sent: Cell::new(0),
            sends: Cell::new(0),
            local: Cell::new(None),
            complete: Cell::new(complete),
            limits: Cell::default(),
            per_try: Cell::new(None),
            attempt: Cell::new(None),
            host: Cell::new(None),
            moved: Cell::new(worker.now()),
            expired: Cell::new(None),
            waker: RefCell::new(None),
        })
    }

    /// Sets the time limits; the earlier ones no longer count.
    pub(crate) fn limit(self: &Rc<Self>, mut limits: Limits) {
        if self.complete.get() {
            limits.deadline = sooner(limits.deadline, limits.answer.map(|t| self.now().after(t)));
        }
        self.limits.set(limits);
        self.arm();
    }

    /// The request body as it is sent upstream, from its beginning. An earlier one breaks off.
    pub(crate) fn upload(self: &Rc<Self>) -> Upload<B> {
        let number = self.uploads.get() + 1;
        self.uploads.set(number);
        let (again, trailers) = match &*self.kept.borrow() {
            Some(kept) if !kept.bytes.is_empty() || kept.trailers.is_some() => {
                (Bytes::copy_from_slice(&kept.bytes), kept.trailers.clone())
            }
            _ => (Bytes::new(), None),
        };
        Upload {
            flight: Rc::clone(self),
            number,
            again,
            trailers,
        }
    }

    /// Whether the request was ever given to a connection to a host.
    pub(crate) fn was_sent(&self) -> bool {
        self.sent.get() > 0
    }

    /// How often it was.
    pub(crate) fn sends(&self) -> u32 {
        self.sends.get()
    }

    /// Our end of the latest connection to a host that it was given to.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.local.get()
    }

    /// Counts an attempt that the gateway gives up: on a connection, or in the line for one.
    pub(crate) fn count_given_up(&self, cluster: &Cluster, shard: Shard) {
        let metric = match self.sent.get() == self.uploads.get() {
            true => ClusterMetric::RqTxReset,
            false => ClusterMetric::RqCancelled,
        };
        cluster.stats.inc(shard, metric);
    }

    /// Whether the request has come to its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.get()
    }

    /// Keeps no more than so many bytes of the request body. What has been taken by now stays.
    pub(crate) fn keep_at_most(&self, bytes: usize) {
        self.keeps.set(bytes);
    }

    /// Says how many bytes of the request body have come.
    pub(crate) fn count(&self, received: u64) {
        self.received.set(received);
    }

    /// Bytes of the request body that have come.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether the request can be sent once more from its beginning.
    pub(crate) fn is_whole(&self) -> bool {
        self.kept.borrow().is_some()
    }

    /// The answer has begun: the request is not sent again.
    pub(crate) fn answered(self: &Rc<Self>) {
        *self.kept.borrow_mut() = None;
        self.per_try.set(None);
        let of_attempt = self.attempt.take().is_some();
        let mut limits = self.limits.get();
        if limits.head.take().is_some() || of_attempt {
            self.limits.set(limits);
            self.arm();
        }
        self.moved();
    }

    /// Keeps what has been taken, unless that gets too much.
    fn keep(&self, frame: &Frame<Bytes>) {
        let mut kept = self.kept.borrow_mut();
        let Some(Kept { bytes, trailers }) = &mut *kept else {
            return;
        };
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) if bytes.len() + data.len() <= self.keeps.get() => {
                bytes.extend_from_slice(data);
            }
            (None, Some(last)) => *trailers = Some(Box::new(last.clone())),
            _ => *kept = None,
        }
    }

    /// An attempt begins, which may take so long: to the head of its answer, and to the end of it.
    pub(crate) fn begin_attempt(
        self: &Rc<Self>,
        per_try: Option<Duration>,
        whole: Option<Duration>,
    ) {
        if per_try.is_none() && whole.is_none() && self.attempt.get().is_none() {
            return;
        }
        self.host.set(whole.map(|time| self.now().after(time)));
        self.per_try.set(per_try);
        let per_try = per_try.filter(|_| self.complete.get());
        self.attempt.set(per_try.map(|time| self.now().after(time)));
        self.again();
    }

    /// Waits between two attempts, but no longer than the call may last.
    pub(crate) async fn pause(self: &Rc<Self>, time: Duration) -> Result<(), Expiry> {
        self.attempt.set(Some(self.now().after(time)));
        self.host.set(None);
        self.again();
        match self.within(std::future::pending::<Infallible>()).await {
            Err(Expiry::Attempt) => {
                self.expired.set(None);
                Ok(())
            }
            Err(expiry) => Err(expiry),
            Ok(never) => match never {},
        }
    }

    /// Takes back that an attempt took too long.
    fn again(self: &Rc<Self>) {
        if let Some(Expiry::Attempt | Expiry::Host) = self.expired.get() {
            self.expired.set(None);
        }
        self.arm();
    }

    /// When the call has to be over, as far as is known yet.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.limits.get().deadline
    }

    /// Whether the deadline has passed, even if its timer is a little behind: the host counts the
    /// same time, and breaks a call off that lasts longer.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline()
            .is_some_and(|deadline| self.worker.tick() >= deadline)
    }

    /// Notes that a byte moved.
    pub(crate) fn moved(&self) {
        self.moved.set(self.now());
    }

    /// Runs `work`, but no longer than the call may last. It is held by reference: the future of a
    /// call is moved about, and grows by all that it contains.
    pub(crate) async fn within<F: Future + Unpin>(&self, mut work: F) -> Result<F::Output, Expiry> {
        poll_fn(|cx| {
            if let Poll::Ready(expiry) = self.poll_expired(cx) {
                return Poll::Ready(Err(expiry));
            }
            Pin::new(&mut work).poll(cx).map(Ok)
        })
        .await
    }

    /// Ready when the call has lasted too long.
    pub(crate) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<Expiry> {
        if let Some(expiry) = self.expired.get() {
            return Poll::Ready(expiry);
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn now(&self) -> Moment {
        self.worker.now()
    }

    /// The request has come to its end: the time for the answer begins.
    fn end_request(self: &Rc<Self>) {
        if self.complete.replace(true) {
            return;
        }
        let mut limits = self.limits.get();
        let per_try = self.per_try.get();
        if let Some(answer) = limits.answer {
            limits.deadline = sooner(limits.deadline, Some(self.now().after(answer)));
            self.limits.set(limits);
        }
        if let Some(per_try) = per_try {
            self.attempt.set(Some(self.now().after(per_try)));
        }
        if limits.answer.is_some() || per_try.is_some() {
            self.arm();
        }
    }

    /// Arms the timer. One that is due no later stays: it goes on when it finds that nothing is due.
    fn arm(self: &Rc<Self>) {
        let limits = self.limits.get();
        let idle = limits.idle.map(|idle| self.moved.get().after(idle));
        let upload = limits.upload.filter(|_| !self.complete.get());
        let over = sooner(limits.deadline, limits.head);
        let over = sooner(sooner(over, self.attempt.get()), self.host.get());
        let Some(at) = sooner(sooner(over, upload), idle) else {
            return self.disarm();
        };
        if self.key.get().is_some_and(|(_, armed)| armed <= at) {
            return;
        }
        self.disarm();
        let flight = Rc::clone(self) as Rc<dyn Expires>;
        self.key.set(Some((self.timers.arm(at, flight), at)));
    }
}

impl<B> Flight<B> {
    /// Takes the timer away, which holds the call.
    pub(crate) fn disarm(&self) {
        if let Some((key, _)) = self.key.take() {
            self.timers.disarm(key);
        }
    }
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin + 'static> Expires for Flight<B> {
    fn expire(self: Rc<Self>) {
        self.key.set(None);
        let (limits, now) = (self.limits.get(), self.now());
        let late = |at: Option<Moment>| at.is_some_and(|at| at.ms() <= now.ms());
        let idle = limits.idle.map(|idle| self.moved.get().after(idle));
        let upload = limits.upload.filter(|_| !self.complete.get());
        let over = late(limits.deadline) || late(limits.head);
        let expiry = if over {
            Expiry::Deadline
        } else if late(upload) {
            Expiry::Upload
        } else if late(self.attempt.get()) {
            self.attempt.set(None);
            Expiry::Attempt
        } else if late(self.host.get()) {
            self.host.set(None);
            Expiry::Host
        } else if late(idle) {
            Expiry::Idle
        } else {
            return self.arm();
        };
        self.expired.set(Some(expiry));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

fn sooner(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The request body of a call on its way upstream. Several may be made one after another, as long
/// as what has been taken is kept.
pub struct Upload<B> {
    flight: Rc<Flight<B>>,
    number: u32,
    /// What was taken by earlier ones and this one has not passed on yet.
    again: Bytes,
    trailers: Option<Box<HeaderMap>>,
}

impl<B> std::fmt::Debug for Upload<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("received", &self.flight.received.get())
            .finish()
    }
}

impl<B> Upload<B> {
    /// Notes that the request is given to an open connection now, whose end here is `local`, and
    /// counts that.
    pub fn begin(&self, cluster: &Cluster, local: Option<SocketAddr>) {
        let (stats, shard) = (&cluster.stats, self.flight.worker.shard());
        stats.inc(shard, ClusterMetric::RqTotal);
        self.flight.local.set(local);
        self.flight.sends.set(self.flight.sends.get() + 1);
        if self.flight.sent.replace(self.number) > 0 {
            stats.inc(shard, ClusterMetric::RqAgain);
        }
    }

    /// The bodies' own type, for what a codec can do with it directly. The request can then not be
    /// sent again.
    pub fn with<R>(&self, use_it: impl FnOnce(&mut B) -> R) -> R {
        *self.flight.kept.borrow_mut() = None;
        use_it(&mut self.flight.body.borrow_mut())
    }
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin + 'static> Body for Upload<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let flight = &this.flight;
        if this.number != flight.uploads.get() {
            return Poll::Ready(Some(Err(Broken::Reset(None))));
        }
        if !this.again.is_empty() {
            let data = std::mem::take(&mut this.again);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(*trailers))));
        }
        let mut body = flight.body.borrow_mut();
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                flight.moved();
                flight.keep(frame);
                if let Some(data) = frame.data_ref() {
                    flight
                        .received
                        .set(flight.received.get() + data.len() as u64);
                }
                if frame.is_trailers() || body.is_end_stream() {
                    flight.end_request();
                }
            }
            Some(Err(_)) => *flight.kept.borrow_mut() = None,
            None => flight.end_request(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.again.is_empty()
            && self.trailers.is_none()
            && self.flight.body.borrow().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.flight.body.borrow().size_hint();
        let left = self.again.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + left);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + left);
        }
        hint
    }
}
