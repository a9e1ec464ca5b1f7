//! Lines of access logs as Istio's users have them, with the same values in every protocol.

use std::fs;
use std::time::Duration;

use crossdock_tests::quartet::{Caller, Deed, File, Protocol, Service, otherwise, when};
use crossdock_tests::{Gateway, eventually};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const FILE_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// What Istio's proxies write unless told otherwise (`accessLogFormat`).
const ISTIO: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
    \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% \
    %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% \
    %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

pub(crate) fn log(name: &str, format: &Value, filter: &Value) -> Value {
    let config = json!({
        "@type": FILE_LOG,
        "path": format!("FOLDER/{name}"),
        "log_format": format,
    });
    let mut log = json!({"name": name, "typed_config": config});
    if !filter.is_null() {
        log["filter"] = filter.clone();
    }
    log
}

pub(crate) fn text(format: &str) -> Value {
    json!({"text_format_source": {"inline_string": format}})
}

/// So many lines of a file, once they are there.
pub(crate) fn lines(gateway: &Gateway, name: &str, count: usize) -> Vec<String> {
    let path = gateway.folder().join(name);
    let found = eventually(PATIENCE, || {
        let text = fs::read_to_string(&path).ok()?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count).then_some(lines)
    });
    found.unwrap_or_else(|| panic!("fewer than {count} lines in {name}"))
}

fn start(services: &[Service; 4], logs: &Value) -> Gateway {
    let mut slow = json!({"name": "named", "route": {"cluster": "CLUSTER"}});
    slow["response_headers_to_add"] = json!([]);
    let routes = json!([when("named", &slow), otherwise()]);
    let file = File::new(&routes)
        .before(services, &json!({}))
        .manager(&json!({"access_log": logs}));
    Gateway::start_text(&file.text(), &["--file-flush-interval-msec", "20"])
}

/// Cuts a line at spaces, but not within quotation marks.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("there is one").push(other),
        }
    }
    words
}

#[test]
fn the_format_of_istio_has_its_values_in_every_protocol() {
    let services = Protocol::ALL.map(Service::start);
    let gateway = start(
        &services,
        &json!([log("istio.log", &text(ISTIO), &Value::Null)]),
    );
    for (at, protocol) in Protocol::ALL.into_iter().enumerate() {
        let mut caller = Caller::connect(protocol, gateway.address());
        let _ = caller.call(&[
            ("to", "named"),
            ("user-agent", "ua"),
            ("x-request-id", "id-1"),
            ("do", "slow"),
        ]);
        let line = lines(&gateway, "istio.log", at + 1).pop().expect("a line");
        let words = words(&line);
        assert_eq!(words.len(), 22, "{line}");
        let host = services[at].address().to_string();
        let version = match protocol {
            Protocol::Dubbo => "dubbo",
            Protocol::Bolt => "bolt",
            Protocol::Http => "HTTP/1.1",
            Protocol::Grpc => "HTTP/2",
        };
        assert!(
            words[0].starts_with("[20") && words[0].ends_with("Z]"),
            "{line}"
        );
        assert!(
            words[1].starts_with("POST /") && words[1].ends_with(version)
                || protocol == Protocol::Http,
            "{line}"
        );
        assert!(words[1].ends_with(version), "{line}");
        assert_eq!(words[2..7].join(" "), "200 - via_upstream - -", "{line}");
        let number = |at: usize| {
            words[at]
                .parse::<u64>()
                .unwrap_or_else(|_| panic!("{at}: {line}"))
        };
        assert!(
            number(8) > 0 || protocol == Protocol::Http,
            "octets of the answer: {line}"
        );
        assert!(
            number(9) >= 150 && number(10) >= 150 && number(10) <= number(9) + 1,
            "times: {line}"
        );
        assert_eq!(words[13], "id-1", "{line}");
        assert_eq!(words[12], "ua", "{line}");
        assert_eq!(words[14], protocol.service(), "{line}");
        assert_eq!(words[15], host, "{line}");
        assert_eq!(words[16], protocol.name(), "{line}");
        let local: std::net::SocketAddr = words[17].parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(local.ip().is_loopback() && local.port() > 0, "{line}");
        assert_eq!(words[18], gateway.address().to_string(), "{line}");
        assert!(words[19].starts_with("127.0.0.1:"), "{line}");
        assert_eq!(words[20], "-", "{line}");
        assert_eq!(words[21], "named", "{line}");
    }
}

