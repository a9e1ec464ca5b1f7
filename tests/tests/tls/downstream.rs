//! What clients see: certificates, versions, protocols, and what they have to show themselves.

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Host, Wire};
use rustls::version::{TLS12, TLS13};
use serde_json::json;

use crate::authority::Authority;
use crate::file::{File, inline, merged, mutual, shows, trusts};
use crate::peer::Caller;
use crate::{settles, ssl};

#[test]
fn rpc_is_told_apart_behind_the_handshake() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let text = File::tls(shows(&server), &[echo.address()]).text();
    let gateway = Gateway::start_text(&text, &[]);
    for wire in [Wire::Dubbo, Wire::Bolt1, Wire::Bolt2, Wire::Bolt2Crc] {
        let mut client = Caller::new("localhost").call(gateway.address(), wire);
        for id in 2..20 {
            client.call(wire, id, &"x".repeat(id as usize * 1700));
        }
        assert_eq!(client.shown(), server.der);
        assert_eq!(client.session().alpn_protocol(), None);
    }
    settles(&gateway, "handshake", 4);
    settles(&gateway, "no_certificate", 4);
    settles(&gateway, "connection_error", 0);
}

#[test]
fn both_versions_are_served_unless_one_is_shut_out() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    for (params, served, refused) in [
        (json!({}), vec![&TLS12, &TLS13], vec![]),
        (
            json!({"tls_minimum_protocol_version": "TLSv1_3"}),
            vec![&TLS13],
            vec![&TLS12],
        ),
        (
            json!({"tls_maximum_protocol_version": "TLSv1_2"}),
            vec![&TLS12],
            vec![&TLS13],
        ),
    ] {
        let mut context = shows(&server);
        context["common_tls_context"]["tls_params"] = params;
        let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
        for version in &served {
            let caller = Caller::with("localhost", &[version], None);
            let client = caller.call(gateway.address(), Wire::Dubbo);
            assert_eq!(client.session().protocol_version(), Some(version.version));
        }
        for version in &refused {
            Caller::with("localhost", &[version], None).refused(gateway.address());
        }
        settles(&gateway, "connection_error", refused.len() as u64);
        let of = |name: &str| ssl(&gateway, &format!("versions.{name}"));
        assert_eq!(of("TLSv1.2") + of("TLSv1.3"), served.len() as u64);
    }
}

#[test]
fn suites_are_limited_to_those_that_are_named() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let mut context = shows(&server);
    context["common_tls_context"]["tls_params"] = json!({
        "cipher_suites": ["ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-SHA"],
        "ecdh_curves": ["P-256"],
    });
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    let client = Caller::with("localhost", &[&TLS12], None).call(gateway.address(), Wire::Dubbo);
    let suite = client.session().negotiated_cipher_suite().expect("agreed");
    let wanted = rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    assert_eq!(suite.suite(), wanted);
    let group = client.session().negotiated_key_exchange_group();
    assert_eq!(
        group.map(|group| group.name()),
        Some(rustls::NamedGroup::secp256r1)
    );
}

#[test]
fn the_certificate_fits_the_name_that_is_asked_for() {
    let authority = Authority::new("root");
    let [first, wild, exact] =
        [["first.example"], ["*.b.example"], ["a.b.example"]].map(|names| authority.issue(&names));
    let echo = Host::echo();
    let certificates = [&first, &wild, &exact].map(inline);
    let context = json!({"common_tls_context": {"tls_certificates": certificates}});
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    for (name, shown) in [
        ("a.b.example", &exact),
        ("A.B.example", &exact),
        ("c.b.example", &wild),
        ("d.c.b.example", &first),
        ("stranger.example", &first),
        ("127.0.0.1", &first),
    ] {
        let client = Caller::new(name).call(gateway.address(), Wire::Bolt1);
        assert_eq!(client.shown(), shown.der, "{name}");
    }
}

#[test]
fn a_name_may_be_required() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let context = merged(shows(&server), json!({"require_sni": true}));
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    Caller::new("anything").call(gateway.address(), Wire::Dubbo);
    // An address is no server name, and none is sent.
    Caller::new("127.0.0.1").refused(gateway.address());
    settles(&gateway, "connection_error", 1);
}

#[test]
fn protocols_are_agreed_upon_in_the_order_of_the_gateway() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let mut context = shows(&server);
    context["common_tls_context"]["alpn_protocols"] =
        json!(["istio-peer-exchange", "dubbo", "bolt"]);
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    for (offered, agreed) in [
        (vec!["bolt", "dubbo"], Some(b"dubbo".as_slice())),
        (vec!["bolt"], Some(b"bolt")),
        // No protocol in common: no agreement, as with Envoy, and the bytes tell.
        (vec!["istio", "istio-peer-exchange"], None),
        (vec![], None),
    ] {
        let caller = Caller::new("localhost").offering(&offered);
        let client = caller.call(gateway.address(), Wire::Dubbo);
        assert_eq!(client.session().alpn_protocol(), agreed, "{offered:?}");
    }
}

