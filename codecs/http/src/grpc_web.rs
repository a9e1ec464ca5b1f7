//! gRPC-Web, which browsers speak (the gRPC project's PROTOCOL-WEB), told to hosts as gRPC.
//!
//! The messages are the same. Trailers are the last frame of the body, because browsers do not see
//! those of HTTP; and bodies may be written in base64. Where an answer comes without a body, its
//! trailers are its headers in both protocols.

pub(crate) mod base64;
mod body;

use crossdock_framework::stream::HttpPolicy;
use http::{HeaderMap, HeaderValue, header, request, response};

pub(crate) use body::{Outgoing, Text};

/// How a gRPC-Web caller writes bodies and reads them: an extension of the head of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Web {
    /// The request is base64.
    pub(crate) text: bool,
    /// The answer is to be.
    pub(crate) answer_text: bool,
}

const BINARY: &str = "application/grpc-web";
const TEXT: &str = "application/grpc-web-text";
const GRPC: &str = "application/grpc";

/// A content type of gRPC-Web: whether it is base64, and its format, such as `+proto`.
fn content_type(value: &HeaderValue) -> Option<(bool, &str)> {
    let value = value.to_str().ok()?.trim();
    let (text, format) = match value.strip_prefix(TEXT) {
        Some(format) => (true, format),
        None => (false, value.strip_prefix(BINARY)?),
    };
    matches!(format.bytes().next(), None | Some(b'+' | b';')).then_some((text, format))
}

impl Web {
    /// Makes a request of gRPC-Web, where that is served, one of gRPC. Says what has to become of the
    /// bodies.
    pub(crate) fn receive(head: &mut request::Parts, policy: &HttpPolicy) -> Option<Self> {
        if !policy.grpc_web {
            return None;
        }
        let kind = head.headers.get(header::CONTENT_TYPE)?;
        let (text, format) = content_type(kind)?;
        let grpc = HeaderValue::try_from(format!("{GRPC}{format}")).ok()?;
        let accepts = head.headers.get(header::ACCEPT).and_then(content_type);
        let web = Self {
            text,
            answer_text: accepts.map_or(text, |(text, _)| text),
        };
        let headers = &mut head.headers;
        headers.insert(header::CONTENT_TYPE, grpc);
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.remove(header::CONTENT_LENGTH);
        head.extensions.insert(web);
        Some(web)
    }

    /// What a request that has been received was before.
    pub(crate) fn of(head: &request::Parts) -> Option<Self> {
        head.extensions.get().copied()
    }

    /// Makes the head of an answer one of gRPC-Web. `false` where it is none of gRPC: it stays as it
    /// is then.
    pub(crate) fn show(self, head: &mut response::Parts) -> bool {
        let Some(format) = grpc_format(&head.headers) else {
            return false;
        };
        let kind = match self.answer_text {
            true => TEXT,
            false => BINARY,
        };
        // As Envoy, for clients that do not know the bare type.
        let format = match format {
            "" => "+proto",
            format => format,
        };
        let Ok(kind) = HeaderValue::try_from(format!("{kind}{format}")) else {
            return false;
        };
        head.headers.insert(header::CONTENT_TYPE, kind);
        head.headers.remove(header::CONTENT_LENGTH);
        head.headers.remove(header::TRAILER);
        true
    }
}

fn grpc_format(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let format = kind.strip_prefix(GRPC)?;
    matches!(format.bytes().next(), None | Some(b'+' | b';')).then_some(format)
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};

    use super::*;

    fn receive(kind: &str, accept: Option<&str>) -> Option<(Web, HeaderMap)> {
        let policy = HttpPolicy {
            grpc_web: true,
            ..HttpPolicy::default()
        };
        let mut request = Request::post("/s/m")
            .header("content-type", kind)
            .header("content-length", "5");
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(Web::receive(&mut head, &HttpPolicy::default()), None);
        let web = Web::receive(&mut head, &policy)?;
        assert_eq!(Web::of(&head), Some(web));
        Some((web, head.headers))
    }

    #[test]
    fn requests_become_grpc() {
        for (kind, accept, text, answer_text, wanted) in [
            (
                "application/grpc-web",
                None,
                false,
                false,
                "application/grpc",
            ),
            (
                "application/grpc-web+proto",
                Some("application/grpc-web-text"),
                false,
                true,
                "application/grpc+proto",
            ),
            (
                "application/grpc-web-text",
                Some("*/*"),
                true,
                true,
                "application/grpc",
            ),
            (
                "application/grpc-web-text+proto",
                Some("application/grpc-web+proto"),
                true,
                false,
                "application/grpc+proto",
            ),
        ] {
            let (web, headers) = receive(kind, accept).expect("gRPC-Web");
            assert_eq!((web.text, web.answer_text), (text, answer_text), "{kind}");
            assert_eq!(headers["content-type"], wanted);
            assert_eq!(headers["te"], "trailers");
            assert_eq!(headers.get("content-length"), None);
        }
        for kind in [
            "application/grpc",
            "application/grpc-websocket",
            "application/json",
        ] {
            assert!(receive(kind, None).is_none(), "{kind}");
        }
    }

    #[test]
    fn answers_of_grpc_are_shown() {
        let show = |kind: &str, answer_text| {
            let answer = Response::builder()
                .header("content-type", kind)
                .header("content-length", "5");
            let (mut head, ()) = answer.body(()).expect("an answer").into_parts();
            let web = Web {
                text: false,
                answer_text,
            };
            let shown = web.show(&mut head);
            assert_eq!(shown, !head.headers.contains_key("content-length"));
            let kind = head.headers["content-type"].to_str().expect("a text");
            (shown, kind.to_owned())
        };
        let binary = (true, "application/grpc-web+proto".to_owned());
        assert_eq!(show("application/grpc", false), binary);
        let text = (true, "application/grpc-web-text+json".to_owned());
        assert_eq!(show("application/grpc+json", true), text);
        assert_eq!(show("text/html", true), (false, "text/html".to_owned()));
    }
}
