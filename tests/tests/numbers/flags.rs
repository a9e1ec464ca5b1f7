//! Response flags and details, each in every protocol, as Envoy 1.40 writes them for HTTP.

use std::fs;
use std::time::Duration;

use crossdock_tests::quartet::{Answer, Caller, File, Protocol, Service, when};
use crossdock_tests::{Gateway, UnusedPort, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
const FILE_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
const FAULT: &str = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
const LIMIT: &str =
    "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/// Why no connection can be opened to a port that nobody listens at.
const REFUSED: &str = "delayed_connect_error:_Connection_refused";

/// The connection ended with the call on it.
const ENDED: &str = "UC upstream_reset_before_response_started{connection_termination} 1";

/// The host broke the call off.
const RESET: &str = "UR upstream_reset_before_response_started{remote_reset} 1";

/// What a call asks for (headers `to` and `do`), and what is written of it: flags, details and attempts.
const CASES: &[(&str, &str, &str)] = &[
    ("", "answer", "- via_upstream 1"),
    ("teapot", "answer", "- direct_response 0"),
    ("astray", "answer", "NR route_not_found 0"),
    ("nowhere", "answer", "NC cluster_not_found 0"),
    (
        "full",
        "answer",
        "UO upstream_reset_before_response_started{overflow} 0",
    ),
    ("soon", "hang", "UT response_timeout 1"),
    ("", "cut", ENDED),
    (
        "",
        "babble",
        "UPE upstream_reset_before_response_started{protocol_error} 1",
    ),
    ("delayed", "answer", "DI via_upstream 1"),
    ("aborted", "answer", "DI,FI fault_filter_abort 0"),
    ("", "reset", ENDED),
    ("limited", "answer", "RL local_rate_limited 0"),
    (
        "bounded",
        "hang",
        "UMSDR upstream_max_stream_duration_reached 1",
    ),
    ("again", "fail", "URX via_upstream 2"),
    ("each-soon", "hang", "URX,UT upstream_per_try_timeout 2"),
];

fn fault(abort: bool) -> Value {
    let percentage = json!({"numerator": 100});
    let mut fault = json!({
        "@type": FAULT,
        "delay": {"fixed_delay": "0.02s", "percentage": percentage},
    });
    if abort {
        fault["abort"] = json!({"http_status": 504, "percentage": percentage});
    }
    json!({"route": {"cluster": "CLUSTER"}, "typed_per_filter_config": {"fault": fault}})
}

/// A cluster whose calls may last for a tenth of a second.
fn bounded(protocol: Protocol) -> Value {
    let version = match protocol {
        Protocol::Grpc => "http2_protocol_options",
        _ => "http_protocol_options",
    };
    let options = json!({
        "@type": format!("type.googleapis.com/{OPTIONS}"),
        "common_http_protocol_options": {"max_stream_duration": "0.1s"},
        "explicit_http_config": {version: {}},
    });
    json!({"typed_extension_protocol_options": {OPTIONS: options}})
}

/// A route that lets no call pass.
fn limited() -> Value {
    let always = json!({"default_value": {"numerator": 100}});
    let limit = json!({
        "@type": LIMIT,
        "stat_prefix": "limit",
        "token_bucket": {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"},
        "filter_enabled": always,
        "filter_enforced": always,
    });
    json!({"route": {"cluster": "CLUSTER"}, "typed_per_filter_config": {"limit": limit}})
}

fn gateway(services: &[Service; 4], closed: &UnusedPort) -> Gateway {
    let retry = |more: Value| json!({"route": {"cluster": "CLUSTER", "retry_policy": more}});
    let to = |cluster: &str| json!({"route": {"cluster": cluster}});
    let teapot = json!({"direct_response": {"status": 418, "body": {"inline_string": "tea"}}});
    let soon = json!({"route": {"cluster": "CLUSTER", "timeout": "0.1s"}});
    let each = retry(json!({"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "0.1s"}));
    let absent = json!([{"name": "to", "present_match": true, "invert_match": true}]);
    let routes = json!([
        when("teapot", &teapot),
        when("nowhere", &to("nowhere")),
        when("nobody", &to("CLUSTER-nobody")),
        when("refused", &to("CLUSTER-refused")),
        when("full", &to("CLUSTER-full")),
        when("soon", &soon),
        when("delayed", &fault(false)),
        when("aborted", &fault(true)),
        when("limited", &limited()),
        when("bounded", &to("CLUSTER-bounded")),
        when("idle", &json!({"route": {"cluster": "CLUSTER", "idle_timeout": "0.1s", "timeout": "0s"}})),
        when("again", &retry(json!({"retry_on": "5xx,unavailable", "num_retries": 1}))),
        when("each-soon", &each),
        {"match": {"prefix": "/", "headers": absent}, "route": {"cluster": "CLUSTER", "timeout": "0s"}},
    ]);
    let format = "%REQ(CASE)%|%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% \
                  %UPSTREAM_REQUEST_ATTEMPT_COUNT%|%UPSTREAM_TRANSPORT_FAILURE_REASON%\n";
    let log = json!({
        "@type": FILE_LOG,
        "path": "FOLDER/access.log",
        "log_format": {"text_format_source": {"inline_string": format}},
    });
    let filter = |name: &str, kind: &str| json!({"name": name, "typed_config": {"@type": kind}});
    let mut file = File::new(&routes)
        .before(services, &json!({}))
        .manager(&json!({
            "access_log": [{"name": "file", "typed_config": log}],
            "http_filters": [
                filter("fault", FAULT),
                {"name": "limit", "typed_config": {"@type": LIMIT, "stat_prefix": "off"}},
                filter("router", ROUTER),
            ],
        }));
    let full = json!({"circuit_breakers": {"thresholds": [{"max_requests": 0}]}});
    for (protocol, service) in Protocol::ALL.into_iter().zip(services) {
        file = file
            .cluster(protocol, "-nobody", &[], &json!({}))
            .cluster(protocol, "-refused", &[closed.address()], &json!({}))
            .cluster(protocol, "-full", &[service.address()], &full)
            .cluster(
                protocol,
                "-bounded",
                &[service.address()],
                &bounded(protocol),
            );
    }
    Gateway::start_text(&file.text(), &["--file-flush-interval-msec", "20"])
}

/// What is written of the call of this name.
fn written(gateway: &Gateway, case: &str) -> String {
    let path = gateway.folder().join("access.log");
    let found = eventually(PATIENCE, || {
        let text = fs::read_to_string(&path).ok()?;
        let mut lines = text.lines();
        let rest = lines.find_map(|line| line.strip_prefix(case)?.strip_prefix('|'));
        rest.map(str::to_owned)
    });
    found.unwrap_or_else(|| panic!("no line of {case}"))
}

#[test]
fn every_flag_is_told_in_every_protocol() {
    let services = Protocol::ALL.map(Service::start);
    let closed = UnusedPort::take();
    let gateway = gateway(&services, &closed);
    let mut wrong = Vec::new();
    for protocol in Protocol::ALL {
        let name = protocol.name();
        for (number, (to, deed, expected)) in CASES.iter().enumerate() {
            let case = format!("{name}-{number}");
            let mut headers = vec![("case", case.as_str()), ("do", *deed)];
            if !to.is_empty() {
                headers.push(("to", *to));
            }
            if *to == "limited" {
                let first = Caller::connect(protocol, gateway.address()).call(&[("to", to)]);
                assert_eq!(first, Answer::Good, "the bucket is full");
            }
            let answer = Caller::connect(protocol, gateway.address()).call(&headers);
            let line = written(&gateway, &case);
            let expected = match (protocol, *deed) {
                // Over gRPC this host says GOAWAY, which ends the connection in good order.
                (Protocol::Grpc, "babble") => ENDED,
                // Only there a call can be broken off without its connection.
                (Protocol::Grpc, "reset") => RESET,
                _ => *expected,
            };
            if line != format!("{expected}|-") {
                wrong.push(format!("{name} to '{to}' {deed}: {line}, {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn streams_that_stand_still_are_told() {
    let services = Protocol::ALL.map(Service::start);
    let closed = UnusedPort::take();
    let gateway = gateway(&services, &closed);
    // Framed calls come and go in one piece: there is nothing that could stand still.
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let case = format!("{}-idle", protocol.name());
        let headers = [("case", case.as_str()), ("to", "idle"), ("do", "hang")];
        let _ = Caller::connect(protocol, gateway.address()).call(&headers);
        assert_eq!(written(&gateway, &case), "SI stream_idle_timeout 1|-");
    }
    for protocol in Protocol::ALL {
        let case = format!("{}-bounded", protocol.name());
        let headers = [("case", case.as_str()), ("to", "bounded"), ("do", "hang")];
        let _ = Caller::connect(protocol, gateway.address()).call(&headers);
        let _ = written(&gateway, &case);
        let name = format!(
            "cluster.{}-bounded.upstream_rq_max_duration_reached",
            protocol.name()
        );
        assert_eq!(gateway.stat(&name), 1, "{protocol:?}");
    }
}

#[test]
fn hosts_that_are_not_there_are_told() {
    let services = Protocol::ALL.map(Service::start);
    let closed = UnusedPort::take();
    let gateway = gateway(&services, &closed);
    for protocol in Protocol::ALL {
        let name = protocol.name();
        for to in ["nobody", "refused"] {
            let case = format!("{name}-{to}");
            let _ =
                Caller::connect(protocol, gateway.address()).call(&[("case", &case), ("to", to)]);
            let line = written(&gateway, &case);
            let expected = match to {
                "nobody" => "UH no_healthy_upstream 0|-".to_owned(),
                _ => format!(
                    "UF upstream_reset_before_response_started{{remote_connection_failure|{REFUSED}}} \
                     1|{REFUSED}"
                ),
            };
            assert_eq!(line, expected, "{name} {to}");
        }
    }
}

#[test]
fn callers_that_leave_are_told() {
    let services = Protocol::ALL.map(Service::start);
    let closed = UnusedPort::take();
    let gateway = gateway(&services, &closed);
    for protocol in Protocol::ALL {
        let case = format!("{}-left", protocol.name());
        let before = services.iter().map(Service::received).sum::<u64>();
        let leaver = Caller::connect(protocol, gateway.address());
        leaver.leave(&[("case", &case), ("do", "slow")]);
        let line = written(&gateway, &case);
        assert!(
            line.starts_with("DC downstream_remote_disconnect "),
            "{protocol:?}: {line}"
        );
        assert!(services.iter().map(Service::received).sum::<u64>() >= before);
    }
}
