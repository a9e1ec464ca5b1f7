//! Hosts that outlier detection has ejected.

use crossdock_framework::{
    outlier::{At, Config, Detector, OutlierMetric, Told},
    stats::{Registry, Shard},
};

use super::*;

/// Ejects hosts, and says how many of those that are healthy by configuration are ejected.
fn eject(hosts: &HostSet, which: &[u32]) -> u32 {
    let config = Config {
        max_ejection_percent: 100,
        ..Config::default()
    };
    let stats = Registry::new(1).group::<OutlierMetric>("cluster", "orders");
    let detector = Detector::new(config, "orders".into(), hosts, stats);
    let at = || At {
        now_ms: 0,
        random: 0,
        shard: Shard(0),
    };
    for ix in which {
        let host = hosts.get(HostIx(*ix)).expect("it is there");
        (0..5).for_each(|_| detector.note(hosts, host, Told::Answer(500), &at));
    }
    detector.missing()
}

/// How often each host is picked while `ejected` of them are.
fn counts_without(balancer: &LoadBalancer, hosts: &HostSet, ejected: u32) -> Vec<u64> {
    let mut counts = vec![0; hosts.len()];
    for number in numbers(10_000) {
        let pick = Pick {
            ejected,
            ..call(number)
        };
        let HostIx(ix) = balancer.pick(hosts, &pick).expect("there are others");
        counts[ix as usize] += 1;
    }
    counts
}

#[test]
fn an_ejected_host_gets_nothing_and_the_others_share_it() {
    for config in all() {
        let hosts = hosts(&[1; 5]);
        let balancer = LoadBalancer::build(None, &hosts, &config);
        let ejected = eject(&hosts, &[2]);
        assert_eq!(ejected, 1);
        let counts = counts_without(&balancer, &hosts, ejected);
        assert_eq!(counts[2], 0, "{config:?}");
        let others = [0, 1, 3, 4].map(|ix| counts[ix]);
        assert!(
            others.iter().all(|count| (1700..3300).contains(count)),
            "{config:?}: {counts:?}"
        );
        // Where ejections do not count, the host is one like the others.
        assert!(counts_without(&balancer, &hosts, 0)[2] > 1000, "{config:?}");
    }
}

#[test]
fn round_robin_goes_on_in_turn_without_an_ejected_host() {
    let hosts = hosts(&[1; 4]);
    let balancer = LoadBalancer::build(None, &hosts, &BalancerConfig::default());
    let ejected = eject(&hosts, &[1]);
    let counts = counts_without(&balancer, &hosts, ejected);
    assert!(
        [0, 2, 3].iter().all(|ix| counts[*ix].abs_diff(3333) <= 1),
        "{counts:?}"
    );
    let weighted = super::hosts(&[3, 1, 2]);
    let balancer = LoadBalancer::build(None, &weighted, &BalancerConfig::default());
    let ejected = eject(&weighted, &[1]);
    let counts = counts_without(&balancer, &weighted, ejected);
    assert!(counts[0].abs_diff(6000) <= 3, "{counts:?}");
}

#[test]
fn keys_of_other_hosts_stay_where_they_are() {
    for config in [ring(), maglev()] {
        let hosts = hosts(&[1; 10]);
        let balancer = LoadBalancer::build(None, &hosts, &config);
        let before: Vec<_> = numbers(2000)
            .map(|hash| balancer.pick(&hosts, &call(hash)))
            .collect();
        let ejected = eject(&hosts, &[4]);
        for (hash, before) in numbers(2000).zip(before) {
            let pick = Pick {
                ejected,
                ..call(hash)
            };
            let now = balancer.pick(&hosts, &pick);
            match before {
                Some(HostIx(4)) => assert_ne!(now, before),
                _ => assert_eq!(now, before, "{config:?}"),
            }
        }
    }
}

#[test]
fn when_too_many_are_ejected_ejections_are_ignored() {
    for config in all() {
        let hosts = hosts(&[1; 4]);
        let balancer = LoadBalancer::build(None, &hosts, &config);
        let ejected = eject(&hosts, &[0, 1]);
        let counts = counts_without(&balancer, &hosts, ejected);
        assert_eq!((counts[0], counts[1]), (0, 0), "half is not below half");
        let ejected = eject(&hosts, &[2]);
        let counts = counts_without(&balancer, &hosts, ejected);
        assert!(
            counts.iter().all(|count| *count > 1000),
            "{config:?}: {counts:?}"
        );
    }
}

#[test]
fn without_a_panic_threshold_no_ejected_host_is_taken() {
    for config in all() {
        let config = BalancerConfig {
            panic_percent: 0,
            ..config
        };
        let hosts = hosts(&[1; 3]);
        let balancer = LoadBalancer::build(None, &hosts, &config);
        let ejected = eject(&hosts, &[0, 1]);
        let pick = Pick {
            ejected,
            tried: &[HostIx(2)],
            ..call(7)
        };
        assert_eq!(balancer.pick(&hosts, &pick), Some(HostIx(2)), "{config:?}");
        hosts
            .get(HostIx(2))
            .expect("the last")
            .state
            .avoid_until(10);
        assert_eq!(balancer.pick(&hosts, &pick), Some(HostIx(2)), "{config:?}");
        let ejected = eject(&hosts, &[2]);
        let pick = Pick { ejected, ..call(7) };
        assert_eq!(balancer.pick(&hosts, &pick), None, "{config:?}");
    }
}
