//! The framed relay over real sockets, with a protocol made for tests: what goes wrong at hosts,
//! clients, filters and pools, and that every call gets exactly one answer all the same.

mod chains;
mod clients;
mod conclusions;
mod filters;
mod limits;
mod pools;
mod retries;
mod rig;
mod route_filters;
mod snapshots;
mod toy;
mod upstreams;
