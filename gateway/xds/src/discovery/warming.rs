//! What may be in force: nothing that names what is not there yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Discovered, Fingerprint, INITIAL_FETCH_TIMEOUT, Kind, Need, Needs, Resource, Resources,
};

/// How long a route configuration waits for new clusters that it names, and how long a cluster
/// stays that is wanted no longer and still named.
pub const HOLD: Duration = INITIAL_FETCH_TIMEOUT;

/// What is wanted, and what of it is in force: make before break, as data.
///
/// A new resource, or one that says something else than the one in force, comes into force when
/// what it names is there:
///
/// - a cluster of EDS when its load assignment has arrived, or the time is up that its source
///   gives to the first answer (`initial_fetch_timeout`, which counts from when it is wanted), and
///   one whose hosts are known by name when they have been looked up;
/// - a listener when its route configurations are in force, likewise;
/// - a route configuration, and a listener, when no cluster that it names is still waiting, at
///   most [`HOLD`]. Envoy leaves this to the order in which a control plane sends; files that are
///   moved have no such order.
///
/// Until then the one before it stays in force. A cluster that is wanted no longer goes when
/// nothing in force names it any more, or [`HOLD`] later. What names a resource that nobody wants
/// does not wait for it.
#[derive(Clone, Debug, Default)]
pub struct Warming {
    wanted: Resources,
    in_force: Resources,
    waiting: Vec<Waiting>,
    wake_at: Option<Instant>,
    since: BTreeMap<(Kind, Arc<str>), Since>,
    given_up: BTreeSet<(Kind, Arc<str>)>,
    looked_up: BTreeMap<Arc<str>, Duration>,
}

/// A resource that waits for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What waits.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// What it waits for.
    pub needs: Kind,
    /// That one's name.
    pub needs_name: String,
    /// When it goes without; `None` for never.
    pub until: Option<Instant>,
}

/// Since when something waits, or is kept though nobody wants it.
#[derive(Clone, Copy, Debug)]
struct Since {
    at: Instant,
    /// What it says: something else waits anew.
    what: Fingerprint,
}

impl Warming {
    /// Nothing wanted, nothing in force.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what is wanted from now on. It comes into force with [`Self::settle`].
    pub fn want(&mut self, wanted: Resources) {
        self.wanted = wanted;
    }

    /// Says that a resource was asked for and will not come: nobody waits for it any longer. It
    /// may come all the same. It holds for as long as the resource is asked for.
    pub fn give_up(&mut self, kind: Kind, name: &str) {
        self.given_up.insert((kind, name.into()));
    }

    /// Says that the hosts of a cluster are being looked up. As long as it is not in force, it
    /// waits for that, for at most `patience`.
    pub fn look_up(&mut self, cluster: &str, patience: Duration) {
        self.looked_up.insert(cluster.into(), patience);
    }

    /// Says that a look-up has come to its end, good or bad.
    pub fn found(&mut self, cluster: &str) {
        self.looked_up.remove(cluster);
    }

    /// Brings into force what may be. Whether that changed anything.
    ///
    /// To be called after [`Self::want`] and [`Self::give_up`], and when the time of
    /// [`Self::wake_at`] has come. Takes time in proportion to the number of resources.
    pub fn settle(&mut self, now: Instant) -> bool {
        let mut round = Round {
            now,
            before: &self.since,
            since: BTreeMap::new(),
            waiting: Vec::new(),
            wake_at: None,
            given_up: &self.given_up,
            looked_up: &self.looked_up,
        };
        let (wanted, old) = (&self.wanted, &self.in_force);
        let mut next = Resources::default();
        round.clusters(wanted, old, &mut next);
        round.routes(wanted, old, &mut next);
        round.listeners(wanted, old, &mut next);
        keep_routes(wanted, old, &mut next);
        round.keep_clusters(wanted, old, &mut next);
        endpoints(wanted, old, &mut next);
        let Round {
            since,
            waiting,
            wake_at,
            ..
        } = round;
        (self.since, self.waiting, self.wake_at) = (since, waiting, wake_at);
        let changed = !(same(&old.clusters, &next.clusters)
            && same(&old.endpoints, &next.endpoints)
            && same(&old.listeners, &next.listeners)
            && same(&old.routes, &next.routes));
        self.in_force = next;
        if !self.given_up.is_empty() {
            let needed = needed(&self.wanted);
            self.given_up.retain(|given_up| needed.contains(given_up));
        }
        changed
    }

