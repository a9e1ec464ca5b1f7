//! The log of the process, on standard error.

use std::{
    fmt,
    io::IsTerminal as _,
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{
    EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// A handle that changes the level of the log while the process runs.
#[derive(Clone)]
pub(crate) struct Level {
    /// `None` where the log is not this process's own.
    handle: Option<reload::Handle<EnvFilter, Registry>>,
    directives: Arc<Mutex<String>>,
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Level").field(&self.current()).finish()
    }
}

impl Level {
    /// A handle that remembers its level and changes nothing.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self::new(None, "info")
    }

    fn new(handle: Option<reload::Handle<EnvFilter, Registry>>, level: &str) -> Self {
        Self {
            handle,
            directives: Arc::new(Mutex::new(level.to_owned())),
        }
    }

    /// Logs at `level` from now on: a level by its name in Envoy (`trace` … `critical`, `off`),
    /// or directives such as `info,crossdock_framework=debug`.
    ///
    /// # Errors
    ///
    /// A text for the operator, when the level is unknown.
    pub(crate) fn set(&self, level: &str) -> Result<(), String> {
        let filter = filter(level)?;
        if let Some(handle) = &self.handle {
            handle.reload(filter).map_err(|error| error.to_string())?;
        }
        level.clone_into(
            &mut self
                .directives
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        Ok(())
    }

    /// The level as it was set.
    pub(crate) fn current(&self) -> String {
        self.directives
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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
        // Files and pipes want no colours.
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let started = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    Ok(Level::new(started.ok().map(|()| handle), level))
}

/// Words that are no level are refused here: the library takes them for names of targets.
fn filter(level: &str) -> Result<EnvFilter, String> {
    let directives = level.split(',').map(|directive| {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, directive),
        };
        let level = match level.to_ascii_lowercase().as_str() {
            "trace" => "trace",
            "debug" => "debug",
            "info" => "info",
            "warning" | "warn" => "warn",
            "error" | "critical" => "error",
            "off" => "off",
            _ => {
                return Err(format!(
                    "log level '{level}' is unknown; use trace, debug, info, warning, error, \
                     critical or off"
                ));
            }
        };
        Ok(target.map_or_else(|| level.to_owned(), |target| format!("{target}={level}")))
    });
    let directives = directives.collect::<Result<Vec<_>, _>>()?.join(",");
    EnvFilter::try_new(directives).map_err(|error| format!("log level '{level}': {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_envoys_names() {
        for (level, filter_text) in [
            ("warning", "warn"),
            ("critical", "error"),
            ("OFF", "off"),
            ("info,crossdock_xds=warning", "crossdock_xds=warn,info"),
        ] {
            assert_eq!(filter(level).expect(level).to_string(), filter_text);
        }
        for level in ["", "loud", "info,loud", "crossdock_xds=loud", "a=b=info"] {
            assert!(filter(level).is_err(), "{level}");
        }
    }

    #[test]
    fn a_wrong_level_changes_nothing() {
        let level = Level::detached();
        level.set("debug").expect("it is known");
        assert!(level.set("loud").is_err());
        assert_eq!(level.current(), "debug");
    }
}
