//! What an answer still owes a caller who was told its length, and the end that HTTP/1 does not wait for.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use crossdock_framework::{stream::Answer, worker::spawn};
use http::{Method, StatusCode, header, response};
use http_body::{Body as _, Frame};

use crate::codec::Http;

/// How long the end of an answer may take after its last byte: a host sends both together, or sees
/// to its next stream first.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that the caller has yet to be given; `None` where it was not told how many.
#[derive(Debug, Default)]
pub(super) struct Length(Option<u64>);

impl Length {
    /// The length that a head gives (RFC 9112 section 6.3).
    pub(super) fn of(asked: &Method, head: &response::Parts) -> Self {
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        if *asked == Method::HEAD || bodiless.contains(&head.status) {
            return Self(Some(0));
        }
        let given = head.headers.get(header::CONTENT_LENGTH);
        Self(given.and_then(|given| given.to_str().ok()?.parse().ok()))
    }

    /// Notes what the caller was given.
    pub(super) fn took(&mut self, frame: &Frame<Bytes>) {
        if let (Some(left), Some(data)) = (&mut self.0, frame.data_ref()) {
            *left = left.saturating_sub(data.len() as u64);
        }
    }

    /// Whether the caller has all that it was told of, and hyper asks for no more.
    pub(super) fn is_given(&self) -> bool {
        self.0 == Some(0)
    }
}

/// Reads on to the end of an answer that its caller has in whole. An HTTP/2 host may send that end by
/// itself; a stream that was dropped before would be reset, and its call counted as given up.
pub(super) fn finish(mut answer: Answer<Http>) {
    let mut cx = Context::from_waker(Waker::noop());
    if answer.is_end_stream() || Pin::new(&mut answer).poll_frame(&mut cx).is_ready() {
        return;
    }
    spawn(async move {
        let end = poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx));
        let _ = tokio::time::timeout(PATIENCE, end).await;
    });
}
