//! What is measured: the table of scenarios.

use super::contender::{Contender, Kind, Variant};
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
    /// Adds every contender that varies in this variant also.
    pub(crate) variant: Option<Variant>,
    /// Connections that call at the same time, if not all do.
    pub(crate) at_once: Option<usize>,
    pub(crate) what: What,
}

/// What a scenario finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The cost of calls.
    Calls,
    /// The memory of idle connections.
    Idle,
    /// What connections leave behind that come, make a call and go, while others stay.
    Churn,
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
            variant: None,
            at_once: None,
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
            variant: Some(Variant::Attachment),
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
        all.extend(Self::http(shape));
        all.extend(Self::policies(&all));
        all
    }

    /// What policies cost each protocol: its calls of 128 octets, with and without.
    fn policies(all: &[Self]) -> Vec<Self> {
        let names = ["dubbo-128", "bolt-128", "http1-128", "grpc-128"];
        let plain = names
            .iter()
            .filter_map(|name| all.iter().find(|one| one.name == *name));
        let under = |same: &Self| Self {
            name: format!("{}-policies", same.name),
            about: format!(
                "{}; and a header route, a local limit, retries, outlier detection and an access log",
                same.about
            ),
            variant: Some(Variant::Policies),
            ..same.clone()
        };
        plain.map(under).collect()
    }

    /// The scenarios of HTTP.
    fn http(shape: &Shape) -> Vec<Self> {
        let plain = |wire, name: String, payload| {
            let (connections, in_flight) = match wire {
                Wire::Http1 => (64, 1),
                _ => (shape.connections, shape.in_flight),
            };
            Self {
                about: format!("{connections} connections × {in_flight} calls in flight"),
                name,
                wire,
                payload,
                connections,
                in_flight,
                backends: 1,
                calls: 250,
                cold: false,
                variant: None,
                at_once: None,
                what: What::Calls,
            }
        };
        let mut all = Vec::new();
        for (wire, name) in [(Wire::Http1, "http1"), (Wire::Grpc, "grpc")] {
            for payload in &shape.payloads {
                all.push(plain(
                    wire,
                    format!("{name}-{}", octets(*payload)),
                    *payload,
                ));
            }
        }
        for payload in &shape.payloads {
            let same = plain(
                Wire::Grpc,
                format!("grpc-{}-mtls", octets(*payload)),
                *payload,
            );
            all.push(Self {
                about: format!("{}; and mutual TLS on both sides", same.about),
                calls: 125,
                variant: Some(Variant::Mtls),
                ..same
            });
        }
        for (wire, name) in [(Wire::Http1, "http1"), (Wire::Grpc, "grpc")] {
            let held = |name: String, about: &str, what| Self {
                about: about.to_owned(),
                connections: 10_000,
                in_flight: 1,
                cold: true,
                at_once: Some(64),
                what,
                ..plain(wire, name, 128)
            };
            let about = "resident memory, and what idle connections add, of which 64 call at once";
            all.push(held(format!("idle-{name}"), about, What::Idle));
            let about = "connections that make one call each, while others stay open";
            all.push(held(format!("churn-{name}"), about, What::Churn));
        }
        all
    }

    /// The proxies of this scenario among the kinds that are wanted.
    pub(crate) fn contenders(&self, wanted: &[Kind]) -> Vec<Contender> {
        let speaking = wanted.iter().filter(|kind| kind.speaks(self.wire));
        // Envoy's proxies of frames know none of the policies.
        let varies = |kind: Kind| {
            let framed = matches!(self.wire, Wire::Dubbo | Wire::Bolt);
            let foreign = matches!(kind, Kind::Envoy | Kind::EnvoyBound);
            kind.varies() && !(self.variant == Some(Variant::Policies) && framed && foreign)
        };
        let variants = |kind: &Kind| {
            let more = self.variant.filter(|_| varies(*kind));
            let kind = *kind;
            std::iter::once(Variant::Plain)
                .chain(more)
                .map(move |variant| Contender { kind, variant })
        };
        // Who has no such variant has nothing to be compared with, but for the floor.
        let taking_part =
            |kind: &&Kind| self.variant.is_none() || varies(**kind) || **kind == Kind::Relay;
        speaking.filter(taking_part).flat_map(variants).collect()
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
