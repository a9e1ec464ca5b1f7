//! Lines as they are written, against those that Envoy 1.40 writes.

use crossdock_framework::flags::Flag;

use super::*;

fn text(format: &str, omit_empty: bool) -> Format {
    let mut problems = Problems::default();
    Format::text(format, omit_empty, &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

fn json(yaml: &str, types: Types, omit_empty: bool) -> Format {
    let mut problems = Problems::default();
    let format = Format::json(&object(yaml), types, omit_empty, &mut problems);
    format.unwrap_or_else(|| panic!("{problems:?}"))
}

/// A JSON format by way of a configuration that holds it.
fn object(yaml: &str) -> Struct {
    let typed = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
    let log = logs(&format!(
        "- typed_config: {{\"@type\": {typed}, log_format: {{json_format: {}}}}}",
        yaml.replace('\n', " ")
    ));
    let Some(ConfigType::TypedConfig(any)) = &log[0].config_type else {
        panic!("no config")
    };
    let stdout = StdoutAccessLog::decode(any.value.as_slice()).expect("its type");
    let Some(stdout_access_log::AccessLogFormat::LogFormat(format)) = stdout.access_log_format
    else {
        panic!("no format")
    };
    match format.format {
        Some(Substitution::JsonFormat(object)) => object,
        _ => panic!("no JSON"),
    }
}

/// The line of a call that ended at 2026-11-23T11:05:42.370Z.
fn line(format: &Format, record: &Record<'_>) -> String {
    let now = UNIX_EPOCH + Duration::from_micros(1_795_431_942_370_000);
    let mut out = Vec::new();
    format.write(
        Line {
            now,
            ..ended(record)
        },
        &mut out,
    );
    String::from_utf8(out).expect("lines are UTF-8")
}

fn one(format: &str) -> String {
    line(&text(format, false), &Call::answered().record())
}

#[test]
fn the_default_is_envoys() {
    let call = Call::answered();
    assert_eq!(
        line(&Format::standard(), &call.record()),
        "[2026-11-23T11:05:42.357Z] \"POST /com.acme.Orders/create dubbo\" 200 - 128 64 12 11 \
         \"-\" \"-\" \"-\" \"com.acme.Orders\" \"10.0.0.2:20880\"\n"
    );
    assert_eq!(
        line(&Format::standard(), &call.refused(Cause::NoRoute)),
        "[2026-11-23T11:05:42.357Z] \"POST /com.acme.Orders/create dubbo\" 404 NR 128 64 12 - \
         \"-\" \"-\" \"-\" \"com.acme.Orders\" \"-\"\n"
    );
}

#[test]
fn istios_default_is_understood() {
    let format = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
        %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% \
        %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" \
        %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \
        \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \
        \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% \
        %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% \
        %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";
    assert_eq!(
        one(format),
        "[2026-11-23T11:05:42.357Z] \"POST /com.acme.Orders/create dubbo\" 200 - via_upstream - \
         \"-\" 128 64 12 11 \"-\" \"-\" \"-\" \"com.acme.Orders\" \"10.0.0.2:20880\" orders \
         10.0.0.9:51000 [::1]:20880 10.0.0.1:4711 - to-orders\n"
    );
}

#[test]
fn every_operator_has_its_value() {
    for (operator, value) in [
        ("%REQ(X-USER)%", "ada"),
        ("%REQ(X-USER):2%", "ad"),
        ("%REQ(X-NONE?X-USER)%", "ada"),
        ("%REQ(:Method)%", "POST"),
        ("%REQ(HOST)%", "com.acme.Orders"),
        ("%RESP(X-Served-By)%", "v2"),
        ("%RESP(X-None?X-Served-By):1%", "v"),
        ("%TRAILER(x)%", "-"),
        ("%START_TIME(%s.%3f)%", "1795431942.357"),
        ("%EMIT_TIME(%T.%3f)%", "11:05:42.370"),
        ("%EMIT_TIME%", "2026-11-23T11:05:42.370Z"),
        ("%START_TIME()%", "2026-11-23T11:05:42.357Z"),
        ("%RESPONSE_FLAGS_LONG%", "-"),
        ("%REQUEST_DURATION%", "0"),
        ("%REQUEST_TX_DURATION%", "1"),
        ("%RESPONSE_DURATION%", "12"),
        ("%RESPONSE_TX_DURATION%", "0"),
        ("%UPSTREAM_CLUSTER%", "orders"),
        ("%UPSTREAM_HOST_NAME%", "orders.local"),
        ("%UPSTREAM_REMOTE_ADDRESS%", "10.0.0.2:20880"),
        ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.2"),
        ("%UPSTREAM_REMOTE_PORT%", "20880"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.0.0.1:4711"),
        (
            "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
            "10.0.0.1",
        ),
        ("%DOWNSTREAM_REMOTE_PORT%", "4711"),
        ("%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "::1"),
        ("%DOWNSTREAM_LOCAL_PORT%", "20880"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "1"),
        ("%VIRTUAL_CLUSTER_NAME%", "-"),
        ("%UPSTREAM_LOCAL_PORT%", "51000"),
        ("%PATH%", "/com.acme.Orders/create"),
        ("%PATH(NQ:ORIG)%", "-"),
        ("%QUERY_PARAM(a)%", "-"),
        ("%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%", "1100"),
        ("%COMMON_DURATION(US_TX_END:US_RX_BEG)%", "11"),
        ("%COMMON_DURATION(DS_TX_END:DS_RX_BEG)%", "-"),
        ("%DYNAMIC_METADATA(a:b):3%", "-"),
        ("%FILTER_STATE(a:PLAIN)%", "-"),
        ("%DOWNSTREAM_PEER_URI_SAN%", "-"),
        ("%DOWNSTREAM_LOCAL_URI_SAN%", "-"),
        ("%DOWNSTREAM_TLS_VERSION%", "-"),
        ("%TRACE_ID%", "-"),
        ("%ACCESS_LOG_TYPE%", "DownstreamEnd"),
        ("%GRPC_STATUS%", "-"),
        ("%ENVIRONMENT(CROSSDOCK_HAS_NO_SUCH_VARIABLE)%", "-"),
        ("100%%", "100%"),
    ] {
        assert_eq!(one(operator), value, "{operator}");
    }
    let path = std::env::var("PATH").expect("tests have a PATH");
    let first: String = path.chars().take(3).collect();
    assert_eq!(one("%ENVIRONMENT(PATH):3%"), first);
    assert_ne!(one("%HOSTNAME%"), "-");
}

#[test]
fn queries_can_be_left_out() {
    let mut call = Call::answered();
    call.request = Words::new(&[(":path", "/a?secret=1")]);
    let format = text(
        "%REQ(:PATH)% %REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        false,
    );
    assert_eq!(line(&format, &call.record()), "/a?secret=1 /a");
}

#[test]
fn grpc_statuses_have_names() {
    let mut call = Call::answered();
    let format = text("%GRPC_STATUS% %GRPC_STATUS_NUMBER%", false);
    for (status, shown) in [("0", "OK 0"), ("14", "Unavailable 14"), ("99", "99 99")] {
        call.response = Some(Words::new(&[("grpc-status", status)]));
        assert_eq!(line(&format, &call.record()), shown);
    }
}

/// An answer that has come to its end.
struct Ended;

impl RoutingView for Ended {
    fn get(&self, key: Key<'_>) -> Option<Cow<'_, str>> {
        (key == Key::Header("grpc-status")).then_some(Cow::Borrowed("0"))
    }

    fn trailer(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "grpc-status" => Some(Cow::Borrowed("8")),
            "x-sum" => Some(Cow::Borrowed("abc")),
            _ => None,
        }
    }

    fn protocol(&self) -> &'static str {
        "HTTP/2"
    }
}

#[test]
fn trailers_are_told() {
    let call = Call::answered();
    let format = text(
        "%TRAILER(X-Sum)% %TRAILER(x-none?x-sum):2% %RESP(x-sum)% %TRAILER(x-none)% \
         %GRPC_STATUS_NUMBER%",
        false,
    );
    let record = Record {
        response: Some(&Ended),
        ..call.record()
    };
    assert_eq!(line(&format, &record), "abc ab - - 8");
}

#[test]
fn calls_of_grpc_always_have_a_status() {
    let mut call = Call::answered();
    call.request = Words::new(&[("content-type", "application/grpc+proto")]);
    let format = text("%GRPC_STATUS% %GRPC_STATUS_NUMBER%", false);
    for (http, shown) in [
        (503, "Unavailable 14"),
        (404, "Unimplemented 12"),
        (200, "Unknown 2"),
    ] {
        let record = Record {
            http,
            ..call.record()
        };
        assert_eq!(line(&format, &record), shown, "{http}");
    }
    call.request = Words::new(&[("content-type", "application/grpc-web")]);
    assert_eq!(line(&format, &call.record()), "- -");
}

#[test]
fn every_cause_has_its_flag_and_details() {
    let call = Call::answered();
    let format = text(
        "%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE_DETAILS%",
        false,
    );
    for (cause, shown) in [
        (Cause::NoRoute, "NR NoRouteFound route_not_found"),
        (Cause::NoCluster, "NC NoClusterFound cluster_not_found"),
        (Cause::NoHost, "UH NoHealthyUpstream no_healthy_upstream"),
        (Cause::Timeout, "UT UpstreamRequestTimeout response_timeout"),
        (Cause::DirectResponse, "- - direct_response"),
        (Cause::RateLimited, "RL RateLimited local_rate_limited"),
        (Cause::Fault, "FI FaultInjected fault_filter_abort"),
        (
            Cause::Overload,
            "UO UpstreamOverflow upstream_reset_before_response_started{overflow}",
        ),
        (
            Cause::ConnectFailed,
            "UF UpstreamConnectionFailure upstream_reset_before_response_started\
             {remote_connection_failure}",
        ),
    ] {
        assert_eq!(line(&format, &call.refused(cause)), shown);
    }
    let gone = Record {
        flags: [
            Flag::UpstreamRequestTimeout,
            Flag::DownstreamConnectionTermination,
        ]
        .into_iter()
        .collect(),
        orphaned: true,
        ..call.refused(Cause::Timeout)
    };
    assert_eq!(
        line(&format, &gone),
        "UT,DC UpstreamRequestTimeout,DownstreamConnectionTermination downstream_remote_disconnect"
    );
}

#[test]
fn details_say_what_causes_leave_open() {
    let call = Call::answered();
    let format = text(
        "%RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%",
        false,
    );
    let lost = Cause::ConnectionLost;
    for (cause, detail, shown) in [
        (
            Cause::Timeout,
            Detail::TryTimeout,
            "upstream_per_try_timeout -",
        ),
        (Cause::Timeout, Detail::StreamIdle, "stream_idle_timeout -"),
        (
            Cause::Timeout,
            Detail::MaxDuration,
            "max_duration_timeout -",
        ),
        (
            Cause::Timeout,
            Detail::RequestTimeout,
            "request_overall_timeout -",
        ),
        (
            Cause::ConnectFailed,
            Detail::ConnectTimeout,
            "upstream_reset_before_response_started{connection_timeout} -",
        ),
        (
            lost,
            Detail::RefusedStream,
            "upstream_reset_before_response_started{remote_refused_stream_reset} -",
        ),
        (lost, Detail::CallerGone, "downstream_remote_disconnect -"),
        (Cause::Denied, Detail::Upgrade, "upgrade_failed -"),
    ] {
        let record = Record {
            detail,
            ..call.refused(cause)
        };
        assert_eq!(line(&format, &record), shown);
    }
    let refused = Record {
        transport_failure: Some("delayed_connect_error:_Connection_refused"),
        ..call.refused(Cause::ConnectFailed)
    };
    assert_eq!(
        line(&format, &refused),
        "upstream_reset_before_response_started{remote_connection_failure|\
         delayed_connect_error:_Connection_refused} delayed_connect_error:_Connection_refused"
    );
    let broken = Record {
        begun: true,
        detail: Detail::RemoteReset,
        ..call.refused(lost)
    };
    assert_eq!(
        line(&format, &broken),
        "upstream_reset_after_response_started{remote_reset} -"
    );
}

#[test]
fn callers_cannot_forge_lines_or_fields() {
    let mut call = Call::answered();
    let evil = "a\"b\\c\nd\re\tf\0g\u{1b}[31m\u{7f}\u{85}\u{2028}h\u{e9}";
    call.request = Words::new(&[("x-user", evil)]);
    let escaped = r#"a\"b\\c\nd\re\tf\u0000g\u001b[31m\u007f\u0085\u2028h"#.to_owned() + "\u{e9}";
    assert_eq!(
        line(&text("<%REQ(X-USER)%>\n", false), &call.record()),
        format!("<{escaped}>\n")
    );

    let format = json("{u: \"%REQ(X-USER)%\"}", Types::Kept, false);
    let line = line(&format, &call.record());
    let read: serde_json::Value = serde_json::from_str(&line).expect("a JSON object");
    assert_eq!(read["u"], evil);
}

#[test]
fn long_values_are_cut_between_characters() {
    let mut call = Call::answered();
    call.request = Words(vec![("x-user", "\u{20ac}".repeat(MAX_VALUE))]);
    let written = line(&text("%REQ(X-USER)%", false), &call.record());
    assert!(written.len() <= MAX_VALUE && written.len() > MAX_VALUE - 3);
}

#[test]
fn what_is_missing_can_be_left_out_of_text() {
    // Envoy writes `-` for no flags, even where empty values are omitted.
    let format = text(
        "[%REQ(X-NO)%] %REQ(X-USER):3% %RESPONSE_FLAGS% x%REQ(X-NO)%y\n",
        true,
    );
    assert_eq!(line(&format, &Call::answered().record()), "[] ada - xy\n");
}

const OBJECT: &str = r#"{
    att: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", code: "%RESPONSE_CODE%", dash: "%REQUESTED_SERVER_NAME%",
    emp: {x: "%REQ(X-NO)%"}, flags: "%RESPONSE_FLAGS%", host: "%UPSTREAM_HOST%",
    lst: ["%REQ(X-NO)%", "a"], mix: "a %RESPONSE_CODE%",
    nested: {a: ["%PROTOCOL%", 1, true, null, "plain", 2.5]}, none: "%REQ(X-NO)%",
    none2: "x%REQ(X-NO)%y", port: "%DOWNSTREAM_LOCAL_PORT%",
    svc: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", t: "%START_TIME%",
    two: "%RESPONSE_CODE%%RESPONSE_CODE%", "a\"b": "\"%%", zero: ""
}"#;

#[test]
fn json_keeps_types_as_envoy_does() {
    assert_eq!(
        line(
            &json(OBJECT, Types::Kept, false),
            &Call::answered().record()
        ),
        concat!(
            r#"{"a\"b":"\"%","att":1,"code":200,"dash":null,"emp":{"x":null},"flags":"-","#,
            r#""host":"10.0.0.2:20880","lst":[null,"a"],"mix":"a 200","#,
            r#""nested":{"a":["dubbo",1,true,null,"plain",2.5]},"none":null,"none2":"x-y","#,
            r#""port":20880,"svc":"11","t":"2026-11-23T11:05:42.357Z","two":"200200","zero":""}"#,
            "\n"
        )
    );
}

#[test]
fn json_leaves_out_what_is_missing() {
    // Envoy leaves out an object too when nothing is left in it.
    assert_eq!(
        line(&json(OBJECT, Types::Kept, true), &Call::answered().record()),
        concat!(
            r#"{"a\"b":"\"%","att":1,"code":200,"flags":"-","host":"10.0.0.2:20880","lst":["a"],"#,
            r#""mix":"a 200","nested":{"a":["dubbo",1,true,"plain",2.5]},"none2":"xy","#,
            r#""port":20880,"svc":"11","t":"2026-11-23T11:05:42.357Z","two":"200200","zero":""}"#,
            "\n"
        )
    );
}

#[test]
fn the_older_json_has_strings_alone() {
    let format = json(
        r#"{code: "%RESPONSE_CODE%", none: "%REQ(X-NO)%"}"#,
        Types::Strings,
        false,
    );
    assert_eq!(
        line(&format, &Call::answered().record()),
        "{\"code\":\"200\",\"none\":\"-\"}\n"
    );
}

#[test]
fn what_tls_told_stands_in_lines() {
    use crossdock_framework::protocol::{PeerCertificate, Tls};
    let format = text(
        "%REQUESTED_SERVER_NAME% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% \
         %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_DNS_SAN% \
         %DOWNSTREAM_PEER_FINGERPRINT_256% %DOWNSTREAM_PEER_ISSUER% %DOWNSTREAM_PEER_SERIAL%",
        false,
    );
    let mut call = Call::answered();
    assert_eq!(line(&format, &call.record()), "- - - - - - - - -");
    call.facts.tls = Some(Arc::new(Tls {
        server_name: Some("orders.acme".into()),
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        peer: Some(PeerCertificate {
            subject: "CN=ada".into(),
            issuer: "CN=ca".into(),
            serial: "0a".into(),
            fingerprint: "ff".into(),
            uris: ["spiffe://a/b".into(), "spiffe://a/c".into()].into(),
            ..PeerCertificate::default()
        }),
        ..Tls::default()
    }));
    assert_eq!(
        line(&format, &call.record()),
        "orders.acme TLSv1.3 TLS_AES_128_GCM_SHA256 CN=ada spiffe://a/b,spiffe://a/c - ff CN=ca 0a"
    );
}
