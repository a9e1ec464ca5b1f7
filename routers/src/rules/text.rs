//! Rules about one text: `StringMatcher` and the older forms of header matchers.

use ::regex::Regex;
use envoy_types::pb::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};

use super::regex;
use crate::problem::{Place, Problem, Problems};

/// A rule about one text.
#[derive(Debug)]
pub struct TextRule {
    pattern: Pattern,
    /// Whether ASCII case is ignored; expressions say that themselves.
    fold: bool,
}

#[derive(Debug)]
enum Pattern {
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<str>),
    Regex(Regex),
}

impl TextRule {
    /// The rule of a `StringMatcher` that stands by itself.
    ///
    /// # Errors
    ///
    /// What is wrong with it; paths begin at the matcher.
    pub fn of(matcher: &StringMatcher) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let rule = Self::compile(matcher, &Place::ROOT, &mut problems);
        problems.or(rule)?.ok_or_else(Vec::new)
    }

    /// The rule of a `StringMatcher`.
    pub(crate) fn compile(
        matcher: &StringMatcher,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let pattern = match &matcher.match_pattern {
            Some(MatchPattern::Exact(text)) => Pattern::Exact(text.as_str().into()),
            Some(MatchPattern::Prefix(text)) => Pattern::Prefix(text.as_str().into()),
            Some(MatchPattern::Suffix(text)) => Pattern::Suffix(text.as_str().into()),
            Some(MatchPattern::Contains(text)) => Pattern::Contains(text.as_str().into()),
            Some(MatchPattern::SafeRegex(matcher)) => Pattern::Regex(regex::compile(
                matcher,
                &place.field("safe_regex"),
                problems,
            )?),
            Some(MatchPattern::Custom(_)) => {
                problems.add(
                    &place.field("custom"),
                    "extensions of string matchers are not supported",
                    "use exact, prefix, suffix, contains or safe_regex",
                );
                return None;
            }
            None => {
                problems.add(
                    place,
                    "a string matcher without a pattern",
                    "set one of exact, prefix, suffix, contains or safe_regex",
                );
                return None;
            }
        };
        Some(Self {
            pattern,
            fold: matcher.ignore_case,
        })
    }

    /// A text that has to be equal.
    pub(crate) fn exact(text: &str) -> Self {
        Self::plain(Pattern::Exact(text.into()))
    }

    /// A text that the value has to start with.
    pub(crate) fn prefix(text: &str) -> Self {
        Self::plain(Pattern::Prefix(text.into()))
    }

    /// A text that the value has to end with.
    pub(crate) fn suffix(text: &str) -> Self {
        Self::plain(Pattern::Suffix(text.into()))
    }

    /// A text that has to be part of the value.
    pub(crate) fn contains(text: &str) -> Self {
        Self::plain(Pattern::Contains(text.into()))
    }

    /// An expression that has to match the whole value.
    pub(crate) fn regex(regex: Regex) -> Self {
        Self::plain(Pattern::Regex(regex))
    }

    fn plain(pattern: Pattern) -> Self {
        Self {
            pattern,
            fold: false,
        }
    }

    /// Whether `value` is as the rule says.
    pub fn matches(&self, value: &str) -> bool {
        let value_bytes = value.as_bytes();
        let equal = |left: &[u8], right: &str| {
            if self.fold {
                left.eq_ignore_ascii_case(right.as_bytes())
            } else {
                left == right.as_bytes()
            }
        };
        match &self.pattern {
            Pattern::Exact(text) => equal(value_bytes, text),
            Pattern::Prefix(text) => {
                let head = value_bytes.get(..text.len());
                head.is_some_and(|head| equal(head, text))
            }
            Pattern::Suffix(text) => {
                let start = value_bytes.len().checked_sub(text.len());
                let tail = start.and_then(|start| value_bytes.get(start..));
                tail.is_some_and(|tail| equal(tail, text))
            }
            Pattern::Contains(text) if text.is_empty() => true,
            Pattern::Contains(text) if self.fold => value_bytes
                .windows(text.len())
                .any(|part| equal(part, text)),
            Pattern::Contains(text) => value.contains(&**text),
            Pattern::Regex(regex) => regex.is_match(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;

    use super::*;

    fn rule(pattern: MatchPattern, ignore_case: bool) -> TextRule {
        let matcher = StringMatcher {
            ignore_case,
            match_pattern: Some(pattern),
        };
        let mut problems = Problems::default();
        let rule = TextRule::compile(&matcher, &Place::ROOT, &mut problems);
        rule.expect("a valid matcher")
    }

    #[test]
    fn every_pattern_has_both_cases() {
        let text = || String::from("Ab");
        for (pattern, hits, misses) in [
            (
                MatchPattern::Exact(text()),
                vec!["Ab"],
                vec!["Abc", "cAb", ""],
            ),
            (
                MatchPattern::Prefix(text()),
                vec!["Ab", "Abc"],
                vec!["cAb", "A"],
            ),
            (
                MatchPattern::Suffix(text()),
                vec!["Ab", "cAb"],
                vec!["Abc", "b"],
            ),
            (
                MatchPattern::Contains(text()),
                vec!["Ab", "cAbc"],
                vec!["Acb", "A"],
            ),
        ] {
            let strict = rule(pattern.clone(), false);
            let fold = rule(pattern, true);
            for hit in hits {
                assert!(strict.matches(hit) && fold.matches(hit), "{strict:?} {hit}");
                let lower = hit.to_lowercase();
                assert!(
                    !strict.matches(&lower) && fold.matches(&lower),
                    "{fold:?} {lower}"
                );
            }
            for miss in misses {
                assert!(
                    !strict.matches(miss) && !fold.matches(miss),
                    "{strict:?} {miss}"
                );
            }
        }
    }

    #[test]
    fn expressions_say_themselves_whether_case_counts() {
        let pattern = MatchPattern::SafeRegex(RegexMatcher {
            regex: "a+".into(),
            ..RegexMatcher::default()
        });
        let rule = rule(pattern, true);
        assert!(rule.matches("aa") && !rule.matches("AA"));
    }

    #[test]
    fn values_beyond_ascii_are_cut_nowhere() {
        let rule = rule(MatchPattern::Prefix("\u{e9}".into()), true);
        assert!(rule.matches("\u{e9}a") && !rule.matches("\u{ea}"));
    }

    #[test]
    fn a_matcher_without_pattern_is_refused() {
        let mut problems = Problems::default();
        let place = Place::ROOT.field("string_match");
        let none = StringMatcher::default();
        assert!(TextRule::compile(&none, &place, &mut problems).is_none());
        assert_eq!(
            problems.or(()).expect_err("refused")[0].to_string(),
            "string_match: a string matcher without a pattern; \
             set one of exact, prefix, suffix, contains or safe_regex"
        );
    }
}
