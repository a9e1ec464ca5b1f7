//! HTTP/1 connections to hosts: one call at a time each, kept for the next.

mod answer;

use std::{
    cell::{Cell, RefCell},
    error::Error as _,
    future::{Future as _, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use crossdock_framework::{
    cluster::{Cluster, ClusterMetric, Host, UpstreamConnection},
    protocol::Io,
    status::{Cause, Status},
    stream::{Attempt, Broken, Failure, Upload},
    time::Moment,
    transport::Opened,
    worker::{Worker, spawn},
};
use http::{HeaderValue, Method, Request, Response, header, request};
use http_body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, oneshot};

use answer::Asked;

use super::{
    Hush, USUAL_HEADERS,
    guard::{Awaited, Guard, Guarded, Limits, Notes},
};
use crate::{
    alarm::Alarm,
    expect::Expected,
    named::Way,
    payload::{self, Payload},
    pools::{self, Pools},
    stop::Stop,
    tunnel::Wanted,
    wire::{Meter, Wire},
};

/// How often an open connection looks after itself.
const CHECK: Duration = Duration::from_secs(5);

/// Bytes of a body that wait to be written.
const WRITE_BUFFER: usize = 64 * 1024;

/// The connections of one worker to one host.
#[derive(Debug)]
pub(crate) struct Pool {
    worker: Worker,
    /// The server name that hosts are asked for, where calls say it.
    name: Option<Rc<str>>,
    idle: RefCell<Vec<Ready>>,
    open: Cell<usize>,
    /// The host is no longer configured: its connections end with their calls.
    left: Cell<bool>,
    /// Told when a connection is free or may be opened.
    room: Notify,
}

/// A connection that waits for a call.
#[derive(Debug)]
struct Ready {
    sender: SendRequest<Sending>,
    up: Rc<Up>,
}

/// What is known of one connection.
#[derive(Debug)]
struct Up {
    cluster: Arc<Cluster>,
    host: Host,
    born: Moment,
    /// Our end of it.
    local: Option<SocketAddr>,
    last: Cell<Moment>,
    busy: Cell<bool>,
    served: Cell<u32>,
    /// Whether all of the request has been handed over.
    sent: Cell<bool>,
    /// What its next answer belongs to, and what its guard says of what came.
    awaited: Rc<Cell<Awaited>>,
    notes: Rc<Notes>,
    hush: Hush,
    /// Ends the connection whatever it is doing.
    stop: Stop,
    /// Takes the socket after an upgrade.
    upgrade: RefCell<Option<oneshot::Sender<Upgraded>>>,
}

/// A connection that speaks something else now, and what had been read of it.
pub(crate) type Upgraded = (Io, BytesMut);

/// The connection that an answer comes on. It is closed if the answer does not come to its end.
#[derive(Debug)]
pub(crate) struct Lease {
    ready: Option<Ready>,
    pool: Rc<Pool>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(ready) = &self.ready {
            ready.up.stop.stop();
        }
    }
}

impl Lease {
    /// The answer has come to its end: the connection takes the next call, unless the host answered
    /// before the end of the request or sent more than an answer.
    pub(crate) fn give_back(mut self) {
        // Otherwise dropped here, and so closed.
        let clean =
            |ready: &mut Ready| ready.up.sent.get() && ready.up.notes.refusal.get().is_none();
        let Some(ready) = self.ready.take_if(clean) else {
            return;
        };
        let pool = &self.pool;
        let up = &ready.up;
        let now = pool.worker.now();
        up.busy.set(false);
        up.last.set(now);
        let http = &up.cluster.http;
        let worn = http
            .requests_per_connection
            .is_some_and(|most| up.served.get() >= most);
        let old = http
            .connection_duration
            .is_some_and(|age| now.since(up.born) > age);
        if !worn && !old && !pool.left.get() && !ready.sender.is_closed() {
            pool.idle.borrow_mut().push(ready);
        }
        pool.room.notify_one();
    }
}

impl Pool {
    pub(crate) fn new(worker: &Worker, name: Option<Rc<str>>) -> Rc<Self> {
        Rc::new(Self {
            worker: worker.clone(),
            name,
            idle: RefCell::default(),
            open: Cell::new(0),
            left: Cell::new(false),
            room: Notify::new(),
        })
    }

