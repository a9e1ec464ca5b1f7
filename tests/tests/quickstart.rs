//! `crossdock quickstart`, as a newcomer runs it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crossdock_tests::fake::{Call, Client, Wire};
use crossdock_tests::{End, Gateway, Process, get};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

fn run(args: &[&str]) -> Output {
    Command::new(Gateway::program())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// The cells of a line of the table, which are two spaces or more apart.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect()
}

/// The lines of the table below its head.
fn rows(output: &str) -> Vec<Vec<&str>> {
    let mut lines = output.lines().map(cells);
    let head = [
        "protocol", "call", "route", "cluster", "endpoint", "outcome", "time",
    ];
    assert_eq!(lines.next().expect("a table"), head);
    lines.take_while(|cells| !cells.is_empty()).collect()
}

/// What each row has to say, but for endpoints and times.
#[track_caller]
fn check(rows: &[Vec<&str>]) {
    let mut singles = Vec::new();
    let mut splits = BTreeMap::<(&str, &str), u32>::new();
    let mut endpoints = BTreeMap::<&str, &str>::new();
    for row in rows {
        let [
            protocol,
            path,
            route,
            cluster,
            endpoint,
            outcome,
            time,
            note @ ..,
        ] = row.as_slice()
        else {
            panic!("too short: {row:?}");
        };
        assert!(time.ends_with(" ms"), "{row:?}");
        if *cluster != "-" {
            assert!(endpoint.parse::<SocketAddr>().is_ok(), "{row:?}");
            let known = endpoints.entry(cluster).or_insert(endpoint);
            assert_eq!(known, endpoint, "a cluster has one host: {row:?}");
        }
        match note {
            [count] if count.ends_with(" of 100 calls") => {
                assert_eq!((*route, *outcome), ("everyone", "ok"), "{row:?}");
                let count = count
                    .split(' ')
                    .next()
                    .and_then(|count| count.parse::<u32>().ok());
                splits.insert((protocol, cluster), count.expect("a number"));
            }
            _ => singles.push(
                [&[*protocol, *path, *route, *cluster, *outcome], note]
                    .concat()
                    .join(" | "),
            ),
        }
    }
    let expected = [
        "dubbo | /com.acme.OrderService/create | testers-see-v2 | orders-v2 | ok | with x-user: tester",
        "dubbo | /com.acme.OrderService/cancel | cancel-is-new | orders-v2 | ok",
        "bolt | /com.acme.StockService/reserve | gray-callers-see-v2 | stock-v2 | ok | with x-zone: gray-1",
        "HTTP/1.1 | /hello | testers-see-v2 | web-v2 | ok | with x-user: tester",
        "HTTP/2 | /com.acme.Chat/Talk | chat | chat | ok | 3 messages each way",
        "dubbo | /com.acme.Nobody/x | - | - | not found | refused by the gateway",
        "bolt | /com.acme.Nobody/x | - | - | not found | refused by the gateway",
        "HTTP/1.1 | /hello | - | - | not found | refused by the gateway",
    ];
    assert_eq!(singles, expected);
    for (protocol, clusters) in [
        ("dubbo", ["orders-v1", "orders-v2"]),
        ("bolt", ["stock-v1", "stock-v2"]),
        ("HTTP/1.1", ["web-v1", "web-v2"]),
    ] {
        let [v1, v2] =
            clusters.map(|cluster| splits.get(&(protocol, cluster)).copied().unwrap_or(0));
        assert_eq!(v1 + v2, 100, "{splits:?}");
        // 90 %, and five standard deviations of a binomial distribution to each side.
        assert!((75..=100).contains(&v1), "{splits:?}");
    }
}

#[test]
fn once_shows_the_table_and_ends() {
    let output = run(&["quickstart", "--once"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    check(&rows(&text));
    assert!(!text.contains("Ctrl-C"), "{text}");
}

#[test]
fn the_configuration_it_prints_is_one_that_is_taken() {
    let printed = run(&["quickstart", "--print-config"]);
    assert_eq!(printed.status.code(), Some(0));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("quickstart-{}.yaml", std::process::id()));
    std::fs::write(&file, &printed.stdout).expect("the target folder can be written");
    let path = file.to_str().expect("UTF-8");
    let validated = run(&["validate", "-c", path]);
    let said = String::from_utf8_lossy(&validated.stdout);
    assert_eq!(
        (validated.status.code(), &*said),
        (Some(0), "OK: the configuration can be served\n")
    );
    std::fs::remove_file(&file).expect("it was written");

    let text = String::from_utf8(printed.stdout).expect("UTF-8");
    let mut gateway = Gateway::start_text(&text, &[]);
    assert_eq!(gateway.stop(PATIENCE), End::Code(0));
}

/// The first address in a line that begins like this.
#[track_caller]
fn address(lines: &[String], start: &str) -> SocketAddr {
    let line = lines
        .iter()
        .find(|line| line.trim_start().starts_with(start));
    let line = line.unwrap_or_else(|| panic!("no line begins with {start}: {lines:#?}"));
    let rest = line.trim_start().trim_start_matches(start);
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && !".:".contains(c))
        .unwrap_or(rest.len());
    rest[..end]
        .trim_end_matches(':')
        .parse()
        .unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn the_interface_it_prints_is_that_of_the_chat() {
    let printed = run(&["quickstart", "--print-proto"]);
    assert_eq!(printed.status.code(), Some(0));
    let text = String::from_utf8(printed.stdout).expect("UTF-8");
    assert!(
        text.contains("package com.acme;") && text.contains("service Chat {"),
        "{text}"
    );
}

#[test]
fn without_once_it_serves_until_it_is_interrupted() {
    let logs = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut command = Command::new(Gateway::program());
    let mut process =
        Process::start("quickstart", command.arg("quickstart"), logs).expect("the program starts");
    let mut lines = Vec::new();
    while lines.last().map(String::as_str) != Some("Ends with Ctrl-C.") {
        assert!(lines.len() < 100, "{lines:#?}");
        let line = process.line(PATIENCE);
        lines.push(line.unwrap_or_else(|| panic!("no further line: {lines:#?}")));
    }
    check(&rows(&lines.join("\n")));

    let gateway = address(&lines, "The gateway serves at ");
    let mut client = Client::connect(gateway, Wire::Dubbo);
    let call = Call::new(Wire::Dubbo, 7).of("com.acme.OrderService", "cancel");
    client.write(&call.octets());
    let answer = client.recv();
    assert!(
        answer.id == 7 && answer.says("cancel done by v2"),
        "{answer:?}"
    );

    let page = address(&lines, "curl -i http://");
    assert_eq!(page, gateway);
    let (status, page) = get(page, "GET", "/hello").expect("it answers");
    assert!(
        status == 200 && page.starts_with("/hello answered by v"),
        "{page}"
    );

    let admin = address(&lines, "curl -s 'http://");
    let (status, stats) = get(admin, "GET", "/stats?filter=upstream_rq_total").expect("it answers");
    assert_eq!(status, 200);
    assert!(
        stats.contains("cluster.orders-v2.upstream_rq_total: "),
        "{stats}"
    );

    let id = i32::try_from(process.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a child has an id");
    kill_process(id, Signal::INT).expect("it runs");
    assert_eq!(process.wait(PATIENCE), End::Code(0));
    client.closed();
}
