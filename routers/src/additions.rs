//! Headers that others than routes add, such as filters.

use crossdock_framework::route::Template;
use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;

use crate::{
    changes::{self, Side},
    problem::{Place, Problem, Problems},
};

/// What adds these headers to requests. `field` is the name of the list, for problems.
///
/// # Errors
/// Everything that is wrong with them.
pub fn added_to_requests(
    headers: &[HeaderValueOption],
    field: &'static str,
) -> Result<Box<dyn Template>, Vec<Problem>> {
    added(Side::Request, headers, field)
}

/// As [`added_to_requests`], to responses.
///
/// # Errors
/// As [`added_to_requests`].
pub fn added_to_responses(
    headers: &[HeaderValueOption],
    field: &'static str,
) -> Result<Box<dyn Template>, Vec<Problem>> {
    added(Side::Response, headers, field)
}

fn added(
    side: Side,
    headers: &[HeaderValueOption],
    field: &'static str,
) -> Result<Box<dyn Template>, Vec<Problem>> {
    let mut problems = Problems::default();
    let place = Place::ROOT;
    let level = changes::level(side, (headers, field), (&[], ""), &place, &mut problems);
    problems.or(changes::template(side, &[level.as_ref()]))
}
