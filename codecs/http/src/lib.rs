//! HTTP/1, over hyper towards clients, HTTP/2 and gRPC over the h2 crate: the stream half of Crossdock.
//!
//! A connection is served by [`Http1`] or [`Http2`]; each request is made fit for rules
//! (`inbound`), carried by the framework's stream relay, and sent over the worker's `pools` in
//! the version of HTTP that its cluster wants. Only the movement of bytes differs by version; heads,
//! edits and answers are the same for all.
#![forbid(unsafe_code)]

mod alarm;
mod codec;
mod date;
mod edits;
mod expect;
mod grpc;
mod grpc_web;
mod h1;
mod h2;
mod inbound;
mod named;
mod outbound;
mod payload;
mod pools;
mod stop;
mod triple;
mod tunnel;
mod view;
mod wire;

pub use h1::Http1;
pub use h2::Http2;
