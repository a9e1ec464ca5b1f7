//! A real Prometheus scrapes the examples, and says what their callers saw.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crossdock_tests::{Deadline, End, Gateway, Process, Tool, UnusedPort, eventually, get};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::output::{Row, rows};
use crate::{EXAMPLES, FIRST, PROTOCOLS};

const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("examples-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the target folder can be written");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `crossdock example all --serve`.
struct Examples {
    process: Process,
    /// What callers saw, by example.
    seen: Vec<Vec<Row>>,
    /// The configuration for Prometheus.
    config: PathBuf,
}

impl Examples {
    fn start(scratch: &Path) -> Self {
        let config = scratch.join("prometheus.yaml");
        let mut command = Command::new(Gateway::program());
        command
            .args(["example", "all", "--serve", "--prometheus"])
            .arg(&config);
        let mut process =
            Process::start("examples", &mut command, scratch).expect("the program starts");
        let mut lines = Vec::new();
        while lines.last().map(String::as_str) != Some("Ends with Ctrl-C.") {
            assert!(lines.len() < 1000, "{lines:#?}");
            let line = process.line(PATIENCE);
            lines.push(line.unwrap_or_else(|| panic!("no further line: {lines:#?}")));
        }
        let said = lines.join("\n");
        assert!(!said.contains("WRONG"), "{said}");
        let seen = EXAMPLES.iter().map(|name| {
            let at = lines
                .iter()
                .position(|line| line.starts_with(&format!("{name}: ")));
            let at = at.unwrap_or_else(|| panic!("{name}: {said}"));
            rows(&lines[at..].join("\n"))
        });
        Self {
            seen: seen.collect(),
            process,
            config,
        }
    }

    fn seen(&self, name: &str) -> &[Row] {
        let at = EXAMPLES.iter().position(|example| *example == name);
        &self.seen[at.expect("there is such an example")]
    }
}

/// A Prometheus that scrapes.
struct Prometheus {
    /// Ended by its id when dropped.
    _process: Process,
    address: SocketAddr,
}

impl Prometheus {
    fn start(program: &Tool, config: &Path, scratch: &Path) -> Self {
        // It is told its port, which anybody else may take before it does.
        for attempt in 0..5 {
            let address = UnusedPort::take().address();
            let mut command = Command::new(program.path());
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    scratch.join(format!("data-{attempt}")).display()
                ))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=warn");
            let mut process =
                Process::start("prometheus", &mut command, scratch).expect("it starts");
            let deadline = Deadline::after(PATIENCE);
            while !deadline.passed() && process.wait(Duration::ZERO) == End::StillRunning {
                if matches!(get(address, "GET", "/-/ready"), Ok((200, _))) {
                    return Self {
                        _process: process,
                        address,
                    };
                }
                deadline.tick();
            }
        }
        panic!("Prometheus does not start");
    }

    /// What an expression in PromQL is now: a number, or nothing where it matches nothing.
    fn ask(&self, query: &str) -> Option<f64> {
        let encoded: String = query.bytes().map(|octet| format!("%{octet:02x}")).collect();
        let path = format!("/api/v1/query?query={encoded}");
        let (status, body) = get(self.address, "GET", &path).expect("it answers");
        assert_eq!(status, 200, "{query}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let found = answer["data"]["result"].as_array().expect("a vector");
        assert!(found.len() <= 1, "{query}: {body}");
        found.first()?["value"][1].as_str()?.parse().ok()
    }

    /// Waits until a sum over series is what it should be. What has been scraped before the last call
    /// was counted is still another number.
    #[track_caller]
    fn says(&self, series: &str, expected: u64) {
        let query = format!("sum({series})");
        let mut last = None;
        let said = eventually(PATIENCE, || {
            last = self.ask(&query);
            (last.unwrap_or_default() == expected as f64).then_some(())
        });
        assert!(said.is_some(), "{query}: {last:?} instead of {expected}");
    }
}

/// Calls that are so.
fn calls(rows: &[Row], which: impl Fn(&Row) -> bool) -> u64 {
    let calls = rows.iter().filter(|row| which(row)).map(|row| row.calls);
    calls.sum()
}

/// The first word of the names of a protocol's clusters.
fn cluster(protocol: &str) -> &'static str {
    match protocol {
        "Dubbo" => "orders",
        "SOFARPC" => "stock",
        "HTTP" => "web",
        "gRPC" => "chat",
        other => panic!("{other}"),
    }
}

/// A counter of one of the clusters of a protocol.
fn of_cluster(name: &str, counter: &str, protocol: &str, version: &str) -> String {
    let cluster = cluster(protocol);
    format!("envoy_cluster_{counter}{{job=\"{name}\",envoy_cluster_name=\"{cluster}-{version}\"}}")
}

