//! What configuration says of HTTP connections, downstream and upstream.

use std::{sync::Arc, time::Duration};

use super::replies::Replies;
use crate::{network::Network, xfcc};

/// Whether and how the peer of an HTTP/2 connection is asked if it is still there
/// (`connection_keepalive`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keepalive {
    /// The time between an answer and the next PING; `None` for no PINGs.
    pub interval: Option<Duration>,
    /// The longest time without a byte of the peer while an answer is awaited.
    pub timeout: Duration,
    /// The part of the interval, from 0 to 1, that is added to it at random. Default 0.15.
    pub jitter: f64,
}

impl Eq for Keepalive {}

/// What an HTTP connection manager says of its HTTP connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpPolicy {
    /// The largest header block of a request in bytes, names and values (Envoy's
    /// `max_request_headers_kb`). Default 60 KiB.
    pub header_bytes: u32,
    /// The most header fields of a request (`max_headers_count`). Default 100.
    pub headers: u32,
    /// The longest time from the first byte of a request to the end of its headers
    /// (`request_headers_timeout`). Default 30 s; Envoy has none.
    pub headers_timeout: Duration,
    /// The longest time from the first byte of a request to its last (`request_timeout`); `None`
    /// for no limit, which is Envoy's default and what streams need.
    pub request_timeout: Option<Duration>,
    /// The longest time in which no byte of a stream moves (`stream_idle_timeout`). Default 5 min.
    pub stream_idle_timeout: Duration,
    /// The longest life of a connection (`max_connection_duration`).
    pub connection_duration: Option<Duration>,
    /// Requests on a connection before it is closed (`max_requests_per_connection`).
    pub requests_per_connection: Option<u32>,
    /// Streams that a client may have open (`max_concurrent_streams`). Default 1024, as Envoy.
    pub streams: u32,
    /// The HTTP/2 window of one stream: it bounds what is buffered for a reader that is slow.
    /// Default 64 KiB.
    pub stream_window: u32,
    /// The HTTP/2 window of a connection; `None` for [`HttpPolicy::connection_window`].
    pub own_connection_window: Option<u32>,
    /// Whether clients of HTTP/2 are asked if they are still there. Default no, as Envoy.
    pub keepalive: Option<Keepalive>,
    /// Streams that a client may reset before their answer, beyond which it is told to calm down.
    /// Default 250, where Envoy acts too.
    pub resets: u32,
    /// Whether HTTP/1.0 requests are served (`accept_http_10`). Default off, as Envoy.
    pub http_10: bool,
    /// The authority of HTTP/1.0 requests that name none (`default_host_for_http_10`); empty for a
    /// refusal.
    pub http_10_host: Arc<str>,
    /// The scheme that requests are given (`scheme_to_overwrite`), in lower case: `http` or `https`.
    pub scheme: Option<Arc<str>>,
    /// Whether upgrades to WebSocket are passed on (`upgrade_configs`).
    pub websocket: bool,
    /// Whether CONNECT is passed on (`upgrade_configs`, type CONNECT).
    pub connect: bool,
    /// Whether gRPC-Web is told to hosts as gRPC (`envoy.filters.http.grpc_web`).
    pub grpc_web: bool,
    /// Whether a client that waits for 100 Continue waits for its host to say so
    /// (`proxy_100_continue`). Otherwise the gateway says it. Default off, as Envoy.
    pub proxy_continue: bool,
    /// Whether the gateway is the edge (`use_remote_address`): it appends the caller's address to
    /// `x-forwarded-for` and trusts nothing that the caller says of itself.
    pub edge: bool,
    /// Whose requests are internal (`internal_address_config`): what they ask for in `x-envoy-…` is
    /// done. Nobody's by default.
    pub internal: Box<[Network]>,
    /// Proxies before this one whose `x-forwarded-for` is trusted (`xff_num_trusted_hops`).
    pub trusted_hops: u32,
    /// Leave `x-forwarded-for` as it is (`skip_xff_append`).
    pub skip_xff_append: bool,
    /// Give requests that have none an `x-request-id` (`generate_request_id`). Default on.
    pub request_id: bool,
    /// Keep the `x-request-id` of callers at the edge (`preserve_external_request_id`).
    pub keep_request_id: bool,
    /// Answer with the `x-request-id` of the request (`always_set_request_id_in_response`).
    pub respond_request_id: bool,
    /// Resolve dot segments before any rule looks (`normalize_path`). Default on; Envoy's is off.
    pub normalize_path: bool,
    /// Merge adjacent slashes before any rule looks (`merge_slashes`). Default off, as Envoy.
    pub merge_slashes: bool,
    /// What becomes of `%2F` and `%5C` in paths (`path_with_escaped_slashes_action`).
    pub escaped_slashes: Slashes,
    /// Whether the port is taken off `:authority` before any rule looks (`strip_any_host_port`,
    /// `strip_matching_host_port`).
    pub strip_port: StripPort,
    /// Take a dot off the end of `:authority` before any rule looks (`strip_trailing_host_dot`).
    pub strip_dot: bool,
    /// What becomes of header names with underscores (`headers_with_underscores_action`).
    pub underscores: Underscores,
    /// The longest life of a stream (`max_stream_duration`).
    pub stream_duration: Option<Duration>,
    /// What `server` of an answer says (`server_header_transformation`).
    pub server: ServerHeader,
    /// The text of `server` (`server_name`). Default `envoy`, which Istio's tools look for.
    pub server_name: Arc<str>,
    /// The pseudonym that is added to `via`, both ways; empty for none.
    pub via: Arc<str>,
    /// Say the listener's port in `x-forwarded-port` (`append_x_forwarded_port`).
    pub forwarded_port: bool,
    /// What is told of the caller's certificate.
    pub client_cert: xfcc::Forward,
    /// Which parts of it (`set_current_client_cert_details`).
    pub client_cert_parts: xfcc::Details,
    /// What becomes of the gateway's own answers (`local_reply_config`).
    pub replies: Option<Replies>,
    /// Tell hosts and callers times and overload in `x-envoy-…` headers; the router filter's
    /// `suppress_envoy_headers` says no. Default on.
    pub envoy_headers: bool,
}