    /// When [`Self::settle`] has to be called at the latest, should nothing happen before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// What is wanted.
    #[must_use]
    pub fn wanted(&self) -> &Resources {
        &self.wanted
    }

    /// What is in force.
    #[must_use]
    pub fn in_force(&self) -> &Resources {
        &self.in_force
    }

    /// What waits, as of the last [`Self::settle`]: clusters, routes, listeners.
    #[must_use]
    pub fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    /// Whether the resource of this name waits; an earlier one may be in force meanwhile.
    #[must_use]
    pub fn is_waiting(&self, kind: Kind, name: &str) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|waiting| waiting.kind == kind && &*waiting.name == name)
    }
}

/// One time of looking at everything.
struct Round<'a> {
    now: Instant,
    before: &'a BTreeMap<(Kind, Arc<str>), Since>,
    since: BTreeMap<(Kind, Arc<str>), Since>,
    waiting: Vec<Waiting>,
    wake_at: Option<Instant>,
    given_up: &'a BTreeSet<(Kind, Arc<str>)>,
    looked_up: &'a BTreeMap<Arc<str>, Duration>,
}

impl Round<'_> {
    fn clusters(&mut self, wanted: &Resources, old: &Resources, next: &mut Resources) {
        for cluster in wanted.clusters.values() {
            let old = old.clusters.get(&cluster.name);
            let missing = |need: &&Need| !wanted.endpoints.contains_key(need.name.as_str());
            let missing = cluster.needs.discovered.iter().find(missing);
            let missing = missing.map(|need| (need.kind, need.name.as_str(), need.patience()));
            let looked_up = self.looked_up.get(&cluster.name);
            let looked_up =
                looked_up.map(|patience| (Kind::Endpoints, &*cluster.name, Some(*patience)));
            self.choose(cluster, old, missing.or(looked_up), &mut next.clusters);
        }
    }

    fn routes(&mut self, wanted: &Resources, old: &Resources, next: &mut Resources) {
        for routes in wanted.routes.values() {
            let old = old.routes.get(&routes.name);
            let missing = held_back(&routes.needs, wanted, next);
            self.choose(routes, old, missing, &mut next.routes);
        }
    }

    fn listeners(&mut self, wanted: &Resources, old: &Resources, next: &mut Resources) {
        for listener in wanted.listeners.values() {
            let old = old.listeners.get(&listener.name);
            let missing = |need: &&Need| !next.routes.contains_key(need.name.as_str());
            let missing = listener.needs.discovered.iter().find(missing);
            let missing = missing.map(|need| {
                let arrived = wanted.routes.contains_key(need.name.as_str());
                // What has arrived waits itself, and for a limited time.
                let patience = if arrived { None } else { need.patience() };
                (need.kind, need.name.as_str(), patience)
            });
            let missing = missing.or_else(|| held_back(&listener.needs, wanted, next));
            self.choose(listener, old, missing, &mut next.listeners);
        }
    }

    /// Takes what is wanted, or what there was before as long as something is missing.
    fn choose<M: Discovered>(
        &mut self,
        wanted: &Resource<M>,
        old: Option<&Resource<M>>,
        missing: Option<Missing<'_>>,
        next: &mut BTreeMap<Arc<str>, Resource<M>>,
    ) {
        let known = old.filter(|old| old.says_the_same(wanted));
        let chosen = match (known, missing) {
            (Some(known), _) => Some(known),
            (None, None) => Some(wanted),
            (None, Some(missing)) => match self.waits(wanted, missing) {
                true => old,
                false => Some(wanted),
            },
        };
        if let Some(chosen) = chosen {
            next.insert(Arc::clone(&chosen.name), chosen.clone());
        }
    }

    /// Whether a resource still waits for what is missing.
    fn waits<M: Discovered>(&mut self, resource: &Resource<M>, missing: Missing<'_>) -> bool {
        let (needs, needs_name, patience) = missing;
        if self.given_up.contains(&(needs, needs_name.into())) {
            return false;
        }
        let until = self.until(resource, patience);
        if until.is_some_and(|until| until <= self.now) {
            return false;
        }
        self.wake(until);
        self.waiting.push(Waiting {
            kind: M::KIND,
            name: Arc::clone(&resource.name),
            needs,
            needs_name: needs_name.to_owned(),
            until,
        });
        true
    }

    /// When the patience with a resource ends; it began when that was first looked at.
    fn until<M: Discovered>(
        &mut self,
        resource: &Resource<M>,
        patience: Option<Duration>,
    ) -> Option<Instant> {
        let key = (M::KIND, Arc::clone(&resource.name));
        let what = resource.fingerprint;
        let before = self.before.get(&key).filter(|since| since.what == what);
        let since = before.copied().unwrap_or(Since { at: self.now, what });
        self.since.insert(key, since);
        since.at.checked_add(patience?)
    }

    fn wake(&mut self, at: Option<Instant>) {
        self.wake_at = [self.wake_at, at].into_iter().flatten().min();
    }

    /// Keeps clusters that are wanted no longer and still named, for a while.
    fn keep_clusters(&mut self, wanted: &Resources, old: &Resources, next: &mut Resources) {
        let old = old.clusters.values();
        let leaving = old.filter(|old| !wanted.clusters.contains_key(&old.name));
        let mut leaving = leaving.peekable();
        if leaving.peek().is_none() {
            return;
        }
        let named = named(next);
        let mut kept = Vec::new();
        for cluster in leaving.filter(|cluster| named.contains(&*cluster.name)) {
            let until = self.until(cluster, Some(HOLD));
            if until.is_some_and(|until| until > self.now) {
                self.wake(until);
                kept.push((Arc::clone(&cluster.name), cluster.clone()));
            }
        }
        next.clusters.extend(kept);
    }
}

