//! Heads on their way out: in the form of the version of HTTP that the next hop speaks.

use crossdock_framework::{
    status::{Cause, Status},
    stream::{HttpPolicy, ServerHeader},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header, request, response,
    uri::{PathAndQuery, Scheme},
};

use crate::{inbound, view};

/// A request as an HTTP/1 host reads it: the path as target, the authority in `host`.
pub(crate) fn for_h1(head: &mut request::Parts) -> Result<(), Status> {
    head.version = Version::HTTP_11;
    if head.method == Method::CONNECT {
        let authority = view::authority(head).unwrap_or_default();
        let host = HeaderValue::from_str(authority).map_err(|error| cannot(&error))?;
        head.headers.insert(header::HOST, host);
        return Ok(());
    }
    if let Some(authority) = head.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str());
        let host = host.map_err(|error| cannot(&error))?;
        head.headers.insert(header::HOST, host);
        let mut parts = std::mem::take(&mut head.uri).into_parts();
        (parts.scheme, parts.authority) = (None, None);
        head.uri = Uri::from_parts(parts).map_err(|error| cannot(&error))?;
    }
    join_cookies(&mut head.headers);
    Ok(())
}

/// Says that a request has no body where one is usual (RFC 9110 section 8.6).
pub(crate) fn say_empty(head: &mut request::Parts) {
    const WITHOUT: [Method; 5] = [
        Method::GET,
        Method::HEAD,
        Method::DELETE,
        Method::TRACE,
        Method::CONNECT,
    ];
    if !WITHOUT.contains(&head.method) {
        let none = HeaderValue::from_static("0");
        head.headers.entry(header::CONTENT_LENGTH).or_insert(none);
    }
}

/// A request as an HTTP/2 host reads it: scheme, authority and path as pseudo fields.
pub(crate) fn for_h2(head: &mut request::Parts) -> Result<(), Status> {
    if head.version == Version::HTTP_2 && head.uri.authority().is_some() {
        return Ok(());
    }
    head.version = Version::HTTP_2;
    let authority = view::authority(head).map(str::to_owned);
    let scheme = match view::scheme(head) {
        "https" => Scheme::HTTPS,
        _ => Scheme::HTTP,
    };
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.scheme = Some(scheme);
    parts.authority = match authority {
        Some(authority) => Some(authority.parse().map_err(|error| cannot(&error))?),
        None => None,
    };
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    head.uri = Uri::from_parts(parts).map_err(|error| cannot(&error))?;
    head.headers.remove(header::HOST);
    Ok(())
}

/// Several `cookie` fields of HTTP/2 are one of HTTP/1 (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let Some(first) = crumbs.next() else { return };
    let mut joined = first.as_bytes().to_vec();
    let mut several = false;
    for crumb in crumbs {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
        several = true;
    }
    if several && let Ok(value) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, value);
    }
}

/// An answer without what belonged to the connection that it came on.
///
/// # Errors
///
/// When it says of its connection or its length what would change its reading.
pub(crate) fn receive(head: &mut response::Parts) -> Result<(), &'static str> {
    if head.status == StatusCode::NO_CONTENT {
        // Some say a length, which it cannot have (RFC 9110 section 8.6).
        head.headers.remove(header::CONTENT_LENGTH);
    }
    if head.version == Version::HTTP_2 {
        // The guard of HTTP/1 has judged it.
        inbound::judge_length(&head.headers)?;
    }
    inbound::strip_hops(&mut head.headers).map(|_| ())
}

/// An interim answer as it goes on to the client; nothing of those that are told otherwise or belong
/// to the connection that they came on.
pub(crate) fn interim(mut head: response::Parts, other: StatusCode) -> Option<response::Parts> {
    if head.status == other || head.status == StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    head.headers.remove(header::CONTENT_LENGTH);
    inbound::strip_hops(&mut head.headers).ok()?;
    Some(head)
}

fn cannot(error: &dyn std::fmt::Display) -> Status {
    let text = format!("the request cannot be told to a host: {error}");
    Status::new(Cause::CannotEdit, text)
}

/// What the gateway says of itself in every answer of a connection.
#[derive(Debug)]
pub(crate) struct Face {
    server: Option<HeaderValue>,
    keeps_server: bool,
    via: Option<HeaderValue>,
    tells_id: bool,
}

impl Face {
    pub(crate) fn new(policy: &HttpPolicy) -> Self {
        let text = |text: &str| HeaderValue::from_str(text).ok();
        Self {
            server: text(&policy.server_name)
                .filter(|_| policy.server != ServerHeader::PassThrough),
            keeps_server: policy.server == ServerHeader::AppendIfAbsent,
            via: text(&policy.via).filter(|via| !via.is_empty()),
            tells_id: policy.respond_request_id,
        }
    }

    /// The id of a request that its answer has to name.
    pub(crate) fn id_to_tell(&self, head: &request::Parts) -> Option<HeaderValue> {
        let id = head.headers.get(inbound::REQUEST_ID);
        id.filter(|_| self.tells_id).cloned()
    }

    /// An answer as the caller reads it.
    pub(crate) fn show(&self, head: &mut response::Parts, id: Option<HeaderValue>) {
        let headers = &mut head.headers;
        if let Some(server) = &self.server
            && !(self.keeps_server && headers.contains_key(header::SERVER))
        {
            headers.insert(header::SERVER, server.clone());
        }
        if let Some(via) = &self.via {
            headers.append(header::VIA, via.clone());
        }
        if let Some(id) = id {
            headers.insert(inbound::REQUEST_ID, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_usually_have_a_body_say_that_there_is_none() {
        for (method, said) in [
            ("GET", false),
            ("DELETE", false),
            ("POST", true),
            ("BREW", true),
        ] {
            let request = http::Request::builder().method(method).body(());
            let (mut head, ()) = request.expect("a request").into_parts();
            say_empty(&mut head);
            let length = head.headers.get(header::CONTENT_LENGTH);
            assert_eq!(length.is_some_and(|it| it == "0"), said, "{method}");
        }
    }
}
