//! STRICT_DNS: names looked up again and again; every address is a host.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, task::AbortHandle};

use crate::compile::{ClusterPlan, Target};

/// The longest that the first look-up of its names may keep a cluster out of force.
pub(crate) const FIRST: Duration = Duration::from_secs(5);

/// Addresses taken of one name.
const MAX_ADDRESSES: usize = 1024;

/// Answers that wait to be taken; who looks names up waits for room.
const ANSWERS: usize = 64;

/// What the names of a cluster's endpoints were found to mean.
pub(crate) type Found = BTreeMap<Target, Arc<[SocketAddr]>>;

/// What was found for a cluster.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) cluster: Arc<str>,
    pub(crate) found: Found,
}

/// Looks the names of clusters up.
#[derive(Debug)]
pub(crate) struct Resolvers {
    running: HashMap<Arc<str>, Resolver>,
    answers: mpsc::Sender<Answer>,
}

/// One cluster's names being looked up; not any more when dropped.
#[derive(Debug)]
struct Resolver {
    plan: Arc<ClusterPlan>,
    task: AbortHandle,
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Resolvers {
    /// No cluster yet, and where its answers will come.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Answer>) {
        let (answers, inbox) = mpsc::channel(ANSWERS);
        let running = HashMap::new();
        (Self { running, answers }, inbox)
    }

    /// Looks the names of these clusters up from now on, and of no others.
    pub(crate) fn follow(&mut self, plans: &[Arc<ClusterPlan>]) {
        let wanted = |resolver: &Resolver| {
            let mut plans = plans.iter();
            plans.any(|plan| Arc::ptr_eq(plan, &resolver.plan))
        };
        self.running.retain(|_, resolver| wanted(resolver));
        for plan in plans {
            if self.running.contains_key(&plan.name) {
                continue;
            }
            let task = tokio::spawn(run(Arc::clone(plan), self.answers.clone()));
            let resolver = Resolver {
                plan: Arc::clone(plan),
                task: task.abort_handle(),
            };
            self.running.insert(Arc::clone(&plan.name), resolver);
        }
    }
}

/// Looks every name up, for ever; tells what differs from what was told before.
async fn run(plan: Arc<ClusterPlan>, answers: mpsc::Sender<Answer>) {
    let mut told = None;
    let mut found = Found::new();
    loop {
        for target in plan.names() {
            let Target::Name(name, port) = target else {
                continue;
            };
            match tokio::net::lookup_host((name.as_ref(), *port)).await {
                Ok(addresses) => {
                    let mut addresses: Vec<_> = taken(addresses).collect();
                    addresses.sort();
                    addresses.dedup();
                    found.insert(target.clone(), addresses.into());
                }
                Err(error) => {
                    tracing::warn!(cluster = %plan.name, "cannot resolve {name}: {error}");
                    // The last known addresses are better than none.
                    found.entry(target.clone()).or_insert_with(|| [].into());
                }
            }
        }
        if told.as_ref() != Some(&found) {
            let hosts: usize = found.values().map(|addresses| addresses.len()).sum();
            tracing::info!(cluster = %plan.name, hosts, "resolved");
            told = Some(found.clone());
            let answer = Answer {
                cluster: Arc::clone(&plan.name),
                found: found.clone(),
            };
            if answers.send(answer).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(plan.refresh).await;
    }
}

/// As many addresses of a name as become hosts.
fn taken(addresses: impl Iterator<Item = SocketAddr>) -> impl Iterator<Item = SocketAddr> {
    addresses.take(MAX_ADDRESSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../docs/limits.md");

    #[test]
    fn a_name_gives_so_many_hosts() {
        let many = (0..5000_u32).map(|n| SocketAddr::new(n.to_be_bytes().into(), 80));
        assert_eq!(taken(many.clone()).count(), 1024);
        assert_eq!(taken(many.take(3)).count(), 3);
        assert!(DOCS.contains("| addresses taken of one DNS name | 1024 |"));
    }

    #[test]
    fn a_first_look_up_is_waited_for_as_long_as_the_docs_say() {
        assert_eq!(FIRST, Duration::from_secs(5));
        assert!(DOCS.contains("| the first DNS look-up | 5 s |"));
    }
}
