//! The server side of HTTP/2: one task for the connection and one for each stream.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::h2::{Reason, RecvStream, server};
use bytes::Bytes;
use crossdock_framework::{
    protocol::Connection,
    snapshot::{DownstreamConnection, HttpMetric, Policy, Spoken, Terms},
    status::{Cause, Detail, Status},
    stream::{Answer, Broken, Door, Interim, Unread, carry, refuse},
    time::Moment,
    worker::{Drain, Worker, spawn},
};
use http::{Request, Response, StatusCode, Version, response};
use http_body::Body as _;

use super::{
    bulk::Bulk,
    flood::Flood,
    keepalive::Pings,
    pump::{self, Stopped, Watch},
};
use crate::{
    codec::Http,
    date::Dates,
    grpc_web::{Outgoing, Web},
    inbound,
    outbound::{self, Face},
    payload::{Inflow, Payload},
    tunnel::{self, Wanted},
    wire::{Meter, Wire},
};

/// How often a connection looks after itself: whether it is idle, stalled, too old.
const CHECK: Duration = Duration::from_secs(5);

/// The longest a client may take to answer with its settings.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// Who holds a connection's client while there is no stream: its keeper, three times.
const HOLDERS: usize = 3;

/// Bytes of one stream that wait to be written beside the window of its reader.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(connection: Connection, worker: Worker) {
    let snapshot = worker.snapshot();
    let Some(policy) = snapshot.policy(connection.policy) else {
        return;
    };
    let (terms, builder) = (Arc::clone(&policy.terms), builder(policy));
    drop(snapshot);
    let shard = worker.shard();
    let secure = connection.tls.is_some();
    let account = DownstreamConnection::begin(&terms.stats, &worker, Spoken::Http2, secure);
    let meter = Meter::new(&worker);
    let door = Rc::new(Door {
        worker: worker.clone(),
        ends: connection.ends,
        tls: connection.tls,
        policy: connection.policy,
        drain: connection.drain,
        stats: Arc::clone(&terms.stats),
    });
    let flood = Flood::new(terms.http.resets, worker.now());
    let wire = Wire::new(connection.io, connection.prefix, &meter).counting(flood);
    let bulk = Bulk::new(wire, &worker);
    // In a box of its own: it is over soon, and the connection lasts.
    match Box::pin(shake_hands(&bulk, builder, &door)).await {
        Ok(mut served) => {
            let client = Client {
                face: Face::new(&terms.http),
                dates: Dates::of(&worker),
                door: Rc::clone(&door),
                terms: Arc::clone(&terms),
            };
            let pings = Pings::of(terms.http.keepalive, served.ping_pong(), &worker);
            let mut keeper = Keeper::new(client, &meter, pings);
            let ended = keeper.run(&mut served, &bulk).await;
            if let Err(metric) = ended {
                terms.stats.inc(shard, metric);
            }
            if ended.is_err() || keeper.leaving {
                account.ends_here();
            }
            // Each stream holds it too.
            account.set_busy(Rc::strong_count(&keeper.client) > 1);
        }
        Err(metric) => {
            terms.stats.inc(shard, metric);
            account.ends_here();
        }
    }
    if let Some(why) = meter.flooded.get() {
        tracing::debug!(peer = %door.ends.peer, "HTTP/2 connection refused: {why}");
        terms.stats.inc(shard, HttpMetric::CxProtocolError);
    }
    let (read, written) = meter.take();
    terms.stats.add(shard, HttpMetric::CxRx, read);
    terms.stats.add(shard, HttpMetric::CxTx, written);
}

