//! Route configurations: virtual hosts, matches, actions, edits of headers.

use super::{
    HTTP, Message, REMOVE, RETRIES, RUNTIME, STATISTICS,
    Support::{Acts, Harmless, Ignored, Refused},
    TRACING,
};

const EDITS: &[&str] = &[
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
];
const MATCHES_MORE: &str = "without it the route would match more calls than was asked for";
const EXTENSION: &str = "routing by extensions is not in this version";
const DISCOVERY: &str = "virtual hosts from a control plane are not in this version";
const MIRRORS: &str = "mirroring is not in this version";
const RATE_LIMITS: &str = "rate limits are not in this version";
const METADATA: &str = "endpoints are not chosen by metadata in this version";
const BUFFERS: &str = "a call is kept whole within the limit of its frame";
const NOT_READ: &str = "nothing reads this metadata in this version";
const REWRITES: &str =
    "an RPC call keeps its service and method; HTTP is not served in this version";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.route.v3.RouteConfiguration",
        fields: &[
            (Acts, EDITS),
            (
                Acts,
                &[
                    "name",
                    "virtual_hosts",
                    "validate_clusters",
                    "most_specific_header_mutations_wins",
                    "typed_per_filter_config",
                ],
            ),
            (
                Refused(DISCOVERY, "write them into `virtual_hosts`"),
                &["vhds"],
            ),
            (
                Refused(EXTENSION, REMOVE),
                &["cluster_specifier_plugins", "route_specifiers"],
            ),
            (
                Refused("a virtual host is chosen by the authority only", REMOVE),
                &["vhost_header"],
            ),
            (Harmless(NOT_READ), &["metadata"]),
            (Ignored(MIRRORS), &["request_mirror_policies"]),
            (
                Ignored(HTTP),
                &[
                    "internal_only_headers",
                    "max_direct_response_body_size_bytes",
                    "ignore_port_in_host_matching",
                    "ignore_path_parameters_in_path_matching",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.VirtualHost",
        fields: &[
            (Acts, EDITS),
            (
                Acts,
                &[
                    "name",
                    "domains",
                    "routes",
                    "typed_per_filter_config",
                    "require_tls=NONE",
                ],
            ),
            (
                Refused(
                    "calls would be served without the TLS that is required",
                    REMOVE,
                ),
                &["require_tls"],
            ),
            (Refused(EXTENSION, REMOVE), &["matcher", "route_specifiers"]),
            (Harmless(STATISTICS), &["virtual_clusters"]),
            (Harmless(NOT_READ), &["metadata"]),
            (Ignored(RATE_LIMITS), &["rate_limits"]),
            (Ignored(MIRRORS), &["request_mirror_policies"]),
            (
                Ignored(BUFFERS),
                &[
                    "per_request_buffer_limit_bytes",
                    "request_body_buffer_limit",
                ],
            ),
            (Ignored(HTTP), &["cors"]),
            (
                Ignored(RETRIES),
                &[
                    "retry_policy",
                    "retry_policy_typed_config",
                    "hedge_policy",
                    "include_request_attempt_count",
                    "include_attempt_count_in_response",
                    "include_is_timeout_retry_header",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.Route",
        fields: &[
            (Acts, EDITS),
            (
                Acts,
                &[
                    "name",
                    "match",
                    "route",
                    "direct_response",
                    "typed_per_filter_config",
                ],
            ),
            (
                Refused(
                    "redirects are not in this version",
                    "answer with `direct_response` instead",
                ),
                &["redirect"],
            ),
            (
                Refused(EXTENSION, REMOVE),
                &["filter_action", "non_forwarding_action", "route_specifiers"],
            ),
            (Harmless(STATISTICS), &["stat_prefix"]),
            (Harmless(NOT_READ), &["metadata"]),
            (Ignored(TRACING), &["decorator", "tracing"]),
            (
                Ignored(BUFFERS),
                &[
                    "per_request_buffer_limit_bytes",
                    "request_body_buffer_limit",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteMatch",
        fields: &[
            (
                Acts,
                &[
                    "prefix",
                    "path",
                    "safe_regex",
                    "path_separated_prefix",
                    "case_sensitive",
                    "headers",
                    "runtime_fraction",
                ],
            ),
            (
                Refused(MATCHES_MORE, REMOVE),
                &[
                    "query_parameters",
                    "grpc",
                    "tls_context",
                    "dynamic_metadata",
                    "filter_state",
                    "cookies",
                ],
            ),
            (Refused(EXTENSION, REMOVE), &["path_match_policy"]),
            (
                Refused("CONNECT is not served in this version", REMOVE),
                &["connect_matcher"],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.HeaderMatcher",
        fields: &[(
            Acts,
            &[
                "name",
                "exact_match",
                "prefix_match",
                "suffix_match",
                "contains_match",
                "safe_regex_match",
                "range_match",
                "present_match",
                "string_match",
                "invert_match",
                "treat_missing_header_as_empty",
            ],
        )],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction",
        fields: &[
            (
                Acts,
                &[
                    "cluster",
                    "cluster_header",
                    "weighted_clusters",
                    "cluster_not_found_response_code",
                    "timeout",
                    "hash_policy",
                ],
            ),
            (Refused(METADATA, REMOVE), &["metadata_match"]),
            (
                Refused(EXTENSION, REMOVE),
                &[
                    "cluster_specifier_plugin",
                    "inline_cluster_specifier_plugin",
                ],
            ),
            (
                Ignored(RETRIES),
                &["retry_policy", "retry_policy_typed_config", "hedge_policy"],
            ),
            (
                Ignored(RATE_LIMITS),
                &["rate_limits", "include_vh_rate_limits"],
            ),
            (Ignored(MIRRORS), &["request_mirror_policies"]),
            (Ignored("all calls have the same priority"), &["priority"]),
            (
                Ignored("only `timeout` limits the time of a call"),
                &[
                    "max_grpc_timeout",
                    "grpc_timeout_offset",
                    "max_stream_duration",
                    "idle_timeout",
                    "flush_timeout",
                ],
            ),
            (
                Ignored(REWRITES),
                &[
                    "prefix_rewrite",
                    "regex_rewrite",
                    "path_rewrite",
                    "path_rewrite_policy",
                    "host_rewrite",
                    "host_rewrite_literal",
                    "host_rewrite_header",
                    "host_rewrite_path_regex",
                    "auto_host_rewrite",
                ],
            ),
            (
                Ignored(HTTP),
                &[
                    "cors",
                    "upgrade_configs",
                    "internal_redirect_action",
                    "internal_redirect_policy",
                    "max_internal_redirects",
                    "append_x_forwarded_host",
                    "early_data_policy",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy",
        fields: &[
            (Acts, &["header", "connection_properties", "terminal"]),
            (
                Ignored(HTTP),
                &["cookie", "query_parameter", "filter_state"],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy.Header",
        fields: &[
            (Acts, &["header_name"]),
            (Ignored("the value is hashed as it is"), &["regex_rewrite"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties",
        fields: &[(Acts, &["source_ip"])],
    },
    Message {
        name: "envoy.config.route.v3.WeightedCluster",
        fields: &[
            (Acts, &["clusters"]),
            (
                Ignored("the sum of the weights is computed"),
                &["total_weight"],
            ),
            (Ignored(RUNTIME), &["runtime_key_prefix"]),
            (
                Ignored("clusters are drawn at random"),
                &["header_name", "use_hash_policy"],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.WeightedCluster.ClusterWeight",
        fields: &[
            (Acts, EDITS),
            (Acts, &["name", "weight", "typed_per_filter_config"]),
            (
                Refused(
                    "a weighted cluster has a fixed name in this version",
                    "use `name`",
                ),
                &["cluster_header"],
            ),
            (Refused(METADATA, REMOVE), &["metadata_match"]),
            (Ignored(REWRITES), &["host_rewrite_literal"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.FilterConfig",
        fields: &[(Acts, &["config", "is_optional", "disabled"])],
    },
    Message {
        name: "envoy.config.route.v3.DirectResponseAction",
        fields: &[
            (Acts, &["status", "body"]),
            (Ignored("the body is sent as it stands"), &["body_format"]),
        ],
    },
    Message {
        name: "envoy.config.core.v3.HeaderValueOption",
        fields: &[(
            Acts,
            &["header", "append", "append_action", "keep_empty_value"],
        )],
    },
    Message {
        name: "envoy.config.core.v3.HeaderValue",
        fields: &[(Acts, &["key", "value", "raw_value"])],
    },
    Message {
        name: "envoy.type.matcher.v3.StringMatcher",
        fields: &[
            (
                Acts,
                &[
                    "exact",
                    "prefix",
                    "suffix",
                    "contains",
                    "safe_regex",
                    "ignore_case",
                ],
            ),
            (Refused(EXTENSION, REMOVE), &["custom"]),
        ],
    },
    Message {
        name: "envoy.type.matcher.v3.RegexMatcher",
        fields: &[
            (Acts, &["regex"]),
            (
                Harmless("regular expressions have one engine here"),
                &["google_re2"],
            ),
        ],
    },
    Message {
        name: "envoy.type.v3.Int64Range",
        fields: &[(Acts, &["start", "end"])],
    },
];
