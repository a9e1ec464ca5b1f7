//! Time limits, circuit breakers, and what metrics and access logs say of the end of calls.

use std::fs;
use std::time::Duration;

use crossdock_tests::fake::{Call, Client, Host, Wire};
use crossdock_tests::{End, Gateway, eventually};
use serde_json::json;

use crate::file::{File, everything_to, table, when};
use crate::upstream::{PATIENCE, Upstream};

const WIRES: [Wire; 2] = [Wire::Dubbo, Wire::Bolt1];

/// The status octets of a time-out and of an overload.
fn statuses(wire: Wire) -> (u16, u16) {
    match wire {
        Wire::Dubbo => (31, 20),
        _ => (7, 4),
    }
}

#[test]
fn a_call_without_an_answer_in_time_is_told_so() {
    let mute = Host::mute();
    let routes = table(json!([
        when("impatient", json!({"route": {"cluster": "mute", "timeout": "0.2s"}})),
        {"match": {"prefix": "/"}, "route": {"cluster": "mute", "timeout": "0s"}},
    ]));
    let text = File::new()
        .rpc("rpc", json!({"route_config": routes}), json!({}))
        .cluster("mute", &[mute.address()], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &[]);
    for wire in WIRES {
        let mut client = Client::connect(gateway.address(), wire);
        client.write(&Call::new(wire, 1).with(&[("to", "impatient")]).octets());
        let answer = client.recv();
        assert_eq!(
            (answer.id, answer.status),
            (1, statuses(wire).0),
            "{wire:?}"
        );
    }
    // The caller's own patience, in the frame.
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    client.write(
        &Call {
            timeout: 200,
            ..Call::new(Wire::Bolt1, 2)
        }
        .octets(),
    );
    assert_eq!(client.recv().status, 7);
    assert_eq!(gateway.stat("cluster.mute.upstream_rq_timeout"), 3);
    assert_eq!(gateway.stat("cluster.mute.upstream_rq_504"), 3);
}

#[test]
fn the_circuit_breaker_bounds_calls_in_flight() {
    for wire in WIRES {
        let upstream = Upstream::holding("v1");
        let breaker = json!({"circuit_breakers": {"thresholds": [{"max_requests": 2}]}});
        let text = File::new()
            .rpc(
                "rpc",
                json!({"route_config": everything_to("narrow")}),
                json!({}),
            )
            .cluster("narrow", &[upstream.address()], breaker)
            .text();
        let gateway = Gateway::start_text(&text, &["--concurrency", "2"]);
        let address = gateway.address();
        // Two workers, and one breaker for both.
        let mut clients = [(); 3].map(|()| Client::connect(address, wire));
        let [first, second, third] = &mut clients;
        first.write(&Call::new(wire, 1).octets());
        second.write(&Call::new(wire, 2).octets());
        upstream.await_calls(2);
        third.write(&Call::new(wire, 3).octets());
        let refused = third.recv();
        assert_eq!((refused.id, refused.status), (3, statuses(wire).1));
        assert_eq!(refused.token(), None);
        assert_eq!(
            gateway.stat("cluster.narrow.upstream_rq_active_overflow"),
            1
        );
        assert_eq!(gateway.stat("cluster.narrow.upstream_rq_active"), 2);

        upstream.release();
        assert_eq!(first.recv().token(), Some("v1"));
        assert_eq!(second.recv().token(), Some("v1"));
        third.write(&Call::new(wire, 4).octets());
        assert_eq!(third.recv().token(), Some("v1"));
    }
}

/// Calls of every kind over one connection for each protocol: 3 good ones, 2 without a route, 1 refused by a
/// rule and 1 that is never answered by its host.
fn mixed_calls(gateway: &Gateway) {
    for wire in WIRES {
        let mut client = Client::connect(gateway.address(), wire);
        let to = [
            ("to", "good"),
            ("to", "good"),
            ("to", "good"),
            ("to", "nowhere"),
            ("to", "nowhere"),
            ("to", "denied"),
            ("to", "mute"),
        ];
        for (id, header) in to.iter().enumerate() {
            client.write(&Call::new(wire, id as u64).with(&[*header]).octets());
        }
        let mut ids: Vec<_> = to.iter().map(|_| client.recv().id).collect();
        ids.sort_unstable();
        assert_eq!(
            ids,
            (0..7).collect::<Vec<_>>(),
            "exactly one answer for each"
        );
    }
}

fn mixed_routes() -> serde_json::Value {
    table(json!([
        when(
            "good",
            json!({"name": "good-route", "route": {"cluster": "good"}})
        ),
        when(
            "denied",
            json!({"name": "guard", "direct_response": {"status": 403}})
        ),
        when(
            "mute",
            json!({"name": "slow", "route": {"cluster": "mute", "timeout": "0.2s"}})
        ),
    ]))
}