/// Reads the client's preface and says what it may do.
async fn shake_hands(
    bulk: &Bulk,
    builder: server::Builder,
    door: &Door,
) -> Result<Box<server::Connection<Bulk, Bytes>>, HttpMetric> {
    let mut shaking = builder.handshake(bulk.clone());
    let shaking = poll_fn(|cx| {
        let shaken = Pin::new(&mut shaking).poll(cx);
        // Whether it fails is told to who writes next.
        bulk.send(cx);
        shaken
    });
    match tokio::time::timeout(HANDSHAKE, shaking).await {
        Ok(Ok(served)) => Ok(Box::new(served)),
        Ok(Err(error)) => {
            tracing::debug!(peer = %door.ends.peer, "no HTTP/2 connection: {error}");
            Err(HttpMetric::CxProtocolError)
        }
        Err(_) => Err(HttpMetric::CxFrameTimeout),
    }
}

fn builder(policy: &Policy) -> server::Builder {
    let http = &policy.http;
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(http.stream_window)
        .initial_connection_window_size(http.connection_window())
        .max_concurrent_streams(http.streams)
        .max_header_list_size(http.header_bytes)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(http.resets as usize)
        .max_pending_accept_reset_streams(http.resets as usize)
        .max_local_error_reset_streams(Some(http.resets as usize * 4));
    if http.websocket || http.connect || policy.router.allows_upgrades() {
        builder.enable_connect_protocol();
    }
    builder
}

/// What the streams of a connection share. Each open stream holds it.
struct Client {
    door: Rc<Door>,
    terms: Arc<Terms>,
    face: Face,
    dates: Rc<Dates>,
}

/// Looks after one connection.
struct Keeper {
    client: Rc<Client>,
    meter: Rc<Meter>,
    born: Moment,
    streams: u32,
    /// When there last was a stream.
    last: Moment,
    pings: Option<Pings>,
    leaving: bool,
}

impl Keeper {
    fn new(client: Client, meter: &Rc<Meter>, pings: Option<Pings>) -> Self {
        let now = client.door.worker.now();
        Self {
            born: now,
            last: now,
            pings,
            client: Rc::new(client),
            meter: Rc::clone(meter),
            streams: 0,
            leaving: false,
        }
    }

    /// Accepts streams until the connection ends.
    async fn run(
        &mut self,
        served: &mut server::Connection<Bulk, Bytes>,
        bulk: &Bulk,
    ) -> Result<(), HttpMetric> {
        let client = Rc::clone(&self.client);
        let door = &client.door;
        let mut check = pin!(tokio::time::sleep(CHECK));
        let mut drain = pin!(door.worker.drain_begins(&door.drain));
        let (mut listens, mut dead) = (false, false);
        loop {
            let accepted = poll_fn(|cx| {
                loop {
                    if let Poll::Ready(accepted) = served.poll_accept(cx) {
                        return Poll::Ready(Some(accepted));
                    }
                    if !bulk.send(cx) {
                        break;
                    }
                }
                // It wakes the task once; whether it has begun is cheaper to ask.
                if !std::mem::replace(&mut listens, true) {
                    let _ = drain.as_mut().poll(cx);
                }
                if !self.leaving && door.drain().is_some() {
                    return Poll::Ready(None);
                }
                if let Some(pings) = &mut self.pings
                    && pings.poll(cx, &self.meter).is_ready()
                {
                    dead = true;
                    return Poll::Ready(None);
                }
                check.as_mut().poll(cx).map(|()| None)
            });
            match accepted.await {
                _ if dead => return Err(HttpMetric::CxKeepalive),
                Some(None) => return Ok(()),
                Some(Some(Ok((request, respond)))) => {
                    self.streams += 1;
                    self.last = door.worker.now();
                    // Boxed first: a task is copied several times while it is made.
                    spawn(Box::pin(Rc::clone(&self.client).stream(request, respond)));
                    if self.is_worn_out() {
                        self.leave(served);
                    }
                }
                Some(Some(Err(error))) => {
                    tracing::debug!(peer = %self.client.door.ends.peer, "HTTP/2 connection ends: {error}");
                    if error.is_io() {
                        return Ok(());
                    }
                    client.note_unread(&error.to_string());
                    return Err(HttpMetric::CxProtocolError);
                }
                None => {
                    let next = tokio::time::Instant::now() + self.check_interval();
                    check.as_mut().reset(next);
                    self.check(served)?;
                }
            }
        }
    }

