//! Envoy's format strings: literal text with `%OPERATOR(ARGUMENTS):LENGTH%` in between.
//!
//! This is the grammar alone; who evaluates a format decides which operators it knows. Header
//! changes know few, access logs many.

use std::fmt;

mod time;

pub use time::TimeFormat;

/// A piece of a format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Text that stays as it is; `%%` is already one `%`.
    Literal(Box<str>),
    /// Something that depends on the call.
    Operator(Operator),
}

/// `%NAME(ARGUMENTS):LENGTH%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name, of upper case letters, digits and `_`.
    pub name: Box<str>,
    /// What stands between the parentheses, if there are any.
    pub args: Option<Box<str>>,
    /// The most bytes that the value may have; longer ones are cut.
    pub max_len: Option<usize>,
}

/// Why a format string cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// The byte at which the piece starts that cannot be read.
    pub at: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.reason, self.at)
    }
}

impl std::error::Error for FormatError {}

/// Takes a format string apart.
///
/// # Errors
/// When a `%` starts neither an operator nor `%%`.
pub fn parse(text: &str) -> Result<Vec<Token>, FormatError> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(percent) = rest.find('%') {
        literal.push_str(&rest[..percent]);
        let at = text.len() - rest.len() + percent;
        rest = &rest[percent + 1..];
        if let Some(behind) = rest.strip_prefix('%') {
            literal.push('%');
            rest = behind;
            continue;
        }
        if !literal.is_empty() {
            tokens.push(Token::Literal(std::mem::take(&mut literal).into()));
        }
        let (operator, behind) = operator(rest).map_err(|reason| FormatError { at, reason })?;
        tokens.push(Token::Operator(operator));
        rest = behind;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal.into()));
    }
    Ok(tokens)
}

/// The operator at the start of `text`, which is behind its first `%`, and what follows it.
fn operator(text: &str) -> Result<(Operator, &str), &'static str> {
    let name_char = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let (name, rest) = text.split_at(text.find(|c| !name_char(c)).unwrap_or(text.len()));
    if name.is_empty() {
        return Err("a % that starts no operator; write %% for the character itself");
    }
    let finish = |args: Option<&str>, max_len, rest| {
        let operator = Operator {
            name: name.into(),
            args: args.map(Into::into),
            max_len,
        };
        Ok((operator, rest))
    };
    let Some(inner) = rest.strip_prefix('(') else {
        let (max_len, rest) = closing(rest).ok_or("an operator without its closing %")?;
        return finish(None, max_len, rest);
    };
    // Arguments may hold anything, also `)` and `%`: they end where the operator can end.
    let ends = inner.match_indices(')');
    let mut ends = ends.filter_map(|(end, _)| Some((end, closing(&inner[end + 1..])?)));
    let (end, (max_len, rest)) = ends.next().ok_or("an operator without its closing )%")?;
    finish(Some(&inner[..end]), max_len, rest)
}

/// `%` or `:LENGTH%` at the start of `text`: the length, and what follows.
fn closing(text: &str) -> Option<(Option<usize>, &str)> {
    if let Some(rest) = text.strip_prefix('%') {
        return Some((None, rest));
    }
    let (length, rest) = text.strip_prefix(':')?.split_once('%')?;
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    Some((Some(length.parse().ok().filter(|_| digits)?), rest))
}

/// The header that `REQ`, `RESP` and `TRAILER` name, and the one to take if that is missing:
/// `NAME?ALTERNATIVE`, both in lower case.
///
/// `None` if the arguments are not of that form.
pub fn header_names(args: &str) -> Option<(Box<str>, Option<Box<str>>)> {
    let mut names = args.split('?').map(str::to_ascii_lowercase);
    let first = names.next().filter(|name| !name.is_empty())?;
    let second = names.next().filter(|name| !name.is_empty());
    names
        .next()
        .is_none()
        .then(|| (first.into(), second.map(Into::into)))
}

/// `value`, cut to at most `max_len` bytes and not within a character.
pub fn cut(value: &str, max_len: Option<usize>) -> &str {
    let mut end = max_len.map_or(value.len(), |max_len| max_len.min(value.len()));
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, args: Option<&str>, max_len: Option<usize>) -> Token {
        Token::Operator(Operator {
            name: name.into(),
            args: args.map(Into::into),
            max_len,
        })
    }

    fn literal(text: &str) -> Token {
        Token::Literal(text.into())
    }

    #[test]
    fn text_and_operators_take_turns() {
        assert_eq!(
            parse("a %PROTOCOL% 100%% %REQ(X-A?:path):12%!"),
            Ok(vec![
                literal("a "),
                operator("PROTOCOL", None, None),
                literal(" 100% "),
                operator("REQ", Some("X-A?:path"), Some(12)),
                literal("!"),
            ])
        );
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(
            parse("%A%%B%"),
            Ok(vec![operator("A", None, None), operator("B", None, None)])
        );
        assert_eq!(parse("%A():3%"), Ok(vec![operator("A", Some(""), Some(3))]));
    }

    #[test]
    fn arguments_may_hold_percent_signs_and_parentheses() {
        assert_eq!(
            parse("%START_TIME(%Y/%m (%s))%"),
            Ok(vec![operator("START_TIME", Some("%Y/%m (%s)"), None)])
        );
        assert_eq!(
            parse("%A(x)%%B(y):2%"),
            Ok(vec![
                operator("A", Some("x"), None),
                operator("B", Some("y"), Some(2))
            ])
        );
    }

    #[test]
    fn what_is_cut_short_is_an_error_at_its_place() {
        for (text, at) in [
            ("%", 0),
            ("ab%", 2),
            ("a%REQ", 1),
            ("%REQ(a", 0),
            ("%REQ(a)", 0),
        ] {
            assert_eq!(parse(text).expect_err(text).at, at, "{text}");
        }
        for text in [
            "%req(a)%",
            "%A:x%",
            "%A:%",
            "%A:-1%",
            "%A:+1%",
            "% %",
            "%A:99999999999999999999%",
        ] {
            assert_eq!(parse(text).expect_err(text).at, 0, "{text}");
        }
    }

    #[test]
    fn headers_have_one_alternative_at_most() {
        assert_eq!(header_names("A-b"), Some(("a-b".into(), None)));
        assert_eq!(
            header_names("A?:Path"),
            Some(("a".into(), Some(":path".into())))
        );
        assert_eq!(header_names("a?b?c"), None);
        assert_eq!(header_names(""), None);
    }

    #[test]
    fn values_are_cut_between_characters() {
        assert_eq!(cut("abc", Some(2)), "ab");
        assert_eq!(cut("a\u{e9}", Some(2)), "a");
        assert_eq!(cut("abc", Some(9)), "abc");
        assert_eq!(cut("abc", None), "abc");
    }
}
