//! The answers of HTTP/1 hosts, and what becomes of their connections.

use crossdock_framework::{
    status::{Cause, Status},
    stream::{Failure, Upload},
    worker::Worker,
};
use http::{HeaderValue, Method, Response, StatusCode, header, request, response};

use super::{Lease, head::Framing, reply::Reply};
use crate::{
    outbound,
    payload::Payload,
    tunnel::{self, Inlet, Socket},
    wire::{Meter, Wire},
};

/// An upgrade or a tunnel that a request asks for.
pub(super) struct Asked {
    method: Method,
    /// The key of a WebSocket whose client gave none.
    key: Option<HeaderValue>,
}

impl Asked {
    pub(super) fn prepare(head: &mut request::Parts, worker: &Worker) -> Self {
        let key = match head.method {
            Method::CONNECT => None,
            _ => tunnel::ask_h1(&mut head.headers, (worker.random(), worker.random())),
        };
        Self {
            method: head.method.clone(),
            key,
        }
    }
}

/// The answer's head, and its body with the connection that it comes on.
pub(super) fn receive(
    response: Response<Framing>,
    lease: Lease,
) -> Result<Response<Payload>, Failure> {
    let (head, framing) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // It would leave a connection that speaks something else for the next call.
        let text = "it switches protocols, which nobody asked for";
        return Err(refused(&lease, text));
    }
    pass_on(head, framing, lease)
}

/// The answer to a request for an upgrade or a tunnel. `rest` is what an HTTP/2 client sends through
/// the tunnel that it asked for.
pub(super) async fn receive_asked(
    response: Response<Framing>,
    lease: Lease,
    asked: Asked,
    rest: Option<Upload<Payload>>,
) -> Result<Response<Payload>, Failure> {
    let (mut head, framing) = response.into_parts();
    let refused = |text: &str| refused(&lease, text);
    if !tunnel::agrees(&asked.method, head.status) {
        // To a client of HTTP/2 that would be an agreement.
        if rest.is_some() && head.status.is_success() {
            return Err(refused("it neither agrees to the upgrade nor declines it"));
        }
        return pass_on(head, framing, lease);
    }
    let upgrade = head.headers.get(header::UPGRADE).cloned();
    outbound::receive(&mut head).map_err(refused)?;
    if let Some(upgrade) = upgrade {
        head.headers.insert(header::UPGRADE, upgrade);
    }
    if let Some(key) = &asked.key {
        tunnel::check_accept(&mut head.headers, key).map_err(refused)?;
    }
    let upgraded = lease.link().take_over();
    let upgraded = upgraded.ok_or_else(|| refused("its connection is lost"))?;
    let payload = match rest {
        None => Payload::Upgraded(Some(Box::new(upgraded))),
        Some(rest) => {
            let (io, read) = upgraded;
            let worker = &lease.pool.worker;
            let wire = Wire::new(io, read, &Meter::new(worker));
            Payload::Inlet(Inlet::begin(Socket::new(wire, worker), rest))
        }
    };
    Ok(Response::from_parts(head, payload))
}

fn pass_on(
    mut head: response::Parts,
    framing: Framing,
    lease: Lease,
) -> Result<Response<Payload>, Failure> {
    outbound::receive(&mut head).map_err(|text| refused(&lease, text))?;
    let payload = match framing {
        Framing::Length(0) => {
            lease.give_back();
            Payload::Empty
        }
        framing => Payload::Reply(Reply::new(framing, lease)),
    };
    Ok(Response::from_parts(head, payload))
}

fn refused(lease: &Lease, text: &str) -> Failure {
    let host = lease.up.host.address;
    Failure::Lost(Status::new(
        Cause::BadResponse,
        format!("the answer of {host} cannot be passed on: {text}"),
    ))
}
