//! The server side of HTTP/1: hyper cuts messages and keeps their order; what it is not asked to
//! know stands here.

mod rest;
mod switch;

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use crossdock_framework::{
    protocol::{Connection, Io},
    snapshot::{DownstreamConnection, HttpMetric, Spoken, Terms},
    status::{Cause, Detail, Status},
    stream::{Answer, Broken, Door, Interim, Unread, carry, refuse},
    time::Moment,
    worker::{Drain, Worker},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;

use rest::Rest;
use switch::Switched;

use super::{
    Hush, USUAL_HEADERS, ending,
    guard::{Guard, Guarded, Limits, Notes, Refusal},
    length::{self, Length},
};
use crate::{
    alarm::Alarm,
    codec::Http,
    grpc_web::{Outgoing, Web},
    inbound::{self, Wish},
    outbound::{self, Face},
    payload::{Payload, Stretch},
    wire::{Meter, Wire},
};

/// How often an open connection looks after itself.
const CHECK: Duration = Duration::from_secs(1);

/// Bytes of an answer that wait to be written before no more are asked for.
const WRITE_BUFFER: usize = 64 * 1024;

/// A request whose head does not come to its end in time.
const TOO_LATE: Refusal = Refusal {
    status: 408,
    why: "the request did not come to the end of its head in time",
    within: false,
};

/// Serves a connection to its end.
pub(super) async fn serve(connection: Connection, worker: Worker) {
    let Some(terms) = worker.snapshot().terms(connection.policy).map(Arc::clone) else {
        return;
    };
    let shard = worker.shard();
    let secure = connection.tls.is_some();
    let account = DownstreamConnection::begin(&terms.stats, &worker, Spoken::Http1, secure);
    let now = worker.now();
    let session = Rc::new(Session {
        meter: Meter::new(&worker),
        face: Face::new(&terms.http),
        can_rest: matches!(connection.io, Io::Tcp(_)),
        door: Rc::new(Door {
            worker: worker.clone(),
            ends: connection.ends,
            tls: connection.tls,
            policy: connection.policy,
            drain: connection.drain,
            stats: Arc::clone(&terms.stats),
        }),
        terms: Arc::clone(&terms),
        born: now,
        calls: Cell::new(0),
        served: Cell::new(0),
        rest: Rest::new(&worker),
        hush: Hush::default(),
        switched: RefCell::new(None),
        notes: Rc::default(),
    });
    if let Err(metric) = session.run(connection.io, connection.prefix).await {
        terms.stats.inc(shard, metric);
        account.ends_here();
    }
    session.rest.disarm();
    account.set_busy(session.calls.get() > 0);
    session.count_bytes();
}

/// One connection.
struct Session {
    door: Rc<Door>,
    terms: Arc<Terms>,
    meter: Rc<Meter>,
    face: Face,
    /// Whether its socket tells that there is something to read without a buffer to read into.
    can_rest: bool,
    born: Moment,
    /// Calls in flight: one or none.
    calls: Cell<u32>,
    served: Cell<u32>,
    rest: Rc<Rest>,
    hush: Hush,
    /// The host's connection, when this one speaks something else from now on.
    switched: RefCell<Option<Switched>>,
    /// What the guard says of what the client sent.
    notes: Rc<Notes>,
}

/// Why hyper's part of a connection ends.
enum Pause {
    /// No more requests come, or may come.
    Over,
    /// It is lost, or an answer on it broke off.
    Broken,
    /// Nothing has happened for a while.
    Resting,
    /// A request has begun and does not come to the end of its head.
    Late,
}

impl Session {
    /// Serves while there is something to serve; a connection that rests holds no buffer.
    async fn run(self: &Rc<Self>, io: Io, prefix: BytesMut) -> Result<(), HttpMetric> {
        let wire = Wire::new(io, prefix, &self.meter);
        let mut wire = Guarded::client(wire, Guard::of_requests(self.limits()), &self.notes);
        loop {
            // In a box of its own, which a connection that rests does not hold.
            match Box::pin(self.serve(wire)).await? {
                Some(resting) => wire = resting,
                None => return Ok(()),
            }
            if self.meter.begun.get().is_none() {
                self.rest(wire.io()).await?;
            }
        }
    }

    /// Lets hyper serve until the connection is over, or rests.
    async fn serve(self: &Rc<Self>, wire: Guarded) -> Result<Option<Guarded>, HttpMetric> {
        let me = Rc::clone(self);
        let service = service_fn(move |request| Rc::clone(&me).call(request));
        let mut served = self.builder().serve_connection(TokioIo::new(wire), service);
        let paused = self.drive(&mut Pin::new(&mut served)).await?;
        let parts = served.into_parts();
        let mut wire = parts.io.into_inner();
        if !parts.read_buf.is_empty() {
            self.meter.begin();
        }
        wire.put_back(&parts.read_buf);
        let switched = self.switched.borrow_mut().take();
        if let Some(switched) = switched {
            let (io, prefix) = wire.into_parts();
            self.tunnel(io, prefix, switched).await;
            return Ok(None);
        }
        match paused {
            Pause::Over => self.close(wire.into_parts().0).await.map(|()| None),
            Pause::Late => self.give_up(wire.into_parts().0).await.map(|()| None),
            Pause::Broken => self.judgement().map(|()| None),
            Pause::Resting => Ok(Some(wire)),
        }
    }

    /// Ends a connection that is in order, or whose next request is refused.
    async fn close(&self, mut io: Io) -> Result<(), HttpMetric> {
        let judgement = self.judgement();
        if let Some(refusal) = self.notes.refusal.get().filter(|refusal| !refusal.within) {
            self.note_unread(refusal);
            ending::tell(&mut io, refusal).await;
        }
        if !self.notes.ended.get() {
            Box::pin(ending::linger(io)).await;
        }
        judgement
    }

    /// Tells access logs of what is answered without having become a request.
    fn note_unread(&self, refusal: Refusal) {
        let worker = &self.door.worker;
        let late = refusal == TOO_LATE;
        let (cause, detail) = match late {
            true => (Cause::Timeout, Detail::Refused("request_header_timeout")),
            false => (Cause::BadRequest, Detail::Unreadable(refusal.name())),
        };
        let unread = Unread {
            protocol: "HTTP/1.1",
            status: Status {
                http: refusal.status,
                ..Status::new(cause, refusal.why).because(detail)
            },
            answer: Some(refusal.why.len()),
            since: self.meter.begun.get().unwrap_or_else(|| worker.now()),
        };
        let (stats, shard) = (&self.terms.stats, worker.shard());
        stats.inc(shard, HttpMetric::RqHttp1Total);
        self.door.note(&self.terms, &unread);
    }

    /// Ends a connection on which a request does not come to the end of its head.
    async fn give_up(&self, mut io: Io) -> Result<(), HttpMetric> {
        let (stats, shard) = (&self.terms.stats, self.door.worker.shard());
        stats.inc(shard, HttpMetric::RqHeaderTimeout);
        self.note_unread(TOO_LATE);
        ending::tell(&mut io, TOO_LATE).await;
        Box::pin(ending::linger(io)).await;
        Err(HttpMetric::CxFrameTimeout)
    }

    /// What the guard says of the connection.
    fn judgement(&self) -> Result<(), HttpMetric> {
        let Some(refusal) = self.notes.refusal.get() else {
            return Ok(());
        };
        tracing::debug!(peer = %self.door.ends.peer, "HTTP/1 request refused: {}", refusal.why);
        Err(HttpMetric::CxProtocolError)
    }

    fn limits(&self) -> Limits {
        Limits {
            fields: self.terms.http.headers,
            bytes: self.terms.http.header_bytes,
        }
    }

    fn builder(&self) -> http1::Builder {
        let http = &self.terms.http;
        let mut builder = http1::Builder::new();
        builder
            .half_close(true)
            // A head and a short body in one buffer cost less than two.
            .writev(false)
            .max_buf_size(WRITE_BUFFER.max(self.limits().longest()));
        if http.headers != USUAL_HEADERS {
            builder.max_headers(http.headers as usize);
        }
        builder
    }

    /// Polls hyper until the connection ends or rests.
    async fn drive<S>(
        &self,
        served: &mut Pin<&mut http1::Connection<TokioIo<Guarded>, S>>,
    ) -> Result<Pause, HttpMetric>
    where
        S: hyper::service::HttpService<Incoming, ResBody = Out>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let check = Alarm::after(self.interval(), &self.door.worker);
        loop {
            let ended = poll_fn(|cx| {
                let polled = self.hush.poll(cx, |cx| served.as_mut().poll(cx));
                if let Poll::Ready(ended) = polled {
                    return Poll::Ready(Some(ended));
                }
                let due = self.rest.poll_due(cx).is_ready() || check.poll(cx).is_ready();
                match due {
                    true => Poll::Ready(None),
                    false => Poll::Pending,
                }
            });
            match ended.await {
                Some(Ok(())) => return Ok(Pause::Over),
                Some(Err(error)) => return self.ended(&error).map(|()| Pause::Broken),
                None => {
                    check.set(self.interval());
                    match self.check(served.as_mut()) {
                        Ok(true) => return Ok(Pause::Resting),
                        Ok(false) => {}
                        Err(HttpMetric::CxFrameTimeout) => return Ok(Pause::Late),
                        Err(metric) => return Err(metric),
                    }
                }
            }
        }
    }

    fn ended(&self, error: &hyper::Error) -> Result<(), HttpMetric> {
        tracing::debug!(peer = %self.door.ends.peer, "HTTP/1 connection ends: {error}");
        match error.is_parse() {
            true => Err(HttpMetric::CxProtocolError),
            false => Ok(()),
        }
    }

    fn interval(&self) -> Duration {
        match self.door.drain() {
            Some(_) => Drain::QUIET,
            None => CHECK,
        }
    }

    /// Looks after the connection; `true` when it rests.
    fn check<S>(
        &self,
        served: Pin<&mut http1::Connection<TokioIo<Guarded>, S>>,
    ) -> Result<bool, HttpMetric>
    where
        S: hyper::service::HttpService<Incoming, ResBody = Out>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let now = self.door.worker.tick();
        self.count_bytes();
        let (limits, http) = (&self.terms.limits, &self.terms.http);
        let stalled = self.meter.stalled.get();
        if stalled.is_some_and(|since| now.since(since) > limits.stall_timeout) {
            return Err(HttpMetric::CxSlow);
        }
        if let Some(drain) = self.door.drain() {
            if now >= drain.deadline {
                return Err(HttpMetric::CxDrained);
            }
            if self.calls.get() > 0 || drain.closes_idle(self.meter.moved.get(), now) {
                served.graceful_shutdown();
            }
            return Ok(false);
        }
        let old = http
            .connection_duration
            .is_some_and(|age| now.since(self.born) > age);
        if old {
            served.graceful_shutdown();
        }
        if self.calls.get() > 0 || stalled.is_some() {
            return Ok(false);
        }
        match self.meter.begun.get() {
            // The beginning of a call that does not go on.
            Some(begun) if now.since(begun) > http.headers_timeout => {
                Err(HttpMetric::CxFrameTimeout)
            }
            Some(_) => Ok(false),
            None => Ok(self.can_rest && self.rest.lasts() >= Rest::AFTER),
        }
    }

    /// Waits without a buffer until there is something to read.
    async fn rest(&self, io: &Io) -> Result<(), HttpMetric> {
        let Io::Tcp(socket) = io else { return Ok(()) };
        let worker = &self.door.worker;
        let idle = self.terms.limits.idle_timeout;
        let since = self.rest.lasts();
        tokio::select! {
            readable = tokio::time::timeout(idle.saturating_sub(since), socket.readable()) => {
                worker.tick();
                match readable {
                    Ok(_) => Ok(()),
                    Err(_) => Err(HttpMetric::CxIdleTimeout),
                }
            }
            _ = worker.drain_begins(&self.door.drain) => Ok(()),
        }
    }

    fn count_bytes(&self) {
        let (read, written) = self.meter.take();
        let shard = self.door.worker.shard();
        self.terms.stats.add(shard, HttpMetric::CxRx, read);
        self.terms.stats.add(shard, HttpMetric::CxTx, written);
    }

    /// One request.
    async fn call(self: Rc<Self>, request: Request<Incoming>) -> Result<Response<Out>, Infallible> {
        self.calls.set(self.calls.get() + 1);
        self.rest.begin_call();
        self.meter.watched.set(true);
        self.meter.begun.set(None);
        self.served.set(self.served.get() + 1);
        let (mut head, body) = request.into_parts();
        let fit = inbound::receive(&mut head, &self.door, &self.terms.http);
        let id = self.face.id_to_tell(&head);
        let (method, version) = (head.method.clone(), head.version);
        if matches!(fit, Ok(Wish::Upgrade | Wish::Tunnel)) {
            return Ok(Box::pin(self.negotiate(head, body)).await);
        }
        let payload = match body.is_end_stream() {
            true => Payload::Empty,
            false => Payload::One(Stretch::new(body, &self.hush)),
        };
        let web = Web::of(&head);
        let request = Request::from_parts(head, payload.decoded(web));
        let response = match fit {
            Ok(_) => {
                let interim = Interim::default();
                let carried = carry::<Http>(&self.door, request, &interim);
                self.passing(carried, &interim, version).await
            }
            Err(status) => {
                let mut response = refuse::<Http>(&self.door, request, &status);
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
                response
            }
        };
        Ok(self.pass_back(response, &method, id, web))
    }

    /// Tells the client interim answers until the final one is there. 100 Continue is left to hyper,
    /// which says it when the body is asked for.
    async fn passing<T>(
        &self,
        carried: impl Future<Output = T>,
        interim: &Interim,
        version: Version,
    ) -> T {
        let mut carried = pin!(carried);
        let answered = poll_fn(|cx| {
            let answered = carried.as_mut().poll(cx);
            for head in interim.take() {
                // Clients of HTTP/1.0 know no interim answers.
                if version == Version::HTTP_11
                    && let Some(head) = outbound::interim(head, StatusCode::CONTINUE)
                {
                    self.notes.tell(&head);
                    // hyper may have flushed in this turn already.
                    cx.waker().wake_by_ref();
                }
            }
            answered
        });
        let answered = answered.await;
        self.notes.end_interim();
        answered
    }

    fn pass_back(
        self: &Rc<Self>,
        response: Response<Answer<Http>>,
        asked: &Method,
        id: Option<HeaderValue>,
        web: Option<Web>,
    ) -> Response<Out> {
        let (mut head, answer) = response.into_parts();
        let web = web.filter(|web| web.show(&mut head));
        head.version = Version::HTTP_11;
        self.face.show(&mut head, id);
        let most = self.terms.http.requests_per_connection;
        if most.is_some_and(|most| self.served.get() >= most)
            || self
                .notes
                .refusal
                .get()
                .is_some_and(|refusal| refusal.within)
            || self.door.drain().is_some()
        {
            let close = HeaderValue::from_static("close");
            head.headers.insert(header::CONNECTION, close);
        }
        let body = Out {
            left: Length::of(asked, &head),
            answer: Some(Outgoing::new(answer, web)),
            session: Rc::clone(self),
        };
        Response::from_parts(head, body)
    }
}

/// The body of an answer as hyper asks for it.
struct Out {
    left: Length,
    answer: Option<Outgoing>,
    session: Rc<Session>,
}

impl Drop for Out {
    fn drop(&mut self) {
        let session = &self.session;
        session.calls.set(session.calls.get().saturating_sub(1));
        session.meter.watched.set(false);
        session.meter.begun.set(None);
        session.rest.end_call();
        if let Some(answer) = self.answer.take_if(|_| self.left.is_given()) {
            length::finish(answer.answer);
        }
    }
}

impl Body for Out {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let Some(answer) = &mut this.answer else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(answer).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.left.took(frame);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.answer.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.answer {
            Some(answer) => answer.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
