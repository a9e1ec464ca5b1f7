//! What is counted of the connections and calls of an HTTP connection manager.

use std::{cell::Cell, sync::Arc};

use crate::{metrics, stats::Group, time::Moment, worker::Worker};

metrics! {
    /// Metrics of an HTTP connection manager, `http.<stat_prefix>.…`, named as Envoy does. An RPC
    /// is counted under the HTTP status that stands for its outcome class.
    pub enum HttpMetric {
        /// Connections accepted.
        counter CxTotal = "downstream_cx_total",
        /// Connections open.
        gauge CxActive = "downstream_cx_active",
        /// Connections of HTTP/1 accepted.
        counter CxHttp1Total = "downstream_cx_http1_total",
        /// Connections of HTTP/1 open.
        gauge CxHttp1Active = "downstream_cx_http1_active",
        /// Connections of HTTP/2 accepted.
        counter CxHttp2Total = "downstream_cx_http2_total",
        /// Connections of HTTP/2 open.
        gauge CxHttp2Active = "downstream_cx_http2_active",
        /// Connections of framed RPC protocols accepted.
        counter CxRpcTotal = "downstream_cx_rpc_total",
        /// Connections of framed RPC protocols open.
        gauge CxRpcActive = "downstream_cx_rpc_active",
        /// Connections over TLS accepted.
        counter CxSslTotal = "downstream_cx_ssl_total",
        /// Connections over TLS open.
        gauge CxSslActive = "downstream_cx_ssl_active",
        /// Calls that became tunnels: WebSocket, CONNECT.
        counter CxUpgradesTotal = "downstream_cx_upgrades_total",
        /// Tunnels open.
        gauge CxUpgradesActive = "downstream_cx_upgrades_active",
        /// Connections closed.
        counter CxDestroy = "downstream_cx_destroy",
        /// Connections closed by the gateway.
        counter CxDestroyLocal = "downstream_cx_destroy_local",
        /// Connections closed by the caller.
        counter CxDestroyRemote = "downstream_cx_destroy_remote",
        /// Connections closed with calls in flight.
        counter CxDestroyActive = "downstream_cx_destroy_active_rq",
        /// Connections closed by the gateway with calls in flight.
        counter CxDestroyLocalActive = "downstream_cx_destroy_local_active_rq",
        /// Connections closed by the caller with calls in flight.
        counter CxDestroyRemoteActive = "downstream_cx_destroy_remote_active_rq",
        /// Connections closed because the peer left an answer unread for too long.
        counter CxSlow = "downstream_cx_unread_closed",
        /// Connections closed because a frame was left unfinished.
        counter CxFrameTimeout = "downstream_cx_frame_timeout",
        /// HTTP/2 connections whose client did not answer a PING in time.
        counter CxKeepalive = "http2.keepalive_timeout",
        /// Connections closed for being idle.
        counter CxIdleTimeout = "downstream_cx_idle_timeout",
        /// Connections that have lasted as long as they may.
        counter CxMaxDuration = "downstream_cx_max_duration_reached",
        /// Connections that have carried as many calls as they may.
        counter CxMaxRequests = "downstream_cx_max_requests_reached",
        /// Connections closed because the framing was lost.
        counter CxProtocolError = "downstream_cx_protocol_error",
        /// Connections closed by a drain.
        counter CxDrained = "downstream_cx_drain_close",
        /// Times that a connection was not read because of calls in flight or unread answers.
        counter CxPaused = "downstream_flow_control_paused_reading_total",
        /// Times that such a connection was read again.
        counter CxResumed = "downstream_flow_control_resumed_reading_total",
        /// Bytes received.
        counter CxRx = "downstream_cx_rx_bytes_total",
        /// Bytes sent.
        counter CxTx = "downstream_cx_tx_bytes_total",
        /// Calls received.
        counter RqTotal = "downstream_rq_total",
        /// Calls received over HTTP/1.
        counter RqHttp1Total = "downstream_rq_http1_total",
        /// Calls received over HTTP/2.
        counter RqHttp2Total = "downstream_rq_http2_total",
        /// Calls in flight.
        gauge RqActive = "downstream_rq_active",
        /// Calls that never get an answer.
        counter RqOneway = "downstream_rq_oneway",
        /// Calls answered, one-way calls included.
        completed RqCompleted = "downstream_rq_completed",
        /// Calls answered with a status of 1xx.
        class1 Rq1xx = "downstream_rq_1xx",
        /// Calls that ended well, business exceptions included.
        class2 Rq2xx = "downstream_rq_2xx",
        /// Calls that were sent elsewhere.
        class3 Rq3xx = "downstream_rq_3xx",
        /// Calls that ended as the caller's fault.
        class4 Rq4xx = "downstream_rq_4xx",
        /// Calls that failed.
        class5 Rq5xx = "downstream_rq_5xx",
        /// Calls answered by the gateway itself.
        counter RqLocal = "downstream_rq_local_reply",
        /// Calls that ended without having been sent to any host.
        counter RqUnsent = "downstream_rq_not_forwarded",
        /// Calls whose service threw.
        counter RqBusiness = "downstream_rq_business_exception",
        /// Calls with a route, that passed the filters.
        counter RqRouted = "rq_total",
        /// Calls without a matching route.
        counter NoRoute = "no_route",
        /// Calls whose route names an unknown cluster.
        counter NoCluster = "no_cluster",
        /// Calls that their route answered itself.
        counter RqDirect = "rq_direct_response",
        /// Calls whose answer broke off.
        counter RqBrokenOff = "rq_reset_after_downstream_response_started",
        /// Requests that did not come to their end in time.
        counter RqTimeout = "downstream_rq_timeout",
        /// Requests whose head did not come to its end in time.
        counter RqHeaderTimeout = "downstream_rq_header_timeout",
        /// Calls that stood still for too long.
        counter RqIdleTimeout = "downstream_rq_idle_timeout",
        /// Calls that lasted as long as they may.
        counter RqMaxDuration = "downstream_rq_max_duration_reached",
        /// Calls refused because a limit of the gateway was reached.
        counter RqOverload = "downstream_rq_overload_close",
        /// Requests longer than the limit.
        counter RqTooLarge = "downstream_rq_too_large",
        /// Calls whose caller left before the answer.
        counter RqOrphaned = "downstream_rq_rx_reset",
        /// Calls that the gateway broke off.
        counter RqTxReset = "downstream_rq_tx_reset",
        /// Calls answered before their request had come to its end.
        counter RqEarly = "downstream_rq_response_before_rq_complete",
        /// Upgrades that are not configured.
        counter RqNoUpgrade = "downstream_rq_ws_on_non_ws_route",
        /// Milliseconds from the end of a request to the end of its answer.
        histogram RqTime = "downstream_rq_time",
        /// Milliseconds that connections lasted.
        histogram CxLength = "downstream_cx_length_ms",
    }
}

