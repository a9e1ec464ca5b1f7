//! What an example prints, read again.

use std::fmt;

/// Equal calls with equal outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) protocol: String,
    pub(super) path: String,
    pub(super) with: String,
    pub(super) calls: u64,
    pub(super) outcome: String,
    pub(super) by: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            path,
            with,
            calls,
            outcome,
            by,
        } = self;
        write!(
            f,
            "{protocol} | {path} | {with} | {calls} | {outcome} | {by}"
        )
    }
}

/// What callers were told, as the first table of the output says it.
#[track_caller]
pub(super) fn rows(said: &str) -> Vec<Row> {
    let head = [
        "protocol",
        "call",
        "with",
        "calls",
        "outcome",
        "answered by",
    ];
    let mut lines = said.lines().map(cells).skip_while(|cells| *cells != head);
    assert!(lines.next().is_some(), "a table: {said}");
    lines
        .take_while(|cells| !cells.is_empty())
        .map(|cells| {
            let [protocol, path, with, calls, outcome, by] = cells.as_slice() else {
                panic!("six cells: {cells:?}");
            };
            Row {
                protocol: (*protocol).to_owned(),
                path: (*path).to_owned(),
                with: (*with).to_owned(),
                calls: calls.parse().expect("a number"),
                outcome: (*outcome).to_owned(),
                by: (*by).to_owned(),
            }
        })
        .collect()
}

/// The cells of a line, which are two spaces or more apart.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect()
}
