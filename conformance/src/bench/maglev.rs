//! `bench maglev`: how long a table takes to build, beside the loop of the paper in C.

use super::child;
use super::clock::now;
use super::report::Spread;
use anyhow::{Context, bail};
use crossdock_framework::cluster::{Host, HostSet, HostState};
use crossdock_routers::{BalancerConfig, LoadBalancer, Policy};
use serde::Serialize;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The usual size of a table, as Envoy's.
const SLOTS: u32 = 65_537;
const HOSTS: usize = 1000;
/// Builds of one round, of which the median counts.
const BUILDS: usize = 40;

/// Milliseconds of a build, a round each.
#[derive(Serialize)]
pub(crate) struct Findings {
    /// This project's balancer, from a set of hosts to a balancer that picks.
    crossdock: Vec<f64>,
    /// The loop in C; empty without a compiler.
    c: Vec<f64>,
}

/// Measures both in turn.
pub(crate) fn compare(rounds: usize, folder: &Path) -> anyhow::Result<Findings> {
    let program = match compile(folder) {
        Ok(program) => Some(program),
        Err(why) => {
            eprintln!("skipped: the loop in C ({why:#})");
            None
        }
    };
    let hosts = hosts();
    let mut findings = Findings {
        crossdock: Vec::new(),
        c: Vec::new(),
    };
    for _ in 0..rounds {
        findings.crossdock.push(own(&hosts));
        if let Some(program) = &program {
            findings.c.push(foreign(program)?);
        }
    }
    Ok(findings)
}

impl Findings {
    /// The table of the report.
    pub(crate) fn markdown(&self) -> String {
        let ratios = self.crossdock.iter().zip(&self.c).map(|(own, c)| own / c);
        let show = |numbers: &[f64]| Spread::of(numbers.iter().copied()).show();
        format!(
            "\n### maglev\n\nA table of {SLOTS} slots for {HOSTS} hosts, milliseconds.\n\n\
             | crossdock | naive loop in C | ratio |\n|---|---|---|\n| {} | {} | {} |\n",
            show(&self.crossdock),
            show(&self.c),
            Spread::of(ratios).show(),
        )
    }
}

fn hosts() -> HostSet {
    let host = |at: usize| Host {
        address: SocketAddr::from(([10, 0, (at >> 8) as u8, at as u8], 12200)),
        hostname: None,
        hash_key: None,
        weight: 1,
        healthy: true,
        state: HostState::new(),
    };
    HostSet::new((0..HOSTS).map(host).collect())
}

fn own(hosts: &HostSet) -> f64 {
    let policy = Policy::Maglev {
        table_size: SLOTS,
        use_hostname: false,
    };
    let config = BalancerConfig {
        policy,
        ..BalancerConfig::default()
    };
    let build = |_| {
        let begin = now();
        black_box(LoadBalancer::build(None, black_box(hosts), &config));
        begin.elapsed().as_nanos() as f64
    };
    median_millis((0..BUILDS).map(build))
}

fn foreign(program: &Path) -> anyhow::Result<f64> {
    let words = [u64::from(SLOTS), HOSTS as u64, BUILDS as u64].map(|n| n.to_string());
    let told = Command::new(program)
        .args(words)
        .output()
        .context("cannot run the loop in C")?;
    let text = String::from_utf8_lossy(&told.stdout);
    let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if times.len() != BUILDS {
        bail!("the loop in C told {} of {BUILDS} times", times.len());
    }
    Ok(median_millis(times.into_iter()))
}

fn median_millis(nanos: impl Iterator<Item = f64>) -> f64 {
    Spread::of(nanos).median().unwrap_or(f64::NAN) / 1e6
}

fn compile(folder: &Path) -> anyhow::Result<PathBuf> {
    let compiler = ["cc", "gcc", "clang"]
        .into_iter()
        .find_map(child::find_program);
    let compiler = compiler.context("no C compiler")?;
    let (source, program) = (folder.join("maglev.c"), folder.join("maglev"));
    std::fs::write(&source, include_str!("maglev.c"))?;
    let done = Command::new(compiler)
        .arg("-O2")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .output()?;
    if !done.status.success() {
        bail!(
            "it does not compile: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(program)
}
