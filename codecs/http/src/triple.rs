//! What of HTTP is Triple, the protocol of Dubbo 3: gRPC with `tri-` fields, and the same calls as
//! single HTTP requests without gRPC's framing.
//!
//! Version and group of a service are the fields `tri-service-version` and `tri-service-group`, which
//! rules match as any other.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use crossdock_framework::status::{Cause, Class, Status};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header, request};

use crate::{grpc, view};

pub(crate) const EXCEPTION: HeaderName = HeaderName::from_static("tri-exception-code");
pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("tri-service-timeout");

/// The code of an exception that the service itself threw (`ExceptionCustomizerWrapper`).
const BUSINESS: u32 = 3;

/// Whether a request is a Triple call without gRPC's framing: its fields say so, or a type that
/// nobody else has.
pub(crate) fn is_unary(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let kind = kind.as_bytes().split(|byte| *byte == b';').next();
    match kind.unwrap_or_default().trim_ascii() {
        b"application/proto" => true,
        b"application/json" => headers.keys().any(|name| name.as_str().starts_with("tri-")),
        _ => false,
    }
}

/// Service and method of a call, if the request is one of gRPC or Triple.
pub(crate) fn names(head: &request::Parts) -> Option<(&str, &str)> {
    if grpc::is_grpc(&head.headers) {
        return grpc::names(view::path(head));
    }
    if !is_unary(&head.headers) {
        return None;
    }
    let (service, method) = grpc::names(view::path(head))?;
    // The types of the parameters follow where a method is overloaded.
    let name = method.split('~').next().unwrap_or(method);
    Some((service, name))
}

/// The caller's deadline of a call without gRPC's own, in ms.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let millis = text.parse().ok().filter(|_| digits)?;
    Some(Duration::from_millis(millis))
}

/// Tells what is left of the caller's deadline, if it gave one.
pub(crate) fn tell_timeout(headers: &mut HeaderMap, left: Duration) {
    if let Some(value) = headers.get_mut(TIMEOUT) {
        *value = HeaderValue::from(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    }
}

/// How a call ended whose answer tells of an exception. It may do so under any status: calls whose
/// values are no protobuf messages end with 200 and `grpc-status: 0` whatever the service threw.
pub(crate) fn class(headers: &HeaderMap) -> Option<Class> {
    let code = headers.get(EXCEPTION)?.to_str().ok()?.parse().ok();
    match code {
        Some(0) => None,
        Some(BUSINESS) => Some(Class::Business),
        Some(code) => Some(grpc::class_of(code)),
        None => Some(Class::Codec),
    }
}

/// A local answer to a call without gRPC's framing, as a Dubbo 3.3 provider writes its own
/// (`HttpResult`); `None` where a rule said what the answer is.
pub(crate) fn answer(status: &Status) -> Option<Response<Bytes>> {
    if status.cause == Cause::DirectResponse || status.http < 400 || status.kind.is_some() {
        return None;
    }
    let mut body = String::with_capacity(status.text.len() + 40);
    body.push_str("{\"message\":\"");
    escape(&status.text, &mut body);
    let _ = write!(body, "\",\"status\":\"{}\"}}", status.http);
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let length = HeaderValue::from(response.body().len());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length);
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    Some(response)
}

/// A text within quotes (RFC 8259 section 7).
fn escape(text: &str, into: &mut String) {
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                into.push('\\');
                into.push(letter);
            }
            '\0'..='\x1f' => {
                let _ = write!(into, "\\u{:04x}", u32::from(letter));
            }
            _ => into.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(path: &str, fields: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::post(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn services_and_methods() {
        let version = ("tri-service-version", "1.0");
        let kind = |kind| ("content-type", kind);
        let echo = Some(("peer.api.Echo", "say"));
        for (path, fields, wanted) in [
            (
                "/peer.api.Echo/say",
                &[kind("application/grpc+proto"), version][..],
                echo,
            ),
            (
                "/peer.api.Echo/say",
                &[kind("application/json"), version],
                echo,
            ),
            (
                "/peer.api.Echo/say",
                &[kind("application/json; charset=utf-8"), version],
                echo,
            ),
            ("/peer.api.Echo/say", &[kind("application/proto")], echo),
            (
                "/peer.api.Echo/say~I?a=/b",
                &[kind("application/json"), version],
                echo,
            ),
            (
                "/ctx/peer.api.Echo/say",
                &[kind("application/grpc")],
                Some(("ctx/peer.api.Echo", "say")),
            ),
            // Anybody's JSON.
            ("/peer.api.Echo/say", &[kind("application/json")], None),
            ("/peer.api.Echo/say", &[version], None),
            ("/say", &[kind("application/proto")], None),
        ] {
            assert_eq!(names(&head(path, fields)), wanted, "{path} {fields:?}");
        }
    }

    #[test]
    fn deadlines_in_milliseconds() {
        for (text, wanted) in [
            ("1500", Some(1500)),
            ("0", Some(0)),
            ("", None),
            ("+1", None),
        ] {
            let head = head("/s/m", &[("tri-service-timeout", text)]);
            let wanted = wanted.map(Duration::from_millis);
            assert_eq!(timeout(&head.headers), wanted, "{text}");
        }
        let mut headers = head("/s/m", &[("tri-service-timeout", "1500")]).headers;
        tell_timeout(&mut headers, Duration::from_micros(70_900));
        assert_eq!(headers["tri-service-timeout"], "70");
    }

    #[test]
    fn exceptions_are_outcomes() {
        for (code, wanted) in [
            ("0", None),
            ("3", Some(Class::Business)),
            ("4", Some(Class::Timeout)),
            ("14", Some(Class::Unavailable)),
            ("x", Some(Class::Codec)),
        ] {
            let head = head("/s/m", &[("tri-exception-code", code)]);
            assert_eq!(class(&head.headers), wanted, "{code}");
        }
        assert_eq!(class(&HeaderMap::new()), None);
    }

    #[test]
    fn local_answers_are_json() {
        let status = Status::new(Cause::NoHost, "no \"host\"\n");
        let answer = answer(&status).expect("an error");
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body = r#"{"message":"no \"host\"\u000a","status":"503"}"#;
        assert_eq!(answer.body(), body);
        assert_eq!(answer.headers()["content-length"], body.len().to_string());
        assert!(super::answer(&Status::new(Cause::DirectResponse, "x")).is_none());
    }
}
