//! `crossdock example NAME`, as a newcomer runs it, on four protocols with the same policy.

mod output;
mod policy;
mod prometheus;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crossdock_tests::{Gateway, Kind, Peers, Tool};

use output::rows;

/// Every example, in the order in which they are listed.
const EXAMPLES: [&str; 5] = [
    "route-by-header",
    "shift-weights",
    "fault-for-one-user",
    "one-a-second",
    "retries",
];

/// The protocols, in the order of the output.
const PROTOCOLS: [&str; 4] = ["Dubbo", "SOFARPC", "HTTP", "gRPC"];

/// Who are told, of each protocol, that all went well.
const WELL: [&str; 4] = [
    "status 20 OK",
    "status 0 SUCCESS",
    "200 OK",
    "grpc-status 0 OK",
];

/// What the callers of each protocol ask for.
const FIRST: [&str; 4] = [
    "/com.acme.OrderService/create",
    "/com.acme.StockService/reserve",
    "/hello",
    "/com.acme.Chat/Say",
];

/// The other path of each.
const SECOND: [&str; 4] = [
    "/com.acme.OrderService/cancel",
    "/com.acme.StockService/release",
    "/goodbye",
    "/com.acme.Chat/Talk",
];

fn run(args: &[&str]) -> Output {
    Command::new(Gateway::program())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// The folder of the examples.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// What an example prints that has to go well.
#[track_caller]
fn played(name: &str) -> String {
    let output = run(&["example", name]);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}\n{errors}");
    assert_eq!(errors, "", "{said}");
    assert!(said.starts_with(&format!("{name}: ")), "{said}");
    assert!(!said.contains("WRONG"), "{said}");
    said
}

/// The rows of equal calls, one for each protocol.
fn each(paths: [&str; 4], with: &str, calls: u64, told: [(&str, &str); 4]) -> Vec<String> {
    (0..4)
        .map(|at| {
            let (outcome, by) = told[at];
            format!(
                "{} | {} | {with} | {calls} | {outcome} | {by}",
                PROTOCOLS[at], paths[at]
            )
        })
        .collect()
}

/// What callers are told of whose calls a version has served.
fn served(by: &str) -> [(&str, &str); 4] {
    WELL.map(|well| (well, by))
}

#[test]
fn headers_choose_the_version() {
    let said = played("route-by-header");
    let expected = [
        each(FIRST, "x-user: tester", 20, served("v1")),
        each(FIRST, "-", 20, served("v2")),
    ];
    assert_eq!(lines(&said), expected.concat());
}

#[test]
fn weights_shift_while_calls_flow() {
    let rows = rows(&played("shift-weights"));
    for (protocol, well) in PROTOCOLS.into_iter().zip(WELL) {
        let of = |when: &str, by: &str| -> u64 {
            let own = rows.iter().filter(|row| row.protocol == protocol);
            let own = own.filter(|row| row.with == when && row.by == by);
            own.map(|row| row.calls).sum()
        };
        for (when, much, little) in [
            ("weights 90 and 10", "v1", "v2"),
            ("weights 10 and 90", "v2", "v1"),
        ] {
            let (much, little) = (of(when, much), of(when, little));
            let calls = much + little;
            assert!(calls >= 1000, "{protocol}, {when}: {calls}");
            // A tenth, and five standard deviations of a binomial distribution to each side.
            let off = little as f64 - calls as f64 / 10.0;
            assert!(
                off.powi(2) <= 25.0 * 0.09 * calls as f64,
                "{protocol}, {when}: {much} and {little}"
            );
        }
        let own = rows.iter().filter(|row| row.protocol == protocol);
        for row in own {
            assert!(row.outcome == well && row.by != "-", "{row}");
        }
    }
}

#[test]
fn one_user_is_told_of_a_time_out() {
    let said = played("fault-for-one-user");
    let aborted = [
        "RpcException 2 TIMEOUT_EXCEPTION",
        "status 7 TIMEOUT",
        "504 Gateway Timeout",
        "grpc-status 14 UNAVAILABLE",
    ];
    let aborted = aborted.map(|outcome| (outcome, "-"));
    let expected = [
        each(FIRST, "x-user: unlucky", 20, aborted),
        each(FIRST, "-", 20, served("v1")),
    ];
    assert_eq!(lines(&said), expected.concat());
}

