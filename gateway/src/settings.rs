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
];

/// A setting as given.
#[derive(Clone, Debug, PartialEq)]
enum Given {
    Number(u64),
    Bool(bool),
    Text(String),
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The key below the struct that was read.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) reason: String,
    /// What to do.
    pub(crate) cure: String,
}

/// Settings that apply at one place: what stands there over what stands in the runtime.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    given: BTreeMap<&'static str, Given>,
}

/// The prefix of keys in the runtime.
const PREFIX: &str = "crossdock.";

impl Settings {
    /// Reads a runtime layer: keys `crossdock.x`, or `x` within a struct `crossdock`.
    pub(crate) fn add_runtime(&mut self, layer: &Struct, wrong: &mut Vec<Wrong>) {
        for (key, value) in &layer.fields {
            if let Some(name) = key.strip_prefix(PREFIX) {
                self.add(key, name, value, None, wrong);
            } else if key == "crossdock"
                && let Some(Kind::StructValue(nested)) = &value.kind
            {
                for (name, value) in &nested.fields {
                    self.add(&format!("crossdock.{name}"), name, value, None, wrong);
                }
            }
        }
    }

    /// These settings with those of one listener (`filter_metadata.crossdock`) over them.
    pub(crate) fn for_listener(&self, own: Option<&Struct>, wrong: &mut Vec<Wrong>) -> Self {
        self.with(own, Listener, wrong)
    }

    /// These settings with those of one cluster over them.
    pub(crate) fn for_cluster(&self, own: Option<&Struct>, wrong: &mut Vec<Wrong>) -> Self {
        self.with(own, Cluster, wrong)
    }

    fn with(&self, own: Option<&Struct>, scope: Scope, wrong: &mut Vec<Wrong>) -> Self {
        let mut all = self.clone();
        for (name, value) in own.iter().flat_map(|own| &own.fields) {
            all.add(name, name, value, Some(scope), wrong);
        }
        all
    }

    fn add(
        &mut self,
        shown: &str,
        name: &str,
        value: &Value,
        scope: Option<Scope>,
        wrong: &mut Vec<Wrong>,
    ) {
        let mut refuse = |reason: String, cure: String| {
            wrong.push(Wrong {
                key: shown.to_owned(),
                reason,
                cure,
            });
        };
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let names = KEYS
                .iter()
                .map(|key| key.name)
                .collect::<Vec<_>>()
                .join(", ");
            return refuse(
                "no such setting".into(),
                format!("the settings are {names}"),
            );
        };
        if scope.is_some_and(|scope| scope != key.scope) {
            let place = match key.scope {
                Process => "layered_runtime only",
                Listener => "layered_runtime or the metadata of a listener",
                Cluster => "layered_runtime or the metadata of a cluster",
            };
            return refuse(
                "the setting has no meaning here".into(),
                format!("put it into {place}"),
            );
        }
        match read(value, &key.value) {
            Ok(given) => {
                self.given.insert(key.name, given);
            }
            Err(expected) => refuse(format!("the value is not {expected}"), String::new()),
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.given.get(name)? {
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
        if let Some(Given::Bool(given)) = self.given.get(name) {
            *into = *given;
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.given.get(name)? {
            Given::Text(text) => Some(text),
            _ => None,
        }
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

fn read(value: &Value, bounds: &Bounds) -> Result<Given, String> {
    match (bounds, &value.kind) {
        (Bool, Some(Kind::BoolValue(given))) => Ok(Given::Bool(*given)),
        (Bool, _) => Err("true or false".into()),
        (Text, Some(Kind::StringValue(given))) => Ok(Given::Text(given.clone())),
        (Text, _) => Err("a text".into()),
        (Number(least, most) | Millis(least, most), Some(Kind::NumberValue(given))) => {
            let whole = given.fract() == 0.0 && (*least as f64..=*most as f64).contains(given);
            match whole {
                true => Ok(Given::Number(*given as u64)),
                false => Err(format!("a whole number from {least} to {most}")),
            }
        }
        (Number(least, most) | Millis(least, most), _) => {
            Err(format!("a whole number from {least} to {most}"))
        }
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
            &mut wrong,
        );
        let own = layer(&[("frame_bytes", Kind::NumberValue(4096.0))]);
        let listener = settings.for_listener(Some(&own), &mut wrong);
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
            &mut wrong,
        );
        let own = layer(&[("buffer_bytes", Kind::NumberValue(1e9))]);
        let _ = settings.for_cluster(Some(&own), &mut wrong);
        let mut reasons: Vec<_> = wrong.iter().map(|wrong| wrong.reason.as_str()).collect();
        reasons.sort_unstable();
        assert_eq!(
            reasons,
            [
                "no such setting",
                "the setting has no meaning here",
                "the value is not a whole number from 1 to 131000",
                "the value is not true or false",
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
