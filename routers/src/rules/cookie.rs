//! Cookies of requests: `CookieMatcher`, and reading one by its name.

use crossdock_framework::view::{Key, RoutingView};
use envoy_types::pb::envoy::config::route::v3::CookieMatcher;

use super::text::TextRule;
use crate::{
    problem::{Place, Problems},
    values::each_value,
};

/// A rule about one cookie.
#[derive(Debug)]
pub(crate) struct CookieRule {
    name: Box<str>,
    text: TextRule,
    invert: bool,
}

impl CookieRule {
    /// The rule of a `CookieMatcher`.
    pub(crate) fn compile(
        matcher: &CookieMatcher,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        if matcher.name.is_empty() {
            let (reason, cure) = ("a cookie matcher without a cookie", "name the cookie");
            problems.add(&place.field("name"), reason, cure);
        }
        let Some(text) = &matcher.string_match else {
            let (reason, cure) = ("a cookie matcher that matches nothing", "set string_match");
            problems.add(&place.field("string_match"), reason, cure);
            return None;
        };
        let text = TextRule::compile(text, &place.field("string_match"), problems)?;
        Some(Self {
            name: matcher.name.as_str().into(),
            text,
            invert: matcher.invert_match,
        })
    }

    /// Whether `request` is as the rule says; a cookie that is missing matches only inverted.
    pub(crate) fn matches(&self, request: &dyn RoutingView) -> bool {
        let found = cookie(request, &self.name, |value| self.text.matches(value));
        found.unwrap_or_default() != self.invert
    }
}

/// What `then` makes of the first cookie of that name, without the quotes around its value.
pub(crate) fn cookie<T>(
    request: &dyn RoutingView,
    name: &str,
    then: impl FnOnce(&str) -> T,
) -> Option<T> {
    let key = Key::Header("cookie");
    let joined = request.get(key)?;
    let (mut then, mut found) = (Some(then), None);
    each_value(request, key, &joined, |header| {
        for pair in header.split(';') {
            let Some((own, value)) = pair.trim_start_matches(' ').split_once('=') else {
                continue;
            };
            if own == name
                && let Some(then) = then.take()
            {
                found = Some(then(unquoted(value)));
            }
        }
    });
    found
}

fn unquoted(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::r#type::matcher::v3::{
        StringMatcher, string_matcher::MatchPattern,
    };

    use super::*;
    use crate::testing::Call;

    fn rule(value: &str, invert: bool) -> CookieRule {
        let matcher = CookieMatcher {
            name: "a".into(),
            string_match: Some(StringMatcher {
                ignore_case: false,
                match_pattern: Some(MatchPattern::Exact(value.into())),
            }),
            invert_match: invert,
        };
        let mut problems = Problems::default();
        CookieRule::compile(&matcher, &Place::ROOT, &mut problems).expect("valid")
    }

    fn call(cookies: &[&str]) -> Call {
        let call = Call::http("x", "/");
        cookies
            .iter()
            .fold(call, |call, cookie| call.with("cookie", cookie))
    }

    // As Envoy 1.40 answers.
    #[test]
    fn the_first_cookie_of_the_name_counts() {
        for (cookies, matches) in [
            (&["a=1"][..], true),
            (&["a=2"], false),
            (&["a=\"1\""], true),
            (&["b=xy; a=1"], true),
            (&["a=2; a=1"], false),
            (&["a=1; a=2"], true),
            (&["b=x,y", "a=1"], true),
            (&["a=1;b=x"], true),
            (&["A=1"], false),
            (&["a"], false),
            (&[], false),
        ] {
            assert_eq!(
                rule("1", false).matches(&call(cookies)),
                matches,
                "{cookies:?}"
            );
            assert_eq!(
                rule("1", true).matches(&call(cookies)),
                !matches,
                "{cookies:?}"
            );
        }
    }

    #[test]
    fn an_empty_value_is_a_value() {
        assert_eq!(cookie(&call(&["a="]), "a", str::len), Some(0));
        assert_eq!(cookie(&call(&["a=\""]), "a", str::len), Some(1));
        assert_eq!(cookie(&call(&["a=b=c"]), "a", str::len), Some(3));
    }
}
