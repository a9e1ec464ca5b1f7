//! The conformance client for HTTP/2.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::Peers;
use crate::{End, Kind};

/// One case waits two seconds where silence is what it looks for; there are 145.
const PATIENCE: Duration = Duration::from_secs(300);

/// The documents that it looks at, by its own names for them and their titles.
const DOCUMENTS: &[(&str, &str)] = &[
    ("generic", "Generic tests for HTTP/2 server"),
    ("http2", "Hypertext Transfer Protocol Version 2 (HTTP/2)"),
    ("hpack", "HPACK: Header Compression for HTTP/2"),
];

/// What h2spec found, from the text it prints: its JUnit file is not always well-formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many cases were tried.
    pub tried: usize,
    /// How many of them hold.
    pub passed: usize,
    /// The cases that do not hold, as `http2/3.5/2 Sends invalid connection preface: what was wanted`.
    pub failed: Vec<String>,
}

impl Peers {
    /// Tries every case, strict ones too, on a port. `more` are further options, such as `-t -k` for TLS.
    ///
    /// # Panics
    /// When it does not come to an end.
    #[must_use]
    pub fn h2spec(&self, address: SocketAddr, more: &[&str]) -> Report {
        assert_eq!(self.kind, Kind::H2spec, "another kind has no such program");
        let mut command = Command::new("bin/h2spec");
        command
            .current_dir(&self.folder)
            .arg(format!("--host={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .args(["--strict", "--timeout=2"])
            .args(more);
        let mut process = self.run("cases", &mut command);
        let end = process.wait(PATIENCE);
        let mut lines = Vec::new();
        while let Some(line) = process.line(Duration::from_millis(100)) {
            lines.push(line);
        }
        assert_ne!(end, End::StillRunning, "h2spec does not end: {lines:#?}");
        Report::read(&lines)
    }
}

impl Report {
    /// Cases stand below the numbers of their sections, these below the title of their document; failures are told again at the end, after `Failures:`.
    fn read(lines: &[String]) -> Self {
        let mut report = Self::default();
        let mut document = "";
        let mut section = "";
        let mut wanted = false;
        for line in lines {
            // It writes a case first without its outcome, then over it.
            let line = line.rsplit('\r').next().unwrap_or_default().trim();
            if line.starts_with("Failures:") {
                break;
            }
            if let Some(failed) = line.strip_prefix('×') {
                report.tried += 1;
                report
                    .failed
                    .push(format!("{document}/{}", case(section, failed)));
                wanted = true;
            } else if let Some(words) = line.strip_prefix("->").filter(|_| wanted) {
                if let Some(failed) = report.failed.last_mut() {
                    *failed = format!("{failed}: {}", words.trim());
                }
                wanted = false;
            } else if line.starts_with('✔') {
                report.tried += 1;
                report.passed += 1;
            } else if let Some((number, _)) = line.split_once(". ") {
                section = number;
            } else if let Some((name, _)) = DOCUMENTS.iter().find(|(_, title)| line == *title) {
                document = name;
            }
        }
        report
    }
}

/// ` 2: Sends invalid connection preface` below section 3.5 is `3.5/2 Sends invalid connection preface`.
fn case(section: &str, line: &str) -> String {
    let (number, words) = line.split_once(':').unwrap_or(("?", line));
    format!("{section}/{} {}", number.trim(), words.trim())
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn a_report_names_the_cases_that_fail() {
        let said = "Hypertext Transfer Protocol Version 2 (HTTP/2)\n  3. Starting HTTP/2\n    \
            3.5. HTTP/2 Connection Preface\n      \
            1: Sends client\r      ✔ 1: Sends client connection preface\n      × 2: Sends invalid connection preface\n        -> The endpoint MUST close.\n           \
            Expected: GOAWAY\nFailures: \n      × 2: Sends invalid connection preface\n2 tests";
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        let wanted = Report {
            tried: 2,
            passed: 1,
            failed: vec![
                "http2/3.5/2 Sends invalid connection preface: The endpoint MUST close.".into(),
            ],
        };
        assert_eq!(Report::read(&lines), wanted);
    }
}
