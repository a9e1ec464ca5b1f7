//! Configuration that changes while the process runs.
//!
//! [`Engine`] compiles and says what may be in force; it runs beside the control thread.
//! [`Manager`] feeds it, publishes what it gives, and binds and drains listeners.

mod counts;
mod court;
mod engine;
mod hosts;
mod log;
mod manager;
#[cfg(test)]
mod tests;
mod watch;

use std::time::SystemTime;

use crossdock_xds::{
    Note, Problem, Unused,
    bootstrap::Loaded,
    discovery::{Feed, Options},
};

use self::court::Court;
pub(crate) use self::{engine::Engine, manager::Manager};
use crate::compile::{Compiler, Tools};

/// What is said about files with resources.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) problems: Vec<Problem>,
    pub(crate) unused: Vec<Unused>,
    pub(crate) notes: Vec<Note>,
}

/// Compiles a bootstrap file and everything that it asks for, and drops what comes of it.
///
/// # Errors
///
/// What is wrong with the bootstrap file itself, in its order.
pub(crate) fn check(loaded: &Loaded, options: Options) -> Result<Checked, Vec<Problem>> {
    let feed = Feed::new(loaded, options);
    let (compiler, resources) = match (Compiler::new(loaded, Tools::unused()), &feed) {
        (Ok(compiled), _) => compiled,
        (Err(mut problems), feed) => {
            problems.extend(feed.as_ref().err().into_iter().flatten().cloned());
            problems.sort();
            return Err(problems);
        }
    };
    let mut feed = feed?;
    let mut engine = Engine::new(compiler, resources);
    let mut court = Court {
        engine: &mut engine,
        ports: None,
    };
    feed.start(&mut court, SystemTime::now())?;
    let mut checked = Checked::default();
    for (_, said) in feed.said() {
        checked.problems.extend(said.problems.iter().cloned());
        checked.unused.extend(said.unused.iter().cloned());
        checked.notes.extend(said.notes.iter().cloned());
    }
    Ok(checked)
}
