//! Filter chains: who is served by which, with and without TLS, and TLS that is passed on.

use std::io::{Read, Write};
use std::net::TcpStream;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Client, Host as PlainHost, Wire};
use serde_json::json;

use crate::authority::Authority;
use crate::file::{File, chain, inspector, matching, rpc, shows, tcp};
use crate::peer::{Caller, Host, PATIENCE};
use crate::{listener_settles, settles};

#[test]
fn tls_is_passed_on_or_terminated_by_the_name_that_is_asked_for() {
    let authority = Authority::new("root");
    let [ours, theirs, other] =
        ["ours.example", "theirs.example", "other.example"].map(|name| authority.issue(&[name]));
    let (echo, host, fallback) = (PlainHost::echo(), Host::start(&theirs), Host::start(&other));
    let chains = json!([
        matching(
            chain(rpc(json!({})), shows(&ours)),
            json!({"server_names": ["ours.example"], "transport_protocol": "tls"}),
        ),
        matching(
            json!({"filters": [tcp("passed")]}),
            json!({"server_names": ["*.theirs.example", "theirs.example"]}),
        ),
        matching(
            json!({"filters": [tcp("rest")]}),
            json!({"transport_protocol": "tls"})
        ),
    ]);
    let file = File::chains(chains, &[echo.address()])
        .cluster("passed", &[host.address])
        .cluster("rest", &[fallback.address]);
    // With the inspector, and without it, where it is added.
    for file in [
        file.clone().with("listener_filters", json!([inspector()])),
        file,
    ] {
        let gateway = Gateway::start_text(&file.text(), &[]);
        for (name, shown) in [
            ("ours.example", &ours),
            ("theirs.example", &theirs),
            ("a.theirs.example", &theirs),
            ("stranger.example", &other),
            ("127.0.0.1", &other),
        ] {
            let client = Caller::new(name).call(gateway.address(), Wire::Dubbo);
            assert_eq!(client.shown(), shown.der, "{name}");
        }
        // Plain text fits none of them.
        let mut plain = Client::connect(gateway.address(), Wire::Dubbo);
        plain.write(&Wire::Dubbo.request(1, "<<x>>"));
        plain.closed();
        listener_settles(&gateway, "no_filter_chain_match", 1);
        settles(&gateway, "handshake", 1);
        assert_eq!(gateway.stat("tcp.passed.downstream_cx_total"), 2);
    }
}

#[test]
fn plain_text_and_tls_share_a_port() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = PlainHost::echo();
    let chains = json!([
        matching(
            chain(rpc(json!({})), shows(&server)),
            json!({"transport_protocol": "tls"})
        ),
        matching(
            json!({"filters": [rpc(json!({"stat_prefix": "plain"}))]}),
            json!({"transport_protocol": "raw_buffer"}),
        ),
    ]);
    let gateway = Gateway::start_text(&File::chains(chains, &[echo.address()]).text(), &[]);
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        Caller::new("localhost").call(gateway.address(), wire);
        Client::connect(gateway.address(), wire).call(1, "plain");
    }
    assert_eq!(gateway.stat("http.rpc.downstream_rq_total"), 2);
    assert_eq!(gateway.stat("http.plain.downstream_rq_total"), 2);
}

#[test]
fn the_offered_protocols_choose_a_chain() {
    let authority = Authority::new("root");
    let [one, two, rest] =
        ["one.example", "two.example", "rest.example"].map(|name| authority.issue(&[name]));
    let echo = PlainHost::echo();
    let chains = json!([
        matching(
            chain(rpc(json!({})), shows(&one)),
            json!({"application_protocols": ["istio"]})
        ),
        matching(
            chain(rpc(json!({})), shows(&two)),
            json!({"application_protocols": ["h2"]})
        ),
    ]);
    let file = File::chains(chains, &[echo.address()])
        .with("default_filter_chain", chain(rpc(json!({})), shows(&rest)));
    let gateway = Gateway::start_text(&file.text(), &[]);
    for (offered, shown) in [
        (vec!["h2", "istio"], &two),
        (vec!["istio", "h2"], &one),
        (vec!["http/1.1"], &rest),
        (vec![], &rest),
    ] {
        let caller = Caller::new("localhost").offering(&offered);
        let client = caller.call(gateway.address(), Wire::Bolt1);
        assert_eq!(client.shown(), shown.der, "{offered:?}");
    }
}

