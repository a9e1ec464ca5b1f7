//! Downstream calls are upstream calls without those sent again, and calls that were never sent: to the last one,
//! under mixed load with failures of every kind.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossdock_tests::quartet::{Answer, Caller, File, Protocol, Service, otherwise, when};
use crossdock_tests::{Gateway, UnusedPort, eventually};
use serde_json::json;

/// Callers of each protocol, and the calls that each makes.
const CALLERS: usize = 4;
const CALLS: usize = 120;

/// What calls ask for, by turns: headers `to` and `do`. Callers of the last one leave.
const KINDS: [(&str, &str); 9] = [
    ("", "answer"),
    ("teapot", "answer"),
    ("", "fail"),
    ("nowhere", "answer"),
    ("soon", "hang"),
    ("again", "fail"),
    ("refused", "answer"),
    ("again", "cut"),
    ("", "slow"),
];

#[derive(Default)]
struct Tally {
    made: AtomicU64,
    answered: AtomicU64,
    left: AtomicU64,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

fn of(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::SeqCst)
}

/// Makes calls of every kind.
fn load(gateway: SocketAddr, protocol: Protocol, seed: usize, tally: &Tally) {
    let connect = || Caller::connect(protocol, gateway);
    let mut caller = connect();
    for turn in seed..seed + CALLS {
        let (to, deed) = KINDS[turn % KINDS.len()];
        let mut headers = vec![("do", deed)];
        if !to.is_empty() {
            headers.push(("to", to));
        }
        if turn % KINDS.len() == KINDS.len() - 1 {
            add(&tally.left);
            connect().leave(&headers);
            continue;
        }
        add(&tally.made);
        match caller.call(&headers) {
            Answer::Gone => caller = connect(),
            Answer::Good | Answer::Failed(_) => add(&tally.answered),
        }
    }
}

fn gateway(services: &[Service; 4], closed: &UnusedPort) -> Gateway {
    let teapot = json!({"direct_response": {"status": 418, "body": {"inline_string": "tea"}}});
    let retry = json!({"retry_on": "5xx,unavailable,reset", "num_retries": 2});
    let routes = json!([
        when("teapot", &teapot),
        when("nowhere", &json!({"route": {"cluster": "nowhere"}})),
        when("refused", &json!({"route": {"cluster": "CLUSTER-refused"}})),
        when(
            "soon",
            &json!({"route": {"cluster": "CLUSTER", "timeout": "0.03s"}})
        ),
        when(
            "again",
            &json!({"route": {"cluster": "CLUSTER", "retry_policy": retry}})
        ),
        otherwise(),
    ]);
    let mut file = File::new(&routes).before(services, &json!({}));
    for protocol in Protocol::ALL {
        file = file.cluster(protocol, "-refused", &[closed.address()], &json!({}));
    }
    Gateway::start_text(&file.text(), &["--concurrency", "2"])
}

#[test]
fn calls_add_up_to_the_last_one() {
    let services = Protocol::ALL.map(Service::start);
    let closed = UnusedPort::take();
    let gateway = gateway(&services, &closed);
    let tally = Tally::default();
    let address = gateway.address();
    thread::scope(|scope| {
        for protocol in Protocol::ALL {
            for caller in 0..CALLERS {
                let tally = &tally;
                scope.spawn(move || load(address, protocol, caller, tally));
            }
        }
    });
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
    let http = |name: &str| gateway.stat(&format!("http.rpc.{name}"));
    let clusters: Vec<String> = Protocol::ALL
        .iter()
        .flat_map(|protocol| ["", "-refused"].map(|end| format!("{}{end}", protocol.name())))
        .collect();
    let all = |name: &str| {
        let stats = clusters
            .iter()
            .map(|cluster| format!("cluster.{cluster}.{name}"));
        stats.map(|stat| gateway.stat(&stat)).sum::<u64>()
    };
    let (made, left) = (of(&tally.made), of(&tally.left));
    let begun = http("downstream_rq_total");
    // Of a caller that leaves at once, the gateway may get the end before the call.
    assert!(
        (made..=made + left).contains(&begun),
        "{begun} of {made} and {left}"
    );
    assert_eq!(of(&tally.answered), made, "every call is answered");
    let (sent, again) = (all("upstream_rq_total"), all("upstream_rq_sent_again"));
    let unsent = http("downstream_rq_not_forwarded");
    assert_eq!(
        begun,
        sent - again + unsent,
        "{sent} sent, {again} again, {unsent} never"
    );
    // What was sent again was retried by policy, or moved before a byte of it had left.
    let retried = all("upstream_rq_retry") + all("upstream_rq_retry_unsent");
    assert!(again <= retried && again > 0, "{again} of {retried}");
    let received: u64 = services.iter().map(Service::received).sum();
    assert!(received <= sent, "{received} received of {sent}");
    let (completed, reset) = (
        http("downstream_rq_completed"),
        http("downstream_rq_rx_reset"),
    );
    assert!((completed..=completed + reset).contains(&begun));
    assert!(http("downstream_rq_local_reply") >= unsent - reset.min(unsent));
    for gauge in ["upstream_rq_active", "upstream_rq_pending_active"] {
        let settled = eventually(Duration::from_secs(10), || (all(gauge) == 0).then_some(()));
        assert!(settled.is_some(), "{gauge}: {}", all(gauge));
    }
}
