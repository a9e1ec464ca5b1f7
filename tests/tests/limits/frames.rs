//! Limits of one frame.

use std::thread;
use std::time::Duration;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Client, Host, Wire};
use serde_json::json;

use crate::{ANSWER_TOO_LARGE, TOO_LARGE, refused, text_of};

#[test]
fn frame_bytes() {
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("frame_bytes", json!(100_000))]);
    for wire in Wire::ALL {
        let mut client = Client::connect(gateway.address(), wire);
        client.call(1, "before");
        client.write(&wire.request(2, &text_of(100_000)));
        refused(&client.recv(), 2, "crossdock.frame_bytes", TOO_LARGE);
        client.write(&wire.oneway(3, &text_of(100_000)));
        client.write(&wire.request(4, &text_of(90_000)));
        let answer = client.recv();
        assert_eq!(
            (answer.id, answer.token()),
            (4, Some("large")),
            "within the limit"
        );
        client.call(5, "after");
    }
    assert_eq!(gateway.stat("http.rpc.downstream_rq_too_large"), 8);
    assert_eq!(gateway.stat("http.rpc.downstream_cx_protocol_error"), 0);
}

#[test]
fn answers_over_frame_bytes() {
    let large = "x".repeat(100_000);
    let host = Host::start(move |mut link| {
        while let Some(frame) = link.take() {
            let answer = match frame.says("<<large") {
                true => frame.wire.response(frame.id, &large),
                false => frame.echo(),
            };
            link.send(&answer);
        }
    });
    let gateway = Gateway::before(&[&host], &[("frame_bytes", json!(50_000))]);
    for wire in Wire::ALL {
        let mut client = Client::connect(gateway.address(), wire);
        client.write(&wire.request(1, "<<large>>"));
        refused(&client.recv(), 1, "crossdock.frame_bytes", ANSWER_TOO_LARGE);
        client.call(2, "after");
    }
    assert!(host.accepted() <= 4, "no connection broke");
}

#[test]
fn frame_timeout_ms() {
    let host = Host::echo();
    let gateway = Gateway::before(&[&host], &[("frame_timeout_ms", json!(400))]);
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        let mut fast = Client::connect(gateway.address(), wire);
        let mut slow = Client::connect(gateway.address(), wire);
        slow.call(1, "known");
        let before = gateway.stat("http.rpc.downstream_cx_frame_timeout");
        let mut octets = wire.request(2, &text_of(1000)).into_iter();
        // One octet at a time never makes a frame.
        while slow.offer(&[octets.next().expect("closed long before the end")]) {
            thread::sleep(Duration::from_millis(20));
        }
        fast.call(1, "others go on");
        assert_eq!(
            gateway.stat("http.rpc.downstream_cx_frame_timeout"),
            before + 1
        );
    }
}
