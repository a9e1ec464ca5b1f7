//! URI templates: paths with `*`, `**` and `{name=pattern}` in them, as Envoy's extensions
//! `uri_template_matcher` and `uri_template_rewriter` read them.

use std::fmt::Write as _;

/// The most variables of a template.
const VARIABLES: usize = 5;

/// The longest name of a variable.
const NAME: usize = 16;

/// The longest template.
const LENGTH: usize = 256;

/// The octets that `*` stands for: those of a path segment (RFC 3986, `pchar`).
const SEGMENT: &str = r"a-zA-Z0-9\-._~%!$&'()*+,;:@=";

/// A template as an expression.
#[derive(Debug, Default)]
pub(crate) struct Template {
    /// An expression for the whole path, with a group of its name for every variable.
    pub(crate) regex: String,
    /// What every path starts with.
    pub(crate) literal: String,
    names: Vec<String>,
    /// There was a `**`, which has to be the last operator.
    ended: bool,
}

impl Template {
    /// Reads the template of a match.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LENGTH {
            return Err(format!("more than {LENGTH} bytes"));
        }
        let mut template = Self::default();
        let mut rest = text.strip_prefix('/').ok_or("it does not start with /")?;
        template.push_literal("/");
        while !rest.is_empty() {
            let (segment, behind) = segment(rest)?;
            template.segment(segment)?;
            if let Some(behind) = behind {
                template.push_literal("/");
                rest = behind;
            } else {
                rest = "";
            }
        }
        Ok(template)
    }

    fn push_literal(&mut self, text: &str) {
        if self.regex.len() == ::regex::escape(&self.literal).len() {
            self.literal.push_str(text);
        }
        self.regex.push_str(&::regex::escape(text));
    }

    /// A segment: text, an operator with text behind it, or a variable with text on both sides.
    fn segment(&mut self, segment: &str) -> Result<(), String> {
        if let Some(suffix) = segment.strip_prefix("**") {
            self.operator(true)?;
            return self.text(suffix);
        }
        if let Some(suffix) = segment.strip_prefix('*') {
            self.operator(false)?;
            return self.text(suffix);
        }
        let Some((before, rest)) = segment.split_once('{') else {
            return match segment {
                "" => Err("two / in a row".to_owned()),
                text => self.text(text),
            };
        };
        self.text(before)?;
        let (variable, after) = rest.split_once('}').ok_or("a { without its }")?;
        self.variable(variable)?;
        self.text(after)
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        // Envoy takes a `*` within a segment for one of its expression.
        if text.contains('*') {
            return Err(format!("the * in `{text}` does not begin its segment"));
        }
        if !text.bytes().all(is_text) {
            return Err(format!("`{text}` is no text of a path segment"));
        }
        self.push_literal(text);
        Ok(())
    }

    fn operator(&mut self, many: bool) -> Result<(), String> {
        if self.ended {
            return Err("an operator behind **".to_owned());
        }
        self.ended = many;
        let _ = match many {
            true => write!(self.regex, "[{SEGMENT}/]*"),
            false => write!(self.regex, "[{SEGMENT}]+"),
        };
        Ok(())
    }

    fn variable(&mut self, text: &str) -> Result<(), String> {
        let (name, pattern) = text.split_once('=').unwrap_or((text, "*"));
        let mut letters = name.bytes();
        let named = letters
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
            && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.len() <= NAME;
        if !named {
            return Err(format!("`{name}` is no name for a variable"));
        }
        if self.names.iter().any(|other| other == name) {
            return Err(format!("the variable `{name}` stands there twice"));
        }
        if self.names.len() == VARIABLES {
            return Err(format!("more than {VARIABLES} variables"));
        }
        if pattern.is_empty() {
            return Err(format!("the variable `{name}` matches nothing"));
        }
        self.names.push(name.to_owned());
        let _ = write!(self.regex, "(?P<{name}>");
        for (at, part) in pattern.split('/').enumerate() {
            if at > 0 {
                self.regex.push('/');
            }
            match part {
                "*" => self.operator(false)?,
                "**" => self.operator(true)?,
                "" => return Err(format!("an empty segment in `{name}`")),
                text => self.text(text)?,
            }
        }
        self.regex.push(')');
        Ok(())
    }
}

