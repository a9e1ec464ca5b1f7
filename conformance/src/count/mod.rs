//! `crossdock-conformance count`: instructions and allocations of the gateway for each call.
//!
//! The real binary runs under callgrind and carries calls in lockstep, so that the same bytes come in
//! the same portions each time. A dump after every so many calls separates what calls cost from what
//! starting costs; the first portion only warms up, and the difference of the other two is the noise.

mod callgrind;

use crate::bench::child::{self, LOAD_CORE, Process, Start};
use crate::bench::contender::{Contender, Kind, Programs, Variant};
use crate::bench::load::Outcome;
use crate::bench::setting::{Running, Setting, wait_until_open};
use crate::bench::wire::Wire;
use crate::bench::{Folder, measure};
use anyhow::{Context, bail};
use callgrind::Counts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Growth that fails a check.
const ALLOWED: f64 = 1.1;
/// Allocations per call below which growth is not judged: one in a thousand calls is a table that
/// grew, not a habit.
const RARE: f64 = 0.001;
/// How long a portion of calls may take under callgrind.
const PORTION: Duration = Duration::from_secs(300);
const PAYLOAD: usize = 128;

/// The arguments of `count`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Cases to run; all when none is named.
    cases: Vec<String>,
    /// The gateway's binary; otherwise the one beside this program.
    #[arg(long, value_name = "PATH")]
    crossdock: Option<PathBuf>,
    /// Calls of a portion.
    #[arg(long, default_value_t = 3200)]
    calls: u64,
    /// Fail when instructions or allocations exceed what this file records by more than a tenth.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Record what was counted in this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Keep callgrind's profiles in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// A way to make calls.
struct Case {
    name: &'static str,
    wire: Wire,
    connections: u64,
    /// Calls that come together on each of them.
    in_flight: u64,
    variant: Variant,
}

impl Case {
    /// At most `wanted` calls, of which every connection makes as many, whole rounds.
    const fn calls(&self, wanted: u64) -> u64 {
        let together = self.connections * self.in_flight;
        wanted / together * together
    }
}

const CASES: [Case; 12] = [
    Case {
        name: "dubbo-alone",
        wire: Wire::Dubbo,
        connections: 1,
        in_flight: 1,
        variant: Variant::Plain,
    },
    Case {
        name: "dubbo-32",
        wire: Wire::Dubbo,
        connections: 1,
        in_flight: 32,
        variant: Variant::Plain,
    },
    Case {
        name: "dubbo-32-attachment",
        wire: Wire::Dubbo,
        connections: 1,
        in_flight: 32,
        variant: Variant::Attachment,
    },
    Case {
        name: "bolt-alone",
        wire: Wire::Bolt,
        connections: 1,
        in_flight: 1,
        variant: Variant::Plain,
    },
    Case {
        name: "bolt-32",
        wire: Wire::Bolt,
        connections: 1,
        in_flight: 32,
        variant: Variant::Plain,
    },
    Case {
        name: "http1-alone",
        wire: Wire::Http1,
        connections: 1,
        in_flight: 1,
        variant: Variant::Plain,
    },
    Case {
        name: "http1-64",
        wire: Wire::Http1,
        connections: 64,
        in_flight: 1,
        variant: Variant::Plain,
    },
    Case {
        name: "grpc-32",
        wire: Wire::Grpc,
        connections: 1,
        in_flight: 32,
        variant: Variant::Plain,
    },
    Case {
        name: "dubbo-32-policies",
        wire: Wire::Dubbo,
        connections: 1,
        in_flight: 32,
        variant: Variant::Policies,
    },
    Case {
        name: "bolt-32-policies",
        wire: Wire::Bolt,
        connections: 1,
        in_flight: 32,
        variant: Variant::Policies,
    },
    Case {
        name: "http1-64-policies",
        wire: Wire::Http1,
        connections: 64,
        in_flight: 1,
        variant: Variant::Policies,
    },
    Case {
        name: "grpc-32-policies",
        wire: Wire::Grpc,
        connections: 1,
        in_flight: 32,
        variant: Variant::Policies,
    },
];

