//! What of HTTP is gRPC: its content type, its deadline, its statuses and its answers without a body
//! (the gRPC over HTTP/2 protocol specification).

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use crossdock_framework::{
    route::{is_grpc_type, parse_grpc_timeout},
    status::{Cause, Class, Status},
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Whether a message is gRPC: `application/grpc`, or with a format after `+`.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| is_grpc_type(kind.as_bytes()))
}

/// Service and method of the path `/service/method`.
pub(crate) fn names(path: &str) -> Option<(&str, &str)> {
    let path = path.split('?').next().unwrap_or(path);
    path.strip_prefix('/')?.rsplit_once('/')
}

/// The caller's deadline: up to eight digits and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    parse_grpc_timeout(headers.get(TIMEOUT)?.to_str().ok()?)
}

/// Tells what is left of the caller's deadline, if it gave one.
pub(crate) fn tell_timeout(headers: &mut HeaderMap, left: Duration) {
    if let Some(value) = headers.get_mut(TIMEOUT) {
        *value = timeout_value(left);
    }
}

/// In the finest unit whose number has no more than eight digits.
fn timeout_value(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let units = [
        (left.as_nanos(), "n"),
        (left.as_micros(), "u"),
        (left.as_millis(), "m"),
        (u128::from(left.as_secs()), "S"),
        (u128::from(left.as_secs() / 60), "M"),
    ];
    let fits = units.into_iter().find(|(count, _)| *count <= MOST);
    let (count, unit) = fits.unwrap_or_else(|| (u128::from(left.as_secs() / 3600).min(MOST), "H"));
    HeaderValue::try_from(format!("{count}{unit}")).expect("digits and a letter")
}

/// The `grpc-status`, if it is a number.
pub(crate) fn status(headers: &HeaderMap) -> Option<u32> {
    headers.get(STATUS)?.to_str().ok()?.parse().ok()
}

/// The class of a `grpc-status`.
pub(crate) fn class(headers: &HeaderMap) -> Option<Class> {
    let code = headers.get(STATUS)?.to_str().ok()?.parse::<u32>().ok();
    Some(code.map_or(Class::Codec, class_of))
}

/// The class of a code.
pub(crate) fn class_of(code: u32) -> Class {
    match code {
        0 => Class::Ok,
        // INVALID_ARGUMENT, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE,
        // UNAUTHENTICATED: the service worked and says no.
        3 | 6 | 7 | 9 | 11 | 16 => Class::Client,
        5 | 12 => Class::NotFound,
        8 => Class::Overload,
        4 => Class::Timeout,
        // CANCELLED and ABORTED are the service's own words too.
        1 | 10 => Class::Business,
        // UNKNOWN is what a service's exception becomes.
        2 => Class::Business,
        13..=15 => Class::Unavailable,
        _ => Class::Codec,
    }
}

/// The `grpc-status` of a local answer: the one that a rule chose, or by the cause, or by the HTTP
/// status where a rule chose that (as Envoy maps them).
fn code(status: &Status) -> u16 {
    if let Some(chosen) = status.grpc {
        return chosen;
    }
    if status.renamed {
        return of_http(status.http).into();
    }
    u16::from(match status.cause {
        Cause::Overload => 14,
        Cause::Timeout => 4,
        Cause::Denied => 7,
        Cause::RequestTooLarge | Cause::ResponseTooLarge => 8,
        Cause::BadRequest | Cause::BadResponse | Cause::CannotEdit => 13,
        _ => of_http(status.http),
    })
}

/// What an HTTP status means to a gRPC caller (gRPC's http-grpc-status-mapping).
pub(crate) fn of_http(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// A local answer to a gRPC call: its trailers alone.
pub(crate) fn answer(status: &Status) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/grpc");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(STATUS, HeaderValue::from(code(status)));
    // The line feed that ends a text of JSON is none of the message, as in Envoy.
    let json = status.kind.as_deref() == Some("application/json");
    let text = status.text.strip_suffix('\n').filter(|_| json);
    let text = text.unwrap_or(&status.text);
    if !text.is_empty() {
        headers.insert(MESSAGE, message(text));
    }
    response
}

/// `grpc-message`: percent-encoded outside of printable ASCII.
pub(crate) fn message(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    HeaderValue::try_from(encoded).expect("printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn deadlines_are_read_and_told() {
        for (text, wanted) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("20M", Some(Duration::from_secs(1200))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("1s", None),
            ("-1S", None),
        ] {
            assert_eq!(timeout(&headers(TIMEOUT, text)), wanted, "{text}");
        }
        for left in [0, 1, 99_999_999, 100_000_000, 15_000_000_000, u64::MAX] {
            let left = Duration::from_nanos(left);
            let mut told = headers(TIMEOUT, "1S");
            tell_timeout(&mut told, left);
            let read = timeout(&told).expect("valid");
            assert!(
                read <= left && left - read <= left / 1000,
                "{left:?} {read:?}"
            );
        }
        let mut none = HeaderMap::new();
        tell_timeout(&mut none, Duration::from_secs(1));
        assert!(none.is_empty());
    }

    #[test]
    fn content_types() {
        for (kind, wanted) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            // As Envoy reads it, and the `grpc` condition of routes.
            ("application/grpc; charset=x", false),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
        ] {
            assert_eq!(
                is_grpc(&headers(header::CONTENT_TYPE, kind)),
                wanted,
                "{kind}"
            );
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(message("a b%\n\u{e9}"), "a b%25%0A%C3%A9");
    }
}
