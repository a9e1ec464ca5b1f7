//! Rules about requests that others than routes have, such as filters.

use crossdock_framework::view::{Key, RoutingView};
use envoy_types::pb::envoy::config::route::v3::{HeaderMatcher, QueryParameterMatcher};

use crate::{
    problem::{Place, Problem, Problems},
    rules::{header::HeaderRule, query::QueryRule},
};

/// Rules about headers that all have to hold.
#[derive(Debug, Default)]
pub struct HeaderRules(Box<[HeaderRule]>);

impl HeaderRules {
    /// Compiles the matchers of the field `headers`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn compile(matchers: &[HeaderMatcher]) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let rules = matchers.iter().enumerate().filter_map(|(at, matcher)| {
            HeaderRule::compile(matcher, &Place::ROOT.item("headers", at), &mut problems)
        });
        let rules = rules.collect();
        problems.or(Self(rules))
    }

    /// Whether `request` is as all of them say. One of which nothing can be read matches only if
    /// there is no rule.
    pub fn match_all(&self, request: &dyn RoutingView) -> bool {
        self.0.is_empty() || {
            let readable = request.get(Key::Path).is_some();
            let mut rules = self.0.iter();
            rules.all(|rule| rule.matches(request, readable))
        }
    }
}

/// Rules about the query of an HTTP path that all have to hold.
#[derive(Debug, Default)]
pub struct QueryRules(Box<[QueryRule]>);

impl QueryRules {
    /// Compiles the matchers of the field `query_parameters`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn compile(matchers: &[QueryParameterMatcher]) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let rules = matchers.iter().enumerate().filter_map(|(at, matcher)| {
            let place = Place::ROOT.item("query_parameters", at);
            QueryRule::compile(matcher, &place, &mut problems)
        });
        let rules = rules.collect();
        problems.or(Self(rules))
    }

    /// Whether the path of `request` is as all of them say.
    pub fn match_all(&self, request: &dyn RoutingView) -> bool {
        let path = request.get(Key::Path);
        let path = path.as_deref().unwrap_or_default();
        self.0.iter().all(|rule| rule.matches(path))
    }
}

/// The first value of a query parameter in a path, as it is written; empty if it stands there
/// without a value.
pub fn query_parameter<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    crate::rules::query::first(path, name)
}
