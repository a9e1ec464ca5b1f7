//! How calls are shared out.

use super::*;

/// The counts of a Maglev table, slot by slot.
fn slots(weights: &[u32]) -> Vec<u64> {
    let hosts = HostSet::new(
        (27211..)
            .zip(weights)
            .map(|(port, weight)| host(([127, 0, 0, 1], port).into(), *weight))
            .collect(),
    );
    let balancer = LoadBalancer::build(None, &hosts, &maglev());
    let mut counts = vec![0; weights.len()];
    for hash in 0..65_537 {
        let HostIx(ix) = balancer.pick(&hosts, &call(hash)).expect("there are hosts");
        counts[ix as usize] += 1;
    }
    counts
}

#[test]
fn maglev_has_as_many_slots_for_each_host_as_envoy() {
    let mut equal = slots(&[1; 5]);
    equal.sort_unstable();
    assert_eq!(equal, [13_107, 13_107, 13_107, 13_108, 13_108]);
    assert_eq!(
        slots(&[1, 1, 2, 3, 3]),
        [6554, 6554, 13_108, 19_661, 19_660]
    );
}

/// Whether counts of independent draws are within four standard deviations of the weights.
fn assert_shares(counts: &[u64], weights: &[u32], what: &str) {
    let calls = counts.iter().sum::<u64>() as f64;
    let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    for (count, weight) in counts.iter().zip(weights) {
        let share = f64::from(*weight) / total;
        let sigma = (calls * share * (1.0 - share)).sqrt();
        let off = (*count as f64 - calls * share).abs();
        assert!(off <= 4.0 * sigma, "{what}: {counts:?} for {weights:?}");
    }
}

#[test]
fn draws_follow_the_weights() {
    for weights in [
        &[1, 1, 1, 1][..],
        &[1, 1, 2, 3, 3],
        &[1, 99],
        &[1_000_000, 1_000_001],
    ] {
        let hosts = hosts(weights);
        for config in [
            config(Policy::Random),
            least_request(2, 1.0),
            least_request(2, 0.0),
        ] {
            let balancer = LoadBalancer::build(None, &hosts, &config);
            let counts = counts(&balancer, &hosts, 100_000);
            assert_shares(&counts, weights, &format!("{config:?}"));
        }
    }
}

#[test]
fn round_robin_is_exact_and_shared() {
    let hosts = hosts(&[1, 2, 3]);
    let balancer = LoadBalancer::build(None, &hosts, &BalancerConfig::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1500 {
                    let ix = balancer.pick(&hosts, &call(0)).expect("there are hosts");
                    hosts.get(ix).expect("of this set").state.begin();
                }
            });
        }
    });
    let counts: Vec<_> = hosts.iter().map(|(_, host)| host.state.active()).collect();
    assert_eq!(counts, [1000, 2000, 3000]);
}

#[test]
fn hashing_shares_as_evenly_as_its_table_can() {
    let weights = [1, 1, 2, 3, 3];
    let hosts = hosts(&weights);
    for (config, slots) in [(maglev(), 65_537.0), (ring(), 1030.0)] {
        let balancer = LoadBalancer::build(None, &hosts, &config);
        let counts = counts(&balancer, &hosts, 100_000);
        for (count, weight) in counts.iter().zip(weights) {
            let ideal = f64::from(weight) * 10_000.0;
            // Four deviations of the draws and of where the slots of a host lie.
            let own = f64::from(weight) / 10.0 * slots;
            let bound = 4.0 * (1.0 / ideal + 1.0 / own).sqrt();
            let off = (*count as f64 / ideal - 1.0).abs();
            assert!(off < bound, "{config:?}: {counts:?}");
        }
    }
}

