//! Certificates that change while the gateway serves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crossdock_tests::fake::{Client as PlainClient, Host as PlainHost, Wire};
use crossdock_tests::{Gateway, eventually};
use serde_json::{Value, json};

use crate::authority::{Authority, Folder};
use crate::file::{File, in_files, trusts};
use crate::peer::{Caller, Host, PATIENCE};
use crate::{cluster_settles, settles, ssl};

/// Waits until new clients are shown this certificate.
#[track_caller]
fn shows(gateway: &Gateway, identity: &crate::authority::Identity) {
    let shown = || {
        let client = Caller::new("localhost").connect(gateway.address()).ok()?;
        (client.shown() == identity.der).then_some(())
    };
    assert!(
        eventually(PATIENCE, shown).is_some(),
        "the old one is still shown"
    );
}

#[test]
fn certificates_change_under_load_and_no_connection_is_dropped() {
    let authority = Authority::new("root");
    let [first, second] = ["localhost", "localhost"].map(|name| authority.issue(&[name]));
    let (echo, folder) = (PlainHost::echo(), Folder::new());
    let certificate = in_files(&folder, "server", &first);
    let context = json!({"common_tls_context": {"tls_certificates": [certificate]}});
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = gateway.address();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut kept = Caller::new("localhost").call(address, Wire::Dubbo);
                    let mut id = 1;
                    while !stop.load(Ordering::SeqCst) {
                        id += 1;
                        kept.call(Wire::Dubbo, id, "kept");
                        // Others come and go.
                        Caller::new("localhost").call(address, Wire::Bolt1);
                        calls.fetch_add(2, Ordering::SeqCst);
                    }
                    kept.shown() == first.der
                })
            })
            .collect();
        let busy = |more: u64| {
            let from = calls.load(Ordering::SeqCst);
            let done = || (calls.load(Ordering::SeqCst) >= from + more).then_some(());
            assert!(eventually(PATIENCE, done).is_some(), "callers get through");
        };
        busy(20);
        // A certificate without its key is not taken, nor anything that is broken.
        folder.write("server.pem", &second.chain);
        let failed = || (ssl(&gateway, "context_update_failure") >= 1).then_some(());
        assert!(eventually(PATIENCE, failed).is_some());
        shows(&gateway, &first);
        busy(20);
        folder.write("server.key", &second.key);
        shows(&gateway, &second);
        busy(20);
        folder.write("server.pem", "-----BEGIN CERTIFICATE-----\nrubbish\n");
        let failed = || (ssl(&gateway, "context_update_failure") >= 2).then_some(());
        assert!(eventually(PATIENCE, failed).is_some());
        shows(&gateway, &second);
        stop.store(true, Ordering::SeqCst);
        for worker in workers {
            let kept = worker.join().expect("no call fails");
            assert!(kept, "the connection is the one that was opened first");
        }
    });
    settles(&gateway, "context_update_success", 1);
    assert_eq!(ssl(&gateway, "connection_error"), 0);
}

#[test]
fn who_is_trusted_changes_too_and_no_old_session_gets_around_it() {
    let [old, new] = ["old", "new"].map(Authority::new);
    let (echo, folder) = (PlainHost::echo(), Folder::new());
    let server = in_files(&folder, "server", &old.issue(&["localhost"]));
    let context = json!({
        "common_tls_context": {
            "tls_certificates": [server],
            "validation_context": {"trusted_ca": {"filename": folder.write("ca.pem", old.pem())}},
        },
        "require_client_certificate": true,
    });
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    let [before, after] = [&old, &new].map(|authority| authority.issue(&["client.example"]));
    let caller = Caller::as_(&before);
    let mut kept = caller.call(gateway.address(), Wire::Dubbo);
    assert!(caller.call(gateway.address(), Wire::Dubbo).resumed());
    folder.write("ca.pem", new.pem());
    settles(&gateway, "context_update_success", 1);
    Caller::as_(&after).call(gateway.address(), Wire::Dubbo);
    caller.refused(gateway.address());
    kept.call(Wire::Dubbo, 2, "still there");
}

#[test]
fn certificates_towards_hosts_change_too() {
    let authority = Authority::new("root");
    let [first, second] = ["a.example", "b.example"].map(|name| authority.issue(&[name]));
    let folder = Folder::new();
    let host = Host::with(
        &authority.issue(&["host.example"]),
        Some(&authority),
        &[],
        rustls::ALL_VERSIONS,
    );
    let context = json!({"common_tls_context": {
        "tls_certificates": [in_files(&folder, "client", &first)],
        "validation_context": trusts(&authority),
    }});
    let text = File::upstream(context, &[host.address]).text();
    let gateway = Gateway::start_text(&text, &["--concurrency", "1"]);
    PlainClient::connect(gateway.address(), Wire::Dubbo).call(1, "x");
    in_files(&folder, "client", &second);
    let taken = || (gateway.stat("cluster.echo.ssl.context_update_success") >= 1).then_some(());
    assert!(eventually(PATIENCE, taken).is_some());
    // Dubbo's connection is still there; that of Bolt is new.
    PlainClient::connect(gateway.address(), Wire::Dubbo).call(1, "x");
    PlainClient::connect(gateway.address(), Wire::Bolt1).call(1, "x");
    let shown: Vec<_> = host.shown().into_iter().flatten().collect();
    assert_eq!(shown, [first.der, second.der]);
    cluster_settles(&gateway, "ssl.handshake", 2);
}

#[test]
fn the_admin_endpoint_lists_what_is_in_use() {
    let authority = Authority::new("root");
    let server = authority.issue_with(&["localhost", "spiffe://td/x"], |params| {
        params.not_before = rcgen::date_time_ymd(2024, 5, 6);
        params.not_after = rcgen::date_time_ymd(4000, 1, 2);
    });
    let (echo, folder) = (PlainHost::echo(), Folder::new());
    let context = json!({"common_tls_context": {
        "tls_certificates": [in_files(&folder, "server", &server)],
        "validation_context": trusts(&authority),
    }});
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    let (status, body) = gateway.admin("GET", "/certs");
    assert_eq!(status, 200);
    let page: Value = serde_json::from_str(&body).expect("JSON");
    let context = &page["certificates"][0];
    let shown = &context["cert_chain"][0];
    assert!(
        shown["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("server.pem"))
    );
    assert_eq!(shown["serial_number"], server.serial());
    let names = json!([{"dns": "localhost"}, {"uri": "spiffe://td/x"}]);
    assert_eq!(shown["subject_alt_names"], names);
    assert_eq!(shown["valid_from"], "2024-05-06T00:00:00Z");
    assert_eq!(shown["expiration_time"], "4000-01-02T00:00:00Z");
    let days: Option<u64> = shown["days_until_expiration"]
        .as_str()
        .and_then(|d| d.parse().ok());
    assert!(days.is_some_and(|days| days > 365_000), "{shown}");
    assert_eq!(context["ca_cert"][0]["path"], "<inline>");
    assert!(!body.contains("PRIVATE"));
    let (_, dump) = gateway.admin("GET", "/config_dump");
    assert!(!dump.contains("PRIVATE KEY"), "keys are never shown");
}
