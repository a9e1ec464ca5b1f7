//! Every group of the process.

use std::{
    any::TypeId,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Group, Metrics};

/// What a set of metrics belongs to, such as `cluster` `orders`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// What kind of thing: `cluster`, `listener`, `http`, `server`; or a pattern with a `*` for
    /// each name, such as `listener.*.http.*`.
    pub kind: &'static str,
    /// The names of the thing; none where there is only one.
    pub labels: Box<[Arc<str>]>,
}

impl Scope {
    /// The thing of this kind with these names, of which empty ones are left out.
    pub fn new(kind: &'static str, labels: &[&str]) -> Self {
        let labels = labels.iter().filter(|label| !label.is_empty());
        Self {
            kind,
            labels: labels.map(|label| Arc::from(*label)).collect(),
        }
    }

    /// The first name, or nothing.
    pub fn label(&self) -> &str {
        self.labels.first().map_or("", |label| label)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = self.labels.iter();
        for (at, part) in self.kind.split('*').enumerate() {
            if at > 0 {
                f.write_str(labels.next().map_or("", |label| label))?;
            }
            f.write_str(part)?;
        }
        labels.try_for_each(|label| write!(f, ".{label}"))
    }
}

/// Every group of the process. Written when configuration changes, read by the admin endpoint.
#[derive(Debug)]
pub struct Registry {
    shards: usize,
    groups: Mutex<HashMap<(Scope, TypeId), Arc<Group>>>,
}

impl Registry {
    /// A registry for `workers` workers and the control runtime.
    pub fn new(workers: usize) -> Self {
        Self {
            shards: workers + 1,
            groups: Mutex::default(),
        }
    }

    /// The group of `kind` and `label` with these metrics: the one that exists, or a new one.
    pub fn group<M: Metrics>(&self, kind: &'static str, label: &str) -> Arc<Group> {
        self.group_of::<M>(Scope::new(kind, &[label]))
    }

    /// The group of a scope with these metrics: the one that exists, or a new one.
    pub fn group_of<M: Metrics>(&self, scope: Scope) -> Arc<Group> {
        let mut groups = self.lock();
        let new = || Arc::new(Group::new::<M>(scope.clone(), self.shards));
        let group = groups.entry((scope.clone(), TypeId::of::<M>()));
        Arc::clone(group.or_insert_with(new))
    }

    /// The same, but a new one only as long as there are fewer than `most` of those that `counts`
    /// says to count.
    pub fn group_within<M: Metrics>(
        &self,
        scope: Scope,
        most: usize,
        counts: impl Fn(&Scope) -> bool,
    ) -> Option<Arc<Group>> {
        let mut groups = self.lock();
        let key = (scope, TypeId::of::<M>());
        if let Some(group) = groups.get(&key) {
            return Some(Arc::clone(group));
        }
        if groups.keys().filter(|(scope, _)| counts(scope)).count() >= most {
            return None;
        }
        let group = Arc::new(Group::new::<M>(key.0.clone(), self.shards));
        groups.insert(key, Arc::clone(&group));
        Some(group)
    }

    /// Every group, in the order of its scope.
    pub fn groups(&self) -> Vec<Arc<Group>> {
        let mut groups: Vec<_> = self.lock().values().cloned().collect();
        groups.sort_by(|a, b| a.scope().cmp(b.scope()));
        groups
    }

    /// Forgets the groups of these kinds that nothing counts in any more: those of clusters,
    /// listeners and so on that are gone, as Envoy does. Their counts are lost.
    pub fn forget_unused(&self, kinds: &[&str]) {
        self.lock().retain(|(scope, _), group| {
            Arc::strong_count(group) > 1 || !kinds.contains(&scope.kind)
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Scope, TypeId), Arc<Group>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