#[test]
fn rpc_belongs_to_the_chains_of_http_and_other_bytes_to_the_default() {
    let echo = PlainHost::echo();
    let chains = json!([matching(
        json!({"filters": [rpc(json!({}))]}),
        json!({"application_protocols": ["http/1.1", "h2c"], "transport_protocol": "raw_buffer"}),
    )]);
    let http =
        "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";
    let file = File::chains(chains, &[echo.address()])
        .with("default_filter_chain", json!({"filters": [tcp("echo")]}))
        .with(
            "listener_filters",
            json!([{"name": "http", "typed_config": {"@type": http}}]),
        );
    let gateway = Gateway::start_text(&file.text(), &[]);
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        Client::connect(gateway.address(), wire).call(1, "rpc");
    }
    assert_eq!(gateway.stat("http.rpc.downstream_rq_total"), 2);
    let mut other = TcpStream::connect(gateway.address()).expect("the gateway listens");
    other.set_read_timeout(Some(PATIENCE)).expect("not zero");
    other.write_all(b"\x7fELF").expect("the gateway reads");
    drop(other);
    let arrived = || (gateway.stat("tcp.echo.downstream_cx_total") == 1).then_some(());
    assert!(crossdock_tests::eventually(PATIENCE, arrived).is_some());
}

#[test]
fn ports_and_addresses_choose_a_chain() {
    let (near, far) = (PlainHost::echo(), PlainHost::echo());
    let chains = json!([
        matching(
            json!({"filters": [tcp("far")]}),
            json!({"prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}),
        ),
        matching(
            json!({"filters": [tcp("near")]}),
            json!({
                "prefix_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}],
                "source_prefix_ranges": [{"address_prefix": "127.0.0.1", "prefix_len": 32}],
                "source_type": "SAME_IP_OR_LOOPBACK",
            }),
        ),
        matching(
            json!({"filters": [tcp("far")]}),
            json!({"destination_port": 1})
        ),
    ]);
    let file = File::chains(chains, &[near.address()])
        .cluster("near", &[near.address()])
        .cluster("far", &[far.address()]);
    let gateway = Gateway::start_text(&file.text(), &[]);
    Client::connect(gateway.address(), Wire::Dubbo).call(1, "x");
    assert_eq!((near.frames(), far.frames()), (1, 0));
}

#[test]
fn a_silent_connection_goes_on_or_ends_when_the_time_is_up() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let greeter = PlainHost::start(|mut link| {
        link.send(b"220 ready");
        let _ = link.take_within(PATIENCE);
    });
    let chains = json!([matching(
        chain(rpc(json!({})), shows(&server)),
        json!({"transport_protocol": "tls"}),
    )]);
    let file = File::chains(chains, &[greeter.address()])
        .with("default_filter_chain", json!({"filters": [tcp("echo")]}))
        .with("listener_filters_timeout", json!("0.2s"));
    let goes_on = file
        .clone()
        .with("continue_on_listener_filters_timeout", json!(true));
    let gateway = Gateway::start_text(&goes_on.text(), &[]);
    let mut client = TcpStream::connect(gateway.address()).expect("the gateway listens");
    client.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut greeting = [0; 9];
    client
        .read_exact(&mut greeting)
        .expect("the server speaks first");
    assert_eq!(&greeting, b"220 ready");
    let gateway = Gateway::start_text(&file.text(), &[]);
    let mut client = TcpStream::connect(gateway.address()).expect("the gateway listens");
    client.set_read_timeout(Some(PATIENCE)).expect("not zero");
    client.write_all(&[22]).expect("the gateway reads");
    assert_eq!(client.read(&mut greeting).expect("an end"), 0);
    listener_settles(&gateway, "downstream_pre_cx_timeout", 1);
}
