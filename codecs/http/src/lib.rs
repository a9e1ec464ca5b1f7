//! HTTP/1 over hyper, HTTP/2 and gRPC over the h2 crate: the stream half of Crossdock.
//!
//! Empty of code until the stream relay lands; its place in the house is fixed: it will implement
//! `Protocol` by hand, and share the exchange, the clusters and the metrics with the framed codecs.
