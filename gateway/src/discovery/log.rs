//! What the log says about files with resources.

use std::collections::{BTreeMap, BTreeSet};

use crossdock_xds::{
    Loss,
    discovery::{Feed, FileSource, Kind, Outcome, Report},
};

/// Problems of one file that are written to the log; the others stand in `/config_dump`.
const MOST: usize = 100;

/// Says what became of files, and each field that is not acted upon once.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Fields with reasons, of each file that was read.
    told: BTreeMap<(Kind, FileSource), BTreeSet<String>>,
}

impl Log {
    /// Says what became of files.
    pub(super) fn tell(&mut self, reports: &[Report], feed: &Feed) {
        for report in reports {
            tell(report);
        }
        let mut told = std::mem::take(&mut self.told);
        for (place, said) in feed.said() {
            let before = told.remove(place).unwrap_or_default();
            let mut now = BTreeSet::new();
            for unused in &said.unused {
                let what = format!("{}: {}", unused.path, unused.reason);
                if !before.contains(&what) && !now.contains(&what) {
                    match unused.loss {
                        Loss::Function => tracing::warn!("{unused}"),
                        Loss::Nothing => tracing::info!("{unused}"),
                    }
                }
                now.insert(what);
            }
            self.told.insert(place.clone(), now);
        }
    }
}

fn tell(report: &Report) {
    let (service, path) = (report.kind.service(), report.source.path.display());
    match &report.outcome {
        Outcome::Unchanged => tracing::debug!("{service}: {path} says what it said before"),
        Outcome::Accepted {
            version,
            changed,
            removed,
            shadowed,
            unasked,
        } => {
            tracing::info!(
                "{service}: {path} is taken, version '{version}': {} new or changed, {} removed",
                changed.len(),
                removed.len()
            );
            for name in shadowed.iter().take(MOST) {
                tracing::warn!("{service}: {path}: '{name}' stands in the bootstrap, and stays so");
            }
            for name in unasked.iter().take(MOST) {
                tracing::info!("{service}: {path}: nobody asks for '{name}'");
            }
        }
        Outcome::Refused(problems) => {
            tracing::error!("{service}: {path} is refused; what was in force stays");
            for problem in problems.iter().take(MOST) {
                tracing::error!("{service}: {problem}");
            }
            if let Some(more) = problems.len().checked_sub(MOST).filter(|more| *more > 0) {
                tracing::error!("{service}: {path}: {more} more problems");
            }
        }
    }
}
