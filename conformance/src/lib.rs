//! For authors of codecs: laws that every codec obeys, and frames that other implementations made.
//!
//! ```
//! use crossdock_bolt::Bolt;
//! use crossdock_conformance::{laws, vectors::Vector};
//!
//! // A heartbeat of SOFABolt, version 1, id 100.
//! let heartbeat = Vector::parse(
//!     "heartbeat",
//!     "# SOFABolt | heartbeat\n01010000010000006401000003e80000000000000000",
//! )?;
//! laws::all::<Bolt>(&[heartbeat])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A test of a codec calls [`laws::all`] with frames as they were recorded, the more kinds the
//! better, and the three laws that need to know more. `tests/bolt.rs` is an example of a page.
#![forbid(unsafe_code)]

pub mod laws;
pub mod vectors;
