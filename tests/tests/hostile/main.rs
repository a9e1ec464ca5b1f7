//! Hostile input: whatever a peer sends, the process lives, its memory stays within its limits, and the
//! other peers notice nothing.

mod crowds;
mod frames;
mod memory;
mod noise;

use crossdock_tests::Gateway;
use crossdock_tests::fake::{Client, Wire};
use rustix::process::{Resource, getrlimit, setrlimit};

const ONE_WORKER: &[&str] = &["--concurrency", "1"];

/// The gateway answers, and no call is left over.
#[track_caller]
fn unharmed(gateway: &Gateway) {
    for wire in Wire::ALL {
        Client::connect(gateway.address(), wire).call(1, "unharmed");
    }
    gateway.until("http.rpc.downstream_rq_active", |active| active == 0);
    gateway.until("http.rpc.downstream_cx_active", |open| open == 0);
}

/// Lets this process, and the gateway that it starts, open as many files as the system lets them.
fn many_files() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit");
    limit.current.map_or(1 << 20, |files| files as usize)
}
