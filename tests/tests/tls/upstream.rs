//! What hosts see: names, certificates, protocols, and what they have to show.

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Client, Wire};
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};

use crate::authority::{Authority, Identity};
use crate::file::{File, chain, inline, merged, mutual, rpc, shows, trusts};
use crate::peer::{Caller, Host};
use crate::{cluster_settles, settles};

/// A context that has hosts show certificates of this authority.
fn checks(authority: &Authority, more: Value) -> Value {
    let validation = merged(trusts(authority), more);
    json!({"common_tls_context": {"validation_context": validation}})
}

#[track_caller]
fn works(gateway: &Gateway, wire: Wire) {
    let mut client = Client::connect(gateway.address(), wire);
    for id in 1..10 {
        client.call(id, &"x".repeat(id as usize * 1700));
    }
}

/// The call is answered with a failure, because no host can be used.
#[track_caller]
fn fails(gateway: &Gateway) {
    let mut client = Client::connect(gateway.address(), Wire::Bolt1);
    client.write(&Wire::Bolt1.request(1, "<<x>>"));
    let answer = client.recv();
    assert!(!answer.is_good(), "{answer:?}");
}

#[test]
fn every_framed_protocol_goes_to_hosts_with_tls() {
    let authority = Authority::new("root");
    let host = Host::start(&authority.issue(&["host.example"]));
    let context = merged(
        checks(&authority, json!({})),
        json!({"sni": "host.example"}),
    );
    let text = File::upstream(context, &[host.address]).text();
    let gateway = Gateway::start_text(&text, &["--concurrency", "1"]);
    for wire in [Wire::Dubbo, Wire::Bolt1, Wire::Bolt2Crc] {
        works(&gateway, wire);
    }
    assert_eq!(host.asked()[0].as_deref(), Some("host.example"));
    // Each protocol has a connection of its own.
    assert_eq!(host.handshakes(), 3);
    cluster_settles(&gateway, "ssl.handshake", 3);
    cluster_settles(&gateway, "upstream_cx_active", 3);
}

#[test]
fn both_sides_may_have_tls() {
    let authority = Authority::new("root");
    let [server, client, host] =
        ["localhost", "client.example", "host.example"].map(|name| authority.issue(&[name]));
    let peer = Host::with(&host, Some(&authority), &[], rustls::ALL_VERSIONS);
    let down = merged(
        mutual(&server, trusts(&authority)),
        json!({"require_client_certificate": true}),
    );
    let mut file = File::chains(json!([chain(rpc(json!({})), down)]), &[peer.address]);
    let ours = mutual(&client, trusts(&authority));
    let up = File::upstream(ours, &[peer.address]);
    file.clusters = up.clusters;
    let gateway = Gateway::start_text(&file.text(), &[]);
    for wire in [Wire::Dubbo, Wire::Bolt1] {
        let mut caller = Caller::as_(&client).call(gateway.address(), wire);
        // Much more than a socket takes at once, both ways.
        for id in 2..6 {
            caller.write(&wire.request(id, &"y".repeat(3 << 20)));
        }
        for id in 2..6 {
            assert_eq!(caller.recv().expect("an answer").id, id);
        }
        caller.call(wire, 9, "still");
    }
    assert_eq!(peer.shown()[0].as_ref(), Some(&client.der));
    settles(&gateway, "handshake", 2);
}