    fn check_interval(&self) -> Duration {
        match self.client.door.drain() {
            Some(_) => Drain::QUIET,
            None => CHECK,
        }
    }

    fn is_worn_out(&self) -> bool {
        let most = self.client.terms.http.requests_per_connection;
        most.is_some_and(|most| self.streams >= most)
    }

    /// Two GOAWAYs: streams that are on their way still arrive (RFC 9113 section 6.8).
    fn leave(&mut self, served: &mut server::Connection<Bulk, Bytes>) {
        if !std::mem::replace(&mut self.leaving, true) {
            served.graceful_shutdown();
        }
    }

    fn check(&mut self, served: &mut server::Connection<Bulk, Bytes>) -> Result<(), HttpMetric> {
        let client = Rc::clone(&self.client);
        let worker = &client.door.worker;
        let now = worker.tick();
        let (stats, shard) = (&client.terms.stats, worker.shard());
        let (read, written) = self.meter.take();
        stats.add(shard, HttpMetric::CxRx, read);
        stats.add(shard, HttpMetric::CxTx, written);
        let limits = &client.terms.limits;
        let stalled = self.meter.stalled.get();
        if stalled.is_some_and(|since| now.since(since) > limits.stall_timeout) {
            return Err(HttpMetric::CxSlow);
        }
        let quiet = Rc::strong_count(&client) == HOLDERS;
        if !quiet {
            self.last = now;
        }
        // PINGs are no reason to stay.
        if quiet && now.since(self.last) > limits.idle_timeout {
            stats.inc(shard, HttpMetric::CxIdleTimeout);
            self.leave(served);
        }
        let age = client.terms.http.connection_duration;
        if age.is_some_and(|age| now.since(self.born) > age) {
            self.leave(served);
        }
        if let Some(drain) = client.door.drain() {
            if now >= drain.deadline {
                return Err(HttpMetric::CxDrained);
            }
            if !self.leaving {
                stats.inc(shard, HttpMetric::CxDrained);
                self.leave(served);
            }
        }
        Ok(())
    }
}

impl Client {
    /// Tells access logs of bytes after which the connection cannot go on.
    fn note_unread(&self, why: &str) {
        let status = Status::new(Cause::BadRequest, why.to_owned());
        let unread = Unread {
            protocol: "HTTP/2",
            status: status.because(Detail::Unreadable("codec_error")),
            answer: None,
            since: self.door.worker.now(),
        };
        self.door.note(&self.terms, &unread);
    }

    /// One stream from its head to its end.
    async fn stream(
        self: Rc<Self>,
        request: Request<RecvStream>,
        mut respond: server::SendResponse<Bytes>,
    ) {
        let (mut head, body) = request.into_parts();
        let waits = !body.is_end_stream() && inbound::expects(&head.headers);
        let fit = inbound::receive(&mut head, &self.door, &self.terms.http);
        let waits = waits && fit.is_ok();
        if waits && !self.terms.http.proxy_continue {
            let mut proceed = Response::new(());
            *proceed.status_mut() = StatusCode::CONTINUE;
            // A stream that is gone says so again below.
            let _ = respond.send_informational(proceed);
        }
        let payload = match body.is_end_stream() {
            true => Payload::Empty,
            false => Payload::Two(Inflow::new(body, None)),
        };
        let web = Web::of(&head);
        let id = self.face.id_to_tell(&head);
        let tunnel = Wanted::of(&head).map(|_| head.method.clone());
        let request = Request::from_parts(head, payload.decoded(web));
        let response = match fit {
            Ok(_) => {
                let interim = Interim::default();
                let mut carried = pin!(carry::<Http>(&self.door, request, &interim));
                let mut asks = waits && self.terms.http.proxy_continue;
                let answered = poll_fn(|cx| {
                    let carried = carried.as_mut().poll(cx);
                    for head in interim.take() {
                        tell(head, &mut asks, &mut respond);
                    }
                    if let Poll::Ready(response) = carried {
                        return Poll::Ready(Some(response));
                    }
                    // The client gave the call up: dropping it tells the host.
                    respond.poll_reset(cx).map(|_| None)
                });
                match answered.await {
                    Some(response) => response,
                    None => return,
                }
            }
            Err(status) => refuse::<Http>(&self.door, request, &status),
        };
        let (mut head, mut answer) = response.into_parts();
        let tunnel = tunnel.is_some_and(|asked| tunnel::agrees(&asked, head.status));
        if tunnel {
            tunnel::agree_h2(&mut head);
            answer.open_tunnel();
        }
        head.version = Version::HTTP_2;
        self.face.show(&mut head, id);
        self.dates.stamp(&mut head.headers);
        match tunnel {
            true => feed(head, answer, &mut respond).await,
            false => {
                let answer = Outgoing::new(answer, web.filter(|web| web.show(&mut head)));
                pass_back(head, answer, &mut respond).await;
            }
        }
    }
}

