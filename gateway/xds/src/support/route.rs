//! Route configurations: virtual hosts, matches, actions, edits of headers.

use super::{
    Message, REMOVE, RUNTIME,
    Support::{Acts, Harmless, Ignored, Judged, Refused},
    TRACING,
};

const EDITS: &[&str] = &[
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
];
const MIRRORS: &str = "mirroring is not in this version";
const NO_METADATA: &str =
    "calls have no metadata in this version: these actions make no descriptor";
const AS_WRITTEN: &str =
    "the value of a descriptor is taken as it is written, as Envoy does by default";
const METADATA: &str = "endpoints are not chosen by metadata in this version";
const RETRY_TYPES: &str = "write `retry_policy` of the route or virtual host";
const HEDGES: &str = "one attempt is made at a time in this version";
const CORS: &str = "CORS is not in this version";
const UNREACHED: &str = "redirects of upstreams are handed to the caller";
const NOT_READ: &str = "nothing reads this metadata in this version";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.route.v3.RouteConfiguration",
        fields: &[
            (Judged, &["vhds", "route_specifiers", "vhost_header"]),
            (
                Acts,
                &[
                    "max_direct_response_body_size_bytes",
                    "ignore_port_in_host_matching",
                    "ignore_path_parameters_in_path_matching",
                ],
            ),
            (
                Harmless("a route that names one is refused"),
                &["cluster_specifier_plugins"],
            ),
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
            (Harmless(NOT_READ), &["metadata"]),
            (Ignored(MIRRORS), &["request_mirror_policies"]),
            (
                Ignored("headers of callers are not taken away"),
                &["internal_only_headers"],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.VirtualHost",
        fields: &[
            (Judged, &["matcher", "route_specifiers", "domains"]),
            (Acts, EDITS),
            (
                Acts,
                &["name", "routes", "require_tls", "typed_per_filter_config"],
            ),
            (Acts, &["virtual_clusters"]),
            (Harmless(NOT_READ), &["metadata"]),
            (Acts, &["rate_limits"]),
            (Ignored(MIRRORS), &["request_mirror_policies"]),
            (
                Acts,
                &[
                    "per_request_buffer_limit_bytes",
                    "request_body_buffer_limit",
                ],
            ),
            (Ignored(CORS), &["cors"]),
            (
                Acts,
                &[
                    "retry_policy",
                    "include_request_attempt_count",
                    "include_attempt_count_in_response",
                ],
            ),
            (Ignored(RETRY_TYPES), &["retry_policy_typed_config"]),
            (
                Ignored("hosts are told of the attempt by `x-envoy-attempt-count`"),
                &["include_is_timeout_retry_header"],
            ),
            (Ignored(HEDGES), &["hedge_policy"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.VirtualCluster",
        fields: &[(Acts, &["name", "headers"])],
    },
    Message {
        name: "envoy.config.route.v3.Route",
        fields: &[
            (
                Judged,
                &["filter_action", "non_forwarding_action", "route_specifiers"],
            ),
            (Acts, EDITS),
            (
                Acts,
                &[
                    "name",
                    "match",
                    "route",
                    "redirect",
                    "direct_response",
                    "typed_per_filter_config",
                ],
            ),
            (Acts, &["stat_prefix"]),
            (Harmless(NOT_READ), &["metadata"]),
            (Ignored(TRACING), &["decorator", "tracing"]),
            (
                Acts,
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
                Judged,
                &["dynamic_metadata", "filter_state", "path_match_policy"],
            ),
            (
                Acts,
                &[
                    "query_parameters",
                    "grpc",
                    "cookies",
                    "tls_context",
                    "connect_matcher",
                ],
            ),
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
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RouteMatch.ConnectMatcher",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RouteMatch.TlsContextMatchOptions",
        fields: &[(Acts, &["presented", "validated"])],
    },
    Message {
        name: "envoy.config.route.v3.CookieMatcher",
        fields: &[(Acts, &["name", "string_match", "invert_match"])],
    },
    Message {
        name: "envoy.config.route.v3.QueryParameterMatcher",
        fields: &[(Acts, &["name", "string_match", "present_match"])],
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
                Judged,
                &[
                    "path_rewrite_policy",
                    "internal_redirect_action",
                    "internal_redirect_policy",
                    "cluster_specifier_plugin",
                    "inline_cluster_specifier_plugin",
                ],
            ),
            (
                Acts,
                &[
                    "prefix_rewrite",
                    "regex_rewrite",
                    "path_rewrite",
                    "host_rewrite",
                    "host_rewrite_literal",
                    "host_rewrite_header",
                    "host_rewrite_path_regex",
                    "append_x_forwarded_host",
                ],
            ),
            (Acts, &["priority", "cluster_not_found_response_code"]),
            (
                Acts,
                &[
                    "max_grpc_timeout",
                    "grpc_timeout_offset",
                    "max_stream_duration",
                    "idle_timeout",
                ],
            ),
            (
                Acts,
                &[
                    "cluster",
                    "cluster_header",
                    "weighted_clusters",
                    "timeout",
                    "hash_policy",
                ],
            ),
            (Refused(METADATA, REMOVE), &["metadata_match"]),
            (Acts, &["retry_policy"]),
            (Ignored(RETRY_TYPES), &["retry_policy_typed_config"]),
            (Ignored(HEDGES), &["hedge_policy"]),
            (Acts, &["rate_limits", "include_vh_rate_limits"]),
            (Ignored(MIRRORS), &["request_mirror_policies"]),
            (
                Ignored("what waits to be written has the idle time of its stream"),
                &["flush_timeout"],
            ),
            (Acts, &["auto_host_rewrite", "upgrade_configs"]),
            (Ignored(CORS), &["cors"]),
            (Ignored(UNREACHED), &["max_internal_redirects"]),
            (
                Ignored("there is no TLS early data here"),
                &["early_data_policy"],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy",
        fields: &[
            (
                Acts,
                &[
                    "retry_on",
                    "num_retries",
                    "per_try_timeout",
                    "per_try_idle_timeout",
                    "retriable_status_codes",
                    "retry_back_off",
                    "rate_limited_retry_back_off",
                    "retriable_headers",
                    "retriable_request_headers",
                ],
            ),
            (Judged, &["retry_host_predicate"]),
            (
                Harmless("a host that was tried is left out for as long as there are others"),
                &["host_selection_retry_max_attempts"],
            ),
            (
                Ignored("endpoints have no priorities in this version"),
                &["retry_priority"],
            ),
            (
                Ignored("a retry has the options of its first attempt"),
                &["retry_options_predicates"],
            ),
            (
                Ignored("a retry goes to the cluster of its first attempt"),
                &["refresh_cluster_on_retry"],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy.RetryBackOff",
        fields: &[(Acts, &["base_interval", "max_interval"])],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff",
        fields: &[(Acts, &["reset_headers", "max_interval"])],
    },
    Message {
        name: "envoy.config.route.v3.RetryPolicy.ResetHeader",
        fields: &[(Acts, &["name", "format"])],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit",
        fields: &[
            (Acts, &["stage", "actions"]),
            (Ignored(RUNTIME), &["disable_key"]),
            (
                Ignored("the limit of a descriptor is the one of the filter"),
                &["limit"],
            ),
            (
                Ignored("a call takes one token when it comes"),
                &["hits_addend", "apply_on_stream_done"],
            ),
            (
                Ignored("the filter says for all whether callers are told of the limit"),
                &["x_ratelimit_option"],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action",
        fields: &[
            (
                Acts,
                &[
                    "source_cluster",
                    "destination_cluster",
                    "request_headers",
                    "query_parameters",
                    "remote_address",
                    "masked_remote_address",
                    "generic_key",
                    "header_value_match",
                    "query_parameter_value_match",
                ],
            ),
            (Ignored(NO_METADATA), &["dynamic_metadata", "metadata"]),
            (
                Ignored("this action is not in this version: no descriptor is made with it"),
                &["extension", "remote_address_match"],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.SourceCluster",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.DestinationCluster",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.RequestHeaders",
        fields: &[(Acts, &["header_name", "descriptor_key", "skip_if_absent"])],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.QueryParameters",
        fields: &[(
            Acts,
            &["query_parameter_name", "descriptor_key", "skip_if_absent"],
        )],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.RemoteAddress",
        fields: &[],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.MaskedRemoteAddress",
        fields: &[(Acts, &["v4_prefix_mask_len", "v6_prefix_mask_len"])],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.GenericKey",
        fields: &[
            (Acts, &["descriptor_value", "descriptor_key"]),
            (Ignored(AS_WRITTEN), &["default_value"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.HeaderValueMatch",
        fields: &[
            (
                Acts,
                &[
                    "descriptor_value",
                    "descriptor_key",
                    "expect_match",
                    "headers",
                ],
            ),
            (Ignored(AS_WRITTEN), &["default_value"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RateLimit.Action.QueryParameterValueMatch",
        fields: &[
            (
                Acts,
                &[
                    "descriptor_value",
                    "descriptor_key",
                    "expect_match",
                    "query_parameters",
                ],
            ),
            (Ignored(AS_WRITTEN), &["default_value"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy",
        fields: &[
            (Judged, &["filter_state"]),
            (
                Acts,
                &[
                    "header",
                    "cookie",
                    "query_parameter",
                    "connection_properties",
                    "terminal",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy.Header",
        fields: &[(Acts, &["header_name", "regex_rewrite"])],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy.Cookie",
        fields: &[(Acts, &["name", "ttl", "path", "attributes"])],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute",
        fields: &[(Acts, &["name", "value"])],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter",
        fields: &[(Acts, &["name"])],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.MaxStreamDuration",
        fields: &[(
            Acts,
            &[
                "max_stream_duration",
                "grpc_timeout_header_max",
                "grpc_timeout_header_offset",
            ],
        )],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.UpgradeConfig",
        fields: &[
            (Acts, &["upgrade_type", "enabled"]),
            (Judged, &["connect_config"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.RedirectAction",
        fields: &[(
            Acts,
            &[
                "https_redirect",
                "scheme_redirect",
                "host_redirect",
                "port_redirect",
                "path_redirect",
                "prefix_rewrite",
                "regex_rewrite",
                "path_rewrite",
                "response_code",
                "strip_query",
            ],
        )],
    },
    Message {
        name: "envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties",
        fields: &[(Acts, &["source_ip"])],
    },
    Message {
        name: "envoy.config.route.v3.WeightedCluster",
        fields: &[
            (Acts, &["clusters", "header_name", "use_hash_policy"]),
            (
                Ignored("the sum of the weights is computed"),
                &["total_weight"],
            ),
            (Ignored(RUNTIME), &["runtime_key_prefix"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.WeightedCluster.ClusterWeight",
        fields: &[
            (Acts, EDITS),
            (
                Acts,
                &[
                    "name",
                    "cluster_header",
                    "host_rewrite_literal",
                    "weight",
                    "typed_per_filter_config",
                ],
            ),
            (Refused(METADATA, REMOVE), &["metadata_match"]),
        ],
    },
    Message {
        name: "envoy.config.route.v3.FilterConfig",
        fields: &[(Acts, &["config", "is_optional", "disabled"])],
    },
    Message {
        name: "envoy.config.route.v3.DirectResponseAction",
        fields: &[(Judged, &["body_format"]), (Acts, &["status", "body"])],
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
            (Judged, &["custom"]),
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
        name: "envoy.type.matcher.v3.RegexMatchAndSubstitute",
        fields: &[(Acts, &["pattern", "substitution"])],
    },
    Message {
        name: "envoy.type.v3.Int64Range",
        fields: &[(Acts, &["start", "end"])],
    },
];
