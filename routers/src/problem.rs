//! What is wrong with a configuration: the field, the reason and the cure.

use std::fmt;

/// One reason why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field as the configuration names it, such as
    /// `virtual_hosts[0].routes[2].match.safe_regex`.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to write instead.
    pub cure: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.reason, self.cure)
    }
}

impl std::error::Error for Problem {}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Adds a problem of the field at `place`.
    pub(crate) fn add(
        &mut self,
        place: &Place<'_>,
        reason: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.list.push(Problem {
            path: place.to_string(),
            reason: reason.into(),
            cure: cure.into(),
        });
    }

    /// `value` if there was no problem, else all of them.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.list.is_empty() {
            Ok(value)
        } else {
            Err(self.list)
        }
    }
}

/// A field of the message that is compiled. Written out only when something is wrong with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'p> {
    parent: Option<&'p Self>,
    field: &'static str,
    index: Option<usize>,
}

impl<'p> Place<'p> {
    /// The message itself.
    pub(crate) const ROOT: Place<'static> = Place {
        parent: None,
        field: "",
        index: None,
    };

    /// A field of this message.
    pub(crate) fn field(&'p self, field: &'static str) -> Self {
        Self {
            parent: Some(self),
            field,
            index: None,
        }
    }

    /// An element of a repeated field of this message.
    pub(crate) fn item(&'p self, field: &'static str, index: usize) -> Self {
        Self {
            parent: Some(self),
            field,
            index: Some(index),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent.filter(|parent| !parent.field.is_empty()) {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.field)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_like_the_configuration() {
        let host = Place::ROOT.item("virtual_hosts", 0);
        let route = host.item("routes", 2);
        let field = route.field("match");
        let mut problems = Problems::default();
        problems.add(&field.field("safe_regex"), "no", "yes");
        let problems = problems.or(()).expect_err("one problem");
        assert_eq!(
            problems[0].to_string(),
            "virtual_hosts[0].routes[2].match.safe_regex: no; yes"
        );
    }
}
