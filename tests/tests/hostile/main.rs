//! Hostile input: whatever a peer sends, the process lives, its memory stays within its limits, and the
//! other peers notice nothing.

mod crowds;
mod frames;
mod memory;
mod noise;

use std::net::SocketAddr;
use std::time::Duration;

use crossdock_tests::fake::{Client, Host, Wire};
use crossdock_tests::{Bootstrap, Gateway, eventually};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;

const ONE_WORKER: &[&str] = &["--concurrency", "1"];
const PATIENCE: Duration = Duration::from_secs(30);

fn gateway(hosts: &[&Host], settings: &[(&str, Value)]) -> Gateway {
    let addresses: Vec<SocketAddr> = hosts.iter().map(|host| host.address()).collect();
    let mut bootstrap = Bootstrap::to(&addresses);
    for (name, value) in settings {
        bootstrap = bootstrap.setting(&format!("crossdock.{name}"), value.clone());
    }
    Gateway::start(&bootstrap, ONE_WORKER)
}

#[track_caller]
fn until(gateway: &Gateway, metric: &str, holds: impl Fn(u64) -> bool) {
    let reached = eventually(PATIENCE, || holds(gateway.stat(metric)).then_some(()));
    assert!(reached.is_some(), "{metric} is {}", gateway.stat(metric));
}

/// The gateway answers, and no call is left over.
#[track_caller]
fn unharmed(gateway: &Gateway) {
    for wire in Wire::ALL {
        Client::connect(gateway.address(), wire).call(1, "unharmed");
    }
    until(gateway, "http.rpc.downstream_rq_active", |active| {
        active == 0
    });
    until(gateway, "http.rpc.downstream_cx_active", |open| open == 0);
}

/// Lets this process, and the gateway that it starts, open as many files as the system lets them.
fn many_files() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit");
    limit.current.map_or(1 << 20, |files| files as usize)
}
