//! All configuration of one instant, immutable, swapped whole.

use std::{
    collections::HashMap,
    net::SocketAddr,
    ops::Deref,
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

mod metrics;

pub use metrics::{AnswerMetric, DownstreamConnection, HttpMetric, Spoken};

use crate::{
    cluster::Cluster,
    filter::Filters,
    log::AccessLog,
    route::{ClusterSlot, Router},
    stats::Group,
    stream::HttpPolicy,
};

/// Everything that is configured at one instant.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What each HTTP connection manager says, in the order of [`PolicyIx`].
    policies: Vec<Option<Arc<Policy>>>,
    clusters: Vec<Arc<Cluster>>,
    by_name: HashMap<Arc<str>, ClusterIx>,
}

/// The place of a policy in a [`Snapshot`]. A connection knows its policy by it, so it stays the
/// same over pushes for as long as there is a connection; only then another one may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyIx(pub u32);

/// A cluster of one [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterIx(pub u32);

impl Snapshot {
    /// A snapshot of these clusters; policies are linked to them and added afterwards.
    pub fn new(clusters: Vec<Arc<Cluster>>) -> Self {
        let by_name = clusters
            .iter()
            .enumerate()
            .map(|(ix, cluster)| (Arc::clone(&cluster.name), ClusterIx(ix as u32)))
            .collect();
        Self {
            policies: Vec::new(),
            clusters,
            by_name,
        }
    }

    /// The cluster of that name.
    pub fn find(&self, name: &str) -> Option<ClusterIx> {
        self.by_name.get(name).copied()
    }

    /// A cluster by its index.
    pub fn cluster(&self, ix: ClusterIx) -> Option<&Arc<Cluster>> {
        self.clusters.get(ix.0 as usize)
    }

    /// Every cluster.
    pub fn clusters(&self) -> &[Arc<Cluster>] {
        &self.clusters
    }

    /// A policy by its index.
    pub fn policy(&self, ix: PolicyIx) -> Option<&Arc<Policy>> {
        self.policies.get(ix.0 as usize)?.as_ref()
    }

    /// What a policy says whatever its routes.
    pub fn terms(&self, ix: PolicyIx) -> Option<&Arc<Terms>> {
        self.policy(ix).map(|policy| &policy.terms)
    }

    /// Puts a policy into its place.
    pub fn put_policy(&mut self, ix: PolicyIx, policy: Arc<Policy>) {
        let at = ix.0 as usize;
        if self.policies.len() <= at {
            self.policies.resize(at + 1, None);
        }
        if let Some(place) = self.policies.get_mut(at) {
            *place = Some(policy);
        }
    }

    /// Puts a policy into the next place.
    pub fn add_policy(&mut self, policy: Arc<Policy>) -> PolicyIx {
        self.policies.push(Some(policy));
        PolicyIx(self.policies.len() as u32 - 1)
    }

    /// Every policy with its place.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyIx, &Arc<Policy>)> {
        let places = self.policies.iter().enumerate();
        places.filter_map(|(at, policy)| Some((PolicyIx(at as u32), policy.as_ref()?)))
    }

    /// Resolves the cluster names of a router once, so that a call needs no look-up by name.
    pub fn link(&self, router: &dyn Router) -> Box<[Option<ClusterIx>]> {
        router
            .clusters()
            .iter()
            .map(|name| self.find(name))
            .collect()
    }
}

/// What an HTTP connection manager says of the calls that it serves, whatever their protocol.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What it says whatever its routes. The fields are those of the policy.
    pub terms: Arc<Terms>,
    /// The route table.
    pub router: Arc<dyn Router>,
    /// The router's clusters in this snapshot; `None` where a name is unknown.
    pub links: Box<[Option<ClusterIx>]>,
    /// The filters, of calls that take no route and of each route.
    pub filters: Filters,
}

