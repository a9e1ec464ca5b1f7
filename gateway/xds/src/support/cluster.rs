//! Clusters, their endpoints, limits and load balancing.

use super::{
    Message, REMOVE, STATISTICS,
    Support::{Acts, Harmless, Ignored, Judged, Refused},
};

const HEALTH: &str = "health checks are not in this version; `health_status` is taken as it is";
const ZONES: &str = "zones and localities are not told apart in this version";
const ENDPOINTS: &str = "endpoints are listed where they are used";
const DNS: &str = "names are resolved by the system's resolver";
const SOCKET: &str = "sockets have the system's options";
const SLOW_START: &str = "new endpoints get their full share at once";
const NOT_READ: &str = "nothing reads this metadata in this version";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.cluster.v3.Cluster",
        fields: &[
            (
                Judged,
                &["type", "cluster_type", "lb_policy", "lb_subset_config"],
            ),
            (Acts, &["load_balancing_policy", "eds_cluster_config"]),
            (
                Ignored("connections do not go where they were first meant to"),
                &["original_dst_lb_config"],
            ),
            (
                Ignored("every address of a name is an endpoint"),
                &["dns_lookup_family"],
            ),
            (
                Acts,
                &[
                    "name",
                    "load_assignment",
                    "connect_timeout",
                    "round_robin_lb_config",
                    "least_request_lb_config",
                    "ring_hash_lb_config",
                    "maglev_lb_config",
                    "common_lb_config",
                    "circuit_breakers",
                    "outlier_detection",
                    "transport_socket",
                    "metadata",
                    "typed_extension_protocol_options",
                    "dns_refresh_rate",
                ],
            ),
            (
                Refused(
                    "transport sockets are not chosen by endpoint in this version",
                    REMOVE,
                ),
                &["transport_socket_matches", "transport_socket_matcher"],
            ),
            (
                Refused(
                    "filters towards an endpoint are not in this version",
                    REMOVE,
                ),
                &["filters"],
            ),
            (
                Harmless(STATISTICS),
                &[
                    "track_timeout_budgets",
                    "track_cluster_stats",
                    "stats_matcher",
                    "lrs_report_endpoint_metrics",
                ],
            ),
            (Acts, &["alt_stat_name", "protocol_selection"]),
            (
                Harmless("listeners open when all names have been asked for"),
                &["wait_for_warm_on_init"],
            ),
            (
                Harmless("only the clusters of ORIGINAL_DST forget endpoints by time"),
                &["cleanup_interval"],
            ),
            (
                Ignored(HEALTH),
                &[
                    "health_checks",
                    "close_connections_on_host_health_failure",
                    "ignore_health_on_host_removal",
                ],
            ),
            (
                Ignored("there is no control plane to report to"),
                &["lrs_server"],
            ),
            (
                Ignored("buffers are limited by `crossdock.*` keys"),
                &[
                    "per_connection_buffer_limit_bytes",
                    "per_connection_buffer_high_watermark_timeout",
                ],
            ),
            (
                Ignored("connections are shared and opened when they are needed"),
                &[
                    "connection_pool_per_downstream_connection",
                    "preconnect_policy",
                    "queuing_policies",
                ],
            ),
            (
                Ignored(DNS),
                &[
                    "dns_resolvers",
                    "dns_resolution_config",
                    "typed_dns_resolver_config",
                    "use_tcp_for_dns_lookups",
                    "respect_dns_ttl",
                    "dns_failure_refresh_rate",
                    "dns_jitter",
                ],
            ),
            (
                Ignored("the system chooses the address of outgoing connections"),
                &["upstream_bind_config"],
            ),
            (Ignored(SOCKET), &["upstream_connection_options"]),
            (
                Ignored("extensions towards an endpoint are not in this version"),
                &["upstream_config"],
            ),
            (
                Acts,
                &[
                    "http2_protocol_options",
                    "common_http_protocol_options",
                    "upstream_http_protocol_options",
                    "http_protocol_options",
                    "max_requests_per_connection",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig",
        fields: &[(Ignored(SLOW_START), &["slow_start_config"])],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig",
        fields: &[
            (Acts, &["active_request_bias"]),
            (Acts, &["choice_count"]),
            (Ignored(SLOW_START), &["slow_start_config"]),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.RingHashLbConfig",
        fields: &[
            (Acts, &["hash_function"]),
            (Acts, &["minimum_ring_size", "maximum_ring_size"]),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.MaglevLbConfig",
        fields: &[(Acts, &["table_size"])],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        fields: &[
            (Judged, &["locality_weighted_lb_config"]),
            (
                Acts,
                &["healthy_panic_threshold", "consistent_hashing_lb_config"],
            ),
            (
                Harmless("endpoints change only when a name resolves differently"),
                &["update_merge_window"],
            ),
            (Ignored(ZONES), &["zone_aware_lb_config"]),
            (
                Ignored(HEALTH),
                &["ignore_new_hosts_until_first_hc", "override_host_status"],
            ),
            (
                Ignored("connections outlive a change of endpoints"),
                &["close_connections_on_host_set_change"],
            ),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig",
        fields: &[
            (Judged, &["hash_balance_factor"]),
            (Acts, &["use_hostname_for_hashing"]),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.CircuitBreakers",
        fields: &[
            (Acts, &["thresholds"]),
            (
                Ignored("limits hold for a cluster, not for an endpoint"),
                &["per_host_thresholds"],
            ),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
        fields: &[
            (Acts, &["priority"]),
            (
                Acts,
                &["max_connections", "max_pending_requests", "max_requests"],
            ),
            (
                Harmless("what is left of each limit is told in any case"),
                &["track_remaining"],
            ),
            (
                Harmless("a cluster has one pool for each endpoint and protocol"),
                &["max_connection_pools"],
            ),
            (Acts, &["max_retries", "retry_budget"]),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
        fields: &[
            (Acts, &["budget_percent", "min_retry_concurrency"]),
            (
                Ignored("a budget is a part of the calls in flight"),
                &["budget_interval"],
            ),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.OutlierDetection",
        fields: &[
            (
                Acts,
                &[
                    "consecutive_5xx",
                    "enforcing_consecutive_5xx",
                    "consecutive_gateway_failure",
                    "enforcing_consecutive_gateway_failure",
                    "split_external_local_origin_errors",
                    "consecutive_local_origin_failure",
                    "enforcing_consecutive_local_origin_failure",
                    "interval",
                    "base_ejection_time",
                    "max_ejection_time",
                    "max_ejection_time_jitter",
                    "max_ejection_percent",
                    "always_eject_one_host",
                    "success_rate_minimum_hosts",
                    "success_rate_request_volume",
                    "success_rate_stdev_factor",
                    "enforcing_success_rate",
                    "enforcing_local_origin_success_rate",
                    "failure_percentage_threshold",
                    "failure_percentage_minimum_hosts",
                    "failure_percentage_request_volume",
                    "enforcing_failure_percentage",
                    "enforcing_failure_percentage_local_origin",
                ],
            ),
            (
                Harmless("there is no active health check that could end an ejection"),
                &["successful_active_health_check_uneject_host"],
            ),
            (
                Ignored("monitors of other makers are not in this version"),
                &["monitors"],
            ),
            (
                Ignored("degraded endpoints are not told apart in this version"),
                &["detect_degraded_hosts"],
            ),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.ClusterLoadAssignment",
        fields: &[
            (Acts, &["cluster_name", "endpoints"]),
            (
                Refused(ENDPOINTS, "write the endpoint where it is used"),
                &["named_endpoints"],
            ),
            (
                Ignored("endpoints are used as they are listed"),
                &["policy"],
            ),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.LocalityLbEndpoints",
        fields: &[
            (Judged, &["priority"]),
            (
                Harmless("counts only where localities are weighted"),
                &["locality", "load_balancing_weight", "proximity"],
            ),
            (Acts, &["lb_endpoints"]),
            (
                Refused(ENDPOINTS, "use `lb_endpoints`"),
                &["load_balancer_endpoints", "leds_cluster_locality_config"],
            ),
            (Harmless(NOT_READ), &["metadata"]),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.LbEndpoint",
        fields: &[
            (Judged, &["endpoint_name"]),
            (Acts, &["metadata"]),
            (
                Acts,
                &["endpoint", "health_status", "load_balancing_weight"],
            ),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.Endpoint",
        fields: &[
            // The name by which it is hashed, shown and logged.
            (Acts, &["hostname"]),
            (Acts, &["address"]),
            (Harmless(STATISTICS), &["observability_name"]),
            (Ignored(HEALTH), &["health_check_config"]),
            (
                Ignored("an endpoint has one address"),
                &["additional_addresses"],
            ),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.LoadBalancingPolicy",
        fields: &[(Acts, &["policies"])],
    },
    Message {
        name: "envoy.config.cluster.v3.LoadBalancingPolicy.Policy",
        fields: &[(Acts, &["typed_extension_config"])],
    },
    Message {
        name: "envoy.config.core.v3.TypedExtensionConfig",
        fields: &[(Acts, &["name", "typed_config"])],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
        fields: &[
            (Ignored(SLOW_START), &["slow_start_config"]),
            (Ignored(ZONES), &["locality_lb_config"]),
        ],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.random.v3.Random",
        fields: &[(Ignored(ZONES), &["locality_lb_config"])],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
        fields: &[
            (Acts, &["choice_count", "active_request_bias"]),
            (Judged, &["enable_full_scan", "selection_method"]),
            (Ignored(SLOW_START), &["slow_start_config"]),
            (Ignored(ZONES), &["locality_lb_config"]),
        ],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
        fields: &[
            (
                Acts,
                &[
                    "hash_function",
                    "minimum_ring_size",
                    "maximum_ring_size",
                    "consistent_hashing_lb_config",
                ],
            ),
            (Judged, &["use_hostname_for_hashing", "hash_balance_factor"]),
            (Ignored(ZONES), &["locality_weighted_lb_config"]),
        ],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
        fields: &[
            (Acts, &["table_size", "consistent_hashing_lb_config"]),
            (Ignored(ZONES), &["locality_weighted_lb_config"]),
        ],
    },
    Message {
        name: "envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig",
        fields: &[
            (Acts, &["use_hostname_for_hashing"]),
            (Judged, &["hash_balance_factor", "hash_policy"]),
        ],
    },
];
