//! `/stats`: every metric, in one form or another.

mod collect;
mod process;
mod prometheus;
mod text;

use std::borrow::Cow;

use crossdock_framework::stats::Scope;
use hyper::StatusCode;
use regex::Regex;

use super::{Server, query::Query, reply::Reply};

/// A counter or a gauge.
#[derive(Clone, Debug)]
struct Stat {
    name: Name,
    help: &'static str,
    gauge: bool,
    value: u64,
    /// Whether anything has ever been counted.
    used: bool,
}

/// A distribution of times.
#[derive(Clone, Debug)]
struct Histogram {
    name: Name,
    help: &'static str,
    /// The highest time of a bucket in µs, and how many times fell into it; ascending.
    buckets: Vec<(u64, u64)>,
    /// The sum of all times in µs.
    sum: u64,
}

/// The name of a metric: what it belongs to, and what it says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    scope: Scope,
    own: Cow<'static, str>,
}

impl Name {
    fn new(scope: &Scope, own: impl Into<Cow<'static, str>>) -> Self {
        Self {
            scope: scope.clone(),
            own: own.into(),
        }
    }

    /// `cluster.orders.upstream_rq_total`. Envoy's readers split lines at `:`, so names have none.
    fn full(&self) -> String {
        format!("{}.{}", self.scope, self.own).replace(':', "_")
    }
}

/// Everything that was asked for, sorted by full name.
#[derive(Debug, Default)]
struct Stats {
    stats: Vec<(String, Stat)>,
    histograms: Vec<(String, Histogram)>,
}

/// What of all metrics is wanted.
#[derive(Debug)]
struct Wanted {
    used_only: bool,
    filter: Option<Regex>,
    kinds: Kinds,
}

#[derive(Clone, Copy, Debug)]
struct Kinds {
    counters: bool,
    gauges: bool,
    histograms: bool,
}

impl Wanted {
    fn parse(query: &Query) -> Result<Self, Reply> {
        let kinds = |counters, gauges, histograms| Kinds {
            counters,
            gauges,
            histograms,
        };
        let kinds = match query
            .get("type")
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "" | "all" => kinds(true, true, true),
            "counters" => kinds(true, false, false),
            "gauges" => kinds(false, true, false),
            "histograms" => kinds(false, false, true),
            // There are none.
            "textreadouts" => kinds(false, false, false),
            _ => return Err(Reply::bad_request("invalid &type= param")),
        };
        Ok(Self {
            used_only: query.has("usedonly"),
            filter: query.regex("filter")?,
            kinds,
        })
    }

    fn takes(&self, name: &str, used: bool) -> bool {
        (used || !self.used_only)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.is_match(name))
    }
}

/// `/stats`.
pub(super) fn page(server: &Server, query: &Query) -> Reply {
    let print: fn(&Stats) -> Reply = match query.get("format").unwrap_or("text") {
        "text" => |stats| Reply::text(text::text(stats)),
        "json" => |stats| Reply::json(&text::json(stats)),
        "prometheus" => |stats| Reply::prometheus(prometheus::text(stats)),
        _ => {
            let usage = "usage: /stats?format=(json|prometheus|text)\n";
            return Reply::refuse(StatusCode::BAD_REQUEST, usage);
        }
    };
    match Wanted::parse(query) {
        Ok(wanted) => print(&collect::collect(server, &wanted)),
        Err(reply) => reply,
    }
}

/// `/stats/prometheus`.
pub(super) fn prometheus_page(server: &Server, query: &Query) -> Reply {
    match Wanted::parse(query) {
        Ok(wanted) => Reply::prometheus(prometheus::text(&collect::collect(server, &wanted))),
        Err(reply) => reply,
    }
}
