//! What is known of one subscription: what it holds, what it was told last, and how often.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use super::{Discovered, Resource, Response};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Everything of the kind.
    All,
    /// The resources of these names.
    Names(BTreeSet<Arc<str>>),
}

/// One subscription: the resources that it holds, and the response that is being judged.
///
/// Each response goes the same way: [`Self::attempt`], then [`Self::offer`], and when the
/// resources have been judged [`Self::conclude`]. One that cannot be read goes to
/// [`Self::failed`], one that is refused for what it says before there are resources to
/// [`Self::rejected`]. What is held changes only in `conclude`.
#[derive(Clone, Debug)]
pub struct Subscription<M> {
    interest: Interest,
    version: Arc<str>,
    held: BTreeMap<Arc<str>, Held<M>>,
    offered: Option<Offered<M>>,
    failures: BTreeMap<Arc<str>, Failure<M>>,
    failure: Option<Failure<M>>,
    counts: Counts,
    answered: bool,
    updated: Option<SystemTime>,
}

/// A resource that was accepted.
#[derive(Clone, Debug)]
pub struct Held<M> {
    /// The resource.
    pub resource: Resource<M>,
    /// When what it says was accepted.
    pub since: SystemTime,
}

/// Why something is not in force.
#[derive(Clone, Debug)]
pub struct Failure<M> {
    /// The resource that was refused; `None` where there was none to be read.
    pub resource: Option<Resource<M>>,
    /// When.
    pub at: SystemTime,
    /// Every reason, each on a line of its own.
    pub details: String,
    /// The version of the response; empty where there was none to be read.
    pub version: Arc<str>,
}

/// What a response would change.
#[derive(Clone, Debug)]
#[must_use]
pub struct Update<M> {
    /// New resources, and those that say something else now.
    pub changed: Vec<Resource<M>>,
    /// Names of resources that are no more.
    pub removed: Vec<Arc<str>>,
    /// How many say what they said before.
    pub unchanged: usize,
}

impl<M> Update<M> {
    /// Whether everything stays as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// How a response was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is taken.
    Accepted,
    /// None of it is taken, for these reasons: the rule for files.
    Refused(String),
    /// The named resources are refused, each with its reasons, and keep what they were; the
    /// others are taken: the rule for LDS and CDS on the network.
    Partly(BTreeMap<Arc<str>, String>),
}

/// What has been counted, with Envoy's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `update_attempt`: responses that were looked for.
    pub attempt: u64,
    /// `update_success`: responses that were accepted whole.
    pub success: u64,
    /// `update_rejected`: responses that were refused for what they say, whole or in part.
    pub rejected: u64,
    /// `update_failure`: responses that could not be had or read.
    pub failure: u64,
    /// `update_no_rebuild`: accepted responses that changed nothing.
    pub no_rebuild: u64,
}

#[derive(Clone, Debug)]
struct Offered<M> {
    version: Arc<str>,
    update: Update<M>,
}

impl<M: Discovered> Subscription<M> {
    /// A subscription that has not been answered yet.
    #[must_use]
    pub fn new(interest: Interest) -> Self {
        Self {
            interest,
            version: "".into(),
            held: BTreeMap::new(),
            offered: None,
            failures: BTreeMap::new(),
            failure: None,
            counts: Counts::default(),
            answered: false,
            updated: None,
        }
    }

    /// Notes that a response is being looked for.
    pub fn attempt(&mut self) {
        self.counts.attempt += 1;
    }

    /// Compares a response with what is held. Resources that nobody asked for are left out.
    ///
    /// Nothing changes until the update is judged; an earlier one that was not is forgotten.
    pub fn offer(&mut self, response: &Response<M>) -> Update<M> {
        let mut update = Update {
            changed: Vec::new(),
            removed: Vec::new(),
            unchanged: 0,
        };
        let mut named = BTreeSet::new();
        for resource in &response.resources {
            if !self.wants(&resource.name) {
                continue;
            }
            named.insert(&resource.name);
            let held = self.held.get(&resource.name);
            match held.is_some_and(|held| held.resource.says_the_same(resource)) {
                true => update.unchanged += 1,
                false => update.changed.push(resource.clone()),
            }
        }
        let gone = |name: &&Arc<str>| match response.is_whole {
            true => !named.contains(name),
            false => response.removed.contains(name),
        };
        update.removed = self.held.keys().filter(gone).cloned().collect();
        self.offered = Some(Offered {
            version: Arc::clone(&response.version),
            update: update.clone(),
        });
        update
    }

