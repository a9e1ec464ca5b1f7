//! Hostile HTTP through the binary: nothing reaches a host or a client with two readings, every
//! connection is left usable or closed, and whoever behaves notices nothing of it.

mod answers;
mod backend;
mod client;
mod faults;
mod floods;
mod h2;
mod mutation;
mod rows;

use std::time::Duration;

use crossdock_tests::{Bootstrap, Gateway};
use serde_json::{Value, json};

use backend::Backend;
use client::Client;

const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway before one host.
struct Scene {
    gateway: Gateway,
    backend: Backend,
}

impl Scene {
    fn start(manager: Value) -> Self {
        let backend = Backend::recording();
        let routes =
            json!([{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}]);
        let bootstrap = Bootstrap::at(&["*"], routes)
            .cluster("echo", &[backend.address()], json!({}))
            .manager(manager);
        let gateway = Gateway::start(&bootstrap, &["--concurrency", "1"]);
        Self { gateway, backend }
    }

    fn client(&self) -> Client {
        Client::connect(self.gateway.address())
    }
}
