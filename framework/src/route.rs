//! What a route says: where a call goes, under which limits, and what is changed on the way.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use crate::{edits::Edits, protocol::Tls, view::RoutingView};

/// Finds the route of a request. Compiled once from configuration, immutable, shared by all
/// workers; its cost does not grow with the number of virtual hosts or services.
pub trait Router: fmt::Debug + Send + Sync + 'static {
    /// The first route that matches, or `None`.
    fn route(&self, request: &dyn RoutingView, facts: &Facts) -> Option<RouteId>;

    /// The route that [`Router::route`] named.
    fn get(&self, id: RouteId) -> &Route;

    /// The hash of the route's hash policies for this request, if any gave one.
    fn hash(&self, id: RouteId, request: &dyn RoutingView, facts: &Facts) -> Option<u64> {
        let _ = (id, request, facts);
        None
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
    /// The address that the downstream connection came from.
    pub source: Option<SocketAddr>,
    /// The local port that it came to.
    pub port: u16,
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
    /// Header changes of requests, least specific level last, as Envoy applies them by default.
    pub request_edits: Box<dyn Template>,
    /// Header changes of responses.
    pub response_edits: Box<dyn Template>,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Action {
    /// It goes to a host of a cluster.
    Forward(Forward),
    /// The gateway answers it.
    Direct(Direct),
}

/// How a call is forwarded.
#[derive(Debug)]
pub struct Forward {
    /// Which cluster.
    pub target: Target,
    /// The longest time from the request's last byte to the answer's; `None` for no limit but the
    /// worker's own. Envoy's default is 15 s.
    pub timeout: Option<Duration>,
    /// What a hashing balancer hashes.
    pub hash: Vec<HashPolicy>,
    /// Which circuit breaker thresholds apply: Envoy's default priority (0) or high (1).
    pub priority: u8,
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

/// Clusters with weights; a weight of zero is never drawn.
#[derive(Debug)]
pub struct Weighted {
    entries: Vec<WeightedCluster>,
    total: u64,
}

/// One of several clusters of a route.
#[derive(Debug)]
pub struct WeightedCluster {
    /// The cluster.
    pub cluster: ClusterSlot,
    /// Its share of [`Weighted`]'s total.
    pub weight: u32,
    /// Header changes of requests that come before those of the route.
    pub request_edits: Box<dyn Template>,
    /// Header changes of responses.
    pub response_edits: Box<dyn Template>,
}

impl Weighted {
    /// Clusters to draw from, or `None` if no weight is above zero.
    pub fn new(entries: Vec<WeightedCluster>) -> Option<Self> {
        let total = entries.iter().map(|entry| u64::from(entry.weight)).sum();
        (total > 0).then_some(Self { entries, total })
    }

    /// The place in [`Weighted::entries`] that `random` falls upon.
    pub fn draw(&self, random: u64) -> usize {
        let mut left = random % self.total;
        for (at, entry) in self.entries.iter().enumerate() {
            match left.checked_sub(u64::from(entry.weight)) {
                Some(rest) => left = rest,
                None => return at,
            }
        }
        unreachable!("`left` starts below the sum of all weights")
    }

    /// Every entry, in configured order.
    pub fn entries(&self) -> &[WeightedCluster] {
        &self.entries
    }
}

/// An answer given by the route itself.
#[derive(Clone, Debug)]
pub struct Direct {
    /// The HTTP status; an RPC caller gets what stands for it in its own protocol.
    pub status: u16,
    /// The body, or the text that an RPC caller reads.
    pub body: Arc<str>,
}

/// One source of the hash that a hashing balancer uses. Several are combined as Envoy does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashPolicy {
    /// The value of a header or attachment; the name in lower case.
    Header {
        /// The header.
        name: Box<str>,
        /// Stop here when this policy gave a hash.
        terminal: bool,
    },
    /// The address of the caller.
    SourceIp {
        /// Stop here when this policy gave a hash.
        terminal: bool,
    },
}

/// Header changes whose values may depend on the call (`%DOWNSTREAM_REMOTE_ADDRESS%`,
/// `%REQ(x)%`). Evaluated once per call, and not at all when empty.
pub trait Template: fmt::Debug + Send + Sync {
    /// Whether it changes nothing, ever.
    fn is_empty(&self) -> bool;

    /// Adds the changes for this call to `edits`. `message` is what is being changed and
    /// `request` what the caller sent.
    fn apply(
        &self,
        message: &dyn RoutingView,
        request: &dyn RoutingView,
        facts: &Facts,
        edits: &mut Edits,
    );
}

/// The [`Template`] that changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unchanged;

impl Template for Unchanged {
    fn is_empty(&self) -> bool {
        true
    }

    fn apply(&self, _: &dyn RoutingView, _: &dyn RoutingView, _: &Facts, _: &mut Edits) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(slot: u32, weight: u32) -> WeightedCluster {
        WeightedCluster {
            cluster: ClusterSlot(slot),
            weight,
            request_edits: Box::new(Unchanged),
            response_edits: Box::new(Unchanged),
        }
    }

    #[test]
    fn draws_follow_the_weights_exactly() {
        let weighted = Weighted::new(vec![entry(0, 90), entry(1, 0), entry(2, 10)]).expect("100");
        let mut seen = [0; 3];
        for random in 0..1000 {
            seen[weighted.draw(random)] += 1;
        }
        assert_eq!(seen, [900, 0, 100]);
    }

    #[test]
    fn nothing_to_draw_is_refused() {
        assert!(Weighted::new(vec![entry(0, 0)]).is_none());
        assert!(Weighted::new(Vec::new()).is_none());
    }
}