#[test]
fn hosts_have_to_show_what_is_wanted() {
    let authority = Authority::new("root");
    let good = authority.issue(&["spiffe://td/ns/a/sa/b", "host.example"]);
    let stranger = Authority::new("elsewhere").issue(&["host.example"]);
    let names = |name: &str| json!({"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": name}}]});
    let named = |name: &str| json!({"sni": name, "auto_sni_san_validation": true});
    let no_check = json!({"common_tls_context": {}});
    let cases: [(&Identity, Value, Option<&str>); 7] = [
        (&good, checks(&authority, json!({})), None),
        (
            &stranger,
            checks(&authority, json!({})),
            Some("fail_verify_error"),
        ),
        (
            &good,
            checks(&authority, names("spiffe://td/ns/a/sa/b")),
            None,
        ),
        (
            &good,
            checks(&authority, names("spiffe://x")),
            Some("fail_verify_san"),
        ),
        (
            &good,
            merged(checks(&authority, json!({})), named("host.example")),
            None,
        ),
        (
            &good,
            merged(checks(&authority, json!({})), named("other.example")),
            Some("fail_verify_san"),
        ),
        // As Envoy: who asks for nothing takes anything.
        (&stranger, no_check, None),
    ];
    for (identity, context, refusal) in cases {
        let host = Host::start(identity);
        let text = File::upstream(context.clone(), &[host.address]).text();
        let gateway = Gateway::start_text(&text, &["--concurrency", "1"]);
        match refusal {
            None => works(&gateway, Wire::Dubbo),
            Some(metric) => {
                fails(&gateway);
                assert!(
                    gateway.stat(&format!("cluster.echo.ssl.{metric}")) >= 1,
                    "{context}"
                );
                assert!(gateway.stat("cluster.echo.upstream_cx_connect_fail") >= 1);
                cluster_settles(&gateway, "ssl.handshake", 0);
            }
        }
    }
}