/// Tells the client an interim answer of the host; 100 Continue once, if it asked (`asks`).
fn tell(head: response::Parts, asks: &mut bool, respond: &mut server::SendResponse<Bytes>) {
    let proceed = head.status == StatusCode::CONTINUE;
    if proceed && !std::mem::take(asks) {
        return;
    }
    if let Some(mut head) = outbound::interim(head, StatusCode::SWITCHING_PROTOCOLS) {
        head.version = Version::HTTP_2;
        // A stream that is gone says so when its answer is sent.
        let _ = respond.send_informational(Response::from_parts(head, ()));
    }
}

async fn pass_back(
    head: response::Parts,
    mut answer: Outgoing,
    respond: &mut server::SendResponse<Bytes>,
) {
    let over = answer.is_end_stream();
    let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), over) else {
        return;
    };
    if over {
        return;
    }
    match pump::pump(&mut answer, &mut Caller, &mut stream).await {
        Ok(()) | Err(Stopped::Reset) => {}
        Err(Stopped::Broken(broken)) => stream.send_reset(reset_reason(&broken)),
    }
}

fn reset_reason(broken: &Broken) -> Reason {
    match pump::reason(broken) {
        Reason::NO_ERROR => Reason::INTERNAL_ERROR,
        reason => reason,
    }
}

/// Moves what the host of a tunnel sends. The two directions end on their own.
async fn feed(
    head: response::Parts,
    mut answer: Answer<Http>,
    respond: &mut server::SendResponse<Bytes>,
) {
    let Ok(mut stream) = respond.send_response(Response::from_parts(head, ()), false) else {
        return;
    };
    let moved = match pump::pump(&mut answer, &mut Caller, &mut stream).await {
        Ok(()) => tunnel::finish(&mut answer).await,
        Err(Stopped::Reset) => return,
        Err(Stopped::Broken(broken)) => Err(broken),
    };
    match moved {
        Ok(()) => answer.finish(),
        Err(broken) => stream.send_reset(reset_reason(&broken)),
    }
}

/// Watches the deadlines of a call while its answer is passed back.
struct Caller;

impl Watch<Outgoing> for Caller {
    fn poll(&mut self, body: &mut Outgoing, cx: &mut Context<'_>) -> Poll<Broken> {
        body.answer.poll_expired(cx)
    }

    fn moved(&mut self, body: &Outgoing) {
        body.answer.moved();
    }
}

impl Watch<Answer<Http>> for Caller {
    fn poll(&mut self, answer: &mut Answer<Http>, cx: &mut Context<'_>) -> Poll<Broken> {
        answer.poll_expired(cx)
    }

    fn moved(&mut self, answer: &Answer<Http>) {
        answer.moved();
    }
}
