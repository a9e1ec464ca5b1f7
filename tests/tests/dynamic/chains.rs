//! One filter chain of a listener changes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use crossdock_tests::fake::{Client, Host, Wire};
use serde_json::{Value, json};

use crate::none;
use crate::world::{Resources, World};

/// Connections to this address have a chain of their own.
const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A listener with a chain for connections to [`OWN`], and one for all others with this `stat_prefix`.
fn listener(prefix: &str) -> Resources {
    let made = none().listener("rpc", "r");
    let chain = made.first()["filter_chains"][0].to_string();
    let chain = |prefix: &str| -> Value {
        let text = chain.replace(
            "\"stat_prefix\":\"rpc\"",
            &format!("\"stat_prefix\":\"{prefix}\""),
        );
        serde_json::from_str(&text).expect("what was JSON before")
    };
    let mut own = chain("stays");
    own["filter_chain_match"] =
        json!({"prefix_ranges": [{"address_prefix": OWN.to_string(), "prefix_len": 32}]});
    let mut listener = made.first().clone();
    listener["address"]["socket_address"]["address"] = "0.0.0.0".into();
    listener["filter_chains"] = json!([own, chain(prefix)]);
    none().other("listener.v3.Listener", listener)
}

#[test]
fn its_old_connections_finish_and_drain_and_those_of_another_chain_stay() {
    let host = Host::start(|mut link| {
        while let Some(frame) = link.take() {
            if frame.says("slow") {
                thread::sleep(Duration::from_millis(1500));
            }
            if !link.answer(&frame) {
                return;
            }
        }
    });
    let world = World::start(&[
        ("eds", none().endpoints("a", &[&host])),
        ("rds", none().routes("r", "a")),
        ("cds", none().cluster("a")),
        ("lds", listener("goes")),
    ]);
    let port = world.gateway.address_of("rpc").port();
    let connect =
        |to: Ipv4Addr| Client::connect(SocketAddr::new(IpAddr::V4(to), port), Wire::Dubbo);
    let (mut stays, mut idle, mut busy) = (
        connect(OWN),
        connect(Ipv4Addr::LOCALHOST),
        connect(Ipv4Addr::LOCALHOST),
    );
    stays.call(1, "before");
    idle.call(1, "before");
    busy.write(&Wire::Dubbo.request(1, "<<slow>>"));
    world.until("http.goes.downstream_rq_active", 1);
    world.put("lds", &listener("new"), "2");
    world.until("listener_manager.listener_in_place_updated", 1);
    idle.closed();
    // The call in flight, and only then its connection.
    assert_eq!(busy.recv().token(), Some("slow"));
    busy.closed();
    stays.call(2, "after");
    connect(Ipv4Addr::LOCALHOST).call(1, "after");
    world.until("http.goes.downstream_cx_active", 0);
    assert_eq!(world.gateway.stat("http.stays.downstream_cx_total"), 1);
    assert_eq!(world.gateway.stat("http.new.downstream_cx_total"), 1);
    world.until("listener_manager.total_filter_chains_draining", 0);
}
