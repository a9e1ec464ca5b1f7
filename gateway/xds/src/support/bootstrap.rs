//! The process as a whole: node, admin, runtime, and what surrounds the static resources.

use super::{
    Message, RUNTIME, STATISTICS,
    Support::{self, Acts, Harmless, Ignored, Refused},
    TLS, TRACING,
};

const XDS: &str = "xDS over the network is not in this version";
const PROCESS: &str = "concerns the inner workings of Envoy's process";
const DNS: &str = "names are resolved by the system's resolver";

/// Who a process is, told to a control plane, of which there is none yet.
const IDENTITY: &str = "is told to a control plane only";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.bootstrap.v3.Bootstrap",
        fields: &[
            (
                Acts,
                &[
                    "node",
                    "static_resources",
                    "admin",
                    "layered_runtime",
                    "cluster_manager",
                    "dynamic_resources",
                ],
            ),
            (
                Harmless(PROCESS),
                &[
                    "flags_path",
                    "watchdog",
                    "watchdogs",
                    "fatal_actions",
                    "listener_manager",
                    "deferred_stat_options",
                    "grpc_async_client_manager_config",
                    "memory_allocator_manager",
                    "inline_headers",
                    "perf_tracing_file_path",
                    "enable_dispatcher_stats",
                    "xds_delegate_extension",
                    "xds_config_tracker_extension",
                    "node_context_params",
                    "default_config_source",
                    "config_sources",
                ],
            ),
            (
                Harmless("statistics are summed up when they are read"),
                &[
                    "stats_flush_interval",
                    "stats_flush_on_admin",
                    "stats_eviction_interval",
                ],
            ),
            (Harmless(STATISTICS), &["stats_server_version_override"]),
            (Ignored(STATISTICS), &["stats_config"]),
            (
                Ignored("statistics are read from the admin port"),
                &["stats_sinks"],
            ),
            (Ignored(TRACING), &["tracing"]),
            (Ignored(XDS), &["hds_config"]),
            (
                Ignored("overload is handled by the limits that `crossdock.*` keys set"),
                &["overload_manager"],
            ),
            (
                Ignored(DNS),
                &[
                    "use_tcp_for_dns_lookups",
                    "dns_resolution_config",
                    "typed_dns_resolver_config",
                ],
            ),
            (Ignored(TLS), &["certificate_provider_instances"]),
            (
                Ignored("Envoy's own headers keep the prefix `x-envoy`"),
                &["header_prefix"],
            ),
            (
                Ignored("extensions of Envoy's process do not run here"),
                &["bootstrap_extensions"],
            ),
            (
                Ignored("sockets are those of the system"),
                &["default_socket_interface"],
            ),
            (
                Ignored("regular expressions have one engine here"),
                &["default_regex_engine"],
            ),
            (
                Ignored("the log has a format of its own"),
                &["application_log_config"],
            ),
            (
                Ignored("the system places the workers"),
                &["enable_worker_cpu_affinity"],
            ),
        ],
    },
    Message {
        name: "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
        fields: &[(Acts, &["listeners", "clusters", "secrets"])],
    },
    Message {
        name: "envoy.config.core.v3.Node",
        fields: &[
            (Acts, &["id", "cluster"]),
            (
                Harmless(IDENTITY),
                &[
                    "metadata",
                    "locality",
                    "user_agent_name",
                    "user_agent_version",
                    "user_agent_build_version",
                    "extensions",
                    "client_features",
                    "listening_addresses",
                    "dynamic_parameters",
                ],
            ),
        ],
    },
    Message {
        name: "envoy.config.bootstrap.v3.Admin",
        fields: &[
            (Acts, &["address"]),
            (
                Refused(
                    "the admin paths cannot be restricted in this version",
                    "remove it, and keep the admin address on loopback",
                ),
                &["allow_paths"],
            ),
            (
                Harmless(PROCESS),
                &["profile_path", "ignore_global_conn_limit"],
            ),
            (
                Ignored("admin requests are not logged"),
                &["access_log", "access_log_path"],
            ),
            (
                Ignored("sockets have the system's options"),
                &["socket_options"],
            ),
        ],
    },
    Message {
        name: "envoy.config.bootstrap.v3.LayeredRuntime",
        fields: &[(Acts, &["layers"])],
    },
    Message {
        name: "envoy.config.bootstrap.v3.RuntimeLayer",
        fields: &[
            (Acts, &["name", "static_layer"]),
            (
                Harmless("nothing is changed at runtime through the admin port"),
                &["admin_layer"],
            ),
            (
                Ignored("runtime values come from static layers only"),
                &["disk_layer", "rtds_layer"],
            ),
        ],
    },
    Message {
        name: "envoy.config.bootstrap.v3.ClusterManager",
        fields: &[
            (
                Harmless("clusters are created when the file is read"),
                &["enable_deferred_cluster_creation"],
            ),
            (Ignored("zones are not told apart"), &["local_cluster_name"]),
            (
                Ignored("ejections are told by the log of the process, not by a file of their own"),
                &["outlier_detection"],
            ),
            (
                Ignored("the system chooses the address of outgoing connections"),
                &["upstream_bind_config"],
            ),
            (Ignored(XDS), &["load_stats_config"]),
        ],
    },
];

/// Keys of a static layer: Crossdock's own settings are among Envoy's switches.
pub(super) fn runtime_key(key: &str) -> Support {
    let first = key.split('.').next().unwrap_or_default();
    match first {
        "crossdock" => Acts,
        "envoy" | "re2" => Harmless("a switch of Envoy's own code"),
        "overload" => Ignored("overload is handled by the limits that `crossdock.*` keys set"),
        _ => Ignored(RUNTIME),
    }
}
