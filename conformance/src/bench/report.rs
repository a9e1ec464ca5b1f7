//! Tables of what was measured, for people and for programs.

use super::held::{Churned, Footprint, Idle};
use super::maglev;
use super::measure::{Findings, Sample};
use super::proc;
use serde::Serialize;
use std::fmt::Write;
use std::process::Command;

/// Everything that a run found.
#[derive(Serialize)]
pub(crate) struct Report {
    /// UTC.
    pub(crate) date: String,
    pub(crate) machine: String,
    /// Names and versions of what was compared.
    pub(crate) versions: Vec<String>,
    pub(crate) pinned: bool,
    /// Processes that wanted to run in the minute before: others' work makes figures rise and
    /// ranges wide.
    pub(crate) load_before: String,
    pub(crate) scenarios: Vec<Findings>,
    pub(crate) maglev: Option<maglev::Findings>,
}

impl Report {
    pub(crate) fn new(versions: Vec<String>, pinned: bool) -> Self {
        let date = Command::new("date")
            .args(["-u", "+%Y-%m-%d %H:%M UTC"])
            .output();
        Self {
            date: date.map_or_else(
                |_| "unknown date".to_owned(),
                |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
            ),
            machine: proc::machine(),
            versions,
            pinned,
            load_before: proc::load_average(),
            scenarios: Vec::new(),
            maglev: None,
        }
    }

    /// The whole report in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let place = if self.pinned {
            "proxy on core 0, load and backends on core 1"
        } else {
            "not pinned to cores: read the figures with care"
        };
        let mut text = format!(
            "{}; {}; {place}; load average before: {}.\n\n",
            self.date, self.machine, self.load_before
        );
        for version in &self.versions {
            let _ = writeln!(text, "- {version}");
        }
        for findings in &self.scenarios {
            text.push_str(&findings.markdown());
        }
        text.extend(self.maglev.as_ref().map(maglev::Findings::markdown));
        text
    }
}

/// Least, median and greatest of some numbers; nothing of no numbers.
#[derive(Clone, Copy)]
pub(crate) struct Spread(Option<[f64; 3]>);

impl Spread {
    pub(crate) fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut all: Vec<f64> = numbers.collect();
        all.sort_by(f64::total_cmp);
        let (Some(least), Some(most)) = (all.first(), all.last()) else {
            return Self(None);
        };
        let middle = all.len() / 2;
        let median = if all.len().is_multiple_of(2) {
            (all[middle - 1] + all[middle]) / 2.0
        } else {
            all[middle]
        };
        Self(Some([*least, median, *most]))
    }

    pub(crate) fn median(self) -> Option<f64> {
        self.0.map(|[_, median, _]| median)
    }

    /// `median (least–most)`.
    pub(crate) fn show(self) -> String {
        self.0.map_or_else(
            || "–".to_owned(),
            |[least, median, most]| format!("{median:.2} ({least:.2}–{most:.2})"),
        )
    }
}

