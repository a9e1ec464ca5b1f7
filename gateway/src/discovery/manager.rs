//! The owner of all configuration: takes what is new, and brings it into force.

use std::{
    collections::BTreeSet,
    future::pending,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use crossdock_framework::{
    drain::DrainScope,
    metrics,
    stats::{Group, Shard},
    workers::Workers,
};
use crossdock_xds::discovery::{Feed, FileSource, Kind, Report};
use tokio::sync::mpsc;

use super::{Engine, counts::Tally, court::Court, engine::Settled, log::Log, watch::Watcher};
use crate::{
    dns::{Answer, Resolvers},
    listen::Site,
    listeners::{Listeners, Swept},
    server::{Discovered, Server},
};

/// How often connections are looked at that are being drained.
const SWEEP: Duration = Duration::from_millis(250);

/// How often files are read again that changed before they were watched. What is new the last time
/// is read when it changes once more.
const REREAD: usize = 8;

/// Looks, after a change, for metrics that nothing counts in any more: calls and connections hold
/// those of clusters that are gone for a while.
const LOOKS: u32 = 40;

/// Kinds of things that come and go, and their metrics with them, as in Envoy.
const GOING: [&str; 8] = [
    "cluster",
    "listener",
    "listener.*.http.*",
    "http",
    "tcp",
    "http.*.rds.*",
    "vhost.*.route.*",
    "vhost.*.vcluster.*",
];

metrics! {
    /// Metrics of the clusters as a whole, `cluster_manager.…`, named as Envoy does.
    pub(crate) enum ClustersMetric {
        /// Clusters that were added.
        counter Added = "cluster_added",
        /// Clusters that say something else now.
        counter Modified = "cluster_modified",
        /// Clusters that were removed.
        counter Removed = "cluster_removed",
        /// Clusters that wait for their hosts.
        gauge Warming = "warming_clusters",
    }
}

/// Owns the configuration.
#[derive(Debug)]
pub(crate) struct Manager {
    /// `None` while it is at work, and after it has panicked.
    desk: Option<Box<Desk>>,
    listeners: Listeners,
    watcher: Watcher,
    tally: Tally,
    log: Log,
    resolvers: Resolvers,
    answers: mpsc::Receiver<Answer>,
    server: Arc<Server>,
    workers: Arc<Workers>,
    clusters: Arc<Group>,
    wake_at: Option<Instant>,
    /// Something is being drained.
    drains: bool,
    /// How often metrics are still looked at that may be of no use.
    looks: u32,
    /// Something of the first configuration is not in force yet.
    waits: bool,
}

/// What takes time to work with.
#[derive(Debug)]
struct Desk {
    engine: Engine,
    feed: Feed,
}

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Event {
    /// Files are to be read again.
    Files(BTreeSet<FileSource>),
    /// DNS has answered.
    Resolved(Answer),
    /// The time is up that something waits for.
    Due,
    /// Connections may have ended that are being drained.
    Sweep,
}

impl Manager {
    /// Takes the addresses of all static listeners, or says of each why it cannot be had.
    ///
    /// # Errors
    ///
    /// Lines for the operator.
    pub(crate) fn new(
        engine: Engine,
        feed: Feed,
        server: &Arc<Server>,
        workers: &Arc<Workers>,
    ) -> Result<Self, Vec<String>> {
        let registry = &server.registry;
        let mut listeners = Listeners::new(registry, server.drain_time);
        let plans = engine.listeners_of(engine.wanted());
        let mut ports = listeners.ports();
        ports.reserve(plans.iter()).map_err(|reasons| {
            let reasons = reasons.into_iter();
            reasons.map(|(_, reason)| reason).collect::<Vec<_>>()
        })?;
        listeners.keep(ports);
        let (resolvers, answers) = Resolvers::new();
        Ok(Self {
            desk: Some(Box::new(Desk { engine, feed })),
            listeners,
            watcher: Watcher::new(),
            tally: Tally::new(registry),
            log: Log::default(),
            resolvers,
            answers,
            server: Arc::clone(server),
            workers: Arc::clone(workers),
            clusters: registry.group::<ClustersMetric>("cluster_manager", ""),
            wake_at: None,
            drains: false,
            looks: 0,
            waits: true,
        })
    }

    /// Waits for something to do. Loses nothing when dropped before.
    pub(crate) async fn next(&mut self) -> Event {
        let due = self.wake_at;
        let due = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        let drains = self.drains || self.looks > 0;
        let sweep = async {
            match drains {
                true => tokio::time::sleep(SWEEP).await,
                false => pending().await,
            }
        };
        tokio::select! {
            files = self.watcher.changed() => Event::Files(files),
            Some(answer) = self.answers.recv() => Event::Resolved(answer),
            () = due => Event::Due,
            () = sweep => Event::Sweep,
        }
    }

    /// Does what there is to do. To be run to its end.
    pub(crate) async fn handle(&mut self, event: Event) {
        match event {
            Event::Files(files) => {
                self.read(files).await;
                self.settle().await;
            }
            Event::Resolved(Answer { cluster, found }) => {
                if let Some(desk) = &mut self.desk {
                    desk.engine.take_found(cluster, found);
                }
                self.settle().await;
            }
            Event::Due => self.settle().await,
            Event::Sweep => {
                let Swept { gone, more } = self.listeners.sweep();
                self.drains = more;
                self.looks = self.looks.saturating_sub(1);
                self.server.registry.forget_unused(&GOING);
                if gone {
                    // The last connections of a filter chain have ended, and so has its policy.
                    self.settle().await;
                }
            }
        }
    }

    /// Reads everything that is to be discovered for the first time.
    ///
    /// # Errors
    ///
    /// Lines for the operator, when the bootstrap's own resources ask for what cannot be read.
    pub(crate) async fn start(&mut self) -> Result<(), Vec<String>> {
        let started = self.take(|feed, court| feed.start(court, SystemTime::now()));
        match started.await {
            Some(Ok(reports)) => {
                self.tell(&reports);
                self.watch().await;
                Ok(())
            }
            Some(Err(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
            None => Err(vec!["the configuration cannot be read".to_owned()]),
        }
    }

    /// Reads files again, and what they ask for.
    async fn read(&mut self, files: BTreeSet<FileSource>) {
        let read = self.take(move |feed, court| feed.read(&files, court, SystemTime::now()));
        if let Some(reports) = read.await {
            self.tell(&reports);
            self.watch().await;
        }
    }

    /// Watches what is to be watched by now. What changed between being read and being watched is
    /// read once more.
    async fn watch(&mut self) {
        for _ in 0..REREAD {
            let Some(desk) = &self.desk else { return };
            let new = self.watcher.watch(&desk.feed.sources());
            if new.is_empty() {
                return;
            }
            let read = self.take(move |feed, court| {
                let stale = feed.stale(&new);
                feed.read(&stale, court, SystemTime::now())
            });
            match read.await {
                Some(reports) => self.tell(&reports),
                None => return,
            }
        }
    }

    /// Lets files be read and judged; listeners get the addresses that they newly ask for.
    async fn take<T: Send + 'static>(
        &mut self,
        read: impl FnOnce(&mut Feed, &mut Court<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        let mut ports = self.listeners.ports();
        let (done, ports, plans) = self
            .work(move |Desk { engine, feed }| {
                let mut court = Court {
                    engine,
                    ports: Some(&mut ports),
                };
                let done = read(feed, &mut court);
                let plans = engine.listeners_of(engine.wanted());
                (done, ports, plans)
            })
            .await?;
        self.listeners.keep(ports);
        self.listeners.release(plans.iter());
        Some(done)
    }

    fn tell(&mut self, reports: &[Report]) {
        if let Some(desk) = &self.desk {
            self.log.tell(reports, &desk.feed);
            self.tally.tell(&desk.feed);
        }
    }

    /// Brings into force what may be, in an order in which nothing names what is not there.
    pub(crate) async fn settle(&mut self) {
        let Some(mut settled) = self.work(|desk| desk.engine.settle(now())).await else {
            return;
        };
        for cluster in &settled.unresolved {
            tracing::warn!(cluster = %cluster, "its names are not resolved yet; serving without");
        }
        self.wake_at = settled.wake_at;
        self.waits &= !settled.waiting.is_empty();
        self.resolvers.follow(&settled.by_name);
        // Before the first connection comes to a chain, its policy has to be there.
        if let Some(snapshot) = settled.snapshot.take() {
            self.server.live.publish(snapshot);
            self.looks = LOOKS;
        }
        let drains = self.listeners.apply(&settled.listeners);
        self.drains |= drains;
        if drains {
            self.workers.tell_drains().await;
        }
        self.workers.retire(Arc::clone(&settled.retired)).await;
        self.show(&settled);
    }

    /// Works at the desk without holding up the control thread.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Option<T> {
        let mut desk = self.desk.take()?;
        let worked = tokio::task::spawn_blocking(move || {
            let done = work(&mut desk);
            (desk, done)
        });
        match worked.await {
            Ok((desk, done)) => {
                self.desk = Some(desk);
                Some(done)
            }
            Err(_) => {
                tracing::error!("changes of the configuration are not followed any more");
                self.wake_at = None;
                None
            }
        }
    }

    /// Tells metrics and the admin endpoint.
    fn show(&mut self, settled: &Settled) {
        let waiting = |kind| settled.waiting.iter().filter(|w| w.kind == kind).count();
        for (metric, by) in [
            (ClustersMetric::Added, settled.added),
            (ClustersMetric::Modified, settled.modified),
            (ClustersMetric::Removed, settled.removed),
        ] {
            self.clusters.add(Shard(0), metric, by);
        }
        let warming = waiting(Kind::Cluster) as u64;
        let change = warming.wrapping_sub(self.clusters.get(ClustersMetric::Warming));
        self.clusters.add(Shard(0), ClustersMetric::Warming, change);
        self.listeners.gauge(waiting(Kind::Listener));
        self.server.note_listeners(self.listeners.shown());
        if let Some(desk) = &self.desk {
            self.server.note_discovered(Discovered {
                warming: desk.engine.warming().clone(),
                subscriptions: desk.feed.subscriptions().clone(),
                unused: desk
                    .feed
                    .said()
                    .flat_map(|(_, said)| said.unused.clone())
                    .collect(),
            });
        }
    }

    /// Whether all of the first configuration is in force.
    pub(crate) fn is_ready(&self) -> bool {
        !self.waits
    }

    /// Lets connections be served from now on.
    pub(crate) fn open(&mut self) {
        self.listeners.open(&self.workers);
    }

    /// Closes sockets, for good: an operator has begun a drain.
    pub(crate) fn close(&mut self, scope: DrainScope) {
        self.listeners.close(scope);
    }

    /// The listeners that an operator's drain concerns.
    pub(crate) fn sites(&self, scope: DrainScope) -> Vec<Arc<Site>> {
        self.listeners.sites(scope)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what waits is told the time of the control thread"
)]
fn now() -> Instant {
    Instant::now()
}
