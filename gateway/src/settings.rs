//! Crossdock's own settings: keys `crossdock.…` of Envoy's `layered_runtime`, and the same keys
//! without the prefix in `metadata.filter_metadata.crossdock` of one listener or cluster.

use std::{collections::BTreeMap, time::Duration};

use crossdock_framework::{cluster::ClusterSettings, snapshot::DownstreamLimits};
use crossdock_xds::envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

/// Where a setting may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Process,
    Listener,
    Cluster,
}

/// One setting: name without prefix, where it applies, its default and its bounds.
struct Key {
    name: &'static str,
    scope: Scope,
    value: Bounds,
}

enum Bounds {
    Number(u64, u64),
    Millis(u64, u64),
    Bool,
    Text,
}

use Bounds::{Bool, Millis, Number, Text};
use Scope::{Cluster, Listener, Process};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const GIB: u64 = 1 << 30;

/// Every setting. docs/limits.md tells what each is for.
const KEYS: &[Key] = &[
    Key {
        name: "rpc_pairs",
        scope: Process,
        value: Number(0, 100_000),
    },
    Key {
        name: "buffer_bytes",
        scope: Process,
        value: Number(1 << 20, 1 << 40),
    },
    Key {
        name: "frame_bytes",
        scope: Listener,
        value: Number(1024, GIB),
    },
    Key {
        name: "calls_per_connection",
        scope: Listener,
        value: Number(1, 131_000),
    },
    Key {
        name: "unread_soft_bytes",
        scope: Listener,
        value: Number(4096, GIB),
    },
    Key {
        name: "unread_hard_bytes",
        scope: Listener,
        value: Number(4096, 4 * GIB),
    },
    Key {
        name: "stall_timeout_ms",
        scope: Listener,
        value: Millis(100, HOUR),
    },
    Key {
        name: "frame_timeout_ms",
        scope: Listener,
        value: Millis(100, HOUR),
    },
    Key {
        name: "idle_timeout_ms",
        scope: Listener,
        value: Millis(100, DAY),
    },
    Key {
        name: "call_timeout_ms",
        scope: Listener,
        value: Millis(10, DAY),
    },
    Key {
        name: "detect_timeout_ms",
        scope: Listener,
        value: Millis(10, HOUR),
    },
    Key {
        name: "connections",
        scope: Listener,
        value: Number(1, 10_000_000),
    },
    Key {
        name: "goaway_on_drain",
        scope: Listener,
        value: Bool,
    },
    Key {
        name: "body_deadline",
        scope: Listener,
        value: Bool,
    },
    Key {
        name: "codecs",
        scope: Listener,
        value: Text,
    },
    Key {
        name: "tcp_fallback",
        scope: Listener,
        value: Text,
    },
    Key {
        name: "connections_per_host",
        scope: Cluster,
        value: Number(1, 10_000),
    },
    Key {
        name: "fill_calls",
        scope: Cluster,
        value: Number(1, 131_000),
    },
    Key {
        name: "fill_bytes",
        scope: Cluster,
        value: Number(4096, GIB),
    },
    Key {
        name: "unwritten_bytes",
        scope: Cluster,
        value: Number(4096, 4 * GIB),
    },
    Key {
        name: "heartbeat_interval_ms",
        scope: Cluster,
        value: Millis(0, DAY),
    },
    Key {
        name: "upstream_idle_timeout_ms",
        scope: Cluster,
        value: Millis(100, DAY),
    },
    Key {
        name: "outlier_concealed_errors",
        scope: Cluster,
        value: Bool,
    },
];

/// A setting as given.
#[derive(Clone, Debug, PartialEq)]
enum Given {
    Number(u64),
    Bool(bool),
    Text(String),
}

/// A setting as given, and the field that gives it.
#[derive(Clone, Debug)]
struct Stated {
    value: Given,
    path: String,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The field.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) reason: String,
    /// What to do.
    pub(crate) cure: String,
}

