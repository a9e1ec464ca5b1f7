//! Retries: whether a call that went badly at one host is tried again, and when. Pure: no clock, no
//! counter, no protocol.
//!
//! What Envoy's words of `retry_on` are about:
//!
//! | word | an answer | no answer ([`Failure`]) |
//! |---|---|---|
//! | `5xx` | HTTP status 500 to 599 | any but [`Failure::Timeout`] |
//! | `gateway-error` | 502, 503, 504 | as `5xx` |
//! | `retriable-4xx` | 409 | |
//! | `retriable-status-codes` | a status of `retriable_status_codes` | |
//! | `retriable-headers` | a header of `retriable_headers` | |
//! | `envoy-ratelimited` | the header `x-envoy-ratelimited`, which no other word retries | |
//! | `cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted`, `unavailable` | gRPC status 1, 4, 13, 8, 14 in the head | |
//! | `reset` | | any but [`Failure::Timeout`] |
//! | `reset-before-request` | | [`Failure::Connect`] |
//! | `connect-failure` | | [`Failure::Connect`] |
//! | `refused-stream` | | [`Failure::Refused`] |
//! | `http3-post-connect-failure` | | never: no host is spoken to in HTTP/3 |
//!
//! An answer of an RPC has the statuses that stand for its [`Class`]:
//!
//! | class | HTTP | gRPC | words |
//! |---|---|---|---|
//! | `Ok`, `Business` | 200 | 0 | never retried |
//! | `Client` | 400 | 3 | |
//! | `NotFound` | 404 | 12 | |
//! | `Overload` | 503 | 8 | `5xx`, `gateway-error`, `resource-exhausted` |
//! | `Timeout` | 504 | 4 | `5xx`, `gateway-error`, `deadline-exceeded` |
//! | `Unavailable` | 503 | 14 | `5xx`, `gateway-error`, `unavailable` |
//! | `Codec` | 400 | 13 | `internal` |
//!
//! What a word names is tried again whatever the method, as in Envoy: writing it on a route says that
//! its calls may be repeated. Nothing is repeated of its own accord but a call of which no byte has
//! left. A one-way call is over when its last byte has left, so it is never repeated after that.

use std::{fmt, ops::BitOr, time::Duration};

use crate::{
    outcome::{Failure, Outcome},
    status::Class,
    view::{Key, RoutingView},
};

mod back_off;

pub use back_off::{BackOff, ResetFormat, ResetHeader, Resets};

/// The retries of one call that a policy can ask for (`num_retries`); more are cut to this.
pub const MOST_RETRIES: u8 = u8::MAX;

/// Words of `retry_on`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u32);

impl RetryOn {
    /// No word at all.
    pub const NEVER: Self = Self(0);
    /// `5xx`.
    pub const SERVER_ERROR: Self = Self(1);
    /// `gateway-error`.
    pub const GATEWAY_ERROR: Self = Self(1 << 1);
    /// `reset`.
    pub const RESET: Self = Self(1 << 2);
    /// `reset-before-request`.
    pub const RESET_BEFORE_REQUEST: Self = Self(1 << 3);
    /// `connect-failure`.
    pub const CONNECT_FAILURE: Self = Self(1 << 4);
    /// `envoy-ratelimited`.
    pub const RATE_LIMITED: Self = Self(1 << 5);
    /// `retriable-4xx`.
    pub const RETRIABLE_4XX: Self = Self(1 << 6);
    /// `refused-stream`.
    pub const REFUSED_STREAM: Self = Self(1 << 7);
    /// `retriable-status-codes`.
    pub const STATUS_CODES: Self = Self(1 << 8);
    /// `retriable-headers`.
    pub const HEADERS: Self = Self(1 << 9);
    /// `http3-post-connect-failure`.
    pub const HTTP3: Self = Self(1 << 10);
    /// `cancelled`.
    pub const CANCELLED: Self = Self(1 << 11);
    /// `deadline-exceeded`.
    pub const DEADLINE_EXCEEDED: Self = Self(1 << 12);
    /// `internal`.
    pub const INTERNAL: Self = Self(1 << 13);
    /// `resource-exhausted`.
    pub const RESOURCE_EXHAUSTED: Self = Self(1 << 14);
    /// `unavailable`.
    pub const UNAVAILABLE: Self = Self(1 << 15);

