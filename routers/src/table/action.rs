//! Compiles what becomes of a call: forwarding, redirects and direct responses.

use crossdock_framework::route::{Action, AttemptCount, Forward, Target, Upgrade};
use envoy_types::pb::envoy::config::{
    core::v3::RoutingPriority,
    route::v3::{
        Route as RouteMessage, RouteAction, VirtualHost as HostMessage,
        route::Action as ActionMessage,
        route_action::{
            ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier,
            InternalRedirectAction,
        },
    },
};

use super::{
    compile::Clusters,
    direct,
    retry::{self, Retry},
    times,
};
use crate::{
    hash,
    problem::{Place, Problems},
    redirect,
    rewrite::{self, Rewrite},
    rules::path::PathRule,
};

/// How many bytes of a request body are kept, by the newer field or else the older one.
macro_rules! kept_body {
    ($message:expr) => {{
        #[allow(
            deprecated,
            reason = "configurations in use still have per_request_buffer_limit_bytes"
        )]
        let older = $message.per_request_buffer_limit_bytes.as_ref();
        let newer = $message.request_body_buffer_limit.as_ref();
        newer
            .map(|limit| limit.value)
            .or(older.map(|limit| limit.value.into()))
    }};
}

/// What the actions of a table share while it is compiled.
pub(super) struct Scope<'s> {
    pub(super) clusters: &'s mut Clusters,
    pub(super) body_limit: usize,
    /// Whether hosts are told nothing of what was there before a rewrite.
    pub(super) quiet: bool,
    pub(super) problems: &'s mut Problems,
    /// What the virtual host says of retries.
    pub(super) host: &'s Again,
}

/// What a virtual host says of retries.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// For its routes that say nothing themselves.
    pub(super) retry: Option<Retry>,
    pub(super) attempt_count: AttemptCount,
    pub(super) kept_body: Option<u64>,
}

impl Again {
    /// What the message of a virtual host says.
    pub(super) fn of(message: &HostMessage, place: &Place<'_>, problems: &mut Problems) -> Self {
        let policy = message.retry_policy.as_ref();
        Self {
            retry: policy
                .map(|policy| retry::retry(policy, &place.field("retry_policy"), problems)),
            attempt_count: AttemptCount {
                request: message.include_request_attempt_count,
                response: message.include_attempt_count_in_response,
            },
            kept_body: kept_body!(message),
        }
    }
}

/// The most bytes of a request body that are kept, whatever the configuration says: as many as an
/// Envoy with its default `per_connection_buffer_limit_bytes` keeps.
const MOST_KEPT: u64 = 1024 * 1024;

