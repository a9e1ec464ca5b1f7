//! The log of the process, on standard error.

use std::fmt;

use tracing_subscriber::{
    EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// A handle that changes the level of the log while the process runs.
#[derive(Clone)]
pub(crate) struct Level(Option<reload::Handle<EnvFilter, Registry>>);

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Level")
    }
}

impl Level {
    /// A handle that changes nothing.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self(None)
    }

    /// Logs at `level` from now on: a level by its name in Envoy (`trace` … `critical`, `off`),
    /// or directives such as `info,crossdock_framework=debug`.
    ///
    /// # Errors
    ///
    /// A text for the operator, when the level is unknown.
    pub(crate) fn set(&self, level: &str) -> Result<(), String> {
        let filter = filter(level)?;
        match &self.0 {
            Some(handle) => handle.reload(filter).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}

/// Starts the log at `level`.
///
/// # Errors
///
/// A text for the operator, when the level is unknown.
pub(crate) fn start(level: &str) -> Result<Level, String> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    Ok(Level(started.ok().map(|()| handle)))
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    let directives = match level {
        "warning" => "warn",
        "critical" => "error",
        other => other,
    };
    EnvFilter::try_new(directives).map_err(|error| {
        format!(
            "log level '{level}': {error}; use trace, debug, info, warning, error, critical or off"
        )
    })
}
