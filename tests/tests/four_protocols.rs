//! One port and one route table for everybody: Dubbo, SOFARPC, gRPC, Triple and curl call at the same time, and each
//! call goes where its header or attachment, or the weights, send it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crossdock_tests::{Bootstrap, Consumer, Gateway, Kind, Peers, Provider, Tool, Turn};
use serde_json::{Value, json};

const CALLS: u64 = 2000;
/// A tenth of the calls, and four standard deviations of a binomial distribution (13.4) to each side.
const TENTH: std::ops::RangeInclusive<u64> = 147..=253;
const PATIENCE: Duration = Duration::from_secs(60);

/// Callers of one kind and the two versions that serve them.
struct Family {
    name: &'static str,
    /// What tells its calls from others', as a header matcher.
    sign: Value,
    /// Under which name rules see the attachment `tenant`.
    tenant: &'static str,
    http2: bool,
    v1: Provider,
    v2: Provider,
}

impl Family {
    fn routes(&self) -> [Value; 2] {
        let (v1, v2) = (self.cluster("v1"), self.cluster("v2"));
        let tenant = json!({"name": self.tenant, "string_match": {"exact": "blue"}});
        let split = json!([{"name": v1, "weight": 90}, {"name": v2, "weight": 10}]);
        [
            json!({
                "match": {"prefix": "/", "headers": [self.sign, tenant]},
                "route": {"cluster": v2, "timeout": "0s"},
            }),
            json!({
                "match": {"prefix": "/", "headers": [self.sign]},
                "route": {"weighted_clusters": {"clusters": split}, "timeout": "0s"},
            }),
        ]
    }

    fn clusters(&self, bootstrap: Bootstrap) -> Bootstrap {
        let versions = [("v1", &self.v1), ("v2", &self.v2)];
        versions
            .into_iter()
            .fold(bootstrap, |bootstrap, (version, provider)| {
                let (name, addresses) = (self.cluster(version), [provider.address()]);
                if self.http2 {
                    bootstrap.http2_cluster(&name, &addresses, json!({}))
                } else {
                    bootstrap.cluster(&name, &addresses, json!({}))
                }
            })
    }

    fn cluster(&self, version: &str) -> String {
        format!("{}-{version}", self.name)
    }
}

struct AllPeers {
    dubbo: Peers,
    sofa: Peers,
    go: Peers,
    node: Peers,
    http: Peers,
    curl: Tool,
}

impl AllPeers {
    fn prepare() -> Option<Self> {
        Some(Self {
            dubbo: Peers::prepare(Kind::JavaDubbo)?,
            sofa: Peers::prepare(Kind::JavaSofa)?,
            go: Peers::prepare(Kind::Go)?,
            node: Peers::prepare(Kind::Node)?,
            http: Peers::prepare(Kind::NodeHttp)?,
            curl: Tool::find("curl")?,
        })
    }

    /// The order is that of the routes: a Triple call is a gRPC call as well.
    fn families(&self) -> [Family; 5] {
        let present = |name: &str| json!({"name": name, "present_match": true});
        let triple = ["--protocol", "tri", "--version", "1.0"];
        [
            Family {
                name: "sofa",
                sign: present("x-sofa-version"),
                tenant: "rpc_req_baggage.tenant",
                http2: false,
                v1: Provider::start(&self.sofa, "v1", &[]),
                v2: Provider::start(&self.node, "v2", &["--wire", "bolt"]),
            },
            Family {
                name: "dubbo",
                sign: present("x-dubbo-version"),
                tenant: "tenant",
                http2: false,
                v1: Provider::start(&self.dubbo, "v1", &["--version", "1.0"]),
                v2: Provider::start(&self.node, "v2", &["--wire", "dubbo"]),
            },
            Family {
                name: "triple",
                sign: present("tri-service-version"),
                tenant: "tenant",
                http2: true,
                v1: Provider::start(&self.dubbo, "v1", &triple),
                v2: Provider::start(&self.dubbo, "v2", &triple),
            },
            Family {
                name: "grpc",
                sign: json!({"name": "content-type", "string_match": {"prefix": "application/grpc"}}),
                tenant: "tenant",
                http2: true,
                v1: Provider::start(&self.go, "v1", &[]),
                v2: Provider::start(&self.go, "v2", &[]),
            },
            Family {
                name: "curl",
                sign: json!({"name": ":method", "string_match": {"exact": "GET"}}),
                tenant: "tenant",
                http2: false,
                v1: Provider::start(&self.http, "v1", &[]),
                v2: Provider::start(&self.http, "v2", &[]),
            },
        ]
    }

