//! What connection managers and clusters say of HTTP itself.

use std::{sync::Arc, time::Duration};

use crossdock_framework::{
    snapshot::DownstreamLimits,
    stream::{
        HttpPolicy, HttpUpstream, Keepalive, ServerHeader, Slashes, StripPort, Underscores,
        UpstreamVersion,
    },
    xfcc::{Details, Forward},
};
use crossdock_xds::envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{Cluster, cluster::ClusterProtocolSelection},
            core::v3::{
                Http2ProtocolOptions, HttpProtocolOptions as CommonOptions, KeepaliveSettings,
                UpstreamHttpProtocolOptions, http_protocol_options::HeadersWithUnderscoresAction,
                scheme_header_transformation::Transformation,
            },
        },
        extensions::{
            filters::{
                http::router::v3::Router,
                network::http_connection_manager::v3::{
                    HttpConnectionManager,
                    http_connection_manager::{
                        ForwardClientCertDetails, PathWithEscapedSlashesAction,
                        ServerHeaderTransformation, StripPortMode,
                    },
                    http_filter::ConfigType,
                },
            },
            upstreams::http::v3::{
                HttpProtocolOptions,
                http_protocol_options::{
                    UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
                },
            },
        },
    },
    google::protobuf::{BoolValue, Duration as ProtoDuration, UInt32Value},
};
use prost::Message as _;

use super::{Problems, chains::ranges, duration};

/// The key of a cluster's HTTP options.
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The type of the filter that ends the chain.
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";

/// The type of the filter that tells gRPC-Web as gRPC.
const GRPC_WEB: &str = "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb";

/// What an HTTP connection manager says of its connections.
pub(super) fn policy(
    hcm: &HttpConnectionManager,
    path: &str,
    problems: &mut Problems<'_>,
) -> HttpPolicy {
    let mut policy = HttpPolicy::default();
    if let Some(kilobytes) = &hcm.max_request_headers_kb {
        policy.header_bytes = kilobytes.value.saturating_mul(1024);
    }
    times(hcm, &mut policy);
    if let Some(common) = &hcm.common_http_protocol_options {
        common_options(common, &mut policy);
    }
    if let Some(http1) = &hcm.http_protocol_options {
        policy.http_10 = http1.accept_http_10;
        policy.http_10_host = http1.default_host_for_http_10.as_str().into();
    }
    if let Some(http2) = &hcm.http2_protocol_options {
        set(&mut policy.streams, http2.max_concurrent_streams.as_ref());
        set(
            &mut policy.stream_window,
            http2.initial_stream_window_size.as_ref(),
        );
        policy.own_connection_window = number(http2.initial_connection_window_size.as_ref());
        policy.keepalive = http2.connection_keepalive.as_ref().and_then(keepalive);
    }
    let upgrades = |name: &str| {
        hcm.upgrade_configs.iter().any(|upgrade| {
            upgrade.upgrade_type.eq_ignore_ascii_case(name) && on(upgrade.enabled.as_ref(), true)
        })
    };
    policy.websocket = upgrades("websocket");
    policy.connect = upgrades("CONNECT");
    policy.grpc_web = has_filter(hcm, GRPC_WEB);
    policy.proxy_continue = hcm.proxy_100_continue;
    policy.edge = on(hcm.use_remote_address.as_ref(), false);
    if let Some(internal) = &hcm.internal_address_config {
        let path = format!("{path}.internal_address_config.cidr_ranges");
        policy.internal = ranges(&internal.cidr_ranges, &path, problems).into();
    }
    policy.trusted_hops = hcm.xff_num_trusted_hops;
    policy.skip_xff_append = hcm.skip_xff_append;
    policy.request_id = on(hcm.generate_request_id.as_ref(), true);
    policy.keep_request_id = hcm.preserve_external_request_id;
    policy.respond_request_id = hcm.always_set_request_id_in_response;
    policy.normalize_path = on(hcm.normalize_path.as_ref(), true);
    policy.merge_slashes = hcm.merge_slashes;
    policy.escaped_slashes = match hcm.path_with_escaped_slashes_action() {
        PathWithEscapedSlashesAction::RejectRequest => Slashes::Reject,
        PathWithEscapedSlashesAction::UnescapeAndRedirect => Slashes::Redirect,
        PathWithEscapedSlashesAction::UnescapeAndForward => Slashes::Unescape,
        _ => Slashes::Keep,
    };
    policy.strip_port = match (&hcm.strip_port_mode, hcm.strip_matching_host_port) {
        (Some(StripPortMode::StripAnyHostPort(true)), _) => StripPort::Any,
        (_, true) => StripPort::Matching,
        _ => StripPort::Never,
    };
    policy.strip_dot = hcm.strip_trailing_host_dot;
    policy.scheme = scheme(hcm).map(|scheme| scheme.to_ascii_lowercase().into());
    policy.envoy_headers = !router(hcm).suppress_envoy_headers;
    names(hcm, &mut policy);
    policy
}

