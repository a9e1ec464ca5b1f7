//! Which listeners there are: sockets that are bound, and connections that are drained when the
//! configuration changes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use crossdock_framework::{
    drain::DrainScope,
    metrics,
    stats::{Group, Registry, Shard},
    workers::Workers,
};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    compile::{ChainPlan, ListenerPlan},
    listen::{Listening, Reserved, Site},
    server::BoundListener,
};

metrics! {
    /// Metrics of the listeners as a whole, `listener_manager.…`, named as Envoy does.
    pub(crate) enum ListenersMetric {
        /// Listeners that were added.
        counter Added = "listener_added",
        /// Listeners that say something else now.
        counter Modified = "listener_modified",
        /// Listeners that were removed.
        counter Removed = "listener_removed",
        /// Changes that left the socket and the other filter chains of a listener as they were.
        counter InPlace = "listener_in_place_updated",
        /// Listeners that could be bound.
        counter Created = "listener_create_success",
        /// Listeners that could not be bound.
        counter Failed = "listener_create_failure",
        /// Listeners that wait for their routes, or are not bound yet.
        gauge Warming = "total_listeners_warming",
        /// Listeners that are gone, with connections still open.
        gauge Draining = "total_listeners_draining",
        /// Filter chains that are gone, with connections still open, of listeners that stay.
        gauge ChainsDraining = "total_filter_chains_draining",
    }
}

/// Every listener.
#[derive(Debug)]
pub(crate) struct Listeners {
    registry: Arc<Registry>,
    stats: Arc<Group>,
    /// How long connections have to end whose listener or filter chain is gone.
    drain_time: Duration,
    bound: BTreeMap<Arc<str>, Bound>,
    /// Addresses of listeners that are not in force yet.
    reserved: HashMap<SocketAddr, Reserved>,
    /// Listeners that are gone, while they have connections.
    leaving: Vec<Arc<Site>>,
    /// Filter chains that are gone, while they have connections.
    chains: Vec<Weak<ChainPlan>>,
    /// Set when connections may be served.
    workers: Option<Arc<Workers>>,
    /// Set when an operator has had listeners closed.
    closed: Option<DrainScope>,
}

/// A listener with its address.
#[derive(Debug)]
struct Bound {
    plan: Arc<ListenerPlan>,
    site: Arc<Site>,
    /// The address with the port that the kernel gave, where 0 was asked for.
    address: SocketAddr,
    port: Port,
}

/// A socket.
#[derive(Debug)]
enum Port {
    /// Connections wait in the kernel.
    Waiting(TcpListener),
    /// Connections are accepted for the current listener.
    Open {
        current: Arc<ArcSwap<Site>>,
        /// Ends the accepting when it is dropped.
        _stop: oneshot::Sender<()>,
    },
    /// Closed by an operator's drain.
    Closed,
}

impl Listeners {
    /// No listener yet.
    pub(crate) fn new(registry: &Arc<Registry>, drain_time: Duration) -> Self {
        Self {
            registry: Arc::clone(registry),
            stats: registry.group::<ListenersMetric>("listener_manager", ""),
            drain_time,
            bound: BTreeMap::new(),
            reserved: HashMap::new(),
            leaving: Vec::new(),
            chains: Vec::new(),
            workers: None,
            closed: None,
        }
    }

    /// The addresses that listeners have, for more to be taken elsewhere.
    pub(crate) fn ports(&self) -> Ports {
        let bound = self.bound.values();
        let bound = bound.map(|bound| (Arc::clone(&bound.plan.name), bound.plan.address));
        Ports {
            bound: bound.collect(),
            reserved: self.reserved.keys().copied().collect(),
            fresh: Vec::new(),
            failed: 0,
        }
    }

    /// Keeps the addresses that were taken.
    pub(crate) fn keep(&mut self, ports: Ports) {
        self.count(ListenersMetric::Failed, ports.failed);
        self.reserved.extend(ports.fresh);
    }

