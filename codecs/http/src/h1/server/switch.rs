//! Connections that become something else: a WebSocket, a tunnel.

use std::{rc::Rc, sync::Arc};

use bytes::BytesMut;
use crossdock_framework::{
    cluster::ClusterMetric,
    protocol::Io,
    stream::{Answer, Broken, Interim, carry},
    tcp::{self, TcpMetric},
};
use http::{HeaderValue, Method, Request, Response, request};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{Out, Session};
use crate::{
    codec::Http,
    h1::{client::Upgraded, length::Length},
    payload::{Payload, Stretch},
    tunnel::{self, Opener, Socket, Wanted},
    wire::{Meter, Wire},
};

/// What a connection becomes once its answer has been written.
pub(super) struct Switched {
    upstream: Upstream,
    answer: Answer<Http>,
}

/// The other end of a tunnel.
enum Upstream {
    /// A connection of its own.
    Connection(Box<Upgraded>),
    /// A stream, which takes what comes through the gate and answers with the body.
    Stream(Opener),
}

/// What has to be known of a request when its answer comes.
struct Asked {
    method: Method,
    /// The gateway's id of the request, if the client is told of it.
    id: Option<HeaderValue>,
    /// The key of a WebSocket.
    key: Option<HeaderValue>,
    /// Lets through what the client sends over a tunnel.
    opener: Opener,
}

impl Session {
    /// One request that asks for an upgrade or a tunnel.
    pub(super) async fn negotiate(
        self: &Rc<Self>,
        mut head: request::Parts,
        body: Incoming,
    ) -> Response<Out> {
        let asked = Asked {
            method: head.method.clone(),
            id: self.face.id_to_tell(&head),
            key: tunnel::key(&head),
            opener: Opener::default(),
        };
        let payload = match body.is_end_stream() {
            true => {
                head.extensions.insert(Wanted::Connection);
                Payload::Gate(asked.opener.gate())
            }
            false => Payload::One(Stretch::new(body, &self.hush)),
        };
        let (version, interim) = (head.version, Interim::default());
        let request = Request::from_parts(head, payload);
        let carried = carry::<Http>(&self.door, request, &interim);
        let response = self.passing(carried, &interim, version).await;
        self.switch(response, asked)
    }

    /// The host agreed to speak something else, or did not.
    fn switch(
        self: &Rc<Self>,
        mut response: Response<Answer<Http>>,
        asked: Asked,
    ) -> Response<Out> {
        let agrees = tunnel::agrees(&asked.method, response.status());
        let upstream = match response.body_mut().body_mut() {
            Some(Payload::Upgraded(upstream)) => upstream.take().map(Upstream::Connection),
            Some(_) if agrees => Some(Upstream::Stream(asked.opener)),
            _ => None,
        };
        let Some(upstream) = upstream else {
            return self.pass_back(response, &asked.method, asked.id, None);
        };
        let (mut head, answer) = response.into_parts();
        tunnel::agree_h1(&mut head, asked.key.as_ref());
        *self.switched.borrow_mut() = Some(Switched { upstream, answer });
        let body = Out {
            left: Length::default(),
            answer: None,
            session: Rc::clone(self),
        };
        Response::from_parts(head, body)
    }

    /// Moves bytes between the two connections, which speak something else now.
    pub(super) async fn tunnel(&self, io: Io, prefix: BytesMut, switched: Switched) {
        let Switched { upstream, answer } = switched;
        match upstream {
            Upstream::Connection(upstream) => self.join(io, prefix, *upstream, answer).await,
            Upstream::Stream(opener) => self.feed(io, prefix, opener, answer).await,
        }
    }

    /// Moves bytes between the client's connection and a stream.
    async fn feed(&self, io: Io, prefix: BytesMut, opener: Opener, mut answer: Answer<Http>) {
        let worker = &self.door.worker;
        let wire = Wire::new(io, prefix, &Meter::new(worker));
        let socket = Socket::new(wire, worker);
        opener.open(&socket);
        answer.open_tunnel();
        let drained = async {
            let drain = worker.drain_begins(&self.door.drain).await;
            tokio::time::sleep(drain.deadline.since(worker.now())).await;
        };
        let moved = tokio::select! {
            moved = tunnel::serve(&mut answer, &socket) => moved,
            () = drained => Err(Broken::Draining),
        };
        match moved {
            Ok(()) => answer.finish(),
            Err(broken) => {
                tracing::debug!(peer = %self.door.ends.peer, "a tunnel ends: {broken}");
                socket.reset();
            }
        }
    }

    /// Moves bytes between the two connections.
    async fn join(
        &self,
        mut io: Io,
        prefix: BytesMut,
        (socket, rest): Upgraded,
        mut answer: Answer<Http>,
    ) {
        let worker = &self.door.worker;
        let meter = Meter::new(worker);
        let mut host = Wire::new(socket, rest, &meter);
        let (registry, name) = (worker.registry(), &self.terms.name);
        let flow = tcp::Flow::new(
            registry.group::<TcpMetric>("upgrade", name),
            registry.group::<ClusterMetric>("upgrade_upstream", name),
        );
        let limits = tcp::Limits {
            idle: Some(self.terms.http.stream_idle_timeout).filter(|idle| !idle.is_zero()),
            drain: Arc::clone(&self.door.drain),
            ..tcp::Limits::default()
        };
        tcp::relay(&mut io, &mut host, prefix, &limits, &flow, worker).await;
        answer.count(flow.received.get(), flow.sent.get());
        answer.finish();
    }
}
