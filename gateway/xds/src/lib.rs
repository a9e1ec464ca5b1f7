//! Envoy's configuration as Crossdock reads it.
//!
//! A bootstrap file (YAML or JSON) becomes Envoy's own protobuf messages, as the crate
//! `envoy-types` has them, and whatever is wrong with it or not acted upon is told with file,
//! line, column and field path:
//!
//! 1. [`tree`](MAX_DEPTH): the text becomes a tree whose nodes know their places;
//! 2. `mapping`: the tree becomes messages, by the descriptors of Envoy's API;
//! 3. `rules`: the messages are held against the rules that Envoy's API states beside its fields;
//! 4. `coverage`: each field that is set is looked up in [`support`], which says whether
//!    Crossdock acts upon it, may leave it, or must refuse the file.
//!
//! What the fields mean together (does a route's cluster exist?) is the gateway's question. It
//! asks [`bootstrap::Loaded::problem`] for the place of a field to complain about.

pub mod bootstrap;
mod coverage;
mod descriptors;
pub mod discovery;
mod document;
mod findings;
mod json;
mod mapping;
mod positions;
mod problem;
mod rules;
mod runtime;
pub mod support;
mod tree;

pub use envoy_types;
pub use findings::{MAX_PROBLEMS, MAX_UNUSED};
pub use json::{REDACTED, to_json};
pub use positions::Positions;
pub use problem::{Loss, Note, Position, Problem, Rejected, Unused, merge};
pub use runtime::{Setting, SettingValue};
pub use tree::{MAX_DEPTH, MAX_FILE_BYTES, MAX_KEY_BYTES, MAX_NODES};
