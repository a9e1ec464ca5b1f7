//! Outlier detection at the edge of the process: one policy, word for word, before hosts of four protocols.

mod caller;
mod concealed;
mod ejection;
mod lost;
mod replica;
mod thrown;

use std::net::SocketAddr;

use crossdock_tests::{Bootstrap, Gateway};
use serde_json::{Value, json};

use crate::{
    caller::{Caller, Said},
    replica::{Manner, Replica},
};

/// A protocol that hosts and callers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Dubbo,
    Bolt,
    Http,
    Grpc,
}

impl Speech {
    const ALL: [Self; 4] = [Self::Dubbo, Self::Bolt, Self::Http, Self::Grpc];
}

/// Three failures in a row eject a host, and one of three may be ejected. Rates have tests of their own.
fn policy(base_ejection_time: &str) -> Value {
    json!({
        "outlier_detection": {
            "consecutive_5xx": 3,
            "interval": "0.05s",
            "base_ejection_time": base_ejection_time,
            "max_ejection_percent": 50,
        },
    })
}

/// A gateway with two workers before hosts that are all in the cluster `echo`.
fn gateway(
    speech: Speech,
    hosts: &[SocketAddr],
    cluster: Value,
    settings: &[(&str, Value)],
) -> Gateway {
    let routes =
        json!([{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "20s"}}]);
    let bootstrap = Bootstrap::at(&["*"], routes).settings(settings);
    let bootstrap = match speech {
        Speech::Grpc => bootstrap.http2_cluster("echo", hosts, cluster),
        Speech::Dubbo | Speech::Bolt | Speech::Http => bootstrap.cluster("echo", hosts, cluster),
    };
    Gateway::start(&bootstrap, &["--concurrency", "2"])
}

/// Three hosts, `0` to `2`, and a gateway before them.
struct Scene {
    hosts: [Replica; 3],
    gateway: Gateway,
    caller: Caller,
}

impl Scene {
    fn start(speech: Speech, cluster: Value, settings: &[(&str, Value)]) -> Self {
        let hosts = ["0", "1", "2"].map(|label| Replica::start(speech, label));
        let addresses = hosts.each_ref().map(Replica::address);
        let gateway = gateway(speech, &addresses, cluster, settings);
        let caller = Caller::connect(speech, gateway.address());
        Self {
            hosts,
            gateway,
            caller,
        }
    }

    /// Calls one after another: how many each host answered, and how many failed.
    fn calls(&mut self, count: usize) -> ([u32; 3], u32) {
        let (mut answers, mut failures) = ([0; 3], 0);
        for _ in 0..count {
            match self.caller.call() {
                Said::Label(label) => answers[label] += 1,
                Said::Failed => failures += 1,
            }
        }
        (answers, failures)
    }

    fn stat(&self, name: &str) -> u64 {
        self.gateway
            .stat(&format!("cluster.echo.outlier_detection.{name}"))
    }

    /// What the admin endpoint says of the health of a host.
    fn flags(&self, host: usize) -> String {
        let (_, page) = self.gateway.admin("GET", "/clusters");
        let start = format!("echo::{}::health_flags::", self.hosts[host].address());
        let flags = page.lines().find_map(|line| line.strip_prefix(&start));
        flags.expect("every host has flags").to_owned()
    }
}
