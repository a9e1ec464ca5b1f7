//! What a page answers.

use std::fmt::Write as _;

use hyper::StatusCode;
use serde_json::Value as Json;

/// The text that a page answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Reply {
    /// Plain text, status 200.
    pub(super) fn text(body: impl Into<String>) -> Self {
        Self::typed("text/plain; charset=UTF-8", body.into())
    }

    /// JSON for machines and people, status 200.
    pub(super) fn json(body: &Json) -> Self {
        Self::typed("application/json", format!("{body:#}\n"))
    }

    /// The text format of Prometheus, status 200.
    pub(super) fn prometheus(body: String) -> Self {
        Self::typed("text/plain; version=0.0.4; charset=UTF-8", body)
    }

    /// Plain text with another status; ends the line.
    pub(super) fn refuse(status: StatusCode, text: impl Into<String>) -> Self {
        let mut reply = Self::text(text);
        // Writing to memory cannot fail.
        let _ = reply.body.write_char('\n');
        Self { status, ..reply }
    }

    /// The request is wrong.
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::refuse(StatusCode::BAD_REQUEST, text)
    }

    fn typed(content_type: &'static str, body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            body,
        }
    }
}
