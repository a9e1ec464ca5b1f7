//! Every limit of `docs/limits.md`, at the edge of the process: what happens there, which metric tells,
//! and that everybody else goes on.

mod calls;
mod connections;
mod frames;
mod memory;
mod upstream;

use std::time::Duration;

use crossdock_tests::fake::{Frame, Kind, Wire};

const ONE_WORKER: &[&str] = &["--concurrency", "1"];
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to see that nothing happens.
const QUIET: Duration = Duration::from_millis(200);

/// Asserts that a local answer says why, as its protocol says it: a text in Dubbo, a status in Bolt.
#[track_caller]
fn refused(answer: &Frame, id: u64, text: &str, status: u16) {
    assert_eq!((answer.kind, answer.id), (Kind::Response, id), "{answer:?}");
    match answer.wire {
        Wire::Dubbo => assert!(!answer.is_good() && answer.says(text), "{answer:?}"),
        _ => assert_eq!(answer.status, status, "{answer:?}"),
    }
}

/// Bolt's statuses.
const OVERLOAD: u16 = 4;
const TIMEOUT: u16 = 7;
const CONNECT_FAILED: u16 = 8;
const CONNECTION_CLOSED: u16 = 16;
const ANSWER_TOO_LARGE: u16 = 17;
const TOO_LARGE: u16 = 18;

/// A text for a body of about that size.
fn text_of(size: usize) -> String {
    format!("<<large>>{}", "x".repeat(size))
}

#[test]
fn every_setting_of_the_docs_is_tested_here() {
    let docs = include_str!("../../../docs/limits.md");
    let tests = [
        include_str!("calls.rs"),
        include_str!("connections.rs"),
        include_str!("frames.rs"),
        include_str!("memory.rs"),
        include_str!("../outlier/concealed.rs"),
        include_str!("upstream.rs"),
    ];
    let settings = docs.lines().filter_map(|line| {
        let rest = line.strip_prefix("| `crossdock.")?;
        rest.split('`').next()
    });
    let mut count = 0;
    for setting in settings {
        let name = format!("\"{setting}\"");
        assert!(tests.iter().any(|file| file.contains(&name)), "{setting}");
        count += 1;
    }
    assert!(count >= 20, "{count} settings");
}
