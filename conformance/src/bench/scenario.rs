//! What is measured: the table of scenarios.

use super::contender::{Contender, Kind};
use super::wire::Wire;

/// How calls are made and which proxies carry them.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) wire: Wire,
    pub(crate) payload: usize,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    /// Backends behind the cluster.
    pub(crate) backends: usize,
    /// Measured calls of a round, in thousandths of `--requests`.
    pub(crate) calls: u64,
    /// Every round starts a fresh proxy and measures from its first call on.
    pub(crate) cold: bool,
    /// Adds contenders whose routes read an attachment.
    pub(crate) header_route: bool,
    pub(crate) what: What,
}

/// What a scenario finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The cost of calls.
    Calls,
    /// The memory of idle connections.
    Idle,
}

/// What the command line says about the shape of the load.
pub(crate) struct Shape {
    pub(crate) payloads: Vec<usize>,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
}

impl Scenario {
    /// Every scenario, in the order of the report.
    pub(crate) fn all(shape: &Shape) -> Vec<Self> {
        let Shape {
            connections,
            in_flight,
            ..
        } = *shape;
        let plain = |name: String, wire, payload| Self {
            about: format!("{connections} connections × {in_flight} calls in flight"),
            name,
            wire,
            payload,
            connections,
            in_flight,
            backends: 1,
            calls: 1000,
            cold: false,
            header_route: false,
            what: What::Calls,
        };
        let dubbo = |name: &str| plain(name.to_owned(), Wire::Dubbo, 128);
        let mut all = Vec::new();
        for (wire, name) in [(Wire::Dubbo, "dubbo"), (Wire::Bolt, "bolt")] {
            for payload in &shape.payloads {
                all.push(plain(
                    format!("{name}-{}", octets(*payload)),
                    wire,
                    *payload,
                ));
            }
        }
        all.push(Self {
            about: "the same, and a route that reads the last attachment".to_owned(),
            header_route: true,
            ..dubbo("dubbo-128-header-route")
        });
        all.push(Self {
            about: "16 connections × 1 call: nothing can be batched".to_owned(),
            connections: 16,
            in_flight: 1,
            calls: 250,
            ..dubbo("dubbo-ping")
        });
        all.push(Self {
            about: "128 connections × 8 calls, one host".to_owned(),
            connections: 128,
            in_flight: 8,
            ..dubbo("clients-128")
        });
        all.push(Self {
            about: "1000 connections × 32 calls at once, 10 hosts, from the proxy's first call"
                .to_owned(),
            connections: 1000,
            in_flight: 32,
            backends: 10,
            calls: 4000,
            cold: true,
            ..dubbo("fan-in")
        });
        all.push(Self {
            about: "resident memory, and what idle connections add".to_owned(),
            connections: 10_000,
            in_flight: 1,
            cold: true,
            what: What::Idle,
            ..dubbo("idle")
        });
        all
    }

    /// The proxies of this scenario among the kinds that are wanted.
    pub(crate) fn contenders(&self, wanted: &[Kind]) -> Vec<Contender> {
        let mut all = Vec::new();
        for kind in wanted.iter().copied() {
            if kind == Kind::EnvoyBound && self.wire == Wire::Bolt {
                continue;
            }
            all.push(Contender {
                kind,
                header_route: false,
            });
            if self.header_route && kind != Kind::Relay {
                all.push(Contender {
                    kind,
                    header_route: true,
                });
            }
        }
        all
    }
}

/// `4096` as `4k`.
fn octets(count: usize) -> String {
    if count >= 1024 && count.is_multiple_of(1024) {
        format!("{}k", count / 1024)
    } else {
        count.to_string()
    }
}