    /// The words of `retry_on` and of `x-envoy-retry-on`.
    const HTTP: [(&'static str, Self); 11] = [
        ("5xx", Self::SERVER_ERROR),
        ("gateway-error", Self::GATEWAY_ERROR),
        ("reset", Self::RESET),
        ("reset-before-request", Self::RESET_BEFORE_REQUEST),
        ("connect-failure", Self::CONNECT_FAILURE),
        ("envoy-ratelimited", Self::RATE_LIMITED),
        ("retriable-4xx", Self::RETRIABLE_4XX),
        ("refused-stream", Self::REFUSED_STREAM),
        ("retriable-status-codes", Self::STATUS_CODES),
        ("retriable-headers", Self::HEADERS),
        ("http3-post-connect-failure", Self::HTTP3),
    ];

    /// The words of `retry_on` and of `x-envoy-retry-grpc-on`.
    const GRPC: [(&'static str, Self); 5] = [
        ("cancelled", Self::CANCELLED),
        ("deadline-exceeded", Self::DEADLINE_EXCEEDED),
        ("internal", Self::INTERNAL),
        ("resource-exhausted", Self::RESOURCE_EXHAUSTED),
        ("unavailable", Self::UNAVAILABLE),
    ];

    /// What a word of the configuration is about; `None` for one that is not known.
    pub fn word(word: &str) -> Option<Self> {
        let mut known = Self::HTTP.iter().chain(&Self::GRPC);
        known.find(|known| known.0 == word).map(|known| known.1)
    }

    /// The words of the header `x-envoy-retry-on`; others are not looked at.
    pub fn of_header(value: &str) -> Self {
        Self::listed(value, &Self::HTTP)
    }

    /// The words of the header `x-envoy-retry-grpc-on`; others are not looked at.
    pub fn of_grpc_header(value: &str) -> Self {
        Self::listed(value, &Self::GRPC)
    }

    fn listed(value: &str, known: &[(&str, Self)]) -> Self {
        let words = value.split(',').map(str::trim);
        let words = words.filter_map(|word| known.iter().find(|known| known.0 == word));
        words.fold(Self::NEVER, |all, word| all | word.1)
    }

    /// Whether one of these words is among them.
    #[inline]
    pub fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// Whether nothing is retried.
    pub fn is_never(self) -> bool {
        self == Self::NEVER
    }
}

impl BitOr for RetryOn {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A rule about the headers of a message.
pub trait HeaderTest: fmt::Debug + Send + Sync {
    /// Whether the message is as the rule says.
    fn matches(&self, message: &dyn RoutingView) -> bool;
}

/// What a route says of retries, compiled.
#[derive(Debug)]
pub struct RetryPolicy {
    /// What is tried again.
    pub on: RetryOn,
    /// How often, besides the first attempt (`num_retries`). Default 1.
    pub retries: u8,
    /// How long is waited before.
    pub back_off: BackOff,
    /// What hosts say of that themselves (`rate_limited_retry_back_off`).
    pub resets: Option<Resets>,
    /// The statuses of `retriable-status-codes`.
    pub statuses: Box<[u16]>,
    /// The answers of `retriable-headers`.
    pub headers: Box<[Box<dyn HeaderTest>]>,
    /// Which requests may be tried again at all (`retriable_request_headers`); empty for all.
    pub requests: Box<[Box<dyn HeaderTest>]>,
    /// Whether other hosts are taken than those of earlier attempts, as long as there are any
    /// (`retry_host_predicate` `previous_hosts`).
    pub other_hosts: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            on: RetryOn::NEVER,
            retries: 1,
            back_off: BackOff::default(),
            resets: None,
            statuses: Box::default(),
            headers: Box::default(),
            requests: Box::default(),
            other_hosts: false,
        }
    }
}

/// How one attempt ended, as far as retries care.
#[derive(Clone, Copy)]
pub struct Attempted<'a> {
    /// How it ended.
    pub outcome: Outcome,
    /// The gRPC status in the head of the answer; of another RPC's, the one that stands for its
    /// class.
    pub grpc: Option<u32>,
    /// The head of the answer, if there is one.
    pub answer: Option<&'a dyn RoutingView>,
}

impl RetryPolicy {
    /// Whether a call whose attempt ended so is worth another, if its words are `on`.
    pub fn wants(&self, on: RetryOn, attempted: &Attempted<'_>) -> bool {
        match attempted.outcome {
            Outcome::Unknown => false,
            Outcome::Failed(failure) => wants_after(on, failure),
            Outcome::Answered { class, http, .. } => {
                // An exception that is told under a status of the host's own choice is none of its
                // failures.
                let http = match class {
                    Class::Business => class.http(),
                    _ => http,
                };
                self.wants_instead(on, http, attempted)
            }
        }
    }

