//! Hessian for a proxy: walk a body, read what routing needs, skip the rest, build nothing.
//!
//! Two grammars share the name *hessian2* on the wire, see [`Grammar`]. A [`Walker`] goes over the
//! octets of one stream (one Dubbo body, one Bolt content) value by value. It never recurses, and
//! allocates only when a stream defines more than 16 classes.
//!
//! ```
//! use crossdock_hessian::{Grammar, Limits, Walker};
//!
//! // "2.0.2", then an argument, then the map { "group": "gray" }
//! let body = b"\x052.0.2\x91H\x05group\x04grayZ";
//! let mut walker = Walker::new(body, Grammar::V2, Limits::default());
//! assert_eq!(walker.read_string()?.to_cow(), "2.0.2");
//! walker.skip_value()?;
//!
//! let mut group = None;
//! let mut map = walker.map()?;
//! while let Some(key) = map.next_key()? {
//!     if key.is_some_and(|key| key.eq_str("group")) {
//!         group = map.value().read_string_or_null()?;
//!     } // a value that is not read is skipped
//! }
//! assert!(group.is_some_and(|group| group.eq_str("gray")));
//! assert!(walker.at_end());
//! # Ok::<(), crossdock_hessian::Error>(())
//! ```
//!
//! Nothing that a peer writes can panic, loop or cost more than the octets it took to write: a
//! length is compared with what is left before it is believed, and [`Limits`] bounds the rest.

mod cursors;
mod error;
mod grammar;
mod input;
mod skip;
mod string;
mod tables;
mod v2;
mod v3;
mod walker;
mod writer;

pub use cursors::{ListItems, MapEntries, ObjectFields};
pub use error::{Error, ErrorKind};
pub use grammar::{Grammar, Kind, Limits, MAX_DEPTH};
pub use string::{Chunks, Str, Units};
pub use walker::Walker;
pub use writer::{ClassId, Reference, Writer};
