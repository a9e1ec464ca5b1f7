//! Circuit breakers of both priorities, exact over two workers.

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::{Deadline, Gateway};
use serde_json::json;

use crate::file::{File, table, when};
use crate::upstream::{PATIENCE, Upstream};

const CLIENTS: u64 = 8;
/// Calls of each client and priority.
const EACH: u64 = 4;

#[test]
fn each_priority_has_as_many_calls_as_it_may_whichever_worker_takes_them() {
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        let upstream = Upstream::holding("v1");
        let thresholds = json!([
            {"max_requests": 5},
            {"priority": "HIGH", "max_requests": 3, "track_remaining": true},
        ]);
        let breaker = json!({"circuit_breakers": {"thresholds": thresholds}});
        let routes = table(json!([
            when("high", json!({"route": {"cluster": "narrow", "timeout": "0s", "priority": "HIGH"}})),
            {"match": {"prefix": "/"}, "route": {"cluster": "narrow", "timeout": "0s"}},
        ]));
        let text = File::new()
            .rpc("rpc", json!({"route_config": routes}), json!({}))
            .cluster("narrow", &[upstream.address()], breaker)
            .text();
        let gateway = Gateway::start_text(&text, &["--concurrency", "2"]);
        let address = gateway.address();
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|_| Client::connect(address, wire))
            .collect();
        for id in 0..EACH {
            for client in &mut clients {
                client.write(&Call::new(wire, id).octets());
                let high = Call::new(wire, EACH + id);
                client.write(&high.with(&[("to", "high")]).octets());
            }
        }
        gateway.until("cluster.narrow.upstream_rq_active", |active| active == 8);
        let refused = 2 * CLIENTS * EACH - 8;
        let overflow = "cluster.narrow.upstream_rq_active_overflow";
        gateway.until(overflow, |count| count == refused);
        let gauge = |name: &str| gateway.stat(&format!("cluster.narrow.circuit_breakers.{name}"));
        for name in ["default", "high"] {
            assert_eq!(gauge(&format!("{name}.rq_open")), 1, "{wire:?}: {name}");
            assert_eq!(
                gauge(&format!("{name}.remaining_rq")),
                0,
                "{wire:?}: {name}"
            );
        }
        assert_eq!(gateway.stat("cluster.narrow.upstream_rq_active"), 8);

        upstream.release();
        let deadline = Deadline::after(PATIENCE);
        let (mut good, mut bad) = (0, 0);
        for client in &mut clients {
            for _ in 0..2 * EACH {
                match client
                    .next(deadline.left())
                    .expect("an answer")
                    .expect("an answer")
                    .token()
                {
                    Some("v1") => good += 1,
                    _ => bad += 1,
                }
            }
        }
        assert_eq!((good, bad), (8, refused), "{wire:?}");
        assert_eq!(upstream.calls().len(), 8, "{wire:?}: five and three");
        gateway.until("cluster.narrow.upstream_rq_active", |active| active == 0);
        assert_eq!([gauge("default.rq_open"), gauge("high.rq_open")], [0, 0]);
        assert_eq!(
            [gauge("default.remaining_rq"), gauge("high.remaining_rq")],
            [5, 3]
        );
    }
}