/// The segment at the start of `text`, and what follows its `/`.
fn segment(text: &str) -> Result<(&str, Option<&str>), String> {
    let mut within = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if within => return Err("a { within another".to_owned()),
            b'{' => within = true,
            b'}' => within = false,
            b'/' if !within => return Ok((&text[..at], Some(&text[at + 1..]))),
            _ => {}
        }
    }
    Ok((text, None))
}

/// A piece of a rewrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    Text(&'t str),
    /// What the variable of that name matched.
    Variable(&'t str),
}

/// The pieces of a rewrite.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    if !text.starts_with('/') {
        return Err("it does not start with /".to_owned());
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').ok_or("a { without its }")?;
        pieces.extend([Piece::Text(before), Piece::Variable(name)]);
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    let fine = |byte: u8| byte == b'/' || is_text(byte);
    let plain = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => text.bytes().all(fine),
        Piece::Variable(_) => true,
    };
    match pieces.iter().all(plain) {
        true => Ok(pieces),
        false => Err("a character that no path has".to_owned()),
    }
}

/// Whether a segment may have that octet as text.
fn is_text(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;:@=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(template: &str, path: &str) -> bool {
        let template = Template::read(template).expect(template);
        assert!(
            !::regex::Regex::new(&template.regex)
                .expect("it compiles")
                .is_match(path)
                || path.starts_with(&template.literal)
        );
        let whole = format!(r"\A(?:{})\z", template.regex);
        ::regex::Regex::new(&whole)
            .expect("it compiles")
            .is_match(path)
    }

    // As Envoy 1.40 answers.
    #[test]
    fn templates_match_whole_paths() {
        for (template, hits, misses) in [
            (
                "/t/{b}/*/{c=**}",
                &["/t/B/C/d/e", "/t/B/C/", "/t/B%2Fx/C.d/~e"][..],
                &["/t/B/C", "/t/B//d", "/t//C/d"][..],
            ),
            ("/a/{b}.html", &["/a/x.html"], &["/a/.html", "/a/xhtml"]),
            ("/**/foo", &["/x/y/foo"], &["/foo"]),
            ("/{a=**}.m3u8", &["/x/y.m3u8", "/.m3u8"], &["/x/ym3u8"]),
            ("/**.mpd", &["/content/123/manifest.mpd"], &["/x.mpd/y"]),
            ("/{a=b/*/c}/d", &["/b/x/c/d"], &["/b/x/d"]),
            (
                "/a/*",
                &["/a/x=y", "/a/x*y", "/a/x%"],
                &["/a/x|y", "/a/x\"", "/a/[x]", "/a/"],
            ),
            ("/a/", &["/a/"], &["/a"]),
            ("/", &["/"], &["/a"]),
        ] {
            for hit in hits {
                assert!(matched(template, hit), "{template} {hit}");
            }
            for miss in misses {
                assert!(!matched(template, miss), "{template} {miss}");
            }
        }
    }

    #[test]
    fn the_start_without_operators_is_literal() {
        for (template, literal) in [
            ("/a.b/c/{d}/e", "/a.b/c/"),
            ("/a/v{d}", "/a/v"),
            ("/**", "/"),
            ("/a/b", "/a/b"),
        ] {
            let read = Template::read(template).expect(template);
            assert_eq!(read.literal, literal, "{template}");
        }
    }

    #[test]
    fn what_envoy_refuses_is_refused() {
        for template in [
            "/**/{b}",
            "/{a}/{a}",
            "/{1a}",
            "/{abcdefghijklmnopq}",
            "/{a}/{b}/{c}/{d}/{e}/{f}",
            "a/b",
            "/a//b",
            "/a/{}",
            "/a/{b=}",
            "/a/{b=**}/*",
            "/{a=*}{b=*}",
            "/a?b",
            "/{a",
            "/a}",
            "/{a{b}}",
            "/{a=b//c}",
            "",
            "/a/b*",
        ] {
            assert!(Template::read(template).is_err(), "{template}");
        }
        assert!(Template::read(&format!("/{}", "a".repeat(LENGTH))).is_err());
        for rewrite in ["x/{b}", "/{b", "/a?b", "/a}b"] {
            assert!(pieces(rewrite).is_err(), "{rewrite}");
        }
    }
}
