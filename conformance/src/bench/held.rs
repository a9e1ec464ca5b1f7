//! Connections that stay: what they hold of a proxy's memory, and whether others that come and go
//! leave something behind.

use super::contender::Contender;
use super::load::Outcome;
use super::measure::{Bench, DONE};
use super::proc;
use super::setting::Running;
use anyhow::Context;
use serde::Serialize;
use std::time::Duration;

/// Lets a process settle: connections close, memory is given back.
const SETTLE: Duration = Duration::from_millis(500);

/// How long connections rest before it is measured what they hold.
const REST: Duration = Duration::from_secs(3);

/// What idle connections cost one contender.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) contender: String,
    pub(crate) connections: usize,
    /// Resident memory before any connection.
    pub(crate) start_kib: u64,
    /// With all connections open, none used.
    pub(crate) fresh_kib: u64,
    /// After one call on each.
    pub(crate) used_kib: u64,
    pub(crate) upstream_connections: usize,
    pub(crate) errors: u64,
}

/// What connections that came and went did to one contender.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Churned {
    pub(crate) contender: String,
    /// Connections that stayed open all the time.
    pub(crate) held: usize,
    /// Those that came, made a call and went.
    pub(crate) churn: Outcome,
    /// Failed calls on those that stayed, before and after.
    pub(crate) held_errors: u64,
    /// CPU time of the proxy for each connection that came and went.
    pub(crate) micros_each: f64,
    pub(crate) before: Footprint,
    pub(crate) after: Footprint,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Footprint {
    pub(crate) resident_kib: u64,
    pub(crate) open_files: usize,
}

impl Footprint {
    fn of(process: u32) -> anyhow::Result<Self> {
        std::thread::sleep(SETTLE);
        Ok(Self {
            resident_kib: proc::resident_kib(process)?,
            open_files: proc::open_files(process)?,
        })
    }
}

impl Bench<'_> {
    /// Measures what idle connections hold, one contender after the other.
    pub(super) fn idle(&mut self) {
        self.each(Self::idle_of, |findings, idle| findings.idle.push(idle));
    }

    /// Lets connections come and go, one contender after the other.
    pub(super) fn churn(&mut self) {
        self.each(Self::churn_of, |findings, churned| {
            findings.churn.push(churned);
        });
    }

    fn each<T>(
        &mut self,
        measure: fn(&Self, Contender, Running) -> anyhow::Result<T>,
        keep: fn(&mut super::measure::Findings, T),
    ) {
        for (contender, _) in std::mem::take(&mut self.fields) {
            let done = self
                .setting
                .start(contender)
                .and_then(|running| measure(self, contender, running));
            match done {
                Ok(found) => keep(&mut self.findings, found),
                Err(why) => self.incident(contender, &format!("{why:#}")),
            }
        }
    }

    fn idle_of(&self, contender: Contender, running: Running) -> anyhow::Result<Idle> {
        let proxy = running.process.id();
        let start = Footprint::of(proxy)?;
        let connections = self.connections(contender);
        let calls = [("--calls", connections as u64)];
        let mut load = self.load((contender, &running), &calls, true)?;
        let fresh = Footprint::of(proxy)?;
        load.send("go")?;
        let outcome: Outcome = serde_json::from_str(&load.line(DONE)?).context("load report")?;
        std::thread::sleep(REST);
        Ok(Idle {
            contender: contender.name(),
            connections,
            start_kib: start.resident_kib,
            fresh_kib: fresh.resident_kib,
            used_kib: Footprint::of(proxy)?.resident_kib,
            upstream_connections: proc::connections_to(proxy, self.setting.backends_of(contender))?,
            errors: outcome.errors(),
        })
    }

    fn churn_of(&self, contender: Contender, running: Running) -> anyhow::Result<Churned> {
        let proxy = running.process.id();
        let held = self.connections(contender);
        let calls = [("--calls", held as u64)];
        let mut load = self.load((contender, &running), &calls, true)?;
        let mut held_errors = 0;
        let mut call_on_all = || -> anyhow::Result<()> {
            load.send("go")?;
            let outcome: Outcome =
                serde_json::from_str(&load.line(DONE)?).context("odd load report")?;
            held_errors += outcome.errors();
            Ok(())
        };
        call_on_all()?;
        let mut words = self.words("churn", contender, &running);
        for (name, number) in [
            ("--rate", self.effort.rate),
            ("--seconds", self.effort.seconds),
        ] {
            words.extend([name.to_owned(), number.to_string()]);
        }
        let mut come_and_go = self.role("churn", words)?;
        let before = Footprint::of(proxy)?;
        let cpu = proc::cpu_nanos(proxy)?;
        come_and_go.send("go")?;
        let churn: Outcome =
            serde_json::from_str(&come_and_go.line(DONE)?).context("odd churn report")?;
        let after = Footprint::of(proxy)?;
        let spent = proc::cpu_nanos(proxy)? - cpu;
        call_on_all()?;
        Ok(Churned {
            contender: contender.name(),
            held,
            held_errors,
            micros_each: spent as f64 / 1000.0 / churn.completed().max(1) as f64,
            churn,
            before,
            after,
        })
    }
}
