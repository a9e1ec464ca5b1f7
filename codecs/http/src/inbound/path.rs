//! Paths: what may not stand in one, and one spelling of each before any rule looks.

use crossdock_framework::{
    edits::Edit,
    status::{Cause, Status},
    stream::{HttpPolicy, Slashes},
};
use http::{Method, request};

use super::bad;
use crate::{edits, view};

/// Refuses targets with more than one reading.
pub(super) fn check(head: &request::Parts) -> Result<(), Status> {
    let path = view::path(head);
    match path.as_bytes().first() {
        Some(b'/') => {}
        Some(b'*') if path == "*" && head.method == Method::OPTIONS => return Ok(()),
        _ => return Err(bad("the target is not a path")),
    }
    if path
        .bytes()
        .any(|byte| byte == b'#' || !(0x21..0x7f).contains(&byte))
    {
        return Err(bad("the path has characters that have to be escaped"));
    }
    Ok(())
}

/// Gives the path the spelling that rules and hosts see.
pub(super) fn normalise(head: &mut request::Parts, policy: &HttpPolicy) -> Result<(), Status> {
    let whole = view::path(head);
    if whole == "*" || !needs_work(whole, policy) {
        return Ok(());
    }
    let (path, query) = match whole.find('?') {
        Some(at) => whole.split_at(at),
        None => (whole, ""),
    };
    let mut path = path.to_owned();
    let mut elsewhere = false;
    if policy.normalize_path && has_escaped(&path, b"00") {
        return Err(bad("the path has an escaped NUL"));
    }
    if has_escaped(&path, b"2f") || has_escaped(&path, b"5c") {
        match policy.escaped_slashes {
            Slashes::Keep => {}
            Slashes::Reject => return Err(bad("the path has escaped slashes")),
            Slashes::Unescape => path = unescape_slashes(&path),
            Slashes::Redirect => {
                path = unescape_slashes(&path);
                elsewhere = true;
            }
        }
    }
    if policy.normalize_path {
        path = unescape_plain(&path);
        path = resolve_dots(&path).ok_or_else(|| bad("the path leads above its root"))?;
    }
    if policy.merge_slashes {
        path = merge(&path);
    }
    let changed = format!("{path}{query}");
    if elsewhere {
        return Err(redirect(&changed));
    }
    if changed != whole {
        edits::set_path(head, &changed).map_err(bad)?;
    }
    Ok(())
}

/// Whether anything could change: most paths need no more than this look.
fn needs_work(path: &str, policy: &HttpPolicy) -> bool {
    let bytes = path.as_bytes();
    let dots = policy.normalize_path
        && bytes
            .windows(2)
            .any(|pair| matches!(pair, b"/." | b"/%") || pair.contains(&b'\\'));
    let slashes = policy.merge_slashes && bytes.windows(2).any(|pair| pair == b"//");
    dots || slashes || bytes.contains(&b'%')
}

fn has_escaped(path: &str, hex: &[u8; 2]) -> bool {
    path.as_bytes().windows(3).any(|triple| {
        triple.first() == Some(&b'%')
            && triple
                .get(1..)
                .is_some_and(|digits| digits.eq_ignore_ascii_case(hex))
    })
}

/// Sends the caller to the path that it should have asked for.
fn redirect(location: &str) -> Status {
    let mut status = Status::new(Cause::DirectResponse, "");
    status.http = 307;
    status
        .headers
        .push(Edit::Set("location".into(), location.into()));
    status
}

/// Unescapes what never needs an escape (RFC 3986 section 6.2.2.2): both spellings are one path.
fn unescape_plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let byte = escape
            .get(1..3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let byte = byte.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
        let taken = match byte {
            Some(byte) => {
                plain.push(char::from(byte));
                3
            }
            None => {
                plain.push('%');
                1
            }
        };
        rest = escape.get(taken..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

fn unescape_slashes(path: &str) -> String {
    let mut plain = path.to_owned();
    for (escaped, slash) in [("%2F", "/"), ("%2f", "/"), ("%5C", "\\"), ("%5c", "\\")] {
        plain = plain.replace(escaped, slash);
    }
    plain
}

/// Removes dot segments (RFC 3986 section 5.2.4), where `\` counts as `/` and `%2e` as a dot, as
/// browsers and Envoy read them. `None` for a path that leads above its root.
fn resolve_dots(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match dots(segment) {
            Some(1) => {}
            Some(_) => {
                kept.pop()?;
            }
            None => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    Some(format!("/{}", kept.join("/")))
}

/// How many dots a segment is, if it is nothing but one or two.
fn dots(segment: &str) -> Option<usize> {
    let (mut rest, mut count) = (segment, 0);
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').or_else(|| {
            rest.get(..3)
                .filter(|escape| escape.eq_ignore_ascii_case("%2e"))
                .and_then(|_| rest.get(3..))
        })?;
        count += 1;
    }
    (1..=2).contains(&count).then_some(count)
}

fn merge(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(path: &str, policy: &HttpPolicy) -> Result<String, u16> {
        let (mut head, ()) = http::Request::builder()
            .uri(path)
            .body(())
            .expect("a request")
            .into_parts();
        check(&head).map_err(|status| status.http)?;
        normalise(&mut head, policy).map_err(|status| status.http)?;
        Ok(view::path(&head).to_owned())
    }

    #[test]
    fn dot_segments_are_resolved() {
        let policy = HttpPolicy::default();
        for (path, wanted) in [
            ("/a/b", Ok("/a/b")),
            ("/a/./b", Ok("/a/b")),
            ("/a/../b?x=/../y", Ok("/b?x=/../y")),
            ("/a/%2e%2E/b", Ok("/b")),
            ("/a/.%2e", Ok("/")),
            ("/a/b/..", Ok("/a/")),
            ("/a/b/.", Ok("/a/b/")),
            ("/..", Err(400)),
            ("/a/../../b", Err(400)),
            ("/a/...", Ok("/a/...")),
            ("/.a/b.", Ok("/.a/b.")),
            ("/a//b", Ok("/a//b")),
            ("/a%2fb", Ok("/a%2fb")),
            ("/a%00b", Err(400)),
            ("/a%zz", Ok("/a%zz")),
            ("/%61%7E%2d%5F/%3b%2", Ok("/a~-_/%3b%2")),
            ("/a?%61", Ok("/a?%61")),
            ("/", Ok("/")),
        ] {
            assert_eq!(
                normalised(path, &policy),
                wanted.map(str::to_owned),
                "{path}"
            );
        }
    }

    #[test]
    fn slashes_as_configured() {
        let with = |change: fn(&mut HttpPolicy)| {
            let mut policy = HttpPolicy::default();
            change(&mut policy);
            policy
        };
        let merging = with(|policy| policy.merge_slashes = true);
        assert_eq!(normalised("//a///b?c//d", &merging), Ok("/a/b?c//d".into()));
        let rejecting = with(|policy| policy.escaped_slashes = Slashes::Reject);
        assert_eq!(normalised("/a%2Fb", &rejecting), Err(400));
        let redirecting = with(|policy| policy.escaped_slashes = Slashes::Redirect);
        assert_eq!(normalised("/a%5cb", &redirecting), Err(307));
        let unescaping = with(|policy| policy.escaped_slashes = Slashes::Unescape);
        assert_eq!(normalised("/a%2F..%2fb", &unescaping), Ok("/b".into()));
        let off = with(|policy| policy.normalize_path = false);
        assert_eq!(normalised("/a/../b", &off), Ok("/a/../b".into()));
    }
}