/// What an HTTP connection manager says whatever its routes. It stays the same for as long as a
/// connection lasts, which holds it and no route table: those come and go.
#[derive(Debug)]
pub struct Terms {
    /// `stat_prefix`: the name in metrics.
    pub name: Arc<str>,
    /// Where ended calls are written.
    pub logs: Box<[Arc<dyn AccessLog>]>,
    /// `http.<stat_prefix>.…`
    pub stats: Arc<Group>,
    /// `listener.<address>.http.<stat_prefix>.…`, once the listener is bound.
    pub answers: OnceLock<Arc<Group>>,
    /// What its connections may do.
    pub limits: DownstreamLimits,
    /// What its HTTP connections may do besides.
    pub http: HttpPolicy,
}

impl Deref for Policy {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl Policy {
    /// The cluster behind a slot of the router.
    pub fn cluster(&self, slot: ClusterSlot) -> Option<ClusterIx> {
        self.links.get(slot.0 as usize).copied().flatten()
    }
}

/// What one downstream connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownstreamLimits {
    /// The longest frame in bytes, both ways. Default 8 MiB and the longest fixed header.
    pub frame: usize,
    /// Calls in flight before the connection is not read any more. Default 8192.
    pub calls: u32,
    /// Bytes of unread answers before the connection is not read any more. Default 1 MiB.
    pub unread_soft: usize,
    /// Bytes of unread answers before the connection is closed. Default 32 MiB.
    pub unread_hard: usize,
    /// Close a connection whose peer takes no byte of a waiting answer for this long. Default 30 s.
    pub stall_timeout: Duration,
    /// Close a connection that leaves a frame unfinished for this long (per 64 KiB received).
    /// Default 30 s.
    pub frame_timeout: Duration,
    /// Close a connection without calls and bytes after this time. Default 1 h, as Envoy.
    pub idle_timeout: Duration,
    /// The longest life of a call that no other deadline ends. Default 10 min.
    pub call_timeout: Duration,
    /// Send the protocol's "no new calls" message when draining (Dubbo's read-only event, Bolt's
    /// command 100). Default off: a Dubbo consumer with one address may not come back for a minute.
    pub goaway_on_drain: bool,
    /// Honour the caller's own deadline where it stands in the body (Dubbo's attachment
    /// `timeout`); costs a walk through the arguments. Deadlines in the fixed header always count.
    pub body_deadline: bool,
}

impl Default for DownstreamLimits {
    fn default() -> Self {
        Self {
            frame: 8 * 1024 * 1024 + 24,
            calls: 8192,
            unread_soft: 1024 * 1024,
            unread_hard: 32 * 1024 * 1024,
            stall_timeout: Duration::from_secs(30),
            frame_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(3600),
            call_timeout: Duration::from_secs(600),
            goaway_on_drain: false,
            body_deadline: false,
        }
    }
}

/// The current [`Snapshot`], swapped whole.
#[derive(Debug, Default)]
pub struct Live {
    swap: ArcSwap<Snapshot>,
    version: AtomicU64,
}

impl Live {
    /// Starts with `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            swap: ArcSwap::from_pointee(snapshot),
            version: AtomicU64::new(1),
        }
    }

    /// Makes `snapshot` the current one. Calls in flight keep theirs.
    pub fn publish(&self, snapshot: Snapshot) {
        self.swap.store(Arc::new(snapshot));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The current snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.swap.load_full()
    }

    /// A number that changes with each [`Live::publish`]; cheaper to look at than the snapshot.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

/// A snapshot held by the calls of one worker; cloned without a shared write.
#[derive(Clone, Debug)]
#[expect(
    clippy::redundant_allocation,
    reason = "workers share the Arc; calls count the Rc"
)]
pub struct Pinned(Rc<Arc<Snapshot>>);

impl Pinned {
    /// Pins `snapshot` for one worker.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(Rc::new(snapshot))
    }
}

impl Deref for Pinned {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// The two ends of a downstream connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Where it came from.
    pub peer: SocketAddr,
    /// Where it was meant to go.
    pub local: SocketAddr,
    /// The other end of the socket: not `peer` where a proxy in front told of that one (PROXY
    /// protocol).
    pub direct_peer: SocketAddr,
    /// Where the socket was accepted.
    pub direct_local: SocketAddr,
}

impl Ends {
    /// Those of a socket of which nobody says more.
    #[must_use]
    pub fn of(peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            peer,
            local,
            direct_peer: peer,
            direct_local: local,
        }
    }
}