/// What a call costs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

/// Counts, prints, and compares with the record if there is one to compare with.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    for tool in ["valgrind", "callgrind_control"] {
        child::find_program(tool).with_context(|| format!("{tool} is not installed"))?;
    }
    let given = Programs {
        crossdock: arguments.crossdock.clone(),
        ..Programs::default()
    };
    let programs = Programs::find(given, &[Kind::Crossdock]);
    let mut costs = BTreeMap::new();
    println!("| case | instructions/call | noise | allocations/call |\n|---|---|---|---|");
    for case in &CASES {
        if !arguments.cases.is_empty() && !arguments.cases.iter().any(|name| name == case.name) {
            continue;
        }
        let (cost, noise) = count(case, arguments, &programs).with_context(|| case.name)?;
        println!(
            "| {} | {:.0} | {:.2} % | {:.4} |",
            case.name,
            cost.instructions,
            noise * 100.0,
            cost.allocations
        );
        costs.insert(case.name.to_owned(), cost);
    }
    if let Some(file) = &arguments.write {
        let text = serde_json::to_string_pretty(&costs)? + "\n";
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let Some(file) = &arguments.check else {
        return Ok(ExitCode::SUCCESS);
    };
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let recorded = serde_json::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    let complaints = compare(&recorded, &costs);
    complaints
        .iter()
        .for_each(|complaint| eprintln!("{complaint}"));
    Ok(if complaints.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What has grown by more than is allowed, or has no record.
fn compare(recorded: &BTreeMap<String, Cost>, now: &BTreeMap<String, Cost>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, cost) in now {
        let Some(old) = recorded.get(name) else {
            complaints.push(format!("{name}: nothing recorded; run with --write"));
            continue;
        };
        let mut judge = |what: &str, new: f64, old: f64, slack: f64| {
            if new > old * ALLOWED + slack {
                complaints.push(format!(
                    "{name}: {what} grew from {old:.3} to {new:.3} per call"
                ));
            }
        };
        judge("instructions", cost.instructions, old.instructions, 0.0);
        judge("allocations", cost.allocations, old.allocations, RARE);
    }
    complaints
}

/// Runs a case; the second number is the relative difference of its two portions.
fn count(case: &Case, arguments: &Arguments, programs: &Programs) -> anyhow::Result<(Cost, f64)> {
    let folder = Folder::new()?;
    let (_backend, ports) = measure::backend("backend", 1, None, &folder.0)?;
    let setting = Setting {
        programs,
        wire: case.wire,
        backends: &ports,
        tls_backends: &[],
        folder: &folder.0,
    };
    let running = start(case, &setting)?;
    let mut load = load(case, arguments.calls, &running, &folder.0)?;
    let mut portions = Vec::new();
    for part in 1..=3 {
        load.send("go")?;
        let outcome: Outcome = serde_json::from_str(&load.line(PORTION)?)?;
        if outcome.errors() > 0 {
            bail!(
                "{} calls went wrong: {:?}",
                outcome.errors(),
                outcome.example
            );
        }
        portions.push(dump(&running, &folder.0, part)?);
        if let Some(keep) = &arguments.keep {
            std::fs::create_dir_all(keep)?;
            let name = format!("{}.{part}.callgrind", case.name);
            std::fs::copy(profile(&folder.0, part), keep.join(name))?;
        }
    }
    let [_, a, b] = portions[..] else {
        bail!("three portions are measured")
    };
    let calls = case.calls(arguments.calls) as f64;
    let instructions = (a.instructions + b.instructions) as f64 / 2.0 / calls;
    let cost = Cost {
        instructions: instructions.round(),
        allocations: (a.allocations + b.allocations) as f64 / 2.0 / calls,
    };
    let noise = a.instructions.abs_diff(b.instructions) as f64 / calls / instructions;
    Ok((cost, noise))
}

fn start(case: &Case, setting: &Setting<'_>) -> anyhow::Result<Running> {
    let contender = Contender {
        kind: Kind::Crossdock,
        variant: case.variant,
    };
    let (program, arguments, address) = setting.command(contender)?;
    let file = setting.folder.join("callgrind");
    let mut words: Vec<OsString> = vec!["--tool=callgrind".into()];
    words.push(format!("--callgrind-out-file={}", file.display()).into());
    words.push(control_pipes(setting.folder).into());
    words.push(program.into());
    words.extend(arguments);
    let how = Start {
        name: "valgrind",
        core: child::PROXY_CORE,
        logs: setting.folder,
    };
    let mut process = Process::start(&how, Path::new("valgrind"), words)?;
    wait_until_open(address, &mut process)?;
    Ok(Running { process, address })
}

fn load(case: &Case, calls: u64, running: &Running, logs: &Path) -> anyhow::Result<Process> {
    let how = Start {
        name: "load",
        core: LOAD_CORE,
        logs,
    };
    let mut words = measure::load_words("load", running, case.wire, PAYLOAD);
    for (name, number) in [
        ("--connections", case.connections),
        ("--in-flight", case.in_flight),
        ("--calls", case.calls(calls)),
        ("--patience", 60),
    ] {
        words.extend([name.to_owned(), number.to_string()]);
    }
    words.push("--lockstep".to_owned());
    let mut load = Process::role(&how, words)?;
    load.line(PORTION)?;
    Ok(load)
}

/// Asks callgrind for what it counted since the last dump.
fn dump(running: &Running, folder: &Path, part: u32) -> anyhow::Result<Counts> {
    let id = running.process.id().to_string();
    let done = Command::new("callgrind_control")
        .args([&control_pipes(folder), "--dump", &id])
        .output()?;
    let text = std::fs::read_to_string(profile(folder, part)).with_context(|| {
        format!(
            "callgrind_control left no dump: {}",
            String::from_utf8_lossy(&done.stderr)
        )
    })?;
    let counts = callgrind::read(&text);
    if counts.instructions == 0 {
        bail!("callgrind's dump has no total");
    }
    Ok(counts)
}

/// Keeps the pipes through which callgrind is spoken to in the run's folder: they outlive it.
fn control_pipes(folder: &Path) -> String {
    format!("--vgdb-prefix={}", folder.join("vgdb").display())
}

/// Where callgrind puts its numbered dumps.
fn profile(folder: &Path, part: u32) -> PathBuf {
    folder.join(format!("callgrind.{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(instructions: f64, allocations: f64) -> BTreeMap<String, Cost> {
        BTreeMap::from([(
            "dubbo-32".to_owned(),
            Cost {
                instructions,
                allocations,
            },
        )])
    }

    #[test]
    fn growth_by_more_than_a_tenth_is_told() {
        let recorded = costs(1000.0, 2.0);
        assert!(compare(&recorded, &costs(1099.0, 2.19)).is_empty());
        assert!(compare(&recorded, &costs(500.0, 0.0)).is_empty());
        assert_eq!(compare(&recorded, &costs(1101.0, 2.0)).len(), 1);
        assert_eq!(compare(&recorded, &costs(1000.0, 2.3)).len(), 1);
        assert_eq!(compare(&recorded, &costs(2000.0, 4.0)).len(), 2);
        assert_eq!(compare(&BTreeMap::new(), &recorded).len(), 1, "no record");
    }

    #[test]
    fn the_first_allocation_of_each_call_is_growth() {
        assert!(compare(&costs(1000.0, 0.0), &costs(1000.0, 0.0005)).is_empty());
        assert_eq!(compare(&costs(1000.0, 0.0), &costs(1000.0, 1.0)).len(), 1);
    }
}