#[test]
fn metrics_add_up() {
    let (good, mute) = (Upstream::named("v1"), Host::mute());
    let text = File::new()
        .rpc("rpc", json!({"route_config": mixed_routes()}), json!({}))
        .cluster("good", &[good.address()], json!({}))
        .cluster("mute", &[mute.address()], json!({}))
        .text();
    let gateway = Gateway::start_text(&text, &["--concurrency", "2"]);
    mixed_calls(&gateway);
    let stat = |name: &str| gateway.stat(name);
    let down = |name: &str| stat(&format!("http.rpc.downstream_rq_{name}"));
    let settled = || (down("active") == 0).then_some(());
    eventually(PATIENCE, settled).expect("every call has ended");
    assert_eq!((down("total"), down("completed")), (14, 14));
    assert_eq!((down("2xx"), down("4xx"), down("5xx")), (6, 6, 2));
    assert_eq!(
        (
            down("local_reply"),
            // Requests that do not come to their end in time: none, whatever hosts do.
            down("timeout"),
            stat("http.rpc.no_route")
        ),
        (8, 0, 4)
    );
    let up = |cluster: &str, name: &str| stat(&format!("cluster.{cluster}.upstream_rq_{name}"));
    assert_eq!(
        (
            up("good", "total"),
            up("good", "completed"),
            up("good", "2xx")
        ),
        (6, 6, 6)
    );
    assert_eq!(
        (
            up("mute", "total"),
            up("mute", "5xx"),
            up("mute", "timeout")
        ),
        (2, 2, 2)
    );
    // What came down went up, or was answered here; time-outs are both.
    let answered = up("good", "completed") + up("mute", "completed");
    assert_eq!(
        down("completed") + up("mute", "timeout"),
        answered + down("local_reply")
    );
    assert_eq!(stat("http.rpc.downstream_cx_total"), 2);
    assert_eq!((up("good", "active"), up("mute", "active")), (0, 0));
}

const FORMAT: &str = "%PROTOCOL% %REQ(:AUTHORITY)% %REQ(:PATH)% to=%REQ(TO)% code=%RESPONSE_CODE% \
                      flags=%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% route=%ROUTE_NAME% \
                      cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% from=%RESP(from)%\n";

#[test]
fn every_call_is_in_the_access_log_when_the_process_has_ended() {
    let (good, mute) = (Upstream::named("v1"), Host::mute());
    let log = json!([{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "FOLDER/calls.log",
            "log_format": {"text_format_source": {"inline_string": FORMAT}},
        },
    }]);
    let text = File::new()
        .rpc(
            "rpc",
            json!({"route_config": mixed_routes(), "access_log": log}),
            json!({}),
        )
        .cluster("good", &[good.address()], json!({}))
        .cluster("mute", &[mute.address()], json!({}))
        .text();
    // Nothing is written before the end but for the end.
    let never = [
        "--file-flush-interval-msec",
        "3600000",
        "--file-flush-min-size-kb",
        "1024",
    ];
    let mut gateway = Gateway::start_text(&text, &never);
    mixed_calls(&gateway);
    let file = gateway.folder().join("calls.log");
    assert_eq!(
        fs::read_to_string(&file).expect("it was opened at the start"),
        ""
    );
    assert_eq!(
        gateway.stop(PATIENCE + Duration::from_secs(5)),
        End::Code(0)
    );

    let written = fs::read_to_string(&file).expect("it was opened at the start");
    let mut lines: Vec<_> = written.lines().collect();
    lines.sort_unstable();
    let (v1, mute) = (good.address(), mute.address());
    let mut expected = Vec::new();
    for protocol in ["dubbo", "bolt"] {
        let line = |rest: String| format!("{protocol} com.acme.Echo /com.acme.Echo/echo {rest}");
        let good = line(format!(
            "to=good code=200 flags=- via_upstream route=good-route cluster=good host={v1} from=v1"
        ));
        let nowhere = line(
            "to=nowhere code=404 flags=NR route_not_found route=- cluster=- host=- from=-".into(),
        );
        expected.extend([good.clone(), good.clone(), good, nowhere.clone(), nowhere]);
        expected.push(line(
            "to=denied code=403 flags=- direct_response route=guard cluster=- host=- from=-".into(),
        ));
        expected.push(line(format!(
            "to=mute code=504 flags=UT response_timeout route=slow cluster=mute host={mute} from=-"
        )));
    }
    expected.sort_unstable();
    assert_eq!(lines, expected);
}
