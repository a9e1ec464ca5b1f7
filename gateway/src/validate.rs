//! `crossdock validate`: every error at once, and every field that is not acted upon.

use std::process::ExitCode;

use crossdock_framework::stats::Registry;
use crossdock_xds::{Loss, Problem, Unused, bootstrap};

use crate::{access_log::Files, args::Config, compile};

/// Checks a configuration and prints what was found. The exit code tells whether it can be
/// served.
pub(crate) fn validate(config: &Config) -> ExitCode {
    let (problems, unused) = check(config);
    for problem in &problems {
        println!("error: {problem}");
    }
    for unused in &unused {
        match unused.loss {
            Loss::Function => println!("warning: {unused}"),
            Loss::Nothing => println!("note: {unused}"),
        }
    }
    let lost = unused
        .iter()
        .filter(|unused| unused.loss == Loss::Function)
        .count();
    match problems.len() {
        0 => println!("OK: the configuration can be served; {lost} settings are not acted upon"),
        count => println!("{count} errors; the configuration cannot be served"),
    }
    match problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Every problem and every field that is not acted upon.
fn check(config: &Config) -> (Vec<Problem>, Vec<Unused>) {
    let loaded = bootstrap::load_with(config.config_path.as_deref(), &crate::options(config));
    let (loaded, mut problems, unused) = match loaded {
        Ok(loaded) => {
            let unused = loaded.unused.clone();
            (Some(loaded), Vec::new(), unused)
        }
        Err(rejected) => (
            rejected.refused.map(|refused| *refused),
            rejected.problems,
            rejected.unused,
        ),
    };
    if let Some(loaded) = loaded
        && let Err(more) = compile::compile(&loaded, &Registry::new(0), &Files::unopened())
    {
        problems.extend(more);
        problems.sort();
        problems.dedup();
    }
    (problems, unused)
}
