//! What a pick costs, counted in hosts looked at: it does not grow with their number. That a search on a ring is short
//! is tested beside it; the other tables are indexed.

use super::*;

#[test]
fn a_pick_looks_at_as_many_of_three_hosts_as_of_thirty_thousand() {
    for count in [3, 1000, 30_000] {
        let hosts = hosts(&vec![1; count]);
        for config in all() {
            let balancer = LoadBalancer::build(None, &hosts, &config);
            let looks = match config.policy {
                Policy::LeastRequest { choices, .. } => choices,
                _ => 1,
            };
            for number in numbers(1000) {
                LOOKS.set(0);
                assert!(balancer.pick(&hosts, &call(number)).is_some());
                assert_eq!(LOOKS.get(), looks, "{count} hosts, {config:?}");
            }
        }
    }
}

#[test]
fn with_half_of_the_hosts_closed_a_pick_looks_at_few() {
    let hosts = hosts(&[1; 10_000]);
    for (_, host) in hosts.iter().filter(|(ix, _)| ix.0 % 2 == 0) {
        host.state.avoid_until(10);
    }
    for config in all() {
        let balancer = LoadBalancer::build(None, &hosts, &config);
        let mut looks = 0;
        for number in numbers(10_000) {
            LOOKS.set(0);
            let HostIx(ix) = balancer.pick(&hosts, &call(number)).expect("an open one");
            assert_eq!(ix % 2, 1, "{config:?}");
            looks += LOOKS.get();
        }
        // Two on average, and four to find two.
        assert!(
            (20_000 - 1000..42_000).contains(&looks),
            "{config:?}: {looks}"
        );
    }
}
