//! HTTP/2 connections to hosts: shared by many clients, one filled before the next is used.

mod send;

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::h2::client::{self, SendRequest};
use bytes::{Bytes, BytesMut};
use crossdock_framework::{
    cluster::{Cluster, ClusterMetric, Host, UpstreamConnection},
    status::{Cause, Status},
    stream::{Attempt, Failure},
    time::Moment,
    transport::Opened,
    worker::{Worker, spawn},
};
use tokio::sync::Notify;

pub(crate) use send::send;

use super::{bulk::Bulk, keepalive::Pings};
use crate::{
    pools,
    stop::Stop,
    wire::{Meter, Wire},
};

/// How often a connection looks after itself.
const CHECK: Duration = Duration::from_secs(5);

/// Bytes of one stream that wait to be written beside the window of its reader.
const SEND_BUFFER: usize = 64 * 1024;

/// Parts of a connection's streams in use from which on the next connection is opened, in eighths:
/// before calls have to wait for it.
const OPEN_AHEAD: u32 = 7;

/// Streams of a connection whose host has not said yet how many it allows, where none has said so
/// before.
const EXPECTED: u32 = 100;

/// Connections that may end before a call has begun on them, one after another.
const ENDED: u32 = 8;

/// The connections of one worker to one host.
#[derive(Debug)]
pub(crate) struct Pool {
    worker: Worker,
    /// The server name that hosts are asked for, where calls say it.
    name: Option<Rc<str>>,
    ups: RefCell<Vec<Rc<Up>>>,
    /// Streams that the host allowed on its latest connection.
    expected: Cell<u32>,
    /// Told when a stream ends or a connection opens or closes.
    room: Notify,
}

/// One connection.
#[derive(Debug)]
struct Up {
    worker: Worker,
    pool: Rc<Pool>,
    cluster: Arc<Cluster>,
    host: Host,
    /// Gone when no more streams are to be opened; the connection ends after the last one.
    sender: RefCell<Option<SendRequest<Bytes>>>,
    /// Why it could not be opened.
    failed: RefCell<Option<Status>>,
    opening: Cell<bool>,
    opened: Notify,
    streams: Cell<u32>,
    served: Cell<u32>,
    born: Cell<Moment>,
    last: Cell<Moment>,
    /// Our end of it, once it is open.
    local: Cell<Option<SocketAddr>>,
}

/// A stream's place on its connection, for as long as the stream lasts.
#[derive(Debug)]
pub(crate) struct Hold {
    up: Rc<Up>,
    /// Tells the task that sends the request body.
    stop: Rc<Stop>,
}

impl Pool {
    pub(crate) fn new(worker: &Worker, name: Option<Rc<str>>) -> Rc<Self> {
        Rc::new(Self {
            worker: worker.clone(),
            name,
            ups: RefCell::default(),
            expected: Cell::new(EXPECTED),
            room: Notify::new(),
        })
    }

    /// Whether there is no connection.
    pub(crate) fn is_unused(&self) -> bool {
        self.ups.borrow().is_empty()
    }

    /// Whether no call uses one.
    pub(crate) fn rests(&self) -> bool {
        self.ups.borrow().iter().all(|up| up.streams.get() == 0)
    }

    /// Closes every connection, each after its streams.
    pub(crate) fn leave(&self) {
        let ups = self.ups.borrow().clone();
        ups.iter().for_each(|up| up.leave());
    }

    /// Takes a connection that is open already.
    pub(crate) fn adopt(self: &Rc<Self>, opened: Opened, cluster: &Arc<Cluster>, host: &Host) {
        if !cluster.breakers[0].begin_connection() {
            cluster.breakers[0].add_connection();
        }
        let up = Up::new(self, cluster, host);
        self.ups.borrow_mut().push(Rc::clone(&up));
        spawn(async move { up.serve(opened).await });
    }

