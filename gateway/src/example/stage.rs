//! Where an example is played: its callers, and what is seen of them.

use std::{collections::BTreeMap, time::Duration};

use super::{
    callers::{Ask, Caller, SITES, Site},
    cast::Running,
    report::{Count, Row},
};
use crate::sample::Told;

/// What a caller was told, and how often.
pub(super) type Tally = BTreeMap<Told, u64>;

/// How long the metrics have to count what callers have seen: a call is counted right after its
/// answer has been queued.
const SETTLE: (u32, Duration) = (200, Duration::from_millis(10));

/// The callers of an example.
#[derive(Debug)]
pub(super) struct Stage<'r> {
    running: &'r Running,
    callers: [Caller; 4],
    rows: Vec<Row>,
    expected: Vec<(String, u64)>,
}

impl<'r> Stage<'r> {
    /// Connects a caller of each protocol.
    pub(super) async fn set(running: &'r Running) -> Result<Self, String> {
        Ok(Self {
            running,
            callers: Caller::connect(running.gateway).await?,
            rows: Vec::new(),
            expected: Vec::new(),
        })
    }

    /// Has every caller make so many equal calls, one after the other; `right` judges what each was
    /// told.
    pub(super) async fn calls(
        &mut self,
        ask: Ask,
        calls: u64,
        right: impl Fn(&Site, &Tally) -> bool,
    ) -> Result<(), String> {
        let tallies = self.tally(ask, calls).await?;
        for (site, tally) in SITES.iter().zip(tallies) {
            let right = right(site, &tally);
            self.show(site, ask, "", tally, right);
        }
        Ok(())
    }

    /// Has every caller make so many equal calls, one after the other, and shows nothing of it.
    pub(super) async fn tally(&mut self, ask: Ask, calls: u64) -> Result<[Tally; 4], String> {
        let mut tallies: [Tally; 4] = Default::default();
        for ((site, caller), tally) in SITES.iter().zip(&mut self.callers).zip(&mut tallies) {
            for _ in 0..calls {
                *tally.entry(caller.call(site, ask).await?).or_default() += 1;
            }
        }
        Ok(tallies)
    }

    /// Shows what a caller was told, when, and whether that was right.
    pub(super) fn show(&mut self, site: &Site, ask: Ask, when: &str, tally: Tally, right: bool) {
        self.rows.extend(Row::of(site, ask, when, tally, right));
    }

    /// The callers, for those who have them call at the same time, and what they call.
    pub(super) fn split(&mut self) -> (&mut [Caller; 4], &'r Running) {
        (&mut self.callers, self.running)
    }

    /// A metric with what it has to be in the end.
    pub(super) fn expect(&mut self, metric: String, value: u64) {
        self.expected.push((metric, value));
    }

    /// What was seen so far.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The metrics that were expected, as the admin endpoint shows them: a moment later, if they are
    /// not there yet.
    pub(super) async fn counted(&self) -> Result<Vec<Count>, String> {
        let (looks, pause) = SETTLE;
        let mut counts = self.look().await?;
        for _ in 0..looks {
            if counts.iter().all(Count::is_right) {
                break;
            }
            tokio::time::sleep(pause).await;
            counts = self.look().await?;
        }
        Ok(counts)
    }

    async fn look(&self) -> Result<Vec<Count>, String> {
        let known = self.running.metrics().await?;
        let count = |(metric, expected): &(String, u64)| Count {
            metric: metric.clone(),
            // One that has counted nothing is not shown.
            value: known.get(metric).copied().unwrap_or(0),
            expected: *expected,
        };
        Ok(self.expected.iter().map(count).collect())
    }
}
