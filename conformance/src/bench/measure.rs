//! One scenario: starts everything, interleaves the rounds, keeps what is clean.

use super::child::{LOAD_CORE, Process, Start};
use super::contender::{Contender, Kind, Programs, Running, Setting};
use super::load::Outcome;
use super::proc::{self, Ticks};
use super::scenario::{Scenario, What};
use super::wire::Wire;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// The share of time stolen by the host above which a round says nothing.
const STEAL: f64 = 0.03;
/// How long connecting and warming up, and a measured run, may take.
const READY: Duration = Duration::from_secs(120);
const DONE: Duration = Duration::from_secs(600);
/// Lets a process settle: connections close, memory is given back.
const SETTLE: Duration = Duration::from_millis(500);

/// What one contender did in one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) contender: &'static str,
    pub(crate) round: usize,
    /// CPU time of the proxy per completed call.
    pub(crate) micros_per_call: f64,
    pub(crate) resident_kib: u64,
    pub(crate) upstream_connections: usize,
    pub(crate) stolen: f64,
    pub(crate) load: Outcome,
}

/// What idle connections cost one contender.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) contender: &'static str,
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

/// A scenario's results.
#[derive(Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) samples: Vec<Sample>,
    pub(crate) idle: Vec<Idle>,
    /// Rounds dropped because the host took too much time.
    pub(crate) dropped_rounds: usize,
    /// Proxies that ended or failed, and how.
    pub(crate) incidents: Vec<String>,
}

/// How much is measured.
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Calls of a round.
    pub(crate) requests: u64,
    pub(crate) wanted: Vec<Kind>,
}

/// Runs a scenario.
pub(crate) fn scenario(
    scenario: &Scenario,
    effort: &Effort,
    programs: &Programs,
    folder: &Path,
) -> anyhow::Result<Findings> {
    let how = Start {
        name: "backend",
        core: LOAD_CORE,
        logs: folder,
    };
    let mut backend = Process::role(&how, ["backend", "--ports", &scenario.backends.to_string()])?;
    let told = backend.line(READY)?;
    let backends: Vec<u16> = told
        .split(' ')
        .filter_map(|port| port.parse().ok())
        .collect();
    let setting = Setting {
        programs,
        wire: scenario.wire,
        backends: &backends,
        folder,
    };
    let present: Vec<Kind> = effort
        .wanted
        .iter()
        .copied()
        .filter(|kind| programs.have(*kind))
        .collect();
    let (request, answer) = scenario.wire.template(scenario.payload).sizes();
    let mut bench = Bench {
        scenario,
        requests: effort.requests,
        setting,
        fields: scenario
            .contenders(&present)
            .into_iter()
            .map(|c| (c, None))
            .collect(),
        findings: Findings {
            name: scenario.name.clone(),
            about: format!(
                "{}; requests of {request} octets, answers of {answer}",
                scenario.about
            ),
            ..Findings::default()
        },
    };
    match scenario.what {
        What::Calls => bench.rounds(effort.rounds),
        What::Idle => bench.idle(),
    }
    Ok(bench.findings)
}

struct Bench<'a> {
    scenario: &'a Scenario,
    requests: u64,
    setting: Setting<'a>,
    fields: Vec<(Contender, Option<Running>)>,
    findings: Findings,
}

