//! Resources from files: which are to be read, what they say, and what becomes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::SystemTime,
};

use super::{
    Demands, Discovered, FileSource, Interest, Kind, Options, Resources, Response, Subscription,
    Subscriptions, Text, Update, Verdict, Watch, demands,
};
use crate::{Note, Problem, Unused, bootstrap::Loaded};

/// Who compiles resources and brings them into force.
pub trait Judge {
    /// What is wanted now.
    fn wanted(&self) -> &Resources;

    /// What would be wanted with an update.
    ///
    /// # Errors
    /// Everything for which it has to be refused.
    fn consider<M: Discovered>(&mut self, update: &Update<M>) -> Result<Resources, Vec<Problem>>;

    /// Wants these resources from now on. They come of [`Self::consider`], but for some that
    /// nothing names any more.
    fn want(&mut self, resources: Resources);
}

/// Every subscription to a file.
///
/// A file is refused whole: when anything of it is wrong, what it said before stays in force.
/// Several subscriptions of one kind may share one file. Who waits for a first answer waits for a
/// good one: files that are moved one after the other may come in any order. (Envoy goes on without
/// when the first file is refused.)
#[derive(Debug)]
pub struct Feed {
    options: Options,
    listeners: Option<FileSource>,
    clusters: Option<FileSource>,
    subscriptions: Subscriptions,
    demands: Demands,
    said: BTreeMap<Place, Said>,
}

/// A file, and what is read from it. They are read in this order.
type Place = (Kind, FileSource);

/// What was found in a file when it was last read.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Why it is refused; empty where it is not.
    pub problems: Vec<Problem>,
    /// Fields that are set and not acted upon.
    pub unused: Vec<Unused>,
    /// Remarks on how something was read.
    pub notes: Vec<Note>,
    /// What stood there.
    fingerprint: Option<super::Fingerprint>,
}

/// What became of a file that was read.
#[derive(Clone, Debug)]
pub struct Report {
    /// What is in it.
    pub kind: Kind,
    /// Where.
    pub source: FileSource,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a file.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It says what it said before.
    Unchanged,
    /// It is taken.
    Accepted {
        /// Its `version_info`.
        version: Arc<str>,
        /// Names of resources that are new or say something else now.
        changed: Vec<Arc<str>>,
        /// Names of resources that are gone.
        removed: Vec<Arc<str>>,
        /// Those of `changed` that stand in the bootstrap too, which has the last word.
        shadowed: Vec<Arc<str>>,
        /// Names of resources that nobody asked for.
        unasked: Vec<Arc<str>>,
    },
    /// It is refused, at least for some of those who ask.
    Refused(Vec<Problem>),
}