/// Settings that apply at one place: what stands there over what stands in the runtime.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    given: BTreeMap<&'static str, Stated>,
}

/// The prefix of keys in the runtime.
const PREFIX: &str = "crossdock.";

impl Settings {
    /// Reads the runtime layer at `path`: keys `crossdock.x`, or `x` within a struct `crossdock`.
    pub(crate) fn add_runtime(&mut self, layer: &Struct, path: &str, wrong: &mut Vec<Wrong>) {
        for (key, value) in &layer.fields {
            if let Some(name) = key.strip_prefix(PREFIX) {
                let path = format!("{path}[\"{key}\"]");
                self.add(path, name, value, None, wrong);
            } else if key == "crossdock"
                && let Some(Kind::StructValue(nested)) = &value.kind
            {
                for (name, value) in &nested.fields {
                    self.add(format!("{path}.crossdock.{name}"), name, value, None, wrong);
                }
            }
        }
    }

    /// These settings with those of the listener at `path` (`filter_metadata.crossdock`) over
    /// them.
    pub(crate) fn for_listener(
        &self,
        own: Option<&Struct>,
        path: &str,
        wrong: &mut Vec<Wrong>,
    ) -> Self {
        self.with(own, path, Listener, wrong)
    }

    /// These settings with those of the cluster at `path` over them.
    pub(crate) fn for_cluster(
        &self,
        own: Option<&Struct>,
        path: &str,
        wrong: &mut Vec<Wrong>,
    ) -> Self {
        self.with(own, path, Cluster, wrong)
    }

    fn with(&self, own: Option<&Struct>, path: &str, scope: Scope, wrong: &mut Vec<Wrong>) -> Self {
        let mut all = self.clone();
        for (name, value) in own.iter().flat_map(|own| &own.fields) {
            let path = format!("{path}.metadata.filter_metadata.crossdock.{name}");
            all.add(path, name, value, Some(scope), wrong);
        }
        all
    }

    fn add(
        &mut self,
        path: String,
        name: &str,
        value: &Value,
        scope: Option<Scope>,
        wrong: &mut Vec<Wrong>,
    ) {
        match judge(name, value, scope) {
            Ok((name, value)) => {
                self.given.insert(name, Stated { value, path });
            }
            Err((reason, cure)) => wrong.push(Wrong { path, reason, cure }),
        }
    }

    /// The field that gives a setting; empty where none does.
    pub(crate) fn path(&self, name: &str) -> &str {
        self.given.get(name).map_or("", |stated| &stated.path)
    }

