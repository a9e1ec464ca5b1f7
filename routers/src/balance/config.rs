//! The balancing part of a `Cluster` message.

use envoy_types::pb::envoy::{
    config::cluster::v3::{
        Cluster,
        cluster::{
            CommonLbConfig, LbConfig, LbPolicy, common_lb_config::LocalityConfigSpecifier,
            ring_hash_lb_config::HashFunction as HashMessage,
        },
    },
    r#type::v3::Percent,
};

use crate::problem::{Place, Problem, Problems};

mod typed;

/// The longest Maglev table, as in Envoy.
const MAGLEV_LIMIT: u64 = 5_000_011;

/// The usual Maglev table.
const MAGLEV_SIZE: u64 = 65_537;

/// The longest ring, as in Envoy.
const RING_LIMIT: u64 = 8_388_608;

/// The shortest ring unless said otherwise.
const RING_SIZE: u64 = 1024;

/// The most hosts that least request may compare.
const CHOICES_LIMIT: u32 = 64;

/// How the hosts of a cluster are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct BalancerConfig {
    /// By what.
    pub policy: Policy,
    /// When a smaller share of the hosts than this is healthy, in per cent, health is ignored.
    pub panic_percent: u32,
}

/// By what a host is chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// In turn, by weight.
    RoundRobin,
    /// At random, by weight. (Envoy's own ignores weights.)
    Random,
    /// The least loaded of a few random ones.
    LeastRequest {
        /// How many are compared, 2 or more.
        choices: u32,
        /// How much load counts against weight; 0 leaves weights alone, 1 is usual.
        bias: f64,
    },
    /// By hash on a ring.
    RingHash {
        /// The fewest entries.
        minimum: u64,
        /// The most entries.
        maximum: u64,
        /// What places the hosts.
        function: HashFunction,
        /// Whether hosts are placed by name instead of by address.
        use_hostname: bool,
    },
    /// By hash in a Maglev table.
    Maglev {
        /// The number of slots, a prime.
        table_size: u32,
        /// Whether hosts are placed by name instead of by address.
        use_hostname: bool,
    },
}

/// The hash that places hosts on a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashFunction {
    /// xxHash64.
    XxHash,
    /// MurmurHash2, 64 bits.
    MurmurHash2,
}

impl Default for BalancerConfig {
    /// Envoy's: round robin, panic below half.
    fn default() -> Self {
        Self {
            policy: Policy::RoundRobin,
            panic_percent: 50,
        }
    }
}

impl BalancerConfig {
    /// Reads `lb_policy` with its options, or `load_balancing_policy`, and `common_lb_config`.
    ///
    /// # Errors
    /// Everything that is wrong with them, or that would choose other hosts than Envoy does.
    pub fn from_cluster(cluster: &Cluster) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let place = Place::ROOT;
        let selectors = cluster.lb_subset_config.as_ref();
        if selectors.is_some_and(|config| !config.subset_selectors.is_empty()) {
            problems.add(
                &place.field("lb_subset_config"),
                "subsets of hosts are not supported",
                "make a cluster of each subset",
            );
        }
        let common = cluster.common_lb_config.clone().unwrap_or_default();
        refuse_localities(cluster, &common, &place, &mut problems);
        let policy = match &cluster.load_balancing_policy {
            Some(policies) => {
                let place = place.field("load_balancing_policy");
                typed::policy(policies, &place, &mut problems)
            }
            None => policy(cluster, &common, &place, &mut problems),
        };
        let panic = panic_percent(common.healthy_panic_threshold.as_ref());
        problems.or(()).map(|()| Self {
            policy: policy.unwrap_or(Policy::RoundRobin),
            panic_percent: panic,
        })
    }
}

/// In whole per cent, as Envoy rounds it.
fn panic_percent(threshold: Option<&Percent>) -> u32 {
    threshold.map_or(50, |percent| percent.value.clamp(0.0, 100.0).round() as u32)
}

fn refuse_localities(
    cluster: &Cluster,
    common: &CommonLbConfig,
    place: &Place<'_>,
    problems: &mut Problems,
) {
    let weighted = matches!(
        common.locality_config_specifier,
        Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_))
    );
    let assignment = cluster.load_assignment.as_ref();
    if weighted && assignment.is_some_and(|assignment| assignment.endpoints.len() > 1) {
        problems.add(
            &place
                .field("common_lb_config")
                .field("locality_weighted_lb_config"),
            "the weights of localities are not taken into account in this version",
            "remove it, and say the share of each host as its own load_balancing_weight",
        );
    }
}

