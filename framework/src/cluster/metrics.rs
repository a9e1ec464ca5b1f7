//! What is counted of the connections to a cluster and of its calls.

use std::{cell::Cell, sync::Arc};

use crate::{
    metrics,
    stats::{Group, micros},
    time::Moment,
    worker::Worker,
};

metrics! {
    /// Metrics of a cluster, `cluster.<name>.…`, named as Envoy does.
    pub enum ClusterMetric {
        /// Connections opened, or tried to.
        counter CxTotal = "upstream_cx_total",
        /// Connections of HTTP/1 opened.
        counter CxHttp1Total = "upstream_cx_http1_total",
        /// Connections of HTTP/2 opened.
        counter CxHttp2Total = "upstream_cx_http2_total",
        /// Connections open.
        gauge CxActive = "upstream_cx_active",
        /// Connections that could not be opened.
        counter CxConnectFail = "upstream_cx_connect_fail",
        /// Connections that took longer than `connect_timeout` to open.
        counter CxConnectTimeout = "upstream_cx_connect_timeout",
        /// Connections closed.
        counter CxDestroy = "upstream_cx_destroy",
        /// Connections closed by the gateway.
        counter CxDestroyLocal = "upstream_cx_destroy_local",
        /// Connections closed by the host.
        counter CxDestroyRemote = "upstream_cx_destroy_remote",
        /// Connections that ended with calls on them.
        counter CxDestroyWithActive = "upstream_cx_destroy_with_active_rq",
        /// Connections closed by the gateway with calls on them.
        counter CxDestroyLocalWithActive = "upstream_cx_destroy_local_with_active_rq",
        /// Connections closed by the host with calls on them.
        counter CxDestroyRemoteWithActive = "upstream_cx_destroy_remote_with_active_rq",
        /// Connections not opened because of `max_connections`.
        counter CxOverflow = "upstream_cx_overflow",
        /// Plain TCP connections that were given up after as many attempts as there may be.
        counter CxAttemptsExceeded = "upstream_cx_connect_attempts_exceeded",
        /// Connections closed for being idle.
        counter CxIdleTimeout = "upstream_cx_idle_timeout",
        /// Connections that have lasted as long as they may.
        counter CxMaxDuration = "upstream_cx_max_duration_reached",
        /// Connections that have carried as many calls as they may.
        counter CxMaxRequests = "upstream_cx_max_requests",
        /// Connections whose heartbeats were not answered.
        counter CxHeartbeatFail = "upstream_cx_heartbeat_fail",
        /// Connections on which the host announced its end.
        counter CxGoaway = "upstream_cx_close_notify",
        /// HTTP/2 connections whose host did not answer a PING in time.
        counter CxKeepalive = "http2.keepalive_timeout",
        /// Connections closed because the framing was lost.
        counter CxProtocolError = "upstream_cx_protocol_error",
        /// Bytes received.
        counter CxRx = "upstream_cx_rx_bytes_total",
        /// Bytes sent.
        counter CxTx = "upstream_cx_tx_bytes_total",
        /// Calls without a host to go to.
        counter CxNoneHealthy = "upstream_cx_none_healthy",
        /// Calls sent, counted once for each attempt that was given to an open connection.
        counter RqTotal = "upstream_rq_total",
        /// Calls in flight.
        gauge RqActive = "upstream_rq_active",
        /// Calls that had to wait for a connection.
        counter RqPendingTotal = "upstream_rq_pending_total",
        /// Calls waiting for a connection.
        gauge RqPendingActive = "upstream_rq_pending_active",
        /// Calls refused because of `max_requests`.
        counter RqActiveOverflow = "upstream_rq_active_overflow",
        /// Calls refused because of `max_pending_requests`.
        counter RqPendingOverflow = "upstream_rq_pending_overflow",
        /// Calls whose connection could not be opened while they waited for it.
        counter RqPendingFailure = "upstream_rq_pending_failure_eject",
        /// Calls given up while they waited for a connection.
        counter RqCancelled = "upstream_rq_cancelled",
        /// Calls moved to another host before a byte had left, which no policy has to ask for.
        counter RqResent = "upstream_rq_retry_unsent",
        /// Calls sent that had been sent before: attempts after the first.
        counter RqAgain = "upstream_rq_sent_again",
        /// Retries that a policy asked for.
        counter RqRetry = "upstream_rq_retry",
        /// Calls that were tried again and then needed no further retry.
        counter RqRetrySuccess = "upstream_rq_retry_success",
        /// Retries not made because of `max_retries` or `retry_budget`.
        counter RqRetryOverflow = "upstream_rq_retry_overflow",
        /// Retries not made because there had been `num_retries`.
        counter RqRetryLimit = "upstream_rq_retry_limit_exceeded",
        /// Retries that waited for the time of their back-off.
        counter RqRetryBackoff = "upstream_rq_retry_backoff_exponential",
        /// Retries that waited for as long as the host had said.
        counter RqRetryTold = "upstream_rq_retry_backoff_ratelimited",
        /// Attempts that took longer than `per_try_timeout`.
        counter RqTryTimeout = "upstream_rq_per_try_timeout",
        /// Retries not made because more of the request had gone than is kept of it.
        counter RqRetryAbandoned = "retry_or_shadow_abandoned",
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
        /// Calls whose service threw.
        counter RqBusiness = "upstream_rq_business_exception",
        /// Calls whose deadline passed.
        counter RqTimeout = "upstream_rq_timeout",
        /// Calls that lasted as long as a call may at this cluster.
        counter RqMaxDuration = "upstream_rq_max_duration_reached",
        /// Calls that the host broke off.
        counter RqRxReset = "upstream_rq_rx_reset",
        /// Calls that the gateway broke off.
        counter RqTxReset = "upstream_rq_tx_reset",
        /// Responses that belong to no call: late, repeated or foreign.
        counter RqUnmatched = "upstream_rq_unmatched_response",
        /// Milliseconds from the sending of a call to the end of the host's answer.
        histogram RqTime = "upstream_rq_time",
        /// Milliseconds that connections took to open.
        histogram CxConnect = "upstream_cx_connect_ms",
        /// Milliseconds that connections lasted.
        histogram CxLength = "upstream_cx_length_ms",
    }
}