impl Feed {
    /// The subscriptions that a bootstrap asks for. Nothing is read yet.
    ///
    /// # Errors
    /// When a source is none that can be read; a file has to be there, as in Envoy.
    pub fn new(loaded: &Loaded, options: Options) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let given = loaded.bootstrap.dynamic_resources.as_ref();
        let mut source = |field: &str, source| {
            let path = format!("dynamic_resources.{field}");
            let source = FileSource::of(source)
                .map_err(|error| loaded.problem(&path, error.to_string(), error.cure()))
                .and_then(|source| match source.path.metadata() {
                    Ok(_) => Ok(source),
                    Err(error) => {
                        let reason = format!("{} cannot be read: {error}", source.path.display());
                        Err(loaded.problem(&path, reason, ""))
                    }
                });
            source.map_err(|problem| problems.push(problem)).ok()
        };
        let listeners = given.and_then(|given| given.lds_config.as_ref());
        let clusters = given.and_then(|given| given.cds_config.as_ref());
        let listeners = listeners.and_then(|given| source("lds_config", given));
        let clusters = clusters.and_then(|given| source("cds_config", given));
        if !problems.is_empty() {
            return Err(problems);
        }
        let subscriptions = Subscriptions {
            listeners: listeners
                .is_some()
                .then(|| Subscription::new(Interest::All)),
            clusters: clusters.is_some().then(|| Subscription::new(Interest::All)),
            ..Subscriptions::default()
        };
        Ok(Self {
            options,
            listeners,
            clusters,
            subscriptions,
            demands: Demands::new(),
            said: BTreeMap::new(),
        })
    }

    /// Reads everything for the first time, also what the bootstrap's own resources name.
    ///
    /// # Errors
    /// When those name what cannot be read.
    pub fn start(
        &mut self,
        judge: &mut impl Judge,
        now: SystemTime,
    ) -> Result<Vec<Report>, Vec<Problem>> {
        self.demands = demands(judge.wanted())?;
        let mut due = self.new_places();
        let clusters = self.clusters.iter().map(|it| (Kind::Cluster, it.clone()));
        let listeners = self.listeners.iter().map(|it| (Kind::Listener, it.clone()));
        due.extend(clusters.chain(listeners));
        Ok(self.work(due, judge, now))
    }

    /// Reads these files again, and those that are asked for because of what they say. Clusters
    /// come first, then endpoints, listeners and routes.
    ///
    /// [`Self::sources`] may be others afterwards.
    pub fn read(
        &mut self,
        files: &BTreeSet<FileSource>,
        judge: &mut impl Judge,
        now: SystemTime,
    ) -> Vec<Report> {
        let places = self.places().into_iter();
        let due = places.filter(|(_, source)| files.contains(source));
        let due = due.collect();
        self.work(due, judge, now)
    }

    /// Every file that is to be watched.
    #[must_use]
    pub fn sources(&self) -> BTreeSet<FileSource> {
        let places = self.places().into_iter();
        places.map(|(_, source)| source).collect()
    }

    /// The subscriptions.
    #[must_use]
    pub fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    /// Who asks for route configurations and load assignments.
    #[must_use]
    pub fn demands(&self) -> &Demands {
        &self.demands
    }

    /// What was found in each file when it was last read, by what is in it and where it is.
    pub fn said(&self) -> impl Iterator<Item = (&(Kind, FileSource), &Said)> {
        self.said.iter()
    }

    /// Those of these files that say something else than when they were read last.
    #[must_use]
    pub fn stale(&self, files: &BTreeSet<FileSource>) -> BTreeSet<FileSource> {
        let said = self.said.iter();
        let said = said.filter(|((_, source), _)| files.contains(source));
        let said = said.filter(|((_, source), said)| {
            let now = Text::load(&source.path).ok();
            now.as_ref().map(Text::fingerprint) != said.fingerprint
        });
        said.map(|((_, source), _)| source.clone()).collect()
    }

    fn places(&self) -> BTreeSet<Place> {
        let demands = self.demands.iter();
        let demands = demands.map(|((kind, _), demand)| (*kind, demand.source.clone()));
        let clusters = self.clusters.iter().map(|it| (Kind::Cluster, it.clone()));
        let listeners = self.listeners.iter().map(|it| (Kind::Listener, it.clone()));
        demands.chain(clusters).chain(listeners).collect()
    }

    /// Subscribes to what is asked for now. Where new subscriptions are to be answered from.
    fn new_places(&mut self) -> BTreeSet<Place> {
        let new = self.subscriptions.follow(&self.demands);
        let places = new.into_iter().filter_map(|(kind, name)| {
            let demand = self.demands.get(&(kind, name))?;
            Some((kind, demand.source.clone()))
        });
        places.collect()
    }

    /// Reads until nothing is left to be read. It ends: what is read is asked for by clusters and
    /// listeners, of which each file is read once.
    fn work(
        &mut self,
        mut due: BTreeSet<Place>,
        judge: &mut impl Judge,
        now: SystemTime,
    ) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some((kind, source)) = due.pop_first() {
            let mut turn = Turn {
                kind,
                source: &source,
                options: &self.options,
                demands: &mut self.demands,
                said: self.said.entry((kind, source.clone())).or_default(),
                judge,
                now,
            };
            let all = &mut self.subscriptions;
            let outcome = match kind {
                Kind::Cluster => turn.read(all.clusters.iter_mut()),
                Kind::Listener => turn.read(all.listeners.iter_mut()),
                Kind::Endpoints => turn.read(all.endpoints.values_mut()),
                Kind::Routes => turn.read(all.routes.values_mut()),
            };
            if matches!(kind, Kind::Cluster | Kind::Listener) {
                due.extend(self.new_places());
            }
            let report = outcome.map(|outcome| Report {
                kind,
                source,
                outcome,
            });
            reports.extend(report);
        }
        let places = self.places();
        self.said.retain(|place, _| places.contains(place));
        reports
    }
}

/// One file being read.
struct Turn<'a, J> {
    kind: Kind,
    source: &'a FileSource,
    options: &'a Options,
    demands: &'a mut Demands,
    said: &'a mut Said,
    judge: &'a mut J,
    now: SystemTime,
}

