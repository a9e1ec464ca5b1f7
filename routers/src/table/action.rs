//! Compiles what becomes of a call: forwarding and direct responses.

use std::time::Duration;

use crossdock_framework::route::{
    Action, Direct, Forward, HashPolicy, Target, Weighted, WeightedCluster,
};
use envoy_types::pb::{
    envoy::config::{
        core::v3::{DataSource, RoutingPriority, data_source::Specifier as Source},
        route::v3::{
            DirectResponseAction, Route as RouteMessage, RouteAction, WeightedCluster as Weights,
            route::Action as ActionMessage,
            route_action::{
                ClusterSpecifier, HashPolicy as HashMessage, HostRewriteSpecifier,
                InternalRedirectAction, hash_policy::PolicySpecifier,
            },
            route_match::PathSpecifier,
            weighted_cluster::ClusterWeight,
        },
    },
    google::protobuf::Duration as DurationMessage,
};

use super::compile::Clusters;
use crate::{
    changes::{self, Side, levels},
    problem::{Place, Problems},
};

/// How long a call may take if the route does not say, as in Envoy.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What the actions of a table share while it is compiled.
pub(super) struct Scope<'s> {
    pub(super) clusters: &'s mut Clusters,
    pub(super) body_limit: usize,
    pub(super) problems: &'s mut Problems,
}