#[test]
fn clients_have_to_show_certificates_where_they_are_required() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let known = authority.issue(&["spiffe://td/ns/a/sa/b", "client.example"]);
    let stranger = Authority::new("elsewhere").issue(&["client.example"]);
    for required in [true, false] {
        let context = mutual(&server, trusts(&authority));
        let context = merged(context, json!({"require_client_certificate": required}));
        let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
        for version in [&TLS12, &TLS13] {
            let with = |identity| Caller::with("localhost", &[version], identity);
            with(Some(&known)).call(gateway.address(), Wire::Dubbo);
            with(Some(&stranger)).refused(gateway.address());
            match required {
                true => drop(with(None).refused(gateway.address())),
                false => drop(with(None).call(gateway.address(), Wire::Dubbo)),
            }
        }
        let (without, with) = if required { (2, 0) } else { (0, 2) };
        settles(&gateway, "fail_verify_no_cert", without);
        settles(&gateway, "no_certificate", with);
        settles(&gateway, "fail_verify_error", 2);
        settles(&gateway, "handshake", 2 + with);
        settles(&gateway, "connection_error", 0);
    }
}

#[test]
fn names_of_clients_are_matched_by_their_kind() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let client = authority.issue(&["spiffe://td/ns/a/sa/b", "*.example", "10.0.0.9"]);
    let typed = |kind: &str, matcher| {
        json!({"match_typed_subject_alt_names": [
            {"san_type": "URI", "matcher": {"exact": "spiffe://nobody"}},
            {"san_type": kind, "matcher": matcher},
        ]})
    };
    let uri = "spiffe://td/ns/a/sa/b";
    for (rules, good) in [
        (typed("URI", json!({"exact": uri})), true),
        (typed("URI", json!({"prefix": "spiffe://td/ns/a/"})), true),
        (typed("URI", json!({"suffix": "/sa/b"})), true),
        (
            typed("URI", json!({"safe_regex": {"regex": "spiffe://td/.*"}})),
            true,
        ),
        (
            typed("URI", json!({"safe_regex": {"regex": "spiffe://td/"}})),
            false,
        ),
        (typed("URI", json!({"prefix": "spiffe://other/"})), false),
        (typed("DNS", json!({"exact": uri})), false),
        (typed("DNS", json!({"exact": "a.example"})), true),
        (typed("DNS", json!({"exact": "b.a.example"})), false),
        (typed("DNS", json!({"prefix": "a.example"})), false),
        (typed("IP_ADDRESS", json!({"exact": "10.0.0.9"})), true),
        (typed("EMAIL", json!({"suffix": "example"})), false),
        (json!({"match_subject_alt_names": [{"exact": uri}]}), true),
        (json!({"match_subject_alt_names": [{"exact": "x"}]}), false),
    ] {
        let context = mutual(&server, merged(trusts(&authority), rules.clone()));
        let context = merged(context, json!({"require_client_certificate": true}));
        let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
        let caller = Caller::as_(&client);
        match good {
            true => drop(caller.call(gateway.address(), Wire::Dubbo)),
            false => drop(caller.refused(gateway.address())),
        }
        settles(&gateway, "fail_verify_san", u64::from(!good));
    }
}

#[test]
fn certificates_are_pinned_by_their_digests() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let [known, other] = [["a.example"], ["b.example"]].map(|names| authority.issue(&names));
    let hash = crate::sha256(&known.der);
    let colons: Vec<_> = (0..32)
        .map(|at| hash[2 * at..2 * at + 2].to_uppercase())
        .collect();
    for pin in [hash, colons.join(":")] {
        let context = mutual(&server, json!({"verify_certificate_hash": [pin]}));
        let context = merged(context, json!({"require_client_certificate": true}));
        let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
        Caller::as_(&known).call(gateway.address(), Wire::Dubbo);
        Caller::as_(&other).refused(gateway.address());
        settles(&gateway, "fail_verify_cert_hash", 1);
    }
}

#[test]
fn revoked_certificates_are_refused() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let [good, bad] = [["a.example"], ["b.example"]].map(|names| authority.issue(&names));
    let list = json!({"crl": {"inline_string": authority.revoke(&[&bad])}});
    let context = mutual(&server, merged(trusts(&authority), list));
    let context = merged(context, json!({"require_client_certificate": true}));
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    Caller::as_(&good).call(gateway.address(), Wire::Dubbo);
    Caller::as_(&bad).refused(gateway.address());
    settles(&gateway, "fail_verify_error", 1);
}

#[test]
fn certificates_that_are_not_valid_now_are_refused() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let echo = Host::echo();
    let context = mutual(&server, trusts(&authority));
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    let old = authority.issue_with(&["a.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    });
    let young = authority.issue_with(&["a.example"], |params| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    });
    let server_only = authority.issue_with(&["a.example"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    for identity in [old, young, server_only] {
        Caller::as_(&identity).refused(gateway.address());
    }
    settles(&gateway, "fail_verify_error", 3);
}

#[test]
fn sessions_are_resumed_unless_that_is_switched_off() {
    let authority = Authority::new("root");
    let server = authority.issue(&["localhost"]);
    let client = authority.issue(&["client.example"]);
    let echo = Host::echo();
    let both = json!({
        "disable_stateless_session_resumption": true,
        "disable_stateful_session_resumption": true,
    });
    let stateful = json!({"disable_stateless_session_resumption": true});
    for (off, resumes) in [(json!({}), true), (stateful, true), (both, false)] {
        let context = merged(mutual(&server, trusts(&authority)), off);
        let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
        for version in [&TLS12, &TLS13] {
            let caller = Caller::with("localhost", &[version], Some(&client));
            let first = caller.call(gateway.address(), Wire::Dubbo);
            assert!(!first.resumed());
            let second = caller.call(gateway.address(), Wire::Dubbo);
            assert_eq!(second.resumed(), resumes, "{version:?}");
        }
        let reused = if resumes { 2 } else { 0 };
        settles(&gateway, "session_reused", reused);
        assert_eq!(
            ssl(&gateway, "no_certificate"),
            0,
            "a session knows its client"
        );
    }
}
