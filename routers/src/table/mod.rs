//! The route table: which route a request takes.

mod action;
mod bytes;
mod compile;
mod domains;
mod index;
mod tails;

use std::sync::Arc;

use crossdock_framework::{
    route::{Action, Facts, Route, RouteId, Router},
    view::{Key, RoutingView},
};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;

use crate::{
    hash,
    problem::Problem,
    rules::{
        header::HeaderRule,
        path::{self, PathRule},
        query::QueryRule,
    },
};
use domains::Domains;
use index::PathIndex;

/// A compiled `RouteConfiguration`.
///
/// A request finds its virtual host by hash, and in it the rules that may match by hash again
/// (`index.rs`); the first of them in configured order whose other conditions hold is the route.
/// What a request lacks is read like this: without an authority only the virtual host `*` is
/// left, and without a path only routes with `prefix: "/"` or `""`, and of those only such whose
/// header rules find their header.
#[derive(Debug)]
pub struct RouteTable {
    domains: Domains,
    hosts: Vec<VirtualHost>,
    routes: Vec<Route>,
    origins: Vec<Origin>,
    clusters: Vec<Arc<str>>,
    ignore_path_parameters: bool,
}

/// Where in its configuration a route stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The index in `virtual_hosts`.
    pub virtual_host: usize,
    /// The index in the `routes` of that virtual host.
    pub route: usize,
}

#[derive(Debug)]
struct VirtualHost {
    index: PathIndex,
    rules: Vec<Rule>,
    /// The number of its first rule's route.
    first: u32,
}

/// When a route is taken.
#[derive(Debug)]
struct Rule {
    path: PathRule,
    fraction: Option<Fraction>,
    grpc: bool,
    headers: Box<[HeaderRule]>,
    query: Box<[QueryRule]>,
}

/// The share of calls that a route takes.
#[derive(Clone, Copy, Debug)]
struct Fraction {
    numerator: u64,
    denominator: u64,
}

/// A request as rules see it.
struct Asked<'r> {
    request: &'r dyn RoutingView,
    facts: &'r Facts,
    /// With its query.
    path: Option<&'r str>,
    /// Without query.
    bare: Option<&'r str>,
}

impl RouteTable {
    /// Compiles a route configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, or that Crossdock cannot do and that would change what a
    /// route means. Fields that change nothing for the calls that Crossdock carries are ignored.
    pub fn compile(config: &RouteConfiguration) -> Result<Self, Vec<Problem>> {
        compile::table(config)
    }

    /// Where in the configuration a route stands.
    pub fn origin(&self, id: RouteId) -> Origin {
        self.origins[id.0 as usize]
    }

    /// Looks the route up and calls `tried` for each rule whose conditions are evaluated.
    fn find(
        &self,
        request: &dyn RoutingView,
        facts: &Facts,
        mut tried: impl FnMut(),
    ) -> Option<RouteId> {
        let authority = request.get(Key::Authority);
        let host = self.domains.find(authority.as_deref())?;
        let host = self.hosts.get(host as usize)?;
        let path = request.get(Key::Path);
        let asked = Asked {
            request,
            facts,
            path: path.as_deref(),
            bare: path.as_deref().map(|path| self.bare(path)),
        };
        let mut candidates = host.index.candidates(asked.bare);
        let number = candidates.find(|number| {
            tried();
            let rule = host.rules.get(*number as usize);
            rule.is_some_and(|rule| rule.matches(&asked))
        })?;
        Some(RouteId(host.first + number))
    }

    fn bare<'p>(&self, path: &'p str) -> &'p str {
        let bare = path::bare(path);
        if self.ignore_path_parameters {
            return bare.split(';').next().unwrap_or_default();
        }
        bare
    }
}

impl Router for RouteTable {
    fn route(&self, request: &dyn RoutingView, facts: &Facts) -> Option<RouteId> {
        self.find(request, facts, || ())
    }

    fn get(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }

    fn hash(&self, id: RouteId, request: &dyn RoutingView, facts: &Facts) -> Option<u64> {
        match &self.get(id).action {
            Action::Forward(forward) => hash::hash(&forward.hash, request, facts),
            Action::Direct(_) => None,
        }
    }

    fn clusters(&self) -> &[Arc<str>] {
        &self.clusters
    }
}

impl Rule {
    /// Whether all conditions hold; the index has found the path fitting already, but for
    /// expressions.
    fn matches(&self, asked: &Asked<'_>) -> bool {
        let readable = asked.path.is_some();
        let path = match (&self.path, asked.bare) {
            (PathRule::Regex(regex, _), Some(bare)) => regex.is_match(bare),
            _ => true,
        };
        let query = |rule: &QueryRule| asked.path.is_some_and(|path| rule.matches(path));
        path && self
            .fraction
            .is_none_or(|fraction| fraction.takes(asked.facts.random))
            && (!self.grpc || is_grpc(asked.request))
            && self
                .headers
                .iter()
                .all(|rule| rule.matches(asked.request, readable))
            && self.query.iter().all(query)
    }
}

impl Fraction {
    fn takes(self, random: u64) -> bool {
        random % self.denominator < self.numerator
    }
}

/// Whether the content type is `application/grpc`, alone or with a `+` behind it.
fn is_grpc(request: &dyn RoutingView) -> bool {
    let content_type = request.get(Key::Header("content-type"));
    let rest = content_type
        .as_deref()
        .and_then(|it| it.strip_prefix("application/grpc"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
