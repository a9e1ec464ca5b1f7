//! The connections of one worker to hosts, kept apart by host and by version of HTTP.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
    sync::Arc,
};

use crossdock_framework::{
    cluster::{Cluster, Host},
    status::{Cause, Status},
    stream::{Attempt, Failure},
    transport::{self, Named, Opened},
    worker::Worker,
};
use http::{Version, request};

use crate::{
    h1, h2,
    named::{Names, Way},
};

/// The pools of one worker.
#[derive(Debug)]
pub(crate) struct Pools {
    pub(crate) worker: Worker,
    one: RefCell<ByHost<Rc<h1::client::Pool>>>,
    two: RefCell<ByHost<Rc<h2::client::Pool>>>,
    /// What hosts agreed to speak (ALPN).
    agreed: RefCell<ByHost<Version>>,
    names: Names,
}

/// Values by [`HostState::id`](crossdock_framework::cluster::HostState::id), or by the [`Way`] to it.
type ByHost<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;

/// Spreads ids, which are counted up and nobody else's choice: they need no keyed hash.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, id: u64) {
        // 2^64 by the golden ratio (Knuth, volume 3, section 6.4).
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Hosts that are remembered at most; their connections are closed before they are forgotten.
const HOSTS: usize = 16 * 1024;

impl Pools {
    /// The worker's pools.
    pub(crate) fn of(worker: &Worker) -> Rc<Self> {
        worker.part(|| {
            let pools = Rc::new(Self {
                worker: worker.clone(),
                one: RefCell::default(),
                two: RefCell::default(),
                agreed: RefCell::default(),
                names: Names::default(),
            });
            let weak = Rc::downgrade(&pools);
            worker.on_retire(Rc::new(move |hosts| {
                if let Some(pools) = weak.upgrade() {
                    pools.leave(hosts);
                }
            }));
            pools
        })
    }

    /// Closes the connections to hosts that are no longer configured, each after its calls, and
    /// forgets pools that nobody uses.
    fn leave(&self, hosts: &[u64]) {
        let named = hosts.iter().flat_map(|host| self.names.leave(*host));
        let keys: Vec<u64> = named.chain(hosts.iter().copied()).collect();
        for host in &keys {
            self.agreed.borrow_mut().remove(host);
            if let Some(pool) = self.one.borrow_mut().remove(host) {
                pool.leave();
            }
            if let Some(pool) = self.two.borrow_mut().remove(host) {
                pool.leave();
            }
        }
        let unused = |pool: &h1::client::Pool, holders| holders == 1 && pool.is_unused();
        let mut one = self.one.borrow_mut();
        one.retain(|_, pool| !unused(pool, Rc::strong_count(pool)));
        let unused = |pool: &h2::client::Pool, holders| holders == 1 && pool.is_unused();
        let mut two = self.two.borrow_mut();
        two.retain(|_, pool| !unused(pool, Rc::strong_count(pool)));
    }

    /// The connections that a request may take, as it leaves.
    pub(crate) fn way(&self, attempt: Attempt<'_>, head: &request::Parts) -> Result<Way, Failure> {
        let host = attempt.cluster.hosts.get(attempt.host).ok_or_else(gone)?;
        self.names
            .way(attempt, host.state.id, head, |key| self.forget(key))
    }

    /// Forgets the connections of this key if no call uses them; `false` if one does.
    fn forget(&self, key: u64) -> bool {
        let (mut one, mut two) = (self.one.borrow_mut(), self.two.borrow_mut());
        let rests = one.get(&key).is_none_or(|pool| pool.rests())
            && two.get(&key).is_none_or(|pool| pool.rests());
        if rests {
            one.remove(&key).inspect(|pool| pool.leave());
            two.remove(&key).inspect(|pool| pool.leave());
            self.agreed.borrow_mut().remove(&key);
        }
        rests
    }

    /// The HTTP/1 connections of this way to a host.
    pub(crate) fn one(&self, way: &Way) -> Rc<h1::client::Pool> {
        let mut pools = self.one.borrow_mut();
        if pools.len() >= HOSTS {
            pools.retain(|_, pool| !pool.is_unused());
        }
        let fresh = || h1::client::Pool::new(&self.worker, way.name.clone());
        Rc::clone(pools.entry(way.key).or_insert_with(fresh))
    }