    /// Whether there is no connection.
    pub(crate) fn is_unused(&self) -> bool {
        self.open.get() == 0
    }

    /// Whether no call uses one.
    pub(crate) fn rests(&self) -> bool {
        self.open.get() == self.idle.borrow().len()
    }

    /// Closes every connection, each after its call.
    pub(crate) fn leave(&self) {
        self.left.set(true);
        self.idle.borrow_mut().clear();
    }

    /// Takes a connection that is open already.
    pub(crate) async fn adopt(
        self: &Rc<Self>,
        opened: Opened,
        cluster: &Arc<Cluster>,
        host: &Host,
    ) {
        if !cluster.breakers[0].begin_connection() {
            cluster.breakers[0].add_connection();
        }
        if let Ok(ready) = self.begin(opened, cluster, host).await {
            ready.up.busy.set(false);
            self.idle.borrow_mut().push(ready);
        }
    }

    /// A connection that waits for a call and is still good, the latest used first.
    async fn idle(&self) -> Option<Ready> {
        loop {
            let mut ready = self.idle.borrow_mut().pop()?;
            if ready.sender.is_closed() {
                continue;
            }
            if ready.sender.is_ready() || ready.sender.ready().await.is_ok() {
                ready.up.busy.set(true);
                return Some(ready);
            }
        }
    }

    /// A connection for one call.
    async fn take(self: &Rc<Self>, attempt: Attempt<'_>, host: &Host) -> Result<Ready, Failure> {
        let cluster = attempt.cluster;
        let mut waiting = None;
        loop {
            if !attempt.fresh
                && let Some(ready) = self.idle().await
            {
                return Ok(ready);
            }
            if waiting.is_none() {
                waiting = Some(pools::Waiting::begin(attempt, &self.worker)?);
            }
            let only = self.open.get() == 0;
            if cluster.take_connection(only, self.worker.shard()) {
                // In a box, as all that is rare: the future of a call is moved about.
                return Box::pin(self.open(cluster, host)).await;
            }
            self.room.notified().await;
        }
    }

    async fn open(self: &Rc<Self>, cluster: &Arc<Cluster>, host: &Host) -> Result<Ready, Failure> {
        let mut place = Place(Some(Arc::clone(cluster)));
        let opened = pools::open(
            &self.worker,
            cluster,
            host,
            &[b"http/1.1"],
            self.name.as_deref(),
        )
        .await?;
        place.0 = None;
        self.begin(opened, cluster, host).await
    }

    /// Begins to speak HTTP/1 on a connection that holds its place in the circuit breaker.
    async fn begin(
        self: &Rc<Self>,
        opened: Opened,
        cluster: &Arc<Cluster>,
        host: &Host,
    ) -> Result<Ready, Failure> {
        let meter = Meter::new(&self.worker);
        let local = opened.local;
        let wire = Wire::new(opened.io, BytesMut::new(), &meter);
        let http = &cluster.http;
        let limits = Limits {
            fields: http.headers,
            bytes: http.header_bytes,
        };
        let (awaited, notes) = (Rc::default(), Rc::default());
        let guard = Guard::of_answers(limits, &awaited);
        let mut builder = http1::Builder::new();
        builder
            // A head and a short body in one buffer cost less than two.
            .writev(false)
            .max_buf_size(WRITE_BUFFER.max(limits.longest()));
        if http.headers != USUAL_HEADERS {
            builder.max_headers(http.headers as usize);
        }
        let shaken = builder
            .handshake(TokioIo::new(Guarded::host(wire, guard, &notes)))
            .await;
        let (sender, connection) = shaken.map_err(|error| {
            cluster.breakers[0].end_connection();
            let text = format!("no HTTP/1 connection to {}: {error}", host.address);
            Failure::Unsent(Status::new(Cause::ConnectFailed, text))
        })?;
        let now = self.worker.now();
        let up = Rc::new(Up {
            cluster: Arc::clone(cluster),
            host: host.clone(),
            born: now,
            local,
            last: Cell::new(now),
            busy: Cell::new(true),
            served: Cell::new(0),
            sent: Cell::new(true),
            awaited,
            notes,
            hush: Hush::default(),
            stop: Stop::default(),
            upgrade: RefCell::new(None),
        });
        self.open.set(self.open.get() + 1);
        spawn(keep(Rc::clone(self), Rc::clone(&up), connection, meter));
        Ok(Ready { sender, up })
    }
}

