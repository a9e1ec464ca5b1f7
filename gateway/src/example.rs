//! `crossdock example NAME`: one policy at work on four protocols.
//!
//! An example is a configuration of the folder `examples` and what is done with it: calls over all
//! four protocols, of which the callers have to be told what they should, and the metrics have to
//! count as many as the callers did.

mod callers;
mod cast;
mod plays;
mod report;
mod stage;

use std::{fmt::Write as _, path::Path, process::ExitCode};

use self::{
    cast::Running,
    plays::{EXAMPLES, Example},
};
use crate::server::ProcessSettings;

/// What stands for every example, one after the other.
pub(crate) const ALL: &str = "all";

/// What can be asked for.
pub(crate) fn names() -> Vec<&'static str> {
    let names = EXAMPLES.iter().map(|example| example.name);
    names.chain([ALL]).collect()
}

/// Prints the names of the examples, and what each shows.
pub(crate) fn list() -> ExitCode {
    for example in EXAMPLES {
        println!("{:20}  {}", example.name, example.shows);
    }
    ExitCode::SUCCESS
}

/// Prints the configuration of an example.
pub(crate) fn print_config(name: &str) -> ExitCode {
    for example in chosen(name) {
        print!("{}", example.config);
    }
    ExitCode::SUCCESS
}

/// What becomes of the gateways when the calls are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then<'p> {
    /// They end.
    End,
    /// They serve until they are interrupted. A configuration that has Prometheus scrape them is
    /// written to the file.
    Serve(Option<&'p Path>),
}

/// Starts services and a gateway for each example chosen, makes its calls, and says what came of
/// them. Fails if that was not what it should be.
pub(crate) async fn run(name: &str, settings: ProcessSettings, then: Then<'_>) -> ExitCode {
    let mut serving = Vec::new();
    let mut well = true;
    for example in chosen(name) {
        let running = match Running::start(example, settings.clone()).await {
            Ok(running) => running,
            Err(lines) => return crate::refuse(&lines),
        };
        match play(example, &running).await {
            Ok(as_expected) => well &= as_expected,
            Err(text) => {
                eprintln!("error: {}: {text}", example.name);
                well = false;
            }
        }
        match then {
            Then::End => well &= running.end().await,
            Then::Serve(_) => serving.push((example, running)),
        }
    }
    if let Then::Serve(scrapes) = then {
        if let Some(path) = scrapes
            && let Err(error) = std::fs::write(path, scrape_config(&serving))
        {
            return crate::refuse(&[format!("cannot write {}: {error}", path.display())]);
        }
        print_hints(&serving);
        for (_, running) in serving {
            well &= running.ended().await;
        }
    }
    match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn chosen(name: &str) -> impl Iterator<Item = &'static Example> {
    let wanted = move |example: &&Example| name == ALL || name == example.name;
    EXAMPLES.iter().filter(wanted)
}

/// Makes the calls, and prints what came of them; whether that was all as it should be.
async fn play(example: &Example, running: &Running) -> Result<bool, String> {
    println!("{}: {}\n", example.name, example.shows);
    let mut stage = stage::Stage::set(running).await?;
    let played = (example.play)(&mut stage).await;
    // What has been seen until something went wrong is worth seeing.
    let well = report::print(stage.rows(), &stage.counted().await?);
    println!();
    played.map(|()| well)
}

fn print_hints(serving: &[(&Example, Running)]) {
    for (example, running) in serving {
        let (gateway, admin) = (running.gateway, running.admin);
        println!(
            "{} serves at {gateway}, its admin endpoint at http://{admin}",
            example.name
        );
        println!("  curl -i -H 'host: web.example' http://{gateway}/hello");
        println!("  curl -s http://{admin}/stats/prometheus");
        if let Some(file) = running.file() {
            println!("  move a changed copy over {}", file.display());
        }
    }
    println!("Ends with Ctrl-C.");
}

/// A configuration of Prometheus: a job for each example.
fn scrape_config(serving: &[(&Example, Running)]) -> String {
    let mut text = String::from("global: {scrape_interval: 1s}\nscrape_configs:\n");
    for (example, running) in serving {
        // Writing to memory cannot fail.
        let _ = writeln!(
            text,
            "- job_name: {}\n  metrics_path: /stats/prometheus\n  static_configs: [{{targets: ['{}']}}]",
            example.name, running.admin
        );
    }
    text
}