    /// A connection for one more stream: the first that has room, so that few are in use. The next
    /// one is opened before it is needed.
    fn offer(self: &Rc<Self>, cluster: &Arc<Cluster>, host: &Host) -> Option<Rc<Up>> {
        let ups = self.ups.borrow();
        let usable = || ups.iter().filter(|up| up.takes_streams());
        let roomy = usable().find(|up| up.has_room()).cloned();
        let (open, crowded) = (usable().count(), usable().all(|up| up.is_crowded()));
        drop(ups);
        let may_open = open < cluster.settings.connections_per_host as usize;
        match roomy {
            None if may_open => self.open(cluster, host, open == 0),
            Some(up) if may_open && crowded => {
                drop(self.open(cluster, host, false));
                Some(up)
            }
            roomy => roomy,
        }
    }

    /// Begins to open a connection. The `only` one of its host is opened whatever the circuit
    /// breaker says, as Envoy does.
    fn open(self: &Rc<Self>, cluster: &Arc<Cluster>, host: &Host, only: bool) -> Option<Rc<Up>> {
        if !cluster.take_connection(only, self.worker.shard()) {
            return None;
        }
        let up = Up::new(self, cluster, host);
        self.ups.borrow_mut().push(Rc::clone(&up));
        let opening = Rc::clone(&up);
        spawn(async move { opening.run().await });
        Some(up)
    }

    fn remove(&self, up: &Rc<Up>) {
        self.ups.borrow_mut().retain(|other| !Rc::ptr_eq(other, up));
        self.room.notify_waiters();
    }
}

impl Up {
    fn new(pool: &Rc<Pool>, cluster: &Arc<Cluster>, host: &Host) -> Rc<Self> {
        let now = pool.worker.now();
        Rc::new(Self {
            worker: pool.worker.clone(),
            pool: Rc::clone(pool),
            cluster: Arc::clone(cluster),
            host: host.clone(),
            sender: RefCell::new(None),
            failed: RefCell::new(None),
            opening: Cell::new(true),
            opened: Notify::new(),
            streams: Cell::new(0),
            served: Cell::new(0),
            born: Cell::new(now),
            last: Cell::new(now),
            local: Cell::new(None),
        })
    }

    fn takes_streams(&self) -> bool {
        self.opening.get() || self.sender.borrow().is_some()
    }

    /// Streams that it may carry: by configuration and by what the host allows.
    fn capacity(&self) -> u32 {
        let allowed = match &*self.sender.borrow() {
            Some(sender) if !self.opening.get() => allowed(sender),
            _ => self.pool.expected.get(),
        };
        let settings = &self.cluster.settings;
        allowed
            .min(self.cluster.http.streams)
            .min(settings.fill_calls)
    }

    fn has_room(&self) -> bool {
        self.streams.get() < self.capacity()
    }

    /// More streams hoped for a place than the host allows.
    fn is_overfull(&self) -> bool {
        self.streams.get() > self.capacity()
    }

    fn is_crowded(&self) -> bool {
        u64::from(self.streams.get()) * 8 >= u64::from(self.capacity()) * u64::from(OPEN_AHEAD)
    }

    /// Opens no more streams; those that are open go on to their ends.
    fn leave(&self) {
        *self.sender.borrow_mut() = None;
        self.pool.room.notify_waiters();
    }

    async fn run(self: Rc<Self>) {
        let opened = pools::open(
            &self.worker,
            &self.cluster,
            &self.host,
            &[b"h2"],
            self.pool.name.as_deref(),
        )
        .await;
        match opened {
            Ok(opened) => self.serve(opened).await,
            Err(Failure::Unsent(status)) => {
                *self.failed.borrow_mut() = Some(status);
                self.cluster.breakers[0].end_connection();
                self.close();
            }
            Err(_) => unreachable!("a connection that cannot be opened has sent nothing"),
        }
    }