#[test]
fn a_call_without_a_hash_goes_anywhere() {
    let hosts = hosts(&[1; 4]);
    for config in [maglev(), ring()] {
        let balancer = LoadBalancer::build(None, &hosts, &config);
        assert!(balancer.hashes());
        let mut counts = [0; 4];
        for random in numbers(10_000) {
            let pick = Pick {
                hash: None,
                random,
                ..call(0)
            };
            let HostIx(ix) = balancer.pick(&hosts, &pick).expect("there are hosts");
            counts[ix as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (2000..3000).contains(count)),
            "{counts:?}"
        );
    }
}

#[test]
fn least_request_finds_the_idle_hosts() {
    let hosts = hosts(&[1; 10]);
    let busy = hosts.get(HostIx(3)).expect("the fourth");
    (0..100).for_each(|_| busy.state.begin());
    let balancer = LoadBalancer::build(None, &hosts, &least_request(2, 1.0));
    let counts = counts(&balancer, &hosts, 100_000);
    // It is chosen only when drawn twice: one call in a hundred.
    assert!((800..1200).contains(&counts[3]), "{counts:?}");
    let many = LoadBalancer::build(None, &hosts, &least_request(8, 1.0));
    assert_eq!(super::counts(&many, &hosts, 100_000)[3], 0);
}

/// Calls that each last as long as `concurrency` others.
fn under_load(weights: &[u32], config: &BalancerConfig, concurrency: usize) -> Vec<u64> {
    let hosts = hosts(weights);
    let balancer = LoadBalancer::build(None, &hosts, config);
    let mut counts = vec![0; weights.len()];
    let mut flying = std::collections::VecDeque::new();
    for number in numbers(100_000) {
        let ix = balancer
            .pick(&hosts, &call(number))
            .expect("there are hosts");
        counts[ix.0 as usize] += 1;
        hosts.get(ix).expect("of this set").state.begin();
        flying.push_back(ix);
        if flying.len() > concurrency {
            let done = flying.pop_front().expect("not empty");
            hosts.get(done).expect("of this set").state.end();
        }
    }
    counts
}

#[test]
fn least_request_keeps_to_the_weights_under_load() {
    let weights = [1, 1, 2, 3, 3];
    for concurrency in [5, 50, 500] {
        let counts = under_load(&weights, &least_request(2, 1.0), concurrency);
        for (count, weight) in counts.iter().zip(weights) {
            let ideal = f64::from(weight) * 10_000.0;
            let ratio = *count as f64 / ideal;
            assert!((0.6..1.4).contains(&ratio), "{concurrency}: {counts:?}");
        }
    }
}

#[test]
fn a_bias_moves_calls_away_from_loaded_hosts() {
    let hosts = hosts(&[1, 3]);
    let heavy = hosts.get(HostIx(1)).expect("the second");
    (0..20).for_each(|_| heavy.state.begin());
    let share = |bias| {
        let balancer = LoadBalancer::build(None, &hosts, &least_request(2, bias));
        counts(&balancer, &hosts, 10_000)[1]
    };
    // 21^0.1 is below 3, so the load does not outweigh the weight; 21^1 does.
    assert!(
        share(0.1) > 8_500 && share(1.0) < 6_500,
        "{} {}",
        share(0.1),
        share(1.0)
    );
}

#[test]
fn taking_a_host_away_moves_few_keys_of_the_others() {
    let before = hosts(&[1; 10]);
    for (config, most) in [(maglev(), 0.02), (ring(), 0.25)] {
        let full = LoadBalancer::build(None, &before, &config);
        let fewer = before
            .iter()
            .map(|(_, host)| host.clone())
            .take(9)
            .collect();
        let after = HostSet::new(fewer);
        let rest = LoadBalancer::build(Some(&full), &after, &config);
        let (mut kept, mut moved) = (0.0, 0.0);
        for hash in numbers(50_000) {
            let was = full.pick(&before, &call(hash)).expect("there are hosts");
            let is = rest.pick(&after, &call(hash)).expect("there are hosts");
            if was == HostIx(9) {
                continue;
            }
            if was == is { kept += 1.0 } else { moved += 1.0 }
        }
        assert!(
            moved / (kept + moved) < most,
            "{config:?}: {moved} of {kept}"
        );
    }
}
