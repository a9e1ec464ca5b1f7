//! What is wrong with a configuration, where, and what to do about it.

use std::{fmt, sync::Arc};

use crate::bootstrap::Loaded;

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file as it was named to the program, or `--config-yaml`.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One reason why a configuration cannot be served.
///
/// Shown on one line: `FILE:LINE:COLUMN: FIELD.PATH: reason; cure`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it stands.
    pub at: Position,
    /// The field, such as `static_resources.listeners[0].filter_chains[1]`; empty when the file
    /// as a whole is meant.
    pub path: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it; empty where the reason says it.
    pub cure: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)?;
        if !self.cure.is_empty() {
            write!(f, "; {}", self.cure)?;
        }
        Ok(())
    }
}

/// Adds what a later stage found, but for what is said already: of two problems with the same
/// field, or with a field and one within it, the earlier stage's is kept. Sorts by position.
pub fn merge(problems: &mut Vec<Problem>, more: Vec<Problem>) {
    let known = |problem: &Problem| {
        problems
            .iter()
            .filter(|known| !known.path.is_empty())
            .any(|known| {
                problem
                    .path
                    .strip_prefix(&known.path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            })
    };
    let new: Vec<Problem> = more.into_iter().filter(|problem| !known(problem)).collect();
    problems.extend(new);
    problems.sort();
    problems.dedup();
}

/// A field that the file sets and Crossdock does not act upon.
///
/// Shown on one line: `FILE:LINE:COLUMN: FIELD.PATH: not acted upon: reason`, or
/// `...: without effect: reason`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unused {
    /// Where the field stands.
    pub at: Position,
    /// The field, as in [`Problem::path`].
    pub path: String,
    /// Whether anything is lost by not acting upon it.
    pub loss: Loss,
    /// Why it is not acted upon.
    pub reason: String,
}

/// What is lost when a field is not acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// The file asks for something that it does not get.
    Function,
    /// Nothing: the field has no meaning here, or Crossdock does the same without being told.
    Nothing,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loss = match self.loss {
            Loss::Function => "not acted upon",
            Loss::Nothing => "without effect",
        };
        write!(f, "{}: {}: {loss}: {}", self.at, self.path, self.reason)
    }
}

/// A configuration that cannot be served: every problem that was found, in the order of the file.
#[derive(Debug, thiserror::Error)]
#[error("{}", join(.problems))]
pub struct Rejected {
    /// Never empty, sorted by position.
    pub problems: Vec<Problem>,
    /// What would have been reported beside the problems.
    pub unused: Vec<Unused>,
    /// The configuration, where it could be read and is refused for what it asks: a caller that
    /// lists problems can go on to find more. It must not be served.
    pub refused: Option<Box<Loaded>>,
}

fn join(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A remark on how something in the file was read, where another reader would differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where it stands.
    pub at: Position,
    /// The field, as in [`Problem::path`].
    pub path: String,
    /// The remark.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.path, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &str, line: u32) -> Problem {
        let at = Position {
            file: "f".into(),
            line,
            column: 1,
        };
        Problem {
            at,
            path: path.into(),
            reason: "wrong".into(),
            cure: String::new(),
        }
    }

    #[test]
    fn the_earlier_problem_of_a_field_is_kept() {
        let mut problems = vec![problem("", 9), problem("a.b", 2)];
        let more = ["a.b", "a.b.c", "a.b[0]", "a.bc", "a", "d"];
        merge(
            &mut problems,
            more.iter().map(|path| problem(path, 1)).collect(),
        );
        let paths: Vec<_> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(paths, ["a", "a.bc", "d", "a.b", ""]);
    }
}