#[test]
fn times_of_a_call_add_up() {
    let services = Protocol::ALL.map(Service::start);
    let format = "%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% \
                  %COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)% %COMMON_DURATION(DS_RX_BEG:DS_TX_END)%\n";
    let gateway = start(
        &services,
        &json!([log("times.log", &text(format), &Value::Null)]),
    );
    for (at, protocol) in Protocol::ALL.into_iter().enumerate() {
        let _ = Caller::connect(protocol, gateway.address()).ask(Deed::Slow);
        let line = lines(&gateway, "times.log", at + 1).pop().expect("a line");
        let times: Vec<u64> = line
            .split(' ')
            .map(|time| time.parse().expect("a number"))
            .collect();
        let [whole, request, sent, answered, rest, between, common] = times[..] else {
            panic!("{line}");
        };
        assert!(whole >= 150 && answered >= 150, "{protocol:?}: {line}");
        assert_eq!((request, common), (0, whole), "{protocol:?}: {line}");
        assert!(
            sent <= answered && answered <= whole,
            "{protocol:?}: {line}"
        );
        assert!(
            (whole - answered).abs_diff(rest) <= 1,
            "{protocol:?}: {line}"
        );
        assert!(
            between / 1000 >= 149 && between / 1000 <= whole,
            "{protocol:?}: {line}"
        );
    }
}

#[test]
fn filters_look_at_headers_and_outcomes_of_every_protocol() {
    let services = Protocol::ALL.map(Service::start);
    let header =
        json!({"header_filter": {"header": {"name": "case", "string_match": {"prefix": "yes"}}}});
    let failed = json!({"grpc_status_filter": {"statuses": ["UNAVAILABLE"]}});
    let both = json!({"and_filter": {"filters": [
        {"status_code_filter": {"comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "x"}}}},
        {"or_filter": {"filters": [header, {"duration_filter": {"comparison": {"op": "GE",
            "value": {"default_value": 100_000, "runtime_key": "y"}}}}]}},
    ]}});
    let format = json!({"json_format": {"case": "%REQ(CASE)%", "of": "%PROTOCOL%", "status": "%RESPONSE_CODE%"}});
    let gateway = start(
        &services,
        &json!([
            log("header.log", &format, &header),
            log("grpc.log", &text("%REQ(CASE)%\n"), &failed),
            log("both.log", &text("%REQ(CASE)%\n"), &both),
            log("all.log", &text("%REQ(CASE)%\n"), &Value::Null),
        ]),
    );
    for protocol in Protocol::ALL {
        for case in [
            "yes-good answer",
            "no-good answer",
            "yes-bad fail",
            "no-bad fail",
        ] {
            let (case, deed) = case.split_once(' ').expect("two words");
            let _ =
                Caller::connect(protocol, gateway.address()).call(&[("case", case), ("do", deed)]);
        }
    }
    assert_eq!(lines(&gateway, "all.log", 16).len(), 16);
    let headers = lines(&gateway, "header.log", 8);
    assert_eq!(headers.len(), 8, "{headers:?}");
    for line in headers {
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert!(
            line["case"]
                .as_str()
                .is_some_and(|case| case.starts_with("yes")),
            "{line}"
        );
        assert!(line["status"].is_u64(), "{line}");
    }
    let failed = lines(&gateway, "grpc.log", 8);
    assert!(
        failed.len() == 8 && failed.iter().all(|line| line.ends_with("bad")),
        "{failed:?}"
    );
    let both = lines(&gateway, "both.log", 3);
    assert!(both.iter().all(|line| line == "yes-bad"), "{both:?}");
}
