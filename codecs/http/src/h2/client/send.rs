//! A request on its way over a stream, and the head of its answer.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use ::h2::client::ResponseFuture;
use bytes::Bytes;
use crossdock_framework::{
    cluster::Host,
    status::{Cause, Detail, Status},
    stream::{Attempt, Broken, Failure, Interim, Upload},
    worker::spawn,
};
use http::{Request, Response, request};
use http_body::Body as _;

use super::{retire_if_worn_out, stream_on};
use crate::{
    expect::{self, Expected},
    h2::pump::{self, Stopped, Watch},
    named::Way,
    outbound,
    payload::{Inflow, Payload},
    pools::{self, Pools},
    stop::Stop,
    tunnel::{self, Wanted},
};

/// Why a stream ends whose host sends too many interim answers.
const TOO_MANY: ::h2::Reason = ::h2::Reason::ENHANCE_YOUR_CALM;

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
    let tunnel = Wanted::of(&head).is_some();
    let upgrade = tunnel::ask_h2(&mut head).map_err(Failure::Refused)?;
    let pool = pools.two(way);
    let (hold, mut sender) = stream_on(&pool, attempt, host).await?;
    if upgrade.is_some() && !sender.is_extended_connect_protocol_enabled() {
        return Err(no_upgrades(host));
    }
    let over = body.is_end_stream();
    let expected = Expected::of(&head.headers, &pool.worker);
    body.begin(attempt.cluster, hold.up.local.get());
    let sent = sender.send_request(Request::from_parts(head, ()), over);
    let (answer, stream) = sent.map_err(|error| failure(&error, host))?;
    hold.up.served.set(hold.up.served.get() + 1);
    retire_if_worn_out(&hold.up);
    if !over {
        upload(body, stream, &hold.stop, expected.clone());
    }
    let answered = hear(answer, expected.as_deref(), attempt.interim).await;
    let response = answered.map_err(|error| match hold.stop.blame() {
        Some(status) => Failure::Refused(status),
        None => failure(&error, host),
    })?;
    let (mut head, body) = response.into_parts();
    outbound::receive(&mut head).map_err(|text| {
        Failure::Lost(Status::new(
            Cause::BadResponse,
            format!("the answer of {} cannot be passed on: {text}", host.address),
        ))
    })?;
    // A tunnel whose host sends nothing may still take something.
    let lasts = tunnel && head.status.is_success();
    if let Some(upgrade) = upgrade {
        tunnel::receive_answer(&mut head, upgrade);
    }
    let payload = match body.is_end_stream() && !lasts {
        true => Payload::Empty,
        false => Payload::Two(Inflow::new(body, Some(hold))),
    };
    Ok(Response::from_parts(head, payload))
}

/// Waits for the head of the answer, and takes what comes before it.
async fn hear(
    mut answer: ResponseFuture,
    expected: Option<&Expected>,
    interim: &Interim,
) -> Result<Response<::h2::RecvStream>, ::h2::Error> {
    poll_fn(|cx| {
        while let Poll::Ready(Some(told)) = answer.poll_informational(cx) {
            let (head, ()) = told?.into_parts();
            if !expect::receive(head, expected, interim) {
                return Poll::Ready(Err(TOO_MANY.into()));
            }
        }
        let answered = Pin::new(&mut answer).poll(cx);
        match (&answered, expected) {
            (Poll::Ready(Ok(response)), Some(expected)) => expected.hear(response.status()),
            (_, Some(expected)) => expected.wait(cx),
            (_, None) => {}
        }
        answered
    })
    .await
}

/// The host does not take extended CONNECT (RFC 8441 section 3).
fn no_upgrades(host: &Host) -> Failure {
    let text = format!(
        "{} offers no upgrades over HTTP/2 (SETTINGS_ENABLE_CONNECT_PROTOCOL); speak HTTP/1.1 to \
         it",
        host.address
    );
    Failure::Refused(Status::new(Cause::BadResponse, text))
}

/// Sends the request body: at once as far as it is there, and the rest as it comes.
fn upload(
    body: Upload<Payload>,
    stream: ::h2::SendStream<Bytes>,
    stop: &Rc<Stop>,
    expected: Option<Rc<Expected>>,
) {
    let mut stop = Rc::clone(stop);
    let mut work = Box::pin(async move {
        let (mut body, mut stream) = (body, stream);
        if let Some(expected) = &expected {
            poll_fn(|cx| match expected.poll_wanted(cx) {
                Poll::Pending => stop.poll_stopped(cx),
                wanted => wanted,
            })
            .await;
        }
        match pump::pump(&mut body, &mut stop, &mut stream).await {
            Ok(()) | Err(Stopped::Reset) => {}
            Err(Stopped::Broken(broken)) => {
                stream.send_reset(match pump::reason(&broken) {
                    ::h2::Reason::NO_ERROR => ::h2::Reason::CANCEL,
                    reason => reason,
                });
                stop.break_off(broken);
            }
        }
        stop.finish();
    });
    let mut cx = Context::from_waker(Waker::noop());
    if Pin::new(&mut work).poll(&mut cx).is_pending() {
        spawn(work);
    }
}

/// What an error before the answer means to the call.
fn failure(error: &::h2::Error, host: &Host) -> Failure {
    if error.reason() == Some(TOO_MANY) && !error.is_remote() {
        let text = format!("{} sends too many interim answers", host.address);
        return Failure::Lost(Status::new(Cause::BadResponse, text));
    }
    let refused = error.reason() == Some(::h2::Reason::REFUSED_STREAM);
    let going = error.is_go_away() && error.is_remote();
    let detail = match error.is_reset() && error.is_remote() {
        true if refused => Detail::RefusedStream,
        true => Detail::RemoteReset,
        false if error.is_io() || going => Detail::Plain,
        false => Detail::Protocol,
    };
    let text = format!("no answer from {}: {error}", host.address);
    let status = Status::new(Cause::ConnectionLost, text).because(detail);
    match refused || going {
        true => Failure::Stale(status),
        false => Failure::Lost(status),
    }
}

impl<B> Watch<B> for Rc<Stop> {
    const AT_ONCE: usize = 16 * 1024;

    fn poll(&mut self, _: &mut B, cx: &mut Context<'_>) -> Poll<Broken> {
        self.poll_stopped(cx)
            .map(|()| Broken::Reset(Some(::h2::Reason::CANCEL.into())))
    }

    fn moved(&mut self, _: &B) {}
}
