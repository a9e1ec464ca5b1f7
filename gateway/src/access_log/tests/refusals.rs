//! What is refused, and in which words.

use super::*;

/// The problems of a list of access logs, as `field: reason; cure`.
fn refusals(yaml: &str) -> Vec<String> {
    let problems = compile(&logs(yaml), &Files::unopened()).expect_err(yaml);
    problems.iter().map(ToString::to_string).collect()
}

fn stdout(format: &str) -> String {
    let typed = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
    format!("- name: x\n  typed_config: {{\"@type\": {typed}, log_format: {format}}}\n")
}

fn text(format: &str) -> String {
    stdout(&format!(
        "{{text_format_source: {{inline_string: \"{format}\"}}}}"
    ))
}

#[test]
fn every_problem_is_told_at_its_field() {
    let yaml = text("%NO_SUCH%") + &text("ok") + &text("%REQ(%");
    assert_eq!(
        refusals(&yaml),
        [
            "access_log[0].typed_config.log_format.text_format_source: the operator %NO_SUCH% is \
             not supported; remove it from the format",
            "access_log[2].typed_config.log_format.text_format_source: the format cannot be read: \
             an operator without its closing )% (at byte 0); write %OPERATOR% or %%",
        ]
    );
}

#[test]
fn formats_that_mean_nothing_are_refused() {
    for (format, reason) in [
        ("%REQ%", "%REQ% does not say which"),
        ("%REQ()%", "%REQ% does not say which"),
        ("%REQ(a?b?c)%", "%REQ% does not say which"),
        ("%ENVIRONMENT%", "%ENVIRONMENT% does not say which"),
        ("%DURATION(x)%", "%DURATION% takes no argument"),
        ("%START_TIME(%Q)%", "%START_TIME%: %Q is not known"),
        (
            "%METADATA(ROUTE:a:b)%",
            "the operator %METADATA% is not supported",
        ),
        (
            "%UPSTREAM_METADATA(a:b)%",
            "the operator %UPSTREAM_METADATA% is not supported",
        ),
        ("%CEL(request.path)%", "the operator %CEL% is not supported"),
        ("50%", "the format cannot be read"),
    ] {
        let found = refusals(&text(format));
        assert!(
            found.len() == 1 && found[0].contains(reason),
            "{format}: {found:?}"
        );
    }
    let long = "%DURATION% ".repeat(400);
    assert!(refusals(&text(&long))[0].contains("more than 512 pieces"));
}

#[test]
fn json_formats_have_limits() {
    let deep = "{a: ".repeat(17) + "x" + &"}".repeat(17);
    let found = refusals(&stdout(&format!("{{json_format: {deep}}}")));
    assert!(found[0].contains("more than 16 levels deep"), "{found:?}");
    let wide: String = (0..600).map(|key| format!("k{key}: x, ")).collect();
    let found = refusals(&stdout(&format!("{{json_format: {{{wide}}}}}")));
    assert!(found[0].contains("more than 512 values"), "{found:?}");
}

#[test]
fn loggers_and_filters_that_are_not_known_are_refused() {
    let file = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
    let grpc = "type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig";
    for (yaml, expected) in [
        (
            format!("- typed_config: {{\"@type\": {grpc}}}"),
            "access_log[0].typed_config: access logs of type \
             envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig are not supported",
        ),
        (
            "- name: x".to_owned(),
            "access_log[0].typed_config: the access log says not where to write",
        ),
        (
            format!("- typed_config: {{\"@type\": {file}, path: /no/such/folder/log}}"),
            "access_log[0].typed_config.path: the file cannot be opened",
        ),
    ] {
        let files = Files::new(&Registry::new(1), 1, Flush::default());
        let problems = compile(&logs(&yaml), &files).err().unwrap_or_default();
        let told: Vec<_> = problems.iter().map(|p| p.to_string()).collect();
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
    }
    let other = "{metadata_filter: {}}";
    let and = format!("{{and_filter: {{filters: [{{not_health_check_filter: {{}}}}, {other}]}}}}");
    let found = refusals(&stdout("{}").replace("name: x", &format!("filter: {and}")));
    assert!(
        found[0].starts_with(
            "access_log[0].filter.and_filter.filters[1]: the filter metadata_filter is not supported"
        ),
        "{found:?}"
    );
}

#[test]
fn formatters_that_are_not_known_are_refused() {
    let cel = "type.googleapis.com/envoy.extensions.formatter.cel.v3.Cel";
    let formatter = format!("{{name: cel, typed_config: {{\"@type\": {cel}}}}}");
    let found = refusals(&stdout(&format!("{{formatters: [{formatter}]}}")));
    assert!(
        found[0].contains("formatters[0]: the formatter 'cel' is not supported"),
        "{found:?}"
    );
}

#[test]
fn filters_within_each_other_have_a_limit() {
    let leaf = "{not_health_check_filter: {}}";
    let nested = |levels: usize| {
        (1..levels).fold(leaf.to_owned(), |inner, _| {
            format!("{{or_filter: {{filters: [{leaf}, {inner}]}}}}")
        })
    };
    let with = |filter: &str| stdout("{}").replace("name: x", &format!("filter: {filter}"));
    let found = refusals(&with(&nested(17)));
    assert!(
        found[0].contains("more than 16 filters within each other"),
        "{found:?}"
    );
    assert!(compile(&logs(&with(&nested(16))), &Files::unopened()).is_ok());
}

#[test]
fn local_replies_are_judged_as_logs_are() {
    use super::super::replies::local_replies;
    use crossdock_xds::envoy_types::pb::envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption},
        extensions::filters::network::http_connection_manager::v3::{
            LocalReplyConfig, ResponseMapper,
        },
    };

    assert_eq!(local_replies(None).expect("nothing is wrong"), None);
    let header = |key: &str, value: &str| HeaderValueOption {
        header: Some(HeaderValue {
            key: key.into(),
            value: value.into(),
            ..HeaderValue::default()
        }),
        ..HeaderValueOption::default()
    };
    let mapper = ResponseMapper {
        headers_to_add: vec![
            header("x", "%NO_SUCH%"),
            header("a b", "1"),
            HeaderValueOption::default(),
        ],
        ..ResponseMapper::default()
    };
    let config = LocalReplyConfig {
        mappers: vec![mapper],
        ..LocalReplyConfig::default()
    };
    let problems = local_replies(Some(&config)).expect_err("three headers");
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let at = |field: &str| format!("local_reply_config.mappers[0].headers_to_add{field}");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with(&at("[0].header.value: the operator %NO_SUCH%")));
    assert!(told[1].starts_with(&at("[1].header.key: 'a b' is no name of a header")));
    assert!(told[2].starts_with(&at("[2].header: there is no header")));
}
