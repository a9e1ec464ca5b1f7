//! Compiles the retry policy of a route or virtual host.

use std::{sync::Arc, time::Duration};

use crossdock_framework::{
    retry::{
        BackOff, HeaderTest, MOST_RETRIES, ResetFormat, ResetHeader, Resets, RetryOn, RetryPolicy,
    },
    view::RoutingView,
};
use envoy_types::pb::{
    envoy::config::route::v3::{
        HeaderMatcher, RetryPolicy as Message,
        retry_policy::{
            RateLimitedRetryBackOff, ResetHeaderFormat, RetryBackOff, RetryHostPredicate,
            retry_host_predicate::ConfigType,
        },
    },
    google::protobuf::Duration as DurationMessage,
};

use super::times::duration;
use crate::{
    problem::{Place, Problems},
    rules::header::HeaderRule,
};

/// What a route says of retries, with the times that belong to single attempts.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub(super) policy: Arc<RetryPolicy>,
    pub(super) per_try: Option<Duration>,
}

/// The longest time that hosts may ask for unless the policy says otherwise, as in Envoy.
const LONGEST_RESET: Duration = Duration::from_secs(300);

const PREVIOUS_HOSTS: &str = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";

/// The policy of a message.
pub(super) fn retry(message: &Message, place: &Place<'_>, problems: &mut Problems) -> Retry {
    let mut time = |message: &Option<DurationMessage>, field| {
        let message = message.as_ref()?;
        let time = duration(message, &place.field(field), problems)?;
        (!time.is_zero()).then_some(time)
    };
    let per_try = time(&message.per_try_timeout, "per_try_timeout");
    let idle = time(&message.per_try_idle_timeout, "per_try_idle_timeout");
    let retries = message.num_retries.map_or(1, |retries| retries.value);
    let statuses = message.retriable_status_codes.iter();
    let policy = RetryPolicy {
        on: words(message, place, problems),
        retries: u8::try_from(retries).unwrap_or(MOST_RETRIES),
        back_off: back_off(message.retry_back_off.as_ref(), place, problems),
        resets: resets(
            message.rate_limited_retry_back_off.as_ref(),
            place,
            problems,
        ),
        statuses: statuses
            .filter_map(|status| u16::try_from(*status).ok())
            .collect(),
        headers: rules(
            &message.retriable_headers,
            "retriable_headers",
            place,
            problems,
        ),
        requests: rules(
            &message.retriable_request_headers,
            "retriable_request_headers",
            place,
            problems,
        ),
        other_hosts: other_hosts(&message.retry_host_predicate, place, problems),
    };
    Retry {
        policy: Arc::new(policy),
        per_try: match (per_try, idle) {
            (Some(whole), Some(idle)) => Some(whole.min(idle)),
            (whole, idle) => whole.or(idle),
        },
    }
}

/// The words of `retry_on`. Envoy takes no notice of words that it does not know.
fn words(message: &Message, place: &Place<'_>, problems: &mut Problems) -> RetryOn {
    let words = message.retry_on.split(',').map(str::trim);
    let mut on = RetryOn::NEVER;
    for word in words.filter(|word| !word.is_empty()) {
        match RetryOn::word(word) {
            Some(known) => on = on | known,
            None => problems.add(
                &place.field("retry_on"),
                format!("`{word}` is not known"),
                "use words of Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on, such as \
                 5xx,reset,connect-failure",
            ),
        }
    }
    on
}

fn back_off(message: Option<&RetryBackOff>, place: &Place<'_>, problems: &mut Problems) -> BackOff {
    let Some(message) = message else {
        return BackOff::default();
    };
    let place = place.field("retry_back_off");
    let mut above_zero = |message: &DurationMessage, field| {
        let place = place.field(field);
        let time = duration(message, &place, problems)?;
        if time.is_zero() {
            problems.add(&place, "no time at all", "use a time such as 0.025s");
        }
        // Envoy counts in milliseconds, and one at least.
        Some(time.max(Duration::from_millis(1)))
    };
    let base = (message.base_interval.as_ref()).map(|time| above_zero(time, "base_interval"));
    let most = (message.max_interval.as_ref()).and_then(|time| above_zero(time, "max_interval"));
    let Some(base) = base else {
        let place = place.field("base_interval");
        problems.add(
            &place,
            "no base_interval",
            "set it to a time such as 0.025s",
        );
        return BackOff::default();
    };
    let base = base.unwrap_or(Duration::from_millis(1));
    if most.is_some_and(|most| most < base) {
        problems.add(
            &place.field("max_interval"),
            "shorter than base_interval",
            "make it as long at least",
        );
    }
    BackOff::new(base, most)
}

fn resets(
    message: Option<&RateLimitedRetryBackOff>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Resets> {
    let message = message?;
    let place = place.field("rate_limited_retry_back_off");
    let mut headers = Vec::new();
    for (at, header) in message.reset_headers.iter().enumerate() {
        let place = place.item("reset_headers", at);
        let format = match ResetHeaderFormat::try_from(header.format) {
            Ok(ResetHeaderFormat::Seconds) => ResetFormat::Seconds,
            Ok(ResetHeaderFormat::UnixTimestamp) => ResetFormat::UnixTime,
            Err(unknown) => {
                let reason = format!("the value {unknown} is not known");
                problems.add(
                    &place.field("format"),
                    reason,
                    "use SECONDS or UNIX_TIMESTAMP",
                );
                continue;
            }
        };
        if header.name.is_empty() {
            problems.add(&place.field("name"), "no name", "name a header");
        }
        let name = header.name.to_ascii_lowercase().into();
        headers.push(ResetHeader { name, format });
    }
    if message.reset_headers.is_empty() {
        let place = place.field("reset_headers");
        problems.add(&place, "no header", "name one, such as retry-after");
    }
    let most = message.max_interval.as_ref();
    let most = most.and_then(|most| duration(most, &place.field("max_interval"), problems));
    Some(Resets {
        headers: headers.into(),
        most: most.unwrap_or(LONGEST_RESET),
    })
}

fn rules(
    matchers: &[HeaderMatcher],
    field: &'static str,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Box<[Box<dyn HeaderTest>]> {
    let compile = |(at, matcher)| {
        let rule = HeaderRule::compile(matcher, &place.item(field, at), problems)?;
        Some(Box::new(rule) as Box<dyn HeaderTest>)
    };
    matchers.iter().enumerate().filter_map(compile).collect()
}

impl HeaderTest for HeaderRule {
    fn matches(&self, message: &dyn RoutingView) -> bool {
        self.matches(message, true)
    }
}

fn other_hosts(
    predicates: &[RetryHostPredicate],
    place: &Place<'_>,
    problems: &mut Problems,
) -> bool {
    for (at, predicate) in predicates.iter().enumerate() {
        let Some(ConfigType::TypedConfig(any)) = &predicate.config_type else {
            // Older configurations name it and no more.
            if predicate.name != "envoy.retry_host_predicates.previous_hosts" {
                unknown_predicate(&predicate.name, at, place, problems);
            }
            continue;
        };
        let name = any.type_url.rsplit('/').next().unwrap_or_default();
        if name != PREVIOUS_HOSTS {
            unknown_predicate(name, at, place, problems);
        }
    }
    !predicates.is_empty()
}

fn unknown_predicate(name: &str, at: usize, place: &Place<'_>, problems: &mut Problems) {
    problems.add(
        &place.item("retry_host_predicate", at),
        format!("`{name}` is not in this version"),
        "use envoy.retry_host_predicates.previous_hosts, or remove it",
    );
}
