//! One scenario: starts everything, interleaves the rounds, keeps what is clean.

use super::child::{LOAD_CORE, Process, Start};
use super::contender::{Contender, Kind, Programs, Variant};
use super::held::{Churned, Idle};
use super::load::Outcome;
use super::proc::{self, Ticks};
use super::scenario::{Scenario, What};
use super::setting::{Running, Setting};
use super::tls;
use super::wire::Wire;
use anyhow::Context;
use serde::Serialize;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// The share of time stolen by the host above which a round says nothing.
const STEAL: f64 = 0.03;
/// How long connecting and warming up, and a measured run, may take.
const READY: Duration = Duration::from_secs(120);
pub(super) const DONE: Duration = Duration::from_secs(600);

/// What one contender did in one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) contender: String,
    pub(crate) round: usize,
    /// CPU time of the proxy per completed call.
    pub(crate) micros_per_call: f64,
    pub(crate) resident_kib: u64,
    pub(crate) upstream_connections: usize,
    pub(crate) stolen: f64,
    pub(crate) load: Outcome,
}

/// A scenario's results.
#[derive(Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) samples: Vec<Sample>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) churn: Vec<Churned>,
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
    /// Seconds for which connections come and go, and how many do in each.
    pub(crate) seconds: u64,
    pub(crate) rate: u64,
    pub(crate) wanted: Vec<Kind>,
}

/// Runs a scenario.
pub(crate) fn scenario(
    scenario: &Scenario,
    effort: &Effort,
    programs: &Programs,
    folder: &Path,
) -> anyhow::Result<Findings> {
    let (_backend, backends) = backend("backend", scenario.backends, None, folder)?;
    let secure = if scenario.variant == Some(Variant::Mtls) {
        tls::make(folder)?;
        Some(backend(
            "tls-backend",
            scenario.backends,
            Some(folder),
            folder,
        )?)
    } else {
        None
    };
    let setting = Setting {
        programs,
        wire: scenario.wire,
        backends: &backends,
        tls_backends: secure.as_ref().map_or(&[], |(_, ports)| ports),
        folder,
    };
    let present: Vec<Kind> = effort
        .wanted
        .iter()
        .copied()
        .filter(|kind| programs.have(*kind))
        .collect();
    let mut bench = Bench {
        scenario,
        effort,
        setting,
        fields: scenario
            .contenders(&present)
            .into_iter()
            .map(|c| (c, None))
            .collect(),
        findings: Findings {
            name: scenario.name.clone(),
            about: format!(
                "{}; {}",
                scenario.about,
                scenario.wire.about(scenario.payload)
            ),
            ..Findings::default()
        },
    };
    match scenario.what {
        What::Calls => bench.rounds(effort.rounds),
        What::Idle => bench.idle(),
        What::Churn => bench.churn(),
    }
    Ok(bench.findings)
}

/// Starts the backends of a scenario; their process and their ports.
pub(crate) fn backend(
    name: &str,
    ports: usize,
    keys: Option<&Path>,
    folder: &Path,
) -> anyhow::Result<(Process, Vec<u16>)> {
    let how = Start {
        name,
        core: LOAD_CORE,
        logs: folder,
    };
    let mut words: Vec<OsString> = vec!["backend".into(), "--ports".into()];
    words.push(ports.to_string().into());
    words.extend(
        keys.into_iter()
            .flat_map(|keys| ["--tls".into(), keys.into()]),
    );
    let mut process = Process::role(&how, words)?;
    let told = process.line(READY)?;
    let told: Vec<u16> = told
        .split(' ')
        .filter_map(|port| port.parse().ok())
        .collect();
    anyhow::ensure!(told.len() == ports, "the backend does not tell its ports");
    Ok((process, told))
}

pub(super) struct Bench<'a> {
    scenario: &'a Scenario,
    pub(super) effort: &'a Effort,
    pub(super) setting: Setting<'a>,
    pub(super) fields: Vec<(Contender, Option<Running>)>,
    pub(super) findings: Findings,
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
        let calls = (self.effort.requests * self.scenario.calls / 1000).max(1);
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
            upstream_connections: proc::connections_to(proxy, self.setting.backends_of(contender))?,
            stolen: Ticks::now()?.stolen_since(ticks),
            load: outcome,
        })
    }

    /// Starts callers; they have connected and warmed up when this returns.
    pub(super) fn load(
        &self,
        (contender, running): (Contender, &Running),
        numbers: &[(&str, u64)],
        lockstep: bool,
    ) -> anyhow::Result<Process> {
        let scenario = self.scenario;
        let connections = self.connections(contender) as u64;
        let mut words = self.words("load", contender, running);
        let at_once = scenario.at_once.map(|n| ("--at-once", n as u64));
        let own = [
            ("--connections", connections),
            ("--in-flight", scenario.in_flight as u64),
        ];
        for (name, number) in own.iter().chain(numbers).chain(&at_once) {
            words.extend([(*name).to_owned(), number.to_string()]);
        }
        words.extend(lockstep.then(|| "--lockstep".to_owned()));
        self.role("load", words)
    }

    /// Starts a role that speaks to a contender, and waits until it is ready.
    pub(super) fn role(&self, name: &str, words: Vec<String>) -> anyhow::Result<Process> {
        let how = Start {
            name,
            core: LOAD_CORE,
            logs: self.setting.folder,
        };
        let mut process = Process::role(&how, words)?;
        process.line(READY)?;
        Ok(process)
    }

    /// The arguments that every role has that speaks to a contender.
    pub(super) fn words(&self, role: &str, contender: Contender, running: &Running) -> Vec<String> {
        let mut words = load_words(role, running, self.scenario.wire, self.scenario.payload);
        if contender.variant == Variant::Mtls {
            words.extend([
                "--tls".to_owned(),
                self.setting.folder.display().to_string(),
            ]);
        }
        words
    }

    /// The scenario's connections, or as many as the limit of open files allows: a relay always
    /// needs one upstream connection for each, and others when all of them call at once.
    pub(super) fn connections(&self, contender: Contender) -> usize {
        const SPARE: usize = 1000;
        let files = match contender.kind {
            Kind::Relay => 2,
            Kind::Crossdock | Kind::Baseline => 1,
            _ if self.scenario.at_once.is_some() => 1,
            _ => 2,
        };
        let room = proc::open_files_limit().saturating_sub(SPARE) / files;
        self.scenario.connections.min(room.max(1))
    }

    pub(super) fn incident(&mut self, contender: Contender, what: &str) {
        eprintln!("{} in {}: {what}", contender.name(), self.scenario.name);
        self.findings
            .incidents
            .push(format!("{}: {what}", contender.name()));
    }
}

/// The arguments that every role has that calls.
pub(crate) fn load_words(role: &str, running: &Running, wire: Wire, payload: usize) -> Vec<String> {
    let wire = match wire {
        Wire::Dubbo => "dubbo",
        Wire::Bolt => "bolt",
        Wire::Http1 => "http1",
        Wire::Grpc => "grpc",
    };
    let target = running.address.to_string();
    [role, "--target", &target, "--wire", wire, "--payload"]
        .map(str::to_owned)
        .into_iter()
        .chain([payload.to_string()])
        .collect()
}
