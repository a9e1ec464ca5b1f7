//! Affinity by an attachment: the hosts that Envoy 1.40 chose for the same keys.

use std::collections::BTreeMap;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Call, Client, Wire};
use serde_json::{Value, json};

use crate::file::{File, endpoint, merged, table, when};
use crate::upstream::Upstream;

/// Recorded choices: key, hash, and the port chosen by each way of balancing.
const ROWS: &str = include_str!("../../../routers/src/balance/tests/lb-envoy-1.40.json");

/// The ways of balancing, by the column of a row.
const WAYS: [(&str, usize); 4] = [
    ("maglev", 2),
    ("maglev-weighted", 3),
    ("ring", 4),
    ("ring-weighted", 5),
];

const NAMES: [&str; 5] = ["27211", "27212", "27213", "27214", "27215"];

/// Each way is a cluster of the same five hosts, which stand in the tables under the addresses that they had
/// when the rows were recorded.
fn file(rows: &Value, upstreams: &[Upstream; 5]) -> File {
    let routes: Vec<_> = WAYS
        .iter()
        .map(|(way, _)| {
            let hash = json!([{"header": {"header_name": "User"}}]);
            when(way, json!({"route": {"cluster": way, "hash_policy": hash}}))
        })
        .collect();
    let file = File::new().rpc(
        "rpc",
        json!({"route_config": table(json!(routes))}),
        json!({}),
    );
    WAYS.iter().fold(file, |file, (way, _)| {
        let endpoints: Vec<_> = NAMES
            .iter()
            .zip(upstreams)
            .map(|(port, upstream)| {
                let weight = match way.ends_with("weighted") {
                    true => rows["weights"][port].clone(),
                    false => json!(1),
                };
                let key = json!({"envoy.lb": {"hash_key": format!("127.0.0.1:{port}")}});
                let more =
                    json!({"load_balancing_weight": weight, "metadata": {"filter_metadata": key}});
                merged(endpoint(upstream.address()), more)
            })
            .collect();
        let policy = if way.starts_with("ring") {
            "RING_HASH"
        } else {
            "MAGLEV"
        };
        file.cluster_of(way, json!(endpoints), json!({"lb_policy": policy}))
    })
}

#[test]
fn keys_go_where_envoy_sends_them_also_after_a_restart() {
    let rows: Value = serde_json::from_str(ROWS).expect("JSON");
    let upstreams = NAMES.map(Upstream::named);
    let text = file(&rows, &upstreams).text();
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        // A process of its own for each protocol: a table depends on nothing that a restart forgets.
        let gateway = Gateway::start_text(&text, &["--concurrency", "2"]);
        let mut client = Client::connect(gateway.address(), wire);
        let mut wrong = Vec::new();
        for row in rows["vectors"].as_array().expect("rows") {
            let user = row[0].as_str().expect("a key");
            for (way, column) in WAYS {
                client.write(
                    &Call::new(wire, 1)
                        .with(&[("to", way), ("user", user)])
                        .octets(),
                );
                let answer = client.recv();
                let chosen = answer.token().and_then(|port| port.parse::<u16>().ok());
                if json!(chosen) != row[column] {
                    wrong.push(format!("{way} {user}: {chosen:?}, not {}", row[column]));
                }
            }
        }
        assert_eq!(wrong, Vec::<String>::new(), "{wire:?}");
    }
}

#[test]
fn calls_without_the_key_are_spread() {
    let rows: Value = serde_json::from_str(ROWS).expect("JSON");
    let upstreams = NAMES.map(Upstream::named);
    let gateway = Gateway::start_text(&file(&rows, &upstreams).text(), &[]);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    for way in ["maglev", "ring"] {
        let calls =
            (0..400).flat_map(|id| Call::new(Wire::Dubbo, id).with(&[("to", way)]).octets());
        client.write(&calls.collect::<Vec<_>>());
        let mut counts = BTreeMap::<String, u32>::new();
        for _ in 0..400 {
            *counts
                .entry(client.recv().token().unwrap_or("nobody").to_owned())
                .or_default() += 1;
        }
        assert_eq!(
            counts.keys().collect::<Vec<_>>(),
            NAMES.iter().collect::<Vec<_>>(),
            "{counts:?}"
        );
    }
}
