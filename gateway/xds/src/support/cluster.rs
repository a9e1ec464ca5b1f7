//! Clusters, their endpoints, limits and load balancing.

use super::{
    HTTP, Message, REMOVE, RETRIES, STATIC, STATISTICS,
    Support::{Acts, Harmless, Ignored, Refused},
};

const HEALTH: &str = "health checks are not in this version; `health_status` is taken as it is";
const ZONES: &str = "zones and localities are not told apart in this version";
const SUBSETS: &str = "endpoints are not chosen by metadata in this version";
const ENDPOINTS: &str = "endpoints come from `load_assignment` only";
const DNS: &str = "names are resolved by the system's resolver";
const SOCKET: &str = "sockets have the system's options";
const SLOW_START: &str = "new endpoints get their full share at once";
const ONE_PRIORITY: &str = "only endpoints of priority 0 are served in this version";
const BALANCERS: &str = "this way of balancing is not in this version";
const USE_LB_POLICY: &str = "choose one of `lb_policy`";
const NOT_READ: &str = "nothing reads this metadata in this version";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.cluster.v3.Cluster",
        fields: &[
            (
                Acts,
                &[
                    "name",
                    "type=STATIC",
                    "type=STRICT_DNS",
                    "load_assignment",
                    "connect_timeout",
                    "lb_policy",
                    "round_robin_lb_config",
                    "least_request_lb_config",
                    "ring_hash_lb_config",
                    "maglev_lb_config",
                    "common_lb_config",
                    "circuit_breakers",
                    "transport_socket",
                    "metadata",
                    "typed_extension_protocol_options",
                    "dns_lookup_family",
                    "dns_refresh_rate",
                ],
            ),
            (
                Refused(
                    "endpoints from a control plane are not in this version",
                    "use STATIC or STRICT_DNS",
                ),
                &["type=EDS"],
            ),
            (Refused(ENDPOINTS, "use STATIC or STRICT_DNS"), &["type"]),
            (
                Refused(ENDPOINTS, STATIC),
                &[
                    "eds_cluster_config",
                    "cluster_type",
                    "original_dst_lb_config",
                ],
            ),
            (
                Refused(BALANCERS, USE_LB_POLICY),
                &[
                    "lb_policy=CLUSTER_PROVIDED",
                    "lb_policy=LOAD_BALANCING_POLICY_CONFIG",
                    "load_balancing_policy",
                ],
            ),
            (Refused(SUBSETS, REMOVE), &["lb_subset_config"]),
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
                    "alt_stat_name",
                    "track_timeout_budgets",
                    "track_cluster_stats",
                    "stats_matcher",
                    "lrs_report_endpoint_metrics",
                ],
            ),
            (
                Harmless("an RPC call goes on in the protocol in which it came"),
                &["protocol_selection"],
            ),
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
                Ignored("outlier detection is not in this version"),
                &["outlier_detection"],
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
                    "max_requests_per_connection",
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
                Ignored(HTTP),
                &[
                    "http_protocol_options",
                    "http2_protocol_options",
                    "common_http_protocol_options",
                    "upstream_http_protocol_options",
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
            (Acts, &["choice_count"]),
            (
                Ignored("calls in flight count in full"),
                &["active_request_bias"],
            ),
            (Ignored(SLOW_START), &["slow_start_config"]),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.RingHashLbConfig",
        fields: &[
            (
                Acts,
                &[
                    "minimum_ring_size",
                    "maximum_ring_size",
                    "hash_function=XX_HASH",
                ],
            ),
            (
                Ignored("the ring is hashed with xxHash"),
                &["hash_function"],
            ),
        ],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.MaglevLbConfig",
        fields: &[(Acts, &["table_size"])],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        fields: &[
            (
                Acts,
                &["healthy_panic_threshold", "consistent_hashing_lb_config"],
            ),
            (
                Harmless("endpoints change only when a name resolves differently"),
                &["update_merge_window"],
            ),
            (
                Ignored(ZONES),
                &["zone_aware_lb_config", "locality_weighted_lb_config"],
            ),
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
            (Acts, &["use_hostname_for_hashing"]),
            (
                Ignored("a hash always leads to its own endpoint"),
                &["hash_balance_factor"],
            ),
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
            (
                Acts,
                &[
                    "priority=DEFAULT",
                    "max_connections",
                    "max_pending_requests",
                    "max_requests",
                ],
            ),
            (
                Ignored("all calls have the priority DEFAULT"),
                &["priority"],
            ),
            (Harmless(STATISTICS), &["track_remaining"]),
            (
                Harmless("a cluster has one pool for each endpoint and protocol"),
                &["max_connection_pools"],
            ),
            (Ignored(RETRIES), &["max_retries", "retry_budget"]),
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
            (Acts, &["lb_endpoints"]),
            (
                Refused(
                    ONE_PRIORITY,
                    "keep the endpoints of the first priority only",
                ),
                &["priority"],
            ),
            (
                Refused(ENDPOINTS, "use `lb_endpoints`"),
                &["load_balancer_endpoints", "leds_cluster_locality_config"],
            ),
            (
                Ignored(ZONES),
                &["locality", "load_balancing_weight", "proximity"],
            ),
            (Harmless(NOT_READ), &["metadata"]),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.LbEndpoint",
        fields: &[
            (
                Acts,
                &["endpoint", "health_status", "load_balancing_weight"],
            ),
            (
                Refused(ENDPOINTS, "write the endpoint where it is used"),
                &["endpoint_name"],
            ),
            (Harmless(NOT_READ), &["metadata"]),
        ],
    },
    Message {
        name: "envoy.config.endpoint.v3.Endpoint",
        fields: &[
            (Acts, &["address", "hostname"]),
            (Harmless(STATISTICS), &["observability_name"]),
            (Ignored(HEALTH), &["health_check_config"]),
            (
                Ignored("an endpoint has one address"),
                &["additional_addresses"],
            ),
        ],
    },
];
