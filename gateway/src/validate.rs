//! `crossdock validate`: every error at once, and every field that is not acted upon.

use std::process::ExitCode;

use crossdock_xds::{Loss, Note, Problem, Rejected, Unused, bootstrap, merge};

use crate::{args::Config, compile, discovery};

/// What is said about a configuration.
struct Findings {
    problems: Vec<Problem>,
    unused: Vec<Unused>,
    notes: Vec<Note>,
}

/// Checks a configuration and prints what was found. The exit code tells whether it can be
/// served.
pub(crate) fn validate(config: &Config) -> ExitCode {
    let Findings {
        problems,
        unused,
        notes,
    } = check(config);
    for problem in &problems {
        println!("error: {problem}");
    }
    for unused in &unused {
        match unused.loss {
            Loss::Function => println!("warning: {unused}"),
            Loss::Nothing => println!("note: {unused}"),
        }
    }
    for note in &notes {
        println!("note: {note}");
    }
    let lost = unused
        .iter()
        .filter(|unused| unused.loss == Loss::Function)
        .count();
    match (problems.len(), lost) {
        (0, 0) => println!("OK: the configuration can be served"),
        (0, 1) => println!("OK: the configuration can be served; 1 field is not acted upon"),
        (0, _) => println!("OK: the configuration can be served; {lost} fields are not acted upon"),
        (1, _) => println!("1 error; the configuration cannot be served"),
        (count, _) => println!("{count} errors; the configuration cannot be served"),
    }
    match problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Everything that is wrong with a configuration that was refused for what its fields say alone:
/// what they say together is looked at too, so that nobody learns of one error after another.
pub(crate) fn all_problems(rejected: Rejected) -> Vec<Problem> {
    let mut problems = rejected.problems;
    if let Some(loaded) = rejected.refused
        && let Err(more) = compile::check(&loaded)
    {
        merge(&mut problems, more);
    }
    problems
}

fn check(config: &Config) -> Findings {
    match bootstrap::load_with(config.config_path.as_deref(), &crate::options(config)) {
        Ok(loaded) => {
            let checked = discovery::check(&loaded, crate::discovery_options(config));
            let mut findings = Findings {
                problems: Vec::new(),
                unused: loaded.unused,
                notes: loaded.notes,
            };
            match checked {
                Ok(checked) => {
                    findings.problems = checked.problems;
                    findings.unused.extend(checked.unused);
                    findings.notes.extend(checked.notes);
                }
                Err(problems) => findings.problems = problems,
            }
            findings
        }
        Err(rejected) => Findings {
            unused: rejected.unused.clone(),
            notes: rejected
                .refused
                .as_ref()
                .map(|loaded| loaded.notes.clone())
                .unwrap_or_default(),
            problems: all_problems(rejected),
        },
    }
}
