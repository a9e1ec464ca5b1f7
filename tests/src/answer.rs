//! What a consumer says came of a command.

use std::collections::BTreeMap;

use serde_json::Value;

/// One answer line; see `peers/README.md`.
#[derive(Clone, Debug)]
pub struct Answer {
    json: Value,
}

/// What came of many calls at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers by their value.
    pub answers: BTreeMap<String, u64>,
    /// Failures as [`Answer::failure`] tells them.
    pub failures: BTreeMap<String, u64>,
    /// The first message of each failure, by its class with the package.
    pub messages: BTreeMap<String, String>,
    /// Answers that belong to another call.
    pub wrong: u64,
    /// Milliseconds of the slowest call.
    pub slowest: u64,
}

impl Answer {
    pub(crate) fn read(line: &str) -> Self {
        let json =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
        Self { json }
    }

    /// Whether the call worked.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.json["ok"] == true
    }

    /// The result of a call that worked.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    #[track_caller]
    pub fn value(&self) -> &Value {
        assert!(self.ok(), "the call failed: {}", self.json);
        &self.json["value"]
    }

    /// What came back beside the result: response attachments, baggage, header entries.
    #[must_use]
    pub fn attachment(&self, key: &str) -> Option<&str> {
        self.json["attachments"][key].as_str()
    }

    /// The class of the exception.
    ///
    /// # Panics
    /// When the call worked.
    #[must_use]
    #[track_caller]
    pub fn exception(&self) -> &str {
        assert!(!self.ok(), "the call worked: {}", self.json);
        self.json["exception"].as_str().unwrap_or_default()
    }

    /// The class without its package and the framework's own number, `SofaRpcException/100`; where the
    /// innermost cause has a number too, that as well: `RpcException/0 < RpcException/6`.
    ///
    /// # Panics
    /// When the call worked.
    #[must_use]
    #[track_caller]
    pub fn failure(&self) -> String {
        let outer = format!("{}/{}", self.exception(), self.json["code"]);
        let origin = self.causes().last().filter(|cause| cause.contains('/'));
        let long = origin.map_or_else(|| outer.clone(), |origin| format!("{outer} < {origin}"));
        without_packages(&long)
    }

    /// The text of the exception.
    #[must_use]
    pub fn message(&self) -> &str {
        self.json["message"].as_str().unwrap_or_default()
    }

    /// Whether the exception was caused by one of that class, at any depth.
    #[must_use]
    pub fn caused_by(&self, class: &str) -> bool {
        self.causes().any(|cause| cause.ends_with(class))
    }

    fn causes(&self) -> impl Iterator<Item = &str> {
        let causes = self.json["causes"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        causes.iter().filter_map(Value::as_str)
    }

    /// How long it took.
    #[must_use]
    pub fn millis(&self) -> u64 {
        self.json["millis"].as_u64().unwrap_or_default()
    }

    /// The counts of a `concurrent` command.
    ///
    /// # Panics
    /// When the command was not understood.
    #[must_use]
    #[track_caller]
    pub fn tally(&self) -> Tally {
        let value = self.value();
        Tally {
            answers: counts(&value["answers"]),
            failures: failures(&value["failures"]),
            messages: texts(&value["messages"]),
            wrong: value["wrong"].as_u64().unwrap_or(u64::MAX),
            slowest: value["slowest"].as_u64().unwrap_or_default(),
        }
    }
}

impl Tally {
    /// Calls that were answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Calls that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

fn counts(object: &Value) -> BTreeMap<String, u64> {
    let entries = object.as_object().into_iter().flatten();
    entries
        .map(|(key, count)| (key.clone(), count.as_u64().unwrap_or_default()))
        .collect()
}

fn failures(object: &Value) -> BTreeMap<String, u64> {
    counts(object)
        .into_iter()
        .map(|(key, count)| (without_packages(&key), count))
        .collect()
}

fn without_packages(failure: &str) -> String {
    let short = |class: &str| class.rsplit('.').next().unwrap_or(class).to_owned();
    failure
        .split(" < ")
        .map(short)
        .collect::<Vec<_>>()
        .join(" < ")
}

fn texts(object: &Value) -> BTreeMap<String, String> {
    let entries = object.as_object().into_iter().flatten();
    entries
        .map(|(key, text)| (key.clone(), text.as_str().unwrap_or_default().to_owned()))
        .collect()
}
