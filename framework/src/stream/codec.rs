//! The seam of the stream protocols: what the relay asks of HTTP.

use std::{error::Error, fmt, future::Future, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Response, request, response};
use http_body::Body;

use super::{flight::Upload, interim::Interim};
use crate::{
    cluster::{Cluster, ClusterMetric, HostIx},
    edits::Edits,
    outcome,
    status::{Cause, Class, Detail, Status},
    view::RoutingView,
    worker::Worker,
};

/// A stream protocol: reads heads, moves bodies, owns the connections to hosts. The decisions are
/// the relay's.
pub trait StreamCodec: Sized + 'static {
    /// The bytes and trailers of one direction, as they come.
    type Body: Body<Data = Bytes, Error = Broken> + Unpin + 'static;
    /// A request as rules see it.
    type Request<'h>: RoutingView;
    /// A response as rules see it.
    type Response<'h>: RoutingView;
    /// The connections of one worker to hosts.
    type Pools: 'static;

    /// The worker's pools, made on first use.
    fn pools(worker: &Worker) -> Rc<Self::Pools>;

    /// A request as rules see it.
    fn request(head: &request::Parts) -> Self::Request<'_>;

    /// A response as rules see it, with its trailers once they are there.
    fn response<'h>(
        head: &'h response::Parts,
        trailers: Option<&'h HeaderMap>,
    ) -> Self::Response<'h>;

    /// What the request wants to speak afterwards, if it wants anything: `websocket`, `CONNECT`.
    fn upgrade(head: &request::Parts) -> Option<&str>;

    /// Makes the changes that rules ask for.
    ///
    /// # Errors
    ///
    /// When the request cannot carry one of them; the text says which.
    fn edit_request(head: &mut request::Parts, edits: &Edits) -> Result<(), String>;

    /// Makes the changes that rules ask for.
    ///
    /// # Errors
    ///
    /// When the response cannot carry one of them; the text says which.
    fn edit_response(head: &mut response::Parts, edits: &Edits) -> Result<(), String>;

    /// Tells the host how much time is left, in the protocol's own field.
    fn tell_deadline(head: &mut request::Parts, left: Duration);

    /// Tells the host how long its answer may take (`x-envoy-expected-rq-timeout-ms`).
    fn tell_timeout(head: &mut request::Parts, timeout: Duration);

    /// Tells the host or the caller how many attempts there were (`x-envoy-attempt-count`).
    fn tell_attempts(headers: &mut HeaderMap, attempts: usize);

    /// Tells the caller how long the host took to answer (`x-envoy-upstream-service-time`).
    fn tell_service_time(head: &mut response::Parts, took: Duration);

    /// How a call ends that is answered so, as far as the head can tell.
    fn classify(head: &response::Parts) -> Class;

    /// How a call ended, if the trailers of its answer say so.
    fn classify_trailers(trailers: &HeaderMap) -> Option<Class>;

    /// The gRPC status in the head of an answer, if there is one.
    fn grpc_status(headers: &HeaderMap) -> Option<u32>;

    /// Whether the status in the head or the trailers of an answer says success, so that a failure
    /// which they tell of besides is concealed by it.
    fn conceals(headers: &HeaderMap) -> bool;

    /// The gateway's own answer, in the caller's own protocol.
    fn answer(request: &request::Parts, status: &Status) -> Response<Bytes>;

    /// Sends a request to a host and waits for the head of its answer.
    fn send(
        pools: &Rc<Self::Pools>,
        attempt: Attempt<'_>,
        head: request::Parts,
        body: Upload<Self::Body>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Failure>>;
}

/// Where a request came from, if somebody in front is trusted to know better than its connection:
/// an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller(pub SocketAddr);

/// Where one attempt goes.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The cluster.
    pub cluster: &'a Arc<Cluster>,
    /// The host.
    pub host: HostIx,
    /// Which circuit breaker thresholds apply.
    pub priority: u8,
    /// Whether an earlier connection was stale, so that a fresh one has to be taken.
    pub fresh: bool,
    /// Where interim answers go.
    pub interim: &'a Interim,
}

/// Why an attempt gave no answer.
#[derive(Debug)]
pub enum Failure {
    /// No connection to the host: nothing of the request was sent. The call may go to another host
    /// if its body is untouched.
    Unsent(Status),
    /// The connection ended before the request was acted upon: it was stale, or the host said so
    /// (HTTP/2 `REFUSED_STREAM`, a GOAWAY below the stream). The call may be sent again to the same
    /// host, over a fresh connection.
    Stale(Status),
    /// The request may have been acted upon.
    Lost(Status),
    /// The gateway itself refuses: a limit.
    Refused(Status),
}

impl Failure {
    /// What of it the cluster counts.
    pub(crate) fn metric(&self) -> Option<ClusterMetric> {
        match self {
            Self::Unsent(status) if status.cause == Cause::ConnectFailed => {
                Some(ClusterMetric::RqPendingFailure)
            }
            Self::Lost(status) if status.detail == Detail::RemoteReset => {
                Some(ClusterMetric::RqRxReset)
            }
            _ => None,
        }
    }

    /// What it says of the host.
    pub(crate) fn of_host(&self) -> Option<outcome::Failure> {
        match self {
            Self::Unsent(status) => outcome::Failure::of(status.cause),
            Self::Stale(_) => Some(outcome::Failure::Refused),
            Self::Lost(status) => {
                Some(outcome::Failure::of(status.cause).unwrap_or(outcome::Failure::Lost))
            }
            Self::Refused(_) => None,
        }
    }
}

/// Why a body ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer that sends it broke off, with HTTP/2's error code where it gave one.
    Reset(Option<u32>),
    /// The peer sent what its protocol does not allow.
    Protocol(Box<str>),
    /// The call's deadline passed.
    Timeout,
    /// No byte moved for too long.
    Idle,
    /// The gateway is shutting down.
    Draining,
}

impl Broken {
    /// What access logs are told of a host that broke its answer off so.
    pub(crate) fn detail(&self) -> Detail {
        match self {
            Self::Reset(Some(_)) => Detail::RemoteReset,
            Self::Protocol(_) => Detail::Protocol,
            Self::Reset(None) | Self::Timeout | Self::Idle | Self::Draining => Detail::Plain,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(Some(code)) => write!(f, "the peer broke off (HTTP/2 error {code})"),
            Self::Reset(None) => f.write_str("the peer broke off"),
            Self::Protocol(what) => write!(f, "the peer broke the protocol: {what}"),
            Self::Timeout => f.write_str("the deadline passed"),
            Self::Idle => f.write_str("no byte moved for too long (stream_idle_timeout)"),
            Self::Draining => f.write_str("the gateway is shutting down"),
        }
    }
}

impl Error for Broken {}
