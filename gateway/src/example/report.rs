//! What was seen of an example, for people.

use super::{
    callers::{Ask, Site},
    stage::Tally,
};
use crate::sample::{Told, table};

/// Equal calls with equal outcomes.
#[derive(Debug)]
pub(super) struct Row {
    protocol: &'static str,
    path: &'static str,
    /// The header that the calls had, or when they were made.
    note: String,
    calls: u64,
    told: Told,
    right: bool,
}

impl Row {
    /// A row for each outcome.
    pub(super) fn of(
        site: &Site,
        ask: Ask,
        when: &str,
        tally: Tally,
        right: bool,
    ) -> impl Iterator<Item = Self> {
        let header = ask.header;
        let with = header.map_or_else(String::new, |(name, value)| format!("{name}: {value}"));
        let note = format!("{with}{when}");
        let (protocol, path) = (site.protocol, ask.path_at(site));
        tally.into_iter().map(move |(told, calls)| Self {
            protocol,
            path,
            note: note.clone(),
            calls,
            told,
            right,
        })
    }
}

/// What a metric says, and what it should.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) metric: String,
    pub(super) value: u64,
    pub(super) expected: u64,
}

impl Count {
    /// Whether it says what it should.
    pub(super) fn is_right(&self) -> bool {
        self.value == self.expected
    }
}

/// Prints what callers were told and what was counted; whether all of it is right.
pub(super) fn print(rows: &[Row], counts: &[Count]) -> bool {
    let head = [
        "protocol",
        "call",
        "with",
        "calls",
        "outcome",
        "answered by",
    ];
    let mut lines = vec![head.map(String::from)];
    lines.extend(rows.iter().map(|row| {
        let by = row.told.by.as_deref().unwrap_or("-");
        [
            row.protocol.to_owned(),
            row.path.to_owned(),
            dash(&row.note),
            row.calls.to_string(),
            row.told.outcome.clone(),
            format!("{by}{}", if row.right { "" } else { "  (WRONG)" }),
        ]
    }));
    table::print(&lines);
    println!();
    let mut lines = vec![["metric", "value"].map(String::from)];
    lines.extend(counts.iter().map(|count| {
        let value = match count.is_right() {
            true => count.value.to_string(),
            false => format!(
                "{}  (WRONG: the callers saw {})",
                count.value, count.expected
            ),
        };
        [count.metric.clone(), value]
    }));
    table::print(&lines);
    rows.iter().all(|row| row.right) && counts.iter().all(Count::is_right)
}

/// No cell is empty, so that the columns can be told apart.
fn dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}
