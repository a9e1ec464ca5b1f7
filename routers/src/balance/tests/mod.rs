use std::cell::Cell;
use std::net::SocketAddr;

use crossdock_framework::cluster::{Balancer, Host, HostIx, HostSet, HostState, Pick};

use super::{BalancerConfig, HashFunction, LoadBalancer, Policy};

mod avoidance;
mod configs;
mod cost;
mod ejection;
mod reuse;
mod shares;
mod vectors;

thread_local! {
    /// Hosts that balancers of this thread looked at, but for walks.
    pub(super) static LOOKS: Cell<u32> = const { Cell::new(0) };
}

/// A healthy host.
fn host(address: SocketAddr, weight: u32) -> Host {
    Host {
        address,
        hostname: None,
        hash_key: None,
        weight,
        healthy: true,
        state: HostState::new(),
    }
}

/// Hosts with these weights.
fn hosts(weights: &[u32]) -> HostSet {
    let address = |at: usize| SocketAddr::from(([10, 0, (at >> 8) as u8, at as u8], 12200));
    let hosts = weights.iter().enumerate();
    HostSet::new(
        hosts
            .map(|(at, weight)| host(address(at), *weight))
            .collect(),
    )
}

fn config(policy: Policy) -> BalancerConfig {
    BalancerConfig {
        policy,
        ..BalancerConfig::default()
    }
}

fn maglev() -> BalancerConfig {
    config(Policy::Maglev {
        table_size: 65_537,
        use_hostname: false,
    })
}

fn ring() -> BalancerConfig {
    config(Policy::RingHash {
        minimum: 1024,
        maximum: 8_388_608,
        function: HashFunction::XxHash,
        use_hostname: false,
    })
}

fn least_request(choices: u32, bias: f64) -> BalancerConfig {
    config(Policy::LeastRequest { choices, bias })
}

/// Every policy.
fn all() -> [BalancerConfig; 5] {
    let random = config(Policy::Random);
    [
        BalancerConfig::default(),
        random,
        least_request(2, 1.0),
        ring(),
        maglev(),
    ]
}

/// A call with a hash, and the same number as its randomness.
fn call(hash: u64) -> Pick<'static> {
    Pick {
        ejected: 0,
        hash: Some(hash),
        random: hash,
        now_ms: 0,
        tried: &[],
    }
}

/// Numbers that look random, the same in every run.
fn numbers(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|n| super::mix(42, n))
}

/// How often each host is picked for `count` hashes.
fn counts(balancer: &LoadBalancer, hosts: &HostSet, count: u64) -> Vec<u64> {
    let mut counts = vec![0; hosts.len()];
    for number in numbers(count) {
        let HostIx(ix) = balancer
            .pick(hosts, &call(number))
            .expect("there are hosts");
        counts[ix as usize] += 1;
    }
    counts
}
