//! The last bytes of a client's connection.

use std::time::Duration;

use crossdock_framework::protocol::Io;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::guard::Refusal;

/// How long a client may take to close a connection that has been ended (Envoy's
/// `delayed_close_timeout`), and what it may still send.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// Answers a request that cannot be read, after the answers to those before it.
pub(super) async fn tell(io: &mut Io, refusal: Refusal) {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let text = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default(),
        refusal.why.len(),
        refusal.why
    );
    // A client that is gone, or reads nothing, misses it.
    let _ = tokio::time::timeout(LINGER, io.write_all(text.as_bytes())).await;
}

/// Ends a connection without taking from its client what has been sent: what still comes is read
/// and dropped, because a reset would overtake it (RFC 9112 section 9.6).
pub(super) async fn linger(mut io: Io) {
    let ending = async {
        let mut left = LINGER_BYTES;
        let mut space = [0; 4096];
        if io.shutdown().await.is_err() {
            return;
        }
        while let Ok(count @ 1..) = io.read(&mut space).await
            && count < left
        {
            left -= count;
        }
    };
    let _ = tokio::time::timeout(LINGER, ending).await;
}
