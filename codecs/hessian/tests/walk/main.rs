//! The walker against the octets of other implementations, and against hostile ones.

mod common;
mod vectors;
