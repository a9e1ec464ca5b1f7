//! Extensions: what may stand in a field whose type is open.

use super::{
    MESSAGES, REMOVE,
    Support::{self, Acts, Harmless, Ignored, Judged, Refused},
    UNKNOWN,
};

/// A field that takes extensions.
pub(super) struct Slot {
    /// Full names of the messages, each followed by the field.
    pub(super) fields: &'static [&'static str],
    /// Types by what is done with them.
    pub(super) types: &'static [(Support, &'static [&'static str])],
    /// What is done with every other type.
    other: Support,
}

const UNCHECKED: &str = "calls would pass without the check that was asked for";

/// What is said of resources is said where they are read; see `discovery::parse`.
pub(super) const SLOTS: &[Slot] = &[
    Slot {
        fields: &[
            "envoy.service.discovery.v3.DiscoveryResponse.resources",
            "envoy.service.discovery.v3.Resource.resource",
        ],
        types: &[(
            Acts,
            &[
                "envoy.service.discovery.v3.Resource",
                "envoy.config.cluster.v3.Cluster",
                "envoy.config.endpoint.v3.ClusterLoadAssignment",
                "envoy.config.listener.v3.Listener",
                "envoy.config.route.v3.RouteConfiguration",
            ],
        )],
        other: Judged,
    },
    Slot {
        fields: &["envoy.config.listener.v3.Filter.typed_config"],
        types: &[
            (
                Acts,
                &[
                    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                ],
            ),
            (
                Refused(UNCHECKED, REMOVE),
                &[
                    "envoy.extensions.filters.network.rbac.v3.RBAC",
                    "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
                ],
            ),
            (
                Ignored("rate limits are not in this version"),
                &[
                    "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
                    "envoy.extensions.filters.network.ratelimit.v3.RateLimit",
                    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
                ],
            ),
            (
                Refused(
                    "Dubbo is served by the HTTP connection manager here",
                    "use it, with routes on the interface (`:authority`) and /interface/method (`:path`)",
                ),
                &["envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy"],
            ),
            (
                Refused(
                    "Dubbo and Bolt are served by the HTTP connection manager here",
                    "use it, with routes on the service (`:authority`) and /service/method (`:path`)",
                ),
                &["envoy.extensions.filters.network.generic_proxy.v3.GenericProxy"],
            ),
        ],
        other: Refused("this network filter is not in this version", REMOVE),
    },
    Slot {
        fields: &["envoy.config.listener.v3.ListenerFilter.typed_config"],
        types: &[
            (
                Acts,
                &[
                    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
                    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
                    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
                ],
            ),
            (
                Ignored("the address that a connection was first meant for is not looked up"),
                &["envoy.extensions.filters.listener.original_dst.v3.OriginalDst"],
            ),
            (
                Ignored("rate limits are not in this version"),
                &["envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit"],
            ),
        ],
        other: Refused("this listener filter is not in this version", REMOVE),
    },
    Slot {
        fields: &[
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.typed_config",
        ],
        types: &[
            (
                Acts,
                &[
                    "envoy.extensions.filters.http.router.v3.Router",
                    "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
                ],
            ),
            (
                Refused(UNCHECKED, REMOVE),
                &[
                    "envoy.extensions.filters.http.rbac.v3.RBAC",
                    "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
                    "envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
                    "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
                    "envoy.extensions.filters.http.oauth2.v3.OAuth2",
                    "envoy.extensions.filters.http.csrf.v3.CsrfPolicy",
                ],
            ),
            (
                Harmless("statistics of calls have fixed names here"),
                &["envoy.extensions.filters.http.grpc_stats.v3.FilterConfig"],
            ),
            (
                Ignored("rate limit services are not asked in this version"),
                &["envoy.extensions.filters.http.ratelimit.v3.RateLimit"],
            ),
            (
                Ignored(
                    "CORS is not in this version: no origin is allowed here, and OPTIONS goes on",
                ),
                &["envoy.extensions.filters.http.cors.v3.Cors"],
            ),
            (
                Ignored("bodies are passed on as they come"),
                &[
                    "envoy.extensions.filters.http.compressor.v3.Compressor",
                    "envoy.extensions.filters.http.decompressor.v3.Decompressor",
                    "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
                    "envoy.extensions.filters.http.buffer.v3.Buffer",
                ],
            ),
            (
                Harmless("endpoints are always spoken to by the built-in codec"),
                &["envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"],
            ),
        ],
        other: Refused(
            "this HTTP filter is not in this version",
            "remove it, or mark it `is_optional: true`",
        ),
    },
    Slot {
        fields: &[
            "envoy.config.route.v3.RouteConfiguration.typed_per_filter_config",
            "envoy.config.route.v3.VirtualHost.typed_per_filter_config",
            "envoy.config.route.v3.Route.typed_per_filter_config",
            "envoy.config.route.v3.WeightedCluster.ClusterWeight.typed_per_filter_config",
            "envoy.config.route.v3.FilterConfig.config",
        ],
        types: &[
            (Acts, &["envoy.config.route.v3.FilterConfig"]),
            // A filter may be off for a listener and on for a route.
            (
                Refused(UNCHECKED, REMOVE),
                &[
                    "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
                    "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
                    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                    "envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute",
                    "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
                    "envoy.extensions.filters.http.csrf.v3.CsrfPolicy",
                ],
            ),
        ],
        other: Ignored("this filter is not in this version"),
    },
    Slot {
        // Of several policies the first that is known is taken; the compiler asks for one.
        fields: &["envoy.config.core.v3.TypedExtensionConfig.typed_config"],
        types: &[(
            Acts,
            &[
                "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
                "envoy.extensions.load_balancing_policies.random.v3.Random",
                "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
                "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
                "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
            ],
        )],
        other: Ignored("this way of balancing is not in this version"),
    },
    Slot {
        fields: &["envoy.config.accesslog.v3.AccessLog.typed_config"],
        types: &[(
            Acts,
            &[
                "envoy.extensions.access_loggers.file.v3.FileAccessLog",
                "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
            ],
        )],
        other: Judged,
    },
    Slot {
        fields: &["envoy.config.core.v3.TransportSocket.typed_config"],
        types: &[(
            Acts,
            &[
                "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
                "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            ],
        )],
        other: Refused("this transport socket is not in this version", REMOVE),
    },
    Slot {
        fields: &["envoy.config.cluster.v3.Cluster.typed_extension_protocol_options"],
        types: &[(
            Acts,
            &["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"],
        )],
        other: Ignored("these protocol options are not in this version"),
    },
];

pub(super) fn judge(message: &str, field: &str, type_name: &str) -> Support {
    let name = format!("{message}.{field}");
    let Some(slot) = SLOTS
        .iter()
        .find(|slot| slot.fields.contains(&name.as_str()))
    else {
        return UNKNOWN;
    };
    let listed = slot
        .types
        .iter()
        .find(|(_, types)| types.contains(&type_name));
    let support = listed.map_or(slot.other, |(support, _)| *support);
    debug_assert!(
        support != Acts || MESSAGES.contains_key(type_name),
        "{type_name} has no table"
    );
    support
}
