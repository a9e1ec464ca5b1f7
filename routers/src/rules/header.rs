//! `HeaderMatcher` in all its forms, over the words of any protocol.

use crossdock_framework::view::{Key, RoutingView};
use envoy_types::pb::envoy::config::route::v3::{
    HeaderMatcher, header_matcher::HeaderMatchSpecifier,
};

use super::{regex, text::TextRule};
use crate::{
    problem::{Place, Problems},
    values::each_value,
};

/// A rule about one header, pseudo headers included.
#[derive(Debug)]
pub(crate) struct HeaderRule {
    /// In lower case.
    name: Box<str>,
    test: Test,
    invert: bool,
    missing_is_empty: bool,
}

#[derive(Debug)]
enum Test {
    Present(bool),
    Text(TextRule),
    /// Start, included, and end, not included.
    Range(i64, i64),
}

impl HeaderRule {
    /// The rule of a `HeaderMatcher`.
    pub(crate) fn compile(
        matcher: &HeaderMatcher,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        if matcher.name.is_empty() {
            problems.add(
                &place.field("name"),
                "a header matcher without a header",
                "name the header",
            );
        }
        let test = Test::compile(matcher.header_match_specifier.as_ref(), place, problems)?;
        Some(Self {
            name: matcher.name.to_ascii_lowercase().into(),
            test,
            invert: matcher.invert_match,
            missing_is_empty: matcher.treat_missing_header_as_empty,
        })
    }

    /// Whether `request` is as the rule says. Of several values, one has to match; inverted, none
    /// may (observed of Envoy 1.40, where earlier ones joined them).
    ///
    /// In a request that is not `readable`, a header that is not found may still be there: no
    /// rule about it matches, inverted or not.
    pub(crate) fn matches(&self, request: &dyn RoutingView, readable: bool) -> bool {
        let key = Key::from_header_name(&self.name);
        match request.get(key) {
            Some(joined) => {
                let mut any = false;
                each_value(request, key, &joined, |value| {
                    any |= self.test.matches(value)
                });
                any != self.invert
            }
            None if !readable => false,
            None if self.missing_is_empty => self.test.matches("") != self.invert,
            None => match self.test {
                Test::Present(wanted) => wanted == self.invert,
                Test::Text(_) | Test::Range(..) => false,
            },
        }
    }
}

impl Test {
    #[allow(
        deprecated,
        reason = "configurations in use still have the older forms"
    )]
    fn compile(
        specifier: Option<&HeaderMatchSpecifier>,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        use HeaderMatchSpecifier as Form;
        let (field, text, rule) = match specifier {
            None => return Some(Self::Present(true)),
            Some(Form::PresentMatch(wanted)) => return Some(Self::Present(*wanted)),
            Some(Form::RangeMatch(range)) => return Some(Self::Range(range.start, range.end)),
            Some(Form::StringMatch(matcher)) => {
                let rule = TextRule::compile(matcher, &place.field("string_match"), problems)?;
                return Some(Self::Text(rule));
            }
            Some(Form::SafeRegexMatch(matcher)) => {
                let regex = regex::compile(matcher, &place.field("safe_regex_match"), problems)?;
                return Some(Self::Text(TextRule::regex(regex)));
            }
            // Envoy takes an empty exact_match for "any value".
            Some(Form::ExactMatch(text)) if text.is_empty() => return Some(Self::Present(true)),
            Some(Form::ExactMatch(text)) => return Some(Self::Text(TextRule::exact(text))),
            Some(Form::PrefixMatch(text)) => ("prefix_match", text, TextRule::prefix(text)),
            Some(Form::SuffixMatch(text)) => ("suffix_match", text, TextRule::suffix(text)),
            Some(Form::ContainsMatch(text)) => ("contains_match", text, TextRule::contains(text)),
        };
        if text.is_empty() {
            problems.add(
                &place.field(field),
                "an empty text matches every value",
                "use present_match: true to ask for any value",
            );
            return None;
        }
        Some(Self::Text(rule))
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Present(wanted) => *wanted,
            Self::Text(rule) => rule.matches(value),
            Self::Range(start, end) => {
                let number = value.trim_ascii().parse::<i64>();
                number.is_ok_and(|number| (*start..*end).contains(&number))
            }
        }
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
