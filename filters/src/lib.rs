//! The filters of Crossdock, and how a filter is made part of it.
//!
//! A filter is one file: it implements [`Filter`](crossdock_framework::filter::Filter), which sees
//! calls in words that all protocols share, and [`Configure`], which makes it of a message of
//! configuration; one line of [`Registry::standard`] registers it. `docs/adding-a-filter.md` builds
//! one.
//!
//! What a connection manager lists becomes [`HttpFilters`]; these and its routes become the chains
//! that calls pass: where a route, or what is around it, configures a filter by itself, that filter
//! takes the place of the listener's for its calls. All of that happens when configuration changes;
//! a call only looks up the chain of its route.
#![forbid(unsafe_code)]

mod bucket;
mod configure;
mod descriptors;
mod fault;
mod http_filters;
mod keyed;
mod local_ratelimit;
mod percent;
mod registry;
mod routes;
mod states;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use configure::{Configure, RoutePlace, Site};
pub use crossdock_routers::Problem;
pub use crossdock_xds::support::{Message, Support};
pub use http_filters::HttpFilters;
pub use registry::Registry;
pub use states::States;
