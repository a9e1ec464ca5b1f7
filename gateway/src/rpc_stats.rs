//! Metrics of each service and method of RPC, `rpc.<stat_prefix>.<service>.<method>.…`.
//!
//! Callers choose these names, so there are only so many pairs (`crossdock.rpc_pairs`): a pair is learnt
//! from a call that a host has served, and every other call counts for the pair `other`. A worker finds
//! the pairs that it knows without a lock and without an allocation.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    sync::{Arc, Weak},
};

use crossdock_framework::{
    log::{AccessLog, Record},
    metrics,
    stats::{Group, Registry, Scope, Shard},
    status::Class,
};

/// What the pairs belong to: a `stat_prefix`, a service and a method.
pub(crate) const KIND: &str = "rpc.*.*.*";

/// The service and method of all calls whose own are not told apart.
const OTHER: &str = "other";

/// The longest name that is told.
const LONGEST: usize = 256;

metrics! {
    /// Metrics of one method of a service: each call counts for how it ended.
    pub(crate) enum RpcMetric {
        /// Calls that worked.
        counter Ok = "rq_ok",
        /// Calls that worked and whose service threw.
        counter Business = "rq_business_exception",
        /// Calls that were wrong.
        counter Client = "rq_client_error",
        /// Calls of what is not there.
        counter NotFound = "rq_not_found",
        /// Calls refused for want of capacity.
        counter Overload = "rq_overload",
        /// Calls without an answer in time.
        counter Timeout = "rq_timeout",
        /// Calls that could not be served.
        counter Unavailable = "rq_unavailable",
        /// Calls that could not be understood.
        counter Codec = "rq_codec",
        /// Milliseconds from the end of a request to the end of its answer.
        histogram Time = "rq_time",
    }
}

impl RpcMetric {
    fn of(class: Class) -> Self {
        match class {
            Class::Ok => Self::Ok,
            Class::Business => Self::Business,
            Class::Client => Self::Client,
            Class::NotFound => Self::NotFound,
            Class::Overload => Self::Overload,
            Class::Timeout => Self::Timeout,
            Class::Unavailable => Self::Unavailable,
            Class::Codec => Self::Codec,
        }
    }
}

/// Counts the calls of one connection manager by service and method.
#[derive(Debug)]
pub(crate) struct RpcStats {
    registry: Arc<Registry>,
    prefix: Arc<str>,
    pairs: usize,
    other: Arc<Group>,
}

impl RpcStats {
    /// Counts calls under `prefix`, for `pairs` pairs at most in all of the process.
    pub(crate) fn new(registry: &Arc<Registry>, prefix: &str, pairs: usize) -> Self {
        let other = Scope::new(KIND, &[prefix, OTHER, OTHER]);
        Self {
            registry: Arc::clone(registry),
            prefix: prefix.into(),
            pairs,
            other: registry.group_of::<RpcMetric>(other),
        }
    }

    /// Does something with the pair of a call if it is among those that were asked for lately: a call
    /// is mostly of few methods, and comparing names costs less than a hash that nobody can guess.
    fn seen_lately<R>(
        &self,
        service: &str,
        method: &str,
        then: impl FnOnce(&Group) -> R,
    ) -> Option<R> {
        KNOWN.with_borrow(|known| {
            if known.registry.as_ptr() != Arc::as_ptr(&self.registry) {
                return None;
            }
            let group = known.lately.get(place(service, method))?.as_deref()?;
            is_named(group, [&*self.prefix, service, method]).then(|| then(group))
        })
    }

    /// The pair of a call, which is learnt if a host has `served` it.
    fn pair(&self, service: &str, method: &str, served: bool) -> Arc<Group> {
        let names = [&*self.prefix, service, method];
        KNOWN.with_borrow_mut(|known| {
            known.belong_to(&self.registry);
            let hash = known.hash(names);
            if let Some(group) = known.groups.get(&hash) {
                // Another pair may have the same hash.
                if !is_named(group, names) {
                    return Arc::clone(&self.other);
                }
                let group = Arc::clone(group);
                known.remember(place(service, method), &group);
                return group;
            }
            let learnable = served && is_plain(service) && is_plain(method);
            if !learnable || known.full {
                return Arc::clone(&self.other);
            }
            let scope = Scope::new(KIND, &names);
            // `other` of each connection manager is beside the limit.
            match self
                .registry
                .group_within::<RpcMetric>(scope, self.pairs, is_pair)
            {
                Some(group) => {
                    known.groups.insert(hash, Arc::clone(&group));
                    group
                }
                None => {
                    known.learn_all(&self.registry);
                    let found = known.groups.get(&hash);
                    Arc::clone(found.unwrap_or(&self.other))
                }
            }
        })
    }
}

impl AccessLog for RpcStats {
    fn log(&self, record: &Record<'_>) {
        let (service, method) = (record.request.service(), record.request.method());
        let framed = || !record.request.protocol().starts_with("HTTP/");
        let (service, method) = match (service, method) {
            (Some(service), Some(method)) => (service, method),
            // What cannot be read is a call of RPC all the same.
            _ if framed() => (OTHER.into(), OTHER.into()),
            _ => return,
        };
        let well = matches!(record.class, Class::Ok | Class::Business);
        let served = well && record.cause.is_none() && record.upstream.is_some();
        let found = self.seen_lately(&service, &method, |group| count(group, record));
        if found.is_none() {
            count(&self.pair(&service, &method, served), record);
        }
    }

    fn reads_answers(&self) -> bool {
        false
    }
}