fn scheme(hcm: &HttpConnectionManager) -> Option<&str> {
    match &hcm.scheme_header_transformation.as_ref()?.transformation {
        Some(Transformation::SchemeToOverwrite(scheme)) => Some(scheme),
        None => None,
    }
}

/// Whether a filter of this type is in the chain and not switched off.
fn has_filter(hcm: &HttpConnectionManager, type_name: &str) -> bool {
    hcm.http_filters.iter().any(|filter| {
        let is = |url: &str| url.rsplit('/').next() == Some(type_name);
        match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => !filter.disabled && is(&any.type_url),
            _ => false,
        }
    })
}

/// What the filter says that ends the chain.
pub(super) fn router(hcm: &HttpConnectionManager) -> Router {
    let mut configs = hcm
        .http_filters
        .iter()
        .filter_map(|filter| match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) if any.type_url.ends_with(ROUTER) => {
                Router::decode(any.value.as_slice()).ok()
            }
            _ => None,
        });
    configs.next_back().unwrap_or_default()
}

/// Limits of what is neither of HTTP nor of RPC alone.
pub(super) fn limits(hcm: &HttpConnectionManager) -> DownstreamLimits {
    let mut limits = DownstreamLimits::default();
    let options = hcm.common_http_protocol_options.as_ref();
    if let Some(idle) = options.and_then(|options| time(options.idle_timeout.as_ref())) {
        limits.idle_timeout = idle.unwrap_or(NEVER);
    }
    limits
}

/// As good as never.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

fn times(hcm: &HttpConnectionManager, policy: &mut HttpPolicy) {
    if let Some(idle) = time(hcm.stream_idle_timeout.as_ref()) {
        policy.stream_idle_timeout = idle.unwrap_or(Duration::ZERO);
    }
    if let Some(headers) = time(hcm.request_headers_timeout.as_ref()) {
        policy.headers_timeout = headers.unwrap_or(NEVER);
    }
    policy.request_timeout = time(hcm.request_timeout.as_ref()).flatten();
}

fn common_options(common: &CommonOptions, policy: &mut HttpPolicy) {
    set(&mut policy.headers, common.max_headers_count.as_ref());
    policy.connection_duration = time(common.max_connection_duration.as_ref()).flatten();
    policy.stream_duration = time(common.max_stream_duration.as_ref()).flatten();
    policy.requests_per_connection = most(common.max_requests_per_connection.as_ref());
    policy.underscores = match common.headers_with_underscores_action() {
        HeadersWithUnderscoresAction::Allow => Underscores::Allow,
        HeadersWithUnderscoresAction::RejectRequest => Underscores::Reject,
        HeadersWithUnderscoresAction::DropHeader => Underscores::Drop,
    };
}

