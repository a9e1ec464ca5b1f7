//! What happens once in an interval: hosts come back, and those that do worse than the others go.

use super::{At, Detector, Reason, decide, log::Lines, monitor::Rate};
use crate::cluster::{Host, HostSet};

/// A host with its calls since the last time.
type Rated<'h> = (&'h Host, Rate);

/// The reasons to eject a host by its rate.
struct Reasons {
    below_others: Reason,
    too_many: Reason,
}

/// By what hosts answer.
const ANSWERS: Reasons = Reasons {
    below_others: Reason::SuccessRate,
    too_many: Reason::FailurePercentage,
};

/// By what the gateway saw itself.
const LOCAL: Reasons = Reasons {
    below_others: Reason::LocalOriginSuccessRate,
    too_many: Reason::LocalOriginFailurePercentage,
};

impl Detector {
    /// Takes hosts back whose time is over, compares the others by the calls since the last time,
    /// and shortens the next ejection of those that are well. To be called once in
    /// [`interval`](super::Config::interval), off the workers; `random` gives a number each time.
    pub fn sweep(&self, hosts: &HostSet, at: At, random: &mut dyn FnMut() -> u64) {
        let mut lines = decide();
        let (mut answers, mut attempts) = (Vec::new(), Vec::new());
        for (_, host) in hosts.iter() {
            let monitor = &host.state.outlier;
            if monitor.may_return(at.now_ms) {
                monitor.take_back(at.now_ms);
                lines.returned((&self.cluster, host), at.now_ms);
            }
            let ended = (monitor.answers.end(), monitor.attempts.end());
            monitor.show_rate(None);
            if !monitor.is_ejected() {
                answers.extend(ended.0.map(|rate| (host, rate)));
                attempts.extend(ended.1.map(|rate| (host, rate)));
            }
        }
        self.recount(hosts);
        if self.rates {
            self.show(&answers);
            let mut at = || At {
                random: random(),
                ..at
            };
            self.compare(hosts, &answers, &ANSWERS, &mut at, &mut lines);
            self.compare(hosts, &attempts, &LOCAL, &mut at, &mut lines);
        }
        for (_, host) in hosts.iter() {
            host.state.outlier.forgive(self.config.interval, at.now_ms);
        }
    }

    /// Shows the rates of hosts that had enough calls.
    fn show(&self, rated: &[Rated<'_>]) {
        let (success, failure) = (&self.config.success_rate, &self.config.failure_percentage);
        let fewest = success.request_volume.min(failure.request_volume);
        for (host, rate) in rated.iter().filter(|(_, rate)| rate.is_of(fewest)) {
            host.state.outlier.show_rate(Some(rate.success));
        }
    }

    fn compare(
        &self,
        hosts: &HostSet,
        rated: &[Rated<'_>],
        reasons: &Reasons,
        at: &mut dyn FnMut() -> At,
        lines: &mut Lines,
    ) {
        let rules = &self.config.success_rate;
        let enough = with_calls(rated, rules.request_volume);
        if !enough.is_empty() && enough.len() >= rules.minimum_hosts as usize {
            let least = threshold(&enough, f64::from(rules.stdev_factor) / 1000.0);
            for (host, rate) in enough.iter().filter(|(_, rate)| rate.success < least) {
                let cause = (reasons.below_others, rate.success);
                self.judge(hosts, host, cause, at(), lines);
            }
        }
        let rules = &self.config.failure_percentage;
        let enough = with_calls(rated, rules.request_volume);
        if !enough.is_empty() && enough.len() >= rules.minimum_hosts as usize {
            let most = f64::from(rules.threshold);
            for (host, rate) in enough
                .iter()
                .filter(|(_, rate)| 100.0 - rate.success >= most)
            {
                let cause = (reasons.too_many, 100.0 - rate.success);
                self.judge(hosts, host, cause, at(), lines);
            }
        }
    }

    fn judge(
        &self,
        hosts: &HostSet,
        host: &Host,
        (reason, figure): (Reason, f64),
        at: At,
        lines: &mut Lines,
    ) {
        if !host.state.outlier.is_ejected() && self.is_due(hosts, reason, at) {
            self.eject(hosts, host, (reason, figure), at, lines);
        }
    }
}

impl Rate {
    fn is_of(&self, calls: u32) -> bool {
        self.calls >= u64::from(calls)
    }
}

fn with_calls<'h>(rated: &[Rated<'h>], fewest: u32) -> Vec<Rated<'h>> {
    let enough = rated.iter().filter(|(_, rate)| rate.is_of(fewest));
    enough.copied().collect()
}

/// The success rate below which a host is an outlier: so many standard deviations below the mean.
fn threshold(rated: &[Rated<'_>], factor: f64) -> f64 {
    let count = rated.len() as f64;
    let mean = rated.iter().map(|(_, rate)| rate.success).sum::<f64>() / count;
    let squares = rated.iter().map(|(_, rate)| (rate.success - mean).powi(2));
    mean - factor * (squares.sum::<f64>() / count).sqrt()
}