    /// All but curl, which runs once for each task.
    fn consumers(&self, address: SocketAddr) -> [Consumer; 4] {
        let started = [
            (&self.sofa, json!({"version": "1.0"})),
            (&self.dubbo, json!({"version": "1.0"})),
            (&self.dubbo, json!({"version": "1.0", "protocol": "tri"})),
            (&self.go, json!({})),
        ];
        started.map(|(peers, more)| {
            let mut consumer = Consumer::start(peers, &[]);
            consumer.refer(address, more);
            consumer
        })
    }

    /// As many calls as a consumer makes, and who answered them. Over HTTP/1.1: curl 7.88 cannot use an HTTP/2
    /// connection without TLS for a second call, whoever answers.
    fn curl(&self, address: SocketAddr, more: &[&str]) -> BTreeMap<String, u64> {
        let mut command = Command::new(self.curl.path());
        command
            .args(["-sS", "--fail", "--max-time", "50", "--http1.1"])
            .args(["--parallel", "--parallel-max", "16"])
            .args(more)
            .arg(format!("http://{address}/who?[1-{CALLS}]"));
        let said = self.curl.output(&mut command, b"", PATIENCE);
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(said.len() as u64, 2 * CALLS, "labels alone: {said}");
        let count = |label: &str| said.matches(label).count() as u64;
        let counts = ["v1", "v2"].map(|label| (label.to_owned(), count(label)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// Who answered how many calls of each family, all of them calling at the same time.
fn at_once(
    peers: &AllPeers,
    consumers: &mut [Consumer],
    address: SocketAddr,
    attachments: &Value,
    header: &[&str],
) -> Vec<BTreeMap<String, u64>> {
    for consumer in consumers.iter_mut() {
        consumer.begin(json!({
            "op": "concurrent", "method": "who", "n": CALLS, "threads": 16, "attachments": attachments,
        }));
    }
    thread::scope(|scope| {
        let curl = scope.spawn(|| peers.curl(address, header));
        let mut all: Vec<_> = consumers
            .iter_mut()
            .map(|consumer| {
                let tally = consumer.finish().tally();
                assert_eq!(tally.failed(), 0, "{tally:?}");
                tally.answers
            })
            .collect();
        all.push(curl.join().expect("every call of curl is answered"));
        all
    })
}

#[test]
fn five_callers_of_four_protocols_share_a_port() {
    let _turn = Turn::take();
    let Some(peers) = AllPeers::prepare() else {
        return;
    };
    let families = peers.families();
    let routes: Vec<Value> = families.iter().flat_map(Family::routes).collect();
    let bootstrap = families.iter().fold(
        Bootstrap::at(&["*"], Value::from(routes)),
        |bootstrap, family| family.clusters(bootstrap),
    );
    let gateway = Gateway::start(&bootstrap, &[]);
    let address = gateway.address();
    let mut consumers = peers.consumers(address);

    let answers = at_once(&peers, &mut consumers, address, &json!({}), &[]);
    for (family, answers) in families.iter().zip(&answers) {
        let count = |label: &str| answers.get(label).copied().unwrap_or_default();
        assert_eq!(
            count("v1") + count("v2"),
            CALLS,
            "{}: {answers:?}",
            family.name
        );
        assert!(TENTH.contains(&count("v2")), "{}: {answers:?}", family.name);
    }

    let blue = json!({"tenant": "blue"});
    let answers = at_once(
        &peers,
        &mut consumers,
        address,
        &blue,
        &["-H", "tenant: blue"],
    );
    for (family, answers) in families.iter().zip(&answers) {
        let all = BTreeMap::from([("v2".to_owned(), CALLS)]);
        assert_eq!(answers, &all, "{}", family.name);
    }

    no_answer_at_the_wrong_caller(&mut consumers);
    streams(&mut consumers);
}

fn no_answer_at_the_wrong_caller(consumers: &mut [Consumer]) {
    for consumer in consumers.iter_mut() {
        consumer.begin(json!({
            "op": "concurrent", "method": "echo", "n": CALLS, "threads": 50, "unique": true,
        }));
    }
    for consumer in consumers {
        let tally = consumer.finish().tally();
        assert_eq!((tally.answered(), tally.wrong), (CALLS, 0), "{tally:?}");
    }
}

/// What only gRPC and Triple have, on the port that the others use as well.
fn streams(consumers: &mut [Consumer]) {
    let [_, _, triple, go] = consumers else {
        panic!("four consumers")
    };
    for consumer in [triple, go] {
        let blue = json!({"attachments": {"tenant": "blue"}});
        let many = consumer.call_with("count", json!([100]), blue.clone());
        assert_eq!(many.value(), &json!(vec!["v2"; 100]));
        let chat = consumer.call_with("chat", json!(["a", "b", "c"]), blue);
        let said: Vec<&str> = chat
            .value()
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|text| text.as_str()?.rsplit(':').next())
            .collect();
        assert_eq!(said, ["a", "b", "c"]);
    }
}