    /// The HTTP/2 connections of this way to a host.
    pub(crate) fn two(&self, way: &Way) -> Rc<h2::client::Pool> {
        let mut pools = self.two.borrow_mut();
        if pools.len() >= HOSTS {
            pools.retain(|_, pool| !pool.is_unused());
        }
        let fresh = || h2::client::Pool::new(&self.worker, way.name.clone());
        Rc::clone(pools.entry(way.key).or_insert_with(fresh))
    }

    /// The version of HTTP that a host agrees to, if that is known.
    pub(crate) fn agreed(&self, attempt: Attempt<'_>, way: &Way) -> Option<Version> {
        if attempt.cluster.secure.is_none() {
            return Some(Version::HTTP_11);
        }
        self.agreed.borrow().get(&way.key).copied()
    }

    /// Finds out which version of HTTP a host agrees to, with its first connection, which is kept.
    pub(crate) async fn negotiate(
        &self,
        attempt: Attempt<'_>,
        way: &Way,
    ) -> Result<Version, Failure> {
        let Some(host) = attempt.cluster.hosts.get(attempt.host) else {
            return Err(gone());
        };
        let alpn: &[&[u8]] = &[b"h2", b"http/1.1"];
        let opened = open(
            &self.worker,
            attempt.cluster,
            host,
            alpn,
            way.name.as_deref(),
        )
        .await?;
        let version = match opened.alpn.as_deref() {
            Some(b"h2") => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        self.remember(way.key, version);
        match version {
            Version::HTTP_2 => self.two(way).adopt(opened, attempt.cluster, host),
            _ => self.one(way).adopt(opened, attempt.cluster, host),
        }
        Ok(version)
    }

    fn remember(&self, host: u64, version: Version) {
        let mut agreed = self.agreed.borrow_mut();
        if agreed.len() >= HOSTS {
            agreed.clear();
        }
        agreed.insert(host, version);
    }
}

/// Opens a connection to a host, and counts it. The caller holds a place for it in the circuit
/// breaker, which goes back when this fails.
pub(crate) async fn open(
    worker: &Worker,
    cluster: &Cluster,
    host: &Host,
    alpn: &[&[u8]],
    name: Option<&str>,
) -> Result<Opened, Failure> {
    let named = Named {
        name,
        matched: cluster.http.auto_san,
    };
    let opened = transport::open(cluster, host, alpn, named, worker).await;
    opened.map_err(|failure| {
        let status = failure.status(host);
        tracing::debug!(cluster = %cluster.name, "{}", status.text);
        Failure::Unsent(status)
    })
}

/// The host left its cluster while the call was on its way to it.
pub(crate) fn gone() -> Failure {
    Failure::Unsent(Status::new(Cause::NoHost, "the host is gone"))
}

/// Whether the current configuration still has the host in the cluster of that name.
pub(crate) fn is_known(worker: &Worker, cluster: &Cluster, host: u64) -> bool {
    let snapshot = worker.snapshot();
    let now = snapshot.find(&cluster.name);
    now.and_then(|ix| snapshot.cluster(ix))
        .is_some_and(|cluster| cluster.hosts.iter().any(|(_, h)| h.state.id == host))
}

/// A call's place in the line of `max_pending_requests`.
pub(crate) struct Waiting {
    cluster: Arc<Cluster>,
    priority: u8,
    worker: Worker,
}

impl Waiting {
    pub(crate) fn begin(attempt: Attempt<'_>, worker: &Worker) -> Result<Self, Failure> {
        let (cluster, priority) = (attempt.cluster, attempt.priority);
        let taken = cluster.take_pending(priority, worker.shard());
        taken.map_err(Failure::Refused)?;
        Ok(Self {
            cluster: Arc::clone(cluster),
            priority,
            worker: worker.clone(),
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.cluster
            .give_pending(self.priority, self.worker.shard());
    }
}
