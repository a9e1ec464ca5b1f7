//! Regular expressions in Envoy's dialect, RE2, run by the `regex` crate.
//!
//! Both run in linear time. What they read differently is written in a way that both agree upon,
//! so that a pattern means here what it means to Envoy: in RE2 `\d`, `\w`, `\s` and `\b` are
//! ASCII, and `[`, `&` and `~` inside a class stand for themselves.

use ::regex::{Regex, RegexBuilder};
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;

use crate::problem::{Place, Problems};

/// The most memory of one compiled expression, in bytes; more is refused.
pub(crate) const SIZE_LIMIT: usize = 1 << 20;

/// The most memory that one expression's lazily built states take, in bytes; more is slower.
const CACHE_LIMIT: usize = 256 << 10;

/// Compiles an expression that has to match the whole value.
pub(crate) fn compile(
    matcher: &RegexMatcher,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Regex> {
    build(
        &format!(r"\A(?:{})\z", agreed(&matcher.regex)),
        place,
        problems,
    )
}

/// Compiles an expression that is looked for anywhere in the value.
pub(crate) fn search(
    matcher: &RegexMatcher,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Regex> {
    build(&agreed(&matcher.regex), place, problems)
}

fn build(pattern: &str, place: &Place<'_>, problems: &mut Problems) -> Option<Regex> {
    let built = RegexBuilder::new(pattern)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(CACHE_LIMIT)
        .build();
    match built {
        Ok(regex) => Some(regex),
        Err(::regex::Error::CompiledTooBig(limit)) => {
            problems.add(
                &place.field("regex"),
                format!("the expression needs more than {limit} bytes when compiled"),
                "repeat less, or split it over several routes",
            );
            None
        }
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or("it does not parse").trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            problems.add(
                &place.field("regex"),
                format!("not a regular expression: {reason}"),
                "write it in RE2 syntax",
            );
            None
        }
    }
}

/// The text that every value matched by `pattern` starts with; empty where that is not plain to
/// see.
pub(crate) fn literal_prefix(pattern: &str) -> String {
    let mut prefix = String::new();
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    if pattern.contains('|') {
        return prefix;
    }
    let mut rest = pattern.chars();
    loop {
        let literal = match rest.next() {
            Some('\\') => match rest.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => escaped,
                _ => return prefix,
            },
            Some('.' | '+' | '*' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$') | None => {
                return prefix;
            }
            Some(plain) => plain,
        };
        match rest.clone().next() {
            Some('*' | '?' | '{') => return prefix,
            _ => prefix.push(literal),
        }
    }
}

/// `pattern` with RE2's meaning spelled out.
fn agreed(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.char_indices();
    let mut class = Class::Outside;
    while let Some((at, c)) = chars.next() {
        let fresh = class == Class::Opened;
        match (c, class) {
            ('\\', _) => {
                let Some((_, escaped)) = chars.next() else {
                    out.push('\\');
                    break;
                };
                push_escape(&mut out, escaped, class != Class::Outside);
            }
            ('[', Class::Outside) => {
                out.push('[');
                class = Class::Opened;
                continue;
            }
            ('^', Class::Opened) if pattern[..at].ends_with('[') => {
                out.push('^');
                continue;
            }
            (']', Class::Inside) => {
                out.push(']');
                class = Class::Outside;
                continue;
            }
            (']', Class::Opened) => out.push_str(r"\]"),
            ('[', _) => match named_class(&pattern[at..]) {
                Some(name) => {
                    out.push_str(name);
                    chars.nth(name.chars().count() - 2);
                }
                None => out.push_str(r"\["),
            },
            ('&' | '~', Class::Inside | Class::Opened) => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        if fresh {
            class = Class::Inside;
        }
    }
    out
}

/// Where in a pattern the translation stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Not in brackets.
    Outside,
    /// Behind `[` or `[^`, where `]` is a member.
    Opened,
    /// In brackets.
    Inside,
}