#[test]
fn the_hosts_own_name_is_asked_for() {
    let authority = Authority::new("root");
    let host = Host::start(&authority.issue(&["own.example"]));
    let context = merged(
        checks(&authority, json!({})),
        json!({"auto_host_sni": true, "auto_sni_san_validation": true, "sni": "other.example"}),
    );
    let mut file = File::upstream(context, &[host.address]);
    let endpoint = &mut file.clusters[0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
    endpoint["endpoint"]["hostname"] = json!("own.example");
    let gateway = Gateway::start_text(&file.text(), &[]);
    works(&gateway, Wire::Dubbo);
    assert_eq!(host.asked()[0].as_deref(), Some("own.example"));
    let nameless = File::upstream(checks(&authority, json!({})), &[host.address]).text();
    let gateway = Gateway::start_text(&nameless, &[]);
    works(&gateway, Wire::Dubbo);
    assert_eq!(host.asked().last(), Some(&None));
}

#[test]
fn protocols_are_offered_and_versions_limited() {
    let authority = Authority::new("root");
    let identity = authority.issue(&["host.example"]);
    for version in [&TLS12, &TLS13] {
        let host = Host::with(&identity, None, &["bolt", "dubbo"], &[version]);
        let mut context = checks(&authority, json!({}));
        context["common_tls_context"]["alpn_protocols"] = json!(["dubbo", "other"]);
        let gateway = Gateway::start_text(
            &File::upstream(context.clone(), &[host.address]).text(),
            &[],
        );
        works(&gateway, Wire::Dubbo);
        assert_eq!(host.agreed()[0].as_deref(), Some("dubbo"));
        let (name, other) = match version.version {
            rustls::ProtocolVersion::TLSv1_2 => ("TLSv1.2", "TLSv1_3"),
            _ => ("TLSv1.3", "TLSv1_2"),
        };
        cluster_settles(&gateway, &format!("ssl.versions.{name}"), 1);
        let only = json!({
            "tls_minimum_protocol_version": other,
            "tls_maximum_protocol_version": other,
        });
        context["common_tls_context"]["tls_params"] = only;
        let gateway = Gateway::start_text(&File::upstream(context, &[host.address]).text(), &[]);
        fails(&gateway);
    }
}

#[test]
fn sessions_with_hosts_are_resumed() {
    let authority = Authority::new("root");
    let identity = authority.issue(&["host.example"]);
    for (keys, resumes) in [(json!(null), true), (json!(0), false)] {
        for version in [&TLS12, &TLS13] {
            let host = Host::with(&identity, None, &[], &[version]);
            let mut context = checks(&authority, json!({}));
            if !keys.is_null() {
                context["max_session_keys"] = keys.clone();
            }
            let text = File::upstream(context, &[host.address]).text();
            let gateway = Gateway::start_text(&text, &["--concurrency", "1"]);
            // One protocol after the other: each has a connection of its own.
            works(&gateway, Wire::Dubbo);
            works(&gateway, Wire::Bolt1);
            let resumed = usize::from(resumes);
            assert_eq!(
                (host.handshakes(), host.resumed()),
                (2, resumed),
                "{version:?}"
            );
            cluster_settles(&gateway, "ssl.session_reused", resumed as u64);
        }
    }
}

#[test]
fn clusters_with_different_tls_share_no_connection() {
    let authority = Authority::new("root");
    let identity = authority.issue(&["host.example"]);
    let [one, two] = ["one.example", "two.example"].map(|name| authority.issue(&[name]));
    let host = Host::with(&identity, Some(&authority), &[], rustls::ALL_VERSIONS);
    let context = |identity: &Identity| {
        json!({"common_tls_context": {
            "tls_certificates": [inline(identity)],
            "validation_context": trusts(&authority),
        }})
    };
    let mut file = File::upstream(context(&one), &[host.address]);
    let mut second = File::upstream(context(&two), &[host.address])
        .clusters
        .remove(0);
    second["name"] = json!("second");
    file.clusters.push(second);
    let filter = &mut file.listener["filter_chains"][0]["filters"][0]["typed_config"];
    let routes = &mut filter["route_config"]["virtual_hosts"][0]["routes"];
    *routes = json!([
        {"match": {"prefix": "/peer.api.Nobody"}, "route": {"cluster": "second"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "echo"}},
    ]);
    let gateway = Gateway::start_text(&file.text(), &["--concurrency", "1"]);
    works(&gateway, Wire::Dubbo);
    let mut client = Client::connect(gateway.address(), Wire::Dubbo);
    client.write(&Wire::Dubbo.stray(1, "<<x>>"));
    assert!(client.recv().is_good());
    let shown: Vec<_> = host.shown().into_iter().flatten().collect();
    assert_eq!(shown, [one.der, two.der]);
}

#[test]
fn a_host_that_does_not_shake_hands_is_given_up() {
    let deaf = crossdock_tests::fake::Host::deaf();
    let mut file = File::upstream(shows_nothing(), &[deaf.address()]);
    file.clusters[0]["connect_timeout"] = json!("0.3s");
    let gateway = Gateway::start_text(&file.text(), &["--concurrency", "1"]);
    fails(&gateway);
    assert!(gateway.stat("cluster.echo.upstream_cx_connect_timeout") >= 1);
    let plain = crossdock_tests::fake::Host::start(|mut link| {
        link.send(b"220 this is no TLS\r\n");
    });
    let gateway = Gateway::start_text(
        &File::upstream(shows_nothing(), &[plain.address()]).text(),
        &["--concurrency", "1"],
    );
    fails(&gateway);
    assert!(gateway.stat("cluster.echo.ssl.connection_error") >= 1);
}

fn shows_nothing() -> Value {
    json!({"common_tls_context": {}})
}

#[test]
fn a_client_certificate_is_not_lost_on_a_host_that_asks() {
    let authority = Authority::new("root");
    let [host, ours] = ["host.example", "ours.example"].map(|name| authority.issue(&[name]));
    let peer = Host::with(&host, Some(&authority), &[], rustls::ALL_VERSIONS);
    let gateway = Gateway::start_text(&File::upstream(shows(&ours), &[peer.address]).text(), &[]);
    works(&gateway, Wire::Bolt2);
    assert_eq!(peer.shown()[0].as_ref(), Some(&ours.der));
    let gateway = Gateway::start_text(
        &File::upstream(shows_nothing(), &[peer.address]).text(),
        &[],
    );
    fails(&gateway);
}