/// What the gateway says of itself and of its callers.
fn names(hcm: &HttpConnectionManager, policy: &mut HttpPolicy) {
    if !hcm.server_name.is_empty() {
        policy.server_name = hcm.server_name.as_str().into();
    }
    policy.server = match hcm.server_header_transformation() {
        ServerHeaderTransformation::Overwrite => ServerHeader::Overwrite,
        ServerHeaderTransformation::AppendIfAbsent => ServerHeader::AppendIfAbsent,
        ServerHeaderTransformation::PassThrough => ServerHeader::PassThrough,
    };
    policy.via = hcm.via.as_str().into();
    policy.forwarded_port = hcm.append_x_forwarded_port;
    policy.client_cert = match hcm.forward_client_cert_details() {
        ForwardClientCertDetails::Sanitize => Forward::Sanitize,
        ForwardClientCertDetails::ForwardOnly => Forward::ForwardOnly,
        ForwardClientCertDetails::AppendForward => Forward::AppendForward,
        ForwardClientCertDetails::SanitizeSet => Forward::SanitizeSet,
        ForwardClientCertDetails::AlwaysForwardOnly => Forward::AlwaysForwardOnly,
    };
    if let Some(parts) = &hcm.set_current_client_cert_details {
        policy.client_cert_parts = Details {
            cert: parts.cert,
            subject: on(parts.subject.as_ref(), false),
            uri: parts.uri,
            dns: parts.dns,
        };
    }
}

/// What a cluster says of its HTTP connections.
#[expect(deprecated, reason = "Envoy's users still set it there")]
pub(super) fn upstream(cluster: &Cluster, path: &str, problems: &mut Problems<'_>) -> HttpUpstream {
    let mut upstream = HttpUpstream::default();
    if let Some(http2) = &cluster.http2_protocol_options {
        upstream.version = UpstreamVersion::Http2;
        http2_options(http2, &mut upstream);
    }
    if cluster.protocol_selection() == ClusterProtocolSelection::UseDownstreamProtocol {
        upstream.version = UpstreamVersion::Downstream;
    }
    if let Some(common) = &cluster.common_http_protocol_options {
        upstream_common(common, &mut upstream);
    }
    if let Some(most) = &cluster.max_requests_per_connection {
        upstream.requests_per_connection = Some(most.value).filter(|most| *most > 0);
    }
    if let Some(names) = &cluster.upstream_http_protocol_options {
        server_names(names, path, problems, &mut upstream);
    }
    let Some(any) = cluster.typed_extension_protocol_options.get(OPTIONS) else {
        return upstream;
    };
    let path = format!("{path}.typed_extension_protocol_options['{OPTIONS}']");
    let options = match HttpProtocolOptions::decode(any.value.as_slice()) {
        Ok(options) => options,
        Err(error) => {
            problems.add(path, format!("not a message of its type: {error}"), "");
            return upstream;
        }
    };
    if let Some(common) = &options.common_http_protocol_options {
        upstream_common(common, &mut upstream);
    }
    version(&options, &path, problems, &mut upstream);
    if let Some(names) = &options.upstream_http_protocol_options {
        server_names(names, &path, problems, &mut upstream);
    }
    upstream
}

/// Which name hosts are asked for and judged by, where calls say it.
fn server_names(
    names: &UpstreamHttpProtocolOptions,
    path: &str,
    problems: &mut Problems<'_>,
    upstream: &mut HttpUpstream,
) {
    let path = format!("{path}.upstream_http_protocol_options");
    upstream.auto_sni = names.auto_sni;
    upstream.auto_san = names.auto_san_validation;
    if names.auto_san_validation && !names.auto_sni {
        problems.add(
            format!("{path}.auto_san_validation"),
            "a name is checked that the host is not asked for",
            "set auto_sni too",
        );
    }
    let header = names.override_auto_sni_header.to_ascii_lowercase();
    upstream.sni_header = Some(header.into()).filter(|name: &Arc<str>| !name.is_empty());
}