/// Everything that is asked for by name.
fn needed(resources: &Resources) -> BTreeSet<(Kind, Arc<str>)> {
    let clusters = resources.clusters.values().map(|cluster| &cluster.needs);
    let listeners = resources.listeners.values().map(|listener| &listener.needs);
    let discovered = clusters
        .chain(listeners)
        .flat_map(|needs| &needs.discovered);
    discovered
        .map(|need| (need.kind, need.name.as_str().into()))
        .collect()
}

/// Every cluster that routes and listeners name.
fn named(resources: &Resources) -> BTreeSet<&str> {
    let routes = resources.routes.values().map(|routes| &routes.needs);
    let listeners = resources.listeners.values();
    let needs = routes.chain(listeners.map(|listener| &listener.needs));
    let names = needs.flat_map(|needs| &needs.clusters);
    names.map(String::as_str).collect()
}

/// Kind and name of what is missing, and how long it is waited for.
type Missing<'a> = (Kind, &'a str, Option<Duration>);

/// A cluster that is named and wanted and not in force.
fn held_back<'n>(needs: &'n Needs, wanted: &Resources, next: &Resources) -> Option<Missing<'n>> {
    let mut named = needs.clusters.iter().map(String::as_str);
    let name = named
        .find(|name| wanted.clusters.contains_key(*name) && !next.clusters.contains_key(*name))?;
    Some((Kind::Cluster, name, Some(HOLD)))
}

/// Keeps routes that are wanted no longer while a listener in force names them.
fn keep_routes(wanted: &Resources, old: &Resources, next: &mut Resources) {
    for listener in next.listeners.values() {
        for need in &listener.needs.discovered {
            let name = need.name.as_str();
            if let (false, Some(routes)) = (wanted.routes.contains_key(name), old.routes.get(name))
            {
                next.routes.insert(Arc::clone(&routes.name), routes.clone());
            }
        }
    }
}

/// The load assignments of the clusters in force: the newest that there is.
fn endpoints(wanted: &Resources, old: &Resources, next: &mut Resources) {
    for cluster in next.clusters.values() {
        for need in &cluster.needs.discovered {
            let name = need.name.as_str();
            let chosen = match (old.endpoints.get(name), wanted.endpoints.get(name)) {
                (Some(old), Some(wanted)) if old.says_the_same(wanted) => Some(old),
                (old, wanted) => wanted.or(old),
            };
            if let Some(chosen) = chosen {
                let name = Arc::clone(&chosen.name);
                next.endpoints.insert(name, chosen.clone());
            }
        }
    }
}

/// Whether two sets hold the very same messages.
fn same<M>(one: &BTreeMap<Arc<str>, Resource<M>>, two: &BTreeMap<Arc<str>, Resource<M>>) -> bool {
    one.len() == two.len()
        && one.iter().zip(two).all(|((name, one), (other, two))| {
            name == other && Arc::ptr_eq(&one.message, &two.message)
        })
}

#[cfg(test)]
mod tests;
