//! Compiles clusters with weights.

use crossdock_framework::route::{Draw, Named, Target, Weighted, WeightedCluster};
use envoy_types::pb::envoy::config::route::v3::{
    WeightedCluster as Weights,
    weighted_cluster::{ClusterWeight, RandomValueSpecifier, cluster_weight::HostRewriteSpecifier},
};

use super::action::Scope;
use crate::{
    changes::{self, Side, levels},
    problem::Place,
    rewrite::{HostRewrite, Rewrite},
};

impl Scope<'_> {
    pub(super) fn weighted(&mut self, message: &Weights, place: &Place<'_>) -> Option<Target> {
        let draw = match &message.random_value_specifier {
            None => Draw::Random,
            Some(RandomValueSpecifier::HeaderName(name)) if name.is_empty() => Draw::Random,
            Some(RandomValueSpecifier::HeaderName(name)) => {
                Draw::Header(name.to_ascii_lowercase().into())
            }
            Some(RandomValueSpecifier::UseHashPolicy(on)) if on.value => Draw::Hash,
            Some(RandomValueSpecifier::UseHashPolicy(_)) => Draw::Random,
        };
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
        let weighted = Weighted::new(entries, draw);
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
        let levels = levels!(message, place, self.problems);
        let cluster = match (message.name.as_str(), message.cluster_header.as_str()) {
            ("", "") => {
                let cure = "name a cluster, or a header that names it in cluster_header";
                self.problems.add(&place.field("name"), "no name", cure);
                return None;
            }
            (name, "") => Named::Slot(self.clusters.slot(name)),
            ("", header) => Named::Header(header.to_ascii_lowercase().into()),
            (_, _) => {
                let reason = "name is set too";
                let place = place.field("cluster_header");
                self.problems.add(&place, reason, "leave only one of them");
                return None;
            }
        };
        let Some(weight) = &message.weight else {
            self.problems
                .add(&place.field("weight"), "no weight", "set one; 0 is allowed");
            return None;
        };
        let host = message.host_rewrite_specifier.as_ref();
        let host = host.map(|HostRewriteSpecifier::HostRewriteLiteral(host)| host);
        let host = host.filter(|host| !host.is_empty());
        let rewrite = Rewrite {
            host: host.map(|host| HostRewrite::OfCluster(host.as_str().into())),
            ..Rewrite::default()
        };
        Some(WeightedCluster {
            cluster,
            weight: weight.value,
            request_edits: changes::rewriting(Side::Request, &[levels.request.as_ref()], rewrite),
            response_edits: changes::template(Side::Response, &[levels.response.as_ref()]),
        })
    }
}