/// The account of one upstream connection that is open. Dropping it is the connection's end.
#[derive(Debug)]
pub struct UpstreamConnection {
    stats: Arc<Group>,
    worker: Worker,
    opened: Moment,
    local: Cell<bool>,
    busy: Cell<bool>,
}

impl UpstreamConnection {
    /// Counts a connection that is open now.
    pub fn begin(stats: &Arc<Group>, worker: &Worker) -> Self {
        stats.inc(worker.shard(), ClusterMetric::CxActive);
        Self {
            stats: Arc::clone(stats),
            worker: worker.clone(),
            opened: worker.now(),
            local: Cell::new(false),
            busy: Cell::new(false),
        }
    }

    /// Notes that it is the gateway that ends the connection.
    pub fn ends_here(&self) {
        self.local.set(true);
    }

    /// Notes whether calls are in flight.
    pub fn set_busy(&self, busy: bool) {
        self.busy.set(busy);
    }
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        let (stats, shard) = (&self.stats, self.worker.shard());
        stats.dec(shard, ClusterMetric::CxActive);
        destroyed(stats, &self.worker, self.local.get(), self.busy.get());
        let lasted = self.worker.now().since(self.opened);
        stats.record(shard, ClusterMetric::CxLength, micros(lasted));
    }
}

/// Counts a connection that has ended, or could not be opened.
pub(crate) fn destroyed(stats: &Group, worker: &Worker, local: bool, busy: bool) {
    let shard = worker.shard();
    let (side, active) = match local {
        true => (
            ClusterMetric::CxDestroyLocal,
            ClusterMetric::CxDestroyLocalWithActive,
        ),
        false => (
            ClusterMetric::CxDestroyRemote,
            ClusterMetric::CxDestroyRemoteWithActive,
        ),
    };
    stats.inc(shard, ClusterMetric::CxDestroy);
    stats.inc(shard, side);
    if busy {
        stats.inc(shard, ClusterMetric::CxDestroyWithActive);
        stats.inc(shard, active);
    }
}
