//! What has to be the same.

use std::collections::BTreeMap;

use crate::{
    ask::{Ask, Field, Outcome, Seen, Told, Version},
    host::CASE,
};

/// Headers of which only the presence is compared, each with the reason.
const PRESENT: &[(&str, &str)] = &[
    ("date", "the clock goes on between the two"),
    ("x-envoy-upstream-service-time", "it was measured"),
    ("x-request-id", "it is drawn"),
    ("x-forwarded-port", "each listens at a port of its own"),
];

/// Headers that are not compared, each with the reason.
const IGNORED: &[(&str, &str)] = &[
    (
        "connection",
        "belongs to the connection, which either may end when it likes",
    ),
    ("keep-alive", "belongs to the connection"),
    ("transfer-encoding", "how a body without a length is cut"),
    (CASE, "numbers the request"),
];

/// What Envoy says where it answers itself; Crossdock's texts name the cause at hand.
const OWN_TEXTS: &[&str] = &[
    "upstream connect error or disconnect/reset before headers",
    "upstream request timeout",
    "no healthy upstream",
    "stream timeout",
    "request timeout",
    "downstream duration timeout",
    "Bad Request",
    "Upgrade Required",
];

/// What differs, in words; nothing when all is the same.
pub(crate) fn differences(ask: &Ask, envoy: &Outcome, ours: &Outcome) -> Vec<String> {
    let mut found = told(ask, &envoy.told, &ours.told);
    if envoy.seen.len() == ours.seen.len() {
        for (envoy, ours) in envoy.seen.iter().zip(&ours.seen) {
            seen(envoy, ours, &mut found);
        }
    } else {
        let hosts = |seen: &[Seen]| {
            seen.iter()
                .map(|seen| seen.host.clone())
                .collect::<Vec<_>>()
        };
        note("hosts", &hosts(&envoy.seen), &hosts(&ours.seen), &mut found);
    }
    found
}

fn told(ask: &Ask, envoy: &Told, ours: &Told) -> Vec<String> {
    let mut found = Vec::new();
    note("status", &envoy.status, &ours.status, &mut found);
    note("interim", &envoy.interim, &ours.interim, &mut found);
    note("broken", &envoy.broken, &ours.broken, &mut found);
    let own = is_own(envoy);
    let kept = |told: &Told| {
        let mut fields = kept(&told.headers);
        if own {
            // Their length is that of the text.
            fields.remove("content-length");
            fields.remove("content-type");
            fields.remove("grpc-message");
        }
        if ask.version == Version::One || ask.method == "HEAD" {
            // HTTP/1 says the length of bodies that have none; who knows none says none.
            if told.body.is_empty() {
                fields.remove("content-length");
            }
        }
        fields
    };
    fields("told", &kept(envoy), &kept(ours), &mut found);
    if !own {
        note("body", &envoy.body, &ours.body, &mut found);
    }
    fields(
        "trailer",
        &kept_of(&envoy.trailers),
        &kept_of(&ours.trailers),
        &mut found,
    );
    found
}

/// Whether Envoy answered with words of its own.
fn is_own(envoy: &Told) -> bool {
    let said = envoy.header("grpc-message").unwrap_or(&envoy.body);
    envoy.header("x-host").is_none()
        && (said.is_empty() || OWN_TEXTS.iter().any(|text| said.starts_with(text)))
}

fn seen(envoy: &Seen, ours: &Seen, found: &mut Vec<String>) {
    note("host", &envoy.host, &ours.host, found);
    note("seen protocol", &envoy.protocol, &ours.protocol, found);
    note("seen method", &envoy.method, &ours.method, found);
    note("seen path", &envoy.path, &ours.path, found);
    note("seen authority", &envoy.authority, &ours.authority, found);
    note("seen body", &envoy.body, &ours.body, found);
    fields("seen", &kept(&envoy.headers), &kept(&ours.headers), found);
}

fn kept(fields: &[Field]) -> BTreeMap<String, String> {
    kept_of(fields)
}

/// Headers by name, several values joined as one line may hold them (RFC 9110 section 5.3, RFC 9113 section
/// 8.2.3): how they are cut into lines says nothing, but for `set-cookie`.
fn kept_of(fields: &[Field]) -> BTreeMap<String, String> {
    let mut kept: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fields {
        if IGNORED.iter().any(|(ignored, _)| ignored == name) {
            continue;
        }
        let value = match name.as_str() {
            _ if PRESENT.iter().any(|(present, _)| present == name) => "…",
            "x-envoy-expected-rq-timeout-ms" => &seconds(value),
            _ => value,
        };
        let between = match name.as_str() {
            "set-cookie" => " | ",
            "cookie" => "; ",
            _ => ", ",
        };
        kept.entry(name.clone())
            .and_modify(|joined| {
                joined.push_str(between);
                joined.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    kept
}

fn fields(
    what: &str,
    envoy: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
    found: &mut Vec<String>,
) {
    for name in envoy.keys().chain(ours.keys()) {
        let line = format!(
            "{what} {name}: envoy {:?}, ours {:?}",
            envoy.get(name),
            ours.get(name)
        );
        if envoy.get(name) != ours.get(name) && !found.contains(&line) {
            found.push(line);
        }
    }
}

fn note<T: PartialEq + std::fmt::Debug>(what: &str, envoy: &T, ours: &T, found: &mut Vec<String>) {
    if envoy != ours {
        found.push(format!("{what}: envoy {envoy:?}, ours {ours:?}"));
    }
}

/// A time in milliseconds, rounded up to seconds: what the tries before took is taken off.
fn seconds(value: &str) -> String {
    let millis: Result<u64, _> = value.parse();
    millis.map_or_else(
        |_| value.to_owned(),
        |millis| (millis.div_ceil(1000) * 1000).to_string(),
    )
}