/// A counter of the connection manager.
fn of_manager(name: &str, counter: &str) -> String {
    format!("envoy_http_{counter}{{job=\"{name}\",envoy_http_conn_manager_prefix=\"rpc\"}}")
}

/// Calls that each version has served, of every protocol, where each call goes to a host once.
fn served(prometheus: &Prometheus, examples: &Examples, name: &str, versions: &[&str]) {
    let rows = examples.seen(name);
    for protocol in PROTOCOLS {
        for version in versions {
            let expected = calls(rows, |row| row.protocol == protocol && row.by == *version);
            let counter = of_cluster(name, "upstream_rq_total", protocol, version);
            prometheus.says(&counter, expected);
        }
    }
}

/// Every call is counted, by the class of the answer's HTTP status, or of the one that stands for an
/// RPC's outcome. gRPC tells failures by a status of its own.
fn answered(prometheus: &Prometheus, examples: &Examples, name: &str) {
    let rows = examples.seen(name);
    let all = calls(rows, |_| true);
    for counter in ["downstream_rq_total", "downstream_rq_completed"] {
        prometheus.says(&of_manager(name, counter), all);
    }
    let failed = |row: &Row| row.by == "-" && row.protocol != "gRPC";
    // A refusal is the caller's, a failure is not.
    let limited = |row: &Row| failed(row) && name == "one-a-second";
    for (class, expected) in [
        ("2", calls(rows, |row| !failed(row))),
        ("4", calls(rows, limited)),
        ("5", calls(rows, |row| failed(row) && !limited(row))),
    ] {
        let series = of_manager(name, "downstream_rq_xx");
        let series = series.replace('}', &format!(",envoy_response_code_class=\"{class}\"}}"));
        prometheus.says(&series, expected);
    }
}

/// A call that the limit lets through or refuses is counted by the one or the other.
fn limited(prometheus: &Prometheus, examples: &Examples) {
    let rows = examples.seen("one-a-second");
    let limit = |counter: &str| {
        format!(
            "envoy_http_local_rate_limit_{counter}{{job=\"one-a-second\",\
             envoy_local_http_ratelimit_prefix=\"one_a_second\"}}"
        )
    };
    let on_path = |row: &Row| FIRST.contains(&row.path.as_str());
    let passed = calls(rows, |row| on_path(row) && row.by != "-");
    let refused = calls(rows, |row| on_path(row) && row.by == "-");
    for (counter, expected) in [
        ("enabled", passed + refused),
        ("ok", passed),
        ("rate_limited", refused),
        ("enforced", refused),
    ] {
        prometheus.says(&limit(counter), expected);
    }
}

/// One try of each call fails on the path with retries.
fn retried(prometheus: &Prometheus, examples: &Examples) {
    let rows = examples.seen("retries");
    for (at, protocol) in PROTOCOLS.into_iter().enumerate() {
        let all = calls(rows, |row| row.protocol == protocol);
        let retried = calls(rows, |row| row.path == FIRST[at]);
        for (counter, expected) in [
            ("upstream_rq_total", all + retried),
            ("upstream_rq_retry", retried),
            ("upstream_rq_retry_success", retried),
            ("upstream_rq_retry_overflow", 0),
        ] {
            let counter = of_cluster("retries", counter, protocol, "flaky");
            prometheus.says(&counter, expected);
        }
    }
}

#[test]
fn prometheus_counts_what_callers_saw() {
    let Some(program) = Tool::find("prometheus") else {
        return;
    };
    let scratch = Scratch::new();
    let mut examples = Examples::start(&scratch.0);
    let prometheus = Prometheus::start(&program, &examples.config, &scratch.0);
    prometheus.says("up", EXAMPLES.len() as u64);
    for name in EXAMPLES {
        answered(&prometheus, &examples, name);
    }
    served(&prometheus, &examples, "route-by-header", &["v1", "v2"]);
    served(&prometheus, &examples, "shift-weights", &["v1", "v2"]);
    prometheus.says("envoy_http_rds_update_success{job=\"shift-weights\"}", 2);
    served(&prometheus, &examples, "fault-for-one-user", &["v1"]);
    let aborted = calls(examples.seen("fault-for-one-user"), |row| row.by == "-");
    let aborts = of_manager("fault-for-one-user", "fault_aborts_injected");
    prometheus.says(&aborts, aborted);
    served(&prometheus, &examples, "one-a-second", &["v1"]);
    limited(&prometheus, &examples);
    retried(&prometheus, &examples);

    let id = i32::try_from(examples.process.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a child has an id");
    kill_process(id, Signal::INT).expect("it runs");
    assert_eq!(examples.process.wait(PATIENCE), End::Code(0));
}
