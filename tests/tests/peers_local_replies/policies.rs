//! Policies, each with one text for four protocols, before real callers: what each of them sees.

use std::process::Command;
use std::time::Duration;

use crossdock_tests::{
    Bootstrap, Consumer, Gateway, Kind, Peers, Provider, Tool, Turn, UnusedPort, eventually,
};
use serde_json::{Value, json};

use crate::table;

const PATIENCE: Duration = Duration::from_secs(30);
const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http";

/// The policies, by the header or attachment `case`: the fields of their routes. `CLUSTER` stands for the cluster
/// of the protocol.
fn policies() -> Value {
    let all = json!({"numerator": 100});
    let fault = |more: Value| {
        let mut fault = json!({"@type": format!("{TYPE}.fault.v3.HTTPFault")});
        extend(&mut fault, more);
        json!({"fault": fault})
    };
    let always = json!({"default_value": {"numerator": 100}});
    let limit = json!({"limit": {
        "@type": format!("{TYPE}.local_ratelimit.v3.LocalRateLimit"),
        "stat_prefix": "CLUSTER",
        "token_bucket": {"max_tokens": 2, "tokens_per_fill": 2, "fill_interval": "3600s"},
        "filter_enabled": always,
        "filter_enforced": always,
    }});
    let to = |cluster: &str| json!({"cluster": cluster, "timeout": "0s"});
    let own = || to("CLUSTER");
    json!({
        "plain": {"route": own()},
        "fault: abort 503": {
            "route": own(),
            "typed_per_filter_config": fault(json!({"abort": {"http_status": 503, "percentage": all}})),
        },
        "fault: abort 504": {
            "route": own(),
            "typed_per_filter_config": fault(json!({"abort": {"http_status": 504, "percentage": all}})),
        },
        "fault: delay beyond the caller's time": {
            "route": own(),
            "typed_per_filter_config": fault(json!({"delay": {"fixed_delay": "60s", "percentage": all}})),
        },
        "delayed": {
            "route": own(),
            "typed_per_filter_config": fault(json!({"delay": {"fixed_delay": "0.3s", "percentage": all}})),
        },
        "local_ratelimit": {"route": own(), "typed_per_filter_config": limit},
        "circuit breaker": {"route": to("CLUSTER-narrow")},
        "route timeout": {"route": {"cluster": "CLUSTER", "timeout": "0.03s"}},
        "per_try_timeout": {"route": {"cluster": "CLUSTER", "timeout": "5s", "retry_policy": {
            "retry_on": "5xx,reset", "num_retries": 1, "per_try_timeout": "0.03s",
        }}},
        "made whole": {"route": {"cluster": "CLUSTER-half", "timeout": "5s", "retry_policy": {
            "retry_on": "connect-failure,reset", "num_retries": 2,
        }}},
        "dead": {"route": {"cluster": "CLUSTER-dead", "timeout": "5s", "retry_policy": {
            "retry_on": "connect-failure", "num_retries": 1,
        }}},
        "direct_response 403": {"direct_response": {"status": 403, "body": {"inline_string": "not for you"}}},
    })
}

/// The causes of the table with the policy that each comes from; no policy belongs to the last.
const CAUSES: [&str; 9] = [
    "fault: abort 503",
    "fault: abort 504",
    "fault: delay beyond the caller's time",
    "local_ratelimit",
    "circuit breaker",
    "route timeout",
    "per_try_timeout",
    "dead",
    "direct_response 403",
];

/// What the table calls [`CAUSES`] that are not called by their policy.
fn heading(cause: &str) -> &str {
    match cause {
        "dead" => "connection refused by every host",
        cause => cause,
    }
}

fn extend(all: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (all, more) {
        all.extend(more);
    }
}

/// A real caller of one protocol.
struct Family {
    name: &'static str,
    /// The heading of its column.
    column: &'static str,
    /// What tells its calls from others', as a header matcher.
    sign: Value,
    provider: Provider,
    caller: Caller,
    dead: UnusedPort,
}