    /// Judges the response that was offered last, and takes of it what is accepted.
    ///
    /// Without an offer nothing happens.
    pub fn conclude(&mut self, verdict: Verdict, now: SystemTime) {
        let Some(Offered { version, update }) = self.offered.take() else {
            return;
        };
        self.answered = true;
        let refused = match verdict {
            Verdict::Accepted => BTreeMap::new(),
            Verdict::Partly(refused) => refused,
            Verdict::Refused(details) => return self.refuse(&version, update, &details, now),
        };
        match refused.is_empty() {
            true => {
                self.counts.success += 1;
                self.counts.no_rebuild += u64::from(update.is_empty());
                // The version in force is the last one that was accepted whole.
                self.version = Arc::clone(&version);
            }
            false => self.counts.rejected += 1,
        }
        self.failure = None;
        self.failures.clear();
        self.updated = Some(now);
        for name in &update.removed {
            self.held.remove(name);
        }
        for resource in update.changed {
            let name = Arc::clone(&resource.name);
            match refused.get(&name) {
                Some(details) => {
                    self.fail(name, Some(resource), &version, details, now);
                }
                None => {
                    self.held.insert(
                        name,
                        Held {
                            resource,
                            since: now,
                        },
                    );
                }
            }
        }
    }

    /// Notes a response that could not be had or read. What is held stays.
    pub fn failed(&mut self, details: impl Into<String>, now: SystemTime) {
        self.counts.failure += 1;
        self.note(details.into(), now);
    }

    /// Notes a response that was refused before there were resources to be judged. What is held
    /// stays.
    pub fn rejected(&mut self, details: impl Into<String>, now: SystemTime) {
        self.counts.rejected += 1;
        self.note(details.into(), now);
    }

    /// What is asked for.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The version that was last accepted whole; empty before.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// What is held, by name.
    #[must_use]
    pub fn held(&self) -> &BTreeMap<Arc<str>, Held<M>> {
        &self.held
    }

    /// Why the last response was refused whole or could not be read; `None` when it was taken.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure<M>> {
        self.failure.as_ref()
    }

    /// Why single resources of the last response were refused, by name.
    #[must_use]
    pub fn failures(&self) -> &BTreeMap<Arc<str>, Failure<M>> {
        &self.failures
    }

    /// What has been counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether there was any answer, good or bad: from then on nobody waits for the first one.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// When a response was last taken.
    #[must_use]
    pub fn updated(&self) -> Option<SystemTime> {
        self.updated
    }

    fn wants(&self, name: &str) -> bool {
        match &self.interest {
            Interest::All => true,
            Interest::Names(names) => names.contains(name),
        }
    }

    /// Refuses a response whole: each resource that it would have changed says why it did not.
    fn refuse(&mut self, version: &Arc<str>, update: Update<M>, details: &str, now: SystemTime) {
        self.counts.rejected += 1;
        self.failures.clear();
        self.failure = Some(Failure {
            resource: None,
            at: now,
            details: details.to_owned(),
            version: Arc::clone(version),
        });
        for resource in update.changed {
            let name = Arc::clone(&resource.name);
            self.fail(name, Some(resource), version, details, now);
        }
    }

    fn fail(
        &mut self,
        name: Arc<str>,
        resource: Option<Resource<M>>,
        version: &Arc<str>,
        details: &str,
        now: SystemTime,
    ) {
        let failure = Failure {
            resource,
            at: now,
            details: details.to_owned(),
            version: Arc::clone(version),
        };
        self.failures.insert(name, failure);
    }

    fn note(&mut self, details: String, now: SystemTime) {
        self.answered = true;
        self.offered = None;
        self.failures.clear();
        self.failure = Some(Failure {
            resource: None,
            at: now,
            details,
            version: "".into(),
        });
    }
}

#[cfg(test)]
mod tests;
