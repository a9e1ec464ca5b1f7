//! Random tables and requests, against a matcher that walks the messages as they are written.

use std::sync::LazyLock;

use envoy_types::pb::envoy::{
    config::route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
};
use proptest::{collection::vec, option, prelude::*};

use super::*;

const PATTERNS: [&str; 4] = ["/a.*", "/a/b?/[ab]+", ".*b", "/(a|b)/a"];

static WHOLE: LazyLock<Vec<(&str, ::regex::Regex)>> = LazyLock::new(|| {
    let whole = |pattern: &str| ::regex::Regex::new(&format!("^(?:{pattern})$"));
    let compiled = PATTERNS.iter().map(|pattern| (*pattern, whole(pattern)));
    compiled
        .map(|(pattern, regex)| (pattern, regex.expect("it parses")))
        .collect()
});

/// The name of the route that a slow look-up takes.
fn slowly(config: &RouteConfiguration, call: &Call) -> String {
    let host = match &call.authority {
        Some(authority) => slow_host(config, &authority.to_ascii_lowercase()),
        None => with_domain(config, |domain| domain == "*"),
    };
    let routes = host.map_or(&[][..], |host| &host.routes);
    let taken = routes
        .iter()
        .find(|route| slow_match(route.r#match.as_ref(), call));
    taken.map_or_else(|| "-".into(), |route| route.name.clone())
}

fn with_domain(config: &RouteConfiguration, wanted: impl Fn(&str) -> bool) -> Option<&VirtualHost> {
    let mut hosts = config.virtual_hosts.iter();
    hosts.find(|host| {
        host.domains
            .iter()
            .any(|domain| wanted(&domain.to_ascii_lowercase()))
    })
}

fn slow_host<'c>(config: &'c RouteConfiguration, authority: &str) -> Option<&'c VirtualHost> {
    let lengths = (1..authority.len()).rev();
    let suffix = |length: usize| format!("*{}", &authority[authority.len() - length..]);
    let prefix = |length: usize| format!("{}*", &authority[..length]);
    let patterns = std::iter::once(authority.to_owned())
        .chain(lengths.clone().map(suffix))
        .chain(lengths.map(prefix))
        .chain(["*".to_owned()]);
    let mut hosts = patterns.map(|pattern| with_domain(config, |domain| domain == pattern));
    hosts.find_map(|host| host)
}

fn slow_match(matcher: Option<&RouteMatch>, call: &Call) -> bool {
    let matcher = matcher.expect("every generated route has a match");
    let headers = matcher.headers.iter().all(|header| {
        let found = call.headers.iter().find(|(name, _)| *name == header.name);
        match (&header.header_match_specifier, found) {
            (Some(HeaderMatchSpecifier::StringMatch(text)), Some((_, value))) => {
                let exact = MatchPattern::Exact(value.clone());
                (text.match_pattern == Some(exact)) != header.invert_match
            }
            _ => false,
        }
    });
    headers && slow_path(matcher, call.path.as_deref())
}

fn slow_path(matcher: &RouteMatch, path: Option<&str>) -> bool {
    let fold = matcher
        .case_sensitive
        .is_some_and(|sensitive| !sensitive.value);
    let lower = |text: &str| {
        if fold {
            text.to_ascii_lowercase()
        } else {
            text.to_owned()
        }
    };
    let specifier = matcher
        .path_specifier
        .as_ref()
        .expect("every generated route has one");
    let Some(path) = path else {
        return [prefix(""), prefix("/")].contains(specifier);
    };
    let bare = &path[..path.find('?').unwrap_or(path.len())];
    let folded = lower(bare);
    match specifier {
        PathSpecifier::Path(text) => folded == lower(text),
        PathSpecifier::Prefix(text) => folded.starts_with(&lower(text)),
        PathSpecifier::PathSeparatedPrefix(text) => {
            folded == lower(text) || folded.starts_with(&format!("{}/", lower(text)))
        }
        PathSpecifier::SafeRegex(regex) => {
            let mut known = WHOLE.iter().filter(|(pattern, _)| *pattern == regex.regex);
            known.next().expect("one of PATTERNS").1.is_match(bare)
        }
        other => panic!("{other:?} is not generated"),
    }
}

