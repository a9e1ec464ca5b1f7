//! How a call ended, in the words of Envoy's access log.

use std::borrow::Cow;

use crossdock_framework::{log::Record, status::Cause, view::Key};

/// Who decided about the answer, and why.
pub(super) fn details(record: &Record<'_>) -> Option<&'static str> {
    if record.orphaned {
        return Some("downstream_remote_disconnect");
    }
    let Some(cause) = record.cause else {
        return record.response.map(|_| "via_upstream");
    };
    Some(match cause {
        Cause::NoRoute => "route_not_found",
        Cause::NoCluster => "cluster_not_found",
        Cause::NoHost => "no_healthy_upstream",
        Cause::Overload => "upstream_reset_before_response_started{overflow}",
        Cause::RateLimited => "local_rate_limited",
        Cause::Denied => "rbac_access_denied",
        Cause::Fault => "fault_filter_abort",
        Cause::DirectResponse => "direct_response",
        Cause::Timeout => "response_timeout",
        Cause::ConnectFailed => "upstream_reset_before_response_started{connection_failure}",
        Cause::ConnectionLost => "upstream_reset_before_response_started{connection_termination}",
        Cause::BadRequest => "request_malformed",
        Cause::BadResponse => "upstream_reset_before_response_started{protocol_error}",
        Cause::RequestTooLarge => "request_payload_too_large",
        Cause::ResponseTooLarge => "response_payload_too_large",
        Cause::CannotEdit => "request_cannot_be_edited",
        Cause::Draining => "draining",
    })
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