    fn close(self: &Rc<Self>) {
        self.opening.set(false);
        self.leave();
        self.pool.remove(self);
        self.opened.notify_waiters();
    }

    async fn serve(self: Rc<Self>, opened: Opened) {
        let meter = Meter::new(&self.worker);
        self.local.set(opened.local);
        let wire = Wire::new(opened.io, BytesMut::new(), &meter);
        let bulk = Bulk::new(wire, &self.worker);
        let http = &self.cluster.http;
        let shaken = client::Builder::new()
            .initial_window_size(http.stream_window)
            .initial_connection_window_size(http.connection_window())
            .max_header_list_size(http.header_bytes)
            .max_send_buffer_size(SEND_BUFFER)
            // None before the host's settings have come: it might refuse them.
            .initial_max_send_streams(0)
            .enable_push(false)
            .handshake::<_, Bytes>(bulk.clone())
            .await;
        let (sender, connection) = match shaken {
            Ok(shaken) => shaken,
            Err(error) => {
                self.refuse(&error);
                self.cluster.breakers[0].end_connection();
                return self.close();
            }
        };
        let (stats, shard) = (&self.cluster.stats, self.worker.shard());
        let account = UpstreamConnection::begin(stats, &self.worker);
        stats.inc(shard, ClusterMetric::CxHttp2Total);
        *self.sender.borrow_mut() = Some(sender);
        self.keep(connection, bulk, &meter).await;
        if self.sender.borrow().is_none() {
            account.ends_here();
        }
        self.close();
        let (read, written) = meter.take();
        stats.add(shard, ClusterMetric::CxRx, read);
        stats.add(shard, ClusterMetric::CxTx, written);
        account.set_busy(self.streams.get() > 0);
        drop(account);
        self.cluster.breakers[0].end_connection();
    }

    /// Moves the connection's bytes until it ends.
    async fn keep(
        self: &Rc<Self>,
        connection: client::Connection<Bulk>,
        bulk: Bulk,
        meter: &Meter,
    ) {
        let mut connection = connection;
        let pings = connection.ping_pong();
        let mut pings = Pings::of(self.cluster.http.keepalive, pings, &self.worker);
        let mut connection = pin!(connection);
        let mut check = pin!(tokio::time::sleep(CHECK));
        let mut dead = false;
        loop {
            let ended = poll_fn(|cx| {
                loop {
                    if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                        return Poll::Ready(Some(ended));
                    }
                    if !bulk.send(cx) {
                        break;
                    }
                }
                if self.opening.get() {
                    self.note_settings();
                }
                if let Some(pings) = &mut pings
                    && pings.poll(cx, meter).is_ready()
                {
                    dead = true;
                    return Poll::Ready(None);
                }
                check.as_mut().poll(cx).map(|()| None)
            });
            let ended = ended.await;
            if dead {
                let (stats, shard) = (&self.cluster.stats, self.worker.shard());
                stats.inc(shard, ClusterMetric::CxKeepalive);
                return;
            }
            if self.opening.get() && !matches!(ended, Some(Err(_))) {
                return self.refuse(&"no settings came");
            }
            match ended {
                Some(Ok(())) => return,
                Some(Err(error)) => {
                    if self.opening.get() {
                        self.refuse(&error);
                    }
                    let (stats, shard) = (&self.cluster.stats, self.worker.shard());
                    if error.is_go_away() && error.is_remote() {
                        stats.inc(shard, ClusterMetric::CxGoaway);
                    } else if !error.is_io() {
                        stats.inc(shard, ClusterMetric::CxProtocolError);
                    }
                    tracing::debug!(cluster = %self.cluster.name, host = %self.host.address, "HTTP/2 connection ended: {error}");
                    return;
                }
                None => {
                    check.as_mut().reset(tokio::time::Instant::now() + CHECK);
                    self.check(meter);
                }
            }
        }
    }

    /// The host does not speak HTTP/2, as far as can be told.
    fn refuse(&self, why: &dyn fmt::Display) {
        let text = format!("{} does not speak HTTP/2: {why}", self.host.address);
        *self.failed.borrow_mut() = Some(Status::new(Cause::ConnectFailed, text));
    }

    /// The connection is open once its host has said how many streams it allows.
    fn note_settings(&self) {
        let allowed = self.sender.borrow().as_ref().map_or(0, allowed);
        if allowed > 0 {
            self.pool.expected.set(allowed);
            self.opening.set(false);
            self.opened.notify_waiters();
        }
    }

    fn check(&self, meter: &Meter) {
        let now = self.worker.tick();
        let (stats, shard) = (&self.cluster.stats, self.worker.shard());
        let (read, written) = meter.take();
        stats.add(shard, ClusterMetric::CxRx, read);
        stats.add(shard, ClusterMetric::CxTx, written);
        let quiet = self.streams.get() == 0;
        let idle = quiet && now.since(self.last.get()) > self.cluster.settings.idle_timeout;
        let age = self.cluster.http.connection_duration;
        let old = age.is_some_and(|age| now.since(self.born.get()) > age);
        if idle {
            stats.inc(shard, ClusterMetric::CxIdleTimeout);
        }
        if idle || old || !pools::is_known(&self.worker, &self.cluster, self.host.state.id) {
            self.leave();
        }
    }
}

