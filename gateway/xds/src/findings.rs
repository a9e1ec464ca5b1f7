//! Collects what is said about a file, up to a limit.

use crate::problem::{Loss, Note, Problem, Unused};

/// Problems that are listed of one file, and notes likewise.
pub const MAX_PROBLEMS: usize = 1000;

/// Fields not acted upon that are listed of one file.
pub const MAX_UNUSED: usize = 10_000;

/// After so many problems nobody reads on: looking for what was meant is left out.
const MAX_SUGGESTIONS: usize = 50;

/// What a file gave besides its message.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) unused: Vec<Unused>,
    pub(crate) notes: Vec<Note>,
}

impl Findings {
    /// Adds a problem; one more than the limit is kept, as a sign that there are more.
    pub(crate) fn problem(&mut self, problem: Problem) {
        if self.problems.len() <= MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    /// Adds a field that is not acted upon; one more than the limit is kept.
    pub(crate) fn unused(&mut self, unused: Unused) {
        if self.unused.len() <= MAX_UNUSED {
            self.unused.push(unused);
        }
    }

    /// Adds a remark, within the limit.
    pub(crate) fn note(&mut self, note: Note) {
        if self.notes.len() < MAX_PROBLEMS {
            self.notes.push(note);
        }
    }

    /// Whether it is still worth the time to find out what was meant.
    pub(crate) fn wants_suggestions(&self) -> bool {
        self.problems.len() < MAX_SUGGESTIONS
    }

    /// Puts everything in the order of the file, and says at the end what was left out.
    pub(crate) fn sort(&mut self) {
        let more_problems = self.problems.len() > MAX_PROBLEMS;
        let more_unused = self.unused.len() > MAX_UNUSED;
        self.problems.truncate(MAX_PROBLEMS);
        self.unused.truncate(MAX_UNUSED);
        self.problems.sort();
        self.unused.sort();
        self.notes.sort();
        if let (true, Some(last)) = (more_problems, self.problems.last().cloned()) {
            self.problems.push(Problem {
                path: String::new(),
                reason: format!("more than {MAX_PROBLEMS} problems; the rest is not listed"),
                cure: String::new(),
                ..last
            });
        }
        if let (true, Some(last)) = (more_unused, self.unused.last().cloned()) {
            self.unused.push(Unused {
                path: String::new(),
                loss: Loss::Function,
                reason: format!("more than {MAX_UNUSED} fields; the rest is not listed"),
                ..last
            });
        }
    }
}