fn push_escape(out: &mut String, escaped: char, in_class: bool) {
    let members = match escaped.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\f\r ",
        'b' if !in_class => {
            out.push_str(if escaped == 'b' {
                r"(?-u:\b)"
            } else {
                r"(?-u:\B)"
            });
            return;
        }
        _ => {
            out.push('\\');
            out.push(escaped);
            return;
        }
    };
    match (escaped.is_ascii_lowercase(), in_class) {
        (true, true) => out.push_str(members),
        (true, false) => out.extend(["[", members, "]"]),
        (false, _) => out.extend(["[^", members, "]"]),
    }
}

/// `[:alpha:]` and its like at the start of `text`.
fn named_class(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("[:")?;
    let end = inner.find(":]")?;
    let name = inner.get(..end)?;
    let name = name.strip_prefix('^').unwrap_or(name);
    let letters = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    letters.then(|| &text[..end + 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(pattern: &str) -> Regex {
        let matcher = RegexMatcher {
            regex: pattern.into(),
            ..RegexMatcher::default()
        };
        let mut problems = Problems::default();
        let regex = compile(&matcher, &Place::ROOT, &mut problems);
        assert_eq!(problems.or(()), Ok(()));
        regex.expect("no problem was found")
    }

    fn refusal(pattern: &str) -> String {
        let matcher = RegexMatcher {
            regex: pattern.into(),
            ..RegexMatcher::default()
        };
        let mut problems = Problems::default();
        assert!(compile(&matcher, &Place::ROOT.field("safe_regex"), &mut problems).is_none());
        problems.or(()).expect_err("refused")[0].to_string()
    }

    #[test]
    fn the_whole_value_has_to_match() {
        assert!(whole("a|ab").is_match("ab"));
        assert!(!whole("b").is_match("abc"));
        assert!(!whole("a").is_match("a\n"));
    }

    #[test]
    fn classes_are_those_of_re2() {
        assert!(whole(r"\d+\w\s").is_match("12a "));
        assert!(!whole(r"\d").is_match("\u{0663}"), "an Arabic digit");
        assert!(!whole(r"\w").is_match("\u{e9}"));
        assert!(whole(r"\W\D").is_match("\u{e9}x"));
        assert!(whole(r"[\d\-]+").is_match("1-2"));
        assert!(whole(r"[^\w]").is_match("-"));
        assert!(whole(r"[\W_]+").is_match("-_"));
        assert!(whole(r"[[&&~]+").is_match("[&~"));
        assert!(whole(r"[]a]+").is_match("]a"));
        assert!(whole(r"[^]a]").is_match("b"));
        assert!(whole(r"[[:alpha:]_]+").is_match("ab_"));
        assert!(whole(r"a\b.*").is_match("a b"));
        assert!(whole("caf\u{e9}.").is_match("caf\u{e9}\u{e9}"));
    }

    #[test]
    fn what_does_not_compile_is_refused_with_its_reason() {
        assert_eq!(
            refusal("a("),
            "safe_regex.regex: not a regular expression: unclosed group; \
             write it in RE2 syntax"
        );
        assert_eq!(
            refusal(r"(a{1000}){1000}"),
            "safe_regex.regex: the expression needs more than 1048576 bytes when compiled; \
             repeat less, or split it over several routes"
        );
        refusal(r"a\");
        refusal("[a");
    }

    #[test]
    fn literal_prefixes_are_never_too_long() {
        for (pattern, prefix) in [
            (r"/com\.acme\.Foo/.*", "/com.acme.Foo/"),
            ("^/a/b", "/a/b"),
            ("/ab*", "/a"),
            ("/ab?c", "/a"),
            ("/ab{0,1}", "/a"),
            ("/ab+", "/ab"),
            ("/a|/b", ""),
            ("(?i)/a", ""),
            (r"/a\d", "/a"),
            ("", ""),
        ] {
            assert_eq!(literal_prefix(pattern), prefix, "{pattern}");
        }
    }
}
