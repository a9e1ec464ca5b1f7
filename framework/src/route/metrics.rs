//! What is counted of the calls of one route, or of one virtual cluster.

use crate::{
    log::Record,
    metrics,
    stats::{Group, Shard, micros},
    status::{Cause, Detail},
};

metrics! {
    /// Metrics of a route with a `stat_prefix` and of a virtual cluster, `vhost.<name>.route.…` and
    /// `vhost.<name>.vcluster.…`, named as Envoy does.
    pub enum RouteMetric {
        /// Calls sent, counted once for each attempt that was given to an open connection.
        counter RqTotal = "upstream_rq_total",
        /// Calls that ended, with an answer of a host or of the gateway in its place.
        completed RqCompleted = "upstream_rq_completed",
        /// Calls that ended with a status of 1xx.
        class1 Rq1xx = "upstream_rq_1xx",
        /// Calls that ended well, business exceptions included.
        class2 Rq2xx = "upstream_rq_2xx",
        /// Calls that were sent elsewhere.
        class3 Rq3xx = "upstream_rq_3xx",
        /// Calls that ended as the caller's fault.
        class4 Rq4xx = "upstream_rq_4xx",
        /// Calls that failed.
        class5 Rq5xx = "upstream_rq_5xx",
        /// Calls by the HTTP status that they ended with, or that stands for their outcome.
        codes Rq = "upstream_rq",
        /// Retries that a policy asked for.
        counter RqRetry = "upstream_rq_retry",
        /// Calls that were tried again and then needed no further retry.
        counter RqRetrySuccess = "upstream_rq_retry_success",
        /// Retries not made because of `max_retries` or `retry_budget`.
        counter RqRetryOverflow = "upstream_rq_retry_overflow",
        /// Retries not made because there had been `num_retries`.
        counter RqRetryLimit = "upstream_rq_retry_limit_exceeded",
        /// Calls whose deadline passed.
        counter RqTimeout = "upstream_rq_timeout",
        /// Milliseconds from the sending of a call to the end of the host's answer.
        histogram RqTime = "upstream_rq_time",
    }
}

impl RouteMetric {
    /// Counts a call that has ended with this HTTP status, which gRPC's callers are not told.
    pub fn count(stats: &Group, http: u16, record: &Record<'_>, shard: Shard) {
        stats.add(shard, Self::RqTotal, record.sends.into());
        if record.attempts > 0 {
            stats.respond(shard, http);
        }
        let retried = record.retried;
        stats.add(shard, Self::RqRetry, retried.made.into());
        for (metric, happened) in [
            (Self::RqRetrySuccess, retried.well),
            (Self::RqRetryOverflow, retried.overflow),
            (Self::RqRetryLimit, retried.exhausted),
        ] {
            stats.add(shard, metric, happened.into());
        }
        if (record.cause, record.detail) == (Some(Cause::Timeout), Detail::Plain) {
            stats.inc(shard, Self::RqTimeout);
        }
        if let Some(took) = record.upstream {
            stats.record(shard, Self::RqTime, micros(took));
        }
    }
}
