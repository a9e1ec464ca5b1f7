//! What is read of `Cluster` messages.

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster, LoadBalancingPolicy,
                cluster::{
                    CommonLbConfig, LbConfig, LbPolicy, LbSubsetConfig, LeastRequestLbConfig,
                    MaglevLbConfig, RingHashLbConfig,
                    common_lb_config::{
                        ConsistentHashingLbConfig, LocalityConfigSpecifier,
                        LocalityWeightedLbConfig,
                    },
                    lb_subset_config::LbSubsetSelector,
                },
                load_balancing_policy,
            },
            core::v3::{RuntimeDouble, TypedExtensionConfig},
            endpoint::v3::{ClusterLoadAssignment, LocalityLbEndpoints},
        },
        extensions::load_balancing_policies as typed,
        r#type::v3::Percent,
    },
    google::protobuf::{Any, UInt32Value, UInt64Value},
};
use prost::{Message, Name};

use super::*;

fn cluster(policy: LbPolicy, config: Option<LbConfig>) -> Cluster {
    Cluster {
        lb_policy: policy as i32,
        lb_config: config,
        ..Cluster::default()
    }
}

fn read(cluster: &Cluster) -> Policy {
    BalancerConfig::from_cluster(cluster).expect("valid").policy
}

/// The fields of all problems.
fn refused(cluster: &Cluster) -> Vec<String> {
    let problems = BalancerConfig::from_cluster(cluster).expect_err("refused");
    assert!(
        problems
            .iter()
            .all(|it| !it.reason.is_empty() && !it.cure.is_empty())
    );
    problems.into_iter().map(|problem| problem.path).collect()
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

fn with_typed(configs: Vec<Any>) -> Cluster {
    let policy = |any| load_balancing_policy::Policy {
        typed_extension_config: Some(TypedExtensionConfig {
            name: "any".into(),
            typed_config: Some(any),
        }),
    };
    Cluster {
        load_balancing_policy: Some(LoadBalancingPolicy {
            policies: configs.into_iter().map(policy).collect(),
        }),
        ..Cluster::default()
    }
}

#[test]
fn every_policy_has_envoys_defaults() {
    assert_eq!(
        BalancerConfig::from_cluster(&Cluster::default()),
        Ok(BalancerConfig::default())
    );
    for (policy, config) in [LbPolicy::RoundRobin, LbPolicy::Random]
        .into_iter()
        .zip(all())
    {
        assert_eq!(read(&cluster(policy, None)), config.policy);
    }
    for (policy, config) in [
        (LbPolicy::LeastRequest, least_request(2, 1.0)),
        (LbPolicy::RingHash, ring()),
        (LbPolicy::Maglev, maglev()),
    ] {
        assert_eq!(read(&cluster(policy, None)), config.policy);
    }
}

#[test]
fn options_are_read() {
    let number = |value| Some(UInt64Value { value });
    let maglev = LbConfig::MaglevLbConfig(MaglevLbConfig {
        table_size: number(5_000_011),
    });
    let mut cluster_by_name = cluster(LbPolicy::Maglev, Some(maglev));
    cluster_by_name.common_lb_config = Some(CommonLbConfig {
        healthy_panic_threshold: Some(Percent { value: 33.4 }),
        consistent_hashing_lb_config: Some(ConsistentHashingLbConfig {
            use_hostname_for_hashing: true,
            hash_balance_factor: None,
        }),
        ..CommonLbConfig::default()
    });
    assert_eq!(
        BalancerConfig::from_cluster(&cluster_by_name),
        Ok(BalancerConfig {
            policy: Policy::Maglev {
                table_size: 5_000_011,
                use_hostname: true
            },
            panic_percent: 33,
        })
    );
    let ring = LbConfig::RingHashLbConfig(RingHashLbConfig {
        minimum_ring_size: number(10),
        maximum_ring_size: number(20),
        hash_function: 1,
    });
    assert_eq!(
        read(&cluster(LbPolicy::RingHash, Some(ring))),
        Policy::RingHash {
            minimum: 10,
            maximum: 20,
            function: HashFunction::MurmurHash2,
            use_hostname: false,
        }
    );
    let least = LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
        choice_count: Some(UInt32Value { value: 5 }),
        active_request_bias: Some(RuntimeDouble {
            default_value: 0.5,
            runtime_key: String::new(),
        }),
        slow_start_config: None,
    });
    assert_eq!(
        read(&cluster(LbPolicy::LeastRequest, Some(least))),
        least_request(5, 0.5).policy
    );
}

#[test]
fn options_of_another_policy_are_ignored() {
    let ring = LbConfig::RingHashLbConfig(RingHashLbConfig::default());
    assert_eq!(
        read(&cluster(LbPolicy::Maglev, Some(ring))),
        maglev().policy
    );
}