    /// Gives addresses back that none of these listeners asks for.
    pub(crate) fn release<'p>(&mut self, wanted: impl Iterator<Item = &'p Arc<ListenerPlan>>) {
        let wanted: Vec<_> = wanted.map(|plan| plan.address).collect();
        self.reserved.retain(|asked, _| wanted.contains(asked));
    }

    /// Makes these the listeners that there are. Whether connections are to be drained, which
    /// workers have to be told.
    pub(crate) fn apply(&mut self, plans: &[Arc<ListenerPlan>]) -> bool {
        let mut free = self.remove_all_but(plans);
        let mut drains = !free.is_empty();
        for plan in plans {
            match self.bound.get(&plan.name).map(|bound| &bound.plan) {
                Some(known) if Arc::ptr_eq(known, plan) => {}
                Some(known) if known.address == plan.address => {
                    drains |= self.change(plan);
                    self.count(ListenersMetric::Modified, 1);
                }
                known => {
                    let moves = known.is_some();
                    if moves && let Some(old) = self.bound.remove(&plan.name) {
                        self.leave(&old);
                        drains = true;
                    }
                    let socket = free.remove(&plan.address);
                    if self.add(plan, socket) {
                        let metric = match moves {
                            true => ListenersMetric::Modified,
                            false => ListenersMetric::Added,
                        };
                        self.count(metric, 1);
                    }
                }
            }
        }
        drains
    }

    /// Lets connections be served from now on.
    pub(crate) fn open(&mut self, workers: &Arc<Workers>) {
        self.workers = Some(Arc::clone(workers));
        for bound in self.bound.values_mut() {
            bound.open(workers);
        }
    }

    /// Closes sockets, for good: an operator has begun a drain.
    pub(crate) fn close(&mut self, scope: DrainScope) {
        if self.closed != Some(DrainScope::All) {
            self.closed = Some(scope);
        }
        for bound in self.bound.values_mut() {
            if bound.site.drains(scope) {
                bound.port = Port::Closed;
            }
        }
    }

    /// The listeners that there are, with their addresses.
    pub(crate) fn shown(&self) -> Vec<BoundListener> {
        let shown = self.bound.values().map(|bound| BoundListener {
            name: bound.site.name.to_string(),
            address: bound.address,
        });
        shown.collect()
    }

    /// The listeners that a drain concerns, those that are gone among them.
    pub(crate) fn sites(&self, scope: DrainScope) -> Vec<Arc<Site>> {
        let bound = self.bound.values().map(|bound| &bound.site);
        let all = bound.chain(&self.leaving);
        all.filter(|site| site.drains(scope)).cloned().collect()
    }

    /// Looks at what is being drained: whether some of it is gone by now, and whether there is more.
    pub(crate) fn sweep(&mut self) -> Swept {
        let before = self.leaving.len() + self.chains.len();
        self.leaving.retain(|site| site.open() > 0);
        self.chains.retain(|chain| chain.strong_count() > 0);
        let left = self.leaving.len() + self.chains.len();
        Swept {
            gone: left < before,
            more: left > 0,
        }
    }

    /// Sets the gauges; so many listeners are not in force yet.
    pub(crate) fn gauge(&self, warming: usize) {
        for (metric, now) in [
            (ListenersMetric::Warming, warming),
            (ListenersMetric::Draining, self.leaving.len()),
            (ListenersMetric::ChainsDraining, self.chains.len()),
        ] {
            let change = (now as u64).wrapping_sub(self.stats.get(metric));
            self.stats.add(Shard(0), metric, change);
        }
    }

    /// Removes listeners that are wanted no longer. Their sockets are kept if others want them.
    fn remove_all_but(&mut self, plans: &[Arc<ListenerPlan>]) -> HashMap<SocketAddr, Option<Port>> {
        let gone = |name: &&Arc<str>| !plans.iter().any(|plan| plan.name == **name);
        let gone: Vec<_> = self.bound.keys().filter(gone).cloned().collect();
        let mut free = HashMap::new();
        for name in gone {
            let Some(mut old) = self.bound.remove(&name) else {
                continue;
            };
            let asked = old.plan.address;
            let wanted = asked.port() != 0 && plans.iter().any(|plan| plan.address == asked);
            let port = std::mem::replace(&mut old.port, Port::Closed);
            free.insert(asked, wanted.then_some(port));
            tracing::info!("listener '{name}' at {} is removed", old.address);
            self.leave(&old);
            self.count(ListenersMetric::Removed, 1);
        }
        free
    }

    /// Drains a listener that is gone.
    fn leave(&mut self, old: &Bound) {
        old.site.drain.begin(self.drain_time);
        for chain in &old.plan.plans {
            chain.drain.begin(self.drain_time);
        }
        self.leaving.push(Arc::clone(&old.site));
    }

    /// Changes a listener that keeps its socket. Whether some of its connections are drained.
    fn change(&mut self, plan: &Arc<ListenerPlan>) -> bool {
        let Some(bound) = self.bound.get_mut(&plan.name) else {
            return false;
        };
        let old = std::mem::replace(&mut bound.plan, Arc::clone(plan));
        if old.inbound != plan.inbound {
            let site = Arc::new(Site::new(plan, bound.address, &self.registry));
            if let Port::Open { current, .. } = &bound.port {
                current.store(Arc::clone(&site));
            }
            let before = std::mem::replace(&mut bound.site, site);
            before.drain.begin(self.drain_time);
            self.leaving.push(before);
        }
        bound.site.change(plan, &self.registry);
        let stays = |chain: &Arc<ChainPlan>| plan.plans.iter().any(|new| Arc::ptr_eq(new, chain));
        let (kept, gone): (Vec<_>, Vec<_>) = old.plans.iter().partition(|chain| stays(chain));
        for chain in &gone {
            chain.drain.begin(self.drain_time);
            self.chains.push(Arc::downgrade(chain));
        }
        if !kept.is_empty() {
            self.count(ListenersMetric::InPlace, 1);
        }
        !gone.is_empty()
    }

    /// Binds a listener, unless it has a socket already. Whether that could be done.
    fn add(&mut self, plan: &Arc<ListenerPlan>, port: Option<Option<Port>>) -> bool {
        let is_closed = |scope| scope == DrainScope::All || plan.inbound;
        if self.closed.is_some_and(is_closed) {
            return false;
        }
        let bound = match port.flatten() {
            Some(port) => Ok((plan.address, port)),
            None => self.bind(plan),
        };
        let (address, port) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                tracing::error!("listener '{}' cannot listen: {error}", plan.name);
                self.count(ListenersMetric::Failed, 1);
                return false;
            }
        };
        let mut bound = Bound {
            plan: Arc::clone(plan),
            site: Arc::new(Site::new(plan, address, &self.registry)),
            address,
            port,
        };
        if let Port::Open { current, .. } = &bound.port {
            current.store(Arc::clone(&bound.site));
        }
        if let Some(workers) = &self.workers {
            tracing::info!("listener '{}' at {address}", plan.name);
            bound.open(workers);
        }
        self.bound.insert(Arc::clone(&plan.name), bound);
        self.count(ListenersMetric::Created, 1);
        true
    }

    fn bind(&mut self, plan: &ListenerPlan) -> io::Result<(SocketAddr, Port)> {
        let reserved = match self.reserved.remove(&plan.address) {
            Some(reserved) => reserved,
            None => {
                let whom = format!("listener '{}'", plan.name);
                Reserved::new(&whom, plan.address).map_err(io::Error::other)?
            }
        };
        let address = reserved.address;
        Ok((address, Port::Waiting(reserved.listen()?)))
    }

    fn count(&self, metric: ListenersMetric, by: usize) {
        self.stats.add(Shard(0), metric, by as u64);
    }
}

