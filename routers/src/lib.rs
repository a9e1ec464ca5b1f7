//! Route tables and load balancers of Crossdock, compiled from xDS v3.
//!
//! Both are pure: a [`RouteTable`] is a function of a request's words, a balancer a function of a
//! hash or a random number and of what its hosts do at the moment. Neither does I/O, keeps a
//! clock, or knows a protocol.
#![forbid(unsafe_code)]

mod additions;
mod balance;
mod changes;
pub mod format;
mod hash;
mod matchers;
mod problem;
mod redirect;
mod rewrite;
mod rules;
mod table;
#[cfg(test)]
mod testing;
mod values;

pub use additions::{added_to_requests, added_to_responses};
pub use balance::{BalancerConfig, HashFunction, LoadBalancer, Policy};
pub use hash::{hash, hash_of_source};
pub use matchers::{HeaderRules, QueryRules, query_parameter};
pub use problem::Problem;
pub use rules::text::TextRule;
pub use table::{Options, Origin, RouteTable};
