//! The protocol-neutral core of Crossdock: it knows no protocol, no xDS and no YAML.
//!
//! A call comes in through a [relay], is cut by a [codec], decided upon by the [exchange], and
//! leaves through the relay's pools as the bytes that came.
#![forbid(unsafe_code)]

pub(crate) mod accounts;
pub(crate) mod attempts;
pub mod cluster;
pub mod codec;
pub mod drain;
pub mod edits;
pub mod exchange;
pub mod filter;
pub mod flags;
pub mod frame;
pub mod log;
pub mod network;
pub mod notes;
pub mod out;
pub mod outcome;
pub mod outlier;
pub mod protocol;
pub mod relay;
pub mod retry;
pub mod route;
pub mod snapshot;
pub mod stats;
pub mod status;
pub mod stream;
pub mod tcp;
pub mod time;
pub mod transport;
pub mod view;
pub mod wheel;
pub(crate) mod wishes;
pub mod worker;
pub mod workers;
pub mod xfcc;