fn count(group: &Group, record: &Record<'_>) {
    let shard = Shard::current();
    group.inc(shard, RpcMetric::of(record.class));
    let micros = u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX);
    group.record(shard, RpcMetric::Time, micros);
}

/// Whether a group is a pair of its own, and not what all others count for.
fn is_pair(scope: &Scope) -> bool {
    scope.kind == KIND && scope.labels.iter().skip(1).any(|label| **label != *OTHER)
}

fn is_named(group: &Group, names: [&str; 3]) -> bool {
    group.scope().labels.iter().map(|label| &**label).eq(names)
}

/// Whether a name can stand in a line of text.
fn is_plain(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// The pairs that a worker knows.
#[derive(Default)]
struct Known {
    /// Whose pairs they are: there is one registry in a process, and many in its tests.
    registry: Weak<Registry>,
    /// Not to be guessed, because callers choose the names.
    seed: RandomState,
    groups: HashMap<u64, Arc<Group>, BuildHasherDefault<Hashed>>,
    /// Some of them, by [`place`].
    lately: Vec<Option<Arc<Group>>>,
    /// There are as many pairs as there may be, and all of them are known.
    full: bool,
}

/// How many pairs are found without a hash.
const LATELY: usize = 64;

/// Where a pair stands among those that were asked for lately, if it does.
fn place(service: &str, method: &str) -> usize {
    let last = |name: &str| name.bytes().next_back().map_or(0, usize::from);
    let first = method.bytes().next().map_or(0, usize::from);
    let lengths = 5 * method.len() + 3 * service.len();
    (lengths + first + 7 * last(method) + 11 * last(service)) % LATELY
}

impl Known {
    fn belong_to(&mut self, registry: &Arc<Registry>) {
        if self.registry.as_ptr() != Arc::as_ptr(registry) {
            self.registry = Arc::downgrade(registry);
            self.groups.clear();
            self.lately.clear();
            self.full = false;
        }
    }

    fn remember(&mut self, place: usize, group: &Arc<Group>) {
        self.lately.resize(LATELY, None);
        if let Some(at) = self.lately.get_mut(place) {
            *at = Some(Arc::clone(group));
        }
    }

    fn hash(&self, names: [&str; 3]) -> u64 {
        self.seed.hash_one(names)
    }

    /// Takes over what other workers have learnt: there will be no more.
    fn learn_all(&mut self, registry: &Registry) {
        self.full = true;
        for group in registry.groups() {
            let labels: Vec<&str> = group.scope().labels.iter().map(|label| &**label).collect();
            if let (true, Ok(names)) = (is_pair(group.scope()), <[&str; 3]>::try_from(labels)) {
                let hash = self.hash(names);
                self.groups
                    .entry(hash)
                    .or_insert_with(|| Arc::clone(&group));
            }
        }
    }
}

/// A key that is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(group: &Group) -> String {
        group.scope().to_string()
    }

    #[test]
    fn pairs_are_learnt_from_calls_that_were_served() {
        let registry = Arc::new(Registry::new(1));
        let stats = RpcStats::new(&registry, "in", 10);
        let other = "rpc.in.other.other";
        assert_eq!(names(&stats.pair("a.B", "c", false)), other);
        assert_eq!(names(&stats.pair("a.B", "c", true)), "rpc.in.a.B.c");
        assert_eq!(names(&stats.pair("a.B", "c", false)), "rpc.in.a.B.c");
        for (service, method) in [("a\nB", "c"), ("a", ""), (&*"x".repeat(300), "c")] {
            assert_eq!(
                names(&stats.pair(service, method, true)),
                other,
                "{service}"
            );
        }
    }

    #[test]
    fn pairs_seen_lately_are_those_of_their_names() {
        let registry = Arc::new(Registry::new(1));
        let [one, two] = ["one", "two"].map(|prefix| RpcStats::new(&registry, prefix, 10_000));
        let lately = |stats: &RpcStats, method: &str| stats.seen_lately("s", method, names);
        assert_eq!(lately(&one, "a"), None);
        for _ in 0..2 {
            one.pair("s", "a", true);
        }
        assert_eq!(lately(&one, "a").as_deref(), Some("rpc.one.s.a"));
        assert_eq!(lately(&two, "a"), None, "another prefix");
        // More than there are places for: each finds its own or none.
        for method in 0..1000 {
            let method = format!("m{method}");
            for _ in 0..2 {
                one.pair("s", &method, true);
            }
            assert_eq!(lately(&one, &method), Some(format!("rpc.one.s.{method}")));
        }
        let other = Arc::new(Registry::new(1));
        assert_eq!(lately(&RpcStats::new(&other, "one", 10), "m999"), None);
    }

    #[test]
    fn there_are_as_many_pairs_as_there_may_be() {
        let registry = Arc::new(Registry::new(2));
        let [one, two] = ["one", "two"].map(|prefix| RpcStats::new(&registry, prefix, 3));
        // Another worker learns two.
        std::thread::scope(|scope| {
            scope.spawn(|| (one.pair("s", "a", true), one.pair("s", "b", true)));
        });
        assert_eq!(names(&two.pair("s", "a", true)), "rpc.two.s.a");
        for method in 0..1000 {
            let pair = two.pair("s", &format!("m{method}"), true);
            assert_eq!(names(&pair), "rpc.two.other.other");
        }
        // What the other worker knows is known here too.
        assert_eq!(names(&one.pair("s", "b", false)), "rpc.one.s.b");
        let all = registry.groups();
        let pairs = all.iter().filter(|group| is_pair(group.scope())).count();
        assert_eq!((pairs, all.len()), (3, 5));
    }
}
