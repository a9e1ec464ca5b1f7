//! TLS towards clients and hosts, and filter chains that are chosen by it, with certificates made
//! for each test.

mod authority;
mod chains;
mod downstream;
mod file;
mod hostile;
mod identity;
mod names;
mod peer;
mod reload;
mod secrets;
mod upstream;

use crossdock_tests::{Gateway, eventually};

/// A metric `listener.<address>.ssl.…`.
fn ssl(gateway: &Gateway, name: &str) -> u64 {
    listener_stat(gateway, &format!("ssl.{name}"))
}

/// Waits until a metric of TLS has this value: a client may hear of a refusal before it is counted.
#[track_caller]
fn settles(gateway: &Gateway, name: &str, value: u64) {
    let settled = || (ssl(gateway, name) == value).then_some(());
    let settled = eventually(peer::PATIENCE, settled).is_some();
    assert!(settled, "{name}: {}, not {value}", ssl(gateway, name));
}

/// Waits until a metric of the cluster `echo` has this value.
#[track_caller]
fn cluster_settles(gateway: &Gateway, name: &str, value: u64) {
    let read = || gateway.stat(&format!("cluster.echo.{name}"));
    let settled = eventually(peer::PATIENCE, || (read() == value).then_some(())).is_some();
    assert!(settled, "{name}: {}, not {value}", read());
}

/// Waits until a metric of the listener has this value.
#[track_caller]
fn listener_settles(gateway: &Gateway, name: &str, value: u64) {
    let settled = || (listener_stat(gateway, name) == value).then_some(());
    let settled = eventually(peer::PATIENCE, settled).is_some();
    assert!(
        settled,
        "{name}: {}, not {value}",
        listener_stat(gateway, name)
    );
}

/// A metric of the listener.
fn listener_stat(gateway: &Gateway, name: &str) -> u64 {
    let label = gateway.address().to_string().replace(':', "_");
    gateway.stat(&format!("listener.{label}.{name}"))
}

/// SHA-256 in hexadecimal.
fn sha256(octets: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, octets);
    digest
        .as_ref()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}
