//! What a route says: where a call goes, under which limits, and what is changed on the way.

use std::{fmt, net::SocketAddr, sync::Arc};

use crate::{
    edits::Edits, log::Record, protocol::Tls, retry::RetryPolicy, snapshot::Ends, stats::Shard,
    time::Moment, view::RoutingView,
};

mod metrics;
mod times;
mod weighted;

pub use metrics::RouteMetric;
pub use times::{
    Limit, StreamTimes, TimeLimits, Times, grpc_timeout, is_grpc, is_grpc_type, parse_grpc_timeout,
};
pub use weighted::{Draw, Named, Weighted, WeightedCluster};

/// Finds the route of a request. Compiled once from configuration, immutable, shared by all
/// workers; its cost does not grow with the number of virtual hosts or services.
pub trait Router: fmt::Debug + Send + Sync + 'static {
    /// The first route that matches, or `None`.
    fn route(&self, request: &dyn RoutingView, facts: &Facts) -> Option<RouteId>;

    /// The route that [`Router::route`] named.
    fn get(&self, id: RouteId) -> &Route;

    /// The hash of the route's hash policies for this request, if any gave one. A policy that
    /// gives the caller a cookie adds it to `response`.
    fn hash(
        &self,
        id: RouteId,
        request: &dyn RoutingView,
        facts: &Facts,
        response: &mut Edits,
    ) -> Option<u64> {
        let _ = (id, request, facts, response);
        None
    }

    /// The virtual cluster that a request on this route belongs to, if its virtual host has any.
    fn virtual_cluster(&self, id: RouteId, request: &dyn RoutingView) -> Option<&str> {
        let _ = (id, request);
        None
    }

    /// Counts a call that has ended with this HTTP status, where its route or its virtual host wants
    /// it counted beside its cluster.
    fn account(&self, id: RouteId, http: u16, record: &Record<'_>, shard: Shard) {
        let _ = (id, http, record, shard);
    }

    /// Whether a route allows an upgrade, whatever the connection manager says of it.
    fn allows_upgrades(&self) -> bool {
        false
    }

    /// The names of all clusters that routes may name, in the order of [`ClusterSlot`]s.
    fn clusters(&self) -> &[Arc<str>];
}

/// A route of one [`Router`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId(pub u32);

/// A cluster name of one [`Router`]; the snapshot links it to the cluster itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterSlot(pub u32);

/// What is known of a call besides its own words.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The address that the call is from: that of the connection, or the one that a trusted proxy
    /// tells of (`x-forwarded-for`).
    pub source: Option<SocketAddr>,
    /// The two ends of the downstream connection.
    pub ends: Ends,
    /// When the call began.
    pub began: Moment,
    /// What TLS told of the caller; `None` for a connection in plain text.
    pub tls: Option<Arc<Tls>>,
    /// One random number a call: weighted clusters and runtime fractions draw from it, so that a
    /// second look at the same call sees the same draw.
    pub random: u64,
}

/// One route, compiled.
#[derive(Debug)]
pub struct Route {
    /// The configured name, or one made from its place; for logs.
    pub name: Arc<str>,
    /// The virtual host that it belongs to; for logs and metrics.
    pub virtual_host: Arc<str>,
    /// What becomes of the call.
    pub action: Action,
    /// Header changes of requests, least specific level last, as Envoy applies them by default;
    /// then rewrites, as changes of `:authority` and `:path`.
    pub request_edits: Box<dyn Template>,
    /// Header changes of responses, of direct ones and redirects too.
    pub response_edits: Box<dyn Template>,
}

/// What becomes of a call.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every route forwards, and a call looks at it without another hop"
)]
pub enum Action {
    /// It goes to a host of a cluster.
    Forward(Forward),
    /// The gateway answers it.
    Direct(Direct),
    /// The gateway sends the caller elsewhere.
    Redirect(Redirect),
}

/// How a call is forwarded.
#[derive(Debug)]
pub struct Forward {
    /// Which cluster.
    pub target: Target,
    /// Its time limits.
    pub times: Times,
    /// When it is tried again; `None` for never.
    pub retry: Option<Arc<RetryPolicy>>,
    /// Bytes of a request body that are kept until the answer begins, to be sent again
    /// (`request_body_buffer_limit`). Default [`KEPT_BODY`].
    pub kept_body: usize,
    /// Who is told in `x-envoy-attempt-count` how many attempts there were, where the protocol has
    /// headers that cost nothing to add.
    pub attempt_count: AttemptCount,
    /// What a hashing balancer hashes.
    pub hash: Vec<HashPolicy>,
    /// Which circuit breaker thresholds apply: Envoy's default priority (0) or high (1).
    pub priority: u8,
    /// The HTTP status when the cluster does not exist (`cluster_not_found_response_code`).
    pub no_cluster: u16,
    /// Whether the host's own name becomes `:authority` (`auto_host_rewrite`). It is known only
    /// once a host is chosen, so the relay does it; RPC calls keep their service.
    pub auto_host_rewrite: bool,
    /// Whether a rewrite of `:authority` keeps the former one in `x-forwarded-host`. Rewrites
    /// known to the route have done so already; this is for [`Forward::auto_host_rewrite`].
    pub append_x_forwarded_host: bool,
    /// Upgrades that the route allows or forbids, whatever the connection manager says of them.
    pub upgrades: Box<[Upgrade]>,
}

