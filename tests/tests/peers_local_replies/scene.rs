//! A caller, a gateway that answers for each cause in turn, and a provider.

use std::net::SocketAddr;
use std::time::Duration;

use crossdock_tests::calls;
use crossdock_tests::{
    Answer, Bootstrap, Consumer, Gateway, Kind, Peers, Provider, UnusedPort, eventually,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// How a family tells the gateway by which of its routes a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// By an attachment `case`.
    Attachment,
    /// By a header `case`.
    Header,
    /// By the version of the service: this client puts nothing else where a route can see it.
    Version,
}

/// The version that the provider serves and the route [`PLAIN`] matches.
const VERSION: &str = "1.0";
const PLAIN: &str = "plain";

/// The causes with a route of their own, as the docs call them and as calls name them. No route matches the first.
const ROUTED: &[(&str, &str)] = &[
    ("no route", "no-route"),
    ("no such cluster", "no-cluster"),
    ("no host", "no-host"),
    ("connection refused by the host", "refused"),
    ("denied (403)", "denied"),
];

/// What a caller saw of a call that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// As [`Answer::failure`] tells it.
    pub(crate) failure: String,
    pub(crate) message: String,
    /// Whether its next call worked.
    pub(crate) works: bool,
}

/// The parts of a test.
pub(crate) struct Scene {
    pub(crate) gateway: Gateway,
    provider: Provider,
    consumers: Peers,
    consumer: Consumer,
    put: Put,
    way: Value,
    _unused: UnusedPort,
}

impl Scene {
    /// A provider with its options and a consumer. `None` when this machine lacks a peer.
    pub(crate) fn set((provides, options): (Kind, &[&str]), calls: Kind, put: Put) -> Option<Self> {
        let (providers, consumers) = (Peers::prepare(provides)?, Peers::prepare(calls)?);
        let provider = Provider::start(&providers, "v1", options);
        let unused = UnusedPort::take();
        let bootstrap = bootstrap(put, provider.address(), unused.address());
        Some(Self {
            gateway: Gateway::start(&bootstrap, &["--concurrency", "1"]),
            provider,
            consumer: Consumer::start(&consumers, &[]),
            consumers,
            put,
            way: json!({}),
            _unused: unused,
        })
    }

    /// The caller calls by a way with these keys from now on.
    pub(crate) fn refer(&mut self, way: Value) {
        self.consumer.refer(self.gateway.address(), way.clone());
        self.way = way;
    }

    /// One call that meets a cause of [`ROUTED`].
    pub(crate) fn call(&mut self, case: &str) -> Answer {
        let more = self.more(case);
        self.consumer.call_with("who", json!([]), more)
    }

    /// What is seen of every cause but the loss of the host, which ends the scene.
    #[track_caller]
    pub(crate) fn replies(&mut self) -> Vec<(&'static str, Seen)> {
        let mut all = Vec::new();
        for (cause, case) in ROUTED {
            let answer = self.call(case);
            all.push((*cause, self.seen(answer)));
        }
        let timeout = self.more("timeout");
        let answer = self.consumer.call_with("sleep", json!([1500]), timeout);
        all.push(("no answer in time", self.seen(answer)));
        let plain = self.more(PLAIN);
        let answer = match self.way["wire"].as_str() {
            // Node and Python write no octets of that length.
            Some(_) => calls::text_over_limit(&mut self.consumer, &plain),
            None => calls::request_over_limit(&mut self.consumer, &plain),
        };
        all.push(("request over the limit", self.seen(answer)));
        let answer = calls::response_over_limit(&mut self.consumer, &plain);
        all.push(("answer over the limit", self.seen(answer)));
        let answer = self.consumer.call_with("fail", json!(["boom"]), plain);
        all.push(("business exception of the service", self.seen(answer)));
        all
    }

