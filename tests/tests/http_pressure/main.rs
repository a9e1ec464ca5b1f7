//! HTTP under pressure, through the binary: readers that are slow, connections that end, peers that leave.
//!
//! `CROSSDOCK_PRESSURE=long` makes the streams and the churn as long as the release criteria ask for.

mod breaks;
mod churn;
mod client;
mod connections;
mod draining;
mod host;
mod scene;
mod slow;
mod stalled;
