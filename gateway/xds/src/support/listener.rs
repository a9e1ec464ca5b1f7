//! Listeners, filter chains, and the two filters that end one: the HTTP connection manager, which
//! serves RPC too, and the TCP proxy.

use super::{
    DEFAULT, Message, REMOVE, RUNTIME, STATIC, STATISTICS,
    Support::{Acts, Harmless, Ignored, Judged, Refused},
    TRACING,
};

const ONE_CHAIN: &str = "choosing a filter chain by the connection is not in this version";
const TRANSPARENT: &str =
    "connections that were meant for another address are not handled in this version";
const DISCOVERY: &str = "configuration from a control plane is not in this version";
const TCP_ONLY: &str = "only TCP is served";
const SOCKET: &str = "sockets have the system's options";
const SNIFFED: &str = "the protocol of each connection is sniffed";
const OWN_LIMITS: &str = "buffers are limited by `crossdock.*` keys";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.listener.v3.Listener",
        fields: &[
            (Acts, &["listener_filters_timeout"]),
            (Acts, &["continue_on_listener_filters_timeout"]),
            (
                Acts,
                &[
                    "name",
                    "address",
                    "filter_chains",
                    "default_filter_chain",
                    "listener_filters",
                    "metadata",
                    "traffic_direction",
                    "access_log",
                    "bind_to_port=true",
                ],
            ),
            (Refused(ONE_CHAIN, REMOVE), &["filter_chain_matcher"]),
            (
                Harmless(DEFAULT),
                &[
                    "use_original_dst=false",
                    "transparent=false",
                    "freebind=false",
                ],
            ),
            (
                Refused(TRANSPARENT, REMOVE),
                &[
                    "use_original_dst",
                    "bind_to_port",
                    "transparent",
                    "deprecated_v1",
                ],
            ),
            (
                Refused(TCP_ONLY, REMOVE),
                &["udp_listener_config", "api_listener", "internal_listener"],
            ),
            (Refused(DISCOVERY, STATIC), &["fcds_config"]),
            (
                Harmless("accepted connections go to the worker with the fewest"),
                &[
                    "connection_balance_config",
                    "reuse_port",
                    "enable_reuse_port",
                    "max_connections_to_accept_per_socket_event",
                ],
            ),
            (Harmless(STATISTICS), &["stat_prefix", "stats_matcher"]),
            (
                Harmless("there is no overload manager to be exempt from"),
                &["ignore_global_conn_limit", "bypass_overload_manager"],
            ),
            (
                Harmless("a static listener is never modified"),
                &["drain_type"],
            ),
            (
                Ignored(OWN_LIMITS),
                &[
                    "per_connection_buffer_limit_bytes",
                    "per_connection_buffer_high_watermark_timeout",
                ],
            ),
            (
                Ignored(SOCKET),
                &[
                    "freebind",
                    "tcp_fast_open_queue_length",
                    "socket_options",
                    "tcp_backlog_size",
                    "enable_mptcp",
                    "tcp_keepalive",
                ],
            ),
            (
                Ignored("a listener has one address"),
                &["additional_addresses"],
            ),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.ListenerFilter",
        fields: &[
            (Acts, &["name", "typed_config"]),
            (Refused(DISCOVERY, STATIC), &["config_discovery"]),
            (Acts, &["filter_disabled"]),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.FilterChain",
        fields: &[
            (
                Acts,
                &["filter_chain_match", "filters", "name", "transport_socket"],
            ),
            (Harmless(DEFAULT), &["use_proxy_proto=false"]),
            (
                Refused(
                    "the PROXY protocol is a listener filter",
                    "add envoy.filters.listener.proxy_protocol to `listener_filters`",
                ),
                &["use_proxy_proto"],
            ),
            (Harmless("metadata for someone else"), &["metadata"]),
            (Acts, &["transport_socket_connect_timeout"]),
        ],
    },
    Message {
        name: "envoy.config.listener.v3.FilterChainMatch",
        fields: &[
            (
                Acts,
                &[
                    "prefix_ranges",
                    "source_prefix_ranges",
                    "source_ports",
                    "destination_port",
                    "transport_protocol",
                    "application_protocols",
                    "server_names",
                    "source_type",
                    "direct_source_prefix_ranges",
                ],
            ),
            (
                Refused("addresses are matched by their prefixes", REMOVE),
                &["address_suffix", "suffix_len"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.CidrRange",
        fields: &[(Acts, &["address_prefix", "prefix_len"])],
    },
    Message {
        name: "envoy.config.listener.v3.ListenerFilterChainMatchPredicate",
        fields: &[(
            Acts,
            &[
                "or_match",
                "and_match",
                "not_match",
                "any_match",
                "destination_port_range",
            ],
        )],
    },
    Message {
        name: "envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet",
        fields: &[(Acts, &["rules"])],
    },
    Message {
        name: "envoy.type.v3.Int32Range",
        fields: &[(Acts, &["start", "end"])],
    },
    Message {
        name: "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        fields: &[
            (
                Harmless("fingerprints of clients are not made"),
                &["enable_ja3_fingerprinting", "enable_ja4_fingerprinting"],
            ),
            (
                Harmless("what is read grows with what comes"),
                &["initial_read_buffer_size"],
            ),
            (
                Acts,
                &[
                    "max_client_hello_size",
                    "close_connection_on_client_hello_parsing_errors",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        fields: &[
            (
                Acts,
                &[
                    "allow_requests_without_proxy_protocol",
                    "disallowed_versions",
                ],
            ),
            (
                Ignored("TLVs of the PROXY protocol are skipped"),
                &["rules", "pass_through_tlvs", "tlv_location"],
            ),
            (Harmless(STATISTICS), &["stat_prefix"]),
        ],
    },
    Message {
        name: "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
        fields: &[],
    },
    Message {
        name: "envoy.config.listener.v3.Filter",
        fields: &[
            (Acts, &["name", "typed_config"]),
            (Refused(DISCOVERY, STATIC), &["config_discovery"]),
        ],
    },
    Message {
        name: "envoy.config.core.v3.TransportSocket",
        fields: &[(Acts, &["name", "typed_config"])],
    },
    Message {
        name: "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
        fields: &[],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        fields: &[
            (Judged, &["scoped_routes"]),
            (Acts, &["stat_prefix", "rds"]),
            (
                Acts,
                &[
                    "route_config",
                    "http_filters",
                    "access_log",
                    "common_http_protocol_options",
                ],
            ),
            (
                Refused("HTTP/3 is not in this version", "leave it out"),
                &["codec_type=HTTP3"],
            ),
            (Harmless(SNIFFED), &["codec_type"]),
            (Acts, HTTP_FIELDS),
            (Ignored(TRACING), &["tracing"]),
            (
                Ignored("how long a drain takes is said by --drain-time-s"),
                &["drain_timeout", "drain_timeout_jitter"],
            ),
            (
                Ignored("calls are logged when they end"),
                &[
                    "access_log_flush_interval",
                    "flush_access_log_on_new_request",
                    "access_log_options",
                ],
            ),
            (
                Acts,
                &[
                    "forward_client_cert_details",
                    "set_current_client_cert_details",
                ],
            ),
            (
                Ignored("callers are told of in one way, whatever their requests say"),
                &["forward_client_cert_matcher"],
            ),
            (
                Harmless("HTTP/3 is not in this version"),
                &["http3_protocol_options"],
            ),
            (
                Ignored("request ids are random UUIDs"),
                &["request_id_extension"],
            ),
            (
                Ignored("callers keep the `user-agent` that they gave"),
                &["add_user_agent"],
            ),
            (
                Ignored("addresses are written in their shortest form"),
                &["represent_ipv4_remote_address_as_ipv4_mapped_ipv6"],
            ),
            (
                Ignored("a reader that takes nothing is bounded by `crossdock.stall_timeout_ms`"),
                &["stream_flush_timeout", "delayed_close_timeout"],
            ),
            (Acts, &["internal_address_config"]),
            (
                Ignored("paths have one form, for rules and for endpoints"),
                &["path_normalization_options"],
            ),
            (
                Ignored(
                    "a request that cannot be read ends its stream in HTTP/2 and its connection in HTTP/1",
                ),
                &["stream_error_on_invalid_http_message"],
            ),
            (
                Refused(
                    "the caller's address is that of the connection or of x-forwarded-for",
                    REMOVE,
                ),
                &["original_ip_detection_extensions"],
            ),
            (
                Refused(
                    "headers are not changed before routes in this version",
                    REMOVE,
                ),
                &["early_header_mutation_extensions"],
            ),
            (
                Ignored("Proxy-Status is not written"),
                &["proxy_status_config"],
            ),
            (
                Ignored("requests are always validated"),
                &["typed_header_validation_config"],
            ),
            (
                Harmless("there is no overload manager to speak of"),
                &["append_local_overload"],
            ),
            (
                Harmless("no filter reads what the PROXY protocol said of the connection"),
                &["add_proxy_protocol_connection_state"],
            ),
            (
                Harmless("connections always end between two calls"),
                &["http1_safe_max_connection_duration"],
            ),
            (
                Ignored("x-forwarded-proto says whether the caller came by TLS"),
                &["forward_proto_config"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails",
        fields: &[
            (Acts, &["subject", "cert", "uri", "dns"]),
            (
                Ignored("endpoints are told of the caller's own certificate, in the text form"),
                &["chain", "issuer", "format"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig",
        fields: &[(Acts, &["mappers", "body_format"])],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper",
        fields: &[
            (Judged, &["filter"]),
            (
                Acts,
                &[
                    "status_code",
                    "body",
                    "body_format_override",
                    "headers_to_add",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        fields: &[
            (Acts, &["name", "typed_config", "is_optional", "disabled"]),
            (Refused(DISCOVERY, STATIC), &["config_discovery"]),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        fields: &[
            (
                Acts,
                &[
                    "stat_prefix",
                    "cluster",
                    "weighted_clusters",
                    "idle_timeout",
                    "max_downstream_connection_duration",
                    "max_downstream_connection_duration_jitter_percentage",
                    "max_connect_attempts",
                    "backoff_options",
                    "hash_policy",
                    "check_drain_close",
                    "access_log",
                    "access_log_options",
                    "access_log_flush_interval",
                    "flush_access_log_on_connected",
                ],
            ),
            (
                Refused(
                    "endpoints are not chosen by metadata in this version",
                    REMOVE,
                ),
                &["metadata_match"],
            ),
            (
                Refused("tunnels are not in this version", REMOVE),
                &["tunneling_config"],
            ),
            (Refused(DISCOVERY, STATIC), &["on_demand"]),
            (
                Ignored("`idle_timeout` holds for both sides"),
                &["downstream_idle_timeout", "upstream_idle_timeout"],
            ),
            (Harmless(DEFAULT), &["upstream_connect_mode=IMMEDIATE"]),
            (
                Ignored("the endpoint is dialled at once"),
                &["upstream_connect_mode"],
            ),
            (
                Harmless("what comes before the endpoint answers waits in the system's buffer"),
                &["max_early_data_bytes"],
            ),
            (
                Ignored("the PROXY protocol is not sent in this version"),
                &["proxy_protocol_tlvs", "proxy_protocol_tlv_merge_policy"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster",
        fields: &[(Acts, &["clusters"])],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
        fields: &[
            (Acts, &["name", "weight"]),
            (
                Refused(
                    "endpoints are not chosen by metadata in this version",
                    REMOVE,
                ),
                &["metadata_match"],
            ),
        ],
    },
    Message {
        name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
        fields: &[(
            Acts,
            &[
                "access_log_flush_interval",
                "flush_access_log_on_connected",
                "flush_access_log_on_start",
            ],
        )],
    },
    Message {
        name: "envoy.config.core.v3.BackoffStrategy",
        fields: &[(Acts, &["base_interval", "max_interval"])],
    },
    Message {
        name: "envoy.type.v3.HashPolicy",
        fields: &[(Judged, &["filter_state"]), (Acts, &["source_ip"])],
    },
    Message {
        name: "envoy.type.v3.HashPolicy.SourceIp",
        fields: &[],
    },
    Message {
        name: "envoy.config.core.v3.Address",
        fields: &[
            (Judged, &["pipe", "envoy_internal_address"]),
            (Acts, &["socket_address"]),
        ],
    },
    Message {
        name: "envoy.config.core.v3.SocketAddress",
        fields: &[
            (Judged, &["named_port"]),
            (Acts, &["protocol=TCP", "address", "port_value"]),
            (Refused(TCP_ONLY, REMOVE), &["protocol"]),
            (
                Refused(
                    "addresses in another network namespace are not in this version",
                    REMOVE,
                ),
                &["network_namespace_filepath"],
            ),
            (
                Ignored("names are resolved by the system's resolver"),
                &["resolver_name"],
            ),
            (Ignored(SOCKET), &["ipv4_compat"]),
        ],
    },
    Message {
        name: "envoy.config.core.v3.Metadata",
        fields: &[
            (Acts, &["filter_metadata"]),
            (
                Harmless("metadata for someone else"),
                &["typed_filter_metadata"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.RuntimeFractionalPercent",
        fields: &[
            (Acts, &["default_value"]),
            (Ignored(RUNTIME), &["runtime_key"]),
        ],
    },
    Message {
        name: "envoy.config.core.v3.RuntimeDouble",
        fields: &[
            (Acts, &["default_value"]),
            (Ignored(RUNTIME), &["runtime_key"]),
        ],
    },
    Message {
        name: "envoy.type.v3.FractionalPercent",
        fields: &[(Acts, &["numerator", "denominator"])],
    },
    Message {
        name: "envoy.type.v3.Percent",
        fields: &[(Acts, &["value"])],
    },
];

/// The fields of the connection manager that shape HTTP.
const HTTP_FIELDS: &[&str] = &[
    "http_protocol_options",
    "http2_protocol_options",
    "max_request_headers_kb",
    "request_headers_timeout",
    "request_timeout",
    "stream_idle_timeout",
    "upgrade_configs",
    "proxy_100_continue",
    "local_reply_config",
    "use_remote_address",
    "xff_num_trusted_hops",
    "skip_xff_append",
    "via",
    "append_x_forwarded_port",
    "generate_request_id",
    "preserve_external_request_id",
    "always_set_request_id_in_response",
    "server_name",
    "server_header_transformation",
    "scheme_header_transformation",
    "normalize_path",
    "merge_slashes",
    "path_with_escaped_slashes_action",
    "strip_matching_host_port",
    "strip_any_host_port",
    "strip_trailing_host_dot",
];