    fn wants_instead(&self, on: RetryOn, http: u16, attempted: &Attempted<'_>) -> bool {
        let by_status = match http {
            502..=504 => on.has(RetryOn::SERVER_ERROR | RetryOn::GATEWAY_ERROR),
            500..=599 => on.has(RetryOn::SERVER_ERROR),
            409 => on.has(RetryOn::RETRIABLE_4XX),
            _ => false,
        };
        let wanted = by_status
            || on.has(RetryOn::STATUS_CODES) && self.statuses.contains(&http)
            || attempted.grpc.is_some_and(|status| on.has(grpc(status)))
            || on.has(RetryOn::HEADERS) && self.answers_so(attempted);
        let by_limit = on.has(RetryOn::RATE_LIMITED);
        // Looked for last: of an RPC it may take a walk through the answer.
        let limited = |answer: &dyn RoutingView| {
            let name = Key::Header("x-envoy-ratelimited");
            answer.get(name).is_some()
        };
        match (wanted || by_limit) && attempted.answer.is_some_and(limited) {
            true => by_limit,
            false => wanted,
        }
    }

    fn answers_so(&self, attempted: &Attempted<'_>) -> bool {
        let Some(answer) = attempted.answer else {
            return false;
        };
        self.headers.iter().any(|test| test.matches(answer))
    }
}

fn wants_after(on: RetryOn, failure: Failure) -> bool {
    let any = RetryOn::RESET | RetryOn::SERVER_ERROR | RetryOn::GATEWAY_ERROR;
    on.has(match failure {
        Failure::Timeout => RetryOn::NEVER,
        Failure::Connect => any | RetryOn::CONNECT_FAILURE | RetryOn::RESET_BEFORE_REQUEST,
        Failure::Refused => any | RetryOn::REFUSED_STREAM,
        Failure::Lost | Failure::TryTimeout | Failure::Damaged => any,
    })
}

/// The word about a gRPC status.
fn grpc(status: u32) -> RetryOn {
    match status {
        1 => RetryOn::CANCELLED,
        4 => RetryOn::DEADLINE_EXCEEDED,
        8 => RetryOn::RESOURCE_EXHAUSTED,
        13 => RetryOn::INTERNAL,
        14 => RetryOn::UNAVAILABLE,
        _ => RetryOn::NEVER,
    }
}

/// The retries of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    on: RetryOn,
    left: u8,
    made: u8,
}

/// What becomes of a call whose attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// That was the end, good or bad.
    Done,
    /// It would be tried again, but has been tried as often as it may.
    Exhausted,
    /// It is tried again.
    Again {
        /// After this time.
        wait: Duration,
        /// Because the host said so.
        told: bool,
    },
}

impl Retries {
    /// The retries of a call; `None` when nothing of it is ever tried again.
    pub fn of(policy: &RetryPolicy, request: &dyn RoutingView) -> Option<Self> {
        Self::and(policy, RetryOn::NEVER, request)
    }

    /// The retries of a call that asks for `more` than its policy.
    pub fn and(policy: &RetryPolicy, more: RetryOn, request: &dyn RoutingView) -> Option<Self> {
        let on = policy.on | more;
        let may = |request| policy.requests.iter().any(|test| test.matches(request));
        let barred = !policy.requests.is_empty() && !may(request);
        (!on.is_never() && !barred).then_some(Self {
            on,
            left: policy.retries,
            made: 0,
        })
    }

    /// Sets how many retries there may be.
    pub fn set_left(&mut self, left: u8) {
        self.left = left;
    }

    /// Whether the call would be tried again if it could.
    pub fn wanted(&self, policy: &RetryPolicy, attempted: &Attempted<'_>) -> bool {
        self.left > 0 && policy.wants(self.on, attempted)
    }

    /// What becomes of the call, `random` being any number.
    pub fn again(
        &mut self,
        policy: &RetryPolicy,
        attempted: &Attempted<'_>,
        random: u64,
    ) -> Verdict {
        if !policy.wants(self.on, attempted) {
            return Verdict::Done;
        }
        let Some(left) = self.left.checked_sub(1) else {
            return Verdict::Exhausted;
        };
        self.left = left;
        let told = policy.resets.as_ref().zip(attempted.answer);
        let told = told.and_then(|(resets, answer)| resets.told(answer, random));
        let wait = told.unwrap_or_else(|| policy.back_off.before(self.made, random));
        self.made = self.made.saturating_add(1);
        let told = told.is_some();
        Verdict::Again { wait, told }
    }

    /// How often the call has been tried again.
    pub fn made(&self) -> u8 {
        self.made
    }
}

#[cfg(test)]
mod tests;
