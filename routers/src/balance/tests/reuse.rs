//! Tables that are not built again.

use std::sync::Arc;

use super::*;

fn reversed(set: &HostSet) -> HostSet {
    let mut hosts: Vec<_> = set.iter().map(|(_, host)| host.clone()).collect();
    hosts.reverse();
    HostSet::new(hosts)
}

#[test]
fn equal_hosts_share_the_table() {
    for config in all() {
        let first = LoadBalancer::build(None, &hosts(&[1, 2, 3]), &config);
        let again = LoadBalancer::build(Some(&first), &hosts(&[1, 2, 3]), &config);
        assert!(again.shares_table(&first), "{config:?}");
        let other = LoadBalancer::build(Some(&first), &hosts(&[1, 2, 4]), &config);
        assert!(!other.shares_table(&first), "{config:?}: a weight changed");
        let calm = BalancerConfig {
            panic_percent: 0,
            ..config
        };
        assert!(!LoadBalancer::build(Some(&first), &hosts(&[1, 2, 3]), &calm).shares_table(&first));
    }
}

#[test]
fn a_shared_maglev_table_follows_its_hosts_to_their_new_indices() {
    let set = hosts(&[1, 2, 3, 4, 5]);
    let turned = reversed(&set);
    let first = LoadBalancer::build(None, &set, &maglev());
    let second = LoadBalancer::build(Some(&first), &turned, &maglev());
    assert!(second.shares_table(&first));
    for hash in numbers(1000) {
        let address = |balancer: &Arc<LoadBalancer>, set: &HostSet| {
            let ix = balancer.pick(set, &call(hash)).expect("there are hosts");
            set.get(ix).expect("of this set").address
        };
        assert_eq!(address(&first, &set), address(&second, &turned));
    }
}

#[test]
fn an_unhealthy_host_is_another_table() {
    let set = hosts(&[1, 1, 1]);
    let first = LoadBalancer::build(None, &set, &maglev());
    let mut sick: Vec<_> = set.iter().map(|(_, host)| host.clone()).collect();
    sick[0].healthy = false;
    let sick = HostSet::new(sick);
    assert!(!LoadBalancer::build(Some(&first), &sick, &maglev()).shares_table(&first));
}

#[test]
fn a_round_robin_goes_on_where_it_was() {
    let round_robin = BalancerConfig::default();
    let (three, four) = (hosts(&[1; 3]), hosts(&[1; 4]));
    let first = LoadBalancer::build(None, &three, &round_robin);
    for _ in 0..50 {
        let HostIx(last) = first.pick(&three, &call(0)).expect("there are hosts");
        let again = LoadBalancer::build(Some(&first), &three, &round_robin);
        let next = again.pick(&three, &call(0));
        assert_eq!(next, Some(HostIx((last + 1) % 3)));
    }
    let wider = LoadBalancer::build(Some(&first), &four, &round_robin);
    let mut seen: Vec<_> = (0..4).filter_map(|_| wider.pick(&four, &call(0))).collect();
    seen.sort_unstable_by_key(|ix| ix.0);
    assert_eq!(seen, [0, 1, 2, 3].map(HostIx));
}

#[test]
fn tables_are_compact() {
    let bytes = |count: usize| {
        let set = hosts(&vec![1; count]);
        LoadBalancer::build(None, &set, &maglev()).table_bytes()
    };
    assert_eq!((bytes(1), bytes(256), bytes(257)), (1, 65_537, 2 * 65_537));
    let set = hosts(&[1; 1000]);
    for config in [
        BalancerConfig::default(),
        config(Policy::Random),
        least_request(2, 1.0),
    ] {
        assert_eq!(
            LoadBalancer::build(None, &set, &config).table_bytes(),
            0,
            "{config:?}"
        );
    }
}

#[test]
fn hosts_are_placed_by_key_name_or_address() {
    let named = |use_hostname| {
        config(Policy::Maglev {
            table_size: 65_537,
            use_hostname,
        })
    };
    let set = |change: fn(usize, &mut Host)| {
        let set = hosts(&[1; 5]);
        let mut hosts: Vec<_> = set.iter().map(|(_, host)| host.clone()).collect();
        hosts
            .iter_mut()
            .enumerate()
            .for_each(|(at, host)| change(at, host));
        HostSet::new(hosts)
    };
    let plain = LoadBalancer::build(None, &set(|_, _| ()), &named(false));
    let with_names = set(|at, host| host.hostname = Some(format!("h{at}").into()));
    assert!(LoadBalancer::build(Some(&plain), &with_names, &named(false)).shares_table(&plain));
    let by_name = LoadBalancer::build(None, &with_names, &named(true));
    let with_keys = set(|at, host| {
        host.hostname = Some("all the same".into());
        host.hash_key = Some(format!("h{at}").into());
    });
    let by_key = LoadBalancer::build(None, &with_keys, &named(false));
    for hash in numbers(1000) {
        let call = call(hash);
        assert_eq!(
            by_name.pick(&with_names, &call),
            by_key.pick(&with_keys, &call)
        );
    }
}
