//! The answers of HTTP/1 hosts, and what becomes of their connections.

use std::rc::Rc;

use crossdock_framework::{
    status::{Cause, Status},
    stream::{Failure, Upload},
    worker::Worker,
};
use http::{HeaderValue, Method, Response, StatusCode, header, request, response};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::{Lease, Pool, Ready, Up, Upgraded};
use crate::{
    outbound,
    payload::{Payload, Stretch},
    tunnel::{self, Inlet, Socket},
    wire::{Meter, Wire},
};

/// An upgrade or a tunnel that a request asks for.
pub(super) struct Asked {
    method: Method,
    upgraded: oneshot::Receiver<Upgraded>,
    /// The key of a WebSocket whose client gave none.
    key: Option<HeaderValue>,
}

impl Asked {
    pub(super) fn prepare(head: &mut request::Parts, up: &Up, worker: &Worker) -> Self {
        let (sender, upgraded) = oneshot::channel();
        *up.upgrade.borrow_mut() = Some(sender);
        let key = match head.method {
            Method::CONNECT => None,
            _ => tunnel::ask_h1(&mut head.headers, (worker.random(), worker.random())),
        };
        Self {
            method: head.method.clone(),
            upgraded,
            key,
        }
    }
}

/// The answer's head, and its body with the connection that it comes on.
pub(super) fn receive(
    response: Response<Incoming>,
    ready: Ready,
    pool: Rc<Pool>,
) -> Result<Response<Payload>, Failure> {
    let (head, body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // It would leave a connection that speaks something else for the next call.
        let text = "it switches protocols, which nobody asked for";
        return Err(refused(&ready, text));
    }
    pass_on(head, body, ready, pool)
}

/// The answer to a request for an upgrade or a tunnel. `rest` is what an HTTP/2 client sends through
/// the tunnel that it asked for.
pub(super) async fn receive_asked(
    response: Response<Incoming>,
    ready: Ready,
    pool: Rc<Pool>,
    asked: Asked,
    rest: Option<Upload<Payload>>,
) -> Result<Response<Payload>, Failure> {
    let (mut head, body) = response.into_parts();
    let refused = |text: &str| refused(&ready, text);
    if !tunnel::agrees(&asked.method, head.status) {
        // To a client of HTTP/2 that would be an agreement.
        if rest.is_some() && head.status.is_success() {
            return Err(refused("it neither agrees to the upgrade nor declines it"));
        }
        *ready.up.upgrade.borrow_mut() = None;
        return pass_on(head, body, ready, pool);
    }
    let upgrade = head.headers.get(header::UPGRADE).cloned();
    outbound::receive(&mut head).map_err(refused)?;
    if let Some(upgrade) = upgrade {
        head.headers.insert(header::UPGRADE, upgrade);
    }
    if let Some(key) = &asked.key {
        tunnel::check_accept(&mut head.headers, key).map_err(refused)?;
    }
    let payload = match rest {
        None => Payload::Upgraded(Some(asked.upgraded)),
        Some(rest) => {
            let upgraded = asked.upgraded.await;
            let (io, read) = upgraded.map_err(|_| refused("its connection is lost"))?;
            let wire = Wire::new(io, read, &Meter::new(&pool.worker));
            Payload::Inlet(Inlet::begin(Socket::new(wire, &pool.worker), rest))
        }
    };
    Ok(Response::from_parts(head, payload))
}

fn pass_on(
    mut head: response::Parts,
    body: Incoming,
    ready: Ready,
    pool: Rc<Pool>,
) -> Result<Response<Payload>, Failure> {
    outbound::receive(&mut head).map_err(|text| refused(&ready, text))?;
    let hush = ready.up.hush.clone();
    let lease = Lease {
        ready: Some(ready),
        pool,
    };
    let payload = match body.is_end_stream() {
        true => {
            lease.give_back();
            Payload::Empty
        }
        false => Payload::One(Stretch::new(body, &hush, Some(lease))),
    };
    Ok(Response::from_parts(head, payload))
}

fn refused(ready: &Ready, text: &str) -> Failure {
    let host = ready.up.host.address;
    Failure::Lost(Status::new(
        Cause::BadResponse,
        format!("the answer of {host} cannot be passed on: {text}"),
    ))
}
