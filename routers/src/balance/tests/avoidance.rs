//! Hosts that are unhealthy, avoided or tried already.

use super::*;

/// Hosts of which those in `down` are unhealthy by configuration.
fn with_down(count: usize, down: &[usize]) -> HostSet {
    let set = hosts(&vec![1; count]);
    let hosts = set.iter().map(|(ix, host)| Host {
        healthy: !down.contains(&(ix.0 as usize)),
        ..host.clone()
    });
    HostSet::new(hosts.collect())
}

#[test]
fn nothing_comes_of_nothing() {
    let none = HostSet::default();
    for config in all() {
        let balancer = LoadBalancer::build(None, &none, &config);
        assert_eq!(balancer.pick(&none, &call(1)), None, "{config:?}");
    }
}

#[test]
fn a_single_host_is_always_chosen() {
    let one = hosts(&[3]);
    for config in all() {
        let balancer = LoadBalancer::build(None, &one, &config);
        for hash in numbers(100) {
            assert_eq!(
                balancer.pick(&one, &call(hash)),
                Some(HostIx(0)),
                "{config:?}"
            );
        }
        one.get(HostIx(0)).expect("the only").state.avoid_until(10);
        assert_eq!(
            balancer.pick(&one, &call(1)),
            Some(HostIx(0)),
            "there is no other"
        );
    }
}

#[test]
fn unhealthy_hosts_are_left_out() {
    let hosts = with_down(5, &[1, 3]);
    for config in all() {
        let balancer = LoadBalancer::build(None, &hosts, &config);
        let counts = counts(&balancer, &hosts, 5000);
        assert_eq!((counts[1], counts[3]), (0, 0), "{config:?}");
        assert!(
            [0, 2, 4].iter().all(|ix| counts[*ix] > 1000),
            "{config:?}: {counts:?}"
        );
    }
}

#[test]
fn below_the_panic_threshold_health_is_ignored() {
    let half = with_down(4, &[1, 3]);
    let fewer = with_down(5, &[1, 2, 3]);
    for config in all() {
        let balancer = LoadBalancer::build(None, &half, &config);
        assert_eq!(
            counts(&balancer, &half, 2000)[1],
            0,
            "half is not below half"
        );
        let balancer = LoadBalancer::build(None, &fewer, &config);
        assert!(
            counts(&balancer, &fewer, 2000)
                .iter()
                .all(|count| *count > 200)
        );
        let calm = BalancerConfig {
            panic_percent: 0,
            ..config
        };
        let balancer = LoadBalancer::build(None, &fewer, &calm);
        assert_eq!(counts(&balancer, &fewer, 2000)[1], 0);
        let none = with_down(2, &[0, 1]);
        let balancer = LoadBalancer::build(None, &none, &calm);
        assert_eq!(balancer.pick(&none, &call(1)), None, "no panic, no host");
    }
}

#[test]
fn avoided_and_tried_hosts_are_stepped_around() {
    let hosts = hosts(&[1; 6]);
    hosts
        .get(HostIx(0))
        .expect("the first")
        .state
        .avoid_until(100);
    for config in all() {
        let balancer = LoadBalancer::build(None, &hosts, &config);
        for number in numbers(5000) {
            let pick = Pick {
                now_ms: 99,
                tried: &[HostIx(1), HostIx(2)],
                ..call(number)
            };
            let HostIx(ix) = balancer.pick(&hosts, &pick).expect("there are others");
            assert!(ix > 2, "{config:?} chose {ix}");
        }
        let late = numbers(5000).filter(|number| {
            let pick = Pick {
                now_ms: 100,
                ..call(*number)
            };
            balancer.pick(&hosts, &pick) == Some(HostIx(0))
        });
        assert!(
            late.count() > 500,
            "{config:?}: the time of avoidance is over"
        );
    }
}

#[test]
fn when_all_are_closed_an_untried_one_is_taken() {
    let hosts = hosts(&[1; 3]);
    hosts
        .iter()
        .for_each(|(_, host)| host.state.avoid_until(10));
    for config in all() {
        let balancer = LoadBalancer::build(None, &hosts, &config);
        for number in numbers(200) {
            let two = Pick {
                tried: &[HostIx(0), HostIx(2)],
                ..call(number)
            };
            assert_eq!(balancer.pick(&hosts, &two), Some(HostIx(1)), "{config:?}");
            let three = Pick {
                tried: &[HostIx(0), HostIx(1), HostIx(2)],
                ..call(number)
            };
            assert!(balancer.pick(&hosts, &three).is_some(), "{config:?}");
        }
    }
}

#[test]
fn the_last_open_host_is_found_among_many() {
    let hosts = hosts(&[1; 500]);
    let others = hosts.iter().filter(|(ix, _)| ix.0 != 123);
    others.for_each(|(_, host)| host.state.avoid_until(10));
    for config in all() {
        let balancer = LoadBalancer::build(None, &hosts, &config);
        for number in numbers(50) {
            let picked = balancer.pick(&hosts, &call(number));
            assert_eq!(picked, Some(HostIx(123)), "{config:?}");
        }
    }
}

#[test]
fn the_keys_of_a_closed_maglev_host_spread_over_all_others_and_stay_there() {
    let hosts = hosts(&[1; 20]);
    let balancer = LoadBalancer::build(None, &hosts, &maglev());
    let keys: Vec<_> = numbers(400_000)
        .filter(|hash| balancer.pick(&hosts, &call(*hash)) == Some(HostIx(7)))
        .collect();
    hosts
        .get(HostIx(7))
        .expect("the eighth")
        .state
        .avoid_until(10);
    let mut counts = [0_u32; 20];
    for key in &keys {
        let first = balancer.pick(&hosts, &call(*key)).expect("others");
        let pick = Pick {
            random: 99,
            ..call(*key)
        };
        assert_eq!(
            balancer.pick(&hosts, &pick),
            Some(first),
            "a key has one second host"
        );
        counts[first.0 as usize] += 1;
    }
    assert_eq!(counts[7], 0);
    let average = keys.len() as f64 / 19.0;
    let most = counts.iter().max().expect("twenty");
    assert!(f64::from(*most) / average < 1.2, "{counts:?}");
}

#[test]
fn the_calls_of_a_closed_host_do_not_go_to_its_neighbour() {
    let hosts = hosts(&[1; 20]);
    hosts
        .get(HostIx(7))
        .expect("the eighth")
        .state
        .avoid_until(10);
    for config in [BalancerConfig::default(), config(Policy::Random)] {
        let balancer = LoadBalancer::build(None, &hosts, &config);
        let counts = counts(&balancer, &hosts, 40_000);
        assert!(counts[8] < 2400, "{config:?}: {counts:?}");
    }
}

#[test]
fn a_balancer_asked_about_other_hosts_does_not_panic() {
    let (many, few) = (hosts(&[1, 2, 3, 4]), hosts(&[1]));
    for config in all() {
        let balancer = LoadBalancer::build(None, &many, &config);
        for number in numbers(100) {
            assert!(balancer.pick(&few, &call(number)).is_some());
        }
    }
}
