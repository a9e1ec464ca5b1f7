//! Compiles the time limits of a route.

use std::time::Duration;

use crossdock_framework::route::{Limit, StreamTimes, Times};
use envoy_types::pb::{
    envoy::config::route::v3::{RouteAction, route_action::MaxStreamDuration},
    google::protobuf::Duration as DurationMessage,
};

use crate::problem::{Place, Problems};

/// How long a call may take if the route does not say, as in Envoy.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The limits of a route whose attempts have the limit `per_try`.
#[allow(
    deprecated,
    reason = "configurations in use still have max_grpc_timeout and grpc_timeout_offset"
)]
pub(super) fn times(
    action: &RouteAction,
    per_try: Option<Duration>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Times> {
    let mut read = |message: &Option<DurationMessage>, field| match message {
        None => Some(None),
        Some(message) => duration(message, &place.field(field), problems).map(Some),
    };
    let timeout = read(&action.timeout, "timeout");
    let idle = read(&action.idle_timeout, "idle_timeout");
    let grpc_max = read(&action.max_grpc_timeout, "max_grpc_timeout");
    let grpc_offset = read(&action.grpc_timeout_offset, "grpc_timeout_offset");
    let stream = match &action.max_stream_duration {
        None => None,
        Some(message) => Some(stream(
            message,
            &place.field("max_stream_duration"),
            problems,
        )?),
    };
    Some(Times {
        timeout: some(timeout?.unwrap_or(TIMEOUT)),
        idle: limit(idle?),
        stream,
        grpc_max: grpc_max?.map(some),
        grpc_offset: grpc_offset?.unwrap_or_default(),
        per_try,
    })
}

fn stream(
    message: &MaxStreamDuration,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<StreamTimes> {
    let mut read = |message: &Option<DurationMessage>, field| match message {
        None => Some(None),
        Some(message) => duration(message, &place.field(field), problems).map(Some),
    };
    let max = read(&message.max_stream_duration, "max_stream_duration");
    let grpc_max = read(&message.grpc_timeout_header_max, "grpc_timeout_header_max");
    let offset = read(
        &message.grpc_timeout_header_offset,
        "grpc_timeout_header_offset",
    );
    Some(StreamTimes {
        max: limit(max?),
        grpc_max: grpc_max?.map(some),
        grpc_offset: offset?.unwrap_or_default(),
    })
}

/// Zero stands for no limit.
fn some(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

fn limit(time: Option<Duration>) -> Limit {
    match time {
        None => Limit::Inherited,
        Some(Duration::ZERO) => Limit::Unlimited,
        Some(time) => Limit::After(time),
    }
}

/// What a message of the configuration says.
pub(super) fn duration(
    message: &DurationMessage,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Duration> {
    let seconds = u64::try_from(message.seconds).ok();
    let nanos = u32::try_from(message.nanos).ok();
    let nanos = nanos.filter(|nanos| *nanos < 1_000_000_000);
    let time = seconds.zip(nanos);
    let time = time.map(|(seconds, nanos)| Duration::new(seconds, nanos));
    if time.is_none() {
        let (reason, cure) = ("a time below zero or malformed", "use 0s for no limit");
        problems.add(place, reason, cure);
    }
    time
}