/// The addresses that listeners have. Taking one asks the kernel, which may take its time.
#[derive(Debug)]
pub(crate) struct Ports {
    bound: HashMap<Arc<str>, SocketAddr>,
    reserved: HashSet<SocketAddr>,
    fresh: Vec<(SocketAddr, Reserved)>,
    failed: usize,
}

impl Ports {
    /// Takes the addresses that these listeners ask for and that are not taken for them yet, all or
    /// none.
    ///
    /// # Errors
    ///
    /// The name of each listener whose address cannot be had, with the reason.
    pub(crate) fn reserve<'p>(
        &mut self,
        wanted: impl Iterator<Item = &'p Arc<ListenerPlan>>,
    ) -> Result<(), Vec<(Arc<str>, String)>> {
        let mut reasons = Vec::new();
        let mut fresh = Vec::new();
        let bound: HashSet<_> = self.bound.values().copied().collect();
        for plan in wanted {
            let (name, asked) = (&plan.name, plan.address);
            // Every listener gets a port of its own from the kernel, once.
            let known = match asked.port() {
                0 => self.bound.get(name) == Some(&asked),
                _ => bound.contains(&asked) || self.reserved.contains(&asked),
            };
            if known {
                continue;
            }
            match Reserved::new(&format!("listener '{name}'"), asked) {
                Ok(reserved) => fresh.push((asked, reserved)),
                Err(reason) => reasons.push((Arc::clone(name), reason)),
            }
        }
        if reasons.is_empty() {
            let lasting = fresh.into_iter().filter(|(asked, _)| asked.port() != 0);
            for (asked, reserved) in lasting {
                self.reserved.insert(asked);
                self.fresh.push((asked, reserved));
            }
            return Ok(());
        }
        self.failed += reasons.len();
        Err(reasons)
    }
}

/// What became of listeners and filter chains that are being drained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Swept {
    /// Some have no connection any more.
    pub(crate) gone: bool,
    /// Some have.
    pub(crate) more: bool,
}

impl Bound {
    /// Accepts connections from now on.
    fn open(&mut self, workers: &Arc<Workers>) {
        if !matches!(self.port, Port::Waiting(_)) {
            return;
        }
        if let Port::Waiting(socket) = std::mem::replace(&mut self.port, Port::Closed) {
            let site = Arc::new(ArcSwap::from(Arc::clone(&self.site)));
            let (stop, stopped) = oneshot::channel();
            let listening = Listening {
                site: Arc::clone(&site),
                socket,
            };
            tokio::spawn(listening.accept(Arc::clone(workers), stopped));
            self.port = Port::Open {
                current: site,
                _stop: stop,
            };
        }
    }
}