enum Caller {
    /// One that takes commands, and under which key a call carries the name of its policy.
    Lines(Consumer, &'static str),
    Curl(Tool),
}

/// A label, or the failure as the table shows it; and how long it took.
type Seen = (Result<String, String>, u64);

impl Family {
    fn call(&mut self, gateway: &Gateway, case: &str) -> Seen {
        let late = ["route timeout", "per_try_timeout"].contains(&case);
        let short = case.starts_with("fault: delay");
        match &mut self.caller {
            Caller::Lines(consumer, key) => {
                let mut more = json!({*key: {"case": case}});
                if short {
                    more["timeout"] = json!(300);
                }
                let answer = match late {
                    true => consumer.call_with("sleep", json!([1500]), more),
                    false => consumer.call_with("who", json!([]), more),
                };
                let told = match answer.ok() {
                    true => Ok(answer.value().to_string()),
                    false => Err(table::cell(&answer.failure())),
                };
                (told, answer.millis())
            }
            Caller::Curl(curl) => {
                let path = if late { "late/3" } else { "who" };
                let seconds = if short { "0.3" } else { "10" };
                let mut command = Command::new(curl.path());
                command
                    .args(["-s", "-o", "/dev/null", "-w", "%{http_code} %{time_total}"])
                    .args(["--max-time", seconds, "-H", &format!("case: {case}")])
                    .arg(format!("http://{}/{path}", gateway.address()));
                match curl.try_output(&mut command, b"", PATIENCE) {
                    Err((code, _)) => (Err(format!("exit code {code}")), 0),
                    Ok(said) => {
                        let said = String::from_utf8_lossy(&said).into_owned();
                        let (status, time) = said.split_once(' ').expect("two words");
                        let time: f64 = time.parse().expect("seconds");
                        let told = match status {
                            "200" => Ok("v1".to_owned()),
                            status => Err(status.to_owned()),
                        };
                        (told, (time * 1000.0) as u64)
                    }
                }
            }
        }
    }

    fn routes(&self) -> Vec<Value> {
        let text = policies().to_string().replace("CLUSTER", self.name);
        let Value::Object(policies) = serde_json::from_str(&text).expect("what was JSON before")
        else {
            unreachable!("an object")
        };
        let route = |(case, fields): (String, Value)| {
            let case = json!({"name": "case", "string_match": {"exact": case}});
            let mut route = json!({"match": {"prefix": "/", "headers": [self.sign, case]}});
            extend(&mut route, fields);
            route
        };
        policies.into_iter().map(route).collect()
    }

    fn clusters(&self, bootstrap: Bootstrap) -> Bootstrap {
        let (provider, dead) = (self.provider.address(), self.dead.address());
        let detection = json!({"outlier_detection": {
            "split_external_local_origin_errors": true,
            "consecutive_local_origin_failure": 1,
            "base_ejection_time": "600s",
            "max_ejection_percent": 50,
        }});
        let all = [
            ("", vec![provider], json!({})),
            (
                "-narrow",
                vec![provider],
                json!({"circuit_breakers": {"thresholds": [{"max_requests": 0}]}}),
            ),
            ("-half", vec![provider, dead], detection),
            ("-dead", vec![dead], json!({})),
        ];
        all.into_iter()
            .fold(bootstrap, |bootstrap, (end, hosts, more)| {
                let name = format!("{}{end}", self.name);
                match self.name {
                    "grpc" => bootstrap.http2_cluster(&name, &hosts, more),
                    _ => bootstrap.cluster(&name, &hosts, more),
                }
            })
    }
}

fn families() -> Option<Vec<Family>> {
    let present = |name: &str| json!({"name": name, "present_match": true});
    let lines = [
        (
            "sofa",
            "Java SOFARPC",
            Kind::JavaSofa,
            present("x-sofa-version"),
            "headers",
        ),
        (
            "dubbo",
            "Java Dubbo 3.3",
            Kind::JavaDubbo,
            present("x-dubbo-version"),
            "attachments",
        ),
        (
            "grpc",
            "grpc-go",
            Kind::Go,
            json!({"name": "content-type", "string_match": {"prefix": "application/grpc"}}),
            "attachments",
        ),
    ];
    let mut all = Vec::new();
    for (name, column, kind, sign, key) in lines {
        let peers = Peers::prepare(kind)?;
        all.push(Family {
            name,
            column,
            sign,
            provider: Provider::start(&peers, "v1", version(name)),
            caller: Caller::Lines(Consumer::start(&peers, &[]), key),
            dead: UnusedPort::take(),
        });
    }
    let http = Peers::prepare(Kind::NodeHttp)?;
    all.push(Family {
        name: "http",
        column: "curl",
        sign: json!({"name": ":method", "string_match": {"exact": "GET"}}),
        provider: Provider::start(&http, "v1", &[]),
        caller: Caller::Curl(Tool::find("curl")?),
        dead: UnusedPort::take(),
    });
    Some(all)
}

/// Its presence is what Dubbo's and SOFARPC's calls are known by.
fn version(name: &str) -> &'static [&'static str] {
    match name {
        "grpc" => &[],
        _ => &["--version", "1.0"],
    }
}

