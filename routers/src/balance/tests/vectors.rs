//! Envoy's own choices, recorded from Envoy 1.40.

use serde_json::Value;
use xxhash_rust::xxh64::xxh64;

use super::*;

const VECTORS: &str = include_str!("lb-envoy-1.40.json");

fn port(value: &Value) -> u16 {
    u16::try_from(value.as_u64().expect("a number")).expect("a port")
}

/// The hosts of the vectors with the given weights, in any order.
fn set(vectors: &Value, weighted: bool, reversed: bool) -> HostSet {
    let ports = vectors["hosts"].as_array().expect("hosts");
    let weight = |port: u16| match &vectors["weights"][port.to_string()] {
        weight if weighted => weight.as_u64().expect("a weight") as u32,
        _ => 1,
    };
    let mut hosts: Vec<_> = ports
        .iter()
        .map(|value| host(([127, 0, 0, 1], port(value)).into(), weight(port(value))))
        .collect();
    if reversed {
        hosts.reverse();
    }
    HostSet::new(hosts)
}

fn check(column: usize, config: &BalancerConfig, weighted: bool) {
    let vectors: Value = serde_json::from_str(VECTORS).expect("the vectors are JSON");
    for reversed in [false, true] {
        let hosts = set(&vectors, weighted, reversed);
        let balancer = LoadBalancer::build(None, &hosts, config);
        let rows = vectors["vectors"].as_array().expect("rows");
        assert_eq!(rows.len(), 50);
        for row in rows {
            let key = row[0].as_str().expect("a key");
            let hash = xxh64(key.as_bytes(), 0);
            assert_eq!(format!("{hash:016x}"), row[1].as_str().expect("a hash"));
            let ix = balancer.pick(&hosts, &call(hash)).expect("there are hosts");
            let picked = hosts.get(ix).expect("of this set").address.port();
            assert_eq!(picked, port(&row[column]), "{key}, reversed: {reversed}");
        }
    }
}

#[test]
fn maglev_chooses_as_envoy() {
    check(2, &maglev(), false);
}

#[test]
fn weighted_maglev_chooses_as_envoy() {
    check(3, &maglev(), true);
}

#[test]
fn a_ring_chooses_as_envoy() {
    check(4, &ring(), false);
}

#[test]
fn a_weighted_ring_chooses_as_envoy() {
    check(5, &ring(), true);
}