    fn value(&self, name: &str) -> Option<&Given> {
        self.given.get(name).map(|stated| &stated.value)
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Given::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn size(&self, name: &str, into: &mut usize) {
        if let Some(number) = self.number(name) {
            *into = usize::try_from(number).unwrap_or(usize::MAX);
        }
    }

    fn count(&self, name: &str, into: &mut u32) {
        if let Some(number) = self.number(name) {
            *into = u32::try_from(number).unwrap_or(u32::MAX);
        }
    }

    fn time(&self, name: &str, into: &mut Duration) {
        if let Some(number) = self.number(name) {
            *into = Duration::from_millis(number);
        }
    }

    fn flag(&self, name: &str, into: &mut bool) {
        if let Some(Given::Bool(given)) = self.value(name) {
            *into = *given;
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Given::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Services and methods that metrics tell apart at most, over all of the process. Default 0.
    pub(crate) fn rpc_pairs(&self) -> usize {
        let mut pairs = 0;
        self.size("rpc_pairs", &mut pairs);
        pairs
    }

    /// Bytes that the process may buffer. Default 512 MiB.
    pub(crate) fn buffer_bytes(&self) -> usize {
        let mut bytes = 512 << 20;
        self.size("buffer_bytes", &mut bytes);
        bytes
    }

    /// How long the protocol of a connection may stay unknown, if said.
    pub(crate) fn detect_timeout(&self) -> Option<Duration> {
        self.number("detect_timeout_ms").map(Duration::from_millis)
    }

    /// Connections that a listener has at most. Default 100,000.
    pub(crate) fn connections(&self) -> usize {
        let mut connections = 100_000;
        self.size("connections", &mut connections);
        connections
    }

    /// The names of the codecs that are looked for, in order; `None` for all.
    pub(crate) fn codecs(&self) -> Option<Vec<String>> {
        let names = self.text("codecs")?.split(',').map(str::trim);
        Some(
            names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    }

    /// The cluster that gets connections of unknown protocols, as plain bytes.
    pub(crate) fn tcp_fallback(&self) -> Option<&str> {
        self.text("tcp_fallback")
    }

    /// Whether outlier detection counts errors within answers whose status says success. Default
    /// false.
    pub(crate) fn concealed_errors(&self) -> bool {
        let mut counted = false;
        self.flag("outlier_concealed_errors", &mut counted);
        counted
    }

    /// What downstream connections may do; `limits` holds what the configuration says elsewhere.
    pub(crate) fn downstream(&self, mut limits: DownstreamLimits) -> DownstreamLimits {
        self.size("frame_bytes", &mut limits.frame);
        self.count("calls_per_connection", &mut limits.calls);
        self.size("unread_soft_bytes", &mut limits.unread_soft);
        self.size("unread_hard_bytes", &mut limits.unread_hard);
        self.time("stall_timeout_ms", &mut limits.stall_timeout);
        self.time("frame_timeout_ms", &mut limits.frame_timeout);
        self.time("idle_timeout_ms", &mut limits.idle_timeout);
        self.time("call_timeout_ms", &mut limits.call_timeout);
        self.flag("goaway_on_drain", &mut limits.goaway_on_drain);
        self.flag("body_deadline", &mut limits.body_deadline);
        limits
    }

    /// How a cluster's upstream connections behave.
    pub(crate) fn upstream(&self) -> ClusterSettings {
        let mut settings = ClusterSettings::default();
        self.count("connections_per_host", &mut settings.connections_per_host);
        self.count("fill_calls", &mut settings.fill_calls);
        self.size("fill_bytes", &mut settings.fill_bytes);
        self.size("unwritten_bytes", &mut settings.unwritten_max);
        self.time("heartbeat_interval_ms", &mut settings.heartbeat_interval);
        self.time("upstream_idle_timeout_ms", &mut settings.idle_timeout);
        settings
    }
}

/// The setting `name` with its value, or the reason and the cure.
fn judge(
    name: &str,
    value: &Value,
    scope: Option<Scope>,
) -> Result<(&'static str, Given), (String, String)> {
    let Some(key) = KEYS.iter().find(|key| key.name == name) else {
        let here = |key: &&Key| scope.is_none_or(|scope| scope == key.scope);
        let names: Vec<_> = KEYS.iter().filter(here).map(|key| key.name).collect();
        return Err((
            format!("there is no setting '{name}'"),
            format!("the settings are {}", names.join(", ")),
        ));
    };
    if scope.is_some_and(|scope| scope != key.scope) {
        let place = match key.scope {
            Process => "layered_runtime",
            Listener => "layered_runtime or the metadata of a listener",
            Cluster => "layered_runtime or the metadata of a cluster",
        };
        return Err((
            "the setting has no meaning here".into(),
            format!("put it into {place}"),
        ));
    }
    match read(value, &key.value) {
        Some(given) => Ok((key.name, given)),
        None => {
            let (expected, cure) = expected(&key.value);
            Err((format!("{} is not {expected}", shown(value)), cure))
        }
    }
}

fn read(value: &Value, bounds: &Bounds) -> Option<Given> {
    match (bounds, value.kind.as_ref()?) {
        (Bool, Kind::BoolValue(given)) => Some(Given::Bool(*given)),
        (Text, Kind::StringValue(given)) => Some(Given::Text(given.clone())),
        (Number(least, most) | Millis(least, most), Kind::NumberValue(given)) => {
            let whole = given.fract() == 0.0 && (*least as f64..=*most as f64).contains(given);
            whole.then_some(Given::Number(*given as u64))
        }
        _ => None,
    }
}

/// What a value should be, and what to write.
fn expected(bounds: &Bounds) -> (String, String) {
    match bounds {
        Bool => ("a truth value".into(), "write true or false".into()),
        Text => ("a text".into(), "write it in quotes".into()),
        Number(least, most) => (
            format!("within {least} to {most}"),
            "write a whole number of these".into(),
        ),
        Millis(least, most) => (
            format!("within {least} to {most}"),
            "write a whole number of milliseconds".into(),
        ),
    }
}

/// A value as it was written.
fn shown(value: &Value) -> String {
    match &value.kind {
        Some(Kind::BoolValue(given)) => given.to_string(),
        Some(Kind::NumberValue(given)) => given.to_string(),
        Some(Kind::StringValue(given)) => format!("'{}'", given.escape_debug()),
        Some(Kind::ListValue(_)) => "a list".into(),
        Some(Kind::StructValue(_)) => "an object".into(),
        Some(Kind::NullValue(_)) | None => "null".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(entries: &[(&str, Kind)]) -> Struct {
        let fields = entries
            .iter()
            .map(|(key, kind)| {
                (
                    (*key).to_owned(),
                    Value {
                        kind: Some(kind.clone()),
                    },
                )
            })
            .collect();
        Struct { fields }
    }

    #[test]
    fn what_stands_at_a_listener_goes_before_the_runtime() {
        let mut wrong = Vec::new();
        let mut settings = Settings::default();
        settings.add_runtime(
            &layer(&[
                ("crossdock.frame_bytes", Kind::NumberValue(2048.0)),
                ("envoy.something", Kind::BoolValue(true)),
            ]),
            "runtime",
            &mut wrong,
        );
        let own = layer(&[("frame_bytes", Kind::NumberValue(4096.0))]);
        let listener = settings.for_listener(Some(&own), "listener", &mut wrong);
        assert_eq!(wrong, []);
        assert_eq!(settings.downstream(DownstreamLimits::default()).frame, 2048);
        assert_eq!(listener.downstream(DownstreamLimits::default()).frame, 4096);
    }

    #[test]
    fn wrong_settings_are_named() {
        let mut wrong = Vec::new();
        let mut settings = Settings::default();
        settings.add_runtime(
            &layer(&[
                ("crossdock.frame_byte", Kind::NumberValue(1.0)),
                ("crossdock.goaway_on_drain", Kind::NumberValue(1.0)),
                ("crossdock.fill_calls", Kind::NumberValue(0.5)),
            ]),
            "runtime",
            &mut wrong,
        );
        let own = layer(&[("buffer_bytes", Kind::NumberValue(1e9))]);
        let _ = settings.for_cluster(Some(&own), "cluster", &mut wrong);
        let mut said: Vec<_> = wrong
            .iter()
            .map(|wrong| format!("{}: {}", wrong.path, wrong.reason))
            .collect();
        said.sort_unstable();
        assert_eq!(
            said,
            [
                "cluster.metadata.filter_metadata.crossdock.buffer_bytes: \
                 the setting has no meaning here",
                "runtime[\"crossdock.fill_calls\"]: 0.5 is not within 1 to 131000",
                "runtime[\"crossdock.frame_byte\"]: there is no setting 'frame_byte'",
                "runtime[\"crossdock.goaway_on_drain\"]: 1 is not a truth value",
            ]
        );
    }

    #[test]
    fn every_setting_is_in_the_docs() {
        let docs = include_str!("../../docs/limits.md");
        for key in KEYS {
            assert!(
                docs.contains(&format!("`crossdock.{}`", key.name)),
                "{} is missing",
                key.name
            );
        }
    }
}
