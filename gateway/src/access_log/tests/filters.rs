//! Which calls are written.

use crossdock_framework::flags::Flag;

use super::*;

/// Whether the filter of this YAML lets each record through.
fn passes<const N: usize>(yaml: &str, records: [&Record<'_>; N]) -> [bool; N] {
    let filter = filter(yaml);
    records.map(|record| filter.passes(ended(record)))
}

fn filter(filter: &str) -> Filter {
    let log = logs(&format!("- filter: {filter}\n  typed_config: {STDOUT}"));
    let mut problems = Problems::default();
    let filter = Filter::compile(log[0].filter.as_ref(), &mut problems);
    filter.unwrap_or_else(|| panic!("{problems:?}"))
}

const STDOUT: &str = "{\"@type\": \
    type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog}";

fn comparison(op: &str, with: u32) -> String {
    format!("{{comparison: {{op: {op}, value: {{default_value: {with}, runtime_key: k}}}}}}")
}

#[test]
fn statuses_and_durations_are_compared() {
    let call = Call::answered();
    let (ok, refused) = (call.record(), call.refused(Cause::NoRoute));
    for (op, with, expected) in [
        ("EQ", 404, [false, true]),
        ("NE", 404, [true, false]),
        ("GE", 400, [false, true]),
        ("GE", 200, [true, true]),
        ("LE", 200, [true, false]),
    ] {
        let yaml = format!("{{status_code_filter: {}}}", comparison(op, with));
        assert_eq!(passes(&yaml, [&ok, &refused]), expected, "{op} {with}");
    }
    let slow = Record {
        duration: Duration::from_secs(2),
        ..call.record()
    };
    let yaml = format!("{{duration_filter: {}}}", comparison("GE", 13));
    assert_eq!(passes(&yaml, [&ok, &slow]), [false, true]);
}

#[test]
fn flags_are_compared() {
    let call = Call::answered();
    let (ok, refused) = (call.record(), call.refused(Cause::NoRoute));
    let gone = Record {
        flags: [Flag::DownstreamConnectionTermination]
            .into_iter()
            .collect(),
        orphaned: true,
        ..call.record()
    };
    let records = [&ok, &refused, &gone];
    assert_eq!(
        passes("{response_flag_filter: {}}", records),
        [false, true, true]
    );
    assert_eq!(
        passes("{response_flag_filter: {flags: [UH, NR]}}", records),
        [false, true, false]
    );
    assert_eq!(
        passes("{response_flag_filter: {flags: [DC]}}", records),
        [false, false, true]
    );
    assert_eq!(
        passes("{response_flag_filter: {flags: [LH]}}", records),
        [false; 3]
    );
}

#[test]
fn conditions_combine() {
    let call = Call::answered();
    let (ok, refused) = (call.record(), call.refused(Cause::NoHost));
    let (status, flags) = (
        format!("{{status_code_filter: {}}}", comparison("GE", 500)),
        "{response_flag_filter: {flags: [NR]}}",
    );
    let yaml = |kind: &str| format!("{{{kind}: {{filters: [{status}, {flags}]}}}}");
    assert_eq!(passes(&yaml("and_filter"), [&ok, &refused]), [false, false]);
    assert_eq!(passes(&yaml("or_filter"), [&ok, &refused]), [false, true]);
}

#[test]
fn some_conditions_are_settled_here() {
    let call = Call::answered();
    let record = call.record();
    for (filter, expected) in [
        ("{not_health_check_filter: {}}", true),
        ("{traceable_filter: {}}", false),
        ("{log_type_filter: {types: [DownstreamEnd]}}", true),
        ("{log_type_filter: {types: [DownstreamStart]}}", false),
        (
            "{log_type_filter: {types: [DownstreamStart], exclude: true}}",
            true,
        ),
    ] {
        assert_eq!(passes(filter, [&record]), [expected], "{filter}");
    }
}

#[test]
fn a_share_of_calls_is_drawn() {
    for (percent, taken) in [
        ("{numerator: 25}", 2500),
        ("{numerator: 2500, denominator: TEN_THOUSAND}", 2500),
        ("{numerator: 500000, denominator: MILLION}", 5000),
        ("{}", 0),
        ("{numerator: 100}", 10_000),
    ] {
        let filter = filter(&format!(
            "{{runtime_filter: {{runtime_key: k, percent_sampled: {percent}}}}}"
        ));
        let mut call = Call::answered();
        let mut seen: i64 = 0;
        for random in 0..10_000 {
            call.facts.random = random;
            seen += i64::from(filter.passes(ended(&call.record())));
        }
        assert!((seen - taken).abs() < 100, "{percent}: {seen}");
    }
}