/// The policy of `lb_policy` and the options beside it.
fn policy(
    cluster: &Cluster,
    common: &CommonLbConfig,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Policy> {
    let hashing = common.consistent_hashing_lb_config.as_ref();
    let by_name = hashing.is_some_and(|config| config.use_hostname_for_hashing);
    let refuse_bound = |problems: &mut Problems| {
        let common = place.field("common_lb_config");
        let factor = hashing.and_then(|config| config.hash_balance_factor);
        let place = common.field("consistent_hashing_lb_config");
        refuse_balance_factor(factor.map(|it| it.value), &place, problems);
    };
    match LbPolicy::try_from(cluster.lb_policy) {
        Ok(LbPolicy::RoundRobin) => Some(Policy::RoundRobin),
        Ok(LbPolicy::Random) => Some(Policy::Random),
        Ok(LbPolicy::LeastRequest) => {
            let place = place.field("least_request_lb_config");
            let config = match &cluster.lb_config {
                Some(LbConfig::LeastRequestLbConfig(config)) => config.clone(),
                _ => Default::default(),
            };
            let choices = config.choice_count.map(|it| it.value);
            let bias = config.active_request_bias.map(|it| it.default_value);
            least_request(choices, bias, &place, problems)
        }
        Ok(LbPolicy::RingHash) => {
            refuse_bound(problems);
            let place = place.field("ring_hash_lb_config");
            let config = match &cluster.lb_config {
                Some(LbConfig::RingHashLbConfig(config)) => *config,
                _ => Default::default(),
            };
            let function = match HashMessage::try_from(config.hash_function) {
                Ok(HashMessage::XxHash) => Some(HashFunction::XxHash),
                Ok(HashMessage::MurmurHash2) => Some(HashFunction::MurmurHash2),
                Err(_) => None,
            };
            let minimum = config.minimum_ring_size.map(|it| it.value);
            let maximum = config.maximum_ring_size.map(|it| it.value);
            ring((minimum, maximum), function, by_name, &place, problems)
        }
        Ok(LbPolicy::Maglev) => {
            refuse_bound(problems);
            let place = place.field("maglev_lb_config");
            let size = match &cluster.lb_config {
                Some(LbConfig::MaglevLbConfig(config)) => config.table_size.map(|it| it.value),
                _ => None,
            };
            maglev(size, by_name, &place, problems)
        }
        Ok(LbPolicy::ClusterProvided | LbPolicy::LoadBalancingPolicyConfig) | Err(_) => {
            problems.add(
                &place.field("lb_policy"),
                "the policy is not supported, or not named",
                "use ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH or MAGLEV",
            );
            None
        }
    }
}

fn refuse_balance_factor(factor: Option<u32>, place: &Place<'_>, problems: &mut Problems) {
    if factor.is_some_and(|factor| factor > 0) {
        problems.add(
            &place.field("hash_balance_factor"),
            "bounded loads are not in this version",
            "remove it, or bound calls with circuit_breakers",
        );
    }
}

fn least_request(
    choices: Option<u32>,
    bias: Option<f64>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Policy> {
    let choices = choices.unwrap_or(2);
    if !(2..=CHOICES_LIMIT).contains(&choices) {
        problems.add(
            &place.field("choice_count"),
            format!("{choices} hosts cannot be compared"),
            format!("use 2 to {CHOICES_LIMIT}"),
        );
    }
    let bias = bias.unwrap_or(1.0);
    if !bias.is_finite() || bias < 0.0 {
        problems.add(
            &place.field("active_request_bias"),
            format!("{bias} would prefer loaded hosts"),
            "use 0 or more; 1 is usual",
        );
    }
    Some(Policy::LeastRequest { choices, bias })
}

fn ring(
    (minimum, maximum): (Option<u64>, Option<u64>),
    function: Option<HashFunction>,
    use_hostname: bool,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Policy> {
    let maximum_or = maximum.unwrap_or(RING_LIMIT);
    let minimum_or = minimum.unwrap_or(RING_SIZE);
    for (field, size) in [
        ("minimum_ring_size", minimum_or),
        ("maximum_ring_size", maximum_or),
    ] {
        if !(1..=RING_LIMIT).contains(&size) {
            problems.add(
                &place.field(field),
                format!("a ring of {size} entries"),
                format!("use 1 to {RING_LIMIT}"),
            );
        }
    }
    if minimum_or > maximum_or {
        problems.add(
            &place.field("minimum_ring_size"),
            format!("{minimum_or} is more than maximum_ring_size, which is {maximum_or}"),
            "make the maximum the greater of the two",
        );
    }
    if function.is_none() {
        problems.add(
            &place.field("hash_function"),
            "the hash function is not known",
            "use XX_HASH or MURMUR_HASH_2",
        );
    }
    Some(Policy::RingHash {
        minimum: minimum_or,
        maximum: maximum_or,
        function: function?,
        use_hostname,
    })
}

fn maglev(
    size: Option<u64>,
    use_hostname: bool,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Policy> {
    let size = size.unwrap_or(MAGLEV_SIZE);
    if size > MAGLEV_LIMIT || !is_prime(size) {
        problems.add(
            &place.field("table_size"),
            format!("{size} is not a prime number of at most {MAGLEV_LIMIT}"),
            format!("use {MAGLEV_SIZE}, or a prime that is 100 times the number of hosts"),
        );
        return None;
    }
    Some(Policy::Maglev {
        table_size: size as u32,
        use_hostname,
    })
}

fn is_prime(number: u64) -> bool {
    let divides = |divisor: &u64| number.is_multiple_of(*divisor);
    number >= 2
        && !(2..)
            .take_while(|divisor| divisor * divisor <= number)
            .any(|it| divides(&it))
}