impl Default for HttpPolicy {
    fn default() -> Self {
        Self {
            header_bytes: 60 * 1024,
            headers: 100,
            headers_timeout: Duration::from_secs(30),
            request_timeout: None,
            stream_idle_timeout: Duration::from_secs(300),
            connection_duration: None,
            requests_per_connection: None,
            streams: 1024,
            stream_window: 64 * 1024,
            own_connection_window: None,
            resets: 250,
            keepalive: None,
            http_10: false,
            http_10_host: "".into(),
            scheme: None,
            websocket: false,
            connect: false,
            grpc_web: false,
            proxy_continue: false,
            edge: false,
            internal: Box::default(),
            trusted_hops: 0,
            skip_xff_append: false,
            request_id: true,
            keep_request_id: false,
            respond_request_id: false,
            normalize_path: true,
            merge_slashes: false,
            escaped_slashes: Slashes::Keep,
            strip_port: StripPort::Never,
            strip_dot: false,
            underscores: Underscores::Allow,
            stream_duration: None,
            server: ServerHeader::Overwrite,
            server_name: "envoy".into(),
            via: "".into(),
            forwarded_port: false,
            client_cert: xfcc::Forward::default(),
            client_cert_parts: xfcc::Details::default(),
            replies: None,
            envoy_headers: true,
        }
    }
}

impl HttpPolicy {
    /// Whether an upgrade such as `websocket` or `CONNECT` is passed on where a route says nothing.
    pub fn allows(&self, upgrade: &str) -> bool {
        let is = |name: &str| upgrade.eq_ignore_ascii_case(name);
        (self.websocket && is("websocket")) || (self.connect && is("CONNECT"))
    }

    /// The HTTP/2 window of a connection: where none is configured, as much as all of its streams
    /// may use, so that streams whose readers are slow never hold up the others.
    pub fn connection_window(&self) -> u32 {
        window(self.own_connection_window, self.streams, self.stream_window)
    }
}