#[test]
fn one_path_takes_one_call_a_second() {
    let all = rows(&played("one-a-second"));
    let refused = [
        "RpcException 7 LIMIT_EXCEEDED_EXCEPTION",
        "SofaRpcException 100 SERVER_BUSY",
        "429 Too Many Requests",
        "grpc-status 14 UNAVAILABLE",
    ];
    for (at, protocol) in PROTOCOLS.into_iter().enumerate() {
        let own = |path: &'static str| {
            let own = all.iter().filter(move |row| row.protocol == protocol);
            own.filter(move |row| row.path == path)
        };
        let told = |outcome: &str| -> u64 {
            let told = own(FIRST[at]).filter(|row| row.outcome == outcome);
            told.map(|row| row.calls).sum()
        };
        let (well, badly) = (told(WELL[at]), told(refused[at]));
        assert_eq!(well + badly, 15, "{protocol}: {all:?}");
        // One in each of three seconds, or more on a machine that stands still for a second.
        assert!(
            (3..15).contains(&well),
            "{protocol}: {well} of 15 calls were served"
        );
        let unlimited: u64 = own(SECOND[at])
            .filter(|row| row.outcome == WELL[at])
            .map(|row| row.calls)
            .sum();
        assert_eq!(unlimited, 20, "{protocol}: {all:?}");
    }
}

#[test]
fn retries_make_a_flaky_service_whole() {
    let said = played("retries");
    let failed = [
        "status 80 SERVER_ERROR",
        "status 2 SERVER_EXCEPTION",
        "503 Service Unavailable",
        "grpc-status 14 UNAVAILABLE",
    ];
    let well = each(SECOND, "-", 10, served("flaky"));
    let badly = each(SECOND, "-", 10, failed.map(|outcome| (outcome, "-")));
    let halves = well.into_iter().zip(badly);
    let mut expected: Vec<_> = halves.flat_map(|(well, badly)| [well, badly]).collect();
    expected.extend(each(FIRST, "-", 20, served("flaky")));
    assert_eq!(lines(&said), expected);
}

/// The rows of the output, with what stands in the cells between bars.
fn lines(said: &str) -> Vec<String> {
    rows(said).iter().map(ToString::to_string).collect()
}

/// The names are those of the folder, and its page tells of each.
#[test]
fn every_example_is_listed_and_explained() {
    let listed = run(&["example", "--list"]);
    assert_eq!(listed.status.code(), Some(0));
    let listed = String::from_utf8(listed.stdout).expect("UTF-8");
    let names: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(names, EXAMPLES);
    let page = std::fs::read_to_string(folder().join("README.md")).expect("there is one");
    for name in EXAMPLES {
        assert!(page.contains(&format!("[{name}]({name}.yaml)")), "{name}");
        let command = format!("cargo run --release -- example {name}");
        assert!(page.contains(&command), "{name}");
    }
}

#[test]
fn an_unknown_example_is_a_wrong_command_line() {
    let refused = run(&["example", "unheard-of"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    for name in EXAMPLES {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn every_file_can_be_served_and_is_the_one_used() {
    for name in EXAMPLES {
        let file = folder().join(format!("{name}.yaml"));
        let path = file.to_str().expect("UTF-8");
        // Files name others as they are seen from the root.
        let validated = Command::new(Gateway::program())
            .args(["validate", "-c", path])
            .current_dir(folder().join(".."))
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&validated.stdout);
        assert_eq!(
            (validated.status.code(), &*said),
            (Some(0), "OK: the configuration can be served\n"),
            "{name}"
        );
        let printed = run(&["example", name, "--print-config"]);
        let read = std::fs::read(&file).expect("it has been read before");
        assert!(printed.stdout == read, "{name}");
    }
}

#[test]
fn envoy_accepts_every_file() {
    let (Some(envoy), Some(curl)) = (Peers::prepare(Kind::Envoy), Tool::find("curl")) else {
        return;
    };
    for name in EXAMPLES {
        let file = folder().join(format!("{name}.yaml"));
        let mut command = Command::new(envoy.envoy());
        command.current_dir(folder().join(".."));
        command.args(["--mode", "validate", "-c"]).arg(&file);
        // Whatever runs a command with a limit does.
        let validated = curl.try_output(&mut command, b"", Duration::from_secs(60));
        assert!(validated.is_ok(), "{name}: {validated:?}");
    }
}