#[test]
fn options_out_of_range_are_refused() {
    let number = |value| Some(UInt64Value { value });
    for size in [0, 1, 4, 65_536, 5_000_013, u64::MAX] {
        let config = LbConfig::MaglevLbConfig(MaglevLbConfig {
            table_size: number(size),
        });
        let paths = refused(&cluster(LbPolicy::Maglev, Some(config)));
        assert_eq!(paths, ["maglev_lb_config.table_size"], "{size}");
    }
    let config = LbConfig::RingHashLbConfig(RingHashLbConfig {
        minimum_ring_size: number(8_388_609),
        maximum_ring_size: number(0),
        hash_function: 7,
    });
    assert_eq!(
        refused(&cluster(LbPolicy::RingHash, Some(config))),
        [
            "ring_hash_lb_config.minimum_ring_size",
            "ring_hash_lb_config.maximum_ring_size",
            "ring_hash_lb_config.minimum_ring_size",
            "ring_hash_lb_config.hash_function",
        ]
    );
    let config = LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
        choice_count: Some(UInt32Value { value: 1 }),
        active_request_bias: Some(RuntimeDouble {
            default_value: -1.0,
            runtime_key: String::new(),
        }),
        slow_start_config: None,
    });
    assert_eq!(
        refused(&cluster(LbPolicy::LeastRequest, Some(config))),
        [
            "least_request_lb_config.choice_count",
            "least_request_lb_config.active_request_bias",
        ]
    );
}

#[test]
fn what_would_choose_other_hosts_is_refused() {
    for policy in [
        LbPolicy::ClusterProvided,
        LbPolicy::LoadBalancingPolicyConfig,
    ] {
        assert_eq!(refused(&cluster(policy, None)), ["lb_policy"]);
    }
    let mut cluster = cluster(LbPolicy::Maglev, None);
    cluster.lb_subset_config = Some(LbSubsetConfig::default());
    assert!(
        BalancerConfig::from_cluster(&cluster).is_ok(),
        "no selector, no subset"
    );
    let selectors = vec![LbSubsetSelector::default()];
    cluster.lb_subset_config = Some(LbSubsetConfig {
        subset_selectors: selectors,
        ..LbSubsetConfig::default()
    });
    cluster.common_lb_config = Some(CommonLbConfig {
        consistent_hashing_lb_config: Some(ConsistentHashingLbConfig {
            use_hostname_for_hashing: false,
            hash_balance_factor: Some(UInt32Value { value: 120 }),
        }),
        locality_config_specifier: Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(
            LocalityWeightedLbConfig {},
        )),
        ..CommonLbConfig::default()
    });
    cluster.load_assignment = Some(ClusterLoadAssignment {
        endpoints: vec![LocalityLbEndpoints::default(); 2],
        ..ClusterLoadAssignment::default()
    });
    assert_eq!(
        refused(&cluster),
        [
            "lb_subset_config",
            "common_lb_config.locality_weighted_lb_config",
            "common_lb_config.consistent_hashing_lb_config.hash_balance_factor",
        ]
    );
}

#[test]
fn typed_policies_mean_the_same() {
    use typed::{
        least_request::v3::LeastRequest, maglev::v3::Maglev, random::v3::Random,
        ring_hash::v3::RingHash, round_robin::v3::RoundRobin,
    };
    let least = LeastRequest {
        choice_count: Some(UInt32Value { value: 3 }),
        ..LeastRequest::default()
    };
    for (any, config) in [
        (any(&RoundRobin::default()), BalancerConfig::default()),
        (any(&Random::default()), config(Policy::Random)),
        (any(&least), least_request(3, 1.0)),
        (any(&RingHash::default()), ring()),
        (any(&Maglev::default()), maglev()),
    ] {
        assert_eq!(read(&with_typed(vec![any])), config.policy);
    }
}

#[test]
fn the_first_typed_policy_that_is_known_counts() {
    let unknown = Any {
        type_url: "type.googleapis.com/envoy.extensions.load_balancing_policies.x.v3.X".into(),
        value: Vec::new(),
    };
    let maglev_any = any(&typed::maglev::v3::Maglev::default());
    assert_eq!(
        read(&with_typed(vec![unknown.clone(), maglev_any])),
        maglev().policy
    );
    assert_eq!(
        refused(&with_typed(vec![unknown])),
        ["load_balancing_policy.policies"]
    );
    assert_eq!(
        refused(&with_typed(vec![])),
        ["load_balancing_policy.policies"]
    );
}

#[test]
fn typed_options_are_refused_at_their_place() {
    use typed::{
        common::v3::ConsistentHashingLbConfig, least_request::v3::LeastRequest, maglev::v3::Maglev,
        ring_hash::v3::RingHash,
    };
    let common = ConsistentHashingLbConfig {
        use_hostname_for_hashing: false,
        hash_balance_factor: Some(UInt32Value { value: 150 }),
        hash_policy: vec![Default::default()],
    };
    let maglev = Maglev {
        table_size: Some(UInt64Value { value: 6 }),
        consistent_hashing_lb_config: Some(common),
        ..Maglev::default()
    };
    let at = "load_balancing_policy.policies[0].typed_extension_config.typed_config";
    assert_eq!(
        refused(&with_typed(vec![any(&maglev)])),
        [
            format!("{at}.consistent_hashing_lb_config.hash_policy"),
            format!("{at}.consistent_hashing_lb_config.hash_balance_factor"),
            format!("{at}.table_size"),
        ]
    );
    let least = LeastRequest {
        selection_method: 1,
        ..LeastRequest::default()
    };
    let paths = refused(&with_typed(vec![any(&least)]));
    assert_eq!(paths, [format!("{at}.selection_method")]);
    let damaged = Any {
        value: vec![0xff],
        ..any(&RingHash::default())
    };
    assert_eq!(refused(&with_typed(vec![damaged])), [at]);
}
