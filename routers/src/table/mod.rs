//! The route table: which route a request takes.

mod action;
mod bytes;
mod compile;
mod counted;
mod direct;
mod domains;
mod index;
mod retry;
mod tails;
mod times;
mod weights;

use std::sync::Arc;

use crossdock_framework::{
    edits::Edits,
    log::Record,
    route::{Action, Facts, Route, RouteId, Router, is_grpc},
    stats::{Registry, Shard},
    view::{Key, RoutingView},
};
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;

use crate::{
    hash,
    problem::Problem,
    redirect::RequireTls,
    rules::{
        cookie::CookieRule,
        header::HeaderRule,
        path::{self, PathRule},
        query::QueryRule,
    },
};
use counted::{Counted, VirtualClusters};
use domains::Domains;
use index::PathIndex;

/// A compiled `RouteConfiguration`.
///
/// A request finds its virtual host by hash, and in it the rules that may match by hash again
/// (`index.rs`); the first of them in configured order whose other conditions hold is the route.
/// What a request lacks is read like this: without an authority only the virtual host `*` is
/// left, and without a path only routes with `prefix: "/"` or `""`, and of those only such whose
/// header rules find their header. A CONNECT request without a path only takes routes with
/// `connect_matcher`.
#[derive(Debug)]
pub struct RouteTable {
    domains: Domains,
    hosts: Vec<VirtualHost>,
    routes: Vec<Route>,
    origins: Vec<Origin>,
    clusters: Vec<Arc<str>>,
    ignore_path_parameters: bool,
    counted: Counted,
}

/// What the route table is told besides its own configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Tell hosts nothing of paths and authorities before a rewrite: no `x-envoy-original-path` and
    /// no `x-envoy-original-host` (the router filter's `suppress_envoy_headers`).
    pub suppress_envoy_headers: bool,
}

/// Where in its configuration a route stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The index in `virtual_hosts`.
    pub virtual_host: usize,
    /// The index in the `routes` of that virtual host; their number for the redirect that its
    /// `require_tls` makes.
    pub route: usize,
}

#[derive(Debug)]
struct VirtualHost {
    name: Arc<str>,
    index: PathIndex,
    rules: Vec<Rule>,
    /// The number of its first rule's route.
    first: u32,
    /// Whether it requires TLS, and the route that redirects there.
    tls: Option<(RequireTls, RouteId)>,
    /// Its `virtual_clusters`.
    clusters: VirtualClusters,
}

/// When a route is taken.
#[derive(Debug)]
struct Rule {
    path: PathRule,
    fraction: Option<Fraction>,
    grpc: bool,
    /// What of the caller's certificate, if anything: whether there is one.
    certificate: Option<bool>,
    headers: Box<[HeaderRule]>,
    cookies: Box<[CookieRule]>,
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
        Self::compile_with(config, Options::default())
    }

    /// Compiles a route configuration as `options` say.
    ///
    /// # Errors
    /// As [`RouteTable::compile`].
    pub fn compile_with(
        config: &RouteConfiguration,
        options: Options,
    ) -> Result<Self, Vec<Problem>> {
        compile::table(config, options)
    }

    /// Counts calls of virtual clusters and of routes with a `stat_prefix` in metrics of `registry`.
    pub fn count_in(&self, registry: &Registry) {
        self.counted.begin(self, registry);
    }

    /// How many routes there are, with those that `require_tls` makes. Their ids are the numbers
    /// below.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.routes.len()
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
        if let Some((require, redirect)) = host.tls
            && require.refuses(request, facts)
        {
            return Some(redirect);
        }
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

    fn host_of(&self, id: RouteId) -> Option<&VirtualHost> {
        let origin = self.origins.get(id.0 as usize)?;
        self.hosts.get(origin.virtual_host)
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

    fn hash(
        &self,
        id: RouteId,
        request: &dyn RoutingView,
        facts: &Facts,
        response: &mut Edits,
    ) -> Option<u64> {
        match &self.get(id).action {
            Action::Forward(forward) => hash::hash(&forward.hash, request, facts, response),
            Action::Direct(_) | Action::Redirect(_) => None,
        }
    }

    fn virtual_cluster(&self, id: RouteId, request: &dyn RoutingView) -> Option<&str> {
        self.host_of(id)?
            .clusters
            .find(request)
            .map(|(_, name)| name)
    }

    fn account(&self, id: RouteId, http: u16, record: &Record<'_>, shard: Shard) {
        self.counted.count(self, id, (http, record), shard);
    }

    fn allows_upgrades(&self) -> bool {
        self.routes.iter().any(|route| match &route.action {
            Action::Forward(forward) => forward.upgrades.iter().any(|upgrade| upgrade.allowed),
            Action::Direct(_) | Action::Redirect(_) => false,
        })
    }

    fn clusters(&self) -> &[Arc<str>] {
        &self.clusters
    }
}

impl Rule {
    /// Whether all conditions hold; the index has found the path fitting already, but for
    /// expressions.
    fn matches(&self, asked: &Asked<'_>) -> bool {
        let path = match (&self.path, asked.bare) {
            (PathRule::Regex(regex, _) | PathRule::Template(regex, _), Some(bare)) => {
                regex.is_match(bare)
            }
            (PathRule::Connect, _) => asked.connects(),
            // A path that is missing was not read; that of a CONNECT request does not exist.
            (_, None) => !asked.connects(),
            _ => true,
        };
        let readable = asked.path.is_some() || matches!(self.path, PathRule::Connect);
        let certificate = |wanted| {
            let tls = asked.facts.tls.as_ref();
            tls.is_some_and(|tls| tls.peer.is_some()) == wanted
        };
        path && self
            .fraction
            .is_none_or(|fraction| fraction.takes(asked.facts.random))
            && (!self.grpc || is_grpc(asked.request))
            && self.certificate.is_none_or(certificate)
            && self
                .headers
                .iter()
                .all(|rule| rule.matches(asked.request, readable))
            && self
                .cookies
                .iter()
                .all(|rule| readable && rule.matches(asked.request))
            && self
                .query
                .iter()
                .all(|rule| asked.path.is_some_and(|path| rule.matches(path)))
    }
}

impl Asked<'_> {
    fn connects(&self) -> bool {
        self.request.get(Key::HttpMethod).as_deref() == Some("CONNECT")
    }
}

impl Fraction {
    fn takes(self, random: u64) -> bool {
        random % self.denominator < self.numerator
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
