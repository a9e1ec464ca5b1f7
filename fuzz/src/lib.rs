//! What each fuzz target does with its input, as plain functions.
//!
//! A target panics when a law is broken, and only then. To add one: a function here, a line in
//! [`TARGETS`], a file in `fuzz_targets/`, a `[[bin]]` in `Cargo.toml`, and a few short inputs in
//! `corpus/<name>/`.

pub mod codec;
pub mod hessian;

/// What a target does with one input.
pub type Target = fn(&[u8]);

/// Each target by the name of its binary and of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("bolt", codec::bolt),
    ("dubbo", codec::dubbo),
    ("hessian_v2", hessian::v2),
    ("hessian_v3", hessian::v3),
];