impl Scope<'_> {
    /// The action of a route whose path rule is `rule`, and what it rewrites.
    pub(super) fn action(
        &mut self,
        route: &RouteMessage,
        rule: Option<&PathRule>,
        place: &Place<'_>,
    ) -> Option<(Action, Rewrite)> {
        let (field, reason) = match &route.action {
            Some(ActionMessage::Route(action)) => {
                let place = place.field("route");
                let rewrite = self.rewrite(action, rule, &place);
                let mut forward = self.forward(action, &place)?;
                if let Some(limit) = kept_body!(route).or(self.host.kept_body) {
                    forward.kept_body = limit.min(MOST_KEPT) as usize;
                }
                return Some((Action::Forward(forward), rewrite));
            }
            Some(ActionMessage::DirectResponse(message)) => {
                let place = place.field("direct_response");
                let direct = direct::compile(message, self.body_limit, &place, self.problems)?;
                return Some((Action::Direct(direct), Rewrite::default()));
            }
            Some(ActionMessage::Redirect(message)) => {
                let place = place.field("redirect");
                let redirect = redirect::compile(message, rule, &place, self.problems)?;
                return Some((Action::Redirect(redirect), Rewrite::default()));
            }
            Some(ActionMessage::FilterAction(_)) => {
                ("filter_action", "actions of filters are not supported")
            }
            Some(ActionMessage::NonForwardingAction(_)) => (
                "non_forwarding_action",
                "it is for gRPC servers without a proxy",
            ),
            None => ("action", "a route without an action"),
        };
        let cure = "set route to forward calls, or direct_response or redirect to answer them";
        self.problems.add(&place.field(field), reason, cure);
        None
    }

    fn rewrite(
        &mut self,
        action: &RouteAction,
        rule: Option<&PathRule>,
        place: &Place<'_>,
    ) -> Rewrite {
        Rewrite {
            host: rewrite::host(action, place, self.problems),
            forward_host: action.append_x_forwarded_host,
            path: rewrite::path_rewrite(action, rule, place, self.problems),
            quiet: self.quiet,
        }
    }

    fn forward(&mut self, action: &RouteAction, place: &Place<'_>) -> Option<Forward> {
        self.refuse_internal_redirects(action, place);
        let target = self.target(action, place);
        let own = action.retry_policy.as_ref();
        let own =
            own.map(|policy| retry::retry(policy, &place.field("retry_policy"), self.problems));
        let retry = own.or_else(|| self.host.retry.clone());
        let per_try = retry.as_ref().and_then(|retry| retry.per_try);
        let times = times::times(action, per_try, place, self.problems);
        let policies = action.hash_policy.iter().enumerate();
        let hash = policies
            .filter_map(|(at, policy)| {
                hash::policy(policy, &place.item("hash_policy", at), self.problems)
            })
            .collect();
        let auto = matches!(
            &action.host_rewrite_specifier,
            Some(HostRewriteSpecifier::AutoHostRewrite(on)) if on.value
        );
        Some(Forward {
            times: times?,
            retry: retry.map(|retry| retry.policy),
            attempt_count: self.host.attempt_count,
            hash,
            priority: self.priority(action, place),
            no_cluster: self.no_cluster(action, place),
            auto_host_rewrite: auto,
            append_x_forwarded_host: action.append_x_forwarded_host,
            upgrades: self.upgrades(action, place),
            ..Forward::to(target?)
        })
    }

    fn priority(&mut self, action: &RouteAction, place: &Place<'_>) -> u8 {
        match RoutingPriority::try_from(action.priority) {
            Ok(RoutingPriority::Default) => 0,
            Ok(RoutingPriority::High) => 1,
            Err(unknown) => {
                let reason = format!("the value {unknown} is not known");
                let place = place.field("priority");
                self.problems.add(&place, reason, "use DEFAULT or HIGH");
                0
            }
        }
    }

    fn no_cluster(&mut self, action: &RouteAction, place: &Place<'_>) -> u16 {
        use ClusterNotFoundResponseCode as Code;
        match Code::try_from(action.cluster_not_found_response_code) {
            Ok(Code::ServiceUnavailable) => 503,
            Ok(Code::NotFound) => 404,
            Ok(Code::InternalServerError) => 500,
            Err(unknown) => {
                self.problems.add(
                    &place.field("cluster_not_found_response_code"),
                    format!("the value {unknown} is not known"),
                    "use SERVICE_UNAVAILABLE, NOT_FOUND or INTERNAL_SERVER_ERROR",
                );
                503
            }
        }
    }

    fn upgrades(&mut self, action: &RouteAction, place: &Place<'_>) -> Box<[Upgrade]> {
        let mut upgrades: Vec<Upgrade> = Vec::new();
        for (at, config) in action.upgrade_configs.iter().enumerate() {
            let place = place.item("upgrade_configs", at);
            let kind = config.upgrade_type.as_str();
            let twice = upgrades
                .iter()
                .any(|upgrade| upgrade.kind.eq_ignore_ascii_case(kind));
            if twice || kind.is_empty() {
                let reason = match twice {
                    true => format!("`{kind}` stands there already"),
                    false => "no type".to_owned(),
                };
                let cure = "name each type once, such as websocket or CONNECT";
                self.problems
                    .add(&place.field("upgrade_type"), reason, cure);
            }
            if config.connect_config.is_some() {
                self.problems.add(
                    &place.field("connect_config"),
                    "CONNECT is passed on to the host, not ended here",
                    "remove it, and forward to a host that understands CONNECT",
                );
            }
            upgrades.push(Upgrade {
                kind: kind.into(),
                allowed: config.enabled.as_ref().is_none_or(|on| on.value),
            });
        }
        upgrades.into()
    }

    fn target(&mut self, action: &RouteAction, place: &Place<'_>) -> Option<Target> {
        let plugin = (
            "extensions that choose the cluster are not supported",
            "use cluster, weighted_clusters or cluster_header",
        );
        let (field, (reason, cure)) = match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) if !name.is_empty() => {
                return Some(Target::Single(self.clusters.slot(name)));
            }
            Some(ClusterSpecifier::ClusterHeader(name)) if !name.is_empty() => {
                return Some(Target::Header(name.to_ascii_lowercase().into()));
            }
            Some(ClusterSpecifier::WeightedClusters(weights)) => {
                return self.weighted(weights, &place.field("weighted_clusters"));
            }
            Some(ClusterSpecifier::Cluster(_)) => ("cluster", ("no name", "name a cluster")),
            Some(ClusterSpecifier::ClusterHeader(_)) => {
                ("cluster_header", ("no name", "name a header"))
            }
            Some(ClusterSpecifier::ClusterSpecifierPlugin(_)) => {
                ("cluster_specifier_plugin", plugin)
            }
            Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => {
                ("inline_cluster_specifier_plugin", plugin)
            }
            None => (
                "cluster",
                ("the route does not say where calls go", plugin.1),
            ),
        };
        self.problems.add(&place.field(field), reason, cure);
        None
    }

    #[allow(
        deprecated,
        reason = "configurations in use still have internal_redirect_action"
    )]
    fn refuse_internal_redirects(&mut self, action: &RouteAction, place: &Place<'_>) {
        let old = InternalRedirectAction::HandleInternalRedirect as i32;
        for (field, used) in [
            (
                "internal_redirect_policy",
                action.internal_redirect_policy.is_some(),
            ),
            (
                "internal_redirect_action",
                action.internal_redirect_action == old,
            ),
        ] {
            if used {
                self.problems.add(
                    &place.field(field),
                    "redirects of upstreams are handed to the caller in this version",
                    "remove it",
                );
            }
        }
    }
}