fn gateway(families: &[Family]) -> Gateway {
    let off = |name: &str, kind: &str, more: Value| {
        let mut config = json!({"@type": format!("{TYPE}.{kind}")});
        extend(&mut config, more);
        json!({"name": name, "typed_config": config})
    };
    let filters = json!([
        off("fault", "fault.v3.HTTPFault", json!({})),
        off(
            "limit",
            "local_ratelimit.v3.LocalRateLimit",
            json!({"stat_prefix": "none"})
        ),
        off("router", "router.v3.Router", json!({})),
    ]);
    let routes: Vec<Value> = families.iter().flat_map(Family::routes).collect();
    let bootstrap =
        Bootstrap::at(&["*"], Value::from(routes)).manager(json!({"http_filters": filters}));
    let bootstrap = families
        .iter()
        .fold(bootstrap, |bootstrap, family| family.clusters(bootstrap));
    Gateway::start(&bootstrap, &["--concurrency", "1"])
}

#[test]
fn one_text_for_four_protocols() {
    let _turn = Turn::take();
    let Some(mut families) = families() else {
        return;
    };
    let gateway = gateway(&families);
    for family in &mut families {
        if let Caller::Lines(consumer, _) = &mut family.caller {
            // As many retries as Dubbo has by default, of SOFARPC as many as it may have.
            let mut way = json!({"timeout": 20_000, "retries": 2});
            if family.name != "grpc" {
                way["version"] = json!("1.0");
            }
            consumer.refer(gateway.address(), way);
        }
        works(family, &gateway);
        let column: Vec<(&str, String)> = CAUSES
            .iter()
            .map(|cause| {
                let (told, _) = family.call(&gateway, cause);
                let failure = told.expect_err(cause);
                (heading(cause), failure)
            })
            .collect();
        counted(family, &gateway);
        table::check(family.column, &column);
    }
}

/// What a policy lets pass, or makes whole.
fn works(family: &mut Family, gateway: &Gateway) {
    let name = family.name;
    let mut good = |case: &str| {
        let (told, millis) = family.call(gateway, case);
        assert!(told.is_ok(), "{name}, {case}: {told:?}");
        millis
    };
    good("plain");
    assert!(good("delayed") >= 300, "{name}");
    // The bucket is empty then.
    good("local_ratelimit");
    good("local_ratelimit");
    let ejected = format!("cluster.{name}-half.outlier_detection.ejections_active");
    let found = eventually(PATIENCE, || {
        good("made whole");
        (gateway.stat(&ejected) == 1).then_some(())
    });
    assert!(found.is_some(), "{name}: the dead host is ejected");
    for _ in 0..10 {
        good("made whole");
    }
}

/// A refusal is not repeated by its caller: it costs the limit one call.
fn counted(family: &Family, gateway: &Gateway) {
    let name = family.name;
    let limited = gateway.stat(&format!("{name}.http_local_rate_limit.rate_limited"));
    assert_eq!(limited, 1, "{name}: refusals of one call by the limit");
    let full = gateway.stat(&format!(
        "cluster.{name}-narrow.upstream_rq_active_overflow"
    ));
    assert_eq!(
        full, 1,
        "{name}: refusals of one call by the circuit breaker"
    );
}
