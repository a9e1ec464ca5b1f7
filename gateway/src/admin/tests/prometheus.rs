//! Metrics for Prometheus, held against the grammar of its text format 0.0.4.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Samples by name and labels, after everything that the format demands has been checked.
fn checked(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    assert!(text.ends_with('\n') || text.is_empty());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help
                .split_once(' ')
                .expect("a name and a text")
                .0
                .to_owned();
            kind.clear();
            assert!(families.insert(family.clone()), "{family} is there twice");
            continue;
        }
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, declared) = declared.split_once(' ').expect("a name and a type");
            assert!(name == family && kind.is_empty(), "{line}");
            assert!(
                ["counter", "gauge", "histogram"].contains(&declared),
                "{line}"
            );
            kind = declared.to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect("a closed brace")),
            None => (series, ""),
        };
        check_name(name, true);
        let suffix = name.strip_prefix(&family).expect("a sample of its family");
        let allowed: &[&str] = match kind.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            "counter" | "gauge" => &[""],
            _ => panic!("{line} comes before its type"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        check_labels(labels);
        let value: f64 = value.parse().expect("a number");
        assert!(
            samples.insert(series.to_owned(), value).is_none(),
            "{series} is there twice"
        );
    }
    samples
}

fn check_name(name: &str, colons: bool) {
    let mut chars = name.chars();
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || colons && c == ':';
    assert!(chars.next().is_some_and(letter), "{name}");
    assert!(chars.all(|c| letter(c) || c.is_ascii_digit()), "{name}");
}

fn check_labels(labels: &str) {
    let (mut rest, mut seen) = (labels, BTreeSet::new());
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect("a value in quotation marks");
        check_name(name, false);
        assert!(seen.insert(name), "{labels}");
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().expect("a closing quotation mark") {
                (end, '"') => break end,
                (_, '\\') => {
                    let escaped = chars.next().expect("an escape").1;
                    assert!(['\\', '"', 'n'].contains(&escaped), "{labels}");
                }
                (_, plain) => assert_ne!(plain, '\n'),
            }
        };
        rest = &value[end + 1..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').expect("a comma");
        }
    }
}

#[test]
fn names_and_labels_are_envoys() {
    let fixture = Fixture::new();
    fixture
        .server
        .registry
        .group::<HttpMetric>("listener", "127.0.0.1_1");
    fixture.server.registry.group::<HttpMetric>("codec", "bolt");
    let reply = fixture.get("/stats/prometheus");
    assert_eq!(
        reply.content_type,
        "text/plain; version=0.0.4; charset=UTF-8"
    );
    let samples = checked(&reply.body);
    let same = checked(&fixture.get("/stats?format=prometheus").body);
    assert!(samples.keys().eq(same.keys()));
    for (series, value) in [
        (
            r#"envoy_cluster_upstream_rq_total{envoy_cluster_name="orders"}"#,
            5.0,
        ),
        (
            r#"envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="orders"}"#,
            1.0,
        ),
        (
            r#"envoy_cluster_upstream_rq{envoy_response_code="503",envoy_cluster_name="orders"}"#,
            1.0,
        ),
        (
            r#"envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="in"}"#,
            3.0,
        ),
        (
            r#"envoy_cluster_circuit_breakers_default_rq_open{envoy_cluster_name="orders"}"#,
            1.0,
        ),
        (
            r#"envoy_listener_downstream_cx_total{envoy_listener_address="127.0.0.1_1"}"#,
            0.0,
        ),
        (r#"crossdock_codec_downstream_rq_total{name="bolt"}"#, 0.0),
        ("envoy_server_live", 1.0),
        ("envoy_cluster_manager_cds_update_success", 1.0),
    ] {
        assert_eq!(
            samples.get(series),
            Some(&value),
            "{series} in {samples:#?}"
        );
    }
    for line in [
        "# TYPE envoy_cluster_upstream_rq_total counter",
        "# TYPE envoy_cluster_membership_total gauge",
        "# TYPE envoy_cluster_upstream_rq_time histogram",
        "# HELP envoy_cluster_upstream_rq_total Calls sent, counted once for each attempt that was \
         given to an open connection.",
        "# HELP envoy_cluster_upstream_rq_xx Calls by the class of the HTTP status that they \
         ended with.",
    ] {
        assert!(reply.body.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn histograms_are_cumulative_in_milliseconds() {
    let reply = Fixture::new().get("/stats/prometheus?filter=orders.upstream_rq_time$");
    let samples = checked(&reply.body);
    let name = "envoy_cluster_upstream_rq_time";
    let label = r#"envoy_cluster_name="orders""#;
    for (limit, count) in [
        ("0.5", 1.0),
        ("1", 1.0),
        ("5", 3.0),
        ("60000", 3.0),
        ("300000", 4.0),
        ("+Inf", 4.0),
    ] {
        let series = format!("{name}_bucket{{{label},le=\"{limit}\"}}");
        assert_eq!(samples.get(&series), Some(&count), "{series}");
    }
    assert_eq!(samples.get(&format!("{name}_count{{{label}}}")), Some(&4.0));
    assert_eq!(
        samples.get(&format!("{name}_sum{{{label}}}")),
        Some(&70_006.4)
    );
    assert_eq!(samples.len(), 22);
}

#[test]
fn labels_are_escaped() {
    let fixture = Fixture::new();
    let group = fixture
        .server
        .registry
        .group::<ClusterMetric>("cluster", "a\"b\\c\nd\u{e9}|:");
    group.inc(Shard(1), ClusterMetric::RqTotal);
    let reply = fixture.get("/stats/prometheus?usedonly&filter=upstream_rq_total");
    let samples = checked(&reply.body);
    let series = "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"a\\\"b\\\\c\\nd\u{e9}|_\"}";
    assert_eq!(samples.get(series), Some(&1.0), "{}", reply.body);
}

#[test]
fn nothing_wanted_is_nothing_said() {
    assert_eq!(Fixture::new().get("/stats/prometheus?filter=^x").body, "");
}
