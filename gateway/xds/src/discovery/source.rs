//! Where resources are to be found.

use std::{path::PathBuf, time::Duration};

use envoy_types::pb::{
    envoy::config::core::v3::{
        ConfigSource, PathConfigSource, config_source::ConfigSourceSpecifier,
    },
    google::protobuf::Duration as ProtoDuration,
};

/// How long the first answer is waited for where a source does not say.
pub const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// A file with resources, as `ConfigSource` describes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSource {
    /// The file.
    pub path: PathBuf,
    /// When it is read again.
    pub watch: Watch,
}

/// When a file is read again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watch {
    /// When another one has been moved into its place.
    Path,
    /// When something has been moved within a directory; the file itself is not watched.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Also when something within it was written to: `watch_modify`.
        modified: bool,
    },
    /// After each such time.
    Interval(Duration),
}

/// Why resources cannot be had from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is on the network.
    #[error("xDS over the network is not in this version")]
    Network,
    /// It is not said.
    #[error("no source is named")]
    Unspecified,
    /// A file is to be watched and to be read at intervals.
    #[error("`watched_directory` and `poll_interval` exclude each other")]
    TwoWays,
}

impl SourceError {
    /// What to do about it.
    #[must_use]
    pub fn cure(self) -> &'static str {
        match self {
            Self::Network | Self::Unspecified => "name a file in `path_config_source`",
            Self::TwoWays => "keep one of the two",
        }
    }
}

impl FileSource {
    /// The file that a source names.
    ///
    /// # Errors
    /// When it names none, or does not say clearly when to read it.
    pub fn of(source: &ConfigSource) -> Result<Self, SourceError> {
        #[expect(deprecated, reason = "Envoy's users still write `path`")]
        match &source.config_source_specifier {
            Some(ConfigSourceSpecifier::PathConfigSource(file)) => Ok(Self {
                path: (&file.path).into(),
                watch: watch(file)?,
            }),
            Some(ConfigSourceSpecifier::Path(path)) => Ok(Self {
                path: path.into(),
                watch: Watch::Path,
            }),
            Some(_) => Err(SourceError::Network),
            None => Err(SourceError::Unspecified),
        }
    }
}

fn watch(file: &PathConfigSource) -> Result<Watch, SourceError> {
    match (&file.watched_directory, &file.poll_interval) {
        (Some(_), Some(_)) => Err(SourceError::TwoWays),
        (Some(directory), None) => Ok(Watch::Directory {
            path: (&directory.path).into(),
            modified: directory.watch_modify,
        }),
        (None, Some(interval)) => Ok(time(interval).map_or(Watch::Path, Watch::Interval)),
        (None, None) => Ok(Watch::Path),
    }
}

/// How long the first answer is waited for; `None` for as long as it takes.
pub(super) fn initial_fetch_timeout(source: &ConfigSource) -> Option<Duration> {
    match &source.initial_fetch_timeout {
        None => Some(INITIAL_FETCH_TIMEOUT),
        Some(given) => time(given).filter(|time| !time.is_zero()),
    }
}

/// `None` for a negative time.
fn time(given: &ProtoDuration) -> Option<Duration> {
    let seconds = u64::try_from(given.seconds).ok()?;
    let nanos = u32::try_from(given.nanos).ok()?;
    Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> ConfigSource {
        let text = format!("dynamic_resources: {{lds_config: {text}}}");
        let options = crate::bootstrap::Options::default();
        let loaded =
            crate::bootstrap::parse("f", &text, crate::bootstrap::Format::Yaml, &options).unwrap();
        let dynamic = loaded.bootstrap.dynamic_resources.unwrap();
        dynamic.lds_config.unwrap()
    }

    #[test]
    fn files_are_named_in_two_ways() {
        let old = FileSource::of(&source("{path: /etc/lds.yaml}")).unwrap();
        let new = FileSource::of(&source("{path_config_source: {path: /etc/lds.yaml}}")).unwrap();
        assert_eq!(old, new);
        assert_eq!(new.watch, Watch::Path);
    }

    #[test]
    fn directories_and_intervals() {
        let of = |text: &str| {
            let text = format!("{{path_config_source: {{path: /a/b, {text}}}}}");
            FileSource::of(&source(&text)).map(|source| source.watch)
        };
        let directory = |modified| Watch::Directory {
            path: "/a".into(),
            modified,
        };
        assert_eq!(of("watched_directory: {path: /a}"), Ok(directory(false)));
        assert_eq!(
            of("watched_directory: {path: /a, watch_modify: true}"),
            Ok(directory(true))
        );
        let interval = Watch::Interval(Duration::from_millis(1500));
        assert_eq!(of("poll_interval: 1.5s"), Ok(interval));
        assert_eq!(
            of("poll_interval: 1s, watched_directory: {path: /a}"),
            Err(SourceError::TwoWays)
        );
    }

    #[test]
    fn the_network_is_no_file() {
        let ads = ConfigSource {
            config_source_specifier: Some(ConfigSourceSpecifier::Ads(Default::default())),
            ..ConfigSource::default()
        };
        assert_eq!(FileSource::of(&ads), Err(SourceError::Network));
        assert_eq!(
            FileSource::of(&ConfigSource::default()),
            Err(SourceError::Unspecified)
        );
    }

    #[test]
    fn the_first_answer_is_waited_for() {
        let timeout = |text: &str| initial_fetch_timeout(&source(&format!("{{path: /a, {text}}}")));
        assert_eq!(timeout(""), Some(INITIAL_FETCH_TIMEOUT));
        assert_eq!(timeout("initial_fetch_timeout: 0s"), None);
        assert_eq!(
            timeout("initial_fetch_timeout: 0.5s"),
            Some(Duration::from_millis(500))
        );
    }
}