impl Bench<'_> {
    /// A, B, C, A, B, C: what the machine does to one, it does to all. A round in which the host
    /// took time away is done again, at most as often as there are rounds.
    fn rounds(&mut self, rounds: usize) {
        let mut kept = 0;
        for _ in 0..2 * rounds {
            if kept == rounds {
                break;
            }
            let samples: Vec<Sample> = (0..self.fields.len())
                .filter_map(|field| self.sample(field, kept))
                .collect();
            if samples.iter().any(|sample| sample.stolen > STEAL) {
                self.findings.dropped_rounds += 1;
            } else {
                self.findings.samples.extend(samples);
                kept += 1;
            }
        }
    }

    fn sample(&mut self, field: usize, round: usize) -> Option<Sample> {
        let (contender, slot) = &mut self.fields[field];
        let contender = *contender;
        let mut kept = slot.take().filter(|_| !self.scenario.cold);
        if let Some(status) = kept.as_mut().and_then(|running| running.process.ended()) {
            self.incident(contender, &format!("ended by itself ({status})"));
            kept = None;
        }
        let done = kept
            .map_or_else(|| self.setting.start(contender), Ok)
            .and_then(|mut running| {
                let sample = self.measure(contender, &mut running, round);
                self.fields[field].1 = Some(running);
                sample
            });
        done.map_err(|why| self.incident(contender, &format!("{why:#}")))
            .ok()
    }

    fn measure(
        &self,
        contender: Contender,
        running: &mut Running,
        round: usize,
    ) -> anyhow::Result<Sample> {
        let calls = (self.requests * self.scenario.calls / 1000).max(1);
        let warm_up = if self.scenario.cold { 0 } else { calls / 10 };
        let proxy = running.process.id();
        let mut load = self.load(
            (contender, running),
            &[("--calls", calls), ("--warm-up", warm_up)],
            false,
        )?;
        let (ticks, before) = (Ticks::now()?, proc::cpu_nanos(proxy)?);
        load.send("go")?;
        let outcome: Outcome =
            serde_json::from_str(&load.line(DONE)?).context("odd load report")?;
        if let Some(status) = running.process.ended() {
            anyhow::bail!(
                "ended under load ({status}){}",
                running.process.last_words()
            );
        }
        if outcome.ok == 0 {
            let example = outcome.example.as_deref().unwrap_or("none was answered");
            anyhow::bail!("not one call succeeded: {example}");
        }
        let spent = proc::cpu_nanos(proxy)? - before;
        Ok(Sample {
            contender: contender.name(),
            round,
            micros_per_call: spent as f64 / 1000.0 / outcome.completed().max(1) as f64,
            resident_kib: proc::resident_kib(proxy)?,
            upstream_connections: proc::connections_to(proxy, self.setting.backends)?,
            stolen: Ticks::now()?.stolen_since(ticks),
            load: outcome,
        })
    }

    fn load(
        &self,
        (contender, running): (Contender, &Running),
        numbers: &[(&str, u64)],
        lockstep: bool,
    ) -> anyhow::Result<Process> {
        let scenario = self.scenario;
        let how = Start {
            name: "load",
            core: LOAD_CORE,
            logs: self.setting.folder,
        };
        let connections = self.connections(contender);
        let mut words = load_words(running, scenario.wire, scenario.payload);
        words.extend(["--connections".to_owned(), connections.to_string()]);
        words.extend(["--in-flight".to_owned(), scenario.in_flight.to_string()]);
        words.extend(
            numbers
                .iter()
                .flat_map(|(name, n)| [(*name).to_owned(), n.to_string()]),
        );
        words.extend(lockstep.then(|| "--lockstep".to_owned()));
        let mut load = Process::role(&how, words)?;
        load.line(READY)?;
        Ok(load)
    }

    /// The scenario's connections, or as many as the limit of open files allows: the others may
    /// need one upstream connection for each.
    fn connections(&self, contender: Contender) -> usize {
        const SPARE: usize = 1000;
        let files = if matches!(contender.kind, Kind::Crossdock | Kind::Baseline) {
            1
        } else {
            2
        };
        let room = proc::open_files_limit().saturating_sub(SPARE) / files;
        self.scenario.connections.min(room.max(1))
    }

    fn incident(&mut self, contender: Contender, what: &str) {
        eprintln!("{} in {}: {what}", contender.name(), self.scenario.name);
        self.findings
            .incidents
            .push(format!("{}: {what}", contender.name()));
    }

    fn idle(&mut self) {
        for (contender, _) in std::mem::take(&mut self.fields) {
            match self.idle_of(contender) {
                Ok(idle) => self.findings.idle.push(idle),
                Err(why) => self.incident(contender, &format!("{why:#}")),
            }
        }
    }

    fn idle_of(&self, contender: Contender) -> anyhow::Result<Idle> {
        let running = self.setting.start(contender)?;
        let proxy = running.process.id();
        let settled = || {
            std::thread::sleep(SETTLE);
            proc::resident_kib(proxy)
        };
        let start_kib = settled()?;
        let connections = self.connections(contender);
        let mut load = self.load(
            (contender, &running),
            &[("--calls", connections as u64)],
            true,
        )?;
        let fresh_kib = settled()?;
        load.send("go")?;
        let outcome: Outcome =
            serde_json::from_str(&load.line(DONE)?).context("odd load report")?;
        Ok(Idle {
            contender: contender.name(),
            connections,
            start_kib,
            fresh_kib,
            used_kib: settled()?,
            upstream_connections: proc::connections_to(proxy, self.setting.backends)?,
            errors: outcome.errors(),
        })
    }
}

/// The arguments of a load generator that every use of it has.
pub(crate) fn load_words(running: &Running, wire: Wire, payload: usize) -> Vec<String> {
    let wire = match wire {
        Wire::Dubbo => "dubbo",
        Wire::Bolt => "bolt",
    };
    [
        "load",
        "--target",
        &running.address.to_string(),
        "--wire",
        wire,
        "--payload",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([payload.to_string()])
    .collect()
}