/// How long connections to a cluster's hosts may be idle, if it says so.
#[expect(deprecated, reason = "Envoy's users still set it there")]
pub(super) fn upstream_idle(cluster: &Cluster) -> Option<Duration> {
    let own = cluster.common_http_protocol_options;
    let any = cluster.typed_extension_protocol_options.get(OPTIONS);
    let options = any.and_then(|any| HttpProtocolOptions::decode(any.value.as_slice()).ok());
    let common = options.and_then(|options| options.common_http_protocol_options);
    let idle = time(common.or(own)?.idle_timeout.as_ref())?;
    Some(idle.unwrap_or(NEVER))
}

fn version(
    options: &HttpProtocolOptions,
    path: &str,
    problems: &mut Problems<'_>,
    upstream: &mut HttpUpstream,
) {
    let (version, http2) = match &options.upstream_protocol_options {
        None => return,
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => {
            match &explicit.protocol_config {
                Some(ProtocolConfig::Http2ProtocolOptions(http2)) => {
                    (UpstreamVersion::Http2, Some(http2))
                }
                Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                    problems.add(
                        format!("{path}.explicit_http_config.http3_protocol_options"),
                        "HTTP/3 is not in this version",
                        "give http2_protocol_options",
                    );
                    return;
                }
                Some(ProtocolConfig::HttpProtocolOptions(_)) | None => {
                    (UpstreamVersion::Http1, None)
                }
            }
        }
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(downstream)) => (
            UpstreamVersion::Downstream,
            downstream.http2_protocol_options.as_ref(),
        ),
        Some(UpstreamProtocolOptions::AutoConfig(auto)) => (
            UpstreamVersion::Negotiated,
            auto.http2_protocol_options.as_ref(),
        ),
    };
    upstream.version = version;
    if let Some(http2) = http2 {
        http2_options(http2, upstream);
    }
}

fn http2_options(http2: &Http2ProtocolOptions, upstream: &mut HttpUpstream) {
    set(&mut upstream.streams, http2.max_concurrent_streams.as_ref());
    set(
        &mut upstream.stream_window,
        http2.initial_stream_window_size.as_ref(),
    );
    upstream.own_connection_window = number(http2.initial_connection_window_size.as_ref());
    upstream.keepalive = http2.connection_keepalive.as_ref().and_then(keepalive);
}

/// Whether peers of HTTP/2 are asked if they are still there.
fn keepalive(given: &KeepaliveSettings) -> Option<Keepalive> {
    let jitter = given.interval_jitter.as_ref();
    Some(Keepalive {
        interval: time(given.interval.as_ref()).flatten(),
        timeout: duration(given.timeout.as_ref()?)?,
        jitter: jitter
            .map_or(0.15, |percent| percent.value / 100.0)
            .clamp(0.0, 1.0),
    })
}

fn upstream_common(common: &CommonOptions, upstream: &mut HttpUpstream) {
    set(&mut upstream.headers, common.max_headers_count.as_ref());
    if let Some(kilobytes) = &common.max_response_headers_kb {
        upstream.header_bytes = kilobytes.value.saturating_mul(1024);
    }
    upstream.connection_duration = time(common.max_connection_duration.as_ref()).flatten();
    upstream.attempt_duration = time(common.max_stream_duration.as_ref()).flatten();
    upstream.requests_per_connection = most(common.max_requests_per_connection.as_ref());
}

/// A time that is given, where zero means none.
fn time(given: Option<&ProtoDuration>) -> Option<Option<Duration>> {
    let given = duration(given?)?;
    Some(Some(given).filter(|time| !time.is_zero()))
}

/// A number that is given, where zero means no limit.
fn most(given: Option<&UInt32Value>) -> Option<u32> {
    given.map(|most| most.value).filter(|most| *most > 0)
}

fn number(given: Option<&UInt32Value>) -> Option<u32> {
    given.map(|given| given.value)
}

fn set(field: &mut u32, given: Option<&UInt32Value>) {
    if let Some(given) = given {
        *field = given.value;
    }
}

fn on(given: Option<&BoolValue>, default: bool) -> bool {
    given.map_or(default, |given| given.value)
}
