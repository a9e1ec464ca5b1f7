//! How a call ended, in the words of Envoy's access log.

use std::borrow::Cow;

use crossdock_framework::{
    log::Record,
    status::{Cause, Detail},
    view::Key,
};

/// Who decided about the answer, and why (`%RESPONSE_CODE_DETAILS%`).
pub(super) fn details<'r>(record: &Record<'r>) -> Option<Cow<'r, str>> {
    if record.orphaned {
        return Some("downstream_remote_disconnect".into());
    }
    let Some(cause) = record.cause else {
        return record.response.map(|_| "via_upstream".into());
    };
    Some(match reset(cause, record.detail) {
        Some(reset) => {
            let began = if record.begun { "after" } else { "before" };
            let (bar, why) = match record.transport_failure {
                Some(why) => ("|", why),
                None => ("", ""),
            };
            format!("upstream_reset_{began}_response_started{{{reset}{bar}{why}}}").into()
        }
        None => local(cause, record.detail).into(),
    })
}

/// How the way to the host ended, if that is the reason.
fn reset(cause: Cause, detail: Detail) -> Option<&'static str> {
    Some(match (cause, detail) {
        (_, Detail::ConnectTimeout) => "connection_timeout",
        (_, Detail::RemoteReset) => "remote_reset",
        (_, Detail::RefusedStream) => "remote_refused_stream_reset",
        (Cause::BadResponse, _) | (_, Detail::Protocol) => "protocol_error",
        (Cause::Overload, _) => "overflow",
        (Cause::ConnectFailed, _) => "remote_connection_failure",
        (Cause::ConnectionLost, Detail::Plain) => "connection_termination",
        _ => return None,
    })
}

/// Why the gateway answered of its own accord.
fn local(cause: Cause, detail: Detail) -> &'static str {
    match (detail, cause) {
        (Detail::TryTimeout, _) => "upstream_per_try_timeout",
        (Detail::StreamIdle, _) => "stream_idle_timeout",
        (Detail::Unreadable(why) | Detail::Refused(why), _) => why,
        (Detail::HostDuration, _) => "upstream_max_stream_duration_reached",
        (Detail::MaxDuration, _) => "max_duration_timeout",
        (Detail::RequestTimeout, _) => "request_overall_timeout",
        (Detail::CallerGone, _) => "downstream_remote_disconnect",
        (Detail::Upgrade, _) => "upgrade_failed",
        (_, Cause::NoRoute) => "route_not_found",
        (_, Cause::NoCluster) => "cluster_not_found",
        (_, Cause::NoHost) => "no_healthy_upstream",
        (_, Cause::RateLimited) => "local_rate_limited",
        (_, Cause::Denied) => "rbac_access_denied",
        (_, Cause::Fault) => "fault_filter_abort",
        (_, Cause::DirectResponse) => "direct_response",
        (_, Cause::Timeout) => "response_timeout",
        (_, Cause::BadRequest) => "request_malformed",
        (_, Cause::RequestTooLarge) => "request_payload_too_large",
        (_, Cause::ResponseTooLarge) => "response_payload_too_large",
        (_, Cause::CannotEdit) => "request_cannot_be_edited",
        (_, Cause::Draining) => "draining",
        (
            _,
            Cause::Overload | Cause::ConnectFailed | Cause::ConnectionLost | Cause::BadResponse,
        ) => "upstream_reset",
    }
}

/// The gRPC status that a call ended with: its trailers', or its head's, or what its HTTP status means
/// to a caller of gRPC (Envoy's `getGrpcStatus`).
pub(super) fn grpc_status<'r>(record: &'r Record<'_>) -> Option<Cow<'r, str>> {
    const NAME: &str = "grpc-status";
    let own = record.response.and_then(|view| {
        let trailer = view.trailer(NAME);
        trailer.or_else(|| view.get(Key::Header(NAME)))
    });
    let kind = || record.request.get(Key::Header("content-type"));
    match own {
        None if kind().is_some_and(|kind| is_grpc(&kind)) => {
            Some(Cow::Borrowed(of_http(record.http)))
        }
        own => own,
    }
}

fn is_grpc(kind: &str) -> bool {
    let rest = kind.strip_prefix("application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The same as a number.
pub(super) fn grpc_of_http(status: u16) -> i32 {
    of_http(status).parse().unwrap_or(2)
}

/// gRPC's http-grpc-status-mapping.
fn of_http(status: u16) -> &'static str {
    match status {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    }
}

/// The name of a gRPC status, as Envoy writes it by default.
pub(super) fn grpc_name(number: &str) -> Option<&'static str> {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    NAMES.get(number.parse::<usize>().ok()?).copied()
}