impl Scope<'_> {
    /// The action of a route.
    pub(super) fn action(&mut self, route: &RouteMessage, place: &Place<'_>) -> Option<Action> {
        let (field, reason) = match &route.action {
            Some(ActionMessage::Route(action)) => {
                let identity = route
                    .r#match
                    .as_ref()
                    .and_then(|it| it.path_specifier.as_ref());
                let place = place.field("route");
                return self.forward(action, identity, &place).map(Action::Forward);
            }
            Some(ActionMessage::DirectResponse(direct)) => {
                let direct = self.direct(direct, &place.field("direct_response"));
                return direct.map(Action::Direct);
            }
            Some(ActionMessage::Redirect(_)) => ("redirect", "redirects are not in this version"),
            Some(ActionMessage::FilterAction(_)) => {
                ("filter_action", "actions of filters are not supported")
            }
            Some(ActionMessage::NonForwardingAction(_)) => (
                "non_forwarding_action",
                "it is for gRPC servers without a proxy",
            ),
            None => ("action", "a route without an action"),
        };
        let cure = "set route to forward calls, or direct_response to answer them";
        self.problems.add(&place.field(field), reason, cure);
        None
    }

    fn direct(&mut self, message: &DirectResponseAction, place: &Place<'_>) -> Option<Direct> {
        if message.body_format.is_some() {
            self.problems.add(
                &place.field("body_format"),
                "formatted bodies are not in this version",
                "write the text in body",
            );
        }
        let status = u16::try_from(message.status).ok();
        let status = status.filter(|status| (200..600).contains(status));
        if status.is_none() {
            self.problems.add(
                &place.field("status"),
                format!("{} is not a final HTTP status", message.status),
                "use 200 to 599",
            );
        }
        let body = match &message.body {
            Some(body) => self.body(body, &place.field("body"))?,
            None => String::new(),
        };
        Some(Direct {
            status: status?,
            body: body.into(),
        })
    }

    fn body(&mut self, source: &DataSource, place: &Place<'_>) -> Option<String> {
        let (field, body) = match &source.specifier {
            Some(Source::InlineString(text)) => ("inline_string", Some(text.clone())),
            Some(Source::InlineBytes(bytes)) => {
                ("inline_bytes", String::from_utf8(bytes.clone()).ok())
            }
            Some(Source::Filename(_)) => ("filename", None),
            Some(Source::EnvironmentVariable(_)) => ("environment_variable", None),
            None => return Some(String::new()),
        };
        let Some(body) = body else {
            self.problems.add(
                &place.field(field),
                "the body of a direct response has to be text in the configuration",
                "write it as inline_string",
            );
            return None;
        };
        if body.len() > self.body_limit {
            self.problems.add(
                &place.field(field),
                format!(
                    "{} bytes, where {} are allowed",
                    body.len(),
                    self.body_limit
                ),
                "shorten it, or raise max_direct_response_body_size_bytes of the route table",
            );
        }
        Some(body)
    }

    fn forward(
        &mut self,
        action: &RouteAction,
        path: Option<&PathSpecifier>,
        place: &Place<'_>,
    ) -> Option<Forward> {
        self.refuse_rewrites(action, path, place);
        let target = self.target(action, place);
        let timeout = match &action.timeout {
            None => Some(TIMEOUT),
            Some(message) => self.duration(message, &place.field("timeout"))?,
        };
        let priority = RoutingPriority::try_from(action.priority);
        if let Err(unknown) = &priority {
            self.problems.add(
                &place.field("priority"),
                format!("the value {unknown} is not known"),
                "use DEFAULT or HIGH",
            );
        }
        let policies = action.hash_policy.iter().enumerate();
        let hash = policies
            .filter_map(|(at, policy)| self.hash_policy(policy, &place.item("hash_policy", at)))
            .collect();
        Some(Forward {
            target: target?,
            timeout,
            hash,
            priority: match priority {
                Ok(RoutingPriority::High) => 1,
                _ => 0,
            },
        })
    }

    /// The time that `message` says; zero stands for none.
    fn duration(
        &mut self,
        message: &DurationMessage,
        place: &Place<'_>,
    ) -> Option<Option<Duration>> {
        let seconds = u64::try_from(message.seconds).ok();
        let nanos = u32::try_from(message.nanos)
            .ok()
            .filter(|nanos| *nanos < 1_000_000_000);
        let time = seconds
            .zip(nanos)
            .map(|(seconds, nanos)| Duration::new(seconds, nanos));
        if time.is_none() {
            self.problems.add(
                place,
                "a time below zero or malformed",
                "use 0s for no limit",
            );
        }
        time.map(|time| (!time.is_zero()).then_some(time))
    }

    fn target(&mut self, action: &RouteAction, place: &Place<'_>) -> Option<Target> {
        let (field, reason, cure) = match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) if !name.is_empty() => {
                return Some(Target::Single(self.clusters.slot(name)));
            }
            Some(ClusterSpecifier::ClusterHeader(name)) if !name.is_empty() => {
                return Some(Target::Header(name.to_ascii_lowercase().into()));
            }
            Some(ClusterSpecifier::WeightedClusters(weights)) => {
                return self.weighted(weights, &place.field("weighted_clusters"));
            }
            Some(ClusterSpecifier::Cluster(_)) => ("cluster", "no name", "name a cluster"),
            Some(ClusterSpecifier::ClusterHeader(_)) => {
                ("cluster_header", "no name", "name a header")
            }
            Some(ClusterSpecifier::ClusterSpecifierPlugin(_)) => (
                "cluster_specifier_plugin",
                "extensions that choose the cluster are not supported",
                "use cluster, weighted_clusters or cluster_header",
            ),
            Some(ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => (
                "inline_cluster_specifier_plugin",
                "extensions that choose the cluster are not supported",
                "use cluster, weighted_clusters or cluster_header",
            ),
            None => (
                "cluster",
                "the route does not say where calls go",
                "use cluster, weighted_clusters or cluster_header",
            ),
        };
        self.problems.add(&place.field(field), reason, cure);
        None
    }

    fn weighted(&mut self, message: &Weights, place: &Place<'_>) -> Option<Target> {
        if message.random_value_specifier.is_some() {
            self.problems.add(
                place,
                "header_name and use_hash_policy are not in this version: the draw is random",
                "remove them",
            );
        }
        let clusters = message.clusters.iter().enumerate();
        let entries: Vec<_> = clusters
            .filter_map(|(at, cluster)| self.weight(cluster, &place.item("clusters", at)))
            .collect();
        let complete = entries.len() == message.clusters.len();
        let total: u64 = entries.iter().map(|entry| u64::from(entry.weight)).sum();
        if total > u64::from(u32::MAX) {
            let reason = format!("the weights sum up to {total}");
            let cure = format!("keep the sum at {} or below", u32::MAX);
            self.problems.add(&place.field("clusters"), reason, cure);
        }
        let weighted = Weighted::new(entries);
        if weighted.is_none() && complete {
            self.problems.add(
                &place.field("clusters"),
                "no cluster has a weight above zero",
                "give one of them a weight",
            );
        }
        weighted.map(Target::Weighted)
    }

    fn weight(&mut self, message: &ClusterWeight, place: &Place<'_>) -> Option<WeightedCluster> {
        if message.host_rewrite_specifier.is_some() {
            self.refuse_host_rewrite(&place.field("host_rewrite_literal"));
        }
        let levels = levels!(message, place, self.problems);
        if !message.cluster_header.is_empty() {
            self.problems.add(
                &place.field("cluster_header"),
                "one of several clusters cannot be named by a header in this version",
                "use name, or cluster_header of the route",
            );
            return None;
        }
        if message.name.is_empty() {
            self.problems
                .add(&place.field("name"), "no name", "name a cluster");
            return None;
        }
        let Some(weight) = &message.weight else {
            self.problems
                .add(&place.field("weight"), "no weight", "set one; 0 is allowed");
            return None;
        };
        Some(WeightedCluster {
            cluster: self.clusters.slot(&message.name),
            weight: weight.value,
            request_edits: changes::template(Side::Request, &[levels.request.as_ref()]),
            response_edits: changes::template(Side::Response, &[levels.response.as_ref()]),
        })
    }

    fn hash_policy(&mut self, message: &HashMessage, place: &Place<'_>) -> Option<HashPolicy> {
        let terminal = message.terminal;
        let later = "only headers and the source IP are hashed in this version";
        let (field, reason) = match &message.policy_specifier {
            Some(PolicySpecifier::Header(header)) if header.regex_rewrite.is_some() => {
                let place = place.field("header");
                self.problems.add(
                    &place.field("regex_rewrite"),
                    "values are hashed as they are in this version",
                    "hash a header that has only the part that counts",
                );
                return None;
            }
            Some(PolicySpecifier::Header(header)) if header.header_name.is_empty() => {
                ("header", "no header is named")
            }
            Some(PolicySpecifier::Header(header)) => {
                let name = header.header_name.to_ascii_lowercase().into();
                return Some(HashPolicy::Header { name, terminal });
            }
            Some(PolicySpecifier::ConnectionProperties(properties)) if properties.source_ip => {
                return Some(HashPolicy::SourceIp { terminal });
            }
            // Envoy takes it for no policy at all.
            Some(PolicySpecifier::ConnectionProperties(_)) => return None,
            Some(PolicySpecifier::Cookie(_)) => ("cookie", later),
            Some(PolicySpecifier::QueryParameter(_)) => ("query_parameter", later),
            Some(PolicySpecifier::FilterState(_)) => ("filter_state", later),
            None => ("header", "a hash policy that hashes nothing"),
        };
        let cure = "use header, or connection_properties with source_ip: true";
        self.problems.add(&place.field(field), reason, cure);
        None
    }

    fn refuse_host_rewrite(&mut self, place: &Place<'_>) {
        self.problems.add(
            place,
            "for an RPC call it would rename the service; it is not in this version",
            "remove it; calls keep their authority",
        );
    }

    #[allow(
        deprecated,
        reason = "configurations in use still have internal_redirect_action"
    )]
    fn refuse_rewrites(
        &mut self,
        action: &RouteAction,
        path: Option<&PathSpecifier>,
        place: &Place<'_>,
    ) {
        let same = match path {
            Some(PathSpecifier::Prefix(prefix)) => *prefix == action.prefix_rewrite,
            _ => false,
        };
        for (field, used) in [
            ("prefix_rewrite", !action.prefix_rewrite.is_empty() && !same),
            ("regex_rewrite", action.regex_rewrite.is_some()),
            ("path_rewrite", !action.path_rewrite.is_empty()),
            ("path_rewrite_policy", action.path_rewrite_policy.is_some()),
        ] {
            if used {
                self.problems.add(
                    &place.field(field),
                    "for an RPC call it would rename the method; it is not in this version",
                    "remove it; calls keep their path",
                );
            }
        }
        let field = match &action.host_rewrite_specifier {
            None => None,
            Some(HostRewriteSpecifier::AutoHostRewrite(on)) if !on.value => None,
            Some(HostRewriteSpecifier::AutoHostRewrite(_)) => Some("auto_host_rewrite"),
            Some(HostRewriteSpecifier::HostRewriteLiteral(_)) => Some("host_rewrite_literal"),
            Some(HostRewriteSpecifier::HostRewriteHeader(_)) => Some("host_rewrite_header"),
            Some(HostRewriteSpecifier::HostRewritePathRegex(_)) => Some("host_rewrite_path_regex"),
            Some(HostRewriteSpecifier::HostRewrite(_)) => Some("host_rewrite"),
        };
        if let Some(field) = field {
            self.refuse_host_rewrite(&place.field(field));
        }
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
