//! Metrics for Prometheus, text format 0.0.4, with the names and labels that Envoy gives them.
//!
//! Envoy's dashboards and alerts ask for these names; so they stay as they are where Prometheus'
//! own habits differ (counters without `_total`, times in milliseconds).

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Histogram, Name, Stats};
use crate::rpc_stats;

/// Envoy's buckets, in milliseconds.
const BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// All metrics of one name.
struct Family {
    kind: &'static str,
    help: String,
    /// The rest of each line, behind the name.
    samples: String,
}

/// Every metric, those of one name together.
pub(super) fn text(stats: &Stats) -> String {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (_, stat) in &stats.stats {
        let kind = if stat.gauge { "gauge" } else { "counter" };
        let metric = Metric::of(&stat.name, stat.help, kind);
        let family = family(&mut families, &metric, kind);
        sample(
            &mut family.samples,
            &metric.name,
            "",
            &metric.labels,
            "",
            &stat.value,
        );
    }
    for (_, histogram) in &stats.histograms {
        let metric = Metric::of(&histogram.name, histogram.help, "histogram");
        let family = family(&mut families, &metric, "histogram");
        buckets(&mut family.samples, &metric, histogram);
    }
    let mut text = String::new();
    for (name, family) in families {
        // Writing to memory cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} {}\n# TYPE {name} {}",
            family.help, family.kind
        );
        text.push_str(&family.samples);
    }
    text
}

fn family<'f>(
    families: &'f mut BTreeMap<String, Family>,
    metric: &Metric,
    kind: &'static str,
) -> &'f mut Family {
    families
        .entry(metric.name.clone())
        .or_insert_with(|| Family {
            kind,
            help: metric.help.clone(),
            samples: String::new(),
        })
}

fn buckets(out: &mut String, metric: &Metric, histogram: &Histogram) {
    let (name, labels) = (&metric.name, &metric.labels);
    let mut counts = histogram.buckets.iter().peekable();
    let mut total = 0;
    for limit in BUCKETS {
        let within = |end: u64| end as f64 <= limit * 1000.0;
        while let Some((_, count)) = counts.next_if(|(end, _)| within(*end)) {
            total += count;
        }
        sample(
            out,
            name,
            "_bucket",
            labels,
            &format!("le=\"{limit}\""),
            &total,
        );
    }
    total += counts.map(|(_, count)| count).sum::<u64>();
    sample(out, name, "_bucket", labels, "le=\"+Inf\"", &total);
    sample(
        out,
        name,
        "_sum",
        labels,
        "",
        &(histogram.sum as f64 / 1000.0),
    );
    sample(out, name, "_count", labels, "", &total);
}

fn sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &str,
    own_label: &str,
    value: &dyn std::fmt::Display,
) {
    let comma = if labels.is_empty() || own_label.is_empty() {
        ""
    } else {
        ","
    };
    // Writing to memory cannot fail.
    let _ = match labels.is_empty() && own_label.is_empty() {
        true => writeln!(out, "{name}{suffix} {value}"),
        false => writeln!(out, "{name}{suffix}{{{labels}{comma}{own_label}}} {value}"),
    };
}

/// A name and labels.
struct Metric {
    name: String,
    labels: String,
    help: String,
}

/// What Envoy calls the names within a scope; what it has not got is Crossdock's own.
fn tags(kind: &str) -> Option<&'static [&'static str]> {
    const PREFIX: &str = "envoy_http_conn_manager_prefix";
    const LISTENER: &str = "envoy_listener_address";
    const HOST: &str = "envoy_virtual_host";
    Some(match kind {
        "cluster" => &["envoy_cluster_name"],
        "http" => &[PREFIX],
        "http.*.rds.*" => &[PREFIX, "envoy_rds_route_config"],
        "listener" => &[LISTENER],
        "listener.*.http.*" => &[LISTENER, PREFIX],
        "tcp" => &["envoy_tcp_prefix"],
        "vhost.*.vcluster.*" => &[HOST, "envoy_virtual_cluster"],
        "vhost.*.route.*" => &[HOST, "envoy_route"],
        "*.http_local_rate_limit" => &["envoy_local_http_ratelimit_prefix"],
        "server" | "cluster_manager" | "listener_manager" => &[],
        _ => return None,
    })
}

impl Metric {
    /// What Envoy's tag extraction makes of a name: the thing it belongs to, and a status or its
    /// class, become labels.
    fn of(name: &Name, help: &str, metric: &str) -> Self {
        let (scope, mut labels) = (&name.scope, Vec::new());
        let (mut own, mut help) = (name.own.to_string(), help);
        if let Some((base, class)) = status_class(&name.own) {
            own = format!("{base}_xx");
            help = "Calls by the class of the HTTP status that they ended with.";
            labels.push(format!("envoy_response_code_class=\"{class}\""));
        } else if let Some((base, code)) = status(&name.own) {
            own = base.to_owned();
            labels.push(format!("envoy_response_code=\"{code}\""));
        }
        let (prefix, tags) = match tags(scope.kind) {
            Some(tags) => ("envoy", tags),
            None if scope.kind == rpc_stats::KIND => {
                ("crossdock", &["stat_prefix", "service", "method"][..])
            }
            None => ("crossdock", &["name"][..]),
        };
        for (tag, label) in tags.iter().zip(&scope.labels) {
            labels.push(format!("{tag}=\"{}\"", escape(&label.replace(':', "_"))));
        }
        let kind = scope.kind.split(['.', '*']).filter(|part| !part.is_empty());
        let parts = [prefix].into_iter().chain(kind).chain([own.as_str()]);
        let mut name = parts.collect::<Vec<_>>().join("_");
        // Nobody asks for these by another name, so they follow Prometheus' habit.
        if prefix != "envoy" && metric == "counter" && !name.ends_with("_total") {
            name.push_str("_total");
        }
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        Self {
            name: name.chars().map(allowed).collect(),
            labels: labels.join(","),
            help: help.replace('\\', "\\\\").replace('\n', "\\n"),
        }
    }
}

/// `upstream_rq_2xx` as `upstream_rq` and `2`.
fn status_class(name: &str) -> Option<(&str, &str)> {
    let (base, class) = name.strip_suffix("xx")?.rsplit_once('_')?;
    matches!(class, "1" | "2" | "3" | "4" | "5").then_some((base, class))
}

/// `upstream_rq_503` as `upstream_rq` and `503`.
fn status(name: &str) -> Option<(&str, &str)> {
    let (base, code) = name.rsplit_once('_')?;
    let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    (digits && base.ends_with("_rq")).then_some((base, code))
}

/// Text within quotation marks.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    text.replace('"', "\\\"")
}