/// Paths over a small alphabet, so that many rules meet.
fn some_path() -> impl Strategy<Value = String> {
    vec(prop::sample::select(vec!["a", "b", "ab", "A", ""]), 0..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

fn some_specifier() -> impl Strategy<Value = PathSpecifier> {
    let separated = |text: String| {
        let text = text.trim_end_matches('/');
        PathSpecifier::PathSeparatedPrefix(if text.is_empty() { "/a" } else { text }.into())
    };
    let regex = |regex: &str| {
        PathSpecifier::SafeRegex(RegexMatcher {
            regex: regex.into(),
            ..RegexMatcher::default()
        })
    };
    prop_oneof![
        some_path().prop_map(PathSpecifier::Path),
        some_path().prop_map(PathSpecifier::Prefix),
        some_path().prop_map(separated),
        prop::sample::select(PATTERNS.to_vec()).prop_map(regex),
        Just(prefix("")),
    ]
}

fn some_route() -> impl Strategy<Value = RouteMessage> {
    let header = ("[12]", any::<bool>()).prop_map(|(value, invert)| HeaderMatcher {
        name: "v".into(),
        invert_match: invert,
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(StringMatcher {
            ignore_case: false,
            match_pattern: Some(MatchPattern::Exact(value)),
        })),
        ..HeaderMatcher::default()
    });
    (
        some_specifier(),
        any::<bool>(),
        option::weighted(0.3, header),
    )
        .prop_map(|(path, sensitive, header)| {
            let mut route = route(path, "c");
            matcher(&mut route).case_sensitive = Some(BoolValue { value: sensitive });
            matcher(&mut route).headers = header.into_iter().collect();
            route
        })
}

/// Tables in which every route has a name of its own and every domain stands once.
fn some_config() -> impl Strategy<Value = RouteConfiguration> {
    let domains = [
        "*", "a", "b.a", "A.b", "*a", "*.a", "*b.a", "a*", "a.*", "b*",
    ];
    let domains = prop::sample::subsequence(domains.to_vec(), 1..=10).prop_shuffle();
    (domains, vec(vec(some_route(), 0..12), 10)).prop_map(|(domains, routes)| {
        let mut number = 0;
        let mut named = |mut routes: Vec<RouteMessage>| {
            for route in &mut routes {
                route.name = format!("r{number}");
                number += 1;
            }
            routes
        };
        let hosts = domains.into_iter().zip(routes);
        config(
            hosts
                .map(|(domain, routes)| host(&[domain], named(routes)))
                .collect(),
        )
    })
}

fn some_call() -> impl Strategy<Value = Call> {
    let authority = prop::sample::select(vec!["a", "b.a", "A.B", "c.a", "ab.a", "x", "bb", "aa"]);
    let query = prop::sample::select(vec!["", "?", "?/a"]);
    let path = (some_path(), query).prop_map(|(path, query)| path + query);
    let header = "[12]".prop_map(|value| ("v".to_owned(), value));
    (
        option::weighted(0.9, authority),
        option::weighted(0.9, path),
        vec(header, 0..=1),
    )
        .prop_map(|(authority, path, headers)| Call {
            authority: authority.map(Into::into),
            path,
            method: None,
            headers,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_index_finds_what_a_walk_finds(
        config in some_config(),
        calls in vec(some_call(), 32),
    ) {
        let table = RouteTable::compile(&config).expect("only valid tables are generated");
        for call in calls {
            prop_assert_eq!(taken(&table, &call), slowly(&config, &call), "{:?}", call);
        }
    }
}