impl Findings {
    /// The scenario's tables.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n{}.\n\n", self.name, self.about);
        if !self.samples.is_empty() {
            self.calls_table(&mut text);
        }
        if !self.idle.is_empty() {
            idle_table(&self.idle, &mut text);
        }
        if !self.churn.is_empty() {
            churn_table(&self.churn, &mut text);
        }
        if self.dropped_rounds > 0 {
            let _ = writeln!(
                text,
                "\nRounds dropped for stolen time: {}.",
                self.dropped_rounds
            );
        }
        for incident in &self.incidents {
            let _ = writeln!(text, "\nIncident: {incident}");
        }
        text
    }

    fn calls_table(&self, text: &mut String) {
        let mut names: Vec<&str> = Vec::new();
        for sample in &self.samples {
            if !names.contains(&&*sample.contender) {
                names.push(&sample.contender);
            }
        }
        let columns = Columns {
            haproxy: names.contains(&"haproxy"),
            variants: names.iter().any(|name| name.contains('+')),
            mtls: names.iter().any(|name| name.ends_with(MTLS)),
        };
        columns.head(text);
        for name in &names {
            self.row(name, columns, text);
        }
        let example = |s: &Sample| {
            s.load
                .example
                .as_ref()
                .map(|e| format!("{}: {e}", s.contender))
        };
        for name in names {
            let found = self.of(name).find_map(example);
            if let Some(example) = found {
                let _ = writeln!(text, "\nFirst failure of {example}");
            }
        }
    }

    fn row(&self, name: &str, columns: Columns, text: &mut String) {
        let of = |value: fn(&Sample) -> f64| Spread::of(self.of(name).map(value));
        let middle = |value| of(value).median().unwrap_or(0.0);
        let sum = |value: fn(&Sample) -> u64| self.of(name).map(value).sum::<u64>();
        let _ = write!(text, "| {name} | {} |", of(|s| s.micros_per_call).show());
        let plain = name.split('+').next().unwrap_or(name);
        let bases = ["relay", "envoy"]
            .into_iter()
            .chain(columns.haproxy.then_some("haproxy"))
            .chain(columns.variants.then_some(plain));
        for base in bases {
            let ratio = if base == name {
                Spread(None)
            } else {
                self.ratio(name, base)
            };
            let _ = write!(text, " {} |", ratio.show());
        }
        if columns.mtls {
            let own = |round| self.more(name, plain, round);
            let envoys = |round| self.more("envoy+mtls", "envoy", round);
            let of_envoy = |round| Some(own(round)? / envoys(round)?);
            let rounds = || self.of(name).map(|s| s.round).filter(|_| plain != name);
            let adds = Spread::of(rounds().filter_map(own));
            let to_envoy = Spread::of(rounds().filter_map(of_envoy));
            let _ = write!(text, " {} | {} |", adds.show(), to_envoy.show());
        }
        let _ = writeln!(
            text,
            " {:.2} | {:.2} | {:.0} | {:.1} | {:.0} | {} | {} | {} | {} |",
            middle(|s| s.load.p50 as f64 / 1000.0),
            middle(|s| s.load.p99 as f64 / 1000.0),
            middle(|s| s.load.completed() as f64 * 1e6 / s.load.elapsed.max(1) as f64),
            middle(|s| s.resident_kib as f64 / 1024.0),
            middle(|s| s.upstream_connections as f64),
            sum(|s| s.load.failed),
            sum(|s| s.load.failed_first_second),
            sum(|s| s.load.wrong),
            sum(|s| s.load.unanswered),
        );
    }

    /// What a call costs one contender more than another in a round, in microseconds.
    fn more(&self, name: &str, base: &str, round: usize) -> Option<f64> {
        let cost = |name| Some(self.of(name).find(|s| s.round == round)?.micros_per_call);
        Some(cost(name)? - cost(base)?)
    }

    /// CPU per call of one contender over another's, round by round.
    fn ratio(&self, name: &str, base: &str) -> Spread {
        Spread::of(self.of(name).filter_map(|sample| {
            let other = self.of(base).find(|s| s.round == sample.round)?;
            Some(sample.micros_per_call / other.micros_per_call)
        }))
    }

    fn of<'a>(&'a self, contender: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |s| s.contender == contender)
    }
}

/// The end of the name of a contender that speaks mutual TLS.
const MTLS: &str = "+mtls";

/// Columns that not every table of calls has.
#[derive(Clone, Copy)]
struct Columns {
    haproxy: bool,
    /// Beside contenders there are variants of them.
    variants: bool,
    mtls: bool,
}

impl Columns {
    fn head(self, text: &mut String) {
        let names = ["contender", "CPU µs/call", "to relay", "to Envoy"]
            .into_iter()
            .chain(self.haproxy.then_some("to HAProxy"))
            .chain(self.variants.then_some("to the same without"))
            .chain(self.mtls.then_some("µs more"))
            .chain(self.mtls.then_some("to Envoy's µs more"))
            .chain(["p50 ms", "p99 ms", "calls/s", "RSS MiB", "upstream conns"])
            .chain(["failed", "in 1st second", "wrong", "unanswered"]);
        let count = names.clone().fold(0, |count, name| {
            let _ = write!(text, "| {name} ");
            count + 1
        });
        let _ = writeln!(text, "|\n{}|", "|---".repeat(count));
    }
}

fn idle_table(rows: &[Idle], text: &mut String) {
    text.push_str(
        "| contender | RSS idle MiB | connections | KiB each, fresh | KiB each, after one call | \
         upstream conns | errors |\n|---|---|---|---|---|---|---|\n",
    );
    for idle in rows {
        let each = |kib: u64| kib.saturating_sub(idle.start_kib) as f64 / idle.connections as f64;
        let _ = writeln!(
            text,
            "| {} | {:.1} | {} | {:.2} | {:.2} | {} | {} |",
            idle.contender,
            idle.start_kib as f64 / 1024.0,
            idle.connections,
            each(idle.fresh_kib),
            each(idle.used_kib),
            idle.upstream_connections,
            idle.errors,
        );
    }
}

fn churn_table(rows: &[Churned], text: &mut String) {
    text.push_str(
        "| contender | connections that stay | that came and went | CPU µs each | p50 ms | p99 ms | \
         failed | failed on those that stay | RSS MiB before | after | open files before | after \
         |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let mib = |footprint: Footprint| footprint.resident_kib as f64 / 1024.0;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.1} | {:.2} | {:.2} | {} | {} | {:.1} | {:.1} | {} | {} |",
            row.contender,
            row.held,
            row.churn.ok,
            row.micros_each,
            row.churn.p50 as f64 / 1000.0,
            row.churn.p99 as f64 / 1000.0,
            row.churn.errors(),
            row.held_errors,
            mib(row.before),
            mib(row.after),
            row.before.open_files,
            row.after.open_files,
        );
        if let Some(example) = &row.churn.example {
            let _ = writeln!(text, "\nFirst failure of {}: {example}\n", row.contender);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let spread = |numbers: &[f64]| Spread::of(numbers.iter().copied()).median();
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(spread(&[]), None);
    }
}
