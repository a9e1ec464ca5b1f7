//! The tables of `docs/local-replies.md`, column by column.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Set to 1, tests write what they see into the tables instead of comparing.
const WRITE: &str = "CROSSDOCK_WRITE_DOCS";

/// Asserts that the column of this heading says what was seen, cause by cause, and that no cause is missing; or
/// writes it there.
#[track_caller]
pub(crate) fn check(heading: &str, seen: &[(&str, String)]) {
    let file = file();
    let text = fs::read_to_string(&file).expect("the docs lie beside the tests");
    let written = with_column(&text, heading, seen);
    if env::var_os(WRITE).is_some_and(|value| value == "1") {
        fs::write(&file, written).expect("the docs can be written");
        return;
    }
    let changed: Vec<String> = text
        .lines()
        .zip(written.lines())
        .filter(|(old, new)| old != new)
        .map(|(old, new)| format!("- {old}\n+ {new}"))
        .collect();
    assert!(
        changed.is_empty(),
        "{heading} sees something else than {} says ({WRITE}=1 writes it):\n{}",
        file.display(),
        changed.join("\n")
    );
}

/// A failure as the tables tell it: the class, its number, that of the innermost cause.
pub(crate) fn cell(failure: &str) -> String {
    let mut parts = failure.split(" < ").map(|part| {
        let (class, code) = part.rsplit_once('/').unwrap_or((part, "-1"));
        let code = (code != "-1").then(|| format!(" {code}"));
        (class, code.unwrap_or_default())
    });
    let (class, code) = parts.next().unwrap_or_default();
    let cause = parts.next().map(|(_, code)| format!(", cause{code}"));
    format!("`{class}`{code}{}", cause.unwrap_or_default())
}

/// The same of a framework that has one class for everything and no numbers: what it says makes the difference.
/// Addresses and numbers, which are different each time, become `n`.
pub(crate) fn cell_with_words(failure: &str, message: &str) -> String {
    /// Letters of a message that a cell shows.
    const SAID: usize = 90;
    let (class, _) = failure.split_once('/').unwrap_or((failure, ""));
    let mut said = String::new();
    let line = message.trim().lines().next().unwrap_or_default();
    for word in line.split_whitespace().map(without_numbers) {
        if said.len() + word.len() > SAID {
            said.push_str(" …");
            break;
        }
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(&word);
    }
    match said.as_str() {
        "" | "n" => format!("`{class}`"),
        _ => format!("`{class}`: {said}"),
    }
}

/// `n` for a loopback address wherever it stands in a word, and for a number at its start.
fn without_numbers(word: &str) -> String {
    let number = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    if let Some((before, port)) = word.split_once("127.0.0.1:") {
        let (_, after) = port.split_at(number(port));
        return format!("{before}n{after}");
    }
    match word.split_at(number(word)) {
        ("", _) => word.to_owned(),
        (_, after) => format!("n{after}"),
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/local-replies.md")
}

#[track_caller]
fn with_column(text: &str, heading: &str, seen: &[(&str, String)]) -> String {
    let mut column = None;
    let mut found = 0;
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if !line.starts_with('|') {
            column = None;
        } else if let Some(at) = cells.iter().position(|cell| *cell == heading) {
            column = Some(at);
        } else if let Some(at) = column.filter(|_| !line.starts_with("|-")) {
            let cause = cells.get(1).copied().unwrap_or_default();
            let (_, cell) = seen
                .iter()
                .find(|(name, _)| *name == cause)
                .unwrap_or_else(|| panic!("nothing was seen for the cause {cause:?}"));
            found += 1;
            *cells.get_mut(at).expect("a cell for each heading") = cell;
            lines.push(cells.join(" | ").trim().to_owned());
            continue;
        }
        lines.push(line.to_owned());
    }
    assert_eq!(found, seen.len(), "a column {heading} with every cause");
    lines.join("\n") + "\n"
}

#[test]
fn a_column_is_found_by_its_heading() {
    let text = "| cause | a | b |\n|---|---|---|\n| x | 1 | 2 |\n| y | 3 | 4 |\n\n| cause | c |\n|---|---|\n| x | 5 |\n";
    let seen = [("x", "`new`".to_owned()), ("y", "4".to_owned())];
    let written = text.replace("| 2 |", "| `new` |");
    assert_eq!(with_column(text, "b", &seen), written);
}

#[test]
fn a_cell_has_no_numbers_of_the_day() {
    assert_eq!(
        cell("RpcException/0 < RpcException/6"),
        "`RpcException` 0, cause 6"
    );
    assert_eq!(
        cell("InvokeTimeoutException/-1"),
        "`InvokeTimeoutException`"
    );
    let words = "no answer from 'x' at (127.0.0.1:80): within 309 ms";
    assert_eq!(
        cell_with_words("Error/1", words),
        "`Error`: no answer from 'x' at (n): within n ms"
    );
    assert_eq!(cell_with_words("KeyError/-1", "1047633425"), "`KeyError`");
}
