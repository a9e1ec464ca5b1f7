//! `RegexMatchAndSubstitute`: every match of an expression replaced, as RE2 does it.

use std::borrow::Cow;

use ::regex::{Captures, Regex};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

use crate::{
    problem::{Place, Problems},
    rules::{
        regex,
        template::{self, Piece},
    },
};

/// An expression and what each of its matches becomes.
#[derive(Debug)]
pub(crate) struct Substitute {
    regex: Regex,
    parts: Box<[Part]>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// What a group matched; 0 is the whole match.
    Group(usize),
}

impl Substitute {
    pub(crate) fn compile(
        message: &RegexMatchAndSubstitute,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(pattern) = &message.pattern else {
            problems.add(&place.field("pattern"), "no expression", "give one");
            return None;
        };
        let regex = regex::search(pattern, &place.field("pattern"), problems)?;
        match parts(&message.substitution, regex.captures_len()) {
            Ok(parts) => Some(Self { regex, parts }),
            Err(reason) => {
                let cure = r"write \1 for a group of the expression, \0 for all of it, \\ for \";
                problems.add(&place.field("substitution"), reason, cure);
                None
            }
        }
    }

    /// The rewrite of a URI template, whose expression has a group for each variable and matches
    /// the whole path.
    ///
    /// # Errors
    ///
    /// What is wrong with the rewrite.
    pub(crate) fn of_template(regex: &Regex, rewrite: &str) -> Result<Self, String> {
        let group = |name| regex.capture_names().position(|group| group == Some(name));
        let pieces = template::pieces(rewrite)?;
        let parts = pieces.into_iter().map(|piece| match piece {
            Piece::Text(text) => Ok(Part::Text(text.into())),
            Piece::Variable(name) => group(name)
                .map(Part::Group)
                .ok_or_else(|| format!("the path_template has no variable `{name}`")),
        });
        Ok(Self {
            regex: regex.clone(),
            parts: parts.collect::<Result<_, String>>()?,
        })
    }

    /// `text` with every match replaced.
    pub(crate) fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.regex.replace_all(text, |found: &Captures<'_>| {
            let mut out = String::new();
            for part in &self.parts {
                out.push_str(match part {
                    Part::Text(text) => text,
                    Part::Group(group) => found.get(*group).map_or("", |group| group.as_str()),
                });
            }
            out
        })
    }
}

/// The parts of a substitution for an expression with so many groups.
fn parts(text: &str, groups: usize) -> Result<Box<[Part]>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            literal.push(c);
            continue;
        }
        match chars.next() {
            Some('\\') => literal.push('\\'),
            Some(digit @ '0'..='9') => {
                let group = digit as usize - '0' as usize;
                if group >= groups {
                    return Err(format!("the expression has no group {group}"));
                }
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal).into()));
                }
                parts.push(Part::Group(group));
            }
            _ => return Err(r"a \ that stands for nothing".to_owned()),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    Ok(parts.into())
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;

    use super::*;

    fn compiled(pattern: &str, substitution: &str) -> Result<Substitute, Vec<crate::Problem>> {
        let message = RegexMatchAndSubstitute {
            pattern: Some(RegexMatcher {
                regex: pattern.into(),
                ..RegexMatcher::default()
            }),
            substitution: substitution.into(),
        };
        let mut problems = Problems::default();
        let place = Place::ROOT.field("regex_rewrite");
        let substitute = Substitute::compile(&message, &place, &mut problems);
        problems.or(()).map(|()| substitute.expect("no problem"))
    }

    // All as Envoy 1.40 answers.
    #[test]
    fn every_match_is_replaced() {
        for (pattern, substitution, text, wanted) in [
            ("p(.)", r"<\1\0>", "/p6/p7", "/<6p6>/<7p7>"),
            ("^/(h)3/(.+)$", r"\2.\1.com", "/h3/abc", "abc.h.com"),
            ("^/(h)3/(.+)$", r"\2.\1.com", "/h3/", "/h3/"),
            ("a*", "-", "/pbaac", "-/-p-b-c-"),
            ("(d)(e)?", r"[\2\1\\]", "/de/d", r"/[ed\]/[d\]"),
            ("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
            ("^(.*?)one(.*)$", r"\1two\2", "/one/one", "/two/one"),
            (".", "", "/a", ""),
        ] {
            let substitute = compiled(pattern, substitution).expect(pattern);
            assert_eq!(substitute.apply(text), wanted, "{pattern}");
        }
    }

    #[test]
    fn substitutions_that_mean_nothing_are_refused() {
        for substitution in [r"\2", r"\q", r"\"] {
            let problems = compiled("(a)", substitution).expect_err(substitution);
            assert_eq!(problems[0].path, "regex_rewrite.substitution");
        }
        assert_eq!(
            compiled("(a", "").expect_err("unclosed")[0].path,
            "regex_rewrite.pattern.regex"
        );
    }
}
