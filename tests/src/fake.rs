//! Peers that do what no real one does: hosts and clients that write any octets at any time.
//!
//! Their frames are put together here octet by octet and know nothing of the gateway's own codecs, so
//! that both cannot be wrong in the same way.

mod call;
mod client;
mod frame;
mod host;

pub use call::{Call, answer, headers};
pub use client::{Client, TimedOut};
pub use frame::{Frame, Kind, Wire};
pub use host::{Host, Link};
