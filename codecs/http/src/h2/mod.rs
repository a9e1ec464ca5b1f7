//! HTTP/2 over the h2 crate, whose windows give exact backpressure.

mod bulk;
pub(crate) mod client;
pub(crate) mod flood;
mod keepalive;
mod pump;
mod server;

use crossdock_framework::{
    codec::Probe,
    protocol::{Connection, LocalFuture, Protocol},
    worker::Worker,
};

pub(crate) use client::Hold;

/// What a client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// HTTP/2 by prior knowledge or ALPN, and gRPC over it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http2;

impl Protocol for Http2 {
    fn name(&self) -> &'static str {
        "http2"
    }

    fn probe(&self, prefix: &[u8]) -> Probe {
        let seen = prefix.len().min(PREFACE.len());
        match (prefix.get(..seen) == PREFACE.get(..seen), seen) {
            (false, _) => Probe::No,
            (true, seen) if seen == PREFACE.len() => Probe::Yes,
            (true, _) => Probe::More,
        }
    }

    fn serve(&self, connection: Connection, worker: Worker) -> LocalFuture {
        Box::pin(server::serve(connection, worker))
    }
}
