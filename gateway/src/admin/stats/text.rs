//! Metrics for people and for Envoy's tools: lines `name: value`, or the same as JSON.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{Histogram, Stats};

/// The shares of calls whose longest time is told, in thousandths.
const QUANTILES: [u64; 10] = [0, 250, 500, 750, 900, 950, 990, 995, 999, 1000];

/// Counters and gauges, and histograms after them.
pub(super) fn text(stats: &Stats) -> String {
    let mut text = String::new();
    for (name, stat) in &stats.stats {
        line(&mut text, name, stat.value);
    }
    for (name, histogram) in &stats.histograms {
        if histogram.buckets.is_empty() {
            line(&mut text, name, "No recorded values");
            continue;
        }
        let quantiles = QUANTILES.map(|share| {
            let share_text = share as f64 / 10.0;
            // Times of the last interval alone are not kept.
            format!(
                "P{share_text}(nan,{})",
                quantile(histogram, share).unwrap_or_default()
            )
        });
        line(&mut text, name, quantiles.join(" "));
    }
    text
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to memory cannot fail.
    let _ = writeln!(text, "{name}: {value}");
}

/// As Envoy's `format=json`.
pub(super) fn json(stats: &Stats) -> Json {
    let values = stats.stats.iter();
    let mut all: Vec<_> = values
        .map(|(name, stat)| json!({"name": name, "value": stat.value}))
        .collect();
    if !stats.histograms.is_empty() {
        let computed = stats.histograms.iter().map(|(name, histogram)| {
            let values = QUANTILES
                .map(|share| json!({"interval": null, "cumulative": quantile(histogram, share)}));
            json!({"name": name, "values": values})
        });
        all.push(json!({"histograms": {
            "supported_quantiles": QUANTILES.map(|share| share as f64 / 10.0),
            "computed_quantiles": computed.collect::<Vec<_>>(),
        }}));
    }
    json!({"stats": all})
}

/// The time in milliseconds that so many thousandths of all times do not exceed; at most an
/// eighth too high, because times are counted in buckets.
fn quantile(histogram: &Histogram, share: u64) -> Option<f64> {
    let total: u64 = histogram.buckets.iter().map(|(_, count)| count).sum();
    let rank = (u128::from(total) * u128::from(share))
        .div_ceil(1000)
        .max(1);
    let mut seen = 0;
    let found = histogram.buckets.iter().find(|(_, count)| {
        seen += u128::from(*count);
        seen >= rank
    });
    found.map(|(end, _)| *end as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use crossdock_framework::stats::Scope;

    use super::*;
    use crate::admin::stats::Name;

    #[test]
    fn quantiles_are_times_that_occur() {
        let histogram = Histogram {
            name: Name::new(&Scope::new("cluster", &["a"]), "upstream_rq_time"),
            help: "",
            buckets: vec![(7, 90), (1023, 9), (2047, 1)],
            sum: 0,
        };
        for (share, time) in [
            (0, 0.007),
            (500, 0.007),
            (900, 0.007),
            (950, 1.023),
            (990, 1.023),
            (995, 2.047),
            (1000, 2.047),
        ] {
            assert_eq!(quantile(&histogram, share), Some(time), "{share}");
        }
        assert_eq!(
            quantile(
                &Histogram {
                    buckets: Vec::new(),
                    ..histogram
                },
                500
            ),
            None
        );
    }
}
