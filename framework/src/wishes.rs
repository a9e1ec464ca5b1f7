//! What a request asks of its attempts in `x-envoy-…` headers, as far as somebody may: a caller of
//! one's own network, and the operator's own rules and filters by the headers that they set.

use std::{borrow::Cow, sync::LazyLock, time::Duration};

use crate::{
    edits::{Edit, Edits, Effect},
    exchange::Aim,
    retry::{MOST_RETRIES, Retries, RetryOn, RetryPolicy},
    view::{Key, RoutingView},
};

const RETRY_ON: &str = "x-envoy-retry-on";
const RETRY_GRPC_ON: &str = "x-envoy-retry-grpc-on";
const MAX_RETRIES: &str = "x-envoy-max-retries";
const TIMEOUT: &str = "x-envoy-upstream-rq-timeout-ms";
const PER_TRY_TIMEOUT: &str = "x-envoy-upstream-rq-per-try-timeout-ms";

/// All of them, and two that ask for more than is granted: hosts do not see them.
const NAMES: [&str; 7] = [
    RETRY_ON,
    RETRY_GRPC_ON,
    MAX_RETRIES,
    TIMEOUT,
    PER_TRY_TIMEOUT,
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
];

/// The policy of a call that asks for retries where its route says nothing of them.
static USUAL: LazyLock<RetryPolicy> = LazyLock::new(RetryPolicy::default);

/// The policy that the retries of a call are under.
pub(crate) fn policy(route: Option<&RetryPolicy>) -> &RetryPolicy {
    route.unwrap_or_else(|| &USUAL)
}

/// Grants a request what it asks for, and takes the asking away. `trusted` says whether its caller
/// may ask at all.
pub(crate) fn grant(
    aim: &mut Aim,
    route: Option<&RetryPolicy>,
    (request, trusted): (&dyn RoutingView, bool),
    edits: &mut Edits,
) {
    let by_rules = edits.iter().any(|edit| NAMES.contains(&edit.name()));
    if !trusted && !by_rules {
        return;
    }
    let asked = |name: &str| -> Option<String> {
        let caller = Key::Header(name);
        let caller = trusted.then(|| request.first(caller)).flatten();
        match edits.effect(name, caller.as_deref()) {
            Effect::Keep => caller.map(Cow::into_owned),
            Effect::Remove => None,
            Effect::Become(value) => Some(value),
        }
    };
    let number = |name| asked(name)?.trim().parse::<u64>().ok();
    let times = &mut aim.times;
    if let Some(timeout) = number(TIMEOUT) {
        times.timeout = Some(Duration::from_millis(timeout)).filter(|time| !time.is_zero());
    }
    if let Some(one) = number(PER_TRY_TIMEOUT) {
        times.per_try = Some(Duration::from_millis(one)).filter(|time| !time.is_zero());
    }
    times.per_try = times
        .per_try
        .filter(|one| times.timeout.is_none_or(|all| *one < all));
    let http = asked(RETRY_ON).map_or(RetryOn::NEVER, |words| RetryOn::of_header(&words));
    let grpc = asked(RETRY_GRPC_ON);
    let grpc = grpc.map_or(RetryOn::NEVER, |words| RetryOn::of_grpc_header(&words));
    let more = http | grpc;
    if !more.is_never() {
        aim.retries = Retries::and(policy(route), more, request);
    }
    if let Some(retries) = &mut aim.retries
        && let Some(most) = number(MAX_RETRIES)
    {
        retries.set_left(u8::try_from(most).unwrap_or(MOST_RETRIES));
    }
    let sent: Vec<&str> = NAMES
        .into_iter()
        .filter(|name| asked(name).is_some())
        .collect();
    for name in sent {
        edits.push(Edit::Remove(name.into()));
    }
}
