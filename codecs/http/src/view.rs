//! Heads of HTTP messages as rules see them.

use std::{borrow::Cow, time::Duration};

use crossdock_framework::view::{Key, RoutingView};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request, response};

use crate::{grpc, inbound, triple};

/// A request as rules see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestView<'h>(pub(crate) &'h request::Parts);

/// A response as rules see it, with the trailers that have come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseView<'h> {
    pub(crate) head: &'h response::Parts,
    pub(crate) trailers: Option<&'h HeaderMap>,
}

/// The authority that a request names: in its target, or in `host`.
pub(crate) fn authority(head: &request::Parts) -> Option<&str> {
    match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => head.headers.get(header::HOST)?.to_str().ok(),
    }
}

/// The path and query of a request as it stands on the wire.
pub(crate) fn path(head: &request::Parts) -> &str {
    head.uri
        .path_and_query()
        .map_or("", |path| match path.as_str() {
            "" => "/",
            given => given,
        })
}

/// The scheme that a request names: in its target over HTTP/2, or in `x-forwarded-proto`, which every
/// request has by now.
pub(crate) fn scheme(head: &request::Parts) -> &str {
    let told = match head.uri.scheme_str() {
        Some(named) => named.as_bytes(),
        None => head
            .headers
            .get("x-forwarded-proto")
            .map_or(b"".as_slice(), HeaderValue::as_bytes),
    };
    match told.eq_ignore_ascii_case(b"https") {
        true => "https",
        false => "http",
    }
}

impl RoutingView for RequestView<'_> {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let head = self.0;
        match key {
            Key::Authority => authority(head).map(Cow::Borrowed),
            // To rules the server itself is its root.
            Key::Path if path(head) == "*" => Some(Cow::Borrowed("/")),
            Key::Path => Some(Cow::Borrowed(path(head))).filter(|path| !path.is_empty()),
            Key::HttpMethod => Some(Cow::Borrowed(head.method.as_str())),
            Key::Scheme => Some(Cow::Borrowed(scheme(head))),
            Key::Header(name) => field(&head.headers, name),
        }
    }

    fn service(&self) -> Option<Cow<'_, str>> {
        let is_call = grpc::is_grpc(&self.0.headers) || triple::is_unary(&self.0.headers);
        match is_call {
            true => triple::names(self.0).map(|(service, _)| Cow::Borrowed(service)),
            false => self.get(Key::Authority),
        }
    }

    fn method(&self) -> Option<Cow<'_, str>> {
        triple::names(self.0).map(|(_, method)| Cow::Borrowed(method))
    }

    fn timeout(&self) -> Option<Duration> {
        let headers = &self.0.headers;
        let limits = [grpc::TIMEOUT, triple::TIMEOUT];
        // Most requests have none, and looking is cheaper than searching twice.
        if !headers.keys().any(|name| limits.contains(name)) {
            return None;
        }
        grpc::timeout(headers).or_else(|| triple::timeout(headers))
    }

    fn is_trusted(&self) -> bool {
        self.0.headers.contains_key(inbound::INTERNAL)
    }

    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        fields(&self.0.headers, each);
    }

    fn protocol(&self) -> &'static str {
        version(self.0.version)
    }
}

impl RoutingView for ResponseView<'_> {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        let Key::Header(name) = key else { return None };
        if name == ":status" {
            return Some(Cow::Borrowed(self.head.status.as_str()));
        }
        field(&self.head.headers, name)
    }

    fn trailer(&self, name: &str) -> Option<Cow<'_, str>> {
        field(self.trailers?, name)
    }

    fn headers(&self, each: &mut dyn FnMut(&str, &str)) {
        fields(&self.head.headers, each);
    }

    fn protocol(&self) -> &'static str {
        version(self.head.version)
    }
}

/// Up to this many fields it costs less to compare their names than to hash one.
const FEW: usize = 16;

/// All values of a field, joined with `,`. Bytes that are not text cannot be matched.
fn field<'h>(headers: &'h HeaderMap, name: &str) -> Option<Cow<'h, str>> {
    if headers.len() > FEW {
        return joined(headers.get_all(name).iter());
    }
    let named = |field: &(&HeaderName, &'h HeaderValue)| field.0.as_str() == name;
    joined(headers.iter().filter(named).map(|field| field.1))
}

fn joined<'h>(mut values: impl Iterator<Item = &'h HeaderValue>) -> Option<Cow<'h, str>> {
    let first = std::str::from_utf8(values.next()?.as_bytes()).ok()?;
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let value = std::str::from_utf8(value.as_bytes()).ok()?;
        let text = joined.to_mut();
        text.push(',');
        text.push_str(value);
    }
    Some(joined)
}

fn fields(headers: &HeaderMap, each: &mut dyn FnMut(&str, &str)) {
    let entries = headers.iter();
    for (name, value) in entries {
        if let Ok(value) = std::str::from_utf8(value.as_bytes()) {
            each(HeaderName::as_str(name), value);
        }
    }
}

/// The name of a version, as Envoy logs it.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}