/// A place in the circuit breaker, given back unless the connection takes it over.
struct Place(Option<Arc<Cluster>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(cluster) = &self.0 {
            cluster.breakers[0].end_connection();
        }
    }
}

/// A request body on its way.
struct Sending {
    /// `None` for a request without a body.
    upload: Option<Upload<Payload>>,
    /// Holds it back.
    expected: Option<Rc<Expected>>,
    up: Rc<Up>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.up.sent.set(true);
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(expected) = &self.expected {
            ready!(expected.poll_wanted(cx));
        }
        match &mut self.upload {
            Some(upload) => Pin::new(upload).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upload.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = || SizeHint::with_exact(0);
        self.upload.as_ref().map_or_else(none, Body::size_hint)
    }
}

/// Moves a connection's bytes until it ends.
async fn keep(
    pool: Rc<Pool>,
    up: Rc<Up>,
    mut connection: http1::Connection<TokioIo<Guarded>, Sending>,
    meter: Rc<Meter>,
) {
    let worker = pool.worker.clone();
    let (stats, shard) = (Arc::clone(&up.cluster.stats), worker.shard());
    let account = UpstreamConnection::begin(&stats, &worker);
    stats.inc(shard, ClusterMetric::CxHttp1Total);
    let check = Alarm::after(CHECK, &worker);
    let result = loop {
        let ended = poll_fn(|cx| {
            let polled = up.hush.poll(cx, |cx| connection.poll_without_shutdown(cx));
            if let Poll::Ready(ended) = polled {
                return Poll::Ready(Some(ended));
            }
            if up.stop.poll_stopped(cx).is_ready() {
                *up.upgrade.borrow_mut() = None;
                account.ends_here();
                return Poll::Ready(Some(Ok(())));
            }
            check.poll(cx).map(|()| None)
        });
        if let Some(ended) = ended.await {
            break ended;
        }
        check.set(CHECK);
        let now = worker.tick();
        let idle = !up.busy.get() && now.since(up.last.get()) > up.cluster.settings.idle_timeout;
        let known = pools::is_known(&worker, &up.cluster, up.host.state.id);
        if idle {
            stats.inc(shard, ClusterMetric::CxIdleTimeout);
        }
        if !up.busy.get() && (idle || !known) {
            let mut idle = pool.idle.borrow_mut();
            idle.retain(|ready| !Rc::ptr_eq(&ready.up, &up));
            account.ends_here();
            break Ok(());
        }
    };
    let upgrade = up.upgrade.borrow_mut().take();
    match (result, upgrade) {
        (Ok(()), Some(upgrade)) => {
            let parts = connection.into_parts();
            let mut wire = parts.io.into_inner();
            wire.put_back(&parts.read_buf);
            let (io, rest) = wire.into_parts();
            // The caller may have gone.
            let _ = upgrade.send((io, rest));
        }
        (Ok(()), None) => {}
        (Err(error), _) => {
            if error.is_parse() && up.notes.refusal.get().is_none() {
                stats.inc(shard, ClusterMetric::CxProtocolError);
            }
            tracing::debug!(cluster = %up.cluster.name, host = %up.host.address, "HTTP/1 connection ended: {error}");
        }
    }
    if let Some(refusal) = up.notes.refusal.get() {
        stats.inc(shard, ClusterMetric::CxProtocolError);
        tracing::debug!(cluster = %up.cluster.name, host = %up.host.address, "answer refused: {}", refusal.why);
    }
    let (read, written) = meter.take();
    stats.add(shard, ClusterMetric::CxRx, read);
    stats.add(shard, ClusterMetric::CxTx, written);
    account.set_busy(up.busy.get());
    drop(account);
    up.cluster.breakers[0].end_connection();
    pool.open.set(pool.open.get().saturating_sub(1));
    pool.idle
        .borrow_mut()
        .retain(|ready| !Rc::ptr_eq(&ready.up, &up));
    pool.room.notify_one();
}

