//! Streams: calls whose bytes flow while they are decided upon (HTTP/1, HTTP/2, gRPC).

mod settings;

pub use settings::{HttpPolicy, HttpUpstream, Slashes, UpstreamVersion};