impl Forward {
    /// A call to one target with everything else as it is by default, but without a time limit.
    pub fn to(target: Target) -> Self {
        Self {
            target,
            times: Times::default(),
            retry: None,
            kept_body: KEPT_BODY,
            attempt_count: AttemptCount::default(),
            hash: Vec::new(),
            priority: 0,
            no_cluster: 503,
            auto_host_rewrite: false,
            append_x_forwarded_host: false,
            upgrades: Box::default(),
        }
    }

    /// What the route says of an upgrade such as `websocket` or `CONNECT`; `None` where it leaves
    /// that to the connection manager.
    pub fn upgrade(&self, kind: &str) -> Option<bool> {
        let mut upgrades = self.upgrades.iter();
        let found = upgrades.find(|upgrade| upgrade.kind.eq_ignore_ascii_case(kind));
        found.map(|upgrade| upgrade.allowed)
    }
}

/// Bytes of a request body that are kept unless the route says otherwise.
pub const KEPT_BODY: usize = 64 * 1024;

/// Who is told of the number of attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCount {
    /// Hosts (`include_request_attempt_count`).
    pub request: bool,
    /// Callers (`include_attempt_count_in_response`).
    pub response: bool,
}

/// What a route says of one kind of upgrade (`upgrade_configs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The token of the `upgrade` header, or `CONNECT`; case does not count.
    pub kind: Box<str>,
    /// Whether it is passed on.
    pub allowed: bool,
}

/// The cluster or clusters of a route.
#[derive(Debug)]
pub enum Target {
    /// One cluster.
    Single(ClusterSlot),
    /// One of several, drawn by weight.
    Weighted(Weighted),
    /// The cluster that a request header names (`cluster_header`); the name in lower case.
    Header(Box<str>),
}

/// An answer given by the route itself.
#[derive(Clone, Debug)]
pub struct Direct {
    /// The HTTP status; an RPC caller gets what stands for it in its own protocol.
    pub status: u16,
    /// The body, or the text that an RPC caller reads.
    pub body: Arc<str>,
}

/// A redirect given by the route itself.
#[derive(Debug)]
pub struct Redirect {
    /// The HTTP status: 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Where to.
    pub location: Box<dyn Location>,
}

/// Where a redirect sends the caller.
pub trait Location: fmt::Debug + Send + Sync {
    /// The value of the `location` header for this request.
    fn of(&self, scene: &Scene<'_>) -> String;
}

/// One source of the hash that a hashing balancer uses. Several are combined as Envoy does.
#[derive(Debug)]
pub struct HashPolicy {
    /// Stop here when there is a hash.
    pub terminal: bool,
    /// What is hashed.
    pub source: Box<dyn HashSource>,
}

/// What one [`HashPolicy`] hashes.
pub trait HashSource: fmt::Debug + Send + Sync {
    /// The hash of what it finds, if it finds something. A cookie that the caller is to get is
    /// added to `response`.
    fn hash(&self, request: &dyn RoutingView, facts: &Facts, response: &mut Edits) -> Option<u64>;
}

/// Header changes whose values may depend on the call (`%DOWNSTREAM_REMOTE_ADDRESS%`,
/// `%REQ(x)%`). Evaluated once per call, and not at all when empty.
pub trait Template: fmt::Debug + Send + Sync {
    /// Whether it changes nothing, ever.
    fn is_empty(&self) -> bool;

    /// Adds the changes for this call to `edits`, which holds those made before.
    fn apply(&self, scene: &Scene<'_>, edits: &mut Edits);
}

/// What a [`Template`] may ask for.
#[derive(Clone, Copy)]
pub struct Scene<'s> {
    /// What is being changed, as it came.
    pub message: &'s dyn RoutingView,
    /// What the caller sent.
    pub request: &'s dyn RoutingView,
    /// What is known of the call besides.
    pub facts: &'s Facts,
    /// The route that the call takes.
    pub route: &'s Route,
    /// The name of the cluster, once it is known.
    pub cluster: Option<&'s str>,
    /// The host that answered; `None` for requests and for answers of the gateway itself.
    pub host: Option<SocketAddr>,
}

/// The [`Template`] that changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unchanged;

impl Template for Unchanged {
    fn is_empty(&self) -> bool {
        true
    }

    fn apply(&self, _: &Scene<'_>, _: &mut Edits) {}
}
