//! `QueryParameterMatcher`: rules about the query of an HTTP path. RPC paths have none.

use envoy_types::pb::envoy::config::route::v3::{
    QueryParameterMatcher, query_parameter_matcher::QueryParameterMatchSpecifier,
};

use super::text::TextRule;
use crate::problem::{Place, Problems};

/// A rule about one query parameter. As in Envoy, only the first of several values counts, and
/// names and values are compared as they are written, percent signs included.
#[derive(Debug)]
pub(crate) struct QueryRule {
    name: Box<str>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present(bool),
    Text(TextRule),
}

impl QueryRule {
    /// The rule of a `QueryParameterMatcher`.
    pub(crate) fn compile(
        matcher: &QueryParameterMatcher,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        use QueryParameterMatchSpecifier as Form;
        if matcher.name.is_empty() {
            problems.add(
                &place.field("name"),
                "a query parameter matcher without a parameter",
                "name the parameter",
            );
        }
        let test = match &matcher.query_parameter_match_specifier {
            None => Test::Present(true),
            Some(Form::PresentMatch(wanted)) => Test::Present(*wanted),
            Some(Form::StringMatch(matcher)) => Test::Text(TextRule::compile(
                matcher,
                &place.field("string_match"),
                problems,
            )?),
        };
        Some(Self {
            name: matcher.name.as_str().into(),
            test,
        })
    }

    /// Whether `path`, with its query, is as the rule says.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let found = first(path, &self.name);
        match &self.test {
            Test::Present(wanted) => found.is_some() == *wanted,
            Test::Text(text) => found.is_some_and(|value| text.matches(value)),
        }
    }
}

/// The first value of a query parameter in a path, as it is written; empty if it stands there
/// without a value.
pub(crate) fn first<'p>(path: &'p str, name: &str) -> Option<&'p str> {
    let (_, query) = path.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::r#type::matcher::v3::{
        StringMatcher, string_matcher::MatchPattern,
    };

    use super::*;

    fn matcher(form: Option<QueryParameterMatchSpecifier>) -> QueryParameterMatcher {
        QueryParameterMatcher {
            name: "v".into(),
            query_parameter_match_specifier: form,
        }
    }

    #[test]
    fn the_first_value_counts() {
        let exact = StringMatcher {
            ignore_case: false,
            match_pattern: Some(MatchPattern::Exact("2".into())),
        };
        let form = QueryParameterMatchSpecifier::StringMatch(exact);
        let mut problems = Problems::default();
        let rule = QueryRule::compile(&matcher(Some(form)), &Place::ROOT, &mut problems);
        let rule = rule.expect("valid");
        assert!(rule.matches("/a?v=2") && rule.matches("/a?u=1&v=2&v=3"));
        assert!(!rule.matches("/a?v=3&v=2"));
        assert!(!rule.matches("/a") && !rule.matches("/a?") && !rule.matches("/v=2"));
    }

    #[test]
    fn presence_needs_no_value() {
        let mut problems = Problems::default();
        let rule = QueryRule::compile(&matcher(None), &Place::ROOT, &mut problems).expect("valid");
        assert!(rule.matches("/a?v") && rule.matches("/a?v=") && !rule.matches("/a?w=v"));
    }

    #[test]
    fn absence_can_be_asked_for() {
        let form = QueryParameterMatchSpecifier::PresentMatch(false);
        let mut problems = Problems::default();
        let rule = QueryRule::compile(&matcher(Some(form)), &Place::ROOT, &mut problems);
        let rule = rule.expect("valid");
        assert!(rule.matches("/a") && rule.matches("/a?w=v"));
        assert!(!rule.matches("/a?v") && !rule.matches("/a?v=1"));
    }

    #[test]
    fn a_parameter_has_a_name() {
        let mut problems = Problems::default();
        let place = Place::ROOT.item("query_parameters", 0);
        QueryRule::compile(&QueryParameterMatcher::default(), &place, &mut problems);
        let problem = &problems.or(()).expect_err("refused")[0];
        assert_eq!(problem.path, "query_parameters[0].name");
    }
}
