//! The walker and the writer against the octets of other implementations, and against hostile
//! ones.

mod common;
mod cursors;
mod limits;
mod properties;
mod strings;
mod tags;
mod truncation;
mod vectors;
mod writer;
