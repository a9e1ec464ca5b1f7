//! The health of hosts as their calls show it: the sweeps of outlier detection, one task for all
//! clusters, off the workers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crossdock_framework::{
    outlier::At,
    snapshot::{Live, Snapshot},
    stats::Shard,
    time,
};

/// How often clusters are looked at at least: one that has been added is known from then on.
const LOOK: u64 = 1000;

/// The shortest time between two looks: an `interval` below it is as long.
const SHORTEST: u64 = 10;

/// Sweeps the clusters of whatever configuration is in force, for ever.
pub(crate) async fn run(live: Arc<Live>) {
    let mut sweeps = Sweeps::default();
    loop {
        let now = time::now_us() / 1000;
        let next = sweeps.pass(&live.load(), now, &mut || fastrand::u64(..));
        let wait = next.saturating_sub(now).clamp(SHORTEST, LOOK);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

/// When each cluster was swept last.
#[derive(Debug, Default)]
struct Sweeps {
    last: HashMap<Arc<str>, u64>,
}

impl Sweeps {
    /// Sweeps the clusters whose interval is over at `now_ms`, and says when the next one is due.
    fn pass(&mut self, now: &Snapshot, now_ms: u64, random: &mut dyn FnMut() -> u64) -> u64 {
        let mut next = u64::MAX;
        self.last.retain(|name, _| now.find(name).is_some());
        for cluster in now.clusters() {
            let Some(detector) = &cluster.outlier else {
                self.last.remove(&cluster.name);
                continue;
            };
            let name = Arc::clone(&cluster.name);
            let last = self.last.entry(name).or_insert(now_ms);
            let interval = u64::try_from(detector.config().interval.as_millis());
            let interval = interval.unwrap_or(u64::MAX).max(SHORTEST);
            if now_ms.saturating_sub(*last) >= interval {
                *last = now_ms;
                let at = At {
                    now_ms,
                    random: random(),
                    shard: Shard(0),
                };
                detector.sweep(&cluster.hosts, at, random);
            } else {
                detector.recount(&cluster.hosts);
            }
            next = next.min(last.saturating_add(interval));
        }
        next
    }
}
