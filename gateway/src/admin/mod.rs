//! The admin endpoint: what the process is, has and does, over HTTP/1 and in Envoy's words.
//!
//! [`connections`] serves the sockets within limits, [`endpoints`] finds the page that a path
//! means, and each page is a function from [`Server`] and [`Query`](query::Query) to a
//! [`Reply`](reply::Reply), without I/O of its own. What changes the process needs POST, and a
//! browser's page of another origin cannot ask for it.
//!
//! There is no authentication: the configuration is refused unless the address is a loopback one.

mod certs;
mod clusters;
mod config;
mod connections;
mod control;
mod endpoints;
mod listeners;
mod logging;
mod process;
mod query;
mod reply;
mod stats;
#[cfg(test)]
mod tests;

use crate::server::Server;

pub(crate) use connections::serve;
