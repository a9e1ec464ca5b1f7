//! How calls end: the classes that policy acts upon, and the causes of local answers.

use std::borrow::Cow;

use crate::{edits::Edits, flags::Flag};

mod detail;

pub use detail::Detail;

/// How a call ended, in words that all protocols share. Retries, outlier detection and metrics act
/// on classes, so one policy fits every protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The call worked.
    Ok,
    /// The call worked and the service threw: no retry, no ejection.
    Business,
    /// The request was wrong.
    Client,
    /// No such service, method or route.
    NotFound,
    /// The callee had no capacity, or a limit refused the call.
    Overload,
    /// No answer in time.
    Timeout,
    /// The callee could not be reached or failed.
    Unavailable,
    /// Bytes that could not be understood.
    Codec,
}

impl Class {
    /// Every class, in the order of its discriminant.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Business,
        Self::Client,
        Self::NotFound,
        Self::Overload,
        Self::Timeout,
        Self::Unavailable,
        Self::Codec,
    ];

    /// The name used in metrics, logs and `frames`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Business => "business exception",
            Self::Client => "client error",
            Self::NotFound => "not found",
            Self::Overload => "overload",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Codec => "codec",
        }
    }

    /// The HTTP status that stands for the class in rules, logs and metrics.
    pub fn http(self) -> u16 {
        match self {
            Self::Ok | Self::Business => 200,
            Self::Client | Self::Codec => 400,
            Self::NotFound => 404,
            Self::Overload | Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// The gRPC status that stands for the class in retry policies.
    pub fn grpc(self) -> u32 {
        match self {
            Self::Ok | Self::Business => 0,
            Self::Client => 3,
            Self::Timeout => 4,
            Self::Overload => 8,
            Self::NotFound => 12,
            Self::Codec => 13,
            Self::Unavailable => 14,
        }
    }
}

/// Why the gateway itself answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No route matches the request.
    NoRoute,
    /// The route names a cluster that does not exist.
    NoCluster,
    /// The cluster has no host that could take the call.
    NoHost,
    /// A limit of the gateway or a circuit breaker is reached.
    Overload,
    /// A rate limit refused the call.
    RateLimited,
    /// An access rule refused the call.
    Denied,
    /// Fault injection.
    Fault,
    /// The route answers by itself, without an upstream.
    DirectResponse,
    /// The deadline passed before the answer came.
    Timeout,
    /// No connection to the host could be opened.
    ConnectFailed,
    /// The connection broke with the call on it.
    ConnectionLost,
    /// The request is damaged.
    BadRequest,
    /// The answer is damaged.
    BadResponse,
    /// The request is longer than the limit.
    RequestTooLarge,
    /// The answer is longer than the limit.
    ResponseTooLarge,
    /// The request cannot carry a change that a rule asks for.
    CannotEdit,
    /// The gateway is shutting down.
    Draining,
}

impl Cause {
    /// The class that policy and metrics see.
    pub fn class(self) -> Class {
        match self {
            Self::NoRoute | Self::NoCluster => Class::NotFound,
            Self::Overload | Self::RateLimited => Class::Overload,
            Self::Timeout => Class::Timeout,
            Self::BadRequest | Self::RequestTooLarge | Self::Denied => Class::Client,
            Self::BadResponse | Self::ResponseTooLarge | Self::CannotEdit => Class::Codec,
            Self::NoHost
            | Self::Fault
            | Self::DirectResponse
            | Self::ConnectFailed
            | Self::ConnectionLost
            | Self::Draining => Class::Unavailable,
        }
    }

    /// Envoy's response flag for the access log (`%RESPONSE_FLAGS%`), where it has one.
    pub fn flag(self) -> Option<Flag> {
        Some(match self {
            Self::NoRoute => Flag::NoRouteFound,
            Self::NoCluster => Flag::NoClusterFound,
            Self::NoHost => Flag::NoHealthyUpstream,
            Self::Overload => Flag::UpstreamOverflow,
            Self::RateLimited => Flag::RateLimited,
            Self::Fault => Flag::FaultInjected,
            Self::Timeout => Flag::UpstreamRequestTimeout,
            Self::ConnectFailed => Flag::UpstreamConnectionFailure,
            Self::ConnectionLost => Flag::UpstreamConnectionTermination,
            Self::BadRequest => Flag::DownstreamProtocolError,
            Self::BadResponse => Flag::UpstreamProtocolError,
            Self::Denied
            | Self::RequestTooLarge
            | Self::ResponseTooLarge
            | Self::CannotEdit
            | Self::DirectResponse
            | Self::Draining => return None,
        })
    }

    /// The HTTP status that an HTTP caller gets, and that stands for the cause in logs.
    pub fn http(self) -> u16 {
        match self {
            Self::NoRoute => 404,
            Self::RateLimited => 429,
            Self::Denied => 403,
            Self::Timeout => 504,
            Self::BadRequest | Self::CannotEdit => 400,
            Self::RequestTooLarge => 413,
            Self::BadResponse | Self::ResponseTooLarge => 502,
            Self::NoCluster
            | Self::NoHost
            | Self::Overload
            | Self::Fault
            | Self::DirectResponse
            | Self::ConnectFailed
            | Self::ConnectionLost
            | Self::Draining => 503,
        }
    }
}

/// A local answer before a codec gives it the bytes of its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Why the gateway answers.
    pub cause: Cause,
    /// The HTTP status: the cause's own unless a rule names another (direct response, fault).
    pub http: u16,
    /// What the caller reads: the thing, the cause and the cure, in one line.
    pub text: Cow<'static, str>,
    /// Headers of the answer, such as `location`, for callers that speak HTTP; changes of an
    /// answer that has none but its status.
    pub headers: Edits,
    /// The `grpc-status` that a caller of gRPC gets, where a rule names one; by cause or HTTP status
    /// else. A rule that names it says with `http` what it means to everybody else.
    pub grpc: Option<u16>,
    /// The kind of `text`, where configuration gave it its form (`content-type`).
    pub kind: Option<Box<str>>,
    /// Whether configuration gave the answer another HTTP status than that of its cause, so that
    /// what follows from a status follows from this one.
    pub renamed: bool,
    /// What access logs and counters tell besides.
    pub detail: Detail,
    /// Why no connection to the host could be opened, in words without spaces
    /// (`%UPSTREAM_TRANSPORT_FAILURE_REASON%`).
    pub transport: Option<Box<str>>,
}

impl Status {
    /// An answer with the cause's own HTTP status.
    pub fn new(cause: Cause, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            cause,
            http: cause.http(),
            text: text.into(),
            headers: Edits::none(),
            grpc: None,
            kind: None,
            renamed: false,
            detail: Detail::Plain,
            transport: None,
        }
    }

    /// The same answer, of which more is known.
    pub fn because(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }

    /// How the call ended. A direct response or a fault is classed by the HTTP status it names; a
    /// fault is a failure whatever that is.
    pub fn class(&self) -> Class {
        match (self.cause, class_of_http(self.http)) {
            (Cause::Fault, Class::Ok) => Class::Unavailable,
            (Cause::DirectResponse | Cause::Fault, class) => class,
            (cause, _) => cause.class(),
        }
    }
}

/// The class that an HTTP status stands for.
pub fn class_of_http(status: u16) -> Class {
    match status {
        0..=399 => Class::Ok,
        404 | 501 => Class::NotFound,
        429 => Class::Overload,
        408 | 504 => Class::Timeout,
        400..=499 => Class::Client,
        _ => Class::Unavailable,
    }
}
