//! `load_balancing_policy`: the same policies as extensions.

use envoy_types::pb::{
    envoy::{
        config::cluster::v3::LoadBalancingPolicy,
        extensions::load_balancing_policies::{
            common::v3::ConsistentHashingLbConfig,
            least_request::v3::{LeastRequest, least_request::SelectionMethod},
            maglev::v3::Maglev,
            ring_hash::v3::{RingHash, ring_hash::HashFunction as HashMessage},
        },
    },
    google::protobuf::Any,
};
use prost::Message;

use super::{HashFunction, Policy, least_request, maglev, refuse_balance_factor, ring};
use crate::problem::{Place, Problems};

const PREFIX: &str = "envoy.extensions.load_balancing_policies.";

/// The first of `policies` that is supported, as Envoy chooses.
pub(super) fn policy(
    policies: &LoadBalancingPolicy,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Policy> {
    for (at, policy) in policies.policies.iter().enumerate() {
        let place = place.item("policies", at);
        let place = place.field("typed_extension_config");
        let config = policy.typed_extension_config.as_ref();
        let Some(any) = config.and_then(|config| config.typed_config.as_ref()) else {
            continue;
        };
        let name = any.type_url.rsplit('/').next().unwrap_or_default();
        let Some(name) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let place = place.field("typed_config");
        match name {
            "round_robin.v3.RoundRobin" => return Some(Policy::RoundRobin),
            "random.v3.Random" => return Some(Policy::Random),
            "least_request.v3.LeastRequest" => return typed_least(any, &place, problems),
            "ring_hash.v3.RingHash" => return typed_ring(any, &place, problems),
            "maglev.v3.Maglev" => return typed_maglev(any, &place, problems),
            _ => continue,
        }
    }
    problems.add(
        &place.field("policies"),
        "none of the policies is supported",
        "use RoundRobin, LeastRequest, Random, RingHash or Maglev",
    );
    None
}

fn decode<M: Message + Default>(
    any: &Any,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<M> {
    let decoded = M::decode(any.value.as_slice());
    if let Err(error) = &decoded {
        let cure = "write the message that @type names";
        problems.add(place, format!("the bytes do not decode: {error}"), cure);
    }
    decoded.ok()
}

fn typed_least(any: &Any, place: &Place<'_>, problems: &mut Problems) -> Option<Policy> {
    let config: LeastRequest = decode(any, place, problems)?;
    #[allow(deprecated, reason = "configurations in use still have it")]
    let scan = config.enable_full_scan.is_some_and(|scan| scan.value);
    if scan || config.selection_method == SelectionMethod::FullScan as i32 {
        problems.add(
            &place.field("selection_method"),
            "a look at every host for every call is not supported",
            "use N_CHOICES with a choice_count of 4 or more",
        );
    }
    let choices = config.choice_count.map(|it| it.value);
    let bias = config.active_request_bias.map(|it| it.default_value);
    least_request(choices, bias, place, problems)
}

/// Whether hosts are hashed by name, and what of the common part is refused.
fn hashing(
    config: Option<&ConsistentHashingLbConfig>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> bool {
    let place = place.field("consistent_hashing_lb_config");
    if config.is_some_and(|config| !config.hash_policy.is_empty()) {
        problems.add(
            &place.field("hash_policy"),
            "hash policies are read from routes only",
            "move it to the route",
        );
    }
    let factor = config.and_then(|config| config.hash_balance_factor);
    refuse_balance_factor(factor.map(|it| it.value), &place, problems);
    config.is_some_and(|config| config.use_hostname_for_hashing)
}

#[allow(
    deprecated,
    reason = "configurations in use still have the older fields"
)]
fn typed_ring(any: &Any, place: &Place<'_>, problems: &mut Problems) -> Option<Policy> {
    let config: RingHash = decode(any, place, problems)?;
    let common = config.consistent_hashing_lb_config.as_ref();
    let mut by_name = hashing(common, place, problems);
    if common.is_none() {
        by_name = config.use_hostname_for_hashing;
        refuse_balance_factor(
            config.hash_balance_factor.map(|it| it.value),
            place,
            problems,
        );
    }
    let function = match HashMessage::try_from(config.hash_function) {
        Ok(HashMessage::DefaultHash | HashMessage::XxHash) => Some(HashFunction::XxHash),
        Ok(HashMessage::MurmurHash2) => Some(HashFunction::MurmurHash2),
        Err(_) => None,
    };
    let minimum = config.minimum_ring_size.map(|it| it.value);
    let maximum = config.maximum_ring_size.map(|it| it.value);
    ring((minimum, maximum), function, by_name, place, problems)
}

fn typed_maglev(any: &Any, place: &Place<'_>, problems: &mut Problems) -> Option<Policy> {
    let config: Maglev = decode(any, place, problems)?;
    let by_name = hashing(
        config.consistent_hashing_lb_config.as_ref(),
        place,
        problems,
    );
    maglev(
        config.table_size.map(|it| it.value),
        by_name,
        place,
        problems,
    )
}
