//! Options of HTTP connections, downstream and upstream, and the filter that ends HTTP's chain.

use super::{
    DEFAULT, Message, REMOVE, STATISTICS,
    Support::{Acts, Harmless, Ignored, Refused},
    TRACING,
};

const HTTP3: &str = "HTTP/3 is not in this version";
const HTTP2_INSTEAD: &str = "give `http2_protocol_options`";
const FLOODS: &str = "floods are bounded by fixed limits (docs/limits.md)";
const BAD_MESSAGES: &str =
    "a request that cannot be read ends its stream in HTTP/2 and its connection in HTTP/1";
const ENDPOINT_FILTERS: &str = "filters towards an endpoint are not in this version";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.core.v3.HttpProtocolOptions",
        fields: &[
            (
                Acts,
                &[
                    "idle_timeout",
                    "max_headers_count",
                    "max_response_headers_kb",
                    "headers_with_underscores_action",
                    "max_stream_duration",
                    "max_requests_per_connection",
                    "max_connection_duration",
                ],
            ),
            (
                Ignored("connections end at the configured age"),
                &["max_connection_duration_jitter"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Http1ProtocolOptions",
        fields: &[
            (Acts, &["accept_http_10", "default_host_for_http_10"]),
            (Harmless(DEFAULT), &["allow_absolute_url=true"]),
            (
                Ignored("an absolute target is taken as RFC 9112 says, in place of `host`"),
                &["allow_absolute_url"],
            ),
            (
                Ignored("names of headers are sent in lower case"),
                &["header_key_format"],
            ),
            (
                Harmless("trailers go on to a next hop that can take them"),
                &["enable_trailers"],
            ),
            (
                Ignored("a message with a length and chunks has two readings and is refused"),
                &["allow_chunked_length"],
            ),
            (
                Ignored(BAD_MESSAGES),
                &["override_stream_error_on_invalid_http_message"],
            ),
            (
                Ignored("endpoints get the path as target and the authority as `host`"),
                &["send_fully_qualified_url"],
            ),
            (
                Harmless("there is one parser, and any method is passed on"),
                &["use_balsa_parser", "allow_custom_methods"],
            ),
            (
                Harmless("upgrades other than WebSocket are ignored"),
                &["ignore_http_11_upgrade"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Http2ProtocolOptions",
        fields: &[
            (
                Acts,
                &[
                    "max_concurrent_streams",
                    "initial_stream_window_size",
                    "initial_connection_window_size",
                    "connection_keepalive",
                ],
            ),
            (
                Harmless("extended CONNECT is offered where `upgrade_configs` allow an upgrade"),
                &["allow_connect"],
            ),
            (
                Ignored("METADATA frames are ignored"),
                &["allow_metadata", "max_metadata_size"],
            ),
            (
                Ignored("the tables of HPACK have HTTP/2's own size, 4096 bytes"),
                &["hpack_table_size"],
            ),
            (
                Ignored(FLOODS),
                &[
                    "max_outbound_frames",
                    "max_outbound_control_frames",
                    "max_consecutive_inbound_frames_with_empty_payload",
                    "max_inbound_priority_frames_per_stream",
                    "max_inbound_window_update_frames_per_data_frame_sent",
                    "stream_reset_burst",
                    "stream_reset_rate",
                ],
            ),
            (
                Ignored(BAD_MESSAGES),
                &[
                    "stream_error_on_invalid_http_messaging",
                    "override_stream_error_on_invalid_http_message",
                ],
            ),
            (
                Ignored("settings that HTTP/2 does not define are not sent"),
                &["custom_settings_parameters"],
            ),
            (
                Ignored("a header block is limited as a whole"),
                &["max_header_field_size_kb"],
            ),
            (
                Ignored("bytes above 127 in values are passed on, as in HTTP/1"),
                &["disallow_obs_text"],
            ),
            (
                Harmless("there is one codec, which chooses the shorter form of each header"),
                &["use_oghttp2_codec", "enable_huffman_encoding"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.KeepaliveSettings",
        fields: &[
            (Acts, &["interval", "timeout", "interval_jitter"]),
            (
                Ignored("peers are asked at intervals, not before a stream"),
                &["connection_idle_interval"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        fields: &[
            (
                Acts,
                &[
                    "common_http_protocol_options",
                    "explicit_http_config",
                    "use_downstream_protocol_config",
                    "auto_config",
                    "upstream_http_protocol_options",
                ],
            ),
            (Refused(ENDPOINT_FILTERS, REMOVE), &["http_filters"]),
            (
                Ignored("answers are always validated"),
                &["header_validation_config"],
            ),
            (
                Ignored("which answers are errors is told by their class, not by a matcher"),
                &["outlier_detection"],
            ),
            (
                Ignored("mirroring is not in this version"),
                &["request_mirror_policies"],
            ),
            (
                Refused(
                    "hash policies belong to routes in this version",
                    "write it as `hash_policy` of the routes to this cluster",
                ),
                &["hash_policy"],
            ),
            (
                Ignored("retry policies belong to routes and virtual hosts in this version"),
                &["retry_policy"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
        fields: &[
            (Acts, &["http_protocol_options", "http2_protocol_options"]),
            (Refused(HTTP3, HTTP2_INSTEAD), &["http3_protocol_options"]),
        ],
    },
    Message {
        name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
        fields: &[
            (Acts, &["http_protocol_options", "http2_protocol_options"]),
            (
                Harmless("no caller speaks HTTP/3 here"),
                &["http3_protocol_options"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig",
        fields: &[
            (Acts, &["http_protocol_options", "http2_protocol_options"]),
            (Ignored(HTTP3), &["http3_protocol_options"]),
            (
                Ignored("endpoints are asked by ALPN only"),
                &["alternate_protocols_cache_options"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
        fields: &[
            (Acts, &["cidr_ranges"]),
            (Ignored("connections come over TCP"), &["unix_sockets"]),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
        fields: &[
            (Acts, &["upgrade_type", "enabled"]),
            (
                Refused("an upgrade passes the filters of its listener", REMOVE),
                &["filters"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.SchemeHeaderTransformation",
        fields: &[
            (Acts, &["scheme_to_overwrite"]),
            (
                Ignored("the scheme is the caller's, or the one that is given"),
                &["match_upstream"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.UpstreamHttpProtocolOptions",
        fields: &[(
            Acts,
            &[
                "auto_sni",
                "override_auto_sni_header",
                "auto_san_validation",
            ],
        )],
    },
    Message {
        name: "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.http.router.v3.Router",
        fields: &[
            (Acts, &["suppress_envoy_headers"]),
            (
                Harmless(STATISTICS),
                &["dynamic_stats", "suppress_grpc_request_failure_code_stats"],
            ),
            (Ignored(TRACING), &["start_child_span"]),
            (
                Ignored("calls are logged once, on the side of the caller"),
                &["upstream_log", "upstream_log_options"],
            ),
            (
                Refused(ENDPOINT_FILTERS, REMOVE),
                &["upstream_http_filters"],
            ),
            (
                Ignored("x-envoy-* headers of callers do not steer routes"),
                &["strict_check_headers", "respect_expected_rq_timeout"],
            ),
            (
                Ignored("what a caller sends after CONNECT waits for the answer"),
                &["reject_connect_request_early_data"],
            ),
        ],
    },
];