/// Sends a request and waits for the head of its answer.
pub(crate) async fn send(
    pools: &Rc<Pools>,
    (attempt, way): (Attempt<'_>, &Way),
    mut head: request::Parts,
    body: Upload<Payload>,
) -> Result<Response<Payload>, Failure> {
    let Some(host) = attempt.cluster.hosts.get(attempt.host) else {
        return Err(pools::gone());
    };
    let pool = pools.one(way);
    let mut ready = pool.take(attempt, host).await?;
    let reused = ready.up.served.get() > 0;
    ready.up.served.set(ready.up.served.get() + 1);
    let repeatable = head.method.is_idempotent();
    let upgrades = head.headers.contains_key(header::UPGRADE) || head.method == Method::CONNECT;
    body.begin(attempt.cluster, ready.up.local);
    let asked = upgrades.then(|| Asked::prepare(&mut head, &ready.up, &pool.worker));
    // What a tunnel's client sends is no body of HTTP/1: it follows the answer.
    let (body, rest) = match Wanted::of(&head) {
        Some(Wanted::Stream) => (None, Some(body)),
        Some(Wanted::Connection) => (None, None),
        None => (Some(body), None),
    };
    let over = body.as_ref().is_none_or(Body::is_end_stream);
    if !over && !head.headers.contains_key(header::CONTENT_LENGTH) {
        // Said here because hyper takes methods that usually have no body to have none.
        let chunked = HeaderValue::from_static("chunked");
        head.headers.insert(header::TRANSFER_ENCODING, chunked);
    }
    ready.up.awaited.set(match head.method {
        Method::CONNECT => Awaited::Tunnel,
        _ if upgrades => Awaited::Upgrade,
        Method::HEAD => Awaited::Head,
        _ => Awaited::Answer,
    });
    let up = Rc::clone(&ready.up);
    up.sent.set(false);
    let expected = Expected::of(&head.headers, &pool.worker);
    let sending = Sending {
        upload: body,
        expected: expected.clone(),
        up,
    };
    let request = Request::from_parts(head, sending);
    let mut sent = pin!(ready.sender.try_send_request(request));
    let notes = &ready.up.notes;
    let answered = poll_fn(|cx| {
        let answered = sent.as_mut().poll(cx);
        notes.pass_interim(cx, expected.as_deref(), attempt.interim);
        if let Some(expected) = &expected {
            expected.wait(cx);
        }
        answered
    });
    let response = match answered.await {
        Ok(response) => {
            if let Some(expected) = &expected {
                expected.hear(response.status());
            }
            response
        }
        Err(mut error) => {
            let unsent = error.take_message().is_some();
            let retry = unsent || (reused && repeatable);
            return Err(failure(error.error(), &ready.up, retry));
        }
    };
    match asked {
        None => answer::receive(response, ready, pool),
        Some(asked) => Box::pin(answer::receive_asked(response, ready, pool, asked, rest)).await,
    }
}

/// What an error before the answer means to the call; one that says nothing of the answer may mean
/// that the connection was stale.
fn failure(error: &hyper::Error, up: &Up, retry: bool) -> Failure {
    let host = up.host.address;
    let broken = error
        .source()
        .and_then(|source| source.downcast_ref::<Broken>());
    if let Some(status) = broken.and_then(payload::blame) {
        return Failure::Refused(status);
    }
    let wrong = match up.notes.refusal.get() {
        Some(refusal) => Some(refusal.why.to_owned()),
        None if error.is_parse() => Some(error.to_string()),
        None => None,
    };
    if let Some(wrong) = wrong {
        let text = format!("the answer of {host} cannot be passed on: {wrong}");
        return Failure::Lost(Status::new(Cause::BadResponse, text));
    }
    let text = format!("no answer from {host}: {error}");
    let status = Status::new(Cause::ConnectionLost, text);
    match retry {
        true => Failure::Stale(status),
        false => Failure::Lost(status),
    }
}