    /// A failure, and whether the caller can still call. If not, another takes its place.
    #[track_caller]
    fn seen(&mut self, answer: Answer) -> Seen {
        let works = self.call(PLAIN).ok();
        if !works {
            self.consumer = Consumer::start(&self.consumers, &[]);
            self.refer(self.way.clone());
            assert_eq!(self.call(PLAIN).value(), "v1", "a new caller");
        }
        Seen {
            failure: answer.failure(),
            message: answer.message().to_owned(),
            works,
        }
    }

    /// One call may be at work; three more are refused at once and the first is answered. Returns the failure.
    #[track_caller]
    pub(crate) fn overload(&mut self) -> Seen {
        let mut command =
            json!({"op": "concurrent", "method": "sleep", "args": [800], "n": 4, "threads": 4});
        let more = self.more("overload");
        if let (Value::Object(command), Value::Object(more)) = (&mut command, more) {
            command.extend(more);
        }
        let tally = self.consumer.ask(command).tally();
        assert_eq!(tally.answered(), 1, "{tally:?}");
        let mut failures = tally.failures.iter();
        let (failure, count) = failures.next().expect("calls failed");
        assert_eq!((*count, failures.next()), (3, None), "{tally:?}");
        Seen {
            failure: failure.clone(),
            message: tally.messages.values().next().cloned().unwrap_or_default(),
            works: self.call(PLAIN).ok(),
        }
    }

    /// The provider dies during a call.
    #[track_caller]
    pub(crate) fn lost(&mut self) -> Answer {
        let timeout = self
            .way
            .get("timeout")
            .cloned()
            .unwrap_or_else(|| json!(20_000));
        let mut command = json!({"method": "sleep", "args": [15_000], "timeout": timeout});
        let more = self.more(PLAIN);
        if let (Value::Object(command), Value::Object(more)) = (&mut command, more) {
            command.extend(more);
        }
        self.consumer.begin(command);
        let active = || (self.gateway.stat("cluster.echo.upstream_rq_active") == 1).then_some(());
        assert!(
            eventually(PATIENCE, active).is_some(),
            "the call is at work"
        );
        self.provider.process.kill();
        self.consumer.finish()
    }

    /// The keys of a call that goes by the route of a case.
    fn more(&mut self, case: &str) -> Value {
        match self.put {
            Put::Attachment => json!({"attachments": {"case": case}}),
            Put::Header => json!({"headers": {"case": case}}),
            Put::Version if case == PLAIN => json!({}),
            Put::Version => {
                let mut way = self.way.clone();
                way["version"] = json!(case);
                self.consumer.refer_as(case, self.gateway.address(), way);
                json!({"ref": case})
            }
        }
    }
}

/// A route for each case. What names it decides: a call without it has none.
fn bootstrap(put: Put, provider: SocketAddr, unused: SocketAddr) -> Bootstrap {
    let case = |case: &str, action: (&str, Value)| {
        let (name, exact) = match put {
            Put::Version if case == PLAIN => ("x-sofa-version", VERSION),
            Put::Version => ("x-sofa-version", case),
            Put::Attachment | Put::Header => ("case", case),
        };
        let header = json!({"name": name, "string_match": {"exact": exact}});
        json!({"match": {"prefix": "/", "headers": [header]}, action.0: action.1})
    };
    let route =
        |cluster: &str, timeout: &str| ("route", json!({"cluster": cluster, "timeout": timeout}));
    let denied = json!({"status": 403, "body": {"inline_string": "not for you"}});
    Bootstrap::of(json!([
        case(PLAIN, route("echo", "0s")),
        case("no-cluster", route("absent", "0s")),
        case("no-host", route("empty", "0s")),
        case("refused", route("closed", "0s")),
        case("timeout", route("echo", "0.3s")),
        case("overload", route("narrow", "0s")),
        case("denied", ("direct_response", denied)),
    ]))
    .validate_clusters(false)
    .cluster("echo", &[provider], json!({}))
    .cluster("empty", &[], json!({}))
    .cluster("closed", &[unused], json!({}))
    .cluster(
        "narrow",
        &[provider],
        json!({"circuit_breakers": {"thresholds": [{"max_requests": 1}]}}),
    )
}
