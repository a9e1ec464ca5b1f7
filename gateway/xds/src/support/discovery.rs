//! Where resources are discovered, and what comes around them.

use super::{
    Message,
    Support::{Acts, Harmless, Ignored, Refused},
};

const NETWORK: &str = "xDS over the network is not in this version";
const FILE: &str = "name a file in `path_config_source`, or write it into `static_resources`";

pub(super) const MESSAGES: &[Message] = &[
    Message {
        name: "envoy.config.bootstrap.v3.Bootstrap.DynamicResources",
        fields: &[
            (Acts, &["lds_config", "cds_config"]),
            (
                Refused(NETWORK, FILE),
                &["lds_resources_locator", "cds_resources_locator"],
            ),
            (
                Ignored("xDS over the network is not in this version, and nothing asks for it"),
                &["ads_config"],
            ),
        ],
    },
    Message {
        name: "envoy.config.core.v3.ConfigSource",
        fields: &[
            (
                Acts,
                &["path", "path_config_source", "initial_fetch_timeout"],
            ),
            (
                Refused(NETWORK, FILE),
                &["api_config_source", "ads", "self"],
            ),
            (
                Harmless("version 3 is the only one"),
                &["resource_api_version"],
            ),
            (Ignored("names have no authorities"), &["authorities"]),
        ],
    },
    Message {
        name: "envoy.config.core.v3.PathConfigSource",
        fields: &[(Acts, &["path", "watched_directory", "poll_interval"])],
    },
    Message {
        name: "envoy.config.core.v3.WatchedDirectory",
        fields: &[(Acts, &["path", "watch_modify"])],
    },
    Message {
        name: "envoy.config.cluster.v3.Cluster.EdsClusterConfig",
        fields: &[(Acts, &["eds_config", "service_name"])],
    },
    Message {
        name: "envoy.extensions.filters.network.http_connection_manager.v3.Rds",
        fields: &[(Acts, &["config_source", "route_config_name"])],
    },
    Message {
        name: "envoy.service.discovery.v3.DiscoveryResponse",
        fields: &[
            (Acts, &["version_info", "resources", "type_url"]),
            (
                Harmless("is for a control plane to be told again"),
                &["nonce", "control_plane"],
            ),
            (Harmless("every response is taken"), &["canary"]),
            (
                Ignored("errors of single resources are not looked at"),
                &["resource_errors"],
            ),
        ],
    },
    Message {
        name: "envoy.service.discovery.v3.Resource",
        fields: &[
            (Acts, &["name", "version", "resource"]),
            (
                Harmless("is for caches of resources"),
                &["cache_control", "metadata"],
            ),
            (Harmless("a resource has one name"), &["aliases"]),
            (
                Ignored("resources are told apart by name alone"),
                &["resource_name"],
            ),
            (Ignored("resources do not expire"), &["ttl"]),
        ],
    },
];
