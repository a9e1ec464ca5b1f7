//! HTTP/1 connections to hosts: one call at a time each, kept for the next.

mod answer;
mod head;
mod link;
mod reply;
mod sending;

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use crossdock_framework::{
    cluster::{Cluster, ClusterMetric, Host, UpstreamConnection},
    protocol::Io,
    status::{Cause, Status},
    stream::{Attempt, Broken, Failure, Upload},
    time::Moment,
    transport::Opened,
    worker::{Worker, spawn},
};
use http::{HeaderValue, Method, Response, header, request};
use http_body::Body as _;
use tokio::sync::Notify;

use answer::Asked;
use link::Link;
pub(crate) use reply::Reply;
use sending::Sending;

use super::guard::{Awaited, Guard, Guarded, Limits, Notes};
use crate::{
    alarm::Alarm,
    expect::{self, Expected},
    named::Way,
    payload::{self, Payload},
    pools::{self, Pools},
    stop::Stop,
    tunnel::Wanted,
    wire::{Meter, Wire},
};

/// How often an open connection looks after itself.
const CHECK: Duration = Duration::from_secs(5);

/// The connections of one worker to one host.
#[derive(Debug)]
pub(crate) struct Pool {
    worker: Worker,
    /// The server name that hosts are asked for, where calls say it.
    name: Option<Rc<str>>,
    /// Connections that wait for a call.
    idle: RefCell<Vec<Rc<Up>>>,
    open: Cell<usize>,
    /// The host is no longer configured: its connections end with their calls.
    left: Cell<bool>,
    /// Told when a connection is free or may be opened.
    room: Notify,
}

/// What is known of one connection.
#[derive(Debug)]
struct Up {
    cluster: Arc<Cluster>,
    host: Host,
    /// Our end of it.
    local: Option<SocketAddr>,
    born: Moment,
    last: Cell<Moment>,
    busy: Cell<bool>,
    served: Cell<u32>,
    /// What its next answer belongs to, and what its guard says of what came.
    awaited: Rc<Cell<Awaited>>,
    notes: Rc<Notes>,
    link: Link,
    /// Ends the connection whatever it is doing.
    stop: Stop,
}

/// A connection that speaks something else now, and what had been read of it.
pub(crate) type Upgraded = (Io, BytesMut);

/// The connection that a call has. It is closed if the answer does not come to its end.
#[derive(Debug)]
pub(super) struct Lease {
    up: Rc<Up>,
    pool: Rc<Pool>,
    /// The answer says that the connection may take another call.
    keeps: bool,
    returned: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.returned {
            self.up.stop.stop();
        }
    }
}

impl Lease {
    fn link(&self) -> &Link {
        &self.up.link
    }