/// Streams that the host allows; none before its settings have come.
fn allowed(sender: &SendRequest<Bytes>) -> u32 {
    u32::try_from(sender.current_max_send_streams()).unwrap_or(u32::MAX)
}

impl Hold {
    fn new(up: &Rc<Up>) -> Self {
        up.streams.set(up.streams.get() + 1);
        Self {
            up: Rc::clone(up),
            stop: Rc::default(),
        }
    }
}

impl Hold {
    /// Ready when the request body has been sent, or broke off.
    pub(crate) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stop.poll_finished(cx)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let up = &self.up;
        up.streams.set(up.streams.get().saturating_sub(1));
        up.last.set(up.worker.now());
        up.pool.room.notify_one();
        self.stop.stop();
    }
}

/// A place on a connection that is open and takes a stream now.
async fn stream_on(
    pool: &Rc<Pool>,
    attempt: Attempt<'_>,
    host: &Host,
) -> Result<(Hold, SendRequest<Bytes>), Failure> {
    let mut waiting = None;
    let mut ended = 0;
    loop {
        let Some(up) = pool.offer(attempt.cluster, host) else {
            if waiting.is_none() {
                waiting = Some(pools::Waiting::begin(attempt, &pool.worker)?);
            }
            pool.room.notified().await;
            continue;
        };
        let hold = Hold::new(&up);
        while up.opening.get() {
            if waiting.is_none() {
                waiting = Some(pools::Waiting::begin(attempt, &pool.worker)?);
            }
            let opened = up.opened.notified();
            if up.opening.get() {
                opened.await;
            }
        }
        if let Some(status) = &*up.failed.borrow() {
            return Err(Failure::Unsent(status.clone()));
        }
        // The host allows fewer streams than there are calls that waited for it.
        if up.is_overfull() {
            continue;
        }
        let sender = up.sender.borrow().clone();
        let Some(mut sender) = sender else {
            ended += 1;
            if ended < ENDED {
                continue;
            }
            let text = format!("connections to {} end at once", host.address);
            return Err(Failure::Unsent(Status::new(Cause::ConnectFailed, text)));
        };
        // A connection whose host has said GOAWAY errs here, before anything is sent.
        match poll_fn(|cx| sender.poll_ready(cx)).await {
            Ok(()) => return Ok((hold, sender)),
            Err(_) => up.leave(),
        }
    }
}

fn retire_if_worn_out(up: &Up) {
    let most = up.cluster.http.requests_per_connection;
    if most.is_some_and(|most| up.served.get() >= most) {
        up.leave();
    }
}
