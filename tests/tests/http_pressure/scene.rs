//! A gateway before a host, and what is looked at from outside while calls go through.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use crossdock_tests::{Bootstrap, Gateway};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::client::{Two, Wire};
use crate::host::{self, Host, Manner};

/// How long anything may take that is expected to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// How long one call may take that nothing should hold up, on a machine with a lot to do.
pub(crate) const PROMPT: Duration = Duration::from_secs(5);

/// The breakers' limits, which are never reached.
const MOST: u64 = 100_000;

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Runs a test that ends in time.
pub(crate) fn run(test: impl Future<Output = ()>) {
    host::runtime().block_on(async {
        timeout(Duration::from_secs(80), test)
            .await
            .expect("the test ends in time");
    });
}

/// Waits until `look` holds.
pub(crate) async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let wait = async {
        while !look() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "in vain: {what}");
}

/// Whether the tests are to last as long as the release criteria say.
pub(crate) fn long() -> bool {
    std::env::var_os("CROSSDOCK_PRESSURE").is_some_and(|value| value == "long")
}

/// A version of HTTP, of a client or of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// Every pair of versions, the client's first.
pub(crate) const WAYS: [(Version, Version); 4] = [
    (Version::One, Version::One),
    (Version::One, Version::Two),
    (Version::Two, Version::One),
    (Version::Two, Version::Two),
];

impl Version {
    /// A path that is sent to a host in this version.
    pub(crate) fn path(self, path: &str) -> String {
        match self {
            Self::One => path.to_owned(),
            Self::Two => format!("/h2{path}"),
        }
    }
}

/// What a test configures.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    pub(crate) manner: Manner,
    pub(crate) args: Vec<&'static str>,
    /// Further fields of both clusters' `common_http_protocol_options`.
    pub(crate) common: Value,
    /// Further fields of both clusters.
    pub(crate) cluster: Value,
    pub(crate) settings: Vec<(&'static str, Value)>,
    pub(crate) manager: Value,
}

/// A gateway before a host, by two clusters: `one` speaks HTTP/1 to it, `two` HTTP/2.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    pub(crate) host: Host,
    pub(crate) address: SocketAddr,
}

impl Scene {
    pub(crate) fn start(setup: Setup) -> Self {
        let host = Host::start(setup.manner);
        let gateway = gateway(&setup, host.address);
        Self {
            address: gateway.address(),
            gateway,
            host,
        }
    }

    /// Waits until nothing is under way any more, and checks that everything that was counted adds up.
    pub(crate) async fn settles(&self) {
        let gauges = [
            "http.rpc.downstream_rq_active",
            "cluster.one.upstream_rq_active",
            "cluster.two.upstream_rq_active",
            "cluster.one.upstream_rq_pending_active",
            "cluster.two.upstream_rq_pending_active",
        ];
        eventually("nothing is under way", || {
            let stats = self.stats();
            gauges.iter().all(|gauge| stat(&stats, gauge) == 0)
        })
        .await;
        let stats = self.stats();
        let [begun, answered, left] = ["total", "completed", "rx_reset"]
            .map(|what| stat(&stats, &format!("http.rpc.downstream_rq_{what}")));
        // A caller may also leave within its answer.
        assert!(
            (answered..=answered + left).contains(&begun),
            "{begun} calls begun, {answered} answered, {left} left"
        );
        for cluster in ["one", "two"] {
            for left in ["rq", "pending"] {
                let name = format!("cluster.{cluster}.circuit_breakers.default.remaining_{left}");
                assert!(
                    stats.contains(&format!("{name}: {MOST}\n")),
                    "{name}: {stats}"
                );
            }
            let open = stat(&stats, &format!("cluster.{cluster}.upstream_cx_active"));
            let name = format!("cluster.{cluster}.circuit_breakers.default.remaining_cx");
            assert_eq!(stat(&stats, &name), MOST - open, "{name}");
        }
        let (_, page) = self.gateway.admin("GET", "/clusters");
        let active = page.lines().filter(|line| line.contains("::rq_active::"));
        for line in active {
            assert!(line.ends_with("::0"), "{line}");
        }
    }

    pub(crate) fn stats(&self) -> String {
        self.gateway.admin("GET", "/stats").1
    }

    /// Resident memory of the gateway in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.gateway.resident_kib()
    }

    /// Descriptors that the gateway has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.gateway.process.id());
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    /// A call by a client of its own.
    pub(crate) async fn ask(
        &self,
        way: (Version, Version),
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Said {
        let path = way.1.path(path);
        match way.0 {
            Version::One => match Wire::connect(self.address).await {
                Ok(mut wire) => said(wire.call(method, &path, body).await),
                Err(error) => Err(error.to_string()),
            },
            Version::Two => match Two::connect(self.address).await {
                Ok(two) => said(two.call(method, &path, body).await),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    /// Calls by other clients in every version, each of which has to be answered promptly.
    pub(crate) async fn others_go_on(&self, rounds: usize) {
        for round in 0..rounds {
            for way in WAYS {
                let call = self.ask(way, "GET", "/", b"");
                let said = timeout(PROMPT, call).await;
                assert_eq!(said, Ok(Ok((200, 1))), "{way:?}, round {round}");
            }
        }
    }
}

/// Status and length of an answer, or why there is none.
pub(crate) type Said = Result<(u16, usize), String>;

pub(crate) fn said<E: std::fmt::Display>(result: Result<(u16, usize), E>) -> Said {
    result.map_err(|error| error.to_string())
}

/// One value of a page of statistics; 0 where there is none.
pub(crate) fn stat(stats: &str, name: &str) -> u64 {
    stats
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or_default()
}

/// A gateway whose paths below `/h2` go to the host over HTTP/2, and all others over HTTP/1.
pub(crate) fn gateway(setup: &Setup, host: SocketAddr) -> Gateway {
    let routes = json!([
        {
            "match": {"prefix": "/h2/"},
            "route": {"cluster": "two", "prefix_rewrite": "/", "timeout": "0s"},
        },
        {"match": {"prefix": "/"}, "route": {"cluster": "one", "timeout": "0s"}},
    ]);
    let mut bootstrap = Bootstrap::at(&["*"], routes).manager(match &setup.manager {
        Value::Null => json!({}),
        manager => manager.clone(),
    });
    for (name, version) in [
        ("one", "http_protocol_options"),
        ("two", "http2_protocol_options"),
    ] {
        let mut options = json!({
            "@type": format!("type.googleapis.com/{OPTIONS}"),
            "explicit_http_config": {version: {}},
        });
        if !setup.common.is_null() {
            options["common_http_protocol_options"] = setup.common.clone();
        }
        let limits = json!([{
            "max_connections": MOST, "max_pending_requests": MOST, "max_requests": MOST, "track_remaining": true,
        }]);
        let mut cluster = json!({
            "typed_extension_protocol_options": {OPTIONS: options},
            "circuit_breakers": {"thresholds": limits},
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut cluster, &setup.cluster) {
            all.extend(more.clone());
        }
        bootstrap = bootstrap.cluster(name, &[host], cluster);
    }
    for (key, value) in &setup.settings {
        bootstrap = bootstrap.setting(key, value.clone());
    }
    let mut args = vec!["--concurrency", "1"];
    args.extend(&setup.args);
    Gateway::start(&bootstrap, &args)
}