    /// The answer has come to its end: the connection takes the next call, unless the host answered
    /// before the end of the request or sent more than an answer.
    fn give_back(mut self) {
        let (pool, up) = (&self.pool, &self.up);
        if up.notes.refusal.get().is_some() || !up.link.is_clean() {
            // Closed.
            return;
        }
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
        if !self.keeps {
            up.link.end();
        }
        let good = !up.link.is_over() && !worn && !old && !pool.left.get();
        if good && up.link.watch().is_pending() {
            pool.idle.borrow_mut().push(Rc::clone(up));
            self.returned = true;
        }
        self.pool.room.notify_one();
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

    /// Whether no call uses one.
    pub(crate) fn rests(&self) -> bool {
        self.open.get() == self.idle.borrow().len()
    }

    /// Whether there is no connection.
    pub(crate) fn is_unused(&self) -> bool {
        self.open.get() == 0
    }

    /// Closes every connection, each after its call.
    pub(crate) fn leave(&self) {
        self.left.set(true);
        let idle = self.idle.take();
        idle.iter().for_each(|up| up.stop.stop());
    }

    /// Takes a connection that is open already.
    pub(crate) fn adopt(self: &Rc<Self>, opened: Opened, cluster: &Arc<Cluster>, host: &Host) {
        if !cluster.breakers[0].begin_connection() {
            cluster.breakers[0].add_connection();
        }
        let up = self.begin(opened, cluster, host);
        up.busy.set(false);
        self.idle.borrow_mut().push(up);
    }

    /// A connection that waits for a call and is still good, the latest used first.
    fn idle(&self) -> Option<Rc<Up>> {
        loop {
            let up = self.idle.borrow_mut().pop()?;
            if up.link.is_good() {
                up.busy.set(true);
                return Some(up);
            }
            up.stop.stop();
        }
    }

    /// A connection for one call.
    async fn take(self: &Rc<Self>, attempt: Attempt<'_>, host: &Host) -> Result<Rc<Up>, Failure> {
        let cluster = attempt.cluster;
        let mut waiting = None;
        loop {
            if !attempt.fresh
                && let Some(up) = self.idle()
            {
                return Ok(up);
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

    async fn open(self: &Rc<Self>, cluster: &Arc<Cluster>, host: &Host) -> Result<Rc<Up>, Failure> {
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
        Ok(self.begin(opened, cluster, host))
    }

    /// Begins to speak HTTP/1 on a connection that holds its place in the circuit breaker.
    fn begin(self: &Rc<Self>, opened: Opened, cluster: &Arc<Cluster>, host: &Host) -> Rc<Up> {
        let meter = Meter::new(&self.worker);
        let local = opened.local;
        let wire = Wire::new(opened.io, BytesMut::new(), &meter);
        let limits = Limits {
            fields: cluster.http.headers,
            bytes: cluster.http.header_bytes,
        };
        let (awaited, notes) = (Rc::default(), Rc::default());
        let guard = Guard::of_answers(limits, &awaited);
        let now = self.worker.now();
        let up = Rc::new(Up {
            cluster: Arc::clone(cluster),
            host: host.clone(),
            local,
            born: now,
            last: Cell::new(now),
            busy: Cell::new(true),
            served: Cell::new(0),
            link: Link::new(Guarded::host(wire, guard, &notes), &self.worker),
            awaited,
            notes,
            stop: Stop::default(),
        });
        self.open.set(self.open.get() + 1);
        spawn(keep(Rc::clone(self), Rc::clone(&up), meter));
        up
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

/// Sees to a connection until it ends.
async fn keep(pool: Rc<Pool>, up: Rc<Up>, meter: Rc<Meter>) {
    let worker = pool.worker.clone();
    let (stats, shard) = (Arc::clone(&up.cluster.stats), worker.shard());
    let account = UpstreamConnection::begin(&stats, &worker);
    stats.inc(shard, ClusterMetric::CxHttp1Total);
    let check = Alarm::after(CHECK, &worker);
    loop {
        let ended = poll_fn(|cx| {
            let over = up.link.poll_keep(cx, up.busy.get()).is_ready();
            match over || up.stop.poll_stopped(cx).is_ready() {
                true => Poll::Ready(true),
                false => check.poll(cx).map(|()| false),
            }
        });
        if ended.await {
            if !up.link.is_over() {
                account.ends_here();
            }
            break;
        }
        check.set(CHECK);
        let now = worker.tick();
        let idle = !up.busy.get() && now.since(up.last.get()) > up.cluster.settings.idle_timeout;
        let known = pools::is_known(&worker, &up.cluster, up.host.state.id);
        if idle {
            stats.inc(shard, ClusterMetric::CxIdleTimeout);
        }
        if !up.busy.get() && (idle || !known) {
            account.ends_here();
            break;
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
        .retain(|other| !Rc::ptr_eq(other, &up));
    pool.room.notify_one();
}

/// Why there is no answer, or no end of one.
#[derive(Debug)]
enum Trouble {
    /// The body of the request broke off.
    Broken(Broken),
    /// The connection is lost.
    Lost(io::Error),
    /// The answer cannot be read.
    Wrong(httparse::Error),
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
    let up = pool.take(attempt, host).await?;
    let mut lease = Lease {
        up: Rc::clone(&up),
        pool: Rc::clone(&pool),
        keeps: false,
        returned: false,
    };
    let reused = up.served.get() > 0;
    up.served.set(up.served.get() + 1);
    let repeatable = head.method.is_idempotent();
    let upgrades = head.headers.contains_key(header::UPGRADE) || head.method == Method::CONNECT;
    body.begin(attempt.cluster, up.local);
    let asked = upgrades.then(|| Asked::prepare(&mut head, &pool.worker));
    // What a tunnel's client sends is no body of HTTP/1: it follows the answer.
    let (body, rest) = match Wanted::of(&head) {
        Some(Wanted::Stream) => (None, Some(body)),
        Some(Wanted::Connection) => (None, None),
        None => (Some(body), None),
    };
    let over = body.as_ref().is_none_or(|body| body.is_end_stream());
    let length = match over {
        true => Some(0),
        false => sending::length(&head.headers),
    };
    if length.is_none() {
        head.headers.remove(header::CONTENT_LENGTH);
        let chunked = HeaderValue::from_static("chunked");
        head.headers.insert(header::TRANSFER_ENCODING, chunked);
    }
    let awaited = match head.method {
        Method::CONNECT => Awaited::Tunnel,
        _ if upgrades => Awaited::Upgrade,
        Method::HEAD => Awaited::Head,
        _ => Awaited::Answer,
    };
    up.awaited.set(awaited);
    let expected = Expected::of(&head.headers, &pool.worker);
    let sending = Sending::new(&head, (body, length), &expected, &pool.worker);
    up.link.begin(sending);
    let limit = up.cluster.http.headers;
    let answered = poll_fn(|cx| {
        let mut hear = |head| {
            // The guard has counted them.
            let _ = expect::receive(head, expected.as_deref(), attempt.interim);
        };
        let answered = up.link.poll_answer(cx, (awaited, limit), &mut hear);
        if let Some(expected) = &expected {
            expected.wait(cx);
        }
        answered
    });
    let answer = answered.await;
    let answer = answer.map_err(|trouble| failure(&trouble, &up, reused && repeatable))?;
    if let Some(expected) = &expected {
        expected.hear(answer.parts.status);
    }
    lease.keeps = answer.keeps;
    let response = Response::from_parts(answer.parts, answer.framing);
    match asked {
        None => answer::receive(response, lease),
        Some(asked) => Box::pin(answer::receive_asked(response, lease, asked, rest)).await,
    }
}

/// What it means to the call that there is no answer; where nothing is known of it, the connection
/// may have been stale.
fn failure(trouble: &Trouble, up: &Up, repeatable: bool) -> Failure {
    let host = up.host.address;
    let wrong = match (trouble, up.notes.refusal.get()) {
        (Trouble::Broken(broken), _) => {
            if let Some(status) = payload::blame(broken) {
                return Failure::Refused(status);
            }
            let text = format!("no answer from {host}: the request is not complete: {broken}");
            return Failure::Lost(Status::new(Cause::ConnectionLost, text));
        }
        (_, Some(refusal)) => refusal.why.to_owned(),
        (Trouble::Wrong(error), None) => {
            let (stats, shard) = (&up.cluster.stats, up.link.shard());
            stats.inc(shard, ClusterMetric::CxProtocolError);
            error.to_string()
        }
        (Trouble::Lost(error), None) => {
            let text = format!("no answer from {host}: {error}");
            let status = Status::new(Cause::ConnectionLost, text);
            return match repeatable || up.link.is_unsent() {
                true => Failure::Stale(status),
                false => Failure::Lost(status),
            };
        }
    };
    let text = format!("the answer of {host} cannot be passed on: {wrong}");
    Failure::Lost(Status::new(Cause::BadResponse, text))
}
