//! The protocol-neutral core of Crossdock.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod codec;
pub mod edits;
pub mod frame;
pub mod out;
pub mod route;
pub mod status;
pub mod view;
