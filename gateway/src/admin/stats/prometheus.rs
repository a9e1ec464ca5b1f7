//! Metrics for Prometheus, text format 0.0.4, with the names and labels that Envoy gives them.
//!
//! Envoy's dashboards and alerts ask for these names; so they stay as they are where Prometheus'
//! own habits differ (counters without `_total`, times in milliseconds).

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Histogram, Name, Stats};

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
        let metric = Metric::of(&stat.name);
        let kind = if stat.gauge { "gauge" } else { "counter" };
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
        let metric = Metric::of(&histogram.name);
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
    /// The name that the other pages have for it.
    help: String,
}

impl Metric {
    /// What Envoy's tag extraction makes of a name: the thing it belongs to, and the class of a
    /// status, become labels.
    fn of(name: &Name) -> Self {
        let (kind, label) = (name.scope.kind, name.scope.label.replace(':', "_"));
        let mut labels = Vec::new();
        let (mut own, mut shown) = (name.own.to_string(), name.own.to_string());
        if let Some((base, class)) = status_class(&name.own) {
            (own, shown) = (format!("{base}_xx"), format!("{base}_*xx"));
            labels.push(format!("envoy_response_code_class=\"{class}\""));
        }
        let (prefix, tag) = match kind {
            "cluster" => ("envoy", "envoy_cluster_name"),
            "http" => ("envoy", "envoy_http_conn_manager_prefix"),
            "listener" => ("envoy", "envoy_listener_address"),
            "tcp" => ("envoy", "envoy_tcp_prefix"),
            "server" | "cluster_manager" | "listener_manager" => ("envoy", "name"),
            // Envoy has no such metrics.
            _ => ("crossdock", "name"),
        };
        let help = match label.is_empty() {
            true => format!("statistic {kind}.{shown}"),
            false => {
                labels.push(format!("{tag}=\"{}\"", escape(&label)));
                format!("statistic {kind}.*.{shown}")
            }
        };
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name = format!("{prefix}_{kind}_{own}")
            .chars()
            .map(allowed)
            .collect();
        Self {
            name,
            labels: labels.join(","),
            help,
        }
    }
}

/// `upstream_rq_2xx` as `upstream_rq` and `2`.
fn status_class(name: &str) -> Option<(&str, &str)> {
    let (base, class) = name.strip_suffix("xx")?.rsplit_once('_')?;
    matches!(class, "1" | "2" | "3" | "4" | "5").then_some((base, class))
}

/// Text within quotation marks.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    text.replace('"', "\\\"")
}