impl<J: Judge> Turn<'_, J> {
    /// Answers those of these subscriptions that the file is for. `None` where there are none any
    /// more, or a file that is read at intervals is what it was.
    fn read<'s, M: Discovered>(
        &mut self,
        subscriptions: impl Iterator<Item = &'s mut Subscription<M>>,
    ) -> Option<Outcome> {
        let mut asking: Vec<_> = subscriptions.filter(|it| self.concerns(it)).collect();
        if asking.is_empty() {
            return None;
        }
        let text = Text::load(&self.source.path);
        let fingerprint = text.as_ref().ok().map(Text::fingerprint);
        let is_known = fingerprint.is_some() && fingerprint == self.said.fingerprint;
        let is_polled = matches!(self.source.watch, Watch::Interval(_));
        if is_known && is_polled && asking.iter().all(|it| it.is_answered()) {
            return None;
        }
        *self.said = Said {
            fingerprint,
            ..Said::default()
        };
        asking.iter_mut().for_each(|it| it.attempt());
        let outcome = match text.map(|text| text.parse::<M>(self.options)) {
            Ok(Ok(response)) => self.answer(&mut asking, response),
            Ok(Err(rejected)) => {
                let details = rejected.to_string();
                for subscription in &mut asking {
                    subscription.rejected(details.as_str(), self.now);
                }
                self.said.unused = rejected.unused;
                Outcome::Refused(rejected.problems)
            }
            Err(rejected) => {
                let details = rejected.to_string();
                for subscription in &mut asking {
                    subscription.failed(details.as_str(), self.now);
                }
                Outcome::Refused(rejected.problems)
            }
        };
        if let Outcome::Refused(problems) = &outcome {
            self.said.problems.clone_from(problems);
        }
        Some(outcome)
    }

    /// Whether a subscription is to be answered from this file.
    fn concerns<M: Discovered>(&self, subscription: &Subscription<M>) -> bool {
        let Interest::Names(names) = subscription.interest() else {
            return true;
        };
        let mut demands = names.iter().filter_map(|name| {
            let key = (self.kind, Arc::clone(name));
            self.demands.get(&key)
        });
        demands.any(|demand| demand.source == *self.source)
    }

    fn answer<M: Discovered>(
        &mut self,
        asking: &mut [&mut Subscription<M>],
        response: Response<M>,
    ) -> Outcome {
        let mut whole = Update {
            changed: Vec::new(),
            removed: Vec::new(),
            unchanged: 0,
        };
        let mut problems = Vec::new();
        for subscription in &mut *asking {
            if let Some(reason) = lacks(subscription, &response) {
                let at = response.positions.locate("resources");
                let problem = Problem {
                    at,
                    path: "resources".to_owned(),
                    reason,
                    cure: String::new(),
                };
                subscription.rejected(problem.to_string(), self.now);
                problems.push(problem);
                continue;
            }
            let update = subscription.offer(&response);
            whole.changed.extend(update.changed);
            whole.removed.extend(update.removed);
            whole.unchanged += update.unchanged;
        }
        let verdict = match whole.is_empty() {
            true => Verdict::Accepted,
            false => self.judge(&whole, &mut problems),
        };
        for subscription in &mut *asking {
            subscription.conclude(verdict.clone(), self.now);
        }
        let unasked = unasked(asking, &response);
        self.said.unused = response.unused;
        self.said.notes = response.notes;
        if !problems.is_empty() {
            return Outcome::Refused(problems);
        }
        if whole.is_empty() {
            return Outcome::Unchanged;
        }
        let changed = whole.changed.into_iter().map(|resource| resource.name);
        let changed: Vec<Arc<str>> = changed.collect();
        let is_static = |name: &&Arc<str>| {
            let resource = M::among(self.judge.wanted()).get(*name);
            resource.is_some_and(|resource| !resource.origin.is_dynamic())
        };
        Outcome::Accepted {
            version: response.version,
            shadowed: changed.iter().filter(is_static).cloned().collect(),
            changed,
            removed: whole.removed,
            unasked,
        }
    }

    /// Wants what a file says, if it can be compiled and all that it names can be asked for.
    fn judge<M: Discovered>(&mut self, update: &Update<M>, problems: &mut Vec<Problem>) -> Verdict {
        let considered = self.judge.consider(update).and_then(|mut resources| {
            let demands = demands(&resources)?;
            resources.forget_unasked(&demands);
            Ok((resources, demands))
        });
        match considered {
            Ok((resources, demands)) => {
                self.judge.want(resources);
                *self.demands = demands;
                Verdict::Accepted
            }
            Err(found) => {
                let details: Vec<_> = found.iter().map(ToString::to_string).collect();
                problems.extend(found);
                Verdict::Refused(details.join("\n"))
            }
        }
    }
}

/// Why a response is no answer to a subscription.
fn lacks<M: Discovered>(subscription: &Subscription<M>, response: &Response<M>) -> Option<String> {
    match subscription.interest() {
        Interest::All => None,
        Interest::Names(names) => names.iter().find_map(|name| response.lacks(name)),
    }
}

/// Names that nobody asked for.
fn unasked<M: Discovered>(
    asking: &[&mut Subscription<M>],
    response: &Response<M>,
) -> Vec<Arc<str>> {
    let mut asked = BTreeSet::new();
    for subscription in asking {
        match subscription.interest() {
            Interest::All => return Vec::new(),
            Interest::Names(names) => asked.extend(names),
        }
    }
    let names = response.resources.iter().map(|resource| &resource.name);
    names
        .filter(|name| !asked.contains(name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
