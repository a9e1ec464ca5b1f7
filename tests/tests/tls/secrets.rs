//! Secrets in files of their own (SDS), which change while the gateway serves.

use crossdock_tests::fake::{Client as PlainClient, Host as PlainHost, Wire};
use std::process::{Command, Stdio};

use crossdock_tests::{Gateway, eventually};
use serde_json::{Value, json};

use crate::authority::{Authority, Folder, Identity};
use crate::file::{File, inline, trusts};
use crate::peer::{Caller, Host, PATIENCE};
use crate::{settles, ssl};

/// A file with one secret, as istio-agent and Kubernetes write them.
fn secret(folder: &Folder, file: &str, name: &str, kind: &str, says: Value) -> String {
    let mut secret = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": name,
    });
    secret[kind] = says;
    let text = json!({"version_info": "1", "resources": [secret]}).to_string();
    folder.write(file, &text)
}

fn certificate(folder: &Folder, identity: &Identity) -> String {
    secret(
        folder,
        "server.yaml",
        "server",
        "tls_certificate",
        inline(identity),
    )
}

/// Names a secret in a file.
fn named(name: &str, file: &str) -> Value {
    json!({"name": name, "sds_config": {"path_config_source": {"path": file}}})
}

#[track_caller]
fn shows(gateway: &Gateway, caller: &Caller, identity: &Identity) {
    let shown = || {
        let client = caller.connect(gateway.address()).ok()?;
        (client.shown() == identity.der).then_some(())
    };
    let shown = eventually(PATIENCE, shown);
    assert!(shown.is_some(), "the old one is still shown");
}

#[test]
fn certificates_come_from_secrets_in_files_and_no_connection_is_dropped() {
    let authority = Authority::new("root");
    let [first, second] = ["localhost", "localhost"].map(|name| authority.issue(&[name]));
    let (echo, folder) = (PlainHost::echo(), Folder::new());
    let file = certificate(&folder, &first);
    let context = json!({"common_tls_context": {
        "tls_certificate_sds_secret_configs": [named("server", &file)],
    }});
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    let caller = Caller::new("localhost");
    let mut kept = caller.call(gateway.address(), Wire::Dubbo);
    assert_eq!(kept.shown(), first.der);

    // What cannot be used leaves what is there.
    let broken = [
        "resources: [",
        "resources: []",
        r#"{"resources": [{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "server"}]}"#,
    ];
    for (failures, broken) in (1..).zip(broken) {
        folder.write("server.yaml", broken);
        let failed = || (ssl(&gateway, "context_update_failure") >= failures).then_some(());
        assert!(eventually(PATIENCE, failed).is_some(), "{broken}");
    }
    shows(&gateway, &caller, &first);

    certificate(&folder, &second);
    shows(&gateway, &caller, &second);
    settles(&gateway, "context_update_success", 1);
    kept.call(Wire::Dubbo, 2, "still there");

    // A secret may name files, which are watched from then on.
    let names = json!({
        "certificate_chain": {"filename": folder.write("chain.pem", &first.chain)},
        "private_key": {"filename": folder.write("key.pem", &first.key)},
        "watched_directory": {"path": "/nowhere"},
    });
    secret(&folder, "server.yaml", "server", "tls_certificate", names);
    shows(&gateway, &caller, &first);
    folder.write("chain.pem", &second.chain);
    folder.write("key.pem", &second.key);
    shows(&gateway, &caller, &second);
    kept.call(Wire::Dubbo, 3, "still there");
    assert_eq!(kept.shown(), first.der);
}

#[test]
fn who_is_trusted_comes_from_secrets_in_files_both_ways() {
    let [old, new] = ["old", "new"].map(Authority::new);
    let (echo, folder) = (PlainHost::echo(), Folder::new());
    let server = certificate(&folder, &old.issue(&["localhost"]));
    let trust = secret(
        &folder,
        "ca.yaml",
        "roots",
        "validation_context",
        trusts(&old),
    );
    let combined = json!({
        "default_validation_context": {},
        "validation_context_sds_secret_config": named("roots", &trust),
    });
    let context = json!({
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [named("server", &server)],
            "combined_validation_context": combined,
        },
        "require_client_certificate": true,
    });
    let gateway = Gateway::start_text(&File::tls(context, &[echo.address()]).text(), &[]);
    let [before, after] = [&old, &new].map(|authority| authority.issue(&["client.example"]));
    let mut kept = Caller::as_(&before).call(gateway.address(), Wire::Dubbo);
    Caller::as_(&after).refused(gateway.address());
    secret(
        &folder,
        "ca.yaml",
        "roots",
        "validation_context",
        trusts(&new),
    );
    settles(&gateway, "context_update_success", 1);
    Caller::as_(&after).call(gateway.address(), Wire::Dubbo);
    Caller::as_(&before).refused(gateway.address());
    kept.call(Wire::Dubbo, 2, "still there");
}

#[test]
fn hosts_are_shown_certificates_from_secrets_in_files() {
    let authority = Authority::new("root");
    let [first, second] = ["a.example", "b.example"].map(|name| authority.issue(&[name]));
    let folder = Folder::new();
    let own = authority.issue(&["host.example"]);
    let host = Host::with(&own, Some(&authority), &[], rustls::ALL_VERSIONS);
    let file = certificate(&folder, &first);
    let trust = secret(
        &folder,
        "ca.yaml",
        "roots",
        "validation_context",
        trusts(&authority),
    );
    let context = json!({"common_tls_context": {
        "tls_certificate_sds_secret_configs": [named("server", &file)],
        "validation_context_sds_secret_config": named("roots", &trust),
    }});
    let text = File::upstream(context, &[host.address]).text();
    let gateway = Gateway::start_text(&text, &["--concurrency", "1"]);
    PlainClient::connect(gateway.address(), Wire::Dubbo).call(1, "x");
    certificate(&folder, &second);
    let taken = || (gateway.stat("cluster.echo.ssl.context_update_success") >= 1).then_some(());
    assert!(eventually(PATIENCE, taken).is_some());
    PlainClient::connect(gateway.address(), Wire::Bolt1).call(1, "x");
    let shown: Vec<_> = host.shown().into_iter().flatten().collect();
    assert_eq!(shown, [first.der, second.der]);
}

#[test]
fn secrets_that_cannot_be_had_are_refused_at_the_start() {
    let (echo, folder) = (PlainHost::echo(), Folder::new());
    let identity = Authority::new("root").issue(&["localhost"]);
    let file = certificate(&folder, &identity);
    let network = json!({"name": "server", "sds_config": {"ads": {}}});
    for (config, why) in [
        (
            named("other", &file),
            "there is no secret 'other': it has 'server'",
        ),
        (named("server", "/nowhere.yaml"), "nowhere.yaml"),
        (network, "xDS over the network is not in this version"),
    ] {
        let context =
            json!({"common_tls_context": {"tls_certificate_sds_secret_configs": [config]}});
        let text = File::tls(context, &[echo.address()]).text();
        let path = folder.write("bootstrap.json", &text);
        let mut command = Command::new(Gateway::program());
        command.args(["validate", "-c", &path]).stdin(Stdio::null());
        let ran = command.output().expect("the program runs");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned()
            + &String::from_utf8_lossy(&ran.stdout);
        assert!(!ran.status.success() && said.contains(why), "{said}");
    }
}