metrics! {
    /// Metrics of the answers of a connection manager at one listener,
    /// `listener.<address>.http.<stat_prefix>.…`, named as Envoy does.
    pub enum AnswerMetric {
        /// Calls answered, one-way calls included.
        completed RqCompleted = "downstream_rq_completed",
        /// Calls answered with a status of 1xx.
        class1 Rq1xx = "downstream_rq_1xx",
        /// Calls that ended well, business exceptions included.
        class2 Rq2xx = "downstream_rq_2xx",
        /// Calls that were sent elsewhere.
        class3 Rq3xx = "downstream_rq_3xx",
        /// Calls that ended as the caller's fault.
        class4 Rq4xx = "downstream_rq_4xx",
        /// Calls that failed.
        class5 Rq5xx = "downstream_rq_5xx",
    }
}

/// What a downstream connection speaks, as far as metrics tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
    /// A framed RPC protocol.
    Rpc,
}

impl Spoken {
    /// The counter and the gauge of its connections.
    fn connections(self) -> (HttpMetric, HttpMetric) {
        match self {
            Self::Http1 => (HttpMetric::CxHttp1Total, HttpMetric::CxHttp1Active),
            Self::Http2 => (HttpMetric::CxHttp2Total, HttpMetric::CxHttp2Active),
            Self::Rpc => (HttpMetric::CxRpcTotal, HttpMetric::CxRpcActive),
        }
    }
}

/// The account of one downstream connection. Dropping it is the connection's end.
#[derive(Debug)]
pub struct DownstreamConnection {
    stats: Arc<Group>,
    worker: Worker,
    began: Moment,
    spoken: Spoken,
    secure: bool,
    local: Cell<bool>,
    busy: Cell<bool>,
}

impl DownstreamConnection {
    /// Counts a connection that has begun.
    pub fn begin(stats: &Arc<Group>, worker: &Worker, spoken: Spoken, secure: bool) -> Self {
        let shard = worker.shard();
        let (total, active) = spoken.connections();
        for metric in [HttpMetric::CxTotal, HttpMetric::CxActive, total, active] {
            stats.inc(shard, metric);
        }
        if secure {
            stats.inc(shard, HttpMetric::CxSslTotal);
            stats.inc(shard, HttpMetric::CxSslActive);
        }
        Self {
            stats: Arc::clone(stats),
            worker: worker.clone(),
            began: worker.now(),
            spoken,
            secure,
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

impl Drop for DownstreamConnection {
    fn drop(&mut self) {
        let (stats, shard) = (&self.stats, self.worker.shard());
        stats.dec(shard, HttpMetric::CxActive);
        stats.dec(shard, self.spoken.connections().1);
        if self.secure {
            stats.dec(shard, HttpMetric::CxSslActive);
        }
        let (side, active) = match self.local.get() {
            true => (HttpMetric::CxDestroyLocal, HttpMetric::CxDestroyLocalActive),
            false => (
                HttpMetric::CxDestroyRemote,
                HttpMetric::CxDestroyRemoteActive,
            ),
        };
        stats.inc(shard, HttpMetric::CxDestroy);
        stats.inc(shard, side);
        if self.busy.get() {
            stats.inc(shard, HttpMetric::CxDestroyActive);
            stats.inc(shard, active);
        }
        let lasted = self.worker.now().since(self.began);
        stats.record(shard, HttpMetric::CxLength, crate::stats::micros(lasted));
    }
}
