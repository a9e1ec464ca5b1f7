//! The first line of a message.

use memchr::memchr;

use super::{
    Refusal, bad,
    fields::{Fields, has_control, is_token},
};

/// Method, target and version, one space between each (RFC 9112 section 3).
pub(super) fn request(line: &[u8], fields: &mut Fields) -> Result<(), Refusal> {
    let Some((method, rest)) = until_space(line) else {
        return bad("the first line is not that of a request");
    };
    let Some((target, version)) = until_space(rest) else {
        return bad("the first line has no version");
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return bad("the method is not a token");
    }
    // Fragments are never sent; parsers that meet one cut it off.
    let odd = |byte: u8| !(0x21..0x7f).contains(&byte) || byte == b'#';
    if target.is_empty() || target.iter().fold(false, |found, byte| found | odd(*byte)) {
        return bad("the target has characters that have to be escaped");
    }
    let tunnel = method == b"CONNECT";
    if !tunnel && !is_path_or_url(target) {
        return bad("the target is neither a path nor a URL");
    }
    fields.old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Refusal::of(505, "another version of HTTP"));
        }
        _ => return bad("the first line does not end with a version"),
    };
    fields.began = true;
    fields.bytes = target.len();
    fields.tunnel = tunnel;
    fields.switches = tunnel;
    Ok(())
}

/// Origin form, absolute form, or the `*` of OPTIONS (RFC 9112 section 3.2).
fn is_path_or_url(target: &[u8]) -> bool {
    let url = |scheme: &[u8]| {
        let start = target.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    target.starts_with(b"/") || target == b"*" || url(b"http://") || url(b"https://")
}

/// Version, status and reason (RFC 9112 section 4).
pub(super) fn answer(line: &[u8], fields: &mut Fields) -> Result<(), Refusal> {
    let (version, rest) = until_space(line).unwrap_or((line, b""));
    fields.old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return bad("the first line is not that of an answer"),
    };
    let (status, reason) = until_space(rest).unwrap_or((rest, b""));
    let [
        hundreds @ b'1'..=b'9',
        tens @ b'0'..=b'9',
        ones @ b'0'..=b'9',
    ] = status
    else {
        return bad("the status is not a number");
    };
    if has_control(reason) {
        return bad("the reason has control characters");
    }
    let digit = |digit: &u8| u16::from(digit - b'0');
    fields.status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
    fields.began = true;
    Ok(())
}

fn until_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, after) = line.split_at_checked(memchr(b' ', line)?)?;
    Some((before, after.get(1..).unwrap_or_default()))
}