impl HttpUpstream {
    /// The HTTP/2 window of a connection: where none is configured, as much as all of its streams
    /// may use, so that streams whose readers are slow never hold up the others.
    pub fn connection_window(&self) -> u32 {
        window(self.own_connection_window, self.streams, self.stream_window)
    }
}

/// The largest window (RFC 9113 section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

fn window(own: Option<u32>, streams: u32, stream_window: u32) -> u32 {
    own.unwrap_or_else(|| streams.saturating_mul(stream_window))
        .clamp(65_535, LARGEST_WINDOW)
}

/// Whether the port is taken off `:authority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripPort {
    /// It stays.
    Never,
    /// When it is the listener's own.
    Matching,
    /// Always.
    Any,
}

/// What becomes of header names with underscores, which some hosts read as dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Underscores {
    /// They pass.
    Allow,
    /// The request is refused with 400.
    Reject,
    /// The headers are dropped.
    Drop,
}

/// What `server` of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerHeader {
    /// The gateway's name.
    Overwrite,
    /// The gateway's name, unless the host gave one.
    AppendIfAbsent,
    /// What the host gave.
    PassThrough,
}

/// What becomes of escaped slashes in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slashes {
    /// They stay as they are.
    Keep,
    /// The request is refused with 400.
    Reject,
    /// The caller is sent to the unescaped path.
    Redirect,
    /// They are unescaped and the request goes on.
    Unescape,
}

/// Which version of HTTP a cluster's hosts are spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamVersion {
    /// HTTP/1.1, which is Envoy's default, but HTTP/2 for gRPC, which no host understands
    /// otherwise.
    #[default]
    Usual,
    /// The caller's own (`use_downstream_protocol_config`).
    Downstream,
    /// HTTP/1.1 always.
    Http1,
    /// HTTP/2 always; by prior knowledge where there is no TLS.
    Http2,
    /// What ALPN says (`auto_config`); HTTP/1.1 if it says nothing.
    Negotiated,
}

/// What a cluster says of its HTTP connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUpstream {
    /// The version of HTTP.
    pub version: UpstreamVersion,
    /// Requests on a connection before it is retired (`max_requests_per_connection`).
    pub requests_per_connection: Option<u32>,
    /// The longest life of a connection (`max_connection_duration`).
    pub connection_duration: Option<Duration>,
    /// The longest time of one attempt, from its sending to the end of the answer
    /// (`max_stream_duration`); of framed calls too.
    pub attempt_duration: Option<Duration>,
    /// Streams of one HTTP/2 connection (`max_concurrent_streams`); the host may allow fewer.
    /// Default 1024.
    pub streams: u32,
    /// The HTTP/2 window of one stream. Default 64 KiB.
    pub stream_window: u32,
    /// The HTTP/2 window of a connection; `None` for [`HttpUpstream::connection_window`].
    pub own_connection_window: Option<u32>,
    /// The largest header block of a response in bytes. Default 60 KiB.
    pub header_bytes: u32,
    /// The most header fields of a response. Default 100.
    pub headers: u32,
    /// Whether hosts are asked over HTTP/2 if they are still there. Default no, as Envoy.
    pub keepalive: Option<Keepalive>,
    /// Whether hosts are asked for the authority of each call as server name (`auto_sni`).
    pub auto_sni: bool,
    /// The header whose value goes before the authority (`override_auto_sni_header`).
    pub sni_header: Option<Arc<str>>,
    /// Whether the host's certificate has to be for that name (`auto_san_validation`).
    pub auto_san: bool,
}

impl Default for HttpUpstream {
    fn default() -> Self {
        Self {
            version: UpstreamVersion::default(),
            requests_per_connection: None,
            connection_duration: None,
            attempt_duration: None,
            streams: 1024,
            stream_window: 64 * 1024,
            own_connection_window: None,
            header_bytes: 60 * 1024,
            headers: 100,
            keepalive: None,
            auto_sni: false,
            sni_header: None,
            auto_san: false,
        }
    }
}
